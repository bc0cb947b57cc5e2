"""Walk states: what a packet carries through the chains beside its header, and which states can occur where.

A state is tracking, the packet's mark, its connection's mark, and what nat made of its destination. Chains are
summarised once for each state in which they can be entered. To keep those few, bits of marks that no rule tests any
more are left out; beyond ``MOST_MARKS`` they become undecided, beyond ``MOST_REWRITES`` what nat did.

Sources: net/netfilter/xt_connmark.c (without a connection nothing matches and nothing is changed), nf_nat_core.c
(nat is asked for a connection's first packet, later ones follow), nf_conntrack_core.c (a new connection's mark is 0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ipt2np.packets import AddressSet
from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import Effect
from ipt2np.rules.marks import FULL, UNKNOWN, ZERO, Bits, Marks
from ipt2np.rules.meaning import View
from ipt2np.rules.model import Jump, Rule, Ruleset, TargetUse

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
NAT_HOOK: ChainKey = ("nat", "PREROUTING")

CHANGING = (Effect.UNTRACK, Effect.CLAIM, Effect.MARK, Effect.UNKNOWN, Effect.REWRITE)
"""Effects that may change what a packet carries."""
MOST_MARKS = 16
"""Different marks, the packet's and the connection's together, in one half; above it further ones are undecided."""
MOST_TRACED = 4
"""Different destinations of nat that rules behind it may tell from others; above it such rules are undecided."""
MOST_REWRITES = 24
"""Different destinations that nat may give to packets; above it further ones are undecided."""


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What nat makes of a packet's destination: the ports and addresses that it can have behind it."""

    rule: int
    """The first rule that rewrites like this."""
    ports: Range | None
    """None where the port stays."""
    addresses: AddressSet | None
    """None where nothing is known but that the address is the host's own."""
    moves: bool = True
    """False where the address stays."""


class State(NamedTuple):
    """What a packet carries beside its header."""

    tracked: bool = True
    packet: Bits = ZERO
    connection: Bits = ZERO
    nat: Rewrite | None = None
    pending: Rewrite | None = None
    """What nat did to the connection's first packet, until this one has passed the hook where nat acts."""
    claimed: bool = False
    """True in raw behind a CT target, which settles how conntrack treats the packet."""

    @property
    def marks(self) -> Marks:
        """The two marks together."""
        return Marks(self.packet, self.connection)

    def acted(self) -> Rewrite | None:
        """What nat has made of the packet once it has passed the hook."""
        return self.pending or self.nat

    def untracked(self) -> State:
        """Behind a rule that keeps conntrack from the packet."""
        return State(False, self.packet)


def effect_of(rule: Rule) -> Effect:
    """What the rule's target does; a rule without one only counts."""
    if rule.target is None or isinstance(rule.target, Jump):
        return Effect.CONTINUE
    return rule.target.effect


def changes_mark_in_passing(rule: Rule) -> bool:
    """True where one of the rule's matches may change the packet's mark, whatever becomes of the packet."""
    return any(use.extension.changes_mark(use.clauses) for use in rule.matches)


class Relevance(NamedTuple):
    """Bits of the two marks that some rule still tests."""

    packet: int = 0
    connection: int = 0

    def __or__(self, other: Relevance) -> Relevance:
        return Relevance(self.packet | other.packet, self.connection | other.connection)


def tested(rule: Rule, view: View) -> Relevance:
    """The bits of marks that a rule's matches test."""
    found = Relevance()
    for use in rule.matches:
        found |= Relevance(*use.extension.tested_marks(use.clauses, view))
    return found


def _sources(rules: Iterable[Rule], wanted: Relevance) -> Relevance:
    """The bits that must be known for the bits of ``wanted`` to be known behind rules that copy marks."""
    copying = [
        rule.target
        for rule in rules
        if isinstance(rule.target, TargetUse) and rule.target.effect is Effect.MARK
    ]
    while True:
        found = wanted
        for target in copying:
            found |= Relevance(*target.extension.copied_marks(target.clauses, found))
        if found == wanted:
            return found
        wanted = found


@dataclass
class Flow:
    """Which states can occur in which chain, found by following rules without asking which packets go where.

    Only a rule that no packet at all matches in a state (``may_match``) is passed by.
    """

    ruleset: Ruleset
    path: tuple[ChainKey, ...]
    below: Mapping[ChainKey, tuple[ChainKey, ...]]
    """The chains that a base chain reaches, itself included."""
    rewrites: Mapping[int, Rewrite | None]
    """What nat makes of a packet at a rule that rewrites, if it stays on the host."""
    view: View
    may_match: Callable[[ChainKey, Rule, State], bool]
    first: bool
    """True for the packets that open connections, which alone nat is asked for."""
    traced: bool
    """True where states behind nat know what it did; else one state stands for all, and packets for what nat made."""
    inside: dict[tuple[ChainKey, ChainKey], dict[State, None]] = field(default_factory=dict)
    """The states that occur in a chain below a base chain, in the order in which they were found."""
    entering: dict[ChainKey, dict[State, None]] = field(default_factory=dict)
    """The states in which packets come to a base chain."""
    relevant: dict[ChainKey, Relevance] = field(default_factory=dict)
    """The bits of marks that matter from a base chain on."""
    _marks: dict[Marks, None] = field(default_factory=dict)
    _known: dict[tuple[ChainKey, ChainKey, State], tuple[frozenset[State], frozenset[State]]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        rules = {
            base: [rule for key in self.below[base] for rule in self.ruleset.chains[key].rules]
            for base in self.path
        }
        tests = {base: _together(tested(rule, self.view) for rule in rules[base]) for base in self.path}
        every = [rule for base in self.path for rule in rules[base]]
        connection = _sources(every, _together(tests.values())).connection
        behind: list[Rule] = []
        needed = Relevance(0, connection)
        for base in reversed(self.path):
            behind += rules[base]
            needed |= tests[base]
            self.relevant[base] = _sources(behind, needed)

    def asks(self, base: ChainKey) -> bool:
        """True where the packets are led through the base chain at all."""
        return self.first or base[0] != "nat"

    def at(self, base: ChainKey | None, state: State) -> State:
        """A state without what does not matter from ``base`` on; all is kept at the end of the path (None)."""
        if base is None:
            return state
        packet, connection = self.relevant[base]
        return state._replace(
            claimed=state.claimed and base[0] == "raw",
            packet=Bits(state.packet.value & packet, state.packet.known | FULL & ~packet),
            connection=Bits(state.connection.value & connection, state.connection.known | FULL & ~connection),
        )

    def admitted(self, state: State) -> State:
        """The state, or beyond the bound the one with undecided marks in its place."""
        if state.marks not in self._marks:
            if len(self._marks) >= MOST_MARKS:
                return state._replace(packet=UNKNOWN, connection=UNKNOWN if state.tracked else ZERO)
            self._marks[state.marks] = None
        return state

    def follow(self, starts: Iterable[State]) -> tuple[State, ...]:
        """Follows packets that begin the path in the states ``starts``; the states in which they can end it."""
        alive = dict.fromkeys(self.begins(state) for state in starts)
        for position, base in enumerate(self.path):
            onward = self.path[position + 1] if position + 1 < len(self.path) else None
            self.entering.setdefault(base, {}).update(alive)
            alive = {
                self.crossed(base, onward, passed): None
                for state in alive
                for passed in self.passed(base, state)
            }
        return tuple(alive)

    def begins(self, state: State) -> State:
        """A state at the beginning of the path."""
        return self.admitted(self.at(self.path[0], state)) if self.path else state

    def crossed(self, base: ChainKey, onward: ChainKey | None, state: State) -> State:
        """A state behind ``base`` as the next base chain, or the end of the path, sees it."""
        if base == NAT_HOOK:
            state = state._replace(nat=state.acted(), pending=None)
            if not self.traced:
                state = state._replace(nat=None)
        return self.admitted(self.at(onward, state))

    def passed(self, base: ChainKey, state: State) -> tuple[State, ...]:
        """The states in which packets that enter a base chain can pass it; what returns meets its policy."""
        if not self.asks(base):
            return (state,)
        returned, accepted = self._through(base, state)
        return tuple(dict.fromkeys((state, *sorted(returned | accepted, key=repr))))

    def _through(self, base: ChainKey, state: State) -> tuple[frozenset[State], frozenset[State]]:
        """The states in which packets can come back from a base chain, and those in which it can accept them."""
        stack = [(base, state)]
        while stack:
            key, entered = stack[-1]
            missing = [] if (base, key, entered) in self._known else self._scan(base, key, entered)
            if missing:
                stack += missing
            else:
                stack.pop()
        return self._known[base, base, state]

    def _scan(self, base: ChainKey, key: ChainKey, state: State) -> list[tuple[ChainKey, State]]:
        """Goes through one chain, or says which chains below it are to be gone through first."""
        alive = {state: None}
        returned: dict[State, None] = {}
        accepted: dict[State, None] = {}
        for rule in self.ruleset.chains[key].rules:
            effect = effect_of(rule)
            if isinstance(rule.target, Jump):
                callee = (key[0], rule.target.chain)
                taken = [each for each in alive if self.may_match(base, rule, each)]
                missing = [(callee, each) for each in taken if (base, callee, each) not in self._known]
                if missing:
                    return missing
                for each in taken:
                    back, through = self._known[base, callee, each]
                    accepted |= dict.fromkeys(through)
                    (returned if rule.target.goto else alive).update(dict.fromkeys(back))
            elif effect in (Effect.ACCEPT, Effect.MAY_DIVERT):
                accepted |= alive
            elif effect in CHANGING:
                for each in [each for each in alive if self.may_match(base, rule, each)]:
                    if effect is Effect.REWRITE:
                        rewrite = self.rewrites[rule.number]
                        accepted |= {self.rewritten(each, rewrite): None} if rewrite else {}
                    else:
                        alive[self.behind(base, rule, each)] = None
        self.inside.setdefault((base, key), {}).update(alive)
        self._known[base, key, state] = (frozenset(alive) | frozenset(returned), frozenset(accepted))
        return []

    def behind(self, base: ChainKey, rule: Rule, state: State) -> State:
        """The state in which a packet goes on behind a rule that changes it, where the packet has a connection."""
        assert isinstance(rule.target, TargetUse)
        effect, target = rule.target.effect, rule.target.extension
        if effect is Effect.UNTRACK:
            changed = state if state.claimed else state.untracked()
        elif effect is Effect.CLAIM:
            changed = state._replace(claimed=state.tracked)
        elif effect is Effect.UNKNOWN:
            changed = state._replace(packet=UNKNOWN, connection=UNKNOWN if state.tracked else ZERO)
        elif not target.marks_connection:
            changed = state._replace(packet=target.remarked(rule.target.clauses, state.marks).packet)
        elif state.tracked and rule.table != "raw":
            marks = target.remarked(rule.target.clauses, state.marks)
            changed = state._replace(packet=marks.packet, connection=marks.connection)
        else:
            return state
        return self.admitted(self.at(base, changed))

    def rewritten(self, state: State, rewrite: Rewrite) -> State:
        """The state behind a rule that rewrites; nat acts on tracked packets only."""
        return self.admitted(state._replace(nat=rewrite)) if state.tracked else state


def _together(parts: Iterable[Relevance]) -> Relevance:
    """All bits of all parts."""
    found = Relevance()
    for part in parts:
        found |= part
    return found
