"""What Antrea lets through: tiers, Kubernetes' own policies, the baseline tier.

Rules decide in the order of tier, policy priority and place in the policy; the first that matches does. Native
policies isolate nothing: what they leave undecided goes on to Kubernetes' NetworkPolicies, and where none selects the
pod, to the baseline tier, behind which everything is allowed. What stays open (a selector that may or may not stand
for an address, policies of equal priority) is followed both ways, so that each packet has a set of possible ends; with
more than one of them it is undefined.

Sources: antrea: docs/antrea-network-policy.md, docs/antrea-node-network-policy.md, docs/design/ovs-pipeline.md,
pkg/agent/controller/networkpolicy/node_reconciler_linux.go. The pod's own node and established connections never
meet a policy and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from ipt2np.cni.base import Cluster, Identity, Object, Reading
from ipt2np.cni.kinds import networkpolicy
from ipt2np.cni.kinds.antrea.bounds import Bounds
from ipt2np.cni.kinds.antrea.matching import CLASSES, BySource, Peers, services
from ipt2np.cni.kinds.antrea.schema import (
    BASELINE_TIER,
    CLUSTER_GROUP,
    CLUSTER_POLICY,
    GROUP,
    POLICY,
    STATIC_TIERS,
    check_together,
    group_key,
    of_kind,
    tier_name,
    tier_priorities,
)
from ipt2np.cni.kinds.antrea.subjects import Subject, applies, namespace_of
from ipt2np.packets import PacketSet, PacketSpace


@dataclass(frozen=True, slots=True)
class _Rule:
    action: str
    packets: BySource


_Stage = Sequence[Sequence[_Rule]]
"""The policies of one tier and priority, each with its rules in order."""


@dataclass(frozen=True, slots=True)
class _Walked:
    """Possible ends of packets that went through some stages: by action, and those that nothing decided for certain."""

    ends: Mapping[str, PacketSet]
    left: PacketSet

    def on(self) -> PacketSet:
        """The packets that may go on to what follows."""
        return self.left | self.ends["Pass"]


@dataclass(frozen=True, slots=True)
class _Ends:
    """Possible ends of every packet."""

    allowed: PacketSet
    dropped: PacketSet
    rejected: PacketSet

    def reading(self) -> Reading:
        """Certainly allowed, and allowed or not."""
        refused = self.dropped | self.rejected
        return Reading(self.allowed - refused, self.allowed & refused)


def _walk(stages: Iterable[_Stage], packets: PacketSet, source: str) -> _Walked:
    """The packets' way through the stages.

    In a stage any policy may come first, so each is walked by itself; what one of them matches for certain goes no
    further. A rule adds only its own packets to what is accumulated: rules that are small stay cheap however many.
    """
    nothing = packets.space.nothing
    ends = dict.fromkeys(("Allow", "Drop", "Reject", "Pass"), nothing)
    left = packets
    for stage in stages:
        decided = nothing
        for policy in stage:
            before = nothing
            for rule in policy:
                bounds = rule.packets[source]
                ends[rule.action] |= (left & bounds.may) - before
                before |= bounds.must
            decided |= before
        left -= decided
    return _Walked(ends, left)


class _Policies:
    """The policies that may apply to a pod or a node, as stages."""

    def __init__(self, objects: Sequence[Object], subject: Subject, space: PacketSpace) -> None:
        check_together(objects)
        self._space = space
        self._subject = subject
        self._groups = {group_key(group): group for group in of_kind(objects, GROUP, CLUSTER_GROUP)}
        self._peers = Peers(self._groups, space)
        tiers = tier_priorities(objects)
        ordered = sorted(
            ((tiers[tier_name(policy)], policy["spec"]["priority"], policy) for policy in _native(objects)),
            key=lambda each: each[:2],
        )
        before: list[_Stage] = []
        behind: list[_Stage] = []
        for (tier, _), stage in groupby(ordered, key=lambda each: each[:2]):
            policies = [rules for _, _, policy in stage if (rules := self._rules(policy))]
            (behind if tier == STATIC_TIERS[BASELINE_TIER] else before).append(policies)
        self._before, self._behind = before, behind
        self._kubernetes = [self._allowed(policy) for policy in objects if self._isolates(policy)]

    def ends(self) -> Mapping[str, _Ends]:
        """The possible ends of all packets, by class of sources."""
        found: dict[tuple[int, ...], _Ends] = {}
        result: dict[str, _Ends] = {}
        for source in CLASSES:
            # Policies without selectors among their peers are the same for every class.
            key = tuple(
                node for bounds in self._bounds(source) for node in (bounds.must.node, bounds.may.node)
            )
            if key not in found:
                found[key] = self._ends(source)
            result[source] = found[key]
        return result

    def _ends(self, source: str) -> _Ends:
        native = _walk(self._before, self._space.everything, source)
        arriving = native.on()
        if self._kubernetes:
            must, may = self._space.nothing, self._space.nothing
            for allowed in self._kubernetes:
                must |= allowed[source].must
                may |= allowed[source].may
            return _Ends(
                native.ends["Allow"] | (arriving & may),
                native.ends["Drop"] | (arriving - must),
                native.ends["Reject"],
            )
        baseline = _walk(self._behind, arriving, source)
        return _Ends(
            native.ends["Allow"] | baseline.ends["Allow"] | baseline.on(),
            native.ends["Drop"] | baseline.ends["Drop"],
            native.ends["Reject"] | baseline.ends["Reject"],
        )

    def _bounds(self, source: str) -> Iterable[Bounds]:
        for stage in (*self._before, *self._behind):
            for policy in stage:
                for rule in policy:
                    yield rule.packets[source]
        for allowed in self._kubernetes:
            yield allowed[source]

    def _matching(self, policy: Object, rule: Mapping[str, Any], of_services: Bounds) -> BySource:
        if not rule.get("from"):
            return dict.fromkeys(CLASSES, of_services)
        sources = self._peers.bounds(rule["from"], namespace_of(policy))
        return {name: of_services & bounds for name, bounds in sources.items()}

    def _rules(self, policy: Object) -> list[_Rule]:
        """The ingress rules that may apply."""
        spec, on_node = policy["spec"], self._subject.namespace is None
        of_policy = spec.get("appliedTo") or []
        holds = applies(of_policy, policy, self._groups, self._subject) if of_policy else None
        result = []
        for rule in spec.get("ingress") or []:
            entries = of_policy or rule["appliedTo"]
            if not of_policy:
                holds = applies(entries, policy, self._groups, self._subject)
            if holds is False:
                continue
            # Ports of what is applied to a Service are the Service's, not a pod's.
            to_service = any(entry.get("service") for entry in entries)
            packets = self._matching(
                policy,
                rule,
                Bounds.exactly(self._space.everything)
                if to_service
                else services(rule, self._space, on_node=on_node),
            )
            # On a node, Pass is an iptables rule without a target, behind which the next rule is tried.
            if holds is None or (on_node and rule["action"] == "Pass"):
                packets = {name: bounds.perhaps() for name, bounds in packets.items()}
            result.append(_Rule(rule["action"], packets))
        return result

    def _isolates(self, policy: Object) -> bool:
        if (policy["apiVersion"], policy["kind"]) != (networkpolicy.API_VERSION, networkpolicy.KIND):
            return False
        if self._subject.namespace is None:
            return False
        return networkpolicy.selects(policy, Identity("", self._subject.namespace, self._subject.labels))

    def _allowed(self, policy: Object) -> BySource:
        """What a policy of Kubernetes allows."""
        nothing = Bounds.exactly(self._space.nothing)
        result = dict.fromkeys(CLASSES, nothing)
        for rule in policy["spec"].get("ingress") or []:
            packets = self._matching(policy, rule, services(rule, self._space, on_node=False))
            result = {name: result[name] | packets[name] for name in CLASSES}
        return result


def _native(objects: Iterable[Object]) -> Iterable[Object]:
    return of_kind(objects, POLICY, CLUSTER_POLICY)


def read(
    objects: Sequence[Object], identity: Identity, space: PacketSpace, cluster: Cluster
) -> Mapping[str, Reading]:
    """What valid objects together let through to the pods of ``identity``, by source class.

    Addresses are compared as they are, so that nothing of ``cluster`` matters; it is here because other targets'
    readers need it. PolicyFault where the objects do not go together (``check_together``).
    """
    ends = _Policies(objects, Subject(identity.pod_labels, identity.namespace), space).ends()
    return {source: each.reading() for source, each in ends.items()}


def rejects(objects: Sequence[Object], identity: Identity, space: PacketSpace) -> PacketSet:
    """Packets of external sources that are certainly refused with an answer.

    The answer is a RST for TCP, ICMP host administratively prohibited for others (antrea:
    docs/antrea-network-policy.md). PolicyFault as for ``read``.
    """
    ends = _Policies(objects, Subject(identity.pod_labels, identity.namespace), space).ends()["external"]
    return ends.rejected - ends.allowed - ends.dropped


def read_host(
    objects: Sequence[Object], node_labels: Mapping[str, str], space: PacketSpace
) -> Mapping[str, Reading]:
    """What ClusterNetworkPolicies that are applied to nodes let through to a node, by source class.

    Kubernetes' policies and those applied to pods have no say there, and what no rule matches is allowed (antrea:
    docs/antrea-node-network-policy.md: alpha, off by default, Linux only). PolicyFault as for ``read``.
    """
    ends = _Policies(objects, Subject(node_labels, None), space).ends()
    return {source: each.reading() for source, each in ends.items()}
