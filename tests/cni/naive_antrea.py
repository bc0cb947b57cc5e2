"""One packet against Antrea's policies, word by word, with no cleverness at all.

Policies are plain data as YAML gives them and are taken to be valid. What nobody can know from the policies alone
(which address a label selector stands for, which of two policies of equal priority comes first) is tried both ways,
so the answer is the set of everything that may happen: ``{"allow"}``, ``{"drop", "reject"}``, ``{"allow", "drop"}`` …

Sources: antrea: docs/antrea-network-policy.md, docs/antrea-node-network-policy.md,
pkg/agent/openflow/network_policy.go (ICMP of both families), pkg/agent/controller/networkpolicy/
node_reconciler_linux.go and pkg/agent/util/iptables (Node NetworkPolicy as iptables rules).
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
from dataclasses import dataclass
from typing import Any

Data = dict[str, Any]

TIERS = {
    "emergency": 50,
    "securityops": 100,
    "networkops": 150,
    "platform": 200,
    "application": 250,
    "baseline": 253,
}
PROTOCOL_NUMBERS = {"TCP": 6, "UDP": 17, "SCTP": 132}


@dataclass(frozen=True)
class Packet:
    """The first packet of a connection, and who sent it: ``external``, ``pod`` or ``node``."""

    origin: str
    source: str
    protocol: int
    port: int = 0
    source_port: int = 0
    icmp_type: int = 0
    icmp_code: int = 0

    @property
    def version(self) -> int:
        return address(self.source).version


@dataclass(frozen=True)
class Subject:
    """The pod or the node that a packet is sent to."""

    labels: Data
    namespace: str | None = None
    """None for a node."""


def outcomes(objects: list[Data], subject: Subject, packet: Packet) -> set[str]:
    """Everything that may become of the packet: ``allow``, ``drop``, ``reject``."""
    before: list[Data] = []
    after: list[Data] = []
    for policy in objects:
        if policy["apiVersion"] != "crd.antrea.io/v1beta1" or "NetworkPolicy" not in policy["kind"]:
            continue
        name = (policy["spec"].get("tier") or "application").lower()
        (after if name == "baseline" else before).append(policy)
    return native(objects, before, subject, packet, lambda: kubernetes(objects, after, subject, packet))


def native(
    objects: list[Data], policies: list[Data], subject: Subject, packet: Packet, then: Any
) -> set[str]:
    """What may become of it in these native policies; ``then`` says what becomes of it behind them."""

    def order(policy: Data) -> tuple[int, float]:
        return tier_priority(objects, policy["spec"].get("tier")), policy["spec"]["priority"]

    stages = [list(group) for _, group in itertools.groupby(sorted(policies, key=order), key=order)]

    def from_stage(number: int) -> set[str]:
        if number == len(stages):
            return set(then())
        result: set[str] = set()
        # Policies with the same priority are enforced in no order that one could know.
        for arrangement in itertools.permutations(stages[number]):
            rules = [(policy, rule) for policy in arrangement for rule in policy["spec"].get("ingress") or []]
            for action in first_matches(objects, rules, subject, packet):
                if action == "Pass":
                    result |= then()
                elif action == "none":
                    result |= from_stage(number + 1)
                else:
                    result.add(action.lower())
        return result

    return from_stage(0)


def first_matches(
    objects: list[Data], rules: list[tuple[Data, Data]], subject: Subject, packet: Packet
) -> set[str]:
    """The actions of the rules that may be the first to match; ``none`` where it may be that no rule does."""
    result: set[str] = set()
    for policy, rule in rules:
        answer = matches(objects, policy, rule, subject, packet)
        if answer == "no":
            continue
        result.add(rule["action"])
        # On a node, Pass is an iptables rule without a target: the next rule is tried.
        if answer == "yes" and not (rule["action"] == "Pass" and subject.namespace is None):
            return result
    return result | {"none"}


def kubernetes(objects: list[Data], baseline: list[Data], subject: Subject, packet: Packet) -> set[str]:
    """Kubernetes' own policies, and behind them the baseline tier."""
    isolated, allowed = False, "no"
    for policy in objects:
        if policy["apiVersion"] != "networking.k8s.io/v1" or subject.namespace is None:
            continue
        spec = policy["spec"]
        if policy["metadata"].get("namespace", "default") != subject.namespace:
            continue
        if "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
            continue
        if select(spec.get("podSelector") or {}, subject.labels) == "no":
            continue
        isolated = True
        for rule in spec.get("ingress") or []:
            came = (
                any_of([peer(objects, policy, p, packet) for p in rule["from"]])
                if rule.get("from")
                else "yes"
            )
            went = any_of([ports(p, packet) for p in rule["ports"]]) if rule.get("ports") else "yes"
            allowed = any_of([allowed, all_of([came, went])])
    if not isolated:
        return native(objects, baseline, subject, packet, lambda: {"allow"})
    return {"yes": {"allow"}, "no": {"drop"}, "maybe": {"allow", "drop"}}[allowed]


# What follows answers "yes", "no" or "maybe".


def matches(objects: list[Data], policy: Data, rule: Data, subject: Subject, packet: Packet) -> str:
    applied = policy["spec"].get("appliedTo") or rule.get("appliedTo") or []
    here = any_of([applies(objects, policy, entry, subject) for entry in applied])
    came = any_of([peer(objects, policy, p, packet) for p in rule["from"]]) if rule.get("from") else "yes"
    services = [ports(p, packet) for p in rule.get("ports") or []]
    services += [protocol(p, packet, subject.namespace is None) for p in rule.get("protocols") or []]
    went = any_of(services) if services else "yes"
    if any("service" in entry for entry in applied):
        went = "maybe"  # ports of a Service, not of a pod
    return all_of([here, came, went])


def applies(objects: list[Data], policy: Data, entry: Data, subject: Subject) -> str:
    own = policy["metadata"].get("namespace", "default") if policy["kind"] == "NetworkPolicy" else None
    if "group" in entry:
        return group_applies(objects, own, entry["group"], subject)
    return members(entry, own, subject)


def group_applies(objects: list[Data], own: str | None, name: str, subject: Subject) -> str:
    group = find_group(objects, own, name)
    if group is None:
        return "maybe"
    if group["spec"].get("childGroups"):
        return any_of([group_applies(objects, own, child, subject) for child in group["spec"]["childGroups"]])
    answer = members(group["spec"], own, subject)
    return "maybe" if subject.namespace is None and answer == "yes" else answer


def members(fields: Data, own: str | None, subject: Subject) -> str:
    """Whether the subject is among what these fields select."""
    if not fields:
        return "maybe"
    if "nodeSelector" in fields:
        return "no" if subject.namespace is not None else select(fields["nodeSelector"], subject.labels)
    if subject.namespace is None or "ipBlocks" in fields or "externalEntitySelector" in fields:
        return "no"
    if "serviceAccount" in fields:
        return "maybe" if fields["serviceAccount"]["namespace"] == subject.namespace else "no"
    if "service" in fields:
        return "maybe"  # traffic to a Service is not traffic to a pod, but it gets there
    if "serviceReference" in fields:
        return "maybe" if fields["serviceReference"].get("namespace") in (None, subject.namespace) else "no"
    answers = [select(fields.get("podSelector") or {}, subject.labels)]
    if "namespaceSelector" in fields:
        answers.append(select_namespace(fields["namespaceSelector"], subject.namespace))
    elif own is not None and own != subject.namespace:
        answers.append("no")
    return all_of(answers)


def find_group(objects: list[Data], own: str | None, name: str) -> Data | None:
    kind = "ClusterGroup" if own is None else "Group"
    for item in objects:
        here = own is None or item["metadata"].get("namespace", "default") == own
        if here and item["kind"] == kind and item["metadata"]["name"] == name:
            return item
    return None


def peer(objects: list[Data], policy: Data, fields: Data, packet: Packet) -> str:
    own = None if policy["kind"] == "ClusterNetworkPolicy" else policy["metadata"].get("namespace", "default")
    if fields.get("scope") == "ClusterSet":
        return "maybe"
    if "ipBlock" in fields:
        return block(fields["ipBlock"], packet)
    if "group" in fields:
        return group_holds(objects, own, fields["group"], packet)
    return workloads(fields, own, packet)


def group_holds(objects: list[Data], own: str | None, name: str, packet: Packet) -> str:
    group = find_group(objects, own, name)
    if group is None:
        return "maybe"
    spec = group["spec"]
    if spec.get("childGroups"):
        return any_of([group_holds(objects, own, child, packet) for child in spec["childGroups"]])
    if "ipBlocks" in spec:
        answers = []
        for entry in spec["ipBlocks"]:
            # Whether a group keeps its excepts up to date is not documented.
            whole = block({"cidr": entry["cidr"]}, packet)
            answers.append("maybe" if block(entry, packet) != whole else whole)
        return any_of(answers)
    return workloads(spec, own, packet)


def workloads(fields: Data, own: str | None, packet: Packet) -> str:
    """Peers made of selectors: what is known of who matches them."""
    if not fields or "externalEntitySelector" in fields:
        return "maybe"
    if "nodeSelector" in fields:
        if packet.origin != "node":
            return "no"
        return "maybe" if is_specific(fields["nodeSelector"]) else "yes"
    if packet.origin == "external":
        return "no"
    if packet.origin == "node":
        return "maybe"  # pods of the host network have its address
    if not {"podSelector", "namespaceSelector"} >= set(fields) - {"scope"}:
        return "maybe"
    if is_specific(fields.get("podSelector") or {}) or is_specific(fields.get("namespaceSelector") or {}):
        return "maybe"
    return "yes" if own is None or "namespaceSelector" in fields else "maybe"


def is_specific(selector: Data) -> bool:
    return bool(selector.get("matchLabels") or selector.get("matchExpressions"))


def block(fields: Data, packet: Packet) -> str:
    if not within(packet.source, fields["cidr"]):
        return "no"
    return "no" if any(within(packet.source, hole) for hole in fields.get("except") or []) else "yes"


def ports(fields: Data, packet: Packet) -> str:
    if packet.protocol != PROTOCOL_NUMBERS[fields.get("protocol", "TCP")]:
        return "no"
    if "sourcePort" in fields:
        first: int = fields["sourcePort"]
        last: int = fields.get("sourceEndPort", first)
        if not first <= packet.source_port <= last:
            return "no"
    if fields.get("port") is None:
        return "yes"
    if isinstance(fields["port"], str):
        return "maybe"
    low: int = fields["port"]
    high: int = fields.get("endPort", low)
    return "yes" if low <= packet.port <= high else "no"


def protocol(fields: Data, packet: Packet, on_node: bool) -> str:
    if "igmp" in fields:
        return "maybe" if packet.protocol == 2 or on_node else "no"
    if packet.protocol != {4: 1, 6: 58}[packet.version]:
        return "no"
    wanted, code = fields["icmp"].get("icmpType"), fields["icmp"].get("icmpCode")
    fits = wanted in (None, packet.icmp_type) and code in (None, packet.icmp_code)
    if not fits and on_node and wanted is None:
        return "maybe"  # iptables cannot match a code without a type
    if not fits and on_node and wanted == 255 and packet.version == 4:
        return "maybe"  # to iptables, type 255 is any type
    return "yes" if fits else "no"


def tier_priority(objects: list[Data], name: str | None) -> int:
    if not name:
        return TIERS["application"]
    for item in objects:
        if item["kind"] == "Tier" and item["metadata"]["name"] == name:
            return int(item["spec"]["priority"])
    return TIERS[name.lower()]


def select(selector: Data, labels: Data) -> str:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return "no"
    for expression in selector.get("matchExpressions") or []:
        has, values = labels.get(expression["key"]), expression.get("values") or []
        holds = {
            "In": has in values,
            "NotIn": has not in values,
            "Exists": has is not None,
            "DoesNotExist": has is None,
        }
        if not holds[expression["operator"]]:
            return "no"
    return "yes"


def select_namespace(selector: Data, namespace: str) -> str:
    """Of a namespace's labels only the one with its name is known."""
    known = {"kubernetes.io/metadata.name": namespace}
    answers = ["yes"]
    for key, value in (selector.get("matchLabels") or {}).items():
        answers.append(select({"matchLabels": {key: value}}, known) if key in known else "maybe")
    for expression in selector.get("matchExpressions") or []:
        answers.append(
            select({"matchExpressions": [expression]}, known) if expression["key"] in known else "maybe"
        )
    return all_of(answers)


def any_of(answers: list[str]) -> str:
    return "yes" if "yes" in answers else "maybe" if "maybe" in answers else "no"


def all_of(answers: list[str]) -> str:
    return "no" if "no" in answers else "maybe" if "maybe" in answers else "yes"


def within(source: str, cidr: str) -> bool:
    return address(source) in network(cidr)


# Only to save parsing the same text again and again.
address = functools.lru_cache(maxsize=100_000)(ipaddress.ip_address)
network = functools.lru_cache(maxsize=10_000)(ipaddress.ip_network)
