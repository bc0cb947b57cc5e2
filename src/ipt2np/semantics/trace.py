"""One packet's way through a ruleset, step by step: the same walk as ``walk.py``, told as a story.

A trace starts with the set of packets that agree with what is known of one, and goes through the input path rule by
rule. Where no packet of the set may match, the rule is passed by; where all must, it matches; else both ways are
followed, each with the packets that can take it, so that rules that ask for the same thing give the same answer on it.
Ways that meet at a rule with equal packets in equal states are one from there on. What becomes of the packets is what
``Walk.outcome`` says of them.

Bounds: more than ``MOST_WAYS`` at one rule are drawn together where their states are equal; behind ``MOST_STEPS`` steps
more than there are rules a chain that is called is not told any more, and what it does is taken from its summary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from ipt2np.packets import Field, PacketSet
from ipt2np.packets.intervals import merged
from ipt2np.rules.extension import Effect
from ipt2np.rules.meaning import Half
from ipt2np.rules.model import Chain, Jump, Rule, TargetUse
from ipt2np.semantics.decide import CONNECTION_PROTOCOLS, Decision, Side
from ipt2np.semantics.existing import existing
from ipt2np.semantics.nat import image, preimage
from ipt2np.semantics.outcomes import Can
from ipt2np.semantics.states import ChainKey, Rewrite, State, effect_of
from ipt2np.semantics.walk import PASSIVE

MOST_WAYS = 32
MOST_STEPS = 20_000
FILTER: ChainKey = ("filter", "INPUT")
UNKNOWN = Can.ACCEPT | Can.DROP | Can.DIVERT
_REFUSING = {Effect.DROP: Can.DROP, Effect.REJECT: Can.REJECT, Effect.DIVERT: Can.DIVERT}


class Outcome(Enum):
    """Whether a rule matches the packets that come to it."""

    MATCHED = "matched"
    NOT_MATCHED = "not matched"
    UNDECIDED = "undecided"
    """Some may match, and some may not."""


@dataclass(frozen=True, slots=True)
class Strand:
    """Packets that have come the same way so far."""

    way: int
    state: State
    packets: PacketSet
    deciders: frozenset[int] = frozenset()
    """Who accepted them in the filter table: rules or a policy."""
    moved: Rewrite | None = None
    """What nat made of them, where the packets are described as it left them."""
    came: PacketSet | None = None
    """Those packets as they came in, where they are described as nat left them."""

    @property
    def on_wire(self) -> PacketSet:
        """The packets as they came in."""
        return self.packets if self.came is None else self.came & preimage(self.packets, self.moved)

    @property
    def place(self) -> tuple[object, ...]:
        """Equal for strands that are the same from here on."""
        return self.state, self.packets, self.moved, self.came


@dataclass(frozen=True, slots=True)
class End:
    """What becomes of packets for good."""

    way: int
    can: Can
    """One outcome, or several where nobody can say what a rule does."""
    deciders: frozenset[int]
    """Numbers of the rules, or of the policy, that decided."""
    packets: PacketSet
    """As they came in."""
    state: State | None = None
    """How accepted packets end the path."""


@dataclass(frozen=True, slots=True)
class Step:
    """A rule that packets of one way come to, or where a chain has no more of them its policy."""

    base: ChainKey
    chain: ChainKey
    depth: int
    """How many calls below the base chain."""
    visit: int
    """Equal for the steps of different ways that stand side by side."""
    rule: Rule | None
    """None for a policy, and for what no rule decides."""
    strand: Strand
    """The packets as they come."""
    outcome: Outcome
    onward: tuple[int, ...] = ()
    """The ways on which packets go on: of those that matched and, where that is undecided, of the others."""
    ends: tuple[End, ...] = ()
    why: str = ""
    """What is open where no rule leaves it so."""

    @property
    def hit(self) -> tuple[int, ...]:
        """The ways on which packets that matched go on."""
        return self.onward if self.outcome is Outcome.MATCHED else self.onward[:-1]


@dataclass(frozen=True, slots=True)
class Joined:
    """A way goes on as another one: equal packets in equal states, or too many ways to be kept apart."""

    way: int
    into: int
    equal: bool
    depth: int


@dataclass(frozen=True, slots=True)
class Untold:
    """A called chain that is not told: its name, and the way that goes through it."""

    chain: ChainKey
    way: int
    depth: int


Event = Step | Joined | Untold


@dataclass(frozen=True)
class Trace:
    """What one ruleset does to a set of packets of one half."""

    side: Side
    half: Half
    packets: PacketSet
    events: tuple[Event, ...]
    ends: tuple[End, ...]
    ways: int
    """How many ways there were."""

    @property
    def steps(self) -> Iterator[Step]:
        """The steps alone."""
        return (event for event in self.events if isinstance(event, Step))

    @property
    def can(self) -> Can:
        """What can become of the packets here."""
        return _together(self.ends)

    @property
    def decided(self) -> bool:
        """True where there is but one way, and nobody has to say anything more."""
        return len(self.ends) == 1 and all(step.outcome is not Outcome.UNDECIDED for step in self.steps)


@dataclass(frozen=True)
class Traces:
    """What a host does to a connection: its first packet, and where that may be accepted its later ones."""

    packets: PacketSet
    first: tuple[Trace, ...]
    """One for each ruleset of the family that the packets come to."""
    later: tuple[Trace, ...]
    """The same for TCP and SCTP; empty for other protocols, and where the first packet is refused."""
    can: Can
    """What can become of the connection."""
    unrouted: bool
    """True where no route leads back to the source: accepted only where every interface would accept it."""


def _together(ends: Iterable[End]) -> Can:
    found = Can.NOTHING
    for end in ends:
        found |= end.can
    return found


def trace(decision: Decision, packets: PacketSet) -> Traces:
    """Follow the packets of one family that can exist, on every ruleset of the family."""
    sides = [side for side in decision.sides if packets.meets(side.possible)]
    packets = packets & sides[0].possible if sides else decision.space.nothing
    first, endings, admitted = _first(sides, packets)
    protocols = decision.space.values(Field.PROTOCOL, merged((n, n) for n in CONNECTION_PROTOCOLS))
    connecting = admitted & protocols
    accepted, later = admitted - connecting, []
    coming = connecting
    if connecting:
        for side, ends in zip(sides, endings, strict=False):
            if not coming:
                break
            later.append(_later(side, ends, coming))
            passed, unknown = _accepted(later[-1].ends, coming), _unknown(later[-1].ends, coming)
            accepted |= unknown
            coming = passed
        accepted |= coming
    can = _together(end for trace in (*first, *later) for end in trace.ends) & Can.REFUSE
    unrouted = bool(sides) and packets.meets(existing(sides[0].walker.view, decision.facts).unrouted)
    if unrouted:
        accepted = _everywhere(packets, accepted)
    if accepted:
        can |= Can.ACCEPT
    return Traces(packets, tuple(first), tuple(later), can, unrouted)


def _everywhere(packets: PacketSet, accepted: PacketSet) -> PacketSet:
    """The packets that may be accepted whatever interface they come in on."""
    accepted, packets = accepted.some(Field.DESTINATION) & packets, packets
    return accepted.some(Field.INTERFACE) - (packets - accepted).some(Field.INTERFACE)


def _first(sides: Sequence[Side], packets: PacketSet) -> tuple[list[Trace], list[tuple[End, ...]], PacketSet]:
    """The first packets' traces, how they end each ruleset (of those that may be accepted), and those that may be."""
    traces: list[Trace] = []
    endings: list[tuple[End, ...]] = []
    unknown = packets.space.nothing
    coming = packets
    for side in sides:
        mine: list[End] = []
        if coming:
            told = _Tracer(side, Half.FIRST, coming).told()
            traces.append(told)
            mine += told.ends
        if unknown:
            mine += _Tracer(side, Half.FIRST, unknown).told().ends
        endings.append(tuple(mine))
        if coming:
            unknown |= _unknown(told.ends, coming)
            coming = _accepted(told.ends, coming)
    return traces, endings, coming | unknown


def _accepted(ends: Iterable[End], among: PacketSet) -> PacketSet:
    """The packets that may be accepted for certain reasons."""
    found = among.space.nothing
    for end in ends:
        if end.can is Can.ACCEPT:
            found |= end.packets
    return found & among


def _unknown(ends: Iterable[End], among: PacketSet) -> PacketSet:
    """The packets of which nobody can say what a rule does to them."""
    found = among.space.nothing
    for end in ends:
        if end.can is UNKNOWN:
            found |= end.packets
    return found & among


def _later(side: Side, ends: Sequence[End], packets: PacketSet) -> Trace:
    """The trace of later packets, whose first ones ended so."""
    walker = side.walker
    starts: dict[State, PacketSet] = {}

    def begin(end: State | None, mine: PacketSet) -> None:
        for start in walker.follows(end):
            starts[start] = starts.get(start, packets.space.nothing) | mine

    known = packets.space.nothing
    for end in ends:
        if end.can is Can.ACCEPT and end.packets.meets(packets):
            begin(end.state, end.packets & packets)
            known |= end.packets
    if packets - known:
        begin(None, packets - known)
    doubts = [end for end in ends if end.can is UNKNOWN and end.packets.meets(packets)]
    return _Tracer(side, Half.LATER, packets, starts, doubts).told()


@dataclass
class _Call:
    """A chain that is being gone through."""

    chain: Chain
    depth: int
    alive: list[Strand]
    goto: bool = False
    at: int = 0
    returned: list[Strand] = field(default_factory=list)


class _Tracer:
    """Follows packets through one ruleset; used once."""

    def __init__(
        self,
        side: Side,
        half: Half,
        packets: PacketSet,
        starts: dict[State, PacketSet] | None = None,
        doubts: Sequence[End] = (),
    ) -> None:
        self.side = side
        self.half = half
        self.packets = packets
        self.walker = side.walker
        self.run = side.walker.runs[half]
        self.flow = self.run.flow
        if starts is None:
            starts = dict.fromkeys(self.run.outcome, packets)
        self.starts = starts
        self.doubts = doubts
        self.events: list[Event] = []
        self.ends: list[End] = []
        self.ways = 0
        self.visits = 0
        self.most_events = MOST_STEPS + len(side.ruleset.rules)

    def told(self) -> Trace:
        """The whole trace."""
        self._unsaid()
        alive = self._started()
        for position, base in enumerate(self.walker.path):
            onward = self.walker.path[position + 1] if position + 1 < len(self.walker.path) else None
            alive = self._crossed(base, onward, self._through(base, alive))
        for strand in alive:
            state = strand.state
            if strand.moved is not None:
                state = state._replace(nat=strand.moved)
            self.ends.append(End(strand.way, Can.ACCEPT, strand.deciders, strand.on_wire, state))
        if not self.walker.path:
            decider = self.walker.policies[FILTER]
            self.ends = [replace(end, deciders=frozenset({decider})) for end in self.ends]
        return Trace(self.side, self.half, self.packets, tuple(self.events), tuple(self.ends), self.ways)

    def _way(self) -> int:
        self.ways += 1
        return self.ways

    # -- where packets begin, and what another ruleset leaves open ---------------------------------------

    def _unsaid(self) -> None:
        """What nobody can say of these packets, whatever the rules that follow do."""
        open_to: list[tuple[int, PacketSet, str]] = []
        if self.walker.elsewhere.rewrites is not None:
            why = "another ruleset of the host may rewrite the packets before this one sees them"
            open_to.append((self.walker.elsewhere.rewrites, self.packets, why))
        if self.half is Half.LATER:
            for end in self.doubts:
                why = "nobody can say what a rule did to the connection's first packet"
                open_to += [(decider, end.packets & self.packets, why) for decider in end.deciders]
            for rule, packets in self.walker.unseen:
                why = "conntrack may not see the answer to the first packet"
                open_to.append((rule.number, packets & self.packets, why))
        for decider, packets, why in open_to:
            if packets:
                end = End(0, UNKNOWN, frozenset({decider}), packets)
                self.ends.append(end)
                base = self.walker.path[0] if self.walker.path else FILTER
                strand = Strand(0, State(), packets)
                self._step(base, base, 0, None, strand, Outcome.UNDECIDED, (0,), (end,), why)

    def _started(self) -> list[Strand]:
        strands = []
        for start, packets in self.starts.items():
            if packets:
                strands.append(Strand(self._way(), self.flow.begins(start), packets))
        strands = self._joined(strands, 0)
        untracks = self.walker.elsewhere.untracks
        if len(strands) > 1 and untracks is not None:
            first, *others = strands
            why = "another ruleset of the host may keep conntrack from the packets"
            onward = (*(each.way for each in others), first.way)
            base = self.walker.path[0]
            self._step(base, base, 0, None, first, Outcome.UNDECIDED, onward, (), why)
        return strands

    # -- base chains -------------------------------------------------------------------------------------

    def _through(self, base: ChainKey, strands: list[Strand]) -> list[Strand]:
        """Those that the base chain accepts."""
        if not self.flow.asks(base):
            return strands
        accepted: list[Strand] = []
        asked = strands
        if base[0] == "nat":
            asked = []
            for strand in strands:
                connected = strand.packets & self.walker.connected(strand.state)
                if strand.packets - connected:
                    accepted.append(self._narrowed(strand, strand.packets - connected, new=bool(connected)))
                if connected:
                    asked.append(replace(strand, packets=connected))
        before = len(accepted)
        returned = self._called(base, asked, accepted) if asked else []
        self.visits += 1
        for strand in returned:
            accepted += self._policy(base, strand)
        if base[0] == "nat" and not self.walker.tracking:
            accepted += self._unasked(base, asked, accepted[before:])
        return self._joined(accepted, 0)

    def _unasked(self, base: ChainKey, asked: Sequence[Strand], accepted: Sequence[Strand]) -> list[Strand]:
        """The ways of packets that the kernel does not track, so that nat never sees them, where that matters."""
        places = {strand.place for strand in accepted}
        why = "whether the kernel tracks connections, and so asks nat at all: no rule makes it do so"
        found = []
        for strand in asked:
            if strand.place not in places:
                found.append(replace(strand, way=self._way()))
                self._step(base, base, 0, None, strand, Outcome.UNDECIDED, (found[-1].way,), (), why)
        return found

    def _policy(self, base: ChainKey, strand: Strand) -> list[Strand]:
        decider, policy = self.walker.policies[base], self.side.ruleset.chains[base].policy
        outcome = Outcome.UNDECIDED if policy is None else Outcome.MATCHED
        ends: list[End] = []
        if policy != "ACCEPT":
            ends.append(self._ended(strand, Can.DROP, decider))
        passing = policy in ("ACCEPT", None)
        onward = (strand.way,) if passing else ()
        why = "" if policy is not None else "the line that says the policy could not be read"
        self._step(base, base, 0, None, strand, outcome, onward, tuple(ends), why)
        return [self._accepted(base, strand, decider)] if passing else []

    def _crossed(self, base: ChainKey, onward: ChainKey | None, strands: list[Strand]) -> list[Strand]:
        """The strands as the next base chain sees them; at the end of the path as they are."""
        if onward is None:
            return strands
        found = []
        for strand in strands:
            there = self.flow.crossed(base, onward, strand.state)
            acted = strand.state.acted()
            if acted is not None and self.walker.describes_behind(base):
                packets = image(strand.packets, acted)
                strand = replace(strand, packets=packets, moved=acted, came=strand.packets)
            found.append(replace(strand, state=there))
        return self._joined(found, 0)

    # -- chains ------------------------------------------------------------------------------------------

    def _called(self, base: ChainKey, strands: list[Strand], accepted: list[Strand]) -> list[Strand]:
        """Goes through a base chain and all that it calls; what comes back from it meets the policy."""
        stack = [_Call(self.side.ruleset.chains[base], 0, strands)]
        while True:
            call = stack[-1]
            if call.alive and call.at < len(call.chain.rules):
                rule = call.chain.rules[call.at]
                call.at += 1
                below = self._at(base, call, rule, accepted)
                if below is not None:
                    stack.append(below)
                continue
            stack.pop()
            back = self._joined([*call.alive, *call.returned], call.depth)
            if not stack:
                return back
            if call.goto:
                stack[-1].returned += back
            else:
                stack[-1].alive = self._joined([*stack[-1].alive, *back], stack[-1].depth)

    def _at(self, base: ChainKey, call: _Call, rule: Rule, accepted: list[Strand]) -> _Call | None:
        """One rule, for each of the strands; the chain that it calls, with those that go in."""
        self.visits += 1
        effect = effect_of(rule)
        plain = not isinstance(rule.target, Jump) and effect in PASSIVE
        entering: list[Strand] = []
        after: list[Strand] = []
        moved = False
        for strand in call.alive:
            meaning = self.walker.meaning(base, rule, self.half, strand.state)
            hit = strand.packets & meaning.may
            left = strand.packets - meaning.must if hit else strand.packets
            outcome = _outcome(hit, left)
            if not hit or plain:
                self._step(
                    base,
                    _key(call.chain),
                    call.depth,
                    rule,
                    strand,
                    outcome,
                    (strand.way,) * (1 + bool(hit and left)),
                )
                after.append(strand)
                continue
            moved = True
            taking = self._narrowed(strand, hit, new=bool(left))
            ends: list[End] = []
            if isinstance(rule.target, Jump):
                entering.append(taking)
                going = [taking]
            else:
                going = self._taken(base, call, rule, taking, accepted, ends)
                after += going
            onward = [each.way for each in going]
            if not going and effect not in _REFUSING:
                onward.append(taking.way)
            if left:
                after.append(replace(strand, packets=left))
                onward.append(strand.way)
            self._step(base, _key(call.chain), call.depth, rule, strand, outcome, tuple(onward), tuple(ends))
        call.alive = self._joined(after, call.depth) if moved else after
        if not entering or not isinstance(rule.target, Jump):
            return None
        callee = self.side.ruleset.chains[rule.table, rule.target.chain]
        if len(self.events) < self.most_events:
            return _Call(callee, call.depth + 1, self._joined(entering, call.depth + 1), rule.target.goto)
        back = [
            each for strand in entering for each in self._untold(base, callee, call.depth, strand, accepted)
        ]
        if rule.target.goto:
            call.returned += back
        else:
            call.alive = self._joined([*call.alive, *back], call.depth)
        return None

    def _taken(
        self,
        base: ChainKey,
        call: _Call,
        rule: Rule,
        strand: Strand,
        accepted: list[Strand],
        ends: list[End],
    ) -> list[Strand]:
        """What becomes of packets that match a rule which calls no chain: those that go on behind it."""
        effect, number = effect_of(rule), rule.number
        if effect in _REFUSING:
            ends.append(self._ended(strand, _REFUSING[effect], number))
            return []
        if effect is Effect.ACCEPT:
            accepted.append(self._accepted(base, strand, number))
            return []
        if effect is Effect.RETURN:
            call.returned.append(strand)
            return []
        if effect is Effect.PROXY:
            ends.append(self._ended(strand, Can.DIVERT, number))
            return [] if self.flow.first else [strand]
        if effect is Effect.MAY_DIVERT:
            ends.append(self._ended(strand, Can.DIVERT, number))
            accepted.append(self._accepted(base, strand, number))
            return []
        if effect is Effect.REWRITE:
            return self._rewritten(base, strand, number, accepted, ends)
        onward = self.flow.behind(base, rule, strand.state)
        changed = replace(strand, state=onward)
        if effect is Effect.UNKNOWN:
            ends.append(self._ended(strand, UNKNOWN, number))
            call.returned.append(replace(changed, way=self._way()))
            return [changed]
        assert isinstance(rule.target, TargetUse)
        if onward == strand.state or not rule.target.extension.marks_connection:
            return [changed]
        connected = strand.packets & self.walker.connected(strand.state)
        without = strand.packets - connected
        if not connected:
            return [strand]
        found = [replace(changed, packets=connected)]
        if without:
            found.append(self._narrowed(strand, without, new=True))
        return found

    def _rewritten(
        self, base: ChainKey, strand: Strand, number: int, accepted: list[Strand], ends: list[End]
    ) -> list[Strand]:
        """What becomes of packets that nat rewrites."""
        found = self.walker.rewritings[number]
        if found.forwards:
            ends.append(self._ended(strand, Can.DIVERT, number))
        elif found.rewrite is None:
            ends.append(self._ended(strand, UNKNOWN, number))
        if found.rewrite is not None:
            there = replace(strand, state=self.flow.rewritten(strand.state, found.rewrite))
            accepted.append(self._accepted(base, there, number))
        return []

    def _untold(
        self, base: ChainKey, callee: Chain, depth: int, strand: Strand, accepted: list[Strand]
    ) -> list[Strand]:
        """What a called chain does, taken from its summary: the packets that come back from it."""
        outcomes = self.walker.outcomes
        self.events.append(Untold(_key(callee), strand.way, depth + 1))
        summary = self.run.summaries[base, _key(callee)][self.walker.number(strand.state)]
        values = summary.values(strand.packets)
        ways = iter([strand.way])

        def going(states: Callable[[int], frozenset[int]]) -> Iterator[tuple[Strand, set[int]]]:
            for number in sorted({each for value in values for each in states(value)}):
                fitting = {value for value in values if number in states(value)}
                mine = summary.where(fitting.__contains__) & strand.packets
                state = self.walker.states[number]
                yield replace(strand, way=next(ways, 0) or self._way(), state=state, packets=mine), fitting

        back = [each for each, _ in going(outcomes.returns)]
        for each, fitting in going(outcomes.passes):
            accepted.append(self._accepted(base, each, *outcomes.deciders(fitting, Can.ACCEPT)))
        for can in (Can.DROP, Can.REJECT, Can.DIVERT):
            fitting = {value for value in values if outcomes.can[value] & can}
            if fitting:
                mine = replace(strand, packets=summary.where(fitting.__contains__) & strand.packets)
                self._ended(mine, can, *outcomes.deciders(fitting, can))
        unknown = {value: outcomes.unknowns(value) for value in values if outcomes.unknowns(value)}
        if unknown:
            mine = replace(strand, packets=summary.where(unknown.__contains__) & strand.packets)
            self._ended(mine, UNKNOWN, *(each for causes in unknown.values() for each in causes))
        return back

    # -- strands -----------------------------------------------------------------------------------------

    def _narrowed(self, strand: Strand, packets: PacketSet, *, new: bool) -> Strand:
        """A part of a strand's packets, on a way of its own where others go on the strand's."""
        return replace(strand, packets=packets, way=self._way() if new else strand.way)

    def _accepted(self, base: ChainKey, strand: Strand, *deciders: int) -> Strand:
        """The strand behind an accept; remembered is who accepts in the filter table, else who did so last."""
        filtered = FILTER in self.walker.path
        if base == FILTER or not filtered:
            return replace(strand, deciders=frozenset(deciders))
        return strand

    def _ended(self, strand: Strand, can: Can, *deciders: int) -> End:
        end = End(strand.way, can, frozenset(deciders), strand.on_wire)
        self.ends.append(end)
        return end

    def _joined(self, strands: list[Strand], depth: int) -> list[Strand]:
        """The strands with those drawn together that are the same from here on, or are too many."""
        if len(strands) < 2:
            return strands
        found: dict[tuple[object, ...], Strand] = {}
        for strand in strands:
            self._add(found, strand.place, strand, depth, equal=True)
        if len(found) <= MOST_WAYS:
            return sorted(found.values(), key=lambda strand: strand.way)
        fewer: dict[tuple[object, ...], Strand] = {}
        for strand in found.values():
            self._add(fewer, (strand.state, strand.moved), strand, depth, equal=False)
        return sorted(fewer.values(), key=lambda strand: strand.way)

    def _add(
        self,
        found: dict[tuple[object, ...], Strand],
        key: tuple[object, ...],
        strand: Strand,
        depth: int,
        *,
        equal: bool,
    ) -> None:
        known = found.get(key)
        if known is None:
            found[key] = strand
            return
        keeps, goes = (known, strand) if known.way < strand.way else (strand, known)
        came = None if known.came is None or strand.came is None else known.came | strand.came
        found[key] = replace(
            keeps,
            packets=known.packets | strand.packets,
            came=came,
            deciders=known.deciders | strand.deciders,
        )
        if keeps.way != goes.way:
            self.events.append(Joined(goes.way, keeps.way, equal, depth))

    def _step(
        self,
        base: ChainKey,
        chain: ChainKey,
        depth: int,
        rule: Rule | None,
        strand: Strand,
        outcome: Outcome,
        onward: tuple[int, ...] = (),
        ends: tuple[End, ...] = (),
        why: str = "",
    ) -> None:
        self.events.append(Step(base, chain, depth, self.visits, rule, strand, outcome, onward, ends, why))


def _key(chain: Chain) -> ChainKey:
    return chain.table, chain.name


def _outcome(hit: PacketSet, left: PacketSet) -> Outcome:
    if not hit:
        return Outcome.NOT_MATCHED
    return Outcome.UNDECIDED if left else Outcome.MATCHED
