"""``--cni antrea``: Antrea's own NetworkPolicy, ordered rules that accept, drop or reject, and log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from ipt2np.cni.base import (
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
)
from ipt2np.cni.capabilities import of_host, of_order
from ipt2np.cni.features import Feature
from ipt2np.cni.fitting.blocks import blocks, halved
from ipt2np.cni.fitting.cover import ALL_PORTS, Icmp, Service, Vocabulary
from ipt2np.cni.fitting.losses import Manner, losses
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
from ipt2np.cni.fitting.ordered import Logging, Order, Ordered, Step, ordered
from ipt2np.cni.kinds import antrea
from ipt2np.cni.kinds.antrea.platform import TO_NODES, TO_PODS
from ipt2np.findings import Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets import PacketSpace
from ipt2np.planning import PlanEffect, PolicyPlan
from ipt2np.rules.model import Rule

API_VERSION = "crd.antrea.io/v1beta1"
PORTED = {6: "TCP", 17: "UDP", 132: "SCTP"}
ACTIONS = {PlanEffect.ACCEPT: "Allow", PlanEffect.DROP: "Drop", PlanEffect.REJECT: "Reject"}
NODES = "node policies count only where the feature gate NodeNetworkPolicy is on, on Linux nodes (alpha)"
ROOM = OBJECT_BYTES // 2
"""A rule's sources take no more; what is more goes into rules behind it."""
FIRST_PRIORITY = 100
"""Of 1 to 10000: room for policies in front."""


def _shape(service: Service) -> str:
    """Ports of every protocol stand in one list, ICMP messages in another; either list alone means the rule."""
    return "any" if service.protocol is None else "ports" if service.protocol in PORTED else "icmp"


ORDER = Order(
    Vocabulary(
        {4: frozenset((*PORTED, 1)), 6: frozenset((*PORTED, 58))}, source_ports=True, icmp=Icmp.TYPE_AND_CODE
    ),
    _shape,
    rejects=True,
    logging=Logging.FLAG,
)
"""Sources: antrea: build/charts/antrea/crds/networkpolicy.yaml, docs/antrea-network-policy.md."""


class Antrea(Cni):
    """crd.antrea.io/v1beta1 NetworkPolicy."""

    name = "antrea"
    template = "antrea.yaml.j2"
    kinds = antrea.VALIDATORS
    answer: ClassVar[str] = "a TCP reset, or ICMP host-administratively-prohibited for other protocols"
    """How refused packets are answered (antrea: docs/antrea-network-policy.md)."""
    host: ClassVar[bool] = False
    """True where nodes are selected, and the objects are the cluster's."""
    platform: ClassVar[Sequence[PlatformEffect]] = TO_PODS
    profile = Profile(
        "Antrea with its own policies",
        (f"{API_VERSION} NetworkPolicy",),
        "every source's address",
        {
            Feature.REJECT: Capability(
                Grade.PARTLY,
                "a TCP reset, else ICMP host-administratively-prohibited, whatever --reject-with says",
            )
        },
        (Limit("priorities of policies", 10_000, "antrea: docs/antrea-network-policy.md"),),
    )

    def derived(self) -> Mapping[Feature, Capability]:
        """By what its rules can say, in their order."""
        kept = of_order(ORDER)
        return of_host(kept, self.by_interface) if self.host else kept

    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """Policies whose rules stand in the ruleset's order; the last one drops what is left."""
        written = ordered(plan, ORDER)
        objects, emitted = _objects(plan, written, identity, source_note, self.host)
        for each in objects:
            antrea.VALIDATORS[each["apiVersion"], each["kind"]](each)
        findings = tuple(_findings(plan, written, objects, self.answer))
        return Fitted(tuple(objects), tuple(emitted), findings, written.logged, written.rejected)

    def read(
        self, objects: list[Object], identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """Reads the objects as Antrea does."""
        if self.host:
            return antrea.read_host(objects, identity.pod_labels, space)
        return antrea.read(objects, identity, space, cluster)


class AntreaNode(Antrea):
    """crd.antrea.io/v1beta1 ClusterNetworkPolicy applied to nodes."""

    host = True
    answer = "an ICMP port-unreachable"
    platform = TO_NODES
    client_address = "nothing stands between a client and the node itself"
    profile = Profile(
        "Antrea's policies for nodes",
        (f"{API_VERSION} ClusterNetworkPolicy",),
        "every source's address",
        {Feature.REJECT: Capability(Grade.PARTLY, "an ICMP port-unreachable, whatever --reject-with says")},
        Antrea.profile.limits,
        (NODES,),
    )

    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """As for pods, with what a host's filter asks for besides."""
        fitted = super().fit(plan, identity, cluster, source_note)
        note = Finding("N2P417", NODES, remedy("N2P417"))
        return replace(fitted, findings=(*fitted.findings, note))


def _objects(
    plan: PolicyPlan, written: Ordered, identity: Identity, source_note: str, host: bool
) -> tuple[list[Object], list[EmittedRule]]:
    rules: list[tuple[Object, Step | None]] = [
        (rule, step) for step in written.steps for rule in _rules(plan, step)
    ]
    rules.append(({"name": "rest", "action": "Drop"}, None))
    for number, (rule, step) in enumerate(rules):
        if step is not None:
            rules[number] = ({"name": f"rule-{number + 1}", **rule}, step)
    chunks = in_runs(rules, OBJECT_BYTES, lambda each: size_of(each[0]))
    objects: list[Object] = []
    emitted: list[EmittedRule] = []
    for number, chunk in enumerate(chunks):
        listed: dict[int, Rule] = {}
        for place, (_, step) in enumerate(chunk):
            if step is not None:
                path = ("spec", "ingress", place)
                emitted.append(EmittedRule(number, path, step.packets, step.rules, step.policies))
                listed |= {rule.number: rule for rule in step.rules}
        ingress = [rule for rule, _ in chunk]
        selector = "nodeSelector" if host else "podSelector"
        name = identity.name if len(chunks) == 1 else chunk_name(identity, [number, ingress])
        metadata: Object = {"name": name} if host else {"name": name, "namespace": identity.namespace}
        if len(chunks) > 1:
            metadata["labels"] = {SET_LABEL: set_label(identity)}
        metadata["annotations"] = origin_notes(list(listed.values()), source_note)
        spec = {
            "priority": FIRST_PRIORITY + number,
            "appliedTo": [{selector: {"matchLabels": dict(identity.pod_labels)}}],
            "ingress": ingress,
        }
        kind = "ClusterNetworkPolicy" if host else "NetworkPolicy"
        objects.append({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
    return objects, emitted


def _rules(plan: PolicyPlan, step: Step) -> Iterator[Object]:
    """A step as rules: peers of both families in one, ICMP messages of each family in one of its own."""
    assert step.effect is not None
    sources, everything = step.group.sources, plan.space.everything
    services = step.group.services
    by_family = services[0].protocol in (1, 58)
    whole = len(sources) == 2 and all(allowed == everything for _, allowed in sources.values())
    peers = {
        family: [
            {"ipBlock": part.listed()}
            for block in blocks(wanted, allowed, family)
            for part in halved(block, lambda part: size_of(part.listed()) <= ROOM)
        ]
        for family, (wanted, allowed) in sorted(sources.items())
        if wanted
    }
    base: Object = {"action": ACTIONS[step.effect]}
    if step.logged:
        base["enableLogging"] = True
    if by_family:
        for family, listed in peers.items():
            messages = [_message(each) for each in services if each.protocol == (1 if family == 4 else 58)]
            if messages:
                for run in in_runs(listed, ROOM):
                    yield {**base, "from": run, "protocols": messages}
        return
    ports = [port for each in services for port in _ports(each)] if services[0].protocol is not None else []
    more: Object = {"ports": ports} if ports else {}
    if whole:
        yield {**base, **more}
        return
    for run in in_runs([peer for listed in peers.values() for peer in listed], ROOM):
        yield {**base, "from": run, **more}


def _message(service: Service) -> Object:
    if service.icmp_type is None:
        return {"icmp": {}}
    code = {} if service.icmp_code is None else {"icmpCode": service.icmp_code}
    return {"icmp": {"icmpType": service.icmp_type, **code}}


def _ports(service: Service) -> Iterator[Object]:
    assert service.protocol is not None
    base: dict[str, Any] = {"protocol": PORTED[service.protocol]}
    low, high = service.ports
    if service.ports != ALL_PORTS:
        base |= {"port": low} if low == high else {"port": low, "endPort": high}
    for first, last in service.source_ports:
        if (first, last) == ALL_PORTS:
            yield base
        else:
            yield {**base, "sourcePort": first, **({} if first == last else {"sourceEndPort": last})}


def _findings(
    plan: PolicyPlan, written: Ordered, objects: Sequence[Object], answer: str
) -> Iterator[Finding]:
    frames = plan.provenance.frames
    yield from losses(plan, Manner("an Antrea policy", ORDER.vocabulary, answer, logs=True), written.left)
    if written.unanswered:
        yield Finding(
            "N2P304",
            f"some refused packets are dropped without the answer that REJECT gives ({counted(written.unanswered)}: "
            f"{lines_of(written.unanswered, frames)})",
            remedy("N2P304"),
            written.unanswered,
        )
    if written.unlogged:
        yield Finding(
            "N2P305",
            f"not all is logged that the host logs ({counted(written.unlogged)}: {lines_of(written.unlogged, frames)})",
            remedy("N2P305"),
            written.unlogged,
        )
    if too_large_for_client_side(objects):
        yield Finding("N2P406", "the policy is too large for kubectl's client-side apply", remedy("N2P406"))
