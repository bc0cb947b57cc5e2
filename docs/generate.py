"""Writes the pages that follow from the code: ``python docs/generate.py`` (a test holds them against it)."""

from __future__ import annotations

from pathlib import Path

from ipt2np.findings import CATALOGUE
from ipt2np.rules.assumptions import ASSUMPTIONS, UNDECIDED
from ipt2np.rules.matches import all_matches
from ipt2np.rules.targets import all_targets

FOLDER = Path(__file__).parent


def pages() -> dict[str, str]:
    """File name below docs/ to text."""
    result = {f"findings/{code.code}.md": _finding(code.code) for code in CATALOGUE.values()}
    result["findings/README.md"] = _findings()
    result["assumptions.md"] = _assumptions()
    result["extensions.md"] = _extensions()
    return result


def _finding(name: str) -> str:
    code = CATALOGUE[name]
    return (
        f"# {code.code}: {code.title}\n\nSeverity: {code.severity.word}\n\n{code.explanation}\n\n"
        f"**What to do.** {code.remedy}\n"
    )


def _findings() -> str:
    rows = [f"| [{c.code}]({c.code}.md) | {c.severity.word} | {c.title} |" for c in CATALOGUE.values()]
    head = [
        "# Findings",
        "",
        "One finding for each cause. `error`: the policy opens what iptables certainly denies, or is not enforced.",
        "`warning`: something that iptables did is not kept. `info`: an assumption is relied on, or a harmless",
        "rule was set aside.",
        "",
        "| code | severity | title |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows]) + "\n"


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


def _extensions() -> str:
    lines = [
        "# Matches and targets that are known",
        "",
        "Any other match is kept as text and is *undecided*: it may or may not hold. Any other target may accept, drop,",
        "divert or continue.",
        "",
        "| match | family | options |",
        "|---|---|---|",
    ]
    by_name: dict[str, list[int]] = {}
    for name, family in sorted(all_matches()):
        by_name.setdefault(name, []).append(family)
    for name, families in by_name.items():
        options = all_matches()[name, families[0]].options
        text = " ".join(f"`{'[!] ' if each.negatable else ''}{each.names[0]}`" for each in options)
        family = "both" if len(families) == 2 else f"IPv{families[0]}"
        lines.append(f"| {'(header)' if name == 'ip' else name} | {family} | {text} |")
    lines += ["", "| target | what it does to the packet |", "|---|---|"]
    lines += [
        f"| {name} | {target.acts(()).value} |"
        for (name, family), target in sorted(all_targets().items())
        if family == 4
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes every page."""
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
