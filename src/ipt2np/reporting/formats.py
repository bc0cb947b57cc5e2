"""The formats of reports, by the ends of file names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TypeAlias

from ipt2np.errors import UsageError
from ipt2np.reporting.report import Report

Format: TypeAlias = Callable[[Report], str]


def _lazily(module: str, name: str) -> Format:
    """The function of a module of ``ipt2np.reporting`` that is imported when the format is asked for."""

    def write(report: Report) -> str:
        text: str = getattr(import_module(f"ipt2np.reporting.{module}"), name)(report)
        return text

    return write


FORMATS: Mapping[str, Format] = {
    "json": _lazily("jsonreport", "text"),
    "md": _lazily("markdown", "markdown"),
    "html": _lazily("html", "html"),
    "sarif": _lazily("sarif", "sarif"),
}
"""What a file name ends in, to what makes the text of a report."""


def check_formats(names: Sequence[str]) -> None:
    """UsageError where a file's name says no known format."""
    for name in names:
        if _suffix(name) not in FORMATS:
            *others, last = (f".{each}" for each in FORMATS)
            raise UsageError(
                f"--report {name}: expected a file name that ends in {', '.join(others)} or {last}"
            )


def formatted(report: Report, name: str) -> str:
    """The report's text in the format that the file's name says."""
    return FORMATS[_suffix(name)](report)


def _suffix(name: str) -> str:
    """What the name ends in; ``.sarif.json`` is SARIF's own other ending (SARIF 2.1.0, §3.2)."""
    lowered = name.lower().removesuffix(".json") if name.lower().endswith(".sarif.json") else name.lower()
    return lowered.rpartition(".")[2] if "." in lowered else ""
