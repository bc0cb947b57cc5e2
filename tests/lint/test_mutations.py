"""The judge of lint is judged: each mutation of what it judges must be noticed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from ipt2np.lint import blockers, conditions, reach, redundancy
from ipt2np.lint.conditions import Bounds, Conditions
from ipt2np.lint.universe import Universe
from ipt2np.packets import PacketSet
from ipt2np.rules.extension import Effect
from ipt2np.rules.model import Clause, Jump, MatchUse, Rule
from tests.lint import naive
from tests.lint.test_judge import compare, linted

Patch = pytest.MonkeyPatch
TABLES = 250


def _may_for_must(patch: Patch) -> None:
    real = reach.taken

    def mutated(rule: Rule, bounds: Bounds, returning: dict[str, PacketSet]) -> PacketSet:
        return real(rule, Bounds(bounds.may, bounds.may), returning)

    patch.setattr(reach, "taken", mutated)


def _must_for_may(patch: Patch) -> None:
    real = Conditions.of_rule

    def mutated(self: Conditions, rule: Rule) -> Bounds:
        bounds = real(self, rule)
        return Bounds(bounds.must, bounds.must)

    patch.setattr(Conditions, "of_rule", mutated)


def _without_negation(patch: Patch) -> None:
    real = Conditions._of_use

    def mutated(self: Conditions, use: MatchUse) -> Bounds:
        clauses = tuple(Clause(each.option, False, each.values) for each in use.clauses)
        return real(self, replace(use, clauses=clauses))

    patch.setattr(Conditions, "_of_use", mutated)


def _chance_as_a_test(patch: Patch) -> None:
    patch.setattr(conditions, "LASTING", (*conditions.LASTING, "statistic"))


def _tests_forgotten(patch: Patch) -> None:
    patch.setattr(Universe, "passing", lambda self, test: None)


def _flags_unseen(patch: Patch) -> None:
    patch.setattr(Universe, "with_flags", lambda self, mask, wanted: self.space.everything)


def _states_as_new_or_established(patch: Patch) -> None:
    monkey = Universe.in_state
    patch.setattr(
        Universe,
        "in_state",
        lambda self, *states: monkey(
            self, *(each for each in states if each not in ("INVALID", "UNTRACKED"))
        ),
    )


def _fragments_unseen(patch: Patch) -> None:
    patch.setattr(Universe, "fragments", property(lambda self: self.space.nothing))


def _interfaces_everywhere(patch: Patch) -> None:
    patch.setattr("ipt2np.lint.universe.NO_OUTPUT", ())


def _return_goes_on(patch: Patch) -> None:
    patch.setattr(reach, "TAKING", tuple(each for each in reach.TAKING if each is not Effect.RETURN))


def _a_chain_never_returns(patch: Patch) -> None:
    real = reach.taken

    def mutated(rule: Rule, bounds: Bounds, returning: dict[str, PacketSet]) -> PacketSet:
        return bounds.must if isinstance(rule.target, Jump) else real(rule, bounds, returning)

    patch.setattr(reach, "taken", mutated)


def _goto_returns(patch: Patch) -> None:
    real = reach.taken

    def mutated(rule: Rule, bounds: Bounds, returning: dict[str, PacketSet]) -> PacketSet:
        if isinstance(rule.target, Jump):
            return bounds.must - returning[rule.target.chain]
        return real(rule, bounds, returning)

    patch.setattr(reach, "taken", mutated)


def _blockers_not_weighed(patch: Patch) -> None:
    patch.setattr(blockers.Blockers, "_needed", lambda self, candidates, left, targets: list(candidates))


def _blockers_of_one_way(patch: Patch) -> None:
    real = blockers.Blockers.ways
    patch.setattr(blockers.Blockers, "ways", lambda self, chain: (real(self, chain) or ())[:1])


def _ends_unseen(patch: Patch) -> None:
    patch.setattr(redundancy.Fates, "then", lambda self, first, rest: rest)


def _dead_rules_gone_for_good(patch: Patch) -> None:
    real = redundancy.redundant_rules
    patch.setattr("ipt2np.lint.tables.redundant_rules", lambda found, dead: real(found, frozenset()))


def _one_context(patch: Patch) -> None:
    real = redundancy._Search._enter

    def mutated(self: redundancy._Search, chain: str, new: redundancy._Context) -> None:
        if not self.contexts.get(chain):
            real(self, chain, new)

    patch.setattr(redundancy._Search, "_enter", mutated)
    patch.setattr(redundancy.Folding, "whole", lambda self, gone=(): [])


MUTATIONS: Sequence[tuple[Callable[[Patch], None], bool]] = (
    (_may_for_must, True),
    (_must_for_may, True),
    (_without_negation, False),
    (_chance_as_a_test, True),
    (_tests_forgotten, False),
    (_flags_unseen, False),
    (_states_as_new_or_established, False),
    (_fragments_unseen, False),
    (_interfaces_everywhere, False),
    (_return_goes_on, False),
    (_a_chain_never_returns, False),
    (_goto_returns, False),
    (_blockers_not_weighed, False),
    (_blockers_of_one_way, False),
    (_ends_unseen, False),
    (_dead_rules_gone_for_good, False),
    (_one_context, False),
)


@pytest.mark.parametrize(("mutate", "chance"), MUTATIONS, ids=[mutate.__name__ for mutate, _ in MUTATIONS])
def test_a_mutation_is_noticed(mutate: Callable[[Patch], None], chance: bool) -> None:
    rng = random.Random(20_000)
    with pytest.MonkeyPatch.context() as patch:
        mutate(patch)
        for _ in range(TABLES):
            table = naive.random_table(rng, chance=chance)
            try:
                compare(table, linted(table), exact=not chance)
            except (AssertionError, KeyError):
                return
    pytest.fail("nobody noticed")
