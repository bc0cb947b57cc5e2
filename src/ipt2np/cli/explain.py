"""``ipt2np explain``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.groups import grouped
from ipt2np.cli.options import OUTPUT, Dumps, HostFacts, Other, OtherFamilyOption, Rules
from ipt2np.cli.output import print_text, progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ipt2np.semantics import Decision

PACKET = "The packet"


class Shape(StrEnum):
    """The values of --format."""

    TERMINAL = "terminal"
    JSON = "json"


@grouped
def explain(
    rules: Rules,
    source: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="ADDR[:PORT]",
            rich_help_panel=PACKET,
            help="Who sends it, and from which port if that matters; an IPv6 address with a port stands in brackets.",
        ),
    ],
    service: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="PORT/PROTO",
            rich_help_panel=PACKET,
            help="What it is for: 443/tcp, icmp/8 (type, and /CODE if it matters), gre, 47.",
        ),
    ],
    dumps: Dumps,
    host: HostFacts,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="IF", rich_help_panel=PACKET, help="The interface that this packet comes in on."
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR", rich_help_panel=PACKET, help="The host's own address that this packet is sent to."
        ),
    ] = None,
    other_family: OtherFamilyOption = Other.DENY,
    every: Annotated[
        bool,
        typer.Option(
            "--all", rich_help_panel=OUTPUT, help="Tell every rule, also long runs that do not match."
        ),
    ] = False,
    shape: Annotated[
        Shape, typer.Option("--format", rich_help_panel=OUTPUT, help="For people, or for programs.")
    ] = Shape.TERMINAL,
) -> None:
    """Show a packet's way through the rules: which match, which do not and why, and what becomes of it.

    What is not said of the packet stays open. Where a rule's answer depends on it, or on what no dump shows, both ways are
    followed, and the option that would settle it is named. For TCP and SCTP the later packets of the connection come after
    the first one. The account goes to standard output.

    Exit status: 0 done, whatever becomes of the packet; 2 bad input or usage; 3 internal error.
    """
    with reported_errors():
        from ipt2np import __version__
        from ipt2np.cli.inputs import assumptions_of, check_inputs, facts_of, names_of, read_rulesets
        from ipt2np.cli.packets import question_of
        from ipt2np.reporting.explanation import explanation
        from ipt2np.semantics.decide import decide
        from ipt2np.semantics.trace import trace

        question = question_of(source, service, on, at)
        check_inputs(names_of(rules, dumps))
        assumptions = assumptions_of(host)
        with progress("Reading …") as told:
            facts = facts_of(host, dumps)
            given = read_rulesets(rules, dumps)
            told("Deciding …")
            decision = decide(
                given.rulesets,
                assumptions,
                facts,
                also=given.also,
                same_for_other_family=other_family is Other.SAME,
            )
            _check_family(decision, question.family, source, rules)
            traces = trace(decision, question.packets(decision))
            data = explanation(decision, question, traces, __version__, every=every)
        _print(data, shape)


def _check_family(decision: Decision, family: int, source: str, rules: str) -> None:
    from ipt2np.errors import UsageError

    if family not in decision.families:
        option = "give it by --rules6" if family == 6 else "give the IPv4 dump as RULES"
        raise UsageError(
            f"--from {source}: {rules} holds no IPv{family} ruleset, so nothing is known of IPv{family}; {option}, or "
            "--other-family same if both families are filtered alike"
        )


def _print(data: Mapping[str, Any], shape: Shape) -> None:
    import json
    import sys

    from rich.console import Console

    from ipt2np.reporting.explanation import explanation_lines
    from ipt2np.reporting.terminal import write

    if shape is Shape.JSON:
        print_text(json.dumps(data, indent=1, ensure_ascii=True) + "\n")
        return
    console = Console(file=sys.stdout)
    with console.capture() as captured:
        write(console, explanation_lines(data))
    print_text(captured.get())
