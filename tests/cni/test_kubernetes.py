"""What is written for ``--cni kubernetes``, and what an API server would not take."""

from __future__ import annotations

import copy
import ipaddress
import json
import os
import random
from collections.abc import Callable, Sequence
from typing import Any

import kubernetes_validate
import pytest
import yaml

from ipt2np import (
    CNIS,
    AddressSet,
    Conversion,
    Field,
    Identity,
    InDoubt,
    Options,
    OtherFamily,
    PacketSpace,
    Verdict,
    conclude,
    convert,
    draft,
    parse_ruleset,
)
from ipt2np.cni import networkpolicies
from ipt2np.cni.base import Cluster, PolicyFault
from ipt2np.cni.kinds.networkpolicy import VALIDATORS, selects, validate
from ipt2np.cni.manifests import is_name, load
from tests.dumps import dump, parsed
from tests.sample_hosts import HOSTS, IDENTITY, drafted, rulesets

Rules = list[dict[str, Any]]
MIB = 1 << 20

ANY_V4 = [{"ipBlock": {"cidr": "0.0.0.0/0"}}]
ANY_V6 = [{"ipBlock": {"cidr": "::/0"}}]


def converted(*rules: str, policy: str = "DROP", rules6: Sequence[str] = (), **options: Any) -> Conversion:
    """A host whose INPUT chain has these rules; with ``rules6``, a dual-stack one."""
    hosts = [parsed(dump(*rules, policy=policy))]
    if rules6:
        text = dump(*rules6, policy=policy).encode()
        hosts.append(parse_ruleset(text, "rules.v6", family=6, first_number=len(rules)))
    return convert(hosts, Options(identity=IDENTITY, **options))


def ingress(conversion: Conversion) -> Rules:
    """The rules of the only object."""
    (policy,) = yaml.safe_load_all(conversion.text)
    result: Rules = policy["spec"]["ingress"]
    return result


def peers(*cidrs: str) -> Rules:
    return [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]


def tcp(*ports: int | tuple[int, int]) -> Rules:
    return [
        {"protocol": "TCP", "port": port}
        if isinstance(port, int)
        else {"protocol": "TCP", "port": port[0], "endPort": port[1]}
        for port in ports
    ]


# -- the shape of what is written ------------------------------------------------------------------------


def test_a_subnet_with_a_hole_is_one_block_with_one_exception() -> None:
    conversion = convert(rulesets(("subnet-with-a-hole.v4",)), Options(identity=IDENTITY))
    (policy,) = yaml.safe_load_all(conversion.text)
    assert policy["spec"] == {
        "podSelector": {"matchLabels": {"app": "web", "tier": "front"}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"ipBlock": {"cidr": "172.17.0.0/16", "except": ["172.17.1.0/24"]}}]}],
    }
    assert (policy["metadata"]["name"], policy["metadata"]["namespace"]) == ("web", "shop")
    assert conversion.proof.verdict is Verdict.EQUAL
    assert conversion.proof.differences == ()


def test_services_with_equal_sources_share_a_rule() -> None:
    conversion = converted(
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A INPUT -s 192.168.1.0/24 -p tcp -m tcp --dport 5432 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/8 -p udp -m udp --dport 161 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 9100 -j ACCEPT",
    )
    assert ingress(conversion) == [
        {"from": peers("10.0.0.0/8"), "ports": [*tcp(22, 9100), {"protocol": "UDP", "port": 161}]},
        {"from": peers("192.168.1.0/24"), "ports": tcp(5432)},
    ]
    assert conversion.proof.verdict is Verdict.EQUAL


def test_sources_that_differ_only_where_nothing_comes_from_share_a_rule() -> None:
    conversion = converted(
        "-A INPUT -s 127.0.0.0/8 -p tcp -m tcp --dport 25 -j DROP",
        "-A INPUT -p tcp -m tcp --dport 25 -j ACCEPT",
        "-A INPUT -s 224.0.0.0/4 -p tcp -m tcp --dport 80 -j DROP",
        "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT",
    )
    assert ingress(conversion) == [{"from": ANY_V4, "ports": tcp(25, 80)}]
    assert conversion.proof.verdict is Verdict.EQUAL


def test_a_range_of_ports_is_written_with_an_end_port() -> None:
    conversion = converted("-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 8000:8080 -j ACCEPT")
    assert ingress(conversion) == [{"from": peers("10.0.0.0/8"), "ports": tcp((8000, 8080))}]


def test_neighbouring_ports_become_a_range() -> None:
    conversion = converted(
        "-A INPUT -s 10.0.0.0/8 -p tcp -m multiport --dports 80,81,83 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 82 -j ACCEPT",
    )
    assert ingress(conversion) == [{"from": peers("10.0.0.0/8"), "ports": tcp((80, 83))}]


@pytest.mark.parametrize("ports", ["", " -m tcp --dport 1:65535", " -m tcp --dport 0:65535"])
def test_all_ports_of_a_protocol_need_no_number(ports: str) -> None:
    conversion = converted(f"-A INPUT -s 10.0.0.0/8 -p tcp{ports} -j ACCEPT")
    assert ingress(conversion) == [{"from": peers("10.0.0.0/8"), "ports": [{"protocol": "TCP"}]}]
    assert conversion.proof.verdict is Verdict.EQUAL


def test_every_protocol_from_somewhere_is_a_rule_without_ports() -> None:
    conversion = converted(
        "-A INPUT -s 10.0.0.0/8 -j ACCEPT", "-A INPUT -s 10.1.0.0/16 -p tcp --dport 22 -j ACCEPT"
    )
    assert ingress(conversion) == [{"from": peers("10.0.0.0/8")}]
    assert conversion.proof.verdict is Verdict.EQUAL


def test_a_service_is_not_written_again_for_sources_that_may_do_everything() -> None:
    conversion = converted("-A INPUT -s 10.0.0.0/8 -j ACCEPT", "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT")
    assert ingress(conversion) == [{"from": peers("10.0.0.0/8")}, {"from": ANY_V4, "ports": tcp(22)}]


def test_everyone_of_one_family_is_a_block_and_not_a_missing_from() -> None:
    """A rule without ``from`` would open the family that no ruleset was given for."""
    four = converted("-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT")
    assert ingress(four) == [{"from": ANY_V4, "ports": tcp(80)}]
    text = dump("-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT")
    six = convert([parsed(text, 6, "rules.v6")], Options(identity=IDENTITY))
    assert ingress(six) == [{"from": ANY_V6, "ports": tcp(80)}]


def test_everyone_of_both_families_needs_no_from() -> None:
    rules = ("-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT",)
    both = converted(*rules, rules6=rules)
    same = converted(*rules, other_family=OtherFamily.SAME)
    assert ingress(both) == ingress(same) == [{"ports": tcp(80)}]
    assert both.proof.verdict is same.proof.verdict is Verdict.EQUAL


def test_everything_of_both_families_is_an_empty_rule() -> None:
    conversion = converted(policy="ACCEPT", other_family=OtherFamily.SAME)
    assert ingress(conversion) == [{}]
    assert conversion.proof.verdict is Verdict.EQUAL


def test_nothing_accepted_is_an_empty_list_that_still_isolates() -> None:
    conversion = converted()
    assert ingress(conversion) == []
    (policy,) = yaml.safe_load_all(conversion.text)
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert conversion.proof.verdict is Verdict.EQUAL


def test_the_other_family_is_filtered_the_same_when_asked() -> None:
    conversion = converted(
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
        other_family=OtherFamily.SAME,
    )
    assert ingress(conversion) == [
        {"from": peers("10.0.0.0/8"), "ports": tcp(22)},
        {"ports": tcp(443)},
    ]


def test_bans_under_an_open_policy_are_exceptions_of_everything() -> None:
    conversion = converted(
        "-A INPUT -s 198.51.100.7/32 -j DROP", "-A INPUT -s 203.0.113.0/24 -j DROP", policy="ACCEPT"
    )
    assert ingress(conversion) == [
        {"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["198.51.100.7/32", "203.0.113.0/24"]}}]}
    ]
    assert conversion.proof.verdict is Verdict.EQUAL


def test_a_friend_inside_a_ban_is_a_block_of_its_own() -> None:
    conversion = converted(
        "-A INPUT -s 203.0.113.9/32 -j ACCEPT", "-A INPUT -s 203.0.113.0/24 -j DROP", policy="ACCEPT"
    )
    (rule,) = ingress(conversion)
    assert rule["from"] == [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["203.0.113.0/24"]}},
        {"ipBlock": {"cidr": "203.0.113.9/32"}},
    ]


def test_two_families_have_their_blocks_in_one_rule() -> None:
    conversion = converted(
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
        rules6=["-A INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 22 -j ACCEPT"],
    )
    assert ingress(conversion) == [{"from": peers("10.0.0.0/8", "2001:db8::/32"), "ports": tcp(22)}]


def test_a_family_without_sources_for_a_service_gets_none() -> None:
    conversion = converted(
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
        rules6=["-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT"],
    )
    assert ingress(conversion) == [
        {"from": peers("10.0.0.0/8"), "ports": tcp(22)},
        {"from": ANY_V6, "ports": tcp(443)},
    ]


@pytest.mark.parametrize("host", HOSTS)
def test_the_same_input_gives_the_same_bytes(host: str) -> None:
    again = draft(rulesets(HOSTS[host]), Options(identity=IDENTITY))
    assert again.text == drafted(host).text


# -- schemas ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other_family", OtherFamily)
@pytest.mark.parametrize("in_doubt", InDoubt)
@pytest.mark.parametrize("host", HOSTS)
def test_what_is_written_for_a_sample_is_a_valid_object(
    host: str, in_doubt: InDoubt, other_family: OtherFamily
) -> None:
    drafted_host = drafted(host, in_doubt, other_family)
    documents = list(yaml.safe_load_all(drafted_host.text))
    assert documents == list(drafted_host.fitted.objects)
    assert load(drafted_host.text, VALIDATORS) == documents
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        kubernetes_validate.validate(document, "1.25", strict=True)
        assert selects(document, IDENTITY)


# -- large lists -----------------------------------------------------------------------------------------


def random_bans(count: int, seed: int = 1) -> list[str]:
    chance = random.Random(seed)
    chosen: set[int] = set()
    while len(chosen) < count:
        chosen.add(chance.randrange(1 << 24, 0xDF000000))
    addresses = [ipaddress.IPv4Address(n) for n in sorted(chosen) if n >> 24 != 127]
    return [f"-A INPUT -s {address}/32 -j DROP" for address in addresses]


def assert_in_pieces(conversion: Conversion, largest: int) -> Rules:
    """Several objects, none too large, named by their content under a common label; and still the same meaning."""
    documents: Rules = list(yaml.load_all(conversion.text, Loader=yaml.CSafeLoader))
    assert len(documents) > 1
    assert conversion.proof.verdict is Verdict.EQUAL
    names = [document["metadata"]["name"] for document in documents]
    assert len(set(names)) == len(names)
    assert all(
        is_name(name) and name.startswith(conversion.draft.options.identity.name[:200]) for name in names
    )
    labels = [document["metadata"]["labels"] for document in documents]
    assert all(label == labels[0] and set(label) == {"ipt2np/set"} for label in labels)
    for document in documents:
        validate(document)
        assert document["spec"]["ingress"]
        assert len(json.dumps(document)) <= largest
        assert len(json.dumps(document["metadata"]["annotations"])) < 100_000
    assert [finding.code for finding in conversion.findings].count("N2P404") == 1
    return documents


@pytest.fixture
def small_objects(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(networkpolicies, "OBJECT_BYTES", 3000)
    return 3000 + 1500  # metadata and selector come on top


def test_a_ban_list_too_long_for_an_object_is_split(small_objects: int) -> None:
    conversion = converted(*random_bans(400), policy="ACCEPT")
    documents = assert_in_pieces(conversion, small_objects)
    written = [
        hole
        for d in documents
        for r in d["spec"]["ingress"]
        for p in r["from"]
        for hole in p["ipBlock"].get("except", [])
    ]
    assert len(written) == len(set(written))


def test_a_list_of_friends_too_long_for_an_object_is_split(small_objects: int) -> None:
    bans = random_bans(400, 2)
    friends = [rule.replace("-j DROP", "-p tcp -m tcp --dport 22 -j ACCEPT") for rule in bans]
    documents = assert_in_pieces(converted(*friends), small_objects)
    assert all(rule["ports"] == tcp(22) for d in documents for rule in d["spec"]["ingress"])


def test_many_rules_are_shared_out_among_objects(small_objects: int) -> None:
    rules = [f"-A INPUT -s 10.{n}.0.0/16 -p tcp -m tcp --dport {1000 + 2 * n} -j ACCEPT" for n in range(100)]
    documents = assert_in_pieces(converted(*rules), small_objects)
    assert sum(len(document["spec"]["ingress"]) for document in documents) == 100


def test_a_piece_keeps_its_name_while_its_content_stays(small_objects: int) -> None:
    """A change at the end of the list leaves the names of the pieces before it alone."""
    rules = [f"-A INPUT -s 10.{n}.0.0/16 -p tcp -m tcp --dport {1000 + 2 * n} -j ACCEPT" for n in range(100)]

    def names(conversion: Conversion) -> list[str]:
        return [each["metadata"]["name"] for each in yaml.safe_load_all(conversion.text)]

    before, after = names(converted(*rules)), names(converted(*rules[:-1]))
    assert before[:-1] == after[: len(before) - 1]
    assert before[-1] not in after


@pytest.mark.parametrize("name", ["a" * 253, "a" * 229 + "." + "b" * 20, "a" * 62 + "." + "b" * 20, "x"])
@pytest.mark.usefixtures("small_objects")
def test_pieces_of_a_long_name_have_names(name: str) -> None:
    conversion = convert(
        [parsed(dump(*random_bans(400), policy="ACCEPT"))],
        Options(identity=Identity(name, "shop", {"app": "web"})),
    )
    assert_in_pieces(conversion, 100_000)


@pytest.mark.usefixtures("small_objects")
def test_more_services_than_an_object_takes_are_split() -> None:
    """All from one source: the list of ports alone is too long."""
    ports = [str(port) for port in range(1001, 3001, 2)]
    rules = [
        f"-A INPUT -s 10.0.0.0/8 -p tcp -m multiport --dports {','.join(ports[n : n + 15])} -j ACCEPT"
        for n in range(0, len(ports), 15)
    ]
    assert_in_pieces(converted(*rules), 100_000)


@pytest.mark.skipif(
    os.environ.get("IPT2NP_HUGE") != "1", reason="40,000 bans take minutes: IPT2NP_HUGE=1 runs them"
)
def test_forty_thousand_bans_fit_an_api_server() -> None:
    assert_in_pieces(converted(*random_bans(40_000), policy="ACCEPT"), int(1.4 * MIB))


def test_one_block_with_forty_thousand_exceptions_comes_in_pieces() -> None:
    """The limit as it is, on a rule by itself: small enough pieces, and the same addresses."""
    excepts = [rule.split()[3] for rule in random_bans(40_000)]
    ports = tcp(22, (8000, 8080))
    rule = {"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": excepts}}], "ports": ports}
    chunks = networkpolicies.chunks([networkpolicies.Emission(rule, (0,))])
    assert len(chunks) > 1
    whole = AddressSet.everything(4)
    left, written = AddressSet.of(4, []), 0
    for chunk in chunks:
        assert len(json.dumps([each.rule for each in chunk])) < 1.3 * MIB
        for each in chunk:
            assert each.rule["ports"] == ports
            for peer in each.rule["from"]:
                block = AddressSet.cidrs(peer["ipBlock"]["cidr"]) - AddressSet.cidrs(
                    *peer["ipBlock"]["except"]
                )
                written += sum(high - low + 1 for low, high in block.ranges)
                left |= block
    assert left == whole - AddressSet.cidrs(*excepts)
    assert written == sum(high - low + 1 for low, high in left.ranges), "pieces overlap"


# -- what an API server would not take -------------------------------------------------------------------

GOOD: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "labels": {"ipt2np/set": "web"},
        "annotations": {"ipt2np/source": "rules.v4: any text"},
    },
    "spec": {
        "podSelector": {
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front"]}],
        },
        "policyTypes": ["Ingress", "Egress"],
        "egress": [{}],
        "ingress": [
            {
                "from": [
                    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                    {"ipBlock": {"cidr": "2001:db8::/32"}},
                    {"podSelector": {}, "namespaceSelector": {"matchLabels": {"team": "a"}}},
                ],
                "ports": [{"protocol": "TCP", "port": 80}, {"protocol": "UDP", "port": 5, "endPort": 9}, {}],
            }
        ],
    },
}
Place = tuple[str | int, ...]

RULE: Place = ("spec", "ingress", 0)
PORT: Place = (*RULE, "ports", 0)
BLOCK: Place = (*RULE, "from", 0, "ipBlock")


def with_value(place: Place, value: Any) -> dict[str, Any]:
    """The good policy with another value at a place."""
    result = copy.deepcopy(GOOD)
    at: Any = result
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    return result


def test_a_good_policy_is_taken() -> None:
    validate(GOOD)
    kubernetes_validate.validate(GOOD, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("apiVersion",), "networking.k8s.io/v1beta1"),
        (("apiVersion",), None),
        (("kind",), "NetworkPolice"),
        (("kind",), []),
        (("extra",), 1),
        (("metadata",), None),
        (("metadata", "name"), ""),
        (("metadata", "name"), "Web"),
        (("metadata", "name"), "-web"),
        (("metadata", "name"), "web_1"),
        (("metadata", "name"), "a..b"),
        (("metadata", "name"), "a.-b"),
        (("metadata", "name"), "web\n"),
        (("metadata", "name"), "a" * 254),
        (("metadata", "name"), 80),
        (("metadata", "namespace"), "Shop"),
        (("metadata", "namespace"), "a.b"),
        (("metadata", "namespace"), "a" * 64),
        (("metadata", "namespace"), 5),
        (("metadata", "labels"), ["a"]),
        (("metadata", "labels", "ipt2np/set"), "a" * 64),
        (("metadata", "labels", "ipt2np/set"), "-a"),
        (("metadata", "labels", "ipt2np/set"), "a b"),
        (("metadata", "labels", "ipt2np/set"), 5),
        (("metadata", "labels", "/set"), "a"),
        (("metadata", "labels", "a/b/c"), "a"),
        (("metadata", "labels", "Upper.example/set"), "a"),
        (("metadata", "labels", "a" * 64), "a"),
        (("metadata", "annotations", "a b"), "a"),
        (("metadata", "annotations", "ipt2np/source"), 7),
        (("metadata", "annotations", "ipt2np/source"), None),
        (("metadata", "finalizer"), []),
        (("spec",), None),
        (("spec",), []),
        (("spec", "podSelector"), []),
        (("spec", "podSelector"), "app=web"),
        (("spec", "podSelector", "matchLabel"), {}),
        (("spec", "podSelector", "matchLabels"), ["app"]),
        (("spec", "podSelector", "matchLabels", "app"), 80),
        (("spec", "podSelector", "matchLabels", "app"), "web server"),
        (("spec", "podSelector", "matchExpressions"), {}),
        (("spec", "podSelector", "matchExpressions", 0), 5),
        (("spec", "podSelector", "matchExpressions", 0, "operator"), "Is"),
        (("spec", "podSelector", "matchExpressions", 0, "operator"), None),
        (("spec", "podSelector", "matchExpressions", 0, "operator"), "Exists"),
        (("spec", "podSelector", "matchExpressions", 0, "values"), []),
        (("spec", "podSelector", "matchExpressions", 0, "values"), "front"),
        (("spec", "podSelector", "matchExpressions", 0, "values"), [5]),
        (("spec", "podSelector", "matchExpressions", 0, "key"), "a b"),
        (("spec", "podSelector", "matchExpressions", 0, "key"), None),
        (("spec", "policyTypes"), "Ingress"),
        (("spec", "policyTypes"), ["ingress"]),
        (("spec", "policyTypes"), ["Ingress", "Egress", "Ingress"]),
        (("spec", "policyTypes"), [None]),
        (("spec", "ingres"), []),
        (("spec", "ingress"), {}),
        (("spec", "ingress"), "all"),
        (("spec", "ingress", 0), []),
        (("spec", "ingress", 0), None),
        (("spec", "egress"), {}),
        (("spec", "egress", 0), 5),
        ((*RULE, "form"), []),
        ((*RULE, "from"), {}),
        ((*RULE, "from"), "0.0.0.0/0"),
        ((*RULE, "from", 0), {}),
        ((*RULE, "from", 0), None),
        ((*RULE, "from", 0), "10.0.0.0/8"),
        ((*RULE, "from", 0, "podSelector"), {}),
        ((*RULE, "from", 0, "cidr"), "10.0.0.0/8"),
        ((*RULE, "from", 2, "podSelector"), 5),
        ((*RULE, "from", 2, "podSelector"), {"app": "web"}),
        (BLOCK, None),
        (BLOCK, "10.0.0.0/8"),
        (BLOCK, {"except": []}),
        ((*BLOCK, "excepts"), []),
        ((*BLOCK, "cidr"), None),
        ((*BLOCK, "cidr"), 10),
        ((*BLOCK, "cidr"), ""),
        ((*BLOCK, "cidr"), "10.0.0.0"),
        ((*BLOCK, "cidr"), "10.0.0.1/8"),
        ((*BLOCK, "cidr"), "10.0.0.0/33"),
        ((*BLOCK, "cidr"), "10.0.0.0/-1"),
        ((*BLOCK, "cidr"), "10.0.0/8"),
        ((*BLOCK, "cidr"), "010.0.0.0/8"),
        ((*BLOCK, "cidr"), "10.0.0.0/08"),
        ((*BLOCK, "cidr"), "10.0.0.0/255.0.0.0"),
        ((*BLOCK, "cidr"), "10.0.0.0/0.255.255.255"),
        ((*BLOCK, "cidr"), "10.0.0.0/8 "),
        ((*BLOCK, "cidr"), "example.org/8"),
        ((*RULE, "from", 1, "ipBlock", "cidr"), "2001:db8::/129"),
        ((*RULE, "from", 1, "ipBlock", "cidr"), "2001:db8::1/32"),
        ((*RULE, "from", 1, "ipBlock", "cidr"), "fe80::%eth0/64"),
        # Go's net.ParseCIDR reads it as 10.0.0.0/8; newer API servers warn.
        ((*RULE, "from", 1, "ipBlock", "cidr"), "::ffff:10.0.0.0/104"),
        ((*BLOCK, "except"), "10.1.0.0/16"),
        ((*BLOCK, "except"), {}),
        ((*BLOCK, "except"), [None]),
        ((*BLOCK, "except"), ["10.1.0.0"]),
        ((*BLOCK, "except"), ["10.1.0.1/16"]),
        ((*BLOCK, "except"), ["10.0.0.0/8"]),
        ((*BLOCK, "except"), ["10.0.0.0/7"]),
        ((*BLOCK, "except"), ["11.0.0.0/16"]),
        ((*BLOCK, "except"), ["2001:db8::/64"]),
        ((*BLOCK, "except"), ["10.1.0.0/16", "11.0.0.0/16"]),
        ((*RULE, "ports"), {}),
        ((*RULE, "ports"), 80),
        (PORT, 80),
        (PORT, None),
        ((*PORT, "ports"), [80]),
        ((*PORT, "protocol"), "tcp"),
        ((*PORT, "protocol"), "ICMP"),
        ((*PORT, "protocol"), 6),
        ((*PORT, "protocol"), None),
        ((*PORT, "protocol"), ["TCP"]),
        ((*PORT, "port"), 0),
        ((*PORT, "port"), -1),
        ((*PORT, "port"), 65536),
        ((*PORT, "port"), True),
        ((*PORT, "port"), 80.5),
        ((*PORT, "port"), "http"),
        ((*PORT, "port"), "80"),
        ((*PORT, "endPort"), 79),
        ((*PORT, "endPort"), 65536),
        ((*PORT, "endPort"), "90"),
        ((*PORT, "endPort"), True),
        (PORT, {"protocol": "TCP", "endPort": 90}),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else repr(value)[:40],
)
def test_a_policy_that_an_api_server_would_refuse_or_warn_about(place: Place, value: Any) -> None:
    with pytest.raises(PolicyFault):
        validate(with_value(place, value))


@pytest.mark.parametrize("policy", [None, 5, "text", [], [GOOD], {}])
def test_what_is_no_policy_at_all(policy: Any) -> None:
    with pytest.raises(PolicyFault):
        validate(policy)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("metadata",), {"name": "web"}),
        (("metadata", "name"), "a" * 253),
        (("metadata", "name"), "a.b-1"),
        (("metadata", "labels", "example.org/Set_1"), ""),
        (("spec", "podSelector"), {}),
        (("spec", "policyTypes"), ["Egress", "Ingress"]),
        (("spec", "policyTypes"), None),
        (("spec", "ingress"), None),
        (("spec", "ingress"), []),
        (("spec", "ingress", 0), {}),
        ((*RULE, "from"), None),
        ((*RULE, "ports"), None),
        ((*BLOCK, "except"), None),
        ((*BLOCK, "except"), []),
        ((*BLOCK, "cidr"), "0.0.0.0/0"),
        (PORT, {}),
        (PORT, {"protocol": "SCTP"}),
        ((*PORT, "endPort"), 80),
        ((*PORT, "endPort"), None),
        ((*PORT, "port"), 65535),
    ],
)
def test_what_an_api_server_takes(place: Place, value: Any) -> None:
    validate(with_value(place, value))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "\x00",
        "- a\n- list\n",
        "just text\n",
        "a: 2020-99-99\n",
        "? [a]\n: b\n",
        "!!python/object/apply:os.getcwd []\n",
        "&a [*a]\n",
    ],
)
def test_text_that_holds_no_policy_is_a_fault(text: str) -> None:
    with pytest.raises(PolicyFault):
        load(text, VALIDATORS)


def test_two_objects_of_one_name_are_a_fault() -> None:
    """The second would take the place of the first."""
    with pytest.raises(PolicyFault):
        load(yaml.safe_dump_all([GOOD, GOOD]), VALIDATORS)
    load(yaml.safe_dump_all([GOOD, with_value(("metadata", "namespace"), "other")]), VALIDATORS)


# -- who is selected -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda policy: None, True),
        (lambda policy: policy["metadata"].update(namespace="other"), False),
        (lambda policy: policy["metadata"].pop("namespace"), False),
        (lambda policy: policy["spec"].update(podSelector={}), True),
        (lambda policy: policy["spec"].update(policyTypes=["Egress"]), False),
        (lambda policy: policy["spec"].pop("policyTypes"), True),
        (lambda policy: policy["spec"].update(podSelector={"matchLabels": {"app": "db"}}), False),
        (
            lambda policy: policy["spec"].update(podSelector={"matchLabels": {"app": "web", "zone": "a"}}),
            False,
        ),
        *(
            (
                lambda policy, e=expression: policy["spec"].update(podSelector={"matchExpressions": [e]}),
                expected,
            )
            for expression, expected in (
                ({"key": "app", "operator": "In", "values": ["db", "web"]}, True),
                ({"key": "app", "operator": "In", "values": ["db"]}, False),
                ({"key": "zone", "operator": "In", "values": ["a"]}, False),
                ({"key": "app", "operator": "NotIn", "values": ["db"]}, True),
                ({"key": "app", "operator": "NotIn", "values": ["web"]}, False),
                ({"key": "zone", "operator": "NotIn", "values": ["a"]}, True),
                ({"key": "app", "operator": "Exists"}, True),
                ({"key": "zone", "operator": "Exists"}, False),
                ({"key": "app", "operator": "DoesNotExist"}, False),
                ({"key": "zone", "operator": "DoesNotExist"}, True),
            )
        ),
    ],
)
def test_whom_a_policy_isolates(change: Callable[[dict[str, Any]], object], expected: bool) -> None:
    policy = copy.deepcopy(GOOD)
    change(policy)
    validate(policy)
    assert selects(policy, IDENTITY) is expected


def test_pods_that_nothing_selects_are_open_to_every_class_of_sources() -> None:
    space = PacketSpace()
    text = yaml.safe_dump(GOOD)
    readings = CNIS["kubernetes"].interpret(text, Identity("db", "shop", {"app": "db"}), Cluster(), space)
    assert {name: reading.admits for name, reading in readings.items()} == dict.fromkeys(
        ("external", "pod", "node"), space.everything
    )


def test_in_cluster_sources_and_other_protocols_are_left_open_by_the_api() -> None:
    conversion = converted("-A INPUT -s 10.0.0.0/8 -j ACCEPT", "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT")
    space = conversion.draft.decision.space
    named = space.values(Field.PROTOCOL, ((6, 6), (17, 17), (132, 132)))
    assert conversion.readings["external"].undefined == ~named
    assert conversion.readings["pod"].undefined == conversion.readings["node"].undefined
    assert space.value(Field.DESTINATION_PORT, 80) & space.value(Field.PROTOCOL, 6) & space.family(4) <= (
        conversion.readings["pod"].undefined
    )


def test_a_conclusion_from_the_drafted_text_is_the_conversion() -> None:
    hosts = rulesets(("web-server.v4",))
    drafted_host = draft(hosts, Options(identity=IDENTITY))
    assert conclude(drafted_host, drafted_host.text).text == convert(hosts, Options(identity=IDENTITY)).text
