"""What random hosts seldom hit: long lists of exceptions, whole families without a target, what a provider sets."""

from __future__ import annotations

import ipaddress
import random

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt2np import CNIS, Conversion, Facts, Identity, Options, UsageError, Verdict, convert, parse_ruleset
from ipt2np.cni import antrea, aws, calico, cilium, networkpolicies
from ipt2np.cni.base import Cluster
from ipt2np.cni.fitting.blocks import Block, halved
from ipt2np.cni.fitting.objects import size_of
from ipt2np.syntax.ipset import parse_ipsets
from tests.dumps import dump, parsed
from tests.sample_hosts import IDENTITY


def hosts(count: int, seed: int) -> list[str]:
    """Single addresses, far from each other."""
    rng = random.Random(seed)
    return [
        f"{11 + 2 * rng.randrange(90)}.{rng.randrange(256)}.{rng.randrange(256)}.7/32" for _ in range(count)
    ]


def converted(*rules: str, cni: str, policy: str = "DROP", cluster: Cluster | None = None) -> Conversion:
    options = Options(identity=IDENTITY, cni=cni, cluster=cluster or Cluster())
    return convert([parsed(dump(*rules, policy=policy))], options)


def test_more_exceptions_than_a_calico_rule_takes_are_several_rules_and_no_selector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A lone notSelector limits a namespaced rule to sources that the namespace knows."""
    most = 16
    monkeypatch.setattr(calico, "NETS_LIMIT", most)
    refused = [
        f"-A INPUT -s {source} -p tcp -m tcp --dport {port} -j DROP"
        for port in range(100, 300, 10)
        for source in hosts(most + 4, port)
    ]
    conversion = converted(*refused, "-A INPUT -p tcp -j ACCEPT", cni="calico")
    assert conversion.proof.verdict is Verdict.EQUAL
    rules = [
        rule
        for each in yaml.load_all(conversion.text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        if each["kind"] == "NetworkPolicy"
        for rule in each["spec"]["ingress"]
    ]
    assert "notSelector" not in conversion.text
    longest = max(len(rule.get("source", {}).get("notNets", [])) for rule in rules)
    assert most / 2 < longest <= most


@given(
    st.integers(0, 24),
    st.sets(st.tuples(st.integers(25, 32), st.integers(0, 255)), max_size=40),
    st.integers(1, 9),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_a_block_with_many_exceptions_is_the_sum_of_its_parts(
    length: int, holes: set[tuple[int, int]], most: int
) -> None:
    whole = ipaddress.IPv4Network("10.1.2.0/24").supernet(new_prefix=length)
    inside = {ipaddress.IPv4Network((f"10.1.2.{last}", bits), strict=False) for bits, last in holes}
    disjoint = sorted(ipaddress.collapse_addresses(inside))
    block = Block(str(whole), tuple(map(str, disjoint)))
    parts = halved(block, lambda part: len(part.excepts) <= most)
    assert all(len(part.excepts) <= most for part in parts)
    for last in range(256):
        address = ipaddress.ip_address(f"10.1.2.{last}")
        holding = [
            part
            for part in parts
            if address in ipaddress.ip_network(part.cidr)
            and not any(address in ipaddress.ip_network(hole) for hole in part.excepts)
        ]
        assert len(holding) == (not any(address in hole for hole in disjoint))


@pytest.mark.parametrize("cni", CNIS)
@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("a.b.c.d", {}),
        (("x" * 61 + ".") * 4 + "abc", {"app": ""}),
        ("a" * 253, {"example.com/team": "1" * 63}),
        ("1.2", {"on": "null", "app": "a_b.c"}),
    ],
)
def test_names_and_selectors_of_every_shape(cni: str, name: str, labels: dict[str, str]) -> None:
    """Dots, lengths, words that YAML takes for something else, and no labels at all: every pod of the namespace."""
    identity = Identity(name, "shop", labels)
    ruleset = parsed(dump("-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT"))
    conversion = convert([ruleset], Options(identity=identity, cni=cni))
    assert conversion.proof.verdict is (Verdict.WIDER if cni == "flannel" else Verdict.EQUAL)


@pytest.mark.parametrize("cni", ["weave", "azure-npm"])
def test_a_host_with_ipv6_alone_on_a_cni_without_it(cni: str) -> None:
    text = dump("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT").encode()
    conversion = convert([parse_ruleset(text, "rules.v6", family=6)], Options(identity=IDENTITY, cni=cni))
    (policy,) = yaml.safe_load_all(conversion.text)
    assert policy["spec"]["ingress"] == []
    assert "N2P411" in {finding.code for finding in conversion.findings}


@pytest.mark.parametrize("cni", ["azure-cilium", "gke-dataplane-v2"])
def test_how_cidrs_match_is_not_for_the_user_to_say_where_a_provider_sets_it(cni: str) -> None:
    rule = "-A INPUT -s 10.244.0.0/17 -p tcp -m tcp --dport 22 -j ACCEPT"
    pods = ("10.244.0.0/16",)
    plain = converted(rule, cni=cni, cluster=Cluster(pods))
    told = converted(rule, cni=cni, cluster=Cluster(pods, cidr_match=frozenset({"pods"})))
    assert told.text == plain.text
    assert told.proof.by_class == plain.proof.by_class
    assert told.proof.by_class["pod"] is Verdict.NARROWER


def test_aws_keeps_what_one_source_may_use_though_all_together_may_use_too_much() -> None:
    """A prefix takes over the ports of those around it, so a source's ports must not stand on a wider prefix."""
    refused = [f"-A INPUT -s 11.0.{n}.1/32 -p tcp -m tcp --dport {100 + 10 * n} -j DROP" for n in range(30)]
    conversion = converted(*refused, "-A INPUT -p tcp -j ACCEPT", cni="aws-vpc-cni")
    assert conversion.proof.verdict is Verdict.EQUAL
    assert "N2P410" not in {finding.code for finding in conversion.findings}


def test_aws_keeps_the_widest_ranges_of_a_source_with_too_many() -> None:
    ports = [f"-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport {port} -j ACCEPT" for port in range(10, 70, 2)]
    conversion = converted(
        *ports,
        "-A INPUT -s 10.0.0.0/8 -p udp -m udp --dport 1024:65535 -j ACCEPT",
        "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT",
        cni="aws-vpc-cni",
    )
    (policy,) = yaml.safe_load_all(conversion.text)
    ten, other = policy["spec"]["ingress"]
    assert ten["from"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert len(ten["ports"]) == 24
    assert ten["ports"][0] == {"protocol": "UDP", "port": 1024, "endPort": 65535}
    assert other["ports"] == [{"protocol": "TCP", "port": 22}]
    (lost,) = (finding for finding in conversion.findings if finding.code == "N2P410")
    assert [rule.location.line for rule in lost.rules] == list(range(28, 35))
    assert conversion.proof.verdict is Verdict.NARROWER


def test_more_prefixes_than_aws_can_load_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "MOST_PREFIXES", 60)
    few = [f"-A INPUT -s {source} -j DROP" for source in hosts(1, 7)]
    many = [f"-A INPUT -s {source} -j DROP" for source in hosts(4, 7)]
    assert converted(*few, policy="ACCEPT", cni="aws-vpc-cni").proof.verdict is Verdict.EQUAL
    with pytest.raises(UsageError, match=r"aws-vpc-cni: the policy needs [0-9]+ prefixes"):
        converted(*many, policy="ACCEPT", cni="aws-vpc-cni")


@pytest.mark.parametrize("cni", ["calico", "antrea", "cilium", "kubernetes"])
def test_a_service_for_all_but_a_very_long_list_fits_into_objects(
    cni: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rule whose exceptions alone would be more than an API server takes of an object."""
    for module in (antrea, cilium):
        monkeypatch.setattr(module, "ROOM", 3_000)
    for module in (antrea, calico, cilium, networkpolicies):
        monkeypatch.setattr(module, "OBJECT_BYTES", 6_000)
    rng = random.Random(8)
    members = [
        f"{rng.randrange(11, 200)}.{rng.randrange(256)}.{rng.randrange(256)}.{n % 256}" for n in range(900)
    ]
    lines = ["create bad hash:ip", *(f"add bad {member}" for member in members), ""]
    sets = parse_ipsets("\n".join(lines).encode(), "s")
    rule = "-A INPUT -p tcp -m tcp --dport 22 -m set ! --match-set bad src -j ACCEPT"
    conversion = convert([parsed(dump(rule))], Options(cni=cni, facts=Facts(ipsets=sets)))
    sizes = [size_of(each) for each in conversion.draft.fitted.objects]
    assert max(sizes) < 8_000
    assert sum(sizes) > 15_000
    assert conversion.proof.verdict is Verdict.EQUAL
