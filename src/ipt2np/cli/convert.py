"""``ipt2np convert``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.groups import grouped
from ipt2np.cli.options import (
    OUTPUT,
    Choices,
    Dumps,
    FailOn,
    FailOnOption,
    HostFacts,
    OneOrAll,
    Rules,
    Selection,
    Telling,
    Whose,
)
from ipt2np.cli.output import print_text, progress

if TYPE_CHECKING:
    from ipt2np.cli.inputs import Given
    from ipt2np.conversion import Options

ALL = "all"
"""In place of a CNI's name: every one."""


@grouped
def convert(
    rules: Rules,
    dumps: Dumps,
    cluster: OneOrAll,
    selection: Selection,
    host: HostFacts,
    telling: Telling,
    choices: Choices,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="Where the YAML goes; - is standard output.",
        ),
    ] = "-",
    template_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            exists=True,
            file_okay=False,
            rich_help_panel=OUTPUT,
            help="Templates in DIR stand in for those of the same name (layout and comments only: the objects must stay).",
        ),
    ] = None,
    fail_on: FailOnOption = FailOn.ERROR,
) -> None:
    """Turn a host's INPUT filtering into network policy, and prove it.

    The YAML goes to standard output, findings to standard error. The policy is read back as the target reads it and
    compared with what the kernel accepts: equal, or every difference with a witness and the line of the rule.

    Exit status: 0 done; 1 done, with a finding at or above --fail-on; 2 bad input or usage, nothing written; 3 internal error.
    """
    with reported_errors():
        from ipt2np.cli.inputs import check_inputs, check_outputs, names_of
        from ipt2np.reporting.formats import check_formats

        reports = telling.report or []
        inputs = [*names_of(rules, dumps), *(telling.accept or [])]
        check_formats(reports)
        check_outputs([output, *reports], inputs)
        check_inputs(inputs)

        # From here on the library is needed, which takes longer to load than everything above.
        from ipt2np import __version__
        from ipt2np.cli.inputs import check_cni, facts_of, options_of, read_rulesets, signoffs_of
        from ipt2np.cli.telling import least_of, tell
        from ipt2np.conversion import convert as convert_rulesets
        from ipt2np.errors import UsageError
        from ipt2np.reporting.accepted import accepted
        from ipt2np.reporting.console import ErrorConsole
        from ipt2np.reporting.conversionreport import STDOUT, conversion_report
        from ipt2np.reporting.terminal import conversion_lines

        check_cni(cluster.cni, cluster, ALL)
        options = options_of(rules, cluster, selection, choices, host)
        options = replace(options, templates=template_dir)
        every = cluster.cni == ALL
        if every and (output != "-" or reports or selection.scope is Whose.HOST):
            raise UsageError("--cni all writes no policy: -o, --report and --scope host go with one CNI")
        with progress("Reading …", telling.quiet) as told:
            signoffs = signoffs_of(telling.accept or [])
            options = replace(options, facts=facts_of(host, dumps))
            given = read_rulesets(rules, dumps)
            told("Deciding, proving …")
            if every:
                print_text(_compared(given, options, told))
                raise typer.Exit(0)
            conversion = convert_rulesets(given.rulesets, options, given.also)
        told_of = accepted(conversion.proof.differences, conversion.findings, signoffs)
        to_stdout = output == "-"
        tell(
            telling,
            told_of,
            lambda: conversion_report(conversion, __version__, given.texts, STDOUT if to_stdout else output),
            lambda: conversion_lines(conversion, told_of),
            ErrorConsole(),
            {} if to_stdout else {output: conversion.text},
            (lambda: print_text(conversion.text)) if to_stdout else (lambda: None),
        )
        least = least_of(fail_on)
        failed = least is not None and bool(told_of.open_findings(least))
    raise typer.Exit(1 if failed else 0)


def _compared(given: Given, options: Options, told: Callable[[str], None]) -> str:
    """One line a CNI: what it would keep and lose."""
    from ipt2np.cni.registry import CNIS
    from ipt2np.conversion import compare
    from ipt2np.reporting.comparison import comparison

    conversions = []
    for number, each in enumerate(compare(given.rulesets, options, given.also), start=1):
        conversions.append(each)
        told(f"{number} of {len(CNIS)} CNIs proven …")
    return comparison(conversions)
