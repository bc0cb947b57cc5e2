"""One line of a dump to a statement, by the Lark grammar ``grammars/iptables_save.lark``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from ipt2np.resources import grammar
from ipt2np.rules.model import Counters


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a rule line: its text with quotes removed, where it stands, whether it was quoted."""

    text: str
    column: int
    width: int
    role: str
    """``not`` for a lone ``!``, ``option``, or ``word``."""


@dataclass(frozen=True, slots=True)
class CommentLine:
    """``# ...``"""

    text: str


@dataclass(frozen=True, slots=True)
class TableLine:
    """``*name``"""

    name: Word


@dataclass(frozen=True, slots=True)
class CommitLine:
    """``COMMIT``"""


@dataclass(frozen=True, slots=True)
class ChainLine:
    """``:NAME POLICY [counters]``, ``-P NAME POLICY`` or ``-N NAME``; policy ``-`` marks a user chain."""

    name: Word
    policy: Word | None
    listed: bool
    """True for ``-P`` and ``-N``, which `iptables -S` prints without a table line."""
    counters: Counters | None = None


@dataclass(frozen=True, slots=True)
class RuleLine:
    """``-A CHAIN ...`` or ``-I CHAIN [n] ...``"""

    chain: Word
    insert: bool
    words: tuple[Word, ...]
    start: int
    """Column (from 1) where the command begins, counters left behind."""
    counters: Counters | None = None


Statement = CommentLine | TableLine | CommitLine | ChainLine | RuleLine | None


class LineFault(Exception):
    """A line that the grammar does not know: the column (from 1) and what was expected there."""

    def __init__(self, column: int, width: int, message: str, expected: str) -> None:
        self.column = column
        self.width = width
        self.message = message
        self.expected = expected
        super().__init__(message)


_ESCAPED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ROLES = {"NOT": "not", "OPTION": "option"}


def _word(token: Token) -> Word:
    """Quotes removed as iptables-restore does: a backslash inside them escapes one character."""
    text = str(token)
    if '"' in text:
        text = _ESCAPED.sub(lambda found: re.sub(r"\\(.)", r"\1", found.group(1)), text)
    return Word(text, token.column or 1, len(token), _ROLES.get(token.type, "word"))


def _counters(parts: Sequence[object]) -> Counters | None:
    """What a ``[packets:bytes]`` among the parts says."""
    for part in parts:
        if isinstance(part, Token) and part.type == "COUNTERS":
            packets, _, octets = part[1:-1].partition(":")
            return int(packets), int(octets)
    return None


class _Statements(Transformer[Token, Statement]):
    """Parse tree to statement: one small method a form."""

    def start(self, parts: list[Statement]) -> Statement:
        return parts[0] if parts else None

    def comment(self, parts: list[Token]) -> CommentLine:
        return CommentLine(str(parts[0])[1:].strip())

    def table(self, parts: list[Token]) -> TableLine:
        return TableLine(Word(str(parts[0])[1:], (parts[0].column or 1) + 1, len(parts[0]) - 1, "word"))

    def commit(self, parts: list[Token]) -> CommitLine:
        return CommitLine()

    def chain(self, parts: list[Token]) -> ChainLine:
        name = Word(str(parts[0])[1:], (parts[0].column or 1) + 1, len(parts[0]) - 1, "word")
        return ChainLine(name, _word(parts[1]), False, _counters(parts))

    def new_chain(self, parts: list[Token]) -> ChainLine:
        return ChainLine(_word(parts[1]), None, True)

    def policy(self, parts: list[Token | Word]) -> ChainLine:
        return ChainLine(_word(parts[1]), _word(parts[2]), True)  # type: ignore[arg-type]

    def argument(self, parts: list[Token]) -> Word:
        return _word(parts[0])

    def append(self, parts: list[Token | Word]) -> RuleLine:
        command, chain, *words = parts
        return RuleLine(_word(chain), False, tuple(words), command.column or 1)  # type: ignore[arg-type]

    def insert(self, parts: list[Token | Word]) -> RuleLine:
        command, chain, *words = parts
        return RuleLine(_word(chain), True, tuple(words), command.column or 1)  # type: ignore[arg-type]

    def rule(self, parts: list[Token | RuleLine]) -> RuleLine:
        rule = parts[-1]
        assert isinstance(rule, RuleLine)
        return replace(rule, counters=_counters(parts))


@cache
def _parser() -> Lark:
    return Lark(grammar("iptables_save.lark"), parser="lalr", lexer="contextual", transformer=_Statements())


_TERMINALS = {
    "COMMENT": "a comment (#)", "TABLE": "a table (*filter)", "COMMIT": "COMMIT", "CHAIN": "a chain (:INPUT DROP [0:0])",
    "APPEND": "a rule (-A CHAIN …)", "INSERT": "-I CHAIN", "NEW_CHAIN": "-N CHAIN", "POLICY": "-P CHAIN POLICY",
    "COUNTERS": "counters ([packets:bytes])", "WORD": "a word", "OPTION": "an option", "NOT": "!",
    "$END": "the end of the line",
}  # fmt: skip


def _expected(names: set[str]) -> str:
    order = [name for name in _TERMINALS if name in names]
    return ", ".join(_TERMINALS[name] for name in order)


def read_line(text: str) -> Statement:
    """The statement that a line holds, None for an empty one. LineFault where the grammar has no such line."""
    try:
        return _parser().parse(text)  # type: ignore[return-value]
    except UnexpectedInput as error:
        raise _fault(text, error) from None


def fault_column(text: str, error: UnexpectedInput) -> int:
    """Where (from 1) a line stopped making sense: behind its last character where it ended too early."""
    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    return len(text.rstrip()) + 1 if at_end or not error.column or error.column < 1 else error.column


def _fault(text: str, error: UnexpectedInput) -> LineFault:
    column = fault_column(text, error)
    rest = text[column - 1 :]
    word = re.split(r"[ \t\r\f\v]", rest, maxsplit=1)[0]
    if isinstance(error, UnexpectedCharacters) and '"' in word:
        return LineFault(column + word.index('"'), 1, "a quoted string is never closed", 'a closing "')
    names: set[str] = set()
    if isinstance(error, UnexpectedCharacters):
        names = set(error.allowed or ())
    elif isinstance(error, UnexpectedToken):
        names = set(error.accepts or error.expected)
    message = f"{word!r} is not expected here" if word else "the line ends too early"
    if word and not text[: column - 1].strip(" \t\r\f\v"):
        message = f"this is no line of a ruleset: it begins with {word!r}"
    return LineFault(column, max(len(word), 1), message, _expected(names))
