"""Real rulesets: each converts, is accounted for rule by rule, and is decided where its matches are.

The corpus is not part of the project; without it (``IPT2NP_SHARED``, or ``shared`` beside the checkout) these
tests skip and say so.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ipt2np import Conversion, Severity, decide, parse_ruleset
from tests.corpus.measure import (
    convert_file,
    corpus_files,
    host_facts,
    meeting_share,
    shared_folder,
    undecided_rules,
)

SHARED = shared_folder()
FILES = corpus_files(SHARED) if SHARED else []
PAGE = Path(__file__).resolve().parents[2] / "docs" / "corpus.md"
ROWS = {
    name: (interface, address, meeting)
    for name, interface, address, meeting in re.findall(
        r"^\| (\S+) \|.*`(\S+) has (\S+)`.* ([0-9.]+%) \|$", PAGE.read_text(), re.MULTILINE
    )
}
"""Name to interface, address and share of probes that meet, as the page has them."""

pytestmark = pytest.mark.skipif(
    not FILES, reason="the corpus of real rulesets is absent: NOT checked that real rulesets convert"
)

NOT_WRITABLE = {"N2P302"}
"""Findings of what the API cannot say: they make a policy narrower although every match is decided."""


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def conversion(request: pytest.FixtureRequest) -> Conversion:
    return convert_file(request.param)


def test_every_rule_of_a_real_ruleset_has_one_fate_and_nothing_is_an_error(conversion: Conversion) -> None:
    ruleset = conversion.draft.decision.rulesets[0]
    assert [entry.rule.number for entry in conversion.ledger.entries] == [
        rule.number for rule in ruleset.rules
    ]
    assert sum(conversion.ledger.sums().values()) == len(ruleset.rules)
    assert all(finding.severity < Severity.ERROR for finding in conversion.findings)


def test_a_real_ruleset_without_undecided_rules_is_proven_equal(conversion: Conversion) -> None:
    decision = conversion.draft.decision
    explained = {code for difference in conversion.proof.differences for code in difference.findings}
    if not undecided_rules(decision):
        assert decision.must_accept == decision.may_accept
        assert explained <= NOT_WRITABLE
    if decision.must_accept == decision.may_accept and not explained & NOT_WRITABLE:
        assert conversion.proof.verdict.value == "equal"
    assert not conversion.proof.opens


def test_with_an_interface_and_an_address_the_bounds_meet_on_95_percent_of_probes() -> None:
    shares = []
    for path in FILES:
        interface, address, figure = ROWS[path.stem]
        facts = host_facts(interface, address)
        decision = decide([parse_ruleset(path.read_bytes(), path.name)], facts=facts)
        share = meeting_share(decision, path.read_text())
        assert f"{share:.1%}" == figure, "docs/corpus.md is not current"
        shares.append(share)
    assert sum(shares) / len(shares) >= 0.95


def test_the_families_of_real_dumps_are_found() -> None:
    for path in FILES:
        assert parse_ruleset(path.read_bytes(), path.name).family == int(path.parent.name[1])
