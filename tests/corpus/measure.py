"""What is decided of the shared corpus of real rulesets, file by file, and the table in docs/corpus.md.

``python -m tests.corpus.measure ../shared > docs/corpus.md`` writes the table anew. The corpus itself is not
part of the project; figures about it are.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from random import Random

from ipt2np import (
    Conversion,
    Decision,
    Facts,
    Field,
    Half,
    Options,
    convert,
    decide,
    parse_ruleset,
)
from ipt2np.findings.collect import HEADER_OPTIONS, arrives, has_option, path_rules
from ipt2np.rules.extension import Effect
from ipt2np.rules.host import Host, HostAddress, Interface
from ipt2np.rules.model import Rule, Ruleset
from ipt2np.semantics.decide import Side
from ipt2np.semantics.states import effect_of
from tests.kernel.boundaries import boundary_probes
from tests.kernel.probe import Probe

PROBES = 2_000
TRIED_FACTS = 8
DOCUMENTATION_ADDRESS = {4: "192.0.2.1", 6: "2001:db8::1"}


def shared_folder() -> Path | None:
    """The folder that holds the corpus: ``IPT2NP_SHARED``, or ``shared`` beside the checkout."""
    given = os.environ.get("IPT2NP_SHARED")
    folder = Path(given) if given else Path(__file__).resolve().parents[3] / "shared"
    return folder if (folder / "corpus").is_dir() else None


def corpus_files(shared: Path) -> list[Path]:
    """Every ruleset of the corpus."""
    return sorted((shared / "corpus").glob("v[46]/*.rules"))


@dataclass(frozen=True)
class Row:
    """One ruleset's figures, without facts and with the facts that were chosen for it."""

    name: str
    rules: int
    on_path: int
    undecided: int
    verdict: str
    facts: str
    undecided_with_facts: int
    verdict_with_facts: str
    meeting: float
    """Share of probes for which the two bounds meet, with the facts."""
    reasons: Counter[str]


def undecided_rules(decision: Decision) -> list[tuple[Rule, str]]:
    """Rules of the input path that some packet arrives at and that nobody can decide, with the reason."""
    result = []
    for side, rule in path_rules(decision):
        if arrives(side, rule):
            why = _why(decision, side, rule)
            if why:
                result.append((rule, why))
    return result


def _why(decision: Decision, side: Side, rule: Rule) -> str:
    if effect_of(rule) is Effect.REWRITE:
        rewriting = side.walker.rewritings[rule.number]
        if rewriting.rewrite is None and not rewriting.forwards:
            return "what nat makes of the packet"
        if rewriting.rewrite is not None and rewriting.forwards:
            return "whether nat sends packets to the host itself"
    if effect_of(rule) is Effect.UNKNOWN:
        return "target"
    for meaning in side.meanings(rule):
        if not meaning.exact and meaning.undecided:
            return re.sub(r" '.*?'| ipset \S+", "", meaning.undecided[0])
    facts = decision.facts
    given = {"interface": facts.interfaces or facts.host.interfaces, "address": facts.addresses}
    for name, said in given.items():
        if not said and has_option(rule, HEADER_OPTIONS[name]):
            return name
    return ""


def host_facts(interface: str, address: str) -> Facts:
    """What `ip -j addr` would say of a host with one interface that has one address."""
    parsed = ip_address(address)
    own = HostAddress(parsed.version, int(parsed), 24 if parsed.version == 4 else 64)
    up = frozenset({"UP"})
    links = (Interface("lo", flags=up | {"LOOPBACK"}), Interface(interface, flags=up, addresses=(own,)))
    return Facts(addresses=(address,), host=Host(links))


def candidate_facts(ruleset: Ruleset) -> Iterator[Facts]:
    """Interfaces that INPUT's rules name, with an address that they name or a documentation address."""
    interfaces: Counter[str] = Counter()
    addresses: Counter[str] = Counter()
    for side, rule in path_rules(decide([ruleset])):
        assert side.ruleset is ruleset
        for use in rule.matches:
            for clause in use.clauses:
                if clause.option == "--in-interface" and clause.values[0] != "lo":
                    interfaces[str(clause.values[0]).replace("+", "0")] += 1
        for found in re.findall(r"(?:-d|--destination) ([0-9A-Fa-f.:]+)(?:/(?:32|128))?(?:\s|$)", rule.text):
            if not ip_address(found).is_multicast and found != "255.255.255.255":
                addresses[found] += 1
    names = [name for name, _ in interfaces.most_common(TRIED_FACTS)] or ["eth0"]
    own = [address for address, _ in addresses.most_common(2)]
    for name in names:
        for address in [*own, DOCUMENTATION_ADDRESS[ruleset.family]]:
            yield host_facts(name, address)


def packet_of(probe: Probe) -> dict[Field, int]:
    """The probe's fields that a projected decision knows."""
    return {
        Field.FAMILY: int(probe.family == 6),
        Field.PROTOCOL: probe.protocol,
        Field.ICMP_TYPE: probe.icmp_type,
        Field.ICMP_CODE: probe.icmp_code,
        Field.DESTINATION_PORT: probe.dport,
        Field.SOURCE_PORT: probe.sport,
        Field.SOURCE: int(ip_address(probe.source)),
    }


def meeting_share(decision: Decision, text: str, probes: int = PROBES) -> float:
    """The share of boundary probes that count whose two bounds meet."""
    ruleset = decision.rulesets[0]
    counted, open_packets = decision.judged, decision.may_accept - decision.must_accept
    made = boundary_probes(
        text,
        ruleset.family,
        count=probes,
        rng=Random(7),
        destinations=[DOCUMENTATION_ADDRESS[ruleset.family]],
        interfaces=["eth0"],
    )
    packets = [packet for packet in map(packet_of, made) if packet in counted]
    return sum(packet not in open_packets for packet in packets) / len(packets) if packets else 1.0


def convert_file(path: Path, facts: Facts | None = None) -> Conversion:
    """The conversion of one file."""
    ruleset = parse_ruleset(path.read_bytes(), path.name)
    return convert([ruleset], Options(facts=facts or Facts()))


def best_facts(path: Path) -> tuple[Facts, float]:
    """The facts, of those worth trying, under which the bounds meet on most probes."""
    data = path.read_bytes()
    ruleset, text = parse_ruleset(data, path.name), data.decode()
    shares = [(meeting_share(decide([ruleset], facts=f), text), f) for f in candidate_facts(ruleset)]
    share, facts = max(shares, key=lambda each: each[0])
    return facts, share


def measure(path: Path) -> Row:
    """One ruleset's row."""
    plain = convert_file(path)
    facts, share = best_facts(path)
    settled = convert_file(path, facts)
    decision = plain.draft.decision
    left = undecided_rules(settled.draft.decision)
    return Row(
        name=path.name.removesuffix(".rules"),
        rules=len(decision.rulesets[0].rules),
        on_path=sum(1 for side, rule in path_rules(decision) if side.arrivals(rule, Half.FIRST)),
        undecided=len(undecided_rules(decision)),
        verdict=plain.proof.verdict.value,
        facts=f"{facts.host.interfaces[1].name} has {facts.addresses[0]}",
        undecided_with_facts=len(left),
        verdict_with_facts=settled.proof.verdict.value,
        meeting=share,
        reasons=Counter(why for _, why in left),
    )


def page(rows: Sequence[Row]) -> str:
    """The page of docs/corpus.md."""
    lines = [
        "# What is decided of real rulesets",
        "",
        "Made by `python -m tests.corpus.measure SHARED > docs/corpus.md` over a collection of real hosts' dumps that is",
        "not part of the project. *on path*: rules of the input path that some first packet arrives at. *undecided*:",
        "those that the header does not settle. The facts are what `--addr` would say of a host with one interface and one",
        "address, both out of the file's own rules.",
        "*meet*: share of boundary probes for which the two bounds meet, with the facts.",
        "",
        "| ruleset | rules | on path | undecided | verdict | facts | undecided | verdict | meet |",
        "|---|---:|---:|---:|---|---|---:|---|---:|",
    ]
    reasons: Counter[str] = Counter()
    for row in rows:
        reasons += row.reasons
        lines.append(
            f"| {row.name} | {row.rules} | {row.on_path} | {row.undecided} | {row.verdict} | `{row.facts}` "
            f"| {row.undecided_with_facts} | {row.verdict_with_facts} | {row.meeting:.1%} |"
        )
    share = sum(row.meeting for row in rows) / len(rows)
    lines.append(
        f"| **all** | {sum(r.rules for r in rows)} | {sum(r.on_path for r in rows)} | "
        f"{sum(r.undecided for r in rows)} | {sum(r.verdict == 'equal' for r in rows)} equal | "
        f"| {sum(r.undecided_with_facts for r in rows)} | "
        f"{sum(r.verdict_with_facts == 'equal' for r in rows)} equal | {share:.1%} |"
    )
    lines += ["", "Rules left undecided with the facts, by reason:", "", "| reason | rules |", "|---|---:|"]
    lines += [
        f"| {reason} | {count} |"
        for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page([measure(path) for path in corpus_files(Path(sys.argv[1]))]))
