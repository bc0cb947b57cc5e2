"""``keep_going``: a line that cannot be read stands for anything that it may have meant."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipt2np import (
    Assumptions,
    Decision,
    InputError,
    Options,
    Ruleset,
    Severity,
    convert,
    decide,
    parse_ruleset,
)
from ipt2np.proof.ledger import Fate
from ipt2np.rules.unread import why_unread
from tests.dumps import decided, dump, fate_of, table

PROBES = [
    (source, protocol, port)
    for source in ("10.0.0.1", "10.0.0.2", "192.0.2.9")
    for protocol, port in (("tcp", 22), ("tcp", 80), ("udp", 53), ("gre", 0))
]
SSH = "-A INPUT -p tcp --dport 22 -j ACCEPT"


def kept(text: str) -> Ruleset:
    return parse_ruleset(text.encode(), "rules.v4", family=4, keep_going=True)


def fates(decision: Decision) -> list[str]:
    return [fate_of(decision, *probe) for probe in PROBES]


def unread(ruleset: Ruleset) -> list[tuple[str, str, int]]:
    return [(r.table, r.chain, r.location.line) for r in ruleset.rules if why_unread(r) is not None]


def covers(wide: Sequence[str], exact: Sequence[str]) -> bool:
    """True where every probe is undecided or as it is exactly."""
    return all(w in ("undecided", e) for w, e in zip(wide, exact, strict=True))


def test_a_file_without_faults_is_read_the_same() -> None:
    text = dump(SSH, "-A web -j DROP", chains=["web"])
    assert kept(text) == parse_ruleset(text.encode(), "rules.v4", family=4)


@pytest.mark.parametrize(("line", "open_to"), [
    ("-A INPUT -s <office> -p tcp --dport 80 -j ACCEPT", {("tcp", 80)}),
    ("-A INPUT -s office.example -p tcp --dport 80 -j ACCEPT", {("tcp", 80)}),
    ("-A INPUT -p tcp --dport no-such-port -j ACCEPT", {("tcp", 80), ("tcp", 22)}),
    ("-A INPUT -p tcp -m multiport --dports 1,99999 -m tcp --dport 80 -j ACCEPT", {("tcp", 80)}),
    ("-A INPUT -p tcp --dport 80 -j nowhere", {("tcp", 80)}),
    ("-A INPUT -p tcp --dport 80 -g nowhere", {("tcp", 80)}),
    ("-A INPUT -p udp -j MARK --set-mark much", {("udp", 53)}),
    ("-A INPUT -p tcp -s 10.0.0.1 -s 10.0.0.2 -m tcp --dport 80 -j ACCEPT", {("tcp", 80)}),
    ("-A INPUT -p tcp --frob 1 -j ACCEPT", None),
    ("-A INPUT -p x -j ACCEPT", None),
    ('-A INPUT -m comment --comment "open -j ACCEPT', None),
    ("-A INPUT -p tcp -j", None),
])  # fmt: skip
def test_what_was_readable_of_a_rule_still_bounds_it(line: str, open_to: set[tuple[str, int]] | None) -> None:
    decision = decide([kept(dump(SSH, line))])
    for (source, protocol, port), fate in zip(PROBES, fates(decision), strict=True):
        expected = "accept" if (protocol, port) == ("tcp", 22) else "refuse"
        if expected == "refuse" and (open_to is None or (protocol, port) in open_to):
            expected = "undecided"
        assert fate == expected, (source, protocol, port)


@pytest.mark.parametrize(("line", "where"), [
    ("-A INPUT -p x", ("filter", "INPUT")),
    ("-A web -p x", ("filter", "web")),
    ("-A new -p x", ("filter", "new")),
    ('-A web --comment "open', ("filter", "web")),
    ("[1:2] -A web -p x", ("filter", "web")),
    ("-I web 9 -p gre", ("filter", "web")),
    ("-I web -p x", ("filter", "web")),
    ("-D web -p gre", ("filter", "web")),
    ("-R web 9 -p gre", ("filter", "web")),
    ("-A web -j web", ("filter", "web")),
    ("-F nowhere", ("filter", "INPUT")),
    ("-X nowhere", ("filter", "INPUT")),
    ("-E web INPUT", ("filter", "INPUT")),
    ("hello", ("filter", "INPUT")),
    ("A INPUT -j DROP", ("filter", "INPUT")),
    ("[x] -A web", ("filter", "INPUT")),
    ("-A", ("filter", "INPUT")),
    ("-Q web", ("filter", "INPUT")),
    ("COMMIT x", ("filter", "INPUT")),
])  # fmt: skip
def test_it_stands_in_the_narrowest_place_that_is_certain(line: str, where: tuple[str, str]) -> None:
    assert unread(kept(dump("-A INPUT -j web", line, chains=["web"]))) == [(*where, 7)]


@pytest.mark.parametrize(("text", "where"), [
    (dump(SSH) + "-A INPUT -j DROP\n", ("raw", "PREROUTING", 7)),
    ("*frob\n-A X -j DROP\nCOMMIT\n" + dump(SSH), ("raw", "PREROUTING", 1)),
    (table("nat", "hello") + dump(SSH), ("nat", "PREROUTING", 2)),
    (table("security", "hello") + dump(SSH), ("security", "INPUT", 2)),
    (dump(SSH).replace("COMMIT\n", ""), ("filter", "INPUT", 1)),
    ("iptables -P INPUT DROP\niptables -A INPUT -s $LAN\n", ("raw", "PREROUTING", 2)),
    ("iptables -P INPUT DROP\niptables -A web -p gre\n", ("filter", "web", 2)),
    ("-P INPUT DROP\n-A INPUT -p x\n", ("filter", "INPUT", 2)),
    ("-P INPUT DROP\nhello\n-A INPUT -p gre\n", ("filter", "INPUT", 2)),
])  # fmt: skip
def test_where_the_table_is_not_certain_it_stands_in_front_of_everything(
    text: str, where: tuple[str, str, int]
) -> None:
    found = unread(kept(text))
    assert found[0] == where
    if where[0] == "raw":
        assert fates(decide([kept(text)])) == ["undecided"] * len(PROBES)


def test_every_rule_of_an_unknown_table_is_accounted_for() -> None:
    ruleset = kept("*frob\n:X - [0:0]\n-A X -j DROP\n-A X -p x\nCOMMIT\n" + dump(SSH))
    assert [line for _, _, line in unread(ruleset)] == [1, 3, 4]
    assert [each.name for each in ruleset.tables] == ["filter"]


@pytest.mark.parametrize(
    "line", [":INPUT MAYBE [0:0]", ":INPUT - [0:0]", ":INPUT", ":INPUT DROP [0:0] x", ":inputt DROP [0:0]"]
)
def test_a_policy_that_cannot_be_read_may_be_either(line: str) -> None:
    ruleset = kept(dump(SSH).replace(":INPUT DROP [0:0]", line))
    assert ruleset.chains["filter", "INPUT"].policy is None and not ruleset.policy_is_default
    assert [note.kind for note in ruleset.notes] == ["unread"]
    assert fates(decide([ruleset])) == [
        "accept" if probe[1:] == ("tcp", 22) else "undecided" for probe in PROBES
    ]


def test_a_policy_that_is_said_again_is_certain() -> None:
    text = dump(SSH).replace(":INPUT DROP", ":INPUT MAYBE").replace("COMMIT", "-P INPUT DROP\nCOMMIT")
    assert kept(text).chains["filter", "INPUT"].policy == "DROP"


def test_what_stands_in_front_of_an_unreadable_rule_is_certain() -> None:
    decision = decide([kept(dump(SSH, "-A INPUT -p x -j ACCEPT", "-I INPUT -p gre -j ACCEPT"))])
    assert fate_of(decision, "10.0.0.1", "gre") == "accept"
    assert fate_of(decision, "10.0.0.1", "tcp", 22) == "accept"
    assert fate_of(decision, "10.0.0.1", "udp", 53) == "undecided"


def test_behind_an_unreadable_rule_a_place_cannot_be_told() -> None:
    ruleset = kept(dump("-A INPUT -p x", "-A INPUT -p gre", "-I INPUT 2 -p tcp -j ACCEPT"))
    assert [line for _, _, line in unread(ruleset)] == [5, 7]


def test_in_front_of_a_chain_that_may_not_exist_nothing_is_certain() -> None:
    lines = ("-P INPUT DROP", "-A web -p gre", "-I web -p tcp -j ACCEPT", "-A INPUT -j web")
    decision = decide([kept("".join(f"iptables {line}\n" for line in lines))])
    assert fate_of(decision, "10.0.0.1", "tcp", 80) == "undecided"


def test_a_flush_takes_unreadable_rules_out_but_not_what_may_be_a_command() -> None:
    assert unread(kept(dump("-A INPUT -p x", "-F INPUT"))) == []
    assert unread(kept(dump("-D INPUT -p x", "-F INPUT"))) == [("filter", "INPUT", 5)]


def test_what_holds_no_ruleset_is_refused_all_the_same() -> None:
    for text in ("", "hello", "# only\n", "table ip filter {\n}\n", dump(SSH) + dump(SSH)):
        with pytest.raises(InputError):
            kept(text)


# -- findings and fates ---------------------------------------------------------------------------------


def test_it_is_an_error_with_the_packets_that_it_leaves_open() -> None:
    conversion = convert([kept(dump(SSH, "-A INPUT -s <office> -p udp -j ACCEPT"))])
    (finding,) = (finding for finding in conversion.findings if finding.code == "N2P008")
    assert (finding.severity, finding.place[1]) == (Severity.ERROR, 6)
    assert "'<office>'" in finding.message and "rule:6=no-match" in finding.remedy
    assert finding.predicted
    assert [entry.fate for entry in conversion.ledger.entries] == [Fate.KEPT, Fate.LOST]
    assert {code for difference in conversion.proof.differences for code in difference.findings} == {"N2P008"}


def test_it_is_an_error_where_it_leaves_nothing_open_too() -> None:
    conversion = convert([kept(dump(SSH, "-A OUTPUT -p x", "-A FORWARD -p y"))])
    (finding,) = (finding for finding in conversion.findings if finding.code == "N2P008")
    assert not finding.predicted and "2 rules" in finding.message and "lines 6, 7" in finding.message
    assert conversion.proof.verdict.value == "equal"


def test_settled_by_the_user_it_is_no_error_any_more() -> None:
    ruleset = kept(dump(SSH, "-A INPUT -p x -j ACCEPT"))
    conversion = convert([ruleset], Options(assumptions=Assumptions.parse(("rule:6=no-match",))))
    assert "N2P008" not in {finding.code for finding in conversion.findings}
    assert conversion.proof.verdict.value == "equal"
    assert [entry.fate for entry in conversion.ledger.entries] == [Fate.KEPT, Fate.ASSUMED]


def test_a_thousand_unreadable_lines_are_one_finding_a_kind() -> None:
    lines = [f"-A INPUT -s <host{n}> -j ACCEPT" for n in range(1000)]
    conversion = convert([kept(dump(*lines))])
    assert len([finding for finding in conversion.findings if finding.code == "N2P008"]) == 1


# -- soundness ------------------------------------------------------------------------------------------

_TARGETS = st.sampled_from(["-j ACCEPT", "-j DROP", "-j RETURN", "-j web", "-g web", "-j api", "", "-j LOG"])
_MATCHES = st.sampled_from(
    ["", "-p tcp --dport 22", "-p tcp", "-s 10.0.0.1", "! -s 10.0.0.1", "-p udp", "-p gre", "-m state --state NEW",
     "-p tcp -s 10.0.0.2", "-m state --state ESTABLISHED"]
)  # fmt: skip


@st.composite
def _appended(draw: st.DrawFn) -> str:
    chain = draw(st.sampled_from(["INPUT", "INPUT", "web", "api"]))
    target = draw(_TARGETS)
    if (
        (chain != "INPUT" and "api" in target)
        or (chain == "web" and "web" in target)
        or (chain == "api" and target.strip())
    ):
        target = "-j ACCEPT"
    return f"-A {chain} {draw(_MATCHES)} {target}".rstrip()


_MEANT = st.one_of(
    _appended(),
    _appended().map(lambda line: line.replace("-A ", "-I ")),
    st.sampled_from(
        [
            "-F INPUT",
            "-F",
            "-D INPUT 1",
            "-D INPUT 2",
            "-P INPUT ACCEPT",
            "-P INPUT DROP",
            "-R INPUT 1 -j ACCEPT",
            "",
        ]
    ),
)
_GARBLED = st.sampled_from(["hello", "?? -j ACCEPT", "-Q", "[1:2]", '"', "-A", "COMMIT x"])


def _exact(lines: Sequence[str], policy: str) -> list[str] | None:
    """The fates where every line is what was meant; None where that is no ruleset."""
    text = dump(*lines, chains=["web", "api"], policy=policy)
    try:
        return fates(decided(text))
    except InputError:
        return None


QUICK = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@QUICK
@given(
    st.lists(_appended(), max_size=6),
    _MEANT,
    _GARBLED,
    st.integers(0, 6),
    st.sampled_from(["ACCEPT", "DROP"]),
)
def test_whatever_a_garbled_line_meant_both_bounds_hold(
    lines: list[str], meant: str, garbled: str, place: int, policy: str
) -> None:
    place = min(place, len(lines))
    exact = _exact([*lines[:place], *([meant] if meant else []), *lines[place:]], policy)
    wide = fates(
        decide([kept(dump(*lines[:place], garbled, *lines[place:], chains=["web", "api"], policy=policy))])
    )
    assert exact is None or covers(wide, exact)


@QUICK
@given(
    st.lists(_appended(), max_size=6),
    st.sampled_from(["-s {}", "-p tcp --dport {}", "-d {}", "-p tcp -m multiport --dports {}"]),
    _MATCHES.filter(lambda text: "-p" not in text and "-s" not in text),
    _TARGETS.filter(lambda text: "api" not in text),
    st.sampled_from(["10.0.0.1", "192.0.2.0/24", "22", "80", "0:65535", None]),
    st.integers(0, 6),
)
def test_whatever_an_unreadable_value_meant_both_bounds_hold(
    lines: list[str], option: str, others: str, target: str, value: str | None, place: int
) -> None:
    place = min(place, len(lines))
    rule = f"-A INPUT {others} {option} {target}"
    meant = [rule.format(value)] if value is not None else []
    exact = _exact([*lines[:place], *meant, *lines[place:]], "DROP")
    text = dump(*lines[:place], rule.format("<it>"), *lines[place:], chains=["web", "api"])
    assert exact is None or covers(fates(decide([kept(text)])), exact)
