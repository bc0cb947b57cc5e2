"""What is kept of each match option: asked of the code, with an example value, for first and later packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from ipt2np.packets import PacketSpace
from ipt2np.rules.assumptions import Assumptions
from ipt2np.rules.extension import MatchExtension, Option, ValueFault
from ipt2np.rules.interfaces import Interfaces
from ipt2np.rules.marks import ZERO, Marks
from ipt2np.rules.matches import all_matches
from ipt2np.rules.meaning import Half, Hook, Meaning, View
from ipt2np.rules.model import Clause

EXACT = "exact"


@dataclass(frozen=True)
class Row:
    """An option of a match: how it is written, and what is kept of it in each family that has it."""

    match: str
    option: str
    kept: dict[int, str]


def rows() -> Iterator[Row]:
    """Every option of every match, in the order of names; a match without options has one row."""
    extensions: dict[str, dict[int, MatchExtension]] = {}
    for (name, family), extension in sorted(all_matches().items()):
        extensions.setdefault(name, {})[family] = extension
    for name, by_family in extensions.items():
        shown: dict[str, dict[int, str]] = {}
        for family, extension in by_family.items():
            if not extension.options:
                shown.setdefault("", {})[family] = _kept(extension, (), family)
            for option in extension.options:
                clauses = tuple(_with_companions(extension, option, family))
                shown.setdefault(_written(option), {})[family] = _kept(extension, clauses, family)
        for text, kept in shown.items():
            yield Row(name, text, kept)


def _written(option: Option) -> str:
    return " ".join(
        [*(["[!]"] if option.negatable else []), option.name, *(kind.title for kind in option.kinds)]
    )


def _clause(option: Option, family: int) -> Clause:
    return Clause(
        option.name, False, tuple(kind.read(kind.example_for(family), family) for kind in option.kinds)
    )


def _with_companions(extension: MatchExtension, option: Option, family: int) -> Iterator[Clause]:
    """The option, and the least that must stand beside it."""
    yield _clause(option, family)
    for group in extension.required:
        if option.name in group:
            continue
        rivals = {
            name
            for each in extension.exclusive
            if option.name in each
            for name in each
            if name != option.name
        }
        needed = extension.named(next((name for name in group if name not in rivals), group[0]))
        assert needed is not None
        yield _clause(needed, family)


def _views(family: int) -> Iterator[tuple[Half, View]]:
    for half in Half:
        yield (
            half,
            View(
                PacketSpace(),
                family,
                half,
                Hook.AFTER_CONNTRACK,
                True,
                Assumptions(),
                Interfaces.of(["eth0"]),
                marks=Marks(ZERO, ZERO),
            ),
        )


def _normal(extension: MatchExtension, given: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
    """The canonical form, with as few more options as make it one that the kernel takes."""
    others = [each for each in extension.options if all(each.name != clause.option for clause in given)]
    for count in range(3):
        for more in combinations(others, count):
            try:
                return extension.normal((*given, *(_clause(each, family) for each in more)), family)
            except ValueFault:
                continue
    return given  # a separator of options, which says nothing by itself


def _kept(extension: MatchExtension, given: tuple[Clause, ...], family: int) -> str:
    """``exact``, the assumption that settles the option, or why it stays undecided."""
    clauses = _normal(extension, given, family)
    said = {half: _said(extension.meaning(clauses, view)) for half, view in _views(family)}
    first, later = said[Half.FIRST], said[Half.LATER]
    return first if first == later else f"first packets: {first}; later ones: {later}"


def _said(meaning: Meaning) -> str:
    if not meaning.exact:
        part = "exact for some packets, else " if meaning.must else ""
        return f"{part}undecided: " + "; ".join(meaning.undecided)
    return " and ".join(f"under `{each}`" for each in sorted(meaning.assumptions)) or EXACT
