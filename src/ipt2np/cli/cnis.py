"""``ipt2np cnis``."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.output import as_shown, print_text

if TYPE_CHECKING:
    from ipt2np.cni.base import Cni


class Format(StrEnum):
    """The values of --format."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    JSON = "json"


def cnis(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Tell everything of one CNI (default: compare them all)."),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="How it is written to standard output.", show_default=True)
    ] = Format.TERMINAL,
) -> None:
    """Show what each CNI can keep of a ruleset, and its limits.

    Exit status: 0 done; 2 no such CNI; 3 internal error.
    """
    with reported_errors():
        print_text(_text(_chosen(name), name is not None, form))


def _chosen(name: str | None) -> Sequence[Cni]:
    from ipt2np.cni.registry import CNIS, REFUSED
    from ipt2np.errors import UsageError

    if name is None:
        return list(CNIS.values())
    if name.lower() in REFUSED:
        raise UsageError(f"{name} is no target: {REFUSED[name.lower()]}")
    if name not in CNIS:
        raise UsageError(f"{name}: not known; there is {', '.join(CNIS)}")
    return [CNIS[name]]


def _text(chosen: Sequence[Cni], alone: bool, form: Format) -> str:
    from ipt2np import __version__
    from ipt2np.cni.registry import HOSTS, REFUSED
    from ipt2np.reporting import cnis as reporting

    if form is Format.JSON:
        return reporting.json_text(chosen, HOSTS, REFUSED, __version__)
    if form is Format.MARKDOWN:
        return (
            reporting.markdown_cni(chosen[0], HOSTS.get(chosen[0].name))
            if alone
            else reporting.markdown_matrix(chosen, REFUSED)
        )
    if alone:
        return as_shown(lambda console: reporting.show_cni(console, chosen[0], HOSTS.get(chosen[0].name)))
    return as_shown(lambda console: reporting.show_matrix(console, chosen, REFUSED))
