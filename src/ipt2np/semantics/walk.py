"""Walking a ruleset as the kernel does: from packet to outcome, for all packets at once.

Two passes, each linear in the rules. *Summaries* go bottom-up: a chain, folded from its last rule to its
first, becomes for each walk state a map from packets to outcomes, over the whole packet space; a jump composes
the summary of the chain it calls, so the cost does not grow with the number of ways into a chain. *Arrivals*
go top-down: which packets get as far as each rule.

Sources: net/ipv4/netfilter/ip_tables.c ipt_do_table() (RETURN, goto, policies, non-terminal targets);
include/uapi/linux/netfilter_ipv4.h (the order of the hooks' priorities).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from ipt2np.packets import PacketMap, PacketSet
from ipt2np.rules.extension import Effect
from ipt2np.rules.matches.conntrack import has_connection
from ipt2np.rules.meaning import Half, Hook, Meaning, View
from ipt2np.rules.model import Chain, Jump, Rule, Ruleset, TargetUse
from ipt2np.semantics.outcomes import CONNTRACK, Can, Outcomes

ChainKey = tuple[str, str]

INPUT_PATH: tuple[ChainKey, ...] = (
    ("raw", "PREROUTING"),
    ("mangle", "PREROUTING"),
    ("nat", "PREROUTING"),
    ("mangle", "INPUT"),
    ("filter", "INPUT"),
    ("security", "INPUT"),
    ("nat", "INPUT"),
)
"""Base chains that a packet for the host itself passes, in order. Sources that nat INPUT rewrites are seen by none."""

TRACKED, UNTRACKED = 0, 1
STATES = (TRACKED, UNTRACKED)


@dataclass(frozen=True)
class Walk:
    """What one half's packets meet on the input path."""

    outcome: PacketMap
    """Packet to outcome, over all fields."""
    arrivals: Mapping[int, PacketSet]
    """Rule number to the packets that get as far as the rule and may match it."""


PASSIVE = (Effect.CONTINUE, Effect.LOG, Effect.MARK)


def effect_of(rule: Rule) -> Effect:
    """What the rule's target does; a rule without one only counts."""
    if rule.target is None or isinstance(rule.target, Jump):
        return Effect.CONTINUE
    return rule.target.effect


def _needs_tracking(rule: Rule) -> bool:
    """True where the rule makes the kernel track connections (its module asks for it when the rule is loaded)."""
    target = rule.target.extension if isinstance(rule.target, TargetUse) else None
    return any(use.extension.tracks for use in rule.matches) or (target is not None and target.tracks)


class Walker:
    """Walks one family's ruleset; meanings of rules are kept for the second pass."""

    def __init__(
        self,
        ruleset: Ruleset,
        view: View,
        outcomes: Outcomes,
        policies: Mapping[ChainKey, int],
        untracked_elsewhere: int | None = None,
    ) -> None:
        self.ruleset = ruleset
        self.view = view
        self.space = view.space
        self.outcomes = outcomes
        self.policies = policies
        self.untracked_elsewhere = untracked_elsewhere
        self.path = tuple(key for key in INPUT_PATH if key in ruleset.chains)
        self.order = [key for base in self.path for key in self._below(base)]
        untracks = any(
            effect_of(rule) is Effect.UNTRACK for key in self.order for rule in ruleset.chains[key].rules
        )
        self.tracking = any(_needs_tracking(rule) for rule in ruleset.rules)
        self.states = STATES if untracks or untracked_elsewhere is not None else (TRACKED,)
        self._meanings: dict[tuple[int, Half, int], Meaning] = {}

    def _below(self, base: ChainKey) -> list[ChainKey]:
        """The chains that ``base`` reaches, called chains before their callers."""
        table = base[0]
        result: dict[ChainKey, None] = {}
        stack: list[tuple[ChainKey, Iterator[str]]] = [(base, self._called(base))]
        entered = {base}
        while stack:
            key, called = stack[-1]
            name = next(called, None)
            if name is None:
                result[key] = None
                stack.pop()
            elif (table, name) not in entered:
                entered.add((table, name))
                stack.append(((table, name), self._called((table, name))))
        return list(result)

    def _called(self, key: ChainKey) -> Iterator[str]:
        return (rule.target.chain for rule in self.ruleset.chains[key].rules if isinstance(rule.target, Jump))

    def meaning(self, rule: Rule, half: Half, state: int) -> Meaning:
        """The packets that match all of the rule's matches, in a half and a walk state."""
        key = (rule.number, half, state)
        found = self._meanings.get(key)
        if found is None:
            found = self._meanings[key] = self._meaning(rule, half, state)
        return found

    def _meaning(self, rule: Rule, half: Half, state: int) -> Meaning:
        hook = Hook.BEFORE_CONNTRACK if rule.table == "raw" else Hook.AFTER_CONNTRACK
        view = replace(self.view, half=half, hook=hook, tracked=state == TRACKED)
        result = view.always()
        for use in rule.matches:
            result &= use.extension.meaning(use.clauses, view)
        for name in (f"rule:{rule.location.file}:{rule.location.line}", f"rule:{rule.location.line}"):
            chosen = self.view.assumptions[name]
            if chosen == "no-match":
                return view.assumed(name, view.never(), "")
            if chosen == "match":
                return view.assumed(name, view.exactly(result.may), "")
        return result

    # -- summaries --------------------------------------------------------------------------------------

    def walk(self, half: Half) -> Walk:
        """The outcome of every packet of ``half``, and which packets arrive at each rule."""
        summaries: dict[ChainKey, dict[int, PacketMap]] = {}
        for key in self.order:
            summaries[key] = self._summary(self.ruleset.chains[key], self._half(key, half), summaries)
        bases = {key: self._base(self.ruleset.chains[key], summaries[key]) for key in self.path}
        return Walk(self._onward(bases), self._arrivals(half, summaries, bases))

    def _half(self, key: ChainKey, half: Half) -> Half:
        # nat looks at a connection's first packet only; later ones follow what was settled then.
        return Half.FIRST if key[0] == "nat" else half

    def _summary(
        self, chain: Chain, half: Half, known: Mapping[ChainKey, dict[int, PacketMap]]
    ) -> dict[int, PacketMap]:
        current = {state: self.space.constant(self.outcomes.returned(state)) for state in self.states}
        for rule in reversed(chain.rules):
            if not isinstance(rule.target, Jump) and effect_of(rule) in PASSIVE:
                continue
            current = {state: self._with_rule(rule, half, state, current, known) for state in self.states}
        return current

    def _with_rule(
        self,
        rule: Rule,
        half: Half,
        state: int,
        after: Mapping[int, PacketMap],
        known: Mapping[ChainKey, dict[int, PacketMap]],
    ) -> PacketMap:
        meaning = self.meaning(rule, half, state)
        if not meaning.may:
            return after[state]
        doubt = meaning.may - meaning.must
        skipped = after[state]
        if isinstance(rule.target, Jump):
            summary = known[rule.table, rule.target.chain][state]
            if rule.target.goto:
                return self._entered(rule.number, meaning.must, doubt, summary, skipped)
            called = self._called_and_back(meaning.may, summary, after, skipped)
            return self._entered(rule.number, meaning.must, doubt, called, skipped)
        return self._entered(rule.number, meaning.must, doubt, self._taken(rule, state, after), skipped)

    def _entered(
        self, cause: int, certain: PacketSet, doubt: PacketSet, taken: PacketMap, skipped: PacketMap
    ) -> PacketMap:
        """``taken`` where the rule certainly matches, either of both where that is in doubt."""
        if not doubt:
            return taken.over(certain, skipped)
        either = self.outcomes.either
        values = taken.values()
        if len(values) == 1:
            only = values.pop()
            forked = skipped.revised(doubt, lambda value: either(cause, only, value))
        else:
            both = self.space.combine(lambda v: either(cause, v[0], v[1]), taken, skipped)
            forked = both.over(doubt, skipped)
        return taken.over(certain, forked)

    def _called_and_back(
        self, region: PacketSet, summary: PacketMap, after: Mapping[int, PacketMap], outside: PacketMap
    ) -> PacketMap:
        """Inside ``region`` the called chain's outcome, and what comes after the jump where it returns."""
        outcomes, states = self.outcomes, self.states
        back = {outcomes.returned(state): place for place, state in enumerate(states, 1)}

        def answer(value: int) -> int | None:
            return back.get(value) if outcomes.returns(value) else 0

        return self.space.graft(
            region,
            lambda v: outcomes.then(v[0], states, v[1:]),
            [summary, *(after[state] for state in states)],
            outside,
            [self.space.constant(outcomes.returned(state)) for state in states],
            answer,
        )

    def _taken(self, rule: Rule, state: int, after: Mapping[int, PacketMap]) -> PacketMap:
        """The outcome of packets that match a rule which calls no chain."""
        outcomes, space, number = self.outcomes, self.space, rule.number
        effect = effect_of(rule)
        if effect is Effect.UNTRACK:
            return after[UNTRACKED]
        if effect is Effect.REWRITE:
            return space.constant(outcomes.unknown(number))
        if effect is Effect.UNKNOWN:
            unknown = outcomes.unknown(number)
            return after[state].revised(
                space.everything, lambda value: outcomes.either(number, unknown, value)
            )
        return space.constant(
            {
                Effect.ACCEPT: outcomes.accept(number, state),
                Effect.DROP: outcomes.deny(number, Can.DROP),
                Effect.REJECT: outcomes.deny(number, Can.REJECT),
                Effect.DIVERT: outcomes.divert(number),
                Effect.MAY_DIVERT: outcomes.either(
                    number, outcomes.accept(number, state), outcomes.divert(number)
                ),
                Effect.RETURN: outcomes.returned(state),
            }[effect]
        )

    def _base(self, chain: Chain, summary: Mapping[int, PacketMap]) -> dict[int, PacketMap]:
        """A base chain's outcome by walk state: what returns meets the built-in policy."""
        decider = self.policies[chain.table, chain.name]
        outcomes, states = self.outcomes, self.states
        accepted = tuple(outcomes.accept(decider, state) for state in states)
        policy = accepted if chain.policy == "ACCEPT" else (outcomes.deny(decider, Can.DROP),) * len(states)
        result = {
            state: self.space.combine(lambda v: outcomes.then(v[0], states, policy), summary[state])
            for state in states
        }
        if chain.table == "nat":
            # Untracked and invalid packets have no connection that could be rewritten.
            # And where no rule needs connection tracking, the kernel may not track at all: nat is not asked then.
            if not self.tracking:
                result = {
                    state: self.space.combine(
                        lambda v: outcomes.either(CONNTRACK, v[0], v[1]),
                        result[state],
                        self.space.constant(passing),
                    )
                    for state, passing in zip(states, accepted, strict=True)
                }
            for state, passing in zip(states, accepted, strict=True):
                connected = has_connection(
                    replace(self.view, half=Half.FIRST, hook=Hook.AFTER_CONNTRACK, tracked=state == TRACKED)
                )
                result[state] = result[state].over(connected, self.space.constant(passing))
        return result

    def _onward(self, bases: Mapping[ChainKey, Mapping[int, PacketMap]]) -> PacketMap:
        """Hook after hook, from the last to the first: an accept goes on to the next one."""
        if not self.path:
            return self.space.constant(self.outcomes.accept(self.policies["filter", "INPUT"], TRACKED))
        outcomes, states = self.outcomes, self.states
        policies = {decider: key for key, decider in self.policies.items()}

        def named(decider: int) -> bool:
            return policies.get(decider) in (None, ("filter", "INPUT"))

        rest: dict[int, PacketMap] | None = None
        for key in reversed(self.path):
            base = bases[key]
            if rest is None:
                rest = dict(base)
                continue
            behind = rest
            rest = {
                state: self.space.combine(
                    lambda v: outcomes.onward(v[0], states, v[1:], named),
                    base[state],
                    *(behind[s] for s in states),
                )
                for state in states
            }
        assert rest is not None
        if self.untracked_elsewhere is None:
            return rest[TRACKED]
        # A rule of another ruleset on the same host may have untracked the packet before this one looks.
        cause = self.untracked_elsewhere
        return self.space.combine(
            lambda v: outcomes.either(cause, v[0], v[1]), rest[TRACKED], rest[UNTRACKED]
        )

    # -- arrivals ---------------------------------------------------------------------------------------

    def _arrivals(
        self,
        half: Half,
        summaries: Mapping[ChainKey, dict[int, PacketMap]],
        bases: Mapping[ChainKey, Mapping[int, PacketMap]],
    ) -> dict[int, PacketSet]:
        nothing = self.space.nothing
        arrivals: dict[int, PacketSet] = {}

        @cache
        def returning(callee: ChainKey, state: int, back: int) -> PacketSet:
            return summaries[callee][state].where(lambda value: back in self.outcomes.returns(value))

        alive = dict.fromkeys(self.states, nothing) | {TRACKED: self.space.everything}
        if self.untracked_elsewhere is not None:
            alive[UNTRACKED] = self.space.everything
        for base in self.path:
            entry: dict[ChainKey, dict[int, PacketSet]] = {base: dict(alive)}
            if base[0] == "nat":
                for state in self.states:
                    connected = has_connection(
                        replace(
                            self.view, half=Half.FIRST, hook=Hook.AFTER_CONNTRACK, tracked=state == TRACKED
                        )
                    )
                    entry[base][state] &= connected
            for key in reversed(self._below(base)):
                if key in entry:
                    self._arrive(self.ruleset.chains[key], self._half(base, half), entry, returning, arrivals)
            after = dict.fromkeys(self.states, nothing)
            for state in self.states:
                if not alive[state]:
                    continue
                for onward in self.states:
                    after[onward] |= alive[state] & self._passing(bases[base][state], onward)
            alive = after
        return arrivals

    def _passing(self, base: PacketMap, state: int) -> PacketSet:
        """The packets that a base chain may pass on in walk state ``state``."""
        return base.where(lambda outcome: state in self.outcomes.passes(outcome))

    def _arrive(
        self,
        chain: Chain,
        half: Half,
        entry: dict[ChainKey, dict[int, PacketSet]],
        returning: Callable[[ChainKey, int, int], PacketSet],
        arrivals: dict[int, PacketSet],
    ) -> None:
        """One chain's rules, in order, with the packets that still are undecided."""
        nothing = self.space.nothing
        alive = entry[chain.table, chain.name]
        for rule in chain.rules:
            if not any(alive.values()):
                return
            effect = effect_of(rule)
            after = dict.fromkeys(self.states, nothing)
            for state, packets in alive.items():
                meaning = self.meaning(rule, half, state)
                hit = packets & meaning.may
                if hit:
                    arrivals[rule.number] = arrivals.get(rule.number, nothing) | hit
                if not hit or effect in (Effect.LOG, Effect.UNKNOWN) or rule.target is None:
                    after[state] |= packets
                    continue
                if isinstance(rule.target, Jump):
                    callee = (chain.table, rule.target.chain)
                    below = entry.setdefault(callee, dict.fromkeys(self.states, nothing))
                    below[state] |= hit
                    if not rule.target.goto:
                        for back in self.states:
                            after[back] |= hit & returning(callee, state, back)
                elif effect in PASSIVE:
                    after[state] |= packets
                    continue
                elif effect is Effect.UNTRACK:
                    after[UNTRACKED] |= hit
                after[state] |= packets - meaning.must
            alive = after
