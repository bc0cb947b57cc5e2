"""What the routes of a prefix say, read as the kernel reads them: three ways to choose among them.

Each function makes a ``Reading`` for ``prefixes.survey``. A route of the type ``throw`` ends the look into its table
without an answer; a conditional one may be passed over.
"""

from __future__ import annotations

from collections.abc import Callable

from ipt2np.rules.host import LOOPBACK, Route, RouteType
from ipt2np.rules.prefixes import EVERYWHERE, MOST_WAYS, NOWHERE, OPEN, Answer, Holding, Prefix, Reading

Choice = Callable[[Route, bool], Holding]
"""What follows from the route that a lookup ends at; the flag is True for the network's own address."""

_OPEN = Answer(OPEN, True)


def outside(route: Route) -> frozenset[str]:
    """The route's interfaces that packets from outside can come in on."""
    return frozenset(route.devices) - {LOOPBACK}


def first_route(choice: Choice) -> Reading:
    """IPv4: the first route of the least metric (net/ipv4/fib_trie.c, fib_table_lookup())."""

    def reading(prefix: Prefix, first: bool) -> Answer:
        ways: set[Holding] = set()
        final, steps = True, 0
        at: Prefix | None = prefix
        while at is not None:
            # Routes for one type of service stand before those for any.
            for route in sorted(at.routes, key=lambda route: (not route.conditional, route.metric)):
                steps += 1
                if steps > MOST_WAYS:
                    return _OPEN
                if route.type is RouteType.THROW:
                    final = False
                else:
                    ways.add(choice(route, first))
                if not route.conditional:
                    return Answer(frozenset(ways), final)
            at, first = at.around, False
        return Answer(frozenset(ways))

    return reading


def least_metric(choice: Choice) -> Reading:
    """IPv6: any route of the least metric (net/ipv6/route.c, rt6_select())."""

    def reading(prefix: Prefix, first: bool) -> Answer:
        ways: set[Holding] = set()
        final, steps = True, 0
        at: Prefix | None = prefix
        while at is not None:
            plain = [route for route in at.routes if not route.conditional]
            least = min((route.metric for route in plain), default=0)
            used = [route for route in at.routes if route.conditional or route.metric == least]
            steps += len(used)
            if steps > MOST_WAYS:
                return _OPEN
            for route in used:
                if route.type is RouteType.THROW:
                    final = False
                else:
                    ways.add(choice(route, first))
            if plain:
                return Answer(frozenset(ways), final)
            at, first = at.around, False
        return Answer(frozenset(ways))

    return reading


def by_device(passes: Callable[[Route, bool], bool], *, loose: bool) -> Reading:
    """IPv6, as ``rpfilter`` asks: the first route by the packet's own interface, else the first (rt6_device_match()).

    ``passes(route, here)`` says whether the packet then passes; ``here`` is True where the route leads to its
    interface. ``loose`` asks for the first route whatever its interface.
    """

    def reading(prefix: Prefix, first: bool) -> Answer:
        routes = sorted(prefix.routes, key=lambda route: route.metric)
        if len(routes) > MOST_WAYS or any(route.conditional for route in routes):
            return _OPEN
        thrown = {route.type is RouteType.THROW for route in routes}
        if thrown == {True}:
            return Answer()
        if len(thrown) > 1:
            return _OPEN
        foremost = routes[0]
        if loose:
            return Answer(frozenset({EVERYWHERE if passes(foremost, True) else NOWHERE}), True)
        elsewhere = passes(foremost, False)
        by_name: dict[str, Route] = {}
        for route in routes:
            for device in outside(route):
                by_name.setdefault(device, route)
        names = frozenset(name for name, route in by_name.items() if passes(route, True) != elsewhere)
        return Answer(frozenset({Holding(names, elsewhere)}), True)

    return reading
