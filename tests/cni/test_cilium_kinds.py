"""What is read from Cilium's kinds, packet by packet, and how much room they need."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from ipt2np.cni.base import Cluster, Identity, PolicyFault, Reading
from ipt2np.cni.kinds.cilium import (
    VALIDATORS,
    Options,
    host_map_entries,
    map_entries,
    peers,
    policies,
    read,
    read_host,
    reading,
    selectors,
    services,
)
from ipt2np.cni.manifests import load
from ipt2np.packets import Field, PacketSpace
from tests.cni.cilium_objects import TCP_80, WORLD, group, host, kubernetes, native
from tests.cni.naive_cilium import (
    CLASSES,
    NAMESPACE,
    NODE_LABELS,
    POD_LABELS,
    Agent,
    Answer,
    Object,
    Packet,
    Writer,
    host_verdict,
    verdict,
)

IDENTITY = Identity("web", NAMESPACE, POD_LABELS)
CLUSTER = Cluster()
SETS = 300
PACKETS = 360
MODES = [frozenset[str](), frozenset({"nodes"}), frozenset({"pods"}), frozenset({"nodes", "pods"})]


def fields_of(packet: Packet) -> dict[Field, int]:
    """The packet as the packet space has it: only fields that its protocol has."""
    found = {
        Field.FAMILY: int(packet.source.version == 6),
        Field.PROTOCOL: packet.protocol,
        Field.SOURCE: int(packet.source),
    }
    if packet.protocol in (6, 17, 132):
        found[Field.DESTINATION_PORT] = packet.port
    if packet.protocol in (1, 58):
        found[Field.ICMP_TYPE] = packet.icmp_type
    return found


def answer_of(readings: Mapping[str, Reading], packet: Packet) -> Answer:
    reading, fields = readings[packet.source_class], fields_of(packet)
    admitted, undefined = fields in reading.admits, fields in reading.undefined
    assert not (admitted and undefined)
    return None if undefined else admitted


def options_of(agent: Agent, *, native: bool = True) -> Options:
    return Options(agent.cidr_match, agent.extended, agent.sctp, agent.end_port, native)


def compare(
    objects: Sequence[Object], readings: Mapping[str, Reading], packets: list[Packet], expected: list[Answer]
) -> Counter[tuple[str, Answer]]:
    """How often each class got each answer; fails at the first packet that is judged differently."""
    counted: Counter[tuple[str, Answer]] = Counter()
    for packet, wanted in zip(packets, expected, strict=True):
        found = answer_of(readings, packet)
        assert found is wanted, f"{packet}: read {found}, judged {wanted}\n{yaml.safe_dump_all(objects)}"
        counted[packet.source_class, wanted] += 1
    return counted


def enough(counted: Counter[tuple[str, Answer]], total: int) -> None:
    """A comparison in which one side of the answer is rare would prove little."""
    assert counted.total() == total
    for source_class in CLASSES:
        of_class = sum(counted[source_class, answer] for answer in (True, False, None))
        for answer in (True, False):
            assert counted[source_class, answer] > of_class * 0.1, counted


# -- the reader against the packet-by-packet judge -------------------------------------------------------


def compare_pods(seeds: range) -> Counter[tuple[str, Answer]]:
    """Random policies for pods, by all options, and random packets through them."""
    counted: Counter[tuple[str, Answer]] = Counter()
    for seed in seeds:
        writer = Writer(seed)
        agent = Agent(MODES[seed % 4], seed % 5 == 0, seed % 3 != 0, seed % 7 != 0)
        objects = load(yaml.safe_dump_all(writer.policies(extended=agent.extended)), VALIDATORS)
        readings = read(objects, IDENTITY, PacketSpace(), CLUSTER, options_of(agent))
        packets = writer.packets(objects, PACKETS)
        expected = [verdict(objects, NAMESPACE, POD_LABELS, packet, agent) for packet in packets]
        counted += compare(objects, readings, packets, expected)
    return counted


def test_pods_are_read_as_the_judge_reads_them_packet_by_packet() -> None:
    counted = compare_pods(range(SETS))
    enough(counted, SETS * PACKETS)
    assert min(counted[source_class, None] for source_class in CLASSES) > SETS


def test_nodes_are_read_as_the_judge_reads_them_packet_by_packet() -> None:
    counted: Counter[tuple[str, Answer]] = Counter()
    for seed in range(SETS // 4):
        writer = Writer(10_000 + seed)
        agent = Agent(MODES[seed % 4], seed % 5 == 0, seed % 2 == 0)
        objects = load(yaml.safe_dump_all(writer.policies(extended=agent.extended, host=True)), VALIDATORS)
        readings = read_host(objects, NODE_LABELS, PacketSpace(), CLUSTER, options_of(agent))
        packets = writer.packets(objects, PACKETS)
        expected = [host_verdict(objects, NODE_LABELS, packet, agent) for packet in packets]
        counted += compare(objects, readings, packets, expected)
    enough(counted, SETS // 4 * PACKETS)


@pytest.mark.parametrize(
    ("agent", "native", "sets"),
    [
        pytest.param(Agent(), False, 280, id="gke-dataplane-v2"),
        pytest.param(Agent(end_port=False), False, SETS // 6, id="gke-dataplane-v2-old"),
        pytest.param(Agent(), True, SETS // 6, id="azure-cilium"),
        pytest.param(Agent(end_port=False), True, SETS // 6, id="azure-cilium-1.29"),
    ],
)
def test_managed_clusters_read_kubernetes_policies_as_the_judge_does(
    agent: Agent, native: bool, sets: int
) -> None:
    counted: Counter[tuple[str, Answer]] = Counter()
    for seed in range(sets):
        writer = Writer(20_000 + seed)
        objects = [writer.kubernetes(number) for number in range(writer.rng.randint(1, 4))]
        objects = load(yaml.safe_dump_all(objects), VALIDATORS)
        readings = read(objects, IDENTITY, PacketSpace(), CLUSTER, options_of(agent, native=native))
        packets = writer.packets(objects, PACKETS)
        expected = [verdict(objects, NAMESPACE, POD_LABELS, packet, agent) for packet in packets]
        counted += compare(objects, readings, packets, expected)
    enough(counted, sets * PACKETS)


# -- tests of the comparison itself ----------------------------------------------------------------------


def _misread(monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    """Makes the reader wrong in one way."""
    if mistake == "a wildcard matches nodes":
        right = reading._matchable

        def wrong(block: peers.Block, source_class: str, options: Options) -> peers.Extent:
            wide = block.network.prefixlen == 0 and "nodes" in options.cidr_match
            return peers.Extent.ALL if wide else right(block, source_class, options)

        monkeypatch.setattr(reading, "_matchable", wrong)
    elif mistake == "host admits other nodes":
        entities = {**peers.ENTITIES, "host": peers.Extents(node=peers.Extent.ALL)}
        monkeypatch.setattr(policies, "ENTITIES", entities)
    elif mistake == "ANY leaves SCTP out":
        monkeypatch.setattr(services, "TRANSPORTS", {"TCP": 6, "UDP": 17, "SCTP": 17})
    elif mistake == "an empty rule matches everything":
        everybody = policies.Rule(peers.Peers(peers.EVERYBODY), services.EVERYTHING)
        parse = policies._rule
        monkeypatch.setattr(policies, "_rule", lambda *args, **kwargs: parse(*args, **kwargs) or everybody)
    elif mistake == "exceptions are forgotten":
        monkeypatch.setattr(peers.Block, "ranges", property(lambda block: [peers.bounds(block.network)]))
    elif mistake == "enableDefaultDeny is not looked at":
        monkeypatch.setattr(policies, "_flags", lambda value, where: {})
    elif mistake == "every protocol is known":
        monkeypatch.setattr(reading, "_datapath", lambda space, options: (space.everything, space.everything))
    else:
        assert mistake == "unknown labels count as absent"
        monkeypatch.setattr(selectors, "_DERIVED", "never ")


@pytest.mark.parametrize(
    "mistake",
    [
        "a wildcard matches nodes",
        "host admits other nodes",
        "ANY leaves SCTP out",
        "an empty rule matches everything",
        "exceptions are forgotten",
        "enableDefaultDeny is not looked at",
        "every protocol is known",
        "unknown labels count as absent",
    ],
)
def test_the_comparison_finds_a_reader_that_is_wrong(monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    _misread(monkeypatch, mistake)
    with pytest.raises(AssertionError, match="judged"):
        compare_pods(range(60))


# -- what single statements mean -------------------------------------------------------------------------


def asked(
    objects: Sequence[Object], source: str, port: int = 80, protocol: int = 6, icmp: int = 0, **options: Any
) -> str:
    """What becomes of a packet from an external source, a pod, a node: a letter each of yes, no, unknown."""
    readings = read(list(objects), IDENTITY, PacketSpace(), CLUSTER, Options(**options))
    answers = [
        answer_of(readings, Packet(source_class, ipaddress.ip_address(source), protocol, port, icmp))
        for source_class in CLASSES
    ]
    return "".join({True: "y", False: "n", None: "u"}[answer] for answer in answers)


def test_a_cidr_matches_sources_outside_the_cluster_alone() -> None:
    block = native({"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}]})
    assert asked([block], "10.2.0.1") == "ynn"
    assert asked([block], "10.1.0.1") == "nnn"
    assert asked([block], "10.2.0.1", cidr_match=frozenset({"pods"})) == "yyn"
    assert asked([block], "10.2.0.1", cidr_match=frozenset({"nodes"})) == "yny"
    assert asked([block], "10.1.0.1", cidr_match=frozenset({"nodes", "pods"})) == "nnn"


def test_a_wildcard_cidr_never_matches_nodes_alone() -> None:
    assert asked([native(WORLD)], "10.0.0.1", cidr_match=frozenset({"nodes"})) == "ynn"
    assert asked([native(WORLD)], "10.0.0.1", cidr_match=frozenset({"nodes", "pods"})) == "yyu"
    assert asked([native(WORLD)], "2001:db8::1") == "nnn"


def test_a_rule_without_peers_matches_everybody_and_one_without_anything_nobody() -> None:
    assert asked([native(TCP_80)], "10.0.0.1") == "yyy"
    assert asked([native({})], "10.0.0.1") == "nnn"
    assert asked([kubernetes({})], "10.0.0.1") == "yyy"
    assert asked([kubernetes()], "10.0.0.1") == "nnn"


def test_pods_of_every_namespace_are_all_pods_and_those_of_one_are_not() -> None:
    everywhere = {"matchExpressions": [{"key": "k8s:io.kubernetes.pod.namespace", "operator": "Exists"}]}
    clusterwide = "CiliumClusterwideNetworkPolicy"
    assert asked([native({"fromEndpoints": [everywhere]})], "10.0.0.1") == "nyn"
    assert asked([native({"fromEndpoints": [{}]})], "10.0.0.1") == "nun"
    assert asked([native({"fromEndpoints": [{}]}, kind=clusterwide)], "10.0.0.1") == "nyn"
    assert asked([kubernetes({"from": [{"namespaceSelector": {}}]})], "10.0.0.1") == "nyn"
    assert asked([kubernetes({"from": [{"namespaceSelector": {}, "podSelector": {}}]})], "10.0.0.1") == "nyn"
    assert asked([kubernetes({"from": [{"podSelector": {}}]})], "10.0.0.1") == "nun"


def test_a_selector_that_demands_no_namespace_may_match_the_world() -> None:
    outside = {"key": "k8s:io.kubernetes.pod.namespace", "operator": "NotIn", "values": ["a"]}
    assert asked([native({"fromEndpoints": [{"matchExpressions": [outside]}]})], "10.0.0.1") == "uuu"
    unlabelled = {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}
    assert asked([kubernetes({"from": [{"namespaceSelector": unlabelled}]})], "10.0.0.1") == "uuu"


@pytest.mark.parametrize(
    ("entity", "answers"),
    [
        ("all", "yyy"),
        ("world", "ynn"),
        ("cluster", "nyy"),
        ("remote-node", "nny"),
        ("host", "nnn"),
        ("none", "nnn"),
        ("unmanaged", "nun"),
        ("kube-apiserver", "uuu"),
    ],
)
def test_entities(entity: str, answers: str) -> None:
    assert asked([native({"fromEntities": [entity]})], "2001:db8::1") == answers


def test_a_denial_wins_over_every_policy() -> None:
    deny = native(deny=[{"fromCIDR": ["10.0.0.0/8"]}])
    assert asked([deny, kubernetes({})], "10.0.0.1") == "nyy"
    assert asked([deny, native({"fromEntities": ["all"]}, name="q")], "192.0.2.1") == "yyy"
    assert asked([deny], "192.0.2.1") == "nnn"


def test_denials_without_default_deny_leave_the_rest_open() -> None:
    deny = native(deny=[{"fromCIDR": ["10.0.0.0/8"]}], enableDefaultDeny={"ingress": False})
    assert asked([deny], "10.0.0.1") == "nyy"
    assert asked([deny], "192.0.2.1") == "yyy"
    assert asked([deny, native({}, name="q")], "192.0.2.1") == "nnn"


def test_a_policy_without_ingress_rules_isolates_nothing() -> None:
    egress = native(egress=[{}], enableDefaultDeny={"ingress": True})
    assert asked([egress], "10.0.0.1") == "yyy"


def test_protocols_that_the_datapath_does_not_know_are_dropped_without_any_policy() -> None:
    assert asked([], "10.0.0.1", protocol=47) == "nnn"
    assert asked([], "10.0.0.1", protocol=47, extended_protocols=True) == "yyy"
    assert asked([], "10.0.0.1", protocol=136, extended_protocols=True) == "uuu"
    assert asked([], "10.0.0.1", protocol=132) == "nnn"
    assert asked([], "10.0.0.1", protocol=132, sctp=True) == "yyy"
    assert asked([], "10.0.0.1", protocol=58) == "nnn"
    assert asked([], "10.0.0.1", protocol=1, icmp=8) == "yyy"


def test_ports_do_not_cover_icmp_and_icmp_has_types_of_a_family() -> None:
    assert asked([native(TCP_80)], "10.0.0.1", protocol=1, icmp=8) == "nnn"
    assert asked([native(WORLD)], "10.0.0.1", protocol=1, icmp=8) == "ynn"
    echo = native({"icmps": [{"fields": [{"type": 8}, {"type": "EchoRequest", "family": "IPv6"}]}]})
    assert asked([echo], "10.0.0.1", protocol=1, icmp=8) == "yyy"
    assert asked([echo], "10.0.0.1", protocol=1, icmp=13) == "nnn"
    assert asked([echo], "2001:db8::1", protocol=58, icmp=128) == "yyy"
    assert asked([echo], "2001:db8::1", protocol=58, icmp=8) == "nnn"


def test_old_agents_take_the_first_port_of_a_kubernetes_range() -> None:
    ports = kubernetes({"ports": [{"port": 80, "endPort": 90}]})
    assert [asked([ports], "10.0.0.1", port=port) for port in (80, 85, 91)] == ["yyy", "yyy", "nnn"]
    old = [asked([ports], "10.0.0.1", port=port, end_port=False) for port in (80, 85, 91)]
    assert old == ["yyy", "nnn", "nnn"]
    own = native({"toPorts": [{"ports": [{"port": "80", "endPort": 90}]}]})
    own_old = [asked([own], "10.0.0.1", port=port, end_port=False) for port in (80, 85, 91)]
    assert own_old == ["yyy", "uuu", "nnn"]


def test_requests_and_handshakes_leave_the_packet_undecided() -> None:
    get = {
        "toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}}]
    }
    assert asked([native(get)], "10.0.0.1") == "uuu"
    assert asked([native({**TCP_80, "authentication": {"mode": "required"}})], "10.0.0.1") == "uuu"
    assert asked([native({**TCP_80, "authentication": {"mode": "disabled"}})], "10.0.0.1") == "yyy"


def test_groups_are_what_their_cidrs_are() -> None:
    groups = [group("a", "10.0.0.0/8", kind="x"), group("b", "192.0.2.0/24", "2001:db8::/32")]
    by_name = native({"fromCIDRSet": [{"cidrGroupRef": "a"}]})
    by_label = native({"fromCIDRSet": [{"cidrGroupSelector": {"matchLabels": {"kind": "x"}}}]})
    for policy in (by_name, by_label):
        assert asked([*groups, policy], "10.0.0.1") == "ynn"
        assert asked([*groups, policy], "192.0.2.1") == "nnn"
    everything = native({"fromCIDRSet": [{"cidrGroupSelector": {}}]})
    assert asked([*groups, everything], "2001:db8::1") == "ynn"


def test_a_group_that_nobody_told_is_refused() -> None:
    for missing in ({"cidrGroupRef": "a"}, {"cidrGroupSelector": {"matchLabels": {"kind": "x"}}}):
        with pytest.raises(PolicyFault, match=r"CiliumCIDRGroup|group"):
            asked([group("b", "10.0.0.0/8"), native({"fromCIDRSet": [missing]})], "10.0.0.1")


def test_a_policy_selects_by_labels_that_are_known() -> None:
    hit = native({}, endpointSelector={"matchLabels": {"k8s:app": "web"}})
    miss = native({}, endpointSelector={"matchLabels": {"app": "db"}})
    unknown = native({}, endpointSelector={"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "x"}})
    assert [asked([policy], "10.0.0.1") for policy in (hit, miss, unknown)] == ["nnn", "yyy", "uuu"]


def test_clusters_without_the_kinds_refuse_them() -> None:
    for document in (native({}), group("a")):
        with pytest.raises(PolicyFault, match=r"no cilium\.io policies"):
            asked([document], "10.0.0.1", native=False)
    with pytest.raises(PolicyFault, match="reads no v1 Service"):
        asked([{"apiVersion": "v1", "kind": "Service"}], "10.0.0.1")


def test_protocols_beyond_sctp_need_agents_that_know_them() -> None:
    gre = native({"toPorts": [{"ports": [{"port": "0", "protocol": "GRE"}]}]})
    with pytest.raises(PolicyFault, match="enable-extended-ip-protocols"):
        asked([gre], "10.0.0.1", protocol=47)
    assert asked([gre], "10.0.0.1", protocol=47, extended_protocols=True) == "yyy"
    assert asked([gre], "10.0.0.1", protocol=50, extended_protocols=True) == "nnn"


def test_host_policies_and_pod_policies_do_not_mix() -> None:
    policy = host({"fromCIDR": ["10.0.0.0/8"]}, nodeSelector={"matchLabels": {"role": "edge"}})
    assert asked([policy], "192.0.2.1") == "yyy"

    def node(labels: Mapping[str, str], source: str, protocol: int = 6) -> str:
        readings = read_host([policy, native({})], labels, PacketSpace(), CLUSTER, Options())
        packets = [Packet(c, ipaddress.ip_address(source), protocol, 22) for c in CLASSES]
        return "".join({True: "y", False: "n", None: "u"}[answer_of(readings, p)] for p in packets)

    assert node({"role": "edge"}, "10.0.0.1") == "ynn"
    assert node({"role": "edge"}, "192.0.2.1") == "nnn"
    assert node({"role": "db"}, "192.0.2.1") == "yyy"
    assert node({"role": "edge"}, "10.0.0.1", 47) == "nnn"
    assert node({"role": "db"}, "10.0.0.1", 47) == "uuu"


def test_options_know_the_match_modes() -> None:
    with pytest.raises(ValueError, match="no such CIDR match mode: podz"):
        Options(cidr_match=frozenset({"podz"}))


# -- how much room policies need -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objects", "entries"),
    [
        pytest.param([], 0, id="nothing"),
        pytest.param([native({})], 0, id="default deny"),
        pytest.param([native(TCP_80)], 1, id="anybody"),
        pytest.param([native({"fromCIDR": ["10.0.0.0/8", "192.0.2.0/24"], **TCP_80})], 2, id="two CIDRs"),
        pytest.param([native({"fromCIDR": ["10.0.0.0/8", "10.1.0.0/16"]})], 2, id="one inside the other"),
        pytest.param(
            [native({"fromCIDR": ["10.0.0.0/8"]}, {"fromCIDR": ["10.1.0.0/16"], **TCP_80})],
            3,
            id="the wide rule holds for the inner identity too",
        ),
        pytest.param(
            [native({"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.1.2.0/24"]}]})],
            1,
            id="exceptions have no entry",
        ),
        pytest.param(
            [native({"fromEntities": ["world"]}, {"fromCIDR": ["10.0.0.0/8"], **TCP_80})], 4, id="world"
        ),
        pytest.param([native({"fromEntities": ["cluster"]})], 2, id="pods and nodes count once each"),
        pytest.param([native({"toPorts": [{"ports": [{"port": "1", "endPort": 65534}]}]})], 90, id="a range"),
        pytest.param(
            [native({"toPorts": [{"ports": [{"port": "0", "protocol": "TCP"}]}]})], 1, id="all ports"
        ),
        pytest.param([native({"icmps": [{"fields": [{"type": 8}, {"type": 0}]}]})], 2, id="ICMP types"),
        pytest.param([native(WORLD, deny=[WORLD])], 1, id="a denial takes the place"),
        pytest.param(
            [
                group("a", "10.0.0.0/8", "10.1.0.0/16"),
                native({"fromCIDRSet": [{"cidrGroupRef": "a"}], **TCP_80}),
            ],
            2,
            id="a group",
        ),
        pytest.param(
            [kubernetes({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{}]})], 1, id="k8s"
        ),
    ],
)
def test_map_entries(objects: list[Object], entries: int) -> None:
    assert map_entries(objects, IDENTITY, Options()) == entries


def test_map_entries_are_those_counted_one_by_one() -> None:
    for seed in range(60):
        writer = Writer(30_000 + seed)
        cidrs = [writer.block() for _ in range(6)]
        rules: list[Object] = []
        for block in cidrs:
            ports = [{"port": str(writer.rng.choice((80, 81))), "protocol": "TCP"} for _ in range(2)]
            rules.append({"fromCIDRSet": [block, writer.rng.choice(cidrs)], "toPorts": [{"ports": ports}]})
        texts = {"0.0.0.0/0", "::/0"} | {t for b in cidrs for t in (b["cidr"], *b.get("except", []))}
        identities = [ipaddress.ip_network(text) for text in texts]
        counted = set()
        for rule in rules:
            for block in rule["fromCIDRSet"]:
                for identity in identities:
                    within = _inside(identity, block["cidr"])
                    if within and not any(_inside(identity, hole) for hole in block.get("except", [])):
                        counted |= {(identity, port["port"]) for port in rule["toPorts"][0]["ports"]}
        assert map_entries([native(*rules)], IDENTITY, Options()) == len(counted)


def _inside(inner: ipaddress.IPv4Network | ipaddress.IPv6Network, outer: str) -> bool:
    network = ipaddress.ip_network(outer)
    same = inner.version == network.version and inner.prefixlen >= network.prefixlen
    return same and inner.network_address in network


def test_map_entries_of_a_node_and_of_old_agents() -> None:
    policy = host({"fromCIDR": ["10.0.0.0/8"], **TCP_80}, nodeSelector={"matchLabels": {"role": "edge"}})
    assert host_map_entries([policy], {"role": "edge"}, Options()) == 1
    assert host_map_entries([policy], {"role": "db"}, Options()) == 0
    ports = kubernetes({"ports": [{"port": 1, "endPort": 6}]})
    assert map_entries([ports], IDENTITY, Options()) == 4
    assert map_entries([ports], IDENTITY, Options(end_port=False)) == 1
