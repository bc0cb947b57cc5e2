"""The report as SARIF 2.1.0, for code scanning: results at the lines of rulesets and policies.

The standard: https://docs.oasis-open.org/sarif/sarif/v2.1.0/. What GitHub takes of it:
https://docs.github.com/en/code-security/code-scanning/integrating-with-code-scanning/sarif-support-for-code-scanning
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ipt2np.findings.catalogue import CATALOGUE
from ipt2np.reporting.phrases import (
    Entry,
    counted,
    difference_text,
    differences_of,
    findings_of,
    headline,
    severity_of_difference,
    sign_off_text,
    subject,
    witness_text,
)
from ipt2np.reporting.report import Report
from ipt2np.text import as_bytes, printable

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RESULTS = 25_000
"""GitHub takes no run with more."""
RELATED = 200
"""Further places of one result; GitHub takes no result with more than a thousand."""
_TEXT = 4000
_FINGERPRINT = "ipt2npDigest/v1"

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_PROBLEMS = {"error": "error", "warning": "warning", "note": "recommendation"}
_SEMANTIC = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?")
_EFFECTS = {
    "opens": (
        "error",
        "more is admitted than before",
        "Packets that were refused, or may have been, are admitted.",
    ),
    "closes": (
        "warning",
        "less is admitted than before",
        "Packets that were accepted, or may have been, are refused.",
    ),
}
_TO_DO = "Look at the witness and at the findings that explain the difference; sign it off where it is meant."


def sarif(report: Report) -> str:
    """The report as a SARIF log with one run, the same bytes for the same report."""
    return json.dumps(log(report), indent=1, ensure_ascii=True) + "\n"


def log(report: Report) -> dict[str, Any]:
    """The SARIF log as plain data."""
    data = report.data
    found = [*differences_of(data), *findings_of(data)]
    shown = found[:RESULTS]
    rules = sorted({_rule_id(each) for each in shown})
    place = _Places(report)
    signed = any("accepted" in each for each in shown)
    run: dict[str, Any] = {
        "tool": {"driver": _driver(data["tool"], rules)},
        "automationDetails": {"id": _text(f"ipt2np/{data['command']}/{subject(data)}/", 400)},
        "invocations": [_invocation(len(found) - len(shown))],
        "columnKind": "unicodeCodePoints",
        "artifacts": place.artifacts(),
        "results": [_result(each, rules, place, signed) for each in shown],
        "properties": {"verdict": _text(headline(data))},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


# -- rules ---------------------------------------------------------------------------------------------------


def _rule_id(each: Entry) -> str:
    return str(each["code"]) if "code" in each else f"difference-{each['effect']}"


def _driver(tool: Entry, rules: Sequence[str]) -> dict[str, Any]:
    version = str(tool["version"])
    driver: dict[str, Any] = {"name": tool["name"], "version": version}
    if _SEMANTIC.fullmatch(version):
        driver["semanticVersion"] = version
    driver["rules"] = [_rule(each) for each in rules]
    return driver


def _rule(name: str) -> dict[str, Any]:
    effect = name.removeprefix("difference-")
    if name in CATALOGUE:
        code = CATALOGUE[name]
        level, title = _LEVELS[code.severity.word], code.title
        explanation, remedy = code.explanation, code.remedy
    elif effect in _EFFECTS:
        level, title, explanation = _EFFECTS[effect]
        remedy = _TO_DO
    else:
        return {"id": _text(name, 100)}
    return {
        "id": name,
        "shortDescription": {"text": _message(title)},
        "fullDescription": {"text": _message(explanation)},
        "help": {
            "text": _message(f"{explanation} {remedy}"),
            "markdown": _message(f"{explanation}\n\n**What to do.** {remedy}"),
        },
        "defaultConfiguration": {"level": level},
        "properties": {
            "tags": ["network-policy", "difference" if name.startswith("difference-") else "finding"],
            "problem.severity": _PROBLEMS[level],
        },
    }


# -- results -------------------------------------------------------------------------------------------------


def _result(each: Entry, rules: Sequence[str], places: _Places, signed: bool) -> dict[str, Any]:
    name = _rule_id(each)
    locations = places.of(each)
    left = max(len(locations) - 1 - RELATED, 0) + each.get("more_lines", 0)
    result: dict[str, Any] = {
        "ruleId": _text(name, 100),
        "ruleIndex": rules.index(name),
        "level": _LEVELS[each["severity"] if "code" in each else severity_of_difference(each)],
        "message": {"text": _said(each, left)},
        "locations": locations[:1],
    }
    related = locations[1 : RELATED + 1]
    if related:
        result["relatedLocations"] = [
            {"id": number, **place} for number, place in enumerate(related, start=1)
        ]
    if "digest" in each:
        result["partialFingerprints"] = {_FINGERPRINT: _text(str(each["digest"]), 200)}
    if signed:
        result["suppressions"] = [_suppression(each["accepted"])] if "accepted" in each else []
    return result


def _said(each: Entry, places_left: int) -> str:
    if "code" in each:
        text = f"{each['message']}."
        if each.get("remedy"):
            text += f" What to do: {each['remedy']}."
    else:
        text = difference_text(each) + "."
        if "witness" in each:
            text += f" Witness: {witness_text(each['witness'])}."
        if each.get("findings"):
            text += f" Because of {', '.join(each['findings'])}."
    if places_left > 0:
        text += f" It has {counted(places_left, 'more place')}."
    return _message(text)


def _suppression(accepted: Entry) -> dict[str, Any]:
    return {"kind": "external", "status": "accepted", "justification": _text(sign_off_text(accepted))}


def _invocation(left: int) -> dict[str, Any]:
    result: dict[str, Any] = {"executionSuccessful": True}
    if left > 0:
        text = f"{counted(left, 'further result')} left out: code scanning takes {RESULTS:,}; the JSON report lists them."
        result["toolExecutionNotifications"] = [{"level": "warning", "message": {"text": text}}]
    return result


# -- places --------------------------------------------------------------------------------------------------


class _Places:
    """The report's files as artifacts, and places in them."""

    def __init__(self, report: Report) -> None:
        inputs: Sequence[Entry] = report.data.get("input", {}).get("files", [])
        self.files: dict[str, Entry] = {str(each["path"]): each for each in inputs}
        for file in report.files:
            self.files.setdefault(file.name, {})
        self.indices = {name: index for index, name in enumerate(self.files)}
        self.emitted: Mapping[str, Entry] = report.data.get("places", {})

    def artifacts(self) -> list[dict[str, Any]]:
        return [
            {
                "location": _uri(name),
                "roles": ["analysisTarget"],
                **({"hashes": {"sha-256": str(file["sha256"])}} if "sha256" in file else {}),
            }
            for name, file in self.files.items()
        ]

    def of(self, each: Entry) -> list[dict[str, Any]]:
        """All places of a finding or a difference, the first one first; the first file where it has none."""
        return list(self._of(each)) or [self._location({"file": name}) for name in list(self.files)[:1]]

    def _of(self, each: Entry) -> Iterator[dict[str, Any]]:
        wanted: list[Entry] = [each] if each.get("file") else []
        wanted += each.get("lines", [])
        wanted += [self.emitted[name] for name in each.get("pointers", []) if name in self.emitted]
        seen = set()
        for place in wanted:
            key = (place["file"], place.get("line", 0))
            if key not in seen:
                seen.add(key)
                yield self._location(place)

    def _location(self, place: Entry) -> dict[str, Any]:
        name = str(place["file"])
        line = place.get("line") or 1
        region = {"startLine": line}
        if place.get("end", line) > line:
            region["endLine"] = place["end"]
        where = _uri(name)
        if name in self.indices:
            where["index"] = self.indices[name]
        return {"physicalLocation": {"artifactLocation": where, "region": region}}


def _uri(name: str) -> dict[str, Any]:
    """A file's name as a URI reference (RFC 3986): relative to the sources' root, or absolute."""
    path = quote(as_bytes(posixpath.normpath(name)), safe="/")
    if path.startswith("/"):
        return {"uri": "file://" + "/" + path.lstrip("/")}
    return {"uri": path, "uriBaseId": "%SRCROOT%"}


def _text(text: str, width: int = _TEXT) -> str:
    return printable(text, width)


def _message(text: str) -> str:
    """Text for a SARIF message: braces doubled (§3.11.5), and nothing that reads as a link (§3.11.6)."""
    shown = "\n".join(printable(line, _TEXT) for line in text.split("\n"))
    return shown.replace("{", "{{").replace("}", "}}").replace("](", "] (")
