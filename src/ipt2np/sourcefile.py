"""Files as what is said of them points into them: lines that can be shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

RULESET, POLICY = "ruleset", "policy"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that a report points into."""

    name: str
    """As in the report's ``file`` fields."""
    role: str
    """``ruleset`` or ``policy``."""
    lines: tuple[str, ...]

    @classmethod
    def of(cls, name: str, role: str, lines: Iterable[str]) -> SourceFile:
        """The file as it can be shown: bytes that are no UTF-8 become the replacement character."""
        return cls(name, role, tuple(shown(line) for line in lines))


def shown(text: str) -> str:
    """``text`` with everything that UTF-8 cannot hold replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if not text.isascii() else text
