"""``--keep-going``: what stands in for a line that cannot be read.

An undecided rule, so placed that both bounds of the decision hold whatever the line meant, or did not do since the
kernel refuses it: an unreadable ``-A`` stands where it would be appended; anything else stands in front of all that it
may have changed, as far as that is known: its chain, its table, or everything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ipt2np.errors import Location, Problem
from ipt2np.rules.model import Note, Rule
from ipt2np.rules.unread import UNREAD_TARGET, unread_use
from ipt2np.syntax.layout import Form
from ipt2np.syntax.lines import ChainLine, CommitLine
from ipt2np.syntax.source import Line
from ipt2np.syntax.tables import ChainState, Entry, TableState
from ipt2np.syntax.verbs import Command, LineFault, Verb, Word

if TYPE_CHECKING:
    from ipt2np.syntax.reader import Reader

_APPEND = re.compile(r"[ \t]*(?:\[[0-9]+:[0-9]+\])?[ \t]*(?:-A|--append)[ \t]+([^\s\"'$`]+)(?:\s|$)")
_CHAIN = re.compile(r"[ \t]*:([^\s]+)")
_ENTRY = {"raw": "PREROUTING", "mangle": "PREROUTING", "nat": "PREROUTING"}
"""The chain of each table that packets for the host see first; INPUT for the others."""
_OF_CHAIN = frozenset({Verb.APPEND, Verb.INSERT, Verb.DELETE, Verb.REPLACE})
"""Commands that change their own chain only."""


def stand_in(reader: Reader, line: Line, problem: Problem, command: Command | None) -> None:
    """Puts into the reader's tables what stands for ``line``."""
    table = _table(reader, line, command)
    if isinstance(line.said, CommitLine):
        reader.notes.append(Note("unread", problem.location, problem.message))
        return
    declared = _CHAIN.match(line.text) if isinstance(line.said, ChainLine | LineFault) else None
    if declared is not None and table is not None:
        _declare(table, declared.group(1), line.number)
        reader.notes.append(Note("unread", problem.location, problem.message))
        return
    name = _appended_to(line, command) if table is not None else None
    if table is not None and name is not None:
        chain = table.chain(name)
        entry = _entry(reader, table, name, line, problem, command)
        if chain is not None:
            table.append(chain, entry)
            return
        chain = table.create(Word(name, 1, len(name), "word"), line.number)
        table.stand_in(chain, entry, doubtful=reader.form is Form.SCRIPT)
        return
    chain = _chain(table, command)
    if table is None or chain is None:
        table = table or _first(reader)
        chain = table.chain(_ENTRY.get(table.name, "INPUT"))
        assert chain is not None
    table.stand_in(chain, _entry(reader, table, chain.name, line, problem, command), doubtful=False)


def _table(reader: Reader, line: Line, command: Command | None) -> TableState | None:
    """The table that the line certainly is about."""
    if reader.form is Form.SAVED:
        known = reader.current is not None and not reader.committed and reader.current.name in reader.tables
        return reader.current if known else None
    if command is not None:
        named = command.table.text if command.table is not None else reader.context
        return reader.tables.get(named)
    plain = reader.form is Form.LISTED and re.search(r"\s-t|--t", line.text) is None
    return reader.table(reader.context, line.number) if plain else None


def _declare(table: TableState, name: str, line: int) -> None:
    """A chain line: the chain is there, and a policy may have been said."""
    chain = table.chain(name) or table.create(Word(name, 1, len(name), "word"), line)
    if chain.builtin:
        chain.policy_unclear = True
        chain.line = line
    else:
        table.policies_unclear = True


def _appended_to(line: Line, command: Command | None) -> str | None:
    """The chain that the line certainly appends to."""
    if command is not None:
        return command.chain.text if command.verb is Verb.APPEND and command.chain is not None else None
    found = _APPEND.match(line.text) if isinstance(line.said, LineFault) else None
    return found.group(1) if found else None


def _chain(table: TableState | None, command: Command | None) -> ChainState | None:
    """The only chain that the command can have changed."""
    if table is None or command is None or command.chain is None or command.verb not in _OF_CHAIN:
        return None
    return table.chain(command.chain.text)


def _first(reader: Reader) -> TableState:
    """The table that packets meet first, in the file or not."""
    if "raw" not in reader.tables:
        reader.table("raw", 0)
        reader.unlisted.add("raw")
    return reader.tables["raw"]


def _entry(
    reader: Reader, table: TableState, chain: str, line: Line, problem: Problem, command: Command | None
) -> Entry:
    start = command.start if command is not None else len(line.text) - len(line.text.lstrip()) + 1
    rule = Rule(
        0,
        table.name,
        chain,
        Location(reader.file, line.number, start),
        line.text[start - 1 :].rstrip(),
        (unread_use(problem.message),),
        UNREAD_TARGET,
        command.counters if command is not None else None,
    )
    return Entry(rule, line.number)
