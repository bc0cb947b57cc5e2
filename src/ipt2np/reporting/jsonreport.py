"""The JSON report: a stable interface (schema 1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ipt2np.conversion import Conversion
from ipt2np.findings import Finding
from ipt2np.findings.collect import publications, relied_on, statement_of
from ipt2np.frames import Found
from ipt2np.packets.intervals import Range
from ipt2np.proof.boxes import Box, whole
from ipt2np.proof.prove import ProvenDifference
from ipt2np.rules.assumptions import ASSUMPTIONS, UNDECIDED
from ipt2np.rules.model import Rule

SCHEMA = 1


def report(conversion: Conversion, version: str) -> dict[str, Any]:
    """The report of a conversion as plain data; fields that don't apply are left out."""
    draft = conversion.draft
    return {
        "schema": SCHEMA,
        "command": "convert",
        "tool": {"name": "ipt2np", "version": version},
        "input": {
            "files": [
                {"path": ruleset.file, "sha256": ruleset.sha256, "rules": len(ruleset.rules)}
                for ruleset in draft.decision.rulesets
            ]
        },
        "target": {
            "cni": draft.cni.name,
            "objects": [
                {
                    "apiVersion": each["apiVersion"],
                    "kind": each["kind"],
                    **{key: each["metadata"][key] for key in ("namespace", "name") if key in each["metadata"]},
                }
                for each in draft.fitted.objects
            ],
        },
        "assumptions": _assumptions(conversion),
        "services": [
            {
                "protocol": each.protocol,
                "port": ranges_text(each.ports),
                "target_port": ranges_text(each.target_ports),
                "lines": [{"file": rule.location.file, "line": rule.location.line} for rule in each.rules],
            }
            for each in publications(draft.decision)
        ],
        "frames": [_frame(each) for each in draft.decision.frames.found],
        "platform": [
            {
                "effect": each.effect,
                "source_class": each.source_class,
                "protocol": each.protocol,
                "statement": each.statement,
                "reference": each.reference,
            }
            for each in draft.cni.platform
        ],
        "proof": {
            "verdict": conversion.proof.verdict.value,
            "by_class": {name: verdict.value for name, verdict in conversion.proof.by_class.items()},
            "differences": [_difference(each) for each in conversion.proof.differences],
        },
        "findings": [_finding(each) for each in conversion.findings],
        "ledger": [
            {
                "file": entry.rule.location.file,
                "line": entry.rule.location.line,
                "fate": entry.fate.value,
                "emitted": list(entry.emitted),
            }
            for entry in conversion.ledger.entries
        ],
    }


def text(conversion: Conversion, version: str) -> str:
    """The report as JSON text, the same bytes for the same input."""
    return json.dumps(report(conversion, version), indent=1, ensure_ascii=True) + "\n"


def _assumptions(conversion: Conversion) -> list[dict[str, Any]]:
    decision = conversion.draft.decision
    relied = relied_on(decision)
    always = ("sole-policy", "client-address")
    settled = [each.id for each in ASSUMPTIONS if each.id in relied or each.id in always]
    result = []
    for identifier in [*settled, *(each for each in relied if each not in settled)]:
        value = decision.assumptions[identifier]
        if identifier in ("interface", "address") and value == UNDECIDED:
            value = "given"
        result.append(
            {
                "id": identifier,
                "value": value,
                "statement": statement_of(decision, identifier),
                "lines": [
                    {"file": rule.location.file, "line": rule.location.line}
                    for rule in relied.get(identifier, [])
                ],
            }
        )
    return result


def ranges_text(ranges: tuple[Range, ...]) -> str:
    """``any``, or numbers and ranges in a comma-separated string."""
    if whole(ranges):
        return "any"
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def _icmp(box: Box) -> list[str]:
    return [
        ranges_text((types,)) + ("" if codes == (0, 255) else "/" + ranges_text((codes,)))
        for types, codes in box.icmp
    ]


def _difference(each: ProvenDifference) -> dict[str, Any]:
    box = each.box
    result: dict[str, Any] = {
        "effect": each.effect.value,
        "certain": each.certain,
        "source_class": each.source_class,
        "source": box.named.to_cidrs(),
        "protocol": box.protocol,
        "ports": ranges_text(box.ports),
        "source_ports": ranges_text(box.source_ports),
    }
    if box.icmp:
        result["icmp"] = _icmp(box)
    result["witness"] = box.witness()
    result["findings"] = list(each.findings)
    return result


def _lines(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    return [{"file": rule.location.file, "line": rule.location.line} for rule in rules]


def _frame(each: Found) -> dict[str, Any]:
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
        "lines": _lines(each.rules),
        "bans": _lines(each.bans),
    }


def _finding(each: Finding) -> dict[str, Any]:
    file, line = each.place
    result: dict[str, Any] = {"code": each.code, "severity": each.severity.word}
    if file:
        result["file"] = file
    if line:
        result["line"] = line
    if each.rules:
        result["rule"] = each.rules[0].text
        result["lines"] = _lines(each.rules)
    result["message"] = each.message
    result["remedy"] = each.remedy
    return result
