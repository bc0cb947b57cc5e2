"""What reviewers have accepted of a result: marked in reports and lines, and left out of what still counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ipt2np.findings import Finding, Severity
from ipt2np.proof.prove import ProvenDifference
from ipt2np.reporting import plain
from ipt2np.reporting.report import Report
from ipt2np.review.signoff import SignOff, SignOffs


@dataclass(frozen=True)
class Accepted:
    """The differences and findings of a result with the entries that accept them, None for those that still count."""

    differences: tuple[tuple[ProvenDifference, SignOff | None], ...]
    findings: tuple[tuple[Finding, SignOff | None], ...]
    """Those on expired and stale entries come first."""
    entries: Mapping[str, SignOff] = field(default_factory=dict)
    """By digest, of differences protocol by protocol."""

    @property
    def open_differences(self) -> list[ProvenDifference]:
        """The differences that nobody has accepted."""
        return [each for each, entry in self.differences if entry is None]

    def open_findings(self, least: Severity) -> list[Finding]:
        """The findings of at least a severity that nobody has accepted."""
        return [each for each, entry in self.findings if entry is None and each.severity >= least]

    def marked(self, report: Report) -> Report:
        """The report of the same result with ``accepted`` where there is an entry, and the findings on entries."""
        if not self.entries and len(report.data["findings"]) == len(self.findings):
            return report
        data = dict(report.data)
        if "proof" in data:
            marked = [
                _marked(each, self.entries.get(each["digest"])) for each in data["proof"]["differences"]
            ]
            data["proof"] = {**data["proof"], "differences": marked}
        data["findings"] = [_marked(plain.finding(each), entry) for each, entry in self.findings]
        counts = plain.counts(each for each, _ in self.findings)
        data["summary"] = {**data["summary"], "findings": counts, "accepted": self.count}
        return replace(report, data=data)

    @property
    def count(self) -> int:
        """How many differences and findings are accepted."""
        return sum(entry is not None for _, entry in (*self.differences, *self.findings))


def accepted(
    differences: Sequence[ProvenDifference], findings: Sequence[Finding], signoffs: SignOffs
) -> Accepted:
    """What the valid entries are about. A finding whose differences are all accepted is accepted with them."""
    if not signoffs.valid and not signoffs.expired:
        return Accepted(tuple((each, None) for each in differences), tuple((each, None) for each in findings))
    valid, present, entries = signoffs.valid, set[str](), dict[str, SignOff]()
    judged: list[tuple[ProvenDifference, SignOff | None]] = []
    for each in differences:
        digests = [plain.difference_digest(each, part) for part in each.box.by_protocol()]
        present.update(digests)
        entries |= {digest: valid[digest] for digest in digests if digest in valid}
        whole = all(digest in valid for digest in digests)
        judged.append((each, valid[digests[0]] if whole else None))
    by_code = _by_code(judged)
    found: list[tuple[Finding, SignOff | None]] = []
    for finding in findings:
        digest = plain.finding_digest(finding)
        present.add(digest)
        entry = valid.get(digest)
        if entry is not None:
            entries[digest] = entry
        found.append((finding, entry or by_code.get(finding.code)))
    stale = [(each, None) for each in signoffs.about(present)]
    return Accepted(tuple(judged), (*stale, *found), entries)


def _by_code(judged: Iterable[tuple[ProvenDifference, SignOff | None]]) -> dict[str, SignOff]:
    """The codes all of whose differences are accepted, with the first one's entry."""
    found: dict[str, SignOff] = {}
    counting = set()
    for each, entry in judged:
        for code in each.findings:
            if entry is None:
                counting.add(code)
            else:
                found.setdefault(code, entry)
    return {code: entry for code, entry in found.items() if code not in counting}


def _marked(each: Mapping[str, Any], entry: SignOff | None) -> dict[str, Any]:
    return dict(each) if entry is None else {**each, "accepted": entry.plain()}
