"""``ipt2np diff``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.groups import grouped
from ipt2np.cli.options import (
    INPUT,
    HostDumps,
    HostFacts,
    Other,
    OtherFamilyOption,
    PolicyFacts,
    Telling,
)
from ipt2np.cli.output import progress

if TYPE_CHECKING:
    from ipt2np.conversion import Options
    from ipt2np.packets import PacketSpace
    from ipt2np.review.comparing import Side
    from ipt2np.rules.model import Ruleset

_SIDE = "A ruleset, or policies: a file or folder of YAML or JSON"


@grouped
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help=_SIDE + ".")],
    after: Annotated[str, typer.Argument(metavar="B", help=_SIDE + ".")],
    dumps: HostDumps,
    about: PolicyFacts,
    host: HostFacts,
    telling: Telling,
    with_a: Annotated[
        list[str] | None,
        typer.Option(
            "--with-a",
            metavar="FILE",
            rich_help_panel=INPUT,
            help="What belongs to A too: the other family's dump, or more policies.",
        ),
    ] = None,
    with_b: Annotated[
        list[str] | None,
        typer.Option("--with-b", metavar="FILE", rich_help_panel=INPUT, help="The same for B."),
    ] = None,
    other_family: OtherFamilyOption = Other.DENY,
) -> None:
    """Tell what changes in meaning from A to B, each a host's ruleset or policies that exist.

    Both sides are read for what they let in, not for how they say it: order, chains and spelling do not matter. Every packet
    that B treats differently is told by port and source, with the rules of both sides behind it.

    Exit status: 0 no difference; 1 a difference that nobody has accepted; 2 bad input or usage; 3 internal error.
    """
    with reported_errors():
        from ipt2np.cli.inputs import check_inputs, check_outputs
        from ipt2np.reporting.formats import check_formats

        names = [[before, *(with_a or [])], [after, *(with_b or [])]]
        inputs = [*names[0], *names[1], *filter(None, [dumps.ipset, dumps.addr]), *(dumps.route or [])]
        inputs += telling.accept or []
        check_formats(telling.report or [])
        check_outputs(telling.report or [], inputs)
        check_inputs(inputs)

        # From here on the library is needed, which takes longer to load than everything above.
        from ipt2np import __version__
        from ipt2np.cli.inputs import assumptions_of, cluster_of, facts_of, signoffs_of
        from ipt2np.cli.telling import tell
        from ipt2np.conversion import Options, OtherFamily
        from ipt2np.packets import PacketSpace
        from ipt2np.reporting.accepted import accepted
        from ipt2np.reporting.comparisonreport import comparison_report
        from ipt2np.reporting.console import OutputConsole
        from ipt2np.reporting.terminal import comparison_lines
        from ipt2np.review.comparing import compare_sides

        with progress("Reading …", telling.quiet) as told:
            signoffs = signoffs_of(telling.accept or [])
            options = Options(
                facts=facts_of(host, dumps),
                assumptions=assumptions_of(host),
                other_family=OtherFamily(other_family.value),
                cluster=cluster_of(about),
            )
            space = PacketSpace()
            texts: dict[str, Sequence[str]] = {}
            held = [_held(each, dumps, texts) for each in names]
            sides = [
                _side(mine, other, about, host, options, space) for mine, other in (held, reversed(held))
            ]
            told("Comparing …")
            found = compare_sides(sides[0], sides[1], space, options.cluster)
        told_of = accepted(found.differences, found.findings, signoffs)
        tell(
            telling,
            told_of,
            lambda: comparison_report(found, __version__, texts),
            lambda: comparison_lines(found, told_of),
            OutputConsole(),
        )
        failed = bool(told_of.open_differences)
    raise typer.Exit(1 if failed else 0)


@dataclass(frozen=True)
class _Held:
    """What a side's files hold: rulesets, or the texts of policies."""

    rulesets: Sequence[Ruleset] = ()
    policies: Sequence[tuple[bytes, str]] = ()


def _held(names: Sequence[str], dumps: HostDumps, texts: dict[str, Sequence[str]]) -> _Held:
    """A side's files, by what the first of them holds."""
    from ipt2np.policies.loading import is_policy_text, read_texts

    found = read_texts(names)
    if is_policy_text(found[0][0]):
        return _Held(policies=found)
    return _Held(_rulesets(found, dumps, texts))


def _side(
    mine: _Held, other: _Held, about: PolicyFacts, host: HostFacts, options: Options, space: PacketSpace
) -> Side:
    from ipt2np.cli.policies import options_for, policies_of
    from ipt2np.review.comparing import host_side, policy_side

    if not mine.policies:
        return host_side(mine.rulesets, options, space, other.rulesets)
    policies = policies_of(mine.policies, about)
    chosen = options_for(policies, about, host, options.facts)
    return policy_side(policies, replace(chosen, other_family=options.other_family), space)


def _rulesets(
    found: Sequence[tuple[bytes, str]], dumps: HostDumps, texts: dict[str, Sequence[str]]
) -> list[Ruleset]:
    """The rulesets of a side's files, numbered apart; all files' faults at once."""
    from ipt2np.errors import InputError, Problem
    from ipt2np.syntax.dump import parse_rulesets
    from ipt2np.syntax.source import text_lines

    rulesets: list[Ruleset] = []
    problems: list[Problem] = []
    for data, file in found:
        # What tells nothing of its family is the other one's where one is there.
        other = 10 - rulesets[0].family if len(rulesets) == 1 else None
        number = sum(len(each.rules) for each in rulesets)
        try:
            rulesets += parse_rulesets(
                data, file, family=other, first_number=number, keep_going=dumps.keep_going
            )
        except InputError as error:
            problems += error.problems
            continue
        texts[file] = text_lines(data, file)
    if problems:
        raise InputError(problems)
    return rulesets
