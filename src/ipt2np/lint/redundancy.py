"""Rules that change nothing: without them every packet meets the same end.

A table is folded from its last rules to its first ones into a map from packets to *fates*: the set of ends that a packet
can come to. An end is a target with its options; where a rule matches by chance there are several. What a packet does on
its way beside that, marks that it gets, lists that it is written to, is part of its fate as well; what is logged or
counted is not.

A rule is redundant where every packet that it may take would come to the same end behind it, and to no other. Rules are
judged from the last one of a chain to the first, each as if those found before were gone already, so that all of them can
be removed together. Dead rules may stay or go: a rule counts as redundant only if that makes no difference. Since a
chain may be called more than once, the whole table is folded again without the rules that were found, and those that
change it after all are left out.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ipt2np.lint.reach import TAKING, Reach
from ipt2np.packets import PacketMap, PacketSet
from ipt2np.rules.extension import Effect
from ipt2np.rules.model import BUILTIN_CHAINS, Chain, Jump, Rule, TargetUse
from ipt2np.semantics.states import effect_of

REMEMBERING = ("recent", "hashlimit", "limit", "quota", "statistic", "connlimit", "rateest", "nfacct")
"""Matches that remember the packets that they were asked about."""
SHARED_MEMORY = ("recent", "hashlimit", "rateest", "nfacct")
"""Those of them whose memory other rules may ask for as well."""
MOST_CONTEXTS = 8
"""So many different continuations behind a chain at most; beyond, its rules are not judged."""
MOST_DEAD = 200
"""Of so many dead rules at most each is asked for what it would take; beyond, a rule that shares packets with a dead one
that ends otherwise is not called redundant."""
MOST_FOLDED = 400_000
"""So many rules at most are folded to find out which of the found rules change the whole after all."""

MOST_NODES = 2_000_000
"""So many nodes at most the maps of a table may need; beyond, no rule of it is called redundant."""

End = Hashable
RETURN: End = "return"
"""Back to the caller."""


class _TooLarge(Exception):
    """The maps of a table need more than ``MOST_NODES``."""


@dataclass
class Fates:
    """Sets of ends as numbers."""

    _numbers: dict[frozenset[End], int] = field(default_factory=dict)
    _sets: list[frozenset[End]] = field(default_factory=list)

    def number(self, ends: Iterable[End]) -> int:
        """The number of a set of ends."""
        key = frozenset(ends)
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self._sets)
            self._sets.append(key)
        return found

    def ends(self, number: int) -> frozenset[End]:
        """The set of ends that a number stands for."""
        return self._sets[number]

    def either(self, one: int, other: int) -> int:
        """Any of the ends of both."""
        return one if one == other else self.number(self.ends(one) | self.ends(other))

    def then(self, first: int, rest: int) -> int:
        """``first``, and ``rest`` where it returns."""
        ends = self.ends(first)
        return self.number((ends - {RETURN}) | self.ends(rest)) if RETURN in ends else first

    def beside(self, number: int, deed: End) -> int:
        """The same with something that happens on the way."""
        return self.number(self.ends(number) | {deed})


@dataclass(frozen=True)
class _Context:
    """How packets come to a chain, and what becomes of those that come back."""

    packets: PacketSet
    behind: PacketMap


@dataclass(frozen=True)
class Folding:
    """Folds a table's chains; ``dead`` are the rules that no packet gets to, and that may as well take some."""

    reach: Reach
    dead: frozenset[int]
    absent: frozenset[int] = frozenset()
    """Rules that are left out."""
    fates: Fates = field(default_factory=Fates)
    most: int = MOST_NODES
    """The number of nodes in the diagram from which on it is given up."""

    def summaries(self, gone: Collection[int] = ()) -> dict[str, PacketMap]:
        """Each chain's map from packets to fates, without the rules ``gone``; what comes back is ``RETURN``."""
        found: dict[str, PacketMap] = {}
        back = self.reach.universe.space.constant(self.fates.number([RETURN]))
        for name in reversed(self.reach.order):
            if name not in BUILTIN_CHAINS[self.reach.table]:
                found[name] = self.folded(name, back, back, gone, found)
        return found

    def folded(
        self,
        name: str,
        behind: PacketMap,
        back: PacketMap,
        gone: Collection[int],
        summaries: dict[str, PacketMap],
    ) -> PacketMap:
        """Fates of packets that come to a chain: ``behind`` those that come to its end, ``back`` those that return."""
        block = Block(self, behind)
        for rule in reversed(self.reach.chains[name].rules):
            if rule.number not in gone and rule.number not in self.absent:
                block.add(rule, back, summaries)
        return block.closed()

    def whole(self, gone: Collection[int] = ()) -> list[PacketMap]:
        """What becomes of the packets of every built-in chain."""
        summaries = self.summaries(gone)
        result = []
        for name in self._bases():
            policy = self.policy(self.reach.chains[name])
            closed = self.folded(name, policy, policy, gone, summaries)
            result.append(closed.within(self.reach.universe.entering(name), 0))
        return result

    def _bases(self) -> Iterator[str]:
        return (name for name in self.reach.order if name in BUILTIN_CHAINS[self.reach.table])

    def policy(self, chain: Chain) -> PacketMap:
        """What a built-in chain makes of packets that come to its end."""
        policies = ("ACCEPT", "DROP") if chain.policy is None else (chain.policy,)
        return self.reach.universe.space.constant(self.fates.number([(each, (), "") for each in policies]))

    def end(self, rule: Rule) -> int:
        """The fate of packets that a rule with a deciding target takes."""
        assert isinstance(rule.target, TargetUse)
        return self.fates.number([(rule.target.extension.name, rule.target.clauses, rule.target.text)])

    def before(
        self, rule: Rule, behind: PacketMap, back: PacketMap, summaries: dict[str, PacketMap]
    ) -> PacketMap:
        """Fates of packets that come to ``rule``: ``behind`` are those behind it, ``back`` those of packets that return."""
        bounds = self.reach.bounds[rule.number]
        must = self.reach.universe.space.nothing if rule.number in self.dead else bounds.must
        fates, space, deeds = self.fates, self.reach.universe.space, _deeds(rule)
        taken = self._taken(rule, behind, back, summaries, bounds.may)
        if taken.node == behind.node and not deeds:
            return behind
        doubt = bounds.may - must
        if doubt:
            one, other = taken.within(doubt, 0), behind.within(doubt, 0)
            taken = taken.over(must, space.combine(lambda v: fates.either(v[0], v[1]), one, other))
        result = taken.over(bounds.may, behind)
        for deed in deeds:
            result = result.revised(bounds.may, lambda value, deed=deed: fates.beside(value, deed))  # type: ignore[misc]
        return result

    def _taken(
        self,
        rule: Rule,
        behind: PacketMap,
        back: PacketMap,
        summaries: dict[str, PacketMap],
        region: PacketSet,
    ) -> PacketMap:
        """Fates of packets that match a rule."""
        fates, space, effect = self.fates, self.reach.universe.space, effect_of(rule)
        if isinstance(rule.target, Jump):
            called = summaries[rule.target.chain].within(region, fates.number([RETURN]))
            onward = (back if rule.target.goto else behind).within(region, 0)
            return space.combine(lambda v: fates.then(v[0], v[1]), called, onward)
        if effect is Effect.RETURN:
            return back
        if effect in TAKING:
            return space.constant(self.end(rule))
        if effect is Effect.PROXY:
            ends = self.end(rule)
            return behind.revised(region, lambda value: fates.either(value, ends))
        return behind


@dataclass
class Block:
    """A chain folded up to some rule. Rules that follow each other and send packets to one end are folded at once."""

    folding: Folding
    behind: PacketMap
    """Fates behind the rules of the block."""
    end: int | None = None
    taken: PacketSet | None = None
    """What the rules of the block take, all to the same end."""

    def add(self, rule: Rule, back: PacketMap, summaries: dict[str, PacketMap]) -> None:
        """Puts a rule in front."""
        if len(self.folding.reach.universe.space.diagram.level) > self.folding.most:
            raise _TooLarge
        folding, bounds = self.folding, self.folding.reach.bounds[rule.number]
        plain = effect_of(rule) in TAKING and effect_of(rule) is not Effect.RETURN
        if plain and rule.number not in folding.dead and bounds.may == bounds.must and not any(_deeds(rule)):
            end = folding.end(rule)
            if end == self.end and self.taken is not None:
                self.taken |= bounds.must
            else:
                self.closed()
                self.end, self.taken = end, bounds.must
            return
        self.behind = folding.before(rule, self.closed(), back, summaries)

    def closed(self) -> PacketMap:
        """The fates of all packets."""
        if self.taken is not None and self.end is not None:
            space = self.folding.reach.universe.space
            self.behind = space.constant(self.end).over(self.taken, self.behind)
            self.end = self.taken = None
        return self.behind

    def ends(self, packets: PacketSet) -> set[int]:
        """The fates of some packets."""
        if self.taken is None or self.end is None:
            return self.behind.values(packets)
        rest = packets - self.taken
        found = self.behind.values(rest) if rest else set()
        return found | {self.end} if packets.meets(self.taken) else found


def _deeds(rule: Rule) -> Iterator[End]:
    """What a rule does to packets, or remembers of them, beside sending them somewhere."""
    effect = effect_of(rule)
    silent = rule.target is None or effect is Effect.LOG
    memory = SHARED_MEMORY if silent else REMEMBERING
    if any(use.extension.name in memory for use in rule.matches):
        yield ("asks", rule.number)
    if isinstance(rule.target, TargetUse) and effect not in TAKING and effect is not Effect.LOG:
        yield ("does", rule.number)


def redundant_rules(reach: Reach, dead: frozenset[int]) -> tuple[Rule, ...]:
    """Rules of a table that can all be removed at once without changing what becomes of any packet.

    None where a rule's target is not known: it may change packets, and nobody can say what becomes of them then. None
    either where that takes maps that are too large.
    """
    if any(effect_of(rule) is Effect.UNKNOWN for name in reach.order for rule in reach.chains[name].rules):
        return ()
    most = len(reach.universe.space.diagram.level) + MOST_NODES
    few = len(dead) <= MOST_DEAD
    folding = Folding(reach, dead if few else frozenset(), frozenset() if few else dead, most=most)
    try:
        return _redundant(folding, dead)
    except _TooLarge:
        return ()


def called_chains(reach: Reach) -> tuple[Folding, Mapping[str, PacketMap]] | None:
    """What each user chain would make of packets if they came to it; None where that takes maps that are too large.

    Rules that no packet reaches count: of a chain that a blocked jump alone calls they all are such rules.
    """
    most = len(reach.universe.space.diagram.level) + MOST_NODES
    folding = Folding(reach, frozenset(), frozenset(), most=most)
    try:
        return folding, folding.summaries()
    except _TooLarge:
        return None


def _redundant(folding: Folding, dead: frozenset[int]) -> tuple[Rule, ...]:
    reach = folding.reach
    kept: dict[int, Rule] = {}
    budget = MOST_FOLDED
    original: list[PacketMap] | None = None
    while budget > 0:
        found = [rule for rule in _Search(folding, dead, kept).found() if rule.number not in kept]
        before = len(kept)
        for group in _groups(found):
            group = [rule for rule in group if rule.number not in kept]
            if not group or budget < 0:
                continue
            original = original or folding.whole()
            budget -= len(reach.bounds)
            if folding.whole({*kept, *(rule.number for rule in group)}) == original:
                kept |= {rule.number: rule for rule in group}
        # A rule of a chain that is called may have stood between two others that do the same.
        if len(kept) == before or all(rule.chain in BUILTIN_CHAINS[reach.table] for rule in found):
            break
        budget -= len(reach.bounds)
    return tuple(kept[number] for number in sorted(kept))


def _groups(found: list[Rule]) -> list[list[Rule]]:
    """What to try to remove: everything, then chain by chain, then one rule after another."""
    chains: dict[str, list[Rule]] = {}
    for rule in found:
        chains.setdefault(rule.chain, []).append(rule)
    return [found, *chains.values(), *([rule] for rule in reversed(found))]


@dataclass
class _Search:
    """Looks for redundant rules chain by chain, callers first."""

    folding: Folding
    dead: frozenset[int]
    gone: Collection[int] = ()
    """Rules that were found before."""
    contexts: dict[str, list[_Context]] = field(default_factory=dict)
    crowded: set[str] = field(default_factory=set)
    """Chains with too many contexts."""
    otherwise: dict[int | None, PacketSet] = field(default_factory=dict)

    def found(self) -> list[Rule]:
        """Rules that change nothing in their chain, whichever way packets come to it."""
        folding, reach = self.folding, self.folding.reach
        summaries = folding.summaries(self.gone)
        found: list[Rule] = []
        for name in reach.order:
            chain = reach.chains[name]
            if name in BUILTIN_CHAINS[reach.table]:
                self._enter(name, _Context(reach.enters[name], folding.policy(chain)))
            contexts = self.contexts.pop(name, [])
            blocks = [Block(folding, context.behind) for context in contexts]
            for rule in reversed(chain.rules):
                if rule.number in self.gone or rule.number in folding.absent:
                    continue
                if name not in self.crowded and self._changes_nothing(rule, contexts, blocks):
                    found.append(rule)
                    continue
                if isinstance(rule.target, Jump):
                    self._send(rule, contexts, [block.closed() for block in blocks], name in self.crowded)
                for context, block in zip(contexts, blocks, strict=True):
                    block.add(rule, context.behind, summaries)
        return found

    def _changes_nothing(self, rule: Rule, contexts: list[_Context], blocks: list[Block]) -> bool:
        """True where all packets that the rule may take would come to the same certain end without it."""
        folding, reach = self.folding, self.folding.reach
        if effect_of(rule) not in TAKING or rule.number in self.dead:
            return False
        if any(use.extension.name in SHARED_MEMORY for use in rule.matches):
            return False
        hit = reach.alive[rule.number] & reach.bounds[rule.number].may
        for context, block in zip(contexts, blocks, strict=True):
            here = hit & context.packets
            if not here:
                continue
            if effect_of(rule) is not Effect.RETURN:
                if block.ends(here) != {folding.end(rule)}:
                    return False
                continue
            after = block.closed()
            certain = all(len(folding.fates.ends(value)) == 1 for value in after.values(here))
            if not certain or after.within(here, 0) != context.behind.within(here, 0):
                return False
        return not folding.absent or not hit.meets(self._elsewhere(rule))

    def _elsewhere(self, rule: Rule) -> PacketSet:
        """What dead rules that are left out would send to another end than ``rule`` does."""
        end = None if effect_of(rule) is Effect.RETURN else self.folding.end(rule)
        if end not in self.otherwise:
            reach = self.folding.reach
            found = reach.universe.space.nothing
            for name in reach.order:
                for other in reach.chains[name].rules:
                    same = effect_of(other) in TAKING and effect_of(other) is not Effect.RETURN
                    if other.number in self.dead and not (same and self.folding.end(other) == end):
                        found |= reach.bounds[other.number].may
            self.otherwise[end] = found
        return self.otherwise[end]

    def _send(self, rule: Rule, contexts: list[_Context], behind: list[PacketMap], crowded: bool) -> None:
        """Packets go to the chain that a rule calls, and come back to what is behind the rule."""
        assert isinstance(rule.target, Jump)
        reach, callee = self.folding.reach, rule.target.chain
        if crowded:
            self.crowded.add(callee)
        hit = reach.alive[rule.number] & reach.bounds[rule.number].may
        for context, after in zip(contexts, behind, strict=True):
            here = hit & context.packets
            if here:
                self._enter(callee, _Context(here, context.behind if rule.target.goto else after))

    def _enter(self, chain: str, new: _Context) -> None:
        """One more context, as a part of another where the two agree on the packets that they share."""
        contexts = self.contexts.setdefault(chain, [])
        for place, known in enumerate(contexts):
            shared = known.packets & new.packets
            if not shared or known.behind.within(shared, 0) == new.behind.within(shared, 0):
                contexts[place] = _Context(
                    known.packets | new.packets, known.behind.over(known.packets, new.behind)
                )
                return
        if len(contexts) >= MOST_CONTEXTS:
            self.crowded.add(chain)
        else:
            contexts.append(new)
