"""A ban list under policy ACCEPT on GKE Dataplane V2, where a CIDR is no pod and no node."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ipt2np import Conversion, Difference, Options, Verdict, convert
from ipt2np.cni.base import Cluster
from tests.dumps import packet
from tests.sample_hosts import IDENTITY, rulesets

BANS = [
    "10.66.0.0/16",
    "172.17.1.0/24",
    "172.20.0.0/14",
    "192.0.2.129/32",
    "192.0.2.192/27",
    "192.168.13.37/32",
    "198.51.100.0/24",
    "203.0.113.7/32",
    "203.0.113.8/31",
    "203.0.113.64/26",
    "203.0.113.200/32",
]
"""Those of the sample, what lies inside or beside others put together."""
EVERY_POD: dict[str, Any] = {"namespaceSelector": {}}
OUTSIDE, INSIDE, AROUND = "10.96.0.0/12", "10.66.0.0/16", "10.64.0.0/14"
"""Networks of pods: none of them banned, all of them, some of them."""


def banned(cluster: Cluster | None = None, cni: str = "gke-dataplane-v2") -> Conversion:
    """samples/ban-list.v4."""
    options = Options(identity=IDENTITY, cni=cni, cluster=cluster or Cluster())
    return convert(rulesets(("ban-list.v4",)), options)


def peers(result: Conversion) -> list[dict[str, Any]]:
    """The peers of the only rule of the only object."""
    (policy,) = yaml.safe_load_all(result.text)
    assert (policy["apiVersion"], policy["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    (rule,) = policy["spec"]["ingress"]
    assert set(rule) == {"from"}
    found: list[dict[str, Any]] = rule["from"]
    return found


def world(*bans: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": "0.0.0.0/0", "except": list(bans)}}


def messages(result: Conversion, code: str) -> list[str]:
    return [finding.message for finding in result.findings if finding.code == code]


def lost(result: Conversion, source_class: str) -> list[tuple[bool, str]]:
    """Whether certain, and which protocols: what the policy closes for a class because CIDRs do not match it."""
    return [
        (each.certain, each.box.protocol)
        for each in result.proof.differences
        if each.effect is Difference.CLOSES
        and each.source_class == source_class
        and "N2P407" in each.findings
    ]


def admitted(result: Conversion, source_class: str, source: str, port: int = 80) -> bool:
    return packet(source, "tcp", port) in result.readings[source_class].admits


def test_the_world_less_the_bans_and_every_pod_are_admitted() -> None:
    result = banned()
    assert peers(result) == [world(*BANS), EVERY_POD]
    for source in ("192.0.2.1", "172.17.2.1", "10.67.0.1", "203.0.113.10"):
        assert admitted(result, "external", source)
    for source in ("172.17.1.9", "10.66.3.4", "203.0.113.77", "198.51.100.200"):
        assert not admitted(result, "external", source)
        assert admitted(result, "pod", source)


def test_of_external_sources_only_protocols_are_lost_that_the_datapath_drops() -> None:
    result = banned()
    assert result.proof.verdict is Verdict.NARROWER
    external = [each for each in result.proof.differences if each.source_class == "external"]
    assert {each.findings for each in external} == {("N2P413",)}
    for protocol in ("tcp", "udp", "icmp"):
        assert packet("192.0.2.1", protocol, 80, icmp_type=8) not in result.proof.closes
    assert packet("192.0.2.1", "gre") in result.proof.closes
    assert messages(result, "N2P414"), "SCTP is not documented"


def test_a_finding_says_what_becomes_of_the_clients_address_behind_load_balancers_and_proxies() -> None:
    (message,) = messages(banned(), "N2P107")
    for words in (
        "externalTrafficPolicy",
        "ingress controller",
        "proxy",
        "a node's, which CIDRs do not match",
    ):
        assert words in message


def test_findings_say_that_all_pods_come_in_and_that_nodes_do_not() -> None:
    result = banned()
    assert "all pods are admitted" in messages(result, "N2P408")[0]
    assert messages(result, "N2P407")[0].startswith("nodes that the host accepts are refused")
    opened = [each for each in result.proof.differences if each.effect is Difference.OPENS]
    assert opened
    assert all((each.source_class, each.certain) == ("pod", False) for each in opened)
    assert {each.findings for each in opened} == {("N2P408",)}


def test_without_peers_for_the_cluster_the_proof_lists_what_pods_lose() -> None:
    result = banned(Cluster(in_cluster=False))
    assert peers(result) == [world(*BANS)]
    assert not admitted(result, "pod", "10.96.0.1")
    assert result.proof.by_class["pod"] is Verdict.NARROWER
    assert messages(result, "N2P407")[0].startswith("pods and nodes that the host accepts are refused")
    assert not messages(result, "N2P408")
    pods = lost(result, "pod")
    assert {"tcp,udp", "icmp"} <= {protocol for _, protocol in pods}
    # Nobody said which addresses are the pods'.
    assert not any(certain for certain, _ in pods)


def test_with_pods_declared_what_they_lose_is_certain() -> None:
    result = banned(Cluster(pod_cidrs=(OUTSIDE,), in_cluster=False))
    pods = lost(result, "pod")
    assert {"tcp,udp", "icmp"} <= {protocol for _, protocol in pods}
    assert all(certain for certain, _ in pods)
    assert not admitted(result, "pod", "10.96.0.1")


def test_pods_outside_the_bans_come_in_by_their_peer_and_nothing_is_opened() -> None:
    result = banned(Cluster(pod_cidrs=(OUTSIDE,)))
    assert peers(result) == [world(*BANS), EVERY_POD]
    assert not [each for each in result.proof.differences if each.effect is Difference.OPENS]
    assert not messages(result, "N2P408")
    assert lost(result, "pod") == []


def test_pods_inside_a_ban_get_no_peer_and_lose_nothing() -> None:
    result = banned(Cluster(pod_cidrs=(INSIDE,)))
    # CIDRs do not match them anyway, so their ban need not be written.
    assert peers(result) == [world(*(each for each in BANS if each != INSIDE))]
    assert result.proof.by_class["pod"] is Verdict.EQUAL
    assert not admitted(result, "pod", "10.66.0.1")


def test_pods_of_which_some_are_banned_get_no_peer_and_the_others_are_told_of() -> None:
    result = banned(Cluster(pod_cidrs=(AROUND,)))
    assert EVERY_POD not in peers(result)
    assert result.proof.by_class["pod"] is Verdict.NARROWER
    pods = lost(result, "pod")
    assert pods
    assert all(certain for certain, _ in pods)
    assert not admitted(result, "pod", "10.66.0.1")
    assert not admitted(result, "pod", "10.65.0.1")


@pytest.mark.parametrize("cluster", (Cluster(), Cluster(in_cluster=False), Cluster(pod_cidrs=(OUTSIDE,))))
def test_calico_on_gke_compares_addresses_and_needs_no_peer(cluster: Cluster) -> None:
    result = banned(cluster, "gke-calico")
    assert peers(result) == [world(*BANS)]
    assert set(result.proof.by_class.values()) == {Verdict.EQUAL}
    assert not admitted(result, "pod", "172.17.1.9")
    assert admitted(result, "pod", "10.96.0.1")
