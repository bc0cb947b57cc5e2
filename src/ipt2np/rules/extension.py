"""What a match or target extension is: a name, a table of options, and a meaning.

A new match is one class in one file of ``rules/matches/``; a new target one row of ``rules/targets.py``.
Most matches need nothing but their options: each option says what kind of value it takes and which
packets it means, and the match is the intersection of its options, negated where ``!`` stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause

Kind = Callable[[str, int], object]
"""Turns an option's text into its value, given the family; raises ``ValueFault`` where it cannot."""


class ValueFault(ValueError):
    """A value that the option cannot take; says what was wrong and what was expected."""

    def __init__(self, message: str, expected: str = "") -> None:
        self.message = message
        self.expected = expected
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Option:
    """An option: its names (the canonical one first), the kinds of its values, what it means.

    ``means(view, *values)`` gives the packets that the option matches when not negated; an option without
    it does not decide by itself (the match's own ``meaning`` reads it).
    """

    names: tuple[str, ...]
    kinds: tuple[Kind, ...] = ()
    negatable: bool = False
    means: Callable[..., Meaning] | None = None


def option(
    *names: str,
    kinds: Kind | tuple[Kind, ...] = (),
    negatable: bool = False,
    means: Callable[..., Meaning] | None = None,
) -> Option:
    """An ``Option`` in the short form that tables of options are written in."""
    return Option(names, kinds if isinstance(kinds, tuple) else (kinds,), negatable, means)


class MatchExtension:
    """A match extension (``-m NAME``)."""

    name: str
    families: ClassVar[tuple[int, ...]] = (4, 6)
    protocols: ClassVar[tuple[int, ...]] = ()
    """Protocols whose packets alone the match can hold for; empty means every protocol."""
    implied_by: ClassVar[tuple[int, ...]] = ()
    """Protocol numbers for which ``-p`` alone makes this match's options known."""
    options: ClassVar[tuple[Option, ...]] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MatchExtension) and type(other) is type(self) and other.name == self.name

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def named(self, name: str) -> Option | None:
        """The option called ``name``, or None."""
        return self._by_name().get(name)

    @classmethod
    def _by_name(cls) -> dict[str, Option]:
        table = cls.__dict__.get("_option_table")
        if table is None:
            table = {name: each for each in cls.options for name in each.names}
            cls._option_table = table  # type: ignore[attr-defined]
        return table

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """The packets that the match holds for: every clause holds."""
        result = view.of_protocols(self.protocols) if self.protocols else view.always()
        for clause in clauses:
            declared = self.named(clause.option)
            if declared is None or declared.means is None:
                continue
            part = declared.means(view, *clause.values)
            result = result & (~part if clause.negated else part)
        return result


class UnknownMatch(MatchExtension):
    """A match extension that is not known: kept as text, undecided."""

    def __init__(self, name: str) -> None:
        self.name = name

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """May hold for any packet."""
        return view.undecided(f"the match -m {self.name}, which is not known")


class Effect(Enum):
    """What a target does to a packet."""

    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"
    RETURN = "return"
    CONTINUE = "continue"
    LOG = "log"
    """Continues, and someone may read what it wrote."""
    UNTRACK = "untrack"
    """Continues, and conntrack leaves the packet alone."""
    DIVERT = "divert"
    """The packet goes to something else than the host's own socket: neither accepted nor denied."""
    MAY_DIVERT = "may divert"
    """Goes to a program if one listens, else is accepted."""
    REWRITE = "rewrite"
    """The packet's destination or port changes: what the filter then says of it is not known here."""
    UNKNOWN = "unknown"
    """May accept, deny, divert or continue."""


@dataclass(frozen=True, slots=True)
class TargetExtension:
    """A target extension (``-j NAME``): what it does, and its options; None keeps them as text."""

    name: str
    effect: Effect
    options: tuple[Option, ...] | None = None

    def named(self, name: str) -> Option | None:
        """The option called ``name``, or None."""
        return next((each for each in self.options or () if name in each.names), None)
