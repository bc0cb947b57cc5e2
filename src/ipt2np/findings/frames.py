"""Findings about recognised frames, and findings grouped by them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ipt2np.findings.catalogue import CATALOGUE
from ipt2np.findings.collect import path_rules
from ipt2np.findings.finding import Finding
from ipt2np.findings.wording import counted, extent_of, lines_of, of
from ipt2np.frames import Found, Frames
from ipt2np.rules.model import Rule
from ipt2np.semantics import Decision
from ipt2np.text import printable

SHOWN_REASONS = 2
SHOWN_CHAINS = 6
SHOWN_NAME = 32
"""Characters of a chain's name; the kernel takes 28."""
_ALIKE: Mapping[str, str] = {
    "N2P603": "change nothing: what they take comes to the same end without them",
    "N2P606": "matched no packet since the counters were last set to zero, others of their chains did",
    "N2P612": "match nothing where they stand: no packet that comes to their chains fulfils their conditions",
}
"""Codes whose findings say of every rule the same: what several rules do, in one sentence."""


def frame_findings(decision: Decision) -> list[Finding]:
    """One finding for each program whose rules are there, and one for each that banned sources."""
    on_path = {rule.number for _, rule in path_rules(decision)}
    result = []
    for found in decision.frames.found:
        if found.rules:
            result.append(Finding("N2P110", _told(found, on_path), found.frame.advice, found.rules))
        if found.bans and not decision.facts.drop_transient:
            result.append(_bans(found, decision.frames))
    return result


def _told(found: Found, on_path: set[int]) -> str:
    rules = [rule for rule in found.rules if rule.number in on_path]
    chains = f" in {counted(found.chains, 'chain')}" if found.chains else ""
    path = f"{len(rules)} on the input path" if rules else "none on the input path"
    return f"{found.frame.name}: {counted(found.rules)}{chains} ({extent_of(found.rules)}), {path}; {found.frame.what}"


def _bans(found: Found, frames: Frames) -> Finding:
    return Finding(
        "N2P111",
        f"{found.frame.name} refuses these sources for a time only; the policy refuses them for good "
        f"({counted(found.bans, 'ban')}: {lines_of(found.bans, frames)})",
        "leave them out with --drop-transient, and ban in the application or at the ingress",
        found.bans,
    )


def by_frame(findings: Sequence[Finding], frames: Frames) -> list[Finding]:
    """The findings, those of one code that are about one frame's boilerplate only made into one.

    The one finding has the rules, and predicts the packets, of all; it stands where the first stood.
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    result: list[Finding | tuple[str, str]] = []
    for finding in findings:
        name = _all_of(finding, frames)
        if name is None:
            result.append(finding)
            continue
        key = finding.code, name
        if key not in groups:
            result.append(key)
        groups.setdefault(key, []).append(finding)
    return [each if isinstance(each, Finding) else _one(groups[each], each[1], frames) for each in result]


def _all_of(finding: Finding, frames: Frames) -> str | None:
    """The one frame whose boilerplate all rules of the finding are; None where there is none."""
    owners = (frames.boilerplate(rule) for rule in finding.rules)
    names = {owner.name if owner is not None else None for owner in owners}
    return names.pop() if len(names) == 1 else None


def _one(findings: Sequence[Finding], name: str, frames: Frames) -> Finding:
    first = findings[0]
    if len(findings) == 1:
        return first
    rules: dict[int, Rule] = {rule.number: rule for finding in findings for rule in finding.rules}
    ordered = tuple(rules[number] for number in sorted(rules))
    if first.code in _ALIKE:
        message = f"{len(ordered)} of {of(name)} rules, in {_chains(ordered)}, {_ALIKE[first.code]}"
    else:
        message = _reasons(findings, ordered, name, frames)
    remedies = {finding.remedy for finding in findings}
    return replace(
        first,
        message=message,
        remedy=first.remedy if len(remedies) == 1 else f"{first.remedy}; likewise for the other reasons",
        rules=ordered,
        predicted=tuple(each for finding in findings for each in finding.predicted),
    )


def _chains(rules: Sequence[Rule]) -> str:
    """The chains in which rules stand, the first few by name."""
    names = list(dict.fromkeys(printable(rule.chain, SHOWN_NAME) for rule in rules))
    if len(names) == 1:
        return names[0]
    last = names[-1] if len(names) <= SHOWN_CHAINS else f"{len(names) - SHOWN_CHAINS + 1} more chains"
    return f"{', '.join(names[: min(len(names), SHOWN_CHAINS) - 1])} and {last}"


def _reasons(findings: Sequence[Finding], ordered: Sequence[Rule], name: str, frames: Frames) -> str:
    """How many reasons there are, where the rules stand, and the first reasons."""
    reasons = "; ".join(finding.message for finding in findings[:SHOWN_REASONS])
    more = f"; and {len(findings) - SHOWN_REASONS} more" if len(findings) > SHOWN_REASONS else ""
    return (
        f"{CATALOGUE[findings[0].code].title} in {of(name)} rules, for {len(findings)} reasons "
        f"({counted(ordered)}: {lines_of(ordered, frames)}): {reasons}{more}"
    )
