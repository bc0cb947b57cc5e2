"""Plans of random hosts, case by case: what is expected is what judges say that share no code with the planner."""

from __future__ import annotations

import ipaddress
import os
import random
from collections import Counter
from typing import Any

import pytest
import yaml

from ipt2np import CNIS, convert
from ipt2np.testplan import OnHost, OnPod, ProbeCase, Why, plan_probes
from tests.cni.random_hosts import Case, Host, Packet, random_case
from tests.cni.test_every_cni import BLIND_INSIDE, JUDGES, Judge, options, parsed

CASES = int(os.environ.get("IPT2NP_PLAN_CASES", "7"))
"""Random hosts, each for every CNI."""
MOST = 300
_PODS = {True: OnPod.ADMITTED, False: OnPod.REFUSED, None: OnPod.UNDEFINED}


def sent(case: ProbeCase, source_port: int | None = None) -> Packet:
    """The probe as the judges take it."""
    packet = case.packet
    address = (ipaddress.IPv4Address if packet.family == 4 else ipaddress.IPv6Address)(packet.source)
    port = packet.source_port if source_port is None else source_port
    return Packet(
        case.source_class, address, packet.protocol, packet.port, port, packet.icmp_type, packet.icmp_code
    )


def host_answers(host: Host | None, packet: Packet) -> OnHost:
    """What iptables does, walked rule by rule."""
    fates = host.fates(packet) if host is not None else {"accept", "refuse"}
    if len(fates) > 1:
        return OnHost.UNDECIDED
    return OnHost.ACCEPTED if fates == {"accept"} else OnHost.REFUSED


def host_of(case: Case, family: int) -> Host | None:
    """The ruleset that speaks of a family; the other one's where it stands for both."""
    return case.host(family)


def check(name: str, host: Case, judge: Judge, case: ProbeCase, always: bool, blind: bool) -> None:
    """Both expectations, from the port in the plan and, where the plan says that it does not matter, from others."""
    ports = (case.packet.source_port,) if case.source_port is not None else (40000, 1, 1024, 65535)
    for port in ports if case.port is not None else (0,):
        packet = sent(case, port)
        ruleset = host_of(host, packet.family)
        if ruleset is not None:
            assert case.host is host_answers(ruleset, packet), f"{case}: host, from {port}"
        if not always and not (blind and case.source_class != "external"):
            assert case.pod is _PODS[judge(packet)], f"{name}, {case}: pod, from {port}"


@pytest.mark.parametrize("name", CNIS)
def test_what_is_expected_of_a_random_host_and_its_pods_is_what_independent_judges_say(name: str) -> None:
    counts: Counter[Any] = Counter()
    for seed in range(CASES):
        case = random_case(random.Random(f"testplan {seed}"))
        conversion = convert(parsed(case), options(case, name))
        objects = list(yaml.safe_load_all(conversion.text))
        judge = JUDGES[name](objects, case)
        blind = name in BLIND_INSIDE and any(each["kind"] == "NetworkSet" for each in objects)
        draft = conversion.draft
        held = draft.cni.always(draft.decision.space)
        plan = plan_probes(conversion, MOST)
        assert len({(each.source_class, each.packet) for each in plan.cases}) == len(plan.cases) <= MOST
        for each in plan.cases:
            assert each.source_class in case.senders(sent(each).source), each
            check(name, case, judge, each, each.packet.fields() in held, blind)
            counts[each.host, each.pod] += 1
            for reason in each.reasons:
                counts[reason.why] += 1
    assert sum(counts[why] for why in Why) > CASES * 50
    assert all(counts[why] for why in (Why.ANSWERS, Why.PORT, Why.DECIDED, Why.SOURCE))
    assert sum(counts[host, OnPod.ADMITTED] for host in OnHost) > CASES


@pytest.mark.parametrize("name", ["kubernetes", "calico", "cilium", "kube-router"])
def test_every_answer_that_random_packets_get_is_in_the_plan(name: str) -> None:
    """Whatever pair of answers a packet gets, the whole plan has a case of its class and protocol with that pair."""
    seen = 0
    for seed in range(CASES):
        case = random_case(random.Random(f"testplan {seed}"))
        conversion = convert(parsed(case), options(case, name))
        decision = conversion.draft.decision
        plan = plan_probes(conversion, 100_000)
        assert not plan.left_out
        asked = {(each.source_class, each.protocol, each.host, each.pod) for each in plan.cases}
        asked |= {("any", *key[1:]) for key in asked}
        for packet in case.packets(random.Random(seed), 200):
            if packet.family not in decision.families or packet.protocol not in (6, 17, 132, 1, 58):
                continue
            made = ProbeCase(packet.sender, _packet(packet), OnHost.UNDECIDED, OnPod.REFUSED, (), ())
            fields = made.packet.fields()
            if fields not in decision.judged:
                continue
            host = host_of(case, packet.family)
            held = fields in conversion.draft.cni.always(decision.space)
            reading = conversion.readings[packet.sender]
            pod = (
                OnPod.ADMITTED
                if held or (fields in reading.admits and fields not in reading.undefined)
                else OnPod.UNDEFINED
                if fields in reading.undefined
                else OnPod.REFUSED
            )
            if host is None:
                continue
            seen += 1
            # Pods and nodes whose addresses nobody told are asked for where they are answered otherwise.
            assert ("any", made.protocol, host_answers(host, packet), pod) in asked, (seed, packet, pod)
    assert seen > CASES * 50


def _packet(packet: Packet) -> Any:
    from ipt2np.testplan.case import Packet as Planned

    return Planned(
        packet.family,
        int(packet.source),
        packet.protocol,
        packet.port,
        packet.source_port,
        packet.icmp_type,
        packet.icmp_code,
    )
