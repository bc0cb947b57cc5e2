"""``ipt2np testplan`` as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from ipt2np.cli.main import app
from tests.dumps import dump

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
WEB = str(SAMPLES / "web-server.v4")


def run(*arguments: str, width: int = 100, stdin: str | None = None) -> Result:
    environment = {"COLUMNS": str(width), "NO_COLOR": "1", "TERM": "dumb"}
    return CliRunner().invoke(app, ["testplan", *arguments], env=environment, input=stdin)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_table_shows_both_sides_and_the_rule_behind_each_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(SAMPLES)
    result = run("web-server.v4", "--cni", "calico")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].endswith("probes of web-server.v4 and its policy for calico (equal)")
    assert lines[1].split("  ")[0].strip() == "#"
    (line,) = [
        line for line in lines if " tcp 22 " in line and " 198.51.100.0 " in line and "(pod)" not in line
    ]
    assert "accepted" in line and "admitted" in line and "web-server.v4:18" in line
    assert "the first source of 198.51.100.0/24" in line


def test_what_is_left_out_is_told() -> None:
    result = run(WEB, "--max", "5")
    assert result.exit_code == 0
    assert "boundaries and parts of the answers are left out; --max takes more probes" in result.stdout
    assert len(re.findall(r"^\d  ", result.stdout, re.MULTILINE)) == 5


def test_json_has_the_words_of_the_reports() -> None:
    result = run(WEB, "--cni", "kube-router", "--format", "json", "--source", "198.51.100.77")
    data = json.loads(result.stdout)
    assert (data["schema"], data["command"], data["target"]["cni"]) == (1, "testplan", "kube-router")
    case = next(
        each for each in data["cases"] if each.get("port") == 22 and each["source"] == "198.51.100.77"
    )
    assert case["host"] == {"expected": "accepted", "port": 22} and case["pod"]["expected"] == "admitted"
    assert case["lines"] == [{"file": WEB, "line": 18}]
    assert {reason["why"] for each in data["cases"] for reason in each["reasons"]} <= {
        "difference", "answers", "port", "decided", "source",
    }  # fmt: skip
    assert [each["number"] for each in data["cases"]] == list(range(1, len(data["cases"]) + 1))
    assert data["left_out"] == {"count": 0, "more": False}


def test_the_same_input_gives_the_same_bytes() -> None:
    for form in ("json", "sh", "netassert", "table"):
        assert run(WEB, "--format", form).stdout == run(WEB, "--format", form).stdout


def test_netassert_s_source_and_destination_have_defaults_and_options() -> None:
    (test, *_) = yaml.safe_load(run(WEB, "--format", "netassert", "--namespace", "shop").stdout)
    assert test["src"]["k8sResource"] == {"kind": "pod", "name": "netassert-client", "namespace": "shop"}
    assert test["dst"]["k8sResource"] == {"kind": "deployment", "name": "web-server", "namespace": "shop"}
    options = ("--pod", "tools/daemonset/probes", "--target-resource", "statefulset/db")
    (test, *_) = yaml.safe_load(run(WEB, "--format", "netassert", *options).stdout)
    assert test["src"]["k8sResource"] == {"kind": "daemonset", "name": "probes", "namespace": "tools"}
    assert test["dst"]["k8sResource"] == {"kind": "statefulset", "name": "db", "namespace": "default"}


@pytest.mark.parametrize("form", ["table", "json", "sh", "netassert"])
def test_a_plan_goes_to_a_file(form: str, tmp_path: Path) -> None:
    out = tmp_path / "plan"
    result = run(WEB, "--format", form, "-o", str(out))
    assert (result.exit_code, result.stdout) == (0, "")
    assert out.read_text() == run(WEB, "--format", form).stdout


def test_standard_input_is_a_ruleset() -> None:
    text = dump("-A INPUT -p tcp -m tcp --dport 8443 -j ACCEPT")
    result = run("-", "--name", "x", stdin=text)
    assert result.exit_code == 0 and "tcp 8443" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--scope", "host", "--cni", "calico"], "--scope host"),
        (["--cni", "all"], "--cni all: not known"),
        (["--source", "10.0.0.0/8"], "--source 10.0.0.0/8: expected one address"),
        (["--pod", "client"], "--pod client: expected [NAMESPACE/]KIND/NAME"),
        (["--pod", "job/client"], "the kind one of deployment"),
        (["--pod", "a/b/pod/client"], "--pod a/b/pod/client: expected"),
        (["--target-resource", "pod/$(id)"], "--target-resource pod/$(id): expected"),
        (["--target-resource", "/pod/x"], "--target-resource /pod/x: expected"),
        (["--max", "0"], "--max"),
        (["-o", WEB], "is an input"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], told: str) -> None:
    before = Path(WEB).read_bytes()
    result = run(WEB, *arguments, width=300)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in flat(result.stderr)
    assert Path(WEB).read_bytes() == before


def test_a_fault_of_the_ruleset_is_told_as_by_convert() -> None:
    result = run("-", stdin="hello\n")
    assert (result.exit_code, result.stdout) == (2, "") and "<stdin>:1:1: error: " in result.stderr
