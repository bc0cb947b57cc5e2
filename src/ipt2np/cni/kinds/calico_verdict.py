"""What tiers of ordered rules let through, where some matches are certain and some are not.

Each match is a pair of packet sets: what certainly matches lies inside what may match. A packet that may reach an
Allow as well as a Deny is one for which nothing can be said.

Source: https://docs.tigera.io/calico/latest/network-policy/policy-tiers/tiered-policy (order of evaluation).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ipt2np.packets import PacketSet, PacketSpace


@dataclass(frozen=True, slots=True)
class Match:
    """The packets that something certainly matches, and those that it may match."""

    must: PacketSet
    may: PacketSet

    def __and__(self, other: Match) -> Match:
        must = self.must & other.must
        certain = self.must is self.may and other.must is other.may
        return Match(must, must if certain else self.may & other.may)

    def __invert__(self) -> Match:
        must = ~self.may
        return Match(must, must if self.must is self.may else ~self.must)


def exactly(packets: PacketSet) -> Match:
    """The match of which all is certain."""
    return Match(packets, packets)


def possibly(match: Match) -> Match:
    """``match`` of which nothing is certain."""
    return Match(match.may.space.nothing, match.may)


@dataclass(frozen=True, slots=True)
class Step:
    """A rule: ``Allow``, ``Deny``, ``Pass`` or ``Log``, and what it matches."""

    action: str
    match: Match


@dataclass(frozen=True, slots=True)
class TierSteps:
    """The rules of the policies of a tier that apply, in order.

    ``certain`` is False where no policy of the tier is sure to apply: then it may not end in ``default_action``.
    """

    steps: tuple[Step, ...]
    default_action: str
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """The packets that may be allowed, and those that may be denied: together all packets."""

    allowed: PacketSet
    denied: PacketSet

    def __or__(self, other: Verdict) -> Verdict:
        """What is known where either verdict may be the right one."""
        return Verdict(self.allowed | other.allowed, self.denied | other.denied)

    def within(self, packets: PacketSet) -> Verdict:
        """The verdict for these packets only."""
        return Verdict(self.allowed & packets, self.denied & packets)


def judge(space: PacketSpace, tiers: Iterable[TierSteps], at_the_end: Sequence[str]) -> Verdict:
    """What becomes of all packets; ``at_the_end`` are the actions that those may meet that no tier decides."""
    allowed = denied = space.nothing
    arriving = space.everything
    for tier in tiers:
        block = _block(space, tier.steps)
        allowed |= arriving & block.allowed
        denied |= arriving & block.denied
        left = arriving - block.decided
        arriving = arriving & block.passed
        if tier.default_action == "Deny":
            denied |= left
        if tier.default_action == "Pass" or not tier.certain:
            arriving |= left
    if "Allow" in at_the_end:
        allowed |= arriving
    if "Deny" in at_the_end:
        denied |= arriving
    return Verdict(allowed, denied)


@dataclass(frozen=True, slots=True)
class _Block:
    """What rules one behind the other do: the packets for which each action may be the first, those surely decided."""

    allowed: PacketSet
    denied: PacketSet
    passed: PacketSet
    decided: PacketSet

    def then(self, later: _Block) -> _Block:
        """The block of these rules with ``later`` ones behind them."""
        return _Block(
            self.allowed | (later.allowed - self.decided),
            self.denied | (later.denied - self.decided),
            self.passed | (later.passed - self.decided),
            self.decided | later.decided,
        )


def _block(space: PacketSpace, steps: Iterable[Step]) -> _Block:
    """The block of ``steps``, put together by halves: sets stay small for as long as they are of few rules."""
    nothing = space.nothing
    layer = []
    for step in steps:
        may = {"Allow": nothing, "Deny": nothing, "Pass": nothing}
        # Log decides nothing.
        if step.action in may:
            may[step.action] = step.match.may
            layer.append(_Block(may["Allow"], may["Deny"], may["Pass"], step.match.must))
    while len(layer) > 1:
        odd = layer[len(layer) & ~1 :]
        layer = [one.then(two) for one, two in zip(layer[::2], layer[1::2], strict=False)] + odd
    return layer[0] if layer else _Block(nothing, nothing, nothing, nothing)
