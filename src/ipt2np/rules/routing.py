"""What the kernel's routing says of addresses: own or not, of which type, behind which interface.

Facts of Linux 6.18, each held against a kernel in tests/kernel/test_routing.py:

* IPv4: the tables local, main and default are asked in this order (net/ipv4/fib_rules.c). As long as nobody has added
  a rule, local and main are one trie, in which the longest prefix wins, local at a tie (fib_trie.c,
  fib_trie_unmerge()). A dump does not say which of both is the case: where they differ, either may be.
* IPv6: local, then main (net/ipv6/ip6_fib.c, fib6_rule_lookup()).
* Tables that a rule of ``ip rule`` leads to may be asked in between, for packets that a dump of routes does not name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import Concatenate, ParamSpec, cast

from ipt2np.packets import AddressSet
from ipt2np.packets.intervals import ADDRESS_BITS, merged
from ipt2np.rules.host import (
    DEFAULT_TABLE,
    LOCAL_TABLE,
    LOOPBACK,
    MAIN_TABLE,
    REJECTING,
    USUAL_TABLES,
    Host,
    Route,
    RouteType,
    prefix_range,
)
from ipt2np.rules.lookups import Choice, by_device, first_route, least_metric, outside
from ipt2np.rules.prefixes import (
    EVERYWHERE,
    NOWHERE,
    OPEN,
    Holding,
    PrefixTable,
    Reading,
    Stage,
    Surveyed,
    Ways,
    survey,
)

NO: Ways = frozenset({NOWHERE})
YES: Ways = frozenset({EVERYWHERE})

LOOPBACK_ADDRESSES: Mapping[int, AddressSet] = {
    4: AddressSet.cidrs("127.0.0.0/8"),
    6: AddressSet.cidrs("::1/128"),
}
LINK_LOCAL: Mapping[int, AddressSet] = {
    4: AddressSet.cidrs("169.254.0.0/16"),
    6: AddressSet.cidrs("fe80::/10"),
}
MOST_TABLES = 16
"""With more tables of policy routing than this, any of their routes to an address may be the one."""
_UNSPECIFIED = AddressSet.cidrs("::/128")
_FIXED_TYPES = (
    (AddressSet.cidrs("0.0.0.0/32", "255.255.255.255/32"), RouteType.BROADCAST),
    (AddressSet.cidrs("224.0.0.0/4"), RouteType.MULTICAST),
)
"""IPv4 addresses whose type no route has a say in (net/ipv4/fib_frontend.c, __inet_dev_addr_type())."""


_Parameters = ParamSpec("_Parameters")


def _once(
    method: Callable[Concatenate[Routing, _Parameters], Surveyed],
) -> Callable[Concatenate[Routing, _Parameters], Surveyed]:
    """The method, each question asked once: every rule asks anew for each half and walk state."""

    @wraps(method)
    def answered(self: Routing, *args: _Parameters.args, **more: _Parameters.kwargs) -> Surveyed:
        key = (method.__name__, args, tuple(sorted(more.items())))
        if key not in self.answers:
            self.answers[key] = method(self, *args, **more)
        return self.answers[key]

    return cast("Callable[Concatenate[Routing, _Parameters], Surveyed]", answered)


@dataclass(frozen=True)
class Routing:
    """One family's routing of a host, as far as it is known.

    Without a dump of the table local, the addresses stand for it: then it has no route that somebody added.
    With ``strict`` a source comes in where an answer to it would go out: no source is then one of the host's
    own addresses or a broadcast address.
    """

    host: Host
    family: int
    strict: bool = True

    @cached_property
    def answers(self) -> dict[tuple[object, ...], Surveyed]:
        """What was asked before."""
        return {}

    # -- what is known ----------------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> Mapping[tuple[str, str], tuple[Route, ...]]:
        """Routes by table and interface; by table alone where the interface is empty."""
        found: dict[tuple[str, str], list[Route]] = {}
        for route in self.host.routes:
            if route.family == self.family:
                for each in _as_one_trie(route):
                    for device in ("", *dict.fromkeys(each.devices)):
                        found.setdefault((each.table, device), []).append(each)
        if not self._local_dumped:
            derived = local_routes(self.host, self.family, anycast=not self.strict)
            for route in _in_any_order(derived) if self.family == 4 else derived:
                for device in ("", *route.devices):
                    found.setdefault((LOCAL_TABLE, device), []).append(route)
        return {key: tuple(routes) for key, routes in found.items()}

    @cached_property
    def _policy_tables(self) -> Mapping[str, tuple[str, ...]]:
        """Interface to the tables of policy routing that have routes by it; the empty one to all of them."""
        found: dict[str, list[str]] = {}
        for table, device in self._tables:
            if table not in USUAL_TABLES:
                found.setdefault(device, []).append(table)
        return {device: tuple(sorted(tables)) for device, tables in found.items()}

    def _routes(self, table: str, device: str = "") -> tuple[Route, ...]:
        return self._tables.get((table, device), ())

    @cached_property
    def _local_dumped(self) -> bool:
        """True where the table local was dumped: loopback is in it."""
        return any(
            route.family == self.family and route.table == LOCAL_TABLE and _loopback(route)
            for route in self.host.routes
        )

    @cached_property
    def main_known(self) -> bool:
        """True where the routes of the main table are known."""
        return bool(self._routes(MAIN_TABLE))

    @cached_property
    def local_known(self) -> bool:
        """True where the own and the broadcast addresses are known."""
        return self._local_dumped or self.host.addressed(self.family)

    @cached_property
    def _connected(self) -> tuple[Route, ...]:
        return tuple(_in_any_order(connected_routes(self.host, self.family)))

    @cached_property
    def devices(self) -> frozenset[str]:
        """The interfaces, loopback aside, that an address or a route of the family names."""
        return frozenset(device for _, device in self._tables) - {"", LOOPBACK}

    @property
    def arrivals_known(self) -> bool:
        """True where something is known of where sources come in: all routes, or the connected networks."""
        return self.main_known or bool(self._connected)

    def _stage(self, routes: Iterable[Route], conditional: bool = False) -> Stage:
        return Stage(PrefixTable.of(routes, self.family), conditional)

    def _wide(self) -> frozenset[Route]:
        """Prefixes of IPv4's table local inside which main may have narrower routes, which would go before them."""
        local = self._routes(LOCAL_TABLE) if self.family == 4 else ()
        return frozenset(route for route in local if route.length < ADDRESS_BITS[4] and not _loopback(route))

    def _stages(
        self, main: Iterable[Route], device: str = "", without: frozenset[Route] = frozenset()
    ) -> list[Stage]:
        """The tables of a lookup in their order; with ``device`` only their routes by that interface."""
        special = [self._routes(name, device) for name in self._policy_tables.get(device, ())]
        if len(special) > MOST_TABLES:
            special = [tuple(replace(route, conditional=True) for routes in special for route in routes)]
        # Where local and main are one, the kernel asks default after a rejection too (include/net/ip_fib.h, fib_lookup());
        # IPv6 has no rule that leads to it (net/ipv6/fib6_rules.c).
        last = self._routes(DEFAULT_TABLE, device) if self.family == 4 else ()
        return [
            self._stage(r for r in self._routes(LOCAL_TABLE, device) if r not in without),
            *(self._stage(routes, True) for routes in [*special, last] if routes),
            self._stage(main),
            self._stage(last),
        ]

    def _lookup(self, stages: list[Stage], reading: Reading, missing: Ways) -> Surveyed:
        rival = len(stages) - 2 if self.family == 4 else None
        return survey(stages, self.family, reading, missing, rival=rival)

    def _reading(self, choice: Choice) -> Reading:
        return first_route(choice) if self.family == 4 else least_metric(choice)

    # -- where sources come in --------------------------------------------------------------------------

    @cached_property
    def arrivals(self) -> Surveyed:
        """Each address by the interfaces that a packet to it would leave by; ``NO`` where it would not."""

        def choice(route: Route, first: bool) -> Holding:
            leaves = route.type is RouteType.UNICAST if self.family == 4 else _remote(route)
            return Holding(outside(route)) if leaves else NOWHERE

        if self.main_known:
            return self._lookup(self._stages(self._routes(MAIN_TABLE)), self._reading(choice), NO)
        return self._lookup(self._stages(self._connected, without=self._wide()), self._reading(choice), OPEN)

    # -- own addresses ----------------------------------------------------------------------------------

    @cached_property
    def own(self) -> tuple[AddressSet, AddressSet]:
        """(certainly, possibly) the host's own addresses, those of loopback and of single links too."""
        local = frozenset({"LOCAL"})
        surveyed = self.types4(local) if self.family == 4 else self.types6(local)
        sure = [each for ways, each in surveyed.items() if ways == YES]
        open_too = [each for ways, each in surveyed.items() if ways != NO]
        return united(sure, self.family), united(open_too, self.family)

    @cached_property
    def broadcast(self) -> AddressSet:
        """IPv4 addresses that may be a connected network's broadcast address."""
        surveyed = self.types4(frozenset({"BROADCAST"}))
        return united((each for ways, each in surveyed.items() if ways != NO), 4)

    # -- types of addresses -----------------------------------------------------------------------------

    @_once
    def types4(self, wanted: frozenset[str], *, by_interface: bool = False) -> Surveyed:
        """IPv4 addresses whose type is among ``wanted``, the words of addrtype.

        Only the table local is asked, and what it rejects or does not have is UNICAST (__inet_dev_addr_type()).
        ``by_interface``: so is what it has on another interface than the one that the packet came in on.
        """
        otherwise = EVERYWHERE if "UNICAST" in wanted else NOWHERE

        def choice(route: Route, first: bool) -> Holding:
            if route.type in REJECTING:
                return otherwise
            holds = route.type.upper() in wanted
            if holds == otherwise.elsewhere:
                return otherwise
            if by_interface:
                return Holding(frozenset(route.devices[:1]) - {LOOPBACK}, otherwise.elsewhere)
            return EVERYWHERE if holds else NOWHERE

        missing: Ways = frozenset({otherwise})
        local, main = self._routes(LOCAL_TABLE), self._routes(MAIN_TABLE)
        if not self.main_known:
            main = tuple(
                Route(4, route.network | half, route.length + 1)
                for route in self._wide()
                for half in _halves(route)
            )
        stages = [self._stage(local), self._stage(main, True)]
        surveyed = survey(stages, 4, first_route(choice), missing, rival=1)
        return _with_fixed(surveyed, wanted)

    @_once
    def types6(self, wanted: frozenset[str]) -> Surveyed:
        """IPv6 addresses whose type is among ``wanted``, of LOCAL, ANYCAST and UNREACHABLE (match_lookup_rt6())."""
        missing = _ways("UNREACHABLE" in wanted)
        if not self.main_known:
            missing = OPEN if wanted - {"LOCAL"} else NO
        stages = self._stages(self._routes(MAIN_TABLE))
        reading = least_metric(lambda route, first: _sure(bool(_types6(route, first) & wanted)))
        return survey(stages, 6, reading, missing, networks_apart=True)

    @_once
    def types6_on(self, device: str, wanted: frozenset[str]) -> Surveyed:
        """The same for packets of one interface: only routes by it are asked, only its own addresses are LOCAL."""
        missing = self.types6_elsewhere(wanted)
        local = self._routes(LOCAL_TABLE, device)
        own = (route for route in local if route.type is RouteType.LOCAL and route.kernel)
        mine = united((AddressSet(6, (prefix_range(r.network, r.length, 6),)) for r in own), 6)
        stages = self._stages(self._routes(MAIN_TABLE, device), device)
        reading = least_metric(lambda route, first: _sure(bool((_types6(route, first) - {"LOCAL"}) & wanted)))
        surveyed = survey(stages, 6, reading, missing, networks_apart=True)
        return _overlaid(surveyed, mine, YES) if "LOCAL" in wanted else surveyed

    def types6_elsewhere(self, wanted: frozenset[str]) -> Ways:
        """The same for packets of an interface that no address and no route names."""
        return _ways("UNREACHABLE" in wanted) if self.main_known else OPEN

    # -- the reverse path -------------------------------------------------------------------------------

    @_once
    def reverse_path(self, *, loose: bool, accept_local: bool) -> Surveyed:
        """Sources that pass ``-m rpfilter``, by interface (net/ipv4/netfilter/ipt_rpfilter.c, ip6t_rpfilter.c)."""
        routes = self._routes(MAIN_TABLE)
        missing = NO if self.main_known else OPEN

        def passes(route: Route, here: bool) -> bool:
            if route.type is RouteType.LOCAL:
                return accept_local
            return (here or loose) and _remote(route)

        def choice(route: Route, first: bool) -> Holding:
            if route.type is not RouteType.UNICAST and not (route.type is RouteType.LOCAL and accept_local):
                return NOWHERE
            return EVERYWHERE if loose else Holding(outside(route))

        if self.family == 4:
            return self._lookup(self._stages(routes), self._reading(choice), missing)
        surveyed = survey(self._stages(routes), 6, by_device(passes, loose=loose), missing)
        return _overlaid(surveyed, _UNSPECIFIED, YES)

    @_once
    def link_local_reverse_path(self, device: str, *, accept_local: bool) -> Surveyed:
        """The same for link-local IPv6 sources on one interface: only routes by it are asked, loose or not."""

        def passes(route: Route, here: bool) -> bool:
            return accept_local if route.type is RouteType.LOCAL else _remote(route)

        stages = self._stages(self._routes(MAIN_TABLE, device), device)
        return survey(stages, 6, by_device(passes, loose=True), NO if self.main_known else OPEN)


def local_routes(host: Host, family: int, *, anycast: bool = False) -> Iterator[Route]:
    """The table local as the kernel makes it of addresses alone.

    net/ipv4/fib_frontend.c, fib_add_ifaddr(): the address; a broadcast address that was given; that of the network
    unless the address is a secondary one; on loopback the whole network. net/ipv6/addrconf.c: the address, and
    with ``anycast`` that of the network's routers, which the kernel has where it forwards packets.
    """
    bits = ADDRESS_BITS[family]
    for interface in host.interfaces:
        device = (interface.name,)

        def made(network: int, length: int, kind: RouteType, device: tuple[str, ...] = device) -> Route:
            return Route(family, network, length, kind, device, LOCAL_TABLE, kernel=True)

        for each in interface.addresses:
            if each.family != family:
                continue
            yield made(each.address, bits, RouteType.LOCAL)
            if family == 6:
                if anycast and each.length < 127:
                    yield replace(made(each.networks[0][0], bits, RouteType.ANYCAST), conditional=True)
                continue
            if not interface.up:
                continue
            if each.broadcast not in (None, 0xFFFFFFFF, 0):
                yield made(each.broadcast or 0, bits, RouteType.BROADCAST)
            ((network, length),) = each.networks
            if each.secondary or (length == bits and network == each.address):
                continue
            if interface.loopback and each.prefix_route:
                yield made(network, length, RouteType.LOCAL)
            if length < 31:
                yield made(prefix_range(network, length, 4)[1], bits, RouteType.BROADCAST)


def _as_one_trie(route: Route) -> tuple[Route, ...]:
    """A route; one of IPv4's table local that rejects may end the whole lookup or the look into the table."""
    if route.family == 4 and route.table == LOCAL_TABLE and route.type in REJECTING:
        return replace(route, type=RouteType.UNREACHABLE, conditional=True), replace(
            route, type=RouteType.THROW
        )
    return (route,)


def _in_any_order(routes: Iterable[Route]) -> Iterator[Route]:
    """Routes of which, where several are for one prefix, any may stand first."""
    by_prefix: dict[tuple[int, int], list[Route]] = {}
    for route in routes:
        by_prefix.setdefault((route.network, route.length), []).append(route)
    for same in by_prefix.values():
        yield from (replace(route, conditional=True) for route in same[:-1])
        yield same[-1]


def connected_routes(host: Host, family: int) -> Iterator[Route]:
    """Routes to the networks of the addresses, those of loopback left out."""
    for interface in host.interfaces:
        if interface.up and not interface.loopback:
            for each in interface.addresses:
                if each.family == family:
                    for network, length in each.networks:
                        yield Route(family, network, length, devices=(interface.name,))


def _remote(route: Route) -> bool:
    """IPv6: True where packets leave by the route; an anycast address is one of the host's where the kernel made it."""
    own = route.type is RouteType.LOCAL or (route.type is RouteType.ANYCAST and route.kernel)
    return not own and not route.rejecting


def _types6(route: Route, first: bool) -> frozenset[str]:
    """The types of an IPv6 address; the all-zero address of a connected network is an anycast one.

    include/net/ip6_route.h, ipv6_anycast_destination().
    """
    if route.rejecting:
        return frozenset({"UNREACHABLE"})
    anycast = (route.type is RouteType.ANYCAST and route.kernel) or (
        first and route.length < 127 and not route.gateway
    )
    return frozenset({"LOCAL"} if route.type is RouteType.LOCAL else ()) | ({"ANYCAST"} if anycast else set())


def _sure(holds: bool) -> Holding:
    return EVERYWHERE if holds else NOWHERE


def _ways(holds: bool) -> Ways:
    return YES if holds else NO


def _loopback(route: Route) -> bool:
    span = prefix_range(route.network, route.length, route.family)
    return AddressSet(route.family, (span,)) <= LOOPBACK_ADDRESSES[route.family]


def _halves(route: Route) -> tuple[int, int]:
    return 0, 1 << (ADDRESS_BITS[4] - route.length - 1)


def united(parts: Iterable[AddressSet], family: int) -> AddressSet:
    """The union of address sets of one family."""
    return AddressSet(family, merged(span for part in parts for span in part.ranges))


def _overlaid(surveyed: Surveyed, addresses: AddressSet, ways: Ways) -> Surveyed:
    """``surveyed`` with ``ways`` for ``addresses``."""
    result = {each: part - addresses for each, part in surveyed.items()}
    result[ways] = result.get(ways, AddressSet(addresses.family)) | addresses
    return {each: part for each, part in result.items() if part}


def _with_fixed(surveyed: Surveyed, wanted: frozenset[str]) -> Surveyed:
    for addresses, kind in _FIXED_TYPES:
        surveyed = _overlaid(surveyed, addresses, _ways(kind.upper() in wanted))
    return surveyed
