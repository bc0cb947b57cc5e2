"""The commands of iptables(8): which word of a line is the verb, and what each verb takes.

Sources: iptables(8), COMMANDS; iptables/xshared.c do_parse() for the arguments of each, iptables/iptables.c
original_opts for the long names (which getopt_long(3) lets people shorten).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ipt2np.rules.model import Counters


class Verb(Enum):
    """A command of iptables: its short and long name."""

    APPEND = ("A", "append")
    DELETE = ("D", "delete")
    CHECK = ("C", "check")
    INSERT = ("I", "insert")
    REPLACE = ("R", "replace")
    LIST = ("L", "list")
    LIST_RULES = ("S", "list-rules")
    FLUSH = ("F", "flush")
    ZERO = ("Z", "zero")
    NEW_CHAIN = ("N", "new-chain")
    DELETE_CHAIN = ("X", "delete-chain")
    RENAME_CHAIN = ("E", "rename-chain")
    POLICY = ("P", "policy")
    VERSION = ("V", "version")
    HELP = ("h", "help")

    @property
    def option(self) -> str:
        """The short form, with its dash."""
        return "-" + self.value[0]


LOOKING = frozenset({Verb.CHECK, Verb.LIST, Verb.LIST_RULES, Verb.VERSION, Verb.HELP})
"""Verbs that change nothing."""
_SPEC = frozenset({Verb.APPEND, Verb.DELETE, Verb.CHECK, Verb.INSERT, Verb.REPLACE})
"""Verbs that are followed by a rule."""
_NUMBERED = frozenset({Verb.DELETE, Verb.INSERT, Verb.REPLACE, Verb.ZERO})
_CHAIN_OPTIONAL = frozenset({Verb.LIST, Verb.LIST_RULES, Verb.FLUSH, Verb.ZERO, Verb.DELETE_CHAIN})
_SECOND = {Verb.POLICY: "ACCEPT or DROP", Verb.RENAME_CHAIN: "the chain's new name"}
_BY_SHORT: Mapping[str, Verb] = {verb.value[0]: verb for verb in Verb}
_BY_LONG: Mapping[str, Verb] = {verb.value[1]: verb for verb in Verb}
_OTHER_LONG = (
    "source", "destination", "src", "dst", "protocol", "in-interface", "jump", "table", "match", "numeric",
    "out-interface", "verbose", "wait", "wait-interval", "exact", "fragments", "line-numbers", "modprobe",
    "set-counters", "goto", "ipv4", "ipv6",
)  # fmt: skip
_GLUED = re.compile(r"-([ADIRNPE])(..*)", re.DOTALL)
"""A verb that needs a chain, which may stand in the same word."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a line: its text with quotes removed, where it stands, what it may be."""

    text: str
    column: int
    width: int
    role: str
    """``not`` for a lone ``!``, ``option``, or ``word``."""


@dataclass(frozen=True, slots=True)
class Program:
    """The program that a command line names."""

    family: int
    backend: str
    """``legacy``, ``nft``, or empty where the name does not say."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command as written."""

    verb: Verb
    chain: Word | None
    number: Word | None
    """The place of ``-I``, ``-D`` and ``-R``."""
    second: Word | None
    """The policy of ``-P``, the new name of ``-E``."""
    words: tuple[Word, ...]
    """Everything else: the rule's own words, and settings such as ``-t`` wherever they stand."""
    start: int
    """Column (from 1) where the command begins, counters left behind."""
    counters: Counters | None = None
    program: Program | None = None
    on_success: bool = False
    """True behind ``&&``: a shell runs it only where the command before it succeeded."""

    @property
    def table(self) -> Word | None:
        """The table that ``-t`` seems to name, before the rule's options are known."""
        for place, word in enumerate(self.words):
            if word.role != "option":
                continue
            if word.text in ("-t", "--table") and place + 1 < len(self.words):
                value = self.words[place + 1]
                if value.text.startswith("-"):
                    continue
                glued = value.text.startswith("=") and value.column == word.column + word.width
                return Word(value.text[1:], value.column + 1, value.width - 1, "word") if glued else value
            if word.text.startswith("-t") and word.text[2:].isalpha():
                return Word(word.text[2:], word.column + 2, word.width - 2, "word")
        return None


AT_END = 0
"""The column of a fault behind the line's last character."""
TOO_EARLY = "the line ends too early"


class LineFault(Exception):
    """A line that cannot be read: the column (from 1; ``AT_END``) and what was expected there.

    ``once`` where the same message need not be told for every line.
    """

    def __init__(self, column: int, width: int, message: str, expected: str, *, once: bool = False) -> None:
        self.column = column
        self.width = width
        self.message = message
        self.expected = expected
        self.once = once
        super().__init__(message)


def _verb_of(word: Word) -> tuple[Verb, Word | None] | None:
    """The verb that a word is, and the chain's name where it stands in the same word; None for any other word."""
    text = word.text
    if word.role != "option":
        return None
    if text.startswith("--"):
        name = text[2:]
        if name in _BY_LONG:
            return _BY_LONG[name], None
        if name in _OTHER_LONG:
            return None
        found = [long for long in (*_BY_LONG, *_OTHER_LONG) if long.startswith(name)]
        return (_BY_LONG[found[0]], None) if len(found) == 1 and found[0] in _BY_LONG else None
    if text[1:] in _BY_SHORT:
        return _BY_SHORT[text[1:]], None
    glued = _GLUED.fullmatch(text)
    if glued is None:
        return None
    return _BY_SHORT[glued.group(1)], Word(glued.group(2), word.column + 2, word.width - 2, "word")


class _Arguments:
    """The words behind the verb, taken one by one."""

    def __init__(self, words: Sequence[Word]) -> None:
        self.rest = list(reversed(words))

    def given(self) -> bool:
        """True where an optional argument follows (iptables/xshared.c, xs_has_arg)."""
        return bool(self.rest) and self.rest[-1].text[:1] not in ("-", "!") and self.rest[-1].role == "word"

    def take(self, what: str) -> Word:
        if not self.rest:
            raise LineFault(AT_END, 1, TOO_EARLY, what)
        return self.rest.pop()


def command_of(
    words: Sequence[Word],
    *,
    start: int,
    counters: Counters | None = None,
    program: Program | None = None,
) -> Command:
    """The command that the words of a line make; LineFault where they make none.

    ``start`` is the column where the command begins.
    """
    verbs = ((place, found) for place, word in enumerate(words) if (found := _verb_of(word)) is not None)
    first = next(verbs, None)
    if first is None:
        raise _no_verb(words, program)
    place, (verb, chain) = first
    arguments = _Arguments(words[place + 1 :])
    number = second = None
    if chain is None and (verb not in (*_CHAIN_OPTIONAL, Verb.VERSION, Verb.HELP) or arguments.given()):
        chain = arguments.take("a chain's name")
    if verb in _SECOND:
        second = arguments.take(_SECOND[verb])
    elif verb in _NUMBERED and arguments.given():
        number = arguments.take("a place")
    elif verb is Verb.REPLACE:
        at = arguments.rest[-1] if arguments.rest else Word("", AT_END, 1, "word")
        raise LineFault(
            at.column, max(at.width, 1), "-R needs the place of the rule to replace", "-R CHAIN NUMBER …"
        )
    rest = (*words[:place], *reversed(arguments.rest))
    if verb not in _SPEC and verb not in LOOKING:
        _settings_only(rest)
    return Command(verb, chain, number, second, rest, start, counters, program)


def _no_verb(words: Sequence[Word], program: Program | None) -> LineFault:
    expected = "a command such as -A CHAIN …, -I CHAIN …, -P CHAIN POLICY or -N CHAIN"
    if program is not None:
        return LineFault(AT_END, 1, TOO_EARLY, expected)
    first = words[0]
    return LineFault(
        first.column, first.width, f"this is no line of a ruleset: it begins with {first.text!r}", expected
    )


_FLAGS = frozenset(
    {"-v", "--verbose", "-n", "--numeric", "-x", "--exact", "--line-numbers", "-4", "--ipv4", "-6", "--ipv6"}
)
_WITH_VALUE = {"-t": 1, "--table": 1, "-c": 2, "--set-counters": 2, "-M": 1, "--modprobe": 1}
_WAIT = frozenset({"-w", "--wait", "-W", "--wait-interval"})


def setting_length(words: Sequence[Word], place: int) -> int:
    """How many words the setting takes that begins at ``place``, itself included; 0 where none does.

    Settings concern the program, not the rule: ``-t TABLE``, ``-w [SECONDS]``, ``-v``, ``-n`` and the like.
    """
    word = words[place]
    if word.role != "option":
        return 0
    following = words[place + 1] if place + 1 < len(words) else None
    glued = (
        following is not None and following.text[:1] == "=" and following.column == word.column + word.width
    )
    if word.text in _FLAGS:
        return 1
    if word.text in _WAIT:
        return 2 if following is not None and (glued or re.fullmatch(r"[0-9]+", following.text)) else 1
    if word.text.startswith("-t") and len(word.text) > 2 and word.text[2:].isalpha():
        return 1
    if word.text in _WITH_VALUE:
        one = glued or (following is not None and "," in following.text)
        return 2 if one else 1 + _WITH_VALUE[word.text]
    return 0


def _settings_only(words: Sequence[Word]) -> None:
    """LineFault at the first word that is no setting."""
    place = 0
    while place < len(words):
        length = setting_length(words, place)
        if not length:
            word = words[place]
            raise LineFault(
                word.column, word.width, f"{word.text!r} is not expected here", "the end of the line"
            )
        place += length
