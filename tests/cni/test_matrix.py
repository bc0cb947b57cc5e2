"""What each CNI makes of the same ruleset, side by side: the claims of ``matrix.txt``, held against the code."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from ipt2np import CATALOGUE, CNIS
from tests.cni.matrix import CASES, FILE, HEAD, Case, block

VERDICTS = {"equal", "narrower", "wider", "differs", "-"}


@cache
def blocks() -> dict[str, str]:
    """Title of a ruleset to its block."""
    head, *found = FILE.read_text(encoding="utf-8").rstrip("\n").split("\n\n")
    assert head == HEAD.rstrip()
    return {each.partition("\n")[0].removeprefix("== "): each for each in found}


def lines(title: str) -> Iterator[tuple[str, list[str], set[str]]]:
    """CNI, verdicts by class, and all codes, those that every CNI has too."""
    shared: set[str] = set()
    for line in blocks()[title].splitlines()[1:]:
        name, *words = line.split()
        if name == "everywhere:":
            shared = set(words)
        elif not line.startswith(" "):
            yield name, words[:3], {f"N2P{word}" for word in (*words[3:], *shared)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_cni_says_of_a_ruleset_what_the_matrix_says(case: Case) -> None:
    assert block(case) == blocks()[case.name], "see tests/cni/matrix.py: how to write the matrix anew"


def test_the_matrix_holds_every_ruleset_and_every_cni_once() -> None:
    assert list(blocks()) == [case.name for case in CASES]
    assert len(CASES) >= 25
    for title in blocks():
        rows = list(lines(title))
        assert [name for name, _, _ in rows] == list(CNIS)
        assert all(set(verdicts) <= VERDICTS for _, verdicts, _ in rows)
        assert all(codes <= CATALOGUE.keys() for _, _, codes in rows)


def test_nothing_is_opened_to_external_sources_where_policies_are_enforced() -> None:
    opened = {
        name
        for title in blocks()
        for name, (external, _, _), _ in lines(title)
        if external in ("wider", "differs")
    }
    assert opened == {"flannel"}


def test_what_is_opened_to_pods_and_nodes_has_its_finding() -> None:
    opening = 0
    for title in blocks():
        for name, verdicts, codes in lines(title):
            if {"wider", "differs"} & set(verdicts):
                opening += 1
                assert codes & {"N2P408", "N2P409"}, (title, name)
    assert opening > 50


def test_what_is_closed_has_a_finding() -> None:
    """Undecided matches, words that a kind lacks, limits, a datapath, or sources that CIDRs do not match."""
    causes = {code for code in CATALOGUE if code.startswith("N2P2")}
    causes |= {"N2P302", "N2P303", "N2P407", "N2P410", "N2P411", "N2P413", "N2P414", "N2P419"}
    closing = 0
    for title in blocks():
        for name, verdicts, codes in lines(title):
            if {"narrower", "differs"} & set(verdicts):
                closing += 1
                assert codes & causes, (title, name)
    assert closing > 100


def test_calico_and_antrea_keep_nearly_everything() -> None:
    """Their words are the largest: what they lose is undecided, or a protocol that Antrea has no word for."""
    lost = {
        (title, name)
        for title in blocks()
        for name, (external, _, _), _ in lines(title)
        if name in ("calico", "antrea") and external != "equal"
    }
    assert lost == {
        ("GRE and ESP", "antrea"),
        ("interface that nobody settled", "antrea"),
        ("interface that nobody settled", "calico"),
    }
