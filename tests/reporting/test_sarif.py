"""SARIF that the standard's own schema accepts, with places that code scanning can show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipt2np import Options, convert
from ipt2np.findings import CATALOGUE
from ipt2np.reporting.conversionreport import conversion_report
from ipt2np.reporting.report import Report
from ipt2np.reporting.sarif import RELATED, sarif
from tests.dumps import dump
from tests.reporting.every_field import HOSTILE, converted, difference, everything, finding
from tests.sample_hosts import HOSTS, rulesets

SCHEMA = json.loads((Path(__file__).parent / "sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def read(report: Report) -> dict[str, Any]:
    """The run, after the schema and what it cannot say of URIs, indices and text."""
    text = sarif(report)
    assert text.isascii()
    whole = json.loads(text)
    VALIDATOR.validate(whole)
    json.dumps(whole, ensure_ascii=False).encode("utf-8")
    (run,) = whole["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        for location in [*result["locations"], *result.get("relatedLocations", [])]:
            place = location["physicalLocation"]["artifactLocation"]
            assert run["artifacts"][place["index"]]["location"]["uri"] == place["uri"]
            assert location["physicalLocation"]["region"]["startLine"] >= 1
    for artifact in run["artifacts"]:
        uri = artifact["location"]["uri"]
        assert set(uri) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/%:")
        assert urlsplit(uri).scheme in ("", "file")
    return dict(run)


def one(report: Report, name: str) -> dict[str, Any]:
    (result,) = (each for each in read(report)["results"] if each["ruleId"] == name)
    return dict(result)


def start(location: Mapping[str, Any]) -> tuple[str, int]:
    place = location["physicalLocation"]
    return place["artifactLocation"]["uri"], place["region"]["startLine"]


# -- the schema ------------------------------------------------------------------------------------------


def test_the_schema_refuses_what_is_no_sarif() -> None:
    log = json.loads(sarif(everything()))
    log["runs"][0]["results"][0]["level"] = "fatal"
    assert not VALIDATOR.is_valid(log)
    log = json.loads(sarif(everything()))
    del log["runs"][0]["results"][0]["message"]
    assert not VALIDATOR.is_valid(log)


@pytest.mark.parametrize("command", ["convert", "verify", "diff", "lint"])
def test_every_command_gives_valid_sarif(command: str) -> None:
    read(everything(command=command))


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("cni", ["kubernetes", "cilium"])
def test_the_samples_give_valid_sarif(host: str, cni: str) -> None:
    report = conversion_report(convert(rulesets(HOSTS[host]), Options(cni=cni)), "1.2.3")
    assert read(report)["results"]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_any_origin_gives_valid_sarif(text: str) -> None:
    for result in read(everything(text))["results"]:
        assert "](" not in result["message"]["text"]
        assert all(each.isprintable() for each in result["message"]["text"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(), max_size=40))
def test_no_file_name_makes_a_bad_uri(text: str) -> None:
    read(everything(text))


def test_braces_are_no_placeholders() -> None:
    result = one(everything(differences=[], findings=[finding(text="{0}", file="rx", lines=[])]), "N2P203")
    assert result["message"]["text"] == "rules say {{0}}. What to do: change {{0}}."


# -- places ----------------------------------------------------------------------------------------------


def test_a_finding_stands_at_the_line_of_its_rule_and_names_the_others() -> None:
    lines = [{"file": "rules.v4", "line": line} for line in (7, 9, 11)]
    each = finding(file="rules.v4", line=7, lines=lines)
    result = one(
        everything(
            differences=[],
            findings=[{**each, "file": "rx", "line": 7, "lines": [{**p, "file": "rx"} for p in lines]}],
        ),
        "N2P203",
    )
    assert [start(place) for place in result["locations"]] == [("rx", 7)]
    assert [start(place) for place in result["relatedLocations"]] == [("rx", 9), ("rx", 11)]
    assert [place["id"] for place in result["relatedLocations"]] == [1, 2]


def test_a_finding_without_a_place_points_at_the_file() -> None:
    bare = {key: each for key, each in finding().items() if key not in ("file", "line", "lines", "rule")}
    assert [
        start(place) for place in one(everything(differences=[], findings=[bare]), "N2P203")["locations"]
    ] == [("rx", 1)]


def test_a_difference_points_at_its_rules_and_at_the_lines_of_the_policy() -> None:
    result = one(everything(differences=[difference(0)], findings=[]), "difference-opens")
    assert [start(place) for place in result["locations"]] == [("rx", 1)]
    (policy,) = result["relatedLocations"]
    assert policy["physicalLocation"]["artifactLocation"]["uri"] == "px"
    assert policy["physicalLocation"]["region"] == {"startLine": 2, "endLine": 4}


def test_a_difference_with_no_rule_behind_it_points_at_the_policy() -> None:
    result = one(everything(differences=[difference(0, lines=[])], findings=[]), "difference-opens")
    assert [start(place) for place in result["locations"]] == [("px", 2)]


def test_places_beyond_what_is_taken_are_counted() -> None:
    lines = [{"file": "rx", "line": line} for line in range(1, 5001)]
    result = one(everything(differences=[], findings=[finding(lines=lines)]), "N2P203")
    assert len(result["relatedLocations"]) == RELATED
    assert result["message"]["text"].endswith(f"It has {5000 - 1 - RELATED:,} more places.")


def test_rules_that_the_report_only_counts_are_counted() -> None:
    result = one(everything(differences=[difference(0, more_lines=7)], findings=[]), "difference-opens")
    assert result["message"]["text"].endswith("It has 7 more places.")


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("rules.v4", "rules.v4"),
        ("./hosts//a b.v4", "hosts/a%20b.v4"),
        ("a:b#c?d%e", "a%3Ab%23c%3Fd%25e"),
        ("/etc/iptables/rules.v4", "file:///etc/iptables/rules.v4"),
        ("//x/y", "file:///x/y"),
        ("\udcff.v4", "%FF.v4"),
        ("é", "%C3%A9"),
        ("<stdin>", "%3Cstdin%3E"),
    ],
)
def test_a_file_name_is_a_uri(name: str, uri: str) -> None:
    report = everything()
    data = {
        **report.data,
        "input": {"files": [{"path": name, "sha256": "ab" * 32}]},
        "findings": [],
        "proof": {},
    }
    (artifact,) = read(Report(data, ()))["artifacts"]
    assert artifact["location"]["uri"] == uri
    assert artifact["hashes"] == {"sha-256": "ab" * 32}
    assert ("uriBaseId" in artifact["location"]) == (not uri.startswith("file:"))
    assert unquote_to_bytes(uri.removeprefix("file://")).lstrip(b"/") == name.encode(
        "utf-8", "surrogateescape"
    ).replace(b"./", b"").replace(b"//", b"/").lstrip(b"/")


# -- levels, rules, sign-offs ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "level"), [("error", "error"), ("warning", "warning"), ("info", "note")]
)
def test_a_severity_is_a_level(severity: str, level: str) -> None:
    assert one(everything(differences=[], findings=[finding(severity=severity)]), "N2P203")["level"] == level


@pytest.mark.parametrize(
    ("effect", "certain", "level"),
    [
        ("opens", True, "error"),
        ("opens", False, "warning"),
        ("closes", True, "warning"),
        ("closes", False, "warning"),
    ],
)
def test_what_is_opened_for_certain_is_an_error(effect: str, certain: bool, level: str) -> None:
    report = everything(differences=[difference(effect=effect, certain=certain)], findings=[])
    result = one(report, f"difference-{effect}")
    assert result["level"] == level
    assert result["message"]["text"] == (
        f"{'' if certain else 'maybe '}{effect} tcp port 1 from 10.0.0.0/24 on x. "
        "Witness: 10.0.0.1 to tcp port 1 on x. Because of N2P203."
    )


def test_the_catalogue_is_the_help_of_a_rule() -> None:
    (rule,) = read(everything(differences=[], findings=[finding()]))["tool"]["driver"]["rules"]
    code = CATALOGUE["N2P203"]
    assert rule["shortDescription"]["text"] == code.title
    assert rule["fullDescription"]["text"] == code.explanation
    assert code.remedy in rule["help"]["text"] and code.remedy in rule["help"]["markdown"]
    assert rule["defaultConfiguration"] == {"level": "warning"}


def test_a_sign_off_is_a_suppression_and_the_others_are_said_to_have_none() -> None:
    accepted = {"reason": "no client", "author": "kim", "expires": "2030-01-31"}
    run = read(everything(differences=[difference(0, accepted=accepted), difference(2)], findings=[]))
    by_digest = {
        each["partialFingerprints"]["ipt2npDigest/v1"]: each["suppressions"] for each in run["results"]
    }
    assert by_digest == {
        "000000000000": [
            {
                "kind": "external",
                "status": "accepted",
                "justification": "accepted by kim until 2030-01-31: no client",
            }
        ],
        "000000000002": [],
    }


def test_without_sign_offs_nothing_is_said_of_suppressions() -> None:
    run = read(everything(differences=[difference(0)], findings=[finding()]))
    assert not any("suppressions" in each for each in run["results"])


def test_more_results_than_code_scanning_takes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipt2np.reporting.sarif.RESULTS", 90)
    run = read(everything(differences=[], findings=[finding(n) for n in range(97)]))
    assert len(run["results"]) == 90
    (told,) = run["invocations"][0]["toolExecutionNotifications"]
    assert told["message"]["text"].startswith("7 further results left out")


def test_a_version_that_is_no_semantic_version_is_not_called_one() -> None:
    report = everything()
    for version, semantic in (("1.2.3", True), ("1.2.3-rc.1", True), ("1.2", False), ("1.2.dev3+g1", False)):
        driver = read(Report({**report.data, "tool": {"name": "ipt2np", "version": version}}, report.files))[
            "tool"
        ]["driver"]
        assert driver["version"] == version
        assert ("semanticVersion" in driver) is semantic


def test_the_same_report_gives_the_same_bytes() -> None:
    rules = dump("-A INPUT -i eth0 -p tcp -m tcp --dport 22 -j ACCEPT")
    assert sarif(converted(rules)) == sarif(converted(rules))
