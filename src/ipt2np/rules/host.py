"""The host as iproute2 shows it: its interfaces with their addresses, and its routes (ip-address(8), ip-route(8))."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from ipt2np.packets.intervals import ADDRESS_BITS, Range


class RouteType(StrEnum):
    """What the kernel does with a packet to such a destination (ip-route(8), TYPE)."""

    UNICAST = "unicast"
    LOCAL = "local"
    BROADCAST = "broadcast"
    ANYCAST = "anycast"
    MULTICAST = "multicast"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    THROW = "throw"


REJECTING = frozenset({RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT, RouteType.THROW})
"""Types of routes that say "no route" (net/ipv4/fib_semantics.c, fib_props)."""

LOOPBACK = "lo"
LOCAL_TABLE, MAIN_TABLE, DEFAULT_TABLE = "local", "main", "default"
USUAL_TABLES = (LOCAL_TABLE, MAIN_TABLE, DEFAULT_TABLE)
"""The tables that the kernel asks, in this order, where nobody has added a rule (ip-rule(8))."""


def prefix_range(network: int, length: int, family: int) -> Range:
    """First and last address of a prefix."""
    return network, network | ((1 << (ADDRESS_BITS[family] - length)) - 1)


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An address of an interface; addresses are numbers, ``length`` is in bits."""

    family: int
    address: int
    length: int
    peer: int | None = None
    """The other end of a point-to-point link; the prefix is then the peer's."""
    broadcast: int | None = None
    scope: str = "global"
    secondary: bool = False
    """A further address in the network of an earlier one, which has the routes."""
    prefix_route: bool = True
    """False where the kernel was asked to make no route to the network (``noprefixroute``)."""

    def _network(self, address: int) -> tuple[int, int]:
        bits = ADDRESS_BITS[self.family] - self.length
        return address >> bits << bits, self.length

    @property
    def networks(self) -> tuple[tuple[int, int], ...]:
        """``(network, length)`` of what is directly reachable.

        net/ipv4/fib_frontend.c, fib_add_ifaddr(): IPv4 takes the peer's network. net/ipv6/addrconf.c: IPv6 the
        address's own, and the peer by itself.
        """
        if self.family == 4:
            return (self._network(self.address if self.peer is None else self.peer),)
        own = self._network(self.address)
        return (own,) if self.peer is None else (own, (self.peer, ADDRESS_BITS[6]))


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface; ``flags`` are ``ip``'s words for ``IFF_*``, empty where the dump has none."""

    name: str
    alternative_names: tuple[str, ...] = ()
    """Names that ``ip`` also knows it by; iptables compares the name alone."""
    flags: frozenset[str] = frozenset()
    master: str = ""
    """The bridge, bond or the like that it is a port of."""
    addresses: tuple[HostAddress, ...] = ()

    @property
    def loopback(self) -> bool:
        """True for ``lo``."""
        return "LOOPBACK" in self.flags or self.name == LOOPBACK

    @property
    def up(self) -> bool:
        """True unless it was taken down; the cable may still be out."""
        return "UP" in self.flags or not self.flags

    @property
    def port(self) -> bool:
        """True where its packets come in on its master instead: a port of a bridge or bond has no address itself."""
        return bool(self.master) and all(link_local(each.address, each.family) for each in self.addresses)


@dataclass(frozen=True, slots=True)
class Route:
    """A route that is in use; ``network`` is a number, ``length`` in bits.

    Next hops that the kernel shows as ``dead`` are left out, and with the last one the route.
    """

    family: int
    network: int
    length: int
    type: RouteType = RouteType.UNICAST
    devices: tuple[str, ...] = ()
    """The interfaces of its next hops; several where packets are spread over them."""
    table: str = MAIN_TABLE
    metric: int = 0
    gateway: bool = False
    """True where packets go to a router, not to the destination itself."""
    kernel: bool = False
    """True where the kernel made it by itself (``proto kernel``)."""
    conditional: bool = False
    """True where it is for some packets only: a type of service, or a source (``tos``, ``from``)."""

    @classmethod
    def to(cls, cidr: str, device: str) -> Route:
        """The plain route to a network by an interface. ValueError where ``cidr`` is no network."""
        network = ipaddress.ip_network(cidr)
        return cls(network.version, int(network.network_address), network.prefixlen, devices=(device,))

    @property
    def rejecting(self) -> bool:
        """True where there is no way; IPv6 says so of what is routed to loopback (ip6_route_info_create_nh())."""
        if self.type in REJECTING:
            return True
        return self.family == 6 and self.type is not RouteType.LOCAL and self.devices == (LOOPBACK,)


def link_local(address: int, family: int) -> bool:
    """True for 169.254/16 and fe80::/10: addresses that mean something on one link only."""
    return address >> 16 == 0xA9FE if family == 4 else address >> 118 == 0xFE80 >> 6


@dataclass(frozen=True)
class Host:
    """What is known of a host; nothing where a part is empty."""

    interfaces: tuple[Interface, ...] = ()
    routes: tuple[Route, ...] = ()

    @cached_property
    def whole(self) -> bool:
        """True where every interface is known: every network namespace has a loopback, so a dump without it is a part."""
        return any(each.loopback for each in self.interfaces)

    def addressed(self, family: int) -> bool:
        """True where every address of the family is known; a dump by ``ip -4`` has none of IPv6."""
        return self.whole and any(a.family == family for each in self.interfaces for a in each.addresses)

    @cached_property
    def receiving(self) -> tuple[str, ...]:
        """The names of the interfaces that packets from outside come in on, of those that are known."""
        return tuple(i.name for i in self.interfaces if i.up and not i.loopback and not i.port)

    @cached_property
    def names(self) -> frozenset[str]:
        """Every interface that an address or a route names."""
        return frozenset(each.name for each in self.interfaces).union(*(each.devices for each in self.routes))

    @cached_property
    def policy_tables(self) -> tuple[str, ...]:
        """Routing tables that only a rule of ``ip rule`` can lead to, ascending."""
        return tuple(sorted({each.table for each in self.routes} - set(USUAL_TABLES)))
