"""What ``ipt2np explain`` says, for a terminal: the same plain data, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from ipt2np.reporting.explanation import NAMES, WORDS
from ipt2np.rules.names import saved_protocol
from ipt2np.text import file_name, printable

SHOWN_OUTCOMES = 12
SHOWN_DECIDERS = 3
SHOWN_SETTLING = 8
SHOWN_TOPICS = 4

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
    word = {name: WORDS[can] for can, name in NAMES.items()}.get(
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
    words: Mapping[bool | None, tuple[str, str]] = {
        True: (", as on the host", "green"),
        False: (", unlike on the host", "bold red"),
    }
    verdict = policy["verdict"]
    colour = {"admitted": "green", "refused": "red"}.get(verdict, "yellow")
    yield Text.assemble(
        f"  network policy ({policy['cni']}): ",
        ("left open by the target's documents" if verdict == "open" else verdict, colour),
        words.get(policy.get("agrees"), ("", "")),
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
                parts = [part for one in (held, step) for part in one.get("because", ())]
                asked = dict.fromkeys(part["asks"] for part in parts if part["holds"] == "no")
                held["because"] = [
                    *({"asks": each, "holds": "no", "why": f"the {each} differs"} for each in asked),
                    *(part for part in parts if "assumed" in part),
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
    assumed = dict.fromkeys(name for each in step.get("because", ()) for name in each.get("assumed", ()))
    if assumed:
        yield Text(f"{indent}    as assumed: {printable(', '.join(assumed), 200)}", style="dim")
    yield Text.assemble(f"{indent}    → ", (printable(effect, 200), _COLOURS.get(effect.split(";")[0], "")))
