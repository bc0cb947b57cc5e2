"""The report of a lint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ipt2np.lint import Linted
from ipt2np.reporting import plain
from ipt2np.reporting.conversionreport import ruleset_files
from ipt2np.reporting.report import SCHEMA, Report


def lint_report(linted: Linted, version: str, texts: Mapping[str, Sequence[str]] | None = None) -> Report:
    """The findings; ``texts`` are the lines of the rulesets' files by their names."""
    files = ", ".join(dict.fromkeys(ruleset.file for ruleset in linted.rulesets))
    data = {
        "schema": SCHEMA,
        "command": "lint",
        "tool": {"name": "ipt2np", "version": version},
        "summary": {
            "name": files,
            "rules": sum(len(ruleset.rules) for ruleset in linted.rulesets),
            "findings": plain.counts(linted.findings),
        },
        "input": plain.files(linted.rulesets),
        "findings": [plain.finding(each) for each in linted.findings],
    }
    return Report(data, tuple(ruleset_files(linted.rulesets, texts or {})))
