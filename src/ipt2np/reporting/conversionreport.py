"""The report of a conversion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipt2np.cni.base import Fitted, PlatformEffect
from ipt2np.conversion import Conversion, Draft
from ipt2np.findings import Difference
from ipt2np.findings.collect import publications, relied_on, statement_of
from ipt2np.policies.manifest import manifests_of, pointer_to
from ipt2np.proof.access import Access, Bounds, access
from ipt2np.proof.boxes import Box, boxes, ranges_text
from ipt2np.proof.prove import ProvenDifference, class_packets, impossible_sources
from ipt2np.reporting import plain
from ipt2np.reporting.report import SCHEMA, Report
from ipt2np.reporting.words import about, inside, verdict_text
from ipt2np.rules.assumptions import ASSUMPTIONS, UNDECIDED
from ipt2np.rules.model import Ruleset
from ipt2np.semantics import Can, Decision
from ipt2np.sourcefile import POLICY, RULESET, SourceFile

STDOUT = "policy.yaml"
"""What the policy's text is called where it is written to no file."""


def conversion_report(
    conversion: Conversion,
    version: str,
    texts: Mapping[str, Sequence[str]] | None = None,
    policy: str = STDOUT,
) -> Report:
    """The report of a conversion; fields that don't apply are left out.

    ``texts`` are the lines of the rulesets' files by their names, ``policy`` the name of the file that the YAML goes to.
    """
    draft = conversion.draft

    def behind(each: ProvenDifference, part: Box) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
        return rules_behind(draft.decision, each, part), ()

    data = about_conversion(conversion, "convert", version, behind)
    data["places"] = places(conversion.text, policy, draft.fitted)
    emitted = SourceFile.of(policy, POLICY, conversion.text.splitlines())
    return Report(data, (*ruleset_files(draft.decision.rulesets, texts or {}), emitted))


def about_conversion(
    conversion: Conversion, command: str, version: str, behind: plain.Behind
) -> dict[str, Any]:
    """Everything but the places in the policies' text."""
    draft = conversion.draft
    decision = draft.decision
    found = conversion_access(conversion)
    return {
        "schema": SCHEMA,
        "command": command,
        "tool": {"name": "ipt2np", "version": version},
        "summary": summary(conversion),
        "input": plain.files(decision.rulesets),
        "target": {"cni": draft.cni.name, "objects": [named(each) for each in draft.fitted.objects]},
        "assumptions": assumptions(decision),
        "services": [
            {
                "protocol": each.protocol,
                "port": ranges_text(each.ports),
                "target_port": ranges_text(each.target_ports),
                "lines": plain.lines(each.rules),
            }
            for each in publications(decision)
        ],
        "frames": [plain.frame(each) for each in decision.frames.found],
        "platform": [_platform(each, draft) for each in draft.cni.platform],
        "proof": plain.proof(conversion.proof, behind),
        "access": list(plain.accesses(found, impossible_sources(decision), decision.interfaces)),
        "findings": [plain.finding(each) for each in conversion.findings],
        "ledger": plain.ledger(conversion.ledger),
    }


def rules_behind(decision: Decision, each: ProvenDifference, part: Box) -> list[dict[str, Any]]:
    """The rules that accept what the policy closes, or refuse what it opens; of what is undecided those that leave it so."""
    packets = part.packets(decision.space, decision.interfaces)
    what = Can.ACCEPT if each.effect is Difference.CLOSES else Can.REFUSE
    return plain.lines(decision.provenance.rules_behind(packets, what))


def named(each: Mapping[str, Any]) -> dict[str, Any]:
    """An object by its kind and name."""
    metadata = each["metadata"]
    return {
        "apiVersion": each["apiVersion"],
        "kind": each["kind"],
        **{key: metadata[key] for key in ("namespace", "name") if key in metadata},
    }


def summary(conversion: Conversion) -> dict[str, Any]:
    """What stands first: the verdict in words, the ledger's sums, how many findings."""
    sums = conversion.ledger.sums()
    return {
        "name": conversion.draft.options.identity.name,
        "verdict_text": verdict_text(conversion),
        "about": about(conversion.proof, conversion.draft.cni.scope, conversion.draft.options.cluster),
        "inside": inside(conversion.proof, conversion.draft.options.cluster),
        "rules": sum(sums.values()),
        "fates": {fate.value: count for fate, count in sums.items() if count},
        "findings": plain.counts(conversion.findings),
    }


def ruleset_files(rulesets: Sequence[Ruleset], texts: Mapping[str, Sequence[str]]) -> list[SourceFile]:
    """The rulesets' files, once each; without their texts the rules alone, on their lines."""
    found: dict[str, SourceFile] = {}
    for ruleset in rulesets:
        if ruleset.file in texts:
            found[ruleset.file] = SourceFile.of(ruleset.file, RULESET, texts[ruleset.file])
            continue
        known = dict(enumerate(found[ruleset.file].lines, start=1)) if ruleset.file in found else {}
        known |= {rule.location.line: rule.text for rule in ruleset.rules}
        last = max(known, default=0)
        found[ruleset.file] = SourceFile.of(
            ruleset.file, RULESET, (known.get(number, "") for number in range(1, last + 1))
        )
    return list(found.values())


def places(text: str, file: str, fitted: Fitted) -> dict[str, Any]:
    """Where each emitted rule stands in the policy's text."""
    found = manifests_of(text, file)
    result = {}
    for each in fitted.emitted:
        manifest = found[each.object_index]
        line, end = manifest.span(each.path)
        result[pointer_to(manifest.object, each.path)] = {"file": file, "line": line, "end": end}
    return result


def conversion_access(conversion: Conversion) -> list[Access]:
    """Who may reach what of the host and of the pods."""
    decision = conversion.draft.decision
    host = Bounds(decision.must_accept, decision.may_accept)
    classes = class_packets(decision.space, conversion.draft.options.cluster)
    return list(
        access(
            dict.fromkeys(classes, host),
            {name: Bounds.of_reading(reading) for name, reading in conversion.readings.items()},
            {name: packets & (decision.judged | decision.unspoken) for name, packets in classes.items()},
        )
    )


def _platform(effect: PlatformEffect, draft: Draft) -> dict[str, Any]:
    """An effect; with the packets that it lets in against the host, and one of them, where there are any."""
    result: dict[str, Any] = {
        "effect": effect.effect,
        "source_class": effect.source_class,
        "protocol": effect.protocol,
        "statement": effect.statement,
        "reference": effect.reference,
    }
    impossible = impossible_sources(draft.decision)
    found = [
        box for each in draft.opened() if each.effect is effect for box in boxes(each.packets, impossible)
    ]
    if found:
        result["packets"] = [plain.box(part) for box in found for part in box.by_protocol()]
        result["witness"] = found[0].witness()
    return result


def assumptions(decision: Decision) -> list[dict[str, Any]]:
    """Every assumption that was relied on, with the rules that rely on it."""
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
                "lines": plain.lines(relied.get(identifier, [])),
            }
        )
    return result
