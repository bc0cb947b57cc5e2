"""Where answers change: the points of a map of answers that a test plan asks for, and a packet for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from ipaddress import ip_address
from itertools import islice, pairwise

from ipt2np.packets import Field, PacketMap
from ipt2np.packets.intervals import ADDRESS_BITS, Range, address_text, prefixes
from ipt2np.proof.boxes import ICMP, PORTED, Box
from ipt2np.testplan.answers import NOTHING
from ipt2np.testplan.case import ANY_SOURCE_PORT, Packet, Why

NAMED = (6, 17, 132, 1, 58)
"""Protocols that are probed by themselves; all others share their probes. The first are tried first."""
_LIKELY = (*NAMED, 47, 50)
"""Protocols in the order in which one is taken from a range: GRE and ESP for those without a name of their own."""
ECHO = (8, 128)
"""Echo requests, which every program for it sends."""
HOSTS = tuple(
    ip_address(text)
    for text in (
        *("198.51.100.10", "203.0.113.10", "192.0.2.10", "10.0.0.10", "172.16.0.10", "192.168.1.10"),
        *("2001:db8::10", "fd00::10"),
    )
)
"""Addresses that look like hosts, the documentation's (RFC 5737, RFC 3849) first."""


@dataclass(frozen=True, slots=True)
class Service:
    """Packets of one family with every field but the source in a range, and the map from their sources to answers."""

    family: int
    protocols: Range
    types: Range
    codes: Range
    ports: Range
    source_ports: Range
    node: int

    def packet(self, source: int) -> Packet:
        """A packet to the service: each field the one that clients use, where it is in the range, else the lowest."""
        protocol = next((each for each in _LIKELY if _within(each, self.protocols)), self.protocols[0])
        ported, icmp = protocol in PORTED, protocol in ICMP
        kind = next((each for each in ECHO if _within(each, self.types)), self.types[0])
        return Packet(
            self.family,
            source,
            protocol,
            max(self.ports[0], 1) if ported else 0,
            client_port([self.source_ports]) if ported else 0,
            kind if icmp else 0,
            self.codes[0] if icmp else 0,
        )


@dataclass(frozen=True)
class Point:
    """One thing to ask for."""

    why: Why
    probes: Callable[[], Sequence[tuple[Packet, str]]]
    """A packet, or for a boundary one on each side, and what each is; none where nobody can tell the sides apart."""


def _within(value: int, bounds: Range) -> bool:
    return bounds[0] <= value <= bounds[1]


def client_port(ranges: Sequence[Range]) -> int:
    """A source port of the ranges: one that clients are given where there is one."""
    if any(_within(ANY_SOURCE_PORT, each) for each in ranges):
        return ANY_SOURCE_PORT
    return max(ranges[0][0], 1)


def host_like(family: int, ranges: Sequence[Range], senders: Sequence[int]) -> int:
    """An address of the ranges: one of the senders, else one that looks like a host's."""
    for address in (*senders, *(int(each) for each in HOSTS if each.version == family)):
        if any(_within(address, each) for each in ranges):
            return address
    low, high = ranges[0]
    return low + min(10, (high - low) // 2)


class Survey:
    """The points of one map of answers in one family.

    ``senders`` are addresses to send from where there is a choice.
    """

    def __init__(self, answers: PacketMap, family: int, senders: Sequence[int]) -> None:
        self._space = answers.space
        self._family = family
        self._senders = senders
        diagram, root = answers.space.diagram, answers.node
        if diagram.level[root] == Field.FAMILY.first:
            root = diagram.low[root] if family == 4 else diagram.high[root]
        self._root = root

    def _split(self, node: int, field: Field) -> list[tuple[Range, int]]:
        """Ranges of a field with what is behind them, without those that nobody can send."""
        bits = ADDRESS_BITS[self._family] if field is Field.SOURCE else field.bits
        return [
            ((low, high), rest)
            for low, high, rest in self._space.diagram.split(node, field.first, bits)
            if rest != NOTHING
        ]

    def _before_ports(self) -> Iterator[tuple[Range, Range, int]]:
        """Protocols and ICMP types, and what is behind them."""
        for protocols, by_protocol in self._split(self._root, Field.PROTOCOL):
            for types, by_type in self._split(by_protocol, Field.ICMP_TYPE):
                yield protocols, types, by_type

    def services(self) -> Iterator[Service]:
        """All services, ascending."""
        for protocols, types, by_type in self._before_ports():
            for codes, by_code in self._split(by_type, Field.ICMP_CODE):
                for ports, by_port in self._split(by_code, Field.DESTINATION_PORT):
                    for source_ports, node in self._split(by_port, Field.SOURCE_PORT):
                        yield Service(self._family, protocols, types, codes, ports, source_ports, node)

    @cached_property
    def _likely_first(self) -> Sequence[Service]:
        """All services, those of protocols that are easily sent before the others."""
        rank = {protocol: number for number, protocol in enumerate(_LIKELY)}
        return sorted(self.services(), key=lambda each: rank.get(each.packet(0).protocol, len(rank)))

    def _by_answer(self, service: Service) -> dict[int, list[Range]]:
        found: dict[int, list[Range]] = {}
        for sources, node in self._split(service.node, Field.SOURCE):
            found.setdefault(self._space.diagram.value(node), []).append(sources)
        return found

    def _one_of(self, why: Why, text: str, service: Service, ranges: Sequence[Range]) -> Point:
        return Point(why, lambda: [(service.packet(host_like(self._family, ranges, self._senders)), text)])

    def answers(self) -> Iterator[Point]:
        """One packet for each answer to each group of services whose sources are answered alike."""
        seen: set[tuple[int | None, int]] = set()
        for service in self._likely_first:
            protocol = service.packet(0).protocol
            key = (protocol if protocol in NAMED else None, service.node)
            if key not in seen:
                seen.add(key)
                for ranges in self._by_answer(service).values():
                    yield self._one_of(Why.ANSWERS, "one of all that get the same answers", service, ranges)

    def values(self) -> Iterator[Point]:
        """One packet for each value of the map."""
        values: set[int] = set()
        nodes: set[int] = set()
        for service in self._likely_first:
            if service.node in nodes:
                continue
            nodes.add(service.node)
            for value, ranges in self._by_answer(service).items():
                if value not in values:
                    values.add(value)
                    yield self._one_of(Why.DECIDED, "one of those decided by these rules", service, ranges)

    def ports(self) -> Iterator[Point]:
        """Both sides of every boundary between ports, source ports and ICMP codes."""
        seen: set[int] = set()
        for protocols, types, by_type in self._before_ports():
            whole = Service(self._family, protocols, types, (0, 255), (0, 0xFFFF), (0, 0xFFFF), by_type)
            by_codes = self._split(by_type, Field.ICMP_CODE)
            yield from self._edges(by_codes, whole, "icmp_code")
            for codes, by_code in by_codes:
                of_code = replace(whole, codes=codes)
                by_ports = self._split(by_code, Field.DESTINATION_PORT)
                yield from self._edges(by_ports, of_code, "port")
                for ports, by_port in by_ports:
                    if by_port not in seen:
                        seen.add(by_port)
                        by_source_ports = self._split(by_port, Field.SOURCE_PORT)
                        yield from self._edges(by_source_ports, replace(of_code, ports=ports), "source_port")

    def _edges(self, ranges: Sequence[tuple[Range, int]], service: Service, field: str) -> Iterator[Point]:
        for (below, one), (above, two) in pairwise(ranges):
            if below[1] + 1 == above[0]:
                yield Point(Why.PORT, partial(self._either_side, service, field, below, above, one, two))

    def _either_side(
        self, service: Service, field: str, below: Range, above: Range, one: int, two: int
    ) -> Sequence[tuple[Packet, str]]:
        """A packet on each side, from a source and source port that tell the two apart; none where there is none."""
        apart = self._space.diagram.combine(lambda v: int(v[0] != v[1] and NOTHING not in v), (one, two))
        if apart == NOTHING:
            return ()
        by_source_port = self._split(apart, Field.SOURCE_PORT)
        sent_from = client_port([ranges for ranges, _ in by_source_port])
        sources = next(node for ranges, node in by_source_port if _within(sent_from, ranges))
        address = host_like(
            self._family, [ranges for ranges, _ in self._split(sources, Field.SOURCE)], self._senders
        )
        packet = service.packet(address)
        if packet.protocol in PORTED:
            packet = replace(packet, source_port=sent_from)
        named = field.replace("_", " ").replace("icmp", "ICMP")
        return (
            (replace(packet, **{field: below[1]}), f"the last {named} before {_numbers(above)}"),
            (replace(packet, **{field: above[0]}), f"the first {named} of {_numbers(above)}"),
        )

    def sources(self) -> Iterator[Point]:
        """Both sides of every boundary between sources, at one service of those with the same boundaries."""
        nodes: set[int] = set()
        for service in self._likely_first:
            if service.node in nodes:
                continue
            nodes.add(service.node)
            for (below, _), (above, _) in pairwise(self._split(service.node, Field.SOURCE)):
                if below[1] + 1 == above[0]:
                    yield Point(Why.SOURCE, partial(self._neighbours, service, below, above))

    def _neighbours(self, service: Service, below: Range, above: Range) -> Sequence[tuple[Packet, str]]:
        return (
            (service.packet(below[1]), f"the last source of {_addresses(below, self._family)}"),
            (service.packet(above[0]), f"the first source of {_addresses(above, self._family)}"),
        )


def _numbers(bounds: Range) -> str:
    return str(bounds[0]) if bounds[0] == bounds[1] else f"{bounds[0]}-{bounds[1]}"


def _addresses(bounds: Range, family: int) -> str:
    """A network if it is one, else first and last address."""
    first, last = bounds
    networks = list(islice(prefixes(first, last, ADDRESS_BITS[family]), 2))
    if len(networks) == 1:
        return f"{address_text(first, family)}/{networks[0][1]}"
    return f"{address_text(first, family)}-{address_text(last, family)}"


def box_packet(box: Box, senders: Sequence[int]) -> Packet:
    """A packet of a box."""
    types = next(((t, c) for t, c in box.icmp if any(_within(echo, t) for echo in ECHO)), None)
    kinds, codes = types or (box.icmp[0] if box.icmp else ((0, 255), (0, 0)))
    protocols = next(
        (each for number in _LIKELY for each in box.protocols if _within(number, each)), box.protocols[0]
    )
    service = Service(
        box.family,
        protocols,
        kinds,
        codes,
        box.ports[0] if box.ports != ((0, 0),) else (1, 1),
        (0, 0),
        NOTHING,
    )
    packet = service.packet(host_like(box.family, box.sources.ranges, senders))
    if packet.protocol not in PORTED:
        return packet
    return replace(packet, source_port=client_port(box.source_ports))
