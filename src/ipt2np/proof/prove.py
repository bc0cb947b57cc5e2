"""Compares a reading of the emitted YAML with the decision, and holds every difference against the findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ipt2np.cni.base import Reading
from ipt2np.errors import InternalError
from ipt2np.findings import Difference, Finding
from ipt2np.packets import AddressSet, Field, PacketSet
from ipt2np.proof.boxes import Box, boxes, describe
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


def _class_packets(
    decision: Decision, pod_cidrs: Sequence[str], node_cidrs: Sequence[str]
) -> dict[str, PacketSet]:
    """Which packets can come from which class; an undeclared address may be any."""
    space = decision.space

    def sources(cidrs: Iterable[str]) -> PacketSet:
        result = space.nothing
        for cidr in cidrs:
            result |= space.addresses(Field.SOURCE, AddressSet.cidrs(cidr))
        return result

    pods, nodes = sources(pod_cidrs), sources(node_cidrs)
    return {
        "external": space.everything - pods - nodes,
        "pod": pods if pods else space.everything - nodes,
        "node": nodes if nodes else space.everything - pods,
    }


def prove(
    decision: Decision,
    readings: Mapping[str, Reading],
    findings: Sequence[Finding],
    *,
    pod_cidrs: Sequence[str] = (),
    node_cidrs: Sequence[str] = (),
) -> Proof:
    """The verdict and every difference with its witness.

    ``findings`` must predict every difference; InternalError, with a witness, where one lies outside what
    they predict, also among packets that are outside the verdict.
    """
    space = decision.space
    classes = _class_packets(decision, pod_cidrs, node_cidrs)
    must, may = decision.must_accept, decision.may_accept
    unknown_families = space.everything
    for family in decision.families:
        unknown_families -= space.family(family)
    by_class: dict[str, Verdict] = {}
    external_closes, external_opens = space.nothing, space.nothing
    for name, reading in readings.items():
        packets = classes[name] & (decision.judged | unknown_families)
        closes = (may - reading.admits) & packets
        opens = (reading.admits - must) & packets
        answered = packets - reading.undefined
        if name == "external":
            _explained(decision, closes, opens, findings)
            external_closes, external_opens = closes & answered, opens & answered
        named = ~reading.undefined
        if name == "external" or not (packets & reading.undefined & _named(decision)):
            by_class[name] = Verdict.of(bool(closes & packets & named), bool(opens & packets & named))
    differences = (
        *_differences(decision, Difference.CLOSES, external_closes, must, findings),
        *_differences(decision, Difference.OPENS, external_opens, ~may, findings),
    )
    return Proof(by_class["external"], by_class, differences, external_closes, external_opens)


def _named(decision: Decision) -> PacketSet:
    """Packets of the protocols that a policy can name; what others mean is left open for every class."""
    return decision.space.values(Field.PROTOCOL, ((6, 6), (17, 17), (132, 132)))


def _explained(decision: Decision, closes: PacketSet, opens: PacketSet, findings: Sequence[Finding]) -> None:
    for effect, packets in ((Difference.CLOSES, closes), (Difference.OPENS, opens)):
        for finding in findings:
            for predicted in finding.predicted:
                if predicted.effect is effect:
                    packets -= predicted.packets
        if packets:
            raise InternalError(
                f"the policy {effect.value} packets that no finding predicts, for example "
                f"{describe(packets)}; nothing was written"
            )


def _differences(
    decision: Decision,
    effect: Difference,
    packets: PacketSet,
    certainly: PacketSet,
    findings: Sequence[Finding],
) -> Iterable[ProvenDifference]:
    impossible = _impossible_sources(decision)
    for certain, part in ((True, packets & certainly), (False, packets - certainly)):
        for codes, explained in _by_findings(part, effect, findings):
            for box in boxes(explained, impossible):
                yield ProvenDifference(effect, certain, "external", box, codes)


def _impossible_sources(decision: Decision) -> dict[int, AddressSet]:
    """Sources that no judged packet has, by family."""
    space, seen = decision.space, decision.judged
    for field in Field:
        if field not in (Field.FAMILY, Field.SOURCE):
            seen = seen.some(field)
    return {family: space.source_addresses(~space.of_family(seen, family), family) for family in (4, 6)}


def _by_findings(
    packets: PacketSet, effect: Difference, findings: Sequence[Finding]
) -> Iterable[tuple[tuple[str, ...], PacketSet]]:
    """``packets`` cut by which findings predict them."""
    parts: list[tuple[tuple[str, ...], PacketSet]] = [((), packets)]
    for finding in findings:
        for predicted in finding.predicted:
            if predicted.effect is not effect:
                continue
            parts = [
                piece
                for codes, part in parts
                for piece in (
                    (codes if finding.code in codes else (*codes, finding.code), part & predicted.packets),
                    (codes, part - predicted.packets),
                )
                if piece[1]
            ]
    merged: dict[tuple[str, ...], PacketSet] = {}
    for codes, part in parts:
        merged[codes] = merged[codes] | part if codes in merged else part
    return sorted(merged.items(), key=lambda item: item[0])
