"""One packet against NetworkPolicy objects, as each implementation would decide it, with no cleverness at all.

Policies are plain data, addresses are those of ``ipaddress``; every prefix is looked at for every packet. An answer is
True (let through), False (refused) or None (the documents give no answer). The policies are taken to be valid and to
name no port by a word.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Policy = dict[str, Any]
Rule = dict[str, Any]
Answer = bool | None
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

TCP, UDP, SCTP, ICMP, ICMPV6, GRE = 6, 17, 132, 1, 58, 47
NUMBERS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}

NAMESPACE = "shop"
LABELS = {"app": "web", "tier": "front"}


@dataclass(frozen=True)
class Packet:
    """What opens a connection, and which class of sources sent it."""

    source: Address
    protocol: int
    port: int
    sender: str = "external"


# -- what all have in common ---------------------------------------------------------------------------------


def isolating(policies: Sequence[Policy]) -> list[Policy]:
    """Those that select the pod of ``LABELS`` and are about ingress; selectors here are by equal labels only."""
    return [
        policy
        for policy in policies
        if policy["metadata"].get("namespace", "default") == NAMESPACE
        and "Ingress" in (policy["spec"].get("policyTypes") or ["Ingress"])
        and all(
            LABELS.get(key) == value
            for key, value in (policy["spec"]["podSelector"].get("matchLabels") or {}).items()
        )
    ]


def rules_of(policies: Sequence[Policy]) -> list[Rule]:
    return [rule for policy in isolating(policies) for rule in policy["spec"].get("ingress") or []]


def is_block(peer: Mapping[str, Any]) -> bool:
    return "ipBlock" in peer


def every_pod(peer: Mapping[str, Any]) -> bool:
    """True for the peers that are all pods of all namespaces."""
    return peer in ({"namespaceSelector": {}}, {"namespaceSelector": {}, "podSelector": {}})


# Only to save parsing the same text again and again.
network_of = functools.lru_cache(maxsize=10_000)(ipaddress.ip_network)


def within(source: Address, cidr: str) -> bool:
    return source in network_of(cidr)


def in_block(source: Address, block: Mapping[str, Any]) -> bool:
    return within(source, block["cidr"]) and not any(
        within(source, hole) for hole in block.get("except") or []
    )


def port_matches(entry: Mapping[str, Any], packet: Packet, *, end_port: bool = True) -> bool:
    if NUMBERS[entry.get("protocol", "TCP")] != packet.protocol:
        return False
    if entry.get("port") is None:
        return True
    last = entry.get("endPort") if end_port else None
    return bool(entry["port"] <= packet.port <= (entry["port"] if last is None else last))


# -- the API's own words, and CNIs that compare addresses ------------------------------------------------------


def kubernetes(policies: Sequence[Policy], packet: Packet) -> Answer:
    """What the API promises; nothing for other protocols, nor for in-cluster sources and address blocks."""
    if packet.protocol not in NUMBERS.values():
        return None
    if not isolating(policies):
        return True
    answers: list[Answer] = [False]
    for rule in rules_of(policies):
        if rule.get("ports") and not any(port_matches(entry, packet) for entry in rule["ports"]):
            continue
        if not rule.get("from"):
            answers.append(True)
        for peer in rule.get("from") or []:
            if is_block(peer):
                if in_block(packet.source, peer["ipBlock"]):
                    answers.append(True if packet.sender == "external" else None)
            elif packet.sender != "external":
                answers.append(True if packet.sender == "pod" and every_pod(peer) else None)
    return _strongest(answers)


def _strongest(answers: Sequence[Answer]) -> Answer:
    return True if True in answers else None if None in answers else False


def raw_ip(
    policies: Sequence[Policy],
    packet: Packet,
    *,
    end_port: bool = True,
    port_less_survives: bool = True,
    families: Sequence[int] = (4, 6),
    unsettled: bool = False,
) -> Answer:
    """A CNI that compares the source with each block, whoever sent the packet.

    ``unsettled``: of protocols other than TCP, UDP, SCTP and ICMP the documents contradict each other.
    """
    if not isolating(policies):
        return True
    if packet.source.version not in families:
        return None
    if unsettled and packet.protocol not in (TCP, UDP, SCTP, ICMP, ICMPV6):
        return None
    answers: list[Answer] = [False]
    for rule in rules_of(policies):
        entries = list(rule.get("ports") or [])
        if not port_less_survives:
            numbered = {entry.get("protocol", "TCP") for entry in entries if entry.get("port") is not None}
            entries = [
                entry
                for entry in entries
                if entry.get("port") is not None or entry.get("protocol", "TCP") not in numbered
            ]
        if rule.get("ports") and not any(port_matches(entry, packet, end_port=end_port) for entry in entries):
            continue
        if not rule.get("from"):
            answers.append(True)
        for peer in rule.get("from") or []:
            if is_block(peer):
                answers.append(in_block(packet.source, peer["ipBlock"]))
            else:
                answers.append(selected(peer, packet))
    return _strongest(answers)


def selected(peer: Mapping[str, Any], packet: Packet) -> Answer:
    """A peer made of selectors: never an external source, every pod or some, and who knows about nodes."""
    if packet.sender == "external":
        return False
    return True if packet.sender == "pod" and every_pod(peer) else None


# -- kube-router -----------------------------------------------------------------------------------------------


def kube_router(policies: Sequence[Policy], packet: Packet) -> Answer:
    """All blocks of a rule are one set of networks: the longest that holds the source decides, the last of equal ones."""
    if not isolating(policies):
        return True
    answers: list[Answer] = [False]
    for rule in rules_of(policies):
        if rule.get("ports") and not any(port_matches(entry, packet) for entry in rule["ports"]):
            continue
        if not rule.get("from"):
            answers.append(True)
        members: list[tuple[str, bool]] = []
        for peer in rule.get("from") or []:
            if not is_block(peer):
                answers.append(selected(peer, packet))
                continue
            cidr = peer["ipBlock"]["cidr"]
            if cidr == "0.0.0.0/0":
                members += [("0.0.0.0/1", True), ("128.0.0.0/1", True)]
            elif cidr == "::/0":
                members += [("2000::/3", True), ("fd00::/8", True)]
            else:
                members.append((cidr, True))
            members += [(hole, False) for hole in peer["ipBlock"].get("except") or []]
        longest, verdict = -1, False
        for cidr, matches in members:
            length = network_of(cidr).prefixlen
            if within(packet.source, cidr) and length >= longest:
                longest, verdict = length, matches
        answers.append(verdict)
    return _strongest(answers)


# -- AWS -------------------------------------------------------------------------------------------------------

PortKey = tuple[str, int | None, int | None]
ANY: PortKey = ("ANY", None, None)
SLOTS = 24


@dataclass
class Entry:
    """A prefix of the table of a pod: its ports, and what is excepted from it."""

    ports: set[PortKey]
    excepts: list[str]


def _keys(rule: Rule) -> set[PortKey]:
    entries = rule.get("ports") or []
    return {(e.get("protocol", "TCP"), e.get("port"), e.get("endPort")) for e in entries} or {ANY}


def aws_table(
    policies: Sequence[Policy], family: int, extra: Sequence[tuple[str, Rule]] = ()
) -> dict[str, Entry]:
    """The table of the pod, ``extra`` being addresses of pods that selectors found, with their rules."""
    blocks: list[tuple[str, list[str], set[PortKey]]] = []
    for rule in rules_of(policies):
        everyone = {"cidr": "0.0.0.0/0" if family == 4 else "::/0"}
        peers = rule.get("from") or [{"ipBlock": everyone}]
        for peer in peers:
            if is_block(peer) and network_of(peer["ipBlock"]["cidr"]).version == family:
                blocks.append(
                    (peer["ipBlock"]["cidr"], list(peer["ipBlock"].get("except") or []), _keys(rule))
                )
    blocks += [(address, [], _keys(rule)) for address, rule in extra]
    blocks.sort(key=lambda block: network_of(block[0]).prefixlen)
    table: dict[str, Entry] = {}
    for cidr, excepts, ports in blocks:
        if cidr in table:
            table[cidr].ports |= ports
            table[cidr].excepts += excepts
            continue
        first = network_of(cidr).network_address
        inherited: set[PortKey] = set()
        for other, entry in table.items():
            if within(first, other) and not any(within(first, hole) for hole in entry.excepts):
                inherited |= entry.ports
        table[cidr] = Entry(ports | inherited, list(excepts))
    for hole in {hole for _, excepts, _ in blocks for hole in excepts}:
        if hole not in table:
            table[hole] = Entry(set(), [])
    return table


def _aws_lookup(table: Mapping[str, Entry], packet: Packet) -> Answer:
    holding = [cidr for cidr in table if within(packet.source, cidr)]
    if not holding:
        return False
    ports = table[max(holding, key=lambda cidr: network_of(cidr).prefixlen)].ports
    matching = sum(
        key == ANY
        or (
            NUMBERS[key[0]] == packet.protocol
            and (
                key[1] is None
                or key[1] == packet.port
                or (key[2] is not None and key[1] < packet.port <= key[2])
            )
        )
        for key in ports
    )
    # Which SLOTS of the entries survive is not said: what is left may be the others, as far as there are enough of them.
    at_best, at_worst = min(matching, SLOTS), min(len(ports), SLOTS) - min(len(ports) - matching, SLOTS)
    return True if at_worst > 0 else None if at_best > 0 else False


def aws(
    policies: Sequence[Policy], packet: Packet, family: int, tables: dict[Any, dict[str, Entry]]
) -> Answer:
    """All policies of the pod are one table of prefixes; ``tables`` keeps those already made of ``policies``."""
    if not isolating(policies) or packet.source.version != family:
        return True
    always: list[int] = []
    perhaps: list[int] = []
    rules = rules_of(policies)
    for number, rule in enumerate(rules):
        for peer in rule.get("from") or []:
            if not is_block(peer):
                answer = selected(peer, packet)
                if answer is not False:
                    (always if answer else perhaps).append(number)
    answers: set[Answer] = set()
    for count in range(len(perhaps) + 1):
        for some in itertools.combinations(perhaps, count):
            key = (family, str(packet.source) if always or some else "", tuple(sorted({*always, *some})))
            if key not in tables:
                bits = packet.source.max_prefixlen
                extra = [(f"{packet.source}/{bits}", rules[number]) for number in key[2]]
                tables[key] = aws_table(policies, family, extra)
            answers.add(_aws_lookup(tables[key], packet))
    return answers.pop() if len(answers) == 1 else None


# -- random policies -------------------------------------------------------------------------------------------

# Few and near each other, so that blocks overlap, touch, contain and equal one another.
_CIDRS = (
    *(
        "0.0.0.0/0",
        "0.0.0.0/1",
        "128.0.0.0/1",
        "8.0.0.0/6",
        "10.0.0.0/8",
        "10.0.0.0/9",
        "10.0.0.0/16",
        "10.0.0.0/24",
    ),
    *(
        "10.1.0.0/16",
        "10.1.2.0/23",
        "10.1.2.0/24",
        "10.1.3.0/24",
        "10.1.2.0/32",
        "10.1.2.3/32",
        "10.1.2.4/32",
    ),
    *("192.0.2.0/24", "192.0.2.128/25", "255.255.255.255/32"),
    *("::/0", "::/1", "2000::/3", "2001:db8::/32", "2001:db8::/33", "2001:db8::/48", "2001:db8:1::/48"),
    *("2001:db8::1/128", "2001:db8::2/128", "fc00::/7", "fd00::/8", "fd12::/16", "fe80::/10", "ff00::/8"),
)
NETWORKS: tuple[Network, ...] = tuple(ipaddress.ip_network(cidr) for cidr in _CIDRS)
_PORTS = (1, 22, 79, 80, 81, 443, 1024, 8080, 65534, 65535)
_SELECTORS: tuple[Rule, ...] = (
    {"podSelector": {}},
    {"podSelector": {"matchLabels": {"app": "client"}}},
    {"namespaceSelector": {"matchLabels": {"team": "a"}}},
    {"namespaceSelector": {}},
    {"namespaceSelector": {}, "podSelector": {}},
    {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "client"}}},
)


def random_policies(rng: random.Random, *, six: bool = True, selectors: float = 0.08) -> list[Policy]:
    """One to three policies; nearly all of them select the pod and isolate it. No address blocks of IPv6 without ``six``."""
    return [_policy(rng, number, six, selectors) for number in range(rng.randint(1, 3))]


def _policy(rng: random.Random, number: int, six: bool, selectors: float) -> Policy:
    spec: dict[str, Any] = {"podSelector": rng.choice(({}, {"matchLabels": {"app": "web"}}))}
    draw = rng.random()
    if draw < 0.03:
        spec["policyTypes"] = ["Egress"]
    elif draw < 0.06:
        spec["podSelector"] = {"matchLabels": {"app": "db"}}
    elif draw < 0.5:
        spec["policyTypes"] = ["Ingress"]
    spec["ingress"] = [_rule(rng, six, selectors) for _ in range(rng.randint(0, 4))]
    return policy_of(spec, f"p{number}")


def policy_of(spec: dict[str, Any], name: str = "p") -> Policy:
    """A policy of the pod's namespace."""
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def ingress_of(*rules: Rule, name: str = "p") -> Policy:
    """A policy that selects every pod of the namespace and admits what ``rules`` say."""
    return policy_of({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": list(rules)}, name)


def _rule(rng: random.Random, six: bool, selectors: float) -> Rule:
    rule: Rule = {}
    if rng.random() < 0.94:
        rule["from"] = [_peer(rng, six, selectors) for _ in range(rng.randint(1, 5))]
    draw = rng.random()
    if draw < 0.7 or "from" not in rule:
        rule["ports"] = [_port(rng) for _ in range(rng.randint(1, 4))]
    elif draw < 0.8:
        start = rng.choice(_PORTS[:6])
        rule["ports"] = [{"port": start + step} for step in range(rng.randint(15, 30))]
        rule["ports"] += [_port(rng) for _ in range(rng.randint(0, 2))]
    return rule


def _peer(rng: random.Random, six: bool, selectors: float) -> Rule:
    if rng.random() < selectors:
        return dict(rng.choice(_SELECTORS))
    networks = [network for network in NETWORKS if six or network.version == 4]
    network = rng.choice(networks)
    block: dict[str, Any] = {"cidr": str(network)}
    inside = [n for n in networks if n.version == network.version and _strictly_in(n, network)]
    if network.prefixlen < network.max_prefixlen and rng.random() < 0.5:
        block["except"] = [
            str(rng.choice(inside) if inside and rng.random() < 0.8 else _some_subnet(rng, network))
            for _ in range(rng.randint(1, 3))
        ]
    return {"ipBlock": block}


def _strictly_in(inner: Network, outer: Network) -> bool:
    return inner.prefixlen > outer.prefixlen and inner.network_address in outer


def _some_subnet(rng: random.Random, network: Network) -> Network:
    length = rng.randint(network.prefixlen + 1, network.max_prefixlen)
    step = 1 << (network.max_prefixlen - length)
    first = int(network.network_address) + step * rng.randrange(1 << (length - network.prefixlen))
    return (ipaddress.IPv4Network if network.version == 4 else ipaddress.IPv6Network)((first, length))


def _port(rng: random.Random) -> Rule:
    port: Rule = {}
    protocol = rng.choice((None, "TCP", "TCP", "UDP", "SCTP"))
    if protocol is not None:
        port["protocol"] = protocol
    if rng.random() < 0.85:
        port["port"] = rng.choice(_PORTS)
        if rng.random() < 0.4:
            port["endPort"] = rng.choice([port["port"], *(n for n in _PORTS if n >= port["port"])])
    return port


def boundary_packets(
    rng: random.Random, policies: Sequence[Policy], count: int, sender: str
) -> Iterator[Packet]:
    """Packets at, just before and just after the boundaries of the policies, and a few from anywhere."""
    sources: list[Address] = [ipaddress.ip_address(text) for text in ("192.0.2.1", "2001:db8::9", "fe80::1")]
    ports = [1, 65535]
    for rule in rules_of(policies):
        for peer in rule.get("from") or []:
            block = peer.get("ipBlock") or {}
            for cidr in [block["cidr"], *(block.get("except") or [])] if block else []:
                network = ipaddress.ip_network(cidr)
                make = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
                for number in (int(network.network_address), int(network.broadcast_address)):
                    sources += [
                        make(n)
                        for n in (number - 1, number, number + 1)
                        if 0 <= n < 1 << network.max_prefixlen
                    ]
        for entry in rule.get("ports") or []:
            for number in (entry.get("port"), entry.get("endPort")):
                ports += [n for n in (number - 1, number, number + 1) if 1 <= n <= 65535] if number else []
    for _ in range(count):
        draw = rng.random()
        source: Address = (
            rng.choice(sources)
            if draw < 0.9
            else ipaddress.IPv4Address(rng.randrange(1 << 32))
            if draw < 0.95
            else ipaddress.IPv6Address(rng.randrange(1 << 128))
        )
        protocol = rng.choice((TCP, TCP, TCP, UDP, SCTP, ICMP, ICMPV6, GRE, rng.randrange(256)))
        yield Packet(
            source, protocol, rng.choice(ports) if rng.random() < 0.9 else rng.randint(1, 65535), sender
        )
