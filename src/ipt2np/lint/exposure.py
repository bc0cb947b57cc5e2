"""What a host lets in that it should not: by what becomes of packets, not by the text of single rules."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import groupby

from ipt2np.findings.catalogue import remedy
from ipt2np.findings.finding import Finding
from ipt2np.findings.wording import counted, lines_of, protocols_text
from ipt2np.packets import Field, PacketSet
from ipt2np.packets.intervals import AddressSet
from ipt2np.rules.model import Rule
from ipt2np.semantics import Can, Decision
from ipt2np.semantics.outcomes import IMPOSSIBLE
from ipt2np.semantics.replies import FIRST_CLIENT_PORT, answering_rules, reply_rules

TCP, UDP = 6, 17
MANAGEMENT: Mapping[tuple[int, int], str] = {
    (TCP, 22): "SSH", (TCP, 23): "Telnet", (TCP, 111): "portmapper", (TCP, 135): "MS-RPC", (TCP, 389): "LDAP",
    (TCP, 445): "SMB", (TCP, 512): "rexec", (TCP, 513): "rlogin", (TCP, 514): "rsh", (TCP, 873): "rsync",
    (TCP, 1433): "SQL Server", (TCP, 1521): "Oracle", (TCP, 2049): "NFS", (TCP, 2375): "Docker", (TCP, 2376): "Docker (TLS)",
    (TCP, 2379): "etcd", (TCP, 2380): "etcd peers", (TCP, 3128): "Squid", (TCP, 3306): "MySQL", (TCP, 3389): "RDP",
    (TCP, 5432): "PostgreSQL", (TCP, 5900): "VNC", (TCP, 5984): "CouchDB", (TCP, 5985): "WinRM", (TCP, 5986): "WinRM (TLS)",
    (TCP, 6379): "Redis", (TCP, 6443): "the Kubernetes API", (TCP, 7001): "WebLogic", (TCP, 8500): "Consul",
    (TCP, 9042): "Cassandra", (TCP, 9090): "Prometheus or Cockpit", (TCP, 9200): "Elasticsearch",
    (TCP, 10000): "Webmin", (TCP, 10250): "the kubelet", (TCP, 11211): "memcached", (TCP, 27017): "MongoDB",
    (UDP, 69): "TFTP", (UDP, 111): "portmapper", (UDP, 161): "SNMP", (UDP, 389): "CLDAP", (UDP, 623): "IPMI",
    (UDP, 1900): "SSDP", (UDP, 11211): "memcached",
}  # fmt: skip
"""Ports that nobody but an administrator or another server of one's own has business with."""
CLIENT_PORTS = ((FIRST_CLIENT_PORT, 0xFFFF),)
DHCP_CLIENTS = ((68, 68), (546, 546))
"""Answers to these are no connection of conntrack's: the question went to everybody (RFC 2131, 4.1; RFC 8415, 18.2)."""
SHOWN_PORTS = 6


def exposure_findings(decision: Decision) -> Iterator[Finding]:
    """All findings of this module."""
    yield from _too_wide(decision)
    yield from _by_policy(decision)
    yield from _stateless(decision)


def _too_wide(decision: Decision) -> Iterator[Finding]:
    """Management ports that most addresses can reach, by the rules that accept them."""
    found: list[tuple[tuple[int, ...], int, tuple[int, int], PacketSet]] = []
    anybody = {
        family: _sources(decision.judged & decision.space.family(family), family)
        for family in decision.families
    }
    for family, possible in anybody.items():
        for service in MANAGEMENT:
            packets = _reaching(decision, family, service)
            if not packets or not _wide(_sources(packets, family), possible):
                continue
            rules = _widest(decision, packets, family, possible)
            if rules:
                found.append((tuple(rule.number for rule in rules), family, service, packets))
    found.sort(key=lambda each: each[:3])
    for numbers, group in groupby(found, key=lambda each: each[0]):
        services = list(group)
        rules = [decision.rules[number] for number in numbers]
        names = list(
            dict.fromkeys(
                f"{MANAGEMENT[service]} ({service[1]}{'/udp' if service[0] == UDP else ''})"
                for _, _, service, _ in services
            )
        )
        more = f" and {len(names) - SHOWN_PORTS} more" if len(names) > SHOWN_PORTS else ""
        families = list(dict.fromkeys(family for _, family, _, _ in services))
        whole = all(_sources(packets, family) == anybody[family] for _, family, _, packets in services)
        named = " and ".join(f"IPv{each}" for each in families)
        whom = f"any {named} address" if whole else f"most {named} addresses"
        yield Finding(
            "N2P607",
            f"{', '.join(names[:SHOWN_PORTS])}{more} can be reached from {whom} ({lines_of(rules, decision.frames)})",
            remedy("N2P607"),
            tuple(rules),
        )


def _widest(decision: Decision, packets: PacketSet, family: int, possible: AddressSet) -> list[Rule]:
    """The rules that accept packets from wide sources, else as many of the widest as do so together.

    None where it takes a policy to make the sources wide.
    """
    outcomes = decision.outcomes
    parts = decision.connections.within(packets, IMPOSSIBLE).partition(lambda value: value)
    accepted: dict[int, PacketSet] = {}
    for value, part in parts.items():
        if value == IMPOSSIBLE:
            continue
        for number in outcomes.deciders([value], Can.ACCEPT) & decision.rules.keys():
            accepted[number] = accepted[number] | part if number in accepted else part
    sources = {number: _sources(each, family) for number, each in accepted.items()}
    chosen = [number for number, each in sources.items() if _wide(each, possible)]
    if not chosen:
        widest = sorted(sources, key=lambda number: (-_count(sources[number]), number))

        def together(most: int) -> bool:
            ranges = [span for number in widest[:most] for span in sources[number].ranges]
            return _wide(AddressSet.of(family, ranges), possible)

        chosen = widest[: bisect_left(range(len(widest) + 1), True, key=together)]
        if not together(len(chosen)):
            return []
    return [decision.rules[number] for number in sorted(chosen)]


def _reaching(decision: Decision, family: int, service: tuple[int, int]) -> PacketSet:
    """The packets to a service that certainly are accepted, from whichever port a client has."""
    space = decision.space
    protocol, port = service
    clients = space.values(Field.SOURCE_PORT, CLIENT_PORTS)
    to_service = (
        space.family(family)
        & space.value(Field.PROTOCOL, protocol)
        & space.value(Field.DESTINATION_PORT, port)
    )
    accepted = decision.must_accept & to_service
    return (accepted | ~clients).every(Field.SOURCE_PORT) & accepted & clients


def _sources(packets: PacketSet, family: int) -> AddressSet:
    """Where packets come from."""
    space = packets.space
    for each in Field:
        if each not in (Field.FAMILY, Field.SOURCE):
            packets = packets.some(each)
    return space.source_addresses(space.of_family(packets, family), family)


def _wide(addresses: AddressSet, possible: AddressSet) -> bool:
    """Half of all addresses that packets can come from, or more."""
    return 2 * _count(addresses) >= _count(possible)


def _count(addresses: AddressSet) -> int:
    return sum(high - low + 1 for low, high in addresses.ranges)


def _by_policy(decision: Decision) -> Iterator[Finding]:
    """What comes in since INPUT's policy is ACCEPT and no rule decides otherwise."""
    outcomes = decision.outcomes
    for side in decision.sides:
        policies = {
            number
            for number, policy in decision.policies.items()
            if (policy.table, policy.chain, policy.effect, policy.family)
            == ("filter", "INPUT", "ACCEPT", side.family)
        }

        def by_policy(value: int, policies: set[int] = policies) -> bool:
            if value == IMPOSSIBLE or not outcomes.only(value, Can.ACCEPT):
                return False
            return bool(outcomes.deciders([value], Can.ACCEPT) & policies)

        packets = decision.connections.where(by_policy) & decision.judged & decision.space.family(side.family)
        if not policies or not packets:
            continue
        chain = side.ruleset.chain("filter", "INPUT")
        place = chain.location if chain is not None else None
        yield Finding(
            "N2P608",
            f"INPUT's policy is ACCEPT and lets in whatever no rule decides: {_services(packets, side.family)}",
            remedy("N2P608"),
            file=place.file if place else side.ruleset.file,
            line=place.line if place else 0,
        )


def _services(packets: PacketSet, family: int) -> str:
    """The protocols, and for TCP and UDP how many ports."""
    space = packets.space
    text = protocols_text(packets)
    parts = []
    for name, protocol in (("TCP", TCP), ("UDP", UDP)):
        chosen = space.of_family(packets & space.value(Field.PROTOCOL, protocol), family)
        for each in Field:
            if each is not Field.DESTINATION_PORT:
                chosen = chosen.some(each)
        count = sum(high - low + 1 for low, high, _ in space.split(chosen, Field.DESTINATION_PORT))
        if 0 < count < 0xFFFF:
            parts.append(f"{count} of {name}'s ports")
    return text + (f" ({', '.join(parts)})" if parts else "")


def _stateless(decision: Decision) -> Iterator[Finding]:
    """Rules that take a source port, or a flag, for the sign of an answer."""
    dhcp = decision.space.values(Field.DESTINATION_PORT, DHCP_CLIENTS)
    answering = [each.rule for each in answering_rules(decision) if not each.packets <= dhcp]
    if answering:
        yield _leftover(decision, answering, "whoever sends from a server's port, as an answer would come")
    flagged = [rule for rule in reply_rules(decision) if _asks_for_flags(rule)]
    if flagged:
        yield _leftover(decision, flagged, "packets by their TCP flags, whether or not there is a connection")


def _leftover(decision: Decision, rules: list[Rule], what: str) -> Finding:
    return Finding(
        "N2P609",
        f"{counted(rules)} {'lets' if len(rules) == 1 else 'let'} in {what} ({lines_of(rules, decision.frames)})",
        remedy("N2P609"),
        tuple(rules),
    )


def _asks_for_flags(rule: Rule) -> bool:
    return any(clause.option == "--tcp-flags" for use in rule.matches for clause in use.clauses)
