"""What Calico's objects let through, class by class, and what nobody can say."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from itertools import product
from typing import Any

import pytest

from ipt2np import Field, Identity, PacketSet, PacketSpace
from ipt2np.cni.base import PolicyFault, Reading
from ipt2np.cni.kinds import networkpolicy
from ipt2np.cni.kinds.calico import DEFAULT_ALLOW, VALIDATORS, failsafe, read, read_host
from ipt2np.cni.kinds.calico_verdict import Match, Step, TierSteps, judge

from .calico_objects import ALLOW, Object, everywhere, host_endpoint, local, network_set, tier

IDENTITY = Identity("web", "shop", {"app": "web"})
DENY: Object = {"action": "Deny"}
PASS: Object = {"action": "Pass"}
CLASSES = ("external", "pod", "node")


def valid(*objects: Object) -> list[Object]:
    validators = {**VALIDATORS, **networkpolicy.VALIDATORS}
    for item in objects:
        validators[item["apiVersion"], item["kind"]](item)
    return list(objects)


def of(*objects: Object) -> Mapping[str, Reading]:
    return read(valid(*objects), IDENTITY, PacketSpace())


def packet(source: str = "192.0.2.1", protocol: int = 6, port: int = 22, **fields: int) -> dict[Field, int]:
    address = ip_address(source)
    named = {Field[name.upper()]: value for name, value in fields.items()}
    return {
        Field.FAMILY: int(address.version == 6),
        Field.SOURCE: int(address),
        Field.PROTOCOL: protocol,
        Field.DESTINATION_PORT: port,
        Field.SOURCE_PORT: 40000,
        **named,
    }


def answer(reading: Reading, *args: Any, **fields: Any) -> bool | None:
    """True for a packet that is admitted, None for one of which nothing is said."""
    found = packet(*args, **fields)
    assert not (found in reading.admits and found in reading.undefined)
    return None if found in reading.undefined else found in reading.admits


def answers(readings: Mapping[str, Reading], *args: Any, **fields: int) -> tuple[bool | None, ...]:
    """The answers for external, pod and node sources."""
    return tuple(answer(readings[name], *args, **fields) for name in CLASSES)


# -- tiers and policies -----------------------------------------------------------------------------------------------


def test_a_pod_that_no_policy_selects_is_open() -> None:
    readings = of(
        local(selector="app == 'db'"), local(name="q", namespace="other"), local(name="r", types=["Egress"])
    )
    assert all(reading.admits == reading.admits.space.everything for reading in readings.values())


def test_a_selected_pod_is_closed_to_every_protocol() -> None:
    readings = of(local(ALLOW | {"protocol": "TCP"}))
    assert answers(readings) == (True, True, True)
    assert answers(readings, "192.0.2.1", 1) == (False, False, False)
    assert not any(reading.undefined for reading in readings.values())


def test_the_first_rule_that_matches_decides() -> None:
    readings = of(local(DENY | {"source": {"nets": ["192.0.2.0/24"]}}, {"action": "Log"}, ALLOW))
    assert answers(readings) == (False, False, False)
    assert answers(readings, "198.51.100.1") == (True, True, True)


def test_policies_of_both_kinds_stand_in_one_order() -> None:
    assert answer(of(local(ALLOW, order=2), everywhere(DENY, order=1))["external"]) is False
    assert answer(of(local(ALLOW, order=1), everywhere(DENY, order=2))["external"]) is True
    assert answer(of(local(ALLOW), everywhere(DENY, order=2))["external"]) is False


def test_pass_leads_to_the_next_tier_and_in_the_end_to_the_profile() -> None:
    early, later = tier("early", order=1), local(DENY)
    assert answer(of(early, everywhere(PASS, tier="early"), later)["external"]) is False
    assert answer(of(early, everywhere(PASS, tier="early"))["external"]) is True
    assert answer(of(early, everywhere(ALLOW, tier="early"), later)["external"]) is True


def test_a_tier_in_which_a_policy_applies_ends_in_its_default_action() -> None:
    assert answer(of(tier("early", order=1), everywhere(tier="early"), local(ALLOW))["external"]) is False
    passing = tier("early", order=1, defaultAction="Pass")
    assert answer(of(passing, everywhere(tier="early"), local(ALLOW))["external"]) is True
    assert answer(
        of(tier("early", order=1), everywhere(tier="early", selector="app == 'db'"), local(ALLOW))["external"]
    )


def test_the_tiers_that_are_always_there() -> None:
    assert answer(of(everywhere(DENY, tier="kube-admin"), local(ALLOW))["external"]) is False
    assert answer(of(everywhere(DENY, tier="kube-baseline"), local(PASS))["external"]) is False
    assert answer(of(everywhere(DENY, tier="kube-baseline"), local(ALLOW))["external"]) is True
    with pytest.raises(PolicyFault, match="'early', which is not there"):
        of(everywhere(DENY, tier="early"))


def test_a_tie_that_versions_break_differently_is_undefined() -> None:
    """By name since the key of a policy has its kind, by namespace, tier and name before."""
    assert answers(of(local(ALLOW, name="b", order=1), local(DENY, name="a", order=1))) == (False,) * 3
    assert answers(of(local(ALLOW, name="a", order=1), everywhere(DENY, name="z", order=1))) == (None,) * 3
    assert answers(of(local(ALLOW, name="web", order=1), local(DENY, name="web-1", order=1))) == (None,) * 3
    assert answers(of(local(ALLOW, name="web-1", order=1), local(ALLOW, name="web", order=1))) == (True,) * 3


def test_types_follow_from_the_rules_where_none_are_said() -> None:
    without = local(name="q")
    del without["spec"]["types"], without["spec"]["ingress"]
    assert answer(of(without)["external"]) is False
    egress = local(name="q", egress=[ALLOW])
    del egress["spec"]["types"]
    assert answer(of(egress)["external"]) is True


def test_policies_for_hosts_do_not_concern_pods() -> None:
    for flag in ("preDNAT", "doNotTrack"):
        flags: Object = {"applyOnForward": True, flag: True}
        assert answer(of(everywhere(DENY, **flags))["external"]) is True
    assert answer(of(everywhere(DENY, applyOnForward=True))["external"]) is False


def test_what_hangs_on_labels_of_the_namespace_is_undefined() -> None:
    assert answers(of(everywhere(DENY, namespaceSelector="team == 'a'"))) == (None,) * 3
    assert answers(of(everywhere(DENY, namespaceSelector="team == 'a'"), local(DENY))) == (False,) * 3
    assert (
        answers(of(everywhere(ALLOW, namespaceSelector="team == 'a'", order=1), local(DENY))) == (None,) * 3
    )
    assert answers(of(everywhere(DENY, namespaceSelector="projectcalico.org/name == 'shop'"))) == (False,) * 3
    assert answers(of(everywhere(DENY, namespaceSelector="projectcalico.org/name == 'x'"))) == (True,) * 3
    assert answers(of(everywhere(DENY, serviceAccountSelector="team == 'a'"))) == (None,) * 3


# -- what rules match -------------------------------------------------------------------------------------------------


def test_a_rule_with_nets_of_one_family_says_nothing_of_the_other() -> None:
    readings = of(local(ALLOW | {"source": {"notNets": ["10.0.0.0/8"]}}))
    assert answers(readings) == (True,) * 3
    assert answers(readings, "10.0.0.1") == (False,) * 3
    assert answers(readings, "2001:db8::1") == (False,) * 3


def test_icmp_of_the_wrong_family_is_undefined() -> None:
    readings = of(local(ALLOW | {"protocol": "ICMP", "icmp": {"type": 8}}))
    assert answers(readings, "192.0.2.1", 1, icmp_type=8) == (True,) * 3
    assert answers(readings, "2001:db8::1", 1, icmp_type=8) == (None,) * 3
    assert answers(readings, "2001:db8::1", 58, icmp_type=8) == (False,) * 3
    assert not of(local(ALLOW | {"protocol": "ICMP", "ipVersion": 4, "icmp": {"type": 8}}))[
        "external"
    ].undefined


def test_not_icmp_leaves_the_other_codes_of_a_type() -> None:
    readings = of(local(ALLOW | {"protocol": "ICMP", "ipVersion": 4, "notICMP": {"type": 3, "code": 1}}))
    assert answer(readings["external"], "192.0.2.1", 1, icmp_type=3, icmp_code=1) is False
    assert answer(readings["external"], "192.0.2.1", 1, icmp_type=3, icmp_code=2) is True
    assert answer(readings["external"], "192.0.2.1", 1, icmp_type=8, icmp_code=1) is True


def test_a_named_port_is_some_port() -> None:
    readings = of(local(ALLOW | {"protocol": "TCP", "destination": {"ports": ["web", 22]}}))
    assert answers(readings) == (True,) * 3
    assert answers(readings, "192.0.2.1", 6, 80) == (None,) * 3
    assert answers(readings, "192.0.2.1", 17, 80) == (False,) * 3
    readings = of(local(ALLOW | {"protocol": "TCP", "destination": {"notPorts": ["web", 22]}}))
    assert answers(readings) == (False,) * 3
    assert answers(readings, "192.0.2.1", 6, 80) == (None,) * 3
    readings = of(local(ALLOW | {"destination": {"ports": ["web"]}}))
    assert answers(readings, "192.0.2.1", 132, 80) == (None,) * 3
    assert answers(readings, "192.0.2.1", 47, 80) == (False,) * 3


def test_the_address_of_the_pod_is_not_known() -> None:
    readings = of(local(ALLOW | {"destination": {"nets": ["10.0.0.0/8"]}}))
    assert answers(readings) == (None,) * 3
    assert answers(readings, "2001:db8::1") == (False,) * 3
    assert answers(of(local(ALLOW | {"destination": {"notNets": ["10.0.0.0/8"]}}))) == (None,) * 3


def test_a_selector_of_the_destination_is_held_against_the_pod() -> None:
    assert answers(of(local(ALLOW | {"destination": {"selector": "app == 'web'"}}))) == (True,) * 3
    assert answers(of(local(ALLOW | {"destination": {"selector": "app == 'db'"}}))) == (False,) * 3
    assert answers(of(local(ALLOW | {"destination": {"notSelector": "app == 'web'"}}))) == (False,) * 3
    found = network_set("s", {"app": "db"}, "10.0.0.0/8", namespace="shop")
    assert answers(of(found, local(ALLOW | {"destination": {"selector": "app == 'db'"}}))) == (None,) * 3


def test_services_and_http_may_match() -> None:
    assert answers(of(local(ALLOW | {"source": {"services": {"name": "web"}}}))) == (None,) * 3
    assert answers(of(local(ALLOW | {"protocol": "TCP", "http": {"methods": ["GET"]}}))) == (None,) * 3


# -- selectors of sources ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"selector": "all()"}, (False, True, None)),
        ({"selector": "app == 'db'"}, (False, None, None)),
        ({"selector": "projectcalico.org/orchestrator == 'k8s'"}, (False, True, False)),
        ({"selector": "all()", "namespaceSelector": "all()"}, (False, True, False)),
        ({"selector": "all()", "namespaceSelector": "global()"}, (False, False, None)),
        ({"namespaceSelector": "all()"}, (False, True, False)),
        ({"namespaceSelector": "team == 'a'"}, (False, None, None)),
        ({"namespaceSelector": "projectcalico.org/name == 'shop'"}, (False, None, None)),
        ({"serviceAccounts": {"names": ["web"]}}, (False, None, False)),
        ({"serviceAccounts": {"selector": "team == 'a'"}}, (False, None, None)),
        ({"notSelector": "all()"}, (True, False, None)),
        ({"notSelector": "app == 'db'"}, (True, None, None)),
        ({"selector": "all()", "notSelector": "app == 'db'"}, (False, None, None)),
    ],
)
def test_a_selector_of_a_global_policy(source: Object, expected: tuple[bool | None, ...]) -> None:
    """External sources are nothing that a selector finds; of pods and hosts nobody knows the addresses."""
    assert answers(of(everywhere(ALLOW | {"source": source}))) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"selector": "all()"}, (False, None, False)),
        ({"notSelector": "app == 'db'"}, (False, None, False)),
        ({"selector": "all()", "namespaceSelector": "all()"}, (False, True, False)),
        ({"selector": "all()", "namespaceSelector": "global()"}, (False, False, None)),
    ],
)
def test_a_selector_of_a_policy_of_a_namespace(source: Object, expected: tuple[bool | None, ...]) -> None:
    """Limited to the namespace by any selector, ``notSelector`` alone included."""
    assert answers(of(local(ALLOW | {"source": source}))) == expected


def test_a_selector_finds_the_addresses_of_sets_for_every_class() -> None:
    bad = network_set("bad", {"set": "bad"}, "192.0.2.0/24", "2001:db8::/32")
    rule = {"source": {"selector": "set == 'bad'", "namespaceSelector": "global()"}}
    readings = of(bad, local(DENY | rule, ALLOW))
    assert answers(readings)[:2] == (False, False)
    assert answers(readings, "2001:db8::1")[:2] == (False, False)
    assert answers(readings, "198.51.100.1") == (True, True, None)


def test_a_set_of_a_namespace_is_found_there() -> None:
    mine, other = (network_set("s", {"set": "a"}, net, namespace=name) for name, net in NAMED.items())
    readings = of(mine, other, local(ALLOW | {"source": {"selector": "set == 'a'"}}))
    assert [answer(readings["external"], source) for source in ("192.0.2.1", "198.51.100.1")] == [True, False]
    readings = of(mine, other, everywhere(ALLOW | {"source": {"selector": "set == 'a'"}}))
    assert [answer(readings["external"], source) for source in ("192.0.2.1", "198.51.100.1")] == [True, True]
    spaces = {"selector": "set == 'a'", "namespaceSelector": "projectcalico.org/name == 'other'"}
    readings = of(mine, other, local(ALLOW | {"source": spaces}))
    assert [answer(readings["external"], source) for source in ("192.0.2.1", "198.51.100.1")] == [False, True]
    readings = of(mine, other, local(ALLOW | {"source": spaces | {"namespaceSelector": "team == 'a'"}}))
    assert [answer(readings["external"], source) for source in ("192.0.2.1", "203.0.113.1")] == [None, False]


NAMED = {"shop": "192.0.2.0/24", "other": "198.51.100.0/24"}


def test_expected_addresses_of_host_endpoints_are_found_too() -> None:
    host = host_endpoint("h", {"role": "gate"}, expectedIPs=["192.0.2.1"])
    readings = of(host, everywhere(ALLOW | {"source": {"selector": "role == 'gate'"}}))
    assert answers(readings) == (True, True, True)
    assert answers(readings, "192.0.2.2") == (False, None, None)


# -- Kubernetes policies ----------------------------------------------------------------------------------------------


def kubernetes(*rules: Object, **spec: Any) -> Object:
    meta = {"name": "k", "namespace": "shop"}
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [*rules], **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}


def test_a_kubernetes_policy_is_enforced_at_order_1000() -> None:
    block = kubernetes({"from": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}}]})
    assert answers(of(block)) == (True,) * 3
    assert answers(of(block), "192.0.2.129") == (False,) * 3
    assert answers(of(block, local(DENY, order=999))) == (False,) * 3
    assert answers(of(block, local(DENY, order=1001))) == (True,) * 3
    assert answers(of(kubernetes(podSelector={"matchLabels": {"app": "db"}}))) == (True,) * 3


def test_an_except_holds_for_its_own_block_and_ports_for_their_protocol() -> None:
    peers = [
        {"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.0/25"]}},
        {"ipBlock": {"cidr": "192.0.2.1/32"}},
    ]
    ports: list[Object] = [{"port": 80, "endPort": 90}, {"protocol": "UDP", "port": 1}, {"protocol": "UDP"}]
    readings = of(kubernetes({"from": peers, "ports": ports}))
    assert [answer(readings["external"], "192.0.2.1", 6, port) for port in (79, 80, 90, 91)] == [
        False,
        True,
        True,
        False,
    ]
    assert answer(readings["external"], "192.0.2.2", 6, 80) is False
    assert answer(readings["external"], "192.0.2.1", 17, 4000) is True
    assert answer(readings["external"], "192.0.2.1", 1) is False


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ({"podSelector": {}, "namespaceSelector": {}}, (False, True, False)),
        ({"namespaceSelector": {}}, (False, True, False)),
        ({"podSelector": {}}, (False, None, False)),
        ({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}, (False, None, False)),
        ({"namespaceSelector": {"matchLabels": {"team": "a"}}}, (False, None, False)),
    ],
)
def test_pods_as_peers(peer: Object, expected: tuple[bool | None, ...]) -> None:
    assert answers(of(kubernetes({"from": [peer]}))) == expected


# -- hosts ------------------------------------------------------------------------------------------------------------

LABELS = {"set": "gate"}
NUMBERS = {"eth0": 3, "eth1": 4}


def of_host(*objects: Object) -> Mapping[str, Reading]:
    return read_host(valid(*objects), LABELS, NUMBERS.__getitem__, PacketSpace())


def through(readings: Mapping[str, Reading], interface: int, *args: Any, **fields: int) -> bool | None:
    return answer(readings["external"], *args, interface=interface, **fields)


GATE = host_endpoint("gate", LABELS, interfaceName="eth0")
SSH = everywhere(ALLOW | {"protocol": "TCP", "destination": {"ports": [22]}}, selector="set == 'gate'")


def test_a_host_without_an_endpoint_is_open() -> None:
    other = host_endpoint("other", {"set": "else"}, interfaceName="*")
    assert all(reading.admits == reading.admits.space.everything for reading in of_host(other, SSH).values())


def test_an_endpoint_without_policy_is_closed_and_its_profile_may_open_it() -> None:
    assert through(of_host(GATE), 3) is False
    assert (
        through(of_host(host_endpoint("gate", LABELS, interfaceName="eth0", profiles=[DEFAULT_ALLOW])), 3)
        is True
    )
    assert through(of_host(host_endpoint("gate", LABELS, interfaceName="eth0", profiles=["own"])), 3) is None


def test_a_named_endpoint_governs_its_interface_only() -> None:
    readings = of_host(GATE, SSH)
    assert [through(readings, number) for number in (3, 4)] == [True, True]
    assert [through(readings, number, "192.0.2.1", 6, 23) for number in (3, 4)] == [False, True]
    assert not any(reading.undefined for reading in readings.values())


def test_the_endpoint_for_all_interfaces_leaves_the_named_ones() -> None:
    rest = host_endpoint("rest", {**LABELS, "rest": "yes"}, interfaceName="*")
    web = everywhere(
        ALLOW | {"protocol": "TCP", "destination": {"ports": [80]}}, name="web", selector="has(rest)", order=1
    )
    readings = of_host(GATE, rest, SSH, web)
    assert [through(readings, number, "192.0.2.1", 6, 22) for number in (3, 4, 0)] == [True, True, True]
    assert [through(readings, number, "192.0.2.1", 6, 80) for number in (3, 4, 0)] == [False, True, True]


def test_policies_of_a_namespace_and_of_kubernetes_do_not_concern_hosts() -> None:
    assert through(of_host(GATE, local(ALLOW), kubernetes({})), 3) is False


def test_the_destination_is_compared_on_hosts() -> None:
    rule = ALLOW | {"destination": {"nets": ["192.0.2.0/24"]}}
    readings = of_host(GATE, everywhere(rule))
    assert through(readings, 3, "198.51.100.1", destination=int(ip_address("192.0.2.9"))) is True
    assert through(readings, 3, "198.51.100.1", destination=int(ip_address("192.0.3.9"))) is False
    assert not readings["external"].undefined
    assert through(of_host(GATE, everywhere(ALLOW | {"destination": {"selector": "all()"}})), 3) is None


def test_policies_before_dnat_or_tracking_may_decide_otherwise() -> None:
    for flag in ("preDNAT", "doNotTrack"):
        flags: Object = {"applyOnForward": True, flag: True}
        early = everywhere(DENY | {"protocol": "TCP"}, name="early", **flags)
        readings = of_host(GATE, SSH, early)
        assert through(readings, 3) is None
        assert through(readings, 3, "192.0.2.1", 6, 23) is False
        assert through(readings, 3, "192.0.2.1", 17, 22) is False


def test_policies_for_forwarded_packets_are_for_the_hosts_own_too() -> None:
    assert through(of_host(GATE, everywhere(ALLOW, applyOnForward=True)), 3) is True


def test_an_endpoint_known_by_its_addresses_may_be_any() -> None:
    readings = of_host(host_endpoint("gate", LABELS, expectedIPs=["192.0.2.1"]), SSH)
    assert through(readings, 3) is True
    assert through(readings, 3, "192.0.2.1", 6, 23) is None


def test_nodes_that_differ_are_undefined_where_they_do() -> None:
    second = host_endpoint("second", {**LABELS, "more": "yes"}, "n2", interfaceName="eth0")
    more = everywhere(ALLOW | {"protocol": "UDP"}, name="more", selector="has(more)", order=1)
    readings = of_host(GATE, second, SSH, more)
    assert [through(readings, 3, "192.0.2.1", protocol, 22) for protocol in (6, 17, 1)] == [True, None, False]


def test_pods_as_sources_of_a_host() -> None:
    readings = of_host(GATE, everywhere(ALLOW | {"source": {"namespaceSelector": "all()"}}))
    assert answers(readings, interface=3) == (False, True, False)


def test_failsafe_ports() -> None:
    admitted = failsafe(PacketSpace())
    for protocol, port, expected in (
        (6, 22, True),
        (17, 68, True),
        (17, 22, False),
        (6, 80, False),
        (6, 6667, True),
    ):
        assert (packet(protocol=protocol, port=port) in admitted) is expected


# -- the engine -------------------------------------------------------------------------------------------------------


def outcomes(tiers: list[tuple[list[tuple[str, bool]], str, bool]], at_the_end: str) -> str:
    """What becomes of one packet: tiers of (action, whether the rule matches), default action, whether any applies."""
    for steps, default, applies in tiers:
        if not applies:
            continue
        verdict = next((action for action, matches in steps if matches and action != "Log"), default)
        if verdict != "Pass":
            return verdict
    return at_the_end


def possibilities(tiers: list[TierSteps], probe: Mapping[Field, int]) -> Iterator[list[Any]]:
    """Every way in which what is not certain may turn out."""
    for applied in product((True, False), repeat=len(tiers)):
        if any(each.certain and not yes for each, yes in zip(tiers, applied, strict=True)):
            continue
        ways = []
        for each, yes in zip(tiers, applied, strict=True):
            options = [
                [(step.action, yes) for yes in {probe in step.match.must, probe in step.match.may}]
                for step in each.steps
            ]
            ways.append([(list(way), each.default_action, yes) for way in product(*options)])
        for choice in product(*ways):
            yield list(choice)


def test_a_verdict_is_exactly_what_may_turn_out() -> None:
    """On small universes: may be allowed, may be denied, for every way in which the uncertain may be."""
    rng = random.Random(3)
    undecided = 0
    for _ in range(300):
        space = PacketSpace()
        tiers = []
        for _ in range(rng.randint(0, 3)):
            certain = rng.random() < 0.7
            steps = []
            for _ in range(rng.randint(0, 3)):
                may = _some(rng, space)
                must = may if rng.random() < 0.6 else may & _some(rng, space)
                steps.append(
                    Step(
                        rng.choice(("Allow", "Deny", "Pass", "Log")),
                        Match(must if certain else space.nothing, may),
                    )
                )
            tiers.append(TierSteps(tuple(steps), rng.choice(("Deny", "Pass")), certain))
        at_the_end = rng.choice((("Allow",), ("Deny",), ("Allow", "Deny")))
        verdict = judge(space, tiers, at_the_end)
        for value in range(4):
            probe = {Field.PROTOCOL: value << 6}
            found = {outcomes(way, end) for way in possibilities(tiers, probe) for end in at_the_end}
            assert (probe in verdict.allowed, probe in verdict.denied) == ("Allow" in found, "Deny" in found)
            undecided += len(found) == 2
    assert undecided > 100


def _some(rng: random.Random, space: PacketSpace) -> PacketSet:
    ranges = tuple((value << 6, (value << 6) + 63) for value in range(4) if rng.random() < 0.5)
    return space.values(Field.PROTOCOL, ranges)
