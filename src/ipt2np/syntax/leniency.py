"""What was read although iptables would refuse it: told once for each kind, with the lines."""

from __future__ import annotations

from collections.abc import Iterable

from ipt2np.errors import Location
from ipt2np.rules.model import Note

_SHOWN = 8


def numbered_lines(numbers: Iterable[int]) -> str:
    """``line 7``, ``lines 1-3, 9 and 12``, or the first few and how many more."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [str(low) if low == high else f"{low}-{high}" for low, high in runs[:_SHOWN]]
    more = sum(high - low + 1 for low, high in runs[_SHOWN:])
    plural = "s" if len(runs) > 1 or runs[0][0] != runs[0][1] else ""
    listed = ", ".join(texts) + (f" and {more} more" if more else "")
    return f"line{plural} {listed}"


class Leniencies:
    """Kinds of leniency, each with the lines where it was shown."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = {}

    def add(self, what: str, line: int) -> None:
        """``what`` was met at ``line``, 0 where it is about the whole file."""
        self._lines.setdefault(what, []).append(line)

    def notes(self, file: str) -> tuple[Note, ...]:
        """One note a kind, in the order in which they were met first."""
        return tuple(
            Note(
                "lenient",
                Location(file, min(lines)),
                f"{what} ({numbered_lines(lines)})" if min(lines) else what,
            )
            for what, lines in self._lines.items()
        )
