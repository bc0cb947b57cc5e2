"""An allowance by service: which ports share a rule, and which sources each rule must and may admit.

For targets whose rules are sources × ports, without source ports or ICMP: what the plan admits whatever the source
port is found first, then ports with equal or compatible sources are put together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ipt2np.cni.kinds.networkpolicy import PROTOCOLS
from ipt2np.packets import Field, PacketSet
from ipt2np.planning import PolicyPlan

OPEN_GROUPS = 32
"""How many groups of services a further one is tried against; bounds the work, not the result's meaning."""

Sources = tuple[PacketSet, PacketSet]
"""(wanted, allowed) sources of one family."""


@dataclass
class Group:
    """Services that share one rule, with the sources that it must and may admit, by family."""

    services: list[tuple[int, int, int]]
    """Protocol number, first and last port; empty means every protocol."""
    sources: dict[int, Sources]

    def takes(self, other: dict[int, Sources]) -> dict[int, Sources] | None:
        """The sources of both together, None where no set of sources suits both."""
        for family, (wanted, allowed) in self.sources.items():
            if not (wanted <= other[family][1] and other[family][0] <= allowed):
                return None
        return {
            family: (wanted | other[family][0], allowed & other[family][1])
            for family, (wanted, allowed) in self.sources.items()
        }


class ServiceGroups:
    """A plan's allowance by service, for policies that know ports but no source ports."""

    def __init__(self, plan: PolicyPlan) -> None:
        self.plan = plan
        self.space = plan.space
        allowance = plan.allow_only()
        self.wanted, self.allowed = allowance.wanted, allowance.allowed
        self.free = allowance.allowed - allowance.wanted
        self.everywhere = {family: self._sources(family, self.allowed, self.free) for family in plan.families}
        """Sources of which every protocol is accepted."""

    def _quantified(self, packets: PacketSet, fields: Sequence[Field]) -> PacketSet:
        for field in fields:
            packets = packets.every(field)
        return packets

    def _sources(self, family: int, allowed: PacketSet, free: PacketSet) -> Sources:
        """The sources allowed whatever else the packet holds, and those of them that count."""
        fields = (Field.PROTOCOL, Field.ICMP_TYPE, Field.ICMP_CODE, Field.DESTINATION_PORT, Field.SOURCE_PORT)
        upper = self._quantified(self.space.of_family(allowed, family), fields)
        return upper - self._quantified(self.space.of_family(free, family), fields), upper

    def _by_port(self, protocol: int) -> dict[int, tuple[PacketSet, PacketSet]]:
        """By family: packets of the protocol that any source port may use, and those of them that are free."""
        result = {}
        chosen = self.space.value(Field.PROTOCOL, protocol)
        for family in self.plan.families:
            pair = []
            for packets in (self.allowed, self.free):
                of_family = self.space.of_family(packets, family) & chosen
                pair.append(of_family.some(Field.PROTOCOL).every(Field.SOURCE_PORT))
            result[family] = (pair[0], pair[1])
        return result

    def groups(self) -> list[Group]:
        """Rules to write: every protocol first, then services with sources that can be shared."""
        result: list[Group] = []
        if any(wanted for wanted, _ in self.everywhere.values()):
            result.append(Group([], dict(self.everywhere)))
        demands: dict[tuple[tuple[int, int], ...], Group] = {}
        for protocol in PROTOCOLS.values():
            for low, high, sources in self._demands(protocol):
                key = tuple((wanted.node, allowed.node) for wanted, allowed in sources.values())
                if key in demands:
                    demands[key].services.append((protocol, low, high))
                else:
                    demands[key] = Group([(protocol, low, high)], sources)
        open_groups: list[Group] = []
        for demand in demands.values():
            for group in open_groups[:OPEN_GROUPS]:
                joined = group.takes(demand.sources)
                if joined is not None:
                    group.services += demand.services
                    group.sources = joined
                    break
            else:
                open_groups.append(demand)
        return result + open_groups

    def _demands(self, protocol: int) -> list[tuple[int, int, dict[int, Sources]]]:
        """Port ranges of the protocol with the sources still to be admitted there: all ports first."""
        packets = self._by_port(protocol)
        done: dict[int, PacketSet] = {}
        base: dict[int, Sources] = {}
        for family, (allowed, free) in packets.items():
            upper = allowed.every(Field.DESTINATION_PORT)
            done[family] = self.everywhere[family][0]
            base[family] = (upper - free.every(Field.DESTINATION_PORT) - done[family], upper)
        result: list[tuple[int, int, dict[int, Sources]]] = []
        if any(wanted for wanted, _ in base.values()):
            result.append((1, 0xFFFF, base))
            done = {family: done[family] | base[family][0] for family in packets}
        for low, high, sources in self._ranges(packets, done):
            if any(wanted for wanted, _ in sources.values()):
                result.append((low, high, sources))
        return result

    def _ranges(
        self, packets: Mapping[int, tuple[PacketSet, PacketSet]], done: Mapping[int, PacketSet]
    ) -> list[tuple[int, int, dict[int, Sources]]]:
        """The ports cut wherever some family's sources change."""
        space, nothing = self.space, self.space.nothing
        cuts = {1}
        split: dict[int, list[list[tuple[int, int, PacketSet]]]] = {}
        for family, pair in packets.items():
            split[family] = [space.split(each, Field.DESTINATION_PORT) for each in pair]
            for parts in split[family]:
                cuts |= {low for low, _, _ in parts} | {high + 1 for _, high, _ in parts}
        starts = sorted(cut for cut in cuts if 1 <= cut <= 0xFFFF)
        places = {family: [0, 0] for family in packets}
        result = []
        for index, low in enumerate(starts):
            high = starts[index + 1] - 1 if index + 1 < len(starts) else 0xFFFF
            sources = {}
            for family in packets:
                found = []
                for which, parts in enumerate(split[family]):
                    while places[family][which] < len(parts) and parts[places[family][which]][1] < low:
                        places[family][which] += 1
                    place = places[family][which]
                    inside = place < len(parts) and parts[place][0] <= low
                    found.append(parts[place][2] if inside else nothing)
                allowed, free = found
                sources[family] = (allowed - free - done[family], allowed)
            result.append((low, high, sources))
        return result

    def packets_of(self, group: Group) -> PacketSet:
        """What the plan wants admitted of a group's services and sources."""
        space = self.space
        services = space.nothing
        for protocol, low, high in group.services:
            services |= space.value(Field.PROTOCOL, protocol) & space.values(
                Field.DESTINATION_PORT, ((low, high),)
            )
        if not group.services:
            services = space.everything
        sources = space.nothing
        for family, (_, allowed) in group.sources.items():
            sources |= allowed & space.family(family)
        return services & sources & self.wanted
