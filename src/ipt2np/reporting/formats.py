"""The formats of reports, by the ends of file names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ipt2np.errors import UsageError
from ipt2np.reporting.report import Report


def _json(report: Report) -> str:
    from ipt2np.reporting.jsonreport import text

    return text(report)


FORMATS: Mapping[str, Callable[[Report], str]] = {"json": _json}
"""What a file name ends in, to what makes the text of a report."""


def check_formats(names: Sequence[str]) -> None:
    """UsageError where a file's name says no known format."""
    for name in names:
        if _suffix(name) not in FORMATS:
            known = ", ".join(f".{each}" for each in FORMATS)
            raise UsageError(f"--report {name}: expected a file name that ends in {known}")


def formatted(report: Report, name: str) -> str:
    """The report's text in the format that the file's name says."""
    return FORMATS[_suffix(name)](report)


def _suffix(name: str) -> str:
    return name.lower().rpartition(".")[2]
