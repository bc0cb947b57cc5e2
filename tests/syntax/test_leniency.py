"""What iptables would refuse but is plain: read, and told once for each kind."""

from __future__ import annotations

import pytest

from ipt2np import parse_ruleset, parse_rulesets
from ipt2np.syntax.leniency import Leniencies, numbered_lines
from tests.dumps import chains_said, decided, dump, fate_of, parsed

PLAIN = dump("-A INPUT -s 10.0.0.1 -p tcp --dport 22 -j web", "-A web -j ACCEPT", chains=["web"])


@pytest.mark.parametrize(("before", "after", "told"), [
    ("\n", "\r\n", "CR LF"),
    ("\n", "\r", "CR"),
    ("COMMIT\n", "COMMIT", "no line end"),
    ("COMMIT", "COMMIT ", "blanks stand behind COMMIT"),
    ("-A INPUT", " \n-A INPUT", "nothing but blanks"),
    ("-A INPUT", "  # why\n-A INPUT", "indented"),
    ("*filter", " *filter", "indented"),
    (":web", "\t:web", "indented"),
    ("*filter", "\ufeff*filter", "byte order mark"),
    ("-p tcp", "-p tcp -p 6", "stands twice"),
    ("-p tcp", "-ptcp", "in one word"),
    ("--dport 22", "--dport SSH", "capital letters"),
    ("-j web", "-j web # why", "a comment (#) stands behind a rule"),
    ("-j web", "-t filter -j web", "-t stands inside a table"),
    ("-j web", "-w -j web", "options for the program itself"),
    ("-A INPUT", "iptables -A INPUT", "the program's name"),
    (":web - [0:0]", ":web -\n:web -", "declared twice"),
    (":web - [0:0]\n", "", "never declared"),
    (":web - [0:0]\n-A INPUT -s 10.0.0.1 -p tcp --dport 22 -j web\n", "-A INPUT -s 10.0.0.1 -p tcp --dport 22 -j web\n:web -\n", "declared behind"),
    ("-p tcp --dport", "-p tcp \\\n--dport", "goes on behind"),
])  # fmt: skip
def test_what_is_plain_is_read_and_told(before: str, after: str, told: str) -> None:
    assert before in PLAIN
    ruleset = parsed(PLAIN.replace(before, after))
    assert chains_said(ruleset) == chains_said(parsed(PLAIN))
    assert [told in note.message for note in ruleset.notes] == [True]


@pytest.mark.parametrize(("one", "other", "told"), [
    ("! -s 10.0.0.1", "-s ! 10.0.0.1", "a ! stands behind its option"),
    ("-p tcp ! --dport 22", "-p tcp --dport ! 22", "a ! stands behind its option"),
    ("! -s 10.0.0.0/31", "! -s 10.0.0.0/32,10.0.0.1", "none of them"),
])  # fmt: skip
def test_odd_negations_are_read_and_told(one: str, other: str, told: str) -> None:
    plain, odd = (dump(f"-A INPUT {text} -j ACCEPT") for text in (one, other))
    assert [told in note.message for note in parsed(odd).notes] == [True]
    assert not parsed(plain).notes
    for source in ("10.0.0.0", "10.0.0.1", "10.0.0.2"):
        for port in (22, 80):
            assert fate_of(decided(plain), source, "tcp", port) == fate_of(decided(odd), source, "tcp", port)


@pytest.mark.parametrize("text", [
    PLAIN.replace(" [0:0]", ""),
    PLAIN.replace("-A INPUT", "[3:4] -A INPUT"),
    PLAIN.replace("10.0.0.1", "10.0.0.1/255.255.255.255"),
    PLAIN.replace("--dport 22", "--destination-port ssh"),
    PLAIN.replace("-A INPUT", "--append INPUT"),
    PLAIN.replace("-A INPUT", "-I INPUT 1"),
    PLAIN.replace("\n", "\n\n"),
    PLAIN.replace("-A INPUT", "  -A INPUT"),
    PLAIN.replace("*filter", "*filter  "),
    PLAIN.replace("COMMIT", "# end\nCOMMIT"),
])  # fmt: skip
def test_what_iptables_takes_too_is_not_worth_a_word(text: str) -> None:
    ruleset = parsed(text)
    assert chains_said(ruleset) == chains_said(parsed(PLAIN))
    assert ruleset.notes == ()


def test_a_thousand_times_the_same_is_told_once() -> None:
    rules = [f"-A INPUT -s ! 10.0.{n >> 8}.{n & 255} -j DROP" for n in range(1000)]
    (note,) = parsed(dump(*rules)).notes
    assert note.kind == "lenient" and note.location.line == 5
    assert "lines 5-1004" in note.message


def test_chains_that_are_never_declared_are_told_once() -> None:
    (note,) = parsed(dump("-A a -s 10.0.0.1", "-A b -s 10.0.0.1", "-A b -s 10.0.0.2")).notes
    assert (note.kind, note.location.line) == ("undeclared-chain", 5)
    assert "2 chains" in note.message and "lines 5-6" in note.message


def test_what_is_told_of_a_file_is_told_with_its_first_ruleset_only() -> None:
    text = PLAIN + PLAIN.replace("10.0.0.1", "fd00::1")
    four, six = parse_rulesets(text.replace("\n", "\r\n").encode(), "f")
    assert [note.kind for note in four.notes] == ["lenient"] and six.notes == ()


@pytest.mark.parametrize(("numbers", "text"), [
    ([7], "line 7"), ([7, 7], "line 7"), ([1, 2], "lines 1-2"), ([3, 1], "lines 1, 3"), ([1, 2, 3, 9], "lines 1-3, 9"),
    (range(1, 40, 2), "lines 1, 3, 5, 7, 9, 11, 13, 15 and 12 more"),
])  # fmt: skip
def test_lines_are_told_in_few_words(numbers: list[int], text: str) -> None:
    assert numbered_lines(numbers) == text


def test_notes_come_in_the_order_in_which_they_were_met() -> None:
    lenient = Leniencies()
    for what, line in (("b", 9), ("a", 3), ("b", 2), ("c", 0)):
        lenient.add(what, line)
    assert [(note.message, note.location.line) for note in lenient.notes("f")] == [
        ("b (lines 2, 9)", 2),
        ("a (line 3)", 3),
        ("c", 0),
    ]


def test_a_family_that_nothing_tells_is_no_leniency() -> None:
    assert [note.kind for note in parse_ruleset(dump("-A INPUT -j ACCEPT").encode(), "f").notes] == [
        "family-assumed"
    ]
