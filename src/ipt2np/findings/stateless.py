"""Findings about hosts that filter packet by packet: answers, later packets, no state at all."""

from __future__ import annotations

from collections.abc import Iterable

from ipt2np.findings.catalogue import remedy
from ipt2np.findings.collect import later_refused, path_rules
from ipt2np.findings.finding import Finding
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets import Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import merged
from ipt2np.rules.meaning import Half
from ipt2np.rules.model import Rule
from ipt2np.semantics import Can, Decision
from ipt2np.semantics.decide import CONNECTION_PROTOCOLS, Side
from ipt2np.semantics.outcomes import IMPOSSIBLE
from ipt2np.semantics.replies import FIRST_CLIENT_PORT, answering_rules, reply_rules

TCP = 6
HTTPS = 443
CLIENT_PORTS = ((FIRST_CLIENT_PORT, 0xFFFF),)


def stateless_findings(decision: Decision) -> list[Finding]:
    """All findings of this module."""
    return [*_broken(decision), *_replies(decision), *_stateless_hosts(decision)]


def _replies(decision: Decision) -> list[Finding]:
    rules = reply_rules(decision)
    if not rules:
        return []
    return [
        Finding(
            "N2P311",
            "rules let in answers to the host's own connections, and later packets: nothing is emitted for them, since a "
            f"NetworkPolicy lets both through ({counted(rules)}: {lines_of(rules, decision.frames)})",
            remedy("N2P311"),
            tuple(rules),
        )
    ]


def _connections(decision: Decision) -> PacketSet:
    ranges = merged((number, number) for number in CONNECTION_PROTOCOLS)
    return decision.space.values(Field.PROTOCOL, ranges)


def _broken(decision: Decision) -> list[Finding]:
    """Connections that a rule seems to open, and that get no further than their first packet."""
    opening: set[int] = set()
    ending: set[int] = set()
    for side in decision.sides:
        refused = later_refused(decision, side, _connections(decision))
        if refused:
            opening |= _deciders(decision, side, Half.FIRST, refused, Can.ACCEPT)
            ending |= _deciders(decision, side, Half.LATER, refused, Can.REFUSE)
    if not opening:
        return []
    return [
        Finding(
            "N2P312",
            f"the first packet of connections is accepted {_by(decision, opening)}, what follows is refused "
            f"{_by(decision, ending)}: no such connection comes about, neither on the host nor by the policy",
            remedy("N2P312"),
            tuple(decision.rules[number] for number in sorted(opening) if number in decision.rules),
            file=decision.rulesets[0].file,
        )
    ]


def _deciders(decision: Decision, side: Side, half: Half, packets: PacketSet, what: Can) -> set[int]:
    return decision.outcomes.deciders(side.walks[half].outcome.values(packets) - {IMPOSSIBLE}, what)


def _by(decision: Decision, deciders: Iterable[int]) -> str:
    """Who it was: ``by 2 rules (lines 5, 7) and INPUT's policy``."""
    numbers = sorted(deciders)
    rules = [decision.rules[number] for number in numbers if number in decision.rules]
    parts = [f"{counted(rules)} ({lines_of(rules, decision.frames)})"] if rules else []
    policies = (decision.policies[number] for number in numbers if number in decision.policies)
    parts += dict.fromkeys(f"{policy.chain}'s policy" for policy in policies)
    return "by " + " and ".join(parts)


def _stateless_hosts(decision: Decision) -> list[Finding]:
    """Hosts without a rule that asks for a connection's state: what becomes of answers to their own connections."""
    asking = {side.family for side, rule in path_rules(decision) if _asks_for_state(side, rule)}
    silent = [side for side in decision.sides if side.family not in asking]
    refusing = [side for side in silent if _refuses_answers(decision, side)]
    if refusing:
        how = "the host refuses answers to its own connections unless a rule admits them, a pod always gets them"
    elif silent and (reply_rules(decision) or answering_rules(decision)):
        how = "answers to the host's own connections come in by rules for them, a pod always gets them"
    else:
        return []
    message = f"no rule tests the state of connections: {how}"
    return [Finding("N2P313", message, remedy("N2P313"), file=(refusing or silent)[0].ruleset.file)]


def _asks_for_state(side: Side, rule: Rule) -> bool:
    return any("state" in meaning.assumptions for meaning in side.meanings(rule)) or any(
        use.extension.name in ("state", "conntrack") for use in rule.matches
    )


def _refuses_answers(decision: Decision, side: Side) -> bool:
    """True where answers from a web server to the host are certainly refused from most addresses."""
    space, can = decision.space, decision.outcomes.can
    answers = (
        space.value(Field.PROTOCOL, TCP)
        & space.value(Field.SOURCE_PORT, HTTPS)
        & space.values(Field.DESTINATION_PORT, CLIENT_PORTS)
        & side.possible
    )
    outcome = side.walks[Half.LATER].outcome.within(answers, IMPOSSIBLE)
    refused = outcome.where(lambda value: value != IMPOSSIBLE and not can[value] & Can.ACCEPT)
    return 2 * _sources(space, refused, side.family) > _sources(space, answers, side.family)


def _sources(space: PacketSpace, packets: PacketSet, family: int) -> int:
    """From how many addresses."""
    for each in Field:
        if each not in (Field.FAMILY, Field.SOURCE):
            packets = packets.some(each)
    ranges = space.source_addresses(space.of_family(packets, family), family).ranges
    return sum(high - low + 1 for low, high in ranges)
