"""Who may reach what, before and after: the packet space cut by what two sides say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from ipt2np.cni.base import EXTERNAL, SOURCE_CLASSES, Reading
from ipt2np.packets import PacketSet, PacketSpace


class Answer(Enum):
    """What a side says of a packet."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a side certainly accepts, and what it may accept."""

    must: PacketSet
    may: PacketSet

    @classmethod
    def of_reading(cls, reading: Reading) -> Bounds:
        """A policy's bounds: what its target's documents leave open it may accept."""
        return cls(reading.admits - reading.undefined, reading.admits | reading.undefined)

    def parts(self, space: PacketSpace) -> Mapping[Answer, PacketSet]:
        """The whole space, cut by the answer."""
        return {
            Answer.ACCEPTED: self.must,
            Answer.UNDECIDED: self.may - self.must,
            Answer.REFUSED: space.everything - self.may,
        }


@dataclass(frozen=True, slots=True)
class Access:
    """Packets of one class of sources on which both sides say the same throughout."""

    source_class: str
    before: Answer
    after: Answer
    packets: PacketSet


def access(
    before: Mapping[str, Bounds], after: Mapping[str, Bounds], packets: Mapping[str, PacketSet]
) -> Iterator[Access]:
    """The ``packets`` of each class by both sides' answers, but for what both refuse.

    Of pods and nodes that is given in which they are treated unlike external sources, and what no external source can send.
    """
    space = packets[EXTERNAL].space
    for name in SOURCE_CLASSES:
        mine = packets[name]
        if name != EXTERNAL:
            mine &= (
                _unlike(before[name], before[EXTERNAL])
                | _unlike(after[name], after[EXTERNAL])
                | ~packets[EXTERNAL]
            )
        if not mine:
            continue
        now = after[name].parts(space)
        for was, of_before in before[name].parts(space).items():
            for answer, of_after in now.items():
                some = mine & of_before & of_after
                if was is answer is Answer.REFUSED:
                    # That is what holds of all that is not listed; a pod's or node's is said where external sources differ.
                    some = space.nothing if name == EXTERNAL else some & packets[EXTERNAL]
                if some:
                    yield Access(name, was, answer, some)


def _unlike(one: Bounds, two: Bounds) -> PacketSet:
    return (one.must - two.must) | (two.must - one.must) | (one.may - two.may) | (two.may - one.may)
