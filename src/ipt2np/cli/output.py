"""Standard output, which may go away or be full."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def print_text(text: str) -> None:
    """Writes to standard output. A reader that went away has all that it wanted; a full disk is an error."""
    from ipt2np.errors import UsageError

    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise UsageError(f"standard output cannot be written: {error.strerror or error}") from None


@contextmanager
def progress(text: str, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Shows what is being done while it is, where standard error is a terminal; gives a function that changes the text."""
    from ipt2np.reporting.console import ErrorConsole

    console = ErrorConsole()
    if quiet or not console.is_terminal:
        yield lambda text: None
        return
    with console.status(text) as status:
        yield lambda text: status.update(text)


def as_shown(show: Callable[[Console], None]) -> str:
    """What ``show`` prints, as wide and as colourful as standard output is."""
    from io import StringIO

    from rich.console import Console

    real, text = Console(), StringIO()
    show(
        Console(
            file=text,
            width=real.width,
            force_terminal=real.is_terminal,
            highlight=False,
            emoji=False,
            markup=False,
        )
    )
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
