"""What the nat table makes of a packet's destination: REDIRECT and DNAT (net/netfilter/xt_REDIRECT.c, xt_nat.c)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ipt2np.packets import AddressSet, Field, PacketMap, PacketSet
from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import Effect
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause, Rule, Ruleset, TargetUse
from ipt2np.rules.targets.nat import NatRange
from ipt2np.semantics.states import MOST_REWRITES, NAT_HOOK, ChainKey, Rewrite, effect_of

LOOPBACK: Mapping[int, AddressSet] = {4: AddressSet.cidrs("127.0.0.0/8"), 6: AddressSet.cidrs("::1/128")}
WHICH = "which address or port nat gives the connection"
MOST_ADDRESSES = 256
"""Of a range with more addresses it is not asked which are the host's own."""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What becomes of a packet at a rule that rewrites its destination; nothing of both where nobody can say."""

    rewrite: Rewrite | None = None
    """What the packet looks like behind the rule if it still is for the host."""
    forwards: bool = False
    """True where the packet goes, or may go, to another host."""


def rewritings(
    ruleset: Ruleset, below: Mapping[ChainKey, tuple[ChainKey, ...]], is_own: Callable[[int], bool | None]
) -> dict[int, Rewriting]:
    """Rule number to what the rule does, for every rule of the input path that rewrites.

    ``is_own`` says whether an address is the host's own, None where nobody knows. Equal rewrites share one
    ``Rewrite``; beyond ``MOST_REWRITES`` of them nothing is known.
    """
    result: dict[int, Rewriting] = {}
    shared: dict[tuple[Range | None, AddressSet | None, bool], Rewrite] = {}
    for base, keys in below.items():
        for key in keys:
            for rule in ruleset.chains[key].rules:
                if effect_of(rule) is not Effect.REWRITE or rule.number in result:
                    continue
                found = _rewriting(rule, ruleset.family, is_own) if base == NAT_HOOK else Rewriting()
                new = found.rewrite
                if new is not None:
                    looks = (new.ports, new.addresses, new.moves)
                    if looks not in shared and len(shared) >= MOST_REWRITES:
                        found = Rewriting()
                    else:
                        found = Rewriting(shared.setdefault(looks, new), found.forwards)
                result[rule.number] = found
    return result


def _rewriting(rule: Rule, family: int, is_own: Callable[[int], bool | None]) -> Rewriting:
    target = rule.target
    assert isinstance(target, TargetUse)
    if target.extension.name == "REDIRECT":
        return Rewriting(Rewrite(rule.number, _to_ports(target.clauses), None))
    if target.extension.name != "DNAT":
        return Rewriting()
    to = next((v for clause in target.clauses for v in clause.values if isinstance(v, NatRange)), None)
    if to is None or to.base_port is not None:
        return Rewriting()
    ports = (to.first_port, to.last_port) if to.first_port is not None and to.last_port is not None else None
    if to.first_address is None or to.last_address is None:
        return Rewriting(Rewrite(rule.number, ports, None, moves=False))
    if to.last_address < to.first_address:
        # The kernel holds such a range, and what it picks of it is an accident of its arithmetic.
        return Rewriting()
    addresses = AddressSet.of(family, [(to.first_address, to.last_address)])
    if (addresses | LOOPBACK[family]) == LOOPBACK[family] or not addresses.ranges:
        # Whether such a packet is let in depends on route_localnet.
        return Rewriting()
    if to.last_address - to.first_address >= MOST_ADDRESSES:
        return Rewriting(Rewrite(rule.number, ports, addresses), forwards=True)
    own = {is_own(address) for address in range(to.first_address, to.last_address + 1)}
    if own == {True}:
        return Rewriting(Rewrite(rule.number, ports, addresses))
    if own == {False}:
        return Rewriting(forwards=True)
    return Rewriting(Rewrite(rule.number, ports, addresses), forwards=True)


def _to_ports(clauses: tuple[Clause, ...]) -> Range | None:
    for clause in clauses:
        if clause.option == "--to-ports":
            ports = clause.values[0]
            assert isinstance(ports, tuple)
            return ports[0], ports[1]
    return None


def before(outcome: PacketMap, rewrite: Rewrite, join: Callable[[int, int], int]) -> PacketMap:
    """A map over packets behind nat as one over packets as they come in; what several looks differ in is joined.

    The value 0 must be neutral to ``join``.
    """
    space = outcome.space
    if rewrite.ports is not None:
        at_ports = space.values(Field.DESTINATION_PORT, (rewrite.ports,))
        outcome = outcome.within(at_ports, 0).without(Field.DESTINATION_PORT, join)
    if rewrite.moves:
        if rewrite.addresses is not None:
            outcome = outcome.within(space.addresses(Field.DESTINATION, rewrite.addresses), 0)
        outcome = outcome.without(Field.DESTINATION, join)
    return outcome


def image(packets: PacketSet, rewrite: Rewrite | None) -> PacketSet:
    """What packets look like behind nat."""
    if rewrite is None:
        return packets
    space = packets.space
    if rewrite.ports is not None:
        packets = packets.some(Field.DESTINATION_PORT) & space.values(
            Field.DESTINATION_PORT, (rewrite.ports,)
        )
    if rewrite.moves:
        packets = packets.some(Field.DESTINATION)
        if rewrite.addresses is not None:
            packets &= space.addresses(Field.DESTINATION, rewrite.addresses)
    return packets


def preimage(packets: PacketSet, rewrite: Rewrite | None) -> PacketSet:
    """What packets that nat may give one of these looks can have looked like before it."""
    if rewrite is None:
        return packets
    if rewrite.ports is not None:
        packets = packets.some(Field.DESTINATION_PORT)
    return packets.some(Field.DESTINATION) if rewrite.moves else packets


def behind(view: View, rewrite: Rewrite, meaning: Meaning) -> Meaning:
    """What a match that sees the rewritten packet means for the packet as it came in.

    Where a port or address is one of several, the match may hold if it does for one of them, must if for all.
    """
    places: list[Field] = []
    looks: PacketSet = view.space.everything
    if rewrite.ports is not None:
        places.append(Field.DESTINATION_PORT)
        looks &= view.space.values(Field.DESTINATION_PORT, (rewrite.ports,))
    if rewrite.moves:
        places.append(Field.DESTINATION)
        if rewrite.addresses is not None:
            looks &= view.space.addresses(Field.DESTINATION, rewrite.addresses)
    may, not_must = meaning.may & looks, looks - meaning.must
    for place in places:
        may, not_must = may.some(place), not_must.some(place)
    must = may - not_must
    opened = may != must and meaning.exact
    return Meaning(may, must, meaning.assumptions, (*meaning.undecided, *([WHICH] if opened else [])))
