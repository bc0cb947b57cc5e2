"""Hosts that filter packet by packet: rules for answers, connections that break, what the reader is told of both."""

from __future__ import annotations

import pytest

from ipt2np import Conversion, Finding, convert, decide
from ipt2np.semantics.replies import answering_rules, reply_rules
from tests.dumps import dump, fate_of, parsed, table
from tests.sample_hosts import FOLDER

STATEFUL = "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT"


def lines(rules: object) -> list[int]:
    return [rule.location.line for rule in rules]  # type: ignore[attr-defined]


def replies(*rules: str, family: int = 4, policy: str = "DROP", chains: tuple[str, ...] = ()) -> list[int]:
    return lines(reply_rules(decide([parsed(dump(*rules, policy=policy, chains=chains), family)])))


def answering(*rules: str) -> list[int]:
    return [each.rule.location.line for each in answering_rules(decide([parsed(dump(*rules))]))]


def converted(*rules: str, policy: str = "DROP", before: str = "") -> Conversion:
    return convert([parsed(dump(*rules, policy=policy, before=before))])


def of_code(conversion: Conversion, code: str) -> list[Finding]:
    return [finding for finding in conversion.findings if finding.code == code]


# -- rules that only answers match ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "match",
    [
        "-p tcp ! --syn",
        "-p tcp --tcp-flags ACK ACK",
        "-p tcp --sport 80 ! --syn",
        "-p tcp --tcp-flags SYN,ACK SYN,ACK",
        "-p tcp --tcp-flags ALL SYN,ACK --sport 443",
        "-p tcp -m multiport --sports 80,443 ! --syn",
        "-p icmp --icmp-type echo-reply",
        "-p icmp --icmp-type timestamp-reply",
        "-p sctp --chunk-types only DATA,SACK",
    ],
)
def test_a_rule_that_no_first_packet_matches_admits_answers_only(match: str) -> None:
    assert replies(f"-A INPUT {match} -j ACCEPT") == [5]


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -p tcp -j ACCEPT",
        "-A INPUT -p tcp --syn -j ACCEPT",
        "-A INPUT -p tcp --tcp-flags SYN SYN -j ACCEPT",
        "-A INPUT -p tcp --sport 80 -j ACCEPT",
        "-A INPUT -p udp --sport 53 -j ACCEPT",
        "-A INPUT -p icmp -j ACCEPT",
        "-A INPUT -p icmp --icmp-type echo-request -j ACCEPT",
        "-A INPUT -p icmp --icmp-type destination-unreachable -j ACCEPT",
        "-A INPUT -p tcp ! --syn -j DROP",
        "-A INPUT -p tcp --tcp-flags ALL NONE -j ACCEPT",
        STATEFUL,
        "-A INPUT -p tcp ! --syn -m state --state ESTABLISHED -j ACCEPT",
        "-A FORWARD -p tcp ! --syn -j ACCEPT",
    ],
)
def test_other_rules_are_no_rules_for_answers(rule: str) -> None:
    assert replies(rule) == []


def test_a_chain_that_only_established_packets_reach_is_not_stateless() -> None:
    assert (
        replies("-A INPUT -m state --state ESTABLISHED -j old", "-A old -p tcp -j ACCEPT", chains=("old",))
        == []
    )


def test_a_rule_that_nothing_reaches_admits_no_answers() -> None:
    assert replies("-A INPUT -p tcp -j DROP", "-A INPUT -p tcp --sport 80 ! --syn -j ACCEPT") == []
    assert replies("-A INPUT -p icmp -j DROP", "-A INPUT -p icmp --icmp-type 0 -j ACCEPT") == []


def test_echo_replies_of_ipv6_are_answers() -> None:
    assert replies("-A INPUT -p ipv6-icmp --icmpv6-type echo-reply -j ACCEPT", family=6) == [5]
    assert replies("-A INPUT -p ipv6-icmp --icmpv6-type neighbour-solicitation -j ACCEPT", family=6) == []


# -- rules that take the source port for the sign of an answer ------------------------------------------


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ("-p udp --sport 53", True),
        ("-p udp --sport 53 --dport 1024:65535", True),
        ("-p udp --sport 53 --dport 53", True),
        ("-p udp --sport 123 --dport 123", True),
        ("-p udp --sport 67 --dport 68", True),
        ("-p tcp --sport 80", True),
        ("-p tcp -m multiport --sports 80,443", True),
        ("-p udp -m multiport --sports 53,123 -m multiport --dports 1024:65535", True),
        ("-p tcp --sport 3306 --dport 1024:65535", True),
        ("-p tcp --sport 20 --dport 1024:65535", False),
        ("-p tcp --sport 1024:65535 --dport 22", False),
        ("-p udp --sport 53 --dport 22", False),
        ("-p udp ! --sport 53", False),
        ("-p udp --dport 53", False),
        ("-p udp -m multiport --ports 53", False),
        ("-p udp --sport 53 -m state --state NEW", False),
        ("-p tcp --sport 80 ! --syn", False),
    ],
)
def test_a_server_s_source_port_is_taken_for_the_sign_of_an_answer(match: str, expected: bool) -> None:
    assert answering(f"-A INPUT {match} -j ACCEPT") == ([5] if expected else [])


def test_what_such_a_rule_lets_in_is_one_finding_and_other_source_ports_another() -> None:
    conversion = converted(
        "-A INPUT -p udp --sport 53 -j ACCEPT",
        "-A INPUT -p tcp --sport 1024:65535 --dport 22 -j ACCEPT",
    )
    answers, others = of_code(conversion, "N2P302")
    assert lines(answers.rules) == [5] and lines(others.rules) == [6]
    assert "nothing is lost" in answers.remedy and "nothing is lost" not in others.remedy
    decision = conversion.draft.decision
    (of_answers,), (of_others,) = answers.predicted, others.predicted
    assert not of_answers.packets.meets(of_others.packets)
    lost = of_answers.packets | of_others.packets
    assert lost == decision.must_accept and conversion.proof.verdict.value == "narrower"


def test_answers_beside_a_rule_for_the_same_port_lose_nothing() -> None:
    conversion = converted(
        "-A INPUT -p udp --dport 53 -j ACCEPT", "-A INPUT -p udp --sport 53 --dport 53 -j ACCEPT"
    )
    assert not of_code(conversion, "N2P302") and conversion.proof.verdict.value == "equal"


def test_each_rule_for_answers_stands_in_one_finding() -> None:
    conversion = convert([parsed((FOLDER / "stateless.v4").read_text())])
    answers, others = of_code(conversion, "N2P302")
    (only,) = of_code(conversion, "N2P311")
    (messages,) = of_code(conversion, "N2P307")
    assert [lines(each.rules) for each in (answers, others, only, messages)] == [
        [16, 18],
        [20],
        [17, 19, 21],
        [22, 24],
    ]
    assert not only.predicted


def test_a_dropped_echo_reply_is_left_to_the_platform_as_before() -> None:
    conversion = converted("-A INPUT -p icmp --icmp-type 0 -j DROP", policy="ACCEPT")
    assert [lines(each.rules) for each in of_code(conversion, "N2P307")] == [[5]]
    assert not of_code(conversion, "N2P311")


# -- connections that get no further than their first packet --------------------------------------------


def test_a_port_that_only_the_first_packet_may_use_is_told_to_be_closed() -> None:
    conversion = converted("-A INPUT -p tcp --dport 22 -m state --state NEW -j ACCEPT")
    (finding,) = of_code(conversion, "N2P312")
    assert "accepted by 1 rule (line 5), what follows is refused by INPUT's policy" in finding.message
    assert lines(finding.rules) == [5] and not finding.predicted
    assert fate_of(conversion.draft.decision, "192.0.2.1", "tcp", 22) == "refuse"
    assert conversion.proof.verdict.value == "equal"


def test_the_rule_that_refuses_what_follows_is_named() -> None:
    conversion = converted(
        "-A INPUT -p tcp --dport 22 --syn -j ACCEPT",
        "-A INPUT -p tcp --dport 80 -j ACCEPT",
        "-A INPUT -p tcp --tcp-flags ACK ACK -j DROP",
        policy="ACCEPT",
    )
    (finding,) = of_code(conversion, "N2P312")
    assert (
        "accepted by 1 rule (line 5) and INPUT's policy, what follows is refused by 1 rule (line 7)"
        in finding.message
    )


def test_a_policy_can_be_what_accepts_the_first_packet() -> None:
    (finding,) = of_code(converted("-A INPUT -p tcp ! --syn -j DROP", policy="ACCEPT"), "N2P312")
    assert "accepted by INPUT's policy, what follows is refused by 1 rule (line 5)" in finding.message
    assert finding.place == ("rules.v4", 0)


@pytest.mark.parametrize(
    "rules",
    [
        (STATEFUL, "-A INPUT -p tcp --dport 22 -m state --state NEW -j ACCEPT"),
        ("-A INPUT -p tcp --dport 22 -j ACCEPT",),
        ("-A INPUT -p tcp ! --syn -j ACCEPT", "-A INPUT -p tcp --dport 22 --syn -j ACCEPT"),
        ("-A INPUT -p udp --dport 53 -m state --state NEW -j ACCEPT",),
        ("-A INPUT -p tcp --dport 22 --syn -j ACCEPT", "-A INPUT -p tcp -m frob --x 1 -j ACCEPT"),
    ],
)
def test_connections_that_may_go_on_are_not_told_to_break(rules: tuple[str, ...]) -> None:
    assert not of_code(converted(*rules), "N2P312")


def test_only_the_ports_that_break_are_blamed() -> None:
    conversion = converted(
        "-A INPUT -p tcp --dport 22 --syn -j ACCEPT",
        "-A INPUT -p tcp --dport 80 -j ACCEPT",
    )
    (finding,) = of_code(conversion, "N2P312")
    assert lines(finding.rules) == [5]
    assert fate_of(conversion.draft.decision, "192.0.2.1", "tcp", 80) == "accept"


# -- hosts without a state test -------------------------------------------------------------------------


def test_a_host_that_refuses_answers_is_told_that_pods_get_them() -> None:
    (finding,) = of_code(converted("-A INPUT -p tcp --dport 80 -j ACCEPT"), "N2P313")
    assert "refuses answers to its own connections" in finding.message and finding.place == ("rules.v4", 0)


def test_a_host_with_rules_for_answers_is_told_so() -> None:
    (finding,) = of_code(converted("-A INPUT -p tcp ! --syn -j ACCEPT"), "N2P313")
    assert "come in by rules for them" in finding.message


@pytest.mark.parametrize(
    ("rules", "policy"),
    [
        ((STATEFUL,), "DROP"),
        (("-A INPUT -p tcp --dport 80 -m state --state NEW -j ACCEPT",), "DROP"),
        (("-A INPUT -s 192.0.2.1 -j DROP", "-A INPUT -s 198.51.100.0/24 -j DROP"), "ACCEPT"),
        (("-A INPUT -j ACCEPT",), "DROP"),
    ],
)
def test_other_hosts_are_not_called_stateless(rules: tuple[str, ...], policy: str) -> None:
    assert not of_code(converted(*rules, policy=policy), "N2P313")


def test_a_rule_before_the_filter_may_be_the_one_that_asks_for_state() -> None:
    before = table("mangle", "-A PREROUTING -m conntrack --ctstate INVALID -j DROP")
    assert not of_code(converted("-A INPUT -p tcp --dport 80 -j ACCEPT", before=before), "N2P313")
