"""``ipt2np rule`` as a user meets it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ipt2np.cli.main import app
from ipt2np.findings import CATALOGUE
from ipt2np.findings.examples import EXAMPLES, WITHOUT, Example
from ipt2np.reporting.findingpage import markdown, page

DOCS = Path(__file__).resolve().parents[2] / "docs" / "findings"


def run(*arguments: str, width: int = 80, colour: bool = False) -> Result:
    env = {"FORCE_COLOR": "1", "TERM": "xterm-256color"} if colour else {"FORCE_COLOR": ""}
    return CliRunner().invoke(app, ["rule", *arguments], env={"COLUMNS": str(width), **env}, color=colour)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_without_a_code_it_lists_all_of_them_one_a_line() -> None:
    result = run(width=20)
    assert result.exit_code == 0 and not result.stderr
    rows = [re.split(r" {2,}", line) for line in result.stdout.splitlines()]
    assert rows == [[code.code, code.severity.word, code.title] for code in CATALOGUE.values()]
    assert [row[0] for row in rows] == sorted(CATALOGUE)


def test_on_a_narrow_terminal_the_list_wraps_the_titles_only() -> None:
    result = run(width=40, colour=True)
    assert "\x1b[" in result.stdout
    shown = plain(result.stdout)
    assert max(len(line) for line in shown.splitlines()) <= 40
    assert re.findall(r"^N2P\d+", shown, re.MULTILINE) == list(CATALOGUE)


def test_the_page_of_a_code_shows_text_example_and_remedy() -> None:
    result = run("N2P203", width=100)
    assert result.exit_code == 0 and not result.stderr
    lines = result.stdout.splitlines()
    assert lines[:2] == ["N2P203: the input interface is undecided", "Severity: warning"]
    assert "    -A INPUT -i eth1 -p tcp -m tcp --dport 5432 -j ACCEPT" in lines
    assert "    $ ipt2np convert rules.v4" in lines
    assert any(line.startswith("    warning N2P203 rules.v4:7: ") for line in lines)
    remedy = " ".join(lines[lines.index("What to do") + 1 :])
    assert remedy == CATALOGUE["N2P203"].remedy


@pytest.mark.parametrize("width", [30, 60, 120])
def test_prose_is_wrapped_and_listings_are_not(width: int) -> None:
    lines = run("N2P203", width=width).stdout.splitlines()
    assert max(len(line) for line in lines if not line.startswith("    ")) <= width
    assert "    -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT" in lines


def test_a_pipe_gets_no_colour_and_a_terminal_does() -> None:
    assert "\x1b" not in run("N2P008").stdout
    colourful = run("N2P008", colour=True).stdout
    assert "\x1b[1;31merror\x1b[0m" in colourful
    assert plain(colourful) == run("N2P008").stdout


@pytest.mark.parametrize("code", ["N2P001", "N2P111", "N2P212"])
def test_as_markdown_it_is_the_page_of_the_documentation(code: str) -> None:
    assert run(code, "--format", "markdown").stdout == (DOCS / f"{code}.md").read_text(encoding="utf-8")


def test_the_list_as_markdown_is_the_index_of_the_documentation() -> None:
    assert run("--format", "markdown").stdout == (DOCS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["n2p203", " N2P203", "203"])
def test_a_code_may_be_written_carelessly(text: str) -> None:
    assert run(text).stdout == run("N2P203").stdout


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("N2P022", "error: N2P022: there is no such code; is it N2P0"),
        ("N2P9", "error: N2P9: there is no such code; is it "),
        ("NP2201", "N2P201"),
        ("shadowed", "error: shadowed: there is no such code; `ipt2np rule` lists all\n"),
        ("\x1b[31m" + "9" * 5000, "\\x1b[31m999"),
        ("", "error: : there is no such code"),
    ],
)
def test_an_unknown_code_is_a_usage_error_that_names_the_nearest(text: str, said: str) -> None:
    result = run(text)
    assert result.exit_code == 2 and not result.stdout
    assert said in result.stderr
    assert "\x1b" not in result.stderr and len(result.stderr) < 1200


def test_where_an_example_has_no_room_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    result = run("N2P201")
    assert result.exit_code == 2 and not result.stdout
    assert result.stderr == "error: the example cannot be run: No such file or directory\n"


def test_a_code_without_an_example_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(EXAMPLES, "N2P201")
    monkeypatch.setitem(WITHOUT, "N2P201", "It takes a host of some size.")
    assert "Example\nIt takes a host of some size.\n\nWhat to do\n" in run("N2P201").stdout


def test_of_a_long_file_the_beginning_is_shown_and_how_much_is_left_out() -> None:
    example = Example("".join(f"line {number}\n" for number in range(1, 101)))
    text = markdown(page(CATALOGUE["N2P001"], example, "info\n"))
    assert "line 6\n… and 94 more lines\n```" in text
    assert "line 7\n" not in text
