"""Random hosts with several interfaces, addresses and routes, and rulesets that ask about those."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from random import Random
from typing import Any, Final

from tests.naive_routing import Address, NaiveRouting, Row

from .host import KernelHost
from .probe import ICMP, ICMPV6, TCP, UDP, Probe

INTERFACES: Final = ("eth0", "eth1", "eth2")
_ADDRESSES: Final[dict[int, dict[str, Sequence[str]]]] = {
    4: {
        "eth0": ("10.0.0.1/24", "10.0.0.2/24", "10.0.9.1/24 brd 10.0.9.77", "10.0.8.1/32"),
        "eth1": ("10.1.0.1/24 brd +", "10.1.8.1/30", "10.1.9.1/31", "10.0.0.3/24"),
        "eth2": ("10.2.0.1 peer 10.2.0.9/32", "10.2.1.1 peer 10.2.2.1/24", "10.2.8.1/28 noprefixroute"),
    },
    6: {
        "eth0": ("fd00::1/64", "fd00::2/64", "fd00:0:0:9::1/127", "fe80::10/64"),
        "eth1": ("fd00:1::1/64", "fd00:1:0:8::1/128", "fe80::11/64"),
        "eth2": ("fd00:2::1 peer fd00:2::9/128", "fd00:2:0:1::1 peer fd00:2:0:2::1/64", "fe80::12/64"),
    },
}
_LOOPBACK: Final = {4: ("10.9.0.1/32", "10.9.8.1/28"), 6: ("fd00:9::1/128", "fd00:9:0:8::1/64")}
_GATEWAYS: Final = {
    4: {"eth0": "10.0.0.254", "eth1": "10.1.0.254"},
    6: {"eth0": "fd00::fe", "eth1": "fd00:1::fe"},
}
_PREFIXES: Final = {
    4: ("10.3.0.0/16", "10.3.1.0/24", "10.3.1.128/25", "10.3.1.129/32", "10.0.0.64/26", "10.0.0.2/32", "10.1.0.0/25",
        "10.9.8.4/30", "198.18.0.0/15", "128.0.0.0/1", "240.0.0.0/4"),
    6: ("fd00:3::/32", "fd00:3::/64", "fd00:3::8000/113", "fd00:3::8001/128", "fd00::40/122", "fd00::2/128",
        "fd00:1::4000/114", "2001:db8::/32", "8000::/1", "fe80::/64"),
}  # fmt: skip
_SOURCES: Final = {
    4: (
        "8.8.8.8",
        "0.1.2.3",
        "240.0.0.1",
        "10.0.0.255",
        "10.0.9.77",
        "10.0.9.255",
        "10.1.0.255",
        "10.1.9.0",
        "10.2.0.9",
    ),
    6: ("2a00::1", "::", "fe80::10", "fe80::11", "fe80::99", "fd00::", "fd00:1::", "::2", "fd00:2::9"),
}
_REJECTING: Final = ("blackhole", "unreachable", "prohibit", "throw")
_TYPES: Final = {
    4: (
        "UNSPEC",
        "UNICAST",
        "LOCAL",
        "BROADCAST",
        "ANYCAST",
        "MULTICAST",
        "BLACKHOLE",
        "UNREACHABLE",
        "PROHIBIT",
        "THROW",
    ),
    6: ("UNSPEC", "UNICAST", "LOCAL", "ANYCAST", "MULTICAST", "UNREACHABLE", "LOCAL", "UNREACHABLE"),
}


@dataclass(frozen=True)
class HostPlan:
    """A host to be made."""

    addresses: dict[str, tuple[str, ...]]
    loopback: tuple[str, ...]
    routes: dict[int, tuple[str, ...]]

    def host(self, rp_filter: int) -> KernelHost:
        return KernelHost(self.addresses, routes=self.routes, loopback=self.loopback, rp_filter=rp_filter)


def plan(rng: Random) -> HostPlan:
    """Addresses of both families, the first of each interface always, and up to eight routes for each."""
    addresses: dict[str, tuple[str, ...]] = {}
    for name in INTERFACES:
        chosen = []
        for family in (4, 6):
            first, *others = _ADDRESSES[family][name]
            chosen += [first, *(each for each in others if rng.random() < 0.4)]
        addresses[name] = tuple(chosen)
    loopback = tuple(each for family in (4, 6) for each in _LOOPBACK[family] if rng.random() < 0.3)
    return HostPlan(
        addresses, loopback, {family: tuple(dict.fromkeys(_routes(rng, family))) for family in (4, 6)}
    )


def _routes(rng: Random, family: int) -> Iterator[str]:
    metric = 10
    for prefix in [
        *rng.sample(_PREFIXES[family], rng.randint(2, 8)),
        *("default",) * rng.choice((0, 1, 1, 2)),
    ]:
        for _ in range(rng.choice((1, 1, 1, 2))):
            metric += 10
            way = rng.choice(("dev", "dev", "via", "via", "spread", "reject", "reject", "other"))
            where = f"{prefix} metric {metric}" if rng.random() < 0.5 or family == 6 else prefix
            name = rng.choice(INTERFACES)
            if way == "via":
                name = rng.choice(sorted(_GATEWAYS[family]))
                yield f"{where} via {_GATEWAYS[family][name]} dev {name}"
            elif way == "spread":
                hops = [f"nexthop via {gateway} dev {name}" for name, gateway in _GATEWAYS[family].items()]
                yield f"{where} {' '.join(hops)}"
            elif way == "reject":
                yield f"{rng.choice(_REJECTING)} {where}"
            elif way == "other" and prefix != "default" and rng.random() < 0.4:
                kinds = (
                    ("local", "broadcast", "multicast", "anycast") if family == 4 else ("local", "anycast")
                )
                yield f"{rng.choice(kinds)} {where} dev {name}"
            else:
                yield f"{where} dev {name}"


@dataclass(frozen=True)
class Dumps:
    """What ``ip`` prints inside a host."""

    addr: str
    main: str
    everything: str

    def routing(self, family: int) -> NaiveRouting:
        every: list[Row] = json.loads(self.everything)
        rows = [row for row in every if (("pref" in row) == (family == 6))]
        return NaiveRouting(family, rows)

    def connected(self, family: int) -> list[tuple[Any, str]]:
        """(network, interface) of every address, as far as addresses alone tell."""
        found = []
        for link in json.loads(self.addr):
            for info in link["addr_info"]:
                if link["ifname"] == "lo" or info["family"] != {4: "inet", 6: "inet6"}[family]:
                    continue
                ends = [info["local"], info["address"]] if "address" in info else [info["local"]]
                networks = [ip_network(f"{end}/{info['prefixlen']}", strict=False) for end in ends]
                if family == 6:
                    networks[1:] = [ip_network(end) for end in ends[1:]]
                found += [(network, link["ifname"]) for network in networks[-1:] if family == 4]
                found += [(network, link["ifname"]) for network in networks if family == 6]
        return found


def dumps(host: KernelHost) -> Dumps:
    """What the host's own ``ip`` says of it."""
    four, six = json.loads(host.run("ip", "-j", "route")), json.loads(host.run("ip", "-j", "-6", "route"))
    return Dumps(
        host.run("ip", "-j", "addr"),
        json.dumps(four + six),
        host.run("ip", "-j", "route", "show", "table", "all"),
    )


def ruleset(rng: Random, family: int) -> str:
    """Rules about interfaces, own addresses, types of addresses and reverse paths, in every table that takes them."""
    own = _own(family)
    lines = []
    for table, chain, most in (("raw", "PREROUTING", 2), ("mangle", "PREROUTING", 2), ("filter", "INPUT", 7)):
        lines += [
            f"*{table}",
            f":{chain} {rng.choice(('ACCEPT', 'DROP')) if table == 'filter' else 'ACCEPT'} [0:0]",
        ]
        if table == "filter":
            lines += [":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", ":below - [0:0]"]
            lines += [_rule(rng, family, "below", own, table) for _ in range(rng.randint(1, 3))]
            lines.append(f"-A INPUT {_match(rng, family, own, table)} -j below".replace("  ", " "))
        lines += [
            _rule(rng, family, chain, own, table)
            for _ in range(rng.randint(0 if table != "filter" else 3, most))
        ]
        lines.append("COMMIT")
    return "\n".join([*lines, ""])


def _own(family: int) -> list[str]:
    return [each.split()[0].split("/")[0] for some in _ADDRESSES[family].values() for each in some]


def _not(rng: Random) -> str:
    return "! " if rng.random() < 0.25 else ""


def _match(rng: Random, family: int, own: Sequence[str], table: str) -> str:
    kinds = ["-i", "-i", "-d", "-s", "src-type", "src-type", "dst-type", "limited"]
    kind = rng.choice(kinds if table == "filter" else [*kinds, *["rpfilter"] * 12])
    if kind == "-i":
        return f"{_not(rng)}-i {rng.choice((*INTERFACES, 'eth+', 'eth9', 'wlan0'))}"
    if kind == "-d":
        return f"{_not(rng)}-d {rng.choice(own)}"
    if kind == "-s":
        return f"{_not(rng)}-s {rng.choice(_PREFIXES[family])}"
    if kind == "rpfilter":
        options = [each for each in ("--loose", "--accept-local", "--invert") if rng.random() < 0.4]
        return " ".join(["-m rpfilter", *options])
    types = ",".join(dict.fromkeys(rng.choices(_TYPES[family], k=rng.choice((1, 1, 2)))))
    if kind == "limited":
        side = rng.choice(("--src-type", "--dst-type"))
        return f"-m addrtype {_not(rng)}{side} {types} --limit-iface-in"
    return f"-m addrtype {_not(rng)}--{kind} {types}"


def _rule(rng: Random, family: int, chain: str, own: Sequence[str], table: str) -> str:
    parts = [_match(rng, family, own, table) for _ in range(rng.choice((1, 1, 2)))]
    if rng.random() < 0.3:
        parts.insert(0, rng.choice(("-p tcp", "-p udp", "-p tcp -m tcp --dport 22")))
    # Some matches may not stand twice in a rule (libxtables, "multiple -i flags not allowed").
    seen: dict[str, str] = {}
    for part in parts:
        seen.setdefault(part.removeprefix("! ").split()[0] if "addrtype" not in part else part, part)
    target = rng.choice(("ACCEPT", "DROP", "DROP", "RETURN"))
    return f"-A {chain} {' '.join(seen.values())} -j {target}"


def probes(rng: Random, family: int, host: HostPlan, destinations: Sequence[str], count: int) -> list[Probe]:
    """Packets from around the bounds of every network, on every interface, to own addresses."""
    width = 32 if family == 4 else 128
    sources = [*map(ip_address, _SOURCES[family])]
    texts = [
        each.split()[-1] if "peer" in each else each.split()[0]
        for some in host.addresses.values()
        for each in some
    ]
    texts += [each.split("/")[0] + f"/{width}" for each in _own(family)]
    networks = [
        ip_interface(text).network for text in [*texts, *host.loopback] if (":" in text) == (family == 6)
    ]
    networks += [ip_network(prefix) for prefix in _PREFIXES[family]]
    for network in networks:
        low, high = int(network[0]), int(network[-1])
        numbers = (low - 1, low, low + 1, (low + high) // 2, high - 1, high, high + 1)
        sources += [type(network[0])(number) for number in numbers if 0 <= number < 1 << width]
    # The kernel takes none of these, whatever its routes.
    never = ("0.0.0.0", "255.255.255.255", "::1")
    sources = [each for each in dict.fromkeys(sources) if not each.is_multicast and str(each) not in never]
    made = []
    for _ in range(count):
        protocol = rng.choice((TCP, UDP, ICMP if family == 4 else ICMPV6))
        echo = 8 if family == 4 else 128
        ported = protocol in (TCP, UDP)
        made.append(
            Probe(
                family, str(rng.choice(sources)), rng.choice(destinations), protocol, 40000 if ported else 0,
                rng.choice((22, 80)) if ported else 0, 0 if ported else echo, 0, rng.choice(INTERFACES),
            )
        )  # fmt: skip
    return made


def comes_in(routing: NaiveRouting, source: Address, interface: str) -> bool:
    """Would an answer to the source leave by the interface?"""
    ways = routing.leaves4(source) if routing.family == 4 else routing.leaves6(source)
    return any(interface in way for way in ways)


def near(dumped: Dumps, family: int, source: Address) -> set[str]:
    """The interfaces of the smallest connected network around a source; none where it is in none."""
    around = [(network.prefixlen, name) for network, name in dumped.connected(family) if source in network]
    longest = max((length for length, _ in around), default=0)
    return {name for length, name in around if length == longest}
