"""A test plan as JSON: schema 1, in the words of the other reports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ipt2np.conversion import Conversion
from ipt2np.rules.model import Rule
from ipt2np.testplan.case import ProbeCase, Reason, TestPlan

SCHEMA = 1


def json_plan(plan: TestPlan, conversion: Conversion, version: str) -> str:
    """The plan as JSON text, the same bytes for the same input; fields that don't apply are left out."""
    draft = conversion.draft
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "command": "testplan",
        "tool": {"name": "ipt2np", "version": version},
        "input": {
            "files": [
                {"path": ruleset.file, "sha256": ruleset.sha256, "rules": len(ruleset.rules)}
                for ruleset in draft.decision.rulesets
            ]
        },
        "target": {"cni": draft.cni.name},
        "proof": {"verdict": conversion.proof.verdict.value},
        "cases": [_case(number, case) for number, case in enumerate(plan.cases, start=1)],
        "left_out": {"count": plan.left_out, "more": plan.left_out_more},
    }
    return json.dumps(data, indent=1, ensure_ascii=True) + "\n"


def _case(number: int, case: ProbeCase) -> dict[str, Any]:
    optional = {
        "port": case.port,
        "source_port": case.source_port,
        "icmp": case.icmp,
    }
    host: dict[str, Any] = {"expected": case.host.value}
    if case.how is not None:
        host["how"] = case.how.value
    if case.host_port is not None:
        host["port"] = case.host_port
    return {
        "number": number,
        "source_class": case.source_class,
        "source": case.source,
        "protocol": case.protocol,
        **{key: value for key, value in optional.items() if value is not None},
        "host": host,
        "pod": {"expected": case.pod.value, "everywhere": case.everywhere},
        "lines": _lines(case.rules),
        **({"policies": list(case.policies)} if case.policies else {}),
        "reasons": [_reason(each) for each in case.reasons],
    }


def _reason(reason: Reason) -> dict[str, Any]:
    result: dict[str, Any] = {"why": reason.why.value, "text": reason.text}
    if reason.findings:
        result["findings"] = list(reason.findings)
    if reason.beyond:
        result["beyond"] = _lines(reason.beyond)
    return result


def _lines(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    return [{"file": rule.location.file, "line": rule.location.line} for rule in rules]
