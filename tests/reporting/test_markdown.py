"""Markdown that fits a comment: what GitHub's own parser makes of it, whatever the input says."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options as CMarkOptions
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ipt2np.reporting.markdown import LIMIT, markdown
from ipt2np.reporting.markup import code, html, link, prose
from ipt2np.reporting.report import Report
from tests.dumps import dump
from tests.reporting.every_field import HOSTILE, converted, difference, everything, finding, sign_off

GITHUB = 65_536
UNSEEN = "\u200b"
EXTENSIONS = ("table", "autolink", "tagfilter", "strikethrough", "tasklist")
VOID = ("br", "hr", "img", "input")


class Page(HTMLParser):
    """The tags of a page, its text, and that of its text that GitHub looks through for names and numbers."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.searched = ""
        self.cells: list[str] = []
        page = cmarkgfm.markdown_to_html_with_extensions(
            text, options=CMarkOptions.CMARK_OPT_UNSAFE, extensions=EXTENSIONS
        )
        self.feed(page)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = "".join(f" {key}={value}" for key, value in attrs)
        self.tags.append(f"<{tag}{told}>")
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.tags.append(f"</{self.open.pop()}>")

    def handle_data(self, data: str) -> None:
        self.text += data
        if not {"code", "pre", "a"} & set(self.open):
            self.searched += data
        if self.cells and {"td", "th"} & set(self.open):
            self.cells[-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def plain(page: Page) -> str:
    return page.text.replace(UNSEEN, "")


def shape(report: Report) -> list[str]:
    return Page(markdown(report)).tags


# -- text of any origin ----------------------------------------------------------------------------------


CALLS = re.compile(r"@\w|#\d|\bGH-\d|://|\bwww\.|:[\w+-]+:", re.IGNORECASE)
"""What GitHub makes a link or a picture of."""


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_any_origin_leaves_the_page_as_it_is(text: str) -> None:
    page = Page(markdown(everything(text)))
    if text.strip():
        assert page.tags == shape(everything("x"))
    assert not CALLS.search(page.searched)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.sampled_from("|`\\*_~[]()<>!&#@$:;/.-+=x1 \n\t\u202e\U0001f642"), max_size=24))
def test_no_mixture_of_signs_changes_the_page(text: str) -> None:
    assume(text.strip())
    assert shape(everything(text)) == shape(everything("x"))


@pytest.mark.parametrize(
    "text",
    [each for each in HOSTILE if len(each) < 100 and each.isprintable() and each.strip() == each != ""],
)
def test_text_is_shown_as_it_is(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| w {prose(text)} | {code(text)} |\n"
    assert [cell.replace(UNSEEN, "") for cell in Page(table).cells[2:]] == [f"w {text}", text]
    shown = Page(
        f"- x {prose(text)} y\n- {code(text)}\n\n<details><summary>{html(text)}</summary>\n\n</details>\n"
    ).text.replace(UNSEEN, "")
    assert shown.count(text) == 3


@pytest.mark.parametrize("text", ["$x$", "$`x`$", "a $ b", "$$x$$"])
def test_a_dollar_begins_no_formula(text: str) -> None:
    assert "$" not in prose(text)
    assert "$" not in html(text)


def test_control_characters_are_written_out() -> None:
    assert "\\x1b[31m" in Page(markdown(everything("a\x1b[31m"))).text


def test_a_source_on_github_is_no_link() -> None:
    assert (
        link("https://docs.example.org/a_b?c=d#e", "source") == "[source](https://docs.example.org/a_b?c=d#e)"
    )
    for address in (
        "https://github.com/o/r/issues/1",
        "https://gist.github.com/x",
        "javascript:alert(1)",
        "https://x)y",
    ):
        assert "](" not in link(address, "source")


# -- what is said ----------------------------------------------------------------------------------------


def test_the_verdict_comes_first_and_the_sums_of_the_ledger_after_it() -> None:
    lines = [line for line in plain(Page(markdown(everything()))).split("\n") if line]
    assert lines[0] == "ipt2np convert: nx"
    assert lines[1] == "Verdict: differs (TCP from outside the cluster)"
    assert (
        "2 differences (opens 1, closes 1); 3 findings (error 1, warning 1, info 1); 2 of them signed off."
        in lines
    )


def test_sections_stand_in_the_order_of_importance() -> None:
    titles = re.findall("<summary>(.*?)[:<]", markdown(everything()))
    assert titles == [
        "2 differences",
        "1 error",
        "1 warning",
        "1 note",
        "Who may reach what",
        "Assumptions",
        "What the platform does besides",
        "Published services",
        "Programs that wrote rules",
        "The fate of every rule",
    ]


def test_a_difference_shows_its_witness_its_rules_and_who_signed_it_off() -> None:
    signed = difference(1, "eth0", accepted={"reason": "no client", "author": "kim", "expires": "2030-01-31"})
    text = plain(Page(markdown(everything("eth0", differences=[signed]))))
    for told in (
        "closes: tcp port 2 from 10.0.1.0/24 on eth0",
        "witness: 10.0.0.1 to tcp port 2 on eth0",
        "because of N2P203 (the input interface is undecided)",
        "rule reth0:1 eth0",
        "policy: peth0:2-4",
        "accepted by kim until 2030-01-31: no client",
        "digest 000000000001",
    ):
        assert told in text


def test_what_nobody_signed_off_comes_before_what_is() -> None:
    differences = [difference(1, accepted=sign_off()), difference(5), difference(4)]
    text = markdown(everything(differences=differences))
    assert [text.index(f"tcp port {n}`") for n in (5, 6, 2)] == sorted(
        text.index(f"tcp port {n}`") for n in (5, 6, 2)
    )


def test_a_report_without_a_proof_counts_its_findings() -> None:
    report = everything(command="lint")
    data = {
        key: each
        for key, each in report.data.items()
        if key not in ("proof", "ledger", "target", "summary", "access", "places")
    }
    text = plain(Page(markdown(Report(data, report.files))))
    assert "Result: 1 error, 1 warning, 1 info\n" in text
    assert "difference" not in text
    assert "verdict" not in text.lower()


def test_a_comparison_names_both_sides() -> None:
    report = everything(command="diff")
    data = {key: each for key, each in report.data.items() if key not in ("ledger", "target")}
    data["sides"] = [
        {"kind": "ruleset", "files": ["a|b.v4"]},
        {"kind": "policy", "files": ["p.yaml", "q.yaml"]},
    ]
    assert (
        "Before: the ruleset a|b.v4; after: the policy p.yaml, q.yaml."
        in Page(markdown(Report(data, report.files))).text
    )


# -- what fits -------------------------------------------------------------------------------------------


def fits(text: str) -> bool:
    return len(text) <= len(text.encode()) <= LIMIT < GITHUB and len(text.encode("utf-16-le")) // 2 <= GITHUB


def rows(text: str, noun: str) -> int:
    """How many of a section's items the text says it leaves out."""
    return sum(
        int(n.replace(",", ""))
        for n in re.findall(rf"^… ([\d,]+) (?:further )?{noun}s?[:;]", text, re.MULTILINE)
    )


@pytest.mark.parametrize("text", ["x", "é中🙂" * 60, "|" * 300, "@" * 300, "`" * 300])
def test_a_long_report_fits_and_counts_what_it_leaves_out(text: str) -> None:
    report = everything(
        text,
        differences=[difference(n, text) for n in range(3000)],
        findings=[finding(n, text, ("error", "warning", "info")[n % 3]) for n in range(3000)],
        rules=9000,
        fates=("kept", "not-applicable", "lost", "kept", "approximated"),
    )
    shown = markdown(report)
    assert fits(shown)
    page = Page(shown)
    assert page.tags.count("<details>") == page.tags.count("</details>") >= 9
    assert shown.count("- **opens**") + shown.count("- **closes**") + rows(shown, "difference") == 3000
    assert (
        shown.count("- **N2P203**") + sum(rows(shown, noun) for noun in ("error", "warning", "note")) == 3000
    )
    assert len(re.findall(r"^\| \d+ \| (?!\d)", shown, re.MULTILINE)) + rows(shown, "rule") == 9000


def test_rules_that_are_left_out_are_counted_by_fate_and_the_lost_are_shown_first() -> None:
    shown = markdown(
        everything(
            "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", rules=9000, fates=("kept",) * 99 + ("lost",)
        )
    )
    assert fits(shown)
    assert len(re.findall(r"\| lost \|", shown)) == 1 + 90  # the head of the sums, and every lost rule
    left = rows(shown, "rule")
    assert (
        f"… {left:,} further rules: kept {left:,}; the JSON report lists them all. By line: kept r-A" in shown
    )
    numbers = [int(n) for n in re.findall(r"^\| (\d+) \| (?:kept|lost)", shown, re.MULTILINE)]
    assert numbers == sorted(numbers)


def test_the_lines_of_rules_that_are_left_out_are_named_as_ranges() -> None:
    shown = markdown(everything("x" * 160, rules=1000, fates=("lost",) * 400 + ("not-applicable",) * 600))
    numbers = {int(n) for n in re.findall(r"^\| (\d+) \|", shown, re.MULTILINE)}
    first = max(numbers) + 1
    assert numbers == set(range(1, first))
    assert f":{first}-1000." in shown or f":{first}-400" in shown


def test_a_file_name_without_end_does_not_take_the_room() -> None:
    name = "@" * 30_000
    assert fits(markdown(everything(name, rules=9000)))


def test_nine_thousand_rules_of_a_real_conversion_fit() -> None:
    comment = '--comment "a|`b` </details> @x"'
    rules = [
        f"-A {'INPUT' if n % 20 == 0 else 'FORWARD'} -s 10.{n // 250}.{n % 250}.0/24 -m comment {comment} -j ACCEPT"
        for n in range(9000)
    ]
    report = converted(dump(*rules))
    shown = markdown(report)
    assert fits(shown)
    page = Page(shown)
    assert page.tags.count("<details>") == page.tags.count("</details>")
    assert rows(shown, "rule") + len(re.findall(r"^\| \d+ \| \S+ \| ", shown, re.MULTILINE)) == 9000


def test_the_same_report_gives_the_same_text() -> None:
    assert markdown(everything("x")) == markdown(everything("x"))
