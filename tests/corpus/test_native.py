"""Real rulesets on the two CNIs that have words for nearly everything: what is decided is kept, ICMP and source ports too.

The corpus is not part of the project; without it (``IPT2NP_SHARED``, or ``shared`` beside the checkout) these
tests skip and say so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ipt2np import Conversion, Field, Options, PacketSet, PacketSpace, Verdict, convert, parse_ruleset
from tests.corpus.measure import host_facts, undecided_rules
from tests.corpus.test_corpus import FILES, ROWS

pytestmark = pytest.mark.skipif(
    not FILES, reason="the corpus of real rulesets is absent: NOT checked what Calico and Antrea keep of it"
)

NATIVE = ("calico", "antrea")
GAP = "N2P303"
"""The finding on accepted packets that a target has no words for."""


def writable(space: PacketSpace, cni: str) -> PacketSet:
    """What a target's own words can say of a packet, from the documents of its API.

    Calico names all protocols but 0, and ICMP types up to 254 (policy_common.go); Antrea names TCP, UDP, SCTP and ICMP
    (build/charts/antrea/crds/networkpolicy.yaml). Ports start at 1.
    """
    icmp = space.value(Field.PROTOCOL, 1) | space.value(Field.PROTOCOL, 58)
    if cni == "calico":
        return space.everything - space.value(Field.PROTOCOL, 0) - (icmp & space.value(Field.ICMP_TYPE, 255))
    return icmp | space.values(Field.PROTOCOL, ((6, 6), (17, 17), (132, 132)))


@cache
def settled(path: Path, cni: str) -> Conversion:
    """The file with the interface and the address that docs/corpus.md has for it."""
    interface, address, _ = ROWS[path.stem]
    ruleset = parse_ruleset(path.read_bytes(), path.name)
    return convert([ruleset], Options(cni=cni, facts=host_facts(interface, address)))


@pytest.mark.parametrize("cni", NATIVE)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_decided_is_kept_but_for_gaps_of_the_vocabulary(path: Path, cni: str) -> None:
    result = settled(path, cni)
    decision, proof = result.draft.decision, result.proof
    assert not proof.opens
    assert not (proof.closes & decision.must_accept).meets(writable(decision.space, cni))
    assert {code for each in proof.differences if each.certain for code in each.findings} <= {GAP}
    if not undecided_rules(decision):
        assert decision.must_accept == decision.may_accept
        assert (proof.verdict is Verdict.EQUAL) == (not proof.closes)


@pytest.mark.parametrize("cni", NATIVE)
def test_nearly_all_real_rulesets_are_equal(cni: str) -> None:
    """None of them accepts a protocol that Antrea has no word for, but with every other from the same source."""
    results = [settled(path, cni) for path in FILES]
    decided = [each for each in results if not undecided_rules(each.draft.decision)]
    assert len(decided) >= 0.9 * len(FILES)
    assert {each.proof.verdict for each in decided} == {Verdict.EQUAL}


Rule = dict[str, Any]
WORDS: Mapping[str, Mapping[str, Callable[[Rule], bool]]] = {
    "calico": {
        "ICMP types": lambda rule: "icmp" in rule,
        "source ports": lambda rule: "ports" in rule.get("source", {}),
        "refusals": lambda rule: rule["action"] == "Deny",
        "logs": lambda rule: rule["action"] == "Log",
    },
    "antrea": {
        "ICMP types": lambda rule: any(each["icmp"] for each in rule.get("protocols", [])),
        "source ports": lambda rule: any("sourcePort" in port for port in rule.get("ports", [])),
        "refusals": lambda rule: rule["action"] == "Reject",
        "logs": lambda rule: "enableLogging" in rule,
    },
}
"""What other targets have no word for, and the rules that say it."""


@pytest.mark.parametrize("cni", NATIVE)
def test_icmp_types_source_ports_refusals_and_logs_of_real_rulesets_are_written(cni: str) -> None:
    """Equal is no accident: the words that other targets lack are in use."""
    found = Counter[str]()
    for path in FILES:
        objects = settled(path, cni).draft.fitted.objects
        rules = [rule for item in objects for rule in item["spec"].get("ingress", [])]
        found.update(what for what, says in WORDS[cni].items() if any(says(rule) for rule in rules))
    assert all(found[what] >= 2 for what in WORDS[cni]), found
