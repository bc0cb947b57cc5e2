"""The reader of Calico's objects against a per-packet evaluator that shares nothing with it."""

from __future__ import annotations

import ipaddress
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from ipt2np import Field, Identity, PacketSpace
from ipt2np.cni.kinds import calico, calico_policies, calico_rules, calico_verdict, networkpolicy

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


def agree(seed: int) -> bool:
    """True where reader and evaluator agree on every packet of an example."""
    objects = example(seed, Scope())
    admitted = calico.read(objects, IDENTITY, PacketSpace())["external"].admits
    found = packets(random.Random(seed), objects, PACKETS)
    return all((fields(packet) in admitted) == admits(objects, NAMESPACE, LABELS, packet) for packet in found)


def _backwards(policy: calico_policies.Policy) -> tuple[float, str]:
    return -policy.order, policy.name


def _later_first(one: Any, two: Any) -> Any:
    return _THEN(two, one)


_THEN = calico_verdict._Block.then
_NOTHING: Callable[..., set[int]] = lambda rule: set()  # noqa: E731


@pytest.mark.parametrize(
    ("place", "name", "wrong"),
    [
        pytest.param(calico_rules, "families_of", _NOTHING, id="families are not told apart"),
        pytest.param(calico_policies.Policy, "newer_rank", _backwards, id="policies in the wrong order"),
        pytest.param(calico_verdict._Block, "then", _later_first, id="the last rule decides"),
        pytest.param(calico_rules, "addresses_of", lambda texts: (), id="no address is in a list"),
        pytest.param(
            calico_rules.Scene, "_icmp", lambda scene, icmp: None, id="ICMP fields are not looked at"
        ),
        pytest.param(calico_rules, "namespace_labels", lambda namespace: {}, id="sets are in no namespace"),
    ],
)
def test_a_wrong_reader_is_found_out(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str, wrong: Any
) -> None:
    monkeypatch.setattr(place, name, wrong)
    assert not all(agree(seed) for seed in range(40))


def test_the_right_reader_is_not() -> None:
    assert all(agree(seed) for seed in range(40))
