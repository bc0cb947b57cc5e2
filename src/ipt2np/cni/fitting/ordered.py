"""A plan as ordered rules, for targets whose first matching rule decides.

Entries of one effect that follow each other are one *stage*. A stage's rules may match what earlier rules have decided
already, so they stay as short as the ruleset's own. What a stage has no words for stays undecided: a later accept then
keeps clear of it, and at the end everything undecided is refused. So nothing is opened, whatever the words.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from enum import Enum

from ipt2np.cni.fitting.cover import Cover, Group, Service, Vocabulary, cover
from ipt2np.packets import PacketSet
from ipt2np.planning import LogTrail, PlanEffect, PolicyPlan
from ipt2np.rules.model import Rule
from ipt2np.semantics import Can

MOST_STAGES = 400
"""A plan that changes its mind more often is written as accepts alone: each stage costs as much as the plan is large."""
LONG_REFUSAL = 16
"""A refusal that needs more rules is left to the end, which refuses everything, and the accepts keep clear of it."""


class Logging(Enum):
    """How a target logs."""

    NOT = "not"
    STEP = "step"
    """A rule that logs and goes on."""
    FLAG = "flag"
    """A flag of the rule that decides."""


@dataclass(frozen=True)
class Order:
    """What a target with ordered rules can say."""

    vocabulary: Vocabulary
    shape: Callable[[Service], Hashable]
    """Services of equal shape may share a rule."""
    rejects: bool
    logging: Logging


@dataclass(frozen=True)
class Step:
    """One rule to write: what it does with which services from which sources."""

    effect: PlanEffect | None
    """None logs and goes on."""
    group: Group
    packets: PacketSet
    """What it decides (or logs) of the plan."""
    logged: bool
    rules: tuple[Rule, ...]
    policies: tuple[str, ...]


@dataclass(frozen=True)
class Ordered:
    """The rules in their order, and what they cannot say."""

    steps: tuple[Step, ...]
    left: PacketSet
    """Accepted packets that no rule can say: they are refused at the end."""
    rejected: PacketSet
    """Packets that are refused with an answer."""
    unanswered: tuple[Rule, ...]
    """Rules that reject packets which are refused without an answer here."""
    logged: tuple[Rule, ...]
    """Rules that log, all whose connection attempts are logged here too."""
    unlogged: tuple[Rule, ...]
    """The other rules that log."""


@dataclass(frozen=True)
class _Stage:
    effect: PlanEffect
    packets: PacketSet


def ordered(plan: PolicyPlan, order: Order) -> Ordered:
    """The plan's entries as rules in an order that keeps their meaning; what is left undecided is to be refused.

    Long refusals are left out where the accepts can do without them.
    """
    brief = _Writer(plan, order, LONG_REFUSAL).written()
    if not brief.left:
        return brief
    full = _Writer(plan, order, None).written()
    return brief if brief.left <= full.left else full


def _stages(plan: PolicyPlan, rejects: bool) -> list[_Stage]:
    """Entries of one effect that follow each other, together."""
    result: list[_Stage] = []
    for entry in plan.entries:
        effect = PlanEffect.DROP if entry.effect is PlanEffect.REJECT and not rejects else entry.effect
        if result and result[-1].effect is effect:
            result[-1] = _Stage(effect, result[-1].packets | entry.packets)
        else:
            result.append(_Stage(effect, entry.packets))
    return result


class _Writer:
    def __init__(self, plan: PolicyPlan, order: Order, longest: int | None) -> None:
        self.plan, self.order, self.space, self.longest = plan, order, plan.space, longest
        allowance = plan.allow_only()
        self.decided = allowance.allowed - allowance.wanted
        self.left = self.space.nothing
        self.steps: list[Step] = []
        self.trails = list(plan.logs) if order.logging is not Logging.NOT else []
        self.wanted = allowance.wanted

    def written(self) -> Ordered:
        stages = _stages(self.plan, self.order.rejects)
        if len(stages) > MOST_STAGES:
            stages = [_Stage(PlanEffect.ACCEPT, self.wanted)]
        last = max((n for n, stage in enumerate(stages) if stage.effect is PlanEffect.ACCEPT), default=-1)
        for number, stage in enumerate(stages):
            for packets, logged in self._by_log(stage.packets):
                # A drop behind the last accept is what the end does anyway.
                if stage.effect is not PlanEffect.DROP or number < last or logged:
                    self._take(stage.effect, packets, logged)
        if self.order.logging is Logging.STEP:
            self._log_the_rest()
        rejected = self.space.nothing
        for step in self.steps:
            if step.effect is PlanEffect.REJECT:
                rejected |= step.packets
        logging = {trail.rule.number: trail.rule for trail in self.plan.logs}
        kept = self._logged()
        return Ordered(
            tuple(self.steps),
            self.left,
            rejected,
            tuple(self._unanswered(rejected)) if self.order.rejects else (),
            tuple(rule for number, rule in logging.items() if number in kept),
            tuple(rule for number, rule in logging.items() if number not in kept),
        )

    def _unanswered(self, rejected: PacketSet) -> Iterator[Rule]:
        for entry in self.plan.entries:
            if (
                entry.effect is PlanEffect.REJECT
                and isinstance(entry.decider, Rule)
                and entry.packets - rejected
            ):
                yield entry.decider

    def _logged(self) -> set[int]:
        """The numbers of the rules that log, all whose connection attempts the steps log too."""
        due = {trail.rule.number: self.space.nothing for trail in self.plan.logs}
        done = dict(due)
        for trail in self.plan.logs:
            due[trail.rule.number] |= trail.packets & self.plan.judged
        for step in self.steps:
            if step.logged:
                for rule in step.rules:
                    if rule.number in done:
                        done[rule.number] |= step.packets
        return {number for number, packets in due.items() if packets and packets <= done[number]}

    def _by_log(self, packets: PacketSet) -> Iterator[tuple[PacketSet, bool]]:
        """The packets of a stage that are logged, and the others."""
        logged = self.space.nothing
        if self.order.logging is Logging.FLAG:
            for trail in self.trails:
                logged |= trail.packets & packets
        for part, flag in ((logged, True), (packets - logged, False)):
            if part:
                yield part, flag

    def _cover(self, wanted: PacketSet) -> Cover:
        return cover(
            wanted, wanted | self.decided, self.plan.families, self.order.vocabulary, self.order.shape
        )

    def _log_before(self, packets: PacketSet) -> None:
        """The log rules for packets that are about to be decided: exact, since nothing decided comes this far."""
        due = [trail for trail in self.trails if trail.packets.meets(packets)]
        self.trails = [trail for trail in self.trails if trail not in due]
        for trail in due:
            self._log(trail, self._cover(self._loggable(trail)))

    def _loggable(self, trail: LogTrail) -> PacketSet:
        return trail.packets & self.plan.judged - self.decided

    def _log(self, trail: LogTrail, covered: Cover) -> None:
        wanted = self._loggable(trail)
        for group in covered.groups:
            logged = group.packets(self.space) & wanted
            self.steps.append(Step(None, group, logged, True, (trail.rule,), ()))

    def _log_the_rest(self) -> None:
        """Logs of what is refused at the end: where one would be long, what it does not log is refused first."""
        covers = [(trail, self._cover(self._loggable(trail))) for trail in self.trails]
        covers.sort(key=lambda each: len(each[1].groups) > LONG_REFUSAL)
        for place, (trail, covered) in enumerate(covers):
            others = [each for each, _ in covers[place + 1 :]]
            if len(covered.groups) > LONG_REFUSAL:
                silent = self.plan.judged - self.decided - trail.packets
                quiet = self._cover(silent)
                if len(quiet.groups) <= LONG_REFUSAL and not any(
                    each.packets.meets(silent) for each in others
                ):
                    self._emit(PlanEffect.DROP, silent, quiet, logged=False)
                    covered = self._cover(self._loggable(trail))
            self._log(trail, covered)
        self.trails = []

    def _take(self, effect: PlanEffect, packets: PacketSet, logged: bool) -> None:
        covered = self._cover(packets)
        long = self.longest is not None and len(covered.groups) > self.longest
        if long and effect is PlanEffect.DROP and not logged:
            return
        if self.order.logging is Logging.STEP:
            self._log_before(packets)
        self._emit(effect, packets, covered, logged)

    def _emit(self, effect: PlanEffect, packets: PacketSet, covered: Cover, logged: bool) -> None:
        what = Can.ACCEPT if effect is PlanEffect.ACCEPT else Can.REFUSE
        provenance = self.plan.provenance
        for group in covered.groups:
            taken = group.packets(self.space) & packets
            rules, policies = provenance.behind(taken, what)
            if logged:
                logging = (trail.rule for trail in self.trails if trail.packets.meets(taken))
                behind = {rule.number: rule for rule in (*rules, *logging)}
                rules = tuple(behind[number] for number in sorted(behind))
            self.steps.append(Step(effect, group, taken, logged, rules, policies))
        self.decided |= packets - covered.left
        if effect is PlanEffect.ACCEPT:
            self.left |= covered.left
