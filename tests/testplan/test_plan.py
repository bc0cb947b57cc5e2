"""Which packets are in a plan, in which order, and what is said of each."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from ipt2np import Options, OtherFamily, UsageError, convert
from ipt2np.cni.base import Cluster
from ipt2np.conversion import Scope
from ipt2np.testplan import OnHost, OnPod, ProbeCase, TestPlan, Why, plan_probes
from ipt2np.testplan.case import How
from tests.dumps import dump, parsed, table

STATE = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def planned(*rules: str, policy: str = "DROP", most: int = 1000, **options: Any) -> TestPlan:
    senders: Sequence[str] = options.pop("senders", ())
    before = options.pop("before", "")
    text = dump(STATE, *rules, policy=policy, before=before)
    options.setdefault("cni", "calico")
    return plan_probes(convert([parsed(text)], Options(**options)), most, senders)


def tcp(plan: TestPlan, source_class: str = "external") -> dict[tuple[str, int], ProbeCase]:
    """The plan's TCP probes of a class by source and port."""
    return {
        (case.source, case.port or 0): case
        for case in plan.cases
        if case.protocol == "tcp" and case.source_class == source_class
    }


def test_both_sides_of_both_ends_of_a_port_range_are_asked_for() -> None:
    cases = tcp(planned("-A INPUT -p tcp -m tcp --dport 8000:8100 -j ACCEPT"))
    by_port = {port: case for (_, port), case in cases.items()}
    assert {7999, 8000, 8100, 8101} <= set(by_port)
    assert [by_port[port].host for port in (7999, 8000, 8100, 8101)] == [
        OnHost.REFUSED, OnHost.ACCEPTED, OnHost.ACCEPTED, OnHost.REFUSED,
    ]  # fmt: skip
    assert [by_port[port].pod for port in (7999, 8000)] == [OnPod.REFUSED, OnPod.ADMITTED]
    (reason,) = [each for each in by_port[7999].reasons if each.why is Why.PORT]
    assert reason.text == "the last port before 8000-8100"
    assert [rule.location.line for rule in reason.beyond] == [6]
    assert [rule.location.line for rule in by_port[8000].rules] == [6]
    assert by_port[7999].policies == ("INPUT policy DROP",) and by_port[7999].how is How.DROPPED


def test_both_sides_of_both_ends_of_a_network_are_asked_for() -> None:
    cases = tcp(planned("-A INPUT -s 192.0.2.64/26 -p tcp -m tcp --dport 22 -j ACCEPT"))
    answers = {
        source: cases[source, 22].host
        for source in ("192.0.2.63", "192.0.2.64", "192.0.2.127", "192.0.2.128")
    }
    assert list(answers.values()) == [OnHost.REFUSED, OnHost.ACCEPTED, OnHost.ACCEPTED, OnHost.REFUSED]


def test_no_port_0_and_no_source_that_nobody_has() -> None:
    plan = planned("-A INPUT -p tcp -m tcp --dport 1:65535 -j ACCEPT", "-A INPUT -s 0.0.0.0/1 -j ACCEPT")
    assert all(
        case.port != 0 and case.packet.source_port != 0 for case in plan.cases if case.port is not None
    )
    assert not {case.source for case in plan.cases} & {"0.0.0.0", "127.0.0.0", "127.0.0.1", "224.0.0.0"}
    assert not [case for case in plan.cases if case.source.startswith(("127.", "224.", "255."))]


def test_source_ports_are_told_where_they_matter_and_only_there() -> None:
    plan = planned(
        "-A INPUT -p udp -m udp --sport 53 -j ACCEPT", "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"
    )
    udp = {case.source_port: case.host for case in plan.cases if case.protocol == "udp"}
    assert udp[53] is OnHost.ACCEPTED and udp[52] is udp[54] is OnHost.REFUSED
    assert {case.source_port for case in plan.cases if case.protocol == "tcp"} == {None}


def test_every_difference_has_its_witness_first() -> None:
    conversion = convert(
        [parsed(dump(STATE, "-A INPUT -p udp -m udp --sport 53 -j ACCEPT", "-A INPUT -p icmp -j ACCEPT"))],
        Options(cni="kube-router"),
    )
    plan = plan_probes(conversion)
    differences = conversion.proof.differences
    assert differences
    told = [case for case in plan.cases if case.reasons[0].why is Why.DIFFERENCE]
    assert told == list(plan.cases[: len(told)])
    assert {code for case in told for reason in case.reasons for code in reason.findings} == {
        code for difference in differences for code in difference.findings
    }
    for case in told:
        assert (case.host, case.pod) not in {
            (OnHost.ACCEPTED, OnPod.ADMITTED),
            (OnHost.REFUSED, OnPod.REFUSED),
        }


@pytest.mark.parametrize(
    ("rule", "how"),
    [
        ("-A INPUT -p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset", How.REJECTED),
        ("-A INPUT -p tcp -m tcp --dport 22 -j DROP", How.DROPPED),
        ("-A INPUT -p tcp -m tcp --dport 22 -j NFQUEUE --queue-num 1", How.DIVERTED),
    ],
)
def test_ways_of_refusing_are_told_apart(rule: str, how: How) -> None:
    cases = [case for case in planned(rule, policy="ACCEPT").cases if case.port == 22]
    assert {(case.host, case.how) for case in cases} == {(OnHost.REFUSED, how)}


def test_a_connection_that_is_cut_off_later_is_no_refused_handshake() -> None:
    text = dump("-A INPUT -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT")
    plan = plan_probes(convert([parsed(text)]))
    cases = [case for case in plan.cases if case.port == 22]
    assert {(case.host, case.how) for case in cases} == {(OnHost.REFUSED, How.LATER)}


def test_what_no_header_says_is_undecided_and_the_rule_is_named() -> None:
    plan = planned("-A INPUT -i eth1 -p tcp -m tcp --dport 22 -j ACCEPT")
    case = next(case for case in plan.cases if case.port == 22)
    assert case.host is OnHost.UNDECIDED and 6 in {rule.location.line for rule in case.rules}


def test_senders_are_taken_wherever_there_is_a_choice() -> None:
    senders = ("10.9.0.5", "10.9.1.7")
    plan = planned("-A INPUT -s 10.9.0.0/24 -p tcp -m tcp --dport 22 -j ACCEPT", senders=senders)
    chosen = {case.source for case in plan.cases for reason in case.reasons if reason.why is not Why.SOURCE}
    assert chosen == set(senders)


def test_without_a_choice_the_address_is_still_of_those_that_matter() -> None:
    plan = planned("-A INPUT -s 10.9.0.0/24 -p tcp -m tcp --dport 22 -j ACCEPT", senders=("192.0.2.1",))
    accepted = {case.source for case in plan.cases if case.host is OnHost.ACCEPTED}
    assert accepted == {"10.9.0.0", "10.9.0.10", "10.9.0.255"}


def test_a_long_ban_list_leaves_room_for_ports_and_is_counted() -> None:
    rng = random.Random(7)
    bans = sorted(
        {f"{rng.randrange(11, 100)}.{rng.randrange(256)}.3.{rng.randrange(256)}" for _ in range(600)}
    )
    rules = [f"-A INPUT -s {ban}/32 -j DROP" for ban in bans]
    plan = planned(*rules, "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT", most=60)
    assert len(plan.cases) == 60 and plan.left_out > 600 and not plan.left_out_more
    assert {442, 443, 444} <= {case.port for case in plan.cases}
    whys = {reason.why for case in plan.cases for reason in case.reasons}
    assert whys >= {Why.ANSWERS, Why.PORT, Why.DECIDED, Why.SOURCE}
    assert sum(case.source in bans for case in plan.cases) > 5


def test_more_probes_continue_a_shorter_plan() -> None:
    rules = (
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A INPUT -p udp -m udp --dport 53 -j ACCEPT",
    )
    whole = planned(*rules)
    short = planned(*rules, most=7)
    assert [case.packet for case in short.cases] == [case.packet for case in whole.cases[:7]]
    assert whole.left_out == 0 and short.left_out > 0


def test_every_rule_that_decides_something_is_behind_a_case() -> None:
    plan = planned(
        "-A INPUT -s 10.1.0.0/16 -j DROP",
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 22 -j REJECT --reject-with tcp-reset",
        "-A INPUT -s 10.0.0.0/8 -j ACCEPT",
    )
    assert {rule.location.line for case in plan.cases for rule in case.rules} == {6, 7, 8, 9}


def test_declared_pods_are_asked_at_their_own_boundaries() -> None:
    cluster = Cluster(pod_cidrs=("10.244.0.0/16",))
    plan = planned(
        "-A INPUT -s 10.244.7.0/24 -p tcp -m tcp --dport 9100 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT",
        cluster=cluster,
        cni="antrea",
    )
    pods = tcp(plan, "pod")
    assert all(source.startswith("10.244.") for source, _ in pods)
    assert {
        ("10.244.6.255", 9100),
        ("10.244.7.0", 9100),
        ("10.244.7.255", 9100),
        ("10.244.8.0", 9100),
    } <= set(pods)
    assert not any(source.startswith("10.244.") for source, _ in tcp(plan))
    assert pods["10.244.7.0", 9100].everywhere is False
    assert {case.everywhere for (_, port), case in pods.items() if port == 80} == {True}


def test_what_the_platform_lets_in_is_admitted_whatever_the_policy_says() -> None:
    plan = planned("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", cni="kube-router")
    pings = {case.pod for case in plan.cases if case.protocol == "icmp" and case.icmp == "8/0"}
    assert pings == {OnPod.ADMITTED}


def test_of_a_family_without_a_ruleset_nothing_is_expected_of_the_host() -> None:
    plan = planned("-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", cni="cilium")
    six = [case for case in plan.cases if case.packet.family == 6]
    assert six and {case.host for case in six} == {OnHost.UNDECIDED}
    assert {case.policies for case in six} == {("no IPv6 ruleset",)}
    both = planned("-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT", cni="calico", other_family=OtherFamily.SAME)
    assert {case.host for case in both.cases if case.packet.family == 6} == {OnHost.ACCEPTED, OnHost.REFUSED}


def test_a_port_behind_a_redirect_is_asked_for_by_its_wire_port() -> None:
    nat = table("nat", "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080")
    cases = tcp(planned("-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT", before=nat))
    assert {case.host_port for (_, port), case in cases.items() if port == 80} <= {None}
    assert {case.host_port for (_, port), case in cases.items() if port == 8080} == {8080}


def test_a_plan_for_a_host_that_stays_is_refused() -> None:
    conversion = convert(
        [parsed(dump("-A INPUT -i eth0 -j ACCEPT"))], Options(cni="calico", scope=Scope.HOST)
    )
    with pytest.raises(UsageError, match="pods"):
        plan_probes(conversion)
