"""A file to ``Ruleset``s: its dumps, and every fault of those at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace

from ipt2np.errors import InputError, Location, Problem, UsageError
from ipt2np.rules.model import Note, Ruleset
from ipt2np.syntax.encoding import decoded
from ipt2np.syntax.family import detect_family
from ipt2np.syntax.foreign import refuse_foreign
from ipt2np.syntax.layout import Dump, dumps_of
from ipt2np.syntax.leniency import Leniencies
from ipt2np.syntax.lines import CommentLine
from ipt2np.syntax.reader import Reader
from ipt2np.syntax.saved import header_of
from ipt2np.syntax.source import Line, source_lines, split_lines
from ipt2np.syntax.verbs import LineFault

SHOWN_DUMPS = 20
NO_LAST_END = "COMMIT has no line end behind it"
_OTHER_BACKEND = re.compile(r"[ \t]*#\s*Warning: (ip6?)tables-(legacy|nft) tables present")
_BEYOND = re.compile(r"[ \t]*#\s*Table `(\w+)' (?:is incompatible|contains incompatible base-chains)")


def parse_ruleset(
    data: bytes, file: str, *, family: int | None = None, first_number: int = 0, keep_going: bool = False
) -> Ruleset:
    """The ruleset that ``data``, the bytes of an iptables-save dump, describes.

    ``family`` (4 or 6) is found from the text where it is not given (4 where nothing tells).
    ``first_number`` is the number of the first rule, so that two files' rules can be told apart.
    With ``keep_going`` a line that cannot be read becomes an undecided rule.
    Raises InputError with every problem of the file, also where it holds a ruleset of each family.
    """
    found = parse_rulesets(data, file, family=family, first_number=first_number, keep_going=keep_going)
    if len(found) > 1:
        raise InputError(
            [
                Problem(
                    Location(file),
                    "",
                    "the file holds a dump of each family",
                    "one dump, or parse_rulesets()",
                )
            ]
        )
    return found[0]


def parse_rulesets(
    data: bytes,
    file: str,
    *,
    family: int | None = None,
    first_number: int = 0,
    keep_going: bool = False,
    dumps: Sequence[int] = (),
) -> tuple[Ruleset, ...]:
    """The rulesets of a file, at most one a family, IPv4 first, rules numbered through.

    ``dumps`` picks among several dumps by their numbers from 1; without it a file may hold one of each family, of
    which ``family`` takes one. UsageError where there is no such dump, InputError as ``parse_ruleset``.
    """
    text = decoded(data, file)
    lenient = Leniencies()
    if text.oddity:
        lenient.add(f"the file {text.oddity}", 0)
    raw = split_lines(text.text, lenient)
    if raw[-1].strip() == "COMMIT":
        lenient.add(NO_LAST_END, len(raw))
    lines = list(source_lines(raw, lenient))
    found = dumps_of(lines, file, lenient)
    if not found:
        refuse_foreign(raw, file)
        raise InputError([_nothing(lines, file)])
    sha256 = hashlib.sha256(data).hexdigest()
    result: list[Ruleset] = []
    problems: dict[tuple[Location, str], Problem] = {}
    for dump, of in _chosen(found, file, family, dumps):
        reader = Reader(dump, file, of or 4, keep_going, lenient)
        ruleset = reader.ruleset(sha256, first_number)
        problems |= {(problem.location, problem.message): problem for problem in reader.problems}
        first_number += len(ruleset.rules)
        notes = [*ruleset.notes, *_signs(lines, dump, file, ruleset.family)]
        if of is None:
            notes.append(
                Note(
                    "family-assumed",
                    Location(file),
                    "nothing in the file tells IPv4 from IPv6; it is read as IPv4",
                )
            )
        result.append(replace(ruleset, notes=tuple(notes)))
    if problems:
        raise InputError(sorted(problems.values(), key=lambda problem: problem.location))
    result[0] = replace(result[0], notes=(*result[0].notes, *lenient.notes(file)))
    return tuple(result)


def _nothing(lines: Sequence[Line], file: str) -> Problem:
    """Why a file without any ruleset is refused."""
    expected = "the output of iptables-save"
    fault = next((line for line in lines if isinstance(line.said, LineFault)), None)
    if fault is not None and isinstance(fault.said, LineFault):
        said = fault.said
        return Problem(
            Location(file, fault.number, said.column), fault.text, said.message, expected, said.width
        )
    empty = all(not line.text.strip() for line in lines)
    return Problem(Location(file), "", "the file is empty" if empty else "the file holds no table", expected)


def _text(dump: Dump) -> str:
    return "\n".join(line.text for line in dump.lines)


def _chosen(
    found: Sequence[Dump], file: str, family: int | None, dumps: Sequence[int]
) -> list[tuple[Dump, int | None]]:
    """The dumps to read, each with its family, None where nothing tells."""
    families = {
        number: dump.family if dump.family is not None else detect_family(_text(dump))
        for number, dump in enumerate(found, 1)
    }
    if dumps:
        for number in dumps:
            if number not in families:
                raise UsageError(f"--dump {number}: {file} holds {_listed(found, families)}")
        picked = list(dict.fromkeys(dumps))
    else:
        picked = list(families)
        if family is not None and len(picked) > 1:
            picked = [number for number, of in families.items() if of in (family, None)]
    known = [families[number] for number in picked]
    if len(picked) == 1:
        return [(found[picked[0] - 1], family or known[0])]
    if set(known) == {4, 6} and len(known) == 2:
        return [
            (found[number - 1], families[number]) for number in sorted(picked, key=lambda n: families[n] or 0)
        ]
    if dumps:
        raise UsageError(f"--dump: at most one dump of each family; {file} holds {_listed(found, families)}")
    second = found[1]
    line = next((line for line in second.lines if line.number == second.first), second.lines[0])
    expected = "--dump N for the one that is meant, or a file for each"
    if len({dump.backend for dump in found}) > 1:
        expected += " (the ruleset of a second backend goes by --also-rules)"
    raise InputError(
        [
            Problem(
                Location(file, line.number, 1),
                line.text,
                f"a second dump begins here; the file holds {_listed(found, families)}",
                expected,
                max(len(line.text), 1),
            )
        ]
    )


def _listed(found: Sequence[Dump], families: dict[int, int | None]) -> str:
    shown = []
    for number, dump in list(enumerate(found, 1))[:SHOWN_DUMPS]:
        family = f"IPv{families[number]}" if families[number] else "of no family that shows"
        shown.append(f"{number} (lines {dump.first}-{dump.last}, {family})")
    more = f" and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
    return f"{len(found)} dump{'s' if len(found) > 1 else ''}: {', '.join(shown)}{more}"


def _signs(lines: Sequence[Line], dump: Dump, file: str, family: int) -> list[Note]:
    """What says that another backend may hold rules of this family beside those of the dump."""
    notes: list[Note] = []
    program = "iptables" if family == 4 else "ip6tables"
    for line in lines:
        if not isinstance(line.said, CommentLine):
            continue
        warned = _OTHER_BACKEND.match(line.text)
        if warned is not None and f"{warned.group(1)}tables" == program:
            notes.append(
                Note(
                    "other-backend",
                    Location(file, line.number, 1),
                    f"the host has {program}-{warned.group(2)} tables too, which this dump does not show",
                )
            )
            break
    beyond = next(
        (line for line in dump.lines if isinstance(line.said, CommentLine) and _BEYOND.match(line.text)), None
    )
    if beyond is not None:
        notes.append(
            Note(
                "beyond-iptables",
                Location(file, beyond.number, 1),
                "nft itself made rules that iptables-save cannot print: what they do is not known here",
            )
        )
    header = next(
        (
            line
            for line in dump.lines
            if isinstance(line.said, CommentLine) and header_of(line.text) is not None
        ),
        None,
    )
    if header is not None and not any(note.kind == "other-backend" for note in notes):
        version = (header_of(header.text) or ("", "", ""))[1]
        for mark, other in (
            ("(nf_tables)", "legacy"),
            ("-nft-", "legacy"),
            ("(legacy)", "nft"),
            ("-legacy-", "nft"),
        ):
            if mark in version:
                notes.append(
                    Note(
                        "one-backend",
                        Location(file, header.number, 1),
                        f"this is the dump of one backend ({version}): {program}-{other}-save may print more",
                    )
                )
                break
    return notes
