"""The rule model: what a dump says, neutral as to how it was written.

A ``Ruleset`` is one family's tables; a ``Rule`` knows its file, line and text, its matches as typed
clauses of the extensions that define them, and its target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipt2np.errors import Location

if TYPE_CHECKING:
    from ipt2np.rules.extension import Effect, MatchExtension, TargetExtension

BUILTIN_CHAINS: Mapping[str, tuple[str, ...]] = {
    "raw": ("PREROUTING", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "security": ("INPUT", "FORWARD", "OUTPUT"),
}
"""The tables of the kernel and their built-in chains (iptables(8), TABLES)."""


Counters = tuple[int, int]
"""Packets and bytes."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One option as given: its canonical name, whether it is negated, its typed values."""

    option: str
    negated: bool = False
    values: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class MatchUse:
    """A match extension at work in a rule; ``text`` is what an unknown one was given, word by word."""

    extension: MatchExtension
    clauses: tuple[Clause, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class TargetUse:
    """A target extension at work in a rule; ``text`` is what one without typed options was given, word by word."""

    extension: TargetExtension
    clauses: tuple[Clause, ...] = ()
    text: str = ""

    @property
    def effect(self) -> Effect:
        """What the target does to a packet."""
        return self.extension.acts(self.clauses)


@dataclass(frozen=True, slots=True)
class Jump:
    """A jump (``-j``) or goto (``-g``) to a user chain."""

    chain: str
    goto: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a chain; ``number`` is its place among all rules of the conversion, from 0."""

    number: int
    table: str
    chain: str
    location: Location
    text: str
    matches: tuple[MatchUse, ...]
    target: TargetUse | Jump | None
    counters: Counters | None = None

    def matched_names(self) -> tuple[str, ...]:
        """The names of the match extensions in use, the header options' own ("ip") among them."""
        return tuple(use.extension.name for use in self.matches)


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain; ``policy`` is ACCEPT or DROP for a built-in one, None for a user chain.

    That of a built-in chain is None too where the line that says it could not be read.
    """

    table: str
    name: str
    policy: str | None
    rules: tuple[Rule, ...]
    location: Location | None = None
    """Where the chain or its policy is declared; None where the kernel's default stands in."""
    counters: Counters | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the file, with the comment lines that stand around it."""

    name: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ruleset:
    """One family's packet filter: chains by table and name."""

    family: int
    file: str
    chains: Mapping[tuple[str, str], Chain]
    rules: tuple[Rule, ...]
    """Every rule, in the order of the file."""
    tables: tuple[Table, ...] = ()
    """In the order of the file."""
    sha256: str = ""
    policy_is_default: bool = False
    """True where the filter table says nothing of INPUT's policy, so that the kernel's ACCEPT stands."""
    notes: tuple[Note, ...] = field(default=())

    def chain(self, table: str, name: str) -> Chain | None:
        """The chain, or None where the table or the chain is not there."""
        return self.chains.get((table, name))


@dataclass(frozen=True, slots=True)
class Note:
    """Something about the text that a reader should know although it could be read."""

    kind: str
    location: Location
    message: str
