"""What every format of a report is made of: the plain data of the JSON report, and the files that it points into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA = 1
RULESET, POLICY = "ruleset", "policy"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that the report points into."""

    name: str
    """As in the report's ``file`` fields."""
    role: str
    """``ruleset`` or ``policy``."""
    lines: tuple[str, ...]

    @classmethod
    def of(cls, name: str, role: str, lines: Iterable[str]) -> SourceFile:
        """The file as it can be shown: bytes that are no UTF-8 become the replacement character."""
        return cls(name, role, tuple(shown(line) for line in lines))


@dataclass(frozen=True)
class Report:
    """One report; every format is a function of it."""

    data: Mapping[str, Any]
    """The JSON report, schema 1."""
    files: tuple[SourceFile, ...] = ()


def shown(text: str) -> str:
    """``text`` with everything that UTF-8 cannot hold replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if not text.isascii() else text
