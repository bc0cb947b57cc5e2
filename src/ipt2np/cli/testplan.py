"""``ipt2np testplan``."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.groups import grouped
from ipt2np.cli.options import (
    HOST,
    OUTPUT,
    Choices,
    ClusterFacts,
    Dumps,
    HostFacts,
    Rules,
    Selection,
    Whose,
)
from ipt2np.cli.output import print_text, progress

if TYPE_CHECKING:
    from ipt2np.conversion import Conversion
    from ipt2np.testplan import TestPlan
    from ipt2np.testplan.netassert import Resource

WIDTH_OF_FILES = 160


class Format(StrEnum):
    """The values of --format."""

    TABLE = "table"
    JSON = "json"
    SH = "sh"
    NETASSERT = "netassert"


@grouped
def testplan(
    rules: Rules,
    dumps: Dumps,
    cluster: ClusterFacts,
    selection: Selection,
    host: HostFacts,
    choices: Choices,
    source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDR",
            rich_help_panel=HOST,
            help="An address that probes can be sent from: taken wherever there is a choice.",
        ),
    ] = None,
    most: Annotated[
        int,
        typer.Option("--max", metavar="N", min=1, rich_help_panel=OUTPUT, help="At most so many probes."),
    ] = 200,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            rich_help_panel=OUTPUT,
            help="A table, JSON, a shell script of nc and ping probes, or a netassert v2 test file.",
        ),
    ] = Format.TABLE,
    pod: Annotated[
        str,
        typer.Option(
            metavar="[NS/]KIND/NAME",
            rich_help_panel=OUTPUT,
            help="netassert: the pods that its tests are sent from.",
        ),
    ] = "pod/netassert-client",
    target_resource: Annotated[
        str | None,
        typer.Option(
            metavar="[NS/]KIND/NAME",
            rich_help_panel=OUTPUT,
            help="netassert: the pods that replace the host (default: deployment/NAME).",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            rich_help_panel=OUTPUT,
            help="Where the plan goes; - is standard output.",
        ),
    ] = "-",
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", rich_help_panel=OUTPUT, help="Show no progress.")
    ] = False,
) -> None:
    """List packets at the boundaries of a ruleset, and what the old host and the new pod must answer to each.

    The policy is that of `ipt2np convert` with the same options. Every difference between host and pod has a witness
    in the plan, then every answer to every service, then both sides of every boundary between ports and sources.

    Exit status: 0 done; 2 bad input or usage, nothing written; 3 internal error.
    """
    with reported_errors():
        from ipt2np.cli.arguments import address_of
        from ipt2np.cli.inputs import (
            check_cni,
            check_inputs,
            check_outputs,
            facts_of,
            names_of,
            options_of,
            read_rulesets,
        )
        from ipt2np.conversion import convert
        from ipt2np.errors import UsageError
        from ipt2np.files import write_all
        from ipt2np.testplan import plan_probes

        if selection.scope is Whose.HOST:
            raise UsageError("--scope host: a test plan is for the pods that replace a host")
        check_cni(cluster.cni, cluster)
        senders = [address_of(text, "--source") for text in source or []]
        options = options_of(rules, cluster, selection, choices, host)
        identity = options.identity
        resources = (
            _resource("--pod", pod, identity.namespace),
            _resource(
                "--target-resource", target_resource or f"deployment/{identity.name}", identity.namespace
            ),
        )
        check_outputs([output], names_of(rules, dumps))
        check_inputs(names_of(rules, dumps))
        with progress("Reading …", quiet) as told:
            options = replace(options, facts=facts_of(host, dumps))
            given = read_rulesets(rules, dumps)
            told("Deciding, proving …")
            conversion = convert(given.rulesets, options, given.also)
            told("Planning …")
            plan = plan_probes(conversion, most, senders)
        text = _text(plan, conversion, form, resources, terminal=output == "-")
        if output == "-":
            print_text(text)
        else:
            write_all({output: text})


def _resource(option: str, text: str, namespace: str) -> Resource:
    from ipt2np.cni.manifests import is_name, is_namespace
    from ipt2np.errors import UsageError
    from ipt2np.testplan.netassert import KINDS, Resource

    space, kind, name = text.split("/") if text.count("/") == 2 else (namespace, *_halves(text))
    if kind not in KINDS or not is_name(name) or not is_namespace(space):
        raise UsageError(
            f"{option} {text}: expected [NAMESPACE/]KIND/NAME, the kind one of {', '.join(KINDS)}"
        )
    return Resource(kind, name, space)


def _halves(text: str) -> tuple[str, str]:
    kind, _, name = text.partition("/")
    return kind, name


def _text(
    plan: TestPlan,
    conversion: Conversion,
    form: Format,
    resources: tuple[Resource, Resource],
    *,
    terminal: bool,
) -> str:
    from ipt2np.testplan.jsonplan import json_plan
    from ipt2np.testplan.netassert import netassert_tests
    from ipt2np.testplan.shell import shell_script

    title = _title(plan, conversion)
    if form is Format.JSON:
        return json_plan(plan, conversion, conversion.draft.options.version)
    if form is Format.SH:
        return shell_script(plan, title)
    if form is Format.NETASSERT:
        return netassert_tests(plan, title, *resources)
    return _table(plan, title, terminal)


def _title(plan: TestPlan, conversion: Conversion) -> str:
    from ipt2np.text import file_name

    draft = conversion.draft
    files = ", ".join(dict.fromkeys(file_name(each.file, 60) for each in draft.decision.rulesets))
    many = f"{len(plan.cases)} probe{'' if len(plan.cases) == 1 else 's'}"
    return f"{many} of {files} and its policy for {draft.cni.name} ({conversion.proof.verdict.value})"


def _table(plan: TestPlan, title: str, terminal: bool) -> str:
    """As wide and as colourful as standard output is; a file or a pipe takes every column."""
    from io import StringIO

    from rich.console import Console

    from ipt2np.testplan.table import show_plan

    real, text = Console(), StringIO()
    live = terminal and real.is_terminal
    width = real.width if live else WIDTH_OF_FILES
    console = Console(file=text, width=width, force_terminal=live, highlight=False, emoji=False)
    show_plan(console, plan, title)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
