"""What is lost of a plan, in a target's words: one finding a cause, with the packets that it closes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipt2np.cni.base import SOURCE_CLASSES
from ipt2np.cni.fitting.cover import Vocabulary
from ipt2np.findings import Difference, Finding, Predicted
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.wording import counted, lines_of, protocols_text
from ipt2np.packets import Field, PacketSet
from ipt2np.planning import PlanEffect, PolicyPlan
from ipt2np.rules.model import Rule

_SOURCE_PORT_OPTIONS = ("--source-port", "--source-ports", "--ports", "--ctorigsrcport")


@dataclass(frozen=True)
class Manner:
    """How a target treats what is no question of accept or refuse."""

    policy: str
    """What its policies are called in a sentence, as ``a NetworkPolicy``."""
    vocabulary: Vocabulary
    answer: str = ""
    """How it answers refused packets, in words; empty where it does not."""
    logs: bool = False


def closing(code: str, message: str, remedy_text: str, rules: Sequence[Rule], packets: PacketSet) -> Finding:
    """A finding about packets of any source that the policy closes."""
    predicted = (Predicted(Difference.CLOSES, packets, SOURCE_CLASSES),)
    return Finding(code, message, remedy_text, tuple(rules), predicted=predicted)


def losses(plan: PolicyPlan, manner: Manner, left: PacketSet) -> list[Finding]:
    """The findings for accepted packets that no rule can say (``left``), and for answers, limits and logs."""
    return [
        *_unsaid(plan, manner, left),
        *_answers_and_limits(plan, manner),
    ]


def _unsaid(plan: PolicyPlan, manner: Manner, left: PacketSet) -> list[Finding]:
    space, frames = plan.space, plan.provenance.frames
    ported = space.values(
        Field.PROTOCOL, tuple((number, number) for number in sorted(manner.vocabulary.ports))
    )
    result: list[Finding] = []
    by_port = left & ported
    answering = [each for each in plan.answers if each.packets.meets(by_port)]
    answers = space.nothing
    for each in answering:
        answers |= each.packets & by_port
    by_port -= answers
    if answers:
        rules = [each.rule for each in answering]
        result.append(
            closing(
                "N2P302",
                "rules let in answers by the source port alone, and with them new connections from there, which the policy "
                f"does not admit; answers pass by themselves ({counted(rules)}: {lines_of(rules, frames)})",
                "none needed if only answers came: then nothing is lost. Otherwise use a CNI with source ports",
                rules,
                answers,
            )
        )
    if by_port:
        rules = plan.provenance.rules_behind(by_port)
        rules = [rule for rule in rules if _names_source_port(rule)] or rules
        result.append(
            closing(
                "N2P302",
                f"accepted from some source ports only, which {manner.policy} cannot say ({counted(rules)}: "
                f"{lines_of(rules, frames)})",
                remedy("N2P302"),
                rules,
                by_port,
            )
        )
    others = left - ported
    if others:
        rules = plan.provenance.rules_behind(others)
        what = f"{counted(rules)}: {lines_of(rules, frames)}" if rules else "by INPUT's policy"
        result.append(
            closing(
                "N2P303",
                f"{protocols_text(others)} accepted by the host cannot be written in {manner.policy} ({what})",
                remedy("N2P303"),
                rules,
                others,
            )
        )
    return result


def _answers_and_limits(plan: PolicyPlan, manner: Manner) -> list[Finding]:
    frames = plan.provenance.frames
    result: list[Finding] = []
    rejecting = [
        entry.decider
        for entry in plan.entries
        if entry.effect is PlanEffect.REJECT and isinstance(entry.decider, Rule)
    ]
    if rejecting and manner.answer:
        result.append(
            Finding(
                "N2P424",
                f"refused packets are answered with {manner.answer}, whatever --reject-with says ({counted(rejecting)}: "
                f"{lines_of(rejecting, frames)})",
                remedy("N2P424"),
                tuple(rejecting),
            )
        )
    elif rejecting:
        result.append(
            Finding(
                "N2P304",
                f"refused packets are dropped without the answer that REJECT gives ({counted(rejecting)}: "
                f"{lines_of(rejecting, frames)})",
                remedy("N2P304"),
                tuple(rejecting),
            )
        )
    if plan.limits:
        result.append(
            Finding(
                "N2P301",
                f"rate limits are not kept: {manner.policy} has none ({counted(plan.limits)}: "
                f"{lines_of(plan.limits, frames)})",
                remedy("N2P301"),
                plan.limits,
            )
        )
    if plan.logs:
        # A rule that stands for both families has a trail in each.
        logging = list({trail.rule.number: trail.rule for trail in plan.logs}.values())
        code = "N2P425" if manner.logs else "N2P305"
        what = (
            "logs have neither the rules' prefixes nor their limits" if manner.logs else "nothing is logged"
        )
        message = f"{what} ({counted(logging)}: {lines_of(logging, frames)})"
        result.append(Finding(code, message, remedy(code), tuple(logging)))
    return result


def _names_source_port(rule: Rule) -> bool:
    return any(clause.option in _SOURCE_PORT_OPTIONS for use in rule.matches for clause in use.clauses)
