"""``--cni cilium``: CiliumNetworkPolicy, which knows sources by identity and lets denials win."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from ipt2np.cni.base import (
    NODE,
    POD,
    SOURCE_CLASSES,
    Capability,
    Cluster,
    Cni,
    EmittedRule,
    Fitted,
    Grade,
    Identity,
    Limit,
    Object,
    PlatformEffect,
    Profile,
    Reading,
    either,
)
from ipt2np.cni.capabilities import of_host, of_words
from ipt2np.cni.features import Feature
from ipt2np.cni.fitting.blocks import blocks, halved, without_wildcard
from ipt2np.cni.fitting.cover import ALL_PORTS, SERVICE_FIELDS, Cover, Group, Icmp, Service, Vocabulary, cover
from ipt2np.cni.fitting.incluster import (
    admits_class,
    all_but_bans,
    cidrs_of,
    external,
    in_cluster_findings,
    packets_from,
)
from ipt2np.cni.fitting.losses import Manner, losses
from ipt2np.cni.fitting.objects import (
    OBJECT_BYTES,
    SET_LABEL,
    chunk_name,
    digest,
    in_runs,
    origin_notes,
    set_label,
    size_of,
)
from ipt2np.cni.kinds import cilium
from ipt2np.cni.kubernetes import EVERYWHERE
from ipt2np.findings import Difference, Finding, Predicted
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets import Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import merged
from ipt2np.planning import Allowance, PolicyPlan
from ipt2np.rules.model import Rule
from ipt2np.semantics import Can

API_VERSION = "cilium.io/v2"
NAMES = {6: "TCP", 17: "UDP", 132: "SCTP"}
ROOM = OBJECT_BYTES // 2
"""A rule's sources take no more; what is more goes into further rules."""
LISTED_CIDRS = 200
"""A rule with more CIDRs names a group of them, so that each does not need an identity of its own for every rule."""
ALL_PODS: Object = {"matchExpressions": [{"key": "k8s:io.kubernetes.pod.namespace", "operator": "Exists"}]}
UNKNOWN_DROPPED = "the datapath drops all but TCP, UDP, SCTP and ICMP; what enable-extended-ip-protocols adds is not written"
NODES = (
    "node policies count only where Cilium's host firewall is on (hostFirewall.enabled), on its own devices"
)
NAMED = ((1, 1), (6, 6), (17, 17), (58, 58), (132, 132))
"""The protocols that rules can name, as ranges."""
ANYWHERE = {4: "0.0.0.0/0", 6: "::/0"}

WORDS = Vocabulary(
    {4: frozenset((*NAMES, 1)), 6: frozenset((*NAMES, 58))},
    frozenset(NAMES),
    icmp=Icmp.TYPE,
    whole_icmp=False,
)
"""Sources: cilium: pkg/policy/api/l4.go, icmp.go."""


def _shape(service: Service) -> str:
    return "any" if service.protocol is None else "ports" if service.protocol in NAMES else "icmp"


class Cilium(Cni):
    """cilium.io/v2 CiliumNetworkPolicy."""

    name = "cilium"
    template = "cilium.yaml.j2"
    kinds = cilium.VALIDATORS
    match_modes = True
    sctp_documented: ClassVar[bool] = True
    """False where nobody says whether SCTP is handled."""
    host: ClassVar[bool] = False
    """True where nodes are selected, and the objects are the cluster's."""
    options: ClassVar[cilium.Options] = cilium.Options(cidr_match=frozenset())
    platform: ClassVar[Sequence[PlatformEffect]] = EVERYWHERE
    profile = Profile(
        "Cilium with its own policies",
        (f"{API_VERSION} CiliumNetworkPolicy", f"{API_VERSION} CiliumCIDRGroup"),
        "sources outside the cluster; pods and nodes by what they are",
        {
            Feature.SOURCE: Capability(Grade.EXACT, "of sources outside the cluster"),
            Feature.PORT_RANGE: Capability(Grade.EXACT, "by endPort: Cilium 1.17 or newer"),
            Feature.PORT_LIST: Capability(Grade.EXACT, f"{cilium.MAX_ENTRIES} in a list, more in more lists"),
            Feature.SCTP: Capability(
                Grade.PARTLY, "dropped unless Cilium was told to handle it (enable-sctp)"
            ),
            Feature.PROTOCOL: Capability(Grade.NOT, UNKNOWN_DROPPED),
            Feature.IPSET: Capability(
                Grade.EXACT,
                f"with the set's content (--ipset); above {LISTED_CIDRS} CIDRs as a CiliumCIDRGroup",
            ),
            Feature.DEFAULT_ACCEPT: Capability(
                Grade.PARTLY, "denials on an open base; protocols that the datapath drops stay closed"
            ),
            Feature.IN_CLUSTER: Capability(
                Grade.PARTLY, "all pods or all nodes together, unless the agent matches them by CIDR"
            ),
        },
        (
            Limit(
                "ports in a list, of several", cilium.MAX_ENTRIES, "cilium: pkg/policy/api/rule_validation.go"
            ),
            Limit(
                "entries in an endpoint's policy map", cilium.DEFAULT_MAP_SIZE, "cilium: pkg/option/config.go"
            ),
        ),
    )

    def derived(self) -> Mapping[Feature, Capability]:
        """By what its rules can say."""
        kept = of_words(WORDS)
        return of_host(kept, self.by_interface) if self.host else kept

    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """Denials on an open base where the host accepts by default and they say it exactly, else what is allowed."""
        fitting = _Fitting(plan, self.as_set(cluster), identity, self.host)
        objects, emitted = fitting.objects(source_note)
        for each in objects:
            cilium.VALIDATORS[each["apiVersion"], each["kind"]](each)
        findings = (
            *fitting.findings(),
            *_ranges(objects),
            *self._datapath(plan),
            *self._cost(objects, identity),
        )
        return Fitted(tuple(objects), tuple(emitted), findings)

    def read(
        self, objects: list[Object], identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """Reads the objects as Cilium does."""
        reading = self._read(objects, identity, cluster, space, self.options.sctp)
        if self.sctp_documented:
            return reading
        return either(reading, self._read(objects, identity, cluster, space, not self.options.sctp))

    def _read(
        self, objects: list[Object], identity: Identity, cluster: Cluster, space: PacketSpace, sctp: bool
    ) -> Mapping[str, Reading]:
        options = replace(self.options, cidr_match=self.as_set(cluster).cidr_match, sctp=sctp)
        if self.host:
            return cilium.read_host(objects, identity.pod_labels, space, cluster, options)
        return cilium.read(objects, identity, space, cluster, options)

    def _datapath(self, plan: PolicyPlan) -> list[Finding]:
        of_sctp = (
            "SCTP is dropped unless Cilium was told to handle it (enable-sctp); the host accepts some"
            if self.sctp_documented
            else "whether SCTP is let through is not documented; the host accepts some"
        )
        return datapath_findings(plan, of_sctp)

    def _cost(self, objects: Sequence[Object], identity: Identity) -> list[Finding]:
        entries = (
            cilium.host_map_entries(list(objects), identity.pod_labels, self.options)
            if self.host
            else cilium.map_entries(list(objects), identity, self.options)
        )
        if entries <= cilium.DEFAULT_MAP_SIZE:
            return [
                Finding(
                    "N2P420",
                    f"the policy needs about {entries} of the {cilium.DEFAULT_MAP_SIZE} entries of a pod's policy map",
                    remedy("N2P420"),
                )
            ]
        return [
            Finding(
                "N2P410",
                f"the policy needs about {entries} entries in a pod's policy map, which has {cilium.DEFAULT_MAP_SIZE} by "
                "default: a policy that does not fit is enforced in part",
                "raise bpf-policy-map-max (at most 65536), or merge sources and ports",
            )
        ]


class CiliumHost(Cilium):
    """cilium.io/v2 CiliumClusterwideNetworkPolicy with a node selector: Cilium's host firewall."""

    host = True
    platform = ()
    client_address = "nothing stands between a client and the node itself"
    profile = Profile(
        "Cilium's host firewall",
        (f"{API_VERSION} {cilium.CLUSTERWIDE}", f"{API_VERSION} {cilium.GROUP}"),
        Cilium.profile.sources,
        Cilium.profile.capabilities,
        Cilium.profile.limits,
        (NODES,),
    )

    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """As for pods, with what a host's filter asks for besides."""
        fitted = super().fit(plan, identity, cluster, source_note)
        note = Finding("N2P417", NODES, remedy("N2P417"))
        return replace(fitted, findings=(*fitted.findings, note))


def _ranges(objects: Sequence[Object]) -> list[Finding]:
    """Agents that do not know endPort take the first port of a range."""
    rules = [
        rule for each in objects for name in ("ingress", "ingressDeny") for rule in each["spec"].get(name, [])
    ]
    entries = [port for rule in rules for listed in rule.get("toPorts", []) for port in listed["ports"]]
    if not any("endPort" in port for port in entries):
        return []
    message = (
        "port ranges are written with endPort, of which Cilium before 1.17 (AKS before Kubernetes 1.32) reads the first "
        "port only"
    )
    return [Finding("N2P403", message, "check the version of Cilium")]


def dropped_by_datapath(space: PacketSpace) -> PacketSet:
    """The packets of protocols that Cilium's datapath does not know, but for SCTP, which it can be told to handle."""
    icmp = space.value(Field.PROTOCOL, 1) & space.family(4) | space.value(Field.PROTOCOL, 58) & space.family(
        6
    )
    return ~(space.values(Field.PROTOCOL, ((6, 6), (17, 17), (132, 132))) | icmp)


def datapath_findings(plan: PolicyPlan, of_sctp: str) -> list[Finding]:
    """What Cilium's datapath drops of the accepted packets whatever a policy says; ``of_sctp`` says so of SCTP."""
    space, wanted = plan.space, plan.allow_only().wanted
    stream = wanted & space.value(Field.PROTOCOL, 132)
    unknown = wanted & dropped_by_datapath(space)
    result = []
    for code, packets, message in (
        (
            "N2P413",
            unknown,
            "Cilium's datapath drops protocols other than TCP, UDP, SCTP and ICMP; the host accepts some",
        ),
        ("N2P414", stream, of_sctp),
    ):
        if packets:
            predicted = (Predicted(Difference.CLOSES, packets, SOURCE_CLASSES),)
            rules = tuple(plan.provenance.rules_behind(packets))
            where = f" ({counted(rules)}: {lines_of(rules, plan.provenance.frames)})" if rules else ""
            result.append(Finding(code, message + where, remedy(code), rules, predicted=predicted))
    return result


@dataclass
class _Rule:
    section: str
    body: Object
    packets: PacketSet
    what: Can


@dataclass
class _Fitting:
    plan: PolicyPlan
    cluster: Cluster
    identity: Identity
    host: bool
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        space = self.space = self.plan.space
        self.allowance: Allowance = self.plan.allow_only()
        self.admitted = {POD: space.nothing, NODE: space.nothing}
        self.denied = {POD: space.nothing, NODE: space.nothing}
        self.left = space.nothing
        denied = self._denials()
        self.open_base = denied is not None
        self.rules = self._denying(denied) if denied is not None else self._allowing()

    def _cover(self, wanted: PacketSet, allowed: PacketSet) -> Cover:
        return cover(wanted, allowed, self.plan.families, WORDS, _shape)

    # -- denials on an open base ------------------------------------------------------------------------

    def _denials(self) -> Cover | None:
        """What to deny, where the host accepts by default and nothing of it is lost by saying it so.

        The base is open where protocols that no rule can name are accepted from all but some sources. Denials by CIDR do
        not reach pods and nodes: where declared ones are to be refused in part, this is no way.
        """
        space, plan, inside = self.space, self.plan, (POD, NODE)
        spoken = space.nothing
        for family in plan.families:
            spoken |= space.family(family)
        unnamed = spoken - space.values(Field.PROTOCOL, NAMED)
        if not self.cluster.in_cluster or not all_but_bans(self._sources_of(unnamed), space):
            return None
        # What the datapath drops whatever the policy says need not be denied.
        refused = plan.judged - self.allowance.wanted - unnamed
        free = (spoken - plan.judged) | unnamed
        declared = {name: packets_from(space, cidrs_of(self.cluster, name)) for name in inside}
        for name in inside:
            if not self._matched(name):
                free |= declared[name] & spoken
        found = self._cover(refused, refused | free)
        if found.left:
            return None
        for name in inside:
            for group in found.groups:
                if self._matched(name):
                    self.denied[name] |= group.packets(space)
                elif self._denies(group, name):
                    self.denied[name] |= group.services_packets(space)
            if refused.meets(declared[name] - self.denied[name]):
                return None
        return found

    def _sources_of(self, packets: PacketSet) -> dict[int, tuple[PacketSet, PacketSet]]:
        """The sources from which all of ``packets`` are accepted."""
        result = {}
        for family in self.plan.families:
            sources = self.space.of_family(self.allowance.allowed | ~packets, family)
            for each in SERVICE_FIELDS:
                sources = sources.every(each)
            result[family] = (sources, sources)
        return result

    def _matched(self, name: str) -> bool:
        """True where CIDRs match a class by address."""
        return f"{name}s" in self.cluster.cidr_match

    def _denies(self, group: Group, name: str) -> bool:
        """True where a whole class is to be refused a group's services.

        Declared: the host refuses them to every address of the class. Not declared: what it refuses is more than bans.
        """
        packets = group.services_packets(self.space) & self.plan.judged
        cidrs = cidrs_of(self.cluster, name)
        if not cidrs:
            others = {family: (~refused, ~refused) for family, (refused, _) in group.sources.items()}
            return not all_but_bans(others, self.space)
        packets &= packets_from(self.space, cidrs)
        return bool(packets) and not packets.meets(self.allowance.wanted)

    def _denying(self, denied: Cover) -> list[_Rule]:
        space = self.space
        self.admitted = {name: space.everything - packets for name, packets in self.denied.items()}
        rules = []
        for group in denied.groups:
            packets = group.packets(space)
            classes = [name for name in (POD, NODE) if not self._matched(name) and self._denies(group, name)]
            for body in self._with_services([*self._cidr_peers(group), *_class_peers(classes)], group):
                rules.append(_Rule("ingressDeny", body, packets, Can.REFUSE))
        for family in (4, 6):
            if family not in self.plan.families:
                body = {"fromCIDRSet": [{"cidr": ANYWHERE[family]}]}
                rules.append(_Rule("ingressDeny", body, space.nothing, Can.REFUSE))
        return rules

    # -- what is allowed --------------------------------------------------------------------------------

    def _allowing(self) -> list[_Rule]:
        found = self._cover(self.allowance.wanted, self.allowance.allowed)
        self.left = found.left
        return [rule for group in found.groups for rule in self._allow(group)]

    def _allow(self, group: Group) -> Iterator[_Rule]:
        space, everything = self.space, self.space.everything
        packets = group.packets(space)
        services = _services(group, space)
        if len(group.sources) == 2 and all(allowed == everything for _, allowed in group.sources.values()):
            self._admit(services, POD, NODE)
            peers = [{"fromEntities": ["all"]} if group.services[0].protocol is None else {}]
        else:
            peers = [*self._cidr_peers(group), *self._peers_inside(group, services)]
        for name in (POD, NODE):
            if self._matched(name):
                self._admit(packets, name)
        for body in self._with_services(peers, group):
            yield _Rule("ingress", body, packets, Can.ACCEPT)

    def _admit(self, packets: PacketSet, *classes: str) -> None:
        for each in classes:
            self.admitted[each] |= packets

    def _peers_inside(self, group: Group, services: PacketSet) -> list[Object]:
        """The peers for all pods or all nodes, where CIDRs do not match them by address."""
        if not self.cluster.in_cluster:
            return []
        chosen = [
            name
            for name in (POD, NODE)
            if not self._matched(name) and admits_class(group.sources, self.cluster, name, self.space)
        ]
        self._admit(services, *chosen)
        return _class_peers(chosen)

    # -- bodies -----------------------------------------------------------------------------------------

    def _cidr_peers(self, group: Group) -> list[Object]:
        sources = external(group.sources, self.cluster, self.space)
        found = [
            block
            for family, (wanted, allowed) in sorted(sources.items())
            for block in blocks(wanted, allowed, family)
        ]
        if self.cluster.cidr_match:
            found = [part for block in found for part in without_wildcard(block)]
        found = [
            part for block in found for part in halved(block, lambda part: size_of(part.listed()) <= ROOM)
        ]
        plain = [block.cidr for block in found if not block.excepts]
        if len(plain) > LISTED_CIDRS:
            entries: list[Object] = [block.listed() for block in found if block.excepts]
            entries += [{"cidrGroupRef": name} for name in self._grouped(plain)]
        else:
            entries = [block.listed() for block in found]
        return [{"fromCIDRSet": run} for run in in_runs(entries, ROOM) if run]

    def _grouped(self, cidrs: Sequence[str]) -> list[str]:
        names = []
        for run in in_runs(cidrs, OBJECT_BYTES):
            name = f"{self.identity.name[:200].rstrip('-.')}-{digest(' '.join(run))[:10]}"
            self.groups[name] = tuple(run)
            names.append(name)
        return names

    def _with_services(self, peers: Sequence[Object], group: Group) -> Iterator[Object]:
        """Each peer with the group's services: lists of at most so many entries each."""
        kind = _shape(group.services[0])
        for peer in peers:
            if kind == "any":
                yield dict(peer)
            elif kind == "ports":
                yield {**peer, "toPorts": [{"ports": run} for run in _runs(_ports(group))]}
            else:
                for run in _runs(_messages(group)):
                    yield {**peer, "icmps": [{"fields": run}]}

    # -- objects ----------------------------------------------------------------------------------------

    def objects(self, source_note: str) -> tuple[list[Object], list[EmittedRule]]:
        chunks = in_runs(self.rules, OBJECT_BYTES, lambda each: size_of(each.body))
        sets: list[Object] = [
            {
                "apiVersion": API_VERSION,
                "kind": "CiliumCIDRGroup",
                "metadata": {"name": name, "labels": {SET_LABEL: set_label(self.identity)}},
                "spec": {"externalCIDRs": list(cidrs)},
            }
            for name, cidrs in self.groups.items()
        ]
        objects: list[Object] = []
        emitted: list[EmittedRule] = []
        provenance = self.plan.provenance
        for number, chunk in enumerate(chunks):
            selector = "nodeSelector" if self.host else "endpointSelector"
            spec: Object = {selector: {"matchLabels": dict(self.identity.pod_labels)}}
            if self.open_base:
                spec["enableDefaultDeny"] = {"ingress": False}
            listed: dict[int, Rule] = {}
            for rule in chunk:
                section = spec.setdefault(rule.section, [])
                behind, policies = provenance.behind(rule.packets, rule.what)
                path = ("spec", rule.section, len(section))
                emitted.append(EmittedRule(len(sets) + number, path, rule.packets, behind, policies))
                listed |= {each.number: each for each in behind}
                section.append(rule.body)
            if not chunk:
                # A rule that matches nothing: the section must not be empty, and it isolates the pod.
                spec["ingress"] = [{}]
            name = (
                self.identity.name if len(chunks) == 1 else chunk_name(self.identity, [r.body for r in chunk])
            )
            metadata: Object = (
                {"name": name} if self.host else {"name": name, "namespace": self.identity.namespace}
            )
            if len(chunks) > 1 or sets:
                metadata["labels"] = {SET_LABEL: set_label(self.identity)}
            metadata["annotations"] = origin_notes(list(listed.values()), source_note)
            kind = cilium.CLUSTERWIDE if self.host else cilium.POLICY
            objects.append({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
        return [*sets, *objects], emitted

    def findings(self) -> list[Finding]:
        """What is lost and opened by the words, and by matching identities."""
        return [
            *losses(self.plan, Manner("a CiliumNetworkPolicy", WORDS), self._lost()),
            *in_cluster_findings(self.plan, self.cluster, self.admitted, self.left),
        ]

    def _lost(self) -> PacketSet:
        """What the words cannot say, but for what the datapath drops anyway, which is told of by itself."""
        space = self.space
        known = space.values(Field.PROTOCOL, ((1, 1), (6, 6), (17, 17), (58, 58), (132, 132)))
        return self.left & known


def _services(group: Group, space: PacketSpace) -> PacketSet:
    """The packets of a group's services, ICMP messages of their own family only."""
    result = space.nothing
    for service in group.services:
        packets = service.packets(space)
        if service.protocol in (1, 58):
            packets &= space.family(4 if service.protocol == 1 else 6)
        result |= packets
    return result


def _class_peers(classes: Sequence[str]) -> list[Object]:
    """The peers that stand for whole classes of sources inside the cluster."""
    if len(classes) == 2:
        return [{"fromEntities": ["cluster"]}]
    if list(classes) == [POD]:
        return [{"fromEndpoints": [ALL_PODS]}]
    return [{"fromEntities": ["remote-node"]}] if classes else []


def _ports(group: Group) -> list[Object]:
    result: list[Object] = []
    for protocol, name in NAMES.items():
        for low, high in merged(each.ports for each in group.services if each.protocol == protocol):
            entry: Object = {"port": "0" if (low, high) == ALL_PORTS else str(low)}
            if (low, high) != ALL_PORTS and low != high:
                entry["endPort"] = high
            result.append({**entry, "protocol": name})
    return result


def _messages(group: Group) -> list[Object]:
    return [
        {"family": "IPv4" if each.protocol == 1 else "IPv6", "type": each.icmp_type}
        for each in group.services
    ]


def _runs(entries: Sequence[Object]) -> list[list[Object]]:
    return [list(entries[n : n + cilium.MAX_ENTRIES]) for n in range(0, len(entries), cilium.MAX_ENTRIES)]
