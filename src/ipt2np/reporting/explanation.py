"""What ``ipt2np explain`` says: a packet's way through the rules as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ipt2np.findings.ipsets import missing_remedy
from ipt2np.packets import Field
from ipt2np.packets.intervals import address_text
from ipt2np.rules.extension import Effect
from ipt2np.rules.model import Jump, Rule, TargetUse
from ipt2np.rules.names import protocol_name
from ipt2np.rules.unread import why_unread
from ipt2np.semantics.decide import Decision
from ipt2np.semantics.outcomes import Can
from ipt2np.semantics.question import PacketQuestion
from ipt2np.semantics.reasons import FIELD_NAMES, Reason, decisive, narrowed, reasons, topic
from ipt2np.semantics.states import effect_of
from ipt2np.semantics.trace import UNKNOWN, End, Joined, Outcome, Step, Trace, Traces, Untold
from ipt2np.semantics.walk import PASSIVE

SCHEMA = 1
SHOWN_RUN = 3
"""Rules in a row that do not match are told one by one up to so many."""

WORDS = {Can.ACCEPT: "accepted", Can.DROP: "dropped", Can.REJECT: "rejected", Can.DIVERT: "diverted"}
NAMES = {Can.ACCEPT: "accept", Can.DROP: "drop", Can.REJECT: "reject", Can.DIVERT: "divert"}
_SETTLING = {
    Field.INTERFACE: "--on IF (where this packet comes in), or --interface and --route for all of them",
    Field.DESTINATION: "--at ADDR (where this packet is sent to), or --address for all of them",
    Field.SOURCE_PORT: "--from ADDR:PORT",
    Field.DESTINATION_PORT: "--to PORT/PROTOCOL",
    Field.ICMP_TYPE: "--to icmp/TYPE",
    Field.ICMP_CODE: "--to icmp/TYPE/CODE",
}


def explanation(
    decision: Decision,
    question: PacketQuestion,
    traces: Traces,
    version: str,
    *,
    every: bool = False,
    policy: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The whole account as plain data; with ``every`` no run of rules that do not match is drawn together."""
    told = [*traces.first, *traces.later]
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "command": "explain",
        "tool": {"name": "ipt2np", "version": version},
        "packet": packet_data(question),
        "verdict": {
            "text": _verdict(traces),
            "can": [name for can, name in NAMES.items() if traces.can & can],
        },
    }
    if not traces.packets:
        result["verdict"] = {"text": "impossible", "can": [], "why": question.why_none(decision)}
    notes = list(_notes(decision, question, traces))
    if notes:
        result["notes"] = notes
    result["outcomes"] = [each for trace in told for each in _outcomes(decision, trace)]
    if traces.can & Can.ACCEPT and traces.can & Can.REFUSE:
        result["settle"] = _settling(decision, told)
    if policy is not None and traces.packets:
        result["policy"] = {**policy, **_agreement(traces, str(policy["verdict"]))}
    result["ways"] = [_trace(decision, trace, every) for trace in told]
    return result


def packet_data(question: PacketQuestion) -> dict[str, Any]:
    """What was said of the packet."""
    result: dict[str, Any] = {
        "from": address_text(question.source, question.family),
        "protocol": protocol_name(question.protocol),
    }
    for name, value in (
        ("source_port", question.source_port),
        ("port", question.port),
        ("icmp_type", question.icmp_type),
        ("icmp_code", question.icmp_code),
        ("on", question.interface),
    ):
        if value is not None:
            result[name] = value
    if question.destination is not None:
        result["at"] = address_text(question.destination, question.family)
    unsaid = [FIELD_NAMES[field] for field in question.unsaid()]
    if unsaid:
        result["unsaid"] = unsaid
    return result


def _verdict(traces: Traces) -> str:
    words = [word for can, word in WORDS.items() if traces.can & can]
    return (
        words[0]
        if len(words) == 1
        else f"undecided: {' or '.join(words)}"
        if traces.can & Can.ACCEPT
        else (f"refused: {' or '.join(words)}")
    )


def _agreement(traces: Traces, verdict: str) -> dict[str, Any]:
    """Whether the policies say of the packet what the host does; left out where one of the two leaves it open."""
    sure = traces.can == Can.ACCEPT or not traces.can & Can.ACCEPT
    if not sure or verdict not in ("admitted", "refused"):
        return {}
    return {"agrees": (traces.can == Can.ACCEPT) == (verdict == "admitted")}


def _notes(decision: Decision, question: PacketQuestion, traces: Traces) -> Iterator[str]:
    if not traces.packets:
        return
    yield from question.beyond(decision)
    if traces.unrouted and question.interface is None:
        yield (
            f"no route leads to {address_text(question.source, question.family)}: a host with a strict reverse path takes "
            "no packet of it; it counts as accepted only where every interface would accept it"
        )


def _outcomes(decision: Decision, trace: Trace) -> Iterator[dict[str, Any]]:
    """What becomes of the packets, and who decides that; of equal ends one."""
    found: dict[tuple[Can, frozenset[int]], list[End]] = {}
    for end in trace.ends:
        found.setdefault((end.can, end.deciders), []).append(end)
    for (can, deciders), ends in sorted(
        found.items(), key=lambda item: (int(item[0][0]), sorted(item[0][1]))
    ):
        packets = trace.packets.space.nothing
        for end in ends:
            packets |= end.packets
        result: dict[str, Any] = {
            "half": trace.half.value,
            "outcome": "unknown" if can == UNKNOWN else NAMES[can],
            "by": [_decider(decision, trace, each) for each in sorted(deciders)],
        }
        when = narrowed(packets, trace.packets, trace.side.family, trace.side.walker.view.interfaces)
        if when:
            result["when"] = when
        if trace.ways > 1:
            result["ways"] = sorted({end.way for end in ends if end.way})
        yield result


def _decider(decision: Decision, trace: Trace, number: int) -> dict[str, Any]:
    rule = decision.rules.get(number)
    if rule is not None:
        return _place(rule)
    policy = decision.policies[number]
    chain = trace.side.ruleset.chains.get((policy.table, policy.chain))
    result: dict[str, Any] = {"table": policy.table, "chain": policy.chain, "policy": policy.effect}
    if chain is not None and chain.location is not None:
        return {"file": chain.location.file, "line": chain.location.line, **result}
    return result


def _place(rule: Rule) -> dict[str, Any]:
    return {
        "file": rule.location.file,
        "line": rule.location.line,
        "table": rule.table,
        "chain": rule.chain,
        "rule": rule.text,
    }


def _settling(decision: Decision, traces: Sequence[Trace]) -> list[dict[str, Any]]:
    """What would settle the rules that leave the packets open, each cause once."""
    found: dict[tuple[str, str], list[Rule]] = {}
    for trace in traces:
        for step in trace.steps:
            for why, remedy in _open(decision, trace, step):
                rules = found.setdefault((why, remedy), [])
                if step.rule is not None and step.rule not in rules:
                    rules.append(step.rule)
    return [
        {"why": why, "settle": remedy, "lines": [_line(rule) for rule in rules]}
        for (why, remedy), rules in found.items()
    ]


def _line(rule: Rule) -> dict[str, Any]:
    return {"file": rule.location.file, "line": rule.location.line}


def _open(decision: Decision, trace: Trace, step: Step) -> Iterator[tuple[str, str]]:
    """What leaves a step open, and what would settle it."""
    if step.rule is None:
        if step.why:
            yield step.why, "give the rest of the host's rules" if "another ruleset" in step.why else ""
        return
    passive = effect_of(step.rule) in PASSIVE and not isinstance(step.rule.target, Jump)
    if step.outcome is Outcome.UNDECIDED and not passive:
        for reason in decisive(trace, step):
            for field in reason.unsaid:
                yield f"the {FIELD_NAMES[field]} is not said", _SETTLING.get(field, "")
            for why in reason.open:
                yield why, missing_remedy(why, decision.facts) or _assume(step.rule)
    if step.outcome is not Outcome.NOT_MATCHED:
        if effect_of(step.rule) is Effect.UNKNOWN and why_unread(step.rule) is None:
            yield f"what the target {_target(step.rule)} does is not known", _assume(step.rule)
        rewriting = trace.side.walker.rewritings.get(step.rule.number)
        if rewriting is not None and rewriting.rewrite is not None and rewriting.forwards:
            yield (
                "whether nat sends the packet to the host itself",
                "--addr FILE with the host's own addresses",
            )
        if rewriting is not None and rewriting.rewrite is None and not rewriting.forwards:
            yield "what nat makes of the packet", _assume(step.rule)


def _assume(rule: Rule) -> str:
    return f"--assume rule:{rule.location.line}=no-match (or =match)"


def _target(rule: Rule) -> str:
    return rule.target.extension.name if isinstance(rule.target, TargetUse) else ""


# -- the way --------------------------------------------------------------------------------------------------


def _trace(decision: Decision, trace: Trace, every: bool) -> dict[str, Any]:
    return {
        "half": trace.half.value,
        "file": trace.side.ruleset.file,
        "can": [name for can, name in NAMES.items() if trace.can & can],
        "ways": trace.ways,
        "steps": list(_steps(decision, trace, every)),
    }


def _steps(decision: Decision, trace: Trace, every: bool) -> Iterator[dict[str, Any]]:
    """The events in order, runs of rules that do not match as one."""
    run: list[list[Step]] = []

    def flushed() -> Iterator[dict[str, Any]]:
        if len(run) > SHOWN_RUN and not every:
            yield _skipped(trace, run)
        else:
            for steps in run:
                for each in steps:
                    yield _step(decision, trace, each)
        run.clear()

    for visit in _visits(trace):
        silent = all(isinstance(each, Step) and each.outcome is Outcome.NOT_MATCHED for each in visit)
        if silent:
            steps = [each for each in visit if isinstance(each, Step)]
            if run and (run[-1][0].chain, run[-1][0].base) != (steps[0].chain, steps[0].base):
                yield from flushed()
            run.append(steps)
            continue
        yield from flushed()
        for each in visit:
            if isinstance(each, Step):
                yield _step(decision, trace, each)
            elif isinstance(each, Joined):
                yield {"joined": each.way, "into": each.into, "equal": each.equal, "depth": each.depth}
            else:
                yield {"untold": each.chain[1], "table": each.chain[0], "way": each.way, "depth": each.depth}
    yield from flushed()


def _visits(trace: Trace) -> Iterator[list[Step | Joined | Untold]]:
    """The steps of all ways at one rule together; any other event alone."""
    current: list[Step | Joined | Untold] = []
    for event in trace.events:
        last = current[-1] if current else None
        if isinstance(event, Step) and isinstance(last, Step) and event.visit == last.visit:
            current.append(event)
            continue
        if current:
            yield current
        current = [event]
    if current:
        yield current


def _skipped(trace: Trace, run: Sequence[Sequence[Step]]) -> dict[str, Any]:
    """Rules in a row that do not match, and what they asked for that the packet is not."""
    rules = [step.rule for steps in run for step in steps[:1] if step.rule is not None]
    topics = Counter(topic(trace, steps[0]) for steps in run)
    return {
        "base": list(run[0][0].base),
        "table": rules[0].table,
        "chain": rules[0].chain,
        "depth": run[0][0].depth,
        "file": rules[0].location.file,
        "skipped": len(rules),
        "first_line": rules[0].location.line,
        "last_line": rules[-1].location.line,
        "because": [name for name, _ in topics.most_common()],
    }


def _step(decision: Decision, trace: Trace, step: Step) -> dict[str, Any]:
    result: dict[str, Any] = {"base": list(step.base), "depth": step.depth, "outcome": step.outcome.value}
    if trace.ways > 1:
        result["way"] = step.strand.way
    if step.rule is None:
        table, chain = step.chain
        result |= {"table": table, "chain": chain}
        declared = trace.side.ruleset.chains.get(step.chain)
        if step.why:
            result["why"] = step.why
        elif declared is not None:
            result["policy"] = declared.policy
            if declared.location is not None:
                result |= {"file": declared.location.file, "line": declared.location.line}
    else:
        result |= _place(step.rule)
        because = [_reason(each) for each in reasons(trace, step)]
        if because:
            result["because"] = because
    effect = _effect(trace, step)
    if effect:
        result["effect"] = effect
    if step.onward:
        result["onward"] = list(step.onward)
    return result


def _reason(reason: Reason) -> dict[str, Any]:
    result: dict[str, Any] = {"asks": reason.topic, "holds": reason.holds.value}
    if reason.text:
        result = {"match": reason.text, **result}
    if reason.why:
        result["why"] = reason.why
    if reason.assumed:
        result["assumed"] = list(reason.assumed)
    return result


def _effect(trace: Trace, step: Step) -> str:
    """What becomes of packets that match, in words."""
    if step.outcome is Outcome.NOT_MATCHED or step.rule is None:
        return ""
    rule = step.rule
    if isinstance(rule.target, Jump):
        return f"{'goes over' if rule.target.goto else 'goes'} to the chain {rule.target.chain}"
    effect = effect_of(rule)
    if effect is Effect.REWRITE:
        return _nat(trace, rule)
    if effect is Effect.ACCEPT and trace.side.walker.path[-1] != step.base:
        return "accept; goes on to the next table" if step.base != ("filter", "INPUT") else "accept"
    if effect is Effect.CONTINUE and rule.target is None:
        return "counts, and goes on"
    return {
        Effect.ACCEPT: "accept",
        Effect.DROP: "drop",
        Effect.REJECT: "reject",
        Effect.RETURN: "returns" if step.depth else "meets the policy",
        Effect.CONTINUE: "goes on as it is",
        Effect.LOG: "is logged, and goes on",
        Effect.UNTRACK: "is kept from conntrack, and goes on",
        Effect.CLAIM: "goes on; how conntrack treats it is settled",
        Effect.MARK: "goes on with another mark",
        Effect.DIVERT: f"is handed over by {_target(rule)}",
        Effect.PROXY: f"is handed over by {_target(rule)}",
        Effect.MAY_DIVERT: f"is handed over by {_target(rule)} if a program listens, else accepted",
        Effect.UNKNOWN: "may be accepted, dropped or diverted, or go on",
    }[effect]


def _nat(trace: Trace, rule: Rule) -> str:
    rewriting = trace.side.walker.rewritings[rule.number]
    new = rewriting.rewrite
    if new is None:
        return "nat sends it to another host" if rewriting.forwards else "nat rewrites it, nobody can say how"
    parts = []
    if new.ports is not None:
        low, high = new.ports
        parts.append(f"port {low}" if low == high else f"a port of {low}-{high}")
    if new.addresses is not None:
        cidrs = new.addresses.to_cidrs()
        parts.append(cidrs[0].removesuffix("/32").removesuffix("/128") + (" …" if len(cidrs) > 1 else ""))
    sent = f"nat sends it to {' of '.join(parts) or 'the host itself'}"
    return f"{sent}, which may be another host" if rewriting.forwards else sent
