"""What a JSON report has that somebody may accept: differences and findings by their digests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ipt2np.errors import InputError, Location, Problem, UsageError
from ipt2np.reporting.phrases import difference_text, place_text
from ipt2np.reporting.report import SCHEMA
from ipt2np.review.signoff import ABOUT_ENTRIES, DIGEST

SHORTEST = 6
"""Digits that a shortened digest has at least."""
_EXPECTED = f"a report that ipt2np wrote by --report FILE.json (schema {SCHEMA})"


@dataclass(frozen=True, slots=True)
class Acceptable:
    """A difference or a finding."""

    digest: str
    what: str
    """In words, on one line."""
    accepted: bool
    counts: bool
    """False for what alone makes no command fail by default: a mere info, a finding that its differences stand for."""


def acceptable(data: bytes, file: str) -> tuple[Acceptable, ...]:
    """What a report has, differences before findings. InputError where it is no report."""
    try:
        report = json.loads(data)
    except (ValueError, RecursionError) as error:
        line, column = getattr(error, "lineno", 0), getattr(error, "colno", 0)
        raise InputError(
            [Problem(Location(file, line, column), "", f"is no JSON: {error}", _EXPECTED)]
        ) from None
    if not isinstance(report, dict) or report.get("schema") != SCHEMA:
        raise InputError([Problem(Location(file), "", "is no report", _EXPECTED)])
    try:
        differences = [_difference(each) for each in report.get("proof", {}).get("differences", [])]
        told = {code for each in report.get("proof", {}).get("differences", []) for code in each["findings"]}
        findings = [_finding(each, told) for each in report["findings"] if each["code"] not in ABOUT_ENTRIES]
    except (KeyError, TypeError, AttributeError, ValueError):
        message = "is no report of this version: its differences and findings have no digests"
        raise InputError([Problem(Location(file), "", message, _EXPECTED)]) from None
    found = {each.digest: each for each in (*differences, *findings)}
    return tuple(found.values())


def _difference(each: dict[str, Any]) -> Acceptable:
    codes = f" [{', '.join(each['findings'])}]" if each["findings"] else ""
    return Acceptable(_digest(each), difference_text(each) + codes, "accepted" in each, True)


def _digest(each: dict[str, Any]) -> str:
    digest = each["digest"]
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ValueError
    return digest


def _finding(each: dict[str, Any], told: set[str]) -> Acceptable:
    place = place_text(each)
    what = f"{each['severity']} {each['code']} {place + ': ' if place else ''}{each['message']}"
    counts = each["severity"] != "info" and each["code"] not in told
    return Acceptable(_digest(each), what, "accepted" in each, counts)


def chosen(found: Sequence[Acceptable], digests: Sequence[str]) -> list[Acceptable]:
    """Those that digests, or their first digits, name. UsageError for one that names none, or several."""
    result: dict[str, Acceptable] = {}
    for digest in digests:
        lowered = digest.lower()
        fitting = (
            [each for each in found if each.digest.startswith(lowered)] if len(lowered) >= SHORTEST else []
        )
        if len(fitting) != 1:
            why = f"names {len(fitting)} of them" if fitting else "names nothing in the report"
            raise UsageError(
                f"{digest}: {why}; expected a digest, or its first {SHORTEST} digits or more (without any, they are listed)"
            )
        result[fitting[0].digest] = fitting[0]
    return list(result.values())
