"""Random hosts: rulesets as text and as plain data, the clusters that they move to, and packets near their boundaries.

The data is judged packet by packet as ``iptables`` does it, and so is the text's judge: nothing of ``ipt2np`` is used.
Constants come from a small neighbourhood, so that rules, clusters and packets meet.
"""

from __future__ import annotations

import functools
import ipaddress
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Range = tuple[int, int]

TCP, UDP, SCTP, GRE = 6, 17, 132, 47
ICMP = {4: 1, 6: 58}
OPENING = {4: (8, 13, 15, 17), 6: (128, 139)}
"""ICMP types that open a connection (nf_conntrack_proto_icmp.c, nf_conntrack_proto_icmpv6.c)."""
PORTED = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}

_CIDRS = {
    4: (
        *(
            "0.0.0.0/0",
            "0.0.0.0/1",
            "128.0.0.0/1",
            "10.0.0.0/8",
            "10.0.0.0/9",
            "10.244.0.0/16",
            "10.244.3.0/24",
        ),
        *("10.0.0.0/24", "10.0.0.128/25", "10.0.0.66/32", "10.0.0.67/32", "172.16.0.0/12", "172.17.1.0/24"),
        *(
            "192.168.0.0/16",
            "192.168.7.0/24",
            "192.0.2.0/24",
            "192.0.2.1/32",
            "203.0.113.0/24",
            "203.0.113.64/26",
        ),
    ),
    6: (
        *("::/0", "::/1", "2000::/3", "2001:db8::/32", "2001:db8::/33", "2001:db8:1::/48", "2001:db8::1/128"),
        *(
            "fc00::/7",
            "fd00::/8",
            "fd00:10:244::/56",
            "fd00:10:244::/64",
            "fd00:10::/64",
            "fd12::/16",
            "fe80::/10",
        ),
    ),
}
_PORTS = (1, 22, 53, 80, 81, 443, 1024, 8080, 32768, 65535)
POD_CIDRS = (
    ("10.244.0.0/16",),
    ("10.244.0.0/16", "fd00:10:244::/56"),
    ("fd00:10:244::/56",),
    ("100.64.0.0/10",),
)
NODE_CIDRS = (("192.168.7.0/24",), ("192.168.7.0/24", "fd00:10::/64"), ("10.0.0.0/24",), ("203.0.113.64/26",))


@dataclass(frozen=True)
class Packet:
    """What opens a connection, and which class of sources sent it; fields that its protocol lacks are 0."""

    sender: str
    source: Address
    protocol: int
    port: int = 0
    source_port: int = 0
    icmp_type: int = 0
    icmp_code: int = 0

    @property
    def family(self) -> int:
        return self.source.version


@dataclass(frozen=True)
class HostRule:
    """A rule of one family; empty fields are not tested. ``target`` is a verdict, ``LOG``, ``RETURN`` or a chain."""

    target: str
    source: tuple[Network, ...] = ()
    """Either one network or those that an address range is made of."""
    source_text: str = ""
    not_source: bool = False
    protocol: int | None = None
    not_protocol: bool = False
    ports: tuple[Range, ...] = ()
    not_ports: bool = False
    source_ports: tuple[Range, ...] = ()
    not_source_ports: bool = False
    icmp_type: int | None = None
    icmp_code: int | None = None
    not_icmp: bool = False
    undecided: bool = False
    """What no header says is tested too."""

    def text(self, chain: str, family: int) -> str:
        """As iptables-save has it."""
        words = [f"-A {chain}"]
        if self.source:
            module = "-m iprange " if self.source_text.startswith("--src-range") else ""
            words.append(f"{module}{'! ' if self.not_source else ''}{self.source_text}")
        if self.protocol is not None:
            name = {**PORTED, ICMP[family]: "icmp" if family == 4 else "ipv6-icmp"}.get(
                self.protocol, str(self.protocol)
            )
            words.append(f"{'! ' if self.not_protocol else ''}-p {name}")
        if len(self.ports) > 1 or len(self.source_ports) > 1:
            option, listed, negated = (
                ("dports", self.ports, self.not_ports)
                if self.ports
                else ("sports", self.source_ports, self.not_source_ports)
            )
            words.append(
                f"-m multiport {'! ' if negated else ''}--{option} {','.join(map(_range_text, listed))}"
            )
        elif self.ports or self.source_ports:
            assert self.protocol is not None
            words.append(f"-m {PORTED[self.protocol]}")
            for option, ranges, negated in (
                ("sport", self.source_ports, self.not_source_ports),
                ("dport", self.ports, self.not_ports),
            ):
                if ranges:
                    words.append(f"{'! ' if negated else ''}--{option} {_range_text(ranges[0])}")
        if self.icmp_type is not None:
            module, option = ("icmp", "icmp-type") if family == 4 else ("icmp6", "icmpv6-type")
            code = "" if self.icmp_code is None else f"/{self.icmp_code}"
            words.append(f"-m {module} {'! ' if self.not_icmp else ''}--{option} {self.icmp_type}{code}")
        if self.undecided:
            words.append('-m string --string "secret" --algo bm --to 65535')
        words.append(f"-j {self.target}")
        return " ".join(words)

    def matches(self, packet: Packet) -> bool | None:
        """None where what is tested is in no header."""
        if self.source and any(packet.source in net for net in self.source) == self.not_source:
            return False
        if self.protocol is not None and (packet.protocol == self.protocol) == self.not_protocol:
            return False
        if self.ports and _within(packet.port, self.ports) == self.not_ports:
            return False
        if self.source_ports and _within(packet.source_port, self.source_ports) == self.not_source_ports:
            return False
        if self.icmp_type is not None:
            fits = packet.icmp_type == self.icmp_type and self.icmp_code in (None, packet.icmp_code)
            if fits == self.not_icmp:
                return False
        return None if self.undecided else True


_network_of = functools.lru_cache(maxsize=100)(ipaddress.ip_network)


def _range_text(ports: Range) -> str:
    low, high = ports
    return str(low) if low == high else f"{low}:{high}"


def _within(port: int, ranges: Sequence[Range]) -> bool:
    return any(low <= port <= high for low, high in ranges)


@dataclass(frozen=True)
class Host:
    """One family's filter table: INPUT's policy, and the rules of each chain."""

    family: int
    policy: str
    chains: Mapping[str, Sequence[HostRule]]

    def text(self) -> str:
        """As iptables-save prints it."""
        users = [chain for chain in self.chains if chain != "INPUT"]
        lines = ["*filter", f":INPUT {self.policy} [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]"]
        lines += [f":{chain} - [0:0]" for chain in users]
        # What belongs to connections that are there already: never the packet that opens one.
        lines.append("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
        lines += [rule.text(chain, self.family) for chain, rules in self.chains.items() for rule in rules]
        return "\n".join([*lines, "COMMIT"]) + "\n"

    def fates(self, packet: Packet) -> set[str]:
        """``accept``, ``refuse``: all that may become of a packet that opens a connection."""
        return {fate if fate != "on" else self.policy_fate for fate in self._walk("INPUT", packet)}

    @property
    def policy_fate(self) -> str:
        return "accept" if self.policy == "ACCEPT" else "refuse"

    def _walk(self, chain: str, packet: Packet) -> set[str]:
        """What may come of the chain; ``on`` is to go on behind the call."""
        found: set[str] = set()
        for rule in self.chains[chain]:
            fits = rule.matches(packet)
            if fits is False or rule.target == "LOG":
                continue
            if rule.target in self.chains:
                inner = self._walk(rule.target, packet)
                found |= inner - {"on"}
                if fits and "on" not in inner:
                    return found
                continue
            found.add({"ACCEPT": "accept", "RETURN": "on"}.get(rule.target, "refuse"))
            if fits:
                return found
        return found | {"on"}


@dataclass(frozen=True)
class Case:
    """A host of one or two families, and the cluster it moves to."""

    hosts: Sequence[Host]
    pod_cidrs: tuple[str, ...]
    node_cidrs: tuple[str, ...]
    cidr_match: frozenset[str]
    in_cluster: bool
    allow_in_doubt: bool
    same_for_other_family: bool
    sources: Sequence[Address] = field(repr=False)
    """Addresses at, just before and just after what the rules and the cluster name."""
    ports: Sequence[int] = field(repr=False)

    def host(self, family: int) -> Host | None:
        return next((host for host in self.hosts if host.family == family), None)

    def senders(self, source: Address) -> list[str]:
        """The classes that an address may belong to."""
        pod = any(source in _network_of(cidr) for cidr in self.pod_cidrs)
        node = any(source in _network_of(cidr) for cidr in self.node_cidrs)
        possible = [] if pod or node else ["external"]
        if pod or (not self.pod_cidrs and not node):
            possible.append("pod")
        if node or (not self.node_cidrs and not pod):
            possible.append("node")
        return possible

    def packets(self, rng: random.Random, count: int) -> Iterator[Packet]:
        """Packets that open connections, most of them at the boundaries."""
        while count:
            source = rng.choice(self.sources)
            if rng.random() < 0.1:
                source = (
                    ipaddress.IPv4Address(rng.randrange(1 << 32))
                    if source.version == 4
                    else ipaddress.IPv6Address(rng.randrange(1 << 128))
                )
            senders = self.senders(source)
            if not senders:
                continue
            sender = "external" if "external" in senders and rng.random() < 0.6 else rng.choice(senders)
            count -= 1
            protocol = rng.choice(
                (TCP, TCP, TCP, UDP, UDP, SCTP, ICMP[source.version], GRE, rng.randrange(256))
            )
            if protocol in PORTED:
                port = rng.choice(self.ports) if rng.random() < 0.9 else rng.randint(1, 65535)
                yield Packet(
                    sender, source, protocol, port, rng.choice(self.ports) if rng.random() < 0.5 else 40000
                )
            elif protocol == ICMP[source.version]:
                code = rng.choice((0, 0, 1, 255))
                yield Packet(
                    sender, source, protocol, icmp_type=rng.choice(OPENING[source.version]), icmp_code=code
                )
            else:
                yield Packet(sender, source, protocol)


def random_case(rng: random.Random) -> Case:
    """A case of moderate size: up to some dozens of rules, once in a while a list of hundreds of sources."""
    families = rng.choice(((4,), (4,), (6,), (4, 6), (4, 6)))
    policy = rng.choice(("ACCEPT", "DROP"))
    hosts = [Writer(rng, family).host(policy if rng.random() < 0.8 else "DROP") for family in families]
    pods = rng.choice(POD_CIDRS) if rng.random() < 0.6 else ()
    nodes = rng.choice(NODE_CIDRS) if rng.random() < 0.5 else ()
    if rng.random() < 0.05:
        pods = nodes = ()
    matched = frozenset(name for name in ("pods", "nodes") if rng.random() < 0.4)
    networks = [
        net for host in hosts for rules in host.chains.values() for rule in rules for net in rule.source
    ]
    networks += [ipaddress.ip_network(cidr) for cidr in (*pods, *nodes)]
    if len(networks) > 60:
        networks = rng.sample(networks, 60)
    networks += [ipaddress.ip_network("198.51.100.9/32"), ipaddress.ip_network("2001:db8:9::9/128")]
    return Case(
        hosts,
        pods,
        nodes,
        matched,
        rng.random() < 0.8,
        rng.random() < 0.35,
        rng.random() < 0.25,
        sorted({near for net in networks for near in _edges(net)}, key=lambda a: (a.version, int(a))),
        sorted(
            {
                near
                for host in hosts
                for rules in host.chains.values()
                for rule in rules
                for low, high in (*rule.ports, *rule.source_ports)
                for near in (low - 1, low, low + 1, high - 1, high, high + 1)
                if 1 <= near <= 65535
            }
            | {80}
        ),
    )


def _edges(network: Network) -> Iterator[Address]:
    make = type(network.network_address)
    for edge in (int(network[0]), int(network[-1])):
        yield from (
            make(near) for near in (edge - 1, edge, edge + 1) if 0 <= near < 1 << network.max_prefixlen
        )


class Writer:
    """Random rules of one family."""

    def __init__(self, rng: random.Random, family: int) -> None:
        self.rng, self.family = rng, family

    def host(self, policy: str) -> Host:
        """INPUT with a few rules and lists, and up to three chains; a chain calls those behind it alone."""
        rng = self.rng
        users = [f"user{number}" for number in range(rng.choice((0, 1, 1, 2, 3)))]
        chains: dict[str, list[HostRule]] = {"INPUT": self.rules(rng.randint(1, 8), users)}
        for number, user in enumerate(users):
            chains[user] = self.rules(rng.randint(1, 4), users[number + 1 :])
        return Host(self.family, policy, chains)

    def rules(self, count: int, users: Sequence[str]) -> list[HostRule]:
        rules: list[HostRule] = []
        while len(rules) < count:
            draw = self.rng.random()
            if draw < 0.08:
                rules += self.sources_of_one_service()
            elif draw < 0.13:
                rules += self.alternation()
            else:
                rules.append(self.rule(users))
        return rules

    def verdict(self) -> str:
        return self.rng.choice(("ACCEPT", "ACCEPT", "DROP", "REJECT"))

    def rule(self, users: Sequence[str]) -> HostRule:
        rng = self.rng
        target = rng.choice(
            (*("ACCEPT",) * 6, *("DROP",) * 4, "REJECT", "REJECT", "LOG", "RETURN", *users, *users)
        )
        source = self.source() if rng.random() < 0.6 else {}
        service = self.service() if rng.random() < 0.75 else {}
        return HostRule(target, **{**source, **service}, undecided=rng.random() < 0.06)  # type: ignore[arg-type]

    def source(self) -> dict[str, object]:
        rng = self.rng
        negated = rng.random() < 0.15
        if rng.random() < 0.85:
            network = ipaddress.ip_network(rng.choice(_CIDRS[self.family]))
            negated = negated and network.prefixlen > 0
            return {"source": (network,), "source_text": f"-s {network}", "not_source": negated}
        base = ipaddress.ip_network(rng.choice(_CIDRS[self.family][3:]))
        make = type(base.network_address)
        span = min(base.num_addresses - 1, 70_000)
        low, high = sorted(make(int(base[0]) + rng.randint(0, span)) for _ in range(2))
        networks = tuple(ipaddress.summarize_address_range(low, high))
        return {"source": networks, "source_text": f"--src-range {low}-{high}", "not_source": negated}

    def service(self) -> dict[str, object]:
        rng, icmp = self.rng, ICMP[self.family]
        protocol = rng.choice((TCP, TCP, TCP, UDP, UDP, SCTP, icmp, icmp, GRE, 50, 2))
        if rng.random() < 0.08:
            return {"protocol": protocol, "not_protocol": True}
        result: dict[str, object] = {"protocol": protocol}
        draw = rng.random()
        if protocol == icmp and draw < 0.8:
            result["icmp_type"] = rng.choice((*OPENING[self.family], *OPENING[self.family], 3))
            result["icmp_code"] = rng.choice((None, None, 0, 1))
            result["not_icmp"] = rng.random() < 0.12
        elif protocol in PORTED and draw < 0.2:
            several = sorted(rng.sample(_PORTS, rng.randint(2, 6)))
            where = rng.choice(("ports", "ports", "source_ports"))
            result[where] = tuple((port, port) for port in several)
            result[f"not_{where}"] = rng.random() < 0.12
        elif protocol in PORTED and draw < 0.9:
            if draw < 0.75:
                result["ports"] = (self.range(),)
                result["not_ports"] = rng.random() < 0.08
            if draw > 0.65:
                result["source_ports"] = (self.range(),)
                result["not_source_ports"] = rng.random() < 0.12
        return result

    def range(self) -> Range:
        low, high = sorted(self.rng.choice(_PORTS) for _ in range(2))
        if self.rng.random() < 0.3:
            return low, high
        return (low, low) if self.rng.random() < 0.8 else (low, min(low + self.rng.randint(1, 40), 65535))

    def sources_of_one_service(self) -> Iterator[HostRule]:
        """A long list of sources, as an address set would be: hosts and small networks, seldom hundreds of them."""
        rng = self.rng
        target, service = self.verdict(), self.service() if rng.random() < 0.6 else {}
        count = 300 if rng.random() < 0.06 else rng.randint(5, 25)
        for _ in range(count):
            yield HostRule(target, **{**self.small_source(), **service})  # type: ignore[arg-type]

    def alternation(self) -> Iterator[HostRule]:
        """Verdicts that change from rule to rule over the same ports."""
        rng = self.rng
        ports = [(port, port) for port in rng.sample(_PORTS, 2)]
        for number in range(rng.randint(4, 12)):
            target = ("ACCEPT", rng.choice(("DROP", "REJECT")))[number % 2]
            source = self.small_source() if rng.random() < 0.7 else self.source()
            yield HostRule(target, **source, protocol=TCP, ports=(rng.choice(ports),))  # type: ignore[arg-type]

    def small_source(self) -> dict[str, object]:
        rng = self.rng
        base = ipaddress.ip_network(rng.choice(_CIDRS[self.family][3:]))
        length = rng.randint(max(base.prefixlen, base.max_prefixlen - 8), base.max_prefixlen)
        size = 1 << (base.max_prefixlen - length)
        network = type(base)(
            (int(base[0]) + rng.randrange(min(base.num_addresses, 1 << 12)) // size * size, length)
        )
        return {"source": (network,), "source_text": f"-s {network}"}
