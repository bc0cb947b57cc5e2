"""Which packets get as far as each rule of a table: every built-in chain entered by everything that can come there.

A user chain is entered by what its callers' rules may send to it. Two sets are kept for each chain: what *enters* it, and
what *could* enter it if no rule before a jump took a packet away: the conditions of the jumps alone. A rule that nothing
of the former can match is dead; where nothing of the latter can either, it contradicts itself or its callers.

A jump takes the packets that certainly do not come back from the chain that it calls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from ipt2np.lint.conditions import Bounds, Conditions
from ipt2np.lint.universe import Universe
from ipt2np.packets import PacketSet
from ipt2np.rules.extension import Effect
from ipt2np.rules.model import BUILTIN_CHAINS, Chain, Jump, Rule, Ruleset
from ipt2np.semantics.states import effect_of

TAKING = (
    Effect.ACCEPT,
    Effect.DROP,
    Effect.REJECT,
    Effect.RETURN,
    Effect.DIVERT,
    Effect.MAY_DIVERT,
    Effect.REWRITE,
)
"""Effects behind which a packet certainly meets no further rule of the chain."""


@dataclass(frozen=True)
class Reach:
    """A table's rules with the packets that arrive at each of them."""

    universe: Universe
    table: str
    chains: Mapping[str, Chain]
    order: tuple[str, ...]
    """The chains that are called from some built-in one, and those: callers before the chains that they call."""
    bounds: Mapping[int, Bounds]
    """Rule number to what the rule's matches hold for."""
    returning: Mapping[str, PacketSet]
    """Chain to the packets that may come back from it, of all packets."""
    could_enter: Mapping[str, PacketSet]
    enters: Mapping[str, PacketSet]
    alive: Mapping[int, PacketSet]
    """Rule number to the packets that may get as far as the rule."""

    def taken(self, rule: Rule) -> PacketSet:
        """Packets that meet no further rule of the chain once they have come to this rule."""
        return taken(rule, self.bounds[rule.number], self.returning)

    def dead(self, rule: Rule) -> bool:
        """True where no packet that the rule may match gets as far as it."""
        return not self.alive[rule.number].meets(self.bounds[rule.number].may)

    def contradicts(self, rule: Rule) -> bool:
        """True where no packet that can come to the rule's chain at all may match it."""
        return not self.could_enter[rule.chain].meets(self.bounds[rule.number].may)


def taken(rule: Rule, bounds: Bounds, returning: Mapping[str, PacketSet]) -> PacketSet:
    """Packets that meet no further rule of its chain once they have come to ``rule``."""
    if isinstance(rule.target, Jump):
        return bounds.must if rule.target.goto else bounds.must - returning[rule.target.chain]
    return bounds.must if effect_of(rule) in TAKING else bounds.must.space.nothing


def reach(ruleset: Ruleset, table: str, conditions: Conditions) -> Reach:
    """The table of a ruleset, rule by rule."""
    universe = conditions.universe
    chains = {name: chain for (of, name), chain in ruleset.chains.items() if of == table}
    order = _order(table, chains)
    bounds = {rule.number: conditions.of_rule(rule) for name in order for rule in chains[name].rules}
    returning: dict[str, PacketSet] = {}
    for name in reversed(order):
        returning[name] = _returning(chains[name], bounds, returning, universe.space.everything)
    could, enters, alive = _entered(universe, table, chains, order, bounds, returning)
    return Reach(universe, table, chains, order, bounds, returning, could, enters, alive)


def _order(table: str, chains: Mapping[str, Chain]) -> tuple[str, ...]:
    """Chains that a built-in chain reaches, each behind all that call it; the kernel holds no loops."""
    finished: dict[str, None] = {}
    for base in reversed([name for name in BUILTIN_CHAINS[table] if name in chains]):
        stack = [(base, iter(_called(chains[base])))]
        entered = {base, *finished}
        while stack:
            name, called = stack[-1]
            onward = next(called, None)
            if onward is None:
                finished.setdefault(name)
                stack.pop()
            elif onward not in entered:
                entered.add(onward)
                stack.append((onward, iter(_called(chains[onward]))))
    return tuple(reversed(finished))


def _changes(rule: Rule, changing: Collection[str]) -> bool:
    """True where a packet may go on behind the rule with another header: nobody knows what the target does."""
    if isinstance(rule.target, Jump):
        return rule.target.chain in changing
    return effect_of(rule) is Effect.UNKNOWN


def _called(chain: Chain) -> list[str]:
    return [rule.target.chain for rule in reversed(chain.rules) if isinstance(rule.target, Jump)]


def _returning(
    chain: Chain, bounds: Mapping[int, Bounds], returning: Mapping[str, PacketSet], everything: PacketSet
) -> PacketSet:
    """The packets that may come back from a chain, whatever its policy."""
    alive, back = everything, everything.space.nothing
    for rule in chain.rules:
        if not alive:
            break
        effect, may = effect_of(rule), bounds[rule.number].may
        if effect is Effect.UNKNOWN and alive.meets(may):
            return everything  # the target may have changed the packet
        if effect is Effect.RETURN:
            back |= alive & may
        elif isinstance(rule.target, Jump) and rule.target.goto:
            back |= alive & may & returning[rule.target.chain]
        alive -= taken(rule, bounds[rule.number], returning)
    return back | alive


def _entered(
    universe: Universe,
    table: str,
    chains: Mapping[str, Chain],
    order: tuple[str, ...],
    bounds: Mapping[int, Bounds],
    returning: Mapping[str, PacketSet],
) -> tuple[dict[str, PacketSet], dict[str, PacketSet], dict[int, PacketSet]]:
    """What could enter each chain, what does, and what is left of it at each rule."""
    nothing = universe.space.nothing
    could = dict.fromkeys(order, nothing)
    enters = dict.fromkeys(order, nothing)
    for name in BUILTIN_CHAINS[table]:
        if name in could:
            could[name] = enters[name] = universe.entering(name)
    changing: set[str] = set()
    """Chains from which packets may come back changed."""
    for name in reversed(order):
        if any(_changes(rule, changing) for rule in chains[name].rules):
            changing.add(name)
    anything = nothing
    for each in could.values():
        anything |= each
    alive: dict[int, PacketSet] = {}
    for name in order:
        left = enters[name]
        for rule in chains[name].rules:
            may = bounds[rule.number].may
            alive[rule.number] = left
            if isinstance(rule.target, Jump):
                callee = rule.target.chain
                could[callee] |= anything if changing else could[name] & may
                enters[callee] |= left & may
            if _changes(rule, changing) and left.meets(may):
                left = anything
            elif left:
                left = left - taken(rule, bounds[rule.number], returning)
    return could, enters, alive
