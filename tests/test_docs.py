"""Pages that follow from the code are current, and what the README shows is what the command prints."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ipt2np.cli.main import app

TOP = Path(__file__).resolve().parents[1]
PAGES: dict[str, str] = runpy.run_path(str(TOP / "docs" / "generate.py"))["pages"]()


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    assert (TOP / "docs" / name).read_text(encoding="utf-8") == PAGES[name], "run `make docs`"


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
    shown = (
        (TOP / "README.md").read_text(encoding="utf-8").partition("$ make demo\n")[2].partition("…\n```")[0]
    )
    printed = result.stdout + result.stderr
    assert printed.startswith(shown)
    assert shown.count("\n") > 25
