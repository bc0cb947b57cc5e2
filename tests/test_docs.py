"""Pages that follow from the code are current, and what the README shows is what the command prints."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ipt2np.cli.main import app
from ipt2np.cni.registry import CNIS

TOP = Path(__file__).resolve().parents[1]
PAGES: dict[str, Callable[[], str]] = runpy.run_path(str(TOP / "docs" / "generate.py"))["pages"]()


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (TOP / "docs" / name).read_text(encoding="utf-8") == PAGES[name](), "run `make docs`"


def test_there_is_no_page_of_a_finding_that_is_none() -> None:
    written = {f"findings/{path.name}" for path in (TOP / "docs" / "findings").iterdir()}
    assert written == {name for name in PAGES if name.startswith("findings/")}


README = (TOP / "README.md").read_text(encoding="utf-8")
SHOWN = [
    (match[1], match[2])
    for match in re.finditer(r"^\$ ipt2np ((?:convert|verify) .*)\n((?:(?!\$ |```|…).*\n)+)…", README, re.MULTILINE)
]
"""Commands of the README, and the first lines that they are said to print."""


def test_the_readme_shows_a_command_for_several_cnis() -> None:
    converted = [command for command, _ in SHOWN if command.startswith("convert")]
    assert len(SHOWN) == README.count("$ ipt2np ") and len(converted) >= 3
    assert len({re.findall(r"--cni (\S+)", command)[0] for command in converted}) == len(converted)


@pytest.mark.parametrize(("command", "shown"), SHOWN, ids=[command for command, _ in SHOWN])
def test_the_readme_shows_what_a_command_prints(
    command: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "samples").symlink_to(TOP / "samples")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == (0 if command.startswith("convert") else 1)
    assert (result.stderr or result.stdout).startswith(shown)


def test_the_readme_names_every_cni() -> None:
    told = README.partition("## For which CNI")[2].partition("\n## ")[0]
    assert set(re.findall(r"`([a-z0-9-]+)`", told)) == set(CNIS)


def test_the_readme_shows_what_the_demo_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TOP)
    arguments = [
        "convert",
        "samples/subnet-with-a-hole.v4",
        "--name",
        "test-network-policy",
        "--pod-selector",
        "role=db",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    shown = README.partition("$ make demo\n")[2].partition("…\n```")[0]
    printed = result.stdout + result.stderr
    assert printed.startswith(shown)
    assert shown.count("\n") > 25
