"""Why policies that exist differ from a ruleset: the rules of both sides behind every difference, as findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ipt2np.cni.base import EXTERNAL, SOURCE_CLASSES, Capability, Cluster, Cni, Grade, Reading
from ipt2np.cni.features import Feature
from ipt2np.findings import Difference, Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.finding import Predicted
from ipt2np.findings.wording import counted, extent_of
from ipt2np.packets import Field, PacketSet
from ipt2np.packets.intervals import Range
from ipt2np.planning import InDoubt, translate
from ipt2np.planning.plan import PlanEffect, PlanEntry
from ipt2np.policies.matching import PolicyRule, acting
from ipt2np.proof.boxes import readable, services_text, sources_text
from ipt2np.proof.prove import class_packets, impossible_sources
from ipt2np.rules.model import Rule
from ipt2np.semantics import Decision
from ipt2np.semantics.provenance import Policy

PROTOCOLS: Mapping[Feature, Sequence[Range]] = {
    Feature.TCP_UDP: ((6, 6), (17, 17)),
    Feature.SCTP: ((132, 132),),
    Feature.ICMP: ((1, 1), (58, 58)),
    Feature.PROTOCOL: ((0, 0), (2, 5), (7, 16), (18, 57), (59, 131), (133, 255)),
}
"""What a target says of its words for protocols."""
MOST_CAUSES = 40
"""Rules beyond that share a finding: a reader does not follow more."""


@dataclass
class _Cause:
    """Deciders of the ruleset and rules of the policies that disagree, and about which packets."""

    effect: Difference
    pointers: tuple[str, ...]
    places: tuple[tuple[str, int], ...]
    passed: bool
    """True where all that the policies do is to pass the packets on."""
    rules: list[Rule] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    packets: dict[str, PacketSet] = field(default_factory=dict)
    unsaid: bool = False
    """True where the target's documents leave open what becomes of the packets."""


def disagreements(
    decision: Decision,
    readings: Mapping[str, Reading],
    rules: Sequence[PolicyRule],
    cluster: Cluster,
    cni: Cni,
    *,
    selected: bool = True,
) -> list[Finding]:
    """One finding for each rule of the host whose certain verdict the policies do not share.

    Where many rules disagree with the same rules of the policies, one finding tells of all. ``selected`` says whether
    any policy selects the pods.
    """
    classes = class_packets(decision.space, cluster)
    accepting = [
        each for each in translate(decision, InDoubt.DENY).entries if each.effect is PlanEffect.ACCEPT
    ]
    refusing = [
        each for each in translate(decision, InDoubt.ALLOW).entries if each.effect is not PlanEffect.ACCEPT
    ]
    causes: list[_Cause] = []
    for effect, entries, action in (
        (Difference.OPENS, refusing, "allow"),
        (Difference.CLOSES, accepting, "deny"),
    ):
        differs = {
            name: classes[name] & (~each.admits if effect is Difference.CLOSES else each.admits)
            for name, each in readings.items()
        }
        candidates = acting(rules, action)
        said = {name: packets - readings[name].undefined for name, packets in differs.items()}
        causes += _causes(effect, entries, said, candidates)
        # What documents leave open is outside every verdict; of external sources it is told.
        unsaid = {EXTERNAL: differs[EXTERNAL] & readings[EXTERNAL].undefined}
        causes += (replace(cause, unsaid=True) for cause in _causes(effect, entries, unsaid, candidates))
    return [
        *(_finding(decision, cause, cni, selected) for cause in causes),
        *_unknown_families(decision, readings, rules, classes),
    ]


def _causes(
    effect: Difference,
    entries: Sequence[PlanEntry],
    differing: Mapping[str, PacketSet],
    candidates: Sequence[PolicyRule],
) -> Iterator[_Cause]:
    found: dict[tuple[object, ...], _Cause] = {}
    alone = 0
    for entry in entries:
        parts = {name: entry.packets & packets for name, packets in differing.items()}
        parts = {name: part for name, part in parts.items() if part}
        if not parts:
            continue
        behind = [
            rule for rule in candidates if any(rule.matches[name].meets(part) for name, part in parts.items())
        ]
        pointers = tuple(rule.pointer for rule in behind)
        # What no rule of the policies names is told rule by rule of the ruleset, until there are too many.
        key: tuple[object, ...] = (pointers, isinstance(entry.decider, Policy))
        if not pointers or len(entries) <= MOST_CAUSES:
            alone += 1
            if alone <= MOST_CAUSES:
                key = (*key, alone)
        passed = bool(behind) and all(rule.action == "pass" for rule in behind)
        cause = found.setdefault(key, _Cause(effect, pointers, tuple(rule.place for rule in behind), passed))
        if isinstance(entry.decider, Rule):
            cause.rules.append(entry.decider)
        else:
            cause.policies.append(entry.decider)
        for name, part in parts.items():
            cause.packets[name] = cause.packets[name] | part if name in cause.packets else part
    yield from found.values()


def _finding(decision: Decision, cause: _Cause, cni: Cni, selected: bool) -> Finding:
    opens = cause.effect is Difference.OPENS
    code = "N2P510" if cause.unsaid else "N2P502" if opens else "N2P501"
    whose = EXTERNAL if EXTERNAL in cause.packets else next(iter(cause.packets))
    what = _told(decision, cause.packets[whose]) + ("" if whose == EXTERNAL else f" ({whose}s)")
    verb = "refuses" if opens else "accepts"
    many = len(cause.rules) > 1
    if cause.rules:
        who = (
            f"{counted(cause.rules)} {verb[:-1] if many else verb} ({extent_of(cause.rules)})"
            if many
            else f"the rule {verb}"
        )
    else:
        who = " and ".join(f"the policy {each.effect} of {each.chain} {verb}" for each in cause.policies[:2])
    place = next(
        (
            (ruleset.file, (chain.location.line if chain.location else 0))
            for each in cause.policies
            for ruleset in decision.rulesets
            if ruleset.family == each.family
            and (chain := ruleset.chains.get((each.table, each.chain))) is not None
        ),
        (decision.rulesets[0].file, 0),
    )
    told = (
        f"documents leave open what becomes of {what}, which {who}"
        if cause.unsaid
        else f"the policy {'admits' if opens else 'refuses'} {what}, which {who}; {_by(cause, opens, selected)}"
    )
    return Finding(
        code,
        told,
        _remedy(code, cause, cni, selected),
        tuple(cause.rules),
        file="" if cause.rules else place[0],
        line=0 if cause.rules else place[1],
        predicted=tuple(Predicted(cause.effect, part, (name,)) for name, part in cause.packets.items()),
        pointers=cause.pointers,
    )


def _remedy(code: str, cause: _Cause, cni: Cni, selected: bool) -> str:
    """The code's, but where no rule can be narrowed, or none be written."""
    if code == "N2P502" and not cause.places:
        what = "narrow the rules that admit it together"
        if not selected:
            what = "write a policy that selects the pods"
        return f"{what}, or accept the difference: ipt2np accept"
    kept = cni.capabilities()
    feature = _unnamed(cause.packets.values(), kept) if code == "N2P501" else None
    if feature is not None:
        what = "such a protocol" if feature is Feature.PROTOCOL else feature.title
        why = f"a rule of {cni.name} cannot name {what} ({kept[feature].note})"
        return f"accept the difference: ipt2np accept; {why}"
    return remedy(code)


def _unnamed(parts: Iterable[PacketSet], kept: Mapping[Feature, Capability]) -> Feature | None:
    """What the target's rules have no words for; None where they have for some of the packets' protocols."""
    found: Feature | None = None
    for packets in parts:
        space = packets.space
        for feature, numbers in PROTOCOLS.items():
            if packets.meets(space.values(Field.PROTOCOL, numbers)):
                # SCTP that is kept in part can be named; of other protocols it is naming that is kept in part.
                if kept[feature].grade is not Grade.NOT and (
                    feature in (Feature.TCP_UDP, Feature.SCTP) or kept[feature].grade is Grade.EXACT
                ):
                    return None
                found = found or feature
    return found


def _by(cause: _Cause, opens: bool, selected: bool) -> str:
    if not cause.places and not selected:
        return "no policy selects the pods"
    if not cause.places:
        return "no rule of the policy does it alone" if opens else "no rule of the policy admits it"
    places = list(dict.fromkeys(cause.places))
    shown = ", ".join(f"{file}:{line}" for file, line in places[:3])
    more = f" and {len(places) - 3} more" if len(places) > 3 else ""
    how = "passed on" if cause.passed else "admitted" if opens else "denied"
    return f"{how} by {shown}{more}"


def _told(decision: Decision, packets: PacketSet) -> str:
    """The first box of some packets, and that there are more."""
    found = readable(packets, impossible_sources(decision), decision.interfaces)
    first = next(found, None)
    if first is None:
        return "packets"
    more = " and more" if next(found, None) is not None else ""
    return f"{services_text(first)} from {sources_text(first)}{more}"


def _unknown_families(
    decision: Decision,
    readings: Mapping[str, Reading],
    rules: Sequence[PolicyRule],
    classes: Mapping[str, PacketSet],
) -> Iterator[Finding]:
    for family in (4, 6):
        if family in decision.families:
            continue
        of_family = decision.unspoken & decision.space.family(family)
        parts = {
            name: readings[name].admits & of_family & classes[name]
            for name in SOURCE_CLASSES
            if readings[name].admits.meets(of_family & classes[name])
        }
        if not parts:
            continue
        behind = [
            rule
            for rule in acting(rules, "allow")
            if any(rule.matches[name].meets(part) for name, part in parts.items())
        ]
        option = "--rules6" if family == 6 else "the IPv4 dump as RULES and this one by --rules6"
        yield Finding(
            "N2P503",
            f"the policy admits IPv{family}, and no IPv{family} ruleset was given: what the host makes of it is not known",
            f"give {option}, or --other-family same if both families are filtered alike",
            file=decision.rulesets[0].file,
            predicted=tuple(Predicted(Difference.OPENS, part, (name,)) for name, part in parts.items()),
            pointers=tuple(rule.pointer for rule in behind),
        )
