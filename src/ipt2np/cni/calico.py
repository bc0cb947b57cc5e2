"""``--cni calico``: Calico's own NetworkPolicy, ordered rules that follow the ruleset line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    Profile,
    Reading,
)
from ipt2np.cni.capabilities import of_order
from ipt2np.cni.features import Feature
from ipt2np.cni.fitting.blocks import Block, blocks, halved, layers
from ipt2np.cni.fitting.cover import ALL_PORTS, Icmp, Service, Vocabulary
from ipt2np.cni.fitting.losses import Manner, losses
from ipt2np.cni.fitting.objects import (
    OBJECT_BYTES,
    SET_LABEL,
    digest,
    in_runs,
    origin_notes,
    set_label,
    size_of,
)
from ipt2np.cni.fitting.ordered import Logging, Order, Ordered, Step, ordered
from ipt2np.cni.kinds import networkpolicy
from ipt2np.cni.kinds.calico import VALIDATORS, read
from ipt2np.cni.kubernetes import EVERYWHERE
from ipt2np.findings import Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets import Field, PacketSpace
from ipt2np.packets.intervals import Range, merged
from ipt2np.planning import PlanEffect, PolicyPlan
from ipt2np.rules.model import Rule

API_VERSION = "projectcalico.org/v3"
READ = {**VALIDATORS, **networkpolicy.VALIDATORS}
"""Kubernetes' own policies count beside Calico's."""
PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP", 136: "UDPLite"}
ACTIONS = {PlanEffect.ACCEPT: "Allow", PlanEffect.DROP: "Deny", PlanEffect.REJECT: "Deny", None: "Log"}
NETS_LIMIT, PORTS_LIMIT, RULES_LIMIT = 256, 50, 1000
FIRST_ORDER = 1000
NEEDED = (
    "projectcalico.org/v3 objects are enforced only where Calico's API server or its v3 CRDs are installed "
    "(Calico 3.32), or when they are applied by calicoctl"
)
NETS_LABEL = "ipt2np/nets"
"""The label by which a rule finds the network set that holds its CIDRs."""


def _shape(service: Service) -> tuple[Any, ...]:
    """A rule has one protocol, one ICMP message, one list of source ports."""
    return service.protocol, service.source_ports, service.icmp_type, service.icmp_code


ORDER = Order(
    Vocabulary(
        {4: frozenset(range(1, 256)) - {58}, 6: frozenset(range(1, 256)) - {1}},
        source_ports=True,
        icmp=Icmp.TYPE_AND_CODE,
        icmp_types=254,
    ),
    _shape,
    rejects=False,
    logging=Logging.STEP,
)
"""Sources: calico: api/pkg/apis/projectcalico/v3/policy_common.go, api/pkg/lib/numorstring/protocol.go."""


class Calico(Cni):
    """projectcalico.org/v3 NetworkPolicy and NetworkSet."""

    name = "calico"
    template = "calico.yaml.j2"
    kinds = READ
    platform = EVERYWHERE
    profile = Profile(
        "Calico, any dataplane, with its own policies",
        (f"{API_VERSION} NetworkPolicy", f"{API_VERSION} NetworkSet"),
        "every source's address",
        {
            Feature.PORT_LIST: Capability(Grade.EXACT, f"{PORTS_LIMIT} in a rule, more in more rules"),
            Feature.SCTP: Capability(Grade.PARTLY, "not by the eBPF dataplane"),
            Feature.IPSET: Capability(
                Grade.EXACT, f"with the set's content (--ipset); above {NETS_LIMIT} CIDRs as a NetworkSet"
            ),
            Feature.RATE: Capability(
                Grade.NOT, "no rule has limits; annotations of a pod limit all its connections together"
            ),
            Feature.REJECT: Capability(
                Grade.PARTLY, "dropped, or one answer for the whole cluster (iptablesFilterDenyAction)"
            ),
        },
        (
            Limit(
                "CIDRs in a rule", NETS_LIMIT, "calico: api/config/crd/projectcalico.org_networkpolicies.yaml"
            ),
            Limit(
                "ports in a rule",
                PORTS_LIMIT,
                "calico: api/config/crd/projectcalico.org_networkpolicies.yaml",
            ),
            Limit("rules in a policy", 1024, "calico: api/config/crd/projectcalico.org_networkpolicies.yaml"),
        ),
        (NEEDED,),
    )

    def derived(self) -> Mapping[Feature, Capability]:
        """By what its rules can say, in their order."""
        return of_order(ORDER)

    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """Policies whose rules stand in the ruleset's order, and the network sets of their long lists."""
        written = ordered(plan, ORDER)
        selector = selector_of(identity.pod_labels)
        kinds = Kinds("NetworkPolicy", "NetworkSet", identity.namespace, selector, policy_name(identity.name))
        objects, emitted = Writer(plan, identity, source_note, kinds).objects(written)
        for each in objects:
            VALIDATORS[each["apiVersion"], each["kind"]](each)
        return Fitted(tuple(objects), tuple(emitted), tuple(findings(plan, written)), written.logged)

    def read(
        self, objects: list[Object], identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """Reads the objects as Calico does."""
        return read(objects, identity, space, cluster)


@dataclass(frozen=True)
class Kinds:
    """Of which kinds objects are, and whose policy they make."""

    policy: str
    network_set: str
    namespace: str | None
    selector: str
    name: str

    def metadata(self, name: str) -> Object:
        """The beginning of an object's metadata."""
        return {"name": name} if self.namespace is None else {"name": name, "namespace": self.namespace}


def selector_of(labels: Mapping[str, str]) -> str:
    """Labels as a Calico selector."""
    return " && ".join(f"{key} == '{value}'" for key, value in labels.items()) or "all()"


def policy_name(name: str) -> str:
    """A name that Calico takes for a policy: with one dot at most."""
    return name if name.count(".") < 2 else name.replace(".", "-")


@dataclass
class Writer:
    """Writes the steps of a plan as policies of some kind."""

    plan: PolicyPlan
    identity: Identity
    source_note: str
    kinds: Kinds
    sets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of network sets and their CIDRs."""

    def objects(self, written: Ordered) -> tuple[list[Object], list[EmittedRule]]:
        """Network sets, then policies, and which rule of which object decides what."""
        rules = [(rule, step) for step in written.steps for rule in self._rules(step)]
        chunks = [
            run
            for part in in_runs(rules, OBJECT_BYTES, lambda each: size_of(each[0]))
            for run in (part[n : n + RULES_LIMIT] for n in range(0, max(len(part), 1), RULES_LIMIT))
        ]
        sets = list(self._network_sets())
        split = len(chunks) > 1 or bool(sets)
        policies: list[Object] = []
        emitted: list[EmittedRule] = []
        for number, chunk in enumerate(chunks):
            listed: dict[int, Rule] = {}
            for place, (_, step) in enumerate(chunk):
                path = ("spec", "ingress", place)
                emitted.append(EmittedRule(len(sets) + number, path, step.packets, step.rules, step.policies))
                listed |= {rule.number: rule for rule in step.rules}
            name = (
                self.kinds.name
                if len(chunks) == 1
                else f"{self.kinds.name[:240].rstrip('-.')}-{number + 1:03}"
            )
            metadata = self.kinds.metadata(name)
            if split:
                metadata["labels"] = {SET_LABEL: set_label(self.identity)}
            metadata["annotations"] = origin_notes(list(listed.values()), self.source_note)
            spec = {
                "order": FIRST_ORDER + number,
                "selector": self.kinds.selector,
                "types": ["Ingress"],
                "ingress": [rule for rule, _ in chunk],
            }
            policies.append(
                {"apiVersion": API_VERSION, "kind": self.kinds.policy, "metadata": metadata, "spec": spec}
            )
        return [*sets, *policies], emitted

    def _rules(self, step: Step) -> Iterator[Object]:
        """A step as rules: one a family, and more where a list would be too long."""
        sources = step.group.sources
        service = step.group.services[0]
        base: Object = {"action": ACTIONS[step.effect]}
        whole = len(sources) == 2 and all(
            allowed == self.plan.space.everything for _, allowed in sources.values()
        )
        if whole and service.protocol not in (1, 58):
            yield from self._with_services(base, {}, step)
            return
        for family, (wanted, allowed) in sorted(sources.items()):
            if not wanted:
                continue
            versioned = {**base, "ipVersion": family}
            if allowed == self.plan.space.everything:
                yield from self._with_services(versioned, {}, step)
                continue
            for layer in layers(blocks(wanted, allowed, family)):
                for run in _runs(layer):
                    yield from self._with_services(versioned, self._source(run), step)

    def _source(self, blocks_of: Sequence[Block]) -> Object:
        nets = [block.cidr for block in blocks_of]
        holes = [text for block in blocks_of for text in block.excepts]
        result: Object = {}
        if nets not in (["0.0.0.0/0"], ["::/0"]):
            result |= self._listed(nets)
        if holes:
            result["notNets"] = holes
        return result

    def _listed(self, cidrs: Sequence[str]) -> Object:
        """The CIDRs in the rule itself, or in a network set where there are too many for it."""
        if len(cidrs) <= NETS_LIMIT:
            return {"nets": list(cidrs)}
        label = f"{set_label(self.identity)[:40].rstrip('-.')}-{digest(' '.join(cidrs))[:10]}"
        self.sets[label] = tuple(cidrs)
        return {"selector": f"{NETS_LABEL} == '{label}'"}

    def _network_sets(self) -> Iterator[Object]:
        for label, cidrs in self.sets.items():
            runs = in_runs(cidrs, OBJECT_BYTES)
            for number, run in enumerate(runs):
                labels = {SET_LABEL: set_label(self.identity), NETS_LABEL: label}
                name = label if len(runs) == 1 else f"{label}-{number + 1}"
                metadata = {**self.kinds.metadata(name), "labels": labels}
                yield {
                    "apiVersion": API_VERSION,
                    "kind": self.kinds.network_set,
                    "metadata": metadata,
                    "spec": {"nets": list(run)},
                }

    def _with_services(self, base: Object, source: Object, step: Step) -> Iterator[Object]:
        """A rule for each list of ports that it takes."""
        service = step.group.services[0]
        rule = dict(base)
        if service.protocol is not None:
            rule["protocol"] = PROTOCOLS.get(service.protocol, service.protocol)
        if service.icmp_type is not None:
            code = {} if service.icmp_code is None else {"code": service.icmp_code}
            rule["icmp"] = {"type": service.icmp_type, **code}
        ports = _lists(merged(each.ports for each in step.group.services))
        for from_ports in _lists(service.source_ports):
            for to_ports in ports:
                sides: Object = {}
                if source or from_ports:
                    sides["source"] = {**source, **({"ports": from_ports} if from_ports else {})}
                if to_ports:
                    sides["destination"] = {"ports": to_ports}
                yield {**rule, **sides}


def _runs(layer: Sequence[Block]) -> Iterator[Sequence[Block]]:
    """A layer as runs whose exceptions a rule can list.

    Exceptions are never lifted to a network set: ``notSelector`` would limit a namespaced rule to sources that the
    namespace knows.
    """
    pieces = [part for block in layer for part in halved(block, lambda part: len(part.excepts) <= NETS_LIMIT)]
    if sum(len(block.excepts) for block in pieces) <= NETS_LIMIT:
        yield pieces
        return
    plain = [block for block in pieces if not block.excepts]
    if plain:
        yield plain
    run: list[Block] = []
    filled = 0
    for block in pieces:
        if run and filled + len(block.excepts) > NETS_LIMIT:
            yield run
            run, filled = [], 0
        if block.excepts:
            run.append(block)
            filled += len(block.excepts)
    yield run


def _lists(ranges: Sequence[Range]) -> list[list[int | str]]:
    """Port ranges in lists that a rule takes; one empty list for all ports."""
    if tuple(ranges) == (ALL_PORTS,):
        return [[]]
    written = [low if low == high else f"{low}:{high}" for low, high in ranges]
    return [written[n : n + PORTS_LIMIT] for n in range(0, len(written), PORTS_LIMIT)]


def findings(plan: PolicyPlan, written: Ordered) -> Iterator[Finding]:
    """What Calico's words lose of a plan, and what its objects need."""
    frames = plan.provenance.frames
    yield from losses(plan, Manner("a Calico policy", ORDER.vocabulary, logs=True), written.left)
    if written.unlogged:
        yield Finding(
            "N2P305",
            f"not all is logged that the host logs ({counted(written.unlogged)}: {lines_of(written.unlogged, frames)})",
            remedy("N2P305"),
            written.unlogged,
        )
    stream = plan.space.value(Field.PROTOCOL, 132)
    if any(step.group.services[0].protocol == 132 and step.packets.meets(stream) for step in written.steps):
        yield Finding(
            "N2P414",
            "Calico's eBPF dataplane has no policy for SCTP; its other dataplanes do",
            remedy("N2P414"),
        )
    yield Finding("N2P417", NEEDED, remedy("N2P417"))
