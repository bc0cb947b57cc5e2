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
from ipt2np.packets import PacketSet
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
class _Tree:
    """The packets that rules of a chain take, together for pairs of rules, pairs of pairs, and so on."""

    levels: tuple[tuple[PacketSet, ...], ...]
    """Single rules first; each level has the unions of two neighbours of the one before."""

    @classmethod
    def of(cls, taken: Sequence[PacketSet]) -> _Tree:
        levels = [tuple(taken)]
        while len(levels[-1]) > 1:
            last = levels[-1]
            levels.append(
                tuple(
                    last[place] | last[place + 1] if place + 1 < len(last) else last[place]
                    for place in range(0, len(last), 2)
                )
            )
        return cls(tuple(levels))

    def takers(self, packets: PacketSet, end: int) -> list[int]:
        """The places before ``end`` of the rules that are the first to take some of the packets, ascending."""
        found: list[int] = []
        pending = [(len(self.levels) - 1, 0)]
        while pending and packets:
            level, place = pending.pop()
            if place << level >= end or place >= len(self.levels[level]):
                continue
            here = self.levels[level][place]
            if not packets.meets(here):
                continue
            if level:
                pending += [(level - 1, 2 * place + 1), (level - 1, 2 * place)]
            else:
                found.append(place)
                packets = packets - here
        return found


@dataclass(frozen=True)
class Blockers:
    """Finds blocking rules in one table."""

    reach: Reach
    _trees: dict[str, _Tree] = field(default_factory=dict)

    def ways(self, chain: str) -> tuple[Way, ...] | None:
        """The ways into a chain that some packet could take; None where there are more than ``MOST_WAYS``."""
        return self._every_way[chain]

    @cached_property
    def _every_way(self) -> Mapping[str, tuple[Way, ...] | None]:
        reach = self.reach
        found: dict[str, tuple[Way, ...] | None] = dict.fromkeys(reach.order, ())
        for name in reach.order:
            if name in BUILTIN_CHAINS[reach.table]:
                found[name] = ((),)
            for rule in reach.chains[name].rules:
                if isinstance(rule.target, Jump):
                    before, there = found[name], found[rule.target.chain]
                    if before is None or there is None or len(there) + len(before) > MOST_WAYS:
                        found[rule.target.chain] = None
                    else:
                        found[rule.target.chain] = (*there, *((*way, rule) for way in before))
        return found

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
            left = target.packets
            for chain, end in target.before.items():
                rules = self.reach.chains[chain].rules
                for place in self._tree(chain).takers(left, end):
                    candidates[rules[place].number] = rules[place]
                    left = left - self.reach.taken(rules[place])
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

    def _tree(self, chain: str) -> _Tree:
        found = self._trees.get(chain)
        if found is None:
            found = self._trees[chain] = _Tree.of(
                [self.reach.taken(rule) for rule in self.reach.chains[chain].rules]
            )
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
