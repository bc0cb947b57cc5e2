"""``ipt2np rule``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ipt2np.cli.errors import reported_errors
from ipt2np.cli.output import as_shown, print_text

if TYPE_CHECKING:
    from ipt2np.findings import Code
    from ipt2np.reporting.findingpage import Block


class Format(StrEnum):
    """The values of --format."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"


def rule(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="CODE", help="The code of a finding, such as N2P201 (default: list them all)."
        ),
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="How it is written to standard output.", show_default=True)
    ] = Format.TERMINAL,
) -> None:
    """Explain a finding: what it means, an example that has it, what to do.

    Exit status: 0 done; 2 no such code; 3 internal error.
    """
    with reported_errors():
        from ipt2np.findings import CATALOGUE
        from ipt2np.reporting import findingpage

        if code is None:
            codes = CATALOGUE.values()
            text = (
                findingpage.markdown_list(codes)
                if form is Format.MARKDOWN
                else as_shown(lambda console: findingpage.show_list(console, codes))
            )
        else:
            page = page_of(_known(code))
            text = (
                findingpage.markdown(page)
                if form is Format.MARKDOWN
                else as_shown(lambda console: findingpage.show(console, page))
            )
        print_text(text)


def page_of(code: Code) -> tuple[Block, ...]:
    """The code's page, with what its example prints. UsageError where the example has no room to run."""
    from ipt2np.cli.example import printed
    from ipt2np.errors import UsageError
    from ipt2np.findings.examples import EXAMPLES, WITHOUT
    from ipt2np.reporting.findingpage import page

    example = EXAMPLES.get(code.code)
    if example is None:
        return page(code, WITHOUT[code.code])
    try:
        return page(code, example, printed(code.code, example))
    except OSError as error:
        raise UsageError(f"the example cannot be run: {error.strerror or error}") from None


def _known(text: str) -> Code:
    from difflib import get_close_matches

    from ipt2np.errors import UsageError
    from ipt2np.findings import CATALOGUE

    name = text.strip().upper()
    if name.isdecimal():
        name = f"N2P{name}"
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = get_close_matches(name[:20], CATALOGUE, n=len(CATALOGUE), cutoff=0.8)
    near.sort(key=lambda each: each[:4] != name[:4])
    hint = f"; is it {' or '.join(near[:3])}?" if near else "; `ipt2np rule` lists all"
    raise UsageError(f"{text}: there is no such code{hint}")
