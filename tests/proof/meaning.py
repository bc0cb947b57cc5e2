"""What NetworkPolicy YAML means, from the API text alone: the oracle for corrupted policies.

Independent of ``ipt2np``: whether the API server would take an object at all, whether it selects the pod, and
which packets it admits, by the per-packet evaluator ``tests.analyzer.naive``. One packet is asked for each
cell that the boundaries of both texts leave uncut, so that two texts compare equal exactly when no packet
tells them apart.
"""

from __future__ import annotations

import ipaddress
import random
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import kubernetes_validate
import yaml

from ipt2np import Identity
from tests.analyzer.naive import _matches_from, _matches_ports, admits
from tests.analyzer.policies import edges
from tests.analyzer.policies import text as address_text

Documents = list[dict[str, Any]]
Packet = tuple[str, str, int]
"""Source, protocol, destination port."""

PROTOCOLS = ("tcp", "udp", "sctp", "icmp")
NAMED = PROTOCOLS[:3]
UNABLE = tuple(
    ipaddress.ip_network(cidr)
    for cidr in ("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32", "::1/128", "ff00::/8")
)
"""No packet from there reaches a host's rules: what a policy says of them does not count."""
LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
QUALIFIED = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)


class Change(Enum):
    """What became of the meaning."""

    NONE = "the same packets are admitted"
    MEANING = "some packet of a protocol that policies name is treated differently"
    OTHER_PROTOCOLS = "only protocols that policies cannot name are treated differently"
    REFUSED = "the API server would not take it"


def changed(original: Documents, corrupted: Any, identity: Identity) -> Change:
    """How the meaning of parsed YAML differs from that of the valid ``original``."""
    if not isinstance(corrupted, list) or not all(acceptable(document) for document in corrupted):
        return Change.REFUSED
    before, after = (
        [policy for policy in documents if selects(policy, identity)] for documents in (original, corrupted)
    )
    sources, ports = cells(before, after)
    chance = random.Random(0)
    tables = [admitted(policies, sources, ports) for policies in (before, after)]
    for policies, table in zip((before, after), tables, strict=True):
        _assert_as_asked_one_by_one(policies, table, sources, ports, chance)
    if tables[0] == tables[1]:
        return Change.NONE
    named = [[row & ~_others(ports) for row in table] for table in tables]
    return Change.OTHER_PROTOCOLS if named[0] == named[1] else Change.MEANING


def cells(*texts: Documents) -> tuple[list[str], list[int]]:
    """The first source and the first port of every cell; sources that cannot be are left out."""
    sources: set[tuple[int, int]] = set()
    ports: set[int] = set()
    for documents in texts:
        found = edges(dumped(documents))
        sources |= set(found.sources)
        ports |= set(found.ports)
    for network in UNABLE:
        after = int(network.broadcast_address) + 1
        sources |= {
            (network.version, n)
            for n in (int(network.network_address), after)
            if n >> network.max_prefixlen == 0
        }
    able = [(family, n) for family, n in sorted(sources) if not _unable(family, n)]
    return [address_text(family, n) for family, n in able], sorted(ports)


def _unable(family: int, address: int) -> bool:
    return any(
        network.version == family
        and int(network.network_address) <= address <= int(network.broadcast_address)
        for network in UNABLE
    )


def admitted(policies: Documents, sources: Sequence[str], ports: Sequence[int]) -> list[int]:
    """For each source, which services it may reach: a bit for each protocol and port."""
    services = [(protocol, port) for protocol in PROTOCOLS for port in ports]
    isolating = [p["spec"] for p in policies if "Ingress" in (p["spec"].get("policyTypes") or ["Ingress"])]
    if not isolating:
        return [(1 << len(services)) - 1] * len(sources)
    rules = [rule for spec in isolating for rule in spec.get("ingress") or []]
    reached = [
        sum(1 << bit for bit, (protocol, port) in enumerate(services) if _matches_ports(rule, protocol, port))
        for rule in rules
    ]
    result = []
    for source in sources:
        row = 0
        for rule, services_of_rule in zip(rules, reached, strict=True):
            if _matches_from(rule, source):
                row |= services_of_rule
        result.append(row)
    return result


def _assert_as_asked_one_by_one(
    policies: Documents, table: list[int], sources: Sequence[str], ports: Sequence[int], chance: random.Random
) -> None:
    """The table says what the evaluator says of single packets; the two ways share only the matching."""
    text = dumped(policies)
    for _ in range(12):
        place, bit = chance.randrange(len(sources)), chance.randrange(len(PROTOCOLS) * len(ports))
        protocol, port = PROTOCOLS[bit // len(ports)], ports[bit % len(ports)]
        assert admits(text, sources[place], protocol, port) == bool(table[place] >> bit & 1)


def _others(ports: Sequence[int]) -> int:
    return ((1 << len(ports)) - 1) << (len(NAMED) * len(ports))


def dumped(documents: Documents) -> str:
    """YAML that reads back as the documents."""
    return str(yaml.dump_all(documents, Dumper=_Plain, sort_keys=False))


class _Plain(yaml.CSafeDumper):
    """Writes shared parts out again and again: no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def selects(policy: Mapping[str, Any], identity: Identity) -> bool:
    """True where the policy's namespace and selector are those of the pod."""
    # "namespace: ... An empty namespace is equivalent to the "default" namespace"
    if (policy["metadata"].get("namespace") or "default") != identity.namespace:
        return False
    selector = policy["spec"].get("podSelector") or {}
    labels = identity.pod_labels
    # "The requirements are ANDed."
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], expression.get("values") or []
        holds = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[expression["operator"]]:
            return False
    return True


def acceptable(policy: Any) -> bool:
    """True where an API server takes the object, without a warning."""
    if not isinstance(policy, dict) or (policy.get("apiVersion"), policy.get("kind")) != (
        "networking.k8s.io/v1",
        "NetworkPolicy",
    ):
        return False
    try:
        kubernetes_validate.validate(policy, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError:
        return False
    metadata, spec = policy.get("metadata") or {}, policy.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("podSelector"), dict):
        return False  # it would do, and isolate every pod of the namespace; nobody means that
    namespace = metadata.get("namespace") or "default"
    if not NAME.fullmatch(metadata.get("name") or "") or not NAME.fullmatch(namespace) or "." in namespace:
        return False
    pairs = [*(metadata.get("labels") or {}).items(), *(spec["podSelector"].get("matchLabels") or {}).items()]
    if not all(QUALIFIED.fullmatch(key) and LABEL.fullmatch(value) for key, value in pairs):
        return False
    if not all(QUALIFIED.fullmatch(key) for key in metadata.get("annotations") or {}):
        return False
    types = spec.get("policyTypes") or []
    if len(types) > 2 or not set(types) <= {"Ingress", "Egress"}:
        return False
    rules = spec.get("ingress") or []
    return all(
        rule is not None
        and all(_is_port(port) for port in rule.get("ports") or [])
        and all(_is_peer(peer) for peer in rule.get("from") or [])
        for rule in rules
    )


def _is_port(port: Any) -> bool:
    if port.get("protocol", "TCP") not in ("TCP", "UDP", "SCTP"):
        return False
    number, end = port.get("port"), port.get("endPort")
    if number is None:
        return end is None
    # A named port is for the API server to take and for nobody here to judge.
    if not isinstance(number, int) or not 1 <= number <= 65535:
        return False
    return end is None or number <= end <= 65535


def _is_peer(peer: Any) -> bool:
    if not peer:
        return False
    if "ipBlock" not in peer:
        return True
    block = peer["ipBlock"]
    if len(peer) > 1 or not isinstance(block, dict):
        return False
    cidr = _network(block.get("cidr"))
    holes = [_network(text) for text in block.get("except") or []]
    return cidr is not None and all(
        hole is not None
        and hole.version == cidr.version
        and hole.prefixlen > cidr.prefixlen
        and hole.network_address in cidr
        for hole in holes
    )


def _network(text: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """A CIDR as Go's net.ParseCIDR takes it, host bits zero."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-fA-F.:]+/(0|[1-9][0-9]*)", text):
        return None
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None
