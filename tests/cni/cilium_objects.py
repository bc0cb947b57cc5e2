"""Short ways to write the objects that Cilium reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.cni.naive_cilium import NAMESPACE, Object

WORLD = {"fromCIDR": ["0.0.0.0/0"]}
TCP_80 = {"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}]}]}


def native(
    *rules: Object,
    deny: Sequence[Object] = (),
    kind: str = "CiliumNetworkPolicy",
    name: str = "p",
    **spec: Any,
) -> Object:
    """A policy on all pods with these ingress rules."""
    made: Object = {"endpointSelector": {}, **spec}
    made |= {"ingress": list(rules)} if rules else {}
    made |= {"ingressDeny": list(deny)} if deny else {}
    metadata = {"name": name} if kind != "CiliumNetworkPolicy" else {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "cilium.io/v2", "kind": kind, "metadata": metadata, "spec": made}


def host(*rules: Object, **spec: Any) -> Object:
    """A policy on all nodes with these ingress rules."""
    made = native(*rules, kind="CiliumClusterwideNetworkPolicy", **spec)
    del made["spec"]["endpointSelector"]
    made["spec"].setdefault("nodeSelector", {})
    return made


def kubernetes(*rules: Object, **spec: Any) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "k", "namespace": NAMESPACE},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": list(rules), **spec},
    }


def group(name: str, *cidrs: str, **labels: str) -> Object:
    return {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumCIDRGroup",
        "metadata": {"name": name, "labels": labels},
        "spec": {"externalCIDRs": list(cidrs)},
    }
