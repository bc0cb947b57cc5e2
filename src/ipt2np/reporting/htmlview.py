"""What the HTML report shows, worked out of a report: nothing of HTML in it but the ids that links lead to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ipt2np.reporting.htmllines import FATES, Link, Listing, Places, finding_lines, listings, places
from ipt2np.reporting.htmlpicture import Picture, TooLarge, picture
from ipt2np.reporting.htmlsources import SourceNames, Sources
from ipt2np.reporting.report import Report
from ipt2np.rules.names import PROTOCOLS

SHOWN_REASONS = 3
"""A difference tells so many findings of one code in full."""

_TITLES = {
    "convert": "Conversion",
    "verify": "Verification",
    "diff": "Difference",
    "lint": "Lint",
}
_MEANINGS = {
    "equal": "nothing is treated differently",
    "narrower": "something is closed, nothing is opened",
    "wider": "something is opened, nothing is closed",
    "differs": "something is opened, something is closed",
}
_SEVERITIES = ("error", "warning", "info")


def view(report: Report) -> dict[str, Any]:
    """What the template shows: the report with its lines, sources and links worked out; no value is escaped yet."""
    data = report.data
    where = places(report)
    lists = SourceNames()
    access = list(data.get("access", ()))
    drawn = picture(access) if access else None
    differences = list(data.get("proof", {}).get("differences", ()))
    findings = list(data.get("findings", ()))
    explanations = _Explanations.of(findings)
    return {
        "title": _title(data),
        "data": data,
        "summary": _summary(data),
        "sides": _side_names(data),
        "picture": drawn if isinstance(drawn, Picture) else None,
        "rows": _row_names(drawn, lists),
        "too_large": drawn.reason if isinstance(drawn, TooLarge) else "",
        "access": [_access(box, lists) for box in access],
        "differences": [_difference(each, where, lists, explanations) for each in differences],
        "findings": [_finding(each, where) for each in findings],
        "columns": _columns(data, listings(report, where)),
        "unplaced": [each for each in data.get("ledger", ()) if where.line(each) is None],
        "assumptions": [
            {**each, "links": _links(each.get("lines", ()), where)} for each in data.get("assumptions", ())
        ],
        "platform": [
            {**each, "boxes": [_access(box, lists) for box in each.get("packets", ())]}
            for each in data.get("platform", ())
        ],
        "services": [
            {**each, "links": _links(each.get("lines", ()), where)} for each in data.get("services", ())
        ],
        "frames": [
            {**each, "links": _links(each.get("lines", ()), where)} for each in data.get("frames", ())
        ],
        "lists": lists.long,
        "script_data": _for_script(access, differences, drawn),
    }


def _title(data: Mapping[str, Any]) -> str:
    name = data.get("summary", {}).get("name") or ", ".join(_file_names(data))
    title = _TITLES.get(data["command"], str(data["command"]))
    if not name:
        return title
    return f"{title}: {name}" if "sides" in data else f"{title} of {name}"


def _file_names(data: Mapping[str, Any]) -> list[str]:
    if "sides" in data:
        return [", ".join(side.get("files", ())) for side in data["sides"]]
    return [str(each["path"]) for each in data.get("input", {}).get("files", ())]


def _side_names(data: Mapping[str, Any]) -> tuple[str, str]:
    """What ``before`` and ``after`` are called in this report."""
    if "sides" in data:
        first, second = (", ".join(side.get("files", ())) or side["kind"] for side in data["sides"])
        return first, second
    return "iptables", "the policy"


def _summary(data: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict and every sum of the head of the page."""
    verdict = data.get("proof", {}).get("verdict", "")
    by_class = data.get("proof", {}).get("by_class", {})
    given = data.get("summary", {})
    also = bool(verdict) and given.get("verdict_text", verdict) != verdict
    fates = Counter(str(each["fate"]) for each in data.get("ledger", ()))
    known = [fate for fate in FATES if fates[fate]]
    order = [*known, *sorted(set(fates) - set(known))]
    total = sum(fates.values())
    bars, start = [], 0.0
    for fate in order:
        width = 100 * fates[fate] / total
        bars.append({"fate": fate, "x": f"{start:.3f}", "width": f"{width:.3f}"})
        start += width
    severities = Counter(str(each["severity"]) for each in data.get("findings", ()))
    differences = data.get("proof", {}).get("differences", ())
    return {
        "verdict": verdict,
        "text": given.get("verdict_text") or verdict,
        "meaning": "" if "sides" in data or also else _MEANINGS.get(verdict, ""),
        "also": also,
        "about": given.get("about", ""),
        "inside": given.get("inside", ""),
        "policies": data.get("input", {}).get("policies", ()),
        "by_class": {} if len(by_class) > 2 and set(by_class.values()) == {verdict} else by_class,
        "rules": total or given.get("rules"),
        "fates": [(fate, fates[fate]) for fate in order],
        "bars": bars,
        "severities": [(name, severities[name]) for name in _SEVERITIES],
        "opens": sum(each["effect"] == "opens" for each in differences),
        "closes": sum(each["effect"] == "closes" for each in differences),
        "accepted": sum("accepted" in each for each in differences),
        "accepted_findings": sum("accepted" in each for each in data.get("findings", ())),
    }


def _access(box: Mapping[str, Any], lists: SourceNames) -> dict[str, Any]:
    return {**box, "sources": lists.of(box["source"])}


def _row_names(drawn: Picture | TooLarge | None, lists: SourceNames) -> list[list[Sources]]:
    """How the sources of each row of each block of the picture are shown."""
    if not isinstance(drawn, Picture):
        return []
    return [[lists.of_addresses(row.sources) for row in block.rows] for block in drawn.blocks]


def _links(lines: Sequence[Mapping[str, Any]], where: Places) -> list[tuple[str, Link | None]]:
    """Each line as it is told, with the link to it where the report shows it."""
    several = len({(each.get("side"), each.get("file")) for each in lines}) > 1
    return [
        (f"{where.short(each['file'])}:{each['line']}" if several else str(each["line"]), where.line(each))
        for each in lines
    ]


@dataclass(frozen=True, slots=True)
class _Explanations:
    """Findings by their code, and by code and what they are about: positions from 1."""

    findings: Sequence[Mapping[str, Any]]
    by_code: Mapping[str, Sequence[int]]
    by_place: Mapping[tuple[str, tuple[Any, ...]], Sequence[int]]

    @classmethod
    def of(cls, findings: Sequence[Mapping[str, Any]]) -> _Explanations:
        by_code: dict[str, list[int]] = {}
        by_place: dict[tuple[str, tuple[Any, ...]], list[int]] = {}
        for number, each in enumerate(findings, start=1):
            by_code.setdefault(each["code"], []).append(number)
            for place in _about(each):
                by_place.setdefault((each["code"], place), []).append(number)
        return cls(findings, by_code, by_place)

    def severity(self, codes: Sequence[str]) -> str:
        """The worst severity of findings with these codes; empty where there are none."""
        known = {
            self.findings[number - 1]["severity"] for code in codes for number in self.by_code.get(code, ())
        }
        return next((name for name in _SEVERITIES if name in known), "")

    def reasons(self, each: Mapping[str, Any]) -> list[dict[str, str]]:
        """The findings that explain a difference: of several with one code those about the same lines or policy rules."""
        found = []
        for code in each.get("findings", ()):
            near = {number for place in _about(each) for number in self.by_place.get((code, place), ())}
            chosen = sorted(near) or self.by_code.get(code, ())
            if not 0 < len(chosen) <= SHOWN_REASONS:
                found.append({"code": code, "id": "", "text": ""})
                continue
            for number in chosen:
                text = str(self.findings[number - 1]["message"])
                found.append({"code": code, "id": f"n{number}", "text": text})
        return found


def _about(each: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    lines = {(line.get("side"), line["file"], line["line"]) for line in finding_lines(each)}
    return lines | {(pointer,) for pointer in each.get("pointers", ())}


def _difference(
    each: Mapping[str, Any], where: Places, lists: SourceNames, explanations: _Explanations
) -> dict[str, Any]:
    return {
        **each,
        "severity": explanations.severity(each.get("findings", ())),
        "sources": lists.of(each["source"]),
        "packet": _witness(each["witness"]) if "witness" in each else "",
        "reasons": explanations.reasons(each),
        "links": _links(each.get("lines", ()), where),
        "rules_of_policy": [(pointer, where.pointer(pointer)) for pointer in each.get("pointers", ())],
    }


def _finding(each: Mapping[str, Any], where: Places) -> dict[str, Any]:
    return {
        **each,
        "links": _links(finding_lines(each), where),
        "rules_of_policy": [(pointer, where.pointer(pointer)) for pointer in each.get("pointers", ())],
    }


def _columns(data: Mapping[str, Any], files: Sequence[Listing]) -> list[dict[str, Any]]:
    """The one or two columns of files."""
    names = _side_names(data)
    if "sides" in data:
        said = zip(("Before", "After"), data["sides"], names, strict=True)
        titles = [f"{when}: {side['kind']} {name}" for when, side, name in said]
    else:
        titles = ["Ruleset", "Policy"]
    found = [
        {"title": titles[side], "side": side, "files": [file for file in files if file.side == side]}
        for side in (0, 1)
    ]
    return [each for each in found if each["files"]]


def service_text(box: Mapping[str, Any]) -> str:
    """What a box's packets ask for, in words."""
    words = ["any protocol" if box["protocol"] == "any" else str(box["protocol"])]
    if box["protocol"] != "any" and words[0][:1].isdigit():
        words.insert(0, "protocol")
    if box.get("ports", "any") != "any":
        words.append(str(box["ports"]).replace(",", ", "))
    if box.get("source_ports", "any") != "any":
        words.append(f"from port {str(box['source_ports']).replace(',', ', ')}")
    if box.get("icmp"):
        words.append(", ".join(map(str, box["icmp"])))
    if box.get("interface"):
        words.append(f"on {box['interface']}")
    return " ".join(words)


def _witness(packet: Mapping[str, Any]) -> str:
    """One packet in words."""
    words = [str(packet["protocol"])]
    if "port" in packet:
        words.append(f"to port {packet['port']}")
    if "icmp_type" in packet:
        words.append(f"type {packet['icmp_type']} code {packet.get('icmp_code', 0)}")
    words.append(f"from {packet['source']}")
    if "source_port" in packet:
        words.append(f"port {packet['source_port']}")
    if "interface" in packet:
        words.append(f"on {packet['interface']}")
    return " ".join(words)


def _for_script(
    access: Sequence[Mapping[str, Any]],
    differences: Sequence[Mapping[str, Any]],
    drawn: Picture | TooLarge | None,
) -> dict[str, Any]:
    """What the filters ask: sources once each, boxes and differences that point to them, rows of the picture."""
    sources: dict[tuple[str, ...], int] = {}

    def box(each: Mapping[str, Any]) -> dict[str, Any]:
        number = sources.setdefault(tuple(each["source"]), len(sources))
        found = {
            key: str(each[key])
            for key in ("protocol", "ports", "source_ports", "interface", "source_class", "before", "after")
            if key in each
        }
        return {"source": number, "service": service_text(each), **found}

    rows = {}
    if isinstance(drawn, Picture):
        for number, block in enumerate(drawn.blocks):
            for place, row in enumerate(block.rows):
                for boxes in row.boxes:
                    rows[",".join(map(str, boxes))] = f"r{number}-{place}"
    return {
        "access": [box(each) for each in access],
        "differences": [box(each) for each in differences],
        "blocks": [list(block.boxes) for block in drawn.blocks] if isinstance(drawn, Picture) else [],
        "rows": rows,
        "columns": [column.services for column in drawn.columns] if isinstance(drawn, Picture) else [],
        "protocols": PROTOCOLS,
        "sources": [list(each) for each in sources],
    }
