"""What a match means: the packets it may hold for, those it must hold for, and why the two may differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from ipt2np.packets import Field, PacketSet, PacketSpace
from ipt2np.rules.assumptions import UNDECIDED, Assumptions
from ipt2np.rules.interfaces import Interfaces
from ipt2np.rules.marks import UNKNOWN_MARKS, Marks

if TYPE_CHECKING:
    from ipt2np.rules.ipset import IpSet
    from ipt2np.rules.routing import Routing


class Half(Enum):
    """Which packets of a connection a decision is about."""

    FIRST = "first"
    """The packet that opens it: for TCP exactly SYN of the six flags, for SCTP INIT."""
    LATER = "later"
    """Inbound packets after the reply: for TCP with ACK, without SYN, the other flags undecided."""


class Hook(Enum):
    """Where on its way into the host a packet is when a rule looks at it."""

    BEFORE_CONNTRACK = "before conntrack"
    """raw PREROUTING: the packet has no connection yet."""
    AFTER_CONNTRACK = "after conntrack"


@dataclass(frozen=True, slots=True)
class Meaning:
    """``may`` ⊇ ``must``; ``assumptions`` are ids relied on, ``undecided`` why the bounds differ."""

    may: PacketSet
    must: PacketSet
    assumptions: frozenset[str] = frozenset()
    undecided: tuple[str, ...] = ()

    def __and__(self, other: Meaning) -> Meaning:
        return Meaning(
            self.may & other.may,
            self.must & other.must,
            self.assumptions | other.assumptions,
            self.undecided + tuple(why for why in other.undecided if why not in self.undecided),
        )

    def __or__(self, other: Meaning) -> Meaning:
        return ~(~self & ~other)

    def __invert__(self) -> Meaning:
        return Meaning(~self.must, ~self.may, self.assumptions, self.undecided)

    @property
    def exact(self) -> bool:
        """True where the two bounds meet."""
        return self.may == self.must


@dataclass(frozen=True)
class View:
    """What a match can see of a packet: the space, the family, the half, the hook and the walk state."""

    space: PacketSpace
    family: int
    half: Half
    hook: Hook
    tracked: bool
    assumptions: Assumptions
    interfaces: Interfaces
    ipsets: Mapping[str, IpSet] = field(default_factory=dict)
    recorded: frozenset[str] = frozenset()
    """Names of ``recent`` lists that some rule of the ruleset adds the source to."""
    rewritten: bool | None = False
    """Whether nat has changed the packet's destination; None where it may have."""
    wire: bool = True
    """True where packets are described as they came in, False where as nat has left them."""
    translates: bool = False
    """True where some nat rule may change the source of connections to the host."""
    marks: Marks = UNKNOWN_MARKS
    """The packet's mark and its connection's in this walk state."""
    routing: Routing | None = None
    """The host's addresses and routes, as far as they are known."""
    changed_sets: frozenset[str] = frozenset()
    """Names of ipsets that some rule adds entries to or deletes them from."""
    memo: dict[object, Meaning] = field(default_factory=dict, compare=False, repr=False)
    """What was found out before and holds for every half, hook and walk state; shared between them."""

    def exactly(self, packets: PacketSet) -> Meaning:
        """Decided: the match holds for ``packets`` and no others."""
        return Meaning(packets, packets)

    def always(self) -> Meaning:
        """Decided: the match holds for every packet."""
        return self.exactly(self.space.everything)

    def never(self) -> Meaning:
        """Decided: the match holds for no packet."""
        return self.exactly(self.space.nothing)

    def constantly(self, holds: bool) -> Meaning:
        """Decided for all packets alike."""
        return self.always() if holds else self.never()

    def undecided(self, why: str, within: PacketSet | None = None) -> Meaning:
        """Not decided by the header: may hold for packets of ``within`` (default all), must for none."""
        may = self.space.everything if within is None else within
        return Meaning(may, self.space.nothing, undecided=(why,))

    def assumed(self, identifier: str, meaning: Meaning, why: str) -> Meaning:
        """``meaning`` as long as the assumption stands; undecided (``why``) where it was switched off."""
        if self.assumptions[identifier] == UNDECIDED:
            return self.undecided(why)
        return Meaning(meaning.may, meaning.must, meaning.assumptions | {identifier}, meaning.undecided)

    def known(self, holds: bool | None, why: str) -> Meaning:
        """Decided for all packets alike where that is known, else undecided."""
        return self.undecided(why) if holds is None else self.constantly(holds)

    def of_protocols(self, numbers: Iterable[int]) -> Meaning:
        """Decided by the protocol number."""
        return self.exactly(self.space.values(Field.PROTOCOL, sorted((n, n) for n in numbers)))
