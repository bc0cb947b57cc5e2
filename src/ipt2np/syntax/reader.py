"""One dump's lines to a ``Ruleset``: its commands carried out in order, its faults collected."""

from __future__ import annotations

from dataclasses import replace

from ipt2np.errors import InputError, Location, Problem
from ipt2np.rules.model import BUILTIN_CHAINS, Chain, Jump, Note, Ruleset, Table
from ipt2np.rules.unread import UNREAD_TARGET, unread_use
from ipt2np.syntax import keepgoing
from ipt2np.syntax.bind import WordFault
from ipt2np.syntax.commands import carry_out, declare_user, named_by, set_policy
from ipt2np.syntax.layout import Dump, Form
from ipt2np.syntax.leniency import Leniencies, numbered_lines
from ipt2np.syntax.lines import ChainLine, CommentLine, CommitLine, ScriptLine, TableLine
from ipt2np.syntax.saved import COMPLETED
from ipt2np.syntax.shell import Capture
from ipt2np.syntax.source import Line
from ipt2np.syntax.tables import Entry, Refused, TableState, TooManySteps, loop_message, loops
from ipt2np.syntax.verbs import Command, LineFault, Word
from ipt2np.text import as_bytes

Fault = LineFault | WordFault | Refused

INDENTED = "lines are indented, and are read as if they were not"
BLANKS = "lines hold nothing but blanks, and are passed over"
COMMIT_BLANKS = "blanks stand behind COMMIT, and are left out"
LONG_NAME = "a chain's name is longer than the 28 characters that the kernel takes"
NO_EFFECT = "commands are refused that have nothing to do, and change nothing"
_NAME_MOST = 28


class Reader:
    """Reads one dump; ``problems`` holds its faults, unless ``keep_going`` makes undecided rules of them."""

    def __init__(self, dump: Dump, file: str, family: int, keep_going: bool, lenient: Leniencies) -> None:
        self.dump = dump
        self.form = dump.form
        self.file = file
        self.family = family
        self.keep_going = keep_going
        self.lenient = lenient
        self.problems: list[Problem] = []
        self.told: set[str] = set()
        self.notes: list[Note] = []
        self.tables: dict[str, TableState] = {}
        self.current: TableState | None = None
        """The table whose line stood last; one that is not known is in no ``tables``."""
        self.current_line: Line | None = None
        self.committed = True
        self.context = "filter"
        """The table of a listing's lines."""
        self.comments: list[str] = []
        """Comment lines since the last table."""
        self.names: dict[str, set[str]] = {}
        """Every name that is a user chain somewhere in the file, by table."""
        self.undeclared: dict[tuple[str, str], tuple[int, int]] = {}
        """User chains that rules were put in before anything declared them, with line and column."""
        self.early: dict[tuple[str, str], int] = {}
        """User chains that were jumped to before they were there, with the line."""
        self.unlisted: set[str] = set()
        """Tables that stand in for what could not be read, and are no part of the file."""

    def ruleset(self, sha256: str, first_number: int) -> Ruleset:
        """The ruleset. InputError where following the commands would take too long."""
        self.collect_names()
        for line in self.dump.lines:
            try:
                self.take(line)
            except TooManySteps:
                raise InputError(
                    [
                        Problem(
                            Location(self.file, line.number, 1),
                            line.text,
                            "the file rearranges its rules more often than is followed here",
                            "what iptables-save prints after the file was loaded",
                        )
                    ]
                ) from None
        self.finish()
        return self.built(sha256, first_number)

    # -- faults -----------------------------------------------------------------------------------------

    def problem(self, line: Line, fault: Fault) -> Problem:
        """The fault with its place."""
        if isinstance(fault, LineFault):
            column, width = fault.column, fault.width
        elif fault.word is None:
            column, width = len(line.text.rstrip()) + 1, 1
        else:
            column, width = fault.word.column, fault.word.width
        place = Location(self.file, line.number, column)
        return Problem(place, line.text, fault.message, fault.expected, max(width, 1))

    def faulty(self, line: Line, fault: Fault, command: Command | None = None) -> None:
        """Takes note of a fault: a problem, or what stands in for the line."""
        problem = self.problem(line, fault)
        if self.keep_going:
            keepgoing.stand_in(self, line, problem, command)
        elif not (isinstance(fault, LineFault) and fault.once and problem.message in self.told):
            self.told.add(problem.message)
            self.problems.append(problem)

    # -- lines ------------------------------------------------------------------------------------------

    def take(self, line: Line) -> None:
        """One line, in its turn."""
        said = line.said
        try:
            if self.form is Form.SAVED:
                self.style(line)
            if isinstance(said, TableLine):
                self.begin(line, said.name)
            elif isinstance(said, CommitLine):
                self.commit()
            elif isinstance(said, ChainLine):
                self.declare(line, said)
            elif isinstance(said, CommentLine):
                self.comment(line.text)
            elif isinstance(said, Capture):
                self.context = said.table or "filter"
            elif isinstance(said, LineFault):
                raise said
            elif isinstance(said, Command):
                self.command(line, said, 0)
            elif isinstance(said, ScriptLine):
                self.script(line, said)
        except (LineFault, Refused) as fault:
            self.faulty(line, fault)

    def style(self, line: Line) -> None:
        """What iptables-restore does not overlook."""
        text = line.text
        if not self.committed and line.said is None and text:
            self.lenient.add(BLANKS, line.number)
        if isinstance(line.said, CommitLine) and text != text.rstrip():
            self.lenient.add(COMMIT_BLANKS, line.number)
        if text[:1].isspace() and isinstance(line.said, TableLine | ChainLine | CommitLine | CommentLine):
            self.lenient.add(INDENTED, line.number)

    def comment(self, text: str) -> None:
        """iptables-save writes one line in front of a table and one behind; inside it writes none."""
        if self.current is not None and self.committed and COMPLETED.match(text):
            self.current.after.append(text)
        elif self.committed:
            self.comments.append(text)

    def begin(self, line: Line, name: Word) -> None:
        """A table's line."""
        if not self.committed:
            self.cut_off(f"no COMMIT before line {line.number}", "COMMIT after the table's last rule")
        self.current_line, self.committed = line, False
        known = name.text in BUILTIN_CHAINS
        self.current = self.table(name.text, line.number) if known else TableState(name.text, self.family, 0)
        self.current.before, self.comments = self.comments, []
        if not known:
            raise Refused(name, f"there is no table {name.text!r}", "one of " + ", ".join(BUILTIN_CHAINS))

    def table(self, name: str, line: int) -> TableState:
        """A table of the kernel, there from its first mention on."""
        self.unlisted.discard(name)
        return self.tables.setdefault(name, TableState(name, self.family, line))

    def commit(self) -> None:
        """``COMMIT``"""
        if self.committed:
            raise LineFault(1, 6, "COMMIT without a table", "a table line such as *filter before it")
        self.committed = True

    def cut_off(self, how: str, expected: str) -> None:
        """The table that is open ends without COMMIT."""
        assert self.current is not None and self.current_line is not None
        name = self.current.name
        fault = LineFault(1, len(name) + 1, f"the table {name} is cut off: {how}", expected)
        self.faulty(self.current_line, fault)
        self.committed = True

    def inside(self, what: str) -> TableState:
        """The table that is open; LineFault outside of tables."""
        if self.current is None or self.committed:
            where = (
                f"a line after the table {self.current.name} was committed"
                if self.current
                else f"{what} before any table"
            )
            raise LineFault(1, 1, where, "a table line such as *filter before it")
        return self.current

    def declare(self, line: Line, said: ChainLine) -> None:
        """``:NAME POLICY [counters]``"""
        table = self.inside("a chain line")
        name, policy = said.name.text, said.policy.text
        if len(as_bytes(name)) > _NAME_MOST:
            self.lenient.add(LONG_NAME, line.number)
        if table.is_builtin(name):
            set_policy(table, said.name, said.policy, line.number)
        else:
            declare_user(self, table, said.name, line.number)
            if policy != "-":
                raise Refused(
                    said.policy, f"the user chain {name} cannot have the policy {policy!r}", "- as its policy"
                )
        chain = table.chain(name)
        assert chain is not None
        chain.counters = said.counters

    def collect_names(self) -> None:
        """A chain may be used in front of its declaration, but not in a script, where it would not be there yet."""
        if self.form is Form.SCRIPT:
            return
        current = "filter"
        for line in self.dump.lines:
            said = line.said
            if isinstance(said, TableLine):
                current = said.name.text
            elif isinstance(said, Capture):
                current = said.table or "filter"
            elif isinstance(said, ChainLine):
                self.names.setdefault(current, set()).add(said.name.text)
            for command in _commands(said):
                name = named_by(command)
                if name is not None:
                    table = command.table.text if command.table is not None else current
                    self.names.setdefault(table, set()).add(name.text)

    def script(self, line: Line, said: ScriptLine) -> None:
        """A line's commands one after the other; behind ``&&`` only while none fails."""
        succeeded = True
        for place, command in enumerate(said.commands):
            if succeeded or not command.on_success:
                succeeded = self.command(line, command, place)

    def command(self, line: Line, command: Command, place: int) -> bool:
        """Carries out a command; False where it fails."""
        try:
            carry_out(self, line, command, place)
        except Refused as refused:
            if refused.harmless and self.form is Form.SCRIPT and not self.dump.stops:
                self.lenient.add(NO_EFFECT, line.number)
            else:
                self.faulty(line, refused, command)
            return False
        except (LineFault, WordFault) as fault:
            self.faulty(line, fault, command)
            return False
        return True

    # -- the end ----------------------------------------------------------------------------------------

    def finish(self) -> None:
        """What can be told only once the whole dump was read."""
        if not self.committed:
            self.cut_off(
                "the file ends without COMMIT", "COMMIT after the table's last rule; is the file complete?"
            )
        self.check_listing()
        for table in self.tables.values():
            self.check_jumps(table)
        if self.undeclared:
            (line, column), names = (
                next(iter(self.undeclared.values())),
                [name for _, name in self.undeclared],
            )
            lines = numbered_lines(number for number, _ in self.undeclared.values())
            message = (
                f"the chain {names[0]} is never declared; it is read as if it were"
                if len(names) == 1
                else f"{len(names)} chains are never declared ({lines}); they are read as if they were"
            )
            self.notes.append(Note("undeclared-chain", Location(self.file, line, column), message))

    def check_listing(self) -> None:
        """A listing says INPUT's policy, or it is no listing."""
        table = self.tables.get("filter")
        if self.form is not Form.LISTED or table is None or self.problems:
            return
        chain = table.chains.get("INPUT")
        if chain is not None and (chain.policy is not None or chain.policy_unclear):
            return
        line = next(line for line in self.dump.lines if line.number == table.line)
        fault = LineFault(
            1,
            1,
            "no table line stands before this rule, and nothing says INPUT's policy",
            "*filter and :INPUT DROP [0:0] as iptables-save prints them, or -P INPUT DROP as iptables -S does",
        )
        if self.keep_going:
            table.policies_unclear = True
            self.notes.append(Note("unread", Location(self.file, line.number, 1), fault.message))
        else:
            self.faulty(line, fault)

    def check_jumps(self, table: TableState) -> None:
        """Jumps go to chains that are there, and never in a circle."""
        for entry in table.rules():
            target = entry.rule.target
            if isinstance(target, Jump) and target.chain not in table.chains:
                self.bad_jump(
                    entry, f"there is no chain {target.chain!r} at the end of the file", "a chain that stays"
                )
        for entry, way in loops(table):
            self.bad_jump(entry, loop_message(entry, way), "chains that end")

    def bad_jump(self, entry: Entry, message: str, expected: str) -> None:
        """A rule whose target is at fault."""
        if self.keep_going:
            rule = entry.rule
            entry.becomes(replace(rule, matches=(*rule.matches, unread_use(message)), target=UNREAD_TARGET))
            return
        line = next(line for line in self.dump.lines if line.number == entry.line)
        self.problems.append(self.problem(line, Refused(entry.jump, message, expected)))

    def built(self, sha256: str, first_number: int) -> Ruleset:
        """The ruleset as it stands."""
        entries = sorted(
            (entry for table in self.tables.values() for entry in table.rules()),
            key=lambda entry: (entry.line, entry.within),
        )
        for number, entry in enumerate(entries, first_number):
            entry.becomes(replace(entry.rule, number=number))
        chains = {
            (table.name, name): self.chain(table, name)
            for table in self.tables.values()
            for name in dict.fromkeys([*table.chains, *table.builtins])
        }
        filter_chain = self.tables["filter"].chain("INPUT") if "filter" in self.tables else None
        return Ruleset(
            family=self.family,
            file=self.file,
            chains=chains,
            rules=tuple(entry.rule for entry in entries),
            tables=tuple(
                Table(table.name, tuple(table.before), tuple(table.after))
                for table in self.tables.values()
                if table.name not in self.unlisted
            ),
            sha256=sha256,
            policy_is_default=filter_chain is not None
            and filter_chain.policy is None
            and chains["filter", "INPUT"].policy is not None,
            notes=tuple(self.notes),
        )

    def chain(self, table: TableState, name: str) -> Chain:
        """A chain as it stands; the policy of a built-in one is None where the line that says it is unreadable."""
        state = table.chain(name)
        assert state is not None
        policy = state.policy
        if state.builtin and policy is None and not table.policies_unclear:
            policy = "ACCEPT"
        return Chain(
            table.name,
            name,
            None if state.policy_unclear else policy,
            tuple(entry.rule for entry in state.entries),
            Location(self.file, state.line, 1) if state.line else None,
            state.counters,
        )


def _commands(said: object) -> tuple[Command, ...]:
    if isinstance(said, ScriptLine):
        return said.commands
    return (said,) if isinstance(said, Command) else ()
