"""Text of any origin made safe to show."""

from __future__ import annotations

LINE_WIDTH = 160


def printable(text: str, width: int = LINE_WIDTH) -> str:
    """``text`` on one line: anything but printable characters escaped, cut to ``width``."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return shown if len(shown) <= width else shown[: width - 1] + "…"
