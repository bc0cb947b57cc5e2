"""The parts of a report as plain data, in the words of its schema."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ipt2np.findings import Finding
from ipt2np.frames import Found
from ipt2np.packets import AddressSet
from ipt2np.proof.access import Access
from ipt2np.proof.boxes import PORTED, Box, ranges_text, readable
from ipt2np.proof.ledger import Ledger
from ipt2np.proof.prove import Proof, ProvenDifference
from ipt2np.rules.interfaces import Interfaces
from ipt2np.rules.model import Rule, Ruleset

DIGEST = 16
"""Hexadecimal digits of a digest: 64 bits tell a host's differences apart."""

SHOWN_BEHIND = 20
"""So many of the rules behind a difference are listed; the others are counted."""


def digest_of(value: Any) -> str:
    """A short digest of plain data."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:DIGEST]


def box(each: Box) -> dict[str, Any]:
    """Sources, protocol, ports, as far as they apply."""
    result: dict[str, Any] = {
        "source": each.named.to_cidrs(),
        "protocol": each.protocol,
    }
    if any(low <= ported <= high for low, high in each.protocols for ported in PORTED):
        result |= {"ports": ranges_text(each.ports), "source_ports": ranges_text(each.source_ports)}
    if each.icmp:
        result["icmp"] = [
            ranges_text((types,)) + ("" if codes == (0, 255) else "/" + ranges_text((codes,)))
            for types, codes in each.icmp
        ]
    if each.interface:
        result["interface"] = each.interface
    return result


def lines(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Where rules stand."""
    return [{"file": rule.location.file, "line": rule.location.line} for rule in rules]


def files(rulesets: Iterable[Ruleset]) -> dict[str, Any]:
    """The rulesets that were read."""
    return {
        "files": [
            {"path": ruleset.file, "sha256": ruleset.sha256, "rules": len(ruleset.rules)}
            for ruleset in rulesets
        ]
    }


Behind = Callable[[ProvenDifference, Box], tuple[Sequence[Mapping[str, Any]], Sequence[str]]]
"""A difference to the rules behind it, as plain places, and to the policy rules behind it, as pointers."""


def difference(each: ProvenDifference, part: Box, behind: Behind) -> dict[str, Any]:
    """One difference of one protocol."""
    result = {**_meaning(each, part), "witness": part.witness(), "findings": list(each.findings)}
    result["digest"] = difference_digest(each, part)
    rules, pointers = behind(each, part)
    if rules:
        result["lines"] = list(rules[:SHOWN_BEHIND])
        result |= {"more_lines": len(rules) - SHOWN_BEHIND} if len(rules) > SHOWN_BEHIND else {}
    if pointers:
        result["pointers"] = list(pointers)
    return result


def difference_digest(each: ProvenDifference, part: Box) -> str:
    """The digest by which a reviewer accepts a difference: of what it means and its causes, not of who is behind it."""
    return digest_of([_meaning(each, part), sorted(each.findings)])


def _meaning(each: ProvenDifference, part: Box) -> dict[str, Any]:
    return {
        "effect": each.effect.value,
        "certain": each.certain,
        "source_class": each.source_class,
        **box(part),
    }


def proof(proven: Proof, behind: Behind) -> dict[str, Any]:
    """The verdicts and every difference."""
    return {
        "verdict": proven.verdict.value,
        "by_class": {name: verdict.value for name, verdict in proven.by_class.items()},
        "differences": [
            difference(each, part, behind) for each in proven.differences for part in each.box.by_protocol()
        ],
    }


def accesses(
    found: Iterable[Access], impossible: Mapping[int, AddressSet], interfaces: Interfaces | None = None
) -> Iterator[dict[str, Any]]:
    """Who may reach what, before and after."""
    for each in found:
        for some in readable(each.packets, impossible, interfaces):
            for part in some.by_protocol():
                yield {
                    "source_class": each.source_class,
                    **box(part),
                    "before": each.before.value,
                    "after": each.after.value,
                }


def finding(each: Finding) -> dict[str, Any]:
    """One finding."""
    file, line = each.place
    result: dict[str, Any] = {"code": each.code, "severity": each.severity.word}
    if file:
        result["file"] = file
    if line:
        result["line"] = line
    if each.rules:
        result["rule"] = each.rules[0].text
        result["lines"] = lines(each.rules)
    result["message"] = each.message
    result["remedy"] = each.remedy
    if each.pointers:
        result["pointers"] = list(each.pointers)
    result["digest"] = finding_digest(each)
    return result


def finding_digest(each: Finding) -> str:
    """The digest by which a reviewer accepts a finding."""
    about: list[Any] = [[rule.table, rule.chain, rule.text] for rule in each.rules]
    if not each.rules and not each.predicted:
        about = [each.message]
    predicted = [
        [some.effect.value, list(some.source_classes), some.packets.digest()] for some in each.predicted
    ]
    return digest_of([each.code, about, predicted])


def frame(each: Found) -> dict[str, Any]:
    """A program that was recognised."""
    return {
        "name": each.frame.name,
        "statement": each.frame.what,
        "reference": each.frame.reference,
        "chains": [
            {
                "file": chain.file,
                "table": chain.table,
                "name": chain.name,
                "purpose": chain.kind.purpose,
                "rules": chain.rules,
            }
            for chain in each.chains
        ],
        "rules": len(each.rules),
        "lines": lines(each.rules),
        "bans": lines(each.bans),
    }


def ledger(fates: Ledger) -> list[dict[str, Any]]:
    """Every rule's fate and where it went."""
    return [
        {
            "file": entry.rule.location.file,
            "line": entry.rule.location.line,
            "fate": entry.fate.value,
            "emitted": list(entry.emitted),
        }
        for entry in fates.entries
    ]


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are of each severity."""
    words = [each.severity.word for each in findings]
    return {word: words.count(word) for word in ("error", "warning", "info")}
