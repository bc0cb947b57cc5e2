"""Facts of the host: what the user says of it, and what its own dumps show."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

from ipt2np.errors import UsageError
from ipt2np.packets import AddressSet
from ipt2np.rules.host import Host, Route
from ipt2np.rules.ipset import IpSet
from ipt2np.rules.routing import LINK_LOCAL, LOOPBACK_ADDRESSES, Routing


@dataclass(frozen=True)
class Facts:
    """What is known of the host: where packets come in, its own addresses, its ipsets."""

    interfaces: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Interface name and the CIDRs behind it; none for "whatever comes in there"."""
    addresses: tuple[str, ...] = ()
    """The own addresses that the pod replaces: what is accepted at all of them is certainly accepted."""
    routes: tuple[tuple[str, str], ...] = ()
    """(CIDR, interface) of plain routes, beside those of ``host``."""
    ipsets: Mapping[str, IpSet] = field(default_factory=dict)
    host: Host = field(default_factory=Host)
    """Interfaces, addresses and routes as the host itself shows them."""
    drop_transient: bool = False
    """True where entries that expire, and bans that programs made while they ran, are left out."""

    def __post_init__(self) -> None:
        bare = [name for name, cidrs in self.interfaces if not cidrs]
        if self.routed and bare:
            raise UsageError(
                "--interface without sources and --route contradict each other: routes say where every source comes in"
            )
        if self.host.whole:
            self._check_names()
        for text in self.addresses:
            if self._dumped(ipaddress.ip_address(text)) is False:
                own = ", ".join(self.own_texts(ipaddress.ip_address(text).version)) or "none"
                raise UsageError(
                    f"--address {text}: not one of the host's own addresses in the --addr dump, which are {own}"
                )

    def _check_names(self) -> None:
        known = {each.name: each for each in self.host.interfaces}
        for name, _ in self.interfaces:
            if name not in known:
                others = [each.name for each in self.host.interfaces if name in each.alternative_names]
                hint = (
                    f"it is another name of {others[0]}, which rules call it by"
                    if others
                    else "there is " + ", ".join(self.host.receiving[:20])
                )
                raise UsageError(f"--interface {name}: the --addr dump has no such interface; {hint}")
            if known[name].port:
                raise UsageError(
                    f"--interface {name}: it is a port of {known[name].master}, where its packets come in"
                )

    @property
    def routed(self) -> bool:
        """True where routes are known."""
        return bool(self.routes or self.host.routes)

    @property
    def receiving(self) -> tuple[str, ...]:
        """The interfaces that packets from outside come in on, where all of the host's are known."""
        return self.host.receiving if self.host.whole else ()

    @property
    def by_reverse_path(self) -> bool:
        """True where routes, or the networks of addresses, say which sources come in where."""
        bare = any(not cidrs for _, cidrs in self.interfaces)
        return not bare and any(self.routing(family).arrivals_known for family in (4, 6))

    @property
    def names(self) -> list[str]:
        """Every interface that is named."""
        return [*(name for name, _ in self.interfaces), *sorted(self.known.names)]

    @cached_property
    def known(self) -> Host:
        """The host, the plain routes with it."""
        plain = tuple(Route.to(cidr, device) for cidr, device in self.routes)
        return Host(self.host.interfaces, self.host.routes + plain) if plain else self.host

    @property
    def counted_ipsets(self) -> Mapping[str, IpSet]:
        """The ipsets with the entries that count."""
        if not self.drop_transient:
            return self.ipsets
        return {name: ipset.permanent() for name, ipset in self.ipsets.items()}

    @cached_property
    def _routings(self) -> dict[tuple[int, bool], Routing]:
        return {
            (family, strict): Routing(self.known, family, strict)
            for family in (4, 6)
            for strict in (True, False)
        }

    def routing(self, family: int, *, strict: bool = True) -> Routing:
        """The family's routing; ``strict`` where a source comes in where an answer to it would go out."""
        return self._routings[family, strict]

    def is_own(self, address: str | IPv4Address | IPv6Address) -> bool | None:
        """Is this one of the host's own addresses?

        True where --address or a dump says so; False only where all own addresses of the family are known;
        None where nobody knows. ValueError where the text is no address.
        """
        asked = ipaddress.ip_address(address)
        given = any(asked == ipaddress.ip_address(text) for text in self.addresses)
        return True if given else self._dumped(asked)

    def _dumped(self, address: IPv4Address | IPv6Address) -> bool | None:
        """The same by the dumps alone."""
        routing = self.routing(address.version)
        certain, possible = routing.own
        if int(address) in certain:
            return True
        return False if routing.local_known and int(address) not in possible else None

    def replaced(self, family: int) -> AddressSet:
        """The own addresses that the pod replaces, of one family."""
        named = (text for text in self.addresses if (":" in text) == (family == 6))
        return AddressSet.of(
            family, [(number, number) for number in map(int, map(ipaddress.ip_address, named))]
        )

    def destinations(self, family: int) -> AddressSet | None:
        """The own addresses that packets from outside may be sent to; None where they are not known.

        Those that the pod replaces where they were named. Addresses of loopback and of single links do not count:
        nobody but a neighbour on the link can send to those, and a pod has its own.
        """
        return self.replaced(family) or self._addressable(family) or None

    def _addressable(self, family: int) -> AddressSet:
        return self.routing(family).own[1] - LOOPBACK_ADDRESSES[family] - LINK_LOCAL[family]

    def own_texts(self, family: int, most: int = 20) -> list[str]:
        """The own addresses that packets from outside may be sent to, as text, at most so many."""
        return [
            cidr.removesuffix("/32").removesuffix("/128")
            for cidr in self._addressable(family).to_cidrs()[:most]
        ]
