"""``ipt2np accept``, and ``--accept`` of the commands that report."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from ipt2np.cli.main import app
from tests.dumps import dump

SSH, WEB, DNS = (
    "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT",
    "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
    "-A INPUT -s 10.0.0.0/8 -p udp -m udp --dport 53 -j ACCEPT",
)
WHO = ("--reason", "the resolver is gone", "--author", "ops@example.org")


def run(*arguments: str, input: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(app, list(arguments), input=input, env={"COLUMNS": "200"})
    assert result.exit_code != 3 and "internal error" not in result.stderr, result.stderr
    return result


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two rulesets, the second without DNS, and the report of their difference."""
    monkeypatch.chdir(tmp_path)
    ruleset("old.v4", SSH, WEB, DNS)
    ruleset("new.v4", SSH, WEB)
    assert diff("--report", "report.json").exit_code == 1
    return tmp_path


def ruleset(name: str, *rules: str, comment: str = "") -> None:
    Path(name).write_text(comment + dump(*rules))


def diff(*arguments: str, before: str = "old.v4", after: str = "new.v4") -> Result:
    return run("diff", before, after, *arguments)


def differences(name: str = "report.json") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(Path(name).read_text())["proof"]["differences"]
    return found


def entries(name: str = "accepted.yaml") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(Path(name).read_text())["accepted"]
    return found


def accept_all(*more: str) -> None:
    assert run("accept", "report.json", "--all", *WHO, *more).exit_code == 0


def codes(result: Result) -> set[str]:
    return set(re.findall(r"N2P\d{3}", result.stdout))


def test_without_digests_what_can_be_accepted_is_listed(host: Path) -> None:
    listed = run("accept", "report.json")
    assert listed.exit_code == 0 and not Path("accepted.yaml").exists()
    (difference,) = differences()
    assert listed.stdout == f"{difference['digest']}  closes udp port 53 from 10.0.0.0/8\n"


def test_an_accepted_difference_passes(host: Path) -> None:
    accept_all()
    result = diff("--accept", "accepted.yaml", "--report", "again.json")
    assert result.exit_code == 0 and not codes(result)
    (difference,) = differences("again.json")
    assert difference["accepted"] == {"reason": "the resolver is gone", "author": "ops@example.org"}
    assert diff().exit_code == 1


def test_a_report_may_come_by_standard_input_and_a_digest_may_be_shortened(host: Path) -> None:
    (difference,) = differences()
    short = difference["digest"][:6].upper()
    text = Path("report.json").read_text()
    assert run("accept", "-", short, *WHO, input=text).exit_code == 0
    assert [each["digest"] for each in entries()] == [difference["digest"]]


@pytest.mark.parametrize("digest", ["", "ab", "zzzzzzzz", "0" * 16, "0" * 5, "0" * 17])
def test_a_digest_that_names_nothing_is_refused(host: Path, digest: str) -> None:
    result = run("accept", "report.json", digest, *WHO)
    assert result.exit_code == 2 and not Path("accepted.yaml").exists()


def test_first_digits_that_fit_several_are_refused(host: Path) -> None:
    report = json.loads(Path("report.json").read_text())
    found = report["proof"]["differences"]
    found.append(
        {**found[0], "digest": found[0]["digest"][:-1] + ("0" if found[0]["digest"][-1] != "0" else "1")}
    )
    Path("report.json").write_text(json.dumps(report))
    result = run("accept", "report.json", found[0]["digest"][:8], *WHO)
    assert result.exit_code == 2 and "names 2 of them" in result.stderr


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param((SSH,), id="one more"),
        pytest.param((SSH, WEB, DNS.replace("10.0.0.0/8", "10.0.0.0/9")), id="from less"),
        pytest.param((SSH, WEB, DNS.replace("53", "54")), id="opens besides"),
        pytest.param((WEB, DNS), id="another one"),
        pytest.param((SSH, WEB, DNS.replace("-j", "-m length --length 100 -j")), id="not certain any more"),
    ],
)
def test_a_difference_that_is_new_or_has_changed_counts(host: Path, rules: Sequence[str]) -> None:
    accept_all()
    ruleset("new.v4", *rules)
    assert diff("--accept", "accepted.yaml").exit_code == 1


def test_one_that_was_in_doubt_and_is_certain_now_counts(host: Path) -> None:
    ruleset("new.v4", SSH, WEB, DNS.replace("-j", "-m length --length 100 -j"))
    assert diff("--report", "report.json").exit_code == 1
    assert [each["certain"] for each in differences()] == [False]
    accept_all()
    assert diff("--accept", "accepted.yaml").exit_code == 0
    ruleset("new.v4", SSH, WEB)
    result = diff("--accept", "accepted.yaml")
    assert result.exit_code == 1 and codes(result) == {"N2P507"}


def test_the_other_direction_is_another_difference(host: Path) -> None:
    accept_all()
    assert diff("--accept", "accepted.yaml", before="new.v4", after="old.v4").exit_code == 1


def test_a_digest_survives_moved_lines_renamed_files_and_rewritten_rules(host: Path) -> None:
    accept_all()
    Path("sub").mkdir()
    ruleset("sub/a.rules", DNS, WEB, SSH, comment="# moved\n\n\n")
    ruleset("sub/b.rules", WEB, "-A INPUT -m comment --comment said -j web", "-A web -j RETURN", SSH)
    Path("sub/b.rules").write_text(Path("sub/b.rules").read_text().replace(":INPUT", ":web - [0:0]\n:INPUT"))
    result = diff("--accept", "accepted.yaml", before="sub/a.rules", after="sub/b.rules")
    assert result.exit_code == 0, result.stdout


def test_an_entry_counts_on_its_last_day_and_no_longer(host: Path) -> None:
    accept_all("--expires", "2999-01-31")
    assert diff("--accept", "accepted.yaml").exit_code == 0
    text = Path("accepted.yaml").read_text()
    assert "expires: 2999-01-31" in text
    Path("accepted.yaml").write_text(text.replace("2999-01-31", "2001-01-31"))
    result = diff("--accept", "accepted.yaml", "--report", "again.json")
    assert result.exit_code == 1 and codes(result) == {"N2P508"}
    report = json.loads(Path("again.json").read_text())
    assert [(each["code"], each["severity"]) for each in report["findings"]] == [("N2P508", "error")]
    assert "accepted" not in report["proof"]["differences"][0]


def test_a_day_that_has_passed_or_is_none_is_refused(host: Path) -> None:
    for day in ("2001-01-31", "2999-02-30", "soon", "99999999999d", "-1d"):
        assert run("accept", "report.json", "--all", *WHO, "--expires", day).exit_code == 2
    assert not Path("accepted.yaml").exists()
    accept_all("--expires", "0d")
    assert diff("--accept", "accepted.yaml").exit_code == 0


def test_an_entry_for_what_is_gone_warns(host: Path) -> None:
    accept_all()
    ruleset("new.v4", SSH, WEB, DNS)
    result = diff("--accept", "accepted.yaml")
    assert result.exit_code == 0 and codes(result) == {"N2P507"}


def test_entries_of_others_stay_and_the_file_is_stable(host: Path) -> None:
    accept_all()
    first = Path("accepted.yaml").read_bytes()
    accept_all()
    assert Path("accepted.yaml").read_bytes() == first
    ruleset("new.v4", WEB)
    diff("--report", "report.json")
    digests = [each["digest"] for each in differences()]
    result = run("accept", "report.json", *digests, "--reason", "all of it", "--author", "carol")
    assert result.exit_code == 0
    kept = {each["digest"]: each["author"] for each in entries()}
    assert set(kept.values()) == {"carol", "ops@example.org"} or set(digests) >= set(kept)
    assert list(kept) == sorted(kept)
    assert diff("--accept", "accepted.yaml").exit_code == 0


def test_all_leaves_out_what_is_accepted_already(host: Path) -> None:
    accept_all()
    diff("--accept", "accepted.yaml", "--report", "report.json")
    result = run("accept", "report.json", "--all", "--reason", "again", "--author", "carol")
    assert result.exit_code == 0 and result.stdout.startswith("accepted.yaml: 0 entries")
    assert [each["author"] for each in entries()] == ["ops@example.org"]


def test_all_leaves_alone_what_another_has_accepted_in_the_file(host: Path) -> None:
    accept_all("--expires", "30d")
    before = Path("accepted.yaml").read_bytes()
    again = ("accept", "report.json", "--all", "--reason", "again", "--author", "carol")
    assert run(*again).stdout.startswith("accepted.yaml: 0 entries")
    assert Path("accepted.yaml").read_bytes() == before


def test_all_accepts_anew_what_has_expired(host: Path) -> None:
    accept_all()
    text = Path("accepted.yaml").read_text()
    Path("accepted.yaml").write_text(text + "  expires: 2020-01-31\n")
    run("accept", "report.json", "--all", "--reason", "again", "--author", "carol")
    assert [each["author"] for each in entries()] == ["carol"]


def test_entries_go_into_a_file(host: Path) -> None:
    assert run("accept", "report.json", "--all", *WHO, "-o", "-").exit_code == 2
    assert not Path("-").exists()


def test_an_edited_file_is_read_and_written_as_the_same_entries(host: Path) -> None:
    accept_all()
    (entry,) = entries()
    edited = f"---\n# by hand\naccepted:\n  - {{author: {entry['author']}, digest: '{entry['digest']}',\n"
    Path("accepted.yaml").write_text(edited + "     reason: 'because'}\n")
    assert diff("--accept", "accepted.yaml").exit_code == 0


def test_both_protocols_of_a_box_are_accepted_one_by_one(host: Path) -> None:
    ruleset("old.v4", SSH, WEB, DNS, DNS.replace("udp", "tcp"))
    diff("--report", "report.json")
    found = differences()
    assert {each["protocol"] for each in found} == {"tcp", "udp"}
    run("accept", "report.json", found[0]["digest"], *WHO)
    assert diff("--accept", "accepted.yaml").exit_code == 1
    run("accept", "report.json", found[1]["digest"], *WHO)
    assert diff("--accept", "accepted.yaml").exit_code == 0


def test_without_reason_author_or_something_to_accept_nothing_is_written(host: Path) -> None:
    for arguments in (
        ("--all",),
        ("--all", "--reason", "x"),
        ("--all", "--author", "x"),
        ("--all", "--reason", " ", "--author", "x"),
        ("--reason", "x", "--author", "y"),
        ("--all", "--reason", "x" * 3000, "--author", "y"),
    ):
        assert run("accept", "report.json", *arguments).exit_code == 2
    assert not Path("accepted.yaml").exists()


HOSTILE = (
    "a\nb: c\n- d",
    "\x1b]0;title\x07\x1b[31m",
    "'\"\\: {[*&!|>%@`#",
    "<script>alert(1)</script> & <b>",
    "| a | **b** [c](javascript:x) `d` ::error::e",
    "%0A::error file=x::y",
    "\u202eevil\u2028next\x85",
    "null",
    "2027-01-01",
    "=cmd|' /C calc'!A0",
    "\udcff\udc80 bytes",
    "\ud800 half",
    "é中🙂",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_any_reason_and_author_come_back_and_break_no_format(host: Path, text: str) -> None:
    result = run("accept", "report.json", "--all", "--reason", text, "--author", text)
    assert result.exit_code == 0 and "\x1b" not in result.stdout
    (entry,) = entries()
    known = text.encode("utf-8", "replace").decode() == text
    assert not known or entry["reason"] == "\n".join(text.splitlines()).strip()
    outputs = [f"out.{end}" for end in ("json", "md", "html", "sarif")]
    result = diff("--accept", "accepted.yaml", *(word for name in outputs for word in ("--report", name)))
    assert result.exit_code == 0
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.stdout)
    for name in outputs[:3]:
        assert "\x1b" not in Path(name).read_text() and "<script>alert" not in (
            Path(name).read_text() if name != "out.json" else ""
        )
    json.loads(Path("out.sarif").read_text())
    annotated = diff("--accept", "accepted.yaml", "--format", "github")
    assert annotated.exit_code == 0 and not re.search(r"(?m)^::error (?!.*N2P|.*title)", annotated.stdout)


@pytest.mark.parametrize(
    "report",
    [
        "", "{", "[]", "null", "1", "{}", '{"schema": 2}', '{"schema": 1}', '{"schema": "1", "findings": []}',
        '{"schema": 1, "findings": [{}]}', '{"schema": 1, "findings": {}, "proof": []}',
        '{"schema": 1, "findings": [], "proof": {"differences": [{"digest": 7}]}}',
        '{"schema": 1, "findings": [], "proof": {"differences": {"a": 1}}}',
        '{"schema": 1, "findings": 7}', '{"schema": 1, "findings": [7]}', "[" * 100_000, "\ufeff{}", "NaN",
    ],
)  # fmt: skip
def test_what_is_no_report_is_refused(host: Path, report: str) -> None:
    Path("broken.json").write_text(report)
    result = run("accept", "broken.json", "--all", *WHO)
    assert result.exit_code == 2 and "broken.json" in result.stderr
    assert not Path("accepted.yaml").exists()


@pytest.mark.parametrize("name", ["missing.json", ".", "a\0b"])
def test_a_report_that_cannot_be_read_is_told(host: Path, name: str) -> None:
    assert run("accept", name).exit_code == 2


def test_digests_that_are_no_digests_are_no_report(host: Path) -> None:
    report = json.loads(Path("report.json").read_text())
    for digest in (7, "", "x", "0123456789ABCDEF", "0" * 15, None, "0123456789abcdef\n"):
        report["proof"]["differences"][0]["digest"] = digest
        Path("broken.json").write_text(json.dumps(report))
        assert run("accept", "broken.json", "--all", *WHO).exit_code == 2, digest
    assert not Path("accepted.yaml").exists()


def test_a_file_of_entries_that_cannot_be_read_is_not_overwritten(host: Path) -> None:
    Path("accepted.yaml").write_text("accepted: 7\n")
    result = run("accept", "report.json", "--all", *WHO)
    assert result.exit_code == 2 and "accepted.yaml:1" in result.stderr
    assert Path("accepted.yaml").read_text() == "accepted: 7\n"


def test_convert_and_verify_let_what_is_accepted_pass(host: Path) -> None:
    ruleset("host.v4", SSH, WEB, '-A INPUT -p tcp -m string --string "x" --algo bm -j ACCEPT')
    convert = ("convert", "host.v4", "--pod-selector", "app=web", "-o", "policy.yaml", "--fail-on", "warning")
    assert run(*convert, "--report", "report.json").exit_code == 1
    accept_all()
    assert run(*convert, "--accept", "accepted.yaml").exit_code == 0
    verify = ("verify", "host.v4", "policy.yaml", "--fail-on", "warning")
    assert run(*verify, "--report", "report.json").exit_code == 1
    accept_all("-o", "verified.yaml")
    assert run(*verify, "--accept", "verified.yaml").exit_code == 0


def test_findings_on_entries_can_be_accepted_by_nobody(host: Path) -> None:
    accept_all()
    ruleset("new.v4", SSH, WEB, DNS)
    diff("--accept", "accepted.yaml", "--report", "report.json")
    assert run("accept", "report.json").stdout == "the report has no differences and no findings\n"
    accept_all("-o", "more.yaml")
    assert entries("more.yaml") == []
