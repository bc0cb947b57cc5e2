"""``ipset save`` text to sets: the commands of a dump, carried out one after another.

A line is read by ``syntax/ipsetlines.py``, an element by ``syntax/ipsetelements.py``, a set by ``syntax/ipsetbuild.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ipt2np.errors import InputError, Location, Problem
from ipt2np.rules.extension import ValueFault
from ipt2np.rules.ipset import IpSet
from ipt2np.rules.settypes import Part
from ipt2np.syntax.encoding import decode
from ipt2np.syntax.ipsetbuild import (
    NAME_LENGTH,
    SetBuilder,
    WordProblem,
    created,
    entry_flags,
    quick_flags,
)
from ipt2np.syntax.ipsetelements import ElementFault
from ipt2np.syntax.ipsetlines import SetLine, plain_add, read_set_line
from ipt2np.syntax.verbs import LineFault, Word
from ipt2np.text import as_bytes


class _Dump:
    """A dump being carried out."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.sets: dict[str, SetBuilder] = {}
        self.ended = 0
        """The line of ``quit``."""

    def run(self, line: SetLine, number: int) -> None:
        commands: Mapping[str, Callable[[SetLine, int], None]] = {
            "create": self.create, "add": self.add, "flush": self.flush, "destroy": self.destroy,
            "swap": self.swap, "commit": self.nothing, "quit": self.quit, "other": self.other,
        }  # fmt: skip
        commands[line.command](line, number)

    def nothing(self, line: SetLine, number: int) -> None:
        """``COMMIT``: everything is carried out anyway."""

    def quit(self, line: SetLine, number: int) -> None:
        self.ended = number

    def other(self, line: SetLine, number: int) -> None:
        raise WordProblem(
            line.words[0],
            f"ipset {line.words[0].text} is no line of a dump",
            "the state itself: load the file with ipset restore, and give what ipset save prints then",
        )

    def known(self, word: Word) -> SetBuilder:
        found = self.sets.get(word.text)
        if found is None:
            raise WordProblem(
                word, f"the set {word.text} was not created", "create NAME TYPE … before it is first used"
            )
        return found

    # -- create -----------------------------------------------------------------------------------------

    def create(self, line: SetLine, number: int) -> None:
        name, type_word, *rest = line.words
        if len(as_bytes(name.text)) > NAME_LENGTH:
            raise WordProblem(
                name, f"{name.text[:40]!r} is longer than {NAME_LENGTH} bytes", "a shorter name of a set"
            )
        made = created(name, type_word, rest, Location(self.file, number, name.column))
        before = self.sets.get(name.text)
        if before is not None and not (line.exist and before.type == made.type):
            raise WordProblem(
                name,
                f"the set {name.text} is created twice (first at line {before.location.line})",
                "one dump",
            )
        self.sets.setdefault(name.text, made)

    # -- entries ----------------------------------------------------------------------------------------

    def plain(self, name: str, element: str, rest: str) -> bool:
        """Adds an entry whose line ``plain_add`` read; False where the words themselves are needed."""
        target = self.sets.get(name)
        if target is None or target.reader is None:
            return False
        flags = quick_flags(target, rest) if rest else target.default
        if flags is None:
            return False
        try:
            target.enter(element, flags)
        except ValueFault:
            return False
        return True

    def add(self, line: SetLine, number: int) -> None:
        name, element, *rest = line.words
        target = self.known(name)
        if target.kind is None:
            return
        if target.kind.parts == (Part.SET,):
            self.enlist(target, element, rest)
            return
        flags = entry_flags(target, rest)
        try:
            target.enter(element.text, flags)
        except ElementFault as fault:
            raise WordProblem(element, fault.message, fault.expected, fault.offset, fault.width) from None

    def enlist(self, target: SetBuilder, element: Word, rest: Sequence[Word]) -> None:
        """A set as a member of a list; its place in the list says nothing of packets."""
        name, comma, place = element.text.partition(",")
        if comma and place.partition(",")[0] not in ("before", "after"):
            raise WordProblem(
                element, f"{element.text!r} is no set's name", "NAME, or NAME before|after NAME"
            )
        member = self.sets.get(name)
        if member is None:
            raise WordProblem(
                element,
                f"the set {name} was not created, so it cannot be a member of {target.name}",
                "create NAME TYPE … before; ipset save prints lists last",
                width=len(name),
            )
        if member.kind is not None and member.kind.parts == (Part.SET,):
            loop = "a loop: " if member is target else ""
            raise WordProblem(
                element, f"{loop}{name} is a list itself, and lists hold no lists", "the sets that it holds",
                width=len(name),
            )  # fmt: skip
        target.members[name] = entry_flags(target, rest)

    # -- whole sets -------------------------------------------------------------------------------------

    def flush(self, line: SetLine, number: int) -> None:
        for each in [self.known(line.words[0])] if line.words else self.sets.values():
            each.flush()

    def destroy(self, line: SetLine, number: int) -> None:
        if not line.words:
            self.sets.clear()
            return
        name = line.words[0]
        self.known(name)
        holder = next((each for each in self.sets.values() if name.text in each.members), None)
        if holder is not None:
            raise WordProblem(
                name,
                f"the set {name.text} is a member of {holder.name} and cannot go",
                "flush the list before",
            )
        del self.sets[name.text]

    def swap(self, line: SetLine, number: int) -> None:
        """The names of two sets change places; lists go by names."""
        one, two = (self.known(word) for word in line.words)
        if one.kind is not two.kind or one.family != two.family:
            raise WordProblem(
                line.words[1],
                f"{one.name} and {two.name} are not of the same type and family",
                "two sets alike",
            )
        one.name, two.name = two.name, one.name
        self.sets[one.name], self.sets[two.name] = one, two


def parse_ipsets(data: bytes, file: str) -> Mapping[str, IpSet]:
    """The sets of an ``ipset save`` dump by name. InputError with every problem of the file."""
    dump = _Dump(file)
    problems: list[Problem] = []
    for number, raw in enumerate(decode(data, file).split("\n"), 1):
        quick = plain_add(raw)
        if quick is not None and not dump.ended and dump.plain(*quick):
            continue
        text = raw.rstrip("\r")
        try:
            line = read_set_line(text)
            if line is not None and dump.ended:
                raise LineFault(
                    1, len(text), f"a line after quit (line {dump.ended}) is never carried out", "no line"
                )
            if line is not None:
                dump.run(line, number)
        except (LineFault, WordProblem) as fault:
            problems.append(
                Problem(
                    Location(file, number, fault.column), text, fault.message, fault.expected, fault.width
                )
            )
    if not dump.sets and not problems:
        problems.append(Problem(Location(file), "", "the file holds no ipset", "the output of ipset save"))
    if problems:
        raise InputError(problems)
    return {name: each.finished() for name, each in dump.sets.items()}
