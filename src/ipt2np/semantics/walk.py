"""Walking a ruleset as the kernel does: from packet to outcome, for all packets at once.

Two passes, each linear in the rules. *Summaries* go bottom-up: a chain, folded from its last rule to its
first, becomes for each walk state a map from packets to outcomes, over the whole packet space; a jump composes
the summary of the chain it calls, so the cost does not grow with the number of ways into a chain. *Arrivals*
go top-down: which packets get as far as each rule.

Packets stand for what they are on the wire: a rule behind nat that tests a port tests what nat made of it.

Sources: net/ipv4/netfilter/ip_tables.c ipt_do_table() (RETURN, goto, policies, non-terminal targets);
include/uapi/linux/netfilter_ipv4.h (the order of the hooks' priorities).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

from ipt2np.packets import PacketMap, PacketSet
from ipt2np.rules.extension import Effect, MatchExtension
from ipt2np.rules.marks import FULL, UNKNOWN, UNKNOWN_MARKS, Bits, Marks
from ipt2np.rules.matches.conntrack import has_connection
from ipt2np.rules.meaning import Half, Hook, Meaning, View
from ipt2np.rules.model import Chain, Clause, Jump, MatchUse, Rule, Ruleset, TargetUse
from ipt2np.rules.unread import why_unread
from ipt2np.semantics.answers import unseen
from ipt2np.semantics.nat import Rewriting, before, behind, image, rewritings
from ipt2np.semantics.outcomes import CONNTRACK, Asked, Can, Outcomes
from ipt2np.semantics.states import (
    INPUT_PATH,
    MOST_TRACED,
    NAT_HOOK,
    ChainKey,
    Flow,
    Rewrite,
    State,
    changes_mark_in_passing,
    effect_of,
)

PASSIVE = (Effect.CONTINUE, Effect.LOG)
"""Effects that leave the packet as it was."""
_BEHIND_NAT = frozenset(INPUT_PATH[INPUT_PATH.index(NAT_HOOK) + 1 :])
SOURCE_NAT = ("SNAT", "MASQUERADE", "NETMAP")
"""Targets that change sources in nat INPUT."""

_Seen = tuple[Half, bool, Marks | None, Rewrite | None, bool]
"""What a rule's meaning hangs on: half, tracked, marks where they are tested, what nat has done, whether that is merged."""
Summaries = dict[tuple[ChainKey, ChainKey], dict[int, PacketMap]]
"""Base chain and chain below it, to the chain's map for each state."""


@dataclass(frozen=True)
class Walk:
    """What one half's packets meet on the input path."""

    outcome: PacketMap
    """Packet to outcome, over all fields."""
    arrivals: Mapping[int, PacketSet]
    """Rule number to the packets that get as far as the rule and may match it."""


@dataclass(frozen=True)
class Elsewhere:
    """What rulesets of other backends on the same host may do to packets: the first rule of each kind."""

    untracks: int | None = None
    marks: int | None = None
    rewrites: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What a part of a rule means that is tested by itself: clauses of one match, as far as they can be told apart."""

    use: MatchUse | None
    """None where an assumption about the whole rule stands in for its matches."""
    clauses: tuple[Clause, ...]
    """None where it is the protocols that the match is for at all."""
    meaning: Meaning


@dataclass(frozen=True)
class Run:
    """One half's packets from some states on: the outcome for each state, and what is needed for the second pass."""

    half: Half
    flow: Flow
    summaries: Summaries
    bases: Mapping[ChainKey, Mapping[int, PacketMap]]
    outcome: Mapping[State, PacketMap]
    """Starting state to what becomes of packets."""


def needs_tracking(rule: Rule) -> bool:
    """True where the rule makes the kernel track connections (its module asks for it when the rule is loaded)."""
    if why_unread(rule) is not None:
        return False  # the kernel may hold no such rule
    target = rule.target if isinstance(rule.target, TargetUse) else None
    return any(use.extension.tracks for use in rule.matches) or (
        target is not None and target.extension.tracking(target.clauses)
    )


def _tests_rewriting(rule: Rule) -> bool:
    return any(use.extension.tests_rewriting(use.clauses) for use in rule.matches)


class Walker:
    """Walks one family's ruleset; meanings of rules are kept for the second pass."""

    def __init__(
        self,
        ruleset: Ruleset,
        view: View,
        outcomes: Outcomes,
        policies: Mapping[ChainKey, int],
        is_own: Callable[[int], bool | None] = lambda address: None,
        elsewhere: Elsewhere | None = None,
        left_out: frozenset[int] = frozenset(),
    ) -> None:
        self.ruleset = ruleset
        self.view = view
        self.space = view.space
        self.outcomes = outcomes
        self.policies = policies
        self.elsewhere = elsewhere or Elsewhere()
        self.left_out = left_out
        """Numbers of rules that match nothing: bans of the past."""
        self.path = tuple(key for key in INPUT_PATH if key in ruleset.chains)
        self.below = {base: tuple(self._reached(base)) for base in self.path}
        self.order = tuple(dict.fromkeys(key for base in self.path for key in self.below[base]))
        """Every chain of the input path."""
        self.rewritings: Mapping[int, Rewriting] = rewritings(ruleset, self.below, is_own)
        self.tracking = any(needs_tracking(rule) for rule in ruleset.rules)
        self.states: list[State] = []
        self._numbers: dict[State, int] = {}
        self._meanings: dict[int, dict[_Seen, Meaning]] = {}
        self._marked = {
            rule.number
            for key in self.order
            for rule in ruleset.chains[key].rules
            for use in rule.matches
            if any(use.extension.tested_marks(use.clauses, view))
        }
        self._merged = self._merges()
        # A match that changes the mark may do so before any other match looks at it.
        self._marks_known = not any(changes_mark_in_passing(rule) for rule in ruleset.rules)
        self._translates = any(
            isinstance(rule.target, TargetUse) and rule.target.extension.name in SOURCE_NAT
            for key in self.below.get(("nat", "INPUT"), ())
            for rule in ruleset.chains[key].rules
        )
        self._changed_elsewhere = self._changed_on_the_way_out()
        self._plain = State()
        self.runs: Mapping[Half, Run] = {}
        """How each half was walked."""
        self.unseen: list[tuple[Rule, PacketSet]] = []
        """Rules by which conntrack may not see the answer to a first packet, and to which packets."""
        self._follows: Mapping[int, State] = {}
        self._walks = self._walked()

    def _reached(self, base: ChainKey) -> list[ChainKey]:
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

    def _merges(self) -> bool:
        """True where rules behind nat cannot tell, or are not followed so far, what it did to a packet.

        Then one state stands for all that nat may have done, and what becomes of a rewritten packet is read off what
        becomes of one that came in as nat left it.
        """
        looks = {each.rewrite for each in self.rewritings.values()} - {None}
        tested = any(
            _tests_rewriting(rule)
            for base in self.path
            if base in _BEHIND_NAT
            for key in self.below[base]
            for rule in self.ruleset.chains[key].rules
        )
        return bool(looks) and (not tested or len(looks) > MOST_TRACED)

    def describes_behind(self, base: ChainKey) -> bool:
        """True where packets that leave ``base`` are described as nat has left them from there on."""
        return base == NAT_HOOK and self._merged

    @property
    def tests_marks(self) -> bool:
        """True where some rule of the input path tests a mark."""
        return bool(self._marked)

    def number(self, state: State) -> int:
        """The state's number in outcomes."""
        found = self._numbers.get(state)
        if found is None:
            found = self._numbers[state] = len(self.states)
            self.states.append(state)
        return found

    # -- meanings ---------------------------------------------------------------------------------------

    def meanings(self, rule: Rule) -> list[Meaning]:
        """What the rule matches in each half and state in which it was asked."""
        found = self._meanings.get(rule.number)
        if found:
            return list(found.values())
        return [self.meaning((rule.table, rule.chain), rule, half, State()) for half in Half]

    def meaning(self, base: ChainKey, rule: Rule, half: Half, state: State) -> Meaning:
        """The packets that match all of the rule's matches, in a half and a walk state, below a base chain."""
        of_rule = self._meanings.setdefault(rule.number, {})
        marks = state.marks if rule.number in self._marked else None
        merged = self._merges_at(base, rule)
        key = (half, state.tracked, marks, state.nat, merged)
        found = of_rule.get(key)
        if found is None:
            found = of_rule[key] = self._meaning(rule, half, state, merged)
        return found

    def parts(self, base: ChainKey, rule: Rule, half: Half, state: State) -> list[Part]:
        """What the rule's matches mean one by one; all together they mean what ``meaning`` says.

        A match whose clauses decide together is one part. Where nat gives one of several ports, all parts together
        may hold for more.
        """
        if self._chosen(rule) is not None or rule.number in self.left_out:
            return [Part(None, (), self.meaning(base, rule, half, state))]
        view = self._view(half, state, rule.table, self._merges_at(base, rule))
        found: list[Part] = []
        for use in rule.matches:
            for clauses, meaning in _apart(use, view):
                if state.nat is not None and not use.extension.tests_rewriting(use.clauses):
                    meaning = behind(view, state.nat, meaning)
                found.append(Part(use, clauses, meaning))
        return found

    def _chosen(self, rule: Rule) -> tuple[str, str] | None:
        """The assumption about the whole rule that the user chose, and its value."""
        for name in (f"rule:{rule.location.file}:{rule.location.line}", f"rule:{rule.location.line}"):
            if self.view.assumptions[name] in ("no-match", "match"):
                return name, self.view.assumptions[name]
        return None

    def _merges_at(self, base: ChainKey, rule: Rule) -> bool:
        """True where the rule may see what nat did and one state stands for all that it may have done."""
        return self._merged and base in _BEHIND_NAT and _tests_rewriting(rule)

    def _view(self, half: Half, state: State, table: str, merged: bool = False) -> View:
        hook = Hook.BEFORE_CONNTRACK if table == "raw" else Hook.AFTER_CONNTRACK
        return replace(
            self.view,
            half=half,
            hook=hook,
            tracked=state.tracked,
            marks=state.marks if self._marks_known else UNKNOWN_MARKS,
            rewritten=True if state.nat is not None else None if merged else False,
            wire=not merged,
            translates=half is Half.LATER and self._translates,
        )

    def _meaning(self, rule: Rule, half: Half, state: State, merged: bool) -> Meaning:
        view = self._view(half, state, rule.table, merged)
        result = view.always()
        for use in rule.matches:
            meaning = use.extension.meaning(use.clauses, view)
            if state.nat is not None and not use.extension.tests_rewriting(use.clauses):
                meaning = behind(view, state.nat, meaning)
            result &= meaning
        chosen = self._chosen(rule)
        if chosen is not None:
            name, value = chosen
            return view.assumed(name, view.exactly(result.may) if value == "match" else view.never(), "")
        if rule.number in self.left_out:
            why = "whether a ban made at run time still stands"
            return result & view.assumed("transient", view.never(), why)
        return result

    def undecided_uses(self, rule: Rule) -> list[MatchUse]:
        """The rule's matches of which not all is decided, in some half and walk state in which it was asked."""
        found: dict[MatchUse, None] = {}
        for half, tracked, marks, nat, merged in self._meanings.get(rule.number, ()):
            packet, connection = (UNKNOWN, UNKNOWN) if marks is None else (marks.packet, marks.connection)
            state = State(tracked, packet, connection, nat)
            view = self._view(half, state, rule.table, merged)
            for use in rule.matches:
                meaning = use.extension.meaning(use.clauses, view)
                if nat is not None and not use.extension.tests_rewriting(use.clauses):
                    meaning = behind(view, nat, meaning)
                if not meaning.exact:
                    found[use] = None
        return list(found) or list(rule.matches)

    def connected(self, state: State) -> PacketSet:
        """Packets that have a connection in a state."""
        return has_connection(self._view(Half.FIRST, state, "filter"))

    def _changed_on_the_way_out(self) -> int:
        """The bits of connection marks that rules for answers may change before the next packet comes in."""
        found = 0
        bases = [(table, name) for table, name in self.ruleset.chains if name in ("OUTPUT", "POSTROUTING")]
        for key in {key for base in bases if base[0] != "nat" for key in self._reached(base)}:
            for rule in self.ruleset.chains[key].rules:
                if isinstance(rule.target, TargetUse) and rule.target.effect is Effect.MARK:
                    use = rule.target
                    low, high = (
                        use.extension.remarked(use.clauses, Marks(UNKNOWN, Bits(value))).connection
                        for value in (0, FULL)
                    )
                    found |= low.value | high.value ^ FULL | (low.known & high.known) ^ FULL
        return found

    # -- summaries --------------------------------------------------------------------------------------

    def walk(self, half: Half) -> Walk:
        """The outcome of every packet of ``half``, and which packets arrive at each rule."""
        return self._walks[half]

    def _walked(self) -> dict[Half, Walk]:
        first = self._run(Half.FIRST, self._first_states())
        outcome = self._joined(first)
        later, follows = self._later(outcome)
        self.runs = {Half.FIRST: first, Half.LATER: later}
        self._follows = follows
        laters = self._unless_unseen(self._followed(later, follows, outcome), later)
        starts = dict.fromkeys(first.outcome, self.space.everything)
        return {
            Half.FIRST: Walk(self._unless_rewritten(outcome), self._arrivals(first, starts)),
            Half.LATER: Walk(
                self._unless_rewritten(laters), self._arrivals(later, self._coming(follows, outcome))
            ),
        }

    def _first_states(self) -> list[State]:
        """How first packets come to the path; rules of another ruleset may have treated them before."""
        known = State() if self.elsewhere.marks is None else State(packet=UNKNOWN, connection=UNKNOWN)
        return [known] if self.elsewhere.untracks is None else [known, known.untracked()]

    def _joined(self, run: Run) -> PacketMap:
        """Either of the starting states' outcomes, where another ruleset leaves open which it is."""
        first, *others = run.outcome.values()
        cause = self.elsewhere.untracks
        for other in others:
            assert cause is not None
            first = self.space.combine(
                lambda v: self.outcomes.either(cause, v[0], v[1], Asked.VARIOUS), first, other
            )
        return first

    def follows(self, end: State | None) -> tuple[State, ...]:
        """The states in which later packets may begin the path, where the connection's first one ended it in ``end``.

        None where the ruleset let no first packet through: then it is a connection of which nothing is known.
        """
        begins = self._plain if end is None else self._follows[self.number(end)]
        untracked = () if self.elsewhere.untracks is None else (self._plain.untracked(),)
        return tuple(dict.fromkeys((begins, *untracked)))

    def _unless_unseen(self, outcome: PacketMap, later: Run) -> PacketMap:
        """Nobody can say what later packets meet where conntrack may not have seen the answer to the first one."""
        raw = ("raw", "PREROUTING")
        if raw not in later.bases:
            return outcome
        found = unseen(
            self._rules_below(raw),
            self._rules_below(("raw", "OUTPUT")),
            self._view(Half.LATER, State(), "filter"),
            rewritten=any(each.rewrite for each in self.rewritings.values()),
        )
        tracked = self.space.nothing
        for base in later.bases[raw].values():
            tracked |= base.where(
                lambda value: any(self.states[each].tracked for each in self.outcomes.passes(value))
            )
        for rule, packets in found:
            cause, unknown = rule.number, self.outcomes.unknown(rule.number)
            self.unseen.append((rule, packets & tracked))
            outcome = outcome.revised(
                packets & tracked,
                lambda value, cause=cause, unknown=unknown: self.outcomes.either(  # type: ignore[misc]
                    cause, value, unknown, Asked.VARIOUS
                ),
            )
        return outcome

    def _rules_below(self, base: ChainKey) -> list[Rule]:
        """The rules of every chain that a base chain reaches."""
        return [rule for key in self._reached(base) for rule in self.ruleset.chains[key].rules]

    def _unless_rewritten(self, outcome: PacketMap) -> PacketMap:
        """Where another ruleset may rewrite packets, nobody can say what this one sees of them."""
        cause = self.elsewhere.rewrites
        if cause is None:
            return outcome
        unknown = self.outcomes.unknown(cause)
        return outcome.revised(
            self.space.everything, lambda value: self.outcomes.either(cause, unknown, value, Asked.VARIOUS)
        )

    def _later(self, first: PacketMap) -> tuple[Run, dict[int, State]]:
        """The later packets' run, and for each state in which a first packet can end the one in which they begin.

        A later packet may change the connection's mark for those behind it: bits that can change so are unknown.
        """
        outcomes = self.outcomes
        passing = {value: outcomes.passes(value) for value in first.values()}
        ends = sorted(set().union(*passing.values()))
        flow = self._flow(Half.LATER)
        begins = {end: flow.begins(self._after(self.states[end])) for end in ends}
        plain = flow.begins(self._first_states()[0])
        while True:
            starts = dict.fromkeys([plain, *begins.values()])
            if self.elsewhere.untracks is not None:
                starts[flow.begins(plain.untracked())] = None
            run = self._run(Half.LATER, starts, flow)
            blurred: dict[State, State] = {}
            for start in dict.fromkeys(begins.values()):
                mine = frozenset(end for end, begin in begins.items() if begin == start)
                packets = first.where(lambda value, mine=mine: bool(passing[value] & mine))  # type: ignore[misc]
                values = run.outcome[start].values(packets & self.connected(start))
                again = {self.states[end] for value in values for end in outcomes.passes(value)}
                mark = _common(start, map(self._after, again))
                now = flow.begins(start._replace(connection=mark))
                if now != start:
                    blurred[start] = now
            if not blurred:
                self._plain = plain
                return run, begins
            flow = self._flow(Half.LATER)
            begins = {end: flow.begins(blurred.get(start, start)) for end, start in begins.items()}
            plain = flow.begins(plain)

    def _after(self, end: State) -> State:
        """The state of the next packet of a connection whose last one ended the path in ``end``."""
        if not end.tracked:
            return State()
        known = end.connection.known & ~self._changed_elsewhere
        return State(connection=Bits(end.connection.value & known, known), pending=end.nat)

    def _followed(self, later: Run, follows: Mapping[int, State], first: PacketMap) -> PacketMap:
        """What becomes of later packets, in the state in which the first one left the connection."""
        starts = list(later.outcome)
        place = {start: number for number, start in enumerate(starts, 1)}
        outcomes = self.outcomes

        def chosen(values: tuple[int, ...]) -> int:
            mine = {place[follows[end]] for end in outcomes.passes(values[0])} or {place[self._plain]}
            result, *others = [values[number] for number in sorted(mine)]
            for other in others:
                result = outcomes.either(outcomes.fork(values[0]), result, other, Asked.VARIOUS)
            # Nor can anybody say what the connection's later packets meet where that is so of its first.
            for decider in sorted(outcomes.unknowns(values[0])):
                result = outcomes.either(decider, result, outcomes.unknown(decider), Asked.VARIOUS)
            return result

        picked = self.space.combine(chosen, first, *(later.outcome[start] for start in starts))
        cause = self.elsewhere.untracks
        if cause is None:
            return picked
        untracked = later.outcome[self._plain.untracked()]
        return self.space.combine(
            lambda v: outcomes.either(cause, v[0], v[1], Asked.VARIOUS), picked, untracked
        )

    def _coming(self, follows: Mapping[int, State], first: PacketMap) -> dict[State, PacketSet]:
        """The later packets that begin the path in each state; those of the host's own connections in the plain one."""
        passing = {value: self.outcomes.passes(value) for value in first.values()}
        result: dict[State, PacketSet] = {
            self._plain: first.where(lambda value: not passing[value]) | self.space.nothing
        }
        for end, start in follows.items():
            packets = first.where(lambda value, end=end: end in passing[value])  # type: ignore[misc]
            result[start] = result.get(start, self.space.nothing) | packets
        if self.elsewhere.untracks is not None:
            result[self._plain.untracked()] = self.space.everything
        return result

    def _flow(self, half: Half) -> Flow:
        rewrites = {number: each.rewrite for number, each in self.rewritings.items()}

        def may_match(base: ChainKey, rule: Rule, state: State) -> bool:
            return bool(self.meaning(base, rule, half, state).may)

        return Flow(
            self.ruleset,
            self.path,
            self.below,
            rewrites,
            self.view,
            may_match,
            half is Half.FIRST,
            not self._merged,
        )

    def _run(self, half: Half, starts: Iterable[State], flow: Flow | None = None) -> Run:
        flow = flow or self._flow(half)
        starts = list(starts)
        flow.follow(starts)
        summaries: Summaries = {}
        for base in self.path:
            if not flow.asks(base):
                continue
            for key in self.below[base]:
                summaries[base, key] = self._summary(base, key, flow, half, summaries)
        bases = {base: self._base(base, flow, summaries) for base in self.path}
        outcome = self._onward(flow, bases)
        return Run(half, flow, summaries, bases, {start: outcome[flow.begins(start)] for start in starts})

    def _summary(
        self, base: ChainKey, key: ChainKey, flow: Flow, half: Half, known: Summaries
    ) -> dict[int, PacketMap]:
        inside = list(flow.inside.get((base, key), ()))
        current = {
            number: self.space.constant(self.outcomes.returned(number)) for number in map(self.number, inside)
        }
        for rule in reversed(self.ruleset.chains[key].rules):
            if not isinstance(rule.target, Jump) and effect_of(rule) in PASSIVE:
                continue
            current = {
                self.number(state): self._with_rule(base, rule, flow, half, state, current, known)
                for state in inside
            }
        return current

    def _with_rule(
        self,
        base: ChainKey,
        rule: Rule,
        flow: Flow,
        half: Half,
        state: State,
        after: Mapping[int, PacketMap],
        known: Summaries,
    ) -> PacketMap:
        meaning = self.meaning(base, rule, half, state)
        skipped = after[self.number(state)]
        if not meaning.may:
            return skipped
        doubt = meaning.may - meaning.must
        if isinstance(rule.target, Jump):
            summary = known[base, (rule.table, rule.target.chain)].get(self.number(state))
            if summary is None:
                return skipped
            if rule.target.goto:
                return self._entered(rule.number, meaning.must, doubt, summary, skipped)
            called = self._called_and_back(meaning.may, summary, after, skipped)
            return self._entered(rule.number, meaning.must, doubt, called, skipped)
        taken = self._taken(base, rule, flow, state, after)
        return self._entered(rule.number, meaning.must, doubt, taken, skipped)

    def _entered(
        self, cause: int, certain: PacketSet, doubt: PacketSet, taken: PacketMap, skipped: PacketMap
    ) -> PacketMap:
        """``taken`` where the rule certainly matches, either of both where that is in doubt."""
        if not doubt:
            return taken.over(certain, skipped)
        either = self.outcomes.either
        forked = self.space.graft(
            doubt, lambda v: either(cause, v[0], v[1]), [taken, skipped], skipped, (), lambda value: None
        )
        return taken.over(certain, forked)

    def _called_and_back(
        self, region: PacketSet, summary: PacketMap, after: Mapping[int, PacketMap], outside: PacketMap
    ) -> PacketMap:
        """Inside ``region`` the called chain's outcome, and what comes after the jump where it returns."""
        outcomes = self.outcomes
        states = tuple(sorted({state for value in summary.values() for state in outcomes.returns(value)}))
        back = {outcomes.returned(state): place for place, state in enumerate(states, 1)}

        def answer(value: int) -> int | None:
            return back.get(value) if outcomes.returns(value) else 0

        return self.space.graft(
            region,
            lambda v: outcomes.then(v[0], states, v[1:]),
            [summary, *(after.get(state, outside) for state in states)],
            outside,
            [self.space.constant(outcomes.returned(state)) for state in states],
            answer,
        )

    def _taken(
        self, base: ChainKey, rule: Rule, flow: Flow, state: State, after: Mapping[int, PacketMap]
    ) -> PacketMap:
        """The outcome of packets that match a rule which calls no chain."""
        outcomes, space, number = self.outcomes, self.space, rule.number
        effect = effect_of(rule)
        here = self.number(state)
        if effect is Effect.REWRITE:
            return space.constant(self._rewritten(rule, flow, state))
        if effect in (Effect.UNTRACK, Effect.CLAIM, Effect.MARK):
            onward = flow.behind(base, rule, state)
            changed = after.get(self.number(onward), after[here])
            assert isinstance(rule.target, TargetUse)
            if onward != state and rule.target.extension.marks_connection:
                return changed.over(self.connected(state), after[here])
            return changed
        if effect is Effect.UNKNOWN:
            onward = flow.behind(base, rule, state)
            there = self.number(onward)
            unknown = outcomes.either(
                number, outcomes.unknown(number), outcomes.returned(there), Asked.TARGET_AGAIN
            )
            return after.get(there, after[here]).revised(
                space.everything, lambda value: outcomes.either(number, unknown, value, Asked.TARGET)
            )
        if effect is Effect.PROXY and not flow.first:
            diverted = outcomes.divert(number)
            return after[here].revised(
                space.everything, lambda value: outcomes.either(number, diverted, value, Asked.TARGET)
            )
        return space.constant(
            {
                Effect.ACCEPT: outcomes.accept(number, here),
                Effect.DROP: outcomes.deny(number, Can.DROP),
                Effect.REJECT: outcomes.deny(number, Can.REJECT),
                Effect.DIVERT: outcomes.divert(number),
                Effect.PROXY: outcomes.divert(number),
                Effect.MAY_DIVERT: outcomes.either(
                    number, outcomes.accept(number, here), outcomes.divert(number), Asked.TARGET
                ),
                Effect.RETURN: outcomes.returned(here),
            }[effect]
        )

    def _rewritten(self, rule: Rule, flow: Flow, state: State) -> int:
        """What becomes of a packet that nat rewrites."""
        outcomes, number = self.outcomes, rule.number
        found = self.rewritings[number]
        forwarded = outcomes.divert(number)
        if found.rewrite is None:
            return forwarded if found.forwards else outcomes.unknown(number)
        onward = outcomes.accept(number, self.number(flow.rewritten(state, found.rewrite)))
        return outcomes.either(number, onward, forwarded, Asked.TARGET) if found.forwards else onward

    def _base(self, base: ChainKey, flow: Flow, summaries: Summaries) -> dict[int, PacketMap]:
        """A base chain's outcome by walk state: what returns meets the built-in policy."""
        decider = self.policies[base]
        outcomes, space = self.outcomes, self.space
        chain = self.ruleset.chains[base]
        result: dict[int, PacketMap] = {}
        for state in flow.entering.get(base, ()):
            here = self.number(state)
            passing = outcomes.accept(decider, here)
            if not flow.asks(base):
                result[here] = space.constant(passing)
                continue
            summary = summaries[base, base][here]
            back = tuple(sorted({each for value in summary.values() for each in outcomes.returns(value)}))
            policy = tuple(self._policy(decider, chain.policy, each) for each in back)
            found = space.combine(
                lambda v, back=back, policy=policy: outcomes.then(v[0], back, policy),  # type: ignore[misc]
                summary,
            )
            if base[0] == "nat":
                # Where no rule needs connection tracking, the kernel may not track at all: nat is not asked then.
                if not self.tracking:
                    found = space.combine(
                        lambda v, passing=passing: outcomes.either(CONNTRACK, v[0], passing),  # type: ignore[misc]
                        found,
                    )
                # Untracked and invalid packets have no connection that could be rewritten.
                found = found.over(self.connected(state), space.constant(passing))
            result[here] = found
        return result

    def _policy(self, decider: int, policy: str | None, state: int) -> int:
        """What a built-in policy says of a packet; either where the file's line could not be read."""
        passing, denied = self.outcomes.accept(decider, state), self.outcomes.deny(decider, Can.DROP)
        if policy is None:
            return self.outcomes.either(decider, passing, denied, Asked.VARIOUS)
        return passing if policy == "ACCEPT" else denied

    def _onward(
        self, flow: Flow, bases: Mapping[ChainKey, Mapping[int, PacketMap]], last: ChainKey | None = None
    ) -> dict[State, PacketMap]:
        """Hook after hook, from ``last`` (by default the path's end) to the first: an accept goes on to the next one."""
        if not self.path:
            accepted = self.outcomes.accept(self.policies["filter", "INPUT"], self.number(State()))
            return dict.fromkeys([State()], self.space.constant(accepted))
        outcomes = self.outcomes
        policies = {decider: key for key, decider in self.policies.items()}

        def named(decider: int) -> bool:
            return policies.get(decider) in (None, ("filter", "INPUT"))

        path = self.path if last is None else self.path[: self.path.index(last) + 1]
        rest: dict[int, PacketMap] = {}
        for position in reversed(range(len(path))):
            base, onward = path[position], path[position + 1] if position + 1 < len(path) else None
            behind, rest = rest, {}
            for here, found in bases[base].items():
                passed = tuple(sorted({each for value in found.values() for each in outcomes.passes(value)}))
                crossed = tuple(self.number(flow.crossed(base, onward, self.states[each])) for each in passed)
                if onward is None:
                    rest[here] = found
                    continue
                rests = [behind[each] for each in crossed]
                if base == NAT_HOOK and self._merged:
                    rests = [
                        self._before_nat(rest_of, self.states[each].acted())
                        for rest_of, each in zip(rests, passed, strict=True)
                    ]
                rest[here] = self.space.combine(
                    lambda v, passed=passed: outcomes.onward(v[0], passed, v[1:], named),  # type: ignore[misc]
                    found,
                    *rests,
                )
        return {self.states[here]: found for here, found in rest.items()}

    def _before_nat(self, outcome: PacketMap, rewrite: Rewrite | None) -> PacketMap:
        """What becomes behind nat of packets that it rewrites, as a map over them as they came in."""
        if rewrite is None:
            return outcome
        outcomes = self.outcomes
        ends = {state for value in outcome.values() for state in outcomes.passes(value)}
        renamed = {end: self.number(self.states[end]._replace(nat=rewrite)) for end in sorted(ends)}
        restated = before(outcome, rewrite, lambda a, b: outcomes.either(rewrite.rule, a, b, Asked.VARIOUS))
        return restated.revised(self.space.everything, lambda value: outcomes.restated(value, renamed))

    def stages(self) -> PacketMap:
        """What becomes of first packets up to nat PREROUTING: accepts say in which state packets leave it."""
        return next(
            iter(self._onward(self.runs[Half.FIRST].flow, self.runs[Half.FIRST].bases, NAT_HOOK).values())
        )

    # -- arrivals ---------------------------------------------------------------------------------------

    def _arrivals(self, run: Run, coming: Mapping[State, PacketSet]) -> dict[int, PacketSet]:
        nothing = self.space.nothing
        arrivals: dict[int, PacketSet] = {}
        alive: dict[int, PacketSet] = {}
        for start, packets in coming.items():
            here = self.number(run.flow.begins(start))
            alive[here] = alive.get(here, nothing) | packets
        for position, base in enumerate(self.path):
            onward = self.path[position + 1] if position + 1 < len(self.path) else None
            if run.flow.asks(base):
                entry = {base: dict(alive)}
                if base[0] == "nat":
                    entry[base] = {
                        here: packets & self.connected(self.states[here]) for here, packets in alive.items()
                    }
                returning = self._returning(run, base)
                for key in reversed(self.below[base]):
                    if key in entry:
                        self._arrive(run, base, self.ruleset.chains[key], entry, returning, arrivals)
            after: dict[int, PacketSet] = {}
            for here, packets in alive.items():
                found = run.bases[base][here]
                for each in {each for value in found.values() for each in self.outcomes.passes(value)}:
                    there = self.number(run.flow.crossed(base, onward, self.states[each]))
                    passed = packets & self._passing(found, each)
                    if self.describes_behind(base):
                        passed = image(passed, self.states[each].acted())
                    after[there] = after.get(there, nothing) | passed
            alive = after
        return arrivals

    def _passing(self, base: PacketMap, state: int) -> PacketSet:
        """The packets that a base chain may pass on in walk state ``state``."""
        return base.where(lambda outcome: state in self.outcomes.passes(outcome))

    def _returning(self, run: Run, base: ChainKey) -> Callable[[ChainKey, int], Mapping[int, PacketSet]]:
        """For a chain and a state in which it is entered: the packets that may come back, by their state then."""
        outcomes = self.outcomes

        @cache
        def returning(callee: ChainKey, state: int) -> Mapping[int, PacketSet]:
            summary = run.summaries[base, callee].get(state)
            if summary is None:
                return {}
            backs = {each for value in summary.values() for each in outcomes.returns(value)}
            return {
                back: summary.where(lambda value, back=back: back in outcomes.returns(value))  # type: ignore[misc]
                for back in sorted(backs)
            }

        return returning

    def _arrive(
        self,
        run: Run,
        base: ChainKey,
        chain: Chain,
        entry: dict[ChainKey, dict[int, PacketSet]],
        returning: Callable[[ChainKey, int], Mapping[int, PacketSet]],
        arrivals: dict[int, PacketSet],
    ) -> None:
        """One chain's rules, in order, with the packets that still are undecided."""
        nothing = self.space.nothing
        alive = {state: packets for state, packets in entry[chain.table, chain.name].items() if packets}
        for rule in chain.rules:
            if not alive:
                return
            effect = effect_of(rule)
            after: dict[int, PacketSet] = {}
            for number, packets in alive.items():
                state = self.states[number]
                meaning = self.meaning(base, rule, run.half, state)
                hit = packets & meaning.may
                if hit:
                    arrivals[rule.number] = arrivals.get(rule.number, nothing) | image(hit, state.nat)
                left = packets
                if hit and isinstance(rule.target, Jump):
                    callee = (chain.table, rule.target.chain)
                    below = entry.setdefault(callee, {})
                    below[number] = below.get(number, nothing) | hit
                    left = packets - meaning.must
                    if not rule.target.goto:
                        for back, returned in returning(callee, number).items():
                            after[back] = after.get(back, nothing) | hit & returned
                elif hit and effect in (Effect.UNTRACK, Effect.CLAIM, Effect.MARK, Effect.UNKNOWN):
                    there = self.number(run.flow.behind(base, rule, state))
                    after[there] = after.get(there, nothing) | hit
                    # A packet without a connection keeps its state where the target needs one.
                    left = packets if effect is Effect.MARK else packets - meaning.must
                elif hit and effect not in PASSIVE and (effect is not Effect.PROXY or run.flow.first):
                    left = packets - meaning.must
                after[number] = after.get(number, nothing) | left
            alive = {number: packets for number, packets in after.items() if packets}


def _apart(use: MatchUse, view: View) -> Iterator[tuple[tuple[Clause, ...], Meaning]]:
    """The clauses of a match with what each means; all in one where the match reads them together."""
    if type(use.extension).meaning is not MatchExtension.meaning:
        yield use.clauses, use.extension.meaning(use.clauses, view)
        return
    if use.extension.protocols:
        yield (), view.of_protocols(use.extension.protocols)
    for clause in use.clauses:
        declared = use.extension.named(clause.option)
        if declared is not None and declared.means is not None:
            part = declared.means(view, *clause.values)
            yield (clause,), ~part if clause.negated else part


def _common(start: State, others: Iterable[State]) -> Bits:
    """The bits of the connection's mark on which a state and others agree."""
    mark = start.connection
    for other in others:
        known = mark.known & other.connection.known & ~(mark.value ^ other.connection.value)
        mark = Bits(mark.value & known, known)
    return mark
