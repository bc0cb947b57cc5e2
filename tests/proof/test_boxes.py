"""Boxes that people read: disjoint, and nothing left out."""

from __future__ import annotations

import re
from itertools import combinations

import pytest
from hypothesis import given, settings

from ipt2np import AddressSet, Field, InDoubt, PacketSet, PacketSpace
from ipt2np.cni.kinds.networkpolicy import PROTOCOLS
from ipt2np.packets.intervals import Range
from ipt2np.proof.boxes import Box, boxes, describe
from tests.packets.universe import RECIPES, Recipe
from tests.sample_hosts import HOSTS, drafted

NAMED = ("tcp", "udp", "sctp", "icmp", "icmpv6", "any")
EXAMPLES = settings(max_examples=150, derandomize=True, deadline=None)


def packets_of(space: PacketSpace, box: Box) -> PacketSet:
    """What a box says, read literally."""
    result = space.addresses(Field.SOURCE, box.sources)
    result &= space.values(Field.PROTOCOL, box.protocols)
    result &= space.values(Field.DESTINATION_PORT, box.ports)
    result &= space.values(Field.SOURCE_PORT, box.source_ports)
    if box.icmp:
        kinds = space.nothing
        for types, codes in box.icmp:
            kinds |= space.values(Field.ICMP_TYPE, (types,)) & space.values(Field.ICMP_CODE, (codes,))
        result &= kinds
    return result


def assert_boxed(packets: PacketSet) -> int:
    space = packets.space
    found = list(boxes(packets))
    parts = [packets_of(space, box) for box in found]
    union = space.nothing
    for box, part in zip(found, parts, strict=True):
        assert part
        assert not part & union, "boxes overlap"
        assert box.family == box.sources.family
        union |= part
    assert union == packets
    return len(found)


@EXAMPLES
@given(RECIPES)
def test_boxes_are_disjoint_and_make_up_the_set(recipe: Recipe) -> None:
    assert_boxed(recipe(PacketSpace()).packets)


@pytest.mark.parametrize("in_doubt", InDoubt)
@pytest.mark.parametrize("host", HOSTS)
def test_boxes_of_what_a_host_accepts(host: str, in_doubt: InDoubt) -> None:
    decision = drafted(host).decision
    packets = decision.must_accept if in_doubt is InDoubt.DENY else decision.may_accept
    assert_boxed(packets)
    assert_boxed(~packets)


@EXAMPLES
@given(RECIPES)
def test_the_witness_of_a_box_is_in_the_box(recipe: Recipe) -> None:
    """Port 0 aside, which no policy can write: the witness then is port 1."""
    space = PacketSpace()
    writable = space.values(Field.DESTINATION_PORT, ((1, 65535),)) & space.values(
        Field.SOURCE_PORT, ((1, 65535),)
    )
    packets = recipe(space).packets & writable
    for box in boxes(packets):
        witness = box.witness()
        assert (
            witness["source"]
            == AddressSet(box.family, box.sources.ranges[:1]).to_cidrs()[0].partition("/")[0]
        )
        assert witness.get("port", 1) == box.ports[0][0] or "port" not in witness
        assert ("port" in witness) == (box.protocols[0][0] in (*PROTOCOLS.values(), 33, 136))


@EXAMPLES
@given(RECIPES)
def test_a_box_by_protocol_is_the_same_packets(recipe: Recipe) -> None:
    space = PacketSpace()
    for box in boxes(recipe(space).packets):
        union = space.nothing
        for each in box.by_protocol():
            part = packets_of(space, each)
            assert part and not part & union
            assert each.protocol in NAMED or not re.search("[a-z]", each.protocol)
            union |= part
        assert union == packets_of(space, box)


def test_an_icmp_witness_says_type_and_code() -> None:
    space = PacketSpace()
    pings = space.family(4) & space.value(Field.PROTOCOL, 1) & space.value(Field.ICMP_TYPE, 8)
    (box,) = boxes(pings)
    assert box.witness() == {"source": "0.0.0.0", "protocol": "icmp", "icmp_type": 8, "icmp_code": 0}


def test_no_packet_makes_no_box() -> None:
    assert list(boxes(PacketSpace().nothing)) == []


def test_everything_is_one_box_for_each_family() -> None:
    space = PacketSpace()
    found = list(boxes(space.everything))
    whole: tuple[Range, ...] = ((0, 65535),)
    assert [(box.family, box.protocol, box.ports, box.source_ports, box.icmp) for box in found] == [
        (4, "any", whole, whole, ()),
        (6, "any", whole, whole, ()),
    ]
    assert all(not packets_of(space, a) & packets_of(space, b) for a, b in combinations(found, 2))


@pytest.mark.parametrize(
    ("protocol", "cidr", "port", "words"),
    [
        (6, "192.0.2.1/32", 22, "protocol tcp from 192.0.2.1 to port 22"),
        (17, "2001:db8::1/128", 53, "protocol udp from 2001:db8::1 to port 53"),
        (132, "10.0.0.0/8", 1, "protocol sctp from 10.0.0.0 to port 1"),
        (47, "10.0.0.0/8", 1, "protocol 47 from 10.0.0.0"),
    ],
)
def test_a_packet_in_words(protocol: int, cidr: str, port: int, words: str) -> None:
    space = PacketSpace()
    packets = space.addresses(Field.SOURCE, AddressSet.cidrs(cidr)) & space.value(Field.PROTOCOL, protocol)
    assert describe(packets & space.value(Field.DESTINATION_PORT, port)) == words
