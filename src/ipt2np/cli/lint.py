"""``ipt2np lint``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.groups import grouped
from ipt2np.cli.options import OUTPUT, Dumps, FailOn, FailOnOption, HostFacts, Rules, Telling
from ipt2np.cli.output import progress

if TYPE_CHECKING:
    from ipt2np.lint import Linted


@grouped
def lint(
    rules: Rules,
    dumps: Dumps,
    host: HostFacts,
    telling: Telling,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CODE", rich_help_panel=OUTPUT, help="Look for findings of this code alone (N2P601)."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", rich_help_panel=OUTPUT, help="Leave out findings of this code."),
    ] = None,
    fail_on: FailOnOption = FailOn.WARNING,
) -> None:
    """Find rules that do nothing, contradict themselves, or let in too much.

    Findings go to standard error, the most severe ones first. What is said of a rule holds for every packet in every
    state of its connection; where that cannot be known, nothing is said.

    Exit status: 0 done; 1 done, with a finding at or above --fail-on; 2 bad input or usage; 3 internal error.
    """
    with reported_errors():
        from ipt2np import __version__
        from ipt2np.cli.inputs import (
            assumptions_of,
            check_inputs,
            check_outputs,
            facts_of,
            names_of,
            read_rulesets,
        )
        from ipt2np.files import write_all
        from ipt2np.findings import Severity
        from ipt2np.lint import lint as lint_rulesets
        from ipt2np.reporting.formats import check_formats, formatted
        from ipt2np.reporting.lintreport import lint_report

        reports = telling.report or []
        chosen = _codes("--only", only), _codes("--ignore", ignore)
        check_formats(reports)
        check_outputs(reports, names_of(rules, dumps))
        check_inputs(names_of(rules, dumps))
        with progress("Reading …", telling.quiet) as told:
            facts = facts_of(host, dumps)
            given = read_rulesets(rules, dumps)
            told("Looking at every rule …")
            linted = lint_rulesets(given.rulesets, assumptions_of(host), facts, given.also)
        linted = _chosen(linted, *chosen)
        report = lint_report(linted, __version__, given.texts)
        written = {name: formatted(report, name) for name in reports}
        write_all(written)
        if not telling.quiet:
            _tell(linted)
        failed = fail_on is not FailOn.NEVER and any(
            finding.severity >= Severity[fail_on.name] for finding in linted.findings
        )
    raise typer.Exit(1 if failed else 0)


def _codes(option: str, given: list[str] | None) -> frozenset[str]:
    """Codes of lint, in any case. UsageError for another one."""
    from ipt2np.errors import UsageError
    from ipt2np.lint import CODES

    codes = frozenset(code.upper() for code in given or [])
    for code in sorted(codes - CODES.keys()):
        raise UsageError(f"{option} {code}: no finding of lint; there are {', '.join(CODES)}")
    return codes


def _chosen(linted: Linted, only: frozenset[str], ignored: frozenset[str]) -> Linted:
    from dataclasses import replace

    findings = tuple(
        each for each in linted.findings if each.code not in ignored and (not only or each.code in only)
    )
    return replace(linted, findings=findings)


def _tell(linted: Linted) -> None:
    from ipt2np.reporting.terminal import ErrorConsole, lint_lines, write

    write(ErrorConsole(), lint_lines(linted))
