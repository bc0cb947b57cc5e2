"""The verdict as a person reads it: what it is about, sources inside the cluster, what the platform opens beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ipt2np import Conversion, Facts, Field, Options, PacketSet, PacketSpace, convert
from ipt2np.cni.base import Cluster
from ipt2np.cni.registry import CNIS
from ipt2np.packets.intervals import complement, merged
from ipt2np.reporting.accepted import accepted
from ipt2np.reporting.terminal import difference_lines, verdict_lines
from ipt2np.review.signoff import SignOffs
from tests.dumps import dump, parsed
from tests.sample_hosts import HOSTS, rulesets

WEB = "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"
ADMIN = "-A INPUT -s 10.9.0.0/16 -p tcp -m tcp --dport 22 -j ACCEPT"


def told(*rules: str, cni: str, policy: str = "DROP", **cluster: Any) -> list[str]:
    """The lines of the verdict, without the ledger's sums."""
    conversion = convert([parsed(dump(*rules, policy=policy))], Options(cni=cni, cluster=Cluster(**cluster)))
    account = accepted(conversion.proof.differences, (), SignOffs())
    lines = [*verdict_lines(conversion), *difference_lines(account)]
    return [line for line in map(str, lines) if not re.match(r"  \d+ rule", line)]


# -- what a verdict is about ----------------------------------------------------------------------------


def test_the_portable_api_is_about_three_protocols_from_outside() -> None:
    assert told(WEB, cni="kubernetes") == [
        "host: equal — the policy admits exactly what iptables accepts (TCP, UDP, SCTP from outside the cluster)",
        "  from pods and nodes not defined",
    ]


@pytest.mark.parametrize("cni", ["calico", "antrea"])
def test_a_cni_that_compares_addresses_does_not_ask_whose_they_are(cni: str) -> None:
    assert told(WEB, cni=cni) == [
        "host: equal — the policy admits exactly what iptables accepts (every protocol, whoever sends it)"
    ]


def test_a_cni_without_ipv6_has_a_verdict_on_pods_and_nodes_for_ipv4() -> None:
    assert told(WEB, cni="weave") == [
        "host: equal — the policy admits exactly what iptables accepts (every protocol of IPv4, whoever sends it)"
    ]


def protocols(space: PacketSpace, *numbers: int) -> PacketSet:
    return space.values(Field.PROTOCOL, merged((number, number) for number in numbers))


OUTSIDE: Mapping[str, Callable[[PacketSpace], PacketSet]] = {
    "TCP, UDP, SCTP": lambda space: ~protocols(space, 6, 17, 132),
    "TCP, UDP, SCTP, ICMP": lambda space: space.values(
        Field.PROTOCOL, complement(merged((n, n) for n in (1, 6, 17, 58, 132)), 255)
    ),
    "every protocol but SCTP": lambda space: protocols(space, 132),
    "every protocol of IPv4": lambda space: space.family(6),
    "every protocol": lambda space: space.nothing,
}
"""What a scope leaves out, as packets."""


@pytest.mark.parametrize(
    "host", ["web-server, both", "mail-server, both", "database-one-subnet.v4", "ban-list.v4"]
)
@pytest.mark.parametrize("cni", CNIS)
def test_what_a_reading_leaves_open_is_outside_the_scope(cni: str, host: str) -> None:
    conversion = convert(rulesets(HOSTS[host]), Options(cni=cni, facts=Facts((("eth0", ()),))))
    decision = conversion.draft.decision
    left_open = conversion.readings["external"].undefined & decision.judged
    outside = OUTSIDE[CNIS[cni].scope](decision.space)
    assert left_open <= outside
    undocumented = cni in ("gke-dataplane-v2", "azure-cilium")  # SCTP: open only where some of it is accepted
    assert left_open or not outside & decision.judged or undocumented


# -- sources inside the cluster -------------------------------------------------------------------------


def test_verdicts_on_pods_and_nodes_stand_beside_the_headline_where_they_differ() -> None:
    verdict, inside, *differences = told(
        ADMIN, cni="cilium", pod_cidrs=("10.0.0.0/8",), node_cidrs=("10.8.0.0/15",)
    )
    assert verdict.startswith("host: equal — ") and verdict.endswith(
        "(every protocol from outside the cluster)"
    )
    assert inside == "  from pods and nodes narrower"
    assert [re.sub(r" from .* \(", " (", line) for line in differences] == [
        "  closes tcp port 22 (pods) [N2P407]",
        "  closes tcp port 22 (nodes) [N2P407]",
    ]


def test_what_holds_only_if_an_address_is_a_pods_is_told_as_maybe() -> None:
    _, inside, *differences = told(ADMIN, cni="cilium")
    assert inside == "  from pods and nodes maybe narrower"
    assert all(line.startswith("  maybe closes tcp port 22 from 10.9.0.0/16 (") for line in differences)


def test_a_difference_of_external_sources_does_not_say_whose_they_are() -> None:
    assert told("-A INPUT -s 10.0.0.0/8 -p udp --sport 53 -j ACCEPT", cni="kube-router")[1:] == [
        "  closes udp from port 53 from 10.0.0.0/8 [N2P302]"
    ]


def test_protocols_without_a_name_are_counted_among_the_first() -> None:
    lines = told("-A INPUT -s 10.0.0.0/8 -j ACCEPT", cni="cilium")
    assert "  closes protocols 0, 2-5, 7-16, 18-32, … from 10.0.0.0/8 [N2P413]" in lines
    assert told("-A INPUT -s 10.0.0.0/8 -p gre -j ACCEPT", cni="antrea")[1:] == [
        "  closes protocol 47 from 10.0.0.0/8 [N2P303]"
    ]


# -- the platform ---------------------------------------------------------------------------------------


def verdict_of(conversion: Conversion) -> str:
    return str(next(iter(verdict_lines(conversion))))


def test_what_the_platform_opens_against_the_host_stands_in_the_verdict() -> None:
    assert told(WEB, cni="kube-router") == [
        "host: equal; the platform also opens ICMP — the policy admits exactly what iptables accepts "
        "(every protocol, whoever sends it)"
    ]


def test_a_platform_that_opens_what_the_host_accepts_is_not_in_the_verdict() -> None:
    assert "the platform" not in told(cni="kube-router", policy="ACCEPT")[0]


@pytest.mark.parametrize("cni", CNIS)
def test_the_verdict_tells_of_the_platform_where_a_finding_does(cni: str) -> None:
    conversion = convert(rulesets(HOSTS["database-one-subnet.v4"]), Options(cni=cni))
    codes = {finding.code for finding in conversion.findings}
    assert ("the platform also opens" in verdict_of(conversion)) == ("N2P415" in codes)
