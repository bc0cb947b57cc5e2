"""``ipt2np lint`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ipt2np.cli.main import app
from tests.dumps import dump

SHADOWED = dump("-A INPUT -s 10.0.0.0/8 -j DROP", "-A INPUT -s 10.1.0.0/16 -p tcp -j ACCEPT")
DOUBLE = dump(
    "-A INPUT -s 10.0.0.0/8 -j DROP", "-A INPUT -s 10.0.0.0/8 -j DROP", "-A INPUT -p tcp --dport 80 -j ACCEPT"
)
SOUND = dump("-A INPUT -p tcp --dport 80 -j ACCEPT")


def run(path: Path, text: str, *arguments: str) -> Result:
    file = path / "rules.v4"
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(app, ["lint", str(file), *arguments], env={"NO_COLOR": "1", "COLUMNS": "100"})


def test_findings_go_to_standard_output_and_warnings_fail(tmp_path: Path) -> None:
    result = run(tmp_path, SHADOWED)
    assert result.exit_code == 1
    assert result.stderr == ""
    assert "warning N2P601" in result.stdout and "rules.v4:6:" in result.stdout
    assert result.stdout.endswith("2 rules: 1 warning\n")


def test_nothing_found_is_said(tmp_path: Path) -> None:
    result = run(tmp_path, SOUND)
    assert (result.exit_code, result.stdout) == (0, "1 rule: nothing found\n")


@pytest.mark.parametrize(
    ("text", "level", "code"),
    [(SHADOWED, "never", 0), (SHADOWED, "error", 0), (DOUBLE, "warning", 0), (DOUBLE, "info", 1)],
)
def test_fail_on_says_from_which_severity_on_it_fails(
    tmp_path: Path, text: str, level: str, code: int
) -> None:
    assert run(tmp_path, text, "--fail-on", level).exit_code == code


def test_codes_are_chosen(tmp_path: Path) -> None:
    assert run(tmp_path, SHADOWED, "--ignore", "n2p601").exit_code == 0
    assert "N2P601" not in run(tmp_path, SHADOWED, "--only", "N2P605").stdout
    assert "N2P601" in run(tmp_path, SHADOWED, "--only", "N2P605", "--only", "N2P601").stdout
    refused = run(tmp_path, SHADOWED, "--only", "N2P203")
    assert refused.exit_code == 2 and "N2P601" in refused.stderr


def test_the_report_holds_the_findings_and_no_proof(tmp_path: Path) -> None:
    place = tmp_path / "lint.json"
    assert run(tmp_path, SHADOWED, "--report", str(place), "--quiet").output == ""
    report = json.loads(place.read_text(encoding="utf-8"))
    assert report["command"] == "lint" and not {"proof", "ledger", "target"} & report.keys()
    (found,) = report["findings"]
    assert found["code"] == "N2P601" and [each["line"] for each in found["lines"]] == [6]
    assert report["summary"]["findings"] == {"error": 0, "warning": 1, "info": 0}


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    assert run(tmp_path, "*filter\n-A INPUT -s nobody -j ACCEPT\nCOMMIT\n").exit_code == 2


def test_names_from_the_file_do_not_reach_the_terminal_as_they_are(tmp_path: Path) -> None:
    text = dump("-A INPUT -j a\x1b[31m", "-A a\x1b[31m -j RETURN")
    assert "\x1b" not in run(tmp_path, text).output


def test_what_a_reviewer_accepted_does_not_count(tmp_path: Path) -> None:
    place, entries = tmp_path / "lint.json", tmp_path / "accepted.yaml"
    run(tmp_path, SHADOWED, "--report", str(place))
    command = [
        "accept",
        str(place),
        "--all",
        "--reason",
        "kept for the auditors",
        "--author",
        "ops",
        "-o",
        str(entries),
    ]
    assert CliRunner().invoke(app, command).exit_code == 0
    result = run(tmp_path, SHADOWED, "--accept", str(entries))
    assert result.exit_code == 0
    assert "kept for the auditors" in result.stdout and result.stdout.endswith("2 rules: 1 accepted\n")


def test_findings_are_told_to_a_workflow(tmp_path: Path) -> None:
    result = run(tmp_path, SHADOWED, "--format", "github")
    assert result.stdout.startswith("::warning ") and "line=6" in result.stdout
