"""Facts of the host, and the packets that they let exist."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from ipt2np.errors import UsageError
from ipt2np.packets import AddressSet, Field, PacketSet
from ipt2np.rules.assumptions import UNDECIDED
from ipt2np.rules.ipset import IpSet
from ipt2np.rules.meaning import View

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
class Facts:
    """What the user says of the host: where packets come in, its own addresses, its ipsets."""

    interfaces: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Interface name and the CIDRs behind it; none for "whatever comes in there"."""
    addresses: tuple[str, ...] = ()
    """The own addresses that the pod replaces: what is accepted at all of them is certainly accepted."""
    routes: tuple[tuple[str, str], ...] = ()
    """(CIDR, interface) of the host's routes: a source comes in where an answer to it would go out."""
    ipsets: Mapping[str, IpSet] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.routes and any(not cidrs for _, cidrs in self.interfaces):
            raise UsageError(
                "--interface without sources and --route contradict each other: routes say where every source comes in"
            )

    @property
    def names(self) -> list[str]:
        """Every interface that is named."""
        return [*(name for name, _ in self.interfaces), *(name for _, name in self.routes)]

    @property
    def settle_interfaces(self) -> bool:
        """True where something is said of interfaces."""
        return bool(self.interfaces or self.routes)


def _of_family(texts: tuple[str, ...], family: int) -> list[str]:
    return [text for text in texts if (":" in text) == (family == 6)]


def possible(view: View, facts: Facts) -> PacketSet:
    """Packets that can exist: sources the kernel takes, destinations and interfaces as the facts say."""
    space, family = view.space, view.family
    refused = REFUSED_SOURCES[family]
    result = space.family(family)
    if view.assumptions["unicast"] != UNDECIDED:
        result -= space.addresses(Field.DESTINATION, GROUP_DESTINATIONS[family])
    own = _of_family(facts.addresses, family)
    if own:
        addresses = AddressSet.cidrs(*own)
        if family == 4:
            refused |= addresses
        result &= space.addresses(Field.DESTINATION, addresses)
    result -= space.addresses(Field.SOURCE, refused)
    return result & _arriving(view, facts)


def _arriving(view: View, facts: Facts) -> PacketSet:
    """Which source comes in where.

    A source behind a named interface comes in there; any other where the longest route to it leads; any other
    on an interface given without sources or, where there is none such, on any interface that has no sources.
    """
    space, family = view.space, view.family
    if not facts.settle_interfaces:
        return space.everything
    placed, settled, bare, taken = space.nothing, space.nothing, space.nothing, space.nothing
    for name, cidrs in facts.interfaces:
        label = space.values(Field.INTERFACE, view.interfaces.matching(name))
        if not cidrs:
            bare |= label
            continue
        taken |= label
        mine = _of_family(cidrs, family)
        if mine:
            sources = space.addresses(Field.SOURCE, AddressSet.cidrs(*mine))
            placed |= label & sources
            settled |= sources
    for routes in _longest_first(facts.routes, family):
        here = space.nothing
        for cidr, name in routes:
            sources = space.addresses(Field.SOURCE, AddressSet.cidrs(cidr)) - settled
            placed |= space.values(Field.INTERFACE, view.interfaces.matching(name)) & sources
            here |= sources
        settled |= here
    elsewhere = bare if bare else ~taken
    return placed | (elsewhere - settled)


def _longest_first(routes: tuple[tuple[str, str], ...], family: int) -> list[list[tuple[str, str]]]:
    """The family's routes, those of equal prefix length together, the longest first."""
    result: dict[int, list[tuple[str, str]]] = {}
    for cidr, name in routes:
        network = ipaddress.ip_network(cidr)
        if network.version == family:
            result.setdefault(network.prefixlen, []).append((cidr, name))
    return [result[length] for length in sorted(result, reverse=True)]
