"""Plain NetworkPolicy as each CNI reads it: against naive per-packet judges, and where they part."""

from __future__ import annotations

import functools
import ipaddress
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from ipt2np.cni.base import Cluster, Identity, PolicyFault, Reading
from ipt2np.cni.kinds import networkpolicy
from ipt2np.cni.kinds.aws import MOST_PREFIXES, read_aws
from ipt2np.cni.kinds.dialects import DIALECTS, flannel_netpol_always
from ipt2np.cni.kinds.kuberouter import MOST_MEMBERS, always, read_kuberouter
from ipt2np.packets import Field, PacketSet, PacketSpace

from . import naive_networkpolicy as naive
from .naive_networkpolicy import (
    GRE,
    ICMP,
    ICMPV6,
    NETWORKS,
    SCTP,
    TCP,
    UDP,
    Answer,
    Packet,
    Policy,
    ingress_of,
)

IDENTITY = Identity("web", naive.NAMESPACE, naive.LABELS)
CLUSTER = Cluster()

Reader = Callable[[Sequence[Policy], PacketSpace], Mapping[str, Reading]]
Judge = Callable[[Sequence[Policy], Packet], Answer]


def _kubernetes(policies: Sequence[Policy], space: PacketSpace) -> Mapping[str, Reading]:
    return networkpolicy.read(list(policies), IDENTITY, space)


def _dialect(name: str) -> Reader:
    return lambda policies, space: DIALECTS[name].read(policies, IDENTITY, space, CLUSTER)


def _kube_router(policies: Sequence[Policy], space: PacketSpace) -> Mapping[str, Reading]:
    return read_kuberouter(policies, IDENTITY, space, CLUSTER)


def _aws(family: int) -> Reader:
    return lambda policies, space: read_aws(policies, IDENTITY, space, CLUSTER, family)


READERS: dict[str, Reader] = {
    "kubernetes": _kubernetes,
    **{name: _dialect(name) for name in DIALECTS},
    "kube-router": _kube_router,
    "aws-4": _aws(4),
    "aws-6": _aws(6),
}
JUDGES: dict[str, Judge] = {
    "kubernetes": naive.kubernetes,
    "calico": naive.raw_ip,
    "gke-calico": naive.raw_ip,
    "antrea": naive.raw_ip,
    "flannel-netpol": naive.raw_ip,
    "ovn-kubernetes": functools.partial(naive.raw_ip, port_less_survives=False, unsettled=True),
    "weave": functools.partial(naive.raw_ip, end_port=False, families=(4,)),
    "azure-npm": functools.partial(naive.raw_ip, families=(4,)),
    "flannel": lambda policies, packet: True,
    "kube-router": naive.kube_router,
}


def fields(packet: Packet) -> dict[Field, int]:
    return {
        Field.FAMILY: int(packet.source.version == 6),
        Field.PROTOCOL: packet.protocol,
        Field.DESTINATION_PORT: packet.port,
        Field.SOURCE: int(packet.source),
    }


def answer(readings: Mapping[str, Reading], packet: Packet) -> Answer:
    reading, header = readings[packet.sender], fields(packet)
    return None if header in reading.undefined else header in reading.admits


def compare(
    reader: Reader, judge: Callable[[Sequence[Policy]], Judge], sets: int, packets: int, **options: Any
) -> Counter[Any]:
    """Every packet of ``sets`` random sets of policies gets the same answer from both; counts of answers by sender."""
    counts: Counter[Any] = Counter()
    for seed in range(sets):
        rng = random.Random(f"dialects {seed}")
        policies = naive.random_policies(rng, **options)
        for policy in policies:
            networkpolicy.validate(policy)
        space = PacketSpace()
        readings = reader(policies, space)
        decide = judge(policies)
        for sender, share in (("external", 2), ("pod", 1), ("node", 1)):
            for packet in naive.boundary_packets(rng, policies, packets * share // 4, sender):
                ours, theirs = answer(readings, packet), decide(policies, packet)
                assert ours == theirs, f"{packet}: reader {ours}, judge {theirs}\n{policies}"
                counts[sender, ours] += 1
    return counts


def assert_telling(counts: Counter[Any], total: int, *, least: float = 0.1) -> None:
    """Enough packets, and of external ones neither answer is rare."""
    external = {given: count for (sender, given), count in counts.items() if sender == "external"}
    assert counts.total() >= total
    assert min(external[True], external[False]) > least * sum(external.values())


RAW = (
    "kubernetes",
    "calico",
    "gke-calico",
    "antrea",
    "flannel-netpol",
    "ovn-kubernetes",
    "weave",
    "azure-npm",
)


@pytest.mark.parametrize("name", RAW)
def test_readings_by_address_against_the_judge(name: str) -> None:
    """112,000 packets in all."""
    counts = compare(READERS[name], lambda _: JUDGES[name], 100, 144, six=name != "azure-npm")
    assert_telling(counts, 14_000, least=0.05 if name in ("kubernetes", "weave") else 0.1)
    if name in ("kubernetes", "ovn-kubernetes", "weave", "azure-npm"):
        assert counts["external", None] > 500
    else:
        assert counts["external", None] == 0
    assert counts["pod", None] > 50
    assert counts["node", None] > 50


def test_flannel_alone_lets_everything_through() -> None:
    counts = compare(READERS["flannel"], lambda _: JUDGES["flannel"], 20, 40)
    assert {given for _, given in counts} == {True}


def test_kube_router_against_the_judge() -> None:
    counts = compare(READERS["kube-router"], lambda _: JUDGES["kube-router"], 400, 252)
    assert_telling(counts, 100_000)
    assert counts["external", None] == 0
    assert counts["pod", None] > 500


@pytest.mark.parametrize("family", [4, 6])
def test_aws_against_the_judge(family: int) -> None:
    """100,000 packets for both families together."""

    def judge(_: Sequence[Policy]) -> Judge:
        tables: dict[Any, dict[str, naive.Entry]] = {}
        return lambda policies, packet: naive.aws(policies, packet, family, tables)

    counts = compare(READERS[f"aws-{family}"], judge, 250, 208)
    assert_telling(counts, 51_000)
    for sender in ("external", "pod", "node"):
        assert counts[sender, None] > 200


# -- where they part -----------------------------------------------------------------------------------------


def block(cidr: str, *excepts: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr, **({"except": list(excepts)} if excepts else {})}}


def tcp(*ports: int | tuple[int, int] | None) -> list[dict[str, Any]]:
    return [
        {"protocol": "TCP"}
        if port is None
        else {"protocol": "TCP", "port": port}
        if isinstance(port, int)
        else {"protocol": "TCP", "port": port[0], "endPort": port[1]}
        for port in ports
    ]


def from_(source: str, port: int = 80, protocol: int = TCP, sender: str = "external") -> Packet:
    return Packet(ipaddress.ip_address(source), protocol, port, sender)


def by_reader(policies: Sequence[Policy], packet: Packet, *names: str) -> dict[str, Answer]:
    """What each reader answers, or those of ``names``."""
    return {name: answer(READERS[name](policies, PacketSpace()), packet) for name in names or READERS}


SCOPED = ("calico", "gke-calico", "antrea", "ovn-kubernetes", "weave", "azure-npm", "flannel-netpol")
"""Readers by address with an exception that takes from its own block alone."""


@pytest.mark.parametrize(
    ("source", "kube_router"),
    [("2001:db8::1", True), ("fd12::1", True), ("fe80::1", False), ("fc00::1", False)],
)
def test_x4_all_of_ipv6_is_less_for_kube_router(source: str, kube_router: bool) -> None:
    policies = [ingress_of({"from": [block("::/0")]})]
    answers = by_reader(
        policies,
        from_(source),
        "calico",
        "antrea",
        "ovn-kubernetes",
        "kube-router",
        "weave",
        "aws-6",
        "aws-4",
    )
    assert answers == {
        **dict.fromkeys(("calico", "antrea", "ovn-kubernetes", "aws-6", "aws-4"), True),
        "kube-router": kube_router,
        "weave": None,
    }
    with pytest.raises(PolicyFault, match="IPv6"):
        READERS["azure-npm"](policies, PacketSpace())


def test_x4_aws_enforces_one_family() -> None:
    """Blocks of the other family do nothing, and its packets pass."""
    policies = [ingress_of({"from": [block("::/0"), block("10.0.0.0/8")], "ports": tcp(80)})]
    for source, port, four, six in (
        ("2001:db8::1", 80, True, True),
        ("2001:db8::1", 81, True, False),
        ("10.1.2.3", 80, True, True),
        ("10.1.2.3", 81, False, True),
        ("11.1.2.3", 80, False, True),
    ):
        assert by_reader(policies, from_(source, port), "aws-4", "aws-6") == {"aws-4": four, "aws-6": six}


def test_x5_an_exception_beside_another_block_of_its_rule() -> None:
    policies = [ingress_of({"from": [block("10.0.0.0/8", "10.1.0.0/16"), block("0.0.0.0/0")]})]
    answers = by_reader(policies, from_("10.1.2.3"), *SCOPED, "kube-router", "aws-4")
    assert answers == {**dict.fromkeys(SCOPED, True), "kube-router": False, "aws-4": False}


def test_x5_an_exception_beside_another_rule_leaks_on_aws_alone() -> None:
    for apart in (
        [ingress_of({"from": [block("10.0.0.0/8", "10.1.0.0/16")]}, {"from": [block("0.0.0.0/0")]})],
        [
            ingress_of({"from": [block("10.0.0.0/8", "10.1.0.0/16")]}),
            ingress_of({"ports": tcp(80)}, name="q"),
        ],
    ):
        answers = by_reader(apart, from_("10.1.2.3"), *SCOPED, "kube-router", "aws-4")
        assert answers == {**dict.fromkeys((*SCOPED, "kube-router"), True), "aws-4": False}


def test_x5_a_more_specific_block_stands_against_the_exception() -> None:
    policies = [
        ingress_of({"from": [block("10.0.0.0/8", "10.1.0.0/16"), block("10.1.2.0/24"), block("10.1.0.0/16")]})
    ]
    assert by_reader(policies, from_("10.1.2.3"), "kube-router", "aws-4", "calico") == dict.fromkeys(
        ("kube-router", "aws-4", "calico"), True
    )
    # Of equal networks in one set the last one counts.
    turned = [ingress_of({"from": [block("10.1.0.0/16"), block("10.0.0.0/8", "10.1.0.0/16")]})]
    assert by_reader(policies, from_("10.1.3.3"), "kube-router", "aws-4") == {
        "kube-router": True,
        "aws-4": True,
    }
    assert by_reader(turned, from_("10.1.3.3"), "kube-router", "aws-4") == {
        "kube-router": False,
        "aws-4": True,
    }


def test_aws_takes_over_the_ports_of_wider_blocks() -> None:
    policies = [
        ingress_of(
            {"from": [block("10.0.0.0/8", "10.2.0.0/16")], "ports": tcp(80)},
            {"from": [block("10.1.0.0/16"), block("10.2.3.0/24")], "ports": tcp(22)},
        )
    ]
    for source, port, expected in (
        ("10.1.0.1", 80, True),
        ("10.1.0.1", 22, True),
        ("10.9.0.1", 22, False),
        ("10.2.3.4", 22, True),
        ("10.2.3.4", 80, False),
        ("10.2.4.4", 80, False),
    ):
        assert by_reader(policies, from_(source, port), "aws-4", "calico") == dict.fromkeys(
            ("aws-4", "calico"), expected
        )


def test_aws_asks_only_a_blocks_first_address_whether_it_is_excepted() -> None:
    """An exception at the beginning of a narrower block keeps the wider block's ports from all of it."""
    policies = [
        ingress_of(
            {"from": [block("10.0.0.0/8", "10.1.0.0/24")], "ports": tcp(80)},
            {"from": [block("10.1.0.0/16")], "ports": tcp(22)},
        )
    ]
    assert by_reader(policies, from_("10.1.9.9", 80), "aws-4", "calico") == {"aws-4": False, "calico": True}


def test_x6_weave_ignores_the_end_of_a_range() -> None:
    policies = [ingress_of({"from": [block("10.0.0.0/8")], "ports": tcp((8000, 8080))})]
    assert set(by_reader(policies, from_("10.1.2.3", 8000), *SCOPED, "kube-router", "aws-4").values()) == {
        True
    }
    answers = by_reader(policies, from_("10.1.2.3", 8001), *SCOPED, "kube-router", "aws-4")
    assert answers == {**dict.fromkeys((*SCOPED, "kube-router", "aws-4"), True), "weave": False}


def test_x7_named_ports_are_refused_before_anyone_reads_them() -> None:
    """OVN-Kubernetes would take the name for all ports of its protocol."""
    policies = [ingress_of({"from": [block("10.0.0.0/8")], "ports": [{"protocol": "TCP", "port": "http"}]})]
    for reader in READERS.values():
        with pytest.raises(PolicyFault, match="http"):
            reader(policies, PacketSpace())
    with pytest.raises(PolicyFault, match="http"):
        networkpolicy.validate(policies[0])


def test_x8_a_port_less_entry_is_lost_beside_numbered_ones_on_ovn() -> None:
    readers = ("kubernetes", *SCOPED, "kube-router", "aws-4")
    beside = [ingress_of({"from": [block("10.0.0.0/8")], "ports": [*tcp(None, 80), {"protocol": "UDP"}]})]
    assert by_reader(beside, from_("10.1.2.3", 81), *readers) == {
        **dict.fromkeys(readers, True),
        "ovn-kubernetes": False,
    }
    for packet in (from_("10.1.2.3", 80), from_("10.1.2.3", 81, UDP)):
        assert set(by_reader(beside, packet, *readers).values()) == {True}
    apart = [ingress_of({"from": [block("10.0.0.0/8")], "ports": tcp(80)}, {"ports": tcp(None)})]
    assert set(by_reader(apart, from_("10.1.2.3", 81), *readers).values()) == {True}


@pytest.mark.parametrize(("ports", "answer_of_aws"), [(24, True), (25, None)])
def test_x15_aws_keeps_24_ports_for_a_prefix(ports: int, answer_of_aws: Answer) -> None:
    policies = [ingress_of({"from": [block("10.0.0.0/8")], "ports": tcp(*range(1001, 1001 + 2 * ports, 2))})]
    for port in (1001, 1047):
        answers = by_reader(policies, from_("10.1.2.3", port), *SCOPED, "kube-router", "aws-4")
        assert answers == {**dict.fromkeys((*SCOPED, "kube-router"), True), "aws-4": answer_of_aws}
    assert by_reader(policies, from_("10.1.2.3", 1002), "aws-4", "calico") == {
        "aws-4": False,
        "calico": False,
    }


def test_x15_the_ports_of_all_policies_and_wider_blocks_count_together() -> None:
    one = ingress_of({"from": [block("10.0.0.0/8")], "ports": tcp(*range(1000, 1020))})
    two = ingress_of({"from": [block("10.1.0.0/16")], "ports": tcp(*range(1015, 1030))}, name="q")
    assert by_reader([one, two], from_("10.1.2.3", 1029), "aws-4", "calico") == {
        "aws-4": None,
        "calico": True,
    }
    assert by_reader([one, two], from_("10.2.2.3", 1019), "aws-4", "calico") == {
        "aws-4": True,
        "calico": True,
    }


def test_x15_a_packet_that_most_entries_match_is_safe() -> None:
    """Of 26 entries 24 stay: one of three that match is always among them."""
    ports = tcp(*range(1000, 1023), (80, 90), (80, 91), (80, 92))
    policies = [ingress_of({"from": [block("10.0.0.0/8")], "ports": ports})]
    assert by_reader(policies, from_("10.1.2.3", 85), "aws-4") == {"aws-4": True}
    assert by_reader(policies, from_("10.1.2.3", 91), "aws-4") == {"aws-4": None}
    assert by_reader(policies, from_("10.1.2.3", 1000), "aws-4") == {"aws-4": None}


# -- protocols, selectors, what passes anyway ----------------------------------------------------------------


@pytest.mark.parametrize("protocol", [ICMP, ICMPV6, GRE])
def test_a_rule_without_ports_is_every_protocol(protocol: int) -> None:
    """OVN-Kubernetes' documents contradict each other about GRE, and the API says nothing at all."""
    answers = by_reader([ingress_of({"from": [block("10.0.0.0/8")]})], from_("10.1.2.3", protocol=protocol))
    expected: dict[str, Answer] = dict.fromkeys(READERS, True)
    expected |= {"kubernetes": None, "ovn-kubernetes": None if protocol == GRE else True}
    assert answers == expected
    with_ports = [
        ingress_of(
            {"from": [block("10.0.0.0/8")], "ports": [*tcp(None), {"protocol": "UDP"}, {"protocol": "SCTP"}]}
        )
    ]
    expected = {**dict.fromkeys(READERS, False), "flannel": True, "aws-6": True}
    expected |= {"kubernetes": None, "ovn-kubernetes": None if protocol == GRE else False}
    assert by_reader(with_ports, from_("10.1.2.3", protocol=protocol)) == expected


@pytest.mark.parametrize("sender", ["external", "pod", "node"])
def test_a_block_matches_whoever_has_the_address(sender: str) -> None:
    policies = [ingress_of({"from": [block("10.0.0.0/8")], "ports": tcp(80)})]
    inside, outside = (
        by_reader(policies, from_("10.1.2.3", sender=sender)),
        by_reader(policies, from_("11.1.2.3", sender=sender)),
    )
    in_doubt = None if sender != "external" else True
    assert inside == dict.fromkeys(READERS, True) | {"kubernetes": in_doubt}
    assert outside == dict.fromkeys(READERS, False) | {"flannel": True, "aws-6": True}


@pytest.mark.parametrize(
    ("peer", "pod"),
    [
        ({"namespaceSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {}, "matchExpressions": []}, "podSelector": {}}, True),
        ({"namespaceSelector": {"matchLabels": {"a": "b"}}}, None),
        ({"namespaceSelector": {}, "podSelector": {"matchLabels": {"a": "b"}}}, None),
        ({"podSelector": {}}, None),
    ],
)
def test_selectors_of_pods(peer: dict[str, Any], pod: Answer) -> None:
    policies = [ingress_of({"from": [peer], "ports": tcp(80)})]
    filtering = {name for name in READERS if name not in ("flannel", "aws-6")}
    for sender, expected in (("external", False), ("pod", pod), ("node", None)):
        assert by_reader(policies, from_("10.1.2.3", sender=sender), *filtering) == dict.fromkeys(
            filtering, expected
        )
        assert by_reader(policies, from_("10.1.2.3", 81, sender=sender), *filtering) == dict.fromkeys(
            filtering, False
        )


def test_a_pod_that_no_policy_isolates_is_open() -> None:
    other = naive.policy_of({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": []})
    egress = naive.policy_of({"podSelector": {}, "policyTypes": ["Egress"], "egress": []}, "q")
    for name, reader in READERS.items():
        space = PacketSpace()
        for reading in reader([other, egress], space).values():
            assert reading.admits == space.everything, name
            assert name == "kubernetes" or not reading.undefined


def icmp(space: PacketSpace, family: int, number: int) -> PacketSet:
    protocol = space.value(Field.PROTOCOL, ICMP if family == 4 else ICMPV6)
    return space.family(family) & protocol & space.value(Field.ICMP_TYPE, number)


def test_what_passes_whatever_policies_say() -> None:
    space = PacketSpace()
    expected = space.nothing
    for family, numbers in ((4, (3, 8, 11)), (6, (1, 3, 128, 129, 135, 136))):
        for number in numbers:
            expected |= icmp(space, family, number)
    assert always(space) == expected
    discovery = space.nothing
    for number in (133, 134, 135, 136, 137):
        discovery |= icmp(space, 6, number)
    assert flannel_netpol_always(space) == discovery


# -- large lists, hostile lists ------------------------------------------------------------------------------


def random_hosts(count: int, seed: int = 1) -> list[str]:
    rng = random.Random(seed)
    chosen: set[int] = set()
    while len(chosen) < count:
        chosen.add(rng.randrange(1 << 24, 0xDF000000))
    return [f"{ipaddress.IPv4Address(number)}/32" for number in sorted(chosen)]


@pytest.mark.parametrize(
    ("name", "selectors"),
    [
        ("kubernetes", False),
        ("ovn-kubernetes", True),
        ("kube-router", False),
        ("aws-4", False),
        ("aws-4", True),
    ],
)
def test_forty_thousand_bans_and_friends(name: str, selectors: bool) -> None:
    bans, friends = random_hosts(40_000), random_hosts(10_000, 2)
    pods: list[naive.Rule] = [{"namespaceSelector": {}}] if selectors else []
    welcome = [
        {"from": [block(friend), *pods], "ports": tcp(22, number % 7 + 1000)}
        for number, friend in enumerate(friends)
    ]
    policies = [
        ingress_of({"from": [block("0.0.0.0/0", *bans)], "ports": tcp(80, 443)}),
        ingress_of(*welcome, name="q"),
    ]
    readings = READERS[name](policies, PacketSpace())
    friendly, banned = set(friends), set(bans)
    for text in (*bans[::97], *friends[::97], "192.0.2.1/32"):
        source = text.removesuffix("/32")
        assert answer(readings, from_(source, 80)) is (text not in banned)
        assert answer(readings, from_(source, 22)) is (text in friendly)


def test_more_networks_than_fit_are_refused() -> None:
    hosts = random_hosts(MOST_MEMBERS)
    assert MOST_MEMBERS == MOST_PREFIXES
    fits = [ingress_of({"from": [block(host) for host in hosts[:-1]]})]
    for name in ("kube-router", "aws-4"):
        READERS[name](fits, PacketSpace())
    full = [ingress_of({"from": [block("0.0.0.0/0", *hosts)]})]
    for name in ("kube-router", "aws-4"):
        with pytest.raises(PolicyFault, match="takes 65536"):
            READERS[name](full, PacketSpace())
    READERS["calico"](full, PacketSpace())


def test_nested_blocks_with_many_ports_are_a_fault_and_not_a_stall() -> None:
    """Ports of the widest block are taken over by each of many narrower ones, which all differ."""
    wide = {"from": [block("0.0.0.0/0")], "ports": tcp(*range(1, 6001, 2))}
    narrow = [{"from": [block(host)], "ports": tcp(10_000 + n)} for n, host in enumerate(random_hosts(4000))]
    with pytest.raises(PolicyFault, match="entries of ports"):
        READERS["aws-4"]([ingress_of(wide, *narrow)], PacketSpace())


def test_the_networks_of_the_generator_nest_and_touch() -> None:
    """The random sets are about overlaps: blocks in blocks, an exception equal to another block, both families."""
    seen: Counter[str] = Counter()
    for seed in range(100):
        policies = naive.random_policies(random.Random(f"dialects {seed}"))
        blocks = [
            p["ipBlock"] for r in naive.rules_of(policies) for p in r.get("from") or [] if "ipBlock" in p
        ]
        cidrs = [each["cidr"] for each in blocks]
        excepts = [hole for each in blocks for hole in each.get("except", [])]
        seen["equal blocks"] += len(set(cidrs)) < len(cidrs)
        seen["exception is a block"] += bool({*cidrs} & {*excepts})
        seen["all of a family"] += bool({"0.0.0.0/0", "::/0"} & {*cidrs})
        seen["both families"] += len({":" in cidr for cidr in cidrs}) == 2
        seen["many ports"] += any(len(rule.get("ports") or []) > 14 for rule in naive.rules_of(policies))
        seen["not isolated"] += not naive.isolating(policies)
    assert min(seen.values()) >= 2, seen
    assert len(seen) == 6
    assert len(set(NETWORKS)) == len(NETWORKS)
    assert {SCTP, UDP} <= {*naive.NUMBERS.values()}
