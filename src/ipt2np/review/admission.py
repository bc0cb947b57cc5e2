"""What policies say of one packet: admitted or not, by which of their rules, or which rules come nearest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from ipt2np.cni.base import EXTERNAL, NODE, POD, Cluster, Reading
from ipt2np.conversion import Options, target
from ipt2np.packets import AddressSet, Field, PacketSet
from ipt2np.policies.loading import Policies
from ipt2np.policies.matching import PolicyRule, policy_rules
from ipt2np.proof.assumed import as_assumed
from ipt2np.review.verification import read_for
from ipt2np.semantics import Decision
from ipt2np.semantics.nat import image

_NEAR = ("allow",)


class Admitted(Enum):
    """What policies say of a set of packets."""

    YES = "admitted"
    NO = "refused"
    SOME = "admitted in part"
    """Some of the packets that agree with what was said are admitted."""
    OPEN = "open"
    """The target's documents leave it open."""


@dataclass(frozen=True, slots=True)
class Near:
    """A rule that admits such packets but for one thing."""

    rule: PolicyRule
    field: Field


@dataclass(frozen=True)
class Admission:
    """What the policies say of a packet, and why."""

    verdict: Admitted
    source_class: str
    rules: tuple[PolicyRule, ...]
    """The rules that match it, those that allow and those that deny, in the order of the files."""
    near: tuple[Near, ...]
    """Where no rule matches: those that would, were the source or the port another one."""
    selected: bool
    """False where nothing keeps packets from the pods: no policy for ingress selects them."""
    packets: PacketSet
    """The packets as the pods see them: to the port that nat sends them to."""


def admission(decision: Decision, policies: Policies, options: Options, wire: PacketSet) -> Admission:
    """What the policies say of packets as they are on the wire, sent to the pods of ``options.identity``.

    InputError where the policies do not go together; UsageError where options contradict each other.
    """
    cni = target(options)
    cluster = cni.as_set(options.cluster)
    space = decision.space
    read = read_for(policies, cni, options, space)
    held = cni.always(space) & decision.must_accept
    readings = as_assumed(
        {name: Reading(each.admits | held, each.undefined) for name, each in read.items()},
        options.assumptions,
        cluster,
        space,
    )
    nobody = cni.read([], options.identity, cluster, space)
    name = _class_of(wire, cluster)
    packets = local_packets(decision, wire)
    rules = policy_rules(policies.manifests, cni, options.identity, cluster, space)
    selected = any(read[each] != nobody[each] for each in read)
    matching = tuple(rule for rule in rules if rule.action != "log" and rule.matches[name].meets(packets))
    verdict = _verdict(readings[name], packets)
    near = () if matching else tuple(_near(rules, name, packets))
    return Admission(verdict, name, matching, near, selected, packets)


def _verdict(reading: Reading, packets: PacketSet) -> Admitted:
    if packets.meets(reading.undefined):
        return Admitted.OPEN
    if packets <= reading.admits:
        return Admitted.YES
    return Admitted.SOME if packets.meets(reading.admits) else Admitted.NO


def _class_of(packets: PacketSet, cluster: Cluster) -> str:
    """Who sends packets of one source, by what was said of the cluster."""
    space = packets.space
    for name, cidrs in ((POD, cluster.pod_cidrs), (NODE, cluster.node_cidrs)):
        for family in (4, 6):
            own = [cidr for cidr in cidrs if (":" in cidr) == (family == 6)]
            if own and packets.meets(space.addresses(Field.SOURCE, AddressSet.cidrs(*own))):
                return name
    return EXTERNAL


def local_packets(decision: Decision, wire: PacketSet) -> PacketSet:
    """The packets as a program on the host sees them: to the port that nat sends them to."""
    result = wire
    for side in decision.sides:
        for mapping in side.mappings:
            if mapping.rewrite.ports is not None:
                result -= mapping.certain
    for side in decision.sides:
        for mapping in side.mappings:
            if mapping.rewrite.ports is not None and mapping.packets.meets(wire):
                result |= image(wire & mapping.packets, mapping.rewrite)
    return result


def _near(rules: tuple[PolicyRule, ...], name: str, packets: PacketSet) -> Iterator[Near]:
    """Rules that allow the same from other sources, or the same source something else."""
    for field in (Field.SOURCE, Field.DESTINATION_PORT):
        others = packets.some(field)
        for rule in rules:
            if rule.action in _NEAR and rule.matches[name].meets(others):
                yield Near(rule, field)


def admission_data(found: Admission, cni: str, pods: Mapping[str, str]) -> dict[str, object]:
    """The same as plain data."""
    return {
        "verdict": found.verdict.value,
        "cni": cni,
        "pods": dict(pods),
        "source_class": found.source_class,
        "selected": found.selected,
        "rules": [_place(rule) for rule in found.rules],
        "near": [{**_place(each.rule), "but": each.field.title} for each in found.near],
    }


def _place(rule: PolicyRule) -> dict[str, object]:
    first, last = rule.manifest.span(rule.path)
    return {
        "file": rule.manifest.file,
        "line": first,
        "end": last,
        "pointer": rule.pointer,
        "action": rule.action,
    }
