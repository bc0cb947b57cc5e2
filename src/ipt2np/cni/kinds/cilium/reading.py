"""What policies let through to a pod or a node, as Cilium judges them.

Any deny rule that matches wins over every allow rule of whatever policy; then any allow rule lets through; the rest
is dropped where a policy isolates the endpoint. What the documents leave open is followed on both sides, as the
packets that a rule certainly and that it possibly matches.
Sources: cilium: Documentation/security/policy/{layer3,layer4,deny,host}.rst, pkg/policy/rule.go, pkg/policy/api;
for what matches a CIDR beside external sources cilium#45194, #47827, #47828, #48046.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ipt2np.cni.base import Cluster, Identity, Object, Reading
from ipt2np.cni.kinds.cilium.peers import CLASSES, Block, Extent, Peers
from ipt2np.cni.kinds.cilium.policies import CidrGroup, Rule
from ipt2np.cni.kinds.cilium.selection import Options, Selected, host_policies, pod_policies, referenced
from ipt2np.cni.kinds.cilium.services import ALL_PORTS, EXTENDED, ICMP_NUMBERS, TRANSPORTS, Services
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import Range, merged


def _union(space: PacketSpace, sets: Iterable[PacketSet]) -> PacketSet:
    """The union, halved again and again so that large sets are not walked once a member."""
    found = list(sets)
    while len(found) > 1:
        odd = [found[-1]] if len(found) % 2 else []
        found = [one | two for one, two in zip(found[::2], found[1::2], strict=False)] + odd
    return found[0] if found else space.nothing


def _services(
    space: PacketSpace, services: Services, *, certain: bool, native: bool, end_port: bool
) -> PacketSet:
    """The packets of a rule's services: those certainly meant, or those possibly."""
    if services.everything:
        return space.everything
    ranges: dict[int, list[Range]] = {}
    for entry in services.ports:
        if entry.proxied and certain:
            continue
        ports = entry.ports
        if not end_port and ports != ALL_PORTS and (certain or not native):
            ports = (ports[0], ports[0])
        for protocol in entry.protocols:
            ranges.setdefault(protocol, []).append(ports)
    parts = [
        space.value(Field.PROTOCOL, protocol) & space.values(Field.DESTINATION_PORT, merged(found))
        for protocol, found in sorted(ranges.items())
    ]
    for version, number in ICMP_NUMBERS.items():
        types = merged((kind, kind) for family, kind in services.icmp if family == version)
        if types:
            carrier = space.family(version) & space.value(Field.PROTOCOL, number)
            parts.append(carrier & space.values(Field.ICMP_TYPE, types))
    return _union(space, parts)


Ranges = dict[int, list[Range]]
"""Address ranges by family."""


def _addresses(space: PacketSpace, ranges: Ranges) -> PacketSet:
    parts = [
        space.addresses(Field.SOURCE, AddressSet.of(family, found))
        for family, found in ranges.items()
        if found
    ]
    return _union(space, parts)


def _matchable(block: Block, source_class: str, options: Options) -> Extent:
    """Whether sources of the class match a CIDR by their address: no, nobody can say, yes."""
    if source_class == "external":
        return Extent.ALL
    if f"{source_class}s" not in options.cidr_match:
        return Extent.NONE
    if source_class == "node" and block.network.prefixlen == 0:
        # A wildcard stands for the world and leaves nodes out; with "pods" beside "nodes" accounts differ.
        return Extent.SOME if "pods" in options.cidr_match else Extent.NONE
    return Extent.ALL


class _Matches:
    """The packets of one source class that rules match, gathered before any set is built.

    Rules with equal services share their addresses, rules with equal sources their services.
    """

    def __init__(self, space: PacketSpace) -> None:
        self.space = space
        self._rows: dict[PacketSet, tuple[Ranges, set[PacketSet]]] = {}

    def add(self, services: PacketSet, blocks: Iterable[Block], others: Iterable[PacketSet]) -> None:
        """Packets of ``services`` from the blocks or from any of the other sets of sources."""
        ranges, sources = self._rows.setdefault(services, ({4: [], 6: []}, set()))
        for block in blocks:
            ranges[block.network.version] += block.ranges
        sources.update(others)

    def packets(self) -> PacketSet:
        """The union of all that was added."""
        by_sources: dict[PacketSet, list[PacketSet]] = {}
        for services, (ranges, others) in self._rows.items():
            sources = _union(self.space, [_addresses(self.space, ranges), *others])
            by_sources.setdefault(sources, []).append(services)
        return _union(
            self.space, [_union(self.space, found) & sources for sources, found in by_sources.items()]
        )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A rule of a policy that selects the endpoint, and the packets of its services."""

    peers: Peers
    certain: PacketSet
    """Empty where something beside the packet decides."""
    possible: PacketSet


def _candidates(
    chosen: Iterable[tuple[Selected, Rule]], space: PacketSpace, options: Options
) -> list[_Candidate]:
    found = []
    for selected, rule in chosen:
        native = selected.policy.native
        certain, possible = (
            _services(space, rule.services, certain=sure, native=native, end_port=options.end_port)
            for sure in (True, False)
        )
        if rule.authenticated or not selected.certain:
            certain = space.nothing
        found.append(_Candidate(rule.peers, certain, possible))
    return found


class _Judge:
    """Rules as packet sets, for one class of sources."""

    def __init__(
        self, source_class: str, groups: Mapping[str, CidrGroup], space: PacketSpace, options: Options
    ) -> None:
        self.source_class = source_class
        self.space = space
        self.options = options
        self.groups = groups
        self._group_sources: dict[tuple[str, bool], PacketSet] = {}

    def _blocks(self, blocks: Iterable[Block], *, certain: bool) -> list[Block]:
        least = Extent.ALL if certain else Extent.SOME
        return [b for b in blocks if _matchable(b, self.source_class, self.options) >= least]

    def _group(self, group: CidrGroup, *, certain: bool) -> PacketSet:
        found = self._group_sources.get((group.name, certain))
        if found is None:
            ranges: Ranges = {4: [], 6: []}
            for block in self._blocks(group.blocks, certain=certain):
                ranges[block.network.version] += block.ranges
            found = self._group_sources[group.name, certain] = _addresses(self.space, ranges)
        return found

    def _others(self, peers: Peers, *, certain: bool) -> list[PacketSet]:
        extent = peers.extents.of(self.source_class)
        found = [self.space.everything] if extent >= (Extent.ALL if certain else Extent.SOME) else []
        for reference in peers.groups:
            found += [self._group(group, certain=certain) for group in referenced(reference, self.groups)]
        return found

    def matches(self, candidates: Iterable[_Candidate], *, certain: bool) -> PacketSet:
        """The packets that some candidate certainly matches, or possibly."""
        gathered = _Matches(self.space)
        for candidate in candidates:
            services = candidate.certain if certain else candidate.possible
            if services:
                blocks = self._blocks(candidate.peers.blocks, certain=certain)
                gathered.add(services, blocks, self._others(candidate.peers, certain=certain))
        return gathered.packets()


def _datapath(space: PacketSpace, options: Options) -> tuple[PacketSet, PacketSet]:
    """The packets whose protocol the datapath certainly handles, and possibly; it drops all others."""
    numbers = {TRANSPORTS["TCP"], TRANSPORTS["UDP"]} | ({TRANSPORTS["SCTP"]} if options.sctp else set())
    numbers |= set(EXTENDED.values()) if options.extended_protocols else set()
    known = _union(space, [space.value(Field.PROTOCOL, number) for number in sorted(numbers)])
    refused = space.value(Field.PROTOCOL, TRANSPORTS["SCTP"])
    for version, number in ICMP_NUMBERS.items():
        known |= space.family(version) & space.value(Field.PROTOCOL, number)
        refused |= space.value(Field.PROTOCOL, number)
    # Which protocols the option adds beyond those that a policy can name is not written down.
    return known, known | ~refused if options.extended_protocols else known


def _readings(
    selected: list[Selected],
    groups: Mapping[str, CidrGroup],
    known: tuple[PacketSet, PacketSet],
    space: PacketSpace,
    options: Options,
) -> Mapping[str, Reading]:
    """By source class; ``known`` are the packets that the datapath certainly and possibly handles."""
    allows = _candidates(((one, rule) for one in selected for rule in one.policy.allow), space, options)
    denies = _candidates(((one, rule) for one in selected for rule in one.policy.deny), space, options)
    readings = {}
    for source_class in CLASSES:
        judge = _Judge(source_class, groups, space, options)
        admitted = []
        for certain, handled in zip((True, False), known, strict=True):
            # Certainly admitted is what possible denials and isolation leave; possibly, what certain ones leave.
            isolated = any(one.policy.isolates and (one.certain or certain) for one in selected)
            allowed = judge.matches(allows, certain=certain) if isolated else space.everything
            admitted.append((allowed - judge.matches(denies, certain=not certain)) & handled)
        readings[source_class] = Reading(admitted[0], admitted[1] - admitted[0])
    return readings


def read(
    objects: list[Object], identity: Identity, space: PacketSpace, cluster: Cluster, options: Options
) -> Mapping[str, Reading]:
    """What the policies together let through to the pods of ``identity``, by source class.

    ``cluster`` has no say: what a source is decides here, and not its address. Undefined is what depends on labels
    of other pods, of nodes and of namespaces, on proxies, and on versions that differ. PolicyFault for objects that
    such agents would refuse, and for CIDR groups that are not among ``objects``.
    """
    selected, groups = pod_policies(objects, identity, options)
    return _readings(selected, groups, _datapath(space, options), space, options)


def read_host(
    objects: list[Object],
    node_labels: Mapping[str, str],
    space: PacketSpace,
    cluster: Cluster,
    options: Options,
) -> Mapping[str, Reading]:
    """What clusterwide policies with a ``nodeSelector`` let through to a node with these labels, by source class.

    For agents with the host firewall on, and on any interface: which ones it watches is the agent's setting. Where
    no policy certainly selects the node, protocols that the datapath does not know are undefined.
    Source: cilium: Documentation/security/policy/host.rst.
    """
    selected, groups = host_policies(objects, node_labels, options)
    known, possible = _datapath(space, options)
    if not any(one.certain for one in selected):
        possible = space.everything
    return _readings(selected, groups, (known, possible), space, options)
