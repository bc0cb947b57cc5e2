"""Linting a host's rulesets: every finding, the ones that matter most first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ipt2np.findings.catalogue import CATALOGUE, Code
from ipt2np.findings.finding import Finding
from ipt2np.findings.frames import by_frame
from ipt2np.lint.checks import TableChecks
from ipt2np.lint.exposure import exposure_findings
from ipt2np.lint.tables import lint_tables
from ipt2np.rules.assumptions import Assumptions
from ipt2np.rules.model import Ruleset
from ipt2np.semantics import Facts, decide

CODES: Mapping[str, Code] = {code: each for code, each in CATALOGUE.items() if code.startswith("N2P6")}
"""The findings of lint."""


@dataclass(frozen=True)
class Linted:
    """What was linted, and what was found."""

    rulesets: tuple[Ruleset, ...]
    findings: tuple[Finding, ...]


def lint(
    rulesets: Sequence[Ruleset],
    assumptions: Assumptions | None = None,
    facts: Facts | None = None,
    also: Sequence[Ruleset] = (),
) -> Linted:
    """Lint one host's rulesets; ``also`` are loaded beside them (the other iptables backend).

    The assumptions and facts are those of the decision, from which follows what the host lets in. UsageError where they
    contradict each other.
    """
    facts = facts or Facts()
    every = (*rulesets, *also)
    decision = decide(rulesets, assumptions, facts, also=also)
    findings = [
        finding
        for ruleset in every
        for table in lint_tables(ruleset, facts)
        for finding in TableChecks(table, decision.frames).findings()
    ]
    findings += exposure_findings(decision)
    files = {ruleset.file: place for place, ruleset in reversed(list(enumerate(every)))}
    told = by_frame(findings, decision.frames)
    told.sort(key=lambda each: (-each.severity, files.get(each.place[0], 0), each.place[1], each.code))
    return Linted(tuple(every), tuple(told))
