"""The hooks for pre-commit: the manifest is one, and what it runs takes the files that pre-commit names."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pre_commit.clientlib import load_manifest

from ipt2np.cli.precommit import split

TOP = Path(__file__).resolve().parents[2]
MANIFEST = TOP / ".pre-commit-hooks.yaml"
HOOKS: dict[str, dict[str, Any]] = {each["id"]: each for each in load_manifest(str(MANIFEST))}
OPEN = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j DROP\nCOMMIT\n"
CLOSED = "*filter\n:INPUT DROP [0:0]\n-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 443 -j ACCEPT\nCOMMIT\n"


def run(hook: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a hook as pre-commit does: entry, then the arguments, then the files."""
    command = [*shlex.split(HOOKS[hook]["entry"]), *arguments]
    if command[0] == "ipt2np":
        command[:1] = ["python", "-m", "ipt2np.cli.main"]
    assert command[0] == "python"
    paths = os.pathsep.join([str(TOP / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, *command[1:]],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "open.v4").write_text(OPEN, encoding="utf-8")
    (tmp_path / "closed.v4").write_text(CLOSED, encoding="utf-8")
    (tmp_path / "-x.v4").write_text(CLOSED, encoding="utf-8")
    return tmp_path


def test_the_manifest_names_the_hooks() -> None:
    assert set(HOOKS) == {"ipt2np-lint", "ipt2np-verify"}
    assert all(each["language"] == "python" for each in HOOKS.values())


@pytest.mark.parametrize(
    ("name", "taken"),
    [("a/web.v4", True), ("web.v6", True), ("x.rules", True), ("v4", False), ("x.v4.md", False)],
)
def test_lint_looks_at_rulesets_alone(name: str, taken: bool) -> None:
    assert bool(re.search(HOOKS["ipt2np-lint"]["files"], name)) is taken


def test_lint_passes_where_no_rule_is_to_blame(folder: Path) -> None:
    done = run("ipt2np-lint", "--fail-on", "warning", "closed.v4", "-x.v4", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_one_bad_file_among_many_fails_the_hook(folder: Path) -> None:
    done = run("ipt2np-lint", "closed.v4", "open.v4", "closed.v4", cwd=folder)
    assert done.returncode == 1
    assert "open.v4" in done.stdout + done.stderr
    (folder / "bad.v4").write_text("-A\n", encoding="utf-8")
    assert run("ipt2np-lint", "bad.v4", "open.v4", cwd=folder).returncode == 2


def test_verify_proves_the_policy_that_its_arguments_name(folder: Path) -> None:
    convert = [sys.executable, "-m", "ipt2np.cli.main", "convert", "closed.v4", "-o", "policy.yaml"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TOP / "src"), os.environ.get("PYTHONPATH", "")])}
    subprocess.run(convert, cwd=folder, env=env, capture_output=True, timeout=120, check=True)
    assert HOOKS["ipt2np-verify"]["pass_filenames"] is False
    done = run("ipt2np-verify", "closed.v4", "policy.yaml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    policy = folder / "policy.yaml"
    policy.write_text(
        policy.read_text(encoding="utf-8").replace("10.0.0.0/8", "10.0.0.0/7"), encoding="utf-8"
    )
    assert run("ipt2np-verify", "closed.v4", "policy.yaml", cwd=folder).returncode == 1


def test_the_files_are_the_last_arguments_that_are_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert split(["--fail-on", "error", "open.v4", "closed.v4"]) == (
        ["--fail-on", "error"],
        ["open.v4", "closed.v4"],
    )
    assert split(["--ipset", "open.v4", "--", "closed.v4"]) == (["--ipset", "open.v4"], ["closed.v4"])
    assert split(["open.v4"]) == ([], ["open.v4"])
    assert split([]) == ([], [])
