"""The tiers and ingress policies among API objects, and the order in which Calico asks them.

Sources: calico: felix/calc/policy_sorter.go;
https://docs.tigera.io/calico/latest/network-policy/policy-tiers/tiered-policy
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ipt2np.cni.base import Object, PolicyFault
from ipt2np.cni.kinds import calico_kubernetes, networkpolicy
from ipt2np.cni.kinds.calico_rules import policy_selector
from ipt2np.cni.kinds.calico_selectors import Labels, Truth, holds
from ipt2np.cni.kinds.calico_validation import API_VERSION, DEFAULT_TIER, TIERS

GLOBAL = "GlobalNetworkPolicy"
_NAMESPACED = "NetworkPolicy"


@dataclass(frozen=True)
class Tier:
    """A tier: ``order`` is infinite where none is said."""

    name: str
    order: float
    default_action: str


@dataclass(frozen=True)
class Policy:
    """A policy of any kind: where it stands, to which endpoints it applies, its ingress rules."""

    kind: str
    namespace: str
    """Empty for a global one."""
    name: str
    tier: str
    order: float
    selects: Callable[[Labels], Truth]
    """Whether it selects an endpoint of its namespace, or of any if it is global."""
    ingress: tuple[Mapping[str, Any], ...]
    tracked: bool = True
    """False where its rules stand before DNAT or before connection tracking; those concern hosts only."""

    def newer_rank(self) -> tuple[float, str]:
        """Its place in the tier in newer versions: one order's policies by name, then namespace, then kind."""
        return self.order, f"{self.name}/{self.namespace}/{self.kind}"

    def older_rank(self) -> tuple[float, str]:
        """Its place in older versions: one order's policies by a key of namespace, tier and name."""
        reserved = ("knp.", "ossg.", f"{self.tier}.")
        name = self.name if self.name.startswith(reserved) else f"{self.tier}.{self.name}"
        return self.order, f"{self.namespace}/{name}" if self.namespace else name


def tiers_of(objects: Iterable[Object]) -> list[Tier]:
    """The tiers, those that always exist included, in the order in which they are asked."""
    found = {name: Tier(name, order, action) for name, (order, action) in TIERS.items()}
    for item in objects:
        if item.get("kind") == "Tier":
            name, spec = item["metadata"]["name"], item["spec"]
            found[name] = Tier(name, _order(spec.get("order")), spec.get("defaultAction") or "Deny")
    return sorted(found.values(), key=lambda tier: (tier.order, tier.name))


def policies_of(objects: Iterable[Object], tiers: Sequence[Tier]) -> list[Policy]:
    """The policies for ingress. PolicyFault for one in a tier that is not among ``tiers``."""
    names = {tier.name for tier in tiers}
    found = []
    for item in objects:
        read = _READERS.get((str(item.get("apiVersion")), str(item.get("kind"))))
        policy = None if read is None else read(item["metadata"], item["spec"])
        if policy is None:
            continue
        if policy.tier not in names:
            raise PolicyFault(
                f"{policy.kind} {policy.name} is in the tier {policy.tier!r}, which is not there"
            )
        found.append(policy)
    return found


def orders_of(policies: Iterable[Policy]) -> list[list[Policy]]:
    """The policies in order, tier by tier: two lists where Calico's versions break ties differently."""
    found: list[list[Policy]] = []
    policies = list(policies)
    for rank in (Policy.newer_rank, Policy.older_rank):
        ordered = sorted(policies, key=lambda policy: (policy.tier, rank(policy)))
        if ordered not in found:
            found.append(ordered)
    return found


def _order(order: float | None) -> float:
    return math.inf if order is None else float(order)


def _native(kind: str, namespace: str, meta: Mapping[str, Any], spec: Mapping[str, Any]) -> Policy | None:
    # Where no types are said, they follow from the lists that have rules: Ingress if neither has any.
    types = spec.get("types") or (
        ["Ingress"] if spec.get("ingress") or not spec.get("egress") else ["Egress"]
    )
    if "Ingress" not in types:
        return None
    selector = policy_selector(spec)
    return Policy(
        kind=kind,
        namespace=namespace,
        name=meta["name"],
        tier=spec.get("tier") or DEFAULT_TIER,
        order=_order(spec.get("order")),
        selects=lambda labels: holds(selector, labels),
        ingress=tuple(spec.get("ingress") or ()),
        tracked=not (spec.get("preDNAT") or spec.get("doNotTrack")),
    )


def _network_policy(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> Policy | None:
    return _native(_NAMESPACED, meta.get("namespace", "default"), meta, spec)


def _global_network_policy(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> Policy | None:
    return _native(GLOBAL, "", meta, spec)


def _kubernetes(meta: Mapping[str, Any], spec: Mapping[str, Any]) -> Policy | None:
    if "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
        return None
    return Policy(
        kind="KubernetesNetworkPolicy",
        namespace=meta.get("namespace", "default"),
        name=f"knp.default.{meta['name']}",
        tier=DEFAULT_TIER,
        order=calico_kubernetes.ORDER,
        selects=lambda labels: calico_kubernetes.selects(spec, labels.known),
        ingress=calico_kubernetes.ingress_rules(spec),
    )


_READERS: Mapping[tuple[str, str], Callable[[Mapping[str, Any], Mapping[str, Any]], Policy | None]] = {
    (API_VERSION, _NAMESPACED): _network_policy,
    (API_VERSION, GLOBAL): _global_network_policy,
    (networkpolicy.API_VERSION, networkpolicy.KIND): _kubernetes,
}
