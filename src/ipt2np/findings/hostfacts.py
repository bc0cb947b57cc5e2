"""The findings that follow from facts of the host: what they contradict, leave out, or do not settle."""

from __future__ import annotations

from collections.abc import Iterator

from ipt2np.findings.catalogue import remedy
from ipt2np.findings.collect import path_rules
from ipt2np.findings.finding import Finding
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets.intervals import address_text
from ipt2np.rules.extension import Effect
from ipt2np.rules.host import MAIN_TABLE, RouteType
from ipt2np.rules.model import Rule
from ipt2np.semantics import Decision, Facts
from ipt2np.semantics.states import effect_of

_INTERFACE_OPTIONS = ("--in-interface",)
_ADDRESS_OPTIONS = ("--destination", "--dst-range", "--ctorigdst")
_BY_ROUTING = ("addrtype", "rpfilter")
_SHOWN = 8


def fact_findings(decision: Decision) -> list[Finding]:
    """What the facts of the host say beside the rules of the input path."""
    facts = decision.facts
    rules = list({rule.number: rule for _, rule in path_rules(decision)}.values())
    return [
        *_missing_interfaces(facts, rules),
        *_partial_dump(facts),
        *_policy_routing(facts),
        *_rejected_sources(facts),
        *_unused(facts, rules),
    ]


def _listed(texts: list[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


def patterns_of(rule: Rule) -> Iterator[str]:
    """The interfaces that a rule names, loopback aside."""
    for use in rule.matches:
        for clause in use.clauses:
            if clause.option in _INTERFACE_OPTIONS and clause.values[0] not in ("lo", "+", ""):
                yield str(clause.values[0])


def _covers(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("+") else name == pattern


def _missing_interfaces(facts: Facts, rules: list[Rule]) -> list[Finding]:
    """One finding for each reason why the rules of an interface match nothing."""
    if not (facts.host.whole or facts.routed):
        return []
    given = [name for name, _ in facts.interfaces]
    present = [*given, *(facts.host.receiving if facts.host.whole else facts.known.names)]
    about: dict[str, list[Rule]] = {}
    for rule in rules:
        for pattern in patterns_of(rule):
            if not any(_covers(pattern, name) for name in present):
                about.setdefault(pattern, []).append(rule)
    by_reason: dict[str, dict[int, Rule]] = {}
    for pattern, of_pattern in sorted(about.items()):
        reason = _why_missing(facts, pattern)
        by_reason.setdefault(reason, {}).update({rule.number: rule for rule in of_pattern})
    return [
        Finding(
            "N2P012",
            f"{reason}: nothing comes in there ({counted(of_reason)}: {lines_of(of_reason)})",
            remedy("N2P012"),
            tuple(of_reason),
        )
        for reason, of_reason in ((reason, list(rules.values())) for reason, rules in by_reason.items())
    ]


def _why_missing(facts: Facts, pattern: str) -> str:
    for each in facts.host.interfaces:
        if pattern in each.alternative_names:
            return (
                f"{pattern} is another name of {each.name}, and iptables knows interfaces by the first alone"
            )
        if each.name == pattern:
            return f"{pattern} is " + (f"a port of {each.master}" if each.port else "down")
    if facts.host.whole:
        return f"the --addr dump has no interface {pattern} that is up"
    return f"no route of the --route dump leads to an interface {pattern}"


def _partial_dump(facts: Facts) -> list[Finding]:
    if not facts.host.interfaces or facts.host.whole:
        return []
    names = [each.name for each in facts.host.interfaces]
    message = f"the --addr dump has no loopback interface, so it is a part of the host's: {_listed(names)}"
    return [Finding("N2P019", message, remedy("N2P019"))]


def _policy_routing(facts: Facts) -> list[Finding]:
    tables = facts.host.policy_tables
    if not tables:
        return []
    message = (
        f"policy routing is in use (table{'s' if len(tables) > 1 else ''} {_listed(list(tables))}): which packets go by "
        "those routes is not in the dump, so that sources which they lead to may come in either way"
    )
    return [Finding("N2P113", message, remedy("N2P113"))]


def _rejected_sources(facts: Facts) -> list[Finding]:
    kinds = (RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT)
    texts = [
        f"{address_text(route.network, route.family)}/{route.length}"
        for route in facts.known.routes
        if route.type in kinds and route.table == MAIN_TABLE and route.length
    ]
    if not texts:
        return []
    message = (
        f"the host answers no source in {_listed(texts)}, by its routes; the policy goes by the rules alone"
    )
    return [Finding("N2P119", message, remedy("N2P119"))]


def _unused(facts: Facts, rules: list[Rule]) -> list[Finding]:
    """Facts about interfaces or addresses where no rule asks for those."""
    matches = {use.extension.name for rule in rules for use in rule.matches}
    options = {clause.option for rule in rules for use in rule.matches for clause in use.clauses}
    routed = bool(matches & set(_BY_ROUTING))
    by_interface = any(True for rule in rules for _ in patterns_of(rule)) or routed
    by_address = (
        bool(options & set(_ADDRESS_OPTIONS))
        or routed
        or any(effect_of(rule) is Effect.REWRITE for rule in rules)
    )
    unused = [
        option
        for option, is_given, used in (
            ("--interface", bool(facts.interfaces), by_interface),
            ("--address", bool(facts.addresses), by_address),
            ("--addr", bool(facts.host.interfaces), by_interface or by_address),
            ("--route", facts.routed, by_interface),
        )
        if is_given and not used
    ]
    if not unused:
        return []
    message = f"{' and '.join(unused)} settle{'' if len(unused) > 1 else 's'} nothing: no rule of the input path asks"
    return [Finding("N2P118", message, remedy("N2P118"))]
