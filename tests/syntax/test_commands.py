"""A file as the sequence of commands that it is: what stands in the tables at its end."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from ipt2np import InputError, Problem, Ruleset, parse_ruleset, parse_rulesets
from ipt2np.syntax import tables
from tests.dumps import dump, parsed, table


def chain(ruleset: Ruleset, name: str = "INPUT", of: str = "filter") -> list[str]:
    """The rules of a chain, each by what it says behind the chain's name."""
    found = ruleset.chain(of, name)
    assert found is not None
    return [re.sub(r".*(?:-[AIR]) \S+( [0-9]+)? ?", "", rule.text) for rule in found.rules]


def script(*lines: str, keep_going: bool = False) -> Ruleset:
    return parse_ruleset("\n".join(lines).encode(), "fw.sh", family=4, keep_going=keep_going)


def problems(text: str) -> Sequence[Problem]:
    with pytest.raises(InputError) as caught:
        parse_ruleset(text.encode(), "f", family=4)
    return caught.value.problems


ABC = ("-A INPUT -s 10.0.0.1", "-A INPUT -s 10.0.0.2", "-A INPUT -s 10.0.0.3")


@pytest.mark.parametrize(("commands", "left"), [
    ((), "123"),
    (("-D INPUT 2",), "13"),
    (("-D INPUT 1", "-D INPUT 1"), "3"),
    (("-D INPUT -s 10.0.0.2",), "13"),
    (("-D INPUT -s 10.0.0.2/32",), "13"),
    (("-D INPUT --source 10.0.0.2/255.255.255.255",), "13"),
    (("-A INPUT -s 10.0.0.1", "-D INPUT -s 10.0.0.1"), "231"),
    (("-R INPUT 2 -s 10.0.0.9",), "193"),
    (("-R INPUT 2 -s 10.0.0.9", "-D INPUT -s 10.0.0.9"), "13"),
    (("-I INPUT -s 10.0.0.4", "-I INPUT 4 -s 10.0.0.5", "-I INPUT 6 -s 10.0.0.6"), "412536"),
    (("-I INPUT 0x2 -s 10.0.0.4",), "1423"),
    (("-F INPUT", "-A INPUT -s 10.0.0.7"), "7"),
    (("-F", "-A INPUT -s 10.0.0.7"), "7"),
    (("-F FORWARD",), "123"),
    (("-Z", "-Z INPUT", "-L", "-S INPUT", "-C INPUT -s 10.0.0.1"), "123"),
    (("-N web", "-X web"), "123"),
    (("-N web", "-A web -s 10.0.0.8", "-F web", "-X web"), "123"),
    (("-N web", "-X"), "123"),
])  # fmt: skip
def test_commands_do_to_a_chain_what_the_kernel_does(commands: tuple[str, ...], left: str) -> None:
    assert [text[-1] for text in chain(parsed(dump(*ABC, *commands)))] == list(left)
    typed = script(*(f"iptables {line}" for line in (*ABC, *commands)))
    assert [text[-1] for text in chain(typed)] == list(left)


def test_a_rule_is_deleted_by_what_it_says_however_it_is_written() -> None:
    same = (
        ("-p tcp -m tcp --dport 22 -j ACCEPT", "-j ACCEPT -p tcp --dport ssh"),
        ("-j ACCEPT", "-s 0.0.0.0/0 -p all -j ACCEPT"),
        ("-m state --state NEW,ESTABLISHED", "-m state --state ESTABLISHED,NEW"),
        ("! -s 10.0.0.0/8", "! -s 10.9.9.9/255.0.0.0"),
        ("-s 10.0.0.1,10.0.0.2 -j DROP", "-s 10.0.0.1,10.0.0.2 -j DROP"),
    )
    for one, other in same:
        assert chain(parsed(dump(f"-A INPUT {one}", "-A INPUT -p gre", f"-D INPUT {other}"))) == ["-p gre"]


@pytest.mark.parametrize(("one", "other"), [
    ("-p tcp -j ACCEPT", "-p udp -j ACCEPT"),
    ("-p tcp -j ACCEPT", "-p tcp -j DROP"),
    ("-p tcp -j ACCEPT", "-p tcp"),
    ("-m comment --comment a -j ACCEPT", "-j ACCEPT"),
    ("-m tcp -p tcp -m comment --comment a", "-m comment --comment a -m tcp -p tcp"),  # matches are compared in order
    ("-s 10.0.0.1", "! -s 10.0.0.1"),
    ("-j web", "-g web"),
])  # fmt: skip
def test_another_rule_is_not_deleted_for_it(one: str, other: str) -> None:
    text = dump(f"-A INPUT {one}", f"-D INPUT {other}", chains=["web"])
    assert [problem.message for problem in problems(text)] == ["the chain INPUT has no such rule"]


def test_addresses_in_a_list_are_rules_of_their_own() -> None:
    two = "-A INPUT -s 10.0.0.1,10.0.0.2"
    assert [text[-1] for text in chain(parsed(dump(two, "-I INPUT 3 -s 10.0.0.9")))] == ["2", "9"]
    assert [text[-1] for text in chain(parsed(dump(two, "-A INPUT -s 10.0.0.3", "-D INPUT 3")))] == ["2"]
    singles = ("-A INPUT -s 10.0.0.1", "-A INPUT -p gre", "-A INPUT -s 10.0.0.2")
    assert chain(parsed(dump(*singles, "-D INPUT -s 10.0.0.2,10.0.0.1"))) == ["-p gre"]


@pytest.mark.parametrize(("command", "message"), [
    ("-I INPUT 2 -s 10.0.0.9", "the place 2 is inside line 5, which makes 2 rules"),
    ("-D INPUT 1", "the place 1 is inside line 5, which makes 2 rules"),
    ("-D INPUT 2", "the place 2 is inside line 5, which makes 2 rules"),
    ("-D INPUT -s 10.0.0.1", "this takes out a part of the rule at line 5"),
    ("-D INPUT -s 10.0.0.1,10.0.0.3", "this takes out a part of the rule at line 5"),
    ("-R INPUT 1 -s 10.0.0.1,10.0.0.2", "-R takes one address, not several"),
])  # fmt: skip
def test_a_part_of_a_list_is_not_taken_out_of_it(command: str, message: str) -> None:
    text = dump("-A INPUT -s 10.0.0.1,10.0.0.2", command)
    assert [problem.message for problem in problems(text)] == [message]


def test_a_flush_empties_every_chain_of_its_table_and_no_policy() -> None:
    ruleset = parsed(
        table("nat", "-A PREROUTING -j ACCEPT") + dump(*ABC, "-A web -j DROP", "-F", chains=["web"])
    )
    assert [rule.table for rule in ruleset.rules] == ["nat"]
    found = ruleset.chain("filter", "INPUT")
    assert found is not None and found.policy == "DROP"
    assert ruleset.chain("filter", "web") is not None


def test_a_renamed_chain_is_still_jumped_to() -> None:
    ruleset = script("iptables -N web", "iptables -A web -j DROP", "iptables -A INPUT -j web", "iptables -E web www",
                     "iptables -N web", "iptables -A web -j ACCEPT")  # fmt: skip
    (jump,) = ruleset.chains["filter", "INPUT"].rules
    assert jump.target is not None and getattr(jump.target, "chain", None) == "www"
    assert [rule.chain for rule in ruleset.chains["filter", "www"].rules] == ["www"]
    assert len(ruleset.chains["filter", "web"].rules) == 1


def test_the_last_policy_counts() -> None:
    found = script("iptables -P INPUT ACCEPT", "iptables -A INPUT -p gre", "iptables -P INPUT DROP").chain(
        "filter", "INPUT"
    )
    assert (
        found is not None
        and found.policy == "DROP"
        and found.location is not None
        and found.location.line == 3
    )


def test_counters_are_zeroed() -> None:
    text = "*filter\n:INPUT DROP [7:8]\n[3:4] -A INPUT -p gre\n[5:6] -A INPUT -p ah\n-Z INPUT 2\nCOMMIT\n"
    assert [rule.counters for rule in parsed(text).rules] == [(3, 4), (0, 0)]
    ruleset = parsed(text.replace("-Z INPUT 2", "-Z"))
    assert [rule.counters for rule in ruleset.rules] == [(0, 0), (0, 0)]
    assert ruleset.chains["filter", "INPUT"].counters == (0, 0)


def test_rules_are_numbered_in_the_order_of_the_file_whatever_their_place() -> None:
    ruleset = parsed(dump(*ABC, "-D INPUT 1", "-I INPUT -s 10.0.0.4"))
    assert [(rule.number, rule.text[-1]) for rule in ruleset.rules] == [(0, "2"), (1, "3"), (2, "4")]


@pytest.mark.parametrize(("command", "message"), [
    ("-D INPUT -p gre", "the chain INPUT has no such rule"),
    ("-D INPUT 4", "the chain INPUT has no place 4"),
    ("-D INPUT x", "the chain INPUT has no place x"),
    ("-D INPUT ²", "the chain INPUT has no place ²"),
    ("-D nowhere 1", "there is no chain 'nowhere' at this point"),
    ("-R INPUT 4 -p gre", "the chain INPUT has no place 4"),
    ("-R nowhere 1 -p gre", "there is no chain 'nowhere' at this point"),
    ("-I INPUT 5 -p gre", "the chain INPUT has no place 5"),
    ("-F nowhere", "there is no chain 'nowhere' at this point"),
    ("-Z nowhere", "there is no chain 'nowhere' at this point"),
    ("-X nowhere", "there is no chain 'nowhere' at this point"),
    ("-X INPUT", "the built-in chain INPUT cannot be deleted"),
    ("-X web", "the chain web is in use, and stays"),
    ("-X", "the chain web is in use, so all stay"),
    ("-E nowhere x", "there is no chain 'nowhere' at this point"),
    ("-E web INPUT", "there is a chain 'INPUT' already"),
    ("-E INPUT x", "the built-in chain INPUT keeps its name"),
    ("-P INPUT REJECT", "'REJECT' is no policy of the built-in chain INPUT"),
    ("-F -t nat", "-t nat inside the table filter"),
])  # fmt: skip
def test_what_iptables_restore_refuses_and_is_not_plain_is_a_fault(command: str, message: str) -> None:
    (problem,) = problems(
        dump(*ABC, command, "-A FORWARD -j web", chains=["web"]).replace(
            command, f"-A OUTPUT -j web\n{command}"
        )
    )
    assert problem.message == message
    assert problem.text == command
    assert problem.expected


# -- scripts --------------------------------------------------------------------------------------------

SCRIPT = r"""#!/bin/bash
# the office
set -eu
IPT=/sbin/iptables
LAN="10.0.0.0/8"; export LAN
echo "loading $LAN"
modprobe ip_tables
sysctl -w net.ipv4.ip_forward=1 >/dev/null
echo 1 > /proc/sys/net/ipv4/tcp_syncookies
iptables -F
iptables -X; iptables -t nat -F
/sbin/iptables -P INPUT DROP
iptables -N web
iptables -A web -s 10.0.0.0/8 -j ACCEPT   # inside
iptables -A INPUT -p tcp --dport 22 -m comment --comment 'a "b"' -j ACCEPT
sudo iptables -w -I INPUT 1 -p tcp --dport 80 -j web
iptables -t nat -A PREROUTING -p tcp \
    --dport 81 -j ACCEPT
iptables -A INPUT -t filter -j DROP
iptables -D INPUT -j DROP
ip6tables -P INPUT DROP
iptables-save > /etc/iptables/rules.v4
exit 0
"""


def test_a_script_is_what_it_makes_of_an_empty_packet_filter() -> None:
    four, six = parse_rulesets(SCRIPT.encode(), "fw.sh")
    assert [(rule.location.line, rule.chain) for rule in four.chains["filter", "INPUT"].rules] == [
        (16, "INPUT"),
        (15, "INPUT"),
    ]
    assert [rule.text for rule in four.chains["nat", "PREROUTING"].rules] == [
        "iptables -t nat -A PREROUTING -p tcp     --dport 81 -j ACCEPT"
    ]
    assert (four.chains["filter", "INPUT"].policy, six.chains["filter", "INPUT"].policy) == ("DROP", "DROP")
    assert [note.kind for note in (*four.notes, *six.notes)] == ["lenient"] * 3
    assert not six.rules


def test_a_script_without_a_policy_has_the_kernels() -> None:
    ruleset = script("iptables -A INPUT -p gre -j DROP")
    assert ruleset.policy_is_default and ruleset.chains["filter", "INPUT"].policy == "ACCEPT"


def test_commands_typed_behind_prompts_are_a_script() -> None:
    text = "Then I did:\nroot@host:~# iptables -P INPUT DROP\nroot@host:~# iptables -A INPUT -p gre -j ACCEPT\nroot@host:~# exit\n"
    ruleset = parse_ruleset(text.encode(), "f", family=4)
    (rule,) = ruleset.rules
    assert (rule.text, rule.location.column) == ("iptables -A INPUT -p gre -j ACCEPT", 14)


def test_a_value_that_looks_like_an_option_is_a_value() -> None:
    assert chain(script("iptables -A INPUT -m comment --comment -t -p gre")) == [
        "-m comment --comment -t -p gre"
    ]


def test_each_command_of_a_line_is_a_rule_of_its_own() -> None:
    ruleset = script(
        "iptables -A INPUT -p gre -j DROP; iptables -A INPUT -p ah -j DROP && iptables -A INPUT -p esp"
    )
    assert chain(ruleset) == ["-p gre -j DROP", "-p ah -j DROP", "-p esp"]


@pytest.mark.parametrize("command", [
    "iptables -D INPUT -p gre", "iptables -F web", "iptables -X web", "iptables -D web 1", "iptables -X INPUT",
])  # fmt: skip
def test_a_command_that_has_nothing_to_do_fails_and_the_script_goes_on(command: str) -> None:
    ruleset = script("iptables -A INPUT -p ah", command, "iptables -A INPUT -p esp")
    assert chain(ruleset) == ["-p ah", "-p esp"]
    assert any("change nothing" in note.message and "line 2" in note.message for note in ruleset.notes)


def test_all_chains_go_or_none() -> None:
    lines = ("iptables -N web", "iptables -N api", "iptables -A web -p gre", "iptables -X")
    assert {("filter", "web"), ("filter", "api")} <= set(script(*lines).chains)
    assert ("filter", "api") not in script(*lines[:3], "iptables -F", "iptables -X").chains


def test_behind_a_command_that_fails_and_goes_not_on() -> None:
    ruleset = script(
        "iptables -X web && iptables -A INPUT -p gre", "iptables -A INPUT -p ah && iptables -A INPUT -p esp"
    )
    assert chain(ruleset) == ["-p ah", "-p esp"]


def test_under_set_e_a_command_that_fails_is_a_fault() -> None:
    text = "set -e\niptables -X web\niptables -A INPUT -p gre\n"
    assert [problem.message for problem in problems(text)] == ["there is no chain 'web' at this point"]


@pytest.mark.parametrize(("lines", "message"), [
    (["iptables -A web -p gre"], "there is no chain 'web' at this point"),
    (["iptables -A INPUT -j web", "iptables -N web"], "there is no chain 'web' and no target of that name"),
    (["if true; then", "iptables -F", "fi"], "the shell's 'if' is not followed here"),
    (["iptables -F", "for port in 1 2; do", "iptables -A INPUT -p gre", "done"], "the shell's 'for' is not followed here"),
    (["iptables -F", "iptables-restore < rules"], "the shell's 'iptables-restore' is not followed here"),
    (["iptables -F", "ufw allow ssh", "iptables -X"], "the shell's 'ufw' is not followed here"),
    (["iptables -F", "echo x; reboot", "iptables -X"], "the shell's 'echo' is not followed here"),
    (["iptables -F", "exit 0", "iptables -X"], "the shell's 'exit' is not followed here"),
    (["iptables -F", "A=$(iptables -X)", "iptables -X"], "the shell's 'A=$(iptables' is not followed here"),
    (["iptables -F", "FOO=1 iptables -X", "iptables -X"], "the shell's 'FOO=1' is not followed here"),
    (["iptables -F", "-A INPUT -p gre"], "a command without the program's name among others with it"),
    (["iptables -N a", "iptables -A a -j a", "iptables -A INPUT -j a"], "a jump loop: a → a"),
    (["iptables -t frob -F"], "there is no table 'frob'"),
    (["iptables -A INPUT -t"], "-t needs a value"),
])  # fmt: skip
def test_what_a_script_does_beyond_plain_commands_is_a_fault(lines: list[str], message: str) -> None:
    found = problems("\n".join(lines))
    assert found[0].message == message
    assert found[0].expected


def test_a_variable_is_told_once_however_many_lines_use_it() -> None:
    text = "iptables -F\n" + "".join(
        f"$IPT -A INPUT -p tcp --dport {n}\niptables -A INPUT -s $LAN\n" for n in range(1, 50)
    )
    assert [(problem.location.line, problem.message) for problem in problems(text)] == [
        (2, "what $IPT stands for is for the shell to say"),
        (3, "what $LAN stands for is for the shell to say"),
    ]


def test_rulesets_of_two_backends_are_two_dumps() -> None:
    text = "iptables-nft -A INPUT -p gre\niptables-legacy -A INPUT -p ah\n"
    with pytest.raises(InputError, match="2 dumps"):
        parse_ruleset(text.encode(), "f")
    (ruleset,) = parse_rulesets(text.encode(), "f", dumps=[1])
    assert [rule.text for rule in ruleset.rules] == ["iptables-legacy -A INPUT -p ah"]


def test_the_programs_name_inside_a_table_is_left_out() -> None:
    ruleset = parsed(dump("iptables -A INPUT -p gre"))
    assert chain(ruleset) == ["-p gre"]
    assert [note.kind for note in ruleset.notes] == ["lenient"]
    (problem,) = problems(dump("ip6tables -A INPUT -p gre"))
    assert problem.message == "a command for IPv6 among those for IPv4"


# -- size -----------------------------------------------------------------------------------------------


def test_a_file_that_is_made_to_be_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MOST_STEPS", 1000)
    many = [f"-A INPUT -s 10.0.{n}.1" for n in range(100)]
    assert len(parsed(dump(*many)).rules) == 100
    with pytest.raises(InputError, match="rearranges its rules more often") as caught:
        parsed(dump(*many, *["-D INPUT -s 10.0.99.1", "-A INPUT -s 10.0.99.1"] * 20))
    assert caught.value.problems[0].location.line > 100
