"""The report as Markdown that fits a comment on GitHub: the verdict first, everything else folded behind its sums.

A comment takes 65,536 characters. Sections are filled by what matters to a reviewer; what does not fit is counted, and
the text says where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ipt2np.findings.catalogue import CATALOGUE
from ipt2np.reporting.markup import code, html, link, prose
from ipt2np.reporting.phrases import (
    FATES,
    SEVERITIES,
    Entry,
    counted,
    differences_of,
    findings_of,
    headline,
    place_text,
    service_text,
    sign_off_text,
    some,
    sources_text,
    subject,
    tally,
    witness_text,
)
from ipt2np.reporting.report import Report

LIMIT = 65_000
"""Bytes; no count of characters is above it. The rest of GitHub's 65,536 is for a line that a bot may set before it."""

SHOWN_OPEN = 8
"""So many differences or errors stand unfolded."""
SHOWN_LINES = 6
SHOWN_OBJECTS = 6
SHOWN_FILES = 8
SHOWN_PLACES = 3
SHOWN_RANGES = 300
"""Characters of the lines that are named where rules are left out."""
_NAMED = 2400
"""Bytes that are kept free to name the lines of rules that do not fit."""
_ELSEWHERE = "the JSON report lists them all"


@dataclass(frozen=True, slots=True)
class _Item:
    """One point of a section; of the least rank are those that stay where not all fit."""

    text: str
    kind: str = ""
    rank: int = 0
    place: tuple[str, int] | None = None

    @property
    def size(self) -> int:
        return len(self.text.encode()) + 1


@dataclass(frozen=True)
class _Section:
    """A folded part: its items in order, under a head such as a table's."""

    title: str
    noun: str
    items: Sequence[_Item]
    share: float
    """How much of what is free it may take before the others have had their share."""
    head: str = ""
    kinds: tuple[str, ...] = ()
    unfolded: bool = False

    @property
    def reserve(self) -> int:
        """Bytes that are kept free for what is said of the items that do not fit."""
        return 200 + 40 * len(self.kinds) + (_NAMED if any(item.place for item in self.items) else 0)

    def by_rank(self) -> list[int]:
        """Indices of the items, those first that matter most."""
        return sorted(range(len(self.items)), key=lambda index: (self.items[index].rank, index))

    def text(self, shown: frozenset[int]) -> str:
        """The section with these of its items."""
        fold = "<details open>" if self.unfolded else "<details>"
        parts = [f"{fold}<summary>{html(self.title)}</summary>\n"]
        items = [item.text for index, item in enumerate(self.items) if index in shown]
        if items:
            parts.append("\n".join([self.head, *items] if self.head else items) + "\n")
        if len(items) < len(self.items):
            parts.append(self._rest(shown) + "\n")
        return "\n".join([*parts, "</details>\n"])

    def _rest(self, shown: frozenset[int]) -> str:
        left = [(index, item) for index, item in enumerate(self.items) if index not in shown]
        further = "further " if shown else ""
        text = f"… {counted(len(left), further + self.noun)}"
        if self.kinds:
            sums = tally([item.kind for _, item in left], self.kinds)
            text += ": " + prose(sums)
        lines = [
            f"{kind} {_ranges([(index, item) for index, item in left if item.kind == kind])}"
            for kind in self.kinds
            if any(item.kind == kind and item.place for _, item in left)
        ]
        text += f"; {_ELSEWHERE}."
        by_line = " By line: " + "; ".join(prose(each) for each in lines) + "." if lines else ""
        return text + by_line if len(f"{text}{by_line}".encode()) < self.reserve else text


def markdown(report: Report) -> str:
    """The report as GitHub's Markdown, at most ``LIMIT`` bytes of UTF-8, the same for the same report."""
    return _fitted(_opening(report.data), list(_sections(report)), _closing(report.data))


# -- what fits -----------------------------------------------------------------------------------------------


def _fitted(opening: str, sections: Sequence[_Section], closing: str) -> str:
    shown = [frozenset(range(len(section.items))) for section in sections]
    text = _joined(opening, sections, shown, closing)
    if len(text.encode()) <= LIMIT:
        return text
    bare = _joined(opening, [], [], closing)
    frames = sum(len(f"{s.text(frozenset())}{s.head}\n\n".encode()) + s.reserve for s in sections)
    free = LIMIT - len(bare.encode()) - frames
    taken = [0] * len(sections)
    used = 0
    orders = [section.by_rank() for section in sections]
    for budget in ([free * section.share for section in sections], [float(free)] * len(sections)):
        for number, section in enumerate(sections):
            spent = sum(section.items[index].size for index in orders[number][: taken[number]])
            for index in orders[number][taken[number] :]:
                size = section.items[index].size
                if spent + size > budget[number] or used + size > free:
                    break
                spent += size
                used += size
                taken[number] += 1
    shown = [frozenset(order[:count]) for order, count in zip(orders, taken, strict=True)]
    return _joined(opening, sections, shown, closing)


def _joined(opening: str, sections: Sequence[_Section], shown: Sequence[frozenset[int]], closing: str) -> str:
    parts = [section.text(indices) for section, indices in zip(sections, shown, strict=True)]
    return "\n".join([opening, *parts, closing])


def _ranges(items: Sequence[tuple[int, _Item]]) -> str:
    """Places of items by index, neighbours together: ``rules.v4:5-900, 907``; cut where they are many."""
    runs: list[list[tuple[str, int]]] = []
    last = (-2, "")
    for index, item in items:
        if item.place is None:
            continue
        file, _ = item.place
        if (index - 1, file) == last:
            runs[-1].append(item.place)
        else:
            runs.append([item.place])
        last = (index, file)
    words: list[str] = []
    named = ""
    for run in runs:
        (file, first), (_, end) = run[0], run[-1]
        lines = f"{first}-{end}" if end != first else f"{first}"
        words.append(lines if file == named else f"{file}:{lines}")
        named = file
        if sum(map(len, words)) > SHOWN_RANGES:
            return ", ".join([*words[:-1], "…"])
    return ", ".join(words)


# -- verdict -------------------------------------------------------------------------------------------------


def _opening(data: Entry) -> str:
    """The verdict, the sums, and what it is about."""
    lines = [f"### ipt2np {prose(str(data.get('command', '')), 20)}: {code(subject(data), 100)}", ""]
    lines += [
        f"Verdict: **{prose(headline(data))}**"
        if "proof" in data
        else f"Result: **{prose(headline(data))}**",
        "",
    ]
    inside = data.get("summary", {}).get("inside")
    if inside:
        lines += [f"Inside the cluster: {prose(str(inside))}.", ""]
    if "ledger" in data:
        lines += [*_sums(data), ""]
    counts = []
    differences = differences_of(data)
    if "proof" in data:
        effects = tally([each["effect"] for each in differences], ("opens", "closes"))
        counts.append(counted(len(differences), "difference") + (f" ({effects})" if differences else ""))
    findings = data.get("findings", [])
    sums = tally([each["severity"] for each in findings], SEVERITIES)
    counts.append(counted(len(findings), "finding") + (f" ({sums})" if findings else ""))
    signed = sum("accepted" in each for each in [*differences, *findings])
    if signed:
        counts.append(f"{signed:,} of them signed off")
    lines += [prose("; ".join(counts)) + ".", ""]
    about = _about(data)
    if about:
        lines += [about, ""]
    return "\n".join(lines)


def _sums(data: Entry) -> Iterator[str]:
    fates = [each["fate"] for each in data["ledger"]]
    names = [*FATES, *sorted(set(fates) - set(FATES))]
    yield "| rules | " + " | ".join(prose(name, 40) for name in names) + " |"
    yield "|--:|" + "--:|" * len(names)
    yield f"| {len(fates):,} | " + " | ".join(f"{fates.count(name):,}" for name in names) + " |"


def _about(data: Entry) -> str:
    if "target" in data:
        target = data["target"]
        objects = [
            "/".join(filter(None, [each.get("kind"), each.get("namespace"), each.get("name")]))
            for each in target.get("objects", [])
        ]
        names = some([code(each, 120) for each in objects], SHOWN_OBJECTS)
        return f"For {prose(str(target.get('cni', '')), 60)}: {names or 'no objects'}."
    sides = [
        f"{name}: the {prose(str(side.get('kind', '')), 40)} "
        + some([code(str(file), 120) for file in side.get("files", [])], SHOWN_FILES)
        for name, side in zip(("Before", "after"), data.get("sides", []), strict=False)
    ]
    return "; ".join(sides) + ("." if sides else "")


def _closing(data: Entry) -> str:
    tool = data.get("tool", {})
    made = f"Made by {prose(str(tool.get('name', '')), 40)} {prose(str(tool.get('version', '')), 40)}"
    files = [
        f"{code(str(each['path']), 120)} ("
        + ", ".join(
            [counted(each["rules"], "rule")] * ("rules" in each)
            + [f"sha256 {code(str(each['sha256']), 64)}"] * ("sha256" in each)
        )
        + ")"
        for each in data.get("input", {}).get("files", [])
    ]
    files += [code(str(name), 120) for name in data.get("input", {}).get("policies", [])]
    return f"{made} from {some(files, SHOWN_FILES) or 'no file'}. Texts that end in … are cut.\n"


# -- sections ------------------------------------------------------------------------------------------------


def _sections(report: Report) -> Iterator[_Section]:
    data = report.data
    rule_at = _rules_of(report)
    yield from _differences(data, rule_at)
    yield from _findings(data)
    yield from _access(data)
    yield from _listed(data, "assumptions", "Assumptions", "assumption", _assumption)
    yield from _listed(data, "platform", "What the platform does besides", "effect", _platform)
    yield from _listed(data, "services", "Published services", "service", _service)
    yield from _listed(data, "frames", "Programs that wrote rules", "program", _frame)
    yield from _ledger(data, rule_at)


RuleAt = Callable[[Entry], str]


def _rules_of(report: Report) -> RuleAt:
    """The text of a place's line, empty where the report has none."""
    files = {each.name: each.lines for each in report.files}

    def rule_at(place: Entry) -> str:
        lines = files.get(place.get("file", ""), ())
        line = place.get("line", 0)
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""

    return rule_at


def _differences(data: Entry, rule_at: RuleAt) -> Iterator[_Section]:
    differences = differences_of(data)
    if not differences:
        return
    effects = tally([each["effect"] for each in differences], ("opens", "closes"))
    yield _Section(
        f"{counted(len(differences), 'difference')}: {effects}",
        "difference",
        [_Item(_difference(each, data, rule_at), each["effect"]) for each in differences],
        share=0.35,
        kinds=("opens", "closes"),
        unfolded=len(differences) <= SHOWN_OPEN,
    )


def _difference(each: Entry, data: Entry, rule_at: RuleAt) -> str:
    points = [
        f"- **{prose(str(each['effect']), 20)}**{'' if each.get('certain', True) else ' (maybe)'}: {_box(each)}"
    ]
    if "witness" in each:
        points.append(f"witness: {code(witness_text(each['witness']))}")
    if each.get("findings"):
        points.append("because of " + some([_code_title(name) for name in each["findings"]], SHOWN_LINES))
    points += _rule_points(each, rule_at)
    if each.get("pointers"):
        points.append("policy: " + _pointers(each["pointers"], data.get("places", {})))
    points += _signature(each)
    return "\n  - ".join(points)


def _rule_points(each: Entry, rule_at: RuleAt) -> Iterator[str]:
    lines: Sequence[Entry] = each.get("lines", [])
    for place in lines[:SHOWN_LINES]:
        text = rule_at(place)
        side = f"{_SIDES[place['side']]}, " if "side" in place else ""
        yield f"{side}rule {code(place_text(place), 120)}" + (f" {code(text)}" if text else "")
    more = max(len(lines) - SHOWN_LINES, 0) + each.get("more_lines", 0)
    if more:
        yield f"and {counted(more, 'more rule')}"


_SIDES = ("before", "after")


def _box(box: Entry) -> str:
    return f"{code(service_text(box), 300)} from {code(sources_text(box), 300)}"


def _code_title(name: str) -> str:
    return f"{prose(name, 20)} ({prose(CATALOGUE[name].title)})" if name in CATALOGUE else prose(name, 20)


def _pointers(pointers: Sequence[str], places: Mapping[str, Entry]) -> str:
    told = []
    for pointer in pointers:
        place = places.get(pointer)
        if place is None:
            told.append(code(pointer, 120))
            continue
        end = place.get("end", place["line"])
        span = place_text(place) + (f"-{end}" if end != place["line"] else "")
        told.append(code(span, 120))
    return some(told, SHOWN_PLACES)


def _signature(each: Entry) -> Iterator[str]:
    if "accepted" in each:
        yield prose(sign_off_text(each["accepted"]))
    if each.get("digest"):
        yield f"digest {code(str(each['digest']), 80)}"


_TITLES = {"error": "error", "warning": "warning", "info": "note"}


def _findings(data: Entry) -> Iterator[_Section]:
    found = findings_of(data)
    for severity, share in zip(SEVERITIES, (0.2, 0.15, 0.05), strict=True):
        findings = [each for each in found if each["severity"] == severity]
        if findings:
            yield _Section(
                counted(len(findings), _TITLES[severity]),
                _TITLES[severity],
                [_Item(_finding(each, data), each["code"]) for each in findings],
                share,
                kinds=tuple(dict.fromkeys(each["code"] for each in findings)),
                unfolded=severity == "error" and len(findings) <= SHOWN_OPEN,
            )


def _finding(each: Entry, data: Entry) -> str:
    place = f" {code(place_text(each), 120)}" if each.get("file") else ""
    points = [f"- **{prose(each['code'], 20)}**{place} {prose(each['message'])}"]
    if each.get("rule"):
        points.append(code(each["rule"]))
    if each.get("pointers"):
        points.append("policy: " + _pointers(each["pointers"], data.get("places", {})))
    if each.get("remedy"):
        points.append(f"→ {prose(each['remedy'])}")
    # A note never fails anything: there is nothing to sign off.
    points += _signature(each if each["severity"] != "info" else {**each, "digest": None})
    return "\n  - ".join(points)


def _access(data: Entry) -> Iterator[_Section]:
    if "access" not in data:
        return
    rows = data["access"]
    changed = [each["before"] != each["after"] for each in rows]
    yield _Section(
        f"Who may reach what: {counted(len(rows), 'row')}, {sum(changed):,} changed",
        "row",
        [
            _Item(
                f"| {code(sources_text(each), 300)} | {code(service_text(each), 300)} "
                f"| {_answer(each['before'], change)} | {_answer(each['after'], change)} |",
                "changed" if change else "unchanged",
                rank=not change,
            )
            for each, change in zip(rows, changed, strict=True)
        ],
        share=0.1,
        head="| from | to | before | after |\n|---|---|---|---|",
        kinds=("changed", "unchanged"),
    )


def _answer(word: str, changed: bool) -> str:
    return f"**{prose(word, 40)}**" if changed else prose(word, 40)


def _listed(data: Entry, key: str, title: str, noun: str, line: Callable[[Entry], str]) -> Iterator[_Section]:
    entries = data.get(key, [])
    if entries:
        items = [_Item(f"- {line(each)}") for each in entries]
        yield _Section(f"{title}: {len(entries):,}", noun, items, share=0.03)


def _assumption(each: Entry) -> str:
    relied = _relying(each.get("lines", []))
    return f"{code(each['id'] + '=' + each['value'], 120)}: {prose(each['statement'])}{relied}"


def _relying(lines: Sequence[Entry]) -> str:
    if not lines:
        return ""
    places = some([code(place_text(each), 120) for each in lines], SHOWN_LINES)
    return f" ({counted(len(lines), 'rule')}: {places})"


def _platform(each: Entry) -> str:
    who = {"any": "any source", "external": "external sources"}.get(
        each["source_class"], f"{each['source_class']}s"
    )
    text = f"{prose(each['effect'], 40)} {prose(service_text(each))} for {prose(who, 40)}: {prose(each['statement'])}"
    if "witness" in each:
        text += f"; witness {code(witness_text(each['witness']))}"
    return text + (f" ({link(each['reference'], 'source')})" if each.get("reference") else "")


def _service(each: Entry) -> str:
    service = f"{each['protocol']} port {each['port']} to port {each['target_port']}"
    return code(service, 200) + _relying(each.get("lines", []))


def _frame(each: Entry) -> str:
    text = f"{code(each['name'], 80)}: {prose(each['statement'])} ({counted(each['rules'], 'rule')})"
    return text + (f" ({link(each['reference'], 'source')})" if each.get("reference") else "")


def _ledger(data: Entry, rule_at: RuleAt) -> Iterator[_Section]:
    entries: Sequence[Entry] = data.get("ledger", [])
    if not entries:
        return
    several = len({each["file"] for each in entries}) > 1
    rank = {fate: number for number, fate in enumerate(FATES)}
    places = data.get("places", {})
    items = []
    for each in entries:
        line = code(place_text(each), 120) if several else str(each["line"])
        text = rule_at(each)
        items.append(
            _Item(
                f"| {line} | {prose(each['fate'], 40)} | {code(text) if text else ''} "
                f"| {_pointers(each.get('emitted', []), places)} |",
                each["fate"],
                rank.get(each["fate"], len(FATES)),
                (each["file"], each["line"]),
            )
        )
    yield _Section(
        f"The fate of every rule: {tally([each['fate'] for each in entries], FATES)}",
        "rule",
        items,
        share=0.2,
        head="| line | fate | rule | policy |\n|---|---|---|---|",
        kinds=(*FATES, *sorted({each["fate"] for each in entries} - set(FATES))),
    )
