"""``--cidr-match-mode``: where CIDRs match pods or nodes, these are told apart by address, as external sources are."""

from __future__ import annotations

import pytest

from ipt2np import Conversion, Options, convert, parse_ruleset
from ipt2np.cni.base import Cluster
from tests.dumps import dump, parsed

PODS, NODES = ("10.244.0.0/16", "fd00:10:244::/56"), ("192.168.7.0/24",)


def differing(found: Conversion) -> set[str]:
    """The differences of TCP and UDP of the ruleset's family, in words.

    What the datapath drops of other protocols, and pods of the other family that are let in with the others, are the same in
    all modes.
    """
    return {
        f"{each.effect.value} {each.source_class} {each.box.protocol}"
        for each in found.proof.differences
        if {"tcp", "udp"} & set(each.box.protocol.split(","))
        and each.box.family in found.draft.decision.families
    }


@pytest.mark.parametrize("modes", [(), ("pods",), ("nodes",), ("pods", "nodes")])
def test_denials_on_an_open_base_take_nothing_else_from_pods_and_nodes(modes: tuple[str, ...]) -> None:
    cluster = Cluster(PODS, NODES, frozenset(modes))
    rules = [parsed(dump("-A INPUT -p tcp -j DROP", policy="ACCEPT"))]
    assert differing(convert(rules, Options(cni="cilium", cluster=cluster))) == set()


@pytest.mark.parametrize("modes", [(), ("pods",)])
def test_a_ban_of_some_pods_is_kept_where_cidrs_match_them(modes: tuple[str, ...]) -> None:
    cluster = Cluster(PODS, NODES, frozenset(modes))
    rules = [parsed(dump("-A INPUT -s 10.244.3.0/24 -p udp -j DROP", policy="ACCEPT"))]
    found = differing(convert(rules, Options(cni="cilium", cluster=cluster)))
    assert (found == set()) == ("pods" in modes)


def test_a_pod_that_cidrs_match_keeps_what_the_host_accepts_of_its_family() -> None:
    text = b"*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -j DROP\nCOMMIT\n"
    cluster = Cluster(PODS, (), frozenset({"pods"}))
    found = convert([parse_ruleset(text, "rules.v6", family=6)], Options(cni="cilium", cluster=cluster))
    assert differing(found) == set()
    assert "fd00:10:244::/56" not in found.text
