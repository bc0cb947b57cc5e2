"""From the wire to the host's own ports: what a decision on wire packets says of the ports that programs listen on.

A pod stands for a local port. Several wire ports may lead to one (REDIRECT, DNAT to an own address), and what comes
to a port that nat takes away from it never reaches that port. Where the ways to a local port are judged differently,
that is left open, with ``WAYS`` as its cause; the assumption ``port-mapping=mapped`` leaves the direct way out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ipt2np.packets import Field, PacketMap, PacketSet
from ipt2np.packets.intervals import Range
from ipt2np.semantics.outcomes import ADDRESS, IMPOSSIBLE, WAYS, Can, Outcomes
from ipt2np.semantics.states import Rewrite
from ipt2np.semantics.walk import Walker


@dataclass(frozen=True, slots=True)
class PortMapping:
    """Wire packets that nat sends to other local ports, and to which."""

    rewrite: Rewrite
    packets: PacketSet
    """As they are on the wire; those that may be sent there."""
    certain: PacketSet
    """Those that certainly are, if nothing drops them before."""


def port_mappings(walker: Walker, possible: PacketSet) -> tuple[PortMapping, ...]:
    """What nat does to the possible packets, one entry for each look that it gives them."""
    if not any(each.rewrite for each in walker.rewritings.values()):
        return ()
    stages = walker.stages()
    looks = {
        value: {walker.states[state].nat for state in walker.outcomes.passes(value)}
        for value in stages.values()
    }
    rewrites = sorted(
        {rewrite for seen in looks.values() for rewrite in seen if rewrite}, key=lambda r: r.rule
    )
    result = []
    for rewrite in rewrites:
        packets = stages.where(lambda value, rewrite=rewrite: rewrite in looks[value]) & possible  # type: ignore[misc]
        certain = stages.where(lambda value, rewrite=rewrite: looks[value] == {rewrite}) & packets  # type: ignore[misc]
        if packets:
            result.append(PortMapping(rewrite, packets, certain))
    return tuple(result)


def published(mapping: PortMapping) -> list[tuple[int, tuple[Range, ...]]]:
    """The wire ports of a mapping: protocol number and canonical ranges, ascending."""
    packets = mapping.packets
    space = packets.space
    for field in Field:
        if field not in (Field.FAMILY, Field.PROTOCOL, Field.DESTINATION_PORT):
            packets = packets.some(field)
    packets = packets.some(Field.FAMILY)
    return [
        (protocol, tuple((low, high) for low, high, _ in space.split(rest, Field.DESTINATION_PORT)))
        for first, last, rest in space.split(packets, Field.PROTOCOL)
        for protocol in range(first, last + 1)
    ]


def local(
    wire: PacketMap, found: Sequence[PortMapping], outcomes: Outcomes, *, direct: bool = True
) -> PacketMap:
    """The map over local packets behind ``wire``, the one over wire packets (IMPOSSIBLE where none can exist).

    Where no wire packet leads to a local port, the rule that took them all away refuses it. ``direct`` is False
    where ports that nat leads to are reached that way only.
    """
    space = wire.space
    existing = wire.where(lambda value: value != IMPOSSIBLE)
    moved = [each for each in found if each.rewrite.ports is not None]
    result, sure = wire, existing
    for each in moved:
        result = space.constant(IMPOSSIBLE).over(each.certain, result)
        sure -= each.packets
    for each in moved:
        way = _at_ports(wire.within(each.packets, IMPOSSIBLE), each.rewrite, outcomes)
        certainly = _at_ports(wire.within(each.certain, IMPOSSIBLE), each.rewrite, outcomes)
        if direct:
            result = space.combine(lambda v: outcomes.either(WAYS, v[0], v[1]), result, way)
        else:
            result = way.over(way.where(lambda value: value != IMPOSSIBLE), result)
        sure |= certainly.where(lambda value: value != IMPOSSIBLE)
    for each in moved:
        rule, gone = each.rewrite.rule, outcomes.deny(each.rewrite.rule, Can.DROP)
        result = result.revised(
            each.packets - sure,
            lambda value, rule=rule, gone=gone: outcomes.either(rule, value, gone),  # type: ignore[misc]
        )
    return result


def _at_ports(moved: PacketMap, rewrite: Rewrite, outcomes: Outcomes) -> PacketMap:
    """What comes out at the local ports of a rewrite, whatever port and address it was sent to."""
    assert rewrite.ports is not None
    arriving = moved.without(Field.DESTINATION_PORT, lambda a, b: outcomes.either(WAYS, a, b))
    arriving = arriving.without(Field.DESTINATION, lambda a, b: outcomes.either(ADDRESS, a, b))
    return arriving.within(moved.space.values(Field.DESTINATION_PORT, (rewrite.ports,)), IMPOSSIBLE)
