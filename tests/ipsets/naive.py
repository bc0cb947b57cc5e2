"""A deliberately slow ipset: it keeps every element by itself and looks at one packet at a time.

Written from ipset(8) and from what the kernel was seen to do, for the types that a kernel may lack; it shares no code
with what it judges. Elements are those that `ipset save` prints, and addresses, networks and ranges as one may type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address, ip_network, summarize_address_range
from itertools import product
from typing import Final

from tests.kernel.probe import Probe

PROTOCOLS: Final = {
    "tcp": 6,
    "udp": 17,
    "sctp": 132,
    "udplite": 136,
    "icmp": 1,
    "ipv6-icmp": 58,
    "gre": 47,
    "esp": 50,
}
ICMP_NAMES: Final = {
    (1, "echo-request"): "8/0", (1, "fragmentation-needed"): "3/4", (58, "echo-request"): "128/0",
    (58, "port-unreachable"): "1/4",
}  # fmt: skip
PORTED: Final = (6, 17, 132, 136)
BITS: Final = {4: 32, 6: 128}
MAXELEM: Final = 65536
NOMATCH_TYPES: Final = ("hash:net", "hash:net,net", "hash:net,port", "hash:net,iface", "hash:ip,port,net",
                        "hash:net,port,net")  # fmt: skip


class Refused(Exception):
    """The kernel takes no such element: one is there already and flagged otherwise, or it is too many."""


@dataclass(frozen=True)
class Seen:
    """A packet as a set sees it; ``mark`` is None where nobody knows it."""

    family: int
    source: int
    destination: int
    protocol: int
    sport: int = 0
    dport: int = 0
    icmp: tuple[int, int] = (0, 0)
    interface: str = "eth0"
    mark: int | None = None

    @classmethod
    def of(cls, probe: Probe, mark: int | None = None) -> Seen:
        return cls(
            probe.family, int(ip_address(probe.source)), int(ip_address(probe.destination)), probe.protocol,
            probe.sport, probe.dport, (probe.icmp_type, probe.icmp_code), probe.interface, mark,
        )  # fmt: skip

    def address(self, direction: str) -> int:
        return self.source if direction == "src" else self.destination

    def port(self, direction: str) -> int:
        """What stands for the packet's port: 0 where the protocol has none."""
        if self.protocol in PORTED:
            return self.sport if direction == "src" else self.dport
        return self.icmp[0] * 256 + self.icmp[1] if self.protocol in (1, 58) else 0


@dataclass(frozen=True)
class Stored:
    """An element as the kernel keeps it: networks as (address, prefix length)."""

    nets: tuple[tuple[int, int], ...]
    hosts: tuple[int, ...] = ()
    service: tuple[int, int] | None = None
    interface: str = ""
    wildcard: bool = False
    mark: int = 0
    nomatch: bool = False


Key = tuple[tuple[tuple[int, int], ...], tuple[int, ...], tuple[int, int] | None]


@dataclass
class NaiveSet:
    """A set: its type, family and mask, and its elements in the order in which they were added."""

    type: str
    family: int
    mask: int
    block: int = 1
    """How far apart the addresses of a range are kept."""
    markmask: int = 0xFFFFFFFF
    ports: tuple[int, int] = (0, 0xFFFF)
    elements: dict[Key, list[Stored]] = field(default_factory=dict)
    """By what is looked up: nets, hosts, service; in the order in which they were added."""
    members: list[str] = field(default_factory=list)

    @property
    def masked(self) -> bool:
        """True where only some bits of addresses count."""
        return self.mask != (1 << BITS[self.family]) - 1

    @property
    def parts(self) -> list[str]:
        return self.type.partition(":")[2].split(",")


def created(words: Sequence[str]) -> NaiveSet:
    """``TYPE [OPTION VALUE]…``: family, netmask, bitmask, markmask, range."""
    options = dict(zip(words[1::2], words[2::2], strict=True))
    family = 6 if options.get("family") == "inet6" else 4
    whole = (1 << BITS[family]) - 1
    made = NaiveSet(words[0], family, whole)
    if "netmask" in options:
        made.block = 1 << (BITS[family] - int(options["netmask"]))
        made.mask = whole - made.block + 1
        if made.type == "hash:ip,port":
            made.block = 1
    if "bitmask" in options:
        made.mask = int(ip_address(options["bitmask"]))
    made.markmask = int(options.get("markmask", "0xffffffff"), 16)
    return made


def _ends(text: str) -> tuple[int, int]:
    if "-" in text:
        low, high = (int(ip_address(end)) for end in text.split("-"))
        return low, high
    network = ip_network(text, strict=False)
    return int(network[0]), int(network[-1])


def _kept_hosts(into: NaiveSet, text: str) -> Iterator[int]:
    """The addresses that the kernel keeps for an ``ip`` part: the first one masked, the others as they come."""
    low, high = _ends(text)
    if into.type == "bitmap:ip":
        yield from (address // into.block * into.block for address in range(low, high + 1, into.block))
        return
    first = (int(ip_address(text.partition("/")[0].partition("-")[0]))) & into.mask
    if "/" in text:
        size = high - low + 1
        first -= first % size
        high = first + size - 1
    if "-" not in text and "/" not in text:
        high = first
    if (high - first) // into.block > MAXELEM:
        raise Refused
    yield from range(first, high + 1, into.block)


def _kept_nets(into: NaiveSet, text: str, ranged: bool) -> Iterator[tuple[int, int]]:
    if "-" in text:
        ends = [IPv4Address(end) for end in text.split("-")]
        for part in summarize_address_range(ends[0], ends[1]):
            yield int(part[0]), part.prefixlen
        return
    network = ip_network(text, strict=False)
    address = int(network[0])
    yield (address if ranged else address & into.mask), network.prefixlen


def _kept_services(into: NaiveSet, text: str) -> Iterator[tuple[int, int]]:
    name, colon, port = text.rpartition(":")
    protocol = (int(name) if name.isdigit() else PROTOCOLS[name]) if colon else 6
    if protocol in (1, 58):
        kind, code = ICMP_NAMES.get((protocol, port), port).split("/")
        yield protocol, int(kind) * 256 + int(code)
        return
    low, _, high = port.partition("-")
    yield from ((protocol, number) for number in range(int(low), int(high or low) + 1))


def add(into: NaiveSet, element: str, flags: Sequence[str] = (), *, saved: bool = False) -> None:
    """``add NAME ELEMENT [nomatch] [wildcard]``; what was saved is kept as it is, and not masked again."""
    if into.type == "list:set":
        into.members.append(element)
        return
    texts = element.split(",")
    ranged = any("-" in text for part, text in zip(into.parts, texts, strict=False) if part == "net")
    hosts: list[list[int]] = []
    nets: list[list[tuple[int, int]]] = []
    services: list[tuple[int, int] | None] = [None]
    interface, mark = "", 0
    for part, text in zip(into.parts, texts, strict=False):
        if part == "ip":
            hosts.append([int(ip_address(text))] if saved else list(_kept_hosts(into, text)))
        elif part == "net":
            nets.append(list(_kept_nets(into, text, ranged or saved)))
        elif part == "port":
            services = list(_kept_services(into, text))
        elif part == "iface":
            interface = text
        elif part == "mark":
            mark = int(text, 16) & into.markmask
    for chosen_hosts, chosen_nets, service in product(product(*hosts), product(*nets), services):
        _keep(
            into,
            Stored(
                chosen_nets, chosen_hosts, service, interface, "wildcard" in flags, mark, "nomatch" in flags
            ),
        )


def _keep(into: NaiveSet, element: Stored) -> None:
    alike = into.elements.setdefault((element.nets, element.hosts, element.service), [])
    for each in alike:
        covers = (
            element.interface.startswith(each.interface)
            if each.wildcard
            else element.interface == each.interface
        )
        if covers and each.mark == element.mark:
            if each.nomatch != element.nomatch:
                raise Refused
            return
    alike.append(element)


def _prefixed(address: int, length: int, family: int) -> int:
    size = 1 << (BITS[family] - length)
    return address - address % size


Possible = frozenset[bool]
YES, NO, OPEN = frozenset({True}), frozenset({False}), frozenset({True, False})


def found(
    sets: Mapping[str, NaiveSet], name: str, packet: Seen, directions: Sequence[str], holes: bool = False
) -> Possible:
    """Whether ``--match-set`` may hold for the packet."""
    tested = sets[name]
    if tested.type == "list:set":
        answers = [found(sets, member, packet, directions, holes) for member in tested.members]
        if any(answer == YES for answer in answers):
            return YES
        return OPEN if any(True in answer for answer in answers) else NO
    parts = tested.parts
    if len(directions) < len(parts):
        return NO
    if tested.type not in ("bitmap:port", "hash:mac") and packet.family != tested.family:
        return NO
    outcome = _looked_up(tested, packet, dict(enumerate(directions)))
    if holes and tested.type in NOMATCH_TYPES:
        return frozenset(each == "hole" for each in outcome)
    return frozenset(each == "entry" for each in outcome)


def _looked_up(tested: NaiveSet, packet: Seen, directions: Mapping[int, str]) -> set[str]:
    """What may come of it: an ``entry``, a ``hole`` (flagged nomatch) or ``none``."""
    parts = tested.parts
    if tested.type == "bitmap:port":
        key: Key = (), (), (6, packet.port(directions[0]))
        return {"entry"} if packet.protocol in (6, 17) and key in tested.elements else {"none"}
    if tested.type == "hash:mac":
        return {"entry", "none"} if tested.elements else {"none"}
    addresses = [
        packet.address(directions[n]) & tested.mask for n, part in enumerate(parts) if part in ("ip", "net")
    ]
    if tested.type in ("hash:ip", "hash:ip,port") and not addresses[0]:
        return {"none"}
    if tested.type == "hash:net,net" and tested.family == 6 and not addresses[0]:
        return {"none"}
    service = None
    if "port" in parts:
        service = packet.protocol, packet.port(directions[parts.index("port")])
    if "iface" in parts and directions[parts.index("iface")] == "dst":
        return {"none"}
    here = [packet.address(directions[n]) & tested.mask for n, part in enumerate(parts) if part == "net"]
    hosts = [packet.address(directions[n]) & tested.mask for n, part in enumerate(parts) if part == "ip"]
    lengths = [sorted({key[0][n][1] for key in tested.elements}, reverse=True) for n in range(len(here))]
    for chosen in product(*lengths):
        nets = [
            (_prefixed(address, length, tested.family), length)
            for address, length in zip(here, chosen, strict=True)
        ]
        alike = tested.elements.get((tuple(nets), tuple(hosts), service), [])
        if "mac" in parts and alike:
            return {"entry", "none"}
        if "mark" in parts:
            if packet.mark is None:
                return {"entry", "none"} if alike else {"none"}
            alike = [each for each in alike if each.mark == packet.mark & tested.markmask]
        if "iface" in parts and alike:
            for each in alike:
                if packet.interface == each.interface or (
                    each.wildcard and packet.interface.startswith(each.interface)
                ):
                    return {"hole" if each.nomatch else "entry"}
            return {"none"}
        if alike:
            return {"hole" if alike[0].nomatch else "entry"}
    return {"none"}
