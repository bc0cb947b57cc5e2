"""What a host's own addresses and routes settle: one statement each, without a kernel at hand."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest

from ipt2np import Facts, UsageError
from ipt2np.rules.host import Host, HostAddress, Interface, Route, RouteType
from tests.dumps import decided, dump, fate_of, table

OUTER, INNER, VPN, UNROUTED = "198.51.100.7", "10.1.2.3", "10.8.0.9", "203.0.113.1"


def address(text: str, length: int, **more: object) -> HostAddress:
    parsed = ip_address(text)
    return HostAddress(parsed.version, int(parsed), length, **more)  # type: ignore[arg-type]


def interface(name: str, *addresses: HostAddress, flags: str = "UP", **more: object) -> Interface:
    return Interface(name, flags=frozenset(flags.split(",")), addresses=addresses, **more)  # type: ignore[arg-type]


LO = interface("lo", address("127.0.0.1", 8), address("::1", 128), flags="LOOPBACK,UP")
ETH0 = interface("eth0", address("192.0.2.10", 24), address("2001:db8::10", 64), address("fe80::10", 64))
ETH1 = interface("eth1", address("10.1.0.1", 16))
TUN0 = interface("tun0", address("10.8.0.1", 32, peer=int(ip_address("10.8.0.2"))))
ROUTES = (
    Route.to("0.0.0.0/0", "eth0"),
    Route.to("192.0.2.0/24", "eth0"),
    Route.to("10.0.0.0/8", "eth1"),
    Route.to("10.8.0.0/24", "tun0"),
)


def seen(*interfaces: Interface, routes: tuple[Route, ...] = (), **more: object) -> Facts:
    return Facts(host=Host(interfaces, routes), **more)  # type: ignore[arg-type]


def tcp(text: str, source: str, facts: Facts, *settings: str, port: int = 80) -> str:
    return fate_of(
        decided(text, *settings, facts=facts, family=6 if ":" in source else 4), source, "tcp", port
    )


# -- interfaces -----------------------------------------------------------------------------------------

BY_INTERFACE = dump("-A INPUT -i eth1 -p tcp -j ACCEPT")


@pytest.mark.parametrize(("facts", "outer", "inner"), [
    # nothing is known: eth1 may be anywhere
    (seen(), "undecided", "undecided"),
    # two interfaces: the networks of their addresses are behind them, the rest comes in on either
    (seen(LO, ETH0, ETH1), "undecided", "accept"),
    # only one: everything comes in there
    (seen(LO, ETH1), "accept", "accept"),
    (seen(LO, ETH0), "refuse", "refuse"),
    (seen(LO, ETH1, interface("eth2", flags="BROADCAST")), "accept", "accept"),  # the other one is down
    (seen(LO, ETH1, interface("eth2", flags="UP", master="br0")), "accept", "accept"),  # or a bridge's port
    # the same from a part of the dump only: there may be more interfaces
    (seen(ETH1), "undecided", "accept"),
    # with routes all is said
    (seen(LO, ETH0, ETH1, routes=ROUTES), "refuse", "accept"),
    (seen(routes=ROUTES), "refuse", "accept"),
    (Facts(routes=(("0.0.0.0/0", "eth0"), ("10.0.0.0/8", "eth1"))), "refuse", "accept"),
    # named sources go before
    (seen(LO, ETH0, ETH1, interfaces=(("eth1", ("198.51.100.0/24",)),)), "accept", "accept"),
    (seen(LO, ETH0, ETH1, interfaces=(("eth1", ()),)), "accept", "accept"),
    (seen(LO, ETH0, ETH1, interfaces=(("eth0", ()),)), "refuse", "refuse"),
])  # fmt: skip
def test_a_rule_by_interface_is_settled_as_far_as_facts_go(facts: Facts, outer: str, inner: str) -> None:
    assert (tcp(BY_INTERFACE, OUTER, facts), tcp(BY_INTERFACE, INNER, facts)) == (outer, inner)


def test_the_longest_route_to_a_source_says_where_it_comes_in() -> None:
    facts = seen(routes=ROUTES)
    text = dump("-A INPUT -i tun0 -p tcp -j ACCEPT")
    assert [tcp(text, source, facts) for source in (VPN, INNER, OUTER)] == ["accept", "refuse", "refuse"]


def test_without_reverse_path_routes_say_nothing_of_where_sources_come_in() -> None:
    facts = seen(LO, ETH0, ETH1, routes=ROUTES)
    assert tcp(BY_INTERFACE, INNER, facts, "reverse-path=undecided") == "undecided"
    assert tcp(BY_INTERFACE, INNER, seen(LO, ETH1), "reverse-path=undecided") == "accept"


def test_packets_spread_over_two_interfaces_come_in_on_either() -> None:
    facts = seen(routes=(Route(4, 0, 0, devices=("eth0", "eth1")),))
    assert tcp(BY_INTERFACE, OUTER, facts) == "undecided"
    assert tcp(dump("-A INPUT -i eth+ -p tcp -j ACCEPT"), OUTER, facts) == "accept"


def test_a_route_of_policy_routing_may_be_taken_or_not() -> None:
    special = Route(4, 0, 0, devices=("eth1",), table="100")
    facts = seen(routes=(*ROUTES, special))
    assert tcp(BY_INTERFACE, OUTER, facts) == "undecided"
    assert tcp(BY_INTERFACE, INNER, facts) == "accept"
    assert tcp(dump("-A INPUT -i tun0 -p tcp -j ACCEPT"), OUTER, facts) == "refuse"


@pytest.mark.parametrize(("rules", "policy", "fate"), [
    (["-A INPUT -i eth1 -p tcp -j ACCEPT"], "DROP", "refuse"),
    (["-A INPUT -p tcp -j ACCEPT"], "DROP", "accept"),
    (["-A INPUT -i eth0 -j DROP"], "ACCEPT", "refuse"),
    (["-A INPUT -i eth1 -p tcp -j ACCEPT", "-A INPUT ! -i eth1 -p tcp -j ACCEPT"], "DROP", "accept"),
    (["-A INPUT -i eth1 -m frob --x 1 -p tcp -j ACCEPT"], "DROP", "refuse"),
    (["-A INPUT -m frob --x 1 -p tcp -j ACCEPT"], "DROP", "undecided"),
])  # fmt: skip
def test_a_source_that_no_route_leads_to_is_accepted_where_every_interface_would(
    rules: list[str], policy: str, fate: str
) -> None:
    facts = seen(routes=ROUTES[1:])
    assert tcp(dump(*rules, policy=policy), UNROUTED, facts) == fate
    refusing = Route(4, int(ip_address("203.0.113.0")), 24, RouteType.BLACKHOLE)
    assert tcp(dump(*rules, policy=policy), UNROUTED, seen(routes=(*ROUTES, refusing))) == fate


def test_interfaces_that_the_dump_does_not_have_never_match() -> None:
    facts = seen(LO, ETH0, ETH1)
    assert tcp(dump("-A INPUT -i ppp0 -j DROP", policy="ACCEPT"), OUTER, facts) == "accept"
    assert tcp(dump("-A INPUT ! -i ppp0 -p tcp -j ACCEPT"), OUTER, facts) == "accept"


def test_a_dump_in_which_nothing_is_up_says_nothing_of_interfaces() -> None:
    down = interface("eth1", address("10.1.0.1", 16), flags="BROADCAST")
    assert tcp(BY_INTERFACE, OUTER, seen(LO, down)) == "undecided"


# -- own addresses --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("facts", "fate"), [
    (seen(LO, ETH0), "accept"),  # loopback and link-local addresses do not count
    (seen(LO, ETH0, ETH1), "undecided"),  # accepted at one of two
    (seen(LO, ETH1), "refuse"),
    (seen(LO, ETH0, ETH1, addresses=("192.0.2.10",)), "accept"),
    (seen(LO, ETH0, ETH1, addresses=("10.1.0.1",)), "refuse"),
    (seen(interface("lo", address("192.0.2.0", 24), flags="LOOPBACK,UP"), ETH1), "undecided"),  # the whole network
])  # fmt: skip
def test_a_rule_by_destination_is_settled_by_the_own_addresses(facts: Facts, fate: str) -> None:
    assert tcp(dump("-A INPUT -d 192.0.2.10/32 -p tcp -j ACCEPT"), OUTER, facts) == fate


def test_link_local_destinations_are_for_neighbours_alone() -> None:
    text = dump("-A INPUT -d 2001:db8::10 -p tcp -j ACCEPT")
    assert tcp(text, "2001:db8:9::1", seen(LO, ETH0)) == "accept"
    assert tcp(dump("-A INPUT -d fe80::/10 -p tcp -j ACCEPT"), "fe80::99", seen(LO, ETH0)) == "refuse"


def test_an_address_is_the_hosts_own_is_not_or_nobody_knows() -> None:
    whole, part, nothing = seen(LO, ETH0, ETH1), seen(ETH0), seen()
    assert whole.is_own("192.0.2.10") is True
    assert whole.is_own(ip_address("fe80::10")) is True
    assert whole.is_own("127.0.0.9") is True
    assert whole.is_own("192.0.2.11") is False
    assert whole.is_own("2001:db8::11") is False
    assert part.is_own("192.0.2.10") is True
    assert part.is_own("192.0.2.11") is None
    assert nothing.is_own("192.0.2.10") is None
    assert Facts(addresses=("192.0.2.10",)).is_own("192.0.2.10") is True
    assert Facts(addresses=("192.0.2.10",)).is_own("192.0.2.11") is None
    assert seen(LO, ETH1).is_own("2001:db8::10") is False  # ::1 is there, so IPv6 addresses would be
    four = seen(interface("lo", address("127.0.0.1", 8), flags="LOOPBACK,UP"), ETH1)
    assert four.is_own("2001:db8::10") is None
    local = Route(4, int(ip_address("127.0.0.0")), 8, RouteType.LOCAL, ("lo",), "local", kernel=True)
    own = Route(4, int(ip_address("192.0.2.10")), 32, RouteType.LOCAL, ("eth0",), "local", kernel=True)
    assert seen(routes=(local, own)).is_own("192.0.2.10") is True
    assert seen(routes=(local, own)).is_own("192.0.2.11") is False


def test_an_address_that_the_pod_cannot_replace_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"--address 192\.0\.2\.99: .* 192\.0\.2\.10, 2001:db8::10|192\.0\.2\.10$"
    ):
        seen(LO, ETH0, addresses=("192.0.2.99",))
    seen(ETH0, addresses=("192.0.2.99",))  # a part of the dump does not contradict


@pytest.mark.parametrize(("facts", "message"), [
    ({"interfaces": (("eth9", ()),)}, "--interface eth9: the --addr dump has no such interface; there is eth0, eth1"),
    ({"interfaces": (("enp3s0", ()),)}, "enp3s0: .* it is another name of eth1, which rules call it by"),
    ({"interfaces": (("eth2", ("10.0.0.0/8",)),)}, "--interface eth2: it is a port of br0, where its packets come in"),
    ({"interfaces": (("eth0", ()),), "routes": (("0.0.0.0/0", "eth0"),)}, "contradict each other"),
])  # fmt: skip
def test_facts_that_contradict_each_other_are_refused(facts: dict[str, Any], message: str) -> None:
    named = interface("eth1", address("10.1.0.1", 16), alternative_names=("enp3s0",))
    with pytest.raises(UsageError, match=message):
        seen(LO, ETH0, named, interface("eth2", master="br0"), **facts)


# -- types of addresses ---------------------------------------------------------------------------------

FULL = seen(LO, ETH0, ETH1, routes=ROUTES)


@pytest.mark.parametrize(("match", "source", "facts", "fate"), [
    ("--src-type UNICAST", OUTER, seen(), "undecided"),
    ("--src-type UNICAST", OUTER, seen(LO, ETH0), "accept"),
    ("--src-type UNICAST", OUTER, seen(routes=ROUTES), "accept"),
    ("--src-type BROADCAST", OUTER, seen(LO, ETH0), "refuse"),
    ("--src-type BROADCAST", "192.0.2.255", seen(LO, ETH0), "accept"),
    ("--src-type BROADCAST", "0.1.2.3", seen(LO, ETH0), "refuse"),
    ("--src-type BLACKHOLE,UNREACHABLE,PROHIBIT,THROW", OUTER, FULL, "refuse"),
    ("--dst-type LOCAL", OUTER, FULL, "accept"),
    ("! --dst-type LOCAL", OUTER, FULL, "refuse"),
    ("--dst-type BROADCAST", OUTER, FULL, "refuse"),
    ("--dst-type LOCAL --limit-iface-in", OUTER, FULL, "undecided"),
    ("--dst-type LOCAL --limit-iface-in", OUTER, seen(LO, ETH0), "accept"),
    ("--dst-type LOCAL --limit-iface-in", OUTER, seen(LO, ETH0, ETH1, routes=ROUTES, addresses=("10.1.0.1",)), "refuse"),
    ("--dst-type LOCAL --limit-iface-in", OUTER, seen(), "undecided"),
    ("--src-type UNICAST", "2001:db8:9::1", seen(), "accept"),
    ("--src-type LOCAL", "2001:db8:9::1", seen(LO, ETH0), "refuse"),
    ("--src-type UNREACHABLE", "2001:db8:9::1", seen(LO, ETH0), "undecided"),
    ("--src-type UNREACHABLE", "2001:db8:9::1", seen(LO, ETH0, routes=(Route.to("2001:db8::/64", "eth0"),)), "accept"),
    ("--src-type UNREACHABLE", "2001:db8:9::1", seen(LO, ETH0, routes=(Route.to("2001:db8::/32", "eth0"),)), "refuse"),
    ("--dst-type ANYCAST", "2001:db8:9::1", seen(LO, ETH0), "refuse"),
    ("--dst-type LOCAL", "2001:db8:9::1", seen(LO, ETH0), "accept"),
])  # fmt: skip
def test_types_of_addresses_are_those_of_the_host(match: str, source: str, facts: Facts, fate: str) -> None:
    assert tcp(dump(f"-A INPUT -p tcp -m addrtype {match} -j ACCEPT"), source, facts) == fate


def test_a_redirected_packet_is_still_for_an_own_address() -> None:
    nat = table("nat", "-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080")
    text = dump("-A INPUT -p tcp --dport 8080 -m addrtype --dst-type LOCAL -j ACCEPT", before=nat)
    assert tcp(text, OUTER, seen(LO, ETH0), port=8080) == "accept"


# -- reverse paths --------------------------------------------------------------------------------------

SPOOFED = dump("-A INPUT -j ACCEPT", before=table("raw", "-A PREROUTING -m rpfilter --invert -j DROP"))


@pytest.mark.parametrize(("facts", "settings", "fate"), [
    (seen(), [], "accept"),
    (seen(), ["reverse-path=undecided"], "undecided"),
    (FULL, [], "accept"),
    (FULL, ["reverse-path=undecided"], "undecided"),  # it depends on the interface
    (seen(LO, ETH0, routes=ROUTES[:2]), ["reverse-path=undecided"], "accept"),  # of which there is one
    (seen(routes=ROUTES), ["reverse-path=undecided"], "undecided"),
])  # fmt: skip
def test_a_reverse_path_filter_holds_for_what_is_not_spoofed(
    facts: Facts, settings: list[str], fate: str
) -> None:
    assert tcp(SPOOFED, OUTER, facts, *settings) == fate


def test_a_reverse_path_filter_drops_sources_without_a_route() -> None:
    assert tcp(SPOOFED, UNROUTED, seen(LO, ETH0, routes=ROUTES[1:2])) == "refuse"
    assert tcp(SPOOFED, UNROUTED, seen()) == "accept"
