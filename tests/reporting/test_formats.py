"""Which format a file's name asks for, and the words that formats share."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from ipt2np import UsageError
from ipt2np.packets import AddressSet
from ipt2np.reporting.formats import FORMATS, check_formats, formatted
from ipt2np.reporting.markdown import markdown
from ipt2np.reporting.phrases import sources_text
from ipt2np.reporting.sarif import sarif
from tests.reporting.every_field import everything


@pytest.mark.parametrize(
    "name", ["x.json", "X.JSON", "a/b.md", "x.html", "x.sarif", "x.sarif.json", "/tmp/x.y.md"]
)
def test_a_known_ending_is_taken(name: str) -> None:
    check_formats([name])


@pytest.mark.parametrize(
    "name", ["x.pdf", "x", "md", "x.md.bak", "", "x.", "-", "json/x", ".sarif.json/x", "x.JSON5"]
)
def test_an_unknown_ending_is_refused_and_the_known_ones_are_named(name: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_formats(["x.json", name])
    assert str(refused.value) == (
        f"--report {name}: expected a file name that ends in .json, .md, .html or .sarif"
    )


def test_every_format_is_made_of_the_same_report() -> None:
    report = everything()
    assert json.loads(formatted(report, "x.json")) == report.data
    assert formatted(report, "x.md") == markdown(report)
    assert formatted(report, "x.sarif") == formatted(report, "x.SARIF.JSON") == sarif(report)
    assert set(FORMATS) == {"json", "md", "html", "sarif"}


@pytest.mark.parametrize("suffix", [each for each in FORMATS if each != "html"])
def test_a_format_gives_the_same_bytes_for_the_same_report(suffix: str) -> None:
    text = formatted(everything("é | `x`"), f"x.{suffix}")
    assert text == formatted(everything("é | `x`"), f"x.{suffix}")
    assert text.endswith("\n")


@pytest.mark.parametrize(
    ("around", "without", "text"),
    [
        ("0.0.0.0/0", ["10.0.0.0/8", "192.0.2.1/32"], "any IPv4 address but 10.0.0.0/8, 192.0.2.1/32"),
        ("::/0", ["2001:db8::/32"], "any IPv6 address but 2001:db8::/32"),
        ("0.0.0.0/0", [], "any IPv4 address"),
        ("10.0.0.0/30", ["10.0.0.1/32"], "10.0.0.0/32, 10.0.0.2/31"),
    ],
)
def test_sources_are_named_by_those_that_are_missing_where_that_is_shorter(
    around: str, without: Sequence[str], text: str
) -> None:
    left = AddressSet.cidrs(around)
    for each in without:
        left -= AddressSet.cidrs(each)
    assert sources_text({"source": left.to_cidrs()}) == text
