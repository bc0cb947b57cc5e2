"""Small hosts, a packet for each cell of what they and their policies can tell apart, and who decides it.

Nothing of ``ipt2np`` is used.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from tests.cni.random_hosts import (
    ICMP,
    OPENING,
    PORTED,
    SCTP,
    TCP,
    UDP,
    Address,
    Case,
    Host,
    HostRule,
    Packet,
    random_case,
)

from .mutations import parts

MOST_CELLS = 2500
"""Packets of a host that is small enough to ask all of them again and again."""
MOST_RULES = 14
OTHERS = (47, 50, 2, 33, 136, 200)
"""Protocols that rules name by number alone, and some that none names."""
NO_NEXT_HEADER = 59
"""Not the beginning of a connection in IPv6 (nf_conntrack_proto.c)."""
IMPOSSIBLE = tuple(
    ipaddress.ip_network(cidr)
    for cidr in (
        *("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"),
        *("::1/128", "ff00::/8", "::ffff:0:0/96"),
    )
)
"""Sources that no host takes, and one that no policy can name."""

Decider = tuple[str, int]
"""What becomes of a packet, and the line of the rule that says so; 0 for the policy of INPUT."""


def _rule(
    target: str, source: str = "", protocol: int | None = None, ports: str = "", **more: Any
) -> HostRule:
    ranges = []
    for part in ports.split(",") if ports else ():
        low, _, high = part.partition(":")
        ranges.append((int(low), int(high or low)))
    networks = (ipaddress.ip_network(source),) if source else ()
    text = f"-s {source}" if source else ""
    return HostRule(target, networks, text, protocol=protocol, ports=tuple(ranges), **more)


def _case(policy: str, pods: tuple[str, ...], nodes: tuple[str, ...], **chains: list[HostRule]) -> Case:
    families = {net.version for rules in chains.values() for rule in rules for net in rule.source}
    hosts = [Host(family, policy, chains) for family in sorted(families)]
    return Case(hosts, pods, nodes, frozenset(), True, False, False, [ipaddress.ip_address("10.1.2.3")], [80])


OWN_CASES = (
    _case(
        "DROP",
        ("10.244.0.0/16",),
        ("192.168.7.0/24",),
        INPUT=[
            _rule("DROP", "10.1.2.0/24", TCP, "22"),
            _rule("ACCEPT", "10.0.0.0/8", TCP, "22"),
            _rule("ACCEPT", "", TCP, "80,443"),
            _rule("ACCEPT", "192.0.2.0/24", UDP, "5000:5010"),
            _rule("ACCEPT", "10.0.0.0/8", 1, icmp_type=8),
        ],
    ),
    _case(
        "ACCEPT",
        (),
        ("10.0.0.0/24",),
        INPUT=[
            _rule("DROP", "203.0.113.64/26"),
            _rule("REJECT", "203.0.113.7/32", TCP, "25"),
            _rule("DROP", "", TCP, "3306"),
            _rule("DROP", "172.16.0.0/12", SCTP),
            _rule("DROP", "", UDP, "1:1023"),
        ],
    ),
    _case(
        "DROP",
        ("fd00:10:244::/56",),
        (),
        INPUT=[
            _rule("ACCEPT", "2001:db8::/32", TCP, "443"),
            _rule("admin", "fd00::/8", TCP),
            _rule("ACCEPT", "", UDP, "53", undecided=True),
            _rule("ACCEPT", "", 58, icmp_type=128),
        ],
        admin=[
            _rule("RETURN", "fd12::/16"),
            _rule("ACCEPT", "", TCP, "22"),
            _rule("ACCEPT", "", TCP, "8000:8080"),
        ],
    ),
    _case(
        "DROP",
        (),
        (),
        INPUT=[
            _rule("ACCEPT", "10.0.0.0/8", TCP, "8080", source_ports=((1024, 65535),)),
            _rule("ACCEPT", "192.168.0.0/16", 47),
            _rule("ACCEPT", "192.0.2.1/32"),
        ],
    ),
)
"""Hosts of every kind that administrators write: holes, bans, chains, source ports, other protocols."""


def small_case(rng: random.Random) -> Case:
    """A random host whose cells can all be asked."""
    while True:
        case = replace(random_case(rng), same_for_other_family=False)
        rules = sum(len(rules) for host in case.hosts for rules in host.chains.values())
        if 2 <= rules <= MOST_RULES and sum(1 for _ in cells(case, [])) <= MOST_CELLS:
            return case


# -- cells ---------------------------------------------------------------------------------------------------


def cells(case: Case, objects: Iterable[dict[str, Any]]) -> Iterator[Packet]:
    """The first packet of every cell between the boundaries of the host, the cluster and the objects, sent from outside."""
    values = [value for each in objects for value in parts(each) if not isinstance(value, dict | list)]
    sources = _sources(case, values)
    ports, source_ports = _ports(case, values, "ports"), _ports(case, values, "source_ports")
    if not any(rule.source_ports for host in case.hosts for rules in host.chains.values() for rule in rules):
        source_ports = [40000]
    for source in sources:
        for protocol in PORTED:
            for port in ports:
                for source_port in source_ports:
                    yield Packet("external", source, protocol, port, source_port)
        for icmp_type in OPENING[source.version]:
            for code in (0, 1, 2):
                yield Packet("external", source, ICMP[source.version], icmp_type=icmp_type, icmp_code=code)
        for protocol in OTHERS:
            yield Packet("external", source, protocol)


def _sources(case: Case, values: Iterable[Any]) -> list[Address]:
    networks = [
        net for host in case.hosts for rules in host.chains.values() for rule in rules for net in rule.source
    ]
    networks += [ipaddress.ip_network(cidr) for cidr in (*case.pod_cidrs, *case.node_cidrs)]
    networks += [ipaddress.ip_network(text) for text in values if is_cidr(text)]
    firsts: set[Address] = {ipaddress.ip_address("0.0.0.1"), ipaddress.ip_address("::")}
    for net in (*networks, *IMPOSSIBLE):
        firsts.add(net[0])
        if int(net[-1]) + 1 < 1 << net.max_prefixlen:
            firsts.add(type(net[0])(int(net[-1]) + 1))
    return sorted((each for each in firsts if possible(each)), key=lambda each: (each.version, int(each)))


def is_cidr(value: Any) -> bool:
    """True for the text of a network."""
    if not isinstance(value, str) or "/" not in value:
        return False
    try:
        ipaddress.ip_network(value)
    except ValueError:
        return False
    return True


def possible(source: Address) -> bool:
    """True for a source that a host takes and a policy can name."""
    return not any(source.version == net.version and source in net for net in IMPOSSIBLE)


def _ports(case: Case, values: Iterable[Any], field: str) -> list[int]:
    found = {1}
    for host in case.hosts:
        for rules in host.chains.values():
            for rule in rules:
                for low, high in getattr(rule, field):
                    found |= {low, high + 1}
    for value in values:
        for word in str(value).split(":") if isinstance(value, int | str) else ():
            if word.isdigit():
                found |= {int(word), int(word) + 1}
    return sorted(port for port in found if 1 <= port <= 65535)


# -- who decides ---------------------------------------------------------------------------------------------


def deciders(host: Host, packet: Packet) -> set[Decider]:
    """Every fate that a packet may have, with the line in ``host.text()`` of the rule that gives it."""
    found = _walked(host, "INPUT", packet)
    return {(host.policy_fate, 0) if each[0] == "on" else each for each in found}


def _walked(host: Host, chain: str, packet: Packet) -> set[Decider]:
    found: set[Decider] = set()
    first = _first_line(host, chain)
    for place, rule in enumerate(host.chains[chain]):
        fits = rule.matches(packet)
        if fits is False or rule.target == "LOG":
            continue
        if rule.target in host.chains:
            inner = _walked(host, rule.target, packet)
        elif rule.target == "RETURN":
            inner = {("returned", 0)}
        else:
            inner = {("accept" if rule.target == "ACCEPT" else "refuse", first + place)}
        found |= {each for each in inner if each[0] not in ("on", "returned")}
        if ("returned", 0) in inner:
            found.add(("on", 0))
        if fits and ("on", 0) not in inner:
            return found
    return found | {("on", 0)}


def _first_line(host: Host, chain: str) -> int:
    """Behind the table's name, the built-in chains, the others, and the rule for what is established."""
    before = 0
    for name, rules in host.chains.items():
        if name == chain:
            break
        before += len(rules)
    return 1 + 3 + (len(host.chains) - 1) + 1 + before + 1
