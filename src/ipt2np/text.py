"""Text of any origin: made safe to show, and its bytes."""

from __future__ import annotations

LINE_WIDTH = 160


def printable(text: str, width: int = LINE_WIDTH) -> str:
    """``text`` on one line: anything but printable characters escaped, cut to ``width``."""
    seen = text[: width + 1]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in seen)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def file_name(name: str, width: int = 80) -> str:
    """A file's name on one line; of a long one the end is shown, which tells it from others."""
    shown = printable(name[-width - 1 :], 10 * (width + 1))
    return shown if len(shown) <= width else "…" + shown[1 - width :]


def as_bytes(text: str) -> bytes:
    """The bytes that a file had for ``text``: those that were no UTF-8 stand in it as surrogates (PEP 383).

    Any other lone surrogate is three bytes.
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
