"""Standard output and standard error as consoles, and faults of the input on them.

Every failure is told by this, so it loads nothing that reads or judges a ruleset.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from ipt2np.errors import Problem, UsageError
from ipt2np.text import file_name, printable

SHOWN_PROBLEMS = 200
CONTEXT = 100
"""Characters of a line that are shown around its fault."""


def problem_lines(problems: Sequence[Problem]) -> Iterator[Text]:
    """Each fault with its line, a caret under it, and what was expected."""
    for problem in problems[:SHOWN_PROBLEMS]:
        location = problem.location
        place = file_name(location.file, 200)
        if location.line:
            place += f":{location.line}:{location.column}"
        yield Text.assemble((f"{place}: ", "bold"), ("error: ", "bold red"), printable(problem.message, 400))
        if problem.text:
            shown, offset, width = _window(problem)
            yield Text("  " + shown)
            yield Text("  " + " " * offset + "^" + "~" * (width - 1), style="bold green")
        if problem.expected:
            yield Text(f"  expected: {printable(problem.expected, 400)}")
    if len(problems) > SHOWN_PROBLEMS:
        yield Text(f"… and {len(problems) - SHOWN_PROBLEMS} more errors")


def _window(problem: Problem) -> tuple[str, int, int]:
    """The part of the line around the fault, the caret's offset in it, and its width, all as shown."""
    column = max(problem.location.column - 1, 0)
    start = max(0, column - CONTEXT // 2)
    end = start + CONTEXT
    head = "…" if start else ""
    before = "".join(_shown(c) for c in problem.text[start:column])
    fault = "".join(_shown(c) for c in problem.text[column : min(column + problem.width, end)])
    after = "".join(_shown(c) for c in problem.text[min(column + problem.width, end) : end])
    tail = "…" if end < len(problem.text) else ""
    return head + before + fault + after + tail, len(head) + len(before), max(len(fault), 1)


def _shown(character: str) -> str:
    return " " if character == "\t" else printable(character, 12)


class ErrorConsole(Console):
    """Standard error, which may go away: what nobody reads any more is no failure."""

    def __init__(self, *, stderr: bool = True) -> None:
        super().__init__(stderr=stderr)

    def on_broken_pipe(self) -> None:
        """Called by rich where it would end the program."""
        stream = sys.stderr if self.stderr else sys.stdout
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class OutputConsole(ErrorConsole):
    """Standard output, likewise."""

    def __init__(self) -> None:
        super().__init__(stderr=False)


def write(console: Console, lines: Iterator[Text]) -> None:
    """Prints lines as they are: no markup, no wrapping inside words, no emoji.

    UsageError where standard output takes no more; of a standard error that is full nobody can be told.
    """
    try:
        for line in lines:
            console.print(line, soft_wrap=True, highlight=False, emoji=False, markup=False)
    except OSError as error:
        console.on_broken_pipe()
        if not console.stderr:
            raise UsageError(f"standard output cannot be written: {error.strerror or error}") from None
