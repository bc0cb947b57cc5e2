"""Probes around the constants of a ruleset, read from iptables-save text by small regular expressions.

This reading only has to find numbers worth trying; it decides nothing, so what it misses costs
coverage and never a wrong judgement.
"""

from __future__ import annotations

import re
import shlex
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from random import Random
from typing import Final

from .probe import DCCP, EXTENSION_HEADERS, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, Probe

_Address = IPv4Address | IPv6Address

_PROTOCOLS: Final[Mapping[str, int]] = {
    "icmp": ICMP, "icmpv6": ICMPV6, "ipv6-icmp": ICMPV6, "tcp": TCP, "udp": UDP, "sctp": SCTP,
    "dccp": DCCP, "udplite": UDPLITE, "gre": 47, "esp": 50, "ah": 51, "igmp": 2, "ipip": 4,
    "ipencap": 4, "ipv6": 41, "ospf": 89, "vrrp": 112, "pim": 103, "l2tp": 115,
}  # fmt: skip

#: Type names of libxt_icmp.h in iptables (the codes that have names are all of type 3, 5, 11 and 12).
_TYPES: Final[Mapping[int, Mapping[str, int]]] = {
    4: {
        "echo-reply": 0, "pong": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5,
        "echo-request": 8, "ping": 8, "router-advertisement": 9, "router-solicitation": 10,
        "time-exceeded": 11, "ttl-exceeded": 11, "parameter-problem": 12, "timestamp-request": 13,
        "timestamp-reply": 14, "address-mask-request": 17, "address-mask-reply": 18,
        "network-unreachable": 3, "host-unreachable": 3, "protocol-unreachable": 3,
        "port-unreachable": 3, "fragmentation-needed": 3, "communication-prohibited": 3,
    },
    6: {
        "destination-unreachable": 1, "no-route": 1, "communication-prohibited": 1,
        "address-unreachable": 1, "port-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3,
        "ttl-exceeded": 3, "parameter-problem": 4, "bad-header": 4, "echo-request": 128, "ping": 128,
        "echo-reply": 129, "pong": 129, "router-solicitation": 133, "router-advertisement": 134,
        "neighbour-solicitation": 135, "neighbor-solicitation": 135, "neighbour-advertisement": 136,
        "neighbor-advertisement": 136, "redirect": 137,
    },
}  # fmt: skip

_UNMENTIONED: Final = (47, 50, 89, 2, 103)

_SOURCE: Final = re.compile(r"(?:^|\s)(?:-s|--source|--src|--src-range)\s+(\S+)")
_DESTINATION: Final = re.compile(r"(?:^|\s)(?:-d|--destination|--dst|--dst-range)\s+(\S+)")
_PROTOCOL: Final = re.compile(r"(?:^|\s)(?:-p|--protocol)\s+(\S+)")
_PORTS: Final = re.compile(r"\s--(source-ports?|sports?|destination-ports?|dports?|ports)\s+(\S+)")
_ICMP_TYPE: Final = re.compile(r"\s--icmp(?:v6)?-type\s+(\S+)")
_INTERFACE: Final = re.compile(r"(?:^|\s)(?:-i|--in-interface)\s+(\S+)")

_REFUSED: Final = {
    4: [ip_network(text) for text in ("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32")],
    6: [ip_network(text) for text in ("::1/128", "ff00::/8")],
}


@dataclass
class _Constants:
    """The boundary values that one rule (or the whole text) mentions."""

    sources: list[str] = field(default_factory=list)
    destinations: list[str] = field(default_factory=list)
    protocols: list[int] = field(default_factory=list)
    sports: list[int] = field(default_factory=list)
    dports: list[int] = field(default_factory=list)
    icmp: list[tuple[int, int]] = field(default_factory=list)
    interfaces: list[str] = field(default_factory=list)

    def add(self, other: _Constants) -> None:
        for name in self.__dataclass_fields__:
            mine = getattr(self, name)
            mine.extend(value for value in getattr(other, name) if value not in mine)


def _spread(first: _Address, last: _Address) -> list[str]:
    limit = (1 << first.max_prefixlen) - 1
    low, high = int(first), int(last)
    numbers = dict.fromkeys((low - 1, low, (low + high) // 2, high, high + 1))
    return [str(type(first)(number)) for number in numbers if 0 <= number <= limit]


@lru_cache(maxsize=10_000)
def _addresses(text: str, family: int) -> tuple[str, ...]:
    """first-1, first, middle, last, last+1 of every address, prefix or range in the text."""
    found: list[str] = []
    for part in text.split(","):
        try:
            if "-" in part:
                first, last = (ip_address(end) for end in part.split("-"))
            else:
                network: IPv4Network | IPv6Network = ip_network(part, strict=False)
                first, last = network[0], network[-1]
        except ValueError:
            continue
        if first.version == last.version == family:
            found.extend(_spread(first, last))
    return tuple(found)


def _port(text: str) -> int | None:
    if text.isdigit():
        return int(text)
    try:
        return socket.getservbyname(text)
    except OSError:
        return None


def _ports(text: str) -> list[int]:
    found: list[int] = []
    for part in text.split(","):
        low_text, colon, high_text = part.partition(":")
        low = _port(low_text or "0")
        high = _port(high_text or "65535") if colon else low
        if low is not None and high is not None:
            found.extend((low - 1, low, (low + high) // 2, high, high + 1))
    return [port for port in dict.fromkeys(found) if 0 < port <= 65535]


def _protocol(text: str) -> list[int]:
    number = int(text) if text.isdigit() else _PROTOCOLS.get(text.lower(), -1)
    return [number] if 0 < number < 256 else []


def _icmp(text: str, family: int) -> list[tuple[int, int]]:
    kind_text, _, code_text = text.partition("/")
    kind = int(kind_text) if kind_text.isdigit() else _TYPES[family].get(kind_text, 255)
    codes = [int(code_text)] if code_text.isdigit() else [0]
    found = [(kind + step, code) for step in (-1, 0, 1) for code in codes]
    found += [(kind, codes[0] + 1), (kind, codes[0] - 1), (kind, 255)]
    if not kind_text.isdigit():
        found += [(kind, code) for code in range(16)]
    return [(kind, code) for kind, code in found if 0 <= kind <= 255 and 0 <= code <= 255]


def _read(rule: str, family: int, interfaces: Sequence[str]) -> _Constants:
    rule = re.sub(r'"(?:\\.|[^"\\])*"', '""', rule)  # comments may quote options
    found = _Constants()
    for match in _SOURCE.finditer(rule):
        found.sources.extend(_addresses(match[1], family))
    for match in _DESTINATION.finditer(rule):
        found.destinations.extend(_addresses(match[1], family))
    for match in _PROTOCOL.finditer(rule):
        found.protocols.extend(_protocol(match[1]))
    for match in _PORTS.finditer(rule):
        numbers = _ports(match[2])
        if match[1] == "ports" or match[1].startswith("s"):
            found.sports.extend(numbers)
        if match[1] == "ports" or match[1].startswith("d"):
            found.dports.extend(numbers)
    for match in _ICMP_TYPE.finditer(rule):
        found.icmp.extend(_icmp(match[1], family))
    for match in _INTERFACE.finditer(rule):
        wanted = match[1]
        found.interfaces.extend(
            name
            for name in interfaces
            if name == wanted or (wanted[-1:] == "+" and name.startswith(wanted[:-1]))
        )
    return found


class _Maker:
    def __init__(
        self, text: str, family: int, rng: Random, destinations: Sequence[str], interfaces: Sequence[str]
    ) -> None:
        self.family = family
        self.rng = rng
        self.destinations = tuple(destinations)
        self.interfaces = tuple(interfaces)
        self.icmp = ICMP if family == 4 else ICMPV6
        self.echo = (8, 0) if family == 4 else (128, 0)
        lines = [line for line in text.splitlines() if re.match(r"(?:\[\d+:\d+\]\s*)?-[AI]\s", line)]
        self.rules = [_read(line, family, interfaces) for line in lines]
        self.all = _Constants()
        for rule in self.rules:
            rule.sources = [source for source in rule.sources if self._usable(source)]
            self.all.add(rule)
        never = EXTENSION_HEADERS if family == 6 else frozenset({0})
        self.protocols = [TCP, UDP, SCTP, self.icmp, *self.all.protocols]
        self.protocols += [number for number in _UNMENTIONED if number not in self.all.protocols][:2]
        self.protocols = [number for number in dict.fromkeys(self.protocols) if number not in never]
        self.random_protocols = [number for number in range(1, 256) if number not in never]

    def _usable(self, source: str) -> bool:
        address = ip_address(source)
        own = self.family == 4 and source in self.destinations  # in IPv6 they do reach INPUT
        return not own and not any(address in net for net in _REFUSED[self.family])

    def _random_source(self) -> str:
        rng = self.rng
        while True:
            if self.family == 4:
                source = str(IPv4Address(rng.getrandbits(32)))
            elif rng.random() < 0.05:
                source = rng.choice((*self.destinations, "::", "::ffff:1.2.3.4"))
            else:
                top = rng.choice((0x2001, 0x2A00, 0xFD00, 0xFE80, rng.getrandbits(16)))
                source = str(IPv6Address(top << 112 | rng.getrandbits(112)))
            if self._usable(source):
                return source

    def _source(self, *preferred: Sequence[str]) -> str:
        for values in preferred:
            if values:
                return self.rng.choice(values)
        return self._random_source()

    def _destination(self, values: Sequence[str]) -> str:
        known = [value for value in values if value in self.destinations]
        return self.rng.choice(known or self.destinations)

    def _port(self, *preferred: Sequence[int]) -> int:
        for values in preferred:
            if values and self.rng.random() < 0.9:
                return self.rng.choice(values)
        return self.rng.choice((self.rng.randint(1, 1024), self.rng.randint(1, 65535)))

    def _icmp_pair(self, *preferred: Sequence[tuple[int, int]]) -> tuple[int, int]:
        for values in preferred:
            if values and self.rng.random() < 0.7:
                return self.rng.choice(values)
        if self.rng.random() < 0.4:
            return self.echo
        return self.rng.randint(0, 255), self.rng.choice((0, 0, self.rng.randint(0, 255)))

    def _probe(self, protocol: int, source: str, destination: str, interface: str, rule: _Constants) -> Probe:
        sport = dport = kind = code = 0
        if protocol == self.icmp:
            kind, code = self._icmp_pair(rule.icmp, self.all.icmp)
        elif protocol in (TCP, UDP, SCTP, DCCP, UDPLITE):
            sport = self._port(rule.sports) if rule.sports else self._port(self.all.sports, (40000,))
            dport = self._port(rule.dports, self.all.dports)
        return Probe(self.family, source, destination, protocol, sport, dport, kind, code, interface)

    def targeted(self) -> Probe:
        """Every value from around one rule's own constants."""
        if not self.rules:
            return self.crossed()
        rng, rule = self.rng, self.rng.choice(self.rules)
        likely = [TCP, UDP] if rule.sports or rule.dports else [self.icmp] if rule.icmp else self.protocols
        protocols = [number for number in rule.protocols if number in self.protocols] or likely
        if rng.random() < 0.1:
            protocols = self.protocols
        return self._probe(
            rng.choice(protocols),
            self._source(rule.sources, self.all.sources if rng.random() < 0.8 else ()),
            self._destination(rule.destinations),
            rng.choice(rule.interfaces if rule.interfaces and rng.random() < 0.9 else self.interfaces),
            rule,
        )

    def crossed(self) -> Probe:
        """Each value from around some rule's constants."""
        rng = self.rng
        return self._probe(
            rng.choice(self.protocols),
            self._source(self.all.sources),
            self._destination(()),
            rng.choice(self.interfaces),
            self.all,
        )

    def uniform(self) -> Probe:
        rng = self.rng
        protocol = rng.choice(self.protocols if rng.random() < 0.8 else self.random_protocols)
        return self._probe(
            protocol, self._random_source(), self._destination(()), rng.choice(self.interfaces), _Constants()
        )


def boundary_probes(
    text: str,
    family: int,
    *,
    count: int,
    rng: Random,
    destinations: Sequence[str],
    interfaces: Sequence[str],
) -> list[Probe]:
    """*count* probes to *destinations* (the host's own addresses): the same for the same *rng*.

    Six in ten vary around one rule's constants, three in ten mix rules, one in ten is uniform.
    """
    own = [address for address in destinations if ip_address(address).version == family]
    if not own or not interfaces:
        raise ValueError("no destination of this family, or no interface")
    maker = _Maker(text, family, rng, own, interfaces)
    makers = (maker.targeted,) * 6 + (maker.crossed,) * 3 + (maker.uniform,)
    return [rng.choice(makers)() for _ in range(count)]


_ELSEWHERE: Final = frozenset({"OUTPUT", "FORWARD", "POSTROUTING"})


def _rule_chain(words: Iterable[str]) -> str:
    words = list(words)
    for index, word in enumerate(words[:-1]):
        if word in ("-A", "-I", "--append", "--insert"):
            return words[index + 1]
    return ""


def input_path(text: str) -> str:
    """The dump without the rules and policies of the OUTPUT, FORWARD and POSTROUTING chains."""
    kept = []
    for line in text.splitlines():
        declared = re.match(r":(\S+)\s+(\S+)(.*)", line)
        if declared and declared[1] in _ELSEWHERE:
            line = f":{declared[1]} ACCEPT{declared[3]}"
        elif not declared and line[:1] in ("-", "["):
            words = re.sub(r"^\[\d+:\d+\]\s*", "", line)
            if _rule_chain(shlex.split(words)[:2]) in _ELSEWHERE:
                continue
        kept.append(line)
    return "\n".join(kept) + "\n"
