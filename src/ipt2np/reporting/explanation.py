"""What ``ipt2np explain`` says: a packet's way through the rules as plain data, and the same data for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from ipt2np.findings.ipsets import missing_remedy
from ipt2np.packets import Field
from ipt2np.packets.intervals import address_text
from ipt2np.rules.extension import Effect
from ipt2np.rules.model import Jump, Rule, TargetUse
from ipt2np.rules.names import protocol_name, saved_protocol
from ipt2np.rules.unread import why_unread
from ipt2np.semantics.decide import Decision
from ipt2np.semantics.outcomes import Can
from ipt2np.semantics.question import PacketQuestion
from ipt2np.semantics.reasons import FIELD_NAMES, Reason, decisive, narrowed, reasons, topic
from ipt2np.semantics.states import effect_of
from ipt2np.semantics.trace import UNKNOWN, End, Joined, Outcome, Step, Trace, Traces, Untold
from ipt2np.semantics.walk import PASSIVE
from ipt2np.text import file_name, printable

SCHEMA = 1
SHOWN_RUN = 3
"""Rules in a row that do not match are told one by one up to so many."""
SHOWN_OUTCOMES = 12
SHOWN_DECIDERS = 3
SHOWN_SETTLING = 8
SHOWN_TOPICS = 4

_WORDS = {Can.ACCEPT: "accepted", Can.DROP: "dropped", Can.REJECT: "rejected", Can.DIVERT: "diverted"}
_NAMES = {Can.ACCEPT: "accept", Can.DROP: "drop", Can.REJECT: "reject", Can.DIVERT: "divert"}
_SETTLING = {
    Field.INTERFACE: "--on IF (where this packet comes in), or --interface and --route for all of them",
    Field.DESTINATION: "--at ADDR (where this packet is sent to), or --address for all of them",
    Field.SOURCE_PORT: "--from ADDR:PORT",
    Field.DESTINATION_PORT: "--to PORT/PROTOCOL",
    Field.ICMP_TYPE: "--to icmp/TYPE",
    Field.ICMP_CODE: "--to icmp/TYPE/CODE",
}


# -- plain data -----------------------------------------------------------------------------------------------


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
            "can": [name for can, name in _NAMES.items() if traces.can & can],
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
    words = [word for can, word in _WORDS.items() if traces.can & can]
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
            "outcome": "unknown" if can == UNKNOWN else _NAMES[can],
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
        "can": [name for can, name in _NAMES.items() if trace.can & can],
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


# -- for a terminal -------------------------------------------------------------------------------------------

_COLOURS = {"accept": "green", "drop": "red", "reject": "red", "divert": "yellow"}
_MARKS = {"matched": ("✓", "bold"), "not matched": ("·", "dim"), "undecided": ("?", "bold yellow")}


def explanation_lines(data: Mapping[str, Any]) -> Iterator[Text]:
    """The verdict, who decides, what would settle it, the policy's side, and the way rule by rule."""
    yield _headline(data)
    if data["verdict"].get("why"):
        yield Text(f"  {printable(data['verdict']['why'], 400)}")
    for outcome in data["outcomes"][:SHOWN_OUTCOMES]:
        yield from _outcome_lines(data, outcome)
    left = len(data["outcomes"]) - SHOWN_OUTCOMES
    if left > 0:
        yield Text(f"  … and {left} more; --format json has them all")
    if "policy" in data:
        yield from _policy_lines(data["policy"], data["packet"])
    for note in data.get("notes", ()):
        yield Text(f"  {printable(note, 400)}")
    yield from _settling_lines(data.get("settle", ()))
    several = len({trace["file"] for trace in data["ways"]}) > 1
    for trace in data["ways"]:
        yield Text()
        file = f" on {file_name(trace['file'], 80)}" if several else ""
        title = "The first packet" if trace["half"] == "first" else "Later packets of the connection"
        yield Text(f"{title}{file}", style="bold")
        yield from _way_lines(trace)


def _headline(data: Mapping[str, Any]) -> Text:
    can = data["verdict"]["can"]
    colour = _COLOURS[can[0]] if len(can) == 1 else "red" if can and "accept" not in can else "yellow"
    return Text.assemble(
        (f"{packet_text(data['packet'])}: ", "bold"), (data["verdict"]["text"], f"bold {colour}")
    )


def packet_text(packet: Mapping[str, Any]) -> str:
    """The packet on one line: ``10.0.0.5 to 443/tcp on eth0``."""
    source = packet["from"]
    if "source_port" in packet:
        source = (
            f"[{source}]:{packet['source_port']}" if ":" in source else f"{source}:{packet['source_port']}"
        )
    what = packet["protocol"] if not packet["protocol"].isdigit() else saved_protocol(int(packet["protocol"]))
    if what.isdigit():
        what = f"protocol {what}"
    if "port" in packet:
        what = f"{packet['port']}/{what}"
    for name in ("icmp_type", "icmp_code"):
        what += f"/{packet[name]}" if name in packet else ""
    at = f" at {packet['at']}" if "at" in packet else ""
    return printable(f"{source} to {what}{at}{' on ' + packet['on'] if 'on' in packet else ''}")


def _outcome_lines(data: Mapping[str, Any], outcome: Mapping[str, Any]) -> Iterator[Text]:
    halves = {each["half"] for each in data["outcomes"]}
    told = "first packet " if outcome["half"] == "first" else "later packets "
    word = {name: _WORDS[can] for can, name in _NAMES.items()}.get(
        outcome["outcome"], "accepted, dropped or diverted"
    )
    deciders = outcome["by"][:SHOWN_DECIDERS]
    more = len(outcome["by"]) - SHOWN_DECIDERS
    when = f" where {' and '.join(outcome['when'])}" if "when" in outcome else ""
    way = outcome.get("ways", ())
    shown = ", ".join(map(str, way[:SHOWN_DECIDERS])) + (" …" if len(way) > SHOWN_DECIDERS else "")
    yield Text.assemble(
        f"  {told if len(halves) > 1 else ''}",
        (word, _COLOURS.get(outcome["outcome"], "yellow")),
        f" by {' or '.join(map(_decider_text, deciders))}{f' or {more} more' if more > 0 else ''}",
        f"{printable(when, 300)}{f' (way {shown})' if way else ''}",
    )
    for each in deciders:
        if "rule" in each:
            yield Text(f"    {printable(each['rule'])}", style="dim")


def _decider_text(decider: Mapping[str, Any]) -> str:
    place = f"{file_name(decider['file'], 80)}:{decider['line']}" if "line" in decider else ""
    if "policy" in decider:
        policy = f"the policy {decider['policy']} of {decider['chain']} in {decider['table']}"
        return f"{policy} ({place})" if place else policy
    return f"{place} in {printable(decider['chain'], 40)}"


def _policy_lines(policy: Mapping[str, Any], packet: Mapping[str, Any]) -> Iterator[Text]:
    """What the policies say, by which rules, and whether that is what the host does."""
    words = {True: (", as on the host", "green"), False: (", unlike on the host", "bold red")}
    verdict = policy["verdict"]
    colour = {"admitted": "green", "refused": "red"}.get(verdict, "yellow")
    yield Text.assemble(
        f"  network policy ({policy['cni']}): ",
        ("left open by the target's documents" if verdict == "open" else verdict, colour),
        words.get(policy.get("agrees"), ""),  # type: ignore[arg-type]
        "" if policy["source_class"] == "external" else f" (the source is a {policy['source_class']})",
    )
    acting = {"admitted": "allow", "refused": "deny"}.get(verdict)
    rules = sorted(policy["rules"], key=lambda rule: rule["action"] != acting)
    for rule in rules[:SHOWN_DECIDERS]:
        word = {"allow": "allowed", "deny": "denied", "pass": "passed on"}[rule["action"]]
        if acting in (rule["action"], None):
            yield Text(f"    {word} by {_policy_place(rule)}")
        else:
            yield Text(f"    {_policy_place(rule)} matches too, and does not decide", style="dim")
    if len(policy["rules"]) > SHOWN_DECIDERS:
        yield Text(f"    … and {len(policy['rules']) - SHOWN_DECIDERS} more rules match")
    if policy["rules"]:
        return
    if not policy["selected"]:
        yield Text("    no policy for ingress selects the pods: nothing keeps packets from them")
    elif verdict == "admitted":
        yield Text("    no rule matches it: what the platform lets in by itself")
    elif not policy["near"]:
        yield Text("    no rule is for it, whatever the source or the port")
    else:
        yield Text("    no rule matches it; nearest:")
    for near in policy["near"][:SHOWN_DECIDERS]:
        only = "for other sources" if near["but"] == "source" else "for another port"
        yield Text(f"      {_policy_place(near)} is {only}")
    if len(policy["near"]) > SHOWN_DECIDERS:
        yield Text(f"      … and {len(policy['near']) - SHOWN_DECIDERS} more")


def _policy_place(rule: Mapping[str, Any]) -> str:
    return f"{file_name(rule['file'], 80)}:{rule['line']} {printable(rule['pointer'], 120)}"


def _settling_lines(settling: Sequence[Mapping[str, Any]]) -> Iterator[Text]:
    if not settling:
        return
    yield Text("  What would settle it:", style="bold")
    for each in settling[:SHOWN_SETTLING]:
        lines = ", ".join(str(line["line"]) for line in each["lines"][:8])
        more = f" and {len(each['lines']) - 8} more" if len(each["lines"]) > 8 else ""
        where = f" (line{'s' if len(each['lines']) > 1 else ''} {lines}{more})" if lines else ""
        yield Text(f"    {printable(each['why'], 300)}{where}")
        if each["settle"]:
            yield Text(f"      → {printable(each['settle'], 300)}")
    if len(settling) > SHOWN_SETTLING:
        yield Text(f"    … and {len(settling) - SHOWN_SETTLING} more")


def _way_lines(trace: Mapping[str, Any]) -> Iterator[Text]:
    base: Any = None
    shows_ways = trace["ways"] > 1
    for step in _side_by_side(trace["steps"]):
        if "base" in step and step["base"] != base:
            base = step["base"]
            yield Text(f"  {base[0]} {base[1]}", style="cyan")
        indent = "    " + "  " * min(step["depth"], 20)
        if "joined" in step:
            why = "is the same from here on" if step["equal"] else "is drawn together with it: too many ways"
            yield Text(f"{indent}way {step['joined']} goes on as way {step['into']} ({why})", style="dim")
        elif "untold" in step:
            name = printable(step["untold"], 40)
            told = f"the chain {name} is not told, as there are too many steps; what it does counts"
            yield Text(f"{indent}{told}", style="yellow")
        elif "skipped" in step:
            yield _skipped_line(step, indent)
        else:
            yield from _step_lines(step, indent, shows_ways)


def _side_by_side(steps: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Ways that fare alike at one rule as one step; ``way`` is text."""
    held: dict[str, Any] | None = None
    for each in steps:
        if "outcome" not in each:
            if held is not None:
                yield held
            held = None
            yield each
            continue
        step = {**each, "way": str(each.get("way") or "")}
        if held is not None and _alike(held, step):
            held["way"] += f", {step['way']}"
            if held.get("because") != step.get("because"):
                asked = dict.fromkeys(
                    part["asks"]
                    for one in (held, step)
                    for part in one.get("because", ())
                    if part["holds"] == "no"
                )
                held["because"] = [
                    {"asks": each, "holds": "no", "why": f"the {each} differs"} for each in asked
                ]
            continue
        if held is not None:
            yield held
        held = step
    if held is not None:
        yield held


def _alike(one: Mapping[str, Any], two: Mapping[str, Any]) -> bool:
    """True where two ways fare alike at the same rule or policy; for which parts of it may differ."""
    own = ("way", "onward", "because")
    return (
        one["outcome"] != "undecided"
        and one["way"] != two["way"]
        and {key: value for key, value in one.items() if key not in own}
        == {key: value for key, value in two.items() if key not in own}
    )


def _skipped_line(step: Mapping[str, Any], indent: str) -> Text:
    topics = step["because"]
    told = ", ".join(topics[:SHOWN_TOPICS]) + (", …" if len(topics) > SHOWN_TOPICS else "")
    where = f"lines {step['first_line']}-{step['last_line']}"
    return Text(f"{indent}· {where}: {step['skipped']:,} rules do not match ({printable(told)})", style="dim")


def _step_lines(step: Mapping[str, Any], indent: str, shows_ways: bool) -> Iterator[Text]:
    mark, style = _MARKS[step["outcome"]]
    way = f"[way {step['way']}] " if shows_ways and step.get("way") else ""
    if "rule" not in step:
        if "why" in step and "policy" not in step:
            onward = ", ".join(map(str, step.get("onward", ())))
            ways = f" (if so: way {onward})" if onward and onward != "0" else ""
            yield Text.assemble(indent, (f"{mark} ", style), f"{way}{printable(step['why'], 300)}{ways}")
            return
        place = f" (line {step['line']})" if "line" in step else ""
        policy = step["policy"]
        colour = "green" if policy == "ACCEPT" else "red"
        yield Text.assemble(indent, (f"{mark} ", style), f"{way}policy ", (f"{policy}", colour), place)
        return
    if step["outcome"] == "not matched":
        whys = [each for each in step.get("because", ()) if each["holds"] == "no"]
        told = "; ".join(f"{each.get('match', '')}: {each['why']}".removeprefix(": ") for each in whys)
        yield Text(f"{indent}{mark} {way}line {step['line']}  {printable(step['rule'])}", style="dim")
        yield Text(f"{indent}    {printable(told, 300)}", style="dim")
        return
    effect = step.get("effect", "")
    yield Text.assemble(indent, (f"{mark} ", style), f"{way}line {step['line']}  {printable(step['rule'])}")
    if step["outcome"] == "undecided":
        for each in step.get("because", ()):
            if each["holds"] == "open":
                named = f"{each['match']}: " if "match" in each else ""
                yield Text(f"{indent}    open: {printable(named + each['why'], 300)}", style="yellow")
        onward = step.get("onward", [])
        hit, rest = (onward[:-1], onward[-1:]) if shows_ways else ([], [])
        ways = f" (way {', '.join(map(str, hit))})" if hit and hit != rest else ""
        yield Text(f"{indent}    → if it matches{ways}: {printable(effect, 200)}")
        yield Text(f"{indent}    → if not{f' (way {rest[0]})' if ways and rest else ''}: goes on")
        return
    yield Text.assemble(f"{indent}    → ", (printable(effect, 200), _COLOURS.get(effect.split(";")[0], "")))
