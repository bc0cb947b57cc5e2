"""What Antrea's API takes, and what its policies let through, against a judge that looks at one packet at a time."""

from __future__ import annotations

import copy
import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

import pytest
import yaml

from ipt2np import Field, PacketSpace
from ipt2np.cni.base import Cluster, Identity, PolicyFault, Reading
from ipt2np.cni.kinds import networkpolicy
from ipt2np.cni.kinds.antrea import (
    VALIDATORS,
    check_together,
    matching,
    read,
    read_host,
    reading,
    rejects,
    schema,
    subjects,
)
from ipt2np.cni.kinds.antrea.bounds import Bounds
from ipt2np.cni.manifests import load
from tests.cni.antrea_policies import API, LABELS, NAMESPACE, NODE_LABELS, packets, policy_set
from tests.cni.naive_antrea import Packet, Subject, address, outcomes
from tests.corpus.measure import shared_folder

Data = dict[str, Any]

IDENTITY = Identity("web", NAMESPACE, LABELS)
POD, NODE = Subject(LABELS, NAMESPACE), Subject(NODE_LABELS)


def values(packet: Packet) -> Mapping[Field, int]:
    return {
        Field.FAMILY: 0 if packet.version == 4 else 1,
        Field.SOURCE: int(address(packet.source)),
        Field.PROTOCOL: packet.protocol,
        Field.DESTINATION_PORT: packet.port,
        Field.SOURCE_PORT: packet.source_port,
        Field.ICMP_TYPE: packet.icmp_type,
        Field.ICMP_CODE: packet.icmp_code,
    }


def answer(readings: Mapping[str, Reading], packet: Packet) -> str:
    found = readings[packet.origin]
    admitted, undefined = values(packet) in found.admits, values(packet) in found.undefined
    assert not (admitted and undefined)
    return "undefined" if undefined else "allow" if admitted else "deny"


def judged(found: set[str]) -> str:
    return "allow" if found == {"allow"} else "undefined" if "allow" in found else "deny"


def compared(seeds: range, count: int) -> Iterator[tuple[str, str, str, str]]:
    """Subject, origin, what the judge says and what was read, for ``count`` packets to a pod and a node for each seed."""
    for seed in seeds:
        random = Random(seed)
        objects = policy_set(random)
        space = PacketSpace()
        pod, node = read(objects, IDENTITY, space, Cluster()), read_host(objects, NODE_LABELS, space)
        answered = rejects(objects, IDENTITY, space)
        for packet in packets(random, count):
            becomes = outcomes(objects, POD, packet)
            yield "pod", packet.origin, judged(becomes), answer(pod, packet)
            yield "node", packet.origin, judged(outcomes(objects, NODE, packet)), answer(node, packet)
            if packet.origin == "external":
                said = "answered" if becomes == {"reject"} else "silent"
                yield "reject", packet.origin, said, "answered" if values(packet) in answered else "silent"


def test_readings_are_what_the_judge_says_packet_by_packet() -> None:
    tally: Counter[tuple[str, str, str]] = Counter()
    for subject, origin, wanted, found in compared(range(1000, 1450), 120):
        assert wanted == found, (subject, origin)
        tally[subject, origin, wanted] += 1
    assert sum(tally.values()) > 100_000
    for origin in ("external", "pod", "node"):
        for said in ("allow", "deny", "undefined"):
            assert tally["pod", origin, said] > 1_000, (origin, said, tally)
            assert tally["node", origin, said] > 300, (origin, said, tally)
    assert tally["reject", "external", "answered"] > 500


MUTATIONS: Mapping[str, Callable[[pytest.MonkeyPatch], None]] = {
    "ICMP is ICMPv4 alone": lambda patch: patch.setattr(matching, "_ICMP", {4: 1}),
    "except is ignored": lambda patch: patch.setattr(
        matching, "_block", _without(matching._block, lambda block: {"cidr": block["cidr"]})
    ),
    "endPort is ignored": lambda patch: patch.setattr(
        matching,
        "_range",
        lambda entry, first, last: (entry[first], entry[first]) if first in entry else None,
    ),
    "selectors match nobody": lambda patch: patch.setattr(matching, "_SOME_PODS", matching._NOBODY),
    "all pods are everybody": lambda patch: patch.setattr(
        matching, "_ALL_PODS", dict.fromkeys(matching.CLASSES, True)
    ),
    "a missing group is empty": lambda patch: patch.setattr(matching, "_ANYBODY", matching._NOBODY),
    "the baseline tier comes first": lambda patch: patch.setattr(reading, "STATIC_TIERS", {"baseline": -1}),
    "tiers have one priority": lambda patch: patch.setattr(
        reading,
        "tier_priorities",
        lambda objects: dict.fromkeys(schema.tier_priorities(objects), 9) | {"baseline": 253},
    ),
    "every namespace is selected": lambda patch: patch.setattr(
        subjects, "is_selected", lambda selector, name: True
    ),
    "every policy applies": lambda patch: patch.setattr(reading, "applies", lambda *args: True),
    "no pod is isolated": lambda patch: patch.setattr(networkpolicy, "selects", lambda *args: False),
    "policies of one priority have an order": lambda patch: patch.setattr(
        reading, "_walk", _in_one_policy(reading._walk)
    ),
    "Pass ends the walk": lambda patch: patch.setattr(reading._Walked, "on", lambda self: self.left),
    "the first match does not decide": lambda patch: patch.setattr(
        Bounds,
        "__and__",
        lambda self, other: type(self)(self.must.space.nothing, self.may & other.may),
    ),
}


def _without(block: Callable[..., Any], change: Callable[[Data], Data]) -> Callable[..., Any]:
    return lambda value, **options: block(change(value), **options)


def _in_one_policy(walk: Callable[..., Any]) -> Callable[..., Any]:
    def joined(stages: Any, packets: Any, source: str) -> Any:
        return walk(([[each for rules in stage for each in rules]] for stage in stages), packets, source)

    return joined


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_judge_notices_a_reader_that_is_wrong(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTATIONS[mutation](monkeypatch)
    assert any(wanted != found for _, _, wanted, found in compared(range(120), 40))


# --- what policies mean, said by hand


def policy(*rules: Data, name: str = "p", kind: str = "ClusterNetworkPolicy", **spec: Any) -> Data:
    metadata = {"name": name} if kind == "ClusterNetworkPolicy" else {"name": name, "namespace": NAMESPACE}
    spec = {"priority": 5, "appliedTo": [{"podSelector": {}}], "ingress": list(rules)} | spec
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def rule(action: str, *peers: Data, **fields: Any) -> Data:
    return {"action": action, **({"from": list(peers)} if peers else {}), **fields}


def block(cidr: str, *holes: str) -> Data:
    return {"ipBlock": {"cidr": cidr, **({"except": list(holes)} if holes else {})}}


def kubernetes_policy(*rules: Data) -> Data:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "np", "namespace": NAMESPACE},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": list(rules)},
    }


def group(kind: str, name: str = "g", **spec: Any) -> Data:
    metadata = {"name": name} if kind == "ClusterGroup" else {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def tier(name: str, priority: int) -> Data:
    return {"apiVersion": API, "kind": "Tier", "metadata": {"name": name}, "spec": {"priority": priority}}


def tcp(source: str = "192.0.2.1", port: int = 80, origin: str = "external") -> Packet:
    return Packet(origin, source, 6, port, 40_000)


def to_pod(packet: Packet, *objects: Data) -> str:
    return answer(
        read(load(yaml.safe_dump_all(objects), VALIDATORS), IDENTITY, PacketSpace(), Cluster()), packet
    )


def to_node(packet: Packet, *objects: Data) -> str:
    return answer(
        read_host(load(yaml.safe_dump_all(objects), VALIDATORS), NODE_LABELS, PacketSpace()), packet
    )


WEB = {"protocol": "TCP", "port": 80}


def test_native_policies_isolate_nothing() -> None:
    assert to_pod(tcp(port=81), policy(rule("Allow", ports=[WEB]))) == "allow"
    assert to_pod(tcp(port=81)) == "allow"


def test_the_first_rule_that_matches_decides() -> None:
    allow, drop = rule("Allow", block("192.0.2.0/24")), rule("Drop")
    assert to_pod(tcp(), policy(allow, drop)) == "allow"
    assert to_pod(tcp(), policy(drop, allow)) == "deny"
    assert to_pod(tcp("198.51.100.1"), policy(allow, drop)) == "deny"


def test_tiers_come_before_priorities_and_priorities_before_names() -> None:
    allow = policy(rule("Allow"), name="z", tier="emergency", priority=10000.0)
    drop = policy(rule("Drop"), name="a", priority=1)
    assert to_pod(tcp(), allow, drop) == "allow"
    assert (
        to_pod(tcp(), policy(rule("Allow"), name="z", priority=1.5), policy(rule("Drop"), name="a"))
        == "allow"
    )
    own = policy(rule("Drop"), name="own", tier="first", priority=9999)
    assert to_pod(tcp(), allow, own, tier("first", 49)) == "deny"
    assert to_pod(tcp(), allow, own, tier("first", 51)) == "allow"


def test_a_cluster_policy_and_a_policy_of_one_priority_have_no_order() -> None:
    allow = policy(rule("Allow", ports=[WEB]), name="a")
    drop = policy(rule("Drop", block("192.0.2.0/24")), name="b", kind="NetworkPolicy")
    assert to_pod(tcp(), allow, drop) == "undefined"
    assert to_pod(tcp(port=81), allow, drop) == "deny"
    assert to_pod(tcp("198.51.100.1"), allow, drop) == "allow"


def test_pass_goes_to_kubernetes_policies_and_over_later_tiers() -> None:
    passing = policy(rule("Pass", ports=[WEB]), name="p", tier="emergency")
    drop = policy(rule("Drop"), name="d")
    assert to_pod(tcp(), passing, drop) == "allow"
    assert to_pod(tcp(port=81), passing, drop) == "deny"
    assert to_pod(tcp(), passing, drop, kubernetes_policy()) == "deny"
    assert to_pod(tcp(), passing, drop, kubernetes_policy({"ports": [WEB]})) == "allow"
    assert to_pod(tcp(), passing, policy(rule("Drop"), name="b", tier="baseline")) == "deny"


def test_the_baseline_tier_has_no_say_where_a_pod_is_isolated() -> None:
    baseline = policy(rule("Allow"), tier="baseline")
    assert to_pod(tcp(), baseline, kubernetes_policy()) == "deny"
    denying = policy(rule("Drop"), tier="baseline")
    assert to_pod(tcp(), denying, kubernetes_policy({})) == "allow"
    assert to_pod(tcp(), denying) == "deny"


def test_addresses_are_compared_whoever_has_them() -> None:
    objects = (policy(rule("Allow", block("10.0.0.0/8", "10.1.0.0/16")), rule("Drop")), kubernetes_policy())
    for origin in ("external", "pod", "node"):
        assert to_pod(tcp("10.2.0.1", origin=origin), *objects) == "allow"
        assert to_pod(tcp("10.1.0.1", origin=origin), *objects) == "deny"
        assert (
            to_pod(tcp("10.1.0.1", origin=origin), kubernetes_policy({"from": [block("10.0.0.0/8")]}))
            == "allow"
        )


def test_icmp_has_no_family() -> None:
    objects = (policy(rule("Drop", protocols=[{"icmp": {"icmpType": 8, "icmpCode": 0}}])),)
    assert to_pod(Packet("external", "192.0.2.1", 1, icmp_type=8), *objects) == "deny"
    assert to_pod(Packet("external", "2001:db8::1", 58, icmp_type=8), *objects) == "deny"
    assert to_pod(Packet("external", "192.0.2.1", 1, icmp_type=8, icmp_code=1), *objects) == "allow"
    assert to_pod(Packet("external", "192.0.2.1", 58, icmp_type=8), *objects) == "allow"


def test_ports_and_protocols_of_a_rule_are_joined_and_none_are_every_protocol() -> None:
    both = policy(rule("Drop", ports=[{"protocol": "UDP", "port": 53, "sourcePort": 1024, "sourceEndPort": 65535}],
                       protocols=[{"icmp": {}}]))  # fmt: skip
    assert to_pod(Packet("external", "192.0.2.1", 17, 53, 1024), both) == "deny"
    assert to_pod(Packet("external", "192.0.2.1", 17, 53, 1023), both) == "allow"
    assert to_pod(Packet("external", "192.0.2.1", 1), both) == "deny"
    assert to_pod(Packet("external", "192.0.2.1", 47), both) == "allow"
    assert to_pod(Packet("external", "192.0.2.1", 47), policy(rule("Drop"))) == "deny"


def test_igmp_and_named_ports_are_undefined() -> None:
    assert (
        to_pod(Packet("external", "192.0.2.1", 2), policy(rule("Drop", protocols=[{"igmp": {}}])))
        == "undefined"
    )
    assert to_pod(tcp(), policy(rule("Drop", ports=[{"port": "http"}]))) == "undefined"
    assert (
        to_pod(Packet("external", "192.0.2.1", 17), policy(rule("Drop", ports=[{"port": "http"}]))) == "allow"
    )


@pytest.mark.parametrize(
    ("peer", "external", "pod", "node"),
    [
        ({"podSelector": {"matchLabels": {"app": "db"}}}, "allow", "undefined", "undefined"),
        ({"podSelector": {}}, "allow", "deny", "undefined"),
        ({"namespaceSelector": {}}, "allow", "deny", "undefined"),
        ({"namespaces": {"match": "Self"}}, "allow", "undefined", "undefined"),
        ({"nodeSelector": {}}, "allow", "allow", "deny"),
        ({"nodeSelector": {"matchLabels": {"a": "b"}}}, "allow", "allow", "undefined"),
        ({"serviceAccount": {"name": "a", "namespace": "b"}}, "allow", "undefined", "undefined"),
        ({"podSelector": {}, "scope": "ClusterSet"}, "undefined", "undefined", "undefined"),
        ({"group": "missing"}, "undefined", "undefined", "undefined"),
    ],
)
def test_peers_that_are_no_address(peer: Data, external: str, pod: str, node: str) -> None:
    found = [to_pod(tcp(origin=origin), policy(rule("Drop", peer))) for origin in ("external", "pod", "node")]
    assert found == [external, pod, node]


def test_a_pod_selector_of_a_namespaced_policy_is_of_its_namespace() -> None:
    own = policy(rule("Drop", {"podSelector": {}}), kind="NetworkPolicy")
    assert to_pod(tcp(origin="pod"), own) == "undefined"
    every = policy(rule("Drop", {"podSelector": {}, "namespaceSelector": {}}), kind="NetworkPolicy")
    assert to_pod(tcp(origin="pod"), every) == "deny"


def test_groups_are_looked_up_where_the_policy_is() -> None:
    of_cluster = group("ClusterGroup", ipBlocks=[{"cidr": "192.0.2.0/24"}])
    of_namespace = group("Group", ipBlocks=[{"cidr": "198.51.100.0/24"}])
    dropping = rule("Drop", {"group": "g"})
    for packet, cluster, own in ((tcp(), "deny", "allow"), (tcp("198.51.100.1"), "allow", "deny")):
        assert to_pod(packet, policy(dropping), of_cluster, of_namespace) == cluster
        assert to_pod(packet, policy(dropping, kind="NetworkPolicy"), of_cluster, of_namespace) == own


def test_a_group_is_the_union_of_its_children_and_its_holes_are_undefined() -> None:
    objects = (
        policy(rule("Drop", {"group": "all"})),
        group("ClusterGroup", "all", childGroups=["a", "b"]),
        group("ClusterGroup", "a", ipBlocks=[{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]),
        group("ClusterGroup", "b", ipBlocks=[{"cidr": "10.1.2.0/24"}]),
    )
    assert to_pod(tcp("10.0.0.1"), *objects) == "deny"
    assert to_pod(tcp("10.1.2.1"), *objects) == "deny"
    assert to_pod(tcp("10.1.3.1"), *objects) == "undefined"
    assert to_pod(tcp("11.0.0.0"), *objects) == "allow"


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"podSelector": {"matchLabels": {"app": "web"}}}, "deny"),
        ({"podSelector": {"matchLabels": {"app": "db"}}}, "allow"),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}, "deny"),
        ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}, "allow"),
        ({"namespaceSelector": {"matchLabels": {"team": "blue"}}}, "undefined"),
        ({"serviceAccount": {"name": "web", "namespace": NAMESPACE}}, "undefined"),
        ({"serviceAccount": {"name": "web", "namespace": "other"}}, "allow"),
        ({"service": {"name": "web", "namespace": NAMESPACE}}, "undefined"),
        ({"nodeSelector": {}}, "allow"),
        ({"group": "pods"}, "deny"),
        ({"group": "addresses"}, "allow"),
        ({"group": "missing"}, "undefined"),
    ],
)
def test_whom_a_policy_applies_to(entry: Data, found: str) -> None:
    objects = (
        group("ClusterGroup", "pods", podSelector={"matchLabels": {"app": "web"}}),
        group("ClusterGroup", "addresses", ipBlocks=[{"cidr": "0.0.0.0/0"}]),
    )
    assert to_pod(tcp(), policy(rule("Drop"), appliedTo=[entry]), *objects) == found
    if "nodeSelector" not in entry:
        assert to_pod(tcp(), policy(rule("Drop", appliedTo=[entry]), appliedTo=None), *objects) == found


def test_policies_of_other_namespaces_are_none_of_the_pods() -> None:
    other = policy(rule("Drop"), kind="NetworkPolicy")
    other["metadata"]["namespace"] = "other"
    assert to_pod(tcp(), other) == "allow"
    del other["metadata"]["namespace"]
    assert to_pod(tcp(), other) == "allow"


def test_only_reject_answers() -> None:
    space = PacketSpace()
    objects = [policy(rule("Reject", block("192.0.2.0/24")), rule("Drop"))]
    answered = rejects(objects, IDENTITY, space)
    assert values(tcp()) in answered
    assert values(tcp("198.51.100.1")) not in answered
    tied = [policy(rule("Reject"), name="a"), policy(rule("Drop"), name="b")]
    assert not rejects(tied, IDENTITY, space)


ON_NODES = [{"nodeSelector": {"matchLabels": NODE_LABELS}}]


def test_nodes_have_policies_of_their_own() -> None:
    drop = policy(rule("Drop", ports=[WEB]), appliedTo=ON_NODES)
    assert (to_node(tcp(), drop), to_pod(tcp(), drop)) == ("deny", "allow")
    assert to_node(tcp(port=81), drop) == "allow"
    assert to_node(tcp(), policy(rule("Drop"))) == "allow"
    assert to_node(tcp(), kubernetes_policy()) == "allow"
    assert (
        to_node(tcp(), policy(rule("Drop"), appliedTo=[{"nodeSelector": {"matchLabels": {"role": "db"}}}]))
        == "allow"
    )


def test_pass_on_a_node_does_not_end_the_walk_for_certain() -> None:
    passing = policy(rule("Pass"), rule("Drop"), appliedTo=ON_NODES)
    assert to_node(tcp(), passing) == "undefined"
    assert to_node(tcp(), policy(rule("Pass"), appliedTo=ON_NODES)) == "allow"


def test_icmp_on_a_node_is_what_iptables_makes_of_it() -> None:
    any_type = policy(rule("Drop", protocols=[{"icmp": {"icmpType": 255}}]), appliedTo=ON_NODES)
    assert to_node(Packet("external", "192.0.2.1", 1, icmp_type=255), any_type) == "deny"
    assert to_node(Packet("external", "192.0.2.1", 1, icmp_type=8), any_type) == "undefined"
    assert to_node(Packet("external", "2001:db8::1", 58, icmp_type=8), any_type) == "allow"
    code = policy(rule("Drop", protocols=[{"icmp": {"icmpCode": 1}}]), appliedTo=ON_NODES)
    assert to_node(Packet("external", "192.0.2.1", 1, icmp_type=3, icmp_code=1), code) == "deny"
    assert to_node(Packet("external", "192.0.2.1", 1, icmp_type=3, icmp_code=0), code) == "undefined"


def test_many_rules_and_many_policies_are_read() -> None:
    base = int(address("10.0.0.0"))
    rules = [
        rule("Drop", block(f"{ipaddress.IPv4Address(base + 2 * n)}/32"), name=f"r{n}") for n in range(3_000)
    ]
    many = [
        policy(
            rule("Drop", block(f"{ipaddress.IPv4Address(base + 20_000 + 2 * n)}/32")),
            name=f"p{n}",
            priority=1 + n,
        )
        for n in range(1_500)
    ]
    tied = [
        policy(
            rule("Drop", block(f"{ipaddress.IPv4Address(base + 40_000 + 2 * n)}/32")),
            name=f"t{n}",
            priority=9000,
        )
        for n in range(1_500)
    ]
    found = read([policy(*rules), *many, *tied], IDENTITY, PacketSpace(), Cluster())
    for start, count in ((0, 3_000), (20_000, 1_500), (40_000, 1_500)):
        for n in (0, 1, count - 1):
            at = base + start + 2 * n
            assert answer(found, tcp(str(ipaddress.IPv4Address(at)))) == "deny"
            assert answer(found, tcp(str(ipaddress.IPv4Address(at + 1)))) == "allow"
    assert not found["external"].undefined


# --- what the API server and the webhook take


def changed(base: Data, **spec: Any) -> Data:
    result = copy.deepcopy(base)
    result["spec"] |= spec
    return result


def with_rule(**fields: Any) -> Data:
    return policy({"action": "Allow"} | fields)


def with_port(**fields: Any) -> Data:
    return with_rule(ports=[fields])


def with_peer(**fields: Any) -> Data:
    return with_rule(**{"from": [fields]})


def with_egress(**fields: Any) -> Data:
    return policy(egress=[{"action": "Allow"} | fields])


def named(kind: str, **fields: Any) -> Data:
    return policy(kind=kind, **fields)


SELECTOR = {"matchLabels": {"app": "web"}}
TAKEN: Mapping[str, Data] = {
    "lowest priority": policy(priority=1.0),
    "highest priority": policy(priority=10000.0),
    "no rules": policy(),
    "tier of old": policy(tier="SecurityOps"),
    "empty tier": policy(tier=""),
    "pass before the baseline tier": policy(rule("Pass")),
    "first and last port": with_port(protocol="TCP", port=1, endPort=65535),
    "one port as a range": with_port(port=80, endPort=80),
    "name of a port": with_port(port="http-alt"),
    "source ports": with_port(sourcePort=1024, sourceEndPort=65535),
    "all of a protocol": with_port(protocol="SCTP"),
    "lowest and highest of ICMP": with_rule(protocols=[{"icmp": {"icmpType": 0, "icmpCode": 255}}]),
    "ICMP and ports": with_rule(protocols=[{"icmp": {}}], ports=[WEB]),
    "IGMP alone": with_rule(protocols=[{"igmp": {"igmpType": 17, "groupAddress": "224.0.0.9"}}]),
    "label of 63 characters": with_rule(logLabel="a" * 63, enableLogging=True),
    "empty label": with_rule(logLabel=""),
    "names that differ": policy(rule("Allow", name="a"), rule("Allow", name="b")),
    "rules without a name that differ": policy(rule("Allow"), rule("Drop")),
    "except strictly inside": with_peer(ipBlock={"cidr": "10.0.0.0/8", "except": ["10.0.0.0/9"]}),
    "pods of namespaces": with_peer(podSelector=SELECTOR, namespaceSelector={}),
    "namespaces of one label": with_peer(namespaces={"sameLabels": ["example.org/team"]}),
    "all nodes as peers": with_peer(nodeSelector={}),
    "appliedTo in rules": policy(rule("Allow", appliedTo=[{"podSelector": {}}]), appliedTo=[]),
    "applied to nodes": policy(appliedTo=[{"nodeSelector": {}}]),
    "applied to a Service": policy(
        rule("Drop", block("10.0.0.0/8")), appliedTo=[{"service": {"name": "a", "namespace": "b"}}]
    ),
    "egress": with_egress(to=[{"fqdn": "*.example.org"}], ports=[WEB]),
    "egress to Services": with_egress(toServices=[{"name": "a", "namespace": "b", "scope": "ClusterSet"}]),
    "namespaced group": named("NetworkPolicy", appliedTo=[{"group": "g"}]),
    "external entities": named("NetworkPolicy", appliedTo=[{"externalEntitySelector": {}}]),
    "own tier": tier("own", 249),
    "tier of Antrea's": tier("baseline", 253),
    "group of addresses": group("Group", ipBlocks=[{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]),
    "group of pods": group("ClusterGroup", podSelector=SELECTOR, namespaceSelector=SELECTOR),
    "group of nodes": group("ClusterGroup", nodeSelector={}),
    "group of a Service": group("Group", serviceReference={"name": "a", "namespace": "b"}),
    "empty group": group("Group"),
    "group of groups": group("ClusterGroup", childGroups=["a", "b"]),
    "Kubernetes' policy": kubernetes_policy({"ports": [WEB]}),
}

REFUSED: Mapping[str, tuple[Data, str]] = {
    "no priority": (policy(priority=None), "priority"),
    "priority 0": (policy(priority=0.9), "priority"),
    "priority too high": (policy(priority=10000.5), "priority"),
    "priority in words": (policy(priority="5"), "priority"),
    "priority true": (policy(priority=True), "priority"),
    "no number at all": (policy(priority=float("nan")), "priority"),
    "unknown action": (policy({"action": "allow"}), "action"),
    "no action": (policy({}), "action"),
    "pass in the baseline tier": (policy(rule("Pass"), tier="baseline"), "Pass"),
    "pass in the baseline tier of old": (policy(rule("Pass"), tier="Baseline"), "Pass"),
    "tier that is no text": (policy(tier=5), "tier"),
    "unknown field of a spec": (policy(order=5), "order"),
    "unknown field of a rule": (with_rule(to=[]), "'to'"),
    "unknown field of a port": (with_port(ports=5), "ports"),
    "unknown field of a peer": (with_peer(fqdn="example.org"), "fqdn"),
    "rules that are no list": (policy(ingress={}), "not a list"),
    "unknown protocol": (with_port(protocol="ICMP"), "protocol"),
    "port 0": (with_port(port=0), "port"),
    "port 65536": (with_port(port=65536), "port"),
    "port true": (with_port(port=True), "port"),
    "port in digits": (with_port(port="80"), "name of a port"),
    "long name of a port": (with_port(port="a" * 16), "name of a port"),
    "end below port": (with_port(port=80, endPort=79), "below"),
    "end without port": (with_port(endPort=80), "without"),
    "end too high": (with_port(port=80, endPort=65536), "endPort"),
    "end of a name": (with_port(port="http", endPort=80), "endPort"),
    "source port 0": (with_port(sourcePort=0), "sourcePort"),
    "source end without port": (with_port(sourceEndPort=80), "without"),
    "source end below port": (with_port(sourcePort=80, sourceEndPort=79), "below"),
    "icmp and igmp in an entry": (with_rule(protocols=[{"icmp": {}, "igmp": {}}]), "either"),
    "neither icmp nor igmp": (with_rule(protocols=[{}]), "either"),
    "type 256": (with_rule(protocols=[{"icmp": {"icmpType": 256}}]), "icmpType"),
    "code -1": (with_rule(protocols=[{"icmp": {"icmpType": 3, "icmpCode": -1}}]), "icmpCode"),
    "IGMP report of ingress": (with_rule(protocols=[{"igmp": {"igmpType": 0x16}}]), "igmpType"),
    "IGMP of a host": (with_rule(protocols=[{"igmp": {"groupAddress": "10.0.0.1"}}]), "multicast"),
    "IGMP beside ICMP": (with_rule(protocols=[{"igmp": {}}, {"icmp": {}}]), "igmp"),
    "IGMP beside ports": (with_rule(protocols=[{"igmp": {}}], ports=[WEB]), "igmp"),
    "IGMP with peers": (with_rule(protocols=[{"igmp": {}}], **{"from": [block("10.0.0.0/8")]}), "igmp"),
    "IGMP rejected": (policy(rule("Reject", protocols=[{"igmp": {}}])), "igmp"),
    "peers behind IGMP": (
        policy(rule("Allow", protocols=[{"igmp": {}}]), rule("Drop", block("10.0.0.0/8"))),
        "igmp",
    ),
    "layer 7": (with_rule(l7Protocols=[{"http": {}}]), "l7Protocols"),
    "label of 64 characters": (with_rule(logLabel="a" * 64), "logLabel"),
    "label with a space": (with_rule(logLabel="a b"), "logLabel"),
    "label that ends in a dot": (with_rule(logLabel="a."), "logLabel"),
    "label that ends in a line": (with_rule(logLabel="a\n"), "logLabel"),
    "logging in words": (with_rule(enableLogging="yes"), "enableLogging"),
    "one name twice": (policy(rule("Allow", name="a"), rule("Drop", name="a")), "name"),
    "one name in both directions": (
        policy(rule("Allow", name="a"), egress=[{"action": "Drop", "name": "a"}]),
        "name",
    ),
    "one rule twice": (policy(rule("Allow"), rule("Allow")), "name"),
    "except is the block": (
        with_peer(ipBlock={"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}),
        "strictly inside",
    ),
    "except outside": (
        with_peer(ipBlock={"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}),
        "strictly inside",
    ),
    "except of IPv6": (with_peer(ipBlock={"cidr": "0.0.0.0/0", "except": ["::/1"]}), "strictly inside"),
    "no cidr": (with_peer(ipBlock={}), "cidr"),
    "host bits": (with_peer(ipBlock={"cidr": "10.0.0.1/8"}), "host bits"),
    "empty peer": (with_peer(), "selects nothing"),
    "scope alone": (with_peer(scope="Cluster"), "selects nothing"),
    "unknown scope": (with_peer(podSelector={}, scope="Global"), "scope"),
    "block and selector": (with_peer(ipBlock={"cidr": "10.0.0.0/8"}, podSelector={}), "alone"),
    "group and selector": (with_peer(group="g", podSelector={}), "alone"),
    "account and selector": (
        with_peer(serviceAccount={"name": "a", "namespace": "b"}, podSelector={}),
        "alone",
    ),
    "nodes and selector": (with_peer(nodeSelector={}, namespaceSelector={}), "alone"),
    "namespaces in two ways": (with_peer(namespaces={"match": "Self"}, namespaceSelector={}), "exclude"),
    "two criteria of namespaces": (with_peer(namespaces={"match": "Self", "sameLabels": ["a"]}), "criteria"),
    "bad criterion of namespaces": (with_peer(namespaces={"match": "self"}), "match"),
    "bad key of namespaces": (with_peer(namespaces={"sameLabels": ["a b"]}), "sameLabels"),
    "account without namespace": (with_peer(serviceAccount={"name": "a"}), "namespace"),
    "bad label": (with_peer(podSelector={"matchLabels": {"a b": "c"}}), "label"),
    "bad operator": (
        with_peer(podSelector={"matchExpressions": [{"key": "a", "operator": "Is", "values": ["b"]}]}),
        "operator",
    ),
    "account in a namespaced policy": (
        named("NetworkPolicy", ingress=[rule("Allow", {"serviceAccount": {"name": "a", "namespace": "b"}})]),
        "serviceAccount",
    ),
    "appliedTo nowhere": (policy(rule("Allow"), appliedTo=[]), "missing"),
    "appliedTo nowhere without rules": (policy(appliedTo=None), "missing"),
    "appliedTo twice": (policy(rule("Allow", appliedTo=[{"podSelector": {}}])), "beside"),
    "appliedTo in some rules": (
        policy(rule("Allow", appliedTo=[{"podSelector": {}}]), rule("Drop"), appliedTo=None),
        "some",
    ),
    "applied to nothing": (policy(appliedTo=[{}]), "selects nothing"),
    "applied to addresses": (policy(appliedTo=[{"ipBlock": {"cidr": "10.0.0.0/8"}}]), "ipBlock"),
    "nodes of a namespaced policy": (
        named("NetworkPolicy", appliedTo=[{"nodeSelector": {}}]),
        "nodeSelector",
    ),
    "namespaces of a namespaced policy": (
        named("NetworkPolicy", appliedTo=[{"namespaceSelector": {}}]),
        "namespaceSelector",
    ),
    "nodes of a rule": (
        policy(rule("Allow", appliedTo=[{"nodeSelector": {}}]), appliedTo=None),
        "nodeSelector",
    ),
    "nodes and pods": (policy(appliedTo=[{"nodeSelector": {}}, {"podSelector": {}}]), "nodes"),
    "nodes and pods in one": (policy(appliedTo=[{"nodeSelector": {}, "podSelector": {}}]), "alone"),
    "Services and pods": (
        policy(appliedTo=[{"service": {"name": "a", "namespace": "b"}}, {"podSelector": {}}]),
        "Services",
    ),
    "pods as peers of a Service": (
        policy(rule("Allow", {"podSelector": {}}), appliedTo=[{"service": {"name": "a", "namespace": "b"}}]),
        "ipBlock",
    ),
    "egress of a Service": (
        policy(appliedTo=[{"service": {"name": "a", "namespace": "b"}}], egress=[{"action": "Drop"}]),
        "egress",
    ),
    "Services beside ports": (
        with_egress(toServices=[{"name": "a", "namespace": "b"}], ports=[WEB]),
        "toServices",
    ),
    "namespace of a cluster policy": (
        policy() | {"metadata": {"name": "p", "namespace": "default"}},
        "namespace",
    ),
    "bad name": (policy(name="P"), "name"),
    "status": (policy() | {"status": {}}, "status"),
    "reserved priority of a tier": (tier("own", 251), "reserved"),
    "taken priority of a tier": (tier("own", 250), "Antrea's own"),
    "priority of Antrea's tier": (tier("baseline", 10), "Antrea's own"),
    "tier too low": (tier("own", 256), "priority"),
    "tier below 0": (tier("own", -1), "priority"),
    "group of two things": (group("Group", ipBlocks=[{"cidr": "10.0.0.0/8"}], podSelector={}), "exclude"),
    "group of three things": (
        group("Group", podSelector={}, namespaceSelector={}, externalEntitySelector={}),
        "exclude",
    ),
    "nodes of a namespaced group": (group("Group", nodeSelector={}), "nodeSelector"),
    "old block of a group": (group("ClusterGroup", ipBlock={"cidr": "10.0.0.0/8"}), "ipBlock"),
    "multicast and unicast": (
        group("Group", ipBlocks=[{"cidr": "10.0.0.0/8"}, {"cidr": "224.0.0.0/8"}]),
        "multicast",
    ),
    "bad hole of a group": (
        group("Group", ipBlocks=[{"cidr": "10.0.0.0/8", "except": ["10.0.0.0/7"]}]),
        "except",
    ),
    "bad child": (group("Group", childGroups=[5]), "childGroups"),
}


def validated(item: Data) -> None:
    load(yaml.safe_dump(item), VALIDATORS)


@pytest.mark.parametrize("name", TAKEN)
def test_objects_that_are_taken(name: str) -> None:
    validated(TAKEN[name])


@pytest.mark.parametrize("name", REFUSED)
def test_objects_that_are_refused(name: str) -> None:
    item, message = REFUSED[name]
    with pytest.raises(PolicyFault, match=re.escape(message)):
        validated(item)


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([policy(tier="none")], "no tier 'none'"),
        ([policy(tier="Emergency"), policy(tier="EMERGENCY", name="q")], "no tier 'EMERGENCY'"),
        ([tier("a", 7), tier("b", 7)], "one priority"),
        ([tier(f"t{n}", n) for n in range(15)], "21 tiers"),
        (
            [
                group("Group", "a", childGroups=["b"]),
                group("Group", "b", childGroups=["c"]),
                group("Group", "c", ipBlocks=[]),
            ],
            "children of its own",
        ),
        ([group("ClusterGroup", "a", childGroups=["a"])], "children of its own"),
    ],
)
def test_objects_that_are_refused_together(objects: list[Data], message: str) -> None:
    for item in objects:
        validated(item)
    with pytest.raises(PolicyFault, match=re.escape(message)):
        read(objects, IDENTITY, PacketSpace(), Cluster())


def test_objects_that_go_together() -> None:
    check_together(
        [
            policy(tier="t7"),
            *(tier(f"t{n}", n) for n in range(14)),
            group("Group", "a", childGroups=["b", "missing"]),
            group("Group", "b", ipBlocks=[]),
            group("ClusterGroup", "b", childGroups=["a"]),
        ]
    )


JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    70_000,
    1.5,
    "",
    "x" * 80,
    "\n",
    [],
    [None],
    {},
    {"a": 1},
    {"cidr": "::/0"},
)


def spots(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from spots(inner, (*path, key))


def corrupted(random: Random, item: Data) -> Data:
    """The object with one thing replaced, removed or added."""
    result = copy.deepcopy(item)
    path = random.choice([spot for spot in spots(result) if spot])
    at: Any = result
    for key in path[:-1]:
        at = at[key]
    way = random.random()
    if way < 0.2:
        del at[path[-1]]
    elif way < 0.4 and isinstance(at, dict):
        at[random.choice(["unknown", "port", "cidr", "group", "podSelector", "priority"])] = random.choice(
            JUNK
        )
    else:
        at[path[-1]] = random.choice(JUNK)
    return result


def test_whatever_is_wrong_with_an_object_is_a_policy_fault() -> None:
    random = Random(5)
    tally: Counter[str] = Counter()
    for _ in range(6_000):
        item = corrupted(random, random.choice(list(TAKEN.values())))
        text = json.dumps(item)
        try:
            objects = load(text, VALIDATORS)
            read(objects, IDENTITY, PacketSpace(), Cluster())
            read_host(objects, NODE_LABELS, PacketSpace())
            tally["taken"] += 1
        except PolicyFault:
            tally["refused"] += 1
    assert min(tally["taken"], tally["refused"]) > 300


# --- the CRDs themselves


def breaches(crd: Mapping[str, Any], value: Any, at: str = "") -> Iterator[str]:
    """What of a structural OpenAPI schema does not hold: as much of the language as Antrea's CRDs use."""
    kinds: Mapping[str, tuple[type, ...]] = {
        "object": (dict,),
        "array": (list,),
        "string": (str,),
        "boolean": (bool,),
        "integer": (int,),
        "number": (int, float),
    }
    if crd.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield f"{at}: neither number nor text"
        return
    if not crd or crd.get("x-kubernetes-preserve-unknown-fields"):
        return
    kind = crd.get("type")
    if kind is not None and (
        not isinstance(value, kinds[kind]) or (isinstance(value, bool) and kind != "boolean")
    ):
        yield f"{at}: not {kind}"
        return
    if isinstance(value, dict):
        known, rest = crd.get("properties", {}), crd.get("additionalProperties")
        yield from (f"{at}.{key}: missing" for key in crd.get("required", ()) if key not in value)
        for key, inner in value.items():
            if key not in known and rest is None:
                yield f"{at}.{key}: unknown"
            else:
                yield from breaches(known.get(key, rest), inner, f"{at}.{key}")
        if not crd.get("minProperties", 0) <= len(value) <= crd.get("maxProperties", len(value)):
            yield f"{at}: {len(value)} properties"
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from breaches(crd.get("items", {}), inner, f"{at}[{index}]")
    if "enum" in crd and value not in crd["enum"]:
        yield f"{at}: {value!r} is none of {crd['enum']}"
    if isinstance(value, int | float) and not crd.get("minimum", value) <= value <= crd.get("maximum", value):
        yield f"{at}: {value} out of bounds"
    if isinstance(value, str):
        if "pattern" in crd and not re.search(crd["pattern"], value):
            yield f"{at}: {value!r} is not like {crd['pattern']}"
        if "format" in crd and not is_of_format(crd["format"], value):
            yield f"{at}: {value!r} is no {crd['format']}"
    if "oneOf" in crd and sum(not list(breaches(_shape(each), value)) for each in crd["oneOf"]) != 1:
        yield f"{at}: not one of {len(crd['oneOf'])}"


def _shape(crd: Mapping[str, Any]) -> Mapping[str, Any]:
    """A branch of ``oneOf`` says nothing of fields that it does not name."""
    return {**crd, "additionalProperties": {}}


def is_of_format(name: str, text: str) -> bool:
    readers: Mapping[str, Callable[[str], object]] = {
        "cidr": lambda cidr: ipaddress.ip_network(cidr, strict=False) if "/" in cidr else int("no prefix"),
        "ipv4": ipaddress.IPv4Address,
        "ipv6": ipaddress.IPv6Address,
    }
    try:
        readers[name](text)
    except ValueError:
        return False
    return True


@pytest.fixture(scope="module")
def crds() -> Mapping[str, Data]:
    """The schema of each kind."""
    shared = shared_folder()
    if shared is None or not (shared / "crds" / "antrea").is_dir():
        pytest.skip(
            "no CRDs of Antrea: no folder shared/crds/antrea beside the checkout, and IPT2NP_SHARED is not set"
        )
    result = {}
    for path in (shared / "crds" / "antrea").glob("*.yaml"):
        crd = yaml.safe_load(path.read_text())
        (version,) = (each for each in crd["spec"]["versions"] if each["name"] == "v1beta1")
        assert crd["spec"]["group"] == "crd.antrea.io"
        result[crd["spec"]["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return result


def broken(crds: Mapping[str, Data], item: Data) -> list[str]:
    return list(breaches(crds[item["kind"]], {"spec": item.get("spec", {})}))


def test_the_crds_take_what_the_validators_take(crds: Mapping[str, Data]) -> None:
    assert {kind for version, kind in VALIDATORS if version == API} == set(crds)
    items = [*TAKEN.values(), *(each for seed in range(200) for each in policy_set(Random(seed)))]
    native = [each for each in items if each["apiVersion"] == API]
    for item in native:
        validated(item)
        assert not broken(crds, {**item, "spec": {k: v for k, v in item["spec"].items() if v is not None}})
    assert len(native) > 1_000


def test_the_validators_refuse_what_the_crds_refuse(crds: Mapping[str, Data]) -> None:
    random = Random(11)
    native = [each for each in TAKEN.values() if each["apiVersion"] == API]
    refused = 0
    for _ in range(8_000):
        item = corrupted(random, random.choice(native))
        # A null is as if nothing were said; other parts of an object are no matter of the CRD.
        if item.keys() != {"apiVersion", "kind", "metadata", "spec"} or str(item["kind"]) not in crds:
            continue
        if "null" in json.dumps(item["spec"]) or not broken(crds, item):
            continue
        refused += 1
        with pytest.raises(PolicyFault):
            validated(item)
    assert refused > 1_500


SAMPLES: Mapping[str, Any] = {
    "podSelector": {},
    "namespaceSelector": {},
    "externalEntitySelector": {},
    "nodeSelector": {},
    "namespaces": {"match": "Self"},
    "ipBlock": {"cidr": "10.0.0.0/8"},
    "group": "g",
    "fqdn": "example.org",
    "serviceAccount": {"name": "a", "namespace": "b"},
    "service": {"name": "a", "namespace": "b"},
}


@pytest.mark.parametrize("kind", ["NetworkPolicy", "ClusterNetworkPolicy"])
@pytest.mark.parametrize("field", SAMPLES)
def test_fields_stand_where_the_crds_have_them(crds: Mapping[str, Data], kind: str, field: str) -> None:
    entry = {field: SAMPLES[field]}
    for item in (
        policy(kind=kind, appliedTo=[entry]),
        policy(rule("Drop", appliedTo=[entry]), kind=kind, appliedTo=[]),
        policy(rule("Drop", entry), kind=kind),
        policy(kind=kind, egress=[{"action": "Drop", "to": [entry]}]),
        policy(kind=kind, egress=[{"action": "Drop", "appliedTo": [entry]}], appliedTo=[]),
    ):
        if broken(crds, item):
            with pytest.raises(PolicyFault, match="has no field"):
                validated(item)
        else:
            validated(item)
