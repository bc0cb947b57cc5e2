"""Probes in the words of the code under test: which packet of the packet space a probe is.

The harness itself knows nothing of ipt2np; this is the one place where the two vocabularies meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from ipt2np import Field, PacketSet
from ipt2np.packets.diagram import TERMINAL_LEVEL, TRUE
from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.rules.interfaces import Interfaces

from .probe import Probe

_BITS: Final = max(field.last for field in Field) + 1
_ADDRESSES: Final = (Field.DESTINATION, Field.SOURCE)


def label(interfaces: Interfaces, name: str) -> int:
    """The label of an interface: its own, else the longest wildcard's that covers it, else that of the others."""
    names = interfaces.names
    if name in names:
        return names.index(name)
    covering = [each for each in names if each.endswith("+") and name.startswith(each[:-1])]
    return names.index(max(covering, key=len)) if covering else len(names)


@lru_cache(maxsize=200_000)
def _number(address: str) -> int:
    return int(ip_address(address))


def packet(probe: Probe, interface: int = 0) -> dict[Field, int]:
    """The probe as a packet that comes in on the interface with that label: every field by its value."""
    return {
        Field.FAMILY: int(probe.family == 6),
        Field.PROTOCOL: probe.protocol,
        Field.ICMP_TYPE: probe.icmp_type,
        Field.ICMP_CODE: probe.icmp_code,
        Field.DESTINATION_PORT: probe.dport,
        Field.SOURCE_PORT: probe.sport,
        Field.INTERFACE: interface,
        Field.DESTINATION: _number(probe.destination),
        Field.SOURCE: _number(probe.source),
    }


_SHIFTS: Final = {
    family: [(field, _BITS - field.first - (ADDRESS_BITS[family] if field in _ADDRESSES else field.bits))
             for field in Field]
    for family in (4, 6)
}  # fmt: skip


def word(probe: Probe) -> int:
    """The probe's bits in the order of the diagram's levels, the first level's in front; no interface."""
    values = packet(probe)
    result = 0
    for field, shift in _SHIFTS[probe.family]:
        result |= values[field] << shift
    return result


class Members:
    """Probes made ready to be looked up in many packet sets of one decision; *words* are the probes' own."""

    def __init__(self, probes: Sequence[Probe], words: Sequence[int], interfaces: Interfaces) -> None:
        shift = dict(_SHIFTS[4])[Field.INTERFACE]
        labels = {name: label(interfaces, name) << shift for name in {probe.interface for probe in probes}}
        self._words = [own | labels[probe.interface] for own, probe in zip(words, probes, strict=True)]

    def of(self, packets: PacketSet) -> list[bool]:
        """For each probe: is it in the set?"""
        diagram = packets.space.diagram
        levels, lows, highs, root, top = diagram.level, diagram.low, diagram.high, packets.node, _BITS - 1
        if levels[root] == TERMINAL_LEVEL:
            return [root == TRUE] * len(self._words)
        found = []
        for bits in self._words:
            node = root
            level = levels[node]
            while level != TERMINAL_LEVEL:
                node = highs[node] if bits >> (top - level) & 1 else lows[node]
                level = levels[node]
            found.append(node == TRUE)
        return found
