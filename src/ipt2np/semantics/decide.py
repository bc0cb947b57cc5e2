"""The decision: what the host's input path says of every packet that a replacement could receive.

Result of the stage *decide*: a map from packets to outcomes, i.e. a partition of the packet space into cells,
each with its effect, both bounds, and the rules that decided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from ipt2np.errors import UsageError
from ipt2np.frames import Frames, recognise
from ipt2np.packets import Field, PacketMap, PacketSet, PacketSpace
from ipt2np.packets.intervals import address_text, merged
from ipt2np.rules.assumptions import UNDECIDED, Assumptions
from ipt2np.rules.extension import Effect
from ipt2np.rules.interfaces import LABELS, Interfaces
from ipt2np.rules.ipset import IpSet, with_members
from ipt2np.rules.matches.conntrack import opening
from ipt2np.rules.matches.recent import list_name
from ipt2np.rules.matches.set import sets_named
from ipt2np.rules.meaning import Half, Hook, Meaning, View
from ipt2np.rules.model import Clause, Rule, Ruleset
from ipt2np.rules.targets.set import sets_changed
from ipt2np.rules.unread import why_unread
from ipt2np.semantics.existing import REFUSED_SOURCES, UNNAMEABLE_SOURCES, existing
from ipt2np.semantics.facts import Facts
from ipt2np.semantics.local import PortMapping, local, port_mappings
from ipt2np.semantics.outcomes import ADDRESS, IMPOSSIBLE, INTERFACE, Can, Outcomes
from ipt2np.semantics.provenance import Policy, Provenance
from ipt2np.semantics.states import INPUT_PATH, ChainKey, changes_mark_in_passing, effect_of
from ipt2np.semantics.walk import Elsewhere, Walk, Walker

PORT_PROTOCOLS = (6, 17, 33, 132, 136)
CONNECTION_PROTOCOLS = (6, 132)
"""Protocols whose connections need their later packets accepted as well."""


@dataclass(frozen=True)
class Side:
    """One ruleset's part of the decision; two of a family where two backends hold rules."""

    family: int
    ruleset: Ruleset
    walks: Mapping[Half, Walk]
    walker: Walker
    possible: PacketSet
    """Packets that the facts and the kernel let exist."""
    mappings: tuple[PortMapping, ...] = ()
    """What nat makes of their ports."""

    def mapping_rules(self, mapping: PortMapping) -> list[Rule]:
        """The rules that make packets look like this, those that some packet arrives at."""
        return [
            rule
            for rule in self.ruleset.rules
            if rule.number in self.walker.rewritings
            and self.walker.rewritings[rule.number].rewrite == mapping.rewrite
            and self.arrives(rule, Half.FIRST)
        ]

    def holds(self, rule: Rule) -> bool:
        """True where the rule is one of this ruleset's (their numbers are consecutive)."""
        rules = self.ruleset.rules
        return bool(rules) and rules[0].number <= rule.number <= rules[-1].number

    def arrivals(self, rule: Rule, half: Half) -> PacketSet:
        """The possible packets of a half that get as far as the rule and may match it."""
        found = self.walks[half].arrivals.get(rule.number)
        return self.possible.space.nothing if found is None else found & self.possible

    def arrives(self, rule: Rule, half: Half) -> bool:
        """True where some possible packet of a half gets as far as the rule and may match it."""
        found = self.walks[half].arrivals.get(rule.number)
        return found is not None and found.meets(self.possible)

    def meanings(self, rule: Rule) -> list[Meaning]:
        """What the rule matches, in each half and walk state in which it was asked."""
        return self.walker.meanings(rule)


@dataclass(frozen=True)
class Decision:
    """Connections to outcomes, destination and (for pods) interface projected out; and what it was made from."""

    space: PacketSpace
    outcomes: Outcomes
    rulesets: tuple[Ruleset, ...]
    sides: tuple[Side, ...]
    connections: PacketMap
    """Over family, protocol, ICMP, ports and source; 0 where no such packet can exist."""
    judged: PacketSet
    """The packets that count: connection attempts that can exist and that a policy could name."""
    policies: Mapping[int, Policy]
    assumptions: Assumptions
    facts: Facts
    interfaces: Interfaces | None = None
    """The labels of input interfaces where packets are told apart by them; None where they are not."""
    wire: PacketMap | None = None
    """Connections to outcomes over all fields, as they come in; only where decisions are to be compared."""

    @cached_property
    def rules(self) -> Mapping[int, Rule]:
        """Every rule by its number."""
        return {rule.number: rule for ruleset in self.rulesets for rule in ruleset.rules}

    @cached_property
    def frames(self) -> Frames:
        """The programs whose rules are there; but for bans that were to be left out nothing was decided by them."""
        return recognise(self.rulesets)

    @cached_property
    def unspoken(self) -> PacketSet:
        """Packets of a family that no ruleset speaks of, from sources that a host would take and a policy can name."""
        result = self.space.nothing
        for family in {4, 6} - set(self.families):
            result |= self.space.family(family) - self.space.addresses(Field.SOURCE, REFUSED_SOURCES[family])
        return (result & _ports_given(self.space)) - self.space.addresses(Field.SOURCE, UNNAMEABLE_SOURCES)

    @property
    def families(self) -> tuple[int, ...]:
        """The families that the decision speaks of."""
        return tuple(dict.fromkeys(side.family for side in self.sides))

    def must(self, what: Can) -> PacketSet:
        """Judged packets whose outcome is ``what`` and nothing else."""
        return self.connections.where(lambda outcome: self.outcomes.only(outcome, what)) & self.judged

    def may(self, what: Can) -> PacketSet:
        """Judged packets whose outcome can be ``what``."""
        return self.connections.where(lambda outcome: bool(self.outcomes.can[outcome] & what)) & self.judged

    @cached_property
    def must_accept(self) -> PacketSet:
        """Judged packets that iptables certainly accepts."""
        return self.must(Can.ACCEPT)

    @cached_property
    def may_accept(self) -> PacketSet:
        """Judged packets that iptables may accept."""
        return self.may(Can.ACCEPT)

    def packet_bounds(self, side: Side, half: Half) -> tuple[PacketSet, PacketSet]:
        """(must accept, may accept) of single packets of one half, over all fields."""
        outcome = side.walks[half].outcome
        return (
            outcome.where(lambda o: self.outcomes.only(o, Can.ACCEPT)),
            outcome.where(lambda o: bool(self.outcomes.can[o] & Can.ACCEPT)),
        )

    @cached_property
    def provenance(self) -> Provenance:
        """Who decided: travels with everything that is made from the decision."""
        return Provenance(self.connections, self.outcomes, self.rules, self.policies, self.frames)

    def key(self) -> str:
        """A digest of what the decision means: equal for hosts that mean the same, whatever their rules."""
        bounds = self.connections.revised(
            self.space.everything, lambda outcome: int(self.outcomes.can[outcome])
        )
        lines = [
            f"{name}={value}"
            for name, value in sorted(self.assumptions.chosen.items())
            if not name.startswith("rule:")
        ]
        meant = self.space.diagram.digest(bounds.within(self.judged, 0).node)
        return hashlib.sha256("\n".join([*map(str, self.families), *lines, meant]).encode()).hexdigest()


def decide(
    rulesets: Sequence[Ruleset],
    assumptions: Assumptions | None = None,
    facts: Facts | None = None,
    *,
    also: Sequence[Ruleset] = (),
    same_for_other_family: bool = False,
    by_interface: bool = False,
    space: PacketSpace | None = None,
    beside: Sequence[Ruleset] | None = None,
) -> Decision:
    """Decide one host: at most one ruleset for each family, rules numbered apart.

    ``also`` are rulesets that are loaded on the same host beside them (the other iptables backend): packets must
    be accepted by all of their family. With ``same_for_other_family`` a single family's rulesets also stand for
    the other one; rules that name addresses of the given family then match none of the other's packets. With
    ``by_interface`` the input interface stays, for policies that know it. Decisions that share a ``space`` can be compared;
    what they leave undecided only where each has the other's rulesets ``beside`` it (none for policies).
    Raises UsageError where facts contradict each other or the families.
    """
    assumptions, facts = assumptions or Assumptions(), facts or Facts()
    every = (*rulesets, *also)
    by_family: dict[int, list[Ruleset]] = {}
    for ruleset in rulesets:
        if ruleset.family in by_family:
            raise UsageError("two rulesets of the same family; give one IPv4 and one IPv6 dump")
        by_family[ruleset.family] = [ruleset]
    for ruleset in also:
        if ruleset.family not in by_family:
            raise UsageError(
                f"{ruleset.file} is IPv{ruleset.family}, and no IPv{ruleset.family} ruleset stands beside it"
            )
        by_family[ruleset.family].append(ruleset)
    if same_for_other_family and len(by_family) == 1:
        only = next(iter(by_family.values()))
        by_family = dict.fromkeys((4, 6), only)
    space, outcomes = space or PacketSpace(), Outcomes(keeping=beside is not None)
    ipsets = facts.counted_ipsets
    interfaces = Interfaces.of([*_patterns((*every, *(beside or ())), ipsets), *facts.names])
    if len(interfaces.names) > LABELS:
        raise UsageError(f"more than {LABELS} different interface names")
    left_out = recognise(every).bans if facts.drop_transient else frozenset()
    policies: dict[int, Policy] = {}
    changed = sets_changed(every)
    changed |= {each.name for name in changed for each in with_members(ipsets, name)}
    sides: list[Side] = []
    connections, judged = space.constant(IMPOSSIBLE), space.nothing
    on_wire = connections
    first_policy = 1 + max((rule.number for ruleset in every for rule in ruleset.rules), default=0)
    for family in sorted(by_family):
        of_family = by_family[family]
        view = View(
            space,
            family,
            Half.FIRST,
            Hook.AFTER_CONNTRACK,
            True,
            assumptions,
            interfaces,
            ipsets,
            frozenset().union(*map(_recorded, of_family)),
            routing=facts.routing(family, strict=assumptions["reverse-path"] != UNDECIDED),
            changed_sets=changed,
        )
        can_exist = existing(view, facts)

        def is_own(address: int, family: int = family) -> bool | None:
            return facts.is_own(address_text(address, family))

        mine: list[Side] = []
        for ruleset in of_family:
            keys: dict[ChainKey, int] = {}
            for key in INPUT_PATH:
                if key in ruleset.chains or key == ("filter", "INPUT"):
                    keys[key] = first_policy + len(policies)
                    chain = ruleset.chains.get(key)
                    policy = chain.policy if chain is not None else "ACCEPT"
                    policies[keys[key]] = Policy(*key, policy or "unreadable", family)
            elsewhere = _elsewhere([other for other in of_family if other is not ruleset])
            walker = Walker(ruleset, view, outcomes, keys, is_own, elsewhere, left_out)
            walks = {half: walker.walk(half) for half in Half}
            mappings = port_mappings(walker, can_exist.packets)
            mine.append(Side(family, ruleset, walks, walker, can_exist.packets, mappings))
        sides += mine
        halves = {
            half: _all_accept(space, outcomes, [side.walks[half].outcome for side in mine]) for half in Half
        }
        wire = _connections(space, outcomes, halves).within(can_exist.packets, IMPOSSIBLE)
        on_wire = wire.over(space.family(family), on_wire) if beside is not None else on_wire
        direct = assumptions["port-mapping"] != "mapped"
        on_host = local(wire, mine[0].mappings, outcomes, direct=direct)
        projected = (
            on_host.without(Field.DESTINATION, partial(outcomes.either, ADDRESS))
            if by_interface
            else _projected(on_host, outcomes, can_exist.unrouted)
        )
        connections = projected.over(space.family(family), connections)
        seen = can_exist.packets.some(Field.DESTINATION)
        seen = seen if by_interface else seen.some(Field.INTERFACE)
        nameable = ~space.addresses(Field.SOURCE, UNNAMEABLE_SOURCES)
        judged |= seen & opening(view) & _ports_given(space) & nameable
    labels = interfaces if by_interface else None
    return Decision(
        space,
        outcomes,
        every,
        tuple(sides),
        connections,
        judged,
        policies,
        assumptions,
        facts,
        labels,
        None if beside is None else on_wire,
    )


def _all_accept(space: PacketSpace, outcomes: Outcomes, maps: Sequence[PacketMap]) -> PacketMap:
    """What all rulesets of a family make of a packet: each must accept it, whichever looks first."""
    result = maps[-1]
    for before in reversed(maps[:-1]):
        result = space.combine(lambda v: _onward(outcomes, v[0], v[1]), before, result)
    return result


def _onward(outcomes: Outcomes, outcome: int, rest: int) -> int:
    """An outcome with each accept going on to ``rest``, in whatever state."""
    states = tuple(sorted(outcomes.passes(outcome)))
    return outcomes.onward(outcome, states, (rest,) * len(states), lambda _: True)


def _elsewhere(others: Sequence[Ruleset]) -> Elsewhere:
    """What the other rulesets of a host may do to packets before, or while, one looks at them."""

    rules = [rule for other in others for rule in other.rules]

    def first(*effects: Effect) -> int | None:
        return next((rule.number for rule in rules if effect_of(rule) in effects), None)

    marks = (r.number for r in rules if effect_of(r) is Effect.MARK or changes_mark_in_passing(r))
    untracking = (
        rule.number
        for rule in rules
        if effect_of(rule) is Effect.UNTRACK or (rule.table == "raw" and effect_of(rule) is Effect.UNKNOWN)
    )
    return Elsewhere(next(untracking, None), next(marks, None), first(Effect.REWRITE, Effect.UNKNOWN))


def _connections(space: PacketSpace, outcomes: Outcomes, halves: Mapping[Half, PacketMap]) -> PacketMap:
    first, later = halves[Half.FIRST], halves[Half.LATER]
    both = space.combine(lambda v: outcomes.both(v[0], v[1]), first, later)
    return both.over(space.values(Field.PROTOCOL, merged((n, n) for n in CONNECTION_PROTOCOLS)), first)


def _projected(connections: PacketMap, outcomes: Outcomes, unrouted: PacketSet) -> PacketMap:
    """Without destination and interface: what differs between their values is left open.

    What comes in on no interface in particular is accepted where all of them accept it.
    """
    result = connections.without(Field.DESTINATION, lambda a, b: outcomes.either(ADDRESS, a, b))
    routed = result.without(Field.INTERFACE, lambda a, b: outcomes.either(INTERFACE, a, b))
    if not unrouted:
        return routed
    arriving = unrouted.some(Field.DESTINATION)
    everywhere = result.within(arriving, IMPOSSIBLE).without(Field.INTERFACE, outcomes.every)
    return everywhere.over(arriving.some(Field.INTERFACE), routed)


def _ports_given(space: PacketSpace) -> PacketSet:
    """Packets whose protocol has no ports, or whose ports are not 0, which no policy can write."""
    protocols = space.values(Field.PROTOCOL, merged((n, n) for n in PORT_PROTOCOLS))
    ports = space.values(Field.DESTINATION_PORT, ((1, 0xFFFF),)) & space.values(
        Field.SOURCE_PORT, ((1, 0xFFFF),)
    )
    return ~protocols | ports


def _clauses(ruleset: Ruleset, option: str) -> Iterator[Clause]:
    for rule in ruleset.rules:
        for use in rule.matches:
            for clause in use.clauses:
                if clause.option == option:
                    yield clause


def _patterns(rulesets: Iterable[Ruleset], ipsets: Mapping[str, IpSet]) -> Iterator[str]:
    """The interfaces that rules name, and the entries of ipsets that rules test."""
    for ruleset in rulesets:
        for clause in _clauses(ruleset, "--in-interface"):
            yield str(clause.values[0])
        for name in sets_named(ruleset):
            for each in with_members(ipsets, name):
                yield from each.interfaces


def _recorded(ruleset: Ruleset) -> frozenset[str]:
    """The lists that rules write; a rule that could not be read may write any."""
    unread = any(why_unread(rule) is not None for rule in ruleset.rules)
    return frozenset(
        list_name(use.clauses)
        for rule in ruleset.rules
        for use in rule.matches
        if use.extension.name == "recent" and (unread or any(c.option == "--set" for c in use.clauses))
    )
