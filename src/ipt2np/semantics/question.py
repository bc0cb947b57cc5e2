"""A packet that a user asks about: what was said of it, the set of packets that agree, and why there may be none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ipt2np.packets import AddressSet, Field, PacketSet
from ipt2np.packets.intervals import address_text
from ipt2np.rules.matches.conntrack import opening
from ipt2np.semantics.decide import PORT_PROTOCOLS, Decision
from ipt2np.semantics.existing import GROUP_DESTINATIONS, REFUSED_SOURCES, UNNAMEABLE_SOURCES

ICMP = {4: 1, 6: 58}
_PORTS = ((1, 0xFFFF),)


@dataclass(frozen=True, slots=True)
class PacketQuestion:
    """What is known of a packet; None stands for what was not said."""

    family: int
    source: int
    protocol: int
    port: int | None = None
    source_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None
    interface: str | None = None
    destination: int | None = None

    @property
    def ported(self) -> bool:
        """True where the protocol has ports."""
        return self.protocol in PORT_PROTOCOLS

    def unsaid(self) -> Iterator[Field]:
        """The fields that such a packet has and that nobody said."""
        if self.ported:
            yield from [Field.DESTINATION_PORT] if self.port is None else []
            yield from [Field.SOURCE_PORT] if self.source_port is None else []
        if self.protocol == ICMP[self.family]:
            yield from [Field.ICMP_TYPE] if self.icmp_type is None else []
            yield from [Field.ICMP_CODE] if self.icmp_code is None else []
        yield from [Field.INTERFACE] if self.interface is None else []
        yield from [Field.DESTINATION] if self.destination is None else []

    def agreeing(self, decision: Decision) -> PacketSet:
        """Every packet with these values, whether it can exist or not; ports that were not said are not 0."""
        space = decision.space
        found = space.family(self.family) & space.value(Field.PROTOCOL, self.protocol)
        found &= space.addresses(Field.SOURCE, AddressSet.of(self.family, [(self.source, self.source)]))
        if self.destination is not None:
            own = AddressSet.of(self.family, [(self.destination, self.destination)])
            found &= space.addresses(Field.DESTINATION, own)
        if self.interface is not None:
            interfaces = decision.sides[0].walker.view.interfaces
            found &= space.value(Field.INTERFACE, interfaces.label(self.interface))
        if self.ported:
            for field, value in ((Field.DESTINATION_PORT, self.port), (Field.SOURCE_PORT, self.source_port)):
                found &= space.values(field, _PORTS) if value is None else space.value(field, value)
        for field, value in ((Field.ICMP_TYPE, self.icmp_type), (Field.ICMP_CODE, self.icmp_code)):
            if value is not None:
                found &= space.value(field, value)
        return found

    def packets(self, decision: Decision) -> PacketSet:
        """Those of them that the facts and the kernel let exist."""
        possible = decision.space.nothing
        for side in decision.sides:
            if side.family == self.family:
                possible |= side.possible
        return self.agreeing(decision) & possible

    def why_none(self, decision: Decision) -> str:
        """Why there is no such packet: what the kernel, or what was said of the host, has against it."""
        if self._within(self.source, REFUSED_SOURCES[self.family]):
            return (
                f"the kernel itself refuses packets from {self._text(self.source)}, before any rule sees them"
            )
        if decision.facts.is_own(self._text(self.source)) and self.family == 4:
            return f"{self._text(self.source)} is one of the host's own addresses: the kernel refuses packets from itself"
        if self.destination is not None:
            anywhere = replace(self, destination=None)
            if anywhere.packets(decision):
                if self._within(self.destination, GROUP_DESTINATIONS[self.family]):
                    return (
                        f"{self._text(self.destination)} is a group's address, and pods receive no broadcast and no "
                        "multicast (--assume unicast=undecided lets such packets exist)"
                    )
                return f"{self._text(self.destination)} is none of the host's own addresses that were given"
        if self.interface is not None and replace(self, interface=None).packets(decision):
            return (
                f"by what was said of interfaces and routes, packets from {self._text(self.source)} do not come in "
                f"on {self.interface}"
            )
        return "by what was said of interfaces and addresses, no such packet comes in"

    def beyond(self, decision: Decision) -> Iterator[str]:
        """Why such packets, though they can exist, are none that a policy is judged by."""
        if self.ported and 0 in (self.port, self.source_port):
            yield "port 0 is no port that a policy can name, and no such packet counts in a proof"
        view = decision.sides[0].walker.view
        view = replace(view, family=self.family)
        if not self.agreeing(decision).meets(opening(view)):
            yield "such a packet opens no connection: the platform judges it, not a policy"
        if self._within(self.source, UNNAMEABLE_SOURCES):
            yield "no policy can name an IPv4-mapped source"

    def _within(self, address: int, addresses: AddressSet) -> bool:
        return addresses.family == self.family and address in addresses

    def _text(self, address: int) -> str:
        return address_text(address, self.family)
