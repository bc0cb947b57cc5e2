"""One line of an ipset dump to a statement, by the Lark grammar ``grammars/ipset_save.lark``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput

from ipt2np.resources import grammar
from ipt2np.syntax.lines import fault_column
from ipt2np.syntax.verbs import LineFault, Word


@dataclass(frozen=True, slots=True)
class SetLine:
    """A command: its name as ipset 7 spells it, its words, and whether ``-exist`` stands in it."""

    command: str
    words: tuple[Word, ...]
    exist: bool = False


def _words(tokens: list[Token]) -> tuple[Word, ...]:
    """Quotes removed; a word of which nothing is left is none (build_argv() in lib/ipset.c)."""
    words = (
        Word(token.replace('"', ""), token.column or 1, len(token), "word")
        for token in tokens
        if token.type == "WORD"
    )
    return tuple(word for word in words if word.text)


class _Statements(Transformer[Token, SetLine | None]):
    """Parse tree to statement."""

    def start(self, parts: list[Token | SetLine | None]) -> SetLine | None:
        line = parts[-1] if parts else None
        if not isinstance(line, SetLine):
            return None
        exist = line.exist or any(isinstance(part, Token) and _is_exist(part) for part in parts)
        return SetLine(line.command, line.words, exist)

    def comment(self, parts: list[Token]) -> None:
        return None

    def command(self, parts: list[SetLine]) -> SetLine:
        return parts[0]

    def create(self, parts: list[Token]) -> SetLine:
        return _line("create", parts)

    def add(self, parts: list[Token]) -> SetLine:
        return _line("add", parts)

    def swap(self, parts: list[Token]) -> SetLine:
        return _line("swap", parts)

    def flush(self, parts: list[Token]) -> SetLine:
        return _line("flush", parts)

    def destroy(self, parts: list[Token]) -> SetLine:
        return _line("destroy", parts)

    def commit(self, parts: list[Token]) -> SetLine:
        return _line("commit", parts)

    def quit(self, parts: list[Token]) -> SetLine:
        return _line("quit", parts)

    def other(self, parts: list[Token]) -> SetLine:
        name = Word(str(parts[0]), parts[0].column or 1, len(parts[0]), "word")
        return SetLine("other", (name, *_words(parts)))


def _line(command: str, parts: list[Token]) -> SetLine:
    return SetLine(command, _words(parts), any(map(_is_exist, parts)))


def _is_exist(token: Token) -> bool:
    return token.type == "EXIST" and token.lstrip("-") in ("exist", "!")


@cache
def _parser() -> Lark:
    return Lark(grammar("ipset_save.lark"), parser="lalr", lexer="contextual", transformer=_Statements())


def read_set_line(text: str) -> SetLine | None:
    """The statement that a line is; None for an empty line or a comment. LineFault where it is none."""
    try:
        line: SetLine | None = _parser().parse(text)  # type: ignore[assignment]
    except UnexpectedInput as error:
        raise _fault(text, error) from None
    if line is not None and line.command in _NEEDED and len(line.words) < _NEEDED[line.command]:
        raise LineFault(len(text.rstrip()) + 1, 1, "the line ends too early", _EXPECTED)
    return line


_NEEDED = {"create": 2, "add": 2, "swap": 2}
_EXPECTED = "create NAME TYPE …, or add NAME ELEMENT …, as ipset save prints them"


def _fault(text: str, error: UnexpectedInput) -> LineFault:
    column = fault_column(text, error)
    rest = text[column - 1 :]
    word = re.split(r"[ \t\r\f\v]", rest, maxsplit=1)[0]
    if isinstance(error, UnexpectedCharacters) and '"' in word:
        return LineFault(column + word.index('"'), 1, "a quoted string is never closed", 'a closing "')
    if re.match(r"(Name|Type|Header|Members|References|Size in memory|Revision|Number of entries):", rest):
        return LineFault(
            column, len(word), "this is what ipset list prints", "what ipset save prints: ipset save > FILE"
        )
    early = not word and text.strip() != ""
    message = "the line ends too early" if early else "this is no line of an ipset dump"
    return LineFault(column, max(len(word), 1), message, _EXPECTED)


_WORD = r'(?:[^ \t\r\f\v"]|"[^"]*")++'
_ADD = re.compile(rf"add ((?!-){_WORD}) ((?!-){_WORD})((?: (?!-){_WORD})*+)\r?")
_ITEM = re.compile(_WORD)


def plain_add(text: str) -> tuple[str, str, str] | None:
    """``(NAME, ELEMENT, the rest)`` of the lines that dumps are full of, without a parser's cost.

    None for any other line, and for these where a word has quotes or begins with a dash: the grammar decides.
    What this reads, the grammar reads in the same way.
    """
    found = _ADD.fullmatch(text)
    if found is None:
        return None
    name, element, rest = found.group(1, 2, 3)
    return None if '"' in name or '"' in element else (name, element, rest)


def option_words(rest: str) -> list[str]:
    """The words of what ``plain_add`` calls the rest, quotes removed."""
    if '"' not in rest:
        return rest.split(" ")[1:]
    words = (word.replace('"', "") for word in _ITEM.findall(rest))
    return [word for word in words if word]
