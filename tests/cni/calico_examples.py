"""Random Calico objects, the same for the same seed, and the packets at which their answer can change."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .naive_calico import Packet

Object = dict[str, Any]
API = "projectcalico.org/v3"
NAMESPACE = "shop"
LABELS = {"app": "web", "tier": "80"}
"""The labels of the pod that the policies are about."""

# Few and near each other, so that they overlap, touch, contain and equal one another.
NETS: dict[int, tuple[str, ...]] = {
    4: (
        *("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "10.128.0.0/9", "11.0.0.0/8", "10.1.2.0/24"),
        *("10.1.3.0/24", "10.1.2.0/23", "10.1.2.3/32", "10.1.2.4/32", "255.255.255.255/32", "192.0.2.128/25"),
    ),
    6: (
        *("::/0", "8000::/1", "2001:db8::/32", "2001:db8:8000::/33", "2001:db9::/32", "2001:db8::1/128"),
        *("2001:db8::2/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"),
    ),
}
_DISJOINT = (
    ["10.1.2.0/23", "2001:db8:8000::/33"],
    ["10.128.0.0/9", "192.0.2.128/25"],
    ["11.0.0.0/8", "2001:db8::1/128"],
    ["255.255.255.255/32", "2001:db9::/32"],
)
_PORTS = (1, 2, 22, 79, 80, 81, 443, 1023, 1024, 8080, 65534, 65535)
_SET_SELECTORS = (
    "set == 'bad'",
    "set in {'good', 'bad'}",
    "has(set)",
    "set != 'bad' && has(set)",
    "!has(grade)",
)
_POD_SELECTORS = (
    "",
    "all()",
    "app == 'web'",
    "has(app) && tier == '80'",
    "app in {'web', 'db'}",
    "tier != '81'",
)
_OTHER_SELECTORS = ("app == 'db'", "!has(app)", "app == 'web' && tier == '81'")


@dataclass(frozen=True)
class Scope:
    """What a generated example may hold beside ordered rules with nets, ports, protocols and ICMP fields."""

    tiers: bool = True
    kubernetes: bool = True
    sets: bool = True
    bare_negations: bool = True
    """``notNets`` without ``nets``, and ``notSelector``."""
    zero_icmp: bool = True
    """ICMP type 0 and code 0."""
    icmp_pairs: bool = True
    """``icmp`` and ``notICMP`` in one rule."""
    protocol_pairs: bool = True
    """``protocol`` and ``notProtocol`` in one rule."""
    selectors_with_nets: bool = True
    overlapping_sets: bool = True
    """Network sets that have addresses in common."""
    version: bool = True
    """``ipVersion`` without nets."""


def example(seed: int, scope: Scope) -> list[Object]:
    """Policies, and the sets and tiers that they name. No two of one tier have the same order."""
    rng = random.Random(seed)
    objects: list[Object] = []
    if scope.sets:
        nets = iter(_DISJOINT)
        if scope.overlapping_sets:
            nets = iter([_nets(rng, rng.choice((4, 6))) for _ in _DISJOINT])
        objects += [
            _object("GlobalNetworkSet", "g1", {"nets": next(nets)}, labels={"set": "bad"}),
            _object("GlobalNetworkSet", "g2", {"nets": next(nets)}, labels={"set": "good", "grade": "a"}),
            _object("NetworkSet", "n1", {"nets": next(nets)}, NAMESPACE, {"set": "bad"}),
            _object("NetworkSet", "n2", {"nets": next(nets)}, "other", {"set": "good"}),
        ]
    tiers = ["default"]
    if scope.tiers and rng.random() < 0.6:
        for name in rng.sample(("early", "late", "last"), rng.randint(1, 3)):
            spec: dict[str, Any] = {"defaultAction": rng.choice(("Pass", "Deny"))}
            if name != "last":
                spec["order"] = {"early": 100.5, "late": 2_000_000}[name]
            objects.append(_object("Tier", name, spec))
            tiers.append(name)
        tiers.append("kube-admin")
    orders: list[float | None] = [None, *rng.sample(range(1, 900), 4), 0.5, -3]
    rng.shuffle(orders)
    for number in range(rng.randint(1, 4)):
        objects.append(_policy(rng, scope, f"p{number}", orders[number], rng.choice(tiers)))
    if scope.kubernetes and rng.random() < 0.3:
        objects.append(_kubernetes(rng))
    rng.shuffle(objects)
    return objects


def _object(
    kind: str,
    name: str,
    spec: dict[str, Any],
    namespace: str | None = None,
    labels: dict[str, str] | None = None,
) -> Object:
    meta: dict[str, Any] = {"name": name}
    if namespace is not None:
        meta["namespace"] = namespace
    if labels is not None:
        meta["labels"] = labels
    return {"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec}


def _policy(rng: random.Random, scope: Scope, name: str, order: float | None, tier: str) -> Object:
    is_global = rng.random() < 0.4
    spec: dict[str, Any] = {}
    if tier != "default":
        spec["tier"] = tier
    if order is not None:
        spec["order"] = order
    selector = rng.choice(_OTHER_SELECTORS if rng.random() < 0.1 else _POD_SELECTORS)
    if selector:
        spec["selector"] = selector
    rules = [_rule(rng, scope, is_global) for _ in range(rng.randint(0, 5))]
    draw = rng.random()
    if draw < 0.8:
        spec["types"] = ["Ingress"] if draw < 0.7 else ["Egress", "Ingress"]
        if rules or draw < 0.4:
            spec["ingress"] = rules
    elif draw < 0.9:
        spec["ingress"] = rules
    elif draw < 0.95:
        spec["types"] = ["Egress"]
    else:
        spec["egress"] = [{"action": "Allow"}]
    if is_global and scope.tiers and rng.random() < 0.1:
        spec |= {"applyOnForward": True, rng.choice(("preDNAT", "doNotTrack")): True}
        spec.pop("egress", None)
        if "Egress" in spec.get("types", []):
            spec["types"] = ["Ingress"]
    return _object(
        "GlobalNetworkPolicy" if is_global else "NetworkPolicy", name, spec, None if is_global else NAMESPACE
    )


def _rule(rng: random.Random, scope: Scope, is_global: bool) -> dict[str, Any]:
    rule: dict[str, Any] = {"action": rng.choices(("Allow", "Deny", "Pass", "Log"), (10, 9, 2, 1))[0]}
    family = rng.choice((4, 4, 6, None))
    source: dict[str, Any] = {}
    if family is not None and rng.random() < 0.85:
        with_nets = rng.random()
        if with_nets < 0.8 or not scope.bare_negations:
            source["nets"] = _nets(rng, family)
        if with_nets > 0.6:
            # The whole family is refused in notNets.
            source["notNets"] = [net for net in _nets(rng, family) if not net.endswith("/0")]
            if not source["notNets"]:
                del source["notNets"]
    has_nets = bool(source)
    if family is not None and (has_nets or scope.version) and rng.random() < 0.4:
        rule["ipVersion"] = family
    if scope.sets and rng.random() < 0.25 and (scope.selectors_with_nets or not has_nets):
        source["selector"] = rng.choice(_SET_SELECTORS)
        spaces = rng.choice(("", "global()", "all()", "projectcalico.org/name == 'shop'"))
        if spaces and not (is_global and spaces == "all()"):
            source["namespaceSelector"] = spaces
    if scope.sets and scope.bare_negations and rng.random() < 0.1:
        source["notSelector"] = rng.choice(_SET_SELECTORS)
    choices: list[Any] = [None, "TCP", "TCP", "UDP", "SCTP", 6, 47, "UDPLite"]
    choices += ["ICMP"] * 3 if family != 6 else []
    choices += ["ICMPv6"] * 3 if family != 4 else []
    protocol = rng.choice(choices)
    if protocol is not None:
        rule["protocol"] = protocol
    if rng.random() < 0.15 and (protocol is None or scope.protocol_pairs):
        rule["notProtocol"] = rng.choice([choice for choice in choices if choice is not None])
    if protocol in ("ICMP", "ICMPv6"):
        fields = [name for name in ("icmp", "notICMP") if rng.random() < 0.6]
        if len(fields) == 2 and not scope.icmp_pairs:
            fields = fields[:1]
        for name in fields:
            rule[name] = {"type": rng.choice((8, 9, 254, 128, 0 if scope.zero_icmp else 3))}
            if rng.random() < 0.4:
                rule[name]["code"] = rng.choice((1, 255, 0 if scope.zero_icmp else 2))
    if protocol in ("TCP", "UDP", "SCTP", 6):
        if rng.random() < 0.2:
            source[rng.choice(("ports", "notPorts"))] = _ports(rng)
        destination: dict[str, Any] = {}
        if rng.random() < 0.7:
            destination["ports"] = _ports(rng)
        if rng.random() < 0.2:
            destination["notPorts"] = _ports(rng)
        if destination:
            rule["destination"] = destination
    if source:
        rule["source"] = source
    return rule


def _nets(rng: random.Random, family: int) -> list[str]:
    return rng.sample(NETS[family], rng.randint(1, 3))


def _ports(rng: random.Random) -> list[int | str]:
    found: list[int | str] = []
    for _ in range(rng.randint(1, 3)):
        low = rng.choice(_PORTS)
        high = rng.choice([port for port in _PORTS if port >= low])
        found.append(low if rng.random() < 0.5 else f"{low}:{high}")
    return found


def _kubernetes(rng: random.Random) -> Object:
    rules = []
    for _ in range(rng.randint(0, 3)):
        rule: dict[str, Any] = {}
        if rng.random() < 0.8:
            rule["from"] = [
                {"ipBlock": {"cidr": rng.choice(NETS[rng.choice((4, 6))])}} for _ in range(rng.randint(1, 2))
            ]
            if rng.random() < 0.4:
                rule["from"].append(
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.2.0/23", "10.128.0.0/9"]}}
                )
        if rng.random() < 0.8:
            rule["ports"] = [_kubernetes_port(rng) for _ in range(rng.randint(1, 3))]
        rules.append(rule)
    spec = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"], "ingress": rules}
    meta = {"name": "k8s", "namespace": NAMESPACE}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}


def _kubernetes_port(rng: random.Random) -> dict[str, Any]:
    port: dict[str, Any] = {"protocol": rng.choice(("TCP", "UDP", "SCTP"))}
    if rng.random() < 0.8:
        port["port"] = rng.choice(_PORTS)
        if rng.random() < 0.4:
            port["endPort"] = rng.choice([number for number in _PORTS if number >= port["port"]])
    return port


def packets(rng: random.Random, objects: list[Object], count: int) -> Iterator[Packet]:
    """Packets at and beside the edges of what the objects name; ICMP is of its own family."""
    sources, ports = _edges(objects)
    for _ in range(count):
        source = rng.choice(sources)
        protocol = rng.choice(
            (6, 6, 6, 17, 132, 47, 136, 58 if ":" in source else 1, 58 if ":" in source else 1)
        )
        if protocol in (1, 58):
            kind, code = rng.choice((0, 3, 8, 9, 128, 254, 255)), rng.choice((0, 1, 2, 255))
            yield Packet(source, protocol, icmp_type=kind, icmp_code=code)
        elif protocol in (6, 17, 132):
            yield Packet(source, protocol, source_port=rng.choice(ports), port=rng.choice(ports))
        else:
            yield Packet(source, protocol)


def _edges(objects: list[Object]) -> tuple[list[str], list[int]]:
    sources = {"198.51.100.7", "2001:db8:7::1"}
    for nets in NETS.values():
        for net in map(ipaddress.ip_network, nets):
            for number in (
                int(net.network_address) - 1,
                int(net.network_address),
                int(net.broadcast_address) + 1,
            ):
                if 0 <= number < 1 << net.max_prefixlen:
                    sources.add(str(type(net.network_address)(number)))
    ports = {port + step for port in _PORTS for step in (-1, 0, 1) if 1 <= port + step <= 65535}
    return sorted(sources), sorted(ports)
