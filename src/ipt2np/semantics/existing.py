"""The packets that facts and the kernel let exist: sources that it takes, destinations, and what comes in where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ipt2np.packets import AddressSet, Field, PacketSet
from ipt2np.packets.intervals import merged
from ipt2np.rules.assumptions import UNDECIDED
from ipt2np.rules.meaning import View
from ipt2np.rules.prefixes import EVERYWHERE
from ipt2np.rules.routing import NO
from ipt2np.rules.surveys import on_interfaces
from ipt2np.semantics.facts import Facts

REFUSED_SOURCES: Mapping[int, AddressSet] = {
    4: AddressSet.cidrs("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32"),
    6: AddressSet.cidrs("::1/128", "ff00::/8"),
}
"""Sources that the kernel itself refuses (net/ipv4/route.c ip_route_input_slow(), net/ipv6/ip6_input.c).

In IPv4 the host's own addresses too; in IPv6 those, ``::`` and IPv4-mapped ones do reach INPUT.
"""

UNNAMEABLE_SOURCES = AddressSet.cidrs("::ffff:0:0/96")
"""Sources that the kernel takes but no policy can name: API servers and CNIs read such a CIDR as IPv4."""

GROUP_DESTINATIONS: Mapping[int, AddressSet] = {
    4: AddressSet.cidrs("224.0.0.0/4", "255.255.255.255/32"),
    6: AddressSet.cidrs("ff00::/8"),
}


@dataclass(frozen=True)
class Existing:
    """The packets that can exist, and those of them that no interface in particular lets in."""

    packets: PacketSet
    unrouted: PacketSet
    """Packets whose source no route leads to. A host with strict reverse path takes none of them, so they are held
    to be accepted where every interface would, and refused where any would refuse them."""


def existing(view: View, facts: Facts) -> Existing:
    """Packets that can exist: sources that the kernel takes, destinations and interfaces as the facts say."""
    space, family = view.space, view.family
    refused = REFUSED_SOURCES[family]
    result = space.family(family)
    together = view.assumptions["unicast"] == UNDECIDED
    if not together:
        result -= space.addresses(Field.DESTINATION, GROUP_DESTINATIONS[family])
    routing = facts.routing(family)
    destinations = facts.destinations(family)
    if family == 4:
        refused |= facts.replaced(4) | routing.own[0]
    if destinations is not None:
        if together:
            destinations |= GROUP_DESTINATIONS[family]
            destinations |= routing.broadcast if family == 4 else AddressSet(6)
        result &= space.addresses(Field.DESTINATION, destinations)
    result -= space.addresses(Field.SOURCE, refused)
    arriving = _arriving(view, facts)
    return Existing(result & arriving.packets, result & arriving.unrouted)


def _arriving(view: View, facts: Facts) -> Existing:
    """Which source comes in where.

    A source behind a named interface comes in there; any other, as long as ``reverse-path`` stands, where the
    longest route to it leads; any other on an interface given without sources or, where there is none such, on
    any interface that the host has and that has no sources.
    """
    space, family = view.space, view.family
    placed, settled, bare, taken, unrouted = (space.nothing,) * 5
    for name, cidrs in facts.interfaces:
        label = space.values(Field.INTERFACE, view.interfaces.matching(name))
        if not cidrs:
            bare |= label
            continue
        taken |= label
        mine = [cidr for cidr in cidrs if (":" in cidr) == (family == 6)]
        if mine:
            sources = space.addresses(Field.SOURCE, AddressSet.cidrs(*mine))
            placed |= label & sources
            settled |= sources
    anywhere = _receiving(view, facts)
    routing = facts.routing(family)
    if routing.arrivals_known and not bare and view.assumptions["reverse-path"] != UNDECIDED:
        by_route = space.nothing
        for ways, addresses in routing.arrivals.items():
            if EVERYWHERE in ways:
                continue
            sources = space.addresses(Field.SOURCE, addresses) - settled
            by_route |= sources
            if ways == NO:
                unrouted |= anywhere & sources
            for way in ways:
                placed |= on_interfaces(view, way) & sources
        settled |= by_route
    elsewhere = bare if bare else anywhere - taken
    if not elsewhere:
        unrouted |= anywhere - settled
    placed |= elsewhere - settled
    return Existing(placed | unrouted, unrouted)


def _receiving(view: View, facts: Facts) -> PacketSet:
    """Packets on any interface of the host that can receive, those of the command line among them."""
    if not facts.receiving:
        return view.space.everything
    names = [*facts.receiving, *(name for name, _ in facts.interfaces)]
    labels = merged((label, label) for label in map(view.interfaces.label, names))
    return view.space.values(Field.INTERFACE, labels)
