"""Reports of the commands as users run them: what each format tells of the same run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ipt2np.cli.main import app
from ipt2np.reporting.markdown import LIMIT
from tests.reporting.test_markdown import Page
from tests.reporting.test_sarif import VALIDATOR

RULES = """*filter
:INPUT DROP [0:0]
-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport {port} -m comment --comment "a|b </details> @everyone ::error::" -j ACCEPT
-A INPUT -p tcp -m tcp --dport 25 -j ACCEPT
COMMIT
"""
FORMATS = ("json", "md", "sarif")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's rules, those that it is to have, and a policy made of the latter."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "now.v4").write_text(RULES.format(port=443), encoding="utf-8")
    (tmp_path / "then.v4").write_text(RULES.format(port=444), encoding="utf-8")
    assert run("convert", "then.v4", "-o", "then.yaml").exit_code == 0
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def reported(*arguments: str, status: int) -> tuple[dict[str, Any], Page, dict[str, Any], list[str]]:
    """The JSON report, the Markdown as GitHub shows it, the SARIF run, the annotations."""
    wanted = [each for suffix in FORMATS for each in ("--report", f"report.{suffix}")]
    done = run(*arguments, "--format", "github", *wanted)
    assert done.exit_code == status, done.output
    data, text, sarif = (Path(f"report.{suffix}").read_text(encoding="utf-8") for suffix in FORMATS)
    assert len(text.encode()) <= LIMIT
    VALIDATOR.validate(json.loads(sarif))
    annotations = [line for line in done.output.splitlines() if line.startswith("::")]
    return json.loads(data), Page(text), json.loads(sarif)["runs"][0], annotations


COMMANDS = {
    "convert": (["convert", "now.v4", "-o", "now.yaml"], 0),
    "verify": (["verify", "now.v4", "then.yaml"], 1),
    "diff": (["diff", "now.v4", "then.v4"], 1),
    "diff with a policy": (["diff", "now.v4", "then.yaml"], 1),
}


@pytest.mark.parametrize(("arguments", "status"), COMMANDS.values(), ids=COMMANDS)
def test_every_format_tells_of_the_same_differences_and_findings(
    folder: Path, arguments: list[str], status: int
) -> None:
    data, page, sarif, annotations = reported(*arguments, status=status)
    told = [*data["proof"]["differences"], *data["findings"]]
    assert len(sarif["results"]) == len(told)
    assert {each["partialFingerprints"]["ipt2npDigest/v1"] for each in sarif["results"]} == {
        each["digest"] for each in told
    }
    for each in told:
        assert each.get("severity") == "info" or f"digest {each['digest']}" in page.text
    assert len(annotations) == len(told) + 1
    assert bool(data["proof"]["differences"]) == bool(status)


@pytest.mark.parametrize("name", ["verify", "diff"])
def test_a_changed_port_stands_at_its_lines(folder: Path, name: str) -> None:
    arguments, status = COMMANDS[name]
    _, _, sarif, annotations = reported(*arguments, status=status)
    places = {
        each["ruleId"]: (
            each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            each["locations"][0]["physicalLocation"]["region"]["startLine"],
        )
        for each in sarif["results"]
    }
    assert places["difference-closes"] == ("now.v4", 3)
    opened, line = places["difference-opens"]
    assert opened == {"verify": "then.yaml", "diff": "then.v4"}[name]
    text = (folder / opened).read_text(encoding="utf-8").splitlines()
    assert "444" in "".join(text[line - 1 : line + 8])
    assert annotations[0].startswith(f"::error file={opened},line={line},")


def test_a_signed_off_difference_is_marked_in_every_format(folder: Path) -> None:
    arguments, status = COMMANDS["diff"]
    reported(*arguments, status=status)
    signed = run("accept", "report.json", "--all", "--reason", "moved | `on purpose`", "--author", "@kim")
    assert signed.exit_code == 0, signed.output
    _, page, sarif, annotations = reported(*arguments, "--accept", "accepted.yaml", status=0)
    assert page.text.replace("\u200b", "").count("accepted by @kim: moved | `on purpose`") == 2
    assert [each["suppressions"][0]["justification"] for each in sarif["results"]] == [
        "accepted by @kim: moved | `on purpose`"
    ] * 2
    assert [line.partition(" ")[0] for line in annotations] == ["::notice"] * 3
