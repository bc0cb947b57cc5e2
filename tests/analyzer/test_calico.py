"""Our reading of Calico's objects against network-config-analyzer's, as packet sets.

What nca cannot be asked, and why, is said in ``calico_reading``; the random sets hold none of it, and the naive
evaluator of ``tests/cni`` judges it. Compared are all packets but those that one of the two does not speak of: port 0,
ICMP type 255, and ICMP of the other family.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from ipt2np import AddressSet, Field, Identity, PacketSet, PacketSpace
from ipt2np.cni.base import Reading
from ipt2np.cni.kinds import calico, networkpolicy
from tests.cni.calico_examples import API, LABELS, NAMESPACE, Object, Scope, example
from tests.cni.naive_calico import Packet, admits
from tests.cni.test_naive_calico import fields

from .calico_reading import Box, read
from .policies import text as address_text
from .reading import UnreadableError

SCOPE = Scope(
    tiers=False,
    bare_negations=False,
    zero_icmp=False,
    icmp_pairs=False,
    protocol_pairs=False,
    selectors_with_nets=False,
    overlapping_sets=False,
    version=False,
)
"""Without what nca does not know or does otherwise."""
IDENTITY = Identity("any", NAMESPACE, LABELS)
VALIDATORS = {**calico.VALIDATORS, **networkpolicy.VALIDATORS}
SETS_A_TEST, TESTS = 30, 20

pytestmark = pytest.mark.usefixtures("analyzer")


def comparable(space: PacketSpace) -> PacketSet:
    """Packets that both readings speak of."""
    everything = space.everything
    for number in (6, 17, 132):
        for field in (Field.SOURCE_PORT, Field.DESTINATION_PORT):
            everything -= space.value(Field.PROTOCOL, number) & space.value(field, 0)
    for number, other in ((1, 6), (58, 4)):
        icmp = space.value(Field.PROTOCOL, number)
        everything -= icmp & (space.value(Field.ICMP_TYPE, 255) | space.family(other))
    return everything


def as_packets(boxes: Iterable[Box], space: PacketSpace) -> PacketSet:
    """The analyser's boxes as one of our sets; fields that a protocol does not have are not tested."""
    result = space.nothing
    for box in boxes:
        packets = space.addresses(Field.SOURCE, AddressSet.of(box.family, box.sources))
        packets &= space.value(Field.PROTOCOL, box.protocol)
        if box.protocol in (6, 17, 132):
            packets &= space.values(Field.DESTINATION_PORT, box.ports)
            packets &= space.values(Field.SOURCE_PORT, box.source_ports)
        elif box.protocol in (1, 58):
            packets &= space.values(Field.ICMP_TYPE, box.icmp_types) & space.values(
                Field.ICMP_CODE, box.icmp_codes
            )
        result |= packets
    return result


def ours(objects: list[Object], space: PacketSpace) -> Reading:
    for item in objects:
        VALIDATORS[item["apiVersion"], item["kind"]](item)
    return calico.read(objects, IDENTITY, space)["external"]


def shown(packets: PacketSet) -> str:
    witness = packets.witness()
    family = 6 if witness.pop(Field.FAMILY, 0) else 4
    source = address_text(family, witness.pop(Field.SOURCE, 0))
    return f"{source} { ({field.title: value for field, value in witness.items()}) }"


def assert_read_alike(objects: list[Object], note: str) -> PacketSet:
    space = PacketSpace()
    both = comparable(space)
    reading = ours(objects, space)
    assert not reading.undefined & both, note
    mine = reading.admits & both
    theirs = as_packets(read(objects, namespace=NAMESPACE, labels=LABELS), space) & both
    for difference, who in ((mine - theirs, "only we admit"), (theirs - mine, "only the analyser admits")):
        assert not difference, f"{note}: {who} {shown(difference)}\n{objects}"
    assert mine == theirs
    return mine


@pytest.mark.parametrize("first", range(0, SETS_A_TEST * TESTS, SETS_A_TEST))
def test_random_policies(first: int) -> None:
    partly = 0
    for seed in range(first, first + SETS_A_TEST):
        admitted = assert_read_alike(example(seed, SCOPE), f"seed {seed}")
        whole = comparable(admitted.space)
        partly += bool(admitted) and not whole <= admitted
    # Agreement is not had for nothing.
    assert partly > SETS_A_TEST // 2


def policy(*rules: dict[str, Any], kind: str = "GlobalNetworkPolicy", **spec: Any) -> Object:
    meta = {"name": "p"} | ({"namespace": NAMESPACE} if kind == "NetworkPolicy" else {})
    return {
        "apiVersion": API,
        "kind": kind,
        "metadata": meta,
        "spec": {"types": ["Ingress"], "ingress": [*rules], **spec},
    }


def network_set(name: str, labels: dict[str, str], *nets: str) -> Object:
    meta = {"name": name, "labels": labels}
    return {"apiVersion": API, "kind": "GlobalNetworkSet", "metadata": meta, "spec": {"nets": [*nets]}}


OTHERWISE: dict[str, tuple[list[Object], Packet]] = {
    "ipVersion is not looked at": (
        [policy({"action": "Allow", "ipVersion": 4})],
        Packet("2001:db8::1", 6, 1, 22),
    ),
    "notNets alone leave the other family": (
        [policy({"action": "Allow", "source": {"notNets": ["10.0.0.0/8"]}})],
        Packet("2001:db8::1", 6, 1, 22),
    ),
    "ICMP type 0 is any type": (
        [policy({"action": "Allow", "protocol": "ICMP", "icmp": {"type": 0}})],
        Packet("192.0.2.1", 1, icmp_type=8),
    ),
    "ICMP code 0 is any code": (
        [policy({"action": "Allow", "protocol": "ICMP", "icmp": {"type": 3, "code": 0}})],
        Packet("192.0.2.1", 1, icmp_type=3, icmp_code=1),
    ),
    "a notICMP wider than icmp has no effect": (
        [
            policy(
                {
                    "action": "Allow",
                    "protocol": "ICMP",
                    "icmp": {"type": 3, "code": 1},
                    "notICMP": {"type": 3},
                }
            )
        ],
        Packet("192.0.2.1", 1, icmp_type=3, icmp_code=1),
    ),
    "a set excluded takes its addresses from another": (
        [
            network_set("a", {"set": "a"}, "10.0.0.0/8"),
            network_set("b", {"set": "a", "grade": "b"}, "10.0.0.0/9"),
            policy({"action": "Allow", "source": {"selector": "set == 'a' && !has(grade)"}}),
        ],
        Packet("10.0.0.1", 6, 1, 22),
    ),
    "notSelector alone is not limited to the namespace": (
        [policy({"action": "Allow", "source": {"notSelector": "set == 'a'"}}, kind="NetworkPolicy")],
        Packet("192.0.2.1", 6, 1, 22),
    ),
}


@pytest.mark.parametrize("case", OTHERWISE)
def test_what_the_analyser_reads_otherwise(case: str) -> None:
    """Why it is not asked: there the naive evaluator, which shares nothing with the reader, sides with the reader."""
    objects, packet = OTHERWISE[case]
    space = PacketSpace()
    theirs = as_packets(read(objects, namespace=NAMESPACE, labels=LABELS), space)
    right = admits(objects, NAMESPACE, LABELS, packet)
    assert (fields(packet) in ours(objects, space).admits) == right
    assert (fields(packet) in theirs) != right


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"tier": "default"}, "tier"),
        (
            {"ingress": [{"action": "Allow", "protocol": "TCP", "notProtocol": "UDP"}]},
            "notProtocol field has no effect",
        ),
        (
            {"ingress": [{"action": "Allow", "source": {"selector": "all()", "nets": ["10.0.0.0/9"]}}]},
            "Mixing ip-based selection",
        ),
    ],
)
def test_what_the_analyser_itself_has_doubts_about(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(UnreadableError, match=message):
        read([policy(**spec)], namespace=NAMESPACE, labels=LABELS)
