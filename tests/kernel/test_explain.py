"""The rules that a trace says a packet matches are those whose counters the kernel raises, no others.

Each probe is one packet with every field known. Where its trace leaves no choice, the rules that it says match, and the
policies that it comes to, are exactly those that count the packet, and the rule that decides is among them. Where a rule
is undecided, what counts lies between what must match and what may.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipt2np import Can, Decision, Facts, Field, PacketSet
from ipt2np.packets.intervals import AddressSet
from ipt2np.rules.extension import Effect
from ipt2np.rules.model import Rule
from ipt2np.semantics import states
from ipt2np.semantics import trace as tracing
from ipt2np.semantics.decide import Side
from ipt2np.semantics.states import ChainKey, Flow, State
from ipt2np.semantics.trace import Outcome, Step, Trace, Traces, trace

from .differential import PLAIN, Question, boundary
from .generate import rulesets
from .host import COUNTED, POLICY, KernelHost, Matched, Place
from .membership import label, packet
from .probe import SCTP, TCP, UDPLITE, Probe, connection_key
from .test_differential import examples

FAMILIES = pytest.mark.parametrize("family", [4, 6])
MUST_BE_PLAIN = 0.9
"""The least share of packets whose trace leaves no choice."""


@dataclass
class Score:
    """What was compared."""

    packets: int = 0
    plain: int = 0
    accepted: int = 0
    deciding: int = 0
    """Packets whose deciding rule, which is no policy, was the one that counted."""


def only(decision: Decision, side: Side, probe: Probe) -> PacketSet:
    """The set with nothing but the probe in it."""
    space = decision.space
    found = space.family(probe.family)
    for field, value in packet(probe, label(side.walker.view.interfaces, probe.interface)).items():
        if field in (Field.SOURCE, Field.DESTINATION):
            found &= space.addresses(field, AddressSet.of(probe.family, [(value, value)]))
        elif field is not Field.FAMILY:
            found &= space.value(field, value)
    return found


def place_of(side: Side, step: Step) -> Place:
    """Where the step's rule stands, or its policy."""
    rules = side.ruleset.chains[step.chain].rules
    return (*step.chain, POLICY if step.rule is None else rules.index(step.rule))


def bounds(told: Trace) -> tuple[set[Place], set[Place]]:
    """The rules and policies that must count a packet, and those that may."""
    must: set[Place] = set()
    may: set[Place] = set()
    sure = True
    for step in told.steps:
        if step.rule is None and step.why:
            sure = False
            continue
        if step.outcome is Outcome.NOT_MATCHED:
            continue
        may.add(place_of(told.side, step))
        # Where no rule makes the kernel track connections it does not ask nat, which then counts nothing.
        sure = (
            sure and step.outcome is Outcome.MATCHED and (told.side.walker.tracking or step.base[0] != "nat")
        )
        if sure:
            must.add(place_of(told.side, step))
    return must, may


def wrong(told: Trace, kernel: Matched, score: Score) -> str:
    """What the trace says and the kernel does not do; empty where they agree."""
    assert kernel is not None
    counted, passed = kernel
    must, may = bounds(told)
    plain = must == may and told.decided
    score.packets += 1
    score.plain += plain
    score.accepted += passed
    if not must <= counted <= may:
        return f"the kernel counts at {sorted(counted)}, we say {sorted(must)} and at most {sorted(may)}"
    if plain:
        (end,) = told.ends
        if passed != (end.can is Can.ACCEPT):
            return f"the kernel {'accepts' if passed else 'refuses'}, we say {end.can}"
        rules = {rule.number: rule for rule in told.side.ruleset.rules}
        deciding = [rules[number] for number in end.deciders if number in rules]
        for rule in deciding:
            place = told.side.ruleset.chains[rule.table, rule.chain].rules.index(rule)
            if (rule.table, rule.chain, place) not in counted:
                return f"line {rule.location.line} is to decide and does not count"
        score.deciding += bool(deciding)
    return ""


def asked(
    text: str,
    family: int,
    host: KernelHost,
    question: Question,
    seed: int,
    count: int,
    score: Score,
    decision: Decision | None = None,
) -> Iterator[str]:
    """Faults of the traces of ``count`` packets against one ruleset."""
    decision = decision or question.decision(text, family)
    (side,) = decision.sides
    possible = boundary(text, family, host, 6 * count, seed)
    probes = [probe for probe, good in zip(possible, question.possible(possible), strict=True) if good]
    probes = [probe for probe in probes if probe.protocol != UDPLITE]
    sets = {probe: only(decision, side, probe) & side.possible for probe in dict.fromkeys(probes)}
    host.load(text, family)
    # Sources that the kernel itself refuses come as far as raw, so that they would count there.
    bearable = [
        probe
        for probe, verdict in zip(sets, host.first(list(sets)), strict=True)
        if verdict is not None and sets[probe]
    ]
    traces = {probe: trace(decision, sets[probe]) for probe in bearable}
    bearable = chosen(bearable, traces, decision, Random(seed), count)
    host.load(text, family)
    for batch in batches(bearable):
        for probe, kernel in zip(batch, host.matched(batch), strict=True):
            fault = wrong(traces[probe].first[0], kernel, score)
            if fault:
                yield f"first packet {probe}: {fault}"
    ported = [probe for probe in bearable if probe.protocol in (TCP, SCTP) and traces[probe].later]
    host.load(text, family)
    for batch in batches(unlike(ported)):
        for probe, kernel in zip(batch, host.matched(batch, later=True), strict=True):
            fault = "" if kernel is None else wrong(traces[probe].later[0], kernel, score)
            if fault:
                yield f"later packet {probe}: {fault}"


def chosen(
    probes: Sequence[Probe], traces: Mapping[Probe, Traces], decision: Decision, rng: Random, count: int
) -> list[Probe]:
    """Some of the probes, most of them such as a rule decides and not a policy."""
    by_rule = [
        probe
        for probe in probes
        if any(decider in decision.rules for end in traces[probe].first[0].ends for decider in end.deciders)
    ]
    most = rng.sample(by_rule, min(2 * count // 3, len(by_rule)))
    others = [probe for probe in probes if probe not in set(most)]
    return [*most, *rng.sample(others, min(count - len(most), len(others)))]


def batches(probes: Sequence[Probe]) -> Iterator[Sequence[Probe]]:
    for start in range(0, len(probes), COUNTED):
        yield probes[start : start + COUNTED]


def unlike(probes: Sequence[Probe]) -> list[Probe]:
    """Those of them that conntrack can tell apart, behind nat too."""
    return list({connection_key(probe, 0, rewritten=True): probe for probe in probes}.values())


def tracked(text: str) -> str:
    """The ruleset with a rule about something else that makes the kernel track connections, so that nat is asked."""
    head, mark, tail = text.rpartition("*filter\n")
    return head + mark + tail.replace("COMMIT", "-A OUTPUT -m state --state INVALID\nCOMMIT", 1)


def compared(
    host: KernelHost, family: int, rulesets_: int, count: int, seed: int = 0
) -> tuple[Score, list[str]]:
    score = Score()
    faults: list[str] = []
    facts = Facts(addresses=tuple(own for own in host.own(family)))
    turns = iter(range(1 << 30))

    @examples(rulesets_)
    @given(rulesets(family), st.integers(0, 1 << 16))
    def check(text: str, number: int) -> None:
        turn = next(turns)
        question = Question(facts=facts) if turn % 5 else PLAIN
        text = tracked(text) if turn % 4 else text
        found = list(asked(text, family, host, question, number + seed, count, score))
        faults.extend(f"{each}\n{text}" for each in found)

    check()
    return score, faults


@FAMILIES
def test_the_rules_that_match_are_those_that_count(host: KernelHost, family: int) -> None:
    score, faults = compared(host, family, 23, 40)
    print(score)
    assert not faults, f"{len(faults)} of {score.packets}: {faults[0]}"
    assert score.packets >= 1000
    assert score.plain >= MUST_BE_PLAIN * score.packets
    assert score.accepted >= 0.05 * score.packets
    assert score.deciding >= 0.2 * score.packets


# -- the comparison itself is judged ----------------------------------------------------------------------


def _returns_are_accepted(rule: Rule) -> Effect:
    effect = states.effect_of(rule)
    return Effect.ACCEPT if effect is Effect.RETURN else effect


def _chains_are_passed_over(self: tracing._Tracer, *given: object) -> None:
    _PLAIN_AT(self, *given)  # type: ignore[arg-type]


def _gotos_come_back(self: tracing._Tracer, *given: object) -> object:
    below = _PLAIN_AT(self, *given)  # type: ignore[arg-type]
    if below is not None:
        below.goto = False
    return below


def _marks_stay(self: Flow, base: ChainKey, rule: Rule, state: State) -> State:
    return state


MUTABLE = """*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
-A PREROUTING -s 10.0.0.0/24 -j MARK --set-xmark 0x1/0xffffffff
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:called - [0:0]
:gone - [0:0]
-A INPUT -m mark --mark 0x1 -j ACCEPT
-A INPUT -p tcp -j called
-A INPUT -p udp -g gone
-A INPUT -p udp -j ACCEPT
-A INPUT -p sctp -j ACCEPT
-A called -p tcp -m tcp --dport 22 -j RETURN
-A called -p tcp -m tcp --dport 80 -j ACCEPT
-A gone -p udp -m udp --dport 53 -j RETURN
COMMIT
"""

_PLAIN_AT = tracing._Tracer._at
MUTATIONS: dict[str, tuple[object, str, object]] = {
    "returns are accepted": (tracing, "effect_of", _returns_are_accepted),
    "chains are passed over": (tracing._Tracer, "_at", _chains_are_passed_over),
    "gotos come back": (tracing._Tracer, "_at", _gotos_come_back),
    "rules that match are told as others": (tracing, "_outcome", lambda hit, left: Outcome.NOT_MATCHED),
    "marks stay": (Flow, "behind", _marks_stay),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_trace_that_is_wrong_on_purpose_is_noticed(
    host: KernelHost, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    question = Question(facts=Facts(addresses=tuple(host.own(4))))
    assert list(asked(MUTABLE, 4, host, question, 1, 40, Score())) == []
    owner, attribute, wrong_one = MUTATIONS[name]
    # The decision is made before: it is the trace alone that is wrong.
    decision = question.decision(MUTABLE, 4)
    monkeypatch.setattr(owner, attribute, wrong_one)
    assert list(asked(MUTABLE, 4, host, question, 1, 40, Score(), decision))
