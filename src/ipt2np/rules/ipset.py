"""ipsets: named sets of addresses, ports and more, as a dump describes them (ipset(8)).

What a packet must look like to belong to one is in ``rules/membership.py``, what types there are in
``rules/settypes.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ipt2np.errors import Location
from ipt2np.packets.intervals import ADDRESS_BITS, Range
from ipt2np.rules.settypes import Part, SetType

Service = tuple[int, int, int]
"""A protocol with its first and last port, ``type << 8 | code`` in place of a port for ICMP. 0: TCP and UDP alike."""

PORTED = (6, 17, 132, 136)
"""Protocols whose ports a set can tell apart (kernel/net/netfilter/ipset/ip_set_getport.c)."""

BRIDGE = "physdev:"
"""Stands for the bridge port of an entry that names one."""


@dataclass(frozen=True, slots=True)
class Mask:
    """The address bits that a set looks at: all, those of ``netmask``, or any of ``bitmask``.

    Addresses under a mask are written without the bits outside it, so that ranges of them are ranges again.
    """

    bits: int
    value: int

    @classmethod
    def everything(cls, family: int) -> Mask:
        """The mask that leaves every bit of an address."""
        return cls(ADDRESS_BITS[family], (1 << ADDRESS_BITS[family]) - 1)

    @property
    def whole(self) -> bool:
        """True where the mask leaves every bit."""
        return self.value == (1 << self.bits) - 1

    @property
    def prefixed(self) -> bool:
        """True where the mask is that of a prefix length."""
        outside = (1 << self.bits) - 1 - self.value
        return not outside & (outside + 1)

    @property
    def prefixes(self) -> int:
        """How many networks the addresses make up that are one address under the mask."""
        positions = self.positions()
        return 1 << (positions[-1] + 1 - len(positions))

    def within(self, address: int) -> bool:
        """True where the address has no bit outside the mask."""
        return not address & ~self.value

    def positions(self) -> list[int]:
        """Where the mask has its bits, counted from the most significant, which is 0."""
        return [number for number in range(self.bits) if self.value >> (self.bits - 1 - number) & 1]

    def of(self, address: int) -> int:
        """The address without the bits outside the mask."""
        if self.whole:
            return address
        result = 0
        for position in self.positions():
            result = result << 1 | (address >> (self.bits - 1 - position) & 1)
        return result

    def last(self, address: int) -> int:
        """The greatest address under the mask that is not above ``address``, without the bits outside it."""
        outside = address & ~self.value
        if outside:
            below = (1 << (outside.bit_length() - 1)) - 1
            address = address & ~below | self.value & below
        return self.of(address & self.value)


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that are alike in everything but their values, which stand in columns, one row for each entry."""

    count: int
    """How many entries these are; columns are shorter where neighbours were joined, and none where all are MACs."""
    addresses: tuple[Sequence[Range], ...] = ()
    """A column for each part that is addresses, under the set's mask."""
    services: Sequence[Service] = ()
    names: Sequence[str] = ()
    """Interfaces, wildcards with a final ``+``, or the names of a list's sets."""
    marks: Sequence[int] = ()
    prefix: tuple[int, ...] = ()
    """The prefix lengths of the parts that are networks: longer ones are tried first."""
    nomatch: bool = False
    transient: bool = False
    """True where the entries expire."""
    certain: bool = True
    """False where the header, or the dump, does not say whether the entries hold."""


@dataclass(frozen=True)
class IpSet:
    """A set with its entries."""

    name: str
    type: str
    kind: SetType | None
    """None for a type that is not known; its entries are not read then."""
    family: int | None
    """None for a set of no family."""
    location: Location
    mask: Mask = field(default_factory=lambda: Mask.everything(4))
    markmask: int = 0xFFFFFFFF
    counters: bool = False
    batches: tuple[Batch, ...] = ()
    blurred: bool = False
    """True where addresses stand for networks around them, because the set is too large."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the parts of an element are."""
        return self.kind.parts if self.kind else ()

    @property
    def members(self) -> tuple[str, ...]:
        """The names of a list's sets."""
        return tuple(name for batch in self.batches for name in batch.names) if Part.SET in self.parts else ()

    @property
    def interfaces(self) -> set[str]:
        """The interfaces that entries name, wildcards with a final ``+``."""
        names = (
            {name for batch in self.batches for name in batch.names} if Part.IFACE in self.parts else set()
        )
        return names - {BRIDGE}

    @cached_property
    def transient(self) -> int:
        """How many entries expire."""
        return sum(batch.count for batch in self.batches if batch.transient)

    def permanent(self) -> IpSet:
        """The set without the entries that expire."""
        return replace(self, batches=tuple(batch for batch in self.batches if not batch.transient))


def with_members(ipsets: Mapping[str, IpSet], name: str) -> list[IpSet]:
    """The set called ``name`` and, if it is a list, the sets in it; none where the dump lacks it."""
    found = ipsets.get(name)
    return [] if found is None else [found, *(ipsets[member] for member in found.members)]
