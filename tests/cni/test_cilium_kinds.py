"""Cilium's kinds: what is taken, what is read from them packet by packet, what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from ipt2np.cni.base import Cluster, Identity, Reading
from ipt2np.cni.kinds.cilium import VALIDATORS, Options, read, read_host
from ipt2np.cni.manifests import load
from ipt2np.packets import Field, PacketSpace
from tests.cni.naive_cilium import (
    CLASSES,
    NAMESPACE,
    NODE_LABELS,
    POD_LABELS,
    Agent,
    Answer,
    Packet,
    Writer,
    host_verdict,
    verdict,
)

Object = dict[str, Any]

IDENTITY = Identity("web", NAMESPACE, POD_LABELS)
CLUSTER = Cluster()
SETS = 300
PACKETS = 360
MODES = [frozenset[str](), frozenset({"nodes"}), frozenset({"pods"}), frozenset({"nodes", "pods"})]


def fields_of(packet: Packet) -> dict[Field, int]:
    """The packet as the packet space has it: only fields that its protocol has."""
    found = {
        Field.FAMILY: int(packet.source.version == 6),
        Field.PROTOCOL: packet.protocol,
        Field.SOURCE: int(packet.source),
    }
    if packet.protocol in (6, 17, 132):
        found[Field.DESTINATION_PORT] = packet.port
    if packet.protocol in (1, 58):
        found[Field.ICMP_TYPE] = packet.icmp_type
    return found


def answer_of(readings: Mapping[str, Reading], packet: Packet) -> Answer:
    reading, fields = readings[packet.source_class], fields_of(packet)
    admitted, undefined = fields in reading.admits, fields in reading.undefined
    assert not (admitted and undefined)
    return None if undefined else admitted


def options_of(agent: Agent, *, native: bool = True) -> Options:
    return Options(agent.cidr_match, agent.extended, agent.sctp, agent.end_port, native)


def compare(
    objects: Sequence[Object], readings: Mapping[str, Reading], packets: list[Packet], expected: list[Answer]
) -> Counter[tuple[str, Answer]]:
    """How often each class got each answer; fails at the first packet that is judged differently."""
    counted: Counter[tuple[str, Answer]] = Counter()
    for packet, wanted in zip(packets, expected, strict=True):
        found = answer_of(readings, packet)
        assert found is wanted, f"{packet}: read {found}, judged {wanted}\n{yaml.safe_dump_all(objects)}"
        counted[packet.source_class, wanted] += 1
    return counted


def enough(counted: Counter[tuple[str, Answer]], total: int) -> None:
    """A comparison in which one side of the answer is rare would prove little."""
    assert counted.total() == total
    for source_class in CLASSES:
        of_class = sum(counted[source_class, answer] for answer in (True, False, None))
        for answer in (True, False):
            assert counted[source_class, answer] > of_class * 0.1, counted


# -- the reader against the packet-by-packet judge -------------------------------------------------------


def test_pods_are_read_as_the_judge_reads_them_packet_by_packet() -> None:
    counted: Counter[tuple[str, Answer]] = Counter()
    for seed in range(SETS):
        writer = Writer(seed)
        agent = Agent(MODES[seed % 4], seed % 5 == 0, seed % 3 != 0, seed % 7 != 0)
        objects = load(yaml.safe_dump_all(writer.policies(extended=agent.extended)), VALIDATORS)
        readings = read(objects, IDENTITY, PacketSpace(), CLUSTER, options_of(agent))
        packets = writer.packets(objects, PACKETS)
        expected = [verdict(objects, NAMESPACE, POD_LABELS, packet, agent) for packet in packets]
        counted += compare(objects, readings, packets, expected)
    enough(counted, SETS * PACKETS)
    assert min(counted[source_class, None] for source_class in CLASSES) > SETS


def test_nodes_are_read_as_the_judge_reads_them_packet_by_packet() -> None:
    counted: Counter[tuple[str, Answer]] = Counter()
    for seed in range(SETS // 4):
        writer = Writer(10_000 + seed)
        agent = Agent(MODES[seed % 4], seed % 5 == 0, seed % 2 == 0)
        objects = load(yaml.safe_dump_all(writer.policies(extended=agent.extended, host=True)), VALIDATORS)
        readings = read_host(objects, NODE_LABELS, PacketSpace(), CLUSTER, options_of(agent))
        packets = writer.packets(objects, PACKETS)
        expected = [host_verdict(objects, NODE_LABELS, packet, agent) for packet in packets]
        counted += compare(objects, readings, packets, expected)
    enough(counted, SETS // 4 * PACKETS)


@pytest.mark.parametrize(
    ("agent", "native"),
    [
        pytest.param(Agent(), False, id="gke-dataplane-v2"),
        pytest.param(Agent(end_port=False), False, id="gke-dataplane-v2-old"),
        pytest.param(Agent(), True, id="azure-cilium"),
        pytest.param(Agent(end_port=False), True, id="azure-cilium-1.29"),
    ],
)
def test_managed_clusters_read_kubernetes_policies_as_the_judge_does(agent: Agent, native: bool) -> None:
    counted: Counter[tuple[str, Answer]] = Counter()
    for seed in range(SETS // 6):
        writer = Writer(20_000 + seed)
        objects = [writer.kubernetes(number) for number in range(writer.rng.randint(1, 4))]
        objects = load(yaml.safe_dump_all(objects), VALIDATORS)
        readings = read(objects, IDENTITY, PacketSpace(), CLUSTER, options_of(agent, native=native))
        packets = writer.packets(objects, PACKETS)
        expected = [verdict(objects, NAMESPACE, POD_LABELS, packet, agent) for packet in packets]
        counted += compare(objects, readings, packets, expected)
    enough(counted, SETS // 6 * PACKETS)
