"""The HTML report: one file that needs nothing else, for people who review.

What comes from the input is text in it, never markup: every value that the template prints is escaped, characters that
do not show (controls, changes of direction) are spelled out, and a Content-Security-Policy admits only the style and the
script that are part of the template, by their digests.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ipt2np.packets import AddressSet
from ipt2np.packets.intervals import ADDRESS_BITS, address_text
from ipt2np.reporting.htmllines import FATES, Link, Listing, Places, finding_lines, listings, places
from ipt2np.reporting.htmlpicture import (
    SHOWN_COLUMNS,
    SHOWN_ROWS,
    Picture,
    TooLarge,
    picture,
)
from ipt2np.reporting.report import Report
from ipt2np.resources import read_template
from ipt2np.rules.names import PROTOCOLS

SHOWN_SOURCES = 6
"""Lists of sources up to so long stand where they are meant; longer ones once, at the end."""
SHOWN_OF_LONG = 3
PER_CHUNK = 100
"""Lines that a browser may leave unpainted together while they are out of sight."""

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
_CUTS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


@dataclass(frozen=True, slots=True)
class Sources:
    """A set of sources as it is shown: in full, or its beginning and the id of the whole list."""

    text: str
    more: int = 0
    list_id: str = ""


@dataclass(frozen=True, slots=True)
class LongList:
    """A list of sources that stands at the end of the report."""

    id: str
    title: str
    text: str


class _Lists:
    """Names sets of sources; gathers the long ones, each once."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, ...], Sources] = {}
        self.long: list[LongList] = []

    def of(self, cidrs: Sequence[str]) -> Sources:
        key = tuple(cidrs)
        if key not in self.shown:
            self.shown[key] = self._named(key)
        return self.shown[key]

    def _named(self, cidrs: tuple[str, ...]) -> Sources:
        if not cidrs:
            return Sources("nobody")
        around, missing = _around(AddressSet.cidrs(*cidrs))
        if not missing:
            return Sources(around)
        fewer = len(missing) < len(cidrs)
        listed = missing if fewer else cidrs
        head = f"{around} but " if fewer else ""
        if len(listed) <= SHOWN_SOURCES:
            return Sources(head + ", ".join(listed))
        name = f"s{len(self.long) + 1}"
        blocks = _count(len(listed), "block")
        title = f"{head}{blocks}" if fewer else f"{blocks} in {around}"
        self.long.append(LongList(name, title, ", ".join(listed)))
        return Sources(head + ", ".join(listed[:SHOWN_OF_LONG]), len(listed) - SHOWN_OF_LONG, name)


def _around(addresses: AddressSet) -> tuple[str, list[str]]:
    """The smallest network that holds all the addresses, and what of it is none of them."""
    family, bits = addresses.family, ADDRESS_BITS[addresses.family]
    first, last = addresses.ranges[0][0], addresses.ranges[-1][1]
    length = bits - (first ^ last).bit_length()
    network = first >> (bits - length) << (bits - length)
    name = f"{address_text(network, family)}/{length}" if length else f"any IPv{family}"
    whole = AddressSet(family, ((network, network + (1 << (bits - length)) - 1),))
    return name, (whole - addresses).to_cidrs()


def html(report: Report) -> str:
    """The report as one HTML file: deterministic, pure, all that is not the template's own escaped."""
    data = report.data
    where = places(report)
    lists = _Lists()
    access = list(data.get("access", ()))
    drawn = picture(access) if access else None
    differences = list(data.get("proof", {}).get("differences", ()))
    severities = {each["code"]: str(each["severity"]) for each in data.get("findings", ())}
    style, script = read_template("report.css"), read_template("report.js")
    view = {
        "title": _title(data),
        "data": data,
        "summary": _summary(data),
        "sides": _side_names(data),
        "picture": drawn if isinstance(drawn, Picture) else None,
        "rows": _row_names(drawn, lists),
        "too_large": drawn.reason if isinstance(drawn, TooLarge) else "",
        "limits": {"rows": SHOWN_ROWS, "columns": SHOWN_COLUMNS},
        "access": [_access(box, lists) for box in access],
        "differences": [_difference(each, where, lists, severities) for each in differences],
        "findings": [_finding(each, where) for each in data.get("findings", ())],
        **_explanations(data),
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
        "style": Markup(style),
        "script": Markup(script),
        "style_digest": _digest(style),
        "script_digest": _digest(script),
        "json": _json_text(_for_script(access, differences, drawn)),
    }
    return _environment().get_template("report.html.j2").render(view)


def shown(text: str) -> str:
    """``text`` with the characters that do not show spelled out; tabs stay, they are layout."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _finalize(value: Any) -> Any:
    """What the template prints of a value; escaping comes after it."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value)
    return value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(read_template),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["longer_than"] = lambda text, length: len(text) > length
    environment.filters["service"] = _service
    environment.filters["count_of"] = lambda items, *words: _count(len(items), *words)
    environment.filters["count"] = _count
    environment.filters["web"] = _web
    environment.filters["chunks"] = _chunks
    return environment


def _digest(text: str) -> str:
    """The text's digest as a source of a Content-Security-Policy names it (CSP3, 2.3.1)."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _json_text(value: Any) -> Markup:
    """JSON that ends no element and no line of a script, whatever is in it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return Markup(re.sub("[<>&]", lambda found: _CUTS[found[0]], text))


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _web(text: Any) -> bool:
    """True for the address of a page; nothing else becomes a link out of the report."""
    return isinstance(text, str) and re.fullmatch(r"https?://[!-~]+", text) is not None


def _chunks(lines: Sequence[Any]) -> list[Sequence[Any]]:
    return [lines[start : start + PER_CHUNK] for start in range(0, len(lines), PER_CHUNK)]


def _service(box: Mapping[str, Any]) -> str:
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


def _title(data: Mapping[str, Any]) -> str:
    name = data.get("summary", {}).get("name") or ", ".join(_file_names(data))
    return f"{_TITLES.get(data['command'], data['command'])} of {name}" if name else _TITLES[data["command"]]


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
    given = data.get("summary", {})
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
        "meaning": _MEANINGS.get(verdict, ""),
        "about": given.get("about", ""),
        "inside": given.get("inside", ""),
        "by_class": data.get("proof", {}).get("by_class", {}),
        "rules": total or given.get("rules"),
        "fates": [(fate, fates[fate]) for fate in order],
        "bars": bars,
        "severities": [(name, severities[name]) for name in _SEVERITIES],
        "opens": sum(each["effect"] == "opens" for each in differences),
        "closes": sum(each["effect"] == "closes" for each in differences),
        "accepted": sum("accepted" in each for each in differences),
        "accepted_findings": sum("accepted" in each for each in data.get("findings", ())),
    }


def _access(box: Mapping[str, Any], lists: _Lists) -> dict[str, Any]:
    return {**box, "sources": lists.of(box["source"])}


def _row_names(drawn: Picture | TooLarge | None, lists: _Lists) -> list[list[Sources]]:
    """How the sources of each row of each block of the picture are shown."""
    if not isinstance(drawn, Picture):
        return []
    return [[lists.of(row.sources.to_cidrs()) for row in block.rows] for block in drawn.blocks]


def _links(lines: Sequence[Mapping[str, Any]], where: Places) -> list[tuple[str, Link | None]]:
    """Each line as it is told, with the link to it where the report shows it."""
    several = len({(each.get("side"), each.get("file")) for each in lines}) > 1
    return [
        (f"{where.short(each['file'])}:{each['line']}" if several else str(each["line"]), where.line(each))
        for each in lines
    ]


def _difference(
    each: Mapping[str, Any], where: Places, lists: _Lists, severities: Mapping[str, str]
) -> dict[str, Any]:
    known = {severities[code] for code in each.get("findings", ()) if code in severities}
    return {
        **each,
        "severity": next((name for name in _SEVERITIES if name in known), ""),
        "sources": lists.of(each["source"]),
        "packet": _witness(each["witness"]) if "witness" in each else "",
        "links": _links(each.get("lines", ()), where),
        "rules_of_policy": [(pointer, where.pointer(pointer)) for pointer in each.get("pointers", ())],
    }


def _finding(each: Mapping[str, Any], where: Places) -> dict[str, Any]:
    return {
        **each,
        "links": _links(finding_lines(each), where),
        "rules_of_policy": [(pointer, where.pointer(pointer)) for pointer in each.get("pointers", ())],
    }


def _explanations(data: Mapping[str, Any]) -> dict[str, Any]:
    """For each code its finding, the first where there are several: its id and what it says."""
    ids: dict[str, str] = {}
    texts: dict[str, str] = {}
    for number, each in enumerate(data.get("findings", ()), start=1):
        ids.setdefault(each["code"], f"n{number}")
        texts.setdefault(each["code"], each["message"])
    return {"finding_ids": ids, "finding_text": texts}


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
            key: shown(str(each[key]))
            for key in ("protocol", "ports", "source_ports", "interface", "source_class", "before", "after")
            if key in each
        }
        return {"source": number, "service": shown(_service(each)), **found}

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
