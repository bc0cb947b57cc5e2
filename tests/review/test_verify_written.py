"""Policies as people write them, of every kind and with all that is in it, against hosts that they were not made for.

They are random, and their judges ask one packet after another.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from ipt2np import Identity
from tests.cni import (
    antrea_policies,
    calico_examples,
    naive_antrea,
    naive_calico,
    naive_cilium,
    naive_networkpolicy,
)
from tests.cni.random_hosts import Case, Packet
from tests.cni.test_every_cni import JUDGES, Answer, Judge

from .hosts import OWN_CASES, small_case
from .judge import Trial, dumped, judged, report_of, rulesets_of, verified
from .mutations import Objects

SETS = 25
"""Sets of policies, each against a host."""
CELLS = 300
"""Packets from outside of a set."""


def _calico(objects: Objects, _: Case) -> Judge:
    def judge(packet: Packet) -> Answer:
        sent = naive_calico.Packet(
            str(packet.source),
            packet.protocol,
            packet.source_port,
            packet.port,
            packet.icmp_type,
            packet.icmp_code,
        )
        return naive_calico.admits(objects, calico_examples.NAMESPACE, calico_examples.LABELS, sent)

    return judge


def _cilium(objects: Objects, case: Case) -> Judge:
    agent = naive_cilium.Agent(cidr_match=case.cidr_match)

    def judge(packet: Packet) -> Answer:
        sent = naive_cilium.Packet(
            packet.sender, packet.source, packet.protocol, packet.port, packet.icmp_type
        )
        return naive_cilium.verdict(objects, naive_cilium.NAMESPACE, naive_cilium.POD_LABELS, sent, agent)

    return judge


def _antrea(objects: Objects, _: Case) -> Judge:
    subject = naive_antrea.Subject(antrea_policies.LABELS, antrea_policies.NAMESPACE)

    def judge(packet: Packet) -> Answer:
        sent = naive_antrea.Packet(
            packet.sender,
            str(packet.source),
            packet.protocol,
            packet.port,
            packet.source_port,
            packet.icmp_type,
            packet.icmp_code,
        )
        found = naive_antrea.outcomes(objects, subject, sent)
        return None if "allow" in found and len(found) > 1 else "allow" in found

    return judge


@dataclass(frozen=True)
class Author:
    """Whoever writes policies for a CNI: how, for which pods, and who judges them."""

    write: Callable[[int], Objects]
    identity: Identity
    judges: Callable[[Objects, Case], Judge]


AUTHORS: Mapping[str, Author] = {
    "kubernetes": Author(
        lambda seed: naive_networkpolicy.random_policies(random.Random(seed)),
        Identity("web", naive_networkpolicy.NAMESPACE, naive_networkpolicy.LABELS),
        JUDGES["kubernetes"],
    ),
    "calico": Author(
        lambda seed: calico_examples.example(seed, calico_examples.Scope()),
        Identity("web", calico_examples.NAMESPACE, calico_examples.LABELS),
        _calico,
    ),
    "cilium": Author(
        lambda seed: naive_cilium.Writer(seed).policies(),
        Identity("web", naive_cilium.NAMESPACE, naive_cilium.POD_LABELS),
        _cilium,
    ),
    "antrea": Author(
        lambda seed: antrea_policies.policy_set(random.Random(seed)),
        Identity("web", antrea_policies.NAMESPACE, antrea_policies.LABELS),
        _antrea,
    ),
}


@cache
def hosts() -> tuple[Case, ...]:
    return (*OWN_CASES, *(small_case(random.Random(f"written {seed}")) for seed in range(6)))


@pytest.mark.parametrize("cni", AUTHORS)
def test_what_is_said_of_written_policies_is_what_packets_show(cni: str) -> None:
    author, counts = AUTHORS[cni], Counter[Any]()
    for seed in range(SETS):
        case = hosts()[seed % len(hosts())]
        objects = author.write(seed)
        if not any(each["kind"].endswith("NetworkPolicy") for each in objects):
            continue
        text = dumped(objects)
        try:
            report = report_of(verified(case, rulesets_of(case), text, cni, author.identity))
            trial = Trial(case, cni, objects, judges=author.judges)
            counts += judged(random.Random(seed), trial, report, CELLS)
        except BaseException as error:
            error.add_note(f"seed {seed}, {cni}, {case}\n{text}\n" + "\n".join(h.text() for h in case.hosts))
            raise
        counts["verdict", report["proof"]["verdict"]] += 1
    assert min(counts["external", effect] for effect in ("opens", "closes", "")) > 20
    assert counts["verdict", "differs"] >= 5
