"""What a reader is told of recognised frames: named, counted, grouped, and nothing lost by it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import yaml

from ipt2np import Conversion, Difference, Finding, Options, convert
from ipt2np.findings.finding import Predicted
from ipt2np.findings.frames import by_frame
from ipt2np.findings.wording import extent_of, lines_of
from ipt2np.frames import recognise
from ipt2np.packets import PacketSpace
from ipt2np.planning import InDoubt
from ipt2np.reporting.conversionreport import conversion_report
from ipt2np.reporting.terminal import conversion_lines
from ipt2np.rules.model import Rule
from tests.dumps import dump, parsed
from tests.sample_hosts import FOLDER

UFW = ("ufw-before-input", "ufw-user-input")


def converted(text: str, **more: object) -> Conversion:
    return convert([parsed(text)], Options(**more))  # type: ignore[arg-type]


def sample(name: str) -> Conversion:
    return converted((FOLDER / name).read_text())


def of_code(conversion: Conversion, code: str) -> list[Finding]:
    return [finding for finding in conversion.findings if finding.code == code]


# -- one finding for each program -----------------------------------------------------------------------


def test_a_frame_is_one_finding_with_its_rules_chains_and_place() -> None:
    (finding,) = of_code(sample("ufw.v4"), "N2P110")
    assert finding.message.startswith("ufw: 74 rules in 32 chains (lines 42-115), 47 on the input path; ")
    assert len(finding.rules) == 74 and not finding.predicted
    assert "ufw-user-input" in finding.remedy


def test_two_programs_are_two_findings() -> None:
    found = of_code(sample("hypervisor.v4"), "N2P110")
    assert [finding.message.partition(":")[0] for finding in found] == ["libvirt", "Tailscale"]


def test_a_frame_that_is_about_forwarded_packets_says_so() -> None:
    text = dump("-A FORWARD -j CNI-FORWARD", "-A INPUT -j ACCEPT", chains=["CNI-FORWARD"])
    (finding,) = of_code(converted(text), "N2P110")
    assert "1 rule in 1 chain (line 6), none on the input path" in finding.message


def test_bans_are_told_as_runtime_state_with_the_option_that_leaves_them_out() -> None:
    (finding,) = of_code(sample("fail2ban.v4"), "N2P111")
    assert "6 bans: fail2ban's f2b-recidive (2 rules), f2b-sshd (4 rules)" in finding.message
    assert "--drop-transient" in finding.remedy
    assert not of_code(sample("ufw.v4"), "N2P111")


# -- places ---------------------------------------------------------------------------------------------


def rules_of(text: str, *lines: int) -> list[Rule]:
    return [rule for rule in parsed(text).rules if not lines or rule.location.line in lines]


def test_boilerplate_is_told_by_its_chain_and_what_a_person_asked_for_by_its_line() -> None:
    text = (FOLDER / "ufw.v4").read_text()
    frames = recognise([parsed(text)])
    rules = rules_of(text, 42, 76, 77, 78, 92, 105, 106)
    assert lines_of(rules, frames) == (
        "lines 105, 106; ufw's own in INPUT (1 rule), ufw-before-input (3 rules), ufw-logging-deny (1 rule)"
    )
    assert lines_of(rules) == "lines 42, 76, 77, 78, 92, 105, 106"
    assert lines_of(rules[:1], frames) == "line 42"


def test_many_chains_are_counted() -> None:
    chains = [f"KUBE-SVC-{number:016}" for number in range(20)]
    text = dump(
        "-A INPUT -j KUBE-FIREWALL",
        *(f"-A {chain} -p tcp -j RETURN" for chain in chains),
        chains=["KUBE-FIREWALL", *chains],
    )
    told = lines_of(rules_of(text), recognise([parsed(text)]))
    assert told.startswith("Kubernetes' own in INPUT (1 rule), KUBE-SVC-0000000000000000 (1 rule), ")
    assert told.endswith("; 15 chains more (15 rules)")


def test_the_extent_of_many_rules_is_told_in_ranges() -> None:
    text = dump(*["-A INPUT -p tcp -j ACCEPT"] * 12)
    assert extent_of(rules_of(text)) == "lines 5-16"
    assert extent_of(rules_of(text, 5, 7, 8, 16)) == "lines 5, 7-8, 16"
    assert extent_of(rules_of(text, 9)) == "line 9"
    other = parsed(text, file="more.v4").rules[:1]
    assert extent_of([*rules_of(text, 9), *other]) == "rules.v4 line 9; more.v4 line 5"
    scattered = dump(*["-A INPUT -p tcp -j ACCEPT", "-A INPUT -p udp -j ACCEPT"] * 12)
    every_second = rules_of(scattered)[::2]
    assert extent_of(every_second).endswith("and 4 more places")


# -- grouping -------------------------------------------------------------------------------------------


def undecided_calico(count: int, more: Sequence[str] = ()) -> str:
    return dump(
        "-A INPUT -j cali-INPUT",
        *(
            f"-A cali-INPUT -p tcp --dport {n} -m set --match-set cali40{n} src -j ACCEPT"
            for n in range(1, count + 1)
        ),
        *more,
        chains=["cali-INPUT"],
    )


def test_forty_reasons_in_a_frame_s_boilerplate_are_one_finding() -> None:
    (finding,) = of_code(converted(undecided_calico(40)), "N2P201")
    assert len(finding.rules) == 40
    assert finding.message.startswith("a match is undecided in Calico's rules, for 40 reasons (40 rules: ")
    assert "cali-INPUT (40 rules)" in finding.message and finding.message.endswith("and 38 more")


def test_a_person_s_own_rules_are_not_grouped_with_a_frame_s() -> None:
    own = [
        "-A INPUT -p udp -m set --match-set office src -j ACCEPT",
        "-A INPUT -p sctp -m set --match-set lab src -j ACCEPT",
    ]
    found = of_code(converted(undecided_calico(3, own)), "N2P201")
    assert sorted(len(finding.rules) for finding in found) == [1, 1, 3]


def test_the_one_finding_predicts_what_the_many_predicted() -> None:
    text = undecided_calico(7)
    for in_doubt, effect in ((InDoubt.DENY, Difference.CLOSES), (InDoubt.ALLOW, Difference.OPENS)):
        conversion = converted(text, in_doubt=in_doubt)
        decision = conversion.draft.decision
        (finding,) = of_code(conversion, "N2P201")
        union = decision.space.nothing
        for each in finding.predicted:
            assert each.effect is effect
            union |= each.packets
        assert union == decision.may_accept - decision.must_accept
        assert conversion.proof.differences


def test_findings_keep_their_order_and_single_ones_their_words() -> None:
    text = undecided_calico(2)
    ruleset = parsed(text)
    frames, (jump, first, second) = recognise([ruleset]), ruleset.rules
    packets = PacketSpace().everything
    findings = [
        Finding("N2P201", "one", "do this", (first,), predicted=(Predicted(Difference.CLOSES, packets),)),
        Finding("N2P106", "no rules", "none"),
        Finding("N2P202", "alone", "none", (first,)),
        Finding(
            "N2P201", "two", "do that", (second, jump), predicted=(Predicted(Difference.OPENS, packets),)
        ),
    ]
    one, nothing, alone = by_frame(findings, frames)
    assert (nothing, alone) == (findings[1], findings[2])
    assert one.code == "N2P201" and one.rules == (jump, first, second)
    assert [each.effect for each in one.predicted] == [Difference.CLOSES, Difference.OPENS]
    assert one.message.endswith(": one; two") and one.remedy.startswith("do this; ")
    assert by_frame(findings, recognise([])) == findings


# -- YAML and report ------------------------------------------------------------------------------------


def test_comments_of_the_policy_name_the_program_and_what_the_chain_is_for() -> None:
    lines = sample("ufw.v4").text.splitlines()
    (comment,) = (line for line in lines if ":109:" in line and line.lstrip().startswith("#"))
    assert comment.endswith("--dport 5432 -j ACCEPT (ufw: what you asked it for)")
    assert not any("(ufw" in line for line in sample("web-server.v4").text.splitlines())


def test_the_report_lists_frames_with_chains_rules_and_lines() -> None:
    (frame,) = conversion_report(sample("fail2ban.v4"), "0").data["frames"]
    assert frame["name"] == "fail2ban" and frame["rules"] == 12
    assert [place["line"] for place in frame["lines"]] == [12, 13, 14, *range(20, 29)]
    assert [place["line"] for place in frame["bans"]] == [21, 22, 24, 25, 26, 27]
    assert {
        "file": "rules.v4",
        "table": "filter",
        "name": "f2b-sshd",
        "purpose": "bans of a jail",
        "rules": 5,
    } in frame["chains"]
    assert conversion_report(sample("ban-list.v4"), "0").data["frames"] == []


def test_the_report_has_every_line_of_a_finding_that_the_message_counts_by_chain() -> None:
    text = conversion_report(sample("ufw.v4"), "0").data
    (finding,) = (each for each in text["findings"] if each["code"] == "N2P101")
    assert [place["line"] for place in finding["lines"]] == [76, 77, 78, 92, 105, 106]


def test_hostile_names_and_comments_are_escaped_wherever_they_are_shown() -> None:
    chain = "f2b-\x1b[31m\u202e"
    text = dump(
        f"-A INPUT -p tcp -j {chain}",
        "-A INPUT -p tcp --dport 22 -j ACCEPT",
        f"-A {chain} -s 192.0.2.1 -j DROP",
        f"-A {chain} -s 192.0.2.2 -j DROP",
        f"-A {chain} -j RETURN",
        '-A INPUT -p udp -m comment --comment "generated for LXD network x\x07\u2028- a: b" -j ACCEPT',
        chains=[chain],
    )
    conversion = converted(text)
    assert {each.frame.name for each in conversion.draft.decision.frames.found} == {"fail2ban", "LXD"}
    shown = "\n".join(line.plain for line in conversion_lines(conversion))
    for output in (shown, conversion.text, json.dumps(conversion_report(conversion, "0").data)):
        assert (
            "\x1b" not in output
            and "\u202e" not in output
            and "\u2028" not in output
            and "\x07" not in output
        )
    assert "fail2ban's f2b-\\x1b[31m\\u202e (2 rules)" in shown
    (policy,) = yaml.safe_load_all(conversion.text)
    assert policy["spec"]["policyTypes"] == ["Ingress"]
