"""The packet space: which header fields a packet set can tell apart, and the sets over it.

Fields stand in diagrams in the order of ``Field``: services first, addresses last, so that "who may reach
this port" is one node of the diagram and equal source sets are the same node. IPv4 addresses use the
first 32 bits of an address field. Fields that a protocol does not have are simply never tested for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from ipt2np.packets.boxes import boxes
from ipt2np.packets.diagram import FALSE, TERMINAL_LEVEL, TRUE, Diagram
from ipt2np.packets.intervals import ADDRESS_BITS, AddressSet, Range

FAMILIES = (4, 6)


class Field(Enum):
    """A header field: name, its first bit's level, number of bits."""

    FAMILY = ("family", 0, 1)
    PROTOCOL = ("protocol", 1, 8)
    ICMP_TYPE = ("icmp type", 9, 8)
    ICMP_CODE = ("icmp code", 17, 8)
    DESTINATION_PORT = ("destination port", 25, 16)
    SOURCE_PORT = ("source port", 41, 16)
    INTERFACE = ("interface", 57, 16)
    DESTINATION = ("destination", 73, 128)
    SOURCE = ("source", 201, 128)

    def __init__(self, title: str, first: int, bits: int) -> None:
        self.title = title
        self.first = first
        self.bits = bits

    @property
    def last(self) -> int:
        """The level of the field's last bit."""
        return self.first + self.bits - 1


_FIELDS = tuple(Field)
_ADDRESSES = (Field.DESTINATION, Field.SOURCE)


@dataclass(frozen=True, slots=True)
class PacketSet:
    """An immutable set of packets of one ``PacketSpace``; ``|``, ``&``, ``-``, ``~``, ``==``, ``<=``."""

    space: PacketSpace
    node: int

    def __or__(self, other: PacketSet) -> PacketSet:
        return PacketSet(self.space, self.space.diagram.unite(self.node, other.node))

    def __and__(self, other: PacketSet) -> PacketSet:
        return PacketSet(self.space, self.space.diagram.conjoin(self.node, other.node))

    def __sub__(self, other: PacketSet) -> PacketSet:
        return PacketSet(self.space, self.space.diagram.subtract(self.node, other.node))

    def __invert__(self) -> PacketSet:
        return PacketSet(self.space, self.space.diagram.subtract(TRUE, self.node))

    def __le__(self, other: PacketSet) -> bool:
        return self.space.diagram.subset(self.node, other.node)

    def meets(self, other: PacketSet) -> bool:
        """True where the two have a packet in common: cheaper than making their intersection."""
        return self.space.diagram.meets(self.node, other.node)

    def __bool__(self) -> bool:
        return self.node != FALSE

    def __contains__(self, packet: Mapping[Field, int]) -> bool:
        """True where the packet is in the set; family is 0 for IPv4, 1 for IPv6, fields left out are 0."""
        return _value_at(self.space, self.node, packet) == TRUE

    def some(self, field: Field) -> PacketSet:
        """Packets that some value of ``field`` brings into the set; the result ignores the field."""
        diagram = self.space.diagram
        return PacketSet(self.space, diagram.eliminate(self.node, field.first, field.last, diagram.unite))

    def every(self, field: Field) -> PacketSet:
        """Packets that are in the set whatever the value of ``field``; the result ignores the field."""
        diagram = self.space.diagram
        return PacketSet(self.space, diagram.eliminate(self.node, field.first, field.last, diagram.conjoin))

    def digest(self) -> str:
        """Equal for equal sets, of whatever space."""
        return self.space.diagram.digest(self.node)

    def witness(self, family: int = 4) -> dict[Field, int]:
        """One packet of the set: the lowest value of each field that matters, other fields left out.

        ``family`` is that of a set in which the family itself does not matter. ValueError for the empty set.
        """
        if self.node == FALSE:
            raise ValueError("the empty set has no packet")
        diagram = self.space.diagram
        values: dict[Field, int] = {}
        at = self.node
        while diagram.level[at] != TERMINAL_LEVEL:
            level = diagram.level[at]
            field = next(f for f in _FIELDS if f.first <= level <= f.last)
            high = diagram.low[at] == FALSE
            if field is Field.FAMILY:
                family = 6 if high else 4
            bits = ADDRESS_BITS[family] if field in _ADDRESSES else field.bits
            values.setdefault(field, 0)
            if high:
                values[field] |= 1 << (bits - 1 - (level - field.first))
            at = diagram.high[at] if high else diagram.low[at]
        return values


@dataclass(frozen=True, slots=True)
class PacketMap:
    """An immutable function from the packets of one ``PacketSpace`` to integers."""

    space: PacketSpace
    node: int

    def where(self, holds: Callable[[int], bool]) -> PacketSet:
        """The packets whose value satisfies ``holds``."""
        return PacketSet(
            self.space, self.space.diagram.replace(self.node, lambda v: TRUE if holds(v) else FALSE)
        )

    def within(self, packets: PacketSet, otherwise: int) -> PacketMap:
        """This map inside ``packets``, the value ``otherwise`` outside."""
        diagram = self.space.diagram
        return PacketMap(self.space, diagram.choose(packets.node, self.node, diagram.terminal(otherwise)))

    def over(self, packets: PacketSet, other: PacketMap) -> PacketMap:
        """This map inside ``packets``, ``other`` outside."""
        return PacketMap(self.space, self.space.diagram.choose(packets.node, self.node, other.node))

    def revised(self, region: PacketSet, value_of: Callable[[int], int]) -> PacketMap:
        """This map with its values replaced inside ``region``."""
        return PacketMap(self.space, self.space.diagram.revise(region.node, self.node, value_of))

    def without(self, field: Field, join: Callable[[int, int], int]) -> PacketMap:
        """The map with ``field`` projected out, values joined by ``join`` (as in ``Diagram.eliminate``)."""
        diagram = self.space.diagram
        memo: dict[tuple[int, int], int] = {}

        def join_nodes(a: int, b: int) -> int:
            if a == b:
                return a
            key = (a, b) if a < b else (b, a)
            found = memo.get(key)
            if found is None:
                found = memo[key] = diagram.combine(lambda values: join(values[0], values[1]), key)
            return found

        return PacketMap(self.space, diagram.eliminate(self.node, field.first, field.last, join_nodes))

    def values(self, within: PacketSet | None = None) -> set[int]:
        """The values taken, in ``within`` or anywhere."""
        if within is None:
            return self.space.diagram.values(self.node)
        return self.space.diagram.values_within(self.node, within.node)

    def partition(self, group_of: Callable[[int], int]) -> dict[int, PacketSet]:
        """Disjoint packet sets by the group of their value."""
        parts = self.space.diagram.partition(self.node, group_of)
        return {group: PacketSet(self.space, node) for group, node in parts.items()}

    def at(self, packet: Mapping[Field, int]) -> int:
        """The value for one packet; fields left out count as 0."""
        return _value_at(self.space, self.node, packet)


def _value_at(space: PacketSpace, node: int, packet: Mapping[Field, int]) -> int:
    diagram = space.diagram
    family = 6 if packet.get(Field.FAMILY) else 4
    while diagram.level[node] != TERMINAL_LEVEL:
        level = diagram.level[node]
        field = next(f for f in _FIELDS if f.first <= level <= f.last)
        bits = ADDRESS_BITS[family] if field in _ADDRESSES else field.bits
        bit = packet.get(field, 0) >> (bits - 1 - (level - field.first)) & 1
        node = diagram.high[node] if bit else diagram.low[node]
    return diagram.value(node)


class PacketSpace:
    """The store that sets and maps of one conversion share; sets of different spaces must not be mixed."""

    def __init__(self) -> None:
        self.diagram = Diagram()
        self.everything = PacketSet(self, TRUE)
        self.nothing = PacketSet(self, FALSE)
        self._family = {
            4: PacketSet(self, self.diagram.node(0, TRUE, FALSE)),
            6: PacketSet(self, self.diagram.node(0, FALSE, TRUE)),
        }
        self._span = lru_cache(maxsize=100_000)(self._make_span)

    def _make_span(self, field: Field, bits: int, ranges: tuple[Range, ...]) -> PacketSet:
        return PacketSet(self, self.diagram.span(field.first, bits, ranges, TRUE, FALSE))

    def family(self, family: int) -> PacketSet:
        """All packets of IPv4 (4) or IPv6 (6)."""
        return self._family[family]

    def values(self, field: Field, ranges: Iterable[Range]) -> PacketSet:
        """Packets whose ``field`` (not an address) lies in the canonical inclusive ``ranges``."""
        return self._span(field, field.bits, tuple(ranges))

    def value(self, field: Field, value: int) -> PacketSet:
        """Packets whose ``field`` (not an address) is ``value``."""
        return self._span(field, field.bits, ((value, value),))

    def bit(self, field: Field, place: int) -> PacketSet:
        """Packets in whose ``field`` the bit at ``place`` is set; 0 is the first, most significant one."""
        return PacketSet(self, self.diagram.node(field.first + place, FALSE, TRUE))

    def addresses(self, field: Field, addresses: AddressSet) -> PacketSet:
        """Packets of the set's family whose source or destination is among ``addresses``."""
        inside = self._span(field, ADDRESS_BITS[addresses.family], addresses.ranges)
        return inside & self._family[addresses.family]

    def boxes(self, columns: Sequence[tuple[Sequence[int], Sequence[Range]]]) -> PacketSet:
        """The union of rows: in each column, the bits at its levels make a number in the row's range.

        Columns stand in the order of their levels.
        """
        axes, ranges = [axis for axis, _ in columns], [each for _, each in columns]
        return PacketSet(self, boxes(self.diagram, axes, ranges))

    def constant(self, value: int) -> PacketMap:
        """The map with the same ``value`` for every packet."""
        return PacketMap(self, self.diagram.terminal(value))

    def combine(self, operation: Callable[[tuple[int, ...]], int], *maps: PacketMap) -> PacketMap:
        """The map whose value is ``operation`` of the maps' values, packet by packet."""
        return PacketMap(self, self.diagram.combine(operation, tuple(m.node for m in maps)))

    def graft(
        self,
        region: PacketSet,
        operation: Callable[[tuple[int, ...]], int],
        maps: Sequence[PacketMap],
        outside: PacketMap,
        neutral: Sequence[PacketMap],
        answer: Callable[[int], int | None],
    ) -> PacketMap:
        """``combine`` inside ``region``, ``outside`` elsewhere (``Diagram.graft`` says what it may skip)."""
        nodes, plain = tuple(m.node for m in maps), tuple(m.node for m in neutral)
        return PacketMap(self, self.diagram.graft(region.node, operation, nodes, outside.node, plain, answer))

    def split(self, packets: PacketSet, field: Field, family: int = 6) -> list[tuple[int, int, PacketSet]]:
        """``packets`` by ``field``: ascending ``(low, high, rest)`` with the empty rests left out.

        No field above ``field`` may matter to the set; ``family`` gives the width of an address.
        """
        bits = ADDRESS_BITS[family] if field in _ADDRESSES else field.bits
        return [
            (low, high, PacketSet(self, node))
            for low, high, node in self.diagram.split(packets.node, field.first, bits)
            if node != FALSE
        ]

    def of_family(self, packets: PacketSet, family: int) -> PacketSet:
        """The packets of ``family``, with the family itself no longer tested."""
        diagram = self.diagram
        node = packets.node
        if diagram.level[node] == Field.FAMILY.first:
            node = diagram.low[node] if family == 4 else diagram.high[node]
        return PacketSet(self, node)

    def source_addresses(self, packets: PacketSet, family: int) -> AddressSet:
        """The sources of a set in which nothing but the source matters (family already taken out)."""
        return AddressSet(
            family, tuple((low, high) for low, high, _ in self.split(packets, Field.SOURCE, family))
        )
