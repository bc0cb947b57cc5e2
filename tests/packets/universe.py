"""A universe of 144 cells, and packet sets drawn together with the cells that they must hold.

A cell fixes a stretch of every field in ``STRETCHES``; fields not named there never matter. A set made of
cells answers alike for every packet of a cell, so that one packet for each cell tells all about the set.
A drawn set is built twice: as ``PacketSet`` by the operations under test, and as a plain ``frozenset`` of
cells by Python's own set operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

from hypothesis import strategies as st

from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import Range

Cell = tuple[int, ...]
"""For each of ``FIELDS``, which of its stretches."""

# Stretches cover their field, are uneven, and have their bounds off the powers of two.
STRETCHES: Mapping[Field, tuple[Range, ...]] = {
    Field.PROTOCOL: ((0, 5), (6, 6), (7, 255)),
    Field.ICMP_TYPE: ((0, 7), (8, 255)),
    Field.DESTINATION_PORT: ((0, 79), (80, 8080), (8081, 65535)),
    Field.SOURCE_PORT: ((0, 1023), (1024, 65535)),
}
SOURCES: Mapping[int, tuple[Range, ...]] = {
    4: ((0, 0x0A000000 - 1), (0x0A000000, 0xFFFFFFFF)),
    6: ((0, 0x20010DB8 << 96), ((0x20010DB8 << 96) + 1, (1 << 128) - 1)),
}
FIELDS = (Field.FAMILY, *STRETCHES, Field.SOURCE)
FAMILY_BIT = {4: 0, 6: 1}


def choices(field: Field) -> range:
    """The numbers of the field's stretches."""
    return range(2) if field in (Field.FAMILY, Field.SOURCE) else range(len(STRETCHES[field]))


CELLS: tuple[Cell, ...] = tuple(product(*(choices(field) for field in FIELDS)))
EVERYTHING = frozenset(CELLS)


def family_of(cell: Cell) -> int:
    """4 or 6."""
    return 6 if cell[0] else 4


def bounds(cell: Cell, field: Field) -> Range:
    """The stretch of ``field`` that the cell lies in."""
    place = cell[FIELDS.index(field)]
    if field is Field.FAMILY:
        return place, place
    return SOURCES[family_of(cell)][place] if field is Field.SOURCE else STRETCHES[field][place]


def packet(cell: Cell, end: int = 0) -> dict[Field, int]:
    """The first (0) or the last (1) packet of the cell."""
    return {field: bounds(cell, field)[end] for field in FIELDS}


def cell_of(packet: Mapping[Field, int]) -> Cell:
    """The cell of a packet; fields left out are 0."""
    family = 6 if packet.get(Field.FAMILY) else 4
    cell = [FAMILY_BIT[family]]
    for field in FIELDS[1:]:
        stretches = SOURCES[family] if field is Field.SOURCE else STRETCHES[field]
        value = packet.get(field, 0)
        cell.append(next(n for n, (low, high) in enumerate(stretches) if low <= value <= high))
    return tuple(cell)


def held(packets: PacketSet) -> frozenset[Cell]:
    """The cells of a set, looked up packet by packet; a cell held in part fails."""
    cells = set()
    for cell in CELLS:
        first, last = packet(cell) in packets, packet(cell, 1) in packets
        assert first == last, f"the set cuts through {cell}"
        if first:
            cells.add(cell)
    return frozenset(cells)


def of_stretches(space: PacketSpace, field: Field, wanted: frozenset[int]) -> PacketSet:
    """The packets whose ``field`` lies in one of the numbered stretches."""
    if field is Field.FAMILY:
        families = [family for family, bit in FAMILY_BIT.items() if bit in wanted]
        return _union(space, [space.family(family) for family in families])
    if field is Field.SOURCE:
        return _union(
            space,
            [
                space.addresses(field, AddressSet.of(family, [SOURCES[family][n] for n in wanted]))
                for family in FAMILY_BIT
            ],
        )
    ranges = AddressSet.of(4, [STRETCHES[field][n] for n in wanted]).ranges
    return space.values(field, ranges)


def box(space: PacketSpace, cell: Cell) -> PacketSet:
    """Exactly the packets of one cell."""
    result = space.everything
    for field, place in zip(FIELDS, cell, strict=True):
        result &= of_stretches(space, field, frozenset({place}))
    return result


def _union(space: PacketSpace, parts: list[PacketSet]) -> PacketSet:
    result = space.nothing
    for part in parts:
        result |= part
    return result


@dataclass(frozen=True)
class Drawn:
    """A set and what it must be."""

    packets: PacketSet
    cells: frozenset[Cell]

    def __or__(self, other: Drawn) -> Drawn:
        return Drawn(self.packets | other.packets, self.cells | other.cells)

    def __and__(self, other: Drawn) -> Drawn:
        return Drawn(self.packets & other.packets, self.cells & other.cells)

    def __sub__(self, other: Drawn) -> Drawn:
        return Drawn(self.packets - other.packets, self.cells - other.cells)

    def __invert__(self) -> Drawn:
        return Drawn(~self.packets, EVERYTHING - self.cells)


Recipe = Callable[[PacketSpace], Drawn]
"""How to build a set in a given space; the same recipe always builds the same set."""


def _leaf(field: Field, wanted: frozenset[int]) -> Recipe:
    place = FIELDS.index(field)
    cells = frozenset(cell for cell in CELLS if cell[place] in wanted)
    return lambda space: Drawn(of_stretches(space, field, wanted), cells)


def _joined(operator: str, left: Recipe, right: Recipe) -> Recipe:
    def build(space: PacketSpace) -> Drawn:
        a, b = left(space), right(space)
        return {"|": a | b, "&": a & b, "-": a - b, "^": (a - b) | (b - a)}[operator]

    return build


def _negated(recipe: Recipe) -> Recipe:
    return lambda space: ~recipe(space)


LEAVES: st.SearchStrategy[Recipe] = st.sampled_from(FIELDS).flatmap(
    lambda field: st.builds(
        _leaf, st.just(field), st.frozensets(st.sampled_from(choices(field)), max_size=len(choices(field)))
    )
)
RECIPES: st.SearchStrategy[Recipe] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(_joined, st.sampled_from("|&-^"), inner, inner), st.builds(_negated, inner)
    ),
    max_leaves=10,
)
