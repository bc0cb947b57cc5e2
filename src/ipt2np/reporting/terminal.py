"""Findings and differences for people at a terminal; colour only where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.text import Text

from ipt2np.conversion import Conversion
from ipt2np.findings import Difference, Finding, Severity
from ipt2np.lint import Linted
from ipt2np.proof.ledger import Fate
from ipt2np.proof.prove import ProvenDifference, Verdict
from ipt2np.reporting.accepted import Accepted, accepted
from ipt2np.reporting.colours import SEVERITY_COLOURS
from ipt2np.reporting.comparisonreport import behind_sides, title
from ipt2np.reporting.plain import difference_digest
from ipt2np.reporting.words import COMPARED, MEANINGS, about, also_opened, difference_text, inside
from ipt2np.review.comparing import Behind, Comparison
from ipt2np.review.signoff import SignOff, SignOffs
from ipt2np.text import file_name, printable

SHOWN_DIFFERENCES = 12
SHOWN_DIGESTS = 3
SHOWN_BEHIND = 3

BEFORE_THE_VERDICT = frozenset({"N2P200", "N2P504"})
"""What explains everything that follows."""

_VERDICT_COLOURS = {
    Verdict.EQUAL: "green",
    Verdict.NARROWER: "yellow",
    Verdict.WIDER: "red",
    Verdict.DIFFERS: "red",
}


def conversion_lines(
    conversion: Conversion, told: Accepted | None = None, *, digests: bool = False
) -> Iterator[Text]:
    """The whole account: what blocks everything, the verdict, the ledger's sums, differences, findings.

    ``digests`` adds those of differences, by which they are accepted.
    """
    told = told or accepted(conversion.proof.differences, conversion.findings, SignOffs())
    for finding, entry in told.findings:
        if finding.code in BEFORE_THE_VERDICT:
            yield from finding_lines(finding, entry)
    yield from verdict_lines(conversion)
    yield from difference_lines(told, digests=digests)
    for finding, entry in told.findings:
        if finding.code not in BEFORE_THE_VERDICT:
            yield from finding_lines(finding, entry)


def verdict_lines(conversion: Conversion) -> Iterator[Text]:
    """The verdict and what it is about, the ledger's sums."""
    proof, drafted = conversion.proof, conversion.draft
    cluster = drafted.options.cluster
    yield Text.assemble(
        (f"{drafted.options.identity.name}: ", "bold"),
        (proof.verdict.value, f"bold {_VERDICT_COLOURS[proof.verdict]}"),
        (also_opened(conversion), "bold yellow"),
        f" — {MEANINGS[proof.verdict]} ({about(proof, drafted.cni.scope, cluster)})",
    )
    within = inside(proof, cluster)
    if within:
        yield Text(f"  {within}")
    sums = conversion.ledger.sums()
    told = ", ".join(
        f"{count} {fate.value}"
        for fate, count in sorted(sums.items(), key=lambda item: list(Fate).index(item[0]), reverse=True)
        if count
    )
    total = sum(sums.values())
    yield Text(f"  {total} rule{'' if total == 1 else 's'}{': ' + told if told else ''}")


def comparison_lines(found: Comparison, told: Accepted) -> Iterator[Text]:
    """The verdict on two sides, every difference with who is behind it on each, findings."""
    yield Text.assemble(
        (f"{printable(title(found))}: ", "bold"),
        (found.verdict.value, f"bold {_VERDICT_COLOURS[found.verdict]}"),
        f" — {COMPARED[found.verdict]}",
    )
    inside = [
        f"from {name}s {verdict.value}"
        for name, verdict in found.by_class.items()
        if verdict is not found.verdict
    ]
    if inside:
        yield Text("  " + ", ".join(inside))

    def behind(difference: ProvenDifference) -> Iterator[Text]:
        closes = difference.effect is Difference.CLOSES
        sides = zip(found.sides, behind_sides(found, difference, difference.box), strict=True)
        for number, (side, who) in enumerate(sides):
            accepts = closes is (number == 0)
            yield Text(
                f"    {file_name(side.files[0], 60)} {'accepts' if accepts else 'refuses'}: {_who(who)}"
            )

    yield from difference_lines(told, digests=True, behind=behind)
    for finding, entry in told.findings:
        yield from finding_lines(finding, entry)


def _who(who: Behind) -> str:
    """The first rules behind something, and how many more."""
    told = [f"{rule.location.line}: {rule.text}" for rule in who.rules]
    told += [f"{rule.place[1]}: {rule.pointer}" for rule in who.pointed]
    told += who.policies
    more = f" and {len(told) - SHOWN_BEHIND} more" if len(told) > SHOWN_BEHIND else ""
    return printable("; ".join(told[:SHOWN_BEHIND]), 200) + more if told else "no rule admits it"


def difference_lines(
    told: Accepted,
    *,
    digests: bool = False,
    behind: Callable[[ProvenDifference], Iterator[Text]] = lambda difference: iter(()),
) -> Iterator[Text]:
    """The first differences, those that count before those that somebody accepted; ``behind`` adds lines on who is."""
    differences = sorted(told.differences, key=lambda pair: pair[1] is not None)
    for difference, entry in differences[:SHOWN_DIFFERENCES]:
        shown = ""
        if digests and entry is None:
            parts = [difference_digest(difference, part) for part in difference.box.by_protocol()]
            shown = "  " + " ".join(parts[:SHOWN_DIGESTS])
        yield Text.assemble(
            "  " + difference_text(difference),
            (shown, "dim"),
            style="dim" if entry is not None else "",
        )
        yield from behind(difference)
        if entry is not None:
            yield _acceptance(entry)
    more = len(differences) - SHOWN_DIFFERENCES
    if more > 0:
        yield Text(
            f"  … and {more} more difference{'' if more == 1 else 's'}; --report FILE.json lists them all"
        )


def _acceptance(entry: SignOff) -> Text:
    until = f" until {entry.expires}" if entry.expires is not None else ""
    return Text(
        f"    accepted by {printable(entry.author, 80)}{until}: {printable(entry.reason)}", style="green"
    )


def lint_lines(linted: Linted, told: Accepted) -> Iterator[Text]:
    """Every finding, and how many there are that nobody has accepted."""
    for finding, entry in told.findings:
        yield from finding_lines(finding, entry)
    rules = sum(len(ruleset.rules) for ruleset in linted.rulesets)
    parts = []
    for severity in sorted(Severity, reverse=True):
        count = sum(each.severity is severity for each in told.open_findings(severity))
        if count:
            parts.append(f"{count} {severity.word}{'s' if count > 1 and severity is not Severity.INFO else ''}")
    if told.count:
        parts.append(f"{told.count} accepted")
    found = ", ".join(parts) or "nothing found"
    yield Text.assemble((f"{rules} rule{'' if rules == 1 else 's'}: {found}", "bold"))


def finding_lines(finding: Finding, entry: SignOff | None = None) -> Iterator[Text]:
    """Severity, code, place, message; the rule; what to do, or who has accepted it."""
    file, line = finding.place
    place = f" {file_name(file, 80)}:{line}:" if line else f" {file_name(file, 80)}:" if file else ""
    yield Text.assemble(
        (f"{finding.severity.word} {finding.code}", SEVERITY_COLOURS[finding.severity]),
        f"{place} {printable(finding.message, 400)}",
    )
    if finding.rules:
        yield Text(f"    {printable(finding.rules[0].text)}", style="dim")
    yield Text(f"    → {printable(finding.remedy, 400)}") if entry is None else _acceptance(entry)
