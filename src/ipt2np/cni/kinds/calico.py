"""``projectcalico.org/v3``: what Calico takes, and what its policies let through to pods and to hosts.

Calico compares addresses as they are, so sources of every class are read alike, but for selectors. Rules stand in
order within their policy, policies within their tier, tiers among each other. Kubernetes NetworkPolicies are enforced
too, as policies of order 1000 in the tier ``default``.

Sources: https://docs.tigera.io/calico/latest/reference/resources/globalnetworkpolicy,
https://docs.tigera.io/calico/latest/network-policy/policy-tiers/tiered-policy,
https://docs.tigera.io/calico/latest/reference/host-endpoints/; calico: felix/rules/endpoints.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from ipt2np.cni.base import Cluster, Identity, Object, Reading
from ipt2np.cni.kinds.calico_policies import GLOBAL, Policy, Tier, orders_of, policies_of, tiers_of
from ipt2np.cni.kinds.calico_rules import (
    DEFAULT_ALLOW,
    SOURCE_CLASSES,
    Members,
    Scene,
    host_endpoint_labels,
    members,
    pod_labels,
    tells_sources_apart,
)
from ipt2np.cni.kinds.calico_selectors import Labels
from ipt2np.cni.kinds.calico_validation import VALIDATORS
from ipt2np.cni.kinds.calico_verdict import Step, TierSteps, Verdict, judge, possibly
from ipt2np.packets import Field, PacketSet, PacketSpace

__all__ = ["ALL_INTERFACES", "DEFAULT_ALLOW", "FAILSAFE_PORTS", "VALIDATORS", "failsafe", "read", "read_host"]

FAILSAFE_PORTS: Mapping[int, tuple[int, ...]] = {6: (22, 179, 2379, 2380, 5473, 6443, 6666, 6667), 17: (68,)}
"""Inbound ports of a host that stay open whatever the policy says, by protocol, unless FelixConfiguration says else."""
ALL_INTERFACES = "*"
"""``interfaceName`` of the endpoint for every interface that has none of its own."""

Verdicts = Mapping[str, Verdict]
"""By source class."""


def read(
    objects: list[Object], identity: Identity, space: PacketSpace, cluster: Cluster | None = None
) -> Mapping[str, Reading]:
    """What valid ``objects`` together let through to the pods of ``identity``, by source class.

    Pods that no policy selects are open, as their namespace's profile has it. Undefined is what hangs on something
    that no manifest says: which address another pod, a service or the pod itself has, the number of a named port, the
    labels of a namespace or a service account, or a tie of two policies' orders that Calico's versions break
    differently. What is known of the ``cluster`` changes nothing. PolicyFault where a policy's tier is not there.
    """
    tiers = tiers_of(objects)
    policies = [
        policy
        for policy in policies_of(objects, tiers)
        if policy.tracked and policy.namespace in ("", identity.namespace)
    ]
    labels = pod_labels(identity.namespace, identity.pod_labels)
    pod = _Endpoint(labels, ("Allow",), members(objects), destinations=False)
    return {name: _reading(verdict) for name, verdict in pod.verdicts(policies, tiers, space).items()}


def read_host(
    objects: list[Object],
    host_labels: Mapping[str, str],
    interface_label_of: Callable[[str], int],
    space: PacketSpace,
) -> Mapping[str, Reading]:
    """What valid ``objects`` let through to the processes of a host, by source class.

    The host's endpoints are the HostEndpoints that have all of ``host_labels``; if these are of several nodes, what all
    of the nodes let through is admitted, and what only some of them do is undefined. An interface without an endpoint
    is open; a named endpoint governs its interface, the endpoint ``*`` all others. ``interface_label_of`` gives the
    value of ``Field.INTERFACE`` for a name.

    Undefined, beside what ``read`` leaves so: what policies with ``preDNAT`` or ``doNotTrack`` may decide otherwise,
    what a profile decides other than ``DEFAULT_ALLOW``, what an endpoint without ``interfaceName`` may cover, and where
    two endpoints of a node for one interface differ. Failsafe ports are not admitted here: see ``failsafe``.
    PolicyFault where a policy's tier is not there.
    """
    tiers = tiers_of(objects)
    policies = [policy for policy in policies_of(objects, tiers) if policy.kind == GLOBAL]
    found = members(objects)
    nodes: dict[str, dict[str, list[Verdicts]]] = {}
    for item in objects:
        labels, spec = item["metadata"].get("labels") or {}, item["spec"]
        if item.get("kind") != "HostEndpoint" or not host_labels.items() <= labels.items():
            continue
        verdicts = _host_endpoint(item, found).verdicts(policies, tiers, space)
        nodes.setdefault(spec["node"], {}).setdefault(spec.get("interfaceName") or "", []).append(verdicts)
    of_nodes = [_by_interface(endpoints, interface_label_of, space) for endpoints in nodes.values()]
    return {name: _reading(verdict) for name, verdict in _joined(of_nodes or [_opened(space)]).items()}


def failsafe(space: PacketSpace) -> PacketSet:
    """What a host endpoint lets in before any policy is asked, unless ``failsafeInboundHostPorts`` says else."""
    admitted = space.nothing
    for protocol, ports in FAILSAFE_PORTS.items():
        numbers = space.values(Field.DESTINATION_PORT, tuple((port, port) for port in ports))
        admitted |= space.value(Field.PROTOCOL, protocol) & numbers
    return admitted


def _reading(verdict: Verdict) -> Reading:
    return Reading(verdict.allowed - verdict.denied, verdict.allowed & verdict.denied)


def _opened(space: PacketSpace) -> Verdicts:
    return {name: Verdict(space.everything, space.nothing) for name in SOURCE_CLASSES}


def _joined(readings: Sequence[Verdicts]) -> Verdicts:
    """What is known where any of the readings may be the right one."""
    return {name: reduce(Verdict.__or__, [reading[name] for reading in readings]) for name in SOURCE_CLASSES}


def _by_interface(
    endpoints: Mapping[str, list[Verdicts]], interface_label_of: Callable[[str], int], space: PacketSpace
) -> Verdicts:
    """The verdicts on a node's host traffic, from those of its endpoints by ``interfaceName``."""
    # An endpoint that only its addresses tell may be that of any interface.
    anywhere = endpoints.get("", [])
    regions: list[tuple[PacketSet, Verdicts]] = []
    rest = space.everything
    for interface, readings in endpoints.items():
        if interface in ("", ALL_INTERFACES):
            continue
        here = space.value(Field.INTERFACE, interface_label_of(interface))
        regions.append((here, _joined(readings + anywhere)))
        rest -= here
    regions.append((rest, _joined(endpoints.get(ALL_INTERFACES, [_opened(space)]) + anywhere)))
    return {
        name: reduce(Verdict.__or__, [verdicts[name].within(region) for region, verdicts in regions])
        for name in SOURCE_CLASSES
    }


def _host_endpoint(item: Object, found: tuple[Members, ...]) -> _Endpoint:
    profiles = item["spec"].get("profiles") or []
    at_the_end = (
        ("Deny",) if not profiles else ("Allow",) if profiles[0] == DEFAULT_ALLOW else ("Allow", "Deny")
    )
    return _Endpoint(host_endpoint_labels(item), at_the_end, found, destinations=True)


@dataclass(frozen=True)
class _Endpoint:
    """What policies apply to: a pod or a host endpoint, and the addresses around it that selectors find."""

    labels: Labels
    at_the_end: tuple[str, ...]
    """What its profile does with what no tier decides; both actions where nobody knows."""
    members: tuple[Members, ...]
    destinations: bool
    """True where the packet's destination is compared."""

    def verdicts(self, policies: Iterable[Policy], tiers: Sequence[Tier], space: PacketSpace) -> Verdicts:
        """What becomes of the packets of each class; read once where no rule tells the classes apart."""
        truths = [(policy, policy.selects(self.labels)) for policy in policies]
        applying = [(policy, truth is True) for policy, truth in truths if truth is not False]
        apart = any(tells_sources_apart(rule) for policy, _ in applying for rule in policy.ingress)
        found: dict[str, Verdict] = {}
        for name in SOURCE_CLASSES:
            if apart or not found:
                scene = Scene(space, name, self.members, self.labels, self.destinations)
                found[name] = self._verdict([_Applied.of(scene, *each) for each in applying], tiers, space)
            else:
                found[name] = found[SOURCE_CLASSES[0]]
        return found

    def _verdict(self, applied: Sequence[_Applied], tiers: Sequence[Tier], space: PacketSpace) -> Verdict:
        by_policy = {id(each.policy): each for each in applied}
        # Nothing is said here of packets before DNAT or before tracking, so these rules decide nothing for certain.
        early = TierSteps(
            tuple(step for each in applied if not each.policy.tracked for step in each.possible()), "Pass"
        )
        verdicts = []
        for ordered in orders_of(each.policy for each in applied if each.policy.tracked):
            asked = [early]
            for tier in tiers:
                in_tier = [by_policy[id(policy)] for policy in ordered if policy.tier == tier.name]
                if in_tier:
                    steps = tuple(step for each in in_tier for step in each.steps)
                    asked.append(TierSteps(steps, tier.default_action, any(each.certain for each in in_tier)))
            verdicts.append(judge(space, asked, self.at_the_end))
        return reduce(Verdict.__or__, verdicts)


@dataclass(frozen=True)
class _Applied:
    """A policy that applies, for certain or not, and what its rules match."""

    policy: Policy
    certain: bool
    steps: tuple[Step, ...]

    @classmethod
    def of(cls, scene: Scene, policy: Policy, certain: bool) -> _Applied:
        """The policy as it is read in ``scene``."""
        steps = tuple(scene.step(rule, policy.namespace) for rule in policy.ingress)
        return cls(policy, certain, steps if certain else _possible(steps))

    def possible(self) -> tuple[Step, ...]:
        """Its rules, none of which is certain to be asked."""
        return _possible(self.steps)


def _possible(steps: Iterable[Step]) -> tuple[Step, ...]:
    return tuple(Step(step.action, possibly(step.match)) for step in steps)
