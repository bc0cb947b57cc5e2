"""The findings about ipsets: sets that do not fit their rules, entries that expire, sets that the dump lacks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ipt2np.findings.catalogue import remedy
from ipt2np.findings.finding import Finding
from ipt2np.findings.wording import counted, lines_of
from ipt2np.rules.ipset import IpSet, with_members
from ipt2np.rules.matches.set import MISSING, searches
from ipt2np.rules.membership import Search, fits
from ipt2np.rules.model import Rule
from ipt2np.rules.settypes import ADDRESSES, Part
from ipt2np.semantics import Facts

SHOWN_SETS = 8
FIELD_PARTS: Mapping[str, tuple[frozenset[Part], str]] = {
    "interface": (frozenset({Part.IFACE}), "src"),
    "reverse-path": (frozenset({Part.IFACE}), "src"),
    "address": (ADDRESSES, "dst"),
}
"""Which parts of an element, in which direction, look at what a fact of that name settles."""


def looks_at(rule: Rule, ipsets: Mapping[str, IpSet], fact: str) -> bool:
    """True where the rule tests an ipset that looks at what the fact settles."""
    parts, direction = FIELD_PARTS[fact]
    return any(
        part in parts and way == direction
        for name, search in searches(rule)
        for each in with_members(ipsets, name)
        for part, way in zip(each.parts, search.directions, strict=False)
    )


def interfaces_in(rules: Iterable[Rule], ipsets: Mapping[str, IpSet]) -> set[str]:
    """The interfaces that the ipsets of the rules name."""
    return {
        interface
        for rule in rules
        for name, _ in searches(rule)
        for each in with_members(ipsets, name)
        for interface in each.interfaces
    }


def missing_remedy(reason: str, facts: Facts) -> str | None:
    """What to do about a set that is not known; None where ``reason`` is about something else."""
    if not reason.startswith(MISSING):
        return None
    name = reason.removeprefix(MISSING)
    empty = f"--assume set:{name}=empty if it is empty"
    if not facts.ipsets:
        return f"give what ipset save prints by --ipset, or {empty}"
    if name in facts.ipsets:
        return f"leave out --assume set:{name}=undecided: the dump has the set"
    file = next(iter(facts.ipsets.values())).location.file
    return f"{file} lacks the set {name}: give a dump that has it (ipset save prints all sets), or {empty}"


def ipset_findings(rules: Sequence[tuple[int, Rule]], facts: Facts) -> list[Finding]:
    """Findings about the ipsets that ``rules`` test, each given with the family of its ruleset."""
    return [*_misfits(rules, facts.ipsets), *_transient(rules, facts)]


# -- sets that do not fit -----------------------------------------------------------------------------------


def _misfits(rules: Sequence[tuple[int, Rule]], ipsets: Mapping[str, IpSet]) -> Iterator[Finding]:
    found: dict[tuple[str, str], dict[int, Rule]] = {}
    for family, rule in rules:
        for name, search in searches(rule):
            for why in _why_not(ipsets, name, family, search):
                found.setdefault((name, why), {})[rule.number] = rule
    for (name, why), by_number in found.items():
        where = ipsets[name].location
        at = tuple(by_number.values())
        message = f"the ipset {name} ({where.file}:{where.line}) does not fit: {why} ({counted(at)}: {lines_of(at)})"
        yield Finding("N2P011", message, remedy("N2P011"), at)


def _why_not(ipsets: Mapping[str, IpSet], name: str, family: int, search: Search) -> Iterator[str]:
    """What is wrong between a set and a rule of a family that searches it."""
    sets = with_members(ipsets, name)
    if not sets or not sets[0].parts:
        return
    given = len(search.directions)
    if sets[0].parts == (Part.SET,):
        for each in sets[1:]:
            if each.family in (None, family) and len(each.parts) > given:
                yield f"{each.name} in it takes {len(each.parts)} directions and the rule has {given}, so it is skipped"
        if len(sets) > 1 and not any(fits(each, family, search.directions) for each in sets[1:]):
            yield "none of the sets in it suits the rule, which never finds anything in them"
        return
    (each,) = sets
    if each.family not in (None, family):
        yield f"it is a set of IPv{each.family} and the rule is for IPv{family}, so nothing is ever found"
    elif given < len(each.parts):
        yield f"{each.type} takes {len(each.parts)} directions and the rule has {given}, so nothing is ever found"
    elif given > len(each.parts):
        yield f"{each.type} takes {len(each.parts)} of the rule's {given} directions, and the others say nothing"


# -- entries that expire ------------------------------------------------------------------------------------


def _transient(rules: Sequence[tuple[int, Rule]], facts: Facts) -> Iterator[Finding]:
    expiring: dict[str, int] = {}
    at: dict[int, Rule] = {}
    for _, rule in rules:
        for name, _search in searches(rule):
            for each in with_members(facts.ipsets, name):
                if each.transient:
                    expiring[each.name] = each.transient
                    at[rule.number] = rule
    if not expiring:
        return
    rules_at = tuple(at.values())
    sets = ", ".join(f"{name}: {count}" for name, count in list(expiring.items())[:SHOWN_SETS])
    more = f" and {len(expiring) - SHOWN_SETS} more" if len(expiring) > SHOWN_SETS else ""
    what = (
        "--drop-transient leaves them out" if facts.drop_transient else "the policy is made as if they stayed"
    )
    yield Finding(
        "N2P114",
        f"ipsets hold entries that expire ({sets}{more}), and {what} ({counted(rules_at)}: {lines_of(rules_at)})",
        "none needed: the cluster's own tools keep such lists now"
        if facts.drop_transient
        else remedy("N2P114"),
        rules_at,
    )
