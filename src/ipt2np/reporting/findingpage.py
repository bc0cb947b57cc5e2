"""The page of a finding code, and the list of all: for a terminal, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ipt2np.findings.catalogue import Code, Severity
from ipt2np.findings.examples import Example
from ipt2np.reporting.colours import SEVERITY_COLOURS

SHOWN_LINES = 30
"""Lines of an example's file that are shown; of a longer one its beginning."""
SHOWN_OF_LONG = 6

MEANINGS = {
    Severity.ERROR: "the policy opens what iptables certainly denies, or is not enforced",
    Severity.WARNING: "something that iptables did is not kept",
    Severity.INFO: "an assumption is relied on, or a harmless rule was set aside",
}
"""What the severities mean."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A title, or one below it (``level`` 2)."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines as they are: a file, or what was typed and printed."""

    lines: tuple[str, ...]
    language: str = ""


Block = Heading | Severity | Listing | str
"""A part of a page; a ``str`` is a paragraph."""


def page(code: Code, shown: Example | str, printed: str = "") -> tuple[Block, ...]:
    """The code's page: ``shown`` is its example, or the reason why it has none; ``printed`` what the example's command
    prints of the finding."""
    return (
        Heading(f"{code.code}: {code.title}", level=1),
        code.severity,
        code.explanation,
        Heading("Example"),
        *([shown] if isinstance(shown, str) else _example(shown, printed)),
        Heading("What to do"),
        code.remedy,
    )


def _example(example: Example, printed: str) -> Iterator[Block]:
    for name, text in example.texts.items():
        yield f"`{name}`:"
        yield Listing(_beginning(text.splitlines()))
    yield Listing((f"$ {example.command_line}", *printed.splitlines()), "console")


def _beginning(lines: Sequence[str]) -> tuple[str, ...]:
    if len(lines) <= SHOWN_LINES:
        return tuple(lines)
    return (*lines[:SHOWN_OF_LONG], f"… and {len(lines) - SHOWN_OF_LONG} more lines")


# -- Markdown ------------------------------------------------------------------------------------------------


def markdown(blocks: Iterable[Block]) -> str:
    """A page as Markdown."""
    return "\n\n".join(map(_markdown, blocks)) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Severity():
            return f"Severity: {block.word}"
        case Listing(lines, language):
            return "\n".join((f"```{language}", *lines, "```"))
        case _:
            return block


def markdown_list(codes: Iterable[Code]) -> str:
    """All codes as a table that leads to their pages."""
    return "\n".join(
        [
            "# Findings",
            "",
            "One finding for each cause. `ipt2np rule CODE` prints a code's page.",
            "",
            *(f"- `{severity.word}`: {MEANINGS[severity]}." for severity in reversed(Severity)),
            "",
            "| code | severity | title |",
            "|---|---|---|",
            *(f"| [{each.code}]({each.code}.md) | {each.severity.word} | {each.title} |" for each in codes),
            "",
        ]
    )


# -- terminal ------------------------------------------------------------------------------------------------


def show(console: Console, blocks: Iterable[Block]) -> None:
    """A page; its listings are not wrapped, so that they can be copied."""
    before: Block | None = None
    for block in blocks:
        if before is not None and _apart(before, block):
            console.print()
        match block:
            case Heading(text):
                console.print(Text(text, style="bold"))
            case Severity():
                console.print(Text.assemble("Severity: ", (block.word, SEVERITY_COLOURS[block])))
            case Listing(lines):
                for line in lines:
                    console.print(Text(f"    {line}"), soft_wrap=True)
            case _:
                console.print(Text(block))
        before = block


def _apart(before: Block, block: Block) -> bool:
    """False under a heading, and between a listing and the line that says what it is."""
    return not isinstance(before, Heading) and not (isinstance(block, Listing) and isinstance(before, str))


def show_list(console: Console, codes: Iterable[Code]) -> None:
    """All codes with severity and title; a line each where nobody has to read it on a screen."""
    if not console.is_terminal:
        for each in codes:
            console.print(Text(f"{each.code}  {each.severity.word:7}  {each.title}"), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    for no_wrap in (True, True, False):
        table.add_column(no_wrap=no_wrap)
    for each in codes:
        severity = Text(each.severity.word, style=SEVERITY_COLOURS[each.severity])
        table.add_row(Text(each.code), severity, Text(each.title))
    console.print(table)
    console.print(Text("\n`ipt2np rule CODE` prints a code's page, with an example."))
