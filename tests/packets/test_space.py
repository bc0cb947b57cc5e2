"""Packet sets and maps against plain sets of cells."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace

from .universe import (
    CELLS,
    EVERYTHING,
    FAMILY_BIT,
    FIELDS,
    RECIPES,
    SOURCES,
    STRETCHES,
    Cell,
    Recipe,
    box,
    cell_of,
    choices,
    held,
    packet,
)

EXAMPLES = settings(max_examples=120, derandomize=True, deadline=None)
FEWER = settings(EXAMPLES, max_examples=50)


@EXAMPLES
@given(RECIPES)
def test_a_set_holds_the_packets_that_its_making_says(recipe: Recipe) -> None:
    drawn = recipe(PacketSpace())
    assert held(drawn.packets) == drawn.cells
    assert bool(drawn.packets) == bool(drawn.cells)


@EXAMPLES
@given(RECIPES, RECIPES)
def test_sets_are_equal_exactly_when_they_hold_the_same(a: Recipe, b: Recipe) -> None:
    space = PacketSpace()
    left, right = a(space), b(space)
    assert (left.packets == right.packets) == (left.cells == right.cells)
    assert (left.packets <= right.packets) == (left.cells <= right.cells)
    assert hash(left.packets) == hash(left.packets | left.packets)


@FEWER
@given(RECIPES, st.randoms(use_true_random=False))
def test_the_way_to_a_set_leaves_no_trace(recipe: Recipe, random: object) -> None:
    """By its recipe, cell by cell in any order, and by taking away all else: one node."""
    space = PacketSpace()
    drawn = recipe(space)
    cells = list(drawn.cells)
    random.shuffle(cells)  # type: ignore[attr-defined]
    added = space.nothing
    for cell in cells:
        added |= box(space, cell)
    left = space.everything
    for cell in EVERYTHING - drawn.cells:
        left -= box(space, cell)
    assert added.node == drawn.packets.node == left.node
    assert added == drawn.packets == left


@EXAMPLES
@given(RECIPES, RECIPES, RECIPES)
def test_the_laws_of_sets_hold(a: Recipe, b: Recipe, c: Recipe) -> None:
    space = PacketSpace()
    x, y, z = (recipe(space).packets for recipe in (a, b, c))
    everything, nothing = space.everything, space.nothing
    assert ~(x | y) == ~x & ~y
    assert ~(x & y) == ~x | ~y
    assert ~~x == x
    assert x | (x & y) == x == x & (x | y)
    assert x & (y | z) == (x & y) | (x & z)
    assert x | (y & z) == (x | y) & (x | z)
    assert (x | y) | z == x | (y | z)
    assert (x & y) & z == x & (y & z)
    assert x | y == y | x
    assert x & y == y & x
    assert x - y == x & ~y
    assert x | ~x == everything
    assert x & ~x == nothing == x - x
    assert x & everything == x == x | nothing
    assert x & y <= x <= x | y
    assert (x <= y) == (x | y == y) == (x & y == x) == (not x - y)


@EXAMPLES
@given(RECIPES, st.sampled_from(FIELDS[1:]))
def test_some_and_every_quantify_over_a_field(recipe: Recipe, field: Field) -> None:
    drawn = recipe(PacketSpace())
    place = FIELDS.index(field)

    def values(cell: Cell) -> list[bool]:
        return [(*cell[:place], n, *cell[place + 1 :]) in drawn.cells for n in choices(field)]

    assert held(drawn.packets.some(field)) == {cell for cell in CELLS if any(values(cell))}
    assert held(drawn.packets.every(field)) == {cell for cell in CELLS if all(values(cell))}
    assert drawn.packets.every(field) == ~(~drawn.packets).some(field)
    assert drawn.packets.every(field) <= drawn.packets <= drawn.packets.some(field)


@EXAMPLES
@given(RECIPES)
def test_the_witness_is_in_the_set_and_is_its_lowest_packet(recipe: Recipe) -> None:
    drawn = recipe(PacketSpace())
    if not drawn.cells:
        with pytest.raises(ValueError, match="empty"):
            drawn.packets.witness()
        return
    witness = drawn.packets.witness()
    assert witness in drawn.packets
    lowest = min(drawn.cells)
    assert cell_of(witness) == lowest
    assert {field: witness.get(field, 0) for field in FIELDS} == packet(lowest)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("end", [0, 1])
def test_a_single_packet_is_its_own_witness(family: int, end: int) -> None:
    space = PacketSpace()
    cidr = {
        4: ("192.0.2.1/32", "255.255.255.255/32"),
        6: ("2001:db8::1/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"),
    }
    addresses = AddressSet.cidrs(cidr[family][end])
    one = space.addresses(Field.SOURCE, addresses) & space.addresses(Field.DESTINATION, addresses)
    one &= space.value(Field.PROTOCOL, 6) & space.value(Field.DESTINATION_PORT, 443)
    assert one.witness() == {
        **({Field.FAMILY: FAMILY_BIT[family]}),
        Field.PROTOCOL: 6,
        Field.DESTINATION_PORT: 443,
        Field.DESTINATION: addresses.ranges[0][0],
        Field.SOURCE: addresses.ranges[0][0],
    }


@EXAMPLES
@given(RECIPES, st.sampled_from((4, 6)))
def test_a_set_is_its_families_put_together(recipe: Recipe, family: int) -> None:
    drawn = recipe(PacketSpace())
    space, packets = drawn.packets.space, drawn.packets
    part = space.of_family(packets, family)
    assert part & space.family(family) == packets & space.family(family)
    assert space.diagram.level[part.node] != Field.FAMILY.first
    both = (space.of_family(packets, 4) & space.family(4)) | (space.of_family(packets, 6) & space.family(6))
    assert both == packets


@EXAMPLES
@given(RECIPES, st.sampled_from((4, 6)))
def test_splitting_field_after_field_loses_nothing(recipe: Recipe, family: int) -> None:
    drawn = recipe(PacketSpace())
    space = drawn.packets.space
    at = {field: place for place, field in enumerate(FIELDS)}
    found: set[Cell] = set()

    def cells(field: Field, low: int, high: int) -> list[int]:
        stretches = SOURCES[family] if field is Field.SOURCE else STRETCHES[field]
        inside = [n for n, (a, b) in enumerate(stretches) if low <= a and b <= high]
        assert sum(stretches[n][1] - stretches[n][0] + 1 for n in inside) == high - low + 1
        return inside

    def walk(packets: PacketSet, fields: tuple[Field, ...], prefix: tuple[list[int], ...]) -> None:
        if not fields:
            assert packets == space.everything
            found.update((FAMILY_BIT[family], *cell) for cell in product(*prefix))
            return
        parts = space.split(packets, fields[0], family)
        assert all(rest for _, _, rest in parts)
        assert all(a[1] < b[0] for a, b in pairwise(parts))
        for low, high, rest in parts:
            walk(rest, fields[1:], (*prefix, cells(fields[0], low, high)))

    walk(space.of_family(drawn.packets, family), FIELDS[1:], ())
    assert found == {cell for cell in drawn.cells if cell[at[Field.FAMILY]] == FAMILY_BIT[family]}


@EXAMPLES
@given(RECIPES, st.sampled_from((4, 6)))
def test_the_sources_of_a_set_of_sources(recipe: Recipe, family: int) -> None:
    drawn = recipe(PacketSpace())
    space = drawn.packets.space
    only = space.of_family(drawn.packets, family)
    for field in FIELDS[1:-1]:
        only = only.some(field)
    sources = space.source_addresses(only, family)
    expected = {cell[-1] for cell in drawn.cells if cell[0] == FAMILY_BIT[family]}
    assert sources == AddressSet.of(family, [SOURCES[family][n] for n in expected])
    assert space.addresses(Field.SOURCE, sources) == only & space.family(family)


@FEWER
@given(st.lists(st.tuples(RECIPES, st.integers(0, 5)), min_size=1, max_size=4), RECIPES)
def test_a_map_gives_each_packet_its_value(layers: list[tuple[Recipe, int]], region: Recipe) -> None:
    """Layer over layer, then asked in every way that maps can be asked."""
    space = PacketSpace()
    mapped, expected = space.constant(9), dict.fromkeys(CELLS, 9)
    for recipe, value in layers:
        drawn = recipe(space)
        mapped = space.constant(value).over(drawn.packets, mapped)
        expected |= dict.fromkeys(drawn.cells, value)
    inside = region(space)

    assert {cell: mapped.at(packet(cell)) for cell in CELLS} == expected
    assert mapped.values() == set(expected.values())
    assert mapped.values(inside.packets) == {expected[cell] for cell in inside.cells}
    assert held(mapped.where(lambda value: value % 2 == 1)) == {c for c, v in expected.items() if v % 2 == 1}
    cut = mapped.within(inside.packets, 77)
    assert {c: cut.at(packet(c)) for c in CELLS} == {
        c: v if c in inside.cells else 77 for c, v in expected.items()
    }
    revised = mapped.revised(inside.packets, lambda value: value + 10)
    assert {c: revised.at(packet(c)) for c in CELLS} == {
        c: v + 10 if c in inside.cells else v for c, v in expected.items()
    }
    parts = mapped.partition(lambda value: value // 2)
    assert {group: held(part) for group, part in parts.items()} == {
        group: frozenset(c for c, v in expected.items() if v // 2 == group)
        for group in {v // 2 for v in expected.values()}
    }
    both = space.combine(lambda values: values[0] * 100 + values[1], mapped, cut)
    assert {c: both.at(packet(c)) for c in CELLS} == {c: expected[c] * 100 + cut.at(packet(c)) for c in CELLS}


@FEWER
@given(
    st.lists(st.tuples(RECIPES, st.integers(0, 5)), min_size=1, max_size=4),
    st.sampled_from([field for field in FIELDS if field not in (Field.FAMILY, Field.SOURCE)]),
)
def test_a_map_without_a_field_joins_the_values_of_the_field(
    layers: list[tuple[Recipe, int]], field: Field
) -> None:
    space = PacketSpace()
    mapped, expected = space.constant(0), dict.fromkeys(CELLS, 0)
    for recipe, value in layers:
        drawn = recipe(space)
        mapped = space.constant(1 << value).over(drawn.packets, mapped)
        expected |= dict.fromkeys(drawn.cells, 1 << value)
    place = FIELDS.index(field)
    joined = mapped.without(field, lambda a, b: a | b)
    for cell in CELLS:
        union = 0
        for n in choices(field):
            union |= expected[(*cell[:place], n, *cell[place + 1 :])]
        assert joined.at(packet(cell)) == union


@EXAMPLES
@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=5),
    st.sampled_from((Field.PROTOCOL, Field.ICMP_TYPE, Field.ICMP_CODE)),
)
def test_values_of_a_field_are_exactly_those_in_range(pairs: list[tuple[int, int]], field: Field) -> None:
    space = PacketSpace()
    ranges = AddressSet.of(4, [(min(pair), max(pair)) for pair in pairs]).ranges
    packets = space.values(field, ranges)
    assert {n for n in range(256) if {field: n} in packets} == {n for a, b in ranges for n in range(a, b + 1)}
    union = space.nothing
    for low, high in ranges:
        for value in range(low, high + 1):
            union |= space.value(field, value)
    assert packets == union


def test_addresses_of_one_family_hold_no_packet_of_the_other() -> None:
    space = PacketSpace()
    four = space.addresses(Field.SOURCE, AddressSet.everything(4))
    six = space.addresses(Field.SOURCE, AddressSet.everything(6))
    assert four == space.family(4)
    assert six == space.family(6)
    assert four | six == space.everything
    assert not four & six
