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

    The most severe findings come first. What is said of a rule holds for every packet in every
    state of its connection; where that cannot be known, nothing is said.

    Exit status: 0 done; 1 done, with a finding at or above --fail-on that nobody has accepted; 2 bad input or usage; 3 internal error.
    """
    with reported_errors():
        from ipt2np.cli.inputs import check_inputs, check_outputs, names_of
        from ipt2np.reporting.formats import check_formats

        inputs = [*names_of(rules, dumps), *(telling.accept or [])]
        check_formats(telling.report or [])
        check_outputs(telling.report or [], inputs)
        check_inputs(inputs)

        # From here on the library is needed, which takes longer to load than everything above.
        from ipt2np import __version__
        from ipt2np.cli.inputs import assumptions_of, facts_of, read_rulesets, signoffs_of
        from ipt2np.cli.telling import least_of, tell
        from ipt2np.lint import lint as lint_rulesets
        from ipt2np.reporting.accepted import accepted
        from ipt2np.reporting.console import OutputConsole
        from ipt2np.reporting.lintreport import lint_report
        from ipt2np.reporting.terminal import lint_lines

        chosen = _codes("--only", only), _codes("--ignore", ignore)
        with progress("Reading …", telling.quiet) as told:
            signoffs = signoffs_of(telling.accept or [])
            facts = facts_of(host, dumps)
            given = read_rulesets(rules, dumps)
            told("Looking at every rule …")
            linted = _chosen(lint_rulesets(given.rulesets, assumptions_of(host), facts, given.also), *chosen)
        told_of = accepted((), linted.findings, signoffs)
        tell(
            telling,
            told_of,
            lambda: lint_report(linted, __version__, given.texts),
            lambda: lint_lines(linted, told_of),
            OutputConsole(),
        )
        least = least_of(fail_on)
        failed = least is not None and bool(told_of.open_findings(least))
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
