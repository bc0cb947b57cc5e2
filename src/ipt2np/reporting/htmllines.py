"""The files of a report line by line: what became of each, and the links between rules and policy, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from ipt2np.reporting.report import Report
from ipt2np.sourcefile import SourceFile

SHOWN_LINKS = 100
"""A line shows so many links to the other side, and counts the rest."""

FATES = ("lost", "approximated", "assumed", "kept", "unreachable", "not-applicable")
"""The fates, the one that asks for most attention first."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a line or an entry of the report: its target's id, what it shows, and its name in full."""

    target: str
    text: str
    name: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file."""

    id: str
    number: int
    text: str
    fates: tuple[str, ...]
    """Fates of the rules on it, the first of FATES first; of a policy's line, those of the rules behind it."""
    links: tuple[Link, ...]
    """To its counterparts on the other side."""
    more_links: int
    notes: tuple[Link, ...]
    """To the differences and findings that point here."""
    effect: str
    """``opens`` or ``closes`` where the line is behind such a difference; empty elsewhere."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One file in one of the two columns."""

    name: str
    role: str
    side: int
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Places:
    """Where things are: what a report names, as ids of lines."""

    files: tuple[SourceFile, ...]
    sides: tuple[int, ...]
    """The column of each file."""
    by_name: Mapping[tuple[int | None, str], int]
    pointers: Mapping[str, tuple[int, int, int]]
    """An emitted pointer to file, first and last line."""

    def file(self, name: str, side: int | None = None) -> int | None:
        """The file's position; None where the report has no text of it."""
        return self.by_name.get((side, name), self.by_name.get((None, name)))

    def side(self, link: Link) -> int:
        """The column of the line that a link leads to."""
        return self.sides[int(link.target[1:].partition("-")[0])]

    def short(self, name: str) -> str:
        """The name without its folders where no other file of the report is called the same."""
        short = name.rpartition("/")[2]
        alike = {file.name for file in self.files if file.name.rpartition("/")[2] == short}
        return short if alike == {name} else name

    def line(self, place: Mapping[str, Any]) -> Link | None:
        """The link to a ``{"file", "line"}``; None where the report does not show that line."""
        file = self.file(str(place.get("file", "")), place.get("side"))
        number = place.get("line")
        if file is None or not isinstance(number, int) or not 0 < number <= len(self.files[file].lines):
            return None
        return Link(f"f{file}-{number}", str(number), f"{self.files[file].name} line {number}")

    def pointer(self, pointer: str) -> Link | None:
        """The link to the first line of what a pointer names."""
        if pointer not in self.pointers:
            return None
        file, first, _ = self.pointers[pointer]
        return Link(f"f{file}-{first}", str(first), f"{self.files[file].name} line {first}")


def places(report: Report) -> Places:
    """Where each name, line and pointer of the report is."""
    data = report.data
    by_name: dict[tuple[int | None, str], int] = {}
    sides = [1 if file.role == "policy" else 0 for file in report.files]
    if "sides" in data:
        free = list(range(len(report.files)))
        for side, said in enumerate(data["sides"]):
            for name in said.get("files", ()):
                here = next((number for number in free if report.files[number].name == name), None)
                if here is not None:
                    free.remove(here)
                    sides[here] = side
                    by_name[side, name] = here
    for number, file in enumerate(report.files):
        by_name.setdefault((None, file.name), number)
    found = {}
    for pointer, place in data.get("places", {}).items():
        here = by_name.get((place.get("side"), place["file"]), by_name.get((None, place["file"])))
        if here is not None and 0 < place["line"] <= len(report.files[here].lines):
            last = min(place.get("end", place["line"]), len(report.files[here].lines))
            found[pointer] = (here, place["line"], last)
    return Places(report.files, tuple(sides), by_name, found)


@dataclass
class _Marks:
    """What is gathered of one line before it is written down."""

    fates: set[str] = field(default_factory=set)
    links: dict[Link, None] = field(default_factory=dict)
    notes: dict[Link, None] = field(default_factory=dict)
    effects: set[str] = field(default_factory=set)


def listings(report: Report, where: Places) -> tuple[Listing, ...]:
    """Every file of the report with the links of its lines, in the order of the report."""
    marks: dict[str, _Marks] = {}

    def mark(link: Link) -> _Marks:
        return marks.setdefault(link.target, _Marks())

    behind: dict[str, set[str]] = {}
    for entry in report.data.get("ledger", ()):
        rule = where.line(entry)
        if rule is None:
            continue
        mark(rule).fates.add(str(entry["fate"]))
        for pointer in entry.get("emitted", ()):
            policy = where.pointer(pointer)
            if policy is None:
                continue
            mark(rule).links[policy] = None
            mark(policy).links[rule] = None
            behind.setdefault(pointer, set()).add(str(entry["fate"]))
    inside: dict[str, set[str]] = {}
    for pointer, fates in behind.items():
        file, first, last = where.pointers[pointer]
        for number in range(first, last + 1):
            inside.setdefault(f"f{file}-{number}", set()).update(fates)
    for note, effect, lines, pointers in _notes(report.data):
        targets = dict.fromkeys([*map(where.line, lines), *map(where.pointer, pointers)])
        found = [target for target in targets if target is not None]
        for target in found:
            mark(target).notes[note] = None
            mark(target).effects.add(effect)
        if "sides" in report.data:
            for one, other in combinations(found, 2):
                if where.side(one) != where.side(other):
                    mark(one).links[other] = mark(other).links[one] = None
    return tuple(
        Listing(
            file.name,
            file.role,
            where.sides[number],
            tuple(
                _line(f"f{number}-{place}", place, text, marks, inside)
                for place, text in enumerate(file.lines, start=1)
            ),
        )
        for number, file in enumerate(report.files)
    )


def _line(
    name: str, number: int, text: str, marks: Mapping[str, _Marks], inside: Mapping[str, set[str]]
) -> Line:
    found = marks.get(name)
    fates = (found.fates if found else set()) | inside.get(name, set())
    links = tuple(found.links) if found else ()
    return Line(
        name,
        number,
        text,
        tuple(sorted(fates, key=_rank)),
        links[:SHOWN_LINKS],
        max(0, len(links) - SHOWN_LINKS),
        tuple(found.notes) if found else (),
        next((effect for effect in ("opens", "closes") if found and effect in found.effects), ""),
    )


def _rank(fate: str) -> int:
    return FATES.index(fate) if fate in FATES else len(FATES)


def _notes(
    data: Mapping[str, Any],
) -> Iterable[tuple[Link, str, Sequence[Mapping[str, Any]], Sequence[str]]]:
    """Differences and findings, the effect of the former, with the lines and pointers that they are about."""
    for number, each in enumerate(data.get("proof", {}).get("differences", ()), start=1):
        link = Link(f"d{number}", f"D{number}", f"difference {number}: {each['effect']}")
        yield link, each["effect"], each.get("lines", ()), each.get("pointers", ())
    for number, each in enumerate(data.get("findings", ()), start=1):
        link = Link(f"n{number}", str(each["code"]), f"{each['severity']} {each['code']}")
        yield link, "", finding_lines(each), each.get("pointers", ())


def finding_lines(finding: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The lines that a finding is about."""
    if "lines" in finding:
        return tuple(finding["lines"])
    return (finding,) if "file" in finding and "line" in finding else ()
