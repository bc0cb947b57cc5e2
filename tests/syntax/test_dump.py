"""A whole dump: tables, chains, the order of rules, the family, and every fault of a file."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipt2np import InputError, Problem, Ruleset, decide, parse_ruleset
from ipt2np.syntax.family import detect_family
from tests.dumps import chains_said, dump, fate_of, parsed, table


def problems(text: str | bytes, family: int | None = 4) -> Sequence[Problem]:
    with pytest.raises(InputError) as caught:
        parsed(text, family)
    return caught.value.problems


def texts(ruleset: Ruleset, name: str = "INPUT", in_table: str = "filter") -> list[str]:
    chain = ruleset.chain(in_table, name)
    assert chain is not None
    return [rule.text for rule in chain.rules]


# -- what a dump holds ----------------------------------------------------------------------------------


def test_rules_know_their_file_line_column_and_text() -> None:
    ruleset = parsed(dump("[3:180] -A INPUT -s 10.0.0.1 -j ACCEPT  ", "", "-A INPUT -j DROP"))
    places = [
        (rule.location.file, rule.location.line, rule.location.column, rule.text) for rule in ruleset.rules
    ]
    assert places == [
        ("rules.v4", 5, 9, "-A INPUT -s 10.0.0.1 -j ACCEPT"),
        ("rules.v4", 7, 1, "-A INPUT -j DROP"),
    ]


def test_rules_are_numbered_through_from_the_number_given() -> None:
    text = dump("-A INPUT -j ACCEPT", before=table("raw", "-A PREROUTING -j ACCEPT"))
    assert [rule.number for rule in parse_ruleset(text.encode(), "f", first_number=7).rules] == [7, 8]


def test_every_table_of_the_kernel_is_read_with_its_built_in_chains() -> None:
    text = "".join(table(name) for name in ("raw", "mangle", "nat", "security")) + dump()
    found = set(parsed(text).chains)
    assert {
        ("raw", "PREROUTING"),
        ("mangle", "INPUT"),
        ("nat", "POSTROUTING"),
        ("security", "INPUT"),
        ("filter", "FORWARD"),
    } <= found


def test_a_policy_is_what_the_chain_line_says_else_accept() -> None:
    ruleset = parsed(table("filter", ":INPUT DROP [0:0]", ":web - [0:0]"))
    policies = {name: chain.policy for (_, name), chain in ruleset.chains.items()}
    assert policies == {"INPUT": "DROP", "web": None, "FORWARD": "ACCEPT", "OUTPUT": "ACCEPT"}
    assert not ruleset.policy_is_default


def test_a_filter_table_without_an_input_line_takes_the_kernels_policy_and_says_so() -> None:
    ruleset = parsed(table("filter", "-A INPUT -j DROP"))
    chain = ruleset.chain("filter", "INPUT")
    assert chain is not None and chain.policy == "ACCEPT" and chain.location is None
    assert ruleset.policy_is_default


def test_a_chain_may_be_used_before_it_is_declared() -> None:
    assert (
        len(parsed(table("filter", ":INPUT DROP", "-A INPUT -j web", ":web -", "-A web -j ACCEPT")).rules)
        == 2
    )


def test_a_chain_that_is_appended_to_but_never_declared_is_noted() -> None:
    ruleset = parsed(dump("-A web -j ACCEPT"))
    assert [(note.kind, note.location.line) for note in ruleset.notes] == [("undeclared-chain", 5)]
    assert texts(ruleset, "web") == ["-A web -j ACCEPT"]


def test_inserts_go_in_front_or_to_the_place_they_name() -> None:
    ruleset = parsed(
        dump(
            "-A INPUT -s 10.0.0.1",
            "-A INPUT -s 10.0.0.2",
            "-I INPUT -s 10.0.0.3",
            "-I INPUT 2 -s 10.0.0.4",
            "-I INPUT 5 -s 10.0.0.5",
        )
    )
    assert [text[-1] for text in texts(ruleset)] == ["3", "4", "1", "2", "5"]
    assert [rule.text[-1] for rule in ruleset.rules] == ["1", "2", "3", "4", "5"]


def test_rules_of_other_tables_and_chains_keep_to_themselves() -> None:
    text = table("nat", ":PREROUTING ACCEPT [0:0]", "-A PREROUTING -j web", ":web - [0:0]") + dump(
        "-A INPUT -j web", chains=["web"]
    )
    ruleset = parsed(text)
    assert texts(ruleset) == ["-A INPUT -j web"]
    assert texts(ruleset, "PREROUTING", "nat") == ["-A PREROUTING -j web"]


@pytest.mark.parametrize("transform", [
    lambda text: text.replace("\n", "\r\n"),
    lambda text: text.rstrip("\n"),
    lambda text: "\ufeff" + text,
    lambda text: text.replace("\n", "  \t\n"),
    lambda text: "\n\n" + text + "\n\n",
    lambda text: text.replace(" [0:0]", ""),
    lambda text: text.replace("-A", "[12:34] -A"),
    lambda text: text.replace(" ", "\t"),
])  # fmt: skip
def test_the_way_a_file_is_written_does_not_change_what_it_says(transform: object) -> None:
    assert callable(transform)
    text = dump("-A INPUT -s 10.0.0.1 -j web", "-A web -j ACCEPT", chains=["web"])
    plain, other = parsed(text), parsed(transform(text))
    assert chains_said(other) == chains_said(plain)


def test_a_listing_of_iptables_dash_s_is_the_filter_table() -> None:
    listed = parsed(
        "-P INPUT DROP\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n-N web\n-A INPUT -s 10.0.0.1/32 -j web\n-A web -j ACCEPT\n"
    )
    saved = parsed(dump("-A INPUT -s 10.0.0.1/32 -j web", "-A web -j ACCEPT", chains=["web"]))
    assert {k: (c.policy, [r.text for r in c.rules]) for k, c in listed.chains.items()} == {
        k: (c.policy, [r.text for r in c.rules]) for k, c in saved.chains.items()
    }


def test_a_restore_file_may_hold_dash_n_and_dash_p_inside_a_table() -> None:
    ruleset = parsed("*filter\n-P INPUT DROP\n-N web\n-A INPUT -j web\nCOMMIT\n")
    chain = ruleset.chain("filter", "INPUT")
    assert chain is not None and chain.policy == "DROP"


def test_the_digest_is_that_of_the_files_bytes() -> None:
    import hashlib

    data = dump().encode()
    assert parsed(data).sha256 == hashlib.sha256(data).hexdigest()


# -- the family -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "family"), [
    (dump(), None),
    (dump("-A INPUT -p tcp -j ACCEPT"), None),
    ("# Generated by iptables-save v1.8.9 on x\n" + dump(), 4),
    ("# Generated by ip6tables-save v1.8.9 on x\n" + dump(), 6),
    (dump("-A INPUT -s 10.0.0.0/8 -j ACCEPT"), 4),
    (dump("-A INPUT ! -d 10.0.0.0/8 -j ACCEPT"), 4),
    (dump("-A INPUT -s 2001:db8::/32 -j ACCEPT"), 6),
    (dump("-A INPUT -s fe80::/10 -j ACCEPT"), 6),
    (dump("-A INPUT -s ::/0 -j ACCEPT"), 6),
    (dump("-A INPUT -p icmp -j ACCEPT"), 4),
    (dump("-A INPUT -p ipv6-icmp -j ACCEPT"), 6),
    (dump("-A INPUT -p icmpv6 -j ACCEPT"), 6),
    (dump("-A INPUT -j REJECT --reject-with icmp6-port-unreachable"), 6),
])  # fmt: skip
def test_the_family_is_what_only_one_family_has(text: str, family: int | None) -> None:
    assert detect_family(text) == family
    ruleset = parsed(text, family=None)
    assert ruleset.family == family or (family is None and ruleset.family == 4)
    assert [note.kind for note in ruleset.notes] == ([] if family else ["family-assumed"])


@pytest.mark.parametrize("hint", [
    '-A INPUT -m comment --comment "the ip6tables twin" -j ACCEPT',
    '-A INPUT -m comment --comment "see -s fe80::1" -j ACCEPT',
    '-A INPUT -m comment --comment "-p ipv6-icmp" -j ACCEPT',
    '-A INPUT -j LOG --log-prefix "ip6tables "',
    "# copied from ip6tables-restore's rules",
])  # fmt: skip
def test_what_a_comment_says_does_not_decide_the_family(hint: str) -> None:
    assert parsed(dump(hint, "-A INPUT -s 10.0.0.0/8 -j ACCEPT"), family=None).family == 4


def test_the_family_given_wins_over_the_text() -> None:
    assert parsed(dump(), family=6).family == 6


# -- faults ---------------------------------------------------------------------------------------------

IN_TABLE = 6
"""The line that ``dump`` puts its first rule on, behind one user chain."""


@pytest.mark.parametrize(("line", "at", "message"), [
    ("nonsense here", "nonsense", "this is no line of a ruleset: it begins with 'nonsense'"),
    ("-D INPUT 1", "1", "the chain INPUT has no place 1"),
    ("-A INPUT -j nowhere", "nowhere", "there is no chain 'nowhere' and no target of that name"),
    ("-A INPUT -g nowhere", "nowhere", "there is no chain 'nowhere'"),
    ("-A INPUT -j accept", "accept", "there is no chain 'accept' and no target of that name"),
    ("-A INPUT -j FORWARD", "FORWARD", "there is no chain 'FORWARD' and no target of that name"),
    ("-A INPUT -g ACCEPT", "ACCEPT", "there is no chain 'ACCEPT'"),
    ("-A INPUT -p tcp --dport 99999 -j ACCEPT", "99999", "--dport: '99999' is not a port"),
    ("-A INPUT -p tcp --dport 65536 -j ACCEPT", "65536", "--dport: '65536' is not a port"),
    ("-A INPUT -p tcp --dport -1 -j ACCEPT", "-1", "--dport: '-1' is not a port"),
    ("-A INPUT -p tcp --dport 20:10 -j ACCEPT", "20:10", "--dport: the port range 20:10 ends before it begins"),
    ("-A INPUT -p tcp -m multiport --dports 1,99999 -j ACCEPT", "1,99999", "--dports: '99999' is not a port"),
    ("-A INPUT -p tcp --dport no-such-service -j ACCEPT", "no-such-service", "--dport: 'no-such-service' is not a port"),
    ("-A INPUT -s 10.0.0.0/33 -j ACCEPT", "10.0.0.0/33", "-s: /33 is not a prefix length"),
    ("-A INPUT -s 10.0.0.0/8/8 -j ACCEPT", "10.0.0.0/8/8", "-s: /8/8 is not a mask"),
    ("-A INPUT -s 10.0.0.256 -j ACCEPT", "10.0.0.256", "-s: '10.0.0.256' is not an address"),
    ("-A INPUT -s www.example.com -j ACCEPT", "www.example.com", "-s: 'www.example.com' is a host name, not an address"),
    ("-A INPUT -s localhost -j ACCEPT", "localhost", "-s: 'localhost' is a host name, not an address"),
    ("-A INPUT -s 2001:db8::1 -j ACCEPT", "2001:db8::1", "-s: '2001:db8::1' is an IPv6 address in an IPv4 ruleset"),
    ("-A INPUT -s 10.0.0.1, -j ACCEPT", "10.0.0.1,", "-s: an address is missing"),
    ('-A INPUT -s "" -j ACCEPT', '""', "-s: an address is missing"),
    ('-A INPUT -m comment --comment "open -j ACCEPT', '"', "a quoted string is never closed"),
    ("-A INPUT -p nonsense -j ACCEPT", "nonsense", "-p: unknown protocol 'nonsense'"),
    ("-A INPUT -p 256 -j ACCEPT", "256", "-p: unknown protocol '256'"),
    ("-A INPUT ! -p all -j ACCEPT", "!", "! -p all matches nothing: iptables refuses it"),
    ("-A INPUT -p tcp --frob 1 -j ACCEPT", "--frob", "no match or target of this rule has an option --frob"),
    ("-A INPUT --dport 22 -j ACCEPT", "--dport", "no match or target of this rule has an option --dport"),
    ("-A INPUT ! -p tcp --dport 22 -j ACCEPT", "--dport", "no match or target of this rule has an option --dport"),
    ("-A INPUT -p tcp --d 22 -j ACCEPT", "--d", "no match or target of this rule has an option --d"),
    ("-A INPUT stray -j ACCEPT", "stray", "'stray' belongs to no option"),
    ("-A INPUT -j ACCEPT stray", "stray", "'stray' belongs to no option"),
    ("-A INPUT ! ! -s 10.0.0.1 -j ACCEPT", "! -s", "! stands twice"),
    ("-A INPUT ! -s ! 10.0.0.1 -j ACCEPT", "! 10", "-s: '!' is not an address"),
    ("-A INPUT -s 10.0.0.1 !", "!", "nothing stands after !"),
    ("-A INPUT ! -j ACCEPT", "!", "-j cannot be negated"),
    ("-A INPUT ! -m tcp -j ACCEPT", "!", "-m cannot be negated"),
    ("-A INPUT -m limit ! --limit 5/min -j ACCEPT", "!", "--limit cannot be negated"),
    ("-A INPUT -j ACCEPT -j DROP", "DROP", "the rule already has a target"),
    ("-A INPUT -j web -g web", "web", "the rule already has a target"),
    ("-A INPUT -j ACCEPT --reject-with tcp-reset", "--reject-with",
     "no match or target of this rule has an option --reject-with"),
    ("-A INPUT -s 10.0.0.1 -s 10.0.0.2 -j ACCEPT", "-s 10.0.0.2", "-s stands twice with different values"),
    ("-A INPUT -p tcp -p udp -j ACCEPT", "-p udp", "-p stands twice with different values"),
    ("-A INPUT -p tcp -t nat -j ACCEPT", "-t", "-t nat inside the table filter"),
    ("-A INPUT -m state --state NEW,OLD -j ACCEPT", "NEW,OLD", "--state: 'OLD' is not known here"),
    ("-A INPUT -p tcp --tcp-flags SYN,FOO SYN -j ACCEPT", "SYN,FOO", "--tcp-flags: 'FOO' is not a TCP flag"),
    ("-A INPUT -p icmp --icmp-type frob -j ACCEPT", "frob", "--icmp-type: 'frob' is not an ICMP type"),
    ("-A INPUT -p icmp --icmp-type 300 -j ACCEPT", "300", "--icmp-type: '300' is not an ICMP type"),
    ("-A INPUT -i interface-name16 -j ACCEPT", "interface-name16", "-i: 'interface-name16' is not an interface name"),
    ("-A INPUT -m mac --mac-source 00:11 -j ACCEPT", "00:11", "--mac-source: '00:11' is not a MAC address"),
    ("-A INPUT -m iprange --src-range 10.0.0.9-10.0.0.1", "10.0.0.9-10.0.0.1",
     "--src-range: the range 10.0.0.9-10.0.0.1 ends before it begins"),
    ("-A INPUT -m connlimit --connlimit-above many -j DROP", "many",
     "--connlimit-above: 'many' is no number from 0 to 4294967295"),
    (":INPUT DROP [0:0] more", "more", "'more' is not expected here"),
    (":web DROP [0:0]", "DROP", "the user chain web cannot have the policy 'DROP'"),
    (":INPUT REJECT [0:0]", "REJECT", "'REJECT' is no policy of the built-in chain INPUT"),
    (":INPUT - [0:0]", "-", "'-' is no policy of the built-in chain INPUT"),
    ("-P web DROP", "DROP", "the user chain web cannot have the policy 'DROP'"),
    ("-I INPUT 0 -j ACCEPT", "0", "the chain INPUT has no place 0"),
    ("-I INPUT 2 -j ACCEPT", "2", "the chain INPUT has no place 2"),
    ("-I INPUT 99999999999999999999 -j ACCEPT", "99999999999999999999", "the chain INPUT has no place 99999999999999999999"),
])  # fmt: skip
def test_a_bad_line_is_told_with_its_place_and_the_very_words(line: str, at: str, message: str) -> None:
    (problem,) = problems(dump(line, chains=["web"]))
    assert (problem.location.file, problem.location.line) == ("rules.v4", IN_TABLE)
    assert problem.message == message
    assert problem.text == line
    start = len(line) - len(at) - line[::-1].index(at[::-1])  # the last one: chains and options may repeat
    assert problem.location.column == start + 1
    assert at.startswith(line[start : start + problem.width])
    assert problem.expected


@pytest.mark.parametrize(("line", "message"), [
    ("-A INPUT -p tcp --dport", "--dport needs a value"),
    ("-A INPUT -s", "-s needs a value"),
    ("-A INPUT -s ", "-s needs a value"),
    ("-A INPUT -m", "-m needs a value"),
    ("-A INPUT -j", "-j needs a value"),
    ("-A INPUT -g", "-g needs a value"),
    ("-A INPUT -c 1", "-c needs a value"),
    ("-A INPUT -p tcp --tcp-flags SYN", "--tcp-flags needs a value"),
    ("-A INPUT -j REJECT --reject-with", "--reject-with needs a value"),
    ("-A INPUT -m set --match-set bad", "--match-set needs a value"),
    ("-A INPUT -s !", "-s needs a value"),
    ("-A", "the line ends too early"),
    (":web", "the line ends too early"),
    ("-P INPUT", "the line ends too early"),
    ("[1:2]", "the line ends too early"),
])  # fmt: skip
def test_a_value_that_is_missing_is_missed_at_the_lines_end(line: str, message: str) -> None:
    (problem,) = problems(dump(line, chains=["web"]))
    assert (problem.location.line, problem.message) == (IN_TABLE, message)
    end = len(line.rstrip()) + 1
    assert problem.location.column == (end if "needs" in message or "early" in message else end - 1)


@pytest.mark.parametrize(("text", "line", "column", "message"), [
    ("", 0, 0, "the file is empty"),
    ("\n \n", 0, 0, "the file is empty"),
    ("\ufeff", 0, 0, "the file is empty"),
    ("# Generated by iptables-save\n# Completed\n", 0, 0, "the file holds no table"),
    ("*filter\n:INPUT DROP [0:0]\n-A INPUT -j ACCEPT\n", 1, 1, "the table filter is cut off: the file ends without COMMIT"),
    ("*raw\nCOMMIT\n*filter\n:INPUT DROP [0:0]", 3, 1, "the table filter is cut off: the file ends without COMMIT"),
    ("*raw\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n", 1, 1, "the table raw is cut off: no COMMIT before line 2"),
    ("COMMIT\n", 1, 1, "COMMIT without a table"),
    ("*filter\nCOMMIT\nCOMMIT\n", 3, 1, "COMMIT without a table"),
    ("*filter\nCOMMIT\n-A INPUT -j ACCEPT\n", 3, 1, "a line after the table filter was committed"),
    (":INPUT DROP [0:0]\n", 1, 1, "a chain line before any table"),
    ("-A INPUT -j ACCEPT\n", 1, 1, "no table line stands before this rule, and nothing says INPUT's policy"),
    ("*frob\nCOMMIT\n", 1, 2, "there is no table 'frob'"),
    ("*Filter\nCOMMIT\n", 1, 2, "there is no table 'Filter'"),
    ("*filter\n:a -\n:b -\n-A a -j b\n-A b -g a\n-A OUTPUT -j a\nCOMMIT\n", 5, 9, "a jump loop: a → b → a"),
])  # fmt: skip
def test_a_bad_file_is_told_with_its_place(text: str, line: int, column: int, message: str) -> None:
    (problem,) = problems(text)
    assert (problem.location.line, problem.location.column, problem.message) == (line, column, message)
    assert problem.expected


def test_a_no_break_space_is_named_for_what_it_is() -> None:
    line = "-A INPUT -s 10.0.0.1\N{NO-BREAK SPACE}-j ACCEPT"
    (problem,) = problems(dump(line))
    assert problem.location.column == line.index("10.0.0.1") + 1
    assert r"10.0.0.1\xa0-j" in problem.message


def test_all_faults_of_a_file_are_told_at_once_in_its_order() -> None:
    text = (
        dump("-A INPUT -j nowhere", "hello", "-A INPUT -p x", "-A INPUT --q", ":INPUT MAYBE")
        + "*frob\nCOMMIT\n*nat\n"
    )
    assert [problem.location.line for problem in problems(text)] == [5, 6, 7, 8, 9, 11, 13]


def test_faults_keep_the_file_name_that_was_given() -> None:
    with pytest.raises(InputError) as caught:
        parse_ruleset(b"hello", "somewhere/else.rules")
    assert {problem.location.file for problem in caught.value.problems} == {"somewhere/else.rules"}


def test_every_loop_is_told_once() -> None:
    text = table(
        "filter",
        ":a -",
        ":b -",
        ":c -",
        "-A a -j a",
        "-A b -j c",
        "-A c -j b",
        "-A INPUT -j a",
        "-A INPUT -j b",
    )
    assert sorted(problem.message for problem in problems(text)) == [
        "a jump loop: a → a",
        "a jump loop: b → c → b",
    ]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_a_loop_is_found_exactly_where_a_chain_reaches_itself(edges: list[tuple[int, int]]) -> None:
    reach = {(a, b) for a, b in edges}
    for middle in range(8):
        reach |= {(a, b) for a, x in reach for y, b in reach if x == y == middle}
    entries = [f"-A INPUT -j c{n}" for n in range(8)]
    text = dump(*(f"-A c{a} -j c{b}" for a, b in edges), *entries, chains=[f"c{n}" for n in range(8)])
    if any((n, n) in reach for n in range(8)):
        assert all("a jump loop" in problem.message for problem in problems(text))
    else:
        assert len(parsed(text).rules) == len(edges) + len(entries)


def test_a_loop_that_no_built_in_chain_leads_into_is_the_kernels_business_only() -> None:
    ruleset = parsed(table("filter", ":INPUT DROP", ":a -", ":b -", "-A a -j b", "-A b -j a", "-A b -j b"))
    assert len(ruleset.rules) == 3
    assert fate_of(decide([ruleset]), "192.0.2.1", "tcp", 80) == "refuse"
