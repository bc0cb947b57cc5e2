"""What iproute2 prints of a host, as JSON and as text."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt2np import InputError
from ipt2np.rules.host import HostAddress, Interface, Route, RouteType
from ipt2np.syntax.host import parse_interfaces, parse_routes
from ipt2np.syntax.iproute import MOST_PROBLEMS

EXAMPLES = settings(max_examples=400, derandomize=True, deadline=None)

ADDR_TEXT = """\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
    inet6 ::1/128 scope host
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff link-netnsid 0
    altname enp3s0
    inet 192.0.2.10/24 metric 100 brd 192.0.2.255 scope global dynamic eth0
       valid_lft 3600sec preferred_lft 3600sec
    inet 192.0.2.11/24 scope global secondary noprefixroute eth0
    inet6 2001:db8::1/64 scope global tentative
    inet6 2001:db8::bad/64 scope global dadfailed tentative
3: tun0: <POINTOPOINT,NOARP> mtu 1500 qdisc noop state DOWN group default qlen 500
    inet 10.8.0.1 peer 10.8.0.2/32 scope global tun0
4: veth1@if7: <BROADCAST,UP> mtu 1500 qdisc noqueue master br0 state UP group default
"""

ROUTE_TEXT = """\
default via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.10 metric 100
10.0.0.0/8 proto static metric 20
\tnexthop via 192.0.2.2 dev eth0 weight 1
\tnexthop via 192.0.2.3 dev eth1 weight 1 dead linkdown
blackhole 10.9.0.0/16
10.8.0.2 dev tun0 proto kernel scope link src 10.8.0.1 linkdown
10.7.0.0/16 tos 0x10 via inet6 fe80::1 dev eth1
10.6.0.0/16 dev eth2 table 100 scope link
local 192.0.2.10 dev eth0 table local proto kernel scope host src 192.0.2.10
10.5.0.0/16 via 192.0.2.9 dev eth3 dead linkdown
2001:db8::/64 dev eth0 proto kernel metric 256 pref medium
default via fe80::1 dev eth0 proto ra metric 1024 expires 1700sec hoplimit 64 pref medium
"""


def number(text: str) -> int:
    return int(ip_address(text))


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def route(**fields: Any) -> Route:
    (found,) = parse_routes(dumped([fields]), "route")
    return found


# -- addresses ------------------------------------------------------------------------------------------


def test_the_interfaces_of_plain_text() -> None:
    lo, eth0, tun0, veth1 = parse_interfaces(ADDR_TEXT.encode(), "addr")
    assert lo.loopback
    assert [each.length for each in lo.addresses] == [8, 128]
    assert eth0 == Interface(
        "eth0",
        ("enp3s0",),
        frozenset({"BROADCAST", "MULTICAST", "UP", "LOWER_UP"}),
        addresses=(
            HostAddress(4, number("192.0.2.10"), 24, broadcast=number("192.0.2.255")),
            HostAddress(4, number("192.0.2.11"), 24, secondary=True, prefix_route=False),
            HostAddress(6, number("2001:db8::1"), 64),
        ),
    )
    assert tun0.addresses == (HostAddress(4, number("10.8.0.1"), 32, number("10.8.0.2")),)
    assert not tun0.up
    assert veth1 == Interface("veth1", flags=frozenset({"BROADCAST", "UP"}), master="br0")
    assert veth1.port


def test_the_interfaces_of_json() -> None:
    links = [
        {},
        {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {
            "ifname": "eth0", "flags": ["UP"], "altnames": ["enp3s0"], "master": "vrf0",
            "addr_info": [
                {"family": "inet", "local": "192.0.2.10", "prefixlen": 24, "broadcast": "192.0.2.255", "scope": "global"},
                {"family": "inet", "local": "10.8.0.1", "address": "10.8.0.2", "prefixlen": 32, "noprefixroute": True},
                {"family": "inet6", "local": "2001:db8::bad", "prefixlen": 64, "dadfailed": True},
                {"family": "mpls", "local": "none of ours"},
            ],
        },
        {"ifname": "eth1"},
    ]  # fmt: skip
    lo, eth0, eth1 = parse_interfaces(dumped(links), "addr")
    assert lo.loopback
    assert eth0.master == "vrf0"
    assert not eth0.port  # it has addresses of its own: its packets come in on it
    assert eth0.alternative_names == ("enp3s0",)
    assert eth0.addresses == (
        HostAddress(4, number("192.0.2.10"), 24, broadcast=number("192.0.2.255")),
        HostAddress(4, number("10.8.0.1"), 32, number("10.8.0.2"), prefix_route=False),
    )
    assert eth1 == Interface("eth1")
    assert eth1.up  # flags that are not there say nothing


def test_networks_are_the_peers_in_ipv4_and_both_in_ipv6() -> None:
    four = HostAddress(4, number("10.0.0.1"), 24, number("10.1.0.9"))
    six = HostAddress(6, number("fd00::1"), 64, number("fd00:1::9"))
    assert four.networks == ((number("10.1.0.0"), 24),)
    assert six.networks == ((number("fd00::"), 64), (number("fd00:1::9"), 128))


# -- routes ---------------------------------------------------------------------------------------------


def test_the_routes_of_plain_text() -> None:
    routes = parse_routes(ROUTE_TEXT.encode(), "route")
    ten, local = number("10.0.0.0"), number("192.0.2.10")
    assert routes == (
        Route(4, 0, 0, devices=("eth0",), metric=100, gateway=True),
        Route(4, ten, 8, devices=("eth0",), metric=20, gateway=True),
        Route(4, number("10.9.0.0"), 16, RouteType.BLACKHOLE),
        Route(4, number("10.8.0.2"), 32, devices=("tun0",), kernel=True),
        Route(4, number("10.7.0.0"), 16, devices=("eth1",), gateway=True, conditional=True),
        Route(4, number("10.6.0.0"), 16, devices=("eth2",), table="100"),
        Route(4, local, 32, RouteType.LOCAL, ("eth0",), "local", kernel=True),
        Route(6, number("2001:db8::"), 64, devices=("eth0",), metric=256, kernel=True),
        Route(6, 0, 0, devices=("eth0",), metric=1024, gateway=True),
    )


def test_the_routes_of_json_one_list_after_the_other() -> None:
    four = [{"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "flags": []}]
    six = [{"dst": "default", "dev": "eth1", "metric": 1024, "flags": [], "pref": "medium"}]
    routes = parse_routes(dumped(four) + b"\n" + dumped(six), "route")
    assert routes == (
        Route(4, 0, 0, devices=("eth0",), gateway=True),
        Route(6, 0, 0, devices=("eth1",), metric=1024),
    )


@pytest.mark.parametrize(("fields", "family"), [
    ({"gateway": "fe80::1", "dev": "eth0"}, 6),
    ({"gateway": "192.0.2.1", "dev": "eth0"}, 4),
    ({"via": {"family": "inet6", "host": "fe80::1"}, "dev": "eth0"}, 4),
    ({"dev": "eth0", "pref": "medium"}, 6),
    ({"dev": "eth0", "scope": "link"}, 4),
    ({"dev": "eth0", "prefsrc": "2001:db8::1"}, 6),
    ({"nexthops": [{"gateway": "fe80::1", "dev": "eth0"}]}, 6),
    ({"dev": "eth0"}, 4),
])  # fmt: skip
def test_a_default_routes_family_shows_in_what_stands_beside_it(fields: dict[str, Any], family: int) -> None:
    assert route(dst="default", **fields) == Route(
        family, 0, 0, devices=("eth0",), gateway=any(key in fields for key in ("gateway", "via", "nexthops"))
    )


@pytest.mark.parametrize(
    "around", [[{"dst": "2001:db8::/32", "dev": "a"}], [{"dst": "fe80::/64", "dev": "a"}]]
)
def test_a_bare_default_route_is_of_the_family_around_it(around: list[dict[str, Any]]) -> None:
    bare = {"dst": "default", "dev": "eth0"}
    assert {each.family for each in parse_routes(dumped([bare, *around]), "r")} == {6}
    assert {each.family for each in parse_routes(dumped([*around, bare]), "r")} == {6}


def test_a_table_goes_by_its_number_or_name() -> None:
    assert route(dst="10.0.0.0/8", dev="e", table=254).table == "main"
    assert route(dst="10.0.0.0/8", dev="e", table="255").table == "local"
    assert route(dst="10.0.0.0/8", dev="e", table="vpn").table == "vpn"
    # `ip route show table local` leaves the table out.
    assert route(dst="192.0.2.1", dev="e", type="local").table == "local"
    assert route(dst="192.0.2.255", dev="e", type="broadcast").table == "local"


def test_dead_next_hops_are_no_way_and_a_cable_that_is_out_still_is() -> None:
    assert parse_routes(dumped([{"dst": "10.0.0.0/8", "dev": "e", "flags": ["dead", "linkdown"]}]), "r") == ()
    assert route(dst="10.0.0.0/8", dev="e", flags=["linkdown"]).devices == ("e",)


# -- bad input ------------------------------------------------------------------------------------------


def fault(data: bytes, parse: Any = parse_interfaces) -> tuple[int, int, str]:
    with pytest.raises(InputError) as caught:
        parse(data, "f")
    problem = caught.value.problems[0]
    assert problem.expected.startswith("the output of `ip -j ")
    return problem.location.line, problem.location.column, problem.message


@pytest.mark.parametrize(("data", "line", "column", "message"), [
    (b"", 0, 0, "the file is empty"),
    (b" \n", 0, 0, "the file is empty"),
    (b"[]", 0, 0, "no address of the host in it"),
    (b"{}", 1, 1, "this is not a list of objects"),
    (b"{", 1, 1, "this is not a list of objects"),
    (b"[1]", 1, 2, "this is not an object"),
    (b'[\n {"ifname": "lo"},\n 7]', 3, 2, "this is not an object"),
    (b'[{"ifname": }]', 1, 13, "this is not JSON"),
    (b'[{"ifname": "lo"} {}]', 1, 19, "the list ends here without a ]"),
    (b'[{"ifname": "lo"}', 1, 18, "the list ends here without a ]"),
    (b'[{"ifname": "lo"}] x', 1, 20, "this is not a list of objects"),
    (b"[" * 100_000, 1, 2, "this is no object that ip would print"),
    (b'[{"mtu": ' + b"9" * 5000 + b"}]", 1, 2, "this is no object that ip would print"),
    (b'[{"mtu": 1},\n {"ifname": 5}]', 1, 2, "ifname: None is not an interface's name"),
    (b'[{"ifname": "a/b"}]', 1, 2, "ifname: a/b is not an interface's name"),
    (b'[{"ifname": "sixteen-letters-"}]', 1, 2, "ifname: sixteen-letters- is not an interface's name"),
    (b'[{"ifname": "e", "addr_info": [{}]}]', 1, 2, "local address of e: None is not an address"),
    (b'[{"ifname": "e", "addr_info": [{"local": "x"}]}]', 1, 2, "local address of e: x is not an address"),
    (b'[{"ifname": "e", "addr_info": [{"local": 5}]}]', 1, 2, "local address of e: 5 is not an address"),
    (b'[{"ifname": "e", "addr_info": 5}]', 1, 2, "addr_info of e: 5 is not a list of objects"),
    (b'[{"ifname": "e", "flags": "UP"}]', 1, 2, "flags of e: UP is not a list of words"),
    (b'[{"ifname": "e", "addr_info": [{"local": "10.0.0.1", "prefixlen": 33}]}]', 1, 2,
     "prefixlen of e: 33 is not a number from 0 to 32"),
    (b'[{"ifname": "e", "addr_info": [{"family": "inet6", "local": "10.0.0.1"}]}]', 1, 2,
     "local address of e: 10.0.0.1 is not of the family inet6"),
    (b'[{"ifname": "e", "addr_info": [{"local": "10.0.0.1", "address": "::1"}]}]', 1, 2,
     "addresses of e: 10.0.0.1 and another family's"),
    (b'[{"ifname": "e"}, {"ifname": "e"}]', 1, 19, "e occurs a second time"),
    (b'[{"dst": "default", "dev": "e"}]', 1, 2, "this is what `ip route` prints: give it by --route"),
    (b"eth0: flags=4163<UP>  mtu 1500\n", 1, 1, "this is no line of ip addr"),
    (b"lo               UNKNOWN        127.0.0.1/8\n", 1, 1, "this is no line of ip addr"),
    (b"1: lo    inet 127.0.0.1/8 scope host lo\\       valid_lft forever\n", 1, 1, "this is no line of ip addr"),
    (b"1: lo: <UP> mtu 1\n    inet\n", 2, 9, "an address is missing"),
    (b"1: lo: <UP> mtu 1\n    inet 10.0.0.1/x\n", 1, 1, "prefixlen of lo: x is not a number from 0 to 32"),
    (b"    inet 10.0.0.1/8\n", 1, 1, "this is no line of ip addr"),
])  # fmt: skip
def test_anything_else_than_addresses_is_refused(data: bytes, line: int, column: int, message: str) -> None:
    assert fault(data) == (line, column, message)


@pytest.mark.parametrize(("data", "line", "column", "message"), [
    (b"", 0, 0, "the file is empty"),
    (b"[]", 0, 0, "no route in it"),
    (b"null", 1, 1, "this is no line of ip route"),
    (b'[{"dst": "nowhere", "dev": "eth0"}]', 1, 2, "dst: nowhere is not a network"),
    (b'[{"dst": 5, "dev": "eth0"}]', 1, 2, "dst: 5 is not a network"),
    (b'[{"dst": "10.0.0.1/8", "dev": "eth0"}]', 1, 2, "dst: 10.0.0.1/8 is not a network"),
    (b'[{"dst": "10.0.0.0/8"}]', 1, 2, "the route to 10.0.0.0/8 has no dev"),
    (b'[{"dev": "eth0"}]', 1, 2, "dst: None is not a network"),
    (b'[{"dst": "default", "dev": "e"},\n{"dst": "10.0.0.0/8", "dev": "e", "type": "odd"}]', 2, 1,
     "type: odd is no type of routes"),
    (b'[{"dst": "10.0.0.0/8", "dev": "e", "metric": -1}]', 1, 2, "metric: -1 is not a number from 0 to 4294967295"),
    (b'[{"dst": "10.0.0.0/8", "dev": "e", "table": []}]', 1, 2, "table: [] is not the name of a routing table"),
    (b'[{"dst": "10.0.0.0/8", "nexthops": [5]}]', 1, 2, "nexthops: [5] is not a list of objects"),
    (b'[{"ifname": "lo"}]', 1, 2, "this is what `ip addr` prints: give it by --addr"),
    (b"Kernel IP routing table\n", 1, 1, "this is no line of ip route"),
    (b"default via 192.0.2.1 dev eth0\n0.0.0.0 192.0.2.1 0.0.0.0 UG 0 0 0 eth0\n", 2, 1,
     "the route to 0.0.0.0/32 has no dev"),
    (b"\tnexthop via 192.0.2.2 dev eth0\n", 1, 1, "this is no line of ip route"),
    (b"10.0.0.0/8 dev eth0 metric x\n", 1, 1, "metric: x is not a number from 0 to 4294967295"),
])  # fmt: skip
def test_anything_else_than_routes_is_refused(data: bytes, line: int, column: int, message: str) -> None:
    assert fault(data, parse_routes) == (line, column, message)


def test_bytes_that_are_no_text_are_refused() -> None:
    for parse in (parse_interfaces, parse_routes):
        with pytest.raises(InputError, match=r"not JSON|no line"):
            parse(b"[\xff]", "f")


def test_all_faults_of_a_file_are_told_up_to_a_bound() -> None:
    with pytest.raises(InputError) as caught:
        parse_interfaces(dumped([{"ifname": "a b"}] * 3), "f")
    assert len(caught.value.problems) == 3
    with pytest.raises(InputError) as caught:
        parse_routes(dumped([{"dst": "x"}] * 1000), "f")
    assert len(caught.value.problems) == MOST_PROBLEMS


WORDS = st.sampled_from(
    ["default", "10.0.0.0/8", "10.0.0.1", "::/0", "fe80::1", "dev", "via", "table", "nexthop", "metric", "blackhole",
     "inet", "inet6", "peer", "brd", "scope", "altname", "1:", "eth0:", "<UP>", "<>", "lo", "999999999999", "\t", "\n",
     "\n    ", "[", "]", "{", "}", "\x00", "é"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["ifname", "addr_info", "local", "address", "prefixlen", "family", "dst", "dev", "nexthops", "type",
                         "table", "metric", "flags", "master", "altnames", "gateway", "broadcast", "tos", "from"])
        | st.text(max_size=3),
        inner, max_size=6,
    ),
    max_leaves=25,
)  # fmt: skip


@EXAMPLES
@given(
    st.binary(max_size=200)
    | st.lists(WORDS, max_size=40).map(lambda words: " ".join(words).encode())
    | st.lists(JSON, max_size=4).map(lambda value: json.dumps(value).encode())
    | st.integers(0, len(ADDR_TEXT)).map(lambda cut: ADDR_TEXT[cut:].encode())
    | st.integers(0, len(ROUTE_TEXT)).map(lambda cut: ROUTE_TEXT[:cut].encode())
)
def test_no_text_whatever_gives_anything_but_a_result_or_an_input_error(data: bytes) -> None:
    for parse in (parse_interfaces, parse_routes):
        try:
            found = parse(data, "f")
        except InputError as error:
            assert 0 < len(error.problems) <= MOST_PROBLEMS
            assert all(problem.location.file == "f" for problem in error.problems)
        else:
            assert isinstance(found, tuple)


def test_a_large_dump_is_read_in_linear_time_and_its_last_line_still_told() -> None:
    rows = [{"dst": f"10.{n >> 8}.{n & 255}.0/24", "dev": f"e{n % 9}"} for n in range(60_000)]
    assert len(parse_routes(dumped(rows[:40_000]), "f")) == 40_000
    text = "[\n" + ",\n".join(json.dumps(row) for row in rows[:50_000]) + ',\n{"dst": 5}]'
    assert fault(text.encode(), parse_routes)[0] == 50_002
