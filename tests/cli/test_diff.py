"""``ipt2np diff`` as a user meets it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ipt2np.cli.main import app
from tests.dumps import dump

SSH, WEB = (
    "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT",
    "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
)
SIX = "-A INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 443 -j ACCEPT"
POLICY = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{ipBlock: {cidr: 192.0.2.0/24}}]
    ports: [{port: 22}]
  - from: [{ipBlock: {cidr: 0.0.0.0/0}}]
    ports: [{port: 443}]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, rules in {"a.v4": (SSH, WEB), "b.v4": (WEB, SSH), "less.v4": (WEB,), "a.v6": (SIX,)}.items():
        Path(name).write_text(dump(*rules))
    Path("a.yaml").write_text(POLICY)


def diff(*arguments: str, input: str | bytes | None = None) -> Result:
    result = CliRunner().invoke(app, ["diff", *arguments], input=input, env={"COLUMNS": "200"})
    assert result.exit_code != 3 and "internal error" not in result.stderr, result.stderr
    return result


def report(*arguments: str, **more: Any) -> dict[str, Any]:
    diff(*arguments, "--report", "report.json", **more)
    found: dict[str, Any] = json.loads(Path("report.json").read_text())
    return found


def test_the_exit_status_says_whether_something_differs() -> None:
    assert diff("a.v4", "b.v4").exit_code == 0
    assert diff("a.v4", "less.v4").exit_code == 1
    assert diff("less.v4", "a.v4").exit_code == 1
    assert diff("a.v4", "missing.v4").exit_code == 2


def test_a_difference_is_told_with_the_rules_of_both_sides() -> None:
    (found,) = report("a.v4", "less.v4")["proof"]["differences"]
    assert (found["effect"], found["certain"], found["ports"]) == ("closes", True, "22")
    assert found["lines"] == [{"file": "a.v4", "line": 5, "side": 0}]


def test_a_side_may_come_by_standard_input_but_not_both() -> None:
    text = dump(SSH, WEB)
    assert diff("-", "b.v4", input=text).exit_code == 0
    assert diff("less.v4", "-", input=text).exit_code == 1
    assert diff("a.yaml", "-", "--other-family", "deny", input=POLICY).exit_code == 0
    twice = diff("-", "-", input=text)
    assert twice.exit_code == 2 and "once" in twice.stderr


def test_a_folder_of_policies_is_a_side() -> None:
    Path("policies").mkdir()
    Path("policies/one.yaml").write_text(POLICY)
    Path("policies/README.md").write_text("no policy")
    assert diff("policies", "a.yaml").exit_code == 0
    Path("policies/two.yml").write_text(POLICY.replace("{name: web}", "{name: more}").replace("443", "80"))
    found = report("a.yaml", "policies")["proof"]["differences"]
    assert [(each["effect"], each["ports"]) for each in found if each["source_class"] == "external"] == [
        ("opens", "80")
    ]


def test_a_ruleset_and_policies_compare_in_both_directions() -> None:
    plain = report("a.v4", "a.yaml")["proof"]["differences"]
    assert {(each["effect"], each["certain"]) for each in plain} <= {("closes", True), ("opens", True)}
    back = report("a.yaml", "a.v4")["proof"]["differences"]
    assert len(plain) == len(back) and {e["effect"] for e in plain} == {
        {"closes": "opens", "opens": "closes"}[e["effect"]] for e in back
    }


def test_the_other_family_is_compared_where_both_sides_have_it() -> None:
    Path("b.v6").write_text(dump(SIX.replace("443", "444")))
    assert diff("a.v4", "b.v4", "--with-a", "a.v6", "--with-b", "a.v6").exit_code == 0
    found = report("a.v4", "b.v4", "--with-a", "a.v6", "--with-b", "b.v6")["proof"]["differences"]
    assert {(each["effect"], each["ports"]) for each in found} == {("closes", "443"), ("opens", "444")}
    assert diff("a.v6", "b.v6", "--with-a", "a.v4", "--with-b", "b.v4").exit_code == 1


def test_a_family_that_one_side_alone_has_is_in_doubt_and_a_finding_says_so() -> None:
    found = report("a.v4", "b.v4", "--with-b", "a.v6")
    told = [(each["code"], each["message"]) for each in found["findings"] if each["code"] == "N2P503"]
    assert told == [("N2P503", "B admits IPv6, and no IPv6 ruleset was given for A")]
    assert all(not each["certain"] for each in found["proof"]["differences"])
    same = report("a.v4", "b.v4", "--with-b", "a.v6", "--other-family", "same")
    assert not [each for each in same["findings"] if each["code"] == "N2P503"]


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("a.v4", "b.v4", "--with-b", "a.yaml"), id="policies beside a ruleset"),
        pytest.param(("a.yaml", "a.yaml", "--with-a", "a.v4"), id="a ruleset beside policies"),
        pytest.param(("a.yaml", "b.v4", "--with-a", "a.yaml"), id="the same policies twice"),
        pytest.param(("a.v4", "b.v4", "--with-a", "a.v6", "--with-a", "a.v6"), id="three dumps"),
        pytest.param(("missing", "b.v4"), id="no such file"),
        pytest.param(("empty", "b.v4"), id="nothing in it"),
        pytest.param(("b.v4", "empty"), id="nothing in the other"),
        pytest.param(("emptyfolder", "b.v4"), id="nothing in the folder"),
        pytest.param(("binary", "b.v4"), id="bytes"),
        pytest.param(("deep.yaml", "b.v4"), id="nests without end"),
        pytest.param(("bomb.yaml", "b.v4"), id="anchors"),
        pytest.param(("a.v4", "b.v4", "--report", "a.v4"), id="a report over an input"),
        pytest.param(("a.v4", "b.v4", "--report", "x.docx"), id="a report of no known kind"),
        pytest.param(("a.v4", "b.v4", "--accept", "missing.yaml"), id="no such entries"),
        pytest.param(("a.v4",), id="one side"),
    ],
)
def test_what_makes_no_comparison_is_refused(arguments: tuple[str, ...]) -> None:
    Path("empty").touch()
    Path("emptyfolder").mkdir()
    Path("binary").write_bytes(bytes(range(256)) * 10)
    Path("deep.yaml").write_text("apiVersion: networking.k8s.io/v1\nkind: " + "[" * 100_000)
    layers = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 10)}]\n" for n in range(1, 12))
    Path("bomb.yaml").write_text(f"{POLICY}x0: &x0 [a]\n{layers}")
    before = Path("a.v4").read_bytes()
    result = diff(*arguments)
    assert result.exit_code == 2, result.stdout
    assert result.stderr and Path("a.v4").read_bytes() == before


def test_rules_that_leave_it_open_alike_are_told_but_no_difference() -> None:
    open_ = '-A INPUT -p tcp -m string --string "x" --algo bm -j ACCEPT'
    Path("open.v4").write_text(dump(SSH, open_))
    Path("split.v4").write_text(dump(SSH, "-A INPUT -j web", open_.replace("INPUT", "web"), chains=("web",)))
    result = diff("open.v4", "split.v4")
    assert result.exit_code == 0 and "N2P509" in result.stdout
    assert diff("open.v4", "a.v4").exit_code == 1


def test_hostile_text_reaches_no_terminal() -> None:
    nasty = '-A INPUT -p tcp -m comment --comment "\x1b]0;x\x07<script>" -m tcp --dport 22 -j ACCEPT'
    Path("nasty\x1b[31m.v4").write_text(dump(nasty, WEB))
    result = diff("nasty\x1b[31m.v4", "less.v4", "--report", "out.md", "--report", "out.html")
    assert "\x1b" not in Path("out.md").read_text() + Path("out.html").read_text()
    assert result.exit_code == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.stdout + result.stderr)
