"""What changes in meaning from one side to another: each a host's rulesets, or policies as their CNI reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ipt2np.cni.base import EXTERNAL, SOURCE_CLASSES, Cluster, PolicyFault, Reading
from ipt2np.conversion import Options, OtherFamily, target
from ipt2np.errors import InputError, Location, Problem
from ipt2np.findings import Difference, Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets import PacketSet, PacketSpace
from ipt2np.policies.loading import Policies
from ipt2np.policies.matching import PolicyRule, acting, policy_rules
from ipt2np.proof.access import Access, Bounds, access
from ipt2np.proof.assumed import as_assumed
from ipt2np.proof.boxes import readable
from ipt2np.proof.prove import ProvenDifference, Verdict, class_packets, impossible_sources
from ipt2np.rules.model import Rule, Ruleset
from ipt2np.semantics import Can, Decision, decide
from ipt2np.semantics.outcomes import IMPOSSIBLE
from ipt2np.syntax.dump import parse_ruleset

_OPEN = b"*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"
"""A host that accepts everything: which packets there are does not depend on its rules."""


@dataclass(frozen=True)
class HostSide:
    """The rulesets of a host."""

    decision: Decision

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it was read from."""
        return tuple(dict.fromkeys(ruleset.file for ruleset in self.decision.rulesets))

    def bounds(self, source_class: str) -> Bounds:
        """The same for every class: a host knows addresses only."""
        return Bounds(self.decision.must_accept, self.decision.may_accept)

    def behind(self, packets: PacketSet, source_class: str, what: Can) -> Behind:
        """The rules and built-in policies that accept or refuse some packets."""
        rules, policies = self.decision.provenance.behind(packets, what)
        return Behind(rules, policies)


@dataclass(frozen=True)
class PolicySide:
    """Policies, as their CNI reads them for some pods."""

    policies: Policies
    options: Options
    readings: Mapping[str, Reading]
    rules: tuple[PolicyRule, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it was read from."""
        return tuple(file.name for file in self.policies.files)

    def bounds(self, source_class: str) -> Bounds:
        """What the policies admit; what documents leave open is left out of a comparison."""
        admits = self.readings[source_class].admits
        return Bounds(admits, admits)

    def behind(self, packets: PacketSet, source_class: str, what: Can) -> Behind:
        """The rules that let packets through, or that deny them; none where packets are refused for want of a rule."""
        action = "allow" if what is Can.ACCEPT else "deny"
        return Behind(
            pointed=tuple(
                rule
                for rule in acting(self.rules, action)
                if rule.matches[source_class].meets(packets)
            )
        )


@dataclass(frozen=True)
class Behind:
    """Who is behind packets on a side: rules of a host, its built-in policies in words, rules of policies."""

    rules: tuple[Rule, ...] = ()
    policies: tuple[str, ...] = ()
    pointed: tuple[PolicyRule, ...] = ()


Side = HostSide | PolicySide


@dataclass(frozen=True)
class Comparison:
    """What changes from the first side to the second."""

    sides: tuple[Side, Side]
    space: PacketSpace
    verdict: Verdict
    by_class: Mapping[str, Verdict]
    differences: tuple[ProvenDifference, ...]
    findings: tuple[Finding, ...]
    access: tuple[Access, ...]
    reference: Decision
    """A decision over the packets that were compared."""


def host_side(
    rulesets: Sequence[Ruleset],
    options: Options,
    space: PacketSpace,
    also: Sequence[Ruleset] = (),
) -> HostSide:
    """A host as a side of a comparison in ``space``. UsageError where options contradict each other."""
    same = options.other_family is OtherFamily.SAME
    return HostSide(
        decide(
            rulesets, options.assumptions, options.facts, also=also, same_for_other_family=same, space=space
        )
    )


def policy_side(policies: Policies, options: Options, space: PacketSpace) -> PolicySide:
    """Policies as a side of a comparison in ``space``. InputError where they do not go together."""
    options = replace(options, cni=policies.cni.name)
    cni = target(options)
    cluster = cni.as_set(options.cluster)
    try:
        readings = cni.read(policies.objects, options.identity, cluster, space)
    except PolicyFault as fault:
        place = Location(policies.manifests[0].file)
        problem = Problem(place, "", str(fault), f"policies that {cni.name} takes together")
        raise InputError([problem]) from None
    readings = as_assumed(readings, options.assumptions, cluster, space)
    rules = policy_rules(policies.manifests, cni, options.identity, cluster, space)
    return PolicySide(policies, options, readings, rules)


def compare_sides(before: Side, after: Side, space: PacketSpace, cluster: Cluster) -> Comparison:
    """Every packet that the second side treats differently, in boxes, with what stays open."""
    reference = _reference(before, after, space)
    classes = class_packets(space, cluster)
    declared = {EXTERNAL: True, "pod": bool(cluster.pod_cidrs), "node": bool(cluster.node_cidrs)}
    known = {id(side): _families(side, space) for side in (before, after)}
    alike = _alike(before, after, space)
    certainly_known = known[id(before)] & known[id(after)]
    # Where nothing is known of a family on either side there is nothing to compare.
    packets = reference.judged & (known[id(before)] | known[id(after)])
    by_class: dict[str, Verdict] = {}
    found: list[ProvenDifference] = []
    outside = {Difference.CLOSES: space.nothing, Difference.OPENS: space.nothing}
    impossible = impossible_sources(reference)
    for name in SOURCE_CLASSES:
        was, now = before.bounds(name), after.bounds(name)
        answered = packets & classes[name] - _undefined(before, name, space) - _undefined(after, name, space)
        differing = {
            Difference.CLOSES: (was.may - now.must - alike) & answered,
            Difference.OPENS: (now.may - was.must - alike) & answered,
        }
        certain = {
            Difference.CLOSES: (was.must - now.may) & certainly_known,
            Difference.OPENS: (now.must - was.may) & certainly_known,
        }
        by_class[name] = Verdict.of(bool(differing[Difference.CLOSES]), bool(differing[Difference.OPENS]))
        for effect, some in differing.items():
            new = some if name == EXTERNAL else some - outside[effect]
            for sure, part in ((True, new & certain[effect]), (False, new - certain[effect])):
                for box in readable(part, impossible, None):
                    found.append(ProvenDifference(effect, sure and declared[name], name, box, ()))
        if name == EXTERNAL:
            outside = differing
    return Comparison(
        (before, after),
        space,
        by_class[EXTERNAL],
        by_class,
        tuple(found),
        tuple(_findings(before, after, alike & packets, known, space)),
        tuple(
            access(
                {name: before.bounds(name) for name in SOURCE_CLASSES},
                {name: after.bounds(name) for name in SOURCE_CLASSES},
                {name: packets & classes[name] for name in SOURCE_CLASSES},
            )
        ),
        reference,
    )


def _reference(before: Side, after: Side, space: PacketSpace) -> Decision:
    """A decision whose judged packets are those that both sides can receive."""
    decisions = [side.decision for side in (before, after) if isinstance(side, HostSide)]
    if len(decisions) == 1:
        return decisions[0]
    if not decisions:
        return decide([parse_ruleset(_OPEN, "", family=family) for family in (4, 6)], space=space)
    one, two = decisions
    # A family that one of them alone knows is judged as that one does.
    only = space.everything
    for family in two.families:
        only -= space.family(family)
    return replace(
        one, judged=(one.judged & (two.judged | only)) | (two.judged - _families(HostSide(one), space))
    )


def _families(side: Side, space: PacketSpace) -> PacketSet:
    """The packets of the families that a side says something of."""
    if isinstance(side, PolicySide):
        return space.everything
    result = space.nothing
    for family in side.decision.families:
        result |= space.family(family)
    return result


def _undefined(side: Side, source_class: str, space: PacketSpace) -> PacketSet:
    return side.readings[source_class].undefined if isinstance(side, PolicySide) else space.nothing


def _alike(before: Side, after: Side, space: PacketSpace) -> PacketSet:
    """Packets that the same rules leave undecided in the same way on both sides: whatever is true, the sides agree."""
    if not isinstance(before, HostSide) or not isinstance(after, HostSide):
        return space.nothing
    known: dict[tuple[object, ...], int] = {}
    forms = []
    for side in (before, after):
        decision = side.decision
        values = decision.connections.values() - {IMPOSSIBLE}
        forms.append(decision.outcomes.forms(values, lambda number, d=decision: _label(d, number), known))  # type: ignore[misc]
    maps = [side.decision.connections for side in (before, after)]

    def same(values: tuple[int, ...]) -> int:
        one, two = values
        return int(IMPOSSIBLE not in values and forms[0][one] == forms[1][two])

    open_on_both = space.everything
    for side in (before, after):
        open_on_both &= side.decision.may_accept - side.decision.must_accept
    return space.combine(same, *maps).where(bool) & open_on_both


def _label(decision: Decision, number: int) -> str:
    """A decider or a cause by what it says, wherever it stands."""
    rule = decision.rules.get(number)
    if rule is not None:
        return f"{rule.table} {rule.text}"
    policy = decision.policies.get(number)
    return str(number) if policy is None else f"{policy.table} {policy.chain} {policy.effect}"


def _findings(
    before: Side, after: Side, alike: PacketSet, known: Mapping[int, PacketSet], space: PacketSpace
) -> Iterator[Finding]:
    for side, other in ((before, after), (after, before)):
        for family in (4, 6):
            of_family = space.family(family)
            if not of_family.meets(known[id(side)]) and of_family.meets(known[id(other)]):
                admitted = any(other.bounds(name).may.meets(of_family) for name in SOURCE_CLASSES)
                if admitted:
                    yield Finding(
                        "N2P503",
                        f"{other.files[0]} admits IPv{family}, and no IPv{family} ruleset was given for {side.files[0]}",
                        "give it too (--with-a, --with-b), or --other-family same if both families are filtered alike",
                        file=other.files[0],
                    )
    if alike and isinstance(before, HostSide):
        decision = before.decision
        rules = [
            decision.rules[number]
            for number in sorted(decision.provenance.causes(alike))
            if number in decision.rules
        ]
        told = f" ({counted(rules)}: {lines_of(rules, decision.frames)})" if rules else ""
        yield Finding(
            "N2P509",
            f"what the same rules leave undecided on both sides is taken to be the same{told}",
            remedy("N2P509"),
            tuple(rules),
            file="" if rules else before.files[0],
        )
