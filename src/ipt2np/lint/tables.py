"""What lint finds in the tables of a ruleset, rule by rule; ``checks`` puts it into words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ipt2np.lint.conditions import Conditions
from ipt2np.lint.reach import Reach, reach
from ipt2np.lint.redundancy import redundant_rules
from ipt2np.lint.universe import Universe
from ipt2np.packets import PacketSpace
from ipt2np.rules.interfaces import Interfaces
from ipt2np.rules.model import Rule, Ruleset
from ipt2np.semantics import Facts
from ipt2np.semantics.walk import needs_tracking


@dataclass(frozen=True)
class TableLint:
    """One table: which rules no packet matches, and which change nothing."""

    reach: Reach
    dead: tuple[Rule, ...]
    """In the order of the file."""
    contradictory: tuple[Rule, ...]
    """Those of the dead ones that nothing could match even if no other rule took a packet."""
    redundant: tuple[Rule, ...]
    """Rules that can be removed together, whether the dead ones go as well or not."""


def lint_tables(ruleset: Ruleset, facts: Facts) -> Iterator[TableLint]:
    """The tables that have rules, in the order of the file."""
    names = Interfaces(tuple(sorted({name for name in _interfaces(ruleset) if name not in ("+", "")})))
    tracked = any(needs_tracking(rule) for rule in ruleset.rules)
    for table in dict.fromkeys(rule.table for rule in ruleset.rules):
        universe = Universe(PacketSpace(), ruleset.family, names, whole=tracked)
        found = reach(ruleset, table, Conditions.of(universe, ruleset, table, facts))
        rules = [rule for rule in ruleset.rules if rule.number in found.bounds]
        dead = tuple(rule for rule in rules if found.dead(rule))
        yield TableLint(
            found,
            dead,
            tuple(rule for rule in dead if found.contradicts(rule)),
            redundant_rules(found, frozenset(rule.number for rule in dead)),
        )


def _interfaces(ruleset: Ruleset) -> Iterator[str]:
    """The names and wildcards of interfaces that rules ask for."""
    for rule in ruleset.rules:
        for use in rule.matches:
            for clause in use.clauses:
                if clause.option in ("--in-interface", "--out-interface"):
                    yield str(clause.values[0])
