"""Recognition names rules and changes the meaning of none; bans are left out only where that is asked for."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from ipt2np import Assumptions, Facts, Fate, Options, Ruleset, convert, decide, parse_ruleset
from ipt2np.findings.collect import relied_on
from ipt2np.frames import recognise
from ipt2np.reporting.conversionreport import conversion_report
from tests.dumps import dump, fate_of, parsed
from tests.sample_hosts import FOLDER

WITH_FRAMES = (
    "docker-host.v4",
    "fail2ban.v4",
    "firewalld.v4",
    "hypervisor.v4",
    "kube-node.v4",
    "shared-hosting.v4",
    "ufw.v4",
)
BANS = (
    "-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd",
    "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
    "-A f2b-sshd -s 192.0.2.1/32 -j REJECT --reject-with icmp-port-unreachable",
    "-A f2b-sshd -s 198.51.100.0/24 -j DROP",
    "-A f2b-sshd -j RETURN",
)
"""Bans at lines 8 and 9 of a dump with one chain."""
BANNED = dump(*BANS, chains=["f2b-sshd"])
LEFT_OUT = Facts(drop_transient=True)


def sample(name: str) -> str:
    return (FOLDER / name).read_text()


def nameless(text: str) -> str:
    """The same rules, with chains of no program's names and without comments."""
    text = re.sub(r' -m comment --comment ("(\\.|[^"\\])*"|\S+)', "", text)
    chains = {name for _, name in parsed(text).chains if not name.isupper() or "_" in name or "-" in name}
    chains |= {"DOCKER", "LOGDROPIN", "DENYIN", "ALLOWIN", "INVALID", "INVDROP", "LOCALINPUT", "PORTFLOOD"}
    numbers = {name: f"chain{number}" for number, name in enumerate(sorted(chains))}
    return re.sub(
        r"(?<=^:)\S+|(?<=-A )\S+|(?<=-[jg] )\S+", lambda m: numbers.get(m[0], m[0]), text, flags=re.M
    )


@pytest.mark.parametrize("name", WITH_FRAMES)
def test_a_host_means_the_same_whatever_its_chains_are_called(name: str) -> None:
    named, renamed = parsed(sample(name)), parsed(nameless(sample(name)))
    assert recognise([named]).found
    assert all(not each.chains for each in recognise([renamed]).found)
    assert decide([renamed]).key() == decide([named]).key()


@pytest.mark.parametrize("name", WITH_FRAMES)
def test_nothing_is_dropped_for_being_recognised(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ruleset = parsed(sample(name))
    with_frames = convert([ruleset])
    stage = importlib.import_module("ipt2np.semantics.decide")
    monkeypatch.setattr(stage, "recognise", lambda rulesets: recognise([]))
    without = convert([ruleset])
    assert with_frames.draft.decision.frames.found and not without.draft.decision.frames.found
    assert with_frames.draft.decision.key() == without.draft.decision.key()
    assert with_frames.draft.fitted.objects == without.draft.fitted.objects
    assert with_frames.ledger.entries == without.ledger.entries
    assert with_frames.proof.verdict is without.proof.verdict
    assert bare(with_frames.text) == bare(without.text)


def bare(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]


# -- bans -----------------------------------------------------------------------------------------------


def without_lines(text: str, lines: set[int]) -> Ruleset:
    kept = [line for number, line in enumerate(text.splitlines(), 1) if number not in lines]
    return parsed("\n".join(kept) + "\n")


def test_bans_stand_unless_they_are_to_be_left_out() -> None:
    standing, left_out = decide([parsed(BANNED)]), decide([parsed(BANNED)], facts=LEFT_OUT)
    for source in ("192.0.2.1", "198.51.100.77"):
        assert fate_of(standing, source, "tcp", 22) == "refuse"
        assert fate_of(left_out, source, "tcp", 22) == "accept"
    assert fate_of(left_out, "192.0.2.1", "tcp", 23) == "refuse"


@pytest.mark.parametrize("text", [BANNED, sample("fail2ban.v4")], ids=["small", "fail2ban.v4"])
def test_left_out_bans_mean_what_the_dump_means_without_their_lines(text: str) -> None:
    ruleset = parsed(text)
    lines = {rule.location.line for each in recognise([ruleset]).found for rule in each.bans}
    assert lines
    expected = decide([without_lines(text, lines)])
    assert decide([ruleset], facts=LEFT_OUT).key() == expected.key()
    assert decide([ruleset]).key() != expected.key()


def test_nothing_but_bans_is_left_out() -> None:
    for name in ("ufw.v4", "docker-host.v4", "ban-list.v4", "shared-hosting.v4"):
        ruleset = parsed(sample(name))
        assert decide([ruleset], facts=LEFT_OUT).key() == decide([ruleset]).key(), name


def test_left_out_bans_are_an_assumption_with_their_lines() -> None:
    decision = decide([parsed(BANNED)], facts=LEFT_OUT)
    assert {name: [rule.location.line for rule in rules] for name, rules in relied_on(decision).items()} == {
        "transient": [8, 9]
    }
    assert "transient" not in relied_on(decide([parsed(BANNED)]))


def test_left_out_bans_are_seen_in_findings_ledger_and_report() -> None:
    conversion = convert([parsed(BANNED)], Options(facts=LEFT_OUT))
    (finding,) = (each for each in conversion.findings if each.code == "N2P111")
    assert [rule.location.line for rule in finding.rules] == [8, 9] and "left out" in finding.message
    fates = {entry.rule.location.line: entry.fate for entry in conversion.ledger.entries}
    assert fates[8] is fates[9] is Fate.ASSUMED and fates[7] is Fate.KEPT
    (assumption,) = (
        each for each in conversion_report(conversion, "0").data["assumptions"] if each["id"] == "transient"
    )
    assert assumption["value"] == "left-out" and [each["line"] for each in assumption["lines"]] == [8, 9]


def test_bans_that_may_stand_or_not_leave_their_sources_open() -> None:
    decision = decide([parsed(BANNED)], Assumptions.parse(("transient=undecided",)), LEFT_OUT)
    assert fate_of(decision, "192.0.2.1", "tcp", 22) == "undecided"
    assert fate_of(decision, "192.0.2.2", "tcp", 22) == "accept"
    settled = decide([parsed(BANNED)], Assumptions.parse(("rule:8=match",)), LEFT_OUT)
    assert fate_of(settled, "192.0.2.1", "tcp", 22) == "refuse"
    assert fate_of(settled, "198.51.100.1", "tcp", 22) == "accept"


def test_bans_of_both_families_are_left_out() -> None:
    six = BANNED.replace("192.0.2.1/32", "2001:db8::1/128").replace("198.51.100.0/24", "2001:db8:1::/48")
    six = six.replace("icmp-port-unreachable", "icmp6-port-unreachable")
    second = parse_ruleset(six.encode(), "rules.v6", family=6, first_number=100)
    decision = decide([parsed(BANNED), second], facts=LEFT_OUT)
    assert (
        fate_of(decision, "192.0.2.1", "tcp", 22) == fate_of(decision, "2001:db8::1", "tcp", 22) == "accept"
    )


def test_samples_with_bans_are_still_proven_without_them(tmp_path: Path) -> None:
    conversion = convert([parsed(sample("fail2ban.v4"))], Options(facts=LEFT_OUT))
    assert conversion.proof.verdict.value == "equal"
    assert "except" not in conversion.text
