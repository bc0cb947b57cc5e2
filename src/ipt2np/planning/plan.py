"""The policy plan: an ordered, target-neutral list of what to do with which packets, and who said so.

Each entry is one decider's packets. Entries come in the order of the rules, so that a target with ordered
rules can follow the ruleset line by line; their packets are disjoint, so that a target without order can
take them as they are (``allow_only``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from ipt2np.packets import Field, PacketSet, PacketSpace
from ipt2np.rules.extension import Effect
from ipt2np.rules.interfaces import Interfaces
from ipt2np.rules.meaning import Half
from ipt2np.rules.model import Jump, Rule
from ipt2np.semantics import Can, Decision
from ipt2np.semantics.outcomes import Outcomes
from ipt2np.semantics.provenance import Policy, Provenance
from ipt2np.semantics.replies import Answering, answering_rules
from ipt2np.semantics.states import ChainKey, effect_of


class InDoubt(Enum):
    """What a plan does with packets that iptables may accept and may refuse."""

    DENY = "deny"
    ALLOW = "allow"


class PlanEffect(Enum):
    """What a plan's entry asks for."""

    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """Packets, what to do with them, and the rule or built-in policy that says so."""

    effect: PlanEffect
    packets: PacketSet
    decider: Rule | Policy


@dataclass(frozen=True, slots=True)
class LogTrail:
    """A rule that logs, and the connection attempts that it logs, interface and destination projected out."""

    rule: Rule
    packets: PacketSet


@dataclass(frozen=True, slots=True)
class Allowance:
    """A plan flattened to what it admits: ``wanted`` must be admitted, ``allowed`` may be.

    What lies in ``allowed`` beyond ``wanted`` cannot exist or cannot be named by a policy, so an emitter is
    free to take it in where that is shorter. Families that the plan does not speak of are in neither.
    """

    wanted: PacketSet
    allowed: PacketSet


@dataclass(frozen=True)
class PolicyPlan:
    """The plan for the pods that replace one host."""

    space: PacketSpace
    families: tuple[int, ...]
    entries: tuple[PlanEntry, ...]
    logs: tuple[LogTrail, ...]
    limits: tuple[Rule, ...]
    """Rules that accept or throttle by a rate that the plan cannot carry."""
    answers: tuple[Answering, ...]
    """Rules meant for answers, by which new connections come in too."""
    judged: PacketSet
    """The packets that count (as in ``Decision``)."""
    provenance: Provenance
    in_doubt: InDoubt
    interfaces: Interfaces | None = None
    """The labels of input interfaces where entries tell packets apart by them."""

    def allow_only(self) -> Allowance:
        """The disjoint allows, for targets that know nothing else."""
        wanted = self.space.nothing
        for entry in self.entries:
            if entry.effect is PlanEffect.ACCEPT:
                wanted |= entry.packets
        spoken_of = self.space.nothing
        for family in self.families:
            spoken_of |= self.space.family(family)
        return Allowance(wanted, wanted | (spoken_of - self.judged))


_EFFECTS = tuple(PlanEffect)


def translate(decision: Decision, in_doubt: InDoubt = InDoubt.DENY) -> PolicyPlan:
    """The plan that carries out ``decision``; what is undecided goes the way of ``in_doubt``."""
    outcomes = decision.outcomes
    stride = len(_EFFECTS)

    def group_of(outcome: int) -> int:
        effect, what = _resolved(outcomes, outcome, in_doubt)
        return (
            _decider(decision, outcomes.way(outcome, what)) * stride + _EFFECTS.index(effect) if what else -1
        )

    parts = decision.connections.within(decision.judged, 0).partition(group_of)
    ranks = _ranks(decision)
    entries = []
    for group in sorted(parts, key=lambda group: (ranks.get(group // stride, len(ranks)), group)):
        if group < 0:
            continue
        number, effect = divmod(group, stride)
        decider = decision.rules.get(number) or decision.policies[number]
        entries.append(PlanEntry(_EFFECTS[effect], parts[group], decider))
    return PolicyPlan(
        decision.space,
        decision.families,
        tuple(entries),
        _logs(decision),
        _limits(decision),
        answering_rules(decision),
        decision.judged,
        decision.provenance,
        in_doubt,
        decision.interfaces,
    )


def _decider(decision: Decision, way: Sequence[int]) -> int:
    """The one to name of those who let a packet pass: the last rule, or else the filter's own policy."""
    named = [number for number in way if number in decision.rules]
    policies = [
        number
        for number in way
        if number not in decision.rules and decision.policies[number].table == "filter"
    ]
    return (named or policies or way)[-1]


def _ranks(decision: Decision) -> dict[int, int]:
    """Numbers of rules to their places on a packet's way: a chain's rules where it is called first, not where it stands.

    Any order of the disjoint entries is right. This one keeps a rule behind those that a packet meets before it.
    """
    ranks: dict[int, int] = {}
    seen: set[ChainKey] = set()
    for side in decision.sides:
        chains = side.ruleset.chains
        for base in side.walker.path:
            stack = [iter(chains[base].rules)]
            while stack:
                rule = next(stack[-1], None)
                if rule is None:
                    stack.pop()
                    continue
                ranks.setdefault(rule.number, len(ranks))
                if isinstance(rule.target, Jump):
                    called = (rule.table, rule.target.chain)
                    if called in chains and called not in seen:
                        seen.add(called)
                        stack.append(iter(chains[called].rules))
    return ranks


def _resolved(outcomes: Outcomes, outcome: int, in_doubt: InDoubt) -> tuple[PlanEffect, Can]:
    can = outcomes.can[outcome]
    refused = can & Can.REFUSE
    if can & Can.ACCEPT and (not refused or in_doubt is InDoubt.ALLOW):
        return PlanEffect.ACCEPT, Can.ACCEPT
    return PlanEffect.REJECT if refused == Can.REJECT else PlanEffect.DROP, refused


def _limits(decision: Decision) -> tuple[Rule, ...]:
    found: dict[int, Rule] = {}
    for side in decision.sides:
        for rule in side.ruleset.rules:
            throttles = isinstance(rule.target, Jump) or effect_of(rule) in (
                Effect.ACCEPT,
                Effect.DROP,
                Effect.REJECT,
            )
            on_path = (rule.table, rule.chain) in side.walker.order
            if (
                throttles
                and on_path
                and any("rate" in meaning.assumptions for meaning in side.meanings(rule))
            ):
                found[rule.number] = rule
    return tuple(found.values())


def _logs(decision: Decision) -> tuple[LogTrail, ...]:
    trails = []
    for side in decision.sides:
        for rule in side.ruleset.rules:
            if effect_of(rule) is Effect.LOG:
                packets = side.arrivals(rule, Half.FIRST).some(Field.DESTINATION)
                if decision.interfaces is None:
                    packets = packets.some(Field.INTERFACE)
                if packets:
                    trails.append(LogTrail(rule, packets))
    return tuple(trails)
