"""The HTML report as text: everything that could be chosen by an input stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ipt2np.cli.main import app
from ipt2np.reporting.html import html
from ipt2np.reporting.report import Report
from ipt2np.sourcefile import SourceFile
from tests.reporting import reports
from tests.sample_hosts import FOLDER

Shape = list[tuple[str, tuple[tuple[str, bool], ...]]]

HOSTILE = (
    "</script><script>document.title='owned'</script>",
    '" onmouseover="document.title=1',
    "' autofocus onfocus='x",
    "javascript:alert(1)",
    "<img src=x onerror=alert(1)>",
    "</style><style>*{display:none}</style>",
    "<!--<script>",
    "]]><svg/onload=x>",
    "{{ 7*7 }}{% include 'report.css' %}",
    "&lt;b&gt;&amp;amp;",
)


class Page(HTMLParser):
    """The elements of a page with the names of their attributes, its ids, its links, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Shape = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple((name, value is None) for name, value in attrs)))
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(report: Report) -> Page:
    return Page(html(report))


def content(text: str, tag: str) -> list[str]:
    return re.findall(rf"<{tag}(?: [^>]*)?>(.*?)</{tag}>", text, re.DOTALL)


REPORTS: dict[str, Callable[[], Report]] = {
    "conversion": reports.of_shop,
    "calico": lambda: reports.of_shop("calico"),
    "lint": lambda: reports.as_lint(reports.of_shop()),
    "diff": lambda: reports.as_diff(reports.of_shop()),
    "frames": lambda: reports.of_samples("docker-host.v4"),
}


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> Report:
    return REPORTS[request.param]()


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_text_of_the_input_changes_the_structure(report: Report, hostile: str) -> None:
    harmless = page(reports.with_texts(report, lambda _: "a" * len(hostile)))
    attacked = page(reports.with_texts(report, lambda _: hostile))
    assert attacked.elements == harmless.elements
    assert attacked.ids == harmless.ids
    assert attacked.links == harmless.links
    assert any(hostile in text for text in attacked.texts)


def test_a_comment_of_a_rule_stays_text() -> None:
    dump = reports.SHOP.replace("the shop", "</script><script>alert(1)</script>")
    text = html(reports.of_dumps({"<b>.v4": dump}))
    assert len(content(text, "script")) == 2
    assert "</script><script>alert" not in text
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text


def test_what_does_not_show_is_spelled_out() -> None:
    report = reports.with_texts(reports.of_shop(), lambda _: "a\u202eb\u2028c\x1b[31m\x00d\udc80\u200be")
    text = html(report)
    for hidden in "\u202e\u2028\u2029\x1b\x00\u200b\udc80":
        assert hidden not in text
    assert "a\\u202eb\\u2028c\\x1b[31m\\x00d\\udc80\\u200be" in text
    text.encode("utf-8")


def test_tabs_of_a_line_stay() -> None:
    report = reports.of_shop()
    files = (SourceFile("shop.v4", "ruleset", ("-A\tINPUT",)), *report.files[1:])
    assert "<code>-A\tINPUT</code>" in html(Report(report.data, files))


def test_the_policy_of_the_page_names_the_style_and_the_script_by_digest(report: Report) -> None:
    text = html(report)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "*" not in policy
    (style,) = content(text, "style")
    _, script = content(text, "script")
    for kind, inline in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy + ";"


def test_nothing_is_inline_that_the_policy_would_stop_and_nothing_is_fetched(report: Report) -> None:
    for tag, attributes in page(report).elements:
        assert tag not in {"img", "iframe", "object", "embed", "base", "link", "audio", "video", "source"}
        names = {name for name, _ in attributes}
        assert not {name for name in names if name.startswith("on")} | (names & {"style", "src", "srcset"})


def test_the_references_of_a_report_are_links_only_where_they_are_pages() -> None:
    data = reports.changed(reports.of_shop())
    data["platform"] = [
        {"effect": "opens", "source_class": "any", "statement": "s", "reference": reference}
        for reference in (
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a b",
            "https://example.org/page",
        )
    ]
    links = page(Report(data)).links
    assert [link for link in links if not link.startswith("#")] == ["https://example.org/page"]


def test_every_link_inside_the_page_has_a_target(report: Report) -> None:
    found = page(report)
    assert len(set(found.ids)) == len(found.ids)
    assert {link[1:] for link in found.links if link.startswith("#")} <= set(found.ids)


def test_the_data_of_the_script_reads_back(report: Report) -> None:
    held = reports.with_texts(report, lambda _: "</script><!--&\u2028")
    data, _ = content(html(held), "script")
    assert not set("<>&\u2028") & set(data)
    read = json.loads(data)
    assert len(read["access"]) == len(report.data.get("access", ()))
    assert len(read["differences"]) == len(report.data.get("proof", {}).get("differences", ()))


def test_rules_and_policy_are_linked_both_ways() -> None:
    report = reports.of_shop("calico")
    text = html(report)
    lines = {
        found[1]: set(re.findall(r'href="#(f\d+-\d+)" aria-label', found[2]))
        for found in re.finditer(r'<div class="l[^"]*" id="(f\d+-\d+)">(.*?)</div>', text)
    }
    names = [file.name for file in report.files]
    places = report.data["places"]
    pairs = {
        (f"f{names.index(entry['file'])}-{entry['line']}", f"f{names.index(place['file'])}-{place['line']}")
        for entry in report.data["ledger"]
        for place in (places[pointer] for pointer in entry["emitted"])
    }
    assert len(pairs) > 8
    assert {(line, other) for line, others in lines.items() for other in others} == pairs | {
        (policy, rule) for rule, policy in pairs
    }


def test_every_rule_stands_there_with_its_fate() -> None:
    report = reports.of_shop()
    text = html(report)
    for entry in report.data["ledger"]:
        file = [file.name for file in report.files].index(entry["file"])
        assert re.search(
            rf'<div class="l f-{entry["fate"]}(?: d-\w+)?" id="f{file}-{entry["line"]}">.*?<span class="f">{entry["fate"]}<',
            text,
        )


def test_a_rule_whose_file_is_not_shown_is_listed_all_the_same() -> None:
    report = reports.of_shop()
    text = html(Report(report.data, report.files[1:]))
    assert "12 rules whose text is not shown here" in text
    for entry in report.data["ledger"]:
        if entry["file"] == "shop.v4":
            assert f"<li>shop.v4:{entry['line']} " in text


def test_what_the_platform_opens_besides_is_no_plain_verdict() -> None:
    data = reports.changed(reports.of_shop())
    data["summary"]["verdict_text"] = "equal; the platform also opens ICMP"
    data["proof"]["verdict"] = "equal"
    text = html(Report(data))
    assert '<p class="verdict v-equal also"><strong>equal; the platform also opens ICMP</strong></p>' in text


def test_who_accepted_what_and_why_is_told() -> None:
    text = html(reports.accepted(reports.of_shop(), "known & wanted", "<ops>"))
    assert text.count("<strong>Accepted</strong> by &lt;ops&gt; until 2031-01-31: known &amp; wanted") == 2


def test_of_several_findings_of_one_code_a_difference_names_the_one_about_its_line() -> None:
    data = reports.changed(reports.of_shop())
    data["findings"] = [
        {
            "code": "N2P501",
            "severity": "warning",
            "file": "shop.v4",
            "line": line,
            "message": f"m{line}",
            "remedy": "r",
        }
        for line in (9, 10)
    ]
    for each, line in zip(data["proof"]["differences"], (10, 9), strict=False):
        each |= {"findings": ["N2P501"], "lines": [{"file": "shop.v4", "line": line}]}
    text = html(Report(data, reports.of_shop().files))
    assert re.findall(r'<span class="k">Why</span> <a href="#(n\d)">N2P501</a> (m\d+)', text)[:2] == [
        ("n2", "m10"),
        ("n1", "m9"),
    ]


def test_a_long_list_of_sources_stands_once_and_in_full() -> None:
    rules = "\n".join(f"-A INPUT -s 198.51.{n}.64/26 -p tcp -m tcp --dport 80 -j ACCEPT" for n in range(100))
    text = html(
        reports.of_dumps(
            {
                "a.v4": f"*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n"
            }
        )
    )
    titles = re.findall(r"<details [^>]*><summary>([^<]* blocks[^<]*)</summary>", text)
    assert sorted(titles) == ["100 blocks in 198.51.0.0/17", "any IPv4 but 100 blocks"]
    for shown in re.findall(r"blocks[^<]*</summary><p>(.*?)</p>", text):
        assert shown.split(", ") == [f"198.51.{n}.64/26" for n in range(100)]
    assert "and 97 more</a>" in text


def test_a_lint_has_findings_and_lines_and_nothing_else() -> None:
    text = html(reports.as_lint(reports.of_shop()))
    assert re.findall(r'<section id="(\w+)"', text) == ["summary", "findings", "lines"]
    assert 'role="region" tabindex="0" aria-labelledby="pane-1"' not in text


def test_a_difference_of_two_rulesets_of_one_name_points_into_both() -> None:
    text = html(reports.as_diff(reports.of_shop()))
    assert '<a href="#f0-8" aria-label="shop.v4 line 8">' in text
    assert '<a href="#f1-9" aria-label="shop.v4 line 9">' in text
    first, second = text.partition('id="pane-1"')[::2]
    assert re.search(r'id="f0-8">.*href="#f1-9".*href="#d1"', first)
    assert re.search(r'id="f1-9">.*href="#f0-8".*href="#d1"', second)


def test_a_line_behind_a_difference_shows_its_effect() -> None:
    report = reports.of_shop()
    text = html(report)
    for number, each in enumerate(report.data["proof"]["differences"], start=1):
        for place in each["lines"]:
            file = [file.name for file in report.files].index(place["file"])
            line = re.search(rf'<div class="([^"]*)" id="f{file}-{place["line"]}">(.*?)</div>', text)
            assert line is not None
            assert f"d-{each['effect']}" in line[1]
            assert f'href="#d{number}"' in line[2]


def test_the_command_line_writes_the_page(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    done = CliRunner().invoke(
        app,
        [
            "convert",
            str(FOLDER / "web-server.v4"),
            "--report",
            str(out),
            "-o",
            str(tmp_path / "p.yaml"),
            "-q",
        ],
    )
    assert done.exit_code == 0
    text = out.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>\n")
    assert "web-server" in content(text, "h1")[0]


def test_the_report_is_the_same_for_the_same_input() -> None:
    assert html(reports.of_shop()) == html(reports.of_shop())
