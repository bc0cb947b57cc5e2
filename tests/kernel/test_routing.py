"""Hosts with several interfaces, addresses and routes: what the kernel does, and what follows from the host's own dumps.

The facts are what ``ip -j addr`` and ``ip -j route`` print inside the host. With rp_filter the kernel itself refuses
the IPv4 sources that facts say cannot come in; without it, and in IPv6, the packets that count are told by
``naive_routing``, which looks at the same dumps one address at a time.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from random import Random

import pytest

from ipt2np import Assumptions, Decision, Facts, decide, parse_ruleset
from ipt2np.packets import AddressSet
from ipt2np.rules.host import Host
from ipt2np.rules.prefixes import Surveyed
from ipt2np.rules.routing import Routing
from ipt2np.syntax.host import parse_interfaces, parse_routes
from tests.naive_routing import kind, network, table

from .differential import TALLY, Heard, Mismatch, ask, connection_mismatches, packet_mismatches, story
from .probe import Probe
from .routed_hosts import Dumps, HostPlan, comes_in, dumps, near, plan, probes, ruleset

FAMILIES = pytest.mark.parametrize("family", [4, 6])
HOSTS = 5
PROBES = 500


@dataclass(frozen=True)
class Asking:
    """Which dumps are given, and whether reverse paths are taken for granted."""

    addr: bool = False
    main: bool = False
    everything: bool = False
    strict: bool = True

    @property
    def exact(self) -> bool:
        """True where nothing that the rulesets ask may stay open."""
        return self.addr and self.everything

    def facts(self, dumped: Dumps) -> Facts:
        interfaces = parse_interfaces(dumped.addr.encode(), "addr") if self.addr else ()
        text = dumped.everything if self.everything else dumped.main if self.main else ""
        return Facts(host=Host(interfaces, parse_routes(text.encode(), "routes") if text else ()))

    def decision(self, text: str, family: int, dumped: Dumps) -> Decision:
        settings = () if self.strict else ("reverse-path=undecided",)
        return decide(
            [parse_ruleset(text.encode(), "x", family=family)],
            Assumptions.parse(settings),
            self.facts(dumped),
        )

    def exists(self, dumped: Dumps, family: int) -> Callable[[Probe], bool]:
        """Whether what was given lets a probe exist."""
        if not self.strict:
            return lambda probe: True
        routing = dumped.routing(family)

        def by_route(probe: Probe) -> bool:
            return comes_in(routing, ip_address(probe.source), probe.interface)

        def by_address(probe: Probe) -> bool:
            around = near(dumped, family, ip_address(probe.source))
            return by_route(probe) and (not around or probe.interface in around)

        return by_route if self.main or self.everything else by_address


ASKINGS = (
    Asking(addr=True, everything=True),
    Asking(addr=True, everything=True, strict=False),
    Asking(everything=True, strict=False),
    Asking(addr=True, main=True),
    Asking(addr=True, main=True, strict=False),
    Asking(main=True),
    Asking(main=True, strict=False),
    Asking(addr=True),
    Asking(addr=True, strict=False),
)


def compared(heard: Heard, dumped: Dumps, asking: Asking, filtered: bool) -> tuple[list[Mismatch], int]:
    """What differs, and how many packets that exist were left open."""
    decision = asking.decision(heard.text, heard.family, dumped)
    exists = asking.exists(dumped, heard.family)
    counts = [filtered or exists(probe) for probe in heard.probes]
    found = packet_mismatches(heard, decision, counts=counts)
    found += [
        each for each in connection_mismatches(heard, decision, tally=TALLY) if filtered or exists(each.probe)
    ]
    (side,) = decision.sides
    members = heard.members(decision)
    still_open = 0
    for half, verdicts in zip(side.walks, (heard.first, heard.later), strict=True):
        must, may = decision.packet_bounds(side, half)
        rows = zip(members.of(must), members.of(may), verdicts, counts, strict=True)
        still_open += sum(a != b for a, b, verdict, counted in rows if counted and verdict is not None)
    return found, still_open


def open_by_nature(dumped: Dumps, family: int) -> bool:
    """True where dumps do not say all: a ``throw`` beside other routes to its prefix is taken either way, and so is,
    in IPv4, a route of main inside a wider one of local (whether both are one table no dump says)."""
    rows = dumped.routing(family).rows
    thrown = [row["dst"] for row in rows if kind(row) == "throw"]
    if any(row["dst"] in thrown and kind(row) != "throw" for row in rows):
        return True
    places = [(network(row, family), table(row)) for row in rows]
    wide = [each for each, name in places if family == 4 and name == "local" and each.prefixlen < 32]
    return any(
        name == "main" and each != around and each.subnet_of(around)
        for each, name in places
        for around in wide
    )


def rewritten(made: HostPlan, family: int) -> bool:
    """True where somebody added routes of types that addresses alone do not give."""
    return any(
        route.split()[0] in ("local", "broadcast", "anycast", "multicast") for route in made.routes[family]
    )


@FAMILIES
@pytest.mark.parametrize("rp_filter", [0, 1])
def test_the_kernel_stays_between_the_bounds_of_every_kind_of_facts(family: int, rp_filter: int) -> None:
    for seed in range(HOSTS):
        rng = Random(1000 * family + 100 * rp_filter + seed)
        made = plan(rng)
        with made.host(rp_filter) as host:
            dumped = dumps(host)
            destinations = [each for each in host.own(family) if not each.startswith("fe8")]
            text = ruleset(rng, family)
            heard = ask(text, family, host, probes(rng, family, made, destinations, PROBES))
        for asking in ASKINGS:
            if rewritten(made, family) and not asking.everything:
                continue
            filtered = family == 4 and rp_filter == 1 and asking.strict and (asking.main or asking.everything)
            found, still_open = compared(heard, dumped, asking, filtered)
            TALLY.mismatches += len(found)
            assert not found, f"{seed} {asking} {made}\n{story(text, found)}"
            if asking.exact and not open_by_nature(dumped, family):
                assert not still_open, f"{seed} {asking}: {still_open} open {made}\n{text}"


def names(surveyed: Surveyed, source: str) -> set[frozenset[str]]:
    """The interfaces of each way that is open for a source."""
    (ways,) = (ways for ways, addresses in surveyed.items() if int(ip_address(source)) in addresses)
    assert not any(way.elsewhere for way in ways)
    return {way.names for way in ways}


def test_rp_filter_lets_in_what_comes_in_by_the_routes() -> None:
    """IPv4 has a strict reverse path test of its own (net/ipv4/fib_frontend.c, fib_validate_source())."""
    asked = 0
    for seed in range(HOSTS):
        rng = Random(seed)
        made = plan(rng)
        with made.host(1) as host:
            dumped = dumps(host)
            made_probes = probes(rng, 4, made, host.own(4), PROBES)
            passed = host.first(made_probes)
        arrivals = Routing(Asking(everything=True).facts(dumped).host, 4).arrivals
        for probe, verdict in zip(made_probes, passed, strict=True):
            ways = names(arrivals, probe.source)
            if len(ways) == 1:
                asked += 1
                assert (verdict is True) == (probe.interface in next(iter(ways))), (probe, made)
    assert asked > HOSTS * PROBES * 0.9


@FAMILIES
def test_answers_leave_where_the_kernel_says(family: int) -> None:
    """``ip route get`` asks the kernel for its own way to an address."""
    asked = 0
    for seed in range(HOSTS):
        rng = Random(seed)
        made = plan(rng)
        with made.host(0) as host:
            dumped = dumps(host)
            sources = sorted(
                {each.source for each in probes(rng, family, made, host.own(family), PROBES)} - {"::"}
            )
            sources = [each for each in sources if not each.startswith("fe8")]
            got = [host.run_any("ip", "-j", f"-{family}", "route", "get", source) for source in sources]
        arrivals = Routing(Asking(everything=True).facts(dumped).host, family).arrivals
        for source, text in zip(sources, got, strict=True):
            rows = [row for row in json.loads(text or "[]") if row]
            leaving = {row["dev"] for row in rows if row.get("type", "unicast") == "unicast"} - {"lo"}
            ways = names(arrivals, source)
            asked += 1
            assert any(leaving <= way if leaving else not way for way in ways), (source, text, ways, made)
    assert asked > HOSTS * 20


_MANY_ADDRESSES = """
link set lo up
link add e0 type veth peer name p0
link add e1 type veth peer name p1
link add e2 type veth peer name p2
link add e3 type veth peer name p3
link add br0 type bridge
link set p0 up
link set p1 up
link set p3 master br0
link set p3 up
link set br0 up
link set e0 up
link set e1 up
link set e3 up
link property add dev e0 altname quite-a-long-name0
address add 10.1.0.1/24 dev e0
address add 10.1.0.2/24 brd 10.1.0.77 dev e0
address add 10.1.1.1/31 dev e0
address add 10.1.2.1/32 dev e0
address add 10.1.3.0/24 dev e0
address add 10.1.4.1/24 brd + dev e1 noprefixroute
address add 10.1.5.1 peer 10.1.6.7/24 dev e1
address add 10.1.7.1 peer 10.1.7.2/32 dev e1
address add 10.1.8.1/24 dev lo
address add 10.1.9.1/32 dev lo
address add 10.2.0.1/24 brd + dev e2
address add fd00:2::1/64 dev e2 nodad
address add fd00:1::1/64 dev e0 nodad
address add fd00:1:1::1 peer fd00:1:2::1/64 dev e0 nodad
address add fd00:8::1/64 dev lo nodad
address add 10.1.10.1/24 dev br0
"""
_MANY_ROUTES = """
route add 10.6.0.0/16 via 10.1.0.254 metric 7
route add 10.7.0.0/16 nexthop via 10.1.0.254 weight 2 nexthop dev e1
route add blackhole 10.8.0.0/16
route add unreachable 10.9.0.0/16 metric 50
route add prohibit 10.10.0.0/16
route add throw 10.11.0.0/16
route add 10.12.0.0/16 via inet6 fd00:1::5 dev e0
route add 10.13.0.0/16 dev e1 table 100
route add 10.14.0.0/16 tos 0x10 dev e0
route add local 10.15.0.0/16 dev e1
route add default dev e1 metric 9
"""
_MANY_ROUTES6 = """
route add fd01::/32 via fd00:1::5 metric 7
route add fd02::/32 nexthop via fd00:1::5 dev e0 nexthop via fd00:1:1::5 dev e0
route add unreachable fd03::/32
route add default from fd04::/32 dev e1
route add fd05::/32 dev e0 table 100
route add default via fd00:1::5
"""


def _printed() -> dict[str, str]:
    """What ``ip`` prints in a namespace with every kind of address and route."""
    commands = {
        "json addr": "ip -j addr", "text addr": "ip addr",
        "json route": "ip -j route show table all", "text route": "ip route show table all",
        "details": "ip -d -4 route",
    }  # fmt: skip
    script = (
        "set -e\necho 0 >/proc/sys/net/ipv6/conf/default/accept_dad\nip -batch - <<E\n"
        + _MANY_ADDRESSES
        + _MANY_ROUTES
        + "E\nip -6 -batch - <<E\n"
        + _MANY_ROUTES6
        + "E\n"
    )
    script += "".join(f"echo '===={name}'\n{command}\n" for name, command in commands.items())
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=True
    )
    parts = done.stdout.split("====")[1:]
    return {head: body for head, _, body in (part.partition("\n") for part in parts)}


def test_the_table_local_follows_from_the_addresses() -> None:
    printed = _printed()
    interfaces = parse_interfaces(printed["json addr"].encode(), "addr")
    routes = parse_routes(printed["json route"].encode(), "route")
    plain = [route for route in routes if (route.network, route.length) != (int(ip_address("10.15.0.0")), 16)]
    main = tuple(route for route in plain if route.table == "main")
    derived, dumped = Host(interfaces, main), Host(routes=tuple(plain))
    for kind_of in ("LOCAL", "BROADCAST", "UNICAST", "ANYCAST"):
        wanted = frozenset({kind_of})
        assert Routing(derived, 4).types4(wanted) == Routing(dumped, 4).types4(wanted)
    assert Routing(derived, 6).types6(frozenset({"LOCAL"})) == Routing(dumped, 6).types6(frozenset({"LOCAL"}))
    assert Routing(derived, 4).arrivals == Routing(dumped, 4).arrivals
    groups = AddressSet.cidrs("ff00::/8")  # which the table local routes too, and no source has
    one, other = (Routing(host, 6).arrivals for host in (derived, dumped))
    assert {ways: part - groups for ways, part in one.items()} == {
        ways: part - groups for ways, part in other.items()
    }


def test_plain_text_says_what_json_says() -> None:
    printed = _printed()
    assert parse_interfaces(printed["text addr"].encode(), "a") == parse_interfaces(
        printed["json addr"].encode(), "a"
    )
    routes = parse_routes(printed["json route"].encode(), "r")
    assert parse_routes(printed["text route"].encode(), "r") == routes
    assert set(parse_routes(printed["details"].encode(), "r")) <= set(routes)
    assert {route.table for route in routes} == {"local", "main", "100"}
    assert any(route.conditional for route in routes)
