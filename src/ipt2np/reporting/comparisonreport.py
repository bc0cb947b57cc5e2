"""The report of two sides compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipt2np.findings import Difference
from ipt2np.proof.boxes import Box
from ipt2np.proof.prove import ProvenDifference, impossible_sources
from ipt2np.reporting import plain
from ipt2np.reporting.conversionreport import named, ruleset_files
from ipt2np.reporting.report import SCHEMA, Report
from ipt2np.reporting.verificationreport import place
from ipt2np.reporting.words import COMPARED
from ipt2np.review.comparing import Behind, Comparison, HostSide, PolicySide, Side
from ipt2np.rules.model import Ruleset
from ipt2np.semantics import Can
from ipt2np.sourcefile import SourceFile


def comparison_report(
    found: Comparison, version: str, texts: Mapping[str, Sequence[str]] | None = None
) -> Report:
    """The report of a comparison; ``texts`` are the lines of rulesets' files by their names."""

    # Objects of both sides may have the same name.
    both = all(isinstance(side, PolicySide) for side in found.sides)
    pointed = ("A:", "B:") if both else ("", "")

    def behind(each: ProvenDifference, part: Box) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        lines: list[dict[str, Any]] = []
        pointers: list[str] = []
        for number, of_side in enumerate(behind_sides(found, each, part)):
            lines += [{**place, "side": number} for place in plain.lines(of_side.rules)]
            pointers += [pointed[number] + rule.pointer for rule in of_side.pointed]
        return lines, tuple(dict.fromkeys(pointers))

    rulesets = [ruleset for side in found.sides for ruleset in _rulesets(side)]
    policies = [side for side in found.sides if isinstance(side, PolicySide)]
    data = {
        "schema": SCHEMA,
        "command": "diff",
        "tool": {"name": "ipt2np", "version": version},
        "summary": {
            "name": title(found),
            "verdict_text": found.verdict.value,
            "about": COMPARED[found.verdict],
            "findings": plain.counts(found.findings),
        },
        "input": plain.files(_once(rulesets)),
        "sides": [_side(side) for side in found.sides],
        "proof": {
            "verdict": found.verdict.value,
            "by_class": {name: verdict.value for name, verdict in found.by_class.items()},
            "differences": [
                plain.difference(each, part, behind)
                for each in found.differences
                for part in each.box.by_protocol()
            ],
        },
        "access": list(plain.accesses(found.access, impossible_sources(found.reference))),
        "findings": [plain.finding(each) for each in found.findings],
        "places": {
            pointed[number] + rule.pointer: {"side": number, **place(rule)}
            for number, side in enumerate(found.sides)
            if isinstance(side, PolicySide)
            for rule in side.rules
        },
    }
    files: dict[tuple[str, str], SourceFile] = {}
    for file in (
        *ruleset_files(rulesets, texts or {}),
        *(f for side in policies for f in side.policies.files),
    ):
        files.setdefault((file.name, file.role), file)
    return Report(data, tuple(files.values()))


def title(found: Comparison) -> str:
    """What is compared with what: ``old.v4 → new.v4``."""
    return " → ".join(side.files[0] for side in found.sides)


def behind_sides(found: Comparison, each: ProvenDifference, part: Box) -> tuple[Behind, Behind]:
    """Who is behind a difference on each side: who accepts on the one, who refuses on the other."""
    packets = part.packets(found.space)
    before, after = (Can.ACCEPT, Can.REFUSE) if each.effect is Difference.CLOSES else (Can.REFUSE, Can.ACCEPT)
    return (
        found.sides[0].behind(packets, each.source_class, before),
        found.sides[1].behind(packets, each.source_class, after),
    )


def _side(side: Side) -> dict[str, Any]:
    if isinstance(side, HostSide):
        return {"kind": "ruleset", "files": list(side.files)}
    return {
        "kind": "policy",
        "files": list(side.files),
        "cni": side.policies.cni.name,
        "objects": [named(each.object) for each in side.policies.manifests],
    }


def _rulesets(side: Side) -> tuple[Ruleset, ...]:
    return side.decision.rulesets if isinstance(side, HostSide) else ()


def _once(rulesets: Sequence[Ruleset]) -> list[Ruleset]:
    return list({(each.file, each.family): each for each in rulesets}.values())
