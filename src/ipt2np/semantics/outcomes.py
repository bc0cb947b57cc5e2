"""Outcomes: what can become of a packet, and which rules say so.

An outcome is a small integer, the value of a packet map, interned in an ``Outcomes`` table. It knows what it
*can* be (accept, drop, reject, divert: more than one where something is undecided), into which walk states
the packet may return to a calling chain, and, as a shared tree, the rules that decided and those whose
undecided match forked the way. Parts always have smaller numbers than the whole, so trees are walked by
number, without recursion, however long a ruleset is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from enum import IntEnum, IntFlag

from ipt2np.semantics.functions import FALSE, TRUE, Functions, TooManySteps


class Can(IntFlag):
    """What can become of a packet."""

    NOTHING = 0
    ACCEPT = 1
    DROP = 2
    REJECT = 4
    DIVERT = 8
    DENY = DROP | REJECT
    REFUSE = DROP | REJECT | DIVERT


class _Kind(IntEnum):
    IMPOSSIBLE = 0
    """No such packet."""
    ACCEPT = 1
    DENY = 2
    DIVERT = 3
    UNKNOWN = 4
    RETURN = 5
    EITHER = 6
    """One of two outcomes; its cause says which rule or fact leaves it open."""
    VIA = 7
    """An accept of one hook, then the outcome of the hooks behind it."""
    BOTH = 8
    """The first packet's outcome and the later packets'."""


IMPOSSIBLE = 0
INTERFACE = -1
"""The cause of a fork that the input interface would settle."""
ADDRESS = -2
"""The cause of a fork that the host's own address would settle."""

CONNTRACK = -3
"""The cause of a fork that knowing whether the kernel tracks connections would settle."""

WAYS = -4
"""The cause of a fork between wire ports that nat leads to the same local port."""

_PROJECTIONS = (INTERFACE, ADDRESS, WAYS)
"""Causes that stand for a field that was left out: which part belongs to which of its values is not kept."""


class Asked(IntEnum):
    """What a fork's cause was asked, so that the answers lead to its parts."""

    MATCH = 0
    """Whether the rule's matches hold, or the fact that the cause stands for: the first part where it is so."""
    TARGET = 1
    """What the rule's target does."""
    TARGET_AGAIN = 2
    """The same, of what is left."""
    VARIOUS = 3
    """Nothing that one answer would settle."""


Condition = Callable[[int, Asked, bool], tuple[Hashable, ...]]
"""Cause, what it was asked, and whether of later packets, to what must all be so; nothing where that cannot be said."""

_CAN = {_Kind.ACCEPT: Can.ACCEPT, _Kind.DIVERT: Can.DIVERT, _Kind.UNKNOWN: Can.ACCEPT | Can.DROP | Can.DIVERT}


class Outcomes:
    """The table of outcomes of one conversion.

    Deciders are numbers: a rule's own, or that of a built-in policy. States are numbers of walk states.
    With ``keeping``, forks keep all their causes and which part is which, as ``functions`` needs it.
    """

    def __init__(self, *, keeping: bool = False) -> None:
        self.keeping = keeping
        self._asked: dict[int, Asked] = {}
        """What the causes of kept forks were asked."""
        self._kind: list[_Kind] = [_Kind.IMPOSSIBLE]
        self._parts: list[tuple[int, int, int]] = [(0, 0, 0)]
        """Decider, state and nothing for a leaf; cause and two parts for EITHER; decider and part for VIA."""
        self.can: list[Can] = [Can.NOTHING]
        self._returns: list[frozenset[int]] = [frozenset()]
        self._passes: list[frozenset[int]] = [frozenset()]
        self._known: dict[tuple[_Kind, int, int, int], int] = {}

    def _intern(
        self, kind: _Kind, a: int, b: int, c: int, can: Can, returns: frozenset[int], passes: frozenset[int]
    ) -> int:
        key = (kind, a, b, c)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = len(self._kind)
            self._kind.append(kind)
            self._parts.append((a, b, c))
            self.can.append(can)
            self._returns.append(returns)
            self._passes.append(passes)
        return found

    def accept(self, decider: int, state: int) -> int:
        """Accepted by ``decider``, in walk state ``state``."""
        return self._intern(_Kind.ACCEPT, decider, state, 0, Can.ACCEPT, frozenset(), frozenset({state}))

    def deny(self, decider: int, how: Can) -> int:
        """Dropped or rejected by ``decider``."""
        return self._intern(_Kind.DENY, decider, int(how), 0, how, frozenset(), frozenset())

    def divert(self, decider: int) -> int:
        """Sent elsewhere by ``decider``."""
        return self._intern(_Kind.DIVERT, decider, 0, 0, Can.DIVERT, frozenset(), frozenset())

    def unknown(self, decider: int) -> int:
        """Accepted, dropped or diverted by ``decider``, nobody can say which."""
        return self._intern(_Kind.UNKNOWN, decider, 0, 0, _CAN[_Kind.UNKNOWN], frozenset(), frozenset())

    def returned(self, state: int) -> int:
        """Back to the calling chain in walk state ``state``."""
        return self._intern(_Kind.RETURN, state, 0, 0, Can.NOTHING, frozenset({state}), frozenset())

    def either(self, cause: int, x: int, y: int, asked: Asked = Asked.MATCH) -> int:
        """One of two; ``cause`` is the rule whose match is undecided, or INTERFACE or ADDRESS."""
        if x in (y, IMPOSSIBLE):
            return y
        if y == IMPOSSIBLE:
            return x
        kept = self.keeping and cause not in _PROJECTIONS
        if not kept:
            for whole, part in ((x, y), (y, x)):
                if self._kind[whole] is _Kind.EITHER and part in self._parts[whole][1:]:
                    return whole
            x, y = min(x, y), max(x, y)
        result = self._intern(
            _Kind.EITHER,
            cause,
            x,
            y,
            self.can[x] | self.can[y],
            self._returns[x] | self._returns[y],
            self._passes[x] | self._passes[y],
        )
        if kept and self._asked.setdefault(result, asked) is not asked:
            self._asked[result] = Asked.VARIOUS
        return result

    def via(self, decider: int, then: int) -> int:
        """Accepted by ``decider`` at one hook, then ``then`` at the hooks behind it."""
        return self._intern(
            _Kind.VIA, decider, then, 0, self.can[then], self._returns[then], self._passes[then]
        )

    def both(self, first: int, later: int) -> int:
        """A connection: accepted where its first and its later packets are."""
        if IMPOSSIBLE in (first, later) or not self.can[first] & Can.ACCEPT:
            return first
        # What is open may be settled otherwise for later packets.
        if first == later and (not self.keeping or self.only(first, Can.ACCEPT)):
            return first
        can = (self.can[first] | self.can[later]) & Can.REFUSE
        if self.can[first] & self.can[later] & Can.ACCEPT:
            can |= Can.ACCEPT
        return self._intern(_Kind.BOTH, first, later, 0, can, frozenset(), frozenset())

    def every(self, x: int, y: int) -> int:
        """Both of two: accepted where each of them is."""
        if IMPOSSIBLE in (x, y):
            return x or y
        refusing = next((outcome for outcome in (x, y) if not self.can[outcome] & Can.ACCEPT), None)
        return self.both(x, y) if refusing is None else refusing

    def returns(self, outcome: int) -> frozenset[int]:
        """The walk states in which the packet may come back to the calling chain."""
        return self._returns[outcome]

    def passes(self, outcome: int) -> frozenset[int]:
        """The walk states in which the packet may be accepted and go on to the next hook."""
        return self._passes[outcome]

    def _children(self, outcome: int) -> tuple[int, ...]:
        kind, (a, b, c) = self._kind[outcome], self._parts[outcome]
        if kind is _Kind.EITHER:
            return (b, c)
        if kind is _Kind.VIA:
            return (b,)
        return (a, b) if kind is _Kind.BOTH else ()

    def _tree(self, roots: Iterable[int], *, opening: bool = False) -> list[int]:
        """Every outcome that ``roots`` are made of, parts before wholes; ``opening`` leaves later packets out."""
        seen = set(roots)
        pending = list(seen)
        while pending:
            outcome = pending.pop()
            children = self._children(outcome)
            if opening and self._kind[outcome] is _Kind.BOTH:
                children = children[:1]
            for child in children:
                if child not in seen:
                    seen.add(child)
                    pending.append(child)
        return sorted(seen)

    def _rewritten(self, root: int, needs: Callable[[int], bool], leaf: Callable[[int], int]) -> int:
        if not needs(root):
            return root
        result: dict[int, int] = {}
        for outcome in self._tree([root]):
            kind, (a, b, c) = self._kind[outcome], self._parts[outcome]
            if not needs(outcome):
                result[outcome] = outcome
            elif kind is _Kind.EITHER:
                asked = self._asked.get(outcome, Asked.MATCH)
                result[outcome] = self.either(a, result[b], result[c], asked)
            elif kind is _Kind.VIA:
                result[outcome] = self.via(a, result[b])
            else:
                result[outcome] = leaf(outcome)
        return result[root]

    def then(self, outcome: int, states: tuple[int, ...], rest: tuple[int, ...]) -> int:
        """``outcome`` with each return in ``states[i]`` replaced by ``rest[i]``."""
        after = dict(zip(states, rest, strict=True))
        return self._rewritten(outcome, lambda o: bool(self._returns[o]), lambda o: after[self._parts[o][0]])

    def onward(
        self, outcome: int, states: tuple[int, ...], rest: tuple[int, ...], named: Callable[[int], bool]
    ) -> int:
        """``outcome`` of one hook with each accept in ``states[i]`` going on to ``rest[i]``.

        ``named`` tells the deciders that stay part of the story (rules do, policies of other tables don't).
        """
        after = dict(zip(states, rest, strict=True))

        def go_on(leaf: int) -> int:
            decider, state, _ = self._parts[leaf]
            return self.via(decider, after[state]) if named(decider) else after[state]

        return self._rewritten(outcome, lambda o: bool(self._passes[o]), go_on)

    def restated(self, outcome: int, renamed: Mapping[int, int]) -> int:
        """``outcome`` with each accept in a state of ``renamed`` in the other one."""

        def moved(leaf: int) -> int:
            decider, state, _ = self._parts[leaf]
            return self.accept(decider, renamed.get(state, state))

        return self._rewritten(outcome, lambda o: bool(self._passes[o]), moved)

    def deciders(self, outcomes: Iterable[int], what: Can) -> set[int]:
        """The deciders behind those parts of ``outcomes`` that can be ``what``.

        A connection is accepted by the rule that accepts its first packet; any packet's refusal refuses it.
        """
        found: set[int] = set()
        for outcome in self._tree(outcomes, opening=what is Can.ACCEPT):
            kind, (a, _, _) = self._kind[outcome], self._parts[outcome]
            if (
                kind in (_Kind.ACCEPT, _Kind.DENY, _Kind.DIVERT, _Kind.UNKNOWN, _Kind.VIA)
                and self.can[outcome] & what
            ):
                found.add(a)
        return found

    def way(self, outcome: int, what: Can) -> list[int]:
        """The deciders on one way to an outcome that can be ``what``: one a hook, the one with the last word last."""
        passed: list[int] = []
        while True:
            kind, (a, b, c) = self._kind[outcome], self._parts[outcome]
            if kind is _Kind.EITHER:
                outcome = b if self.can[b] & what else c
            elif kind is _Kind.VIA:
                passed.append(a)
                outcome = b
            elif kind is _Kind.BOTH:
                outcome = b if what & Can.REFUSE and self.can[a] is Can.ACCEPT else a
            else:
                return [*passed, a]

    def opening(self, outcome: int) -> Can:
        """What can become of the first packet of a connection, whatever becomes of the later ones."""
        found = Can.NOTHING
        for part in self._tree([outcome], opening=True):
            if self._kind[part] in (_Kind.ACCEPT, _Kind.DENY, _Kind.DIVERT, _Kind.UNKNOWN):
                found |= self.can[part]
        return found

    def unknowns(self, outcome: int) -> set[int]:
        """The deciders of which nobody can say what they did."""
        return {self._parts[part][0] for part in self._tree([outcome]) if self._kind[part] is _Kind.UNKNOWN}

    def fork(self, outcome: int) -> int:
        """The cause of the first fork of an outcome that has one."""
        return next(
            self._parts[part][0]
            for part in reversed(self._tree([outcome]))
            if self._kind[part] is _Kind.EITHER
        )

    def causes(self, outcomes: Iterable[int]) -> set[int]:
        """The causes of the forks that leave ``outcomes`` between accept and anything else."""
        found: set[int] = set()
        for outcome in self._tree(outcomes):
            kind, can = self._kind[outcome], self.can[outcome]
            if can & Can.ACCEPT and can & Can.REFUSE and kind in (_Kind.EITHER, _Kind.UNKNOWN):
                found.add(self._parts[outcome][0])
        return found

    def labelled(self, outcomes: Iterable[int], label_of: Callable[[int], str]) -> dict[int, frozenset[str]]:
        """For each outcome the labels of its causes (as in ``causes``): few labels for many rules."""
        found: dict[int, frozenset[str]] = {}
        for outcome in self._tree(outcomes):
            labels: frozenset[str] = frozenset()
            can = self.can[outcome]
            if can & Can.ACCEPT and can & Can.REFUSE:
                for child in self._children(outcome):
                    labels |= found[child]
                if self._kind[outcome] in (_Kind.EITHER, _Kind.UNKNOWN):
                    labels |= {label_of(self._parts[outcome][0])}
            found[outcome] = labels
        return found

    def functions(
        self, outcomes: Iterable[int], condition: Condition, known: Functions
    ) -> dict[int, int | None]:
        """Under which conditions each outcome is an accept: its number in ``known``, None where that cannot be said.

        The outcomes must be those of a table that keeps forks. Later packets have conditions of their own.
        """
        roots = [(outcome, False) for outcome in dict.fromkeys(outcomes)]
        needed = set(roots)
        pending = list(roots)
        while pending:
            outcome, later = pending.pop()
            kind = self._kind[outcome]
            for place, child in enumerate(self._children(outcome)):
                part = (child, later or (kind is _Kind.BOTH and place == 1))
                if part not in needed:
                    needed.add(part)
                    pending.append(part)
        # Rules at the top have the highest numbers: they get the first places in the order of conditions.
        ordered = sorted(needed)
        places = {each: self._condition(*each, condition, known) for each in reversed(ordered)}
        found: dict[tuple[int, bool], int | None] = {}
        for each in ordered:
            try:
                found[each] = self._function(*each, places[each], found, known)
            except TooManySteps:
                found[each] = None
        return {outcome: found[outcome, False] for outcome, _ in roots}

    def _condition(
        self, outcome: int, later: bool, condition: Condition, known: Functions
    ) -> tuple[int, ...]:
        """The places of what an outcome hangs on by itself; none where that cannot be said."""
        kind, cause = self._kind[outcome], self._parts[outcome][0]
        if kind is _Kind.UNKNOWN:
            asked = Asked.TARGET
        elif kind is _Kind.EITHER and cause not in _PROJECTIONS:
            asked = self._asked.get(outcome, Asked.VARIOUS)
        else:
            return ()
        named = () if asked is Asked.VARIOUS else condition(cause, asked, later)
        return tuple(known.place((kind, each, asked, later), later=later) for each in named)

    def _function(
        self,
        outcome: int,
        later: bool,
        places: tuple[int, ...],
        found: Mapping[tuple[int, bool], int | None],
        known: Functions,
    ) -> int | None:
        kind, (a, b, c) = self._kind[outcome], self._parts[outcome]
        if kind is _Kind.ACCEPT:
            return TRUE
        if kind in (_Kind.DENY, _Kind.DIVERT):
            return FALSE
        if kind is _Kind.UNKNOWN:
            return known.choice(places, TRUE, FALSE) if places else None
        if kind is _Kind.VIA:
            return found[b, later]
        if kind is _Kind.EITHER:
            yes, no = found[b, later], found[c, later]
            if yes is not None and yes == no:
                return yes
            return known.choice(places, yes, no) if places and yes is not None and no is not None else None
        if kind is _Kind.BOTH:
            first, rest = found[a, later], found[b, True]
            return None if first is None or rest is None else known.both(first, rest)
        return None

    def only(self, outcome: int, what: Can) -> bool:
        """True where the outcome is ``what`` and can be nothing else."""
        can = self.can[outcome]
        return bool(can) and not can & ~what
