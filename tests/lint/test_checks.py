"""What lint says, and of what it says nothing."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ipt2np import Facts, Finding, Severity
from ipt2np.lint import CODES, lint
from ipt2np.syntax.ipset import parse_ipsets
from tests.dumps import dump, parsed, table

ANSWERS = "-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
WEB = "-A INPUT -p tcp --dport 80 -j ACCEPT"
COUNTED = """*filter
:INPUT DROP [5:300]
[4:240] -A INPUT -p tcp --dport 80 -j ACCEPT
[0:0] -A INPUT -p tcp --dport 81 -j ACCEPT
COMMIT
"""

DOCKER = """*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -j DOCKER
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
COMMIT
"""

CASES: Sequence[tuple[str, str, list[int]]] = (
    ("N2P601", dump("-A INPUT -s 10.0.0.0/8 -j DROP", "-A INPUT -s 10.1.0.0/16 -p tcp -j ACCEPT"), [6]),
    ("N2P602", dump("-A INPUT -s 10.0.0.0/8 -j ACCEPT", "-A INPUT -s 10.1.0.0/16 -p tcp -j ACCEPT"), [6]),
    ("N2P603", dump("-A INPUT -s 10.1.0.0/16 -j ACCEPT", "-A INPUT -s 10.0.0.0/8 -j ACCEPT"), [5]),
    ("N2P604", dump("-A INPUT -s 10.0.0.0/8 -j web", "-A web -s 192.168.0.0/16 -j ACCEPT"), [6]),
    ("N2P605", dump("-A INPUT -j DROP", WEB, "-A INPUT -p tcp --dport 81 -j ACCEPT"), [6, 7]),
    ("N2P606", COUNTED, [4]),
    ("N2P607", dump("-A INPUT -p tcp --dport 22 -j ACCEPT"), [5]),
    ("N2P608", dump(WEB, policy="ACCEPT"), []),
    ("N2P609", dump("-A INPUT -p udp --sport 53 -j ACCEPT"), [5]),
    ("N2P610", dump(WEB, "-A old -p tcp --dport 9 -j ACCEPT"), [6]),
    ("N2P611", dump("-A INPUT -j later", WEB, "-A later -j RETURN"), [5]),
    ("N2P612", DOCKER, [13]),
)


def findings(text: str, family: int = 4, facts: Facts | None = None) -> list[Finding]:
    return list(lint([parsed(text, family)], facts=facts).findings)


def lines(text: str, code: str, family: int = 4, facts: Facts | None = None) -> list[int]:
    """The lines of rules that findings of a code are about."""
    return sorted(
        rule.location.line
        for each in findings(text, family, facts)
        if each.code == code
        for rule in each.rules
    )


def unreached(*rules: str, family: int = 4, policy: str = "DROP") -> list[int]:
    """The lines of rules of INPUT (from 5 on) of which lint says that no packet comes to them."""
    text = dump(*rules, policy=policy)
    return sorted(
        line for code in ("N2P601", "N2P602", "N2P604", "N2P605") for line in lines(text, code, family)
    )


@pytest.mark.parametrize(("code", "text", "wanted"), CASES)
def test_what_it_takes_to_meet_a_finding(code: str, text: str, wanted: list[int]) -> None:
    (found,) = (finding for finding in findings(text) if finding.code == code)
    assert [rule.location.line for rule in found.rules] == wanted
    assert found.message and not found.message.endswith(".") and "\n" not in found.message


def test_every_code_of_lint_can_be_met() -> None:
    assert {case[0] for case in CASES} == set(CODES)


def test_a_sound_ruleset_meets_nothing() -> None:
    assert findings(dump(ANSWERS, "-A INPUT -i lo -j ACCEPT", WEB, "-A INPUT -j REJECT")) == []


# -- shadowing --------------------------------------------------------------------------------------------


def test_a_rule_behind_one_for_syn_still_sees_other_packets() -> None:
    assert (
        unreached(ANSWERS, "-A INPUT -p tcp --syn --dport 80 -j ACCEPT", "-A INPUT -p tcp --dport 80 -j DROP")
        == []
    )


def test_new_connections_that_were_dropped_open_no_port() -> None:
    assert unreached(
        "-A INPUT -m conntrack --ctstate NEW -j DROP",
        "-A INPUT -m conntrack --ctstate NEW -p tcp --dport 22 -j ACCEPT",
    ) == [6]


def test_every_state_together_is_every_packet() -> None:
    states = [
        f"-A INPUT -m conntrack --ctstate {state} -j ACCEPT"
        for state in ("NEW,RELATED", "ESTABLISHED", "INVALID", "UNTRACKED")
    ]
    assert unreached(*states, WEB) == [9]
    assert unreached(*states[:3], WEB) == []


def test_fragments_have_no_ports_where_conntrack_does_not_put_them_together() -> None:
    ports = ["-A INPUT -p tcp --dport 80 -j DROP", "-A INPUT -p tcp ! --dport 80 -j DROP"]
    assert unreached(*ports, "-A INPUT -p tcp -j ACCEPT") == []
    assert unreached(*ports, "-A INPUT -p tcp -j ACCEPT", ANSWERS) == [7]


def test_a_limited_rule_takes_no_packet_for_certain() -> None:
    assert unreached("-A INPUT -m limit --limit 3/s -j ACCEPT", WEB) == []
    assert unreached("-A INPUT -m recent --set -j ACCEPT", WEB) == []


def test_a_test_that_no_header_decides_says_the_same_twice() -> None:
    assert unreached("-A INPUT -m ttl --ttl-eq 9 -j DROP", f"{WEB} -m ttl --ttl-eq 9") == [6]
    assert unreached("-A INPUT -m ttl --ttl-eq 9 -j DROP", f"{WEB} -m ttl --ttl-eq 8") == []
    assert unreached("-A INPUT -m set --match-set bad src -j DROP", f"{WEB} -m set --match-set bad src") == [
        6
    ]
    both = ["-A INPUT -m set --match-set bad src -j DROP", "-A INPUT -m set ! --match-set bad src -j DROP"]
    assert unreached(*both, WEB) == [7]


def test_a_test_of_what_a_rule_changes_says_nothing_twice() -> None:
    marking = "-A INPUT -j MARK --set-mark 1"
    assert unreached("-A INPUT -m mark --mark 1 -j DROP", f"{WEB} -m mark --mark 1") == [6]
    assert unreached("-A INPUT -m mark --mark 1 -j DROP", marking, f"{WEB} -m mark --mark 1") == []
    adding = "-A INPUT -j SET --add-set bad src"
    assert (
        unreached("-A INPUT -m set --match-set bad src -j DROP", adding, f"{WEB} -m set --match-set bad src")
        == []
    )


def test_neither_mac_address_nor_its_negation_need_hold() -> None:
    mac = "-m mac --mac-source 00:11:22:33:44:55"
    assert (
        unreached(f"-A INPUT {mac} -j DROP", f"-A INPUT {mac.replace('--mac', '! --mac')} -j DROP", WEB) == []
    )


def test_a_known_ipset_takes_what_is_in_it() -> None:
    text = dump("-A INPUT -m set --match-set bad src -j DROP", "-A INPUT -s 10.1.2.3 -j ACCEPT")
    facts = Facts(ipsets=parse_ipsets(b"create bad hash:net family inet\nadd bad 10.0.0.0/8\n", "sets"))
    assert lines(text, "N2P601", facts=facts) == [6]
    assert lines(text, "N2P601") == []


def test_a_target_that_is_not_known_may_send_packets_on_as_others() -> None:
    rules = [
        "-A INPUT -s 10.0.0.0/8 -j DROP",
        "-A INPUT -j RAWDNAT --to-destination 10.1.0.1",
        "-A INPUT -s 10.1.0.0/16 -j ACCEPT",
    ]
    assert unreached(*rules) == []
    assert unreached(rules[0], rules[2]) == [6]


def test_a_rule_in_a_chain_is_dead_only_if_no_caller_lets_it_live() -> None:
    rules = ["-A INPUT -s 10.0.0.0/8 -j web", "-A web -p tcp -j ACCEPT"]
    before = ["-A INPUT -s 10.0.0.0/8 -p tcp -j DROP"]
    assert lines(dump(*before, *rules), "N2P601") == [7]
    assert lines(dump(*before, rules[0], "-A INPUT -s 11.0.0.1 -j web", rules[1]), "N2P601") == []
    forwarding = "-A FORWARD -j web"
    assert lines(dump(*before, *rules[:1], forwarding, rules[1]), "N2P601") == []


def test_the_smallest_blocking_set_is_named_with_what_differs_first() -> None:
    text = dump(
        "-A INPUT -s 172.16.0.0/12 -j DROP",
        "-A INPUT -s 10.0.0.0/9 -j ACCEPT",
        "-A INPUT -s 10.64.0.0/10 -j DROP",
        "-A INPUT -s 10.128.0.0/9 -j DROP",
        "-A INPUT -s 10.0.0.0/8 -p tcp -j ACCEPT",
    )
    (found,) = (each for each in findings(text) if each.code == "N2P601" and each.place[1] == 9)
    assert "2 rules before (lines 6, 8)" in found.message
    assert "line 8 does something else" in found.message


def test_a_blocked_jump_to_a_chain_that_does_what_the_blocking_rule_does_comes_to_the_same_end() -> None:
    first, jump = "-A INPUT -s 10.0.0.0/8 -j DROP", "-A INPUT -s 10.1.0.0/16 -j called"
    assert lines(dump(first, jump, WEB, "-A called -j DROP"), "N2P602") == [6]
    assert lines(dump(first, jump, WEB, "-A called -p tcp -j DROP"), "N2P601") == [6]
    assert lines(dump(first, jump, WEB, "-A called -j ACCEPT"), "N2P601") == [6]


def test_rules_that_one_rule_shadows_are_one_finding() -> None:
    dead = [f"-A INPUT -s 10.0.{number}.0/24 -p tcp -j ACCEPT" for number in range(20)]
    found = [
        each for each in findings(dump("-A INPUT -s 10.0.0.0/8 -j DROP", *dead)) if each.code == "N2P601"
    ]
    assert len(found) == 1 and len(found[0].rules) == 20


def test_a_rule_that_logs_what_was_accepted_never_logs() -> None:
    assert lines(dump(WEB, "-A INPUT -p tcp --dport 80 -j LOG"), "N2P601") == [6]


def test_the_end_of_a_chain_is_a_chain_that_never_comes_back() -> None:
    everything = ("-A all -p tcp -j ACCEPT", "-A all -j DROP")
    assert lines(dump("-A INPUT -j all", WEB, *everything), "N2P602") == [6]
    assert lines(dump("-A INPUT -j all", "-A INPUT -p udp -j ACCEPT", *everything), "N2P605") == [6]


# -- contradictions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "matches",
    [
        "-p tcp --dport 80 -m multiport ! --dports 80",
        "-p tcp --syn -m tcp --tcp-flags ACK ACK",
        "-m conntrack --ctstate NEW -m state --state ESTABLISHED",
        "-o eth0",
        "-m ttl --ttl-eq 9 -m set --match-set a src -m set ! --match-set a src",
        "-p tcp --tcp-flags SYN ACK",
    ],
)
def test_conditions_that_no_packet_fulfils(matches: str) -> None:
    assert lines(dump(f"-A INPUT {matches} -j ACCEPT"), "N2P604") == [5]


@pytest.mark.parametrize("matches", ["-i lo", "! -o eth0", "-m state --state NEW,INVALID", "-f"])
def test_conditions_that_some_packet_fulfils(matches: str) -> None:
    assert unreached(f"-A INPUT {matches} -j ACCEPT") == []


# -- rules that change nothing ----------------------------------------------------------------------------


def test_rules_that_are_said_to_change_nothing_can_go_together() -> None:
    text = dump(
        "-A INPUT -s 10.0.0.1 -j ACCEPT",
        "-A INPUT -s 10.0.0.0/31 -j ACCEPT",
        "-A INPUT -s 10.0.0.0 -j ACCEPT",
    )
    assert lines(text, "N2P603") == [5]
    assert lines(text, "N2P602") == [7]


def test_a_drop_that_protects_a_source_from_a_rule_behind_it_is_needed() -> None:
    assert lines(dump("-A INPUT -s 10.0.0.1 -j DROP", "-A INPUT -s 10.0.0.0/8 -j ACCEPT"), "N2P603") == []


def test_what_another_rule_would_remember_is_a_change() -> None:
    rules = ["-A INPUT -s 10.0.0.1 -j DROP", "-A INPUT -m recent --name seen --set", "-A INPUT -j DROP"]
    assert lines(dump(*rules), "N2P603") == []
    assert lines(dump(rules[0], rules[2]), "N2P603") == [5]


def test_what_is_logged_is_no_change() -> None:
    assert lines(dump("-A INPUT -s 10.0.0.1 -j DROP", "-A INPUT -m limit --limit 3/s -j LOG"), "N2P603") == [
        5
    ]


def test_the_last_rule_may_say_what_the_policy_says() -> None:
    assert lines(dump(WEB, "-A INPUT -j DROP"), "N2P603") == []
    assert lines(dump("-A INPUT -j web", "-A web -p tcp -j ACCEPT", "-A web -j RETURN"), "N2P603") == []


# -- what comes in ----------------------------------------------------------------------------------------


def test_a_management_port_is_judged_by_what_is_accepted() -> None:
    ssh = "-A INPUT -p tcp --dport 22 -j ACCEPT"
    assert lines(dump("-A INPUT -j DROP", ssh), "N2P607") == []
    assert lines(dump("-A INPUT -p tcp -m multiport --dports 22,3306 -j ACCEPT"), "N2P607") == [5]
    assert lines(dump(ssh.replace("-p tcp", "-s 10.0.0.0/8 -p tcp")), "N2P607") == []
    assert lines(dump("-A INPUT -s 0.0.0.0/1 -p tcp -j ACCEPT"), "N2P607") == [5]


def test_an_open_management_port_is_told_by_the_rules_that_open_it_wide() -> None:
    ssh = "-A INPUT -p tcp --dport 22 -j ACCEPT"
    narrow = ssh.replace("-p tcp", "-s 198.51.100.0/24 -p tcp")
    assert lines(dump(narrow, ssh), "N2P607") == [6]
    assert lines(dump(narrow, ssh.replace("-p tcp", "-i eth0 -p tcp"), ssh), "N2P607") == [6, 7]


def test_rules_that_open_a_management_port_together_are_told_without_the_narrow_ones() -> None:
    parts = [
        f"-A INPUT -s {part} -p tcp --dport 22 -j ACCEPT"
        for part in ("9.9.9.0/24", "0.0.0.0/2", "64.0.0.0/2")
    ]
    assert lines(dump(*parts), "N2P607") == [6, 7]
    assert lines(dump(*parts[:2]), "N2P607") == []


def test_a_narrow_rule_is_not_blamed_for_what_the_policy_accepts() -> None:
    narrow = "-A INPUT -s 198.51.100.0/24 -p tcp --dport 22 -j ACCEPT"
    assert {each.code for each in findings(dump(narrow, policy="ACCEPT"))} == {"N2P603", "N2P608"}


def test_a_policy_that_no_packet_comes_to_accepts_nothing() -> None:
    assert [each.code for each in findings(dump(WEB, "-A INPUT -j DROP", policy="ACCEPT"))] == []


def test_a_rule_that_asks_for_flags_instead_of_a_connection() -> None:
    assert lines(dump("-A INPUT -p tcp ! --syn -j ACCEPT"), "N2P609") == [5]
    assert lines(dump(f"{ANSWERS}"), "N2P609") == []


def test_an_answer_of_dhcp_has_no_connection_to_ask_for() -> None:
    assert lines(dump("-A INPUT -p udp --sport 67 --dport 68 -j ACCEPT"), "N2P609") == []
    assert lines(dump("-A INPUT -p udp --sport 123 --dport 123 -j ACCEPT"), "N2P609") == [5]


def test_a_chain_that_only_an_unused_chain_calls_is_unused() -> None:
    assert lines(dump(WEB, "-A one -j two", "-A two -j ACCEPT"), "N2P610") == [6, 7]


def test_counters_say_nothing_of_a_chain_that_saw_no_packet() -> None:
    assert lines(COUNTED.replace("[5:300]", "[0:0]").replace("[4:240]", "[0:0]"), "N2P606") == []


def test_other_tables_and_ipv6_are_linted_alike() -> None:
    rules = ("-A PREROUTING -s {0} -j DROP", "-A PREROUTING -s {0} -p tcp -j ACCEPT")
    for family, source in ((4, "10.0.0.0/8"), (6, "fd00::/8")):
        text = table("mangle", ":PREROUTING ACCEPT [0:0]", *(each.format(source) for each in rules)) + dump(
            WEB
        )
        assert lines(text, "N2P601", family) == [4]


def test_warnings_come_before_what_is_good_to_know() -> None:
    text = dump("-A INPUT -j later", "-A INPUT -p tcp --dport 22 -j ACCEPT", "-A later -j RETURN")
    severities = [each.severity for each in findings(text)]
    assert severities == sorted(severities, reverse=True)
    assert {Severity.WARNING, Severity.INFO} <= set(severities)


def test_a_rule_that_is_marked_for_the_other_family_is_no_rule() -> None:
    assert unreached(WEB, "-A INPUT -6 -p tcp --dport 81 -j ACCEPT") == []


def test_many_chains_below_each_other_and_many_ways_are_no_obstacle() -> None:
    deep = [f"-A c{number} -j c{number + 1}" for number in range(1500)]
    twice = [f"-A d{number} -j d{number + 1}" for number in range(60) for _ in range(2)]
    ends = [
        "-A c1500 -p tcp -j DROP",
        "-A c1500 -p tcp -j ACCEPT",
        "-A d60 -p tcp -j DROP",
        "-A d60 -p tcp -j LOG",
    ]
    text = dump(
        "-A INPUT -p tcp -j c0", "-A INPUT -p udp -j d0", "-A INPUT -p gre -j d0", *deep, *twice, *ends
    )
    found = findings(text)
    last = len(text.splitlines()) - 1
    assert [each.place[1] for each in found if each.code == "N2P605"] == [last - 2]
    assert last in [each.place[1] for each in found if each.code == "N2P604"]


def test_a_program_s_rules_that_match_nothing_are_one_finding_that_fails_no_run() -> None:
    text = DOCKER.replace("COMMIT", "-A DOCKER ! -o docker0 -j ACCEPT\nCOMMIT")
    (found,) = (each for each in findings(text) if each.code == "N2P612")
    assert found.severity is Severity.INFO
    assert [rule.location.line for rule in found.rules] == [13, 14]
    assert found.message == (
        "2 of Docker's rules, in DOCKER-ISOLATION-STAGE-2 and DOCKER, match nothing where they stand: "
        "no packet that comes to their chains fulfils their conditions"
    )
    assert lines(text, "N2P604") == []


def test_what_a_person_wrote_among_a_program_s_rules_contradicts_as_anywhere() -> None:
    rule = "-A DOCKER-USER -p udp -m multiport --dports 53 -m udp ! --dport 53 -j DROP"
    text = DOCKER.replace("COMMIT", f"{rule}\nCOMMIT")
    assert lines(text, "N2P604") == [14]
    assert lines(text, "N2P612") == [13]


def test_one_thing_said_of_many_rules_of_a_program_is_one_flat_sentence() -> None:
    chains = [f"ufw-before-{name}" for name in ("input", "output", "forward")]
    rules = [f"-A {chain} -s 10.{n}.0.0/16 -j DROP" for chain in chains for n in (1, 2)]
    bases = [f"-A {chain.rpartition('-')[2].upper()} -j {chain}" for chain in chains]
    text = dump(
        *bases, *rules, *(f"-A {chain} -j DROP" for chain in chains), chains=[*chains, "ufw-user-input"]
    )
    (found,) = (each for each in findings(text) if each.code == "N2P603")
    assert found.message.startswith(
        "6 of ufw's rules, in ufw-before-input, ufw-before-output and ufw-before-forward, change nothing: "
    )
    assert len(found.rules) == 6 and "(" not in found.message
