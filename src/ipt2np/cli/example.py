"""What a finding's example prints, found by running it."""

from __future__ import annotations

import re
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ipt2np.findings.examples import Example

INTERRUPTED = 130


def printed(code: str, example: Example) -> str:
    """The finding ``code`` as the example's command prints it: its line, the rule, what to do, without colour.

    The command runs in this process, in a folder of its own. InternalError where it has no such finding; OSError where
    there is no room for its files.
    """
    from ipt2np.errors import InternalError

    text = _run(example)
    found = re.search(rf"^(?:info|warning|error) {code}\b.*\n(?: {{4}}.*\n)*", text, re.MULTILINE)
    if found is None:
        raise InternalError(f"{example.command_line} of {code}'s example has no such finding")
    return found[0]


def _run(example: Example) -> str:
    """All that the command prints."""
    from rich.text import Text
    from typer.main import get_command

    from ipt2np.cli.main import app

    out, errors = StringIO(), StringIO()
    with TemporaryDirectory(prefix="ipt2np-") as folder:
        for name, text in example.texts.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        with chdir(folder), redirect_stdout(out), redirect_stderr(errors):
            status = get_command(app).main(example.arguments, "ipt2np", standalone_mode=False)
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    return Text.from_ansi(f"{errors.getvalue()}\n{out.getvalue()}").plain + "\n"
