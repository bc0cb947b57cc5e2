"""Tables and boxes against enumeration: a small universe, every value written out."""

from __future__ import annotations

from itertools import pairwise, product

from hypothesis import given, settings
from hypothesis import strategies as st

from ipt2np.packets.boxes import boxes, disjoint_layers
from ipt2np.packets.diagram import FALSE, TERMINAL_LEVEL, TRUE, Diagram
from ipt2np.packets.intervals import complement, merged

EXAMPLES = settings(max_examples=300, derandomize=True, deadline=None)
AXES = ((0, 1, 2), (4, 5, 7), (9, 10))
"""Levels with holes between them, as those of a masked address."""
BITS = [level for axis in AXES for level in axis]


def values(diagram: Diagram, root: int) -> dict[tuple[int, ...], int]:
    """The value for every combination of the axes' numbers."""
    result = {}
    for numbers in product(*(range(1 << len(axis)) for axis in AXES)):
        bits = {
            level: number >> (len(axis) - 1 - place) & 1
            for axis, number in zip(AXES, numbers, strict=True)
            for place, level in enumerate(axis)
        }
        at = root
        while diagram.level[at] != TERMINAL_LEVEL:
            at = diagram.high[at] if bits[diagram.level[at]] else diagram.low[at]
        result[numbers] = diagram.value(at)
    return result


def ranges(bits: int) -> st.SearchStrategy[tuple[int, int]]:
    number = st.integers(0, (1 << bits) - 1)
    return st.tuples(number, number).map(lambda pair: (min(pair), max(pair)))


ROWS = st.lists(st.tuples(*(ranges(len(axis)) for axis in AXES)), max_size=8)


@EXAMPLES
@given(ROWS)
def test_boxes_are_the_union_of_their_rows(rows: list[tuple[tuple[int, int], ...]]) -> None:
    diagram = Diagram()
    columns = [[row[place] for row in rows] for place in range(len(AXES))]
    node = boxes(diagram, AXES, columns)
    for numbers, value in values(diagram, node).items():
        inside = any(
            all(low <= n <= high for n, (low, high) in zip(numbers, row, strict=True)) for row in rows
        )
        assert value == inside
    one_by_one = FALSE
    for row in rows:
        box = boxes(diagram, AXES, [[part] for part in row])
        one_by_one = diagram.unite(one_by_one, box)
    assert node == one_by_one, "equal sets are the same node"


@EXAMPLES
@given(
    st.lists(ranges(3), max_size=5), st.lists(st.integers(0, 3), min_size=12, max_size=12), st.integers(0, 3)
)
def test_a_table_has_each_rows_value_and_another_between_them(
    given_ranges: list[tuple[int, int]], numbers: list[int], outside: int
) -> None:
    diagram = Diagram()
    rows = [
        (low, high, diagram.terminal(numbers[place]))
        for place, (low, high) in enumerate(merged(given_ranges))
    ]
    gaps = [(low, high, diagram.terminal(outside)) for low, high in complement(merged(given_ranges), 7)]
    node = diagram.table(AXES[1], rows, diagram.terminal(outside))
    assert node == diagram.table(AXES[1], sorted(rows + gaps), TRUE)
    for (_, number, _), value in values(diagram, node).items():
        here = [diagram.value(inside) for low, high, inside in rows if low <= number <= high]
        assert value == (here[0] if here else outside)


@EXAMPLES
@given(st.lists(ranges(4), max_size=12))
def test_layers_hold_every_row_and_no_two_that_overlap(given_ranges: list[tuple[int, int]]) -> None:
    rows = sorted((low, high, number) for number, (low, high) in enumerate(given_ranges))
    layers = disjoint_layers(rows)
    assert sorted(row for layer in layers for row in layer) == rows
    assert all(a[1] < b[0] for layer in layers for a, b in pairwise(layer))
    deepest = max((sum(low <= point <= high for low, high, _ in rows) for point in range(16)), default=0)
    assert len(layers) == deepest


def test_a_long_table_costs_what_its_nodes_cost() -> None:
    diagram = Diagram()
    singles = [(n * 7919 % (1 << 20) * 4096, n) for n in range(50_000)]
    table = [(low, low, TRUE) for low, _ in sorted(singles)]
    node = diagram.table(range(32), table, FALSE)
    assert len(diagram.level) < 3 * len(table)
    assert diagram.subset(node, TRUE) and not diagram.subset(TRUE, node)
