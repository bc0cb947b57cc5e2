"""Targets that are given networking.k8s.io/v1 NetworkPolicy: one engine, their differences as data."""

from __future__ import annotations

import ipaddress
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ipt2np.cni.base import (
    NODE,
    POD,
    Capability,
    Cluster,
    Cni,
    EmittedRule,
    Fitted,
    Identity,
    Object,
)
from ipt2np.cni.capabilities import of_writing
from ipt2np.cni.features import Feature
from ipt2np.cni.fitting.blocks import Block, blocks, halved, without_wildcard
from ipt2np.cni.fitting.cover import ALL_PORTS, Cover, Group, Service, Vocabulary, cover
from ipt2np.cni.fitting.incluster import admits_class, external, in_cluster_findings
from ipt2np.cni.fitting.losses import Manner, closing, losses
from ipt2np.cni.fitting.objects import (
    OBJECT_BYTES,
    SET_LABEL,
    chunk_name,
    in_runs,
    origin_notes,
    set_label,
    size_of,
    too_large_for_client_side,
)
from ipt2np.cni.kinds.networkpolicy import API_VERSION, KIND, PROTOCOLS, VALIDATORS, validate
from ipt2np.cni.notes import Note, always, due
from ipt2np.findings import Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets import Field, PacketMap, PacketSet, PacketSpace
from ipt2np.packets.intervals import Range, merged
from ipt2np.planning import Allowance, PolicyPlan
from ipt2np.rules.model import Rule

ANYWHERE: list[Object] = [{"ipBlock": {"cidr": "0.0.0.0/0"}}, {"ipBlock": {"cidr": "::/0"}}]
"""What a rule without peers is, for a target that knows addresses only."""
NAMES = {number: name for name, number in PROTOCOLS.items()}
WORDS = Vocabulary(dict.fromkeys((4, 6), frozenset(NAMES)), frozenset(NAMES))
"""What a NetworkPolicy can say: three protocols and their destination ports."""


@dataclass(frozen=True)
class Writing:
    """How a target's NetworkPolicies are written."""

    excepts: bool = True
    """False where an ``except`` reaches beyond its own block."""
    expanded: int = 0
    """Port ranges of at most so many ports are written port by port."""
    end_port: bool = True
    """False where longer ranges cannot be written at all."""
    end_port_documented: bool = True
    """False where nobody says whether more than the first port of a range is read."""
    families: tuple[int, ...] = (4, 6)
    by_identity: bool = False
    """True where CIDRs are compared with external sources only."""
    halved: tuple[int, ...] = ()
    """Families whose all-addresses block means less than that and is written as its two halves."""
    answer: str = ""
    """How every refused packet is answered, in words; empty where none is."""
    peers_per_rule: int = 0
    """How many sources a rule may have; 0 is no limit."""
    entries_per_source: int = 0
    """How many (protocol, port range) entries one source may have; 0 is no limit."""


@dataclass(frozen=True)
class Emission:
    """A rule as it is written, and the groups that it comes from."""

    rule: Object
    origins: tuple[int, ...]


class NetworkPolicies(Cni):
    """NetworkPolicy objects that add up to what a plan accepts."""

    template = "networkpolicy.yaml.j2"
    kinds = VALIDATORS
    writing: ClassVar[Writing] = Writing()
    notes: ClassVar[tuple[Note, ...]] = ()

    def derived(self) -> Mapping[Feature, Capability]:
        """By what a NetworkPolicy can say, and how it is written here."""
        return of_writing(WORDS, self.writing)

    def remarks(self) -> tuple[str, ...]:
        """The profile's, and what is told with every policy."""
        return (*self.profile.remarks, *(note.message for note in self.notes if note.when is always))

    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """One NetworkPolicy, or several that add up where one would be too large."""
        fitting = _Fitting(self.writing, plan, self.as_set(cluster))
        objects, emitted = fitting.objects(identity, source_note)
        for each in objects:
            validate(each)
        left = fitting.cover.left - self.always(plan.space) - self.dropped(plan.space)
        findings = (
            *losses(plan, Manner("a NetworkPolicy", WORDS, self.writing.answer), left),
            *fitting.findings(),
            *object_findings(objects, identity),
            *due(self.notes, plan, objects),
            *self.losses(plan),
        )
        rejected = plan.space.everything if self.writing.answer else None
        return Fitted(tuple(objects), tuple(emitted), findings, rejected=rejected)

    def dropped(self, space: PacketSpace) -> PacketSet:
        """What the target's datapath drops whatever the objects say, of which ``losses`` tells."""
        return space.nothing

    def losses(self, plan: PolicyPlan) -> list[Finding]:
        """What this target's datapath loses whatever the objects say."""
        return []


class _Fitting:
    """One plan's way into rules."""

    def __init__(self, writing: Writing, plan: PolicyPlan, cluster: Cluster) -> None:
        self.writing, self.plan, self.cluster = writing, plan, cluster
        self.space = plan.space
        self.families = tuple(family for family in plan.families if family in writing.families)
        allowance = plan.allow_only()
        self.allowance = allowance
        self.spoken = self.space.nothing
        for family in self.families:
            self.spoken |= self.space.family(family)
        self.lost_ports = self.unsure_ports = self.space.nothing
        self.lost_entries = self.space.nothing
        self.expanded = False
        self.cover = self._covered(allowance)
        self.groups = self.cover.groups
        self.admitted = {POD: self.space.nothing, NODE: self.space.nothing}
        self.emissions = self._limited([each for n in range(len(self.groups)) for each in self._rules(n)])

    def _covered(self, allowance: Allowance) -> Cover:
        return cover(
            allowance.wanted & self.spoken,
            allowance.allowed,
            self.families,
            WORDS,
            lambda each: each.protocol is None,
        )

    # -- rules ------------------------------------------------------------------------------------------

    def _rules(self, origin: int) -> list[Emission]:
        group = self.groups[origin]
        services = group.services_packets(self.space)
        rule: Object = {}
        whole = len(self.families) == 2 and all(
            allowed.node == self.space.everything.node for _, allowed in group.sources.values()
        )
        if whole:
            self._admit(services, POD, NODE)
        else:
            peers = self._peers(group, services)
            if not peers:
                return []
            rule["from"] = peers
        if group.services[0].protocol is not None:
            ports = self._ports(group)
            if not ports:
                return []
            rule["ports"] = ports
        return [Emission(part, (origin,)) for part in self._in_parts(rule)]

    def _in_parts(self, rule: Object) -> list[Object]:
        """The rule, or several that add up to it where it has more sources than one may have."""
        most, peers = self.writing.peers_per_rule, rule.get("from", [])
        if not most or len(peers) <= most:
            return [rule]
        return [{**rule, "from": peers[first : first + most]} for first in range(0, len(peers), most)]

    def _admit(self, services: PacketSet, *classes: str) -> None:
        for each in classes:
            self.admitted[each] |= services

    def _peers(self, group: Group, services: PacketSet) -> list[Object]:
        by_identity = self.writing.by_identity
        sources = external(group.sources, self.cluster, self.space) if by_identity else group.sources
        peers: list[Object] = [
            {"ipBlock": part.listed()}
            for family, (wanted, allowed) in sorted(sources.items())
            for block in blocks(wanted, allowed, family, excepts=self.writing.excepts)
            for part in (without_wildcard(block) if family in self.writing.halved else (block,))
        ]
        if (
            by_identity
            and self.cluster.in_cluster
            and admits_class(group.sources, self.cluster, POD, self.space)
        ):
            peers.append({"namespaceSelector": {}})
            self._admit(services, POD)
        return peers

    def _ports(self, group: Group) -> list[Object]:
        result: list[Object] = []
        for protocol, name in NAMES.items():
            for low, high in merged(each.ports for each in group.services if each.protocol == protocol):
                result += self._range(protocol, name, (low, high), group)
        return result

    def _range(self, protocol: int, name: str, ports: Range, group: Group) -> list[Object]:
        low, high = ports
        if ports == ALL_PORTS:
            return [{"protocol": name}]
        if low == high:
            return [{"protocol": name, "port": low}]
        if high - low < self.writing.expanded:
            self.expanded = True
            return [{"protocol": name, "port": port} for port in range(low, high + 1)]
        if not self.writing.end_port_documented:
            self.unsure_ports |= Group([Service(protocol, ports)], group.sources).packets(self.space)
        if self.writing.end_port:
            return [{"protocol": name, "port": low, "endPort": high}]
        self.lost_ports |= Group([Service(protocol, ports)], group.sources).packets(self.space)
        return []

    def _limited(self, emissions: list[Emission]) -> list[Emission]:
        """No source with more entries than the target keeps; a prefix takes over those of the prefixes around it."""
        most = self.writing.entries_per_source
        if not most:
            return emissions
        table: dict[_Network, set[str]] = {}
        for emission in emissions:
            keys = {str(sorted(port.items())) for port in emission.rule.get("ports", [{}])}
            for peer in emission.rule.get("from", ANYWHERE):
                table.setdefault(ipaddress.ip_network(peer["ipBlock"]["cidr"]), set()).update(keys)
        for network in sorted(table, key=lambda each: each.prefixlen):
            table[network] |= table.get(_nearest(network, table) or network, set())
        return emissions if all(len(keys) <= most for keys in table.values()) else list(self._apart(most))

    def _apart(self, most: int) -> Iterator[Emission]:
        """Sources that may use the same services together, in blocks that do not lie in each other.

        So every source has as few entries as can be. Where they still are too many the widest ranges stay.
        """
        for family in self.families:
            found = [group.sources[family] for group in self.groups]
            anybody = self.space.nothing
            for wanted, _ in found:
                anybody |= wanted
            for numbers, sources in _alike([wanted for wanted, _ in found]):
                allowed = ~anybody
                for number in numbers:
                    allowed &= found[number][1]
                services = [each for number in numbers for each in self.groups[number].services]
                rule: Object = {
                    "from": [
                        {"ipBlock": {"cidr": block.cidr}}
                        for block in blocks(sources, sources | allowed, family, excepts=False)
                    ]
                }
                if all(each.protocol is not None for each in services):
                    ports = self._ports(Group(services, {family: (sources, sources)}))
                    ports.sort(key=_width, reverse=True)
                    rule["ports"] = ports[:most]
                    for port in ports[most:]:
                        self.lost_entries |= sources & self.space.family(family) & self._packets(port)
                yield Emission(rule, numbers)

    def _packets(self, port: Object) -> PacketSet:
        """The packets of an entry, whatever their source."""
        low: int = port.get("port", 0)
        high: int = port.get("endPort", low) if low else 0xFFFF
        protocol = self.space.value(Field.PROTOCOL, PROTOCOLS[port["protocol"]])
        return protocol & self.space.values(Field.DESTINATION_PORT, ((low, high),))

    # -- objects ----------------------------------------------------------------------------------------

    def objects(self, identity: Identity, source_note: str) -> tuple[list[Object], list[EmittedRule]]:
        """The rules in objects of at most ``OBJECT_BYTES`` each, and where each rule came to stand."""
        provenance = self.plan.provenance
        decided = {each.origins: self._decided(each.origins) for each in self.emissions}
        behind = {origins: provenance.behind(packets) for origins, packets in decided.items()}
        pieces = chunks(self.emissions)
        objects: list[Object] = []
        emitted: list[EmittedRule] = []
        for number, chunk in enumerate(pieces):
            rules = [emission.rule for emission in chunk]
            name = identity.name if len(pieces) == 1 else chunk_name(identity, rules)
            listed: dict[int, Rule] = {}
            for place, emission in enumerate(chunk):
                origins = emission.origins
                emitted.append(
                    EmittedRule(number, ("spec", "ingress", place), decided[origins], *behind[origins])
                )
                listed |= {rule.number: rule for rule in behind[origins][0]}
            metadata: Object = {"name": name, "namespace": identity.namespace}
            if len(pieces) > 1:
                metadata["labels"] = {SET_LABEL: set_label(identity)}
            metadata["annotations"] = origin_notes(list(listed.values()), source_note)
            objects.append(
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "metadata": metadata,
                    "spec": {
                        "podSelector": {"matchLabels": dict(identity.pod_labels)},
                        "policyTypes": ["Ingress"],
                        "ingress": rules,
                    },
                }
            )
        return objects, emitted

    def _decided(self, origins: Sequence[int]) -> PacketSet:
        """What the plan wants of the groups that a rule comes from."""
        packets = self.space.nothing
        for number in origins:
            packets |= self.groups[number].packets(self.space)
        return packets & self.allowance.wanted

    # -- findings ---------------------------------------------------------------------------------------

    def findings(self) -> list[Finding]:
        """What the way of writing loses, or asks for."""
        result: list[Finding] = []
        plan, wanted = self.plan, self.allowance.wanted
        other = wanted - self.spoken
        if other:
            rules = plan.provenance.rules_behind(other)
            where = f" ({counted(rules)}: {lines_of(rules, plan.provenance.frames)})" if rules else ""
            message = f"IPv6 is accepted by the host, and this CNI has none{where}"
            result.append(closing("N2P411", message, remedy("N2P411"), rules, other))
        if self.lost_ports:
            rules = plan.provenance.rules_behind(self.lost_ports)
            message = (
                f"port ranges of more than {self.writing.expanded} ports cannot be written: this CNI reads the first port "
                f"only ({counted(rules)}: {lines_of(rules, plan.provenance.frames)})"
            )
            result.append(closing("N2P410", message, remedy("N2P410"), rules, self.lost_ports))
        if self.unsure_ports:
            rules = plan.provenance.rules_behind(self.unsure_ports)
            message = (
                f"port ranges of more than {self.writing.expanded} ports are written with endPort, of which nobody says "
                f"that this CNI reads it ({counted(rules)}: {lines_of(rules, plan.provenance.frames)})"
            )
            result.append(closing("N2P419", message, remedy("N2P419"), rules, self.unsure_ports))
        if self.lost_entries:
            rules = plan.provenance.rules_behind(self.lost_entries & wanted)
            message = (
                f"a source may have {self.writing.entries_per_source} ports and port ranges; those beyond are left out "
                f"({counted(rules)}: {lines_of(rules, plan.provenance.frames)})"
            )
            result.append(closing("N2P410", message, remedy("N2P410"), rules, self.lost_entries))
        if self.expanded:
            result.append(Finding("N2P412", "port ranges are written port by port", remedy("N2P412")))
        if self.writing.by_identity:
            result += in_cluster_findings(plan, self.cluster, self.admitted, self.cover.left)
        return result


def chunks(emissions: Sequence[Emission]) -> list[list[Emission]]:
    """Rules by object: additive, so peers may be split anywhere."""
    parts = [Emission(part, each.origins) for each in emissions for part in _parts(each.rule)]
    return in_runs(parts, OBJECT_BYTES, lambda each: size_of(each.rule))


def _parts(rule: Object) -> list[Object]:
    """A rule that is too large alone as several that add up to it: some of its ports from some of its peers."""
    if size_of(rule) <= OBJECT_BYTES:
        return [rule]
    room = OBJECT_BYTES // 4
    peers = [piece for peer in rule.get("from", []) for piece in _peer_parts(peer)]
    parts: list[Object] = [{}]
    for key, items in (("from", peers), ("ports", rule.get("ports", []))):
        if key in rule:
            parts = [{**part, key: some} for part in parts for some in in_runs(items, room)]
    return parts


def _peer_parts(peer: Object) -> list[Object]:
    """A block whose exceptions alone are too many is halved until they are not."""
    if not peer.get("ipBlock", {}).get("except"):
        return [peer]
    whole = Block(peer["ipBlock"]["cidr"], tuple(peer["ipBlock"]["except"]))
    return [
        {"ipBlock": part.listed()}
        for part in halved(whole, lambda part: size_of(part.listed()) <= OBJECT_BYTES // 4)
    ]


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _nearest(network: _Network, known: Container[_Network]) -> _Network | None:
    """The smallest of the known networks around a network."""
    around = (network.supernet(new_prefix=length) for length in range(network.prefixlen - 1, -1, -1))
    return next((each for each in around if each in known), None)


def _width(port: Object) -> int:
    """How many ports an entry has."""
    return port.get("endPort", port["port"]) - port["port"] + 1 if "port" in port else 1 << 16


def _alike(sets: Sequence[PacketSet]) -> list[tuple[tuple[int, ...], PacketSet]]:
    """The packets that are in some of the sets, by the numbers of all those that they are in."""
    space = sets[0].space
    known: list[tuple[int, ...]] = [()]
    places: dict[tuple[int, ...], int] = {(): 0}

    def place_of(numbers: tuple[int, ...]) -> int:
        if numbers not in places:
            places[numbers] = len(known)
            known.append(numbers)
        return places[numbers]

    parted = space.constant(0)
    for number, some in enumerate(sets):

        def joined(values: tuple[int, ...], number: int = number) -> int:
            return place_of((*known[values[0]], number)) if values[1] else values[0]

        parted = space.combine(joined, parted, PacketMap(space, some.node))
    parts = parted.partition(lambda place: place)
    return sorted((known[place], packets) for place, packets in parts.items() if place)


def object_findings(objects: Sequence[Object], identity: Identity) -> list[Finding]:
    """What the objects' size and number ask for."""
    result = []
    ports = [port for each in objects for rule in each["spec"]["ingress"] for port in rule.get("ports", [])]
    if any("endPort" in port for port in ports):
        result.append(Finding("N2P403", "port ranges are written with endPort", remedy("N2P403")))
    if too_large_for_client_side(objects):
        result.append(
            Finding("N2P406", "the policy is too large for kubectl's client-side apply", remedy("N2P406"))
        )
    if len(objects) > 1:
        result.append(
            Finding(
                "N2P404",
                f"the policy is {len(objects)} objects, since one would be too large for an API server",
                f"apply them together: kubectl apply --server-side --prune -l {SET_LABEL}={set_label(identity)}"
                " -f FILE",
            )
        )
    return result
