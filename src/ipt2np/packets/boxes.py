"""Unions of many boxes as a diagram, built from the fields' values and not by one union after the other."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappush, heapreplace

from ipt2np.packets.diagram import FALSE, TRUE, Diagram
from ipt2np.packets.intervals import Range, merged

Row = tuple[int, int, int]
"""``low..high`` of a field, and the diagram of what must hold of the fields behind it."""


def boxes(diagram: Diagram, axes: Sequence[Sequence[int]], columns: Sequence[Sequence[Range]]) -> int:
    """The union of boxes: row ``i`` is where the bits ``axes[j]`` are in the range ``columns[j][i]``, for all ``j``.

    Axes stand in the order of their levels. Rows with the same ranges in front are built as one, so that entries for
    few ports with many addresses cost what their addresses cost.
    """
    if len(axes) == 1:
        return diagram.table(axes[0], [(low, high, TRUE) for low, high in merged(columns[0])], FALSE)
    groups: dict[Range, list[int]] = {}
    for number, part in enumerate(columns[0]):
        groups.setdefault(part, []).append(number)
    rows = [
        (*part, boxes(diagram, axes[1:], [[column[i] for i in numbers] for column in columns[1:]]))
        for part, numbers in sorted(groups.items())
    ]
    layers = [diagram.table(axes[0], layer, FALSE) for layer in disjoint_layers(rows)]
    while len(layers) > 1:
        pairs = zip(layers[::2], [*layers[1::2], FALSE], strict=False)
        layers = [diagram.unite(one, two) for one, two in pairs]
    return layers[0] if layers else FALSE


def disjoint_layers(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows, ascending, in the fewest lists in which no two overlap."""
    layers: list[list[Row]] = []
    ends: list[tuple[int, int]] = []
    for row in rows:
        if ends and ends[0][0] < row[0]:
            number = ends[0][1]
            heapreplace(ends, (row[1], number))
        else:
            number = len(layers)
            layers.append([])
            heappush(ends, (row[1], number))
        layers[number].append(row)
    return layers
