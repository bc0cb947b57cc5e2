"""Decision diagrams against truth tables: every function of a few bits, written out."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt2np.packets.diagram import FALSE, TERMINAL_LEVEL, TRUE, Diagram

Table = tuple[int, ...]
"""The values of a function for the bit patterns 0, 1, 2, …; the first bit is the most significant."""

BITS = 4
EXAMPLES = settings(max_examples=400, derandomize=True, deadline=None)
SETS = st.tuples(*[st.integers(0, 1)] * (1 << BITS))
MAPS = st.tuples(*[st.integers(0, 4)] * (1 << BITS))


def built(diagram: Diagram, table: Sequence[int], level: int = 0) -> int:
    """The node of a truth table, by splitting on one bit after another."""
    if len(table) == 1:
        return diagram.terminal(table[0])
    half = len(table) // 2
    return diagram.node(
        level, built(diagram, table[:half], level + 1), built(diagram, table[half:], level + 1)
    )


def table_of(diagram: Diagram, root: int, bits: int = BITS) -> Table:
    """The truth table of a node, looked up one pattern at a time."""
    result = []
    for pattern in product((0, 1), repeat=bits):
        at = root
        while diagram.level[at] != TERMINAL_LEVEL:
            at = (diagram.low, diagram.high)[pattern[diagram.level[at]]][at]
        result.append(diagram.value(at))
    return tuple(result)


def reachable(diagram: Diagram, root: int) -> set[int]:
    seen: set[int] = set()
    pending = [root]
    while pending:
        at = pending.pop()
        if at not in seen:
            seen.add(at)
            if diagram.level[at] != TERMINAL_LEVEL:
                pending += [diagram.low[at], diagram.high[at]]
    return seen


def assert_reduced(diagram: Diagram, *roots: int) -> None:
    """No node tests in vain or out of order, and no two nodes are the same."""
    seen: dict[tuple[int, int, int], int] = {}
    for root in roots:
        for at in reachable(diagram, root):
            low, high, level = diagram.low[at], diagram.high[at], diagram.level[at]
            if level == TERMINAL_LEVEL:
                continue
            assert low != high
            assert diagram.level[low] > level < diagram.level[high]
            assert seen.setdefault((level, low, high), at) == at


def test_every_pair_of_functions_of_three_bits() -> None:
    """All 256 × 256 of them: union, intersection, difference, each the very node of its truth table."""
    diagram = Diagram()
    tables = list(product((0, 1), repeat=8))
    nodes = {table: built(diagram, table) for table in tables}
    number = {table: int("".join(map(str, table)), 2) for table in tables}
    by_number = {number[table]: nodes[table] for table in tables}
    assert len(set(nodes.values())) == 256
    for a, b in product(tables, repeat=2):
        x, y, p, q = nodes[a], nodes[b], number[a], number[b]
        assert diagram.unite(x, y) == by_number[p | q]
        assert diagram.conjoin(x, y) == by_number[p & q]
        assert diagram.subtract(x, y) == by_number[p & ~q]
    for table in tables:
        assert table_of(diagram, nodes[table], 3) == table
    assert_reduced(diagram, *nodes.values())


@EXAMPLES
@given(SETS, MAPS, MAPS)
def test_choosing_takes_one_map_inside_and_the_other_outside(test: Table, yes: Table, no: Table) -> None:
    diagram = Diagram()
    node = diagram.choose(built(diagram, test), built(diagram, yes), built(diagram, no))
    expected = tuple(y if t else n for t, y, n in zip(test, yes, no, strict=True))
    assert table_of(diagram, node) == expected
    assert node == built(diagram, expected)
    assert_reduced(diagram, node)


@EXAMPLES
@given(st.lists(MAPS, min_size=1, max_size=4))
def test_combining_is_pattern_by_pattern(tables: list[Table]) -> None:
    diagram = Diagram()

    def weigh(values: tuple[int, ...]) -> int:
        return sum(value * (place + 3) for place, value in enumerate(values)) % 5

    node = diagram.combine(weigh, tuple(built(diagram, table) for table in tables))
    assert node == built(diagram, [weigh(values) for values in zip(*tables, strict=True)])


@EXAMPLES
@given(SETS, MAPS)
def test_revising_changes_values_inside_the_region_only(region: Table, table: Table) -> None:
    diagram = Diagram()
    node = diagram.revise(built(diagram, region), built(diagram, table), lambda value: value * value % 5)
    assert node == built(diagram, [v * v % 5 if r else v for r, v in zip(region, table, strict=True)])


@EXAMPLES
@given(MAPS)
def test_replacing_changes_values_everywhere(table: Table) -> None:
    diagram = Diagram()
    node = diagram.replace(built(diagram, table), lambda value: value // 2)
    assert node == built(diagram, [value // 2 for value in table])


@EXAMPLES
@given(MAPS, SETS)
def test_values_are_those_taken_somewhere(table: Table, within: Table) -> None:
    diagram = Diagram()
    root, inside = built(diagram, table), built(diagram, within)
    assert diagram.values(root) == set(table)
    assert diagram.values_within(root, inside) == {v for v, w in zip(table, within, strict=True) if w}


@EXAMPLES
@given(MAPS, st.integers(1, 5))
def test_a_partition_is_disjoint_and_whole(table: Table, groups: int) -> None:
    diagram = Diagram()
    parts = diagram.partition(built(diagram, table), lambda value: value % groups)
    assert set(parts) == {value % groups for value in table}
    for group, node in parts.items():
        assert node == built(diagram, [int(value % groups == group) for value in table])


SPANS = [(first, last) for first in range(BITS) for last in range(first, BITS)]


def projected(table: Table, first: int, last: int, join: Callable[[Sequence[int]], int]) -> Table:
    """The function without the bits ``first..last``, each value joined over all patterns of those bits."""
    mask = sum(1 << (BITS - 1 - bit) for bit in range(first, last + 1))
    return tuple(
        join([table[other] for other in range(len(table)) if other & ~mask == at & ~mask])
        for at in range(len(table))
    )


@pytest.mark.parametrize(("first", "last"), SPANS)
def test_eliminating_bits_joins_their_values(first: int, last: int) -> None:
    diagram, chance = Diagram(), random.Random(f"eliminate {first} {last}")
    for _ in range(60):
        table = tuple(chance.randint(0, 1) if chance.random() < 0.9 else 0 for _ in range(1 << BITS))
        root = built(diagram, table)
        some = diagram.eliminate(root, first, last, diagram.unite)
        every = diagram.eliminate(root, first, last, diagram.conjoin)
        assert some == built(diagram, projected(table, first, last, max))
        assert every == built(diagram, projected(table, first, last, min))


def test_a_span_is_inside_exactly_in_its_ranges() -> None:
    """Every set of 3-bit values, with the field at the top, in the middle and at the end."""
    for first, members in product((0, 1, 2), product((0, 1), repeat=8)):
        diagram = Diagram()
        ranges: list[tuple[int, int]] = []
        for value, member in enumerate(members):
            if member and ranges and ranges[-1][1] == value - 1:
                ranges[-1] = (ranges[-1][0], value)
            elif member:
                ranges.append((value, value))
        node = diagram.span(first, 3, ranges, TRUE, FALSE)
        table = table_of(diagram, node, 5)
        assert table == tuple(members[pattern >> (2 - first) & 7] for pattern in range(32))
        assert_reduced(diagram, node)


@EXAMPLES
@given(MAPS)
def test_splitting_a_field_gives_its_values_in_order(table: Table) -> None:
    """The upper two bits as the field, the lower two as the rest."""
    diagram = Diagram()
    found = diagram.split(built(diagram, table), 0, 2)
    rests = [built(diagram, table[value * 4 : value * 4 + 4], 2) for value in range(4)]
    assert [rest for low, high, rest in found for _ in range(low, high + 1)] == rests
    assert [value for low, high, _ in found for value in range(low, high + 1)] == list(range(4))
    assert all(a[2] != b[2] for a, b in pairwise(found))


def test_a_terminal_is_kept_once_for_each_value() -> None:
    diagram = Diagram()
    assert [diagram.terminal(0), diagram.terminal(1)] == [FALSE, TRUE]
    assert diagram.terminal(-7) == diagram.terminal(-7) != diagram.terminal(7)
    assert [diagram.value(diagram.terminal(value)) for value in (-7, 0, 1, 7, 1 << 70)] == [
        -7,
        0,
        1,
        7,
        1 << 70,
    ]


def test_a_cleared_cache_changes_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipt2np.packets.diagram.CACHED_STEPS", 3)
    chance = random.Random("caches")
    diagram = Diagram()
    for _ in range(200):
        a, b, c = (tuple(chance.randint(0, 1) for _ in range(1 << BITS)) for _ in range(3))
        x, y, z = (built(diagram, table) for table in (a, b, c))
        assert table_of(diagram, diagram.unite(x, y)) == tuple(map(max, a, b))
        assert table_of(diagram, diagram.conjoin(x, y)) == tuple(map(min, a, b))
        assert table_of(diagram, diagram.subtract(x, y)) == tuple(
            int(p > q) for p, q in zip(a, b, strict=True)
        )
        assert table_of(diagram, diagram.choose(x, y, z)) == tuple(
            q if p else r for p, q, r in zip(a, b, c, strict=True)
        )
