"""The report as annotations of a GitHub workflow, one workflow command a line.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands; what is escaped and how is what
``@actions/core`` does (``escapeData``, ``escapeProperty`` in packages/core/src/command.ts of actions/toolkit).
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Sequence

from ipt2np.findings.catalogue import CATALOGUE
from ipt2np.reporting.phrases import (
    SEVERITIES,
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
from ipt2np.text import printable

SHOWN = 10
"""So many errors, warnings and notices of one step are shown."""

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
_WIDTH = 1000


def github(report: Report) -> str:
    """The annotations: what matters most first, no more than GitHub shows, then the verdict and a count of the rest.

    What a reviewer signed off is a notice.
    """
    data = report.data
    files = data.get("input", {}).get("files", [])
    default = str(files[0]["path"]) if files else ""
    entries = [*differences_of(data), *findings_of(data)]
    by_severity = {
        severity: [each for each in entries if _severity(each) == severity] for severity in SEVERITIES
    }
    lines = []
    left: Counter[str] = Counter()
    for severity, found in by_severity.items():
        # The last notice is the summary's.
        shown = found[: SHOWN - (severity == "info")]
        lines += [_annotation(severity, each, data, default) for each in shown]
        left[severity] = len(found) - len(shown)
    return "\n".join([*lines, _summary(data, left, default)]) + "\n"


def _severity(each: Entry) -> str:
    if "accepted" in each:
        return "info"
    return str(each["severity"]) if "code" in each else severity_of_difference(each)


def _annotation(severity: str, each: Entry, data: Entry, default: str) -> str:
    place = _place(each, data, default)
    if "code" in each:
        code = each["code"]
        title = f"{code}: {CATALOGUE[code].title}" if code in CATALOGUE else code
        message = [each["message"]]
        if each.get("rule"):
            message.append(each["rule"])
        if each.get("remedy"):
            message.append(f"→ {each['remedy']}")
    else:
        title = "the policy and the ruleset differ" if data["command"] != "diff" else "the two sides differ"
        message = [difference_text(each)]
        if "witness" in each:
            message.append(f"witness: {witness_text(each['witness'])}")
        if each.get("findings"):
            message.append(f"because of {', '.join(each['findings'])}")
    if "accepted" in each:
        message.append(sign_off_text(each["accepted"]))
    return _command(_COMMANDS[severity], {**place, "title": title}, message)


def _place(each: Entry, data: Entry, default: str) -> dict[str, str]:
    """File, line and last line, of what a finding or difference is about; at least the first file."""
    places = [each] if each.get("file") else list(each.get("lines", []))
    known = data.get("places", {})
    places += [known[name] for name in each.get("pointers", []) if name in known]
    place = places[0] if places else {"file": default}
    result = {"file": posixpath.normpath(str(place["file"]))} if place["file"] else {}
    if place.get("line"):
        result["line"] = str(place["line"])
        if place.get("end", place["line"]) > place["line"]:
            result["endLine"] = str(place["end"])
    return result


def _summary(data: Entry, left: Counter[str], default: str) -> str:
    rest = [counted(left[each], f"further {each}") for each in SEVERITIES if left[each]]
    text = f"{subject(data)}: {headline(data)}"
    message = [
        text,
        f"Not shown: {', '.join(rest)}; the report lists them." if rest else "Everything is shown.",
    ]
    return _command("notice", {"title": f"ipt2np {data['command']}"}, message)


def _command(name: str, properties: dict[str, str], message: Sequence[str]) -> str:
    told = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {told}::{'%0A'.join(_data(each) for each in message)}"


def _data(text: str) -> str:
    return printable(text, _WIDTH).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
