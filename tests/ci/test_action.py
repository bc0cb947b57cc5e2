"""The GitHub Action: its shell steps run as a runner runs them, on a machine that has nothing but this checkout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

TOP = Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((TOP / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
RULES = """*filter
:INPUT DROP [0:0]
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment "##[error]x ::error::y" -j ACCEPT
-A INPUT -i eth0 -p tcp -m tcp --dport 443 -j ACCEPT
COMMIT
"""


class Runner:
    """A folder for each thing that a runner gives a step, and the steps by their inputs."""

    def __init__(self, home: Path) -> None:
        self.work = home / "work"
        self.temp = home / "temp"
        bin_folder = self.temp / "ipt2np" / "bin"
        bin_folder.mkdir(parents=True)
        self.work.mkdir()
        self.output, self.summary = home / "output", home / "summary"
        self.output.touch()
        self.summary.touch()
        program = f'#!/bin/sh\nexec "{sys.executable}" -m ipt2np.cli.main "$@"\n'
        for name, text in (("ipt2np", program), ("python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')):
            (bin_folder / name).write_text(text, encoding="utf-8")
            (bin_folder / name).chmod(0o755)

    def run(self, step: dict[str, Any], **inputs: str) -> subprocess.CompletedProcess[str]:
        """Runs a step's script as `shell: bash` does."""
        given = {name.replace("_", "-"): text for name, text in inputs.items()}
        env = {
            **os.environ,
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "PYTHONPATH": os.pathsep.join([str(TOP / "src"), os.environ.get("PYTHONPATH", "")]),
            **{name: evaluated(text, given) for name, text in step["env"].items()},
        }
        script = self.temp / "script.sh"
        script.write_text(step["run"], encoding="utf-8")
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        return subprocess.run(
            command, cwd=self.work, env=env, capture_output=True, text=True, timeout=120, check=False
        )

    def outputs(self) -> dict[str, str]:
        lines = self.output.read_text(encoding="utf-8").splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}


def evaluated(text: str, given: dict[str, str]) -> str:
    """An expression of `env`, with the defaults of inputs that were not given."""

    def value(match: re.Match[str]) -> str:
        scope, name = match[1].split(".")
        if scope == "github":
            assert name == "action_path"
            return str(TOP)
        return str(given.get(name, ACTION["inputs"][name]["default"]))

    return re.sub(r"\$\{\{ ([a-z_.-]+) \}\}", value, text)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    runner = Runner(tmp_path)
    (runner.work / "rules.v4").write_text(RULES, encoding="utf-8")
    return runner


RUN = next(step for step in STEPS if step.get("id") == "run")
INSTALL = STEPS[0]


def test_every_step_is_a_script_that_no_input_is_written_into() -> None:
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]
        assert set(re.findall(r"IPT2NP_\w+", step["run"])) == set(step["env"])


def test_every_output_comes_from_the_step_that_sets_it() -> None:
    for name, output in ACTION["outputs"].items():
        assert output["description"]
        assert output["value"] == f"${{{{ steps.run.outputs.{name} }}}}"
        assert f'"{name}=' in RUN["run"]


def test_every_input_has_a_description_and_a_default() -> None:
    for each in ACTION["inputs"].values():
        assert each["description"] and "default" in each and not each["required"]


def test_the_tool_is_installed_from_the_action_itself(runner: Runner) -> None:
    python = runner.temp / "a python"
    log = runner.temp / "log"
    python.write_text(f'#!/bin/sh\necho "python $*" >>"{log}"\n', encoding="utf-8")
    python.chmod(0o755)
    pip = runner.temp / "ipt2np" / "bin" / "python"
    pip.write_text(f'#!/bin/sh\necho "venv $*" >>"{log}"\n', encoding="utf-8")
    done = runner.run(INSTALL, python=str(python))
    assert done.returncode == 0, done.stderr
    assert log.read_text(encoding="utf-8").splitlines() == [
        f"python -m venv {runner.temp}/ipt2np",
        f"venv -m pip install --quiet --disable-pip-version-check {TOP}",
    ]


def test_a_conversion_is_annotated_and_its_reports_are_named(runner: Runner) -> None:
    done = runner.run(
        RUN, command="convert", arguments="rules.v4\n--interface\neth0\n\n-o\npolicy file.yaml\n"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (runner.work / "policy file.yaml").read_text(encoding="utf-8").startswith("---\n")
    assert re.search(r"^::(warning|notice) file=rules\.v4", done.stdout, re.MULTILINE)
    outputs = runner.outputs()
    assert outputs["verdict"] == "equal"
    assert outputs["exit-status"] == "0"
    assert json.loads(Path(outputs["json"]).read_text(encoding="utf-8"))["command"] == "convert"
    assert json.loads(Path(outputs["sarif"]).read_text(encoding="utf-8"))["version"] == "2.1.0"
    assert Path(outputs["html"]).read_text(encoding="utf-8").lower().startswith("<!doctype html>")
    summary = runner.summary.read_text(encoding="utf-8")
    assert summary == Path(outputs["markdown"]).read_text(encoding="utf-8")
    assert summary.startswith("### ipt2np convert: ")


def test_a_policy_that_differs_fails_the_step_and_leaves_the_reports(runner: Runner) -> None:
    assert (
        runner.run(
            RUN, command="convert", arguments="rules.v4\n--interface\neth0\n-o\npolicy.yaml"
        ).returncode
        == 0
    )
    policy = runner.work / "policy.yaml"
    policy.write_text(policy.read_text(encoding="utf-8").replace("port: 443", "port: 444"), encoding="utf-8")
    done = runner.run(RUN, command="verify", arguments="rules.v4\npolicy.yaml\n--interface\neth0")
    assert done.returncode == 1, done.stdout + done.stderr
    assert runner.outputs()["verdict"] == "differs"
    assert runner.outputs()["exit-status"] == "1"
    assert re.search(r"^::error .*::opens tcp port 444", done.stdout, re.MULTILINE)


def test_a_ruleset_that_cannot_be_read_leaves_no_outputs_and_its_text_is_no_command(runner: Runner) -> None:
    bad = "*filter\n:INPUT DROP [0:0]\n  ::error::planted\n##[error]planted\n-A INPUT ##[error]planted\nCOMMIT\n"
    (runner.work / "bad.v4").write_text(bad, encoding="utf-8")
    done = runner.run(RUN, command="convert", arguments="bad.v4")
    assert done.returncode == 2
    assert "planted" in done.stdout
    for line in done.stdout.splitlines():
        assert not line.lstrip().startswith("::")
        assert "##[" not in line
    assert runner.outputs() == {"exit-status": "2"}
    assert runner.summary.read_text(encoding="utf-8") == ""


def test_nothing_in_an_argument_is_expanded(runner: Runner) -> None:
    done = runner.run(RUN, command="lint", arguments='$(touch planted)\n`touch planted`\n*; touch planted "')
    assert done.returncode == 2
    assert not list(runner.work.glob("planted"))


@pytest.mark.parametrize("command", ["", "convert rules.v4", "$(touch planted)", "batch"])
def test_no_other_command_is_run(runner: Runner, command: str) -> None:
    done = runner.run(RUN, command=command, arguments="rules.v4")
    assert done.returncode == 2
    assert done.stdout == "::error::the input command is to be convert, verify, diff or lint\n"
    assert not list(runner.work.glob("planted"))
