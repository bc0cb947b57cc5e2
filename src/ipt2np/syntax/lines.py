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
from ipt2np.syntax.verbs import TOO_EARLY, Command, LineFault, Program, Word, command_of


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
    """``:NAME POLICY [counters]``; policy ``-`` marks a user chain."""

    name: Word
    policy: Word
    counters: Counters | None = None


@dataclass(frozen=True, slots=True)
class ScriptLine:
    """Command lines with the program's name in front, as a shell reads them."""

    commands: tuple[Command, ...]


Statement = CommentLine | TableLine | CommitLine | ChainLine | Command | ScriptLine | None

_ESCAPED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ROLES = {"NOT": "not", "OPTION": "option"}
_OPTION = re.compile(r"(?:--?[A-Za-z][A-Za-z0-9_.-]*|-[46])(?==|$)")
_SHELL_PIECE = re.compile(r"\\(.)|\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([^\\\"']+)")
_COUNTERS_MOST = 2**64 - 1


def _word(token: Token) -> Word:
    """Quotes removed as iptables-restore does: a backslash inside them escapes one character."""
    text = str(token)
    if '"' in text:
        text = _ESCAPED.sub(lambda found: re.sub(r"\\(.)", r"\1", found.group(1)), text)
    return Word(text, token.column or 1, len(token), _ROLES.get(token.type, "word"))


def _shell_text(found: re.Match[str]) -> str:
    escaped, double, single, bare = found.groups()
    if double is not None:
        return re.sub(r'\\(["\\$`])', r"\1", double)
    return next(piece for piece in (escaped, single, bare) if piece is not None)


def _shell_words(token: Token) -> list[Word]:
    """A shell's word without its quotes; ``--option=value`` as two, as the other kind of line has it."""
    raw, column = str(token), token.column or 1
    option = _OPTION.match(raw)
    if raw == "!":
        return [Word(raw, column, 1, "not")]
    if option is None:
        return [Word(_SHELL_PIECE.sub(_shell_text, raw), column, len(raw), "word")]
    name = Word(option.group(), column, option.end(), "option")
    if option.end() == len(raw):
        return [name]
    value = _SHELL_PIECE.sub(_shell_text, raw[option.end() :])
    return [name, Word(value, column + option.end(), len(raw) - option.end(), "word")]


def _counters(parts: Sequence[object]) -> Counters | None:
    """What a ``[packets:bytes]`` among the parts says; more than 64 bits hold is the most that they hold."""
    for part in parts:
        if isinstance(part, Token) and part.type == "COUNTERS":
            packets, _, octets = (text.lstrip("0") for text in part[1:-1].partition(":"))
            return _counter(packets), _counter(octets)
    return None


def _counter(digits: str) -> int:
    return min(int(digits or "0"), _COUNTERS_MOST) if len(digits) <= 20 else _COUNTERS_MOST


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
        return ChainLine(name, _word(parts[1]), _counters(parts))

    def argument(self, parts: list[Token]) -> Word:
        return _word(parts[0])

    def command(self, parts: list[Token | Word]) -> Command:
        words = [_word(part) if isinstance(part, Token) else part for part in parts]
        counters = _counters(parts)
        words = words[counters is not None :]
        return command_of(words, start=words[0].column, counters=counters)

    def shell(self, parts: list[Token]) -> Command:
        program, *rest = parts
        words = [word for part in rest if part.type == "SHELL_WORD" for word in _shell_words(part)]
        name = str(program)
        backend = re.search(r"(?:-(legacy|nft))?$", name)
        assert backend is not None
        return command_of(
            words,
            start=program.column or 1,
            program=Program(6 if "ip6tables" in name else 4, backend.group(1) or ""),
        )

    def script(self, parts: list[Token | Command]) -> ScriptLine:
        commands: list[Command] = []
        joined = False
        for part in parts:
            if isinstance(part, Command):
                commands.append(replace(part, on_success=joined))
            else:
                joined = part == "&&"
        return ScriptLine(tuple(commands))


@cache
def _parser() -> Lark:
    return Lark(grammar("iptables_save.lark"), parser="lalr", lexer="contextual", transformer=_Statements())


_TERMINALS = {
    "COMMENT": "a comment (#)", "TABLE": "a table (*filter)", "COMMIT": "COMMIT", "CHAIN": "a chain (:INPUT DROP [0:0])",
    "OPTION": "a command (-A CHAIN …) or an option", "PROGRAM": "iptables …", "COUNTERS": "counters ([packets:bytes])",
    "WORD": "a word", "SHELL_WORD": "a word", "NOT": "!", "SEPARATOR": ";", "$END": "the end of the line",
}  # fmt: skip


_LINES = "*filter, :INPUT DROP [0:0], -A CHAIN …, COMMIT or another line that iptables-save prints"


def _expected(names: set[str]) -> str:
    return ", ".join(dict.fromkeys(text for name, text in _TERMINALS.items() if name in names))


def read_line(text: str) -> Statement:
    """The statement that a line holds, None for an empty one. LineFault where there is no such line."""
    try:
        return _parser().parse(text)  # type: ignore[return-value]
    except UnexpectedInput as error:
        raise _fault(text, error) from None
    except LineFault as fault:
        fault.column = fault.column or len(text.rstrip()) + 1
        raise


def fault_column(text: str, error: UnexpectedInput) -> int:
    """Where (from 1) a line stopped making sense: behind its last character where it ended too early."""
    at_end = isinstance(error, UnexpectedToken) and error.token.type == "$END"
    return len(text.rstrip()) + 1 if at_end or not error.column or error.column < 1 else error.column


_ACCEPTABLE: dict[tuple[int, ...], frozenset[str]] = {}
MOST_STACKS = 1000

_VARIABLE = re.compile(r"\$(?:\{[^}]*\}?|\([^)]*\)?|\w+|.)?|`[^`]*`?")


def _acceptable(error: UnexpectedToken) -> set[str]:
    """The tokens that would have been taken; Lark tries each, so they are kept by the parser's stack."""
    stack = tuple(error.interactive_parser.parser_state.state_stack)
    found = _ACCEPTABLE.get(stack)
    if found is None:
        if len(_ACCEPTABLE) > MOST_STACKS:
            _ACCEPTABLE.clear()
        found = _ACCEPTABLE[stack] = frozenset(error.accepts or error.expected)
    return set(found)


def _fault(text: str, error: UnexpectedInput) -> LineFault:
    column = fault_column(text, error)
    rest = text[column - 1 :]
    word = re.split(r"[ \t\r\f\v]", rest, maxsplit=1)[0]
    names: set[str] = set()
    if isinstance(error, UnexpectedCharacters):
        names = set(error.allowed or ())
    elif isinstance(error, UnexpectedToken):
        names = _acceptable(error)
    scripted = "SHELL_WORD" in names
    piece = re.match(r'"(?:[^"\\]|\\.)*', rest) if scripted else None
    variable = None
    if scripted or re.match(r'"?\$\{?\w', word):
        variable = _VARIABLE.search(piece.group() if piece else word)
    if variable is not None:
        return LineFault(
            column + variable.start(),
            max(len(variable.group()), 1),
            f"what {variable.group()} stands for is for the shell to say",
            "the text itself; or run the script on the host and give what iptables-save then prints",
            once=True,
        )
    open_quote = word.find('"') if not scripted else 0 if word[:1] in ("'", '"') else -1
    if open_quote >= 0 and (scripted or isinstance(error, UnexpectedCharacters)):
        quote = word[open_quote]
        return LineFault(column + open_quote, 1, "a quoted string is never closed", f"a closing {quote}")
    message = f"{word!r} is not expected here" if word else TOO_EARLY
    if word and not text[: column - 1].strip(" \t\r\f\v"):
        message = f"this is no line of a ruleset: it begins with {word!r}"
        return LineFault(column, len(word), message, _LINES)
    return LineFault(column, max(len(word), 1), message, _expected(names))
