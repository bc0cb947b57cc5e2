"""Facts of the host out of iproute2's JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ipt2np import Decision, Facts, Field, InputError, UsageError, decide, parse_ruleset
from ipt2np.syntax.host import parse_addresses, parse_routes

RULES = """*filter
:INPUT DROP [0:0]
-A INPUT -i eth1 -p tcp --dport 22 -j ACCEPT
-A INPUT -d 192.0.2.10/32 -p tcp --dport 443 -j ACCEPT
-A INPUT -d 192.0.2.0/24 -p tcp --dport 80 -j ACCEPT
COMMIT
"""


def dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def decided(facts: Facts) -> Decision:
    return decide([parse_ruleset(RULES.encode(), "rules")], facts=facts)


def tcp(source: int, port: int) -> dict[Field, int]:
    return {Field.PROTOCOL: 6, Field.SOURCE: source, Field.DESTINATION_PORT: port, Field.SOURCE_PORT: 40000}


def test_addresses_are_the_hosts_own_without_loopback_and_link_local() -> None:
    links = [
        {"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}]},
        {
            "ifname": "eth0",
            "addr_info": [{"local": "192.0.2.10"}, {"local": "fe80::1"}, {"local": "2001:db8::1"}],
        },
        {"ifname": "eth1"},
    ]
    assert parse_addresses(dumped(links), "addr") == ("192.0.2.10", "2001:db8::1")


def test_what_is_accepted_at_every_own_address_is_certain_and_at_some_is_open() -> None:
    decision = decided(Facts(addresses=("192.0.2.10", "192.0.2.11")))
    source = 198 << 24
    assert tcp(source, 80) in decision.must_accept
    assert tcp(source, 443) in decision.may_accept
    assert tcp(source, 443) not in decision.must_accept


def test_a_source_comes_in_where_the_longest_route_to_it_leads() -> None:
    routes = parse_routes(
        dumped(
            [
                {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0"},
                {"dst": "10.0.0.0/8", "dev": "eth1"},
                {"dst": "10.9.0.0/16", "gateway": "192.0.2.9", "dev": "eth0"},
                {"type": "unreachable", "dst": "10.8.0.0/16", "dev": "lo"},
            ]
        ),
        "route",
    )
    assert routes == (("0.0.0.0/0", "eth0"), ("10.0.0.0/8", "eth1"), ("10.9.0.0/16", "eth0"))
    decision = decided(Facts(routes=routes))
    assert tcp(10 << 24 | 1, 22) in decision.must_accept
    assert tcp(10 << 24 | 9 << 16, 22) not in decision.may_accept
    assert tcp(198 << 24, 22) not in decision.may_accept


def test_a_default_route_of_a_dump_with_ipv6_gateways_is_ipv6() -> None:
    dump = [{"dst": "default", "gateway": "fe80::1", "dev": "eth0"}]
    assert parse_routes(dumped(dump), "route") == (("::/0", "eth0"),)


def test_multipath_routes_leave_open_where_a_source_comes_in() -> None:
    dump = [{"dst": "10.0.0.0/8", "nexthops": [{"dev": "eth0"}, {"dev": "eth1"}]}]
    decision = decided(Facts(routes=parse_routes(dumped(dump), "route")))
    assert tcp(10 << 24 | 1, 22) in decision.may_accept - decision.must_accept


def test_an_interface_without_sources_contradicts_routes() -> None:
    with pytest.raises(UsageError, match="contradict"):
        Facts(interfaces=(("eth0", ()),), routes=(("0.0.0.0/0", "eth0"),))


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"{}", b"[1]", b"[]", b'[{"ifname":"eth0","addr_info":[{}]}]',
     b'[{"ifname":"e","addr_info":[{"local":"x"}]}]', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_anything_else_than_addresses_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        parse_addresses(data, "addr")


@pytest.mark.parametrize(
    "data",
    [b"[]", b'[{"dst":"nowhere","dev":"eth0"}]', b'[{"dst":"10.0.0.0/8"}]', b'[{"dev":"eth0"}]', b"null"],
)
def test_anything_else_than_routes_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        parse_routes(data, "route")
