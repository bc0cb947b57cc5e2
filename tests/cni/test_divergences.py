"""Where the same policy means different things: one test for each divergence between CNIs that a ruleset can meet.

X1 to X20 number the divergences as the collection of facts about the CNIs does. Not met, and why:

- X13, packets of conntrack state INVALID: the proof compares packets that open a connection, and those are NEW.
- X17, the metadata server of GKE: it is about what pods send; no egress policy is made from INPUT.
- X18, pods that have just started and policies that change: the proof is about policies in force.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import yaml

from ipt2np import (
    CNIS,
    Conversion,
    Difference,
    Finding,
    Options,
    PacketSpace,
    Severity,
    Verdict,
    convert,
    parse_ruleset,
)
from ipt2np.cni.base import Cluster, PolicyFault
from tests.cni.matrix import CASES, conversion
from tests.dumps import dump, packet, parsed
from tests.sample_hosts import IDENTITY

BY_IDENTITY = ("cilium", "azure-cilium", "gke-dataplane-v2")
BY_ADDRESS = (
    *("calico", "antrea", "gke-calico", "ovn-kubernetes", "kube-router"),
    *("aws-vpc-cni", "azure-npm", "flannel-netpol", "weave"),
)
"""Every target is one of these, but for the API as such and Flannel, which reads nothing."""
KUBERNETES = tuple(name for name in CNIS if name not in ("calico", "antrea", "cilium", "azure-cilium"))
"""Targets that are given NetworkPolicy."""
NO_EXCEPTS = ("kube-router", "aws-vpc-cni")
CLUSTER = Cluster(pod_cidrs=("10.96.0.0/12",), node_cidrs=("192.168.50.0/24",))
EQUAL = dict.fromkeys(("external", "pod", "node"), Verdict.EQUAL)

WEB = "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"


def converted(
    cni: str,
    *rules: str,
    policy: str = "DROP",
    rules6: Sequence[str] | None = None,
    cluster: Cluster | None = None,
) -> Conversion:
    """A host's INPUT chain for a target; with ``rules6``, of both families."""
    hosts = [parsed(dump(*rules, policy=policy))]
    if rules6 is not None:
        text = dump(*rules6, policy=policy).encode()
        hosts.append(parse_ruleset(text, "rules.v6", family=6, first_number=len(rules)))
    return convert(hosts, Options(identity=IDENTITY, cni=cni, cluster=cluster or Cluster()))


def only6(cni: str, *rules: str) -> Conversion:
    """A host of IPv6 alone."""
    return convert([parsed(dump(*rules), 6, "rules.v6")], Options(identity=IDENTITY, cni=cni))


def found(result: Conversion, code: str) -> list[Finding]:
    return [finding for finding in result.findings if finding.code == code]


def having(code: str, *rules: str, **more: Any) -> set[str]:
    """The targets on which a ruleset meets a finding."""
    return {cni for cni in CNIS if found(converted(cni, *rules, **more), code)}


def closed(result: Conversion, source_class: str) -> list[str]:
    """The findings on packets that the host accepts and the policy certainly closes for a class of sources."""
    return [
        code
        for each in result.proof.differences
        if each.effect is Difference.CLOSES and each.source_class == source_class and each.certain
        for code in each.findings
    ]


def ingress(result: Conversion) -> list[dict[str, Any]]:
    """The rules of the objects that have some."""
    rules: list[dict[str, Any]] = []
    for item in yaml.safe_load_all(result.text):
        rules += item["spec"].get("ingress") or []
    return rules


def network_policy(*rules: dict[str, Any]) -> str:
    """A hand-written NetworkPolicy for the pods of ``IDENTITY``."""
    spec = {
        "podSelector": {"matchLabels": dict(IDENTITY.pod_labels)},
        "policyTypes": ["Ingress"],
        "ingress": [*rules],
    }
    metadata = {"name": "p", "namespace": IDENTITY.namespace}
    return json.dumps(
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    )


def admits(cni: str, text: str, source: str, protocol: str = "tcp", port: int = 80) -> bool:
    """Whether a target lets an external source's packet in by a hand-written policy."""
    readings = CNIS[cni].interpret(text, IDENTITY, Cluster(), PacketSpace())
    return packet(source, protocol, port) in readings["external"].admits


def test_every_target_is_told_of_here() -> None:
    assert {*BY_ADDRESS, *BY_IDENTITY, "kubernetes", "flannel"} == set(CNIS)


# -- X1 to X3: who a CIDR is -------------------------------------------------------------------------------

SOME_PODS = "-A INPUT -s 10.96.7.0/24 -p tcp -m tcp --dport 5432 -j ACCEPT"
ONE_NODE = "-A INPUT -s 192.168.50.10/32 -p tcp -m tcp --dport 9100 -j ACCEPT"
ALL_NODES = "-A INPUT -s 192.168.50.0/24 -p tcp -m tcp --dport 9100 -j ACCEPT"


@pytest.mark.parametrize("cni", BY_ADDRESS)
def test_x1_x2_a_cidr_of_pods_or_nodes_is_kept_where_addresses_are_compared(cni: str) -> None:
    result = converted(cni, SOME_PODS, ONE_NODE, cluster=CLUSTER)
    assert result.proof.by_class == EQUAL
    assert "10.96.7.0/24" in result.text
    assert "192.168.50.10/32" in result.text


@pytest.mark.parametrize("cni", BY_IDENTITY)
def test_x1_x2_a_cidr_of_some_pods_or_nodes_is_lost_where_identities_are(cni: str) -> None:
    result = converted(cni, SOME_PODS, ONE_NODE, cluster=CLUSTER)
    assert result.proof.by_class == {**EQUAL, "pod": Verdict.NARROWER, "node": Verdict.NARROWER}
    assert set(closed(result, "pod")) == set(closed(result, "node")) == {"N2P407"}
    assert "pods and nodes that the host accepts are refused" in found(result, "N2P407")[0].message


def test_x1_x2_the_api_leaves_cidrs_of_pods_and_nodes_open() -> None:
    result = converted("kubernetes", SOME_PODS, ONE_NODE, cluster=CLUSTER)
    assert set(result.proof.by_class) == {"external"}
    assert found(result, "N2P402")


def test_x2_all_nodes_have_a_peer_in_ciliums_own_policy_and_none_in_networkpolicy() -> None:
    for cni in ("cilium", "azure-cilium"):
        result = converted(cni, ALL_NODES, cluster=CLUSTER)
        assert result.proof.by_class == EQUAL
        assert [rule["fromEntities"] for rule in ingress(result)] == [["remote-node"]]
    result = converted("gke-dataplane-v2", ALL_NODES, cluster=CLUSTER)
    assert result.proof.by_class == {**EQUAL, "node": Verdict.NARROWER}
    assert set(closed(result, "node")) == {"N2P407"}


def test_x2_cilium_compares_nodes_by_address_where_it_is_told_to_but_not_by_a_wildcard() -> None:
    by_mode = Cluster(CLUSTER.pod_cidrs, CLUSTER.node_cidrs, cidr_match=frozenset({"nodes"}))
    result = converted("cilium", ONE_NODE, cluster=by_mode)
    assert result.proof.by_class == EQUAL
    assert not found(result, "N2P407")
    result = converted("cilium", WEB, cluster=Cluster(cidr_match=frozenset({"nodes"}), in_cluster=False))
    assert "0.0.0.0/0" not in {each["cidr"] for rule in ingress(result) for each in rule["fromCIDRSet"]}
    assert result.proof.by_class["node"] is Verdict.EQUAL


@pytest.mark.parametrize("cni", BY_IDENTITY)
def test_x3_the_block_of_all_addresses_is_the_world_where_identities_are_compared(cni: str) -> None:
    inside = {"cilium": {"fromEntities": ["cluster"]}, "azure-cilium": {"fromEntities": ["cluster"]}}
    result = converted(cni, WEB)
    if cni in inside:
        assert [rule.get("fromEntities") for rule in ingress(result)] == [None, ["cluster"]]
    else:
        assert [rule["from"][-1] for rule in ingress(result)] == [{"namespaceSelector": {}}]
    alone = converted(cni, WEB, cluster=Cluster(CLUSTER.pod_cidrs, CLUSTER.node_cidrs, in_cluster=False))
    assert alone.proof.by_class == {**EQUAL, "pod": Verdict.NARROWER, "node": Verdict.NARROWER}
    assert set(closed(alone, "pod")) == {"N2P407"}


@pytest.mark.parametrize("cni", BY_ADDRESS)
def test_x3_the_block_of_all_addresses_is_everybody_where_addresses_are_compared(cni: str) -> None:
    result = converted(cni, WEB, cluster=Cluster(CLUSTER.pod_cidrs, CLUSTER.node_cidrs, in_cluster=False))
    assert result.proof.by_class == EQUAL


# -- X4, X5: blocks ----------------------------------------------------------------------------------------


def test_x4_kube_router_is_given_all_of_ipv6_in_halves() -> None:
    written = network_policy({"from": [{"ipBlock": {"cidr": "::/0"}}]})
    assert admits("kube-router", written, "2001:db8::1")
    assert not admits("kube-router", written, "fc00::1")
    assert all(admits(cni, written, "fc00::1") for cni in ("gke-calico", "ovn-kubernetes", "flannel-netpol"))
    result = only6("kube-router", WEB)
    assert [peer["ipBlock"]["cidr"] for peer in ingress(result)[0]["from"]] == ["::/1", "8000::/1"]
    assert result.proof.by_class == EQUAL


def test_x4_azure_npm_and_weave_get_no_block_of_ipv6() -> None:
    with pytest.raises(PolicyFault, match="IPv6"):
        admits("azure-npm", network_policy({"from": [{"ipBlock": {"cidr": "::/0"}}]}), "2001:db8::1")
    for cni in ("azure-npm", "weave"):
        result = converted(cni, WEB, rules6=[WEB])
        assert "::" not in result.text.partition("spec:")[2]
        assert "has none" in found(result, "N2P411")[0].message
        assert ingress(only6(cni, WEB)) == []
        assert found(only6(cni, WEB), "N2P411")


def test_x4_a_cluster_of_the_vpc_cni_has_one_family() -> None:
    assert "one IP family" in found(converted("aws-vpc-cni", WEB, rules6=[WEB]), "N2P411")[0].message
    assert not found(converted("aws-vpc-cni", WEB), "N2P411")
    assert having("N2P411", WEB, rules6=[WEB]) == {"aws-vpc-cni", "azure-npm", "weave"}


HOLE = (
    "-A INPUT -s 10.1.2.0/24 -p tcp -m tcp --dport 22 -j DROP",
    "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
    "-A INPUT -s 10.1.0.0/16 -p tcp -m tcp --dport 80 -j ACCEPT",
)


def test_x5_an_exception_reaches_beyond_its_block_on_aws_and_kube_router() -> None:
    blocks = [{"cidr": "10.0.0.0/8", "except": ["10.1.2.0/24"]}, {"cidr": "10.1.0.0/16"}]
    one_rule = network_policy({"from": [{"ipBlock": block} for block in blocks]})
    two_rules = network_policy(*({"from": [{"ipBlock": block}]} for block in blocks))
    others = [cni for cni in KUBERNETES if cni not in NO_EXCEPTS]
    assert all(admits(cni, text, "10.1.2.5") for cni in others for text in (one_rule, two_rules))
    assert not admits("kube-router", one_rule, "10.1.2.5")
    assert admits("kube-router", two_rules, "10.1.2.5")
    assert not admits("aws-vpc-cni", one_rule, "10.1.2.5")
    assert not admits("aws-vpc-cni", two_rules, "10.1.2.5")


@pytest.mark.parametrize("cni", KUBERNETES)
def test_x5_a_hole_is_an_exception_but_on_aws_and_kube_router(cni: str) -> None:
    result = converted(cni, *HOLE)
    assert ("except" in result.text) == (cni not in NO_EXCEPTS)
    assert bool(found(result, "N2P418")) == (cni in NO_EXCEPTS)
    assert result.proof.verdict is (Verdict.WIDER if cni == "flannel" else Verdict.EQUAL)


# -- X6 to X8: ports ---------------------------------------------------------------------------------------

RANGE = "-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 8000:8100 -j ACCEPT"


def test_x6_weave_reads_the_first_port_of_a_range_and_is_given_every_port() -> None:
    ports = [{"protocol": "TCP", "port": 80, "endPort": 90}]
    written = network_policy({"ports": ports})
    assert not admits("weave", written, "192.0.2.1", port=85)
    assert admits("ovn-kubernetes", written, "192.0.2.1", port=85)
    result = converted("weave", RANGE)
    assert [port["port"] for port in ingress(result)[0]["ports"]] == list(range(8000, 8101))
    assert "endPort" not in result.text
    assert result.proof.verdict is Verdict.EQUAL
    assert found(result, "N2P412")


def test_x6_a_range_that_is_too_long_for_weave_is_refused_and_told() -> None:
    result = converted("weave", RANGE.replace("8000:8100", "8000:9999"))
    assert ingress(result) == []
    assert found(result, "N2P410")[0].severity is Severity.ERROR
    assert result.proof.verdict is Verdict.NARROWER


def test_x6_who_needs_an_endport_says_so() -> None:
    assert having("N2P403", RANGE) == {
        *("kubernetes", "gke-dataplane-v2", "gke-calico", "ovn-kubernetes", "kube-router"),
        *("aws-vpc-cni", "azure-npm", "flannel-netpol", "cilium", "azure-cilium"),
    }
    assert "1.17" in found(converted("azure-cilium", RANGE), "N2P403")[0].message
    assert having("N2P419", RANGE) == {"gke-dataplane-v2"}
    short = RANGE.replace("8000:8100", "8000:8010")
    assert "endPort" not in converted("gke-dataplane-v2", short).text
    assert having("N2P419", short) == set()


@cache
def entries() -> list[tuple[str, list[dict[str, Any]]]]:
    """Lists of ports that are written for the rulesets of the matrix."""
    return [
        (cni, rule["ports"])
        for case in CASES
        for cni in ("kubernetes", "ovn-kubernetes", "gke-calico", "weave")
        for rule in ingress(conversion(case, cni))
        if "ports" in rule
    ]


def test_x7_ports_are_never_named() -> None:
    assert len(entries()) > 100
    assert all(isinstance(port.get("port", 1), int) for _, ports in entries() for port in ports)
    with pytest.raises(PolicyFault):
        admits(
            "ovn-kubernetes", network_policy({"ports": [{"protocol": "TCP", "port": "http"}]}), "192.0.2.1"
        )


def test_x8_a_protocol_stands_in_a_rule_with_ports_or_without_never_both() -> None:
    written = network_policy({"ports": [{"protocol": "TCP"}, {"protocol": "TCP", "port": 22}]})
    assert not admits("ovn-kubernetes", written, "192.0.2.1")
    assert admits("gke-calico", written, "192.0.2.1")
    for cni, ports in entries():
        whole = {port["protocol"] for port in ports if "port" not in port}
        assert not whole & {port["protocol"] for port in ports if "port" in port}, cni
    result = converted(
        "ovn-kubernetes",
        "-A INPUT -s 198.51.100.0/24 -p tcp -j ACCEPT",
        "-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A INPUT -s 198.51.100.0/24 -p udp -m udp --dport 53 -j ACCEPT",
    )
    assert [rule["ports"] for rule in ingress(result)] == [
        [{"protocol": "TCP"}, {"protocol": "UDP", "port": 53}]
    ]
    assert result.proof.by_class == EQUAL


# -- X9 to X11: other protocols ----------------------------------------------------------------------------

PING = "-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT"


def test_x9_kube_router_answers_pings_that_the_host_refuses() -> None:
    assert having("N2P415", WEB) == {"kube-router"}
    assert converted("kube-router", WEB).proof.verdict is Verdict.EQUAL
    (effect,) = (each for each in CNIS["kube-router"].platform if each.packets is not None)
    assert "always accepted" in effect.statement


def test_x9_a_ping_that_the_host_accepts_is_kept_by_kube_router_without_a_rule() -> None:
    result = converted("kube-router", PING, WEB)
    assert result.proof.by_class == EQUAL
    assert not found(result, "N2P415")
    assert not found(result, "N2P303")
    stamps = converted("kube-router", "-A INPUT -p icmp -m icmp --icmp-type 13 -j ACCEPT")
    assert stamps.proof.verdict is Verdict.NARROWER
    assert found(stamps, "N2P303")


def test_x9_other_networkpolicies_lose_an_accepted_ping() -> None:
    lost = {
        "gke-dataplane-v2",
        "gke-calico",
        "ovn-kubernetes",
        "aws-vpc-cni",
        "azure-npm",
        "flannel-netpol",
        "weave",
    }
    assert having("N2P303", PING, WEB) == {*lost, "kubernetes"}
    for cni in lost:
        assert converted(cni, PING, WEB).proof.verdict is Verdict.NARROWER
    for cni in ("calico", "antrea", "cilium"):
        assert converted(cni, PING, WEB).proof.verdict is Verdict.EQUAL


def test_x10_a_rule_for_every_protocol_is_cut_by_ciliums_datapath() -> None:
    everything = "-A INPUT -s 198.51.100.0/24 -j ACCEPT"
    assert having("N2P413", everything) == set(BY_IDENTITY)
    assert having("N2P309", everything) == {"kubernetes", "ovn-kubernetes"}
    for cni in BY_IDENTITY:
        assert "N2P413" in closed(converted(cni, everything), "external")
    for cni in BY_ADDRESS:
        assert converted(cni, everything).proof.by_class == EQUAL


def test_x11_sctp_is_not_certain_everywhere() -> None:
    stream = "-A INPUT -s 198.51.100.0/24 -p sctp -m sctp --dport 3868 -j ACCEPT"
    assert having("N2P414", stream) == {*BY_IDENTITY, "calico", "weave"}
    assert closed(converted("cilium", stream), "external") == ["N2P414"]
    for cni in ("azure-cilium", "gke-dataplane-v2"):
        conversion = converted(cni, stream)
        assert not closed(conversion, "external")
        assert packet("198.51.100.7", "sctp", 3868) in conversion.readings["external"].undefined
    assert "eBPF" in found(converted("calico", stream), "N2P414")[0].message


# -- X12, X14: answers -------------------------------------------------------------------------------------


def test_x12_kube_router_rejects_what_is_refused_and_all_others_drop() -> None:
    assert having("N2P416", WEB) == {"kube-router"}
    rejecting = (WEB, "-A INPUT -j REJECT --reject-with icmp-port-unreachable")
    assert having("N2P416", *rejecting) == set()
    assert having("N2P304", *rejecting) == set(CNIS) - {"kube-router", "antrea", "flannel"}
    assert "action: Reject" in converted("antrea", *rejecting).text


def test_x14_icmp_errors_of_admitted_connections_are_dropped_on_aws() -> None:
    assert having("N2P423", WEB) == {"aws-vpc-cni"}
    assert not found(converted("aws-vpc-cni", policy="ACCEPT"), "N2P423")


# -- X15, X16, X19, X20 ------------------------------------------------------------------------------------


def ports(count: int) -> list[str]:
    """So many ports that do not touch, from one source."""
    return [
        f"-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport {1000 + 2 * n} -j ACCEPT" for n in range(count)
    ]


def test_x15_aws_keeps_24_ports_of_a_source_and_is_given_no_more() -> None:
    fits = converted("aws-vpc-cni", *ports(24))
    assert fits.proof.by_class == EQUAL
    assert not found(fits, "N2P410")
    over = converted("aws-vpc-cni", *ports(25))
    assert [port["port"] for rule in ingress(over) for port in rule["ports"]] == [
        1000 + 2 * n for n in range(24)
    ]
    (finding,) = found(over, "N2P410")
    assert finding.severity is Severity.ERROR
    assert [rule.text for rule in finding.rules] == ports(25)[-1:]
    assert closed(over, "external") == ["N2P410"]
    assert having("N2P410", *ports(25)) == {"aws-vpc-cni"}


def test_x16_what_becomes_of_the_clients_address_is_told_for_every_cni() -> None:
    told = {cni: found(converted(cni, WEB), "N2P107")[0].message for cni in CNIS}
    assert all(message.endswith(CNIS[cni].client_address) for cni, message in told.items())
    assert all("externalTrafficPolicy Local" in message for message in told.values())
    assert "bypasses ingress policies" in told["azure-npm"]
    assert "proxy" in told["gke-dataplane-v2"]
    assert "instance mode" in told["aws-vpc-cni"]


def test_x19_pods_without_an_owner_are_not_covered_on_aws() -> None:
    assert "no Deployment" in found(converted("aws-vpc-cni", WEB), "N2P417")[0].message


def test_x20_objects_that_are_accepted_and_ignored() -> None:
    assert "API server or its v3 CRDs" in found(converted("calico", WEB), "N2P417")[0].message
    assert having("N2P409", WEB) == {"flannel"}
    flannel = converted("flannel", WEB)
    assert found(flannel, "N2P409")[0].severity is Severity.ERROR
    assert set(flannel.proof.by_class.values()) == {Verdict.WIDER}
    # Cilium's kinds are there on GKE only where a cluster was made with them.
    objects = converted("gke-dataplane-v2", *ports(3), WEB).draft.fitted.objects
    assert {item["apiVersion"] for item in objects} == {"networking.k8s.io/v1"}
