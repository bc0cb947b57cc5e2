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

from ipt2np.cni.base import Cluster, Identity, Object, PolicyFault, Reading
from ipt2np.cni.kinds.cilium.peers import CLASSES, Block, Extent, GroupReference, Peers
from ipt2np.cni.kinds.cilium.policies import CidrGroup, Policy, Rule, parsed
from ipt2np.cni.kinds.cilium.selectors import NAMESPACE, NAMESPACE_NAME, Selector, holds
from ipt2np.cni.kinds.cilium.services import ALL_PORTS, EXTENDED, ICMP_NUMBERS, TRANSPORTS, Services
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import Range, merged

MATCH_MODES = frozenset({"nodes", "pods"})
_NO_LABELS: frozenset[str] = frozenset()
_HOST = frozenset({"host"})


@dataclass(frozen=True, slots=True)
class Options:
    """How the agents are configured.

    Sources: cilium: pkg/option/config.go (policy-cidr-match-mode, enable-sctp, enable-extended-ip-protocols);
    https://learn.microsoft.com/azure/aks/azure-cni-powered-by-cilium (endPort).
    """

    cidr_match: frozenset[str] = frozenset()
    """``nodes``, ``pods``: what CIDRs match beside sources outside the cluster."""
    extended_protocols: bool = False
    """True where VRRP, GRE and their like are let in at all."""
    sctp: bool = False
    end_port: bool = True
    """False before 1.17, which takes the first port of a Kubernetes range for the whole."""
    native: bool = True
    """False where the cluster has no ``cilium.io`` policies, as GKE without the option."""

    def __post_init__(self) -> None:
        unknown = self.cidr_match - MATCH_MODES
        if unknown:
            raise ValueError(f"no such CIDR match mode: {', '.join(sorted(unknown))}")


@dataclass(frozen=True, slots=True)
class Selected:
    """A policy that selects the endpoint."""

    policy: Policy
    certain: bool
    """False where that depends on what nobody told."""


def _both(one: bool | None, other: bool | None) -> bool | None:
    if one is False or other is False:
        return False
    return True if one and other else None


def _selects(policy: Policy, labels: Mapping[str, str], reserved: frozenset[str]) -> bool | None:
    if policy.namespace is None:
        return holds(policy.subject, labels, reserved)
    # The policy's own namespace replaces one that its selector names, or comes beside it: the forms differ.
    own: Selector = tuple(c for c in policy.subject if c.names_namespace)
    rest = holds((c for c in policy.subject if not c.names_namespace), labels, reserved)
    return _both(rest, True if holds(own, labels, reserved) else None)


def _admissible(policies: list[Policy], groups: Mapping[str, CidrGroup], options: Options) -> None:
    """PolicyFault for what agents so configured do not take."""
    if not options.native and (groups or any(policy.native for policy in policies)):
        raise PolicyFault("the cluster has no cilium.io policies")
    numbers = set() if options.extended_protocols else set(EXTENDED.values())
    for policy in policies:
        for rule in (*policy.allow, *policy.deny):
            if any(numbers.intersection(entry.protocols) for entry in rule.services.ports):
                raise PolicyFault("protocols beyond SCTP need agents with enable-extended-ip-protocols")


def pod_policies(
    objects: list[Object], identity: Identity, options: Options
) -> tuple[list[Selected], Mapping[str, CidrGroup]]:
    """The policies with an ingress section that select the pods of ``identity``, and all CIDR groups by name."""
    policies, groups = parsed(objects)
    _admissible(policies, groups, options)
    own = {NAMESPACE: identity.namespace, NAMESPACE_NAME: identity.namespace}
    labels = {**identity.pod_labels, **own}
    found = []
    for policy in policies:
        if policy.host or not policy.enforces or policy.namespace not in (None, identity.namespace):
            continue
        chosen = _both(_selects(policy, labels, _NO_LABELS), True if policy.certain else None)
        if chosen is not False:
            found.append(Selected(policy, chosen is True))
    return found, groups


def host_policies(
    objects: list[Object], node_labels: Mapping[str, str], options: Options
) -> tuple[list[Selected], Mapping[str, CidrGroup]]:
    """The policies with an ingress section that select the node, and all CIDR groups by name."""
    policies, groups = parsed(objects)
    _admissible(policies, groups, options)
    found = []
    for policy in policies:
        chosen = policy.host and policy.enforces and _selects(policy, node_labels, _HOST)
        if chosen is not False:
            found.append(Selected(policy, chosen is True))
    return found, groups


def referenced(reference: GroupReference, groups: Mapping[str, CidrGroup]) -> list[CidrGroup]:
    """The groups that a rule names; PolicyFault where none of them is there."""
    if reference.name:
        found = [groups[reference.name]] if reference.name in groups else []
    else:
        found = [group for group in groups.values() if holds(reference.selector, group.labels, _NO_LABELS)]
    if not found:
        raise PolicyFault(
            f"no CiliumCIDRGroup is called {reference.name!r}" if reference.name else "no such group"
        )
    return found


# -- packets ---------------------------------------------------------------------------------------------


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


class _Judge:
    """Rules as packet sets for one class of sources."""

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

    def matches(self, chosen: Iterable[tuple[Selected, Rule]], *, certain: bool) -> PacketSet:
        """The packets that some rule certainly matches, or possibly."""
        gathered = _Matches(self.space)
        for selected, rule in chosen:
            if certain and (rule.authenticated or not selected.certain):
                continue
            services = _services(
                self.space,
                rule.services,
                certain=certain,
                native=selected.policy.native,
                end_port=self.options.end_port,
            )
            blocks = self._blocks(rule.peers.blocks, certain=certain)
            gathered.add(services, blocks, self._others(rule.peers, certain=certain))
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


def _reading(
    selected: list[Selected], known: tuple[PacketSet, PacketSet], judge: _Judge, space: PacketSpace
) -> Reading:
    allows = [(one, rule) for one in selected for rule in one.policy.allow]
    denies = [(one, rule) for one in selected for rule in one.policy.deny]
    admitted = []
    for certain in (True, False):
        # What is certainly admitted is so whatever may be isolated or denied, and the other way round.
        isolated = any(one.policy.isolates and (one.certain or certain) for one in selected)
        allowed = judge.matches(allows, certain=certain) if isolated else space.everything
        admitted.append((allowed - judge.matches(denies, certain=not certain)) & known[0 if certain else 1])
    return Reading(admitted[0], admitted[1] - admitted[0])


def read(
    objects: list[Object], identity: Identity, space: PacketSpace, cluster: Cluster, options: Options
) -> Mapping[str, Reading]:
    """What the policies together let through to the pods of ``identity``, by source class.

    ``cluster`` has no say: what a source is decides here, and not its address. Undefined is what depends on labels
    of other pods, of nodes and of namespaces, on proxies, and on versions that differ. PolicyFault for objects that
    such agents would refuse, and for CIDR groups that are not among ``objects``.
    """
    selected, groups = pod_policies(objects, identity, options)
    known = _datapath(space, options)
    return {
        source_class: _reading(selected, known, _Judge(source_class, groups, space, options), space)
        for source_class in CLASSES
    }


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
    known = _datapath(space, options)
    if not any(one.certain for one in selected):
        known = (known[0], space.everything)
    return {
        source_class: _reading(selected, known, _Judge(source_class, groups, space, options), space)
        for source_class in CLASSES
    }
