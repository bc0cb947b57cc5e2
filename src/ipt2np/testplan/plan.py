"""From a conversion to its test plan: which packets are asked for, in which order, and what is expected of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property, partial
from ipaddress import ip_address
from itertools import islice

from ipt2np.cni.base import POD
from ipt2np.conversion import Conversion
from ipt2np.errors import UsageError
from ipt2np.findings import Difference
from ipt2np.packets import Field, PacketMap, PacketSet
from ipt2np.proof.boxes import PORTED
from ipt2np.semantics import Can
from ipt2np.semantics.local import PortMapping
from ipt2np.semantics.outcomes import IMPOSSIBLE
from ipt2np.testplan.answers import NOTHING, Answers, ClassAnswers, descend
from ipt2np.testplan.boundaries import Point, Survey, box_packet
from ipt2np.testplan.case import How, OnHost, OnPod, Packet, ProbeCase, Reason, TestPlan, Why

MOST_CASES = 200
MOST_COUNTED = 100_000
"""Boundaries and parts that are counted where they are left out."""

_EFFECTS = {Difference.CLOSES: "the policy closes this", Difference.OPENS: "the policy opens this"}
_HOW = {Can.DROP: How.DROPPED, Can.REJECT: How.REJECTED, Can.DIVERT: How.DIVERTED}


def plan_probes(conversion: Conversion, most: int = MOST_CASES, senders: Sequence[str] = ()) -> TestPlan:
    """At most ``most`` probes, those that matter most first.

    A witness of every difference comes first; then for each class of sources and each service a packet for every pair of
    answers; then, taking turns, both sides of every boundary between ports, a packet for all that the same rules
    decide, and both sides of every boundary between sources. ``senders`` are addresses that probes can be sent
    from: they are taken wherever there is a choice. UsageError where the policy is a host's own.
    """
    if conversion.draft.decision.interfaces is not None:
        raise UsageError("a test plan is for the pods that replace a host")
    return _Planner(conversion, senders).plan(most)


@dataclass(frozen=True)
class _Asked:
    """A point for one class of sources."""

    source_class: str
    point: Point
    findings: tuple[str, ...] = ()


class _Planner:
    def __init__(self, conversion: Conversion, senders: Sequence[str]) -> None:
        self.conversion = conversion
        self.decision = conversion.draft.decision
        self.answers = Answers(conversion)
        self.senders = {
            family: [int(each) for each in map(ip_address, senders) if each.version == family]
            for family in (4, 6)
        }
        self.mapped = self.decision.assumptions["port-mapping"] == "mapped"

    def plan(self, most: int) -> TestPlan:
        found: dict[tuple[str, Packet], ProbeCase] = {}
        asked = self._asked()
        left_out = sum(self._add(found, each, most) for each in islice(asked, MOST_COUNTED))
        return TestPlan(tuple(found.values()), left_out, next(asked, None) is not None)

    def _add(self, found: dict[tuple[str, Packet], ProbeCase], asked: _Asked, most: int) -> bool:
        """Adds a point's packets; True where one of them found no place."""
        if len(found) >= most:
            return True
        probes = asked.point.probes()
        made = [self._case(asked.source_class, packet) for packet, _ in probes]
        for number, ((_, text), case) in enumerate(zip(probes, made, strict=True)):
            beyond = made[1 - number].rules if len(made) == 2 else ()
            reason = Reason(asked.point.why, text, asked.findings, beyond)
            key = (asked.source_class, case.packet)
            if key in found:
                known = found[key]
                if reason not in known.reasons:
                    found[key] = replace(known, reasons=(*known.reasons, reason))
            elif len(found) < most:
                found[key] = replace(case, reasons=(reason,))
            else:
                return True
        return False

    # -- what to ask for ---------------------------------------------------------------------------------

    def _asked(self) -> Iterator[_Asked]:
        """Everything that could be asked for.

        An address that is not known to be a pod's or node's is external too: of those classes nothing is asked that
        is answered as it is to external sources. But services are asked of pods, as they are what tests in the
        cluster can be sent from.
        """
        yield from self._differences()
        turns: list[Iterator[_Asked]] = []
        for each in self.answers.classes.values():
            new = None if each.declared else each.apart
            alike = _within(each.alike, new)
            services = each.alike if each.name == POD else alike
            yield from self._of_class(each, Survey.answers, services)
            turns += [
                self._of_class(each, Survey.ports, services),
                self._of_class(each, Survey.values, each.decided(new)),
                self._of_class(each, Survey.sources, alike),
            ]
        yield from _in_turn(turns)

    def _differences(self) -> Iterator[_Asked]:
        for each in self.conversion.proof.differences:
            text = _EFFECTS[each.effect] + ("" if each.certain else ", maybe")
            packet = box_packet(each.box, self.senders[each.box.family])
            point = Point(Why.DIFFERENCE, partial(_single, packet, text))
            yield _Asked(each.source_class, point, each.findings)

    def _of_class(
        self, one: ClassAnswers, points: Callable[[Survey], Iterator[Point]], answers: PacketMap
    ) -> Iterator[_Asked]:
        for family in self.decision.families:
            for point in points(Survey(answers, family, self.senders[family])):
                yield _Asked(one.name, point)

    # -- what is expected --------------------------------------------------------------------------------

    def _case(self, source_class: str, packet: Packet) -> ProbeCase:
        decision, outcomes, fields = self.decision, self.decision.outcomes, packet.fields()
        outcome = decision.connections.at(fields) if fields in decision.judged else IMPOSSIBLE
        can = outcomes.can[outcome]
        host, how, what = OnHost.UNDECIDED, None, Can.ACCEPT | Can.REFUSE
        if can is Can.ACCEPT:
            host, what = OnHost.ACCEPTED, Can.ACCEPT
        elif can and not can & Can.ACCEPT:
            host, what = OnHost.REFUSED, Can.REFUSE
            how = How.LATER if outcomes.opening(outcome) & Can.ACCEPT else _HOW.get(can)
        behind = outcomes.deciders({outcome}, what)
        if host is OnHost.UNDECIDED:
            behind |= outcomes.causes({outcome})
        answers = self.answers.classes[source_class]
        matters = packet.protocol in PORTED and answers.source_port_matters(packet)
        return ProbeCase(
            source_class,
            packet,
            host,
            self._on_pod(source_class, fields),
            tuple(decision.rules[number] for number in sorted(behind) if number in decision.rules),
            (),
            how,
            self._policies(packet.family, behind),
            packet.source_port if matters else None,
            self._host_port(packet),
            answers.everywhere(packet),
        )

    def _policies(self, family: int, behind: Set[int]) -> tuple[str, ...]:
        if family not in self.decision.families:
            return (f"no IPv{family} ruleset",)
        found = [
            self.decision.policies[number] for number in sorted(behind) if number in self.decision.policies
        ]
        return tuple(f"{each.chain} policy {each.effect}" for each in found)

    def _on_pod(self, source_class: str, fields: Mapping[Field, int]) -> OnPod:
        reading = self.answers.readings[source_class]
        if fields in reading.undefined:
            return OnPod.UNDEFINED
        return OnPod.ADMITTED if fields in reading.admits else OnPod.REFUSED

    @cached_property
    def _moved(self) -> Mapping[int, Sequence[tuple[PortMapping, PacketSet, PacketSet]]]:
        """By family: what nat sends to other ports, and which wire packets may be and are, wherever they come in."""
        return {
            side.family: [
                (each, _anywhere(each.packets), _anywhere(each.certain))
                for each in side.mappings
                if each.rewrite.ports is not None
            ]
            for side in reversed(self.decision.sides)
        }

    def _host_port(self, packet: Packet) -> int | None:
        """The port that leads to the packet's on the host; None where none does for certain."""
        if packet.protocol not in PORTED:
            return None
        moved, fields = self._moved.get(packet.family, ()), packet.fields()
        away = any(fields in certain for _, _, certain in moved)
        if not self.mapped and not any(fields in may for _, may, _ in moved):
            return packet.port
        for mapping, _, certain in moved:
            if mapping.rewrite.ports == (packet.port, packet.port):
                leading = self._wire_port(certain, packet)
                if leading is not None:
                    return leading
        return None if away else packet.port

    def _wire_port(self, moved: PacketSet, packet: Packet) -> int | None:
        diagram = moved.space.diagram
        node = descend(moved.space, moved.node, packet, Field.ICMP_CODE)
        for low, _, _ in diagram.split(node, Field.DESTINATION_PORT.first, Field.DESTINATION_PORT.bits):
            if replace(packet, port=max(low, 1)).fields() in moved:
                return max(low, 1)
        return None


def _single(packet: Packet, text: str) -> Sequence[tuple[Packet, str]]:
    return ((packet, text),)


def _anywhere(packets: PacketSet) -> PacketSet:
    return packets.some(Field.DESTINATION).some(Field.INTERFACE)


def _within(answers: PacketMap, packets: PacketSet | None) -> PacketMap:
    return answers if packets is None else answers.within(packets, NOTHING)


def _in_turn(several: Sequence[Iterator[_Asked]]) -> Iterator[_Asked]:
    """One of each after the other, until all have ended."""
    waiting = list(several)
    while waiting:
        left = []
        for each in waiting:
            asked = next(each, None)
            if asked is not None:
                yield asked
                left.append(each)
        waiting = left
