"""Packets as services × sources, in the words that a target has.

The packets to cover are taken level by level, the coarsest first: every protocol, a protocol, its destination ports or
ICMP types, then source ports or codes. At each level a source is covered where everything that the rule would match is
allowed and something of it is still wanted. So the union of the rules never leaves what is allowed, and what is left
over at the end is just what the target has no words for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise

from ipt2np.packets import Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import Range, merged

OPEN_GROUPS = 32
"""How many groups of services a further one is tried against; bounds the work, not the result's meaning."""
ALL_PORTS: Range = (1, 0xFFFF)

Sources = Mapping[int, tuple[PacketSet, PacketSet]]
"""By family: (wanted, allowed) sources, sets in which only the source matters."""

SERVICE_FIELDS = (
    Field.PROTOCOL,
    Field.ICMP_TYPE,
    Field.ICMP_CODE,
    Field.DESTINATION_PORT,
    Field.SOURCE_PORT,
)


class Icmp(Enum):
    """What a target can say of an ICMP message."""

    NOTHING = "nothing"
    TYPE = "type"
    TYPE_AND_CODE = "type and code"


@dataclass(frozen=True)
class Vocabulary:
    """What a target's rules can say of a packet beside its source.

    A rule that says nothing means every protocol; no target here lacks that.
    """

    protocols: Mapping[int, frozenset[int]]
    """By family: the protocols that a rule can name as a whole."""
    ports: frozenset[int] = frozenset((6, 17, 132))
    """Protocols of which it can name destination ports."""
    source_ports: bool = False
    icmp: Icmp = Icmp.NOTHING
    icmp_types: int = 255
    """The highest ICMP type that can be written."""
    whole_icmp: bool = True
    """False where all types have to be listed."""


@dataclass(frozen=True, slots=True)
class Service:
    """What one rule says of a packet beside its source."""

    protocol: int | None = None
    """None is every protocol."""
    ports: Range = ALL_PORTS
    source_ports: tuple[Range, ...] = (ALL_PORTS,)
    icmp_type: int | None = None
    icmp_code: int | None = None

    def packets(self, space: PacketSpace) -> PacketSet:
        """The packets that the service stands for, whatever their source and family."""
        if self.protocol is None:
            return space.everything
        result = space.value(Field.PROTOCOL, self.protocol)
        if self.ports != ALL_PORTS:
            result &= space.values(Field.DESTINATION_PORT, (self.ports,))
        if self.source_ports != (ALL_PORTS,):
            result &= space.values(Field.SOURCE_PORT, self.source_ports)
        if self.icmp_type is not None:
            result &= space.value(Field.ICMP_TYPE, self.icmp_type)
        if self.icmp_code is not None:
            result &= space.value(Field.ICMP_CODE, self.icmp_code)
        return result


EVERYTHING = Service()


@dataclass
class Group:
    """Services that share a rule, and the sources that it must and may admit."""

    services: list[Service]
    sources: dict[int, tuple[PacketSet, PacketSet]]

    def takes(self, other: Sources) -> dict[int, tuple[PacketSet, PacketSet]] | None:
        """The sources of both together, None where no set of sources suits both."""
        for family, (wanted, allowed) in self.sources.items():
            if not (wanted <= other[family][1] and other[family][0] <= allowed):
                return None
        return {
            family: (wanted | other[family][0], allowed & other[family][1])
            for family, (wanted, allowed) in self.sources.items()
        }

    def services_packets(self, space: PacketSpace) -> PacketSet:
        """The packets of the group's services, whatever their source and family."""
        services = space.nothing
        for service in self.services:
            services |= service.packets(space)
        return services

    def packets(self, space: PacketSpace) -> PacketSet:
        """The packets that the group wants covered, of all families."""
        services = self.services_packets(space)
        sources = space.nothing
        for family, (wanted, _) in self.sources.items():
            sources |= wanted & space.family(family)
        return services & sources


@dataclass
class Cover:
    """Rules that together hold every packet wanted that the target has words for, and none that is not allowed."""

    groups: list[Group]
    left: PacketSet
    """The packets wanted that no rule can say."""


@dataclass
class _Remaining:
    """One family's packets under way: allowed, and wanted but not covered yet."""

    allowed: PacketSet
    wanted: PacketSet

    def sources(self, fields: Sequence[Field]) -> tuple[PacketSet, PacketSet]:
        """Sources still wanted for which everything is allowed, and all sources for which it is."""
        allowed, wanted = self.allowed, self.wanted
        for each in fields:
            allowed = allowed.every(each)
        if not allowed:
            return allowed, allowed
        for each in fields:
            wanted = wanted.some(each)
        return wanted & allowed, allowed

    def at_every(self, each: Field) -> _Remaining:
        """The same with a field that a rule does not mention: packets allowed whatever its value."""
        allowed = self.allowed.every(each)
        return _Remaining(allowed, self.wanted.some(each) & allowed)

    def less(self, covered: PacketSet) -> _Remaining:
        return _Remaining(self.allowed, self.wanted - covered)


_Families = dict[int, _Remaining]


def cover(
    wanted: PacketSet,
    allowed: PacketSet,
    families: Sequence[int],
    vocabulary: Vocabulary,
    shape: Callable[[Service], Hashable],
) -> Cover:
    """Groups of services with their sources; services of equal ``shape`` may share a rule."""
    space = wanted.space
    if not families:
        return Cover([], wanted)
    maker = _Maker(space, vocabulary)
    remaining = {
        family: _Remaining(space.of_family(allowed, family), space.of_family(wanted, family))
        for family in families
    }
    left = maker.everything(remaining)
    rest = space.nothing
    for family, packets in left.items():
        rest |= packets & space.family(family)
    return Cover(grouped(maker.demands, shape), rest)


def grouped(demands: Sequence[tuple[Service, Sources]], shape: Callable[[Service], Hashable]) -> list[Group]:
    """Services with equal or compatible sources put together, in the order in which they came."""
    equal: dict[tuple[Hashable, ...], Group] = {}
    for service, sources in demands:
        key = (shape(service), *((wanted.node, allowed.node) for wanted, allowed in sources.values()))
        if key in equal:
            equal[key].services.append(service)
        else:
            equal[key] = Group([service], dict(sources))
    groups: list[Group] = []
    tried: dict[Hashable, list[Group]] = {}
    for key, demand in equal.items():
        alike = tried.setdefault(key[0], [])
        for group in alike[:OPEN_GROUPS]:
            joined = group.takes(demand.sources)
            if joined is not None:
                group.services += demand.services
                group.sources = joined
                break
        else:
            alike.append(demand)
            groups.append(demand)
    return groups


@dataclass
class _Maker:
    space: PacketSpace
    vocabulary: Vocabulary
    demands: list[tuple[Service, Sources]] = field(default_factory=list)

    def everything(self, families: _Families) -> dict[int, PacketSet]:
        """Takes every level; the packets left by family."""
        families = self._take(EVERYTHING, families, SERVICE_FIELDS)
        left = dict.fromkeys(families, self.space.nothing)
        for low, high, parts in _cut(families, Field.PROTOCOL):
            for protocol in range(low, high + 1):
                here = self._protocol(protocol, dict(parts))
                chosen = self.space.value(Field.PROTOCOL, protocol)
                for family, each in here.items():
                    left[family] |= each.wanted & chosen
        return left

    def _take(self, service: Service, families: _Families, fields: Sequence[Field]) -> _Families:
        """Covers the sources for which all values of ``fields`` are allowed; what is still wanted then."""
        sources = {family: each.sources(fields) for family, each in families.items()}
        if not any(wanted for wanted, _ in sources.values()):
            return families
        self.demands.append((service, sources))
        return {family: each.less(sources[family][0]) for family, each in families.items()}

    def _protocol(self, protocol: int, families: _Families) -> _Families:
        """What is left of a protocol's packets."""
        named = {f: each for f, each in families.items() if protocol in self.vocabulary.protocols[f]}
        if not named:
            return families
        # Families in which the protocol has no name keep their place: rules are made for all at once.
        idle = {f: each for f, each in families.items() if f not in named}
        nothing = self.space.nothing
        work = {f: named.get(f, _Remaining(nothing, nothing)) for f in families}
        if self.vocabulary.whole_icmp or protocol not in (1, 58):
            work = self._take(Service(protocol), work, SERVICE_FIELDS[1:])
        if any(each.wanted for each in work.values()):
            if protocol in self.vocabulary.ports:
                work = self._ports(protocol, work)
            elif self.vocabulary.icmp is not Icmp.NOTHING and protocol in (1, 58):
                work = self._icmp(protocol, work)
        return {**work, **idle}

    def _ports(self, protocol: int, families: _Families) -> _Families:
        whole = {family: each.at_every(Field.SOURCE_PORT) for family, each in families.items()}
        for low, high, parts in _cut(whole, Field.DESTINATION_PORT, first=1):
            self._take(Service(protocol, (low, high)), dict(parts), ())
        families = {family: each.less(whole[family].wanted) for family, each in families.items()}
        if not self.vocabulary.source_ports or not any(each.wanted for each in families.values()):
            return families
        free = {family: each.at_every(Field.DESTINATION_PORT) for family, each in families.items()}
        self._source_ports(protocol, ALL_PORTS, free)
        families = {family: each.less(free[family].wanted) for family, each in families.items()}
        for low, high, parts in _cut(families, Field.DESTINATION_PORT, first=1):
            self._source_ports(protocol, (low, high), dict(parts))
        return {family: _Remaining(each.allowed, self.space.nothing) for family, each in families.items()}

    def _source_ports(self, protocol: int, ports: Range, families: _Families) -> None:
        """One service for all source ports with the same sources: those of a rule are a list of ranges."""
        found: dict[tuple[int, ...], tuple[list[Range], Sources]] = {}
        sources: Sources
        for low, high, parts in _cut(families, Field.SOURCE_PORT, first=1):
            sources = {family: each.sources(()) for family, each in parts.items()}
            if any(wanted for wanted, _ in sources.values()):
                key = tuple(
                    node for wanted, allowed in sources.values() for node in (wanted.node, allowed.node)
                )
                found.setdefault(key, ([], sources))[0].append((low, high))
        for ranges, sources in found.values():
            self.demands.append((Service(protocol, ports, tuple(ranges)), sources))

    def _icmp(self, protocol: int, families: _Families) -> _Families:
        whole = {family: each.at_every(Field.ICMP_CODE) for family, each in families.items()}
        writable = self.space.values(Field.ICMP_TYPE, ((0, self.vocabulary.icmp_types),))
        for low, high, parts in _cut(whole, Field.ICMP_TYPE):
            for kind in range(low, min(high, self.vocabulary.icmp_types) + 1):
                self._take(Service(protocol, icmp_type=kind), dict(parts), ())
        families = {family: each.less(whole[family].wanted & writable) for family, each in families.items()}
        if self.vocabulary.icmp is not Icmp.TYPE_AND_CODE:
            return families
        for low, high, parts in _cut(families, Field.ICMP_TYPE):
            for kind in range(low, min(high, self.vocabulary.icmp_types) + 1):
                for first, last, deeper in _cut(dict(parts), Field.ICMP_CODE):
                    for code in range(first, last + 1):
                        self._take(Service(protocol, icmp_type=kind, icmp_code=code), dict(deeper), ())
        return {family: each.less(writable) for family, each in families.items()}


def _cut(
    families: Mapping[int, _Remaining], field: Field, first: int = 0
) -> Iterator[tuple[int, int, Mapping[int, _Remaining]]]:
    """Values of ``field`` cut wherever anything changes in some family, where something is wanted.

    No field above ``field`` may matter. Values below ``first`` cannot be written and are left out.
    """
    nothing = next(iter(families.values())).wanted.space.nothing
    lists = [
        nothing.space.split(packets, field)
        for each in families.values()
        for packets in (each.allowed, each.wanted)
    ]
    ends = {first, 1 << field.bits}
    for wanted in lists[1::2]:
        ends |= {low for low, _, _ in wanted} | {high + 1 for _, high, _ in wanted}
    spoken = merged((low, high) for wanted in lists[1::2] for low, high, _ in wanted)
    for allowed in lists[::2]:
        ends |= {end for low, high, _ in allowed for end in (low, high + 1) if _inside(spoken, end)}
    starts = sorted(end for end in ends if first <= end)
    places = [0] * len(lists)
    for low, after in pairwise(starts):
        found = []
        for which, parts in enumerate(lists):
            while places[which] < len(parts) and parts[places[which]][1] < low:
                places[which] += 1
            place = places[which]
            inside = place < len(parts) and parts[place][0] <= low
            found.append(parts[place][2] if inside else nothing)
        if any(wanted for wanted in found[1::2]):
            pairs = zip(found[::2], found[1::2], strict=True)
            yield (
                low,
                after - 1,
                {
                    family: _Remaining(allowed, wanted)
                    for family, (allowed, wanted) in zip(families, pairs, strict=True)
                },
            )


def _inside(ranges: Sequence[Range], value: int) -> bool:
    place = bisect_right(ranges, (value, value)) - 1
    return any(low <= value <= high for low, high in ranges[max(place, 0) : place + 2])
