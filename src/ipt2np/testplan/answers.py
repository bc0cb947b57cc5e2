"""Decision and reading as one map from packets to answers, for each class of sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ipt2np.cni.base import EXTERNAL, NODE, POD, SOURCE_CLASSES, Reading
from ipt2np.conversion import Conversion
from ipt2np.packets import Field, PacketMap, PacketSet, PacketSpace
from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.proof.prove import class_packets
from ipt2np.semantics import Decision
from ipt2np.semantics.outcomes import IMPOSSIBLE
from ipt2np.testplan.case import Packet

NOTHING = 0
"""The value of packets that nobody can send, or that the plan is not about."""
CLIENT_PORTS = (1024, 0xFFFF)
"""Source ports that a client is given where it asks for none (ip(7), ip_local_port_range, at its widest)."""

_BITS, _POD = 2, 3
"""The pod's answer is the last two bits of a value, the host's is what stands before."""
_UNDEFINED = 2
_VALUE_OF = {0: 1, 1: 2, _UNDEFINED: 3}
"""Refused, admitted, undefined: never 0, so that no answer is ``NOTHING``."""


class ClassAnswers:
    """What host and pod answer to one class of sources."""

    def __init__(self, answers: Answers, name: str, declared: bool, packets: PacketSet) -> None:
        self.name = name
        self.declared = declared
        """True where it is known which addresses are of the class."""
        self._answers = answers
        self._packets = packets & answers.decision.judged
        self._pods: dict[int, frozenset[int]] = {}

    @property
    def reading(self) -> Reading:
        """What reaches the pod."""
        return self._answers.readings[self.name]

    @cached_property
    def apart(self) -> PacketSet:
        """Packets whose reading is another one than that of external sources."""
        reading, external = self.reading, self._answers.readings[EXTERNAL]
        return (
            (reading.admits - external.admits)
            | (external.admits - reading.admits)
            | (reading.undefined - external.undefined)
            | (external.undefined - reading.undefined)
        )

    @cached_property
    def alike(self) -> PacketMap:
        """Packets to answers: equal where host and pod do the same; ``NOTHING`` where there is no such packet."""
        return self._joined(self._answers.possibilities, self._packets)

    def decided(self, within: PacketSet | None = None) -> PacketMap:
        """The same, told apart by the rules that decided, too."""
        packets = self._packets if within is None else self._packets & within
        return self._joined(self._answers.decision.connections, packets)

    def _joined(self, host: PacketMap, packets: PacketSet) -> PacketMap:
        """The values of a map of the host's, and the pod's answers."""
        space, reading = host.space, self.reading
        pods = PacketMap(space, reading.admits.node).over(~reading.undefined, space.constant(_UNDEFINED))
        return space.combine(
            lambda v: NOTHING if v[0] == NOTHING else v[0] << _BITS | _VALUE_OF[v[1]],
            host.within(packets, NOTHING),
            pods,
        )

    def everywhere(self, packet: Packet) -> bool:
        """True where the pod answers all sources alike, whatever port a client was given."""
        space = self.alike.space
        node = descend(space, self.alike.node, packet, Field.DESTINATION_PORT)
        found: set[int] = set()
        for low, high, rest in space.diagram.split(node, Field.SOURCE_PORT.first, Field.SOURCE_PORT.bits):
            if high >= CLIENT_PORTS[0] and low <= CLIENT_PORTS[1]:
                if rest not in self._pods:
                    values = space.diagram.values(rest) - {NOTHING}
                    self._pods[rest] = frozenset(value & _POD for value in values)
                found |= self._pods[rest]
        return len(found) == 1 and _VALUE_OF[_UNDEFINED] not in found

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
    def possibilities(self) -> PacketMap:
        """What can become of each packet on the host, without the rules that decide it (``Can``)."""
        can = self.decision.outcomes.can
        judged = self.decision.connections.within(self.decision.judged, IMPOSSIBLE)
        return PacketMap(
            judged.space, judged.space.diagram.replace(judged.node, lambda value: int(can[value]))
        )

    @cached_property
    def classes(self) -> Mapping[str, ClassAnswers]:
        """Each class's answers, by its name."""
        cluster = self.conversion.draft.options.cluster
        packets = class_packets(self.decision.space, cluster)
        declared = {EXTERNAL: True, POD: bool(cluster.pod_cidrs), NODE: bool(cluster.node_cidrs)}
        return {name: ClassAnswers(self, name, declared[name], packets[name]) for name in SOURCE_CLASSES}
