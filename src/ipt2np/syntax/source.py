"""A file's text to its lines, each read by itself, whatever mail programs, editors and terminals made of them.

What stands in front of a line's own words (quote marks, a prompt) is blanked out, so that columns stay those of the
file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ipt2np.syntax.encoding import decode
from ipt2np.syntax.leniency import Leniencies
from ipt2np.syntax.lines import CommentLine, ScriptLine, Statement, read_line
from ipt2np.syntax.shell import PROMPT, Capture, capture
from ipt2np.syntax.verbs import LineFault


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file: its number, its text as it stands there (continued ones joined), what it says."""

    number: int
    text: str
    said: Statement | LineFault | Capture


CRLF = "lines end in CR LF, and are read as if they ended in LF"
CR_ONLY = "lines end in CR, and are read as if they ended in LF"
QUOTED = "the lines are quoted by > as in mail, and are read without it"
CONTINUED = "a line goes on behind a \\ at its end, and is read as one line"

_QUOTED_TABLE = re.compile(r"([ \t]?(?:>[ \t]?)+)(?:\*[a-z]+[ \t]*$|-P [A-Z])")
_TABLE = re.compile(r"[ \t]*(?:\*[a-z]+|COMMIT)[ \t]*$")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_PROGRAM = re.compile(r"[ \t]*(?:\S*[#$%>][ \t]+)?(?:sudo[ \t]+)?(?:/\S*/)?ip6?tables(?:-legacy|-nft)?[ \t]")


def split_lines(text: str, lenient: Leniencies) -> list[str]:
    """The lines without their ends: LF, CR LF, or CR where there is no LF at all."""
    if "\n" not in text and "\r" in text:
        lenient.add(CR_ONLY, 0)
        return text.split("\r")
    lines = text.split("\n")
    if any(line.endswith("\r") for line in lines):
        lenient.add(CRLF, 0)
        lines = [line.rstrip("\r") for line in lines]
    return lines


def text_lines(data: bytes, file: str) -> tuple[str, ...]:
    """The lines of a file as its rules number them. InputError as ``decoded``."""
    return tuple(split_lines(decode(data, file), Leniencies()))


def _quote_depth(lines: Sequence[str]) -> int:
    """How many > stand in front of every table's line; 0 where some have none."""
    first = next((found for found in map(_QUOTED_TABLE.match, lines) if found), None)
    if first is None or any(_TABLE.match(line) for line in lines):
        return 0
    return first.group(1).count(">")


def _logical(lines: Sequence[str], lenient: Leniencies) -> Iterator[tuple[int, str]]:
    """Lines with the ones that continue them, by the number of the first."""
    place = 0
    while place < len(lines):
        number, text = place + 1, lines[place]
        place += 1
        if text.endswith("\\") and place < len(lines) and _continues(text):
            parts = [text[:-1]]
            while place < len(lines) and text.endswith("\\"):
                text = lines[place]
                parts.append(text.removesuffix("\\"))
                place += 1
            text = "".join(parts)
            if not _PROGRAM.match(text):
                lenient.add(CONTINUED, number)
        yield number, text


def _continues(text: str) -> bool:
    """True where a final backslash cannot be part of a word that iptables-save printed."""
    if text.lstrip().startswith("#"):
        return False
    return _PROGRAM.match(text) is not None or (
        text[-2:-1] in (" ", "\t") and '"' not in _STRING.sub("", text)
    )


def source_lines(lines: Sequence[str], lenient: Leniencies) -> Iterator[Line]:
    """What each line says. One that says nothing that is known is a LineFault; none is left out."""
    depth = _quote_depth(lines)
    quote = re.compile(rf"[ \t]?(?:>[ \t]?){{{depth}}}")
    if depth:
        lenient.add(QUOTED, 0)
    for number, text in _logical(lines, lenient):
        front = quote.match(text) if depth else None
        shown = " " * front.end() + text[front.end() :] if front else text
        if depth and front is None and text.strip():
            fault = LineFault(
                1, len(text), "this line is not quoted (>) as the others are", "all lines quoted, or none"
            )
            yield Line(number, text, fault)
        else:
            yield Line(number, text, _said(shown))


def _said(text: str) -> Statement | LineFault | Capture:
    try:
        said = read_line(text)
    except LineFault as fault:
        return capture(text) or _typed(text) or fault
    return (capture(text) or said) if isinstance(said, CommentLine) else said


def _typed(text: str) -> ScriptLine | LineFault | None:
    """A command that was typed behind a prompt; None where there is no such thing."""
    prompt = PROMPT.match(text)
    if prompt is None:
        return None
    blanked = " " * prompt.end() + text[prompt.end() :]
    try:
        said = read_line(blanked)
    except LineFault as fault:
        return fault if _PROGRAM.match(blanked) else None
    return said if isinstance(said, ScriptLine) else None
