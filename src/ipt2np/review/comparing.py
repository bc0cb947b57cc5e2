"""What changes in meaning from one side to another: each a host's rulesets, or policies as their CNI reads them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ipt2np.cni.base import EXTERNAL, SOURCE_CLASSES, Cluster, PolicyFault, Reading
from ipt2np.conversion import Options, OtherFamily, target
from ipt2np.errors import InputError, Location, Problem
from ipt2np.findings import Difference, Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets import Field, PacketSet, PacketSpace
from ipt2np.policies.loading import Policies
from ipt2np.policies.matching import PolicyRule, acting, policy_rules
from ipt2np.proof.access import Access, Bounds, access
from ipt2np.proof.assumed import as_assumed
from ipt2np.proof.boxes import readable
from ipt2np.proof.prove import ProvenDifference, Verdict, class_packets, impossible_sources
from ipt2np.review.conditions import Conditions, identity
from ipt2np.rules.model import Rule, Ruleset
from ipt2np.semantics import Can, Decision, decide
from ipt2np.semantics.functions import Functions
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
    beside: Sequence[Ruleset] = (),
) -> HostSide:
    """A host as a side of a comparison in ``space``; ``beside`` are the other side's rulesets.

    UsageError where options contradict each other.
    """
    same = options.other_family is OtherFamily.SAME
    return HostSide(
        decide(
            rulesets,
            options.assumptions,
            options.facts,
            same_for_other_family=same,
            space=space,
            beside=beside,
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
    kept = _kept(before, after, space)
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
            Difference.CLOSES: (was.may - now.must - kept[Difference.CLOSES]) & answered,
            Difference.OPENS: (now.may - was.must - kept[Difference.OPENS]) & answered,
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
    alike = kept[Difference.CLOSES] & kept[Difference.OPENS]
    return Comparison(
        (before, after),
        space,
        by_class[EXTERNAL],
        by_class,
        tuple(found),
        tuple(
            _findings(
                before, after, _open(before, space) & _open(after, space) & alike & packets, known, space
            )
        ),
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


def _kept(before: Side, after: Side, space: PacketSpace) -> Mapping[Difference, PacketSet]:
    """Packets that certainly do not close, and those that certainly do not open, whatever is true of what is undecided."""
    nothing = dict.fromkeys(Difference, space.nothing)
    if not isinstance(before, HostSide) or not isinstance(after, HostSide):
        return nothing
    decisions = (before.decision, after.decision)
    one, two = decisions
    if _said(one) == _said(two) and not any(name.startswith("rule:") for name in one.assumptions.chosen):
        return dict.fromkeys(Difference, space.everything)
    labels = {side.walker.view.interfaces for decision in decisions for side in decision.sides}
    if one.wire is None or two.wire is None or len(labels) > 1:
        return nothing
    known = Functions()
    functions = [
        each.outcomes.functions(wire.values() - {IMPOSSIBLE}, Conditions(each), known)
        for each, wire in ((one, one.wire), (two, two.wire))
    ]

    def changes(values: tuple[int, ...]) -> int:
        """1 where packets may close, 2 where they may open."""
        if IMPOSSIBLE in values:
            return 0 if values == (IMPOSSIBLE, IMPOSSIBLE) else 3
        was, now = functions[0][values[0]], functions[1][values[1]]
        if was is None or now is None:
            return 3
        return (not known.implies(was, now)) | (not known.implies(now, was)) << 1

    changing = space.combine(changes, one.wire, two.wire)
    moved = _moved(one, two)
    return {
        effect: ~_local(changing.where(lambda value, bit=bit: bool(value & bit)), decisions, moved)  # type: ignore[misc]
        for effect, bit in ((Difference.CLOSES, 1), (Difference.OPENS, 2))
    }


def _said(decision: Decision) -> list[Hashable]:
    return [identity(side.ruleset) for side in decision.sides]


def _moved(one: Decision, two: Decision) -> bool:
    """True where nat leads other packets to local ports on one side than on the other."""
    ways = [
        [
            (
                side.family,
                each.rewrite.ports,
                each.rewrite.addresses,
                each.rewrite.moves,
                each.packets,
                each.certain,
            )
            for side in decision.sides
            for each in side.mappings
        ]
        for decision in (one, two)
    ]
    return ways[0] != ways[1]


def _local(wire: PacketSet, decisions: Sequence[Decision], moved: bool) -> PacketSet:
    """Packets at the host's own ports that some packets of ``wire`` may stand behind, destination and interface left out."""
    result = wire
    for decision in decisions:
        for side in decision.sides:
            for each in side.mappings:
                ports = each.rewrite.ports
                if ports is None:
                    continue
                leading = each.packets if moved else each.packets & wire
                arriving = leading.some(Field.DESTINATION_PORT).some(Field.DESTINATION)
                result |= arriving & wire.space.values(Field.DESTINATION_PORT, (ports,))
                result |= each.packets if moved else wire.space.nothing
    return result.some(Field.DESTINATION).some(Field.INTERFACE)


def _open(side: Side, space: PacketSpace) -> PacketSet:
    """What a host leaves undecided."""
    if not isinstance(side, HostSide):
        return space.nothing
    return side.decision.may_accept - side.decision.must_accept


def _findings(
    before: Side, after: Side, alike: PacketSet, known: Mapping[int, PacketSet], space: PacketSpace
) -> Iterator[Finding]:
    names = {id(before): "A", id(after): "B"}
    for side, other in ((before, after), (after, before)):
        for family in (4, 6):
            of_family = space.family(family)
            if not of_family.meets(known[id(side)]) and of_family.meets(known[id(other)]):
                admitted = any(other.bounds(name).may.meets(of_family) for name in SOURCE_CLASSES)
                if admitted:
                    yield Finding(
                        "N2P503",
                        f"{names[id(other)]} admits IPv{family}, and no IPv{family} ruleset was given for {names[id(side)]}",
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
            f"what both sides leave undecided in the same way is no difference{told}",
            remedy("N2P509"),
            tuple(rules),
            file="" if rules else before.files[0],
        )
