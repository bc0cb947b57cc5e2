"""ipsets: named sets of addresses, ports and more, and the packets that belong to them (ipset(8)).

Sources: net/netfilter/ipset/ip_set_core.c ip_set_test() (a test with fewer directions than the set has
dimensions, or of the other family, fails), pfxlen.c and ip_set_hash_gen.h (the longest prefix decides, so that
``nomatch`` entries cut holes), ip_set_getport.c (what counts as the port of a packet).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ipt2np.packets import AddressSet, Field, PacketSet
from ipt2np.packets.intervals import Range, merged
from ipt2np.rules.meaning import Meaning, View

KNOWN_DIMENSIONS = frozenset({"ip", "net", "port"})
PORTED = (6, 17, 132, 136)
BITMAP_PORT_PROTOCOLS = ((6, 6), (17, 17))


@dataclass(frozen=True, slots=True)
class PortPart:
    """The port part of an entry: a protocol and its ports, or ICMP types with codes."""

    protocol: int | None
    """None in a ``bitmap:port`` set, which holds for TCP and UDP."""
    ports: tuple[Range, ...] = ()
    icmp: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One element: a part for each dimension of the set."""

    parts: tuple[AddressSet | PortPart, ...]
    nomatch: bool = False
    prefix: tuple[int, ...] = ()
    """The prefix length of each ``net`` part: longer ones decide first."""


@dataclass(frozen=True, slots=True)
class IpSet:
    """A set with its entries; ``unreadable`` says why its meaning is not known, if it is not."""

    name: str
    type: str
    family: int
    entries: tuple[Entry, ...] = ()
    unreadable: str = ""

    @property
    def dimensions(self) -> tuple[str, ...]:
        """``("net", "port")`` of a ``hash:net,port`` set."""
        return tuple(self.type.partition(":")[2].split(","))

    def changing(self) -> IpSet:
        """The same set where rules change its entries, so that no dump says what it holds."""
        return replace(self, unreadable="rules add or delete its entries (-j SET)")

    def members(self, view: View, directions: tuple[str, ...]) -> Meaning:
        """The packets for which ``--match-set NAME directions`` holds."""
        if self.unreadable:
            return view.undecided(f"the ipset {self.name}: {self.unreadable}")
        if len(directions) < len(self.dimensions):
            return view.never()
        if self.dimensions != ("port",) and self.family != view.family:
            return view.never()
        if len(self.dimensions) == 1 and not any(entry.nomatch for entry in self.entries):
            return view.exactly(self._flat(view, directions[0]))
        result = view.space.nothing
        for entry in sorted(self.entries, key=lambda each: each.prefix):
            packets = view.space.everything
            for part, direction in zip(entry.parts, directions, strict=False):
                packets &= _part(view, part, direction)
            result = result - packets if entry.nomatch else result | packets
        return view.exactly(result)

    def _flat(self, view: View, direction: str) -> PacketSet:
        """One dimension and no holes: one union, however many entries there are."""
        if self.dimensions == ("port",):
            ports = merged(
                r for e in self.entries for p in e.parts if isinstance(p, PortPart) for r in p.ports
            )
            return _part(view, PortPart(None, ports), direction)
        ranges = merged(
            r for e in self.entries for p in e.parts if isinstance(p, AddressSet) for r in p.ranges
        )
        return _part(view, AddressSet(self.family, ranges), direction)


def _part(view: View, part: AddressSet | PortPart, direction: str) -> PacketSet:
    space, source = view.space, direction == "src"
    if isinstance(part, AddressSet):
        return space.addresses(Field.SOURCE if source else Field.DESTINATION, part)
    protocols = BITMAP_PORT_PROTOCOLS if part.protocol is None else ((part.protocol, part.protocol),)
    packets = space.values(Field.PROTOCOL, protocols)
    if part.icmp is not None:
        kind, code = part.icmp
        return packets & space.value(Field.ICMP_TYPE, kind) & space.value(Field.ICMP_CODE, code)
    if part.protocol is None or part.protocol in PORTED:
        packets &= space.values(Field.SOURCE_PORT if source else Field.DESTINATION_PORT, part.ports)
    return packets
