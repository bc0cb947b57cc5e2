"""Where the rulesets are in a file, in which form, and what around them is set aside.

Only outside of what may hold rules is anything set aside: between a table's line and its COMMIT, and between the first
and the last command of a listing, every line must be read, so that no damaged rule can pass for prose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ipt2np.syntax.leniency import Leniencies
from ipt2np.syntax.lines import ChainLine, CommentLine, CommitLine, ScriptLine, TableLine
from ipt2np.syntax.saved import ASIDE, Block, blocks, grouped
from ipt2np.syntax.shell import Capture, harmless, is_prose, stops_on_failure
from ipt2np.syntax.source import Line
from ipt2np.syntax.verbs import LOOKING, Command, LineFault, Verb

SCRIPT = "iptables commands of a script are read as what they make of an empty packet filter"
SHELL = "a script's other commands change no rule, and are left out"
_NOT_FOLLOWED = (
    "iptables commands only; or run the script on the host and give what iptables-save then prints"
)


class Form(Enum):
    """How a ruleset is written down."""

    SAVED = "saved"
    """Tables from ``*name`` to ``COMMIT``."""
    LISTED = "listed"
    """Commands without the program's name, as ``iptables -S`` prints them."""
    SCRIPT = "script"
    """Commands of a shell."""


@dataclass(frozen=True)
class Dump:
    """The lines of one ruleset of one family, in order."""

    form: Form
    lines: tuple[Line, ...]
    family: int | None = None
    """What headers, prompts and the programs' names say; None where they say nothing."""
    backend: str = ""
    stops: bool = False
    """True where the script ends at the first command that fails (``set -e``)."""

    @property
    def first(self) -> int:
        """The number of its first line that says something."""
        return next((line.number for line in self.lines if not isinstance(line.said, CommentLine)), 0)

    @property
    def last(self) -> int:
        """The number of its last line."""
        return self.lines[-1].number


def _looks(said: object) -> bool:
    return isinstance(said, ScriptLine) and all(command.verb in LOOKING for command in said.commands)


def dumps_of(lines: Sequence[Line], file: str, lenient: Leniencies) -> list[Dump]:
    """Every ruleset of the file. InputError where nothing tells where one ends and the next begins."""
    if any(isinstance(line.said, TableLine | CommitLine | ChainLine) for line in lines):
        return [_saved(group) for group in grouped(blocks(lines, lenient), file)]
    if any(isinstance(line.said, ScriptLine) and not _looks(line.said) for line in lines):
        return _scripts(lines, lenient)
    if any(isinstance(line.said, Command) for line in lines):
        return _listings(lines, lenient)
    return []


def _saved(group: Sequence[Block]) -> Dump:
    family = next((block.family for block in group if block.family is not None), None)
    backend = next((block.version for block in group if block.version), "")
    return Dump(Form.SAVED, tuple(line for block in group for line in block.lines), family, backend)


def _region(lines: Sequence[Line], holds: Callable[[Line], bool]) -> tuple[int, int]:
    """The places of the first and the last line that hold a command."""
    places = [place for place, line in enumerate(lines) if holds(line)]
    return places[0], places[-1]


def _listings(lines: Sequence[Line], lenient: Leniencies) -> list[Dump]:
    """A listing ends where another family's begins, or where a chain's policy is told again."""
    first, last = _region(lines, lambda line: isinstance(line.said, Command))
    found: list[tuple[Capture | None, list[Line]]] = []
    told: set[tuple[str, str]] = set()
    table = "filter"
    capture: Capture | None = None
    current: list[Line] = []
    for place, line in enumerate(lines):
        said = line.said
        taken = _captured(said)
        if taken is not None:
            if capture is not None and (taken.family, taken.backend) != (capture.family, capture.backend):
                found.append((capture, current))
                current, told = [], set()
            capture, table = taken, taken.table or "filter"
            current.append(replace(line, said=taken))
        elif isinstance(said, Command):
            if said.verb is Verb.POLICY and said.chain is not None:
                key = ((said.table.text if said.table else table), said.chain.text)
                if key in told:
                    found.append((capture, current))
                    current, told = [], set()
                told.add(key)
            current.append(line)
        elif (
            isinstance(said, LineFault)
            and not first < place < last
            and is_prose(line.text, scripted=False, last=place > last)
        ):
            lenient.add(ASIDE, line.number)
        else:
            current.append(line)
    found.append((capture, current))
    return [
        Dump(Form.LISTED, tuple(each), by.family if by else None, by.backend if by else "")
        for by, each in found
        if any(isinstance(line.said, Command | LineFault) for line in each)
    ]


def _captured(said: object) -> Capture | None:
    """The command whose output follows: ``iptables-save``, or ``iptables -S`` behind a prompt."""
    if isinstance(said, Capture):
        return said
    if isinstance(said, ScriptLine) and _looks(said):
        command = said.commands[-1]
        assert command.program is not None
        table = command.table
        return Capture(command.program.family, command.program.backend, table.text if table else None)
    return None


def _scripts(lines: Sequence[Line], lenient: Leniencies) -> list[Dump]:
    """The commands of a script, by the ruleset that they are about: one for each family and backend."""
    first, last = _region(lines, lambda line: isinstance(line.said, ScriptLine))
    by_program: dict[tuple[int, str], list[Line]] = {}
    common: list[Line] = []
    for place, line in enumerate(lines):
        said = line.said
        if isinstance(said, ScriptLine):
            for command in said.commands:
                assert command.program is not None
                key = (command.program.family, command.program.backend)
                mine = by_program.setdefault(key, [])
                if mine and mine[-1].number == line.number:
                    before = mine.pop().said
                    assert isinstance(before, ScriptLine)
                    mine.append(replace(line, said=ScriptLine((*before.commands, command))))
                else:
                    mine.append(replace(line, said=ScriptLine((command,))))
        elif isinstance(said, LineFault | Capture) and harmless(line.text):
            lenient.add(SHELL, line.number)
        elif (
            isinstance(said, LineFault)
            and not first < place < last
            and is_prose(line.text, scripted=True, last=place > last)
        ):
            lenient.add(ASIDE, line.number)
        elif isinstance(said, Command):
            message = "a command without the program's name among others with it"
            fault = LineFault(said.start, 1, message, "iptables or ip6tables in front of it")
            common.append(replace(line, said=fault))
        elif isinstance(said, LineFault):
            common.append(replace(line, said=_unfollowed(line.text, said)))
        elif said is not None:
            common.append(line)
    stops = any(stops_on_failure(line.text) for line in lines)
    lenient.add(SCRIPT, 0)
    return [
        Dump(
            Form.SCRIPT,
            tuple(sorted((*mine, *common), key=lambda line: line.number)),
            family,
            backend,
            stops,
        )
        for (family, backend), mine in sorted(by_program.items())
    ]


def _unfollowed(text: str, fault: LineFault) -> LineFault:
    """In a script, a line that is no command of iptables is a command of the shell."""
    if fault.once or fault.column != len(text) - len(text.lstrip()) + 1:
        return fault
    word = text.split(maxsplit=1)[0]
    message = f"the shell's {word!r} is not followed here"
    return LineFault(fault.column, len(word), message, _NOT_FOLLOWED, once=True)
