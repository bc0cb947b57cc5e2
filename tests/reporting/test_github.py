"""Annotations of a workflow: what the runner reads out of each line, whatever the input says."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipt2np.reporting.github import SHOWN, github
from ipt2np.reporting.report import Report
from tests.reporting.every_field import HOSTILE, difference, everything, finding, sign_off

COMMAND = re.compile(r"::(?P<name>\w+)(?: (?P<properties>[^:]*))?::(?P<message>.*)")


@dataclass(frozen=True)
class Annotation:
    name: str
    properties: dict[str, str]
    message: str


def unescaped(text: str) -> str:
    for escape, character in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(escape, character)
    return text


def understood(report: Report) -> list[Annotation]:
    """What the runner understands: properties end at the first ``::``, and are split at commas."""
    text = github(report)
    assert text.endswith("\n") and not re.search(r"[\r\v\f\x1c-\x1e\x85\u2028\u2029]", text)
    text.encode("utf-8")
    found = []
    for line in text[:-1].split("\n"):
        match = COMMAND.fullmatch(line)
        assert match, line
        pairs = [each.partition("=") for each in (match["properties"] or "").split(",") if each]
        found.append(
            Annotation(
                match["name"], {key: unescaped(value) for key, _, value in pairs}, unescaped(match["message"])
            )
        )
    return found


def test_a_finding_is_an_annotation_at_its_line() -> None:
    first, *_ = understood(everything(differences=[], findings=[finding(6, "a, b: 100%")]))
    assert first == Annotation(
        "warning",
        {"file": "ra, b: 100%", "line": "7", "title": "N2P203: the input interface is undecided"},
        "rules say a, b: 100%\na, b: 100%\n→ change a, b: 100%",
    )


def test_a_difference_shows_its_witness_at_the_line_of_its_rule() -> None:
    first, *_ = understood(everything(differences=[difference(4)], findings=[]))
    assert first.name == "error"
    assert first.properties == {"file": "rx", "line": "1", "title": "the policy and the ruleset differ"}
    assert first.message == (
        "opens tcp port 5 from 10.0.4.0/24 on x\nwitness: 10.0.0.1 to tcp port 5 on x\nbecause of N2P203"
    )


def test_a_difference_with_no_rule_behind_it_points_at_the_policy() -> None:
    first, *_ = understood(everything(differences=[difference(lines=[])], findings=[]))
    assert {key: first.properties[key] for key in ("file", "line", "endLine")} == {
        "file": "px",
        "line": "2",
        "endLine": "4",
    }


def test_a_finding_without_a_place_points_at_the_file() -> None:
    bare = {key: each for key, each in finding().items() if key not in ("file", "line", "lines", "rule")}
    first, *_ = understood(everything(differences=[], findings=[bare]))
    assert first.properties["file"] == "rx"
    assert "line" not in first.properties


@pytest.mark.parametrize(
    ("severity", "name"), [("error", "error"), ("warning", "warning"), ("info", "notice")]
)
def test_a_severity_is_a_kind_of_annotation(severity: str, name: str) -> None:
    assert understood(everything(differences=[], findings=[finding(severity=severity)]))[0].name == name


def test_what_was_signed_off_is_a_notice_that_says_by_whom() -> None:
    first, _ = understood(everything(differences=[difference(0, accepted=sign_off("kim"))], findings=[]))
    assert first.name == "notice"
    assert first.message.endswith("accepted by kim until 2030-01-31: because kim")


@pytest.mark.parametrize("command", ["convert", "verify", "diff", "lint"])
def test_the_last_line_tells_the_verdict(command: str) -> None:
    last = understood(everything(command=command))[-1]
    assert last == Annotation(
        "notice",
        {"title": f"ipt2np {command}"},
        "nx: differs (TCP from outside the cluster)\nEverything is shown.",
    )


def test_no_more_is_printed_than_is_shown_and_the_rest_is_counted() -> None:
    findings = [finding(n, severity=("error", "warning", "info")[n % 3]) for n in range(90)]
    found = understood(everything(differences=[difference(4)] * 5, findings=findings))
    names = [each.name for each in found]
    assert names == ["error"] * SHOWN + ["warning"] * SHOWN + ["notice"] * SHOWN
    # Of 5 + 30 errors, 30 warnings and 30 notes.
    assert found[-1].message.endswith(
        "\nNot shown: 25 further errors, 20 further warnings, 21 further infos; the report lists them."
    )


@pytest.mark.parametrize("text", ["100%", "%0A", "%25", "%3A%2C", "a:b,c=d", "::error::x"])
def test_text_arrives_as_it_is(text: str) -> None:
    first, *_ = understood(everything(differences=[], findings=[finding(message=text, file=text)]))
    assert first.message.split("\n")[0] == first.properties["file"] == text


def test_differences_come_before_findings_of_the_same_severity() -> None:
    findings = [finding(severity="error")] * 20
    assert (
        "tcp port"
        in understood(everything(differences=[difference(0, certain=True)], findings=findings))[0].message
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_any_origin_starts_no_command(text: str) -> None:
    assert [each.name for each in understood(everything(text))] == [
        each.name for each in understood(everything("x"))
    ]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters() | st.sampled_from("%:,\r\n=\u2028"), max_size=30))
def test_no_mixture_of_signs_starts_a_command(text: str) -> None:
    assert len(understood(everything(text))) == len(understood(everything("x")))
