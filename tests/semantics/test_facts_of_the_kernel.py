"""What iptables rules mean: one statement about the kernel each, without a kernel at hand."""

from __future__ import annotations

import pytest

from ipt2np import Assumptions, Can, Facts, Options, UsageError, convert
from ipt2np.planning import InDoubt
from tests.dumps import decided, dump, fate_of, first_packets, packet, parsed, table

ANY = "192.0.2.1"


def tcp(text: str, port: int = 80, *settings: str, source: str = ANY, facts: Facts | None = None) -> str:
    return fate_of(decided(text, *settings, facts=facts), source, "tcp", port)


# -- walking chains -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("policy", "fate"), [("ACCEPT", "accept"), ("DROP", "refuse")])
def test_what_no_rule_decides_the_policy_decides(policy: str, fate: str) -> None:
    assert tcp(dump("-A INPUT -p tcp --dport 22 -j DROP", policy=policy)) == fate


def test_the_first_rule_that_decides_wins() -> None:
    assert tcp(dump("-A INPUT -p tcp --dport 80 -j ACCEPT", "-A INPUT -j DROP", policy="ACCEPT")) == "accept"
    assert tcp(dump("-A INPUT -j DROP", "-A INPUT -p tcp --dport 80 -j ACCEPT", policy="ACCEPT")) == "refuse"


@pytest.mark.parametrize(
    "rule",
    [
        "-A INPUT -p tcp",
        "-A INPUT -j LOG",
        "-A INPUT -j MARK --set-mark 1",
        "-A INPUT -j NFLOG",
        "-A INPUT -j TRACE",
    ],
)
def test_a_rule_without_a_terminating_target_lets_the_packet_go_on(rule: str) -> None:
    assert tcp(dump(rule, "-A INPUT -p tcp --dport 80 -j ACCEPT")) == "accept"


def test_return_from_a_user_chain_continues_after_the_jump() -> None:
    text = dump(
        "-A INPUT -j web",
        "-A INPUT -p tcp --dport 80 -j ACCEPT",
        "-A web -j RETURN",
        "-A web -j DROP",
        chains=["web"],
    )
    assert tcp(text) == "accept"


def test_the_end_of_a_user_chain_is_a_return() -> None:
    assert tcp(dump("-A INPUT -j web", "-A INPUT -j ACCEPT", chains=["web"])) == "accept"


def test_return_from_a_built_in_chain_is_its_policy() -> None:
    text = ["-A INPUT -p tcp --dport 80 -j RETURN", "-A INPUT -j DROP"]
    assert tcp(dump(*text, policy="ACCEPT")) == "accept"
    assert tcp(dump("-A INPUT -p tcp --dport 80 -j RETURN", "-A INPUT -j ACCEPT")) == "refuse"


def test_a_goto_returns_to_the_callers_caller() -> None:
    text = dump(
        "-A INPUT -j outer",
        "-A INPUT -p tcp --dport 80 -j ACCEPT",
        "-A outer -g inner",
        "-A outer -j DROP",
        chains=["outer", "inner"],
    )
    assert tcp(text) == "accept"
    assert tcp(text.replace("-g inner", "-j inner")) == "refuse"


def test_a_goto_from_a_built_in_chain_ends_at_its_policy() -> None:
    text = dump("-A INPUT -g web", "-A INPUT -j ACCEPT", chains=["web"])
    assert tcp(text) == "refuse"
    assert tcp(dump("-A INPUT -g web", "-A INPUT -j DROP", chains=["web"], policy="ACCEPT")) == "accept"


def test_a_goto_inside_a_goto_still_returns_past_both() -> None:
    text = dump(
        "-A INPUT -j a",
        "-A INPUT -j ACCEPT",
        "-A a -g b",
        "-A a -j DROP",
        "-A b -g c",
        "-A b -j DROP",
        "-A c -p udp -j DROP",
        chains=["a", "b", "c"],
    )
    assert tcp(text) == "accept"


def test_a_chain_decides_only_the_packets_that_jump_there() -> None:
    text = dump(
        "-A INPUT -s 10.0.0.0/8 -j web",
        "-A web -p tcp --dport 80 -j ACCEPT",
        "-A web -j DROP",
        "-A INPUT -p tcp --dport 22 -j ACCEPT",
        chains=["web"],
    )
    assert tcp(text, 80, source="10.0.0.1") == "accept"
    assert tcp(text, 80) == "refuse"
    assert tcp(text, 22) == "accept"
    assert tcp(text, 22, source="10.0.0.1") == "refuse"


def test_a_drop_and_a_reject_both_refuse_but_are_told_apart() -> None:
    assert first_packets(decided(dump("-A INPUT -j REJECT", policy="ACCEPT"))) == Can.REJECT
    assert first_packets(decided(dump("-A INPUT -j DROP", policy="ACCEPT"))) == Can.DROP


@pytest.mark.parametrize(
    "target", ["NFQUEUE --queue-num 0", "QUEUE", "TARPIT --tarpit", "SYNPROXY --mss 1460"]
)
def test_a_diverted_packet_is_neither_accepted_nor_denied(target: str) -> None:
    decision = decided(dump(f"-A INPUT -p tcp -j {target}", policy="ACCEPT"))
    assert first_packets(decision) == Can.DIVERT
    assert fate_of(decision, ANY, "tcp", 80) == "refuse"
    assert fate_of(decision, ANY, "udp", 80) == "accept"


# -- both bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rules", "policy", "fate"), [
    (["-A INPUT -m frob --x 1 -j ACCEPT"], "DROP", "undecided"),
    (["-A INPUT -m frob --x 1 -j DROP"], "ACCEPT", "undecided"),
    (["-A INPUT -m frob --x 1 -j ACCEPT"], "ACCEPT", "accept"),
    (["-A INPUT -m frob --x 1 -j DROP"], "DROP", "refuse"),
    (["-A INPUT -m frob --x 1 -j ACCEPT", "-A INPUT -j ACCEPT"], "DROP", "accept"),
    (["-A INPUT -m frob --x 1 -j ACCEPT", "-A INPUT -m frob --x 2 -j DROP", "-A INPUT -j ACCEPT"], "DROP", "undecided"),
    (["-A INPUT -m frob --x 1 -j web", "-A web -j ACCEPT"], "DROP", "undecided"),
    (["-A INPUT -j web", "-A web -m frob --x 1 -j RETURN", "-A web -j DROP", "-A INPUT -j ACCEPT"], "DROP", "undecided"),
    (["-A INPUT -j web", "-A web -m frob --x 1 -j RETURN", "-A web -j ACCEPT", "-A INPUT -j ACCEPT"], "DROP", "accept"),
    (["-A INPUT -m frob --x 1 -j NFQUEUE --queue-num 1"], "ACCEPT", "undecided"),
    (["-A INPUT -m frob --x 1 -g web", "-A INPUT -j ACCEPT", "-A web -j DROP"], "DROP", "undecided"),
])  # fmt: skip
def test_an_undecided_match_leaves_both_ways_open_where_they_differ(
    rules: list[str], policy: str, fate: str
) -> None:
    assert tcp(dump(*rules, policy=policy, chains=["web"])) == fate


def test_what_is_undecided_is_undecided_only_inside_the_rules_other_matches() -> None:
    text = dump("-A INPUT -s 10.0.0.0/8 -m frob --x 1 -j ACCEPT")
    assert tcp(text, source="10.0.0.1") == "undecided"
    assert tcp(text) == "refuse"


@pytest.mark.parametrize(("match", "fate"), [
    ("-s 10.0.0.0/8", "refuse"),
    ("! -s 10.0.0.0/8", "accept"),
    ("-m conntrack --ctstate NEW", "accept"),
    ("-m conntrack ! --ctstate NEW", "refuse"),
    ("-m set --match-set bad src", "undecided"),
    ("-m set ! --match-set bad src", "undecided"),
    ("-m mark --mark 1", "refuse"),
    ("-m mark ! --mark 1", "accept"),
    ("-m conntrack --ctorigdst 10.0.0.1", "undecided"),
    ("-m conntrack ! --ctstate ESTABLISHED", "accept"),
    ("-m conntrack --ctstate NEW --ctexpire 5", "undecided"),
    ("-p udp", "refuse"),
    ("! -p udp", "accept"),
    ("-p tcp -m multiport ! --dports 22,80", "refuse"),
    ("-p tcp -m multiport ! --dports 22,81", "accept"),
])  # fmt: skip
def test_a_negation_complements_a_match_and_swaps_its_bounds(match: str, fate: str) -> None:
    text = dump("-A INPUT -p tcp -m conntrack --ctstate ESTABLISHED -j ACCEPT", f"-A INPUT {match} -j ACCEPT")
    assert fate_of(decided(text, facts=Facts()), ANY, "tcp", 80) == fate


# -- tables ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "chain"), [
    ("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "INPUT"), ("security", "INPUT"), ("nat", "PREROUTING"),
])  # fmt: skip
def test_a_drop_in_any_table_of_the_input_path_is_a_drop(name: str, chain: str) -> None:
    # A rule that needs connection tracking, without which nat is not asked.
    tracking = "-A INPUT -m conntrack --ctstate INVALID -j DROP"
    decision = decided(
        dump(tracking, "-A INPUT -j ACCEPT", before=table(name, f"-A {chain} -p tcp --dport 80 -j DROP"))
    )
    assert fate_of(decision, ANY, "tcp", 80) == "refuse"
    assert fate_of(decision, ANY, "tcp", 81) == "accept"


@pytest.mark.parametrize(("name", "chain"), [
    ("raw", "OUTPUT"), ("mangle", "FORWARD"), ("mangle", "POSTROUTING"), ("security", "FORWARD"), ("nat", "POSTROUTING"),
])  # fmt: skip
def test_a_drop_off_the_input_path_is_none(name: str, chain: str) -> None:
    assert tcp(dump("-A INPUT -j ACCEPT", before=table(name, f"-A {chain} -j DROP"))) == "accept"


def test_an_accept_in_one_table_does_not_spare_the_next() -> None:
    assert tcp(dump("-A INPUT -j DROP", before=table("mangle", "-A INPUT -j ACCEPT"))) == "refuse"


def test_a_policy_of_another_table_counts_too() -> None:
    assert (
        tcp(
            dump(
                "-A INPUT -j ACCEPT", before=table("mangle", ":INPUT DROP [0:0]", "-A INPUT -p udp -j ACCEPT")
            )
        )
        == "refuse"
    )


def test_nat_postrouting_does_not_concern_what_comes_in() -> None:
    assert tcp(dump("-A INPUT -j ACCEPT", before=table("nat", "-A POSTROUTING -j MASQUERADE"))) == "accept"


def test_an_untracked_packet_is_not_redirected() -> None:
    before = table("raw", "-A PREROUTING -p tcp --dport 80 -j NOTRACK") + table(
        "nat", "-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 81"
    )
    assert tcp(dump("-A INPUT -p tcp --dport 80 -j ACCEPT", before=before)) == "accept"


def test_a_dump_without_a_filter_table_accepts_everything() -> None:
    assert tcp(table("nat", ":PREROUTING ACCEPT [0:0]")) == "accept"


# -- states ---------------------------------------------------------------------------------------------

ESTABLISHED = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def test_a_connection_needs_its_first_and_its_later_packets() -> None:
    new = "-A INPUT -p tcp --dport 80 -m conntrack --ctstate NEW -j ACCEPT"
    assert tcp(dump(new)) == "refuse"
    assert tcp(dump(ESTABLISHED)) == "refuse"
    assert tcp(dump(ESTABLISHED, new)) == "accept"
    assert fate_of(decided(dump(new.replace("tcp", "udp"))), ANY, "udp", 80) == "accept"


def test_a_tcp_connection_opens_with_syn_alone() -> None:
    assert tcp(dump(ESTABLISHED, "-A INPUT -p tcp --syn -j ACCEPT")) == "accept"
    assert tcp(dump(ESTABLISHED, "-A INPUT -p tcp ! --syn -j DROP", policy="ACCEPT")) == "accept"
    assert tcp(dump("-A INPUT -p tcp ! --syn -j DROP", policy="ACCEPT")) == "refuse"
    assert tcp(dump("-A INPUT -p tcp --tcp-flags ALL SYN,ACK -j DROP", policy="ACCEPT")) == "accept"
    assert tcp(dump("-A INPUT -p tcp --tcp-flags ALL NONE -j DROP", policy="ACCEPT")) == "accept"


@pytest.mark.parametrize("untrack", ["NOTRACK", "CT --notrack"])
def test_notrack_makes_packets_untracked_first_and_later(untrack: str) -> None:
    before = table("raw", f"-A PREROUTING -p tcp --dport 80 -j {untrack}")
    for state, fate in (("NEW,ESTABLISHED", "refuse"), ("UNTRACKED", "accept"), ("INVALID", "refuse")):
        assert tcp(dump(f"-A INPUT -m conntrack --ctstate {state} -j ACCEPT", before=before)) == fate
    assert (
        tcp(dump("-A INPUT -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT", before=before), 81) == "accept"
    )


def test_only_icmp_requests_open_a_connection() -> None:
    decision = decided(dump(ESTABLISHED, "-A INPUT -m conntrack --ctstate NEW -p icmp -j ACCEPT"))
    assert fate_of(decision, ANY, "icmp", icmp_type=8) == "accept"
    assert fate_of(decision, ANY, "icmp", icmp_type=0) == "refuse"


def test_an_icmp_type_is_only_its_own() -> None:
    decision = decided(dump("-A INPUT -p icmp --icmp-type 8 -j ACCEPT"))
    assert fate_of(decision, ANY, "icmp", icmp_type=8) == "accept"
    assert fate_of(decision, ANY, "icmp", icmp_type=13) == "refuse"
    assert fate_of(decision, ANY, "tcp", 8) == "refuse"


# -- assumptions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("match", "holds"), [
    ("-m limit --limit 5/min", True),
    ("-m limit", True),
    ("-m hashlimit --hashlimit-upto 5/min --hashlimit-name x", True),
    ("-m hashlimit --hashlimit-above 5/min --hashlimit-name x", False),
    ("-m hashlimit ! --hashlimit-upto 5/min --hashlimit-name x", False),
    ("-m connlimit --connlimit-upto 3", True),
    ("-m connlimit --connlimit-above 3", False),
    ("-m connlimit ! --connlimit-above 3", True),
    ("-m connlimit --connlimit-above 0", True),
    ("-m quota --quota 1000", True),
    ("-m recent --name x --set", True),
    ("-m recent --name x --update --seconds 60 --hitcount 4", False),
    ("-m recent --name x --rcheck --seconds 60", False),
    ("-m recent --name x ! --rcheck --seconds 60", True),
])  # fmt: skip
def test_a_limit_is_never_reached_by_a_fresh_slow_source(match: str, holds: bool) -> None:
    text = dump(f"-A INPUT -p tcp {match} -j ACCEPT")
    assert tcp(text) == ("accept" if holds else "refuse")
    if "--set" not in match:
        assert tcp(text, 80, "rate=undecided") == "undecided"


def test_whether_a_source_is_on_a_recent_list_that_rules_write_is_undecided() -> None:
    text = dump(
        "-A INPUT -p tcp --dport 22 -m recent --name x --set -j DROP",
        "-A INPUT -m recent --name x --rcheck -j DROP",
        policy="ACCEPT",
    )
    assert tcp(text, 80) == "undecided"
    assert tcp(text.replace("--rcheck", "--rcheck --hitcount 5"), 80) == "accept"


@pytest.mark.parametrize(("match", "fate"), [
    ("-m addrtype --dst-type LOCAL", "accept"),
    ("-m addrtype ! --dst-type LOCAL", "refuse"),
    ("-m addrtype --dst-type BROADCAST", "refuse"),
    ("-m addrtype --dst-type MULTICAST", "refuse"),
    ("-m addrtype --src-type LOCAL", "refuse"),
    ("-m addrtype --src-type UNICAST", "undecided"),
    ("-m pkttype --pkt-type unicast", "accept"),
    ("-m pkttype --pkt-type broadcast", "refuse"),
    ("-m pkttype ! --pkt-type multicast", "accept"),
])  # fmt: skip
def test_pods_receive_unicast_only(match: str, fate: str) -> None:
    text = dump(f"-A INPUT {match} -j ACCEPT")
    assert tcp(text) == fate
    if "--src-type" not in match:
        assert tcp(text, 80, "unicast=undecided") == "undecided"


def test_a_rule_for_a_broadcast_address_concerns_no_pod() -> None:
    assert tcp(dump("-A INPUT -d 224.0.0.0/4 -j ACCEPT")) == "refuse"
    assert tcp(dump("-A INPUT -d 255.255.255.255 -j ACCEPT")) == "refuse"


def test_an_ipset_is_undecided_until_it_is_said_to_be_empty() -> None:
    text = dump("-A INPUT -m set --match-set bad src -j DROP", policy="ACCEPT")
    assert tcp(text) == "undecided"
    assert tcp(text, 80, "set:bad=empty") == "accept"
    assert tcp(text, 80, "set:good=empty") == "undecided"
    assert tcp(dump("-A INPUT -m set ! --match-set bad src -j ACCEPT"), 80, "set:bad=empty") == "accept"


@pytest.mark.parametrize(("setting", "fate"), [
    ("rule:5=no-match", "accept"), ("rule:5=match", "refuse"), ("rule:5=undecided", "undecided"),
    ("rule:rules.v4:5=no-match", "accept"),
    ("rule:6=no-match", "undecided"), ("rule:other.v4:5=no-match", "undecided"),
])  # fmt: skip
def test_a_rule_can_be_settled_by_its_line(setting: str, fate: str) -> None:
    assert (
        tcp(dump("-A INPUT -m frob --x 1 -j DROP", "-A INPUT -p udp -j DROP", policy="ACCEPT"), 80, setting)
        == fate
    )


def test_a_rule_that_is_said_to_match_still_keeps_to_its_header() -> None:
    text = dump("-A INPUT -s 10.0.0.0/8 -m frob --x 1 -j ACCEPT")
    assert tcp(text, 80, "rule:5=match", source="10.0.0.1") == "accept"
    assert tcp(text, 80, "rule:5=match") == "refuse"


def test_fragments_are_whole_by_the_time_input_sees_them() -> None:
    assert tcp(dump("-A INPUT -f -j DROP", policy="ACCEPT")) == "accept"
    assert tcp(dump("-A INPUT ! -f -j DROP", policy="ACCEPT")) == "refuse"
    assert tcp(dump("-A INPUT -f -j DROP", policy="ACCEPT"), 80, "fragment=undecided") == "undecided"


# -- facts ----------------------------------------------------------------------------------------------

TWO = dump(
    "-A INPUT -i eth0 -p tcp --dport 80 -j ACCEPT",
    "-A INPUT -i eth1 -p tcp --dport 22 -j ACCEPT",
    "-A INPUT -i lo -j ACCEPT",
)
INNER, OUTER = "10.1.2.3", "198.51.100.7"


@pytest.mark.parametrize(("interfaces", "answers"), [
    # the fate of: 80 from outside, 80 from inside, 22 from outside, 22 from inside
    ([], ["undecided"] * 4),
    (["eth0"], ["accept", "accept", "refuse", "refuse"]),
    (["eth1"], ["refuse", "refuse", "accept", "accept"]),
    (["eth9"], ["refuse"] * 4),
    (["eth0", "eth1"], ["undecided"] * 4),
    (["eth1=10.0.0.0/8"], ["undecided", "refuse", "refuse", "accept"]),
    (["eth1=10.0.0.0/8", "eth0"], ["accept", "refuse", "refuse", "accept"]),
    (["eth0", "eth1=10.0.0.0/8"], ["accept", "refuse", "refuse", "accept"]),
    (["eth0=0.0.0.0/0"], ["accept", "accept", "refuse", "refuse"]),
    (["eth1=10.0.0.0/8", "eth0=0.0.0.0/0"], ["accept", "undecided", "refuse", "undecided"]),
    (["eth1=10.9.0.0/16,10.1.0.0/16", "eth0"], ["accept", "refuse", "refuse", "accept"]),
])  # fmt: skip
def test_interfaces_are_settled_by_what_is_said_to_come_in_there(
    interfaces: list[str], answers: list[str]
) -> None:
    facts = Facts(
        tuple(
            (name, tuple(cidrs.split(",")) if cidrs else ())
            for name, _, cidrs in (text.partition("=") for text in interfaces)
        )
    )
    assert [
        tcp(TWO, port, source=source, facts=facts) for port in (80, 22) for source in (OUTER, INNER)
    ] == answers


@pytest.mark.parametrize(("pattern", "interface", "holds"), [
    ("-i eth+", "eth0", True), ("-i eth+", "ens3", False), ("! -i eth+", "eth0", False), ("-i +", "eth0", True),
    ("! -i eth0", "eth0", False),
    ("! -i lo", "eth0", True), ("-i lo", "eth0", False), ("-i eth0", "eth0.5", False), ("-i eth0+", "eth0.5", True),
])  # fmt: skip
def test_an_interface_pattern_matches_by_its_beginning(pattern: str, interface: str, holds: bool) -> None:
    text = dump(f"-A INPUT {pattern} -p tcp -j ACCEPT")
    assert tcp(text, facts=Facts(((interface, ()),))) == ("accept" if holds else "refuse")


def test_nothing_ever_comes_in_on_lo() -> None:
    assert tcp(dump("-A INPUT -i lo -j DROP", policy="ACCEPT")) == "accept"
    assert tcp(dump("-A INPUT ! -i lo -j DROP", policy="ACCEPT")) == "refuse"


def test_rules_that_agree_on_all_interfaces_leave_nothing_open() -> None:
    assert tcp(dump("-A INPUT -i eth0 -j ACCEPT", "-A INPUT ! -i eth0 -j ACCEPT")) == "accept"


@pytest.mark.parametrize(("own", "fate"), [
    ([], "undecided"), (["192.0.2.10"], "accept"), (["192.0.2.11"], "refuse"),
    (["192.0.2.10", "192.0.2.11"], "undecided"), (["2001:db8::1"], "undecided"),
])  # fmt: skip
def test_a_destination_is_settled_by_the_address_that_the_pod_replaces(own: list[str], fate: str) -> None:
    assert (
        tcp(
            dump("-A INPUT -d 192.0.2.10/32 -p tcp -j ACCEPT"),
            source=OUTER,
            facts=Facts(addresses=tuple(own)),
        )
        == fate
    )


@pytest.mark.parametrize("source", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "239.1.2.3", "255.255.255.255"])
def test_sources_that_the_kernel_refuses_are_outside_what_is_judged(source: str) -> None:
    decision = decided(dump(policy="ACCEPT"))
    assert packet(source, "tcp", 80) not in decision.judged
    assert packet("240.0.0.1", "tcp", 80) in decision.judged
    assert packet("0.1.2.3", "tcp", 80) in decision.judged


def test_port_zero_is_outside_what_is_judged() -> None:
    decision = decided(dump(policy="ACCEPT"))
    assert packet(ANY, "tcp", 0) not in decision.judged
    assert packet(ANY, "tcp", 80, source_port=0) not in decision.judged


def test_the_kernel_differs_by_family_on_icmp_type_255() -> None:
    assert (
        fate_of(decided(dump("-A INPUT -p icmp --icmp-type 255 -j ACCEPT")), ANY, "icmp", icmp_type=8)
        == "accept"
    )
    six = decided(dump("-A INPUT -p ipv6-icmp --icmpv6-type 255 -j ACCEPT"), family=6)
    assert fate_of(six, "2001:db8::1", "icmpv6", icmp_type=128) == "refuse"


# -- keys -----------------------------------------------------------------------------------------------


def test_rulesets_that_mean_the_same_have_the_same_key() -> None:
    one = decided(
        dump(
            "-A INPUT -s 10.0.0.0/9 -p tcp --dport 80 -j ACCEPT",
            "-A INPUT -s 10.128.0.0/9 -p tcp --dport 80 -j ACCEPT",
        )
    )
    other = decided(
        dump("-A INPUT -j web", "-A web -s 10.0.0.0/8 -p tcp --dport 80 -j ACCEPT", chains=["web"])
    )
    assert one.key() == other.key()
    assert one.key() != decided(dump("-A INPUT -s 10.0.0.0/8 -p tcp --dport 81 -j ACCEPT")).key()
    assert (
        one.key() != decided(dump("-A INPUT -s 10.0.0.0/8 -p tcp --dport 80 -m frob --x 1 -j ACCEPT")).key()
    )


def test_two_rulesets_of_one_family_are_refused() -> None:
    from ipt2np import decide

    with pytest.raises(UsageError, match="same family"):
        decide([parsed(dump()), parsed(dump("-A INPUT -j ACCEPT"))])


# -- the ledger -----------------------------------------------------------------------------------------

WEB = "-A INPUT -p tcp --dport 80 -j ACCEPT"


@pytest.mark.parametrize(("rule", "before", "after", "settings", "fate"), [
    # unreachable: earlier rules decide all its packets, whatever else could be said of it
    (WEB, [WEB], [], [], "unreachable"),
    (WEB, ["-A INPUT -p tcp -j DROP"], [], [], "unreachable"),
    ("-A INPUT -p tcp --dport 80 -m frob --x 1 -j ACCEPT", [WEB], [], [], "unreachable"),
    ("-A INPUT -p tcp --dport 80 -m limit --limit 5/min -j ACCEPT", [WEB], [], [], "unreachable"),
    ("-A INPUT -p tcp --dport 80 -j LOG", [WEB], [], [], "unreachable"),
    ("-A INPUT -p tcp --dport 80 -j REJECT", [WEB], [], [], "unreachable"),
    ("-A web -p tcp --dport 80 -j ACCEPT", [WEB, "-A INPUT -j web"], [], [], "unreachable"),
    # not-applicable: off the path, about nothing that a pod receives, or without effect
    ("-A FORWARD -j ACCEPT", [], [], [], "not-applicable"),
    ("-A OUTPUT -m frob --x 1 -j DROP", [], [], [], "not-applicable"),
    ("-A web -j ACCEPT", [], [], [], "not-applicable"),
    ("-A INPUT -i lo -j ACCEPT", [], [], [], "not-applicable"),
    ("-A INPUT -s 127.0.0.0/8 -j DROP", [], [], [], "not-applicable"),
    ("-A INPUT -m comment --comment hello", [], [], [], "not-applicable"),
    ("-A INPUT -j MARK --set-mark 1", [], [], [], "not-applicable"),
    ("-A INPUT -d 224.0.0.0/4 -j ACCEPT", [], [], [], "not-applicable"),
    # lost
    ("-A INPUT -p tcp --dport 80 -m frob --x 1 -j ACCEPT", [], [], [], "lost"),
    ("-A INPUT -p udp --sport 53 -j ACCEPT", [], [], [], "lost"),
    ("-A INPUT -p gre -j ACCEPT", [], [], [], "lost"),
    ("-A INPUT -p icmp --icmp-type 8 -j ACCEPT", [], [], [], "lost"),
    ("-A INPUT -p tcp -j LOG", [], [], [], "lost"),
    ("-A INPUT -p tcp -m limit --limit 5/min -j LOG", [], [], [], "lost"),
    ("-A INPUT -p tcp -j NFQUEUE --queue-num 0", [], [], [], "lost"),
    ("-A INPUT -p tcp -j FROB --x 1", [], [], [], "lost"),
    # approximated
    ("-A INPUT -p tcp -j REJECT", [], [], [], "approximated"),
    ("-A INPUT -p tcp --dport 80 -m frob --x 1 -j DROP", [], [WEB], [], "approximated"),
    ("-A INPUT -m frob --x 1 -j web", [], ["-A web -p tcp --dport 22 -j DROP"], [], "approximated"),
    # assumed
    ("-A INPUT -p tcp --dport 80 -m limit --limit 5/min -j ACCEPT", [], [], [], "assumed"),
    ("-A INPUT -p tcp --dport 80 -m recent --name x --rcheck -j DROP", [], [WEB], [], "assumed"),
    ("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", [], [], [], "assumed"),
    ("-A INPUT -m conntrack --ctstate INVALID -j DROP", [], [], [], "assumed"),
    ("-A INPUT -p tcp --dport 80 -m frob --x 1 -j ACCEPT", [], [], ["rule:5=match"], "assumed"),
    ("-A INPUT -m set ! --match-set bad src -p tcp --dport 80 -j ACCEPT", [], [], ["set:bad=empty"], "assumed"),
    # kept
    (WEB, [], [], [], "kept"),
    ("-A INPUT -p tcp --dport 80 -j DROP", [], ["-A INPUT -p tcp -j ACCEPT"], [], "kept"),
    ("-A INPUT -s 10.0.0.0/8 -j web", [], ["-A web -p tcp --dport 22 -j ACCEPT"], [], "kept"),
    ("-A web -p tcp --dport 22 -j ACCEPT", ["-A INPUT -j web"], [], [], "kept"),
    ("-A web -p tcp --dport 22 -j RETURN", ["-A INPUT -j web"], ["-A web -j ACCEPT"], [], "kept"),
    ("-A INPUT -p udp --dport 53 --sport 1:65535 -j ACCEPT", [], [], [], "kept"),
])  # fmt: skip
def test_every_rule_meets_the_first_fate_that_holds(
    rule: str, before: list[str], after: list[str], settings: list[str], fate: str
) -> None:
    ruleset = parsed(
        dump(
            *before,
            rule,
            *after,
            chains=["web"] if any("web" in text for text in [rule, *before, *after]) else [],
        )
    )
    options = Options(assumptions=Assumptions.parse(tuple(settings)))
    ledger = convert([ruleset], options).ledger
    found = {entry.rule.text: entry.fate.value for entry in ledger.entries[len(before) :]}
    assert found[rule] == fate
    assert sum(ledger.sums().values()) == len(ledger.entries) == len(ruleset.rules)


def test_in_doubt_allow_keeps_what_in_doubt_deny_loses() -> None:
    ruleset = parsed(dump("-A INPUT -p tcp --dport 80 -m frob --x 1 -j ACCEPT"))
    fates = [
        convert([ruleset], Options(in_doubt=doubt)).ledger.entries[0].fate.value
        for doubt in (InDoubt.DENY, InDoubt.ALLOW)
    ]
    assert fates == ["lost", "approximated"]
