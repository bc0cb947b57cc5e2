"""``ipt2np verify``."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.groups import grouped
from ipt2np.cli.options import (
    Dumps,
    FailOn,
    FailOnOption,
    HostFacts,
    Other,
    OtherFamilyOption,
    PolicyFacts,
    Rules,
    ScopeOption,
    Telling,
    Whose,
)
from ipt2np.cli.output import progress


@grouped
def verify(
    rules: Rules,
    policy: Annotated[
        list[str],
        typer.Argument(
            metavar="POLICY…",
            help="Files or folders with the policies as YAML or JSON (also what `kubectl get … -o yaml` prints); - reads "
            "standard input.",
        ),
    ],
    dumps: Dumps,
    about: PolicyFacts,
    host: HostFacts,
    telling: Telling,
    scope: ScopeOption = Whose.POD,
    other_family: OtherFamilyOption = Other.DENY,
    fail_on: FailOnOption = FailOn.ERROR,
) -> None:
    """Prove policies that exist against a host's INPUT filtering.

    The policies may be written by hand, by another tool, or by ipt2np some time ago: they are read as the CNI reads them and
    compared with what the kernel accepts. Every difference is told with a witness, and with the rules of both sides behind it.

    Exit status: 0 equal; 1 a difference, or a finding at or above --fail-on, that nobody has accepted; 2 bad input or usage; 3
    internal error.
    """
    with reported_errors():
        from ipt2np.cli.inputs import check_inputs, check_outputs, names_of
        from ipt2np.reporting.formats import check_formats

        inputs = [*names_of(rules, dumps), *policy, *(telling.accept or [])]
        check_formats(telling.report or [])
        check_outputs(telling.report or [], inputs)
        check_inputs(inputs)

        # From here on the library is needed, which takes longer to load than everything above.
        from ipt2np import __version__
        from ipt2np.cli.inputs import facts_of, read_rulesets, signoffs_of
        from ipt2np.cli.policies import options_for, policies_of
        from ipt2np.cli.telling import least_of, tell
        from ipt2np.conversion import OtherFamily
        from ipt2np.policies.loading import read_texts
        from ipt2np.reporting.accepted import accepted
        from ipt2np.reporting.console import OutputConsole
        from ipt2np.reporting.terminal import conversion_lines
        from ipt2np.reporting.verificationreport import verification_report
        from ipt2np.review.verification import verify as verified

        with progress("Reading …", telling.quiet) as told:
            signoffs = signoffs_of(telling.accept or [])
            facts = facts_of(host, dumps)
            given = read_rulesets(rules, dumps)
            policies = policies_of(read_texts(policy), about)
            options = options_for(policies, about, host, facts, scope)
            options = replace(options, other_family=OtherFamily(other_family.value))
            told("Deciding, proving …")
            found = verified(given.rulesets, policies, options, given.also)
        conversion = found.conversion
        told_of = accepted(conversion.proof.differences, conversion.findings, signoffs)
        tell(
            telling,
            told_of,
            lambda: verification_report(found, __version__, given.texts),
            lambda: conversion_lines(conversion, told_of, digests=True),
            OutputConsole(),
        )
        least = least_of(fail_on)
        findings = least is not None and bool(told_of.open_findings(least))
        failed = findings or bool(told_of.open_differences)
    raise typer.Exit(1 if failed else 0)
