"""What ``verify`` says of policies, held against judges that ask one packet after another and share no code with it.

Of ``ipt2np`` only what is judged is used: the verification and its report.
"""

from __future__ import annotations

import copy
import ipaddress
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import yaml

from ipt2np import Identity, Options, Ruleset, parse_ruleset
from ipt2np.cni.base import Cluster
from ipt2np.policies.loading import checked
from ipt2np.policies.manifest import manifests_of
from ipt2np.reporting.verificationreport import verification_report
from ipt2np.review.verification import Verification, verify
from tests.cni import naive_networkpolicy
from tests.cni.random_hosts import ICMP, OPENING, Case, Host, Packet
from tests.cni.test_every_cni import JUDGES, Answer, Judge

from .hosts import NO_NEXT_HEADER, Decider, cells, deciders, possible
from .mutations import Objects

NAMESPACE, LABELS = naive_networkpolicy.NAMESPACE, naive_networkpolicy.LABELS
IDENTITY = Identity("web", NAMESPACE, LABELS)
SHARE_INSIDE = 0.15
"""Of packets from pods and nodes so many are asked; of those from outside all are."""
PINGS = {4: 8, 6: 128}
SHOWN = 20
"""So many lines of a difference are listed."""
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "dccp": 33, "gre": 47, "icmpv6": 58, "sctp": 132, "udplite": 136}
NUMBERED = (6, 17, 33, 132, 136)


class _Plain(yaml.CSafeDumper):
    """Writes shared parts out again and again: no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dumped(objects: Objects) -> str:
    """YAML that reads back as the objects."""
    return str(yaml.dump_all(objects, Dumper=_Plain, sort_keys=False))


def rulesets_of(case: Case) -> list[Ruleset]:
    """The case's rulesets, rules numbered apart."""
    found: list[Ruleset] = []
    number = 0
    for host in case.hosts:
        file = f"rules.v{host.family}"
        found.append(parse_ruleset(host.text().encode(), file, family=host.family, first_number=number))
        number += len(found[-1].rules)
    return found


def options_of(case: Case, identity: Identity = IDENTITY) -> Options:
    """Whose traffic is meant in the cluster of the case."""
    return Options(
        identity=identity,
        cluster=Cluster(case.pod_cidrs, case.node_cidrs, case.cidr_match, case.in_cluster),
    )


def verified(
    case: Case, rulesets: Sequence[Ruleset], text: str, cni: str, identity: Identity = IDENTITY
) -> Verification:
    """The verification of a text. InputError where it would be refused."""
    policies = checked(manifests_of(text, "policy.yaml"), (), cni, identity.namespace)
    return verify(rulesets, policies, options_of(case, identity))


# -- what a report says, read from its words ---------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A difference of a report."""

    data: Mapping[str, Any]

    @property
    def effect(self) -> str:
        return str(self.data["effect"])

    @cached_property
    def sources(self) -> list[tuple[int, int, int]]:
        networks = map(ipaddress.ip_network, self.data["source"])
        return [(net.version, int(net[0]), int(net[-1])) for net in networks]

    @cached_property
    def protocols(self) -> list[tuple[int, int]]:
        return _ranges(self.data["protocol"], 255, PROTOCOLS)

    @cached_property
    def ports(self) -> list[tuple[int, int]]:
        return _ranges(self.data.get("ports", "any"), 65535)

    @cached_property
    def source_ports(self) -> list[tuple[int, int]]:
        return _ranges(self.data.get("source_ports", "any"), 65535)

    @cached_property
    def messages(self) -> list[tuple[list[tuple[int, int]], list[tuple[int, int]]]]:
        found = []
        for text in self.data.get("icmp", ["any"]):
            types, _, codes = text.partition("/")
            found.append((_ranges(types, 255), _ranges(codes or "any", 255)))
        return found

    def holds(self, packet: Packet) -> bool:
        """True where the packet is one that the difference speaks of."""
        number = int(packet.source)
        if not any(version == packet.family and low <= number <= high for version, low, high in self.sources):
            return False
        if not _in(packet.protocol, self.protocols):
            return False
        if packet.protocol in NUMBERED:
            return _in(packet.port, self.ports) and _in(packet.source_port, self.source_ports)
        if packet.protocol in (1, 58):
            return any(
                _in(packet.icmp_type, types) and _in(packet.icmp_code, codes)
                for types, codes in self.messages
            )
        return True

    def witness(self) -> Packet:
        """The packet that it shows."""
        shown = self.data["witness"]
        protocol = PROTOCOLS.get(shown["protocol"])
        return Packet(
            self.data["source_class"],
            ipaddress.ip_address(shown["source"]),
            int(shown["protocol"]) if protocol is None else protocol,
            shown.get("port", 0),
            shown.get("source_port", 40000),
            shown.get("icmp_type", 0),
            shown.get("icmp_code", 0),
        )


def _ranges(text: str, last: int, names: Mapping[str, int] | None = None) -> list[tuple[int, int]]:
    if text == "any":
        return [(0, last)]
    found = []
    for word in text.split(","):
        if names and word in names:
            found.append((names[word], names[word]))
        else:
            low, _, high = word.partition("-")
            found.append((int(low), int(high or low)))
    return found


def _in(number: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(low <= number <= high for low, high in ranges)


# -- the judge ---------------------------------------------------------------------------------------------------


@dataclass
class Trial:
    """Policies against a host, packet by packet."""

    case: Case
    cni: str
    objects: Objects
    fates: dict[Packet, frozenset[Decider]] = field(default_factory=dict)
    """Known already, of packets from outside: the host is the same whatever its policies are."""

    judges: Callable[[Objects, Case], Judge] | None = None
    """What makes the judge of objects in a case; none for that of the CNI."""

    def __post_init__(self) -> None:
        self.judge = (self.judges or JUDGES[self.cni])(self.objects, self.case)

    def host(self, packet: Packet) -> Host | None:
        return self.case.host(packet.family)

    def decided(self, packet: Packet) -> frozenset[Decider]:
        """What the host makes of a packet, and which lines say so; nothing where nobody knows."""
        host = self.host(packet)
        if host is None:
            return frozenset()
        outside = replace(packet, sender="external") if packet.sender != "external" else packet
        if outside not in self.fates:
            self.fates[outside] = frozenset(deciders(host, outside))
        return self.fates[outside]

    def admits(self, packet: Packet) -> Answer:
        """Whether the policies, and the platform with them, let the packet through."""
        answer = self.judge(packet)
        pings = packet.protocol in (1, 58) and packet.icmp_type == PINGS[packet.family]
        if self.cni == "kube-router" and pings and {fate for fate, _ in self.decided(packet)} == {"accept"}:
            return True if answer is not None else None
        return answer

    def effect(self, packet: Packet) -> tuple[str, bool]:
        """``closes``, ``opens`` or nothing, and whether it is certain whose the packet is being known."""
        admitted = self.admits(packet)
        fates = {fate for fate, _ in self.decided(packet)}
        if admitted is None:
            return "", False
        if admitted and fates != {"accept"}:
            return "opens", fates == {"refuse"}
        if not admitted and "accept" in fates:
            return "closes", fates == {"accept"}
        return "", False


def blind_inside(cni: str, objects: Objects) -> bool:
    """True where the judge knows external sources alone: it looks network sets up by address."""
    return cni == "calico" and any(
        "selector" in each.get("source", {}) or each.get("kind") in ("NetworkSet", "GlobalNetworkSet")
        for item in objects
        for each in [item, *(item.get("spec", {}).get("ingress") or [])]
    )


def asked(rng: random.Random, trial: Trial, most: int | None = None) -> Iterator[Packet]:
    """Every cell from outside, and some of them from pods and nodes; a few packets from anywhere.

    Of more than ``most`` cells some are chosen.
    """
    case = trial.case
    inside = not blind_inside(trial.cni, trial.objects)
    some = list(cells(case, trial.objects))
    if most is not None and len(some) > most:
        some = rng.sample(some, most)
    for packet in itertools.chain(some, case.packets(rng, 40)):
        if not possible(packet.source) or not _opens(packet):
            continue
        for sender in case.senders(packet.source):
            if sender == "external" or (inside and rng.random() < SHARE_INSIDE):
                yield packet if packet.sender == sender else replace(packet, sender=sender)


def _opens(packet: Packet) -> bool:
    """True for what conntrack takes for the beginning of a connection."""
    if packet.protocol in (1, 58):
        return packet.protocol == ICMP[packet.family] and packet.icmp_type in OPENING[packet.family]
    return packet.family == 4 or packet.protocol != NO_NEXT_HEADER


def judged(
    rng: random.Random, trial: Trial, data: Mapping[str, Any], most: int | None = None
) -> Counter[Any]:
    """AssertionError where a report says of the policies what no packet bears out, or leaves out what one shows.

    Packets are those of ``asked``.
    """
    case, counts = trial.case, Counter[Any]()
    told = [Told(each) for each in data["proof"]["differences"]]
    by_class = {
        name: [each for each in told if each.data["source_class"] == name]
        for name in ("external", "pod", "node")
    }
    seen: dict[str, set[str]] = {"external": set(), "pod": set(), "node": set()}
    behind: dict[int, set[int]] = {}
    for packet in asked(rng, trial, most):
        effect, certain = trial.effect(packet)
        counts[packet.sender, effect] += 1
        here = [each for each in by_class[packet.sender] if each.holds(packet)]
        assert len(here) <= 1, f"{packet} is told twice: {[each.data for each in here]}"
        for each in here:
            assert each.effect == effect, f"{packet}: {effect or 'the same'}, and the report says {each.data}"
            assert_certain(case, each, packet, certain)
            fate = "accept" if effect == "closes" else "refuse"
            lines = {line for some, line in trial.decided(packet) if some == fate and line}
            behind.setdefault(id(each), set()).update(lines)
        if not effect:
            continue
        seen[packet.sender].add(effect)
        outside = [
            each for each in by_class["external"] if packet.sender != "external" and each.holds(packet)
        ]
        there = [
            each for each in outside if each.effect == effect and "external" in case.senders(packet.source)
        ]
        assert here or there, f"{packet}: {effect}, and no difference holds it"
    for each in told:
        assert_witness(trial, each)
        seen[each.data["source_class"]].add(each.effect)
        assert_lines(trial, each, None if most else behind.get(id(each), set()))
        assert_pointers(trial, each, data)
        counts["difference", each.effect, each.data["source_class"]] += 1
    expected = {"closes": "narrower", "opens": "wider"}
    for name, verdict in data["proof"]["by_class"].items():
        if name != "external":
            for each in by_class["external"]:
                overlapping = name in case.senders(each.witness().source)
                if overlapping and trial.effect(replace(each.witness(), sender=name))[0] == each.effect:
                    seen[name].add(each.effect)
        effects = seen[name]
        whole = name == "external" or not blind_inside(trial.cni, trial.objects)
        found = "equal" if not effects else "differs" if len(effects) == 2 else expected[next(iter(effects))]
        if name == "external" or (whole and effects):
            fits = verdict == found if name == "external" else verdict in (found, "differs")
            assert fits, f"{name}: the verdict is {verdict}, and packets show that it is {found}"
    assert data["proof"]["verdict"] == data["proof"]["by_class"]["external"]
    return counts


def assert_certain(case: Case, told: Told, packet: Packet, certain: bool) -> None:
    """A difference is certain where the host's verdict is, and whose the sources are."""
    declared = {"external": True, "pod": bool(case.pod_cidrs), "node": bool(case.node_cidrs)}
    expected = certain and declared[told.data["source_class"]]
    assert told.data["certain"] == expected, (
        f"{packet}: certain is {expected}, and the report says {told.data}"
    )


def assert_witness(trial: Trial, told: Told) -> None:
    """The witness lies in the difference and shows it."""
    packet = told.witness()
    if packet.sender != "external" and blind_inside(trial.cni, trial.objects):
        return
    effect, certain = trial.effect(packet)
    assert possible(packet.source), f"{packet} cannot be, and is the witness of {told.data}"
    assert told.holds(packet), f"{packet} is not in {told.data}"
    assert effect == told.effect, f"{packet}: {effect or 'the same'}, and it is the witness of {told.data}"
    assert_certain(trial.case, told, packet, certain)


def assert_lines(trial: Trial, told: Told, behind: set[int] | None) -> None:
    """The ruleset's lines are those of the rules that decide the packets of the difference."""
    packet = told.witness()
    fate = "accept" if told.effect == "closes" else "refuse"
    needed = {line for some, line in trial.decided(packet) if some == fate and line}
    lines = {each["line"] for each in told.data.get("lines", [])}
    if "more_lines" in told.data:
        assert len(lines) == SHOWN
        return
    assert needed <= lines, (
        f"{sorted(needed)} decide {packet}; the report says {sorted(lines)} of {told.data}"
    )
    if behind is not None and told.data["source_class"] == "external":
        assert needed | behind >= lines, f"{sorted(lines)} are told, and {sorted(behind)} decide {told.data}"


def assert_pointers(trial: Trial, told: Told, data: Mapping[str, Any]) -> None:
    """The rules of the policies behind a difference are there, match the witness, and without them it is none."""
    pointers = told.data.get("pointers", [])
    codes = {"N2P501", "N2P502", "N2P503"} & set(told.data["findings"])
    said = {
        pointer for each in data["findings"] if each["code"] in codes for pointer in each.get("pointers", [])
    }
    for pointer in pointers:
        place = data["places"][pointer]
        assert 1 <= place["line"] <= place["end"]
        assert pointer in said or not codes, f"{pointer} is behind {told.data}, and no finding says so"
    packet = told.witness()
    if packet.sender != "external" and blind_inside(trial.cni, trial.objects):
        return
    deny = told.effect == "closes"
    alone = admitted_without(trial, lambda pointer, action: (action == "deny") == deny, packet)
    if alone is not deny:
        # Whatever the rules say, it is let in or kept out: by no rule, or by who isolates nobody.
        return
    assert pointers, (
        f"{packet}: without rules it would be {'let in' if deny else 'kept out'}, and no pointer is told"
    )
    chosen = set(pointers)
    own = "deny" if deny else "allow"
    # What is passed on may be let in or kept out for it, or in spite of it.
    answers = (
        admitted_without(trial, lambda pointer, action: pointer in chosen and action == own, packet),
        admitted_without(trial, lambda pointer, action: pointer in chosen, packet),
    )
    assert any(answer is not (not deny) for answer in answers), (
        f"{packet}: without {pointers} it is still {'denied' if deny else 'admitted'}"
    )


def admitted_without(trial: Trial, gone: Callable[[str, str], bool], packet: Packet) -> Answer:
    """Whether the packet is let through where some rules, by pointer and action, match nothing."""
    objects = copy.deepcopy(trial.objects)
    for each in objects:
        meta = each["metadata"]
        owner = "/".join([each["kind"], *([meta["namespace"]] if "namespace" in meta else []), meta["name"]])
        numbered = [(f"specs/{number}", spec) for number, spec in enumerate(each.get("specs") or [])]
        for where, spec in [("spec", each.get("spec") or {}), *numbered]:
            for key in ("ingress", "ingressDeny"):
                if not spec.get(key):
                    continue
                left = [
                    rule
                    for place, rule in enumerate(spec[key])
                    if not gone(
                        f"{owner}#/{where}/{key}/{place}", "deny" if key == "ingressDeny" else _action(rule)
                    )
                ]
                # Cilium takes a list without rules for one that isolates nobody; a rule of nothing matches nothing.
                spec[key] = left or ([{}] if "endpointSelector" in spec else [])
    return replace(trial, objects=objects).admits(packet)


def _action(rule: Mapping[str, Any]) -> str:
    words = {"Deny": "deny", "Drop": "deny", "Reject": "deny", "Pass": "pass", "Log": "log"}
    return words.get(rule.get("action", "Allow"), "allow")


def report_of(found: Verification) -> Mapping[str, Any]:
    """The report's data."""
    return verification_report(found, "test").data
