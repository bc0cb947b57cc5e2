"""Services × sources against brute force: each packet of a small universe asked one by one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings

from ipt2np import Field, PacketSpace
from ipt2np.cni.antrea import ORDER as ANTREA
from ipt2np.cni.calico import ORDER as CALICO
from ipt2np.cni.cilium import WORDS as CILIUM
from ipt2np.cni.fitting.cover import Vocabulary, cover
from ipt2np.cni.networkpolicies import WORDS as NETWORK_POLICY
from tests.packets.universe import CELLS, FIELDS, RECIPES, Cell, Drawn, Recipe, family_of, packet

VOCABULARIES = {
    "a NetworkPolicy": NETWORK_POLICY,
    "Cilium": CILIUM,
    "Antrea": ANTREA.vocabulary,
    "Calico": CALICO.vocabulary,
}
TCP = 6


def alike(cell: Cell, *fields: Field) -> list[Cell]:
    """The cells that are the same in all these fields."""
    places = [FIELDS.index(field) for field in fields]
    return [each for each in CELLS if all(each[place] == cell[place] for place in places)]


def sensible(drawn: Drawn) -> Drawn:
    """The set without what a protocol has no field for: packets whose fields do not exist are alike."""
    space = drawn.packets.space
    tcp = space.value(Field.PROTOCOL, TCP)
    ported = drawn.packets.every(Field.ICMP_TYPE)
    portless = ported.every(Field.DESTINATION_PORT).every(Field.SOURCE_PORT)
    cells = frozenset(cell for cell in CELLS if drawn.cells.issuperset(_SAME[cell]))
    return Drawn((ported & tcp) | (portless - tcp), cells)


def _fields_of(cell: Cell) -> tuple[Field, ...]:
    ports = (Field.DESTINATION_PORT, Field.SOURCE_PORT)
    own = ports if packet(cell, 1)[Field.PROTOCOL] == TCP else ()
    return (Field.FAMILY, Field.SOURCE, Field.PROTOCOL, *own)


_SAME = {cell: frozenset(alike(cell, *_fields_of(cell))) for cell in CELLS}
ONCE = [cell for cell in CELLS if cell == min(_SAME[cell])]
"""One cell of those that are the same packets."""


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_cover_holds_what_is_wanted_and_nothing_that_is_not_allowed(name: str) -> None:
    """And what it leaves is what the words cannot say: a port of TCP with all its sources' packets is never left."""
    words: Vocabulary = VOCABULARIES[name]
    seen: Counter[str] = Counter()

    @given(RECIPES, RECIPES)
    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    def check(first: Recipe, second: Recipe) -> None:
        space = PacketSpace()
        wanted = sensible(first(space))
        allowed = wanted | sensible(second(space))
        found = cover(
            wanted.packets, allowed.packets, (4, 6), words, lambda each: (each.protocol, each.source_ports)
        )
        assert found.left <= wanted.packets
        services = [[each.packets(space) for each in group.services] for group in found.groups]
        for cell in ONCE:
            # The last packet of a cell: its ports are not 0, which no policy can write.
            fields = packet(cell, 1)
            taken = any(
                fields in group.sources[family_of(cell)][1] and any(fields in service for service in said)
                for group, said in zip(found.groups, services, strict=True)
            )
            left = fields in found.left
            assert not taken or cell in allowed.cells
            assert cell not in wanted.cells or taken or left
            seen["taken"] += taken
            seen["left"] += left
            if left and fields[Field.PROTOCOL] == TCP:
                same = [Field.FAMILY, Field.SOURCE, Field.PROTOCOL, Field.DESTINATION_PORT]
                if words.source_ports:
                    same.append(Field.SOURCE_PORT)
                assert not allowed.cells.issuperset(alike(cell, *same))

    check()
    assert seen["taken"] > 1_000
    # Calico has words for all that the universe holds.
    assert (seen["left"] > 50) == (name != "Calico")
