"""Which rules keep all packets from a rule: a set of them that is enough, and of which none can be left out.

A packet can come to a rule on several *ways*: from a built-in chain by one jump after another. On each way it must get past
the rules before the jump in every chain. A set of rules blocks where, on each way, what it takes covers all that the rule
may match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ipt2np.lint.reach import Reach
from ipt2np.packets import PacketMap, PacketSet
from ipt2np.rules.model import BUILTIN_CHAINS, Jump, Rule

MOST_WAYS = 64
"""So many ways into a chain at most are looked at; beyond, no blocking rules are named."""

MOST_WEIGHED = 400
"""Of so many rules at most it is found out which can be left out."""

Way = tuple[Rule, ...]
"""The jumps by which a packet comes to a chain, from a built-in one on."""


@dataclass(frozen=True)
class _Target:
    """What is to be covered on one way, and by which rules it can be."""

    packets: PacketSet
    before: Mapping[str, int]
    """Chain to the place before which its rules stand on the way."""

    def covers(self, chain: str, place: int) -> bool:
        """True where the rule at a place of a chain stands on the way."""
        return place < self.before.get(chain, 0)


@dataclass(frozen=True)
class Blockers:
    """Finds blocking rules in one table."""

    reach: Reach
    _takers: dict[str, PacketMap] = field(default_factory=dict)
    _ways: dict[str, tuple[Way, ...] | None] = field(default_factory=dict)

    def ways(self, chain: str) -> tuple[Way, ...] | None:
        """The ways into a chain that some packet could take; None where there are more than ``MOST_WAYS``."""
        if chain not in self._ways:
            self._ways[chain] = self._found_ways(chain)
        return self._ways[chain]

    def _found_ways(self, chain: str) -> tuple[Way, ...] | None:
        if chain in BUILTIN_CHAINS[self.reach.table]:
            return ((),)
        found: list[Way] = []
        for name in self.reach.order:
            for rule in self.reach.chains[name].rules:
                if isinstance(rule.target, Jump) and rule.target.chain == chain:
                    before = self.ways(name)
                    if before is None or len(found) + len(before) > MOST_WAYS:
                        return None
                    found += [(*way, rule) for way in before]
        return tuple(found)

    def of(self, rule: Rule) -> tuple[Rule, ...] | None:
        """A smallest set of rules that keeps every packet from a dead rule, in the order of the file.

        None of them can be left out, unless there are more than ``MOST_WEIGHED`` to choose from; rules that do something
        else with packets than ``rule`` are preferred. None where there are too many ways to look at.
        """
        ways = self.ways(rule.chain)
        if not ways:
            return None
        places = self._places
        targets = []
        for way in ways:
            steps = [*way, rule]
            packets = self.reach.universe.entering(steps[0].chain)
            for step in steps:
                packets &= self.reach.bounds[step.number].may
            if packets:
                targets.append(_Target(packets, {step.chain: places[step.number] for step in steps}))
        candidates: dict[int, Rule] = {}
        for target in targets:
            for chain, end in target.before.items():
                rules = self.reach.chains[chain].rules
                for place in self._taker(chain).values(target.packets):
                    if place < end:
                        candidates[rules[place].number] = rules[place]
        ordered = sorted(candidates.values(), key=lambda each: (each.target == rule.target, each.number))
        if len(ordered) > MOST_WEIGHED:
            return tuple(sorted(ordered, key=lambda each: each.number))
        kept = self._needed(ordered, [target.packets for target in targets], targets)
        return tuple(sorted(kept, key=lambda each: each.number)) or None

    @cached_property
    def _places(self) -> Mapping[int, int]:
        """Rule number to its place in its chain."""
        return {
            rule.number: place
            for name in self.reach.order
            for place, rule in enumerate(self.reach.chains[name].rules)
        }

    def _taker(self, chain: str) -> PacketMap:
        """Packet to the place of the first rule of the chain that takes it; the number of rules where none does."""
        found = self._takers.get(chain)
        if found is None:
            space, rules = self.reach.universe.space, self.reach.chains[chain].rules
            found = space.constant(len(rules))
            for place in reversed(range(len(rules))):
                taken = self.reach.taken(rules[place])
                if taken:
                    found = space.constant(place).over(taken, found)
            self._takers[chain] = found
        return found

    def _needed(
        self, candidates: Sequence[Rule], left: Sequence[PacketSet], targets: Sequence[_Target]
    ) -> list[Rule]:
        """Rules of ``candidates`` that cover what is ``left`` of each target, none of which can be left out."""
        if not any(left):
            return []
        if len(candidates) == 1:
            return [candidates[0]]
        half = (len(candidates) + 1) // 2
        first, second = candidates[:half], candidates[half:]
        later = self._needed(second, self._without(left, first, targets), targets)
        return self._needed(first, self._without(left, later, targets), targets) + later

    def _without(
        self, left: Sequence[PacketSet], rules: Sequence[Rule], targets: Sequence[_Target]
    ) -> list[PacketSet]:
        """What is left of each target once the rules have taken theirs."""
        result = []
        for packets, target in zip(left, targets, strict=True):
            for rule in rules:
                if packets and target.covers(rule.chain, self._places[rule.number]):
                    packets = packets - self.reach.taken(rule)
            result.append(packets)
        return result
