"""Random hosts for every CNI: what is claimed of a policy holds packet by packet, by judges that share no code with it."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from ipt2np import (
    CNIS,
    Conversion,
    Difference,
    Field,
    Identity,
    InDoubt,
    Options,
    OtherFamily,
    Reading,
    Ruleset,
    Verdict,
    convert,
    parse_ruleset,
)
from ipt2np.cni.base import Cluster

from . import naive_antrea, naive_calico, naive_cilium, naive_networkpolicy
from .random_hosts import PORTED, Case, Packet, random_case

CASES = int(os.environ.get("IPT2NP_CNI_CASES", "50"))
"""Random hosts, each for every CNI."""
PACKETS = 150
"""Packets of each host for each CNI."""
NAMESPACE, LABELS = naive_networkpolicy.NAMESPACE, naive_networkpolicy.LABELS
IDENTITY = Identity("web", NAMESPACE, LABELS)

Answer = bool | None
Objects = Sequence[dict[str, Any]]
Judge = Callable[[Packet], Answer]
"""Whether a packet reaches the pod; None where the CNI's documents do not say."""


def _plain(decide: Callable[..., Answer], **options: Any) -> Callable[[Objects, Case], Judge]:
    """A judge of NetworkPolicy that is told nothing but protocol, source and port."""

    def judge(objects: Objects, _: Case) -> Judge:
        return lambda packet: decide(
            objects,
            naive_networkpolicy.Packet(packet.source, packet.protocol, packet.port, packet.sender),
            **options,
        )

    return judge


def _aws(objects: Objects, _: Case) -> Judge:
    """A cluster of the packet's own family."""
    tables: dict[Any, dict[str, naive_networkpolicy.Entry]] = {}
    return lambda packet: naive_networkpolicy.aws(
        objects,
        naive_networkpolicy.Packet(packet.source, packet.protocol, packet.port, packet.sender),
        packet.family,
        tables,
    )


def _cilium(objects: Objects, packet: Packet, agent: naive_cilium.Agent) -> Answer:
    sent = naive_cilium.Packet(packet.sender, packet.source, packet.protocol, packet.port, packet.icmp_type)
    return naive_cilium.verdict(objects, NAMESPACE, LABELS, sent, agent)


def _by_identity(objects: Objects, case: Case) -> Judge:
    agent = naive_cilium.Agent(cidr_match=case.cidr_match)
    return lambda packet: _cilium(objects, packet, agent)


def _azure_cilium(objects: Objects, case: Case) -> Judge:
    """SCTP is not documented: an answer is what holds with and without it."""

    def judge(packet: Packet) -> Answer:
        without, handled = (_cilium(objects, packet, naive_cilium.Agent(sctp=sctp)) for sctp in (False, True))
        return without if without == handled else None

    return judge


def _dataplane_v2(objects: Objects, case: Case) -> Judge:
    """Neither endPort nor SCTP is documented: an answer is what holds with and without them."""

    def judge(packet: Packet) -> Answer:
        certain = _cilium(objects, packet, naive_cilium.Agent(end_port=False))
        possible = _cilium(objects, packet, naive_cilium.Agent(sctp=True))
        return certain if certain == possible else None

    return judge


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
        return naive_calico.admits(list(objects), NAMESPACE, dict(LABELS), sent)

    return judge


def _antrea(objects: Objects, _: Case) -> Judge:
    subject = naive_antrea.Subject(dict(LABELS), NAMESPACE)

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
        found = naive_antrea.outcomes(list(objects), subject, sent)
        return None if "allow" in found and len(found) > 1 else "allow" in found

    return judge


JUDGES: Mapping[str, Callable[[Objects, Case], Judge]] = {
    "kubernetes": _plain(naive_networkpolicy.kubernetes),
    "calico": _calico,
    "cilium": _by_identity,
    "antrea": _antrea,
    "gke-dataplane-v2": _dataplane_v2,
    "gke-calico": _plain(naive_networkpolicy.raw_ip),
    "ovn-kubernetes": _plain(naive_networkpolicy.raw_ip, port_less_survives=False, unsettled=True),
    "kube-router": _plain(naive_networkpolicy.kube_router),
    "aws-vpc-cni": _aws,
    "azure-cilium": _azure_cilium,
    "azure-npm": _plain(naive_networkpolicy.raw_ip, families=(4,)),
    "flannel-netpol": _plain(naive_networkpolicy.raw_ip),
    "weave": _plain(naive_networkpolicy.raw_ip, end_port=False, families=(4,)),
    "flannel": lambda objects, case: lambda packet: True,
}
BLIND_INSIDE = frozenset({"calico"})
"""CNIs whose judge knows external sources only, where network sets are used."""


def header(packet: Packet) -> dict[Field, int]:
    return {
        Field.FAMILY: int(packet.family == 6),
        Field.PROTOCOL: packet.protocol,
        Field.ICMP_TYPE: packet.icmp_type,
        Field.ICMP_CODE: packet.icmp_code,
        Field.DESTINATION_PORT: packet.port,
        Field.SOURCE_PORT: packet.source_port if packet.protocol in PORTED else 0,
        Field.SOURCE: int(packet.source),
    }


def parsed(case: Case) -> list[Ruleset]:
    """The case's rulesets, rules numbered apart."""
    found: list[Ruleset] = []
    number = 0
    for host in case.hosts:
        file = f"rules.v{host.family}"
        found.append(parse_ruleset(host.text().encode(), file, family=host.family, first_number=number))
        number += len(found[-1].rules)
    return found


def options(case: Case, cni: str) -> Options:
    return Options(
        identity=IDENTITY,
        cni=cni,
        in_doubt=InDoubt.ALLOW if case.allow_in_doubt else InDoubt.DENY,
        other_family=OtherFamily.SAME if case.same_for_other_family else OtherFamily.DENY,
        cluster=Cluster(case.pod_cidrs, case.node_cidrs, case.cidr_match, case.in_cluster),
    )


@dataclass
class Checked:
    """One conversion and what its packets must be."""

    case: Case
    conversion: Conversion
    judge: Judge
    counts: Counter[Any]
    objects_read: Mapping[str, Reading]
    """What the objects alone let through, without what the platform does besides."""

    @property
    def name(self) -> str:
        return self.conversion.draft.cni.name

    def see(self, packet: Packet) -> None:
        """The packet's answer is that of the reading; where it is not the host's, the proof says so."""
        fields, alone = header(packet), self.objects_read[packet.sender]
        judged = self.judge(packet)
        told: Answer = None if fields in alone.undefined else fields in alone.admits
        assert judged == told, f"{self.name}: {packet}: judge {judged}, reading {told}"
        reading = self.conversion.readings[packet.sender]
        read: Answer = None if fields in reading.undefined else fields in reading.admits
        decision = self.conversion.draft.decision
        if packet.family not in decision.families:
            # No ruleset speaks of the family: nothing of it may be admitted in silence.
            may, must, counted = False, False, True
        else:
            may, must = fields in decision.may_accept, fields in decision.must_accept
            counted = fields in decision.judged
            host = self.case.host(packet.family)
            if counted and host is not None:
                fates = host.fates(packet)
                assert (may, must) == ("accept" in fates, fates == {"accept"}), f"{packet}: {fates}"
                self.counts["iptables", tuple(sorted(fates))] += 1
        self.counts[packet.sender, judged] += 1
        if counted and read is not None:
            if read and not must:
                self.different(Difference.OPENS, packet, fields, certain=not may)
            if may and not read:
                self.different(Difference.CLOSES, packet, fields, certain=must)

    def different(
        self, effect: Difference, packet: Packet, fields: Mapping[Field, int], *, certain: bool
    ) -> None:
        """A difference is told by a finding and by the verdict; nothing is opened that the host certainly refuses."""
        codes = {
            finding.code
            for finding in self.conversion.findings
            for predicted in finding.predicted
            if predicted.effect is effect
            and packet.sender in predicted.source_classes
            and fields in predicted.packets
        }
        assert codes, f"{self.name}: {effect.value} {packet}, and no finding says so"
        verdict = self.conversion.proof.by_class.get(packet.sender)
        told = {
            Difference.OPENS: (Verdict.WIDER, Verdict.DIFFERS, None),
            Difference.CLOSES: (Verdict.NARROWER, Verdict.DIFFERS, None),
        }
        assert verdict in told[effect], f"{self.name}: {effect.value} {packet}, and the verdict is {verdict}"
        if effect is Difference.OPENS and packet.sender == "external" and self.name != "flannel":
            assert not certain, f"{self.name} opens {packet}: {codes}"
            assert self.case.allow_in_doubt, f"{self.name} opens {packet} that is in doubt: {codes}"
        self.counts[effect.value, packet.sender, certain] += 1


def checked(seed: int, name: str, case: Case, rulesets: Sequence[Ruleset]) -> Counter[Any]:
    """Counts of what one conversion's packets were."""
    conversion = convert(rulesets, options(case, name))
    objects = list(yaml.load_all(conversion.text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    draft = conversion.draft
    alone = draft.cni.interpret(
        conversion.text, draft.options.identity, draft.options.cluster, draft.decision.space
    )
    check = Checked(case, conversion, JUDGES[name](objects, case), Counter(), alone)
    blind = name in BLIND_INSIDE and any(each["kind"] == "NetworkSet" for each in objects)
    for packet in case.packets(random.Random(f"packets {seed}"), PACKETS):
        if not blind or packet.sender == "external":
            check.see(packet)
    check.counts["verdict", conversion.proof.verdict] += 1
    check.counts["kinds", tuple(sorted({each["kind"] for each in objects}))] += 1
    return check.counts


@pytest.mark.parametrize("name", CNIS)
def test_what_is_claimed_of_a_random_host_holds_packet_by_packet(name: str) -> None:
    """At least 100,000 packets over all CNIs."""
    counts: Counter[Any] = Counter()
    for seed in range(CASES):
        case = random_case(random.Random(f"every cni {seed}"))
        try:
            counts += checked(seed, name, case, parsed(case))
        except BaseException as error:
            texts = "\n".join(host.text() for host in case.hosts)
            error.add_note(f"seed {seed}, {name}, {options(case, name)}\n{texts}")
            raise
    external = {answer: counts["external", answer] for answer in (True, False, None)}
    senders = sum(counts[sender, answer] for sender in ("external", "pod", "node") for answer in external)
    assert senders >= CASES * PACKETS * 0.8
    assert counts["iptables", ("accept",)] > senders / 10
    assert counts["iptables", ("refuse",)] > senders / 10
    assert counts["iptables", ("accept", "refuse")] > 0
    if name != "flannel":
        assert min(external[True], external[False]) > sum(external.values()) / 20
    assert (external[None] > 0) == (
        name in ("kubernetes", "gke-dataplane-v2", "azure-cilium", "ovn-kubernetes", "azure-npm", "weave")
    )
