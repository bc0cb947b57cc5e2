"""Random sets of Antrea's and Kubernetes' policies, and packets at their bounds."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.cni.naive_antrea import TIERS, Packet

Data = dict[str, Any]

LABELS = {"app": "web", "stage": "live"}
NODE_LABELS = {"role": "edge"}
NAMESPACE = "shop"
API = "crd.antrea.io/v1beta1"

CIDRS = (
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "172.16.0.0/12",
    "192.0.2.0/25",
    "::/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "2001:db8:1::7/128",
)
PORTS = (1, 22, 80, 443, 8080, 65535)
ICMP_TYPES = (0, 3, 8, 128, 255)
ICMP_CODES = (0, 1, 4)


def policy_set(random: Random) -> list[Data]:
    """A few policies with tiers and groups, for pods and nodes, whose objects are valid alone and together."""
    own_tiers = {
        f"own{number}": number for number in random.sample([0, 1, 49, 120, 249], random.randint(0, 2))
    }
    objects: list[Data] = [
        {"apiVersion": API, "kind": "Tier", "metadata": {"name": name}, "spec": {"priority": priority}}
        for name, priority in own_tiers.items()
    ]
    objects += [
        each for name in ("a", "b", "c", "family") if random.random() < 0.8 for each in groups(random, name)
    ]
    tiers = [*TIERS, *own_tiers, "Platform", "baseline"]
    # Few tiers and priorities, so that some policies share both; never many, since the judge tries every order.
    taken: dict[tuple[int, float], int] = {}
    for number in range(random.randint(0, 6)):
        tier, priority = random.choice([None, *tiers]), random.choice([1, 5, 5.5, 10000.0])
        key = (dict(TIERS, **own_tiers)[(tier or "application").lower()], priority)
        if taken.get(key, 0) < 3:
            taken[key] = taken.get(key, 0) + 1
            objects.append(native_policy(random, f"p{number}", tier, priority))
    objects += [kubernetes_policy(random, f"k{number}") for number in range(random.choice([0, 0, 1, 2]))]
    random.shuffle(objects)
    return objects


def groups(random: Random, name: str) -> Iterator[Data]:
    """A Group and a ClusterGroup of one name; ``family`` has the others as children."""
    for kind, meta in (("ClusterGroup", {"name": name}), ("Group", {"name": name, "namespace": NAMESPACE})):
        if name == "family":
            spec: Data = {"childGroups": random.sample(["a", "b", "c"], random.randint(1, 2))}
        else:
            spec = random.choice(
                [
                    {"ipBlocks": [block(random) for _ in range(random.randint(0, 3))]},
                    {"ipBlocks": [block(random)]},
                    {"podSelector": selector(random)},
                    {"namespaceSelector": namespace_selector(random), "podSelector": selector(random)},
                    {"namespaceSelector": {}},
                    {"externalEntitySelector": {}},
                    {"serviceReference": {"name": "db", "namespace": random.choice([NAMESPACE, "other"])}},
                    {},
                ]
            )
        yield {"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec}


def native_policy(random: Random, name: str, tier: str | None, priority: float) -> Data:
    """A NetworkPolicy or ClusterNetworkPolicy; not always for the pod."""
    cluster = random.random() < 0.6
    meta: Data = {"name": name}
    if not cluster:
        meta["namespace"] = random.choice([NAMESPACE, NAMESPACE, NAMESPACE, "other"])
    spec: Data = {"priority": priority}
    if tier is not None:
        spec["tier"] = tier
    per_rule, on_node = random.random() < 0.2, cluster and random.random() < 0.4
    to_service = cluster and not on_node and random.random() < 0.1
    if not per_rule or on_node:
        spec["appliedTo"] = applied_to(random, cluster=cluster, on_node=on_node, to_service=to_service)
    spec["ingress"] = []
    for number in range(random.randint(1, 4)):
        passes = tier is None or tier.lower() != "baseline"
        rule: Data = {
            "name": f"r{number}",
            "action": random.choice(["Allow", "Allow", "Drop", "Reject", "Pass" if passes else "Drop"]),
            **services(random),
        }
        if random.random() < 0.8:
            count = random.randint(1, 3)
            rule["from"] = [
                {"ipBlock": block(random)}
                if to_service or random.random() < 0.6
                else peer(random, cluster=cluster)
                for _ in range(count)
            ]
        if "appliedTo" not in spec:
            rule["appliedTo"] = applied_to(random, cluster=cluster, on_node=False, to_service=to_service)
        spec["ingress"].append(rule)
    if random.random() < 0.2 and not any("protocols" in rule for rule in spec["ingress"]):
        # IGMP stands last and beside no ICMP.
        rule = {"name": "igmp", "action": random.choice(["Allow", "Drop"]), "protocols": [{"igmp": {}}]}
        spec["ingress"].append(
            rule if "appliedTo" in spec else {**rule, "appliedTo": spec["ingress"][0]["appliedTo"]}
        )
    kind = "ClusterNetworkPolicy" if cluster else "NetworkPolicy"
    return {"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec}


def applied_to(random: Random, *, cluster: bool, on_node: bool, to_service: bool) -> list[Data]:
    """Entries of ``appliedTo``, most of which hold for the pod or the node."""
    if on_node:
        return [
            {
                "nodeSelector": random.choice(
                    [{}, {"matchLabels": NODE_LABELS}, {"matchLabels": {"role": "db"}}]
                )
            }
        ]
    if to_service:
        return [{"service": {"name": "web", "namespace": NAMESPACE}}]
    entries: list[Data] = [{"podSelector": {}}, {"podSelector": selector(random)}]
    if cluster:
        entries += [
            {"podSelector": selector(random), "namespaceSelector": namespace_selector(random)},
            {"namespaceSelector": namespace_selector(random)},
            {"serviceAccount": {"name": "web", "namespace": random.choice([NAMESPACE, "other"])}},
        ]
    entries.append({"group": random.choice(["a", "b", "c", "family", "missing"])})
    return random.choices(entries, weights=[6, 3, *[1] * (len(entries) - 2)], k=random.choice([1, 1, 2]))


def peer(random: Random, *, cluster: bool) -> Data:
    """A peer that is no ipBlock."""
    choices: list[Data] = [
        {"podSelector": selector(random)},
        {"namespaceSelector": namespace_selector(random)},
        {"namespaceSelector": {}, "podSelector": {}},
        {"nodeSelector": random.choice([{}, {"matchLabels": {"role": "db"}}])},
        *({"group": random.choice(["a", "b", "c", "family"])} for _ in range(4)),
        {"group": "missing"},
    ]
    if cluster:
        choices += [
            {"namespaces": {"match": "Self"}},
            {"namespaces": {"sameLabels": ["team"]}, "podSelector": {}},
            {"serviceAccount": {"name": "web", "namespace": NAMESPACE}},
            {"podSelector": {}, "scope": random.choice(["Cluster", "ClusterSet"])},
        ]
    else:
        choices += [{"externalEntitySelector": {}}]
    return random.choice(choices)


def block(random: Random) -> Data:
    """An ipBlock, now and then with holes."""
    cidr = random.choice(CIDRS)
    network = ipaddress.ip_network(cidr)
    inner = [text for text in CIDRS if _strictly_inside(text, cidr)]
    result: Data = {"cidr": str(network)}
    if inner and random.random() < 0.4:
        result["except"] = random.sample(inner, random.randint(1, len(inner)))
    return result


def _strictly_inside(text: str, cidr: str) -> bool:
    inner, outer = ipaddress.ip_network(text), ipaddress.ip_network(cidr)
    return inner.version == outer.version and inner != outer and inner.network_address in outer


def selector(random: Random) -> Data:
    """A label selector that mostly holds for the pod."""
    return random.choice(
        [
            {},
            {"matchLabels": {"app": "web"}},
            {"matchLabels": {"app": "web", "stage": "live"}},
            {"matchExpressions": [{"key": "stage", "operator": "In", "values": ["live", "test"]}]},
            {"matchExpressions": [{"key": "canary", "operator": "DoesNotExist"}]},
            {"matchLabels": {"app": "db"}},
        ]
    )


def namespace_selector(random: Random) -> Data:
    """A selector of namespaces, by name or by labels that nobody knows."""
    name = "kubernetes.io/metadata.name"
    return random.choice(
        [
            {},
            {"matchLabels": {name: NAMESPACE}},
            {"matchLabels": {name: "other"}},
            {"matchLabels": {"team": "blue"}},
            {"matchExpressions": [{"key": name, "operator": "NotIn", "values": ["other"]}]},
        ]
    )


def services(random: Random) -> Data:
    """``ports`` and ``protocols`` of a rule, or neither."""
    result: Data = {}
    if random.random() < 0.6:
        result["ports"] = [port(random) for _ in range(random.randint(1, 3))]
    if random.random() < 0.3:
        result["protocols"] = [{"icmp": icmp(random)} for _ in range(random.randint(1, 2))]
    return result


def port(random: Random) -> Data:
    """An entry of ``ports``."""
    entry: Data = {} if random.random() < 0.1 else {"protocol": random.choice(["TCP", "TCP", "UDP", "SCTP"])}
    for first, last in (("port", "endPort"), ("sourcePort", "sourceEndPort")):
        if random.random() < (0.8 if first == "port" else 0.2):
            low = random.choice(PORTS)
            entry[first] = low
            if random.random() < 0.4:
                entry[last] = random.choice([number for number in PORTS if number >= low])
            elif first == "port" and random.random() < 0.1:
                entry[first] = "http"
    return entry


def icmp(random: Random) -> Data:
    """An ICMP entry with or without type and code."""
    result: Data = {}
    if random.random() < 0.7:
        result["icmpType"] = random.choice(ICMP_TYPES)
    if random.random() < 0.3:
        result["icmpCode"] = random.choice(ICMP_CODES)
    return result


def kubernetes_policy(random: Random, name: str) -> Data:
    """A policy of Kubernetes."""
    rules = []
    for _ in range(random.randint(0, 2)):
        rule: Data = {}
        if random.random() < 0.8:
            rule["from"] = [
                {"ipBlock": block(random)}
                if random.random() < 0.6
                else random.choice(
                    [
                        {"podSelector": selector(random)},
                        {"namespaceSelector": {}},
                        {"namespaceSelector": selector(random)},
                    ]
                )
                for _ in range(random.randint(1, 2))
            ]
        if random.random() < 0.6:
            low = random.choice(PORTS)
            entry: Data = {"protocol": random.choice(["TCP", "UDP"]), "port": low}
            if random.random() < 0.4:
                entry["endPort"] = random.choice([number for number in PORTS if number >= low])
            rule["ports"] = [entry]
        rules.append(rule)
    types = random.choice([["Ingress"], ["Ingress", "Egress"], ["Egress"], None])
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": random.choice([NAMESPACE, NAMESPACE, "other"])},
        "spec": {
            "podSelector": selector(random),
            "ingress": rules,
            **({"policyTypes": types} if types else {}),
        },
    }


def packets(random: Random, count: int) -> Iterator[Packet]:
    """Packets at the bounds of what the policies name, and beside them."""
    edges = sorted(
        {address for cidr in CIDRS for address in _edges(cidr)}, key=lambda each: (each.version, int(each))
    )
    numbers = sorted(
        {near for number in PORTS for near in (number - 1, number, number + 1) if 0 < near <= 0xFFFF}
    )
    for _ in range(count):
        source = random.choice(edges)
        own_icmp = 1 if source.version == 4 else 58
        yield Packet(
            origin=random.choice(["external", "pod", "node"]),
            source=str(source),
            protocol=random.choice([6, 6, 6, 17, 132, own_icmp, own_icmp, 1, 58, 2, 47]),
            port=random.choice(numbers),
            source_port=random.choice(numbers),
            icmp_type=random.choice([*ICMP_TYPES, 11, 254]),
            icmp_code=random.choice([*ICMP_CODES, 2]),
        )


def _edges(cidr: str) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    network = ipaddress.ip_network(cidr)
    first, last = int(network.network_address), int(network.broadcast_address)
    for number in (first - 1, first, last, last + 1):
        if 0 <= number < 1 << network.max_prefixlen:
            yield type(network.network_address)(number)
