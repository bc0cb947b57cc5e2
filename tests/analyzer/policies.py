"""Random NetworkPolicy YAML, the same for the same seed, and the values at which its answer can change."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass
from typing import Any

import yaml

NAMESPACE = "shop"
LABELS = {"app": "web", "tier": "80"}
"""The labels of the pod that every generated policy selects; one of them looks like a number."""

PROTOCOLS = ("tcp", "udp", "sctp")

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Few and near each other, so that blocks overlap, touch, contain and equal one another. None is IPv4-mapped:
# Go-based readers take such a block for IPv4, so nobody can say what it means.
_NETWORKS: tuple[_Network, ...] = tuple(
    ipaddress.ip_network(cidr)
    for cidr in (
        *("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "11.0.0.0/8"),
        *("10.1.2.0/24", "10.1.3.0/24", "10.1.2.0/23", "10.1.2.3/32", "10.1.2.4/32", "0.0.0.0/32"),
        *("255.255.255.255/32", "255.255.255.0/24", "192.0.2.128/25"),
        *("::/0", "::/1", "8000::/1", "2001:db8::/32", "2001:db8::/33", "2001:db8:8000::/33"),
        *("2001:db9::/32", "2001:db8::1/128", "2001:db8::2/128", "::/128", "::/96", "::fffe:0:0/96"),
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
    )
)
_TYPES = (("Ingress",), None, ("Ingress", "Egress"), ("Egress", "Ingress"), ("Egress",))
_PORTS = (1, 2, 22, 79, 80, 81, 443, 1023, 1024, 8080, 65534, 65535)


def generate(seed: int) -> str:
    """One to three policies of one namespace, all selecting the pod of ``LABELS``."""
    rng = random.Random(seed)
    policies = [_policy(rng, f"p{n}") for n in range(rng.randint(1, 3))]
    return str(yaml.dump_all(policies, Dumper=yaml.CSafeDumper, sort_keys=False))


def _policy(rng: random.Random, name: str) -> dict[str, Any]:
    selector = rng.choice(({"matchLabels": dict(LABELS)}, {"matchLabels": {"app": LABELS["app"]}}, {}))
    spec: dict[str, Any] = {"podSelector": selector}
    types = rng.choices(_TYPES, (8, 3, 2, 2, 1))[0]
    if types is not None:
        spec["policyTypes"] = list(types)
    if types is None or "Ingress" in types:
        rules = [_rule(rng) for _ in range(rng.randint(0, 5))]
        if rules or rng.random() < 0.7:
            spec["ingress"] = rules
    if types is not None and "Egress" in types and rng.random() < 0.5:
        spec["egress"] = [{}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def _rule(rng: random.Random) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    draw = rng.random()
    if draw < 0.82:
        rule["from"] = [_peer(rng) for _ in range(rng.randint(1, 4))]
    elif draw < 0.86:
        rule["from"] = []
    draw = rng.random()
    # A rule with neither opens everything and hides the others, so it is kept rare.
    if draw < (0.8 if rule.get("from") else 0.85):
        rule["ports"] = [_port(rng) for _ in range(rng.randint(1, 4))]
    elif draw < 0.9:
        rule["ports"] = []
    return rule


def _peer(rng: random.Random) -> dict[str, Any]:
    draw = rng.random()
    if draw < 0.03:
        return {"podSelector": {"matchLabels": {"app": "nobody"}}}
    if draw < 0.06:
        return {"namespaceSelector": {}}
    network = _network(rng)
    block: dict[str, Any] = {"cidr": str(network)}
    if network.prefixlen < network.max_prefixlen and rng.random() < 0.5:
        block["except"] = [str(_strict_subset(rng, network)) for _ in range(rng.randint(1, 3))]
    elif rng.random() < 0.1:
        block["except"] = []
    return {"ipBlock": block}


def _network(rng: random.Random) -> _Network:
    network = rng.choice(_NETWORKS)
    if rng.random() < 0.3 and network.prefixlen < network.max_prefixlen:
        return _strict_subset(rng, network)
    return network


def _strict_subset(rng: random.Random, network: _Network) -> _Network:
    inside = [other for other in _NETWORKS if _strictly_in(other, network)]
    if inside and rng.random() < 0.5:
        return rng.choice(inside)
    bits = network.max_prefixlen
    length = rng.choice((network.prefixlen + 1, rng.randint(network.prefixlen + 1, bits), bits))
    number = 1 << (length - network.prefixlen)
    offset = rng.choice((0, number - 1, rng.randrange(number))) << (bits - length)
    first = int(network.network_address) + offset
    if network.version == 4:
        return ipaddress.IPv4Network((first, length))
    return ipaddress.IPv6Network((first, length))


def _strictly_in(inner: _Network, outer: _Network) -> bool:
    return inner.prefixlen > outer.prefixlen and inner.network_address in outer


def _port(rng: random.Random) -> dict[str, Any]:
    port: dict[str, Any] = {}
    protocol = rng.choice((None, "TCP", "UDP", "SCTP"))
    if protocol is not None:
        port["protocol"] = protocol
    if rng.random() < 0.88:
        port["port"] = _number(rng)
        if rng.random() < 0.4:
            port["endPort"] = rng.choice((port["port"], max(port["port"], _number(rng)), 65535))
    return port


def _number(rng: random.Random) -> int:
    return rng.choice(_PORTS) if rng.random() < 0.8 else rng.randint(1, 65535)


@dataclass(frozen=True)
class Edges:
    """The first value of every stretch over which the text cannot tell one value from the next."""

    sources: tuple[tuple[int, int], ...]
    """Pairs of family and address."""
    ports: tuple[int, ...]


def edges(policy_yaml: str) -> Edges:
    """Every place at which an address block or a port range of the text begins, or has just ended."""
    sources = {(4, 0), (6, 0)}
    ports = {1}
    for document in yaml.load_all(policy_yaml, Loader=yaml.CSafeLoader):
        for rule in document["spec"].get("ingress") or []:
            for peer in rule.get("from") or []:
                block = peer.get("ipBlock") or {}
                for cidr in [*filter(None, [block.get("cidr")]), *(block.get("except") or [])]:
                    network = ipaddress.ip_network(cidr)
                    sources.add((network.version, int(network.network_address)))
                    if (after := int(network.broadcast_address) + 1) < 1 << network.max_prefixlen:
                        sources.add((network.version, after))
            for port in rule.get("ports") or []:
                if "port" in port:
                    ports.add(port["port"])
                    if (after := port.get("endPort", port["port"]) + 1) <= 65535:
                        ports.add(after)
    return Edges(tuple(sorted(sources)), tuple(sorted(ports)))


def text(family: int, source: int) -> str:
    """An address as people write it."""
    return str(ipaddress.IPv4Address(source) if family == 4 else ipaddress.IPv6Address(source))
