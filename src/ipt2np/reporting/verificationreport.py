"""The report of policies that exist, proven against a ruleset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipt2np.findings import Difference
from ipt2np.policies.matching import PolicyRule, acting
from ipt2np.proof.boxes import Box
from ipt2np.proof.prove import ProvenDifference
from ipt2np.reporting.conversionreport import about_conversion, named, rules_behind, ruleset_files
from ipt2np.reporting.report import Report
from ipt2np.review.verification import Verification


def verification_report(
    found: Verification, version: str, texts: Mapping[str, Sequence[str]] | None = None
) -> Report:
    """The report of a verification; ``texts`` are the lines of the rulesets' files by their names."""
    decision = found.conversion.draft.decision

    def behind(each: ProvenDifference, part: Box) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        packets = part.packets(decision.space, decision.interfaces)
        action = "allow" if each.effect is Difference.OPENS else "deny"
        candidates = acting(found.rules, action)
        pointers = tuple(rule.pointer for rule in candidates if rule.matches[each.source_class].meets(packets))
        return rules_behind(decision, each, part), pointers

    data = about_conversion(found.conversion, "verify", version, behind)
    data["target"] = {
        "cni": found.policies.cni.name,
        "objects": [named(each.object) for each in found.policies.manifests],
    }
    data["input"]["policies"] = [file.name for file in found.policies.files]
    data["places"] = {rule.pointer: place(rule) for rule in found.rules}
    return Report(data, (*ruleset_files(decision.rulesets, texts or {}), *found.policies.files))


def place(rule: PolicyRule) -> dict[str, Any]:
    line, end = rule.manifest.span(rule.path)
    return {"file": rule.manifest.file, "line": line, "end": end}
