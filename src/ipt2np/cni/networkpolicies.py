"""Targets that are given networking.k8s.io/v1 NetworkPolicy: one engine, their differences as data."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
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
from ipt2np.cni.kinds.networkpolicy import API_VERSION, KIND, PROTOCOLS, validate
from ipt2np.cni.notes import Note, always, due
from ipt2np.findings import Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
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
    """A rule as it is written, and the group that it comes from."""

    rule: Object
    origin: int


class NetworkPolicies(Cni):
    """NetworkPolicy objects that add up to what a plan accepts."""

    template = "networkpolicy.yaml.j2"
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
        return [Emission(part, origin) for part in self._in_parts(rule)]

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
            {"ipBlock": _block(part)}
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
        """No source with more entries than the target keeps: those that come first stay."""
        most = self.writing.entries_per_source
        if not most:
            return emissions
        wanted: dict[str, dict[str, Object]] = {}
        origin: dict[str, int] = {}
        for emission in emissions:
            for peer in emission.rule.get("from", ANYWHERE):
                cidr = peer["ipBlock"]["cidr"]
                origin.setdefault(cidr, emission.origin)
                for port in emission.rule.get("ports", [{}]):
                    wanted.setdefault(cidr, {})[str(sorted(port.items()))] = port
        kept: dict[str, dict[str, Object]] = {}
        inherited: dict[str, set[str]] = {}
        over = False
        networks = sorted(map(ipaddress.ip_network, wanted), key=lambda network: network.prefixlen)
        for network in networks:
            above = _nearest(network, kept)
            held = set(inherited[above] | kept[above].keys()) if above else set()
            own = {key: port for key, port in wanted[str(network)].items() if key not in held}
            room = most - len(held)
            over |= len(own) > room
            kept[str(network)] = dict(list(own.items())[: max(room, 0)])
            inherited[str(network)] = held
        if not over:
            return emissions
        return self._regrouped(kept, wanted, origin)

    def _regrouped(
        self,
        kept: Mapping[str, Mapping[str, Object]],
        wanted: Mapping[str, Mapping[str, Object]],
        origin: Mapping[str, int],
    ) -> list[Emission]:
        together: dict[tuple[int, tuple[str, ...]], tuple[list[str], list[Object]]] = {}
        for cidr, ports in kept.items():
            if ports:
                key = (origin[cidr], tuple(ports))
                together.setdefault(key, ([], list(ports.values())))[0].append(cidr)
            for key_of, port in wanted[cidr].items():
                if key_of not in ports and not _held_above(cidr, key_of, kept):
                    self.lost_entries |= self._packets(cidr, port)
        result = []
        for (group, _), (cidrs, entries) in together.items():
            rule: Object = {"from": [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]}
            if {} not in entries:
                rule["ports"] = entries
            result.append(Emission(rule, group))
        return result

    def _packets(self, cidr: str, port: Object) -> PacketSet:
        """The packets of an entry for a source."""
        sources = self.space.addresses(Field.SOURCE, AddressSet.cidrs(cidr))
        if not port:
            return sources
        low: int = port.get("port", 0)
        high: int = port.get("endPort", low) if low else 0xFFFF
        protocol = self.space.value(Field.PROTOCOL, PROTOCOLS[port["protocol"]])
        return sources & protocol & self.space.values(Field.DESTINATION_PORT, ((low, high),))

    # -- objects ----------------------------------------------------------------------------------------

    def objects(self, identity: Identity, source_note: str) -> tuple[list[Object], list[EmittedRule]]:
        """The rules in objects of at most ``OBJECT_BYTES`` each, and where each rule came to stand."""
        behind = [
            _Behind.of(self.plan, group.packets(self.space) & self.allowance.wanted) for group in self.groups
        ]
        pieces = chunks(self.emissions)
        objects: list[Object] = []
        emitted: list[EmittedRule] = []
        for number, chunk in enumerate(pieces):
            rules = [emission.rule for emission in chunk]
            name = identity.name if len(pieces) == 1 else chunk_name(identity, rules)
            listed: dict[int, Rule] = {}
            for place, emission in enumerate(chunk):
                origin = behind[emission.origin]
                path = ("spec", "ingress", place)
                emitted.append(EmittedRule(number, path, origin.packets, origin.rules, origin.policies))
                listed |= {rule.number: rule for rule in origin.rules}
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


@dataclass(frozen=True)
class _Behind:
    """Who is behind a group of the plan."""

    packets: PacketSet
    rules: tuple[Rule, ...]
    policies: tuple[str, ...]

    @classmethod
    def of(cls, plan: PolicyPlan, packets: PacketSet) -> _Behind:
        policies = plan.provenance.policies_behind(packets)
        return cls(
            packets,
            tuple(plan.provenance.rules_behind(packets)),
            tuple(dict.fromkeys(f"{policy.chain} policy {policy.effect}" for policy in policies)),
        )


def _block(block: Block) -> Object:
    return {"cidr": block.cidr, "except": list(block.excepts)} if block.excepts else {"cidr": block.cidr}


def chunks(emissions: Sequence[Emission]) -> list[list[Emission]]:
    """Rules by object: additive, so peers may be split anywhere."""
    parts = [Emission(part, each.origin) for each in emissions for part in _parts(each.rule)]
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
        {"ipBlock": _block(part)}
        for part in halved(whole, lambda part: size_of(_block(part)) <= OBJECT_BYTES // 4)
    ]


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _above(network: _Network, known: Mapping[str, object]) -> Iterator[str]:
    """The networks of ``known`` around a network, the nearest first."""
    for length in range(network.prefixlen - 1, -1, -1):
        text = str(network.supernet(new_prefix=length))
        if text in known:
            yield text


def _nearest(network: _Network, known: Mapping[str, object]) -> str | None:
    return next(_above(network, known), None)


def _held_above(cidr: str, key: str, kept: Mapping[str, Mapping[str, Object]]) -> bool:
    return any(key in kept[each] for each in _above(ipaddress.ip_network(cidr), kept))


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
