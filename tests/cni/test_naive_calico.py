"""The reader of Calico's objects against a per-packet evaluator that shares nothing with it."""

from __future__ import annotations

import ipaddress
import random
from collections import Counter

import pytest

from ipt2np import Field, Identity, PacketSpace
from ipt2np.cni.kinds import calico, networkpolicy

from .calico_examples import LABELS, NAMESPACE, Object, Scope, example, packets
from .naive_calico import Packet, admits

IDENTITY = Identity("any", NAMESPACE, LABELS)
VALIDATORS = {**calico.VALIDATORS, **networkpolicy.VALIDATORS}
PACKETS = 250
SETS_A_TEST, TESTS = 21, 20


def fields(packet: Packet) -> dict[Field, int]:
    """The packet as the packet space has it."""
    return {
        Field.FAMILY: int(packet.family == 6),
        Field.PROTOCOL: packet.protocol,
        Field.SOURCE: int(ipaddress.ip_address(packet.source)),
        Field.SOURCE_PORT: packet.source_port,
        Field.DESTINATION_PORT: packet.port,
        Field.ICMP_TYPE: packet.icmp_type,
        Field.ICMP_CODE: packet.icmp_code,
    }


def validated(objects: list[Object]) -> list[Object]:
    for item in objects:
        VALIDATORS[item["apiVersion"], item["kind"]](item)
    return objects


@pytest.mark.parametrize("first", range(0, SETS_A_TEST * TESTS, SETS_A_TEST))
def test_packets_are_judged_as_by_the_naive_evaluator(first: int) -> None:
    answers: Counter[bool] = Counter()
    for seed in range(first, first + SETS_A_TEST):
        objects = validated(example(seed, Scope()))
        reading = calico.read(objects, IDENTITY, PacketSpace())["external"]
        for packet in packets(random.Random(seed), objects, PACKETS):
            expected = admits(objects, NAMESPACE, LABELS, packet)
            assert (fields(packet) in reading.admits) == expected, f"seed {seed}: {packet}"
            assert fields(packet) not in reading.undefined, f"seed {seed}: {packet}"
            answers[expected] += 1
    assert min(answers[True], answers[False]) > PACKETS * SETS_A_TEST // 10
