"""Decision and reading as one map from packets to answers, for each class of sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ipt2np.cni.base import NODE, POD, SOURCE_CLASSES, Reading
from ipt2np.conversion import Conversion
from ipt2np.packets import Field, PacketMap, PacketSet, PacketSpace
from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.proof.prove import class_packets
from ipt2np.semantics import Decision
from ipt2np.semantics.outcomes import IMPOSSIBLE
from ipt2np.testplan.case import OnPod, Packet

NOTHING = 0
"""The value of packets that nobody can send, or that the plan is not about."""
CLIENT_PORTS = (1024, 0xFFFF)
"""Source ports that a client is given where it asks for none (ip(7), ip_local_port_range, at its widest)."""

_PODS = (None, OnPod.REFUSED, OnPod.ADMITTED, OnPod.UNDEFINED)
_BITS = 2


def pod_answer(value: int) -> OnPod:
    """The pod's part of a value of a map of answers."""
    found = _PODS[value & 3]
    assert found is not None
    return found


def host_part(value: int) -> int:
    """The host's part: what can become of the packet (``Can``), or the outcome, as the map is."""
    return value >> _BITS


@dataclass(frozen=True)
class ClassAnswers:
    """What host and pod answer to one class of sources."""

    name: str
    declared: bool
    """True where it is known which addresses are of the class."""
    alike: PacketMap
    """Packets to answers: equal where host and pod do the same. 0 where there is no such packet."""
    decided: PacketMap
    """The same, told apart by the rules that decided, too."""
    apart: PacketSet
    """Packets whose reading is another one than that of external sources."""

    def everywhere(self, packet: Packet) -> bool:
        """True where the pod answers all sources alike, whatever port a client was given."""
        space = self.alike.space
        node = descend(space, self.alike.node, packet, Field.DESTINATION_PORT)
        found: set[int] = set()
        for low, high, rest in space.diagram.split(node, Field.SOURCE_PORT.first, Field.SOURCE_PORT.bits):
            if high >= CLIENT_PORTS[0] and low <= CLIENT_PORTS[1]:
                found |= {value & 3 for value in space.diagram.values(rest) if value != NOTHING}
        return len(found) == 1 and OnPod.UNDEFINED not in {_PODS[value] for value in found}

    def source_port_matters(self, packet: Packet) -> bool:
        """True where another source port may be given another answer."""
        space = self.alike.space
        node = descend(space, self.alike.node, packet, Field.DESTINATION_PORT)
        values = {
            space.diagram.value(descend(space, rest, packet, Field.SOURCE))
            for _, _, rest in space.diagram.split(node, Field.SOURCE_PORT.first, Field.SOURCE_PORT.bits)
        }
        return len(values - {NOTHING}) > 1


def descend(space: PacketSpace, node: int, packet: Packet, last: Field) -> int:
    """The node behind all of the packet's fields up to and with ``last``."""
    diagram, values = space.diagram, packet.fields()
    fields = [field for field in Field if field.first <= last.first]
    while diagram.level[node] <= last.last:
        level = diagram.level[node]
        field = next(each for each in fields if each.first <= level <= each.last)
        bits = ADDRESS_BITS[packet.family] if field is Field.SOURCE else field.bits
        bit = values.get(field, 0) >> (bits - 1 - (level - field.first)) & 1
        node = diagram.high[node] if bit else diagram.low[node]
    return node


@dataclass(frozen=True)
class Answers:
    """All of a conversion's answers."""

    conversion: Conversion

    @property
    def decision(self) -> Decision:
        """The host's side."""
        return self.conversion.draft.decision

    @cached_property
    def readings(self) -> Mapping[str, Reading]:
        """What reaches the pod: what the policy lets through, and what the platform lets in whatever it says."""
        held = self.conversion.draft.cni.always(self.decision.space)
        return {
            name: Reading(each.admits | held, each.undefined - held)
            for name, each in self.conversion.readings.items()
        }

    @cached_property
    def classes(self) -> Mapping[str, ClassAnswers]:
        """Each class's answers, by its name."""
        return {each.name: each for each in self._classes()}

    def _classes(self) -> Iterator[ClassAnswers]:
        decision, outcomes = self.decision, self.decision.outcomes
        space = decision.space
        cluster = self.conversion.draft.options.cluster
        packets = class_packets(space, cluster)
        external = self.readings[SOURCE_CLASSES[0]]

        def of(values: tuple[int, ...]) -> int:
            outcome, admitted, undefined, counted = values
            if outcome == IMPOSSIBLE or not counted:
                return NOTHING
            return outcome << _BITS | (3 if undefined else 2 if admitted else 1)

        def without_deciders(value: int) -> int:
            return int(outcomes.can[value >> _BITS]) << _BITS | value & 3

        for name in SOURCE_CLASSES:
            reading = self.readings[name]
            sets = (reading.admits, reading.undefined, packets[name] & decision.judged)
            maps = [PacketMap(space, each.node) for each in sets]
            decided = space.combine(of, decision.connections, *maps)
            alike = PacketMap(space, space.diagram.replace(decided.node, without_deciders))
            apart = (
                (reading.admits - external.admits)
                | (external.admits - reading.admits)
                | (reading.undefined - external.undefined)
                | (external.undefined - reading.undefined)
            )
            known = {POD: cluster.pod_cidrs, NODE: cluster.node_cidrs}.get(name, ("everything",))
            yield ClassAnswers(name, bool(known), alike, decided, apart)
