"""The capability matrix against what conversions do: no grade that a ruleset can contradict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import pytest

from ipt2np.cni.base import NODE, POD, Cluster, Cni, Grade
from ipt2np.cni.features import Feature
from ipt2np.cni.registry import CNIS, HOSTS
from ipt2np.conversion import Conversion, Options, Scope, convert
from ipt2np.packets import Field
from ipt2np.proof import Verdict
from ipt2np.semantics import Facts
from ipt2np.syntax.ipset import parse_ipsets
from tests.dumps import dump, parsed

TARGETS: dict[str, Cni] = {**CNIS, **{f"{name} host": cni for name, cni in HOSTS.items()}}
ESTABLISHED = "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT"
SET = parse_ipsets(b"create bad hash:net\nadd bad 192.0.2.0/24\nadd bad 198.51.100.7\n", "sets")
PODS, NODES = "10.1.0.0/16", "10.2.0.0/16"


@dataclass(frozen=True)
class Probe:
    """A host that asks for one feature."""

    rules: tuple[str, ...] = ()
    six: tuple[str, ...] = ()
    policy: str = "DROP"
    facts: Facts = field(default_factory=Facts)
    established: bool = True
    cluster: Cluster = field(default_factory=Cluster)
    classes: tuple[str, ...] = ("external",)
    about: tuple[int, ...] = ()
    """Protocols that count, where a rule means others too."""
    without: bool = False
    """True where a target that does not have the feature may keep the host's rules all the same."""

    def converted(self, name: str) -> Conversion:
        rulesets = [
            parsed(self._dump(rules), family, f"rules.v{family}")
            for family, rules in ((4, self.rules), (6, self.six))
            if rules
        ]
        cni, _, host = name.partition(" ")
        scope = Scope.HOST if host else Scope.POD
        return convert(rulesets, Options(cni=cni, scope=scope, facts=self.facts, cluster=self.cluster))

    def _dump(self, rules: Sequence[str]) -> str:
        head = [ESTABLISHED] if self.established else []
        return dump(*head, *(f"-A INPUT {rule}" for rule in rules), policy=self.policy)


def rules(*texts: str) -> Probe:
    return Probe(texts)


def of_cluster(source: str) -> Probe:
    return Probe(
        (f"-s {source} -p tcp -m tcp --dport 22 -j ACCEPT",),
        cluster=Cluster((PODS,), (NODES,)),
        classes=("external", POD, NODE),
    )


SSH = "-p tcp -m tcp --dport 22 -j ACCEPT"
EVERYTHING = "-s 198.51.100.0/24 -j ACCEPT"

PROBES: dict[Feature, tuple[Probe, ...]] = {
    Feature.SOURCE: (rules(f"-s 198.51.100.0/24 {SSH}"), rules(f"-s 198.51.100.7 {SSH}")),
    Feature.NEGATED_SOURCE: (rules(f"! -s 198.51.100.0/24 {SSH}"),),
    Feature.ADDRESS_RANGE: (rules(f"-m iprange --src-range 198.51.100.3-198.51.100.77 {SSH}"),),
    Feature.PORT: (rules(SSH), rules("-p udp -m udp --dport 53 -j ACCEPT")),
    Feature.PORT_RANGE: (
        rules("-p tcp -m tcp --dport 8000:8010 -j ACCEPT"),
        rules("-p tcp -m tcp --dport 8000:9999 -j ACCEPT"),
    ),
    Feature.PORT_LIST: (
        rules("-p tcp -m multiport --dports 22,80,443 -j ACCEPT"),
        rules(*(f"-p tcp -m tcp --dport {port} -j ACCEPT" for port in range(101, 221, 2))),
    ),
    Feature.SOURCE_PORT: (rules("-p tcp -m tcp --sport 5000 --dport 22 -j ACCEPT"),),
    Feature.TCP_UDP: (rules("-p tcp -j ACCEPT", "-p udp -j ACCEPT"),),
    Feature.SCTP: (rules("-p sctp -m sctp --dport 36412 -j ACCEPT"),),
    Feature.ICMP: (
        rules("-p icmp -j ACCEPT"),
        Probe(six=("-p ipv6-icmp -j ACCEPT",)),
        Probe((EVERYTHING,), about=(1,), without=True),
    ),
    Feature.ICMP_TYPE: (
        rules("-p icmp -m icmp --icmp-type 8 -j ACCEPT"),
        rules("-p icmp -m icmp --icmp-type 8/0 -j ACCEPT"),
        rules("-p icmp -m icmp --icmp-type 13 -j ACCEPT"),
        Probe(six=("-p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT",)),
    ),
    Feature.PROTOCOL: (rules("-p gre -j ACCEPT"), Probe((EVERYTHING,), about=(47,), without=True)),
    Feature.INTERFACE: (rules(f"-i eth0 {SSH}"),),
    Feature.DESTINATION: (
        rules(f"-d 192.0.2.1/32 {SSH}"),
        replace(rules(f"-d 192.0.2.1/32 {SSH}"), facts=Facts(addresses=("192.0.2.1",))),
    ),
    Feature.STATE: (
        rules("-p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT"),
        rules("-m conntrack --ctstate RELATED -j ACCEPT", SSH),
    ),
    Feature.TCP_FLAGS: (
        rules("-p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT"),
        replace(
            rules(
                "-p tcp -m tcp --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT",
                "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT",
            ),
            established=False,
        ),
    ),
    Feature.RATE: (rules("-p tcp -m tcp --dport 22 -m limit --limit 3/min -j ACCEPT"),),
    Feature.IPSET: (
        replace(rules(f"-m set --match-set bad src {SSH}"), facts=Facts(ipsets=SET)),
        replace(rules("-m set --match-set bad src -j DROP", SSH), facts=Facts(ipsets=SET)),
    ),
    Feature.LOG: (rules("-j LOG", SSH), rules("-p gre -j LOG", SSH)),
    Feature.REJECT: (
        rules(SSH, "-j REJECT --reject-with icmp-port-unreachable"),
        replace(rules(SSH, "-j DROP"), without=True),
    ),
    Feature.DROPS: (rules("-s 192.0.2.0/24 -j DROP", "-s 198.51.100.7/32 -j DROP", SSH),),
    Feature.DEFAULT_ACCEPT: (
        Probe(("-s 192.0.2.0/24 -j DROP",), policy="ACCEPT"),
        Probe(("-p tcp -m tcp --dport 23 -j DROP",), policy="ACCEPT"),
    ),
    Feature.IN_CLUSTER: (of_cluster("10.0.0.0/8"), of_cluster("10.1.2.0/24"), of_cluster("10.2.0.7")),
    Feature.IPV6: (
        Probe(six=(f"-s 2001:db8::/32 {SSH}",)),
        Probe((f"-s 198.51.100.0/24 {SSH}",), (f"-s 2001:db8::/32 {SSH}",)),
    ),
}

CODES: dict[Feature, frozenset[str]] = {
    Feature.PORT_RANGE: frozenset({"N2P410", "N2P419"}),
    Feature.PORT_LIST: frozenset({"N2P410"}),
    Feature.SOURCE_PORT: frozenset({"N2P302"}),
    Feature.SCTP: frozenset({"N2P303", "N2P414"}),
    Feature.ICMP: frozenset({"N2P303", "N2P411"}),
    Feature.ICMP_TYPE: frozenset({"N2P303", "N2P411"}),
    Feature.PROTOCOL: frozenset({"N2P303", "N2P413"}),
    Feature.INTERFACE: frozenset({"N2P203"}),
    Feature.DESTINATION: frozenset({"N2P204"}),
    Feature.STATE: frozenset({"N2P307", "N2P308"}),
    Feature.TCP_FLAGS: frozenset({"N2P311", "N2P312"}),
    Feature.RATE: frozenset({"N2P301"}),
    Feature.LOG: frozenset({"N2P305"}),
    Feature.REJECT: frozenset({"N2P304", "N2P416"}),
    Feature.DEFAULT_ACCEPT: frozenset({"N2P303", "N2P413", "N2P414"}),
    Feature.IN_CLUSTER: frozenset({"N2P402", "N2P407", "N2P408"}),
    Feature.IPV6: frozenset({"N2P411"}),
}
"""The findings that tell of a loss of the feature; a loss that changes the verdict needs none."""

UNTOLD = {
    ("calico", Feature.LOG): "the prefix",
    ("calico host", Feature.LOG): "the prefix",
    ("antrea", Feature.REJECT): "the kind of answer",
    ("antrea host", Feature.REJECT): "the kind of answer",
    ("aws-vpc-cni", Feature.IPSET): "what 65,536 prefixes cannot hold",
}
"""Grades of something that no verdict and no finding of these hosts tells."""


@cache
def losses(name: str, feature: Feature) -> tuple[bool, ...]:
    """For each probe of a feature whether a target lost something of it."""
    return tuple(_lost(probe, probe.converted(name), feature) for probe in PROBES[feature])


def _lost(probe: Probe, conversion: Conversion, feature: Feature) -> bool:
    if {finding.code for finding in conversion.findings} & CODES.get(feature, frozenset()):
        return True
    if not probe.about:
        verdicts = conversion.proof.by_class
        return any(verdicts.get(name) is not Verdict.EQUAL for name in probe.classes)
    packets = conversion.draft.decision.space.values(
        Field.PROTOCOL, tuple((number, number) for number in probe.about)
    )
    return (conversion.proof.closes | conversion.proof.opens).meets(packets)


EVERY = [(name, feature) for name in TARGETS for feature in Feature]


def graded(*grades: Grade) -> list[tuple[str, Feature]]:
    return [
        (name, feature) for name, feature in EVERY if TARGETS[name].capabilities()[feature].grade in grades
    ]


def identify(value: object) -> str:
    return value.id if isinstance(value, Feature) else str(value)


def test_every_feature_has_a_probe() -> None:
    assert list(PROBES) == list(Feature)


@pytest.mark.parametrize("name", TARGETS)
def test_every_cni_grades_every_feature_and_says_what_an_incomplete_grade_means(name: str) -> None:
    capabilities = TARGETS[name].capabilities()
    assert list(capabilities) == list(Feature)
    for feature, capability in capabilities.items():
        assert capability.note or capability.grade is Grade.EXACT, feature


@pytest.mark.parametrize(("name", "feature"), graded(Grade.EXACT), ids=identify)
def test_nothing_is_lost_of_what_is_exact(name: str, feature: Feature) -> None:
    assert not any(losses(name, feature))


@pytest.mark.parametrize(("name", "feature"), graded(Grade.NOT), ids=identify)
def test_something_is_lost_each_time_of_what_is_not_kept(name: str, feature: Feature) -> None:
    hosts = zip(PROBES[feature], losses(name, feature), strict=True)
    told = [lost for probe, lost in hosts if not probe.without]
    assert told and all(told)


@pytest.mark.parametrize(("name", "feature"), graded(Grade.PARTLY), ids=identify)
def test_something_is_lost_now_and_then_of_what_is_partly_kept(name: str, feature: Feature) -> None:
    assert any(losses(name, feature)) == ((name, feature) not in UNTOLD)


def test_the_grades_differ_where_the_cnis_do() -> None:
    """Rows that tell the targets apart, flannel aside, which keeps nothing."""
    enforcing = [cni.capabilities() for name, cni in CNIS.items() if name != "flannel"]
    telling = {feature for feature in Feature if len({each[feature].grade for each in enforcing}) > 1}
    assert telling >= {
        Feature.PORT_RANGE,
        Feature.SOURCE_PORT,
        Feature.SCTP,
        Feature.ICMP,
        Feature.ICMP_TYPE,
        Feature.PROTOCOL,
        Feature.LOG,
        Feature.REJECT,
        Feature.DEFAULT_ACCEPT,
        Feature.IN_CLUSTER,
        Feature.IPV6,
    }
