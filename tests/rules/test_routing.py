"""The routing of whole address spaces against one address at a time, over universes small enough to enumerate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt2np.packets import AddressSet
from ipt2np.rules.host import Host, Route
from ipt2np.rules.prefixes import Holding, PrefixTable, Surveyed
from ipt2np.rules.routing import Routing
from ipt2np.syntax.host import parse_routes
from tests.naive_routing import REJECTING, Address, NaiveRouting, Row, kind

EXAMPLES = settings(max_examples=120, derandomize=True, deadline=None)
FAMILIES = pytest.mark.parametrize("family", [4, 6])
DEVICES = ("e0", "e1", "e2")
ELSEWHERE = "e9"
"""An interface that no route names."""
BASE = {4: "10.0.0.0", 6: "fd00::"}
BITS = {4: 32, 6: 128}
TYPES4 = (
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
)
LOOPBACK: dict[int, Row] = {
    4: {"type": "local", "dst": "127.0.0.0/8", "dev": "lo", "table": "local", "protocol": "kernel"},
    6: {"type": "local", "dst": "::1", "dev": "lo", "table": "local", "protocol": "kernel"},
}
LINK = {6: ("fe80::", "fe80::1", "fe80::f")}


def universe(family: int) -> Iterator[Address]:
    """Sixteen neighbours, and what lies around and far from them."""
    base = int(ip_address(BASE[family]))
    yield from (ip_address(base + step) for step in range(-2, 19))
    yield from map(
        ip_address,
        ("8.8.8.8", "0.0.0.0", "255.255.255.255", "224.0.0.1") if family == 4 else ("2000::1", "::"),
    )
    yield from map(ip_address, LINK.get(family, ()))


@st.composite
def rows(draw: st.DrawFn, family: int) -> list[Row]:
    """Routes to prefixes of a small network, in the tables local, main and sometimes default."""
    found: list[Row] = [LOOPBACK[family]]
    base = int(ip_address(BASE[family]))
    for _ in range(draw(st.integers(1, 9))):
        length = BITS[family] - draw(st.integers(0, 4))
        start = base + (draw(st.integers(0, 15)) >> (BITS[family] - length) << (BITS[family] - length))
        where = str(ip_network((start, length)))
        if draw(st.integers(0, 5)) == 0:
            where = "default"
        elif family == 6 and draw(st.integers(0, 3)) == 0:
            where = draw(st.sampled_from(("fe80::/64", "fe80::1")))
        row: dict[str, Any] = (
            {"dst": where, "pref": "medium"} if family == 6 else {"dst": where, "scope": "global"}
        )
        name = draw(st.sampled_from(("main", "main", "main", "local", "default" if family == 4 else "main")))
        if name != "main":
            row["table"] = name
        usual = ("local",) * 3 + ("broadcast", "anycast") if name == "local" else ("unicast",) * 6
        row["type"] = draw(st.sampled_from((*usual, *TYPES4)))
        if name == "main" and row["type"] in ("local", "broadcast", "anycast"):
            row["table"] = "main"  # shown where it is not the type's own table
        if row["type"] in ("blackhole", "unreachable", "prohibit", "throw"):
            row["dev"] = "lo"
        elif draw(st.integers(0, 3)) == 0 and row["type"] == "unicast":
            hops = draw(st.lists(st.sampled_from(DEVICES), min_size=1, max_size=3))
            row["nexthops"] = [{"dev": hop, "flags": [], "gateway": f"{BASE[family]}"} for hop in hops]
        else:
            row["dev"] = draw(st.sampled_from((*DEVICES, "lo")))
        if draw(st.integers(0, 2)) == 0:
            row["metric"] = draw(st.sampled_from((5, 10)))
        if draw(st.integers(0, 3)) == 0:
            row["protocol"] = "kernel"
        found.append(row)
    return found


def routing_of(given_rows: list[Row], family: int) -> Routing:
    routes = parse_routes(json.dumps(given_rows).encode(), "routes")
    assert {route.family for route in routes} == {family}
    assert len(routes) <= len(given_rows)
    return Routing(Host(routes=routes), family)


def ways(surveyed: Surveyed, address: Address) -> frozenset[Holding]:
    """The ways of one address."""
    return next(each for each, addresses in surveyed.items() if int(address) in addresses)


def holds(surveyed: Surveyed, address: Address, device: str) -> set[bool]:
    return {(device in way.names) != way.elsewhere for way in ways(surveyed, address)}


def main_is_known(given_rows: list[Row]) -> bool:
    return any(row.get("table", "main") == "main" for row in given_rows)


def left_open(given_rows: list[Row]) -> bool:
    """True for what nobody configures and where more ways are left open than there are, which is sound, not exact.

    A ``throw`` beside another route to its prefix, a rejection in the table local, anything in the table default.
    """
    return any(
        row.get("table") == "default"
        or (row.get("table") == "local" and kind(row) in REJECTING)
        or (kind(row) == "throw" and any(o["dst"] == row["dst"] and kind(o) != "throw" for o in given_rows))
        for row in given_rows
    )


@FAMILIES
def test_a_survey_covers_every_address_once(family: int) -> None:
    @EXAMPLES
    @given(rows(family))
    def check(given_rows: list[Row]) -> None:
        surveyed = routing_of(given_rows, family).arrivals
        everything = AddressSet(family)
        for addresses in surveyed.values():
            assert not addresses & everything
            everything |= addresses
        assert everything == ~AddressSet(family)

    check()


@FAMILIES
def test_sources_come_in_where_an_answer_would_leave(family: int) -> None:
    @EXAMPLES
    @given(rows(family))
    def check(given_rows: list[Row]) -> None:
        naive, arrivals = NaiveRouting(family, given_rows), routing_of(given_rows, family).arrivals
        if not main_is_known(given_rows):
            return
        for address in universe(family):
            expected = naive.leaves4(address) if family == 4 else naive.leaves6(address)
            found = {way.names for way in ways(arrivals, address)}
            assert not any(way.elsewhere for way in ways(arrivals, address))
            assert expected <= found
            assert expected == found or left_open(given_rows)

    check()


def test_ipv4_types() -> None:
    wanted_types = st.frozensets(st.sampled_from([name.upper() for name in TYPES4]), min_size=1)

    @EXAMPLES
    @given(rows(4), wanted_types)
    def check(given_rows: list[Row], wanted: frozenset[str]) -> None:
        naive, routing = NaiveRouting(4, given_rows), routing_of(given_rows, 4)
        if not main_is_known(given_rows):
            return
        plain, limited = routing.types4(wanted), routing.types4(wanted, by_interface=True)
        for address in universe(4):
            for device, surveyed in (("", plain), *((device, limited) for device in (*DEVICES, ELSEWHERE))):
                expected = {each.upper() in wanted for each in naive.types4(address, device)}
                found = holds(surveyed, address, device)
                assert expected <= found
                assert expected == found or left_open(given_rows)

    check()


def test_ipv6_types() -> None:
    wanted_types = st.frozensets(st.sampled_from(("LOCAL", "ANYCAST", "UNREACHABLE")), min_size=1)

    @EXAMPLES
    @given(rows(6), wanted_types)
    def check(given_rows: list[Row], wanted: frozenset[str]) -> None:
        naive, routing = NaiveRouting(6, given_rows), routing_of(given_rows, 6)
        if not main_is_known(given_rows):
            return
        plain = routing.types6(wanted)
        words = frozenset(each.lower() for each in wanted)
        for address in universe(6):
            expected = {bool(types & words) for types in naive.types6(address)}
            found = holds(plain, address, "e0")
            assert expected <= found
            assert expected == found or left_open(given_rows)
        for device in DEVICES:
            own = frozenset(
                address
                for address in universe(6)
                for row in given_rows
                if row.get("table") == "local" and kind(row) == "local" and row.get("protocol") == "kernel"
                and device in row.get("dev", "") and address in ip_network(row["dst"].replace("default", "::/0"))
            )  # fmt: skip
            limited = routing.types6_on(device, wanted)
            for address in universe(6):
                if any(kind(row) == "throw" for row in given_rows) or (address in own and "LOCAL" in wanted):
                    continue
                expected = {bool(types & words) for types in naive.types6(address, device, own)}
                assert holds(limited, address, device) == expected

    check()


@FAMILIES
@pytest.mark.parametrize("loose", [False, True])
@pytest.mark.parametrize("accept_local", [False, True])
def test_the_reverse_path(family: int, loose: bool, accept_local: bool) -> None:
    @EXAMPLES
    @given(rows(family))
    def check(given_rows: list[Row]) -> None:
        if not main_is_known(given_rows):
            return
        naive, routing = NaiveRouting(family, given_rows), routing_of(given_rows, family)
        surveyed = routing.reverse_path(loose=loose, accept_local=accept_local)
        for device in (*DEVICES, ELSEWHERE):
            near = (
                routing.link_local_reverse_path(device, accept_local=accept_local)
                if family == 6
                else surveyed
            )
            for address in universe(family):
                if family == 4:
                    expected = naive.passes4(address, device, loose=loose, accept_local=accept_local)
                else:
                    expected = {naive.passes6(address, device, loose=loose, accept_local=accept_local)}
                found = holds(near if family == 6 and address.is_link_local else surveyed, address, device)
                assert expected <= found
                assert expected == found or left_open(given_rows)

    check()


@FAMILIES
def test_tables_of_policy_routing_may_be_asked_or_not(family: int) -> None:
    """With a route of another table both ways are open: as if it were asked before main, and as if it were not."""

    @EXAMPLES
    @given(rows(family), st.sets(st.integers(0, 20), min_size=1, max_size=3))
    def check(given_rows: list[Row], places: set[int]) -> None:
        special = [
            dict(row, table="100") for place, row in enumerate(given_rows) if place in places and place
        ]
        if not special or not main_is_known(given_rows) or left_open([*given_rows, *special]):
            return
        without = NaiveRouting(family, given_rows)
        by_rule = NaiveRouting(family, [dict(row, table="main") for row in special])
        arrivals = routing_of([*given_rows, *special], family).arrivals
        for address in universe(family):
            usual = without.leaves4(address) if family == 4 else without.leaves6(address)
            local = without.covering(address, "local")
            asked = by_rule.leaves4(address) if family == 4 else by_rule.leaves6(address)
            expected = usual if local or not by_rule.covering(address, "main") else usual | asked
            if not local or family == 6:
                assert {way.names for way in ways(arrivals, address)} == expected

    check()


@FAMILIES
def test_prefixes_are_as_many_as_routes_whatever_their_nesting(family: int) -> None:
    """The pieces grow with the routes, not with their product."""
    base, bits = int(ip_address(BASE[family])), BITS[family]
    nested = [
        Route(family, base, length, devices=(f"e{length % 7}",))
        for length in range(bits + 1)
        if base >> (bits - length) << (bits - length) == base
    ]
    many = [Route(family, base + 2 * step, bits, devices=(f"e{step % 7}",)) for step in range(5000)]
    table = PrefixTable.of([*nested, *many], family)
    assert len(table.starts) <= 2 * (len(nested) + len(many)) + 1
    assert list(table.starts) == sorted(set(table.starts))
