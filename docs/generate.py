"""Writes the pages that follow from the code: ``python docs/generate.py`` (a test holds them against it)."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ipt2np.cli.rule import page_of
from ipt2np.cni.registry import CNIS, HOSTS, REFUSED
from ipt2np.findings import CATALOGUE, Code
from ipt2np.frames import FRAMES
from ipt2np.reporting.cnis import markdown_cni, markdown_matrix
from ipt2np.reporting.findingpage import markdown, markdown_list
from ipt2np.rules.assumptions import ASSUMPTIONS, UNDECIDED
from ipt2np.rules.targets import all_targets

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))

from fidelity import EXACT, rows  # noqa: E402


def pages() -> dict[str, Callable[[], str]]:
    """File name below docs/ to what makes its text."""
    return {
        **{f"findings/{code.code}.md": partial(_finding, code) for code in CATALOGUE.values()},
        "findings/README.md": partial(markdown_list, CATALOGUE.values()),
        "assumptions.md": _assumptions,
        "extensions.md": _extensions,
        "frames.md": _frames,
        "cnis.md": _cnis,
    }


def _finding(code: Code) -> str:
    return markdown(page_of(code))


def _assumptions() -> str:
    rows = [f"| `{each.id}` | {each.default} | {each.statement} |" for each in ASSUMPTIONS]
    head = [
        "# Assumptions",
        "",
        "What the header of a packet does not say but the migration does. Each one that a ruleset relies on is listed",
        f"in the report with the lines that rely on it; `--assume ID={UNDECIDED}` switches it off.",
        "",
        "| id | default | statement |",
        "|---|---|---|",
    ]
    tail = [
        "| `set:NAME` | undecided | `--assume set:blacklist=empty` says what an ipset holds |",
        "| `rule:LINE` | undecided | `--assume rule:12=no-match` (or `=match`) settles one rule; "
        "`rule:FILE:LINE` where two files are read |",
        "",
        "`interface` and `address` are settled by `--interface` and `--address`.",
    ]
    return "\n".join([*head, *rows, *tail]) + "\n"


_BEHIND = {
    "set": "given the set's entries by `--ipset`, exact",
    "addrtype": "given the host's addresses and routes by `--addr` and `--route`, exact",
    "rpfilter": "given the host's routes by `--route`, exact",
}
"""What more is kept once the facts of the host are given."""


def _extensions() -> str:
    found = list(rows())
    matches = len({row.match for row in found} - {"ip"})
    counted = Counter(_degree(text) for row in found for text in row.kept.values())
    lines = [
        "# Matches and targets",
        "",
        f"The {matches} match extensions that are known, with every option, asked of the code: *exact* (the packet's",
        "header, connection state and marks decide it), *under* an [assumption](assumptions.md), or *undecided*, and why.",
        "An undecided match may or may not hold: the policy admits only what is accepted either way, and a finding names",
        "the rule. Input interface and destination are exact here; what a pod knows of them is said by `--interface`,",
        "`--address`, `--addr` and `--route`. Any other match is kept as text and is undecided.",
        "",
        f"Options, each family for itself: {counted['exact']} exact, {counted['under']} under an assumption, "
        f"{counted['partly']} exact for some packets, {counted['undecided']} undecided.",
        "",
        "| match | option | IPv4 | IPv6 |",
        "|---|---|---|---|",
    ]
    for row in found:
        name = "(header)" if row.match == "ip" else row.match
        option = f"`{row.option.replace('|', chr(92) + '|')}`" if row.option else ""
        more = f"; {_BEHIND[row.match]}" if row.match in _BEHIND else ""
        cells = [
            row.kept[family] + (more if row.kept[family] != EXACT else "") if family in row.kept else "—"
            for family in (4, 6)
        ]
        if cells[0] == cells[1]:
            cells[1] = "the same"
        lines.append(f"| {name} | {option} | {cells[0]} | {cells[1]} |")
    lines += [
        "",
        "What targets do to a packet. Any other target may accept, drop, divert or continue.",
        "",
        "| target | family | what it does | options |",
        "|---|---|---|---|",
    ]
    families: dict[str, list[int]] = {}
    for name, family in sorted(all_targets()):
        families.setdefault(name, []).append(family)
    for name, of in families.items():
        target = all_targets()[name, of[0]]
        options = " ".join(f"`{'[!] ' if each.negatable else ''}{each.name}`" for each in target.options)
        family = "both" if len(of) == 2 else f"IPv{of[0]}"
        lines.append(f"| {name} | {family} | {target.acts(()).value} | {options} |")
    return "\n".join(lines) + "\n"


def _degree(text: str) -> str:
    if text == EXACT:
        return "exact"
    if "exact for some" in text or (text.startswith("first packets") and text.count("undecided") < 2):
        return "partly"
    return "undecided" if "undecided" in text else "under"


def _frames() -> str:
    head = [
        "# Programs whose rules are recognised",
        "",
        "Their chains are named in findings, in the report and in the policy's comments, and findings count their",
        "boilerplate by chain. Being recognised changes the meaning of no rule; bans are left out only with",
        "`--drop-transient`. A program is recognised by chains that stand where it puts them, never by one common name.",
        "",
        "| program | what its rules do | in the migration | source |",
        "|---|---|---|---|",
    ]
    rows = []
    for frame in FRAMES:
        bans = " Bans are runtime state." if frame.ban_sets or any(kind.bans for kind in frame.chains) else ""
        cells = (frame.name, frame.what + "." + bans, frame.advice, frame.reference)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*head, *rows]) + "\n"


def _cnis() -> str:
    head = [
        "# CNIs",
        "",
        "What each CNI (`--cni NAME`) keeps of what a ruleset says, as `ipt2np cnis` shows it. The grades are those of what",
        "ipt2np writes for the CNI: tests convert a host for each of them and hold them against what is lost. All of them",
        "suppose that the client's address arrives, and that a policy stays within the CNI's limits.",
        "",
    ]
    cnis = list(CNIS.values())
    sections = [markdown_cni(cni, HOSTS.get(cni.name)) for cni in cnis]
    return "\n".join([*head, markdown_matrix(cnis, REFUSED, linked=True), *sections])


def main() -> None:
    """Writes every page."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
