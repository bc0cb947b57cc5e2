"""The picture of who may reach what: sources that are treated alike against services that are treated alike.

Made from a report's ``access``: disjoint boxes of sources × services, each with what became of it before and after.
Nothing is rounded: a row is a set of addresses for which every box answers the same, a column a set of services.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ipt2np.packets import AddressSet
from ipt2np.packets.intervals import Range, complement, merged
from ipt2np.reporting.htmlsources import addresses, family_of
from ipt2np.rules.names import PROTOCOLS, protocol_name

SHOWN_ROWS = 60
SHOWN_COLUMNS = 32
FEW_PROTOCOLS = 6
"""All protocols but so many are named by those that are missing."""
MOST_BLOCKS = 400_000
"""Source blocks, in all lists of them together, beyond which no picture is drawn."""
MOST_STEPS = 4_000_000
"""Cells of the whole grid of services and sources, and steps to find them, beyond which no picture is drawn."""

LAST_PORT = 0xFFFF
_PORTS = ("ports", "source_ports")
REFUSED = "refused"

State = tuple[str, str]
"""What becomes of packets before and after."""
NOTHING: State = (REFUSED, REFUSED)


@dataclass(frozen=True, slots=True)
class Column:
    """Services that are treated alike whoever asks."""

    label: str
    differs: bool
    services: tuple[tuple[Range, Range], ...]
    """Protocols, and their ports or ICMP types."""


@dataclass(frozen=True, slots=True)
class Row:
    """Sources of one family and class that are treated alike whatever they ask for."""

    sources: AddressSet
    cells: tuple[State, ...]
    boxes: tuple[tuple[int, ...], ...]
    """The boxes that one of the addresses lies in, as positions in ``access``; the row is where any of these sets is met."""
    differs: bool


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of one family and of classes of sources for which the same is said."""

    classes: tuple[str, ...]
    interface: str
    family: int
    rows: tuple[Row, ...]
    left_out: int
    """Rows that are not drawn."""
    left_out_differing: int
    """Of these, rows that are not the same before and after: those that are drawn first."""
    boxes: tuple[int, ...]
    """The boxes that are said here, as positions in ``access``."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The drawn part of the grid, and how much of it is not drawn."""

    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]
    columns_left_out: int
    columns_left_out_differing: int


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Why there is no picture."""

    reason: str


class _Exceeded(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Atom:
    """Packets that no box tells apart: protocols, and ports or ICMP messages."""

    protocols: Range
    ported: bool
    first: Range
    """Ports, or ICMP types."""
    second: Range
    """Source ports, or ICMP codes."""
    boxes: int
    """The boxes it lies in, as bits."""


def picture(access: Sequence[Mapping[str, Any]]) -> Picture | TooLarge:
    """The grid of ``access``; ``TooLarge`` where drawing it would take long and nobody could read it."""
    total = sum(map(len, {tuple(box["source"]) for box in access}))
    if total > MOST_BLOCKS:
        return TooLarge(f"{total:,} source blocks are too many to draw")
    try:
        return _drawn(access)
    except _Exceeded:
        return TooLarge("the sources and services fall into too many groups to draw")


def _drawn(access: Sequence[Mapping[str, Any]]) -> Picture:
    by_boxes: dict[int, list[_Atom]] = {}
    for atom in _atoms(access):
        by_boxes.setdefault(atom.boxes, []).append(atom)
    services = list(by_boxes)
    states = [(str(box["before"]), str(box["after"])) for box in access]
    blocks = []
    steps = 0
    for classes, interface, family, numbers in _blocks(access):
        rows: dict[tuple[State, ...], tuple[list[Range], list[tuple[int, ...]]]] = {}
        for boxes, ranges in _treated_alike(access, numbers, family).items():
            steps += len(services)
            if steps > MOST_STEPS:
                raise _Exceeded
            cells = tuple(_state(boxes & service, states) for service in services)
            row = rows.setdefault(cells, ([], []))
            row[0].extend(ranges)
            row[1].append(_bits(boxes))
        made = [(cells, AddressSet.of(family, ranges), tuple(keys)) for cells, (ranges, keys) in rows.items()]
        blocks.append((Block(classes, interface, family, (), 0, 0, numbers), made))
    return _laid_out(by_boxes, blocks)


_Found = tuple[tuple[State, ...], AddressSet, tuple[tuple[int, ...], ...]]
"""A row of the whole grid: what it answers to each service, its addresses, the sets of boxes that they lie in."""


def _laid_out(by_boxes: Mapping[int, list[_Atom]], blocks: Sequence[tuple[Block, list[_Found]]]) -> Picture:
    """Columns that are equal in every row are one; of too many, those that differ are drawn first."""
    alike: dict[tuple[State, ...], list[int]] = {}
    every = [row for _, rows in blocks for row in rows]
    for place in range(len(by_boxes)):
        alike.setdefault(tuple(cells[place] for cells, *_ in every), []).append(place)
    atoms = list(by_boxes.values())
    columns = sorted(
        (
            (_order(together), places[0], _column(together, cells))
            for cells, places in alike.items()
            if (together := [atom for place in places for atom in atoms[place]])
        ),
        key=lambda column: column[:2],
    )
    kept = _chosen([column.differs for *_, column in columns], SHOWN_COLUMNS)
    places = [columns[index][1] for index in kept]
    drawn = []
    for block, rows in blocks:
        finished = [
            Row(sources, tuple(cells[place] for place in places), keys, any(b != a for b, a in cells))
            for cells, sources, keys in sorted(rows, key=lambda row: row[1].ranges)
        ]
        shown = tuple(finished[index] for index in _chosen([row.differs for row in finished], SHOWN_ROWS))
        out, differing = _left_out([row.differs for row in finished], [row.differs for row in shown])
        drawn.append(replace(block, rows=shown, left_out=out, left_out_differing=differing))
    headed = tuple(columns[index][2] for index in kept)
    return Picture(
        headed,
        tuple(drawn),
        *_left_out([column.differs for *_, column in columns], [column.differs for column in headed]),
    )


def _column(atoms: Sequence[_Atom], cells: Iterable[State]) -> Column:
    return Column(
        services_text(atoms),
        any(before != after for before, after in cells),
        tuple(dict.fromkeys((atom.protocols, atom.first) for atom in atoms)),
    )


def _left_out(every: Sequence[bool], shown: Sequence[bool]) -> tuple[int, int]:
    """How many are not shown, and how many of these differ."""
    return len(every) - len(shown), sum(every) - sum(shown)


def _chosen(differs: Sequence[bool], most: int) -> list[int]:
    """Positions of at most ``most``, in their order; those that differ come before others."""
    ranked = sorted(range(len(differs)), key=lambda index: (not differs[index], index))
    return sorted(ranked[:most])


def _state(boxes: int, states: Sequence[State]) -> State:
    return states[boxes.bit_length() - 1] if boxes else NOTHING


def _bits(number: int) -> tuple[int, ...]:
    result = []
    while number:
        low = number & -number
        result.append(low.bit_length() - 1)
        number ^= low
    return tuple(result)


def _blocks(
    access: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[tuple[str, ...], str, int, tuple[int, ...]]]:
    """Classes with their interface, family and boxes; classes of which exactly the same is said stand together."""
    numbers: dict[tuple[str, int, str], list[int]] = {}
    for number, box in enumerate(access):
        key = (str(box.get("interface", "")), family_of(box["source"]), str(box["source_class"]))
        numbers.setdefault(key, []).append(number)
    alike: dict[tuple[str, int, tuple[Any, ...]], tuple[list[str], list[int]]] = {}
    for (interface, family, name), some in numbers.items():
        said = tuple(
            sorted(
                tuple(
                    (key, str(value))
                    for key, value in sorted(access[number].items())
                    if key != "source_class"
                )
                for number in some
            )
        )
        entry = alike.setdefault((interface, family, said), ([], []))
        entry[0].append(name)
        entry[1].extend(some)
    for (interface, family, _), (classes, some) in alike.items():
        yield tuple(classes), interface, family, tuple(some)


def _treated_alike(
    access: Sequence[Mapping[str, Any]], numbers: Iterable[int], family: int
) -> dict[int, list[Range]]:
    """Sets of boxes, as bits, to the addresses that lie in exactly these."""
    by_sources: dict[tuple[str, ...], int] = {}
    for number in numbers:
        sources = tuple(access[number]["source"])
        by_sources[sources] = by_sources.get(sources, 0) | 1 << number
    toggles: dict[int, int] = {}
    for sources, boxes in by_sources.items():
        for low, high in addresses(sources).ranges:
            toggles[low] = toggles.get(low, 0) ^ boxes
            toggles[high + 1] = toggles.get(high + 1, 0) ^ boxes
    result: dict[int, list[Range]] = {}
    inside = start = 0
    for position in sorted(toggles):
        if inside:
            result.setdefault(inside, []).append((start, position - 1))
        inside ^= toggles[position]
        start = position
    return result


def _atoms(access: Sequence[Mapping[str, Any]]) -> Iterator[_Atom]:
    """Services that no box tells apart, each with the boxes it lies in; those in none are left out."""
    protocols = [protocol_ranges(str(box["protocol"])) for box in access]
    cuts = sorted({end for ranges in protocols for low, high in ranges for end in (low, high + 1)})
    inside: dict[int, list[int]] = {}
    steps = 0
    for number, ranges in enumerate(protocols):
        for low, high in ranges:
            for place in range(bisect_left(cuts, low), bisect_left(cuts, high + 1)):
                inside.setdefault(place, []).append(number)
    for place in sorted(inside):
        numbers = inside[place]
        # Of a box of all protocols the ports do not matter to ICMP.
        ported = any(access[number].get(key, "any") != "any" for number in numbers for key in _PORTS)
        grids = {number: _rectangles(access[number], ported) for number in numbers}
        first = sorted({end for some in grids.values() for (low, high), _ in some for end in (low, high + 1)})
        second = sorted(
            {end for some in grids.values() for _, (low, high) in some for end in (low, high + 1)}
        )
        found: dict[tuple[int, int], int] = {}
        for number, rectangles in grids.items():
            for (low, high), (low2, high2) in rectangles:
                across = range(bisect_left(first, low), bisect_left(first, high + 1))
                down = range(bisect_left(second, low2), bisect_left(second, high2 + 1))
                steps += len(across) * len(down)
                if steps > MOST_STEPS:
                    raise _Exceeded
                for x in across:
                    for y in down:
                        found[x, y] = found.get((x, y), 0) | 1 << number
        for (x, y), boxes in sorted(found.items()):
            yield _Atom(
                (cuts[place], cuts[place + 1] - 1),
                ported,
                (first[x], first[x + 1] - 1),
                (second[y], second[y + 1] - 1),
                boxes,
            )


def _rectangles(box: Mapping[str, Any], ported: bool) -> list[tuple[Range, Range]]:
    """Ports × source ports of a box, or ICMP types × codes; each field whole where the box does not tell."""
    if ported:
        sources = ranges_of(str(box.get("source_ports", "any")), LAST_PORT)
        return [(p, s) for p in ranges_of(str(box.get("ports", "any")), LAST_PORT) for s in sources]
    if not box.get("icmp"):
        return [((0, 255), (0, 255))]
    result = []
    for message in box["icmp"]:
        types, _, codes = str(message).partition("/")
        result.append((ranges_of(types, 255)[0], ranges_of(codes or "any", 255)[0]))
    return result


def ranges_of(text: str, last: int) -> tuple[Range, ...]:
    """``any``, or numbers and ranges in a comma-separated string, as ranges.

    Port 0 is no service that a policy can name, so ``any`` and ``1-65535`` are the same.
    """
    if text == "any":
        return ((0, last),)
    ranges = []
    for part in text.split(","):
        low, _, high = part.partition("-")
        ranges.append((int(low), int(high or low)))
    return ((0, last),) if last == LAST_PORT and ranges == [(1, last)] else merged(ranges)


def protocol_ranges(text: str) -> tuple[Range, ...]:
    """A protocol of the report (a name, numbers, ranges of numbers, ``any``) as ranges of numbers."""
    if text == "any":
        return ((0, 255),)
    ranges = []
    for part in text.split(","):
        if part in PROTOCOLS:
            ranges.append((PROTOCOLS[part], PROTOCOLS[part]))
        else:
            low, _, high = part.partition("-")
            ranges.append((int(low), int(high or low)))
    return merged(ranges)


def _order(atoms: Sequence[_Atom]) -> tuple[bool, tuple[int, Range, Range, Range]]:
    """Where a column stands: as its first atom does; what has no one name last."""
    return any(each.protocols[0] != each.protocols[1] for each in atoms), min(map(_place, atoms))


def _place(atom: _Atom) -> tuple[int, Range, Range, Range]:
    """TCP, UDP, SCTP, ICMP, then others by number; ports ascending."""
    ranks = {6: 0, 17: 1, 132: 2, 1: 3, 58: 4}
    return ranks.get(atom.protocols[0], 5), atom.protocols, atom.first, atom.second


def services_text(atoms: Sequence[_Atom]) -> str:
    """Services in words: ``tcp 22,443; udp 53; icmp 8``."""
    by_protocol: dict[Range, list[_Atom]] = {}
    for atom in sorted(atoms, key=_place):
        by_protocol.setdefault(atom.protocols, []).append(atom)
    by_detail: dict[str, list[Range]] = {}
    for protocols, some in by_protocol.items():
        by_detail.setdefault(_detail(some), []).append(protocols)
    parts = []
    for detail, ranges in by_detail.items():
        parts += [f"{name} {detail}".strip() for name in _protocol_names(merged(ranges))]
    return "; ".join(parts)


def _protocol_names(ranges: tuple[Range, ...]) -> list[str]:
    """Each named protocol by its name; many numbers in one phrase."""
    if ranges == ((0, 255),):
        return ["any protocol"]
    others = complement(ranges, 255)
    if sum(high - low + 1 for low, high in others) <= FEW_PROTOCOLS:
        missing = ", ".join(protocol_name(n) for low, high in others for n in range(low, high + 1))
        return [f"any protocol but {missing}"]
    names = [protocol_name(low) for low, high in ranges if low == high]
    names = [name for name in names if not name.isdigit()]
    numbers = ",".join(
        str(low) if low == high else f"{low}-{high}"
        for low, high in ranges
        if low != high or protocol_name(low).isdigit()
    )
    return [*names, *([f"protocol {numbers}"] if numbers else [])]


def _detail(atoms: Sequence[_Atom]) -> str:
    """Ports or ICMP messages of one protocol; empty where it is all of them."""
    by_second: dict[Range, list[Range]] = {}
    for atom in atoms:
        by_second.setdefault(atom.second, []).append(atom.first)
    by_first: dict[tuple[Range, ...], list[Range]] = {}
    for second, first in by_second.items():
        by_first.setdefault(merged(first), []).append(second)
    ported = atoms[0].ported
    words = []
    for first_ranges, seconds in by_first.items():
        second_ranges = merged(seconds)
        last = LAST_PORT if ported else 255
        whole = second_ranges in (((0, last),), ((1, last),) if ported else ())
        every = first_ranges in (((0, last),), ((1, last),) if ported else ())
        first_text = "" if every else _numbers(first_ranges)
        if whole:
            words.append(first_text)
        elif ported:
            words.append(f"{first_text or 'any'} from port {_numbers(second_ranges)}")
        else:
            words.append(f"{first_text or 'any'}/{_numbers(second_ranges)}")
    return " and ".join(word for word in words if word)


def _numbers(ranges: Iterable[Range]) -> str:
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)
