"""What is known, what may be, what is not: answers in three values, and packet sets with two bounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ipt2np.packets import PacketSet

Truth = bool | None
"""None where policies alone do not say."""


def any_of(answers: Iterable[Truth]) -> Truth:
    """True where one is true, None where one may be."""
    found = set(answers)
    return True if True in found else None if None in found else False


def all_of(answers: Iterable[Truth]) -> Truth:
    """False where one is false, None where one may be."""
    found = set(answers)
    return False if False in found else None if None in found else True


@dataclass(frozen=True, slots=True)
class Bounds:
    """Packets that certainly match, and packets that may; the first are among the second."""

    must: PacketSet
    may: PacketSet

    @classmethod
    def exactly(cls, packets: PacketSet) -> Bounds:
        """These packets and no others."""
        return cls(packets, packets)

    @classmethod
    def of(cls, answer: Truth, packets: PacketSet) -> Bounds:
        """All ``packets``, perhaps all of them, or none."""
        return cls(
            packets if answer is True else packets.space.nothing,
            packets.space.nothing if answer is False else packets,
        )

    def __or__(self, other: Bounds) -> Bounds:
        return Bounds(self.must | other.must, self.may | other.may)

    def __and__(self, other: Bounds) -> Bounds:
        return Bounds(self.must & other.must, self.may & other.may)

    def perhaps(self) -> Bounds:
        """The same packets, none of them for certain."""
        return Bounds(self.must.space.nothing, self.may)
