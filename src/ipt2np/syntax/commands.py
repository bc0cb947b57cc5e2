"""The commands of iptables(8) carried out on the tables of a dump, one after the other.

Each raises what it is refused for, and has changed nothing then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ipt2np.errors import Location
from ipt2np.rules.model import BUILTIN_CHAINS, Jump, Rule
from ipt2np.rules.names import number_of
from ipt2np.rules.unread import unread_use
from ipt2np.syntax.bind import SETTING, Bound, WordFault, bind
from ipt2np.syntax.layout import Form
from ipt2np.syntax.lines import ScriptLine
from ipt2np.syntax.source import Line
from ipt2np.syntax.tables import ChainState, Entry, Refused, TableState, loop_message, loops
from ipt2np.syntax.verbs import Command, LineFault, Verb, Word

if TYPE_CHECKING:
    from ipt2np.syntax.reader import Reader

LATE_CHAIN = "chains are declared behind the rules that use them"
TWICE = "a chain is declared twice, and is there once"
TABLE_OPTION = "-t stands inside a table, and names that table"
PROGRAM_NAMED = "the program's name stands in front of commands inside a table, and is left out"
_PLACE_MOST = 2**31 - 1
_WITH_RULE = frozenset({Verb.APPEND, Verb.INSERT, Verb.REPLACE, Verb.DELETE})


def named_by(command: Command) -> Word | None:
    """The chain that is there once the command was carried out."""
    if command.verb is Verb.RENAME_CHAIN:
        return command.second
    return command.chain if command.verb in (Verb.APPEND, Verb.INSERT, Verb.NEW_CHAIN) else None


def carry_out(reader: Reader, line: Line, command: Command, place: int) -> None:
    """Carries out the command at ``place`` (from 0) of a line. LineFault, WordFault or Refused where it cannot be."""
    act = _ACTS.get(command.verb)
    if act is None:
        return
    table = _table(reader, line, command)
    if table.name in reader.tables:
        act(_Act(reader, table, line, command, place))
    elif reader.keep_going:
        raise LineFault(command.start, 1, f"there is no table {table.name!r}", "")


def _table(reader: Reader, line: Line, command: Command) -> TableState:
    """The table that a command is about."""
    named = command.table
    if reader.form is not Form.SAVED:
        name = named.text if named is not None else reader.context
        if name not in BUILTIN_CHAINS:
            raise Refused(named, f"there is no table {name!r}", "one of " + ", ".join(BUILTIN_CHAINS))
        return reader.table(name, line.number)
    table = reader.inside("a command")
    if command.program is not None:
        if command.program.family != reader.family:
            raise LineFault(
                command.start,
                1,
                f"a command for IPv{command.program.family} among those for IPv{reader.family}",
                "a file for each family",
            )
        reader.lenient.add(PROGRAM_NAMED, line.number)
    if named is not None and command.verb not in _WITH_RULE:
        _same_table(reader, table, line, named.text, named)
    return table


def _same_table(reader: Reader, table: TableState, line: Line, name: str, word: Word | None) -> None:
    if name != table.name:
        raise WordFault(word, f"-t {name} inside the table {table.name}", f"-t {table.name}, or no -t")
    if reader.form is Form.SAVED:
        reader.lenient.add(TABLE_OPTION, line.number)


class _Act:
    """A command being carried out."""

    def __init__(self, reader: Reader, table: TableState, line: Line, command: Command, place: int) -> None:
        self.reader = reader
        self.table = table
        self.line = line
        self.command = command
        self.within = place

    @property
    def chain(self) -> Word:
        """The chain's name, where the verb needs one."""
        assert self.command.chain is not None
        return self.command.chain

    def place(self, chain: ChainState) -> int:
        """The index of the rule whose place the command gives."""
        word = self.command.number
        return self.table.place(chain, _number(word), word, new=False)

    def chain_for_rule(self) -> ChainState:
        """The chain to put a rule in; outside of scripts one that is not declared counts as declared."""
        chain = self.table.chain(self.chain.text)
        if chain is not None:
            return chain
        if self.reader.form is Form.SCRIPT:
            return self.table.existing(self.chain)
        self.reader.undeclared[self.table.name, self.chain.text] = (self.line.number, self.chain.column)
        return self.table.create(self.chain, self.line.number)

    def is_chain(self, name: str) -> bool:
        """True for a user chain of the table, there already or declared later."""
        if self.table.is_builtin(name):
            return False
        if name in self.table.chains:
            return True
        if name not in self.reader.names.get(self.table.name, ()):
            return False
        self.reader.early.setdefault((self.table.name, name), self.line.number)
        return True

    def bound(self, *, tolerant: bool) -> Bound:
        """The rule's words, typed."""
        bound = bind(self.command.words, self.reader.family, self.is_chain, tolerant=tolerant)
        if bound.table is not None:
            _same_table(self.reader, self.table, self.line, bound.table.text, bound.table_option)
        elif self.reader.form is not Form.SAVED and self.command.table is not None:
            raise WordFault(
                self.command.table, "which table this is about cannot be told", "-t in front of the command"
            )
        for each in bound.lenient:
            if each.message != SETTING or self.reader.form is not Form.SCRIPT:
                self.reader.lenient.add(each.message, self.line.number)
        return bound

    def entry(self) -> Entry:
        """The command's rule."""
        bound = self.bound(tolerant=self.reader.keep_going)
        rule = Rule(
            0,
            self.table.name,
            self.chain.text,
            Location(self.reader.file, self.line.number, self.command.start),
            text_of(self.line, self.command),
            (*bound.matches, *(unread_use(fault.message) for fault in bound.unread[:1])),
            bound.target,
            self.command.counters,
        )
        return Entry(rule, self.line.number, self.within, bound.target_word)

    def put(self, chain: ChainState, entry: Entry, how: Callable[[], None]) -> None:
        """Puts a rule into its chain.

        In a script a jump that closes a loop is refused at once; elsewhere the whole table is judged at its end.
        """
        if self.reader.form is not Form.SCRIPT or not isinstance(entry.rule.target, Jump):
            how()
            return
        before = chain.entries[:]
        how()
        self.table.looked(sum(len(each.entries) for each in self.table.chains.values()))
        loop = next(loops(self.table), None)
        if loop is not None:
            chain.entries = before
            raise Refused(entry.jump, loop_message(*loop), "chains that end")

    def append(self) -> None:
        """``-A CHAIN rule``"""
        chain = self.chain_for_rule()
        entry = self.entry()
        self.put(chain, entry, lambda: self.table.append(chain, entry))

    def insert(self) -> None:
        """``-I CHAIN [number] rule``"""
        chain = self.chain_for_rule()
        entry, word = self.entry(), self.command.number
        self.put(chain, entry, lambda: self.table.insert(chain, entry, _number(word), word))

    def replace(self) -> None:
        """``-R CHAIN number rule``"""
        chain = self.table.existing(self.chain)
        entry = self.entry()
        if entry.count(self.reader.family) != 1:
            raise Refused(self.chain, "-R takes one address, not several", "one source and one destination")
        index = self.place(chain)
        self.put(chain, entry, lambda: self.table.replace(chain, index, entry))

    def delete(self) -> None:
        """``-D CHAIN number``, ``-D CHAIN rule``"""
        chain = self.table.existing(self.chain, harmless=True)
        if self.command.number is not None:
            del chain.entries[self.place(chain)]
            return
        bound = self.bound(tolerant=False)
        place = Location(self.reader.file)
        rule = Rule(0, self.table.name, chain.name, place, "", bound.matches, bound.target)
        self.table.delete_like(chain, rule)

    def flush(self) -> None:
        """``-F [CHAIN]``"""
        if self.command.chain is not None:
            self.table.flush(self.table.existing(self.chain, harmless=True))
            return
        for chain in self.table.chains.values():
            self.table.flush(chain)

    def zero(self) -> None:
        """``-Z [CHAIN [number]]``"""
        if self.command.chain is None:
            for chain in self.table.chains.values():
                self.table.zero(chain, None)
            return
        chain = self.table.existing(self.chain, harmless=True)
        self.table.zero(chain, None if self.command.number is None else self.place(chain))

    def new_chain(self) -> None:
        """``-N CHAIN``"""
        if self.reader.form is Form.SCRIPT:
            self.table.create(self.chain, self.line.number)
        else:
            declare_user(self.reader, self.table, self.chain, self.line.number)

    def delete_chain(self) -> None:
        """``-X [CHAIN]``"""
        if self.command.chain is None:
            self.table.remove_all()
        else:
            self.table.remove(self.chain)

    def rename_chain(self) -> None:
        """``-E OLD NEW``"""
        assert self.command.second is not None
        self.table.rename(self.chain, self.command.second)

    def policy(self) -> None:
        """``-P CHAIN POLICY``"""
        assert self.command.second is not None
        set_policy(self.table, self.chain, self.command.second, self.line.number)


_ACTS: Mapping[Verb, Callable[[_Act], None]] = {
    Verb.APPEND: _Act.append,
    Verb.INSERT: _Act.insert,
    Verb.REPLACE: _Act.replace,
    Verb.DELETE: _Act.delete,
    Verb.FLUSH: _Act.flush,
    Verb.ZERO: _Act.zero,
    Verb.NEW_CHAIN: _Act.new_chain,
    Verb.DELETE_CHAIN: _Act.delete_chain,
    Verb.RENAME_CHAIN: _Act.rename_chain,
    Verb.POLICY: _Act.policy,
}


def declare_user(reader: Reader, table: TableState, name: Word, line: int) -> None:
    """A user chain is declared outside of a script, where rules may have used it before."""
    chain = table.chain(name.text)
    if chain is None:
        table.create(name, line)
        if (table.name, name.text) in reader.early:
            reader.lenient.add(LATE_CHAIN, reader.early[table.name, name.text])
    elif (table.name, name.text) in reader.undeclared:
        del reader.undeclared[table.name, name.text]
        reader.lenient.add(LATE_CHAIN, line)
        chain.line = line
    else:
        reader.lenient.add(TWICE, line)


def set_policy(table: TableState, name: Word, policy: Word, line: int) -> None:
    """A built-in chain gets its policy."""
    chain = table.chain(name.text)
    if chain is None or not chain.builtin:
        message = f"the user chain {name.text} cannot have the policy {policy.text!r}"
        raise Refused(policy, message, "- as its policy")
    if policy.text not in ("ACCEPT", "DROP"):
        message = f"{policy.text!r} is no policy of the built-in chain {name.text}"
        raise Refused(policy, message, "ACCEPT or DROP")
    chain.policy, chain.policy_unclear, chain.line = policy.text, False, line


def text_of(line: Line, command: Command) -> str:
    """The command's own part of its line."""
    end = len(line.text)
    if isinstance(line.said, ScriptLine):
        end = min((each.start - 1 for each in line.said.commands if each.start > command.start), default=end)
    text = line.text[command.start - 1 : end].rstrip()
    return text.rstrip("; &\t") if end < len(line.text) else text


def _number(word: Word | None) -> int | None:
    return number_of(word.text, _PLACE_MOST) if word is not None else None
