"""Which packets ``--match-set`` finds in an ipset.

Sources: net/netfilter/ipset/ip_set_core.c ip_set_test() (a search with fewer directions than the set has parts, or in
the other family, finds nothing; ``--return-nomatch``); ip_set_hash_gen.h mtype_test_cidrs() (longer prefixes first,
the first network's before the second's, and the first entry that holds decides; in a hash:net,iface the search ends
at the longest prefix that has an entry at all, of whatever interface); ip_set_getport.c (what counts as a packet's
port); ip_set_list_set.c (a list finds what a member finds); xt_set.c (counters).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ipt2np.packets import Field, PacketSet
from ipt2np.packets.intervals import Range
from ipt2np.rules.coarse import coarse
from ipt2np.rules.interfaces import LABELS
from ipt2np.rules.ipset import BRIDGE, PORTED, Batch, IpSet, Service
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.settypes import ADDRESSES, Part
from ipt2np.rules.values import EXPANDED_PREFIXES

FOUND, EXCLUDED, STOPPED, ONWARD = 1, 2, 4, 8
"""What the search can come to at a prefix: an entry, one flagged nomatch, an end without either, a shorter prefix."""

DOUBTS: Mapping[Part, str] = {
    Part.MAC: "the packet's MAC address, which no policy can test",
    Part.MARK: "the packet's mark",
    Part.IFACE: "the bridge port that the packet came in by",
}

TCP_AND_UDP = (6, 17)
ICMP = (1, 58)
_BYTE, _PORTS = (0, 0xFF), (0, 0xFFFF)
_NOTHING = (1, 0)
"""The range of no value."""


@dataclass(frozen=True, slots=True)
class Search:
    """How a rule asks: the directions, ``--return-nomatch``, and whether it asks what the entry has counted."""

    directions: tuple[str, ...]
    holes: bool = False
    """Entries flagged nomatch are found, the others are not."""
    counted: bool = False


@dataclass(frozen=True, slots=True)
class _Column:
    """A field's levels in the diagram, and for each entry the range of the field's values."""

    field: Field
    levels: Sequence[int]
    ranges: Sequence[Range]

    def without(self, rows: set[int]) -> Sequence[Range]:
        """The ranges of all other rows."""
        return [each for row, each in enumerate(self.ranges) if row not in rows] if rows else self.ranges


def fits(ipset: IpSet, family: int, directions: Sequence[str]) -> bool:
    """True where the kernel looks into the set at all: its family, and a direction for every part."""
    return ipset.family in (None, family) and len(directions) >= len(ipset.parts)


def found_in(ipset: IpSet, view: View, search: Search) -> Meaning:
    """The packets for which ``--match-set NAME`` holds."""
    key = ("ipset", ipset.name, search, view.marks.packet)
    known = view.memo.get(key)
    if known is None:
        known = view.memo[key] = _found_in(ipset, view, search)
    return known


def _found_in(ipset: IpSet, view: View, search: Search) -> Meaning:
    if ipset.name in view.changed_sets:
        return view.undecided(f"the ipset {ipset.name}, which rules add entries to or delete them from")
    if ipset.kind is None:
        return view.undecided(f"the ipset {ipset.name}: sets of type {ipset.type} are not known")
    if ipset.kind.parts == (Part.SET,):
        result = view.never()
        for name in ipset.members:
            result |= found_in(view.ipsets[name], view, Search(search.directions, search.holes))
    elif not fits(ipset, view.family, search.directions):
        return view.never()
    elif _scattered(ipset, search):
        return view.undecided(
            f"the ipset {ipset.name}: its bitmask picks sources that no list of networks can hold"
        )
    else:
        result = _searched(coarse(ipset), view, search)
    if search.counted and ipset.counters and result.may:
        why = f"what the entries of the ipset {ipset.name} have counted"
        return Meaning(result.may, view.space.nothing, result.assumptions, (why,))
    return result


def _scattered(ipset: IpSet, search: Search) -> bool:
    """True where a source that is found stands for too many networks to write."""
    asked = zip(ipset.parts, search.directions, strict=False)
    by_source = any(part in ADDRESSES and direction == "src" for part, direction in asked)
    return by_source and ipset.mask.prefixes > EXPANDED_PREFIXES


def _searched(ipset: IpSet, view: View, search: Search) -> Meaning:
    kind = ipset.kind
    assert kind is not None
    if Part.IFACE in kind.parts and search.directions[kind.parts.index(Part.IFACE)] == "dst":
        return view.never()  # on the way in there is no output interface, and the kernel looks no further
    holes = search.holes and kind.nomatch
    if search.counted and ipset.counters:  # an entry whose counters do not fit is passed over
        wanted = [batch for batch in ipset.batches if batch.nomatch == holes]
        return view.exactly(_holding(ipset, view, search, wanted))
    plain = not kind.stops and not any(batch.nomatch for batch in ipset.batches)
    if plain and all(_certain(ipset, view, batch) for batch in ipset.batches):
        return view.never() if holes else view.exactly(_holding(ipset, view, search, ipset.batches))
    outcome = view.space.constant(ONWARD)
    for prefix in sorted({batch.prefix for batch in ipset.batches}):
        here = [batch for batch in ipset.batches if batch.prefix == prefix]
        sure = [batch for batch in here if _certain(ipset, view, batch)]
        if kind.stops:
            nets = _holding(ipset, view, search, sure, any_interface=True)
            outcome = view.space.constant(STOPPED).over(nets, outcome)
        both = view.space.everything
        for flagged, value in ((False, FOUND), (True, EXCLUDED)):
            doubtful = [batch for batch in here if batch not in sure and batch.nomatch is flagged]
            more = value | (STOPPED if kind.stops else 0)
            outcome = outcome.revised(
                _holding(ipset, view, search, doubtful),
                lambda before, more=more: before | more,  # type: ignore[misc]
            )
            holding = _holding(ipset, view, search, [batch for batch in sure if batch.nomatch is flagged])
            outcome = view.space.constant(value).over(holding, outcome)
            both &= holding
        outcome = view.space.constant(FOUND | EXCLUDED).over(both, outcome)
    asked = EXCLUDED if holes else FOUND
    may = outcome.where(lambda value: bool(value & asked))
    must = outcome.where(lambda value: value == asked)
    return view.exactly(may) if may == must else Meaning(may, must, undecided=(_doubt(ipset),))


def _certain(ipset: IpSet, view: View, batch: Batch) -> bool:
    known = ipset.markmask & ~view.marks.packet.known == 0
    return batch.certain and (Part.MARK not in ipset.parts or known)


def _doubt(ipset: IpSet) -> str:
    why = next(
        (DOUBTS[part] for part in ipset.parts if part in DOUBTS), "what some of its entries mean is open"
    )
    if ipset.blurred:
        why = "it is too large to tell all its addresses apart"
    return f"the ipset {ipset.name}: {why}"


# -- the packets that entries hold for --------------------------------------------------------------------


def _holding(
    ipset: IpSet, view: View, search: Search, batches: Sequence[Batch], *, any_interface: bool = False
) -> PacketSet:
    """Packets that some entry of ``batches`` holds for; with ``any_interface`` whatever interface it names."""
    if not any(batch.count for batch in batches):
        return view.space.nothing
    columns: dict[Field, _Column] = {}
    dropped: set[int] = set()
    addresses = 0
    for part, direction in zip(ipset.parts, search.directions, strict=False):
        source = direction == "src"
        if part in ADDRESSES:
            ranges = [each for batch in batches for each in batch.addresses[addresses]]
            addresses += 1
            more = [_addresses(ipset, source, ranges)]
        elif part is Part.PORT:
            more = _services(source, [each for batch in batches for each in batch.services])
        elif part is Part.IFACE:
            more = [_interfaces(view, [each for batch in batches for each in batch.names], any_interface)]
        else:
            if part is Part.MARK:
                marks = (mark for batch in batches for mark in batch.marks)
                seen = view.marks.packet
                dropped |= {row for row, m in enumerate(marks) if seen.equal(m, ipset.markmask) is False}
            continue
        for column in more:
            known = columns.get(column.field)
            columns[column.field] = column if known is None else _both(known, column)
    family = view.space.family(view.family)
    ordered = sorted(columns.values(), key=lambda column: column.field.first)
    if not ordered:
        return family
    for column in ordered:
        dropped.update(row for row, (low, high) in enumerate(column.ranges) if low > high)
    boxes = [(column.levels, column.without(dropped)) for column in ordered]
    return view.space.boxes(boxes) & family


def _both(one: _Column, two: _Column) -> _Column:
    """Two parts that look at the same field (``src,src``): both must hold."""
    pairs = zip(one.ranges, two.ranges, strict=True)
    return _Column(one.field, one.levels, [(max(a[0], b[0]), min(a[1], b[1])) for a, b in pairs])


def _addresses(ipset: IpSet, source: bool, ranges: Sequence[Range]) -> _Column:
    field = Field.SOURCE if source else Field.DESTINATION
    return _Column(field, [field.first + position for position in ipset.mask.positions()], ranges)


def _services(source: bool, services: Sequence[Service]) -> list[_Column]:
    """Protocol, ICMP type and code, and port. A bitmap's services stand alone and for two protocols each."""
    every = [
        (number, first, last)
        for protocol, first, last in services
        for number in ((protocol,) if protocol else TCP_AND_UDP)
    ]
    typed = [(first >> 8, first & 0xFF) if number in ICMP else None for number, first, _ in every]
    return [
        _field(Field.PROTOCOL, [(number, number) for number, _, _ in every]),
        _field(Field.ICMP_TYPE, [_BYTE if each is None else (each[0], each[0]) for each in typed]),
        _field(Field.ICMP_CODE, [_BYTE if each is None else (each[1], each[1]) for each in typed]),
        _field(
            Field.SOURCE_PORT if source else Field.DESTINATION_PORT,
            [(first, last) if number in PORTED else _PORTS for number, first, last in every],
        ),
    ]


def _interfaces(view: View, names: Sequence[str], any_interface: bool) -> _Column:
    labels: dict[str, Range] = {}
    for name in set(names):
        found = view.interfaces.matching(name)
        labels[name] = (0, LABELS) if any_interface or name == BRIDGE else found[0] if found else _NOTHING
    return _field(Field.INTERFACE, [labels[name] for name in names])


def _field(field: Field, ranges: Sequence[Range]) -> _Column:
    return _Column(field, range(field.first, field.first + field.bits), ranges)
