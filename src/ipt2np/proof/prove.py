"""Compares a reading of the emitted YAML with the decision, and holds every difference against the findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ipt2np.cni.base import EXTERNAL, NODE, POD, SOURCE_CLASSES, Cluster, Reading
from ipt2np.errors import InternalError
from ipt2np.findings import Difference, Finding
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.proof.boxes import Box, describe, readable
from ipt2np.semantics import Decision


class Verdict(Enum):
    """How the policy compares with the ruleset."""

    EQUAL = "equal"
    NARROWER = "narrower"
    """It only closes."""
    WIDER = "wider"
    """It only opens."""
    DIFFERS = "differs"

    @classmethod
    def of(cls, closes: bool, opens: bool) -> Verdict:
        """The verdict for a policy that closes, opens, both or neither."""
        if closes:
            return cls.DIFFERS if opens else cls.NARROWER
        return cls.WIDER if opens else cls.EQUAL


@dataclass(frozen=True, slots=True)
class ProvenDifference:
    """Packets that the policy treats differently, and the findings that explain them."""

    effect: Difference
    certain: bool
    source_class: str
    box: Box
    findings: tuple[str, ...]


@dataclass(frozen=True)
class Proof:
    """The verdict on external sources, the classes beside it, and every difference."""

    verdict: Verdict
    by_class: Mapping[str, Verdict]
    differences: tuple[ProvenDifference, ...]
    closes: PacketSet
    opens: PacketSet


def class_packets(space: PacketSpace, cluster: Cluster) -> dict[str, PacketSet]:
    """Which packets can come from which class; an undeclared address may be anybody's."""

    def sources(cidrs: Sequence[str]) -> PacketSet:
        result = space.nothing
        for cidr in cidrs:
            result |= space.addresses(Field.SOURCE, AddressSet.cidrs(cidr))
        return result

    pods, nodes = sources(cluster.pod_cidrs), sources(cluster.node_cidrs)
    return {
        EXTERNAL: space.everything - pods - nodes,
        POD: pods if pods else space.everything - nodes,
        NODE: nodes if nodes else space.everything - pods,
    }


def prove(
    decision: Decision,
    readings: Mapping[str, Reading],
    findings: Sequence[Finding],
    cluster: Cluster | None = None,
) -> Proof:
    """The verdict and every difference with its witness.

    ``findings`` must predict every difference, class by class; InternalError, with a witness, where one lies outside
    what they predict. Differences of pods and nodes are certain only where ``cluster`` says which addresses are theirs.
    """
    space, cluster = decision.space, cluster or Cluster()
    classes = class_packets(space, cluster)
    declared = {EXTERNAL: True, POD: bool(cluster.pod_cidrs), NODE: bool(cluster.node_cidrs)}
    must, may = decision.must_accept, decision.may_accept
    by_class: dict[str, Verdict] = {}
    found: list[ProvenDifference] = []
    outside = {Difference.CLOSES: space.nothing, Difference.OPENS: space.nothing}
    for name in SOURCE_CLASSES:
        reading = readings[name]
        packets = classes[name] & (decision.judged | decision.unspoken)
        answered = packets - reading.undefined
        differing = {
            Difference.CLOSES: (may - reading.admits) & packets,
            Difference.OPENS: (reading.admits - must) & packets,
        }
        for effect, some in differing.items():
            _explained(effect, some if name == EXTERNAL else some & answered, name, findings)
        differing = {effect: some & answered for effect, some in differing.items()}
        # Services that are open for external sources too are outside every verdict; what is open for a class alone
        # leaves it without one.
        own = (packets & decision.judged & reading.undefined) - readings[EXTERNAL].undefined.some(
            Field.SOURCE
        )
        if name == EXTERNAL or not own.meets(_named(decision)):
            by_class[name] = Verdict.of(bool(differing[Difference.CLOSES]), bool(differing[Difference.OPENS]))
        for effect, certainly in ((Difference.CLOSES, must), (Difference.OPENS, ~may - decision.unspoken)):
            # What is told of external sources holds for every address that may be theirs: it is not told twice.
            new = differing[effect] if name == EXTERNAL else differing[effect] - outside[effect]
            found += _differences(decision, effect, new, certainly, name, declared[name], findings)
        if name == EXTERNAL:
            outside = differing
    return Proof(
        by_class[EXTERNAL], by_class, tuple(found), outside[Difference.CLOSES], outside[Difference.OPENS]
    )


def _named(decision: Decision) -> PacketSet:
    """Packets of the protocols that a policy can name."""
    return decision.space.values(Field.PROTOCOL, ((6, 6), (17, 17), (132, 132)))


def _explained(
    effect: Difference, packets: PacketSet, source_class: str, findings: Sequence[Finding]
) -> None:
    for predicted in _predictions(effect, source_class, findings):
        packets -= predicted[1]
    if packets:
        whose = "" if source_class == EXTERNAL else f" of a {source_class}"
        raise InternalError(
            f"the policy {effect.value} packets{whose} that no finding predicts, for example "
            f"{describe(packets)}; nothing was written"
        )


def _predictions(
    effect: Difference, source_class: str, findings: Sequence[Finding]
) -> Iterator[tuple[str, PacketSet]]:
    for finding in findings:
        for predicted in finding.predicted:
            if predicted.effect is effect and source_class in predicted.source_classes:
                yield finding.code, predicted.packets


def _differences(
    decision: Decision,
    effect: Difference,
    packets: PacketSet,
    certainly: PacketSet,
    source_class: str,
    declared: bool,
    findings: Sequence[Finding],
) -> Iterator[ProvenDifference]:
    if not packets:
        return
    impossible = impossible_sources(decision)
    predictions = list(_predictions(effect, source_class, findings))
    for certain, part in ((True, packets & certainly), (False, packets - certainly)):
        for codes, explained in _by_findings(part, predictions):
            for box in readable(explained, impossible, decision.interfaces):
                yield ProvenDifference(effect, certain and declared, source_class, box, codes)


def impossible_sources(decision: Decision) -> dict[int, AddressSet]:
    """Sources that no packet has of which something can be said, by family."""
    space, seen = decision.space, decision.judged | decision.unspoken
    for field in Field:
        if field not in (Field.FAMILY, Field.SOURCE):
            seen = seen.some(field)
    return {family: space.source_addresses(~space.of_family(seen, family), family) for family in (4, 6)}


def _by_findings(
    packets: PacketSet, predictions: Sequence[tuple[str, PacketSet]]
) -> list[tuple[tuple[str, ...], PacketSet]]:
    """``packets`` cut by which findings predict them."""
    parts: list[tuple[tuple[str, ...], PacketSet]] = [((), packets)]
    for code, predicted in predictions:
        parts = [
            piece
            for codes, part in parts
            for piece in (
                (codes if code in codes else (*codes, code), part & predicted),
                (codes, part - predicted),
            )
            if piece[1]
        ]
    merged: dict[tuple[str, ...], PacketSet] = {}
    for codes, part in parts:
        merged[codes] = merged[codes] | part if codes in merged else part
    return sorted(merged.items(), key=lambda item: item[0])
