"""Sets of integers as sorted, disjoint, non-adjacent ranges: ports and addresses.

Canonical by construction, so equality of sets is equality of tuples.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

Range = tuple[int, int]

PORT_BITS = 16
ADDRESS_BITS = {4: 32, 6: 128}


def merged(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The canonical form of inclusive ``ranges``: sorted, disjoint, adjacent ones joined."""
    result: list[Range] = []
    for low, high in sorted(ranges):
        if result and low <= result[-1][1] + 1:
            if high > result[-1][1]:
                result[-1] = (result[-1][0], high)
        else:
            result.append((low, high))
    return tuple(result)


def complement(ranges: Iterable[Range], last: int) -> tuple[Range, ...]:
    """What canonical ``ranges`` leave of ``0..last``."""
    result: list[Range] = []
    start = 0
    for low, high in ranges:
        if low > start:
            result.append((start, low - 1))
        start = high + 1
    if start <= last:
        result.append((start, last))
    return tuple(result)


def prefixes(low: int, high: int, bits: int) -> Iterator[tuple[int, int]]:
    """The fewest ``(network, prefix length)`` whose union is the inclusive range ``low..high``."""
    while low <= high:
        size = (low & -low) if low else 1 << bits
        while low + size - 1 > high:
            size >>= 1
        yield low, bits - size.bit_length() + 1
        low += size


@dataclass(frozen=True, slots=True)
class PortSet:
    """Ports 0..65535, or any other 16-bit field."""

    ranges: tuple[Range, ...] = ()
    LAST: ClassVar[int] = 0xFFFF

    @classmethod
    def of(cls, ranges: Iterable[Range]) -> Self:
        """The union of inclusive ``ranges``, in any order and overlapping as they like."""
        return cls(merged(ranges))

    @classmethod
    def everything(cls) -> Self:
        """All values of the field."""
        return cls(((0, cls.LAST),))

    def __or__(self, other: Self) -> Self:
        return type(self)(merged(self.ranges + other.ranges))

    def __invert__(self) -> Self:
        return type(self)(complement(self.ranges, self.LAST))

    def __and__(self, other: Self) -> Self:
        return ~(~self | ~other)

    def __sub__(self, other: Self) -> Self:
        return self & ~other

    def __le__(self, other: Self) -> bool:
        return not (self - other).ranges

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __contains__(self, value: int) -> bool:
        return any(low <= value <= high for low, high in self.ranges)

    def __str__(self) -> str:
        if self.ranges in (((0, self.LAST),), ((1, self.LAST),)):
            return "any"
        return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class AddressSet:
    """Addresses of one family (4 or 6)."""

    family: int
    ranges: tuple[Range, ...] = ()

    @classmethod
    def of(cls, family: int, ranges: Iterable[Range]) -> AddressSet:
        """The union of inclusive ranges of addresses given as integers."""
        return cls(family, merged(ranges))

    @classmethod
    def everything(cls, family: int) -> AddressSet:
        """All addresses of the family."""
        return cls(family, ((0, (1 << ADDRESS_BITS[family]) - 1),))

    @classmethod
    def cidrs(cls, *cidrs: str) -> AddressSet:
        """The union of CIDRs of one family; host bits are ignored. ValueError on a mixed list."""
        networks = [ipaddress.ip_network(cidr, strict=False) for cidr in cidrs]
        families = {network.version for network in networks}
        if len(families) != 1:
            raise ValueError("CIDRs of one family are needed")
        return cls.of(families.pop(), [(int(n.network_address), int(n.broadcast_address)) for n in networks])

    def _same(self, other: AddressSet) -> None:
        if self.family != other.family:
            raise ValueError("address sets of different families")

    def __or__(self, other: AddressSet) -> AddressSet:
        self._same(other)
        return AddressSet(self.family, merged(self.ranges + other.ranges))

    def __invert__(self) -> AddressSet:
        return AddressSet(self.family, complement(self.ranges, (1 << ADDRESS_BITS[self.family]) - 1))

    def __and__(self, other: AddressSet) -> AddressSet:
        self._same(other)
        return ~(~self | ~other)

    def __sub__(self, other: AddressSet) -> AddressSet:
        return self & ~other

    def __le__(self, other: AddressSet) -> bool:
        return not (self - other).ranges

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __contains__(self, value: int) -> bool:
        return any(low <= value <= high for low, high in self.ranges)

    def bridged(self, free: AddressSet) -> AddressSet:
        """The set with its gaps filled, those between two of its ranges or at an end that hold ``free`` addresses only."""
        self._same(free)
        kept = [gap for gap in (~self).ranges if not AddressSet(self.family, (gap,)) <= free]
        return ~AddressSet(self.family, tuple(kept)) if self.ranges else self

    def to_cidrs(self) -> list[str]:
        """The fewest plain CIDRs with this union, ascending."""
        bits = ADDRESS_BITS[self.family]
        return [
            f"{address_text(network, self.family)}/{length}"
            for low, high in self.ranges
            for network, length in prefixes(low, high, bits)
        ]


def address_text(value: int, family: int) -> str:
    """The canonical text of an address given as an integer."""
    return str(ipaddress.IPv4Address(value) if family == 4 else ipaddress.IPv6Address(value))
