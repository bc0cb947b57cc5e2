"""Packet marks and connection marks, with the bits of them that are known.

Sources: net/netfilter/xt_mark.c and xt_connmark.c (mark_tg, mark_mt, connmark_tg_shift, connmark_mt).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

FULL = 0xFFFFFFFF


class Bits(NamedTuple):
    """A 32-bit mark: bits of ``known`` have the value that ``value`` has there; unknown bits are 0 in it."""

    value: int
    known: int = FULL

    def changed(self, value: int, mask: int) -> Bits:
        """The bits of ``mask`` cleared, then XOR ``value``."""
        known = self.known | mask
        return Bits(((self.value & ~mask) ^ value) & known, known)

    def merged(self, other: Bits, mask: int) -> Bits:
        """The bits of ``mask`` cleared, then XOR another mark."""
        known = (self.known | mask) & other.known
        return Bits(((self.value & ~mask) ^ other.value) & known, known)

    def under(self, mask: int) -> Bits:
        """Only the bits of ``mask``, the others 0."""
        return Bits(self.value & mask, self.known | ~mask & FULL)

    def shifted(self, bits: int) -> Bits:
        """Shifted left by ``bits``, right where they are negative; what comes in is 0."""
        if bits >= 0:
            gone = (1 << bits) - 1
            return Bits(self.value << bits & FULL, (self.known << bits | gone) & FULL)
        gone = FULL & ~(FULL >> -bits)
        return Bits(self.value >> -bits, self.known >> -bits | gone)

    def equal(self, value: int, mask: int) -> bool | None:
        """Whether the bits of ``mask`` are those of ``value``; None where that is not known.

        A ``value`` with bits outside ``mask`` equals no mark.
        """
        if value & ~mask or (self.value ^ value) & mask & self.known:
            return False
        return True if mask & ~self.known == 0 else None


ZERO = Bits(0)
UNKNOWN = Bits(0, 0)


@dataclass(frozen=True, slots=True)
class Marks:
    """What a packet carries: its own mark and its connection's."""

    packet: Bits = ZERO
    connection: Bits = ZERO


UNKNOWN_MARKS = Marks(UNKNOWN, UNKNOWN)
