"""Small Calico objects, written out."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]
API = "projectcalico.org/v3"
ALLOW: Object = {"action": "Allow"}


def made(kind: str, name: str, spec: Object, namespace: str | None = None, labels: Any = None) -> Object:
    """An object of ``projectcalico.org/v3``."""
    meta: Object = {"name": name}
    if namespace is not None:
        meta["namespace"] = namespace
    if labels is not None:
        meta["labels"] = labels
    return {"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec}


def local(*rules: Object, name: str = "p", namespace: str = "shop", **spec: Any) -> Object:
    """A NetworkPolicy for ingress."""
    return made("NetworkPolicy", name, {"types": ["Ingress"], "ingress": [*rules], **spec}, namespace)


def everywhere(*rules: Object, name: str = "g", **spec: Any) -> Object:
    """A GlobalNetworkPolicy for ingress."""
    return made("GlobalNetworkPolicy", name, {"types": ["Ingress"], "ingress": [*rules], **spec})


def network_set(name: str, labels: dict[str, str], *nets: str, namespace: str | None = None) -> Object:
    """A NetworkSet, or a GlobalNetworkSet where no namespace is said."""
    kind = "GlobalNetworkSet" if namespace is None else "NetworkSet"
    return made(kind, name, {"nets": [*nets]}, namespace, labels)


def host_endpoint(name: str, labels: dict[str, str], node: str = "n1", **spec: Any) -> Object:
    """A HostEndpoint."""
    return made("HostEndpoint", name, {"node": node, **spec}, labels=labels)


def tier(name: str, **spec: Any) -> Object:
    """A Tier."""
    return made("Tier", name, spec)
