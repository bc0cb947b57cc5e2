"""Which policies select an endpoint, for agents configured in a given way.

Sources: cilium: pkg/k8s/apis/cilium.io/utils/utils.go (ParseToCiliumRule), pkg/k8s/network_policy.go,
pkg/option/config.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ipt2np.cni.base import Identity, Object, PolicyFault
from ipt2np.cni.kinds.cilium.peers import GroupReference
from ipt2np.cni.kinds.cilium.policies import CidrGroup, Policy, parsed
from ipt2np.cni.kinds.cilium.selectors import NAMESPACE, NAMESPACE_NAME, Selector, holds
from ipt2np.cni.kinds.cilium.services import EXTENDED

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
    """PolicyFault for what agents so configured do not take, and for groups that nobody told."""
    if not options.native and (groups or any(policy.native for policy in policies)):
        raise PolicyFault("the cluster has no cilium.io policies")
    numbers = set() if options.extended_protocols else set(EXTENDED.values())
    for policy in policies:
        for rule in (*policy.allow, *policy.deny):
            for reference in rule.peers.groups:
                referenced(reference, groups)
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
