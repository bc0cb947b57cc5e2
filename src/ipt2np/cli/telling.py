"""How a result reaches the user: files written together, lines told, and whether the exit status is 1."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from ipt2np.cli.options import FailOn, Form, Telling

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from ipt2np.findings import Severity
    from ipt2np.reporting.accepted import Accepted
    from ipt2np.reporting.report import Report


def tell(
    telling: Telling,
    accepted: Accepted,
    report: Callable[[], Report],
    lines: Callable[[], Iterable[Text]],
    console: Console,
    files: Mapping[str, str] | None = None,
    streamed: Callable[[], None] = lambda: None,
) -> None:
    """Writes ``files`` and the wanted reports, all or none, then ``streamed``, then the lines.

    Everything is made before anything is written: a fault leaves no file behind.
    """
    from ipt2np.files import write_all
    from ipt2np.reporting.console import write
    from ipt2np.reporting.formats import formatted

    wanted: Sequence[str] = telling.report or []
    annotated = telling.form is Form.GITHUB
    made = accepted.marked(report()) if wanted or annotated else None
    texts = dict(files or {})
    told: list[Text] = []
    if made is not None:
        texts |= {name: formatted(made, name) for name in wanted}
    if annotated and made is not None:
        from rich.text import Text as Line

        from ipt2np.reporting.github import github

        told = [Line(line) for line in github(made).splitlines()]
    elif not telling.quiet:
        told = list(lines())
    write_all(texts)
    streamed()
    write(console, iter(told))


def least_of(fail_on: StrEnum) -> Severity | None:
    """From which severity on a finding makes the exit status 1; None where none does."""
    from ipt2np.findings import Severity

    return None if fail_on.value == FailOn.NEVER.value else Severity[fail_on.name]
