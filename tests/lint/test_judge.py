"""Lint against brute force: small random tables, every packet asked one by one."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from ipt2np.lint.blockers import Blockers
from ipt2np.lint.tables import TableLint, lint_tables
from ipt2np.rules.model import Rule, Ruleset
from ipt2np.semantics import Facts
from ipt2np.syntax.dump import parse_rulesets
from tests.lint import naive

CHUNK = 40


def parsed(table: naive.Table) -> Ruleset:
    """The table as ipt2np reads it; IPv4."""
    return parse_rulesets(table.text().encode(), "rules.v4", family=4)[0]


def linted(table: naive.Table) -> TableLint:
    """What lint says of the filter table."""
    return next(each for each in lint_tables(parsed(table), Facts()) if each.reach.table == "filter")


def numbers(rules: list[Rule] | tuple[Rule, ...]) -> set[int]:
    return {rule.number for rule in rules}


def compare(table: naive.Table, found: TableLint, *, exact: bool) -> None:
    """Raises AssertionError where lint and brute force do not say the same."""
    known = {rule.number: rule for rule in table.rules if naive.ways(table, rule.chain)}
    matched = naive.matched_rules(table)
    assert numbers(found.dead) == set(known) - matched
    contradicting = {n for n, rule in known.items() if not naive.could_match(table, rule)}
    assert numbers(found.contradictory) == contradicting
    _compare_blockers(table, found, known)
    _compare_redundant(table, found, known, exact=exact)


def _compare_blockers(table: naive.Table, found: TableLint, known: dict[int, naive.Rule]) -> None:
    blockers = Blockers(found.reach)
    for rule in found.dead:
        if rule in found.contradictory:
            continue
        named = blockers.of(rule)
        assert named is not None
        assert naive.blocks(table, numbers(named), known[rule.number])
        for one in named:
            assert not naive.blocks(table, numbers(named) - {one.number}, known[rule.number])


def _compare_redundant(
    table: naive.Table, found: TableLint, known: dict[int, naive.Rule], *, exact: bool
) -> None:
    before = naive.ends(table)
    dead, gone = sorted(numbers(found.dead)), numbers(found.redundant)
    assert not gone & set(dead)
    subsets = [set(each) for size in range(len(dead) + 1) for each in combinations(dead, size)]
    if len(dead) > 4:
        subsets = [set(), set(dead), set(dead[::2]), set(dead[1::2]), set(dead[:2])]
    for subset in subsets:
        assert naive.ends(table.without(gone | subset)) == before
    if not exact or len(dead) > 4:
        return
    for number, rule in known.items():
        if number in gone or number in dead or rule.target.partition(":")[0] in ("LOG", "jump", "goto"):
            continue
        assert any(naive.ends(table.without(gone | subset | {number})) != before for subset in subsets), rule


@pytest.mark.parametrize("seed", range(12))
def test_lint_says_what_brute_force_says(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(CHUNK):
        table = naive.random_table(rng)
        compare(table, linted(table), exact=True)


@pytest.mark.parametrize("seed", range(100, 106))
def test_what_is_a_matter_of_chance_is_never_taken_for_certain(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(CHUNK):
        table = naive.random_table(rng, chance=True)
        compare(table, linted(table), exact=False)
