"""``ipt2np explain``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.groups import grouped
from ipt2np.cli.options import (
    OBJECT,
    OUTPUT,
    Dumps,
    HostFacts,
    Other,
    OtherFamilyOption,
    PolicyFacts,
    Rules,
    ScopeOption,
    Whose,
)
from ipt2np.cli.output import as_shown, print_text, progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ipt2np.conversion import Options
    from ipt2np.policies.loading import Policies
    from ipt2np.semantics import Decision
    from ipt2np.semantics.trace import Traces

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
    about: PolicyFacts,
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
    policy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=OBJECT,
            help="Policies that are to stand in for the rules (files or folders): what they say of the same packet, by which rule, "
            "or what keeps them from admitting it.",
        ),
    ] = None,
    scope: ScopeOption = Whose.POD,
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
        from ipt2np.cli.policies import options_for, policies_of
        from ipt2np.conversion import Options, check_subjects, target
        from ipt2np.errors import UsageError
        from ipt2np.policies.loading import read_texts
        from ipt2np.reporting.explanation import explanation
        from ipt2np.semantics.decide import decide
        from ipt2np.semantics.trace import trace

        question = question_of(source, service, on, at)
        if (about != PolicyFacts() or scope is not Whose.POD) and not policy:
            raise UsageError("options about policies say nothing without --policy FILE")
        check_inputs([*names_of(rules, dumps), *(policy or [])])
        with progress("Reading …") as told:
            facts = facts_of(host, dumps)
            given = read_rulesets(rules, dumps)
            options = Options(assumptions=assumptions_of(host), facts=facts)
            policies = policies_of(read_texts(policy), about) if policy else None
            if policies is not None:
                options = options_for(policies, about, host, facts, scope)
            check_subjects(options.assumptions, (*given.rulesets, *given.also))
            told("Deciding …")
            decision = decide(
                given.rulesets,
                options.assumptions,
                facts,
                also=given.also,
                same_for_other_family=other_family is Other.SAME,
                by_interface=scope is Whose.HOST and target(options).by_interface,
            )
            _check_family(decision, question.family, source, rules)
            traces = trace(decision, question.packets(decision))
            said = _said(decision, policies, options, traces) if policies is not None else None
            data = explanation(decision, question, traces, __version__, every=every, policy=said)
        _print(data, shape)


def _said(decision: Decision, policies: Policies, options: Options, traces: Traces) -> Mapping[str, Any]:
    """What the policies say of the same packets."""
    from dataclasses import replace

    from ipt2np.review.admission import admission, admission_data

    options = replace(options, identity=replace(options.identity, interfaces=decision.interfaces))
    found = admission(decision, policies, options, traces.packets)
    return admission_data(found, policies.cni.name, options.identity.pod_labels)


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

    from ipt2np.reporting.console import write
    from ipt2np.reporting.explanationlines import explanation_lines

    if shape is Shape.JSON:
        print_text(json.dumps(data, indent=1, ensure_ascii=True) + "\n")
        return
    print_text(as_shown(lambda console: write(console, explanation_lines(data))))
