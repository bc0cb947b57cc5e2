"""``-m connbytes`` (iptables-extensions(8)): how much a connection has carried."""

from __future__ import annotations

from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import Kind, MatchExtension, Undecided, option
from ipt2np.rules.values import choice, integer_range

MOST = 2**64 - 1
_RANGE = integer_range(MOST)


def _read(text: str, family: int) -> Range:
    found: Range = _RANGE.read(text if ":" in text else f"{text}:", family)
    return found


def _write(value: Range, family: int) -> str:
    low, high = value
    return str(low) if high in (0, MOST) else f"{low}:{high}"


class Connbytes(MatchExtension):
    """Packets, bytes, or bytes a packet."""

    name = "connbytes"
    tracks = True
    options = (
        option(
            "--connbytes",
            kinds=Kind("FROM[:TO]", _read, _write, "0:1000"),
            negatable=True,
            means=Undecided("how much the connection has carried"),
        ),
        option("--connbytes-mode", kinds=choice("packets", "bytes", "avgpkt")),
        option("--connbytes-dir", kinds=choice("original", "reply", "both")),
    )
    required = (("--connbytes",), ("--connbytes-mode",), ("--connbytes-dir",))
