"""Whom a rule's peers stand for: classes of sources, as far as it can be told, and blocks of addresses.

Cilium compares identities, and only sources outside the cluster have one of their address.
Sources: cilium: pkg/policy/api/{ingress,entity,cidr}.go, pkg/k8s/apis/cilium.io/utils/utils.go (namespaces in
selectors), pkg/k8s/network_policy.go; Documentation/security/policy/layer3.rst; cilium#46996.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network

from ipt2np.cni.kinds.cilium.selectors import (
    KUBERNETES,
    NAMESPACE,
    NAMESPACE_LABELS,
    POD_SOURCES,
    Condition,
    Selector,
)
from ipt2np.packets.intervals import Range, complement, merged

CLASSES = ("external", "pod", "node")


class Extent(IntEnum):
    """How much of a class of sources is meant: nothing, an unknown part of it, all of it."""

    NONE = 0
    SOME = 1
    ALL = 2


@dataclass(frozen=True, slots=True)
class Extents:
    """The extent of each class of sources."""

    external: Extent = Extent.NONE
    pod: Extent = Extent.NONE
    node: Extent = Extent.NONE

    def __or__(self, other: Extents) -> Extents:
        return Extents(
            max(self.external, other.external), max(self.pod, other.pod), max(self.node, other.node)
        )

    def of(self, source_class: str) -> Extent:
        """The extent of ``external``, ``pod`` or ``node``."""
        return {"external": self.external, "pod": self.pod, "node": self.node}[source_class]


NOBODY = Extents()
EVERYBODY = Extents(Extent.ALL, Extent.ALL, Extent.ALL)
UNKNOWN = Extents(Extent.SOME, Extent.SOME, Extent.SOME)
_SOME_PODS = Extents(pod=Extent.SOME)

ENTITIES: Mapping[str, Extents] = {
    "all": EVERYBODY,
    "world": Extents(external=Extent.ALL),
    "cluster": Extents(pod=Extent.ALL, node=Extent.ALL),
    # The pod's own node, which reaches the pod in any case.
    "host": NOBODY,
    "remote-node": Extents(node=Extent.ALL),
    "none": NOBODY,
    "init": _SOME_PODS,
    "ingress": _SOME_PODS,
    "unmanaged": _SOME_PODS,
    "health": _SOME_PODS,
    # Wherever its addresses are: outside the cluster, on nodes, in pods.
    "kube-apiserver": UNKNOWN,
}
"""The entities of the CRD, and whom they stand for."""


@dataclass(frozen=True, slots=True)
class Block:
    """A CIDR without the smaller ones inside it that are excepted."""

    network: IPv4Network | IPv6Network
    excepts: tuple[IPv4Network | IPv6Network, ...] = ()

    @property
    def ranges(self) -> list[Range]:
        """The addresses, as inclusive ranges of integers."""
        low, high = bounds(self.network)
        if not self.excepts:
            return [(low, high)]
        holes = merged((a - low, b - low) for a, b in map(bounds, self.excepts))
        return [(low + a, low + b) for a, b in complement(holes, high - low)]


def bounds(network: IPv4Network | IPv6Network) -> Range:
    """First and last address as integers."""
    return int(network.network_address), int(network.broadcast_address)


@dataclass(frozen=True, slots=True)
class GroupReference:
    """CiliumCIDRGroups, by name or by their labels."""

    name: str = ""
    selector: Selector = ()


@dataclass(frozen=True, slots=True)
class Peers:
    """Sources of any of these kinds."""

    extents: Extents = NOBODY
    blocks: tuple[Block, ...] = ()
    groups: tuple[GroupReference, ...] = ()


def endpoints(selector: Selector, namespace: str | None, *, initial: bool = False) -> Extents:
    """Whom a fromEndpoints selector stands for, in a policy of ``namespace`` or in a clusterwide one (None).

    ``initial`` is for policies on pods that have no labels yet: Cilium adds no namespace to their selectors.
    """
    if any(condition.source not in POD_SOURCES for condition in selector):
        return UNKNOWN
    if not any(condition.names_namespace for condition in selector):
        if namespace is None:
            if not initial:
                selector = (*selector, Condition(KUBERNETES, NAMESPACE, "Exists"))
        elif not any(condition.key.startswith(NAMESPACE_LABELS) for condition in selector):
            selector = (*selector, Condition(KUBERNETES, NAMESPACE, "In", (namespace,)))
    return _endpoints(selector)


def kubernetes_endpoints(namespaces: Selector | None, pods: Selector, namespace: str) -> Extents:
    """Whom a podSelector, with a namespaceSelector or without, stands for; keys as Cilium takes them over."""
    if namespaces is None:
        return _endpoints((*pods, Condition(KUBERNETES, NAMESPACE, "In", (namespace,))))
    return _endpoints((*(namespaces or (Condition(KUBERNETES, NAMESPACE, "Exists"),)), *pods))


def _endpoints(selector: Iterable[Condition]) -> Extents:
    conditions = list(selector)
    every_pod = all(c.names_namespace and c.operator == "Exists" for c in conditions)
    # What has no label meets every condition that is not positive (cilium#46996), and only pods have a namespace.
    only_pods = any(
        c.positive and (c.names_namespace or c.key.startswith(NAMESPACE_LABELS)) for c in conditions
    )
    others = Extent.NONE if only_pods else Extent.SOME
    return Extents(others, Extent.ALL if every_pod else Extent.SOME, others)


def nodes(selector: Selector) -> Extents:
    """Whom a fromNodes selector stands for: it works with an agent flag only, and on labels that nobody told."""
    others = Extent.NONE if any(condition.positive for condition in selector) else Extent.SOME
    return Extents(others, others, Extent.SOME)
