"""What each CNI keeps of a ruleset, and its limits: for a terminal, as Markdown, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ipt2np.cni.base import Capability, Cni, Grade
from ipt2np.cni.features import Feature

SCHEMA = 1
GRADES: Mapping[Grade, str] = {
    Grade.EXACT: "as iptables does it",
    Grade.PARTLY: "in some cases, or in another way",
    Grade.NOT: "lost, and a finding says so",
}
"""What the grades mean."""

HOST_SCOPE = " --scope host"
_COLOURS = {Grade.EXACT: "green", Grade.PARTLY: "yellow", Grade.NOT: "red"}
_GAP = 2


# -- terminal ------------------------------------------------------------------------------------------------


def show_matrix(console: Console, cnis: Sequence[Cni], refused: Mapping[str, str]) -> None:
    """Features by CNIs, in as many blocks as the console's width asks for."""
    for block in _blocks(cnis, console.width):
        console.print(_matrix(block))
        console.print()
    for grade, meaning in GRADES.items():
        console.print(Text.assemble((f"{grade.value:6}", _COLOURS[grade]), f"  {meaning}"))
    console.print(Text("\n`ipt2np cnis NAME` tells how, with limits and what to know before choosing it."))
    for reason, names in _by_reason(refused):
        console.print(Text(f"No targets: {', '.join(names)}: {reason}."))


def show_cni(console: Console, cni: Cni, host: Cni | None = None) -> None:
    """One CNI in full; of ``host``, the target that filters hosts themselves, what differs."""
    _show(console, cni.name, cni, "What it keeps", cni.capabilities())
    if host is not None:
        console.print()
        _show(console, f"{cni.name}{HOST_SCOPE}", host, "What differs", differing(cni, host))


def differing(pods: Cni, host: Cni) -> dict[Feature, Capability]:
    """What a target that filters hosts makes of features, where it is not what is made of them for pods."""
    kept = pods.capabilities()
    return {
        feature: capability
        for feature, capability in host.capabilities().items()
        if capability != kept[feature]
    }


def _show(
    console: Console, name: str, cni: Cni, heading: str, capabilities: Mapping[Feature, Capability]
) -> None:
    profile = cni.profile
    console.print(Text.assemble((name, "bold"), f": {profile.title}\n"))
    about = Table.grid(padding=(0, _GAP))
    for title, text in (
        ("Objects", ", ".join(profile.kinds)),
        ("Sources", f"compared: {profile.sources}"),
        ("Clients", f"where the client's address does not arrive: {cni.client_address}"),
    ):
        about.add_row(title, Text(text))
    console.print(about)

    kept = Table.grid(padding=(0, _GAP))
    for feature, capability in capabilities.items():
        grade = Text(capability.grade.value, _COLOURS[capability.grade])
        kept.add_row(Text(feature.title, no_wrap=True), grade, Text(capability.note))
    _section(console, heading)
    console.print(_indented(kept))

    if profile.limits:
        _section(console, "Limits")
        for limit in profile.limits:
            _item(console, f"{limit.value:,}", limit.what, limit.reference)
    if cni.platform:
        _section(console, "Whatever policies say")
        for effect in cni.platform:
            _item(console, effect.effect, effect.statement, effect.reference)
    if cni.remarks():
        _section(console, "To know")
        for remark in cni.remarks():
            _item(console, "-", remark)


def _section(console: Console, title: str) -> None:
    console.print(Text(f"\n{title}", "bold"))


def _indented(content: Table) -> Padding:
    return Padding(content, (0, 0, 0, _GAP))


def _item(console: Console, label: str, text: str, reference: str = "") -> None:
    """A statement beside its label; below it the document that says so, on one line whatever the width."""
    width = 1 if len(label) == 1 else 6
    row = Table.grid(padding=(0, _GAP))
    row.add_column(justify="right", min_width=width)
    row.add_row(label, Text(text))
    console.print(_indented(row))
    if reference:
        console.print(Text(" " * (width + 2 * _GAP) + reference, "dim"), soft_wrap=True)


def _blocks(cnis: Sequence[Cni], width: int) -> list[Sequence[Cni]]:
    """The CNIs in runs of about equal length, each of which fits beside the features."""
    room = width - max(len(feature.title) for feature in Feature)
    for count in range(1, len(cnis) + 1):
        most = -(-len(cnis) // count)
        runs = [cnis[n : n + most] for n in range(0, len(cnis), most)]
        if all(sum(_width(cni) + _GAP for cni in run) <= room for run in runs):
            return runs
    return [[cni] for cni in cnis]


def _heading(cni: Cni) -> list[str]:
    """A name as lines that end at its hyphens."""
    parts = cni.name.split("-")
    return [*(f"{part}-" for part in parts[:-1]), parts[-1]]


def _width(cni: Cni) -> int:
    return max(len(text) for text in (*_heading(cni), *(grade.value for grade in Grade)))


def _matrix(cnis: Sequence[Cni]) -> Table:
    table = Table(box=None, padding=(0, 0, 0, _GAP), pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    kept = [cni.capabilities() for cni in cnis]
    for cni in cnis:
        table.add_column(
            Text("\n".join(_heading(cni))), vertical="bottom", no_wrap=True, min_width=_width(cni)
        )
    for feature in Feature:
        grades = [each[feature].grade for each in kept]
        table.add_row(Text(feature.title), *(Text(grade.value, _COLOURS[grade]) for grade in grades))
    return table


def _by_reason(refused: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    for reason in dict.fromkeys(refused.values()):
        yield reason, [name for name, why in refused.items() if why == reason]


# -- Markdown ------------------------------------------------------------------------------------------------


def markdown_matrix(cnis: Sequence[Cni], refused: Mapping[str, str], linked: bool = False) -> str:
    """Features by CNIs as a table, with what the words mean; ``linked`` where ``markdown_cni`` of each follows."""
    names = [f"[{cni.name}](#{cni.name})" if linked else cni.name for cni in cnis]
    kept = [cni.capabilities() for cni in cnis]
    lines = [_row(["feature", "in iptables", *names]), _row(["---"] * (len(cnis) + 2))]
    lines += [
        _row([feature.title, f"`{feature.written}`", *(each[feature].grade.value for each in kept)])
        for feature in Feature
    ]
    lines += ["", "; ".join(f"*{grade.value}*: {meaning}" for grade, meaning in GRADES.items()) + "."]
    for reason, refusals in _by_reason(refused):
        lines += ["", f"No targets: {', '.join(f'`{name}`' for name in refusals)}: {reason}."]
    return "\n".join(lines) + "\n"


def markdown_cni(cni: Cni, host: Cni | None = None) -> str:
    """One CNI in full, as a section; below it what differs where it filters hosts themselves (``host``)."""
    text = _markdown(f"## {cni.name}", cni, cni.capabilities())
    if host is not None:
        text += "\n" + _markdown(f"### {cni.name}{HOST_SCOPE}", host, differing(cni, host))
    return text


def _markdown(heading: str, cni: Cni, capabilities: Mapping[Feature, Capability]) -> str:
    profile = cni.profile
    lines = [
        heading,
        "",
        f"{profile.title[0].upper()}{profile.title[1:]}.",
        "",
        f"- Objects: {', '.join(f'`{kind}`' for kind in profile.kinds)}",
        f"- Sources compared: {profile.sources}",
        f"- Where the client's address does not arrive: {cni.client_address}",
        *(f"- {remark[0].upper()}{remark[1:]}" for remark in cni.remarks()),
        "",
        _row(["feature", "kept", "how"]),
        _row(["---"] * 3),
    ]
    for feature, capability in capabilities.items():
        lines.append(_row([feature.title, capability.grade.value, capability.note]))
    if profile.limits:
        lines += ["", _row(["limit", "value", "source"]), _row(["---"] * 3)]
        lines += [_row([limit.what, f"{limit.value:,}", limit.reference]) for limit in profile.limits]
    if cni.platform:
        lines += ["", _row(["whatever policies say", "for", "protocol", "source"]), _row(["---"] * 4)]
        lines += [
            _row([f"{each.effect}: {each.statement}", each.source_class, each.protocol, each.reference])
            for each in cni.platform
        ]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


# -- JSON ----------------------------------------------------------------------------------------------------


def document(
    cnis: Sequence[Cni], hosts: Mapping[str, Cni], refused: Mapping[str, str], version: str
) -> dict[str, Any]:
    """The matrix and all that is told of the CNIs, as plain data; ``host`` where they filter hosts themselves."""
    return {
        "schema": SCHEMA,
        "command": "cnis",
        "tool": {"name": "ipt2np", "version": version},
        "features": [
            {"id": feature.id, "title": feature.title, "iptables": feature.written} for feature in Feature
        ],
        "cnis": [
            {**_plain(cni), **({"host": _plain(hosts[cni.name])} if cni.name in hosts else {})}
            for cni in cnis
        ],
        "refused": [{"name": name, "reason": reason} for name, reason in refused.items()],
    }


def json_text(cnis: Sequence[Cni], hosts: Mapping[str, Cni], refused: Mapping[str, str], version: str) -> str:
    """The document as JSON text."""
    return json.dumps(document(cnis, hosts, refused, version), indent=1, ensure_ascii=True) + "\n"


def _plain(cni: Cni) -> dict[str, Any]:
    profile = cni.profile
    return {
        "name": cni.name,
        "title": profile.title,
        "kinds": list(profile.kinds),
        "sources": profile.sources,
        "client_address": cni.client_address,
        "capabilities": {
            feature.id: {"grade": capability.grade.value, "note": capability.note}
            for feature, capability in cni.capabilities().items()
        },
        "limits": [
            {"what": limit.what, "value": limit.value, "reference": limit.reference}
            for limit in profile.limits
        ],
        "platform": [
            {
                "effect": each.effect,
                "source_class": each.source_class,
                "protocol": each.protocol,
                "statement": each.statement,
                "reference": each.reference,
            }
            for each in cni.platform
        ],
        "remarks": list(cni.remarks()),
    }
