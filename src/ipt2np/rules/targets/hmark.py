"""``-j HMARK`` (iptables-extensions(8); extensions/libxt_HMARK.c of iptables 1.8.9): a mark computed from the header."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.rules.extension import Effect, Kind, TargetExtension, ValueFault, option
from ipt2np.rules.model import Clause
from ipt2np.rules.targets.nat import prefixed
from ipt2np.rules.values import integer

_BY_PART: Mapping[str, str] = {
    "ct": "--hmark-tuple",
    "src": "--hmark-src-prefix",
    "dst": "--hmark-dst-prefix",
    "sport": "--hmark-sport-mask",
    "dport": "--hmark-dport-mask",
    "proto": "--hmark-proto-mask",
    "spi": "--hmark-spi-mask",
}
"""The option that each part of ``--hmark-tuple`` stands for, in the order in which its beginnings are tried."""


def _read_tuple(text: str, family: int) -> tuple[str, ...]:
    """The parts of a list, each by its name or the beginning of one."""
    found = []
    for part in text.split(","):
        begun = part.lower()
        name = next((each for each in _BY_PART if begun and each.startswith(begun)), None)
        if name is None:
            raise ValueFault(f"{part!r} is no part of a packet", "a list of " + ", ".join(_BY_PART))
        found.append(name)
    return tuple(found)


def _read_prefix(text: str, family: int) -> int:
    anywhere = "0.0.0.0" if family == 4 else "::"
    return int(prefixed(f"{anywhere}/{text}", family).mask).bit_count()


def _hexadecimal(high: int, digits: int) -> Kind:
    return Kind("N", integer(high).read, lambda value, family: f"0x{value:0{digits}x}", hex(high))


_TUPLE = Kind("PART[,…]", _read_tuple, lambda value, family: ",".join(value), "src,dst,sport,dport,proto")
_PREFIX = Kind("LENGTH", _read_prefix, lambda value, family: str(value), "24", "64")
_HALF, _WORD = _hexadecimal(0xFFFF, 4), _hexadecimal(0xFFFFFFFF, 8)


def _full(part: str, family: int) -> int:
    """The mask that a part of the tuple stands for: all of it."""
    return {"src": ADDRESS_BITS[family], "dst": ADDRESS_BITS[family], "spi": 0xFFFFFFFF}.get(part, 0xFFFF)


class Hmark(TargetExtension):
    """Sets the packet's mark to a hash of parts of its header: it could be any."""

    name = "HMARK"
    effect = Effect.MARK
    options = (
        option("--hmark-src-prefix", kinds=_PREFIX),
        option("--hmark-dst-prefix", kinds=_PREFIX),
        option("--hmark-sport-mask", kinds=_HALF),
        option("--hmark-dport-mask", kinds=_HALF),
        option("--hmark-spi-mask", kinds=_WORD),
        option("--hmark-sport", kinds=_HALF),
        option("--hmark-dport", kinds=_HALF),
        option("--hmark-spi", kinds=_WORD),
        option("--hmark-proto-mask", kinds=_hexadecimal(0xFFFF, 2)),
        option("--hmark-rnd", kinds=_WORD),
        option("--hmark-mod", kinds=integer(low=1)),
        option("--hmark-offset", kinds=integer()),
        option("--hmark-tuple", kinds=_TUPLE),
    )
    required = (
        ("--hmark-mod",),
        ("--hmark-rnd",),
        ("--hmark-tuple", *(each.name for each in options[:9])),
    )
    exclusive = (
        ("--hmark-spi-mask", "--hmark-sport-mask"),
        ("--hmark-spi-mask", "--hmark-dport-mask"),
        ("--hmark-spi", "--hmark-sport"),
        ("--hmark-spi", "--hmark-dport"),
    )

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """With the masks that the tuple stands for; of the tuple itself only ``ct`` stays."""
        by_name: dict[str, Clause] = {}
        for clause in clauses:
            if clause.option != "--hmark-tuple":
                by_name[clause.option] = clause
                continue
            parts = clause.values[0]
            assert isinstance(parts, tuple)
            for part in parts:
                values = (("ct",),) if part == "ct" else (_full(part, family),)
                by_name[_BY_PART[part]] = Clause(_BY_PART[part], False, values)
        return super().normal(tuple(by_name.values()), family)
