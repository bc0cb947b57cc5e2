"""One packet against Calico's objects, rule by rule, with no cleverness at all.

Written from the documentation and what is known of Felix, not from the reader: nothing of ``ipt2np`` is used. The
objects are taken to be valid. Answers are for sources outside the cluster, where no pod or host endpoint is behind
the address: a selector finds network sets only.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from dataclasses import dataclass
from typing import Any

_PROTOCOLS = {"TCP": 6, "UDP": 17, "ICMP": 1, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}
_INFINITE = float("inf")


@dataclass(frozen=True)
class Packet:
    """A packet that opens a connection; ports and ICMP fields are 0 where its protocol has none."""

    source: str
    protocol: int
    source_port: int = 0
    port: int = 0
    icmp_type: int = 0
    icmp_code: int = 0

    @property
    def family(self) -> int:
        return 6 if ":" in self.source else 4


def admits(objects: list[dict[str, Any]], namespace: str, labels: dict[str, str], packet: Packet) -> bool:
    """Whether the packet reaches a pod of these labels."""
    pod = {**labels, "projectcalico.org/namespace": namespace, "projectcalico.org/orchestrator": "k8s"}
    # Tiers by order, an omitted one last, equal ones by name.
    tiers = [
        {"name": "kube-admin", "order": 1_000, "action": "Pass"},
        {"name": "default", "order": 1_000_000, "action": "Deny"},
        {"name": "kube-baseline", "order": 10_000_000, "action": "Pass"},
    ]
    for item in objects:
        if item["kind"] == "Tier" and item["metadata"]["name"] not in (
            "kube-admin",
            "default",
            "kube-baseline",
        ):
            spec = item["spec"]
            action = spec.get("defaultAction", "Deny")
            tiers.append(
                {"name": item["metadata"]["name"], "order": spec.get("order", _INFINITE), "action": action}
            )
    tiers.sort(key=lambda tier: (tier["order"], tier["name"]))

    policies = [policy for item in objects for policy in _policy(item, namespace, pod)]
    policies.sort(key=lambda policy: policy["order"])
    for tier in tiers:
        inside = [policy for policy in policies if policy["tier"] == tier["name"]]
        # "If no policies within the tier apply to the workload, the packet skips the tier."
        if not inside:
            continue
        verdict = None
        for policy in inside:
            for rule in policy["rules"]:
                if verdict is None and rule["action"] != "Log" and _matches(rule, policy, objects, packet):
                    verdict = rule["action"]
        # "Deny is the default at the end of a tier in which a policy applies, unless its default action is Pass."
        verdict = verdict or tier["action"]
        if verdict != "Pass":
            return bool(verdict == "Allow")
    # "The pod's profile allows all."
    return True


def _policy(item: dict[str, Any], namespace: str, pod: dict[str, str]) -> list[dict[str, Any]]:
    """The policy that an object is for the pod's ingress, or nothing."""
    spec, meta = item["spec"], item["metadata"]
    if item["apiVersion"] == "networking.k8s.io/v1":
        if meta.get("namespace", "default") != namespace:
            return []
        if "policyTypes" in spec and "Ingress" not in spec["policyTypes"]:
            return []
        if any(pod.get(key) != value for key, value in spec["podSelector"].get("matchLabels", {}).items()):
            return []
        rules = [{"action": "Allow", "k8s": rule} for rule in spec.get("ingress", [])]
        return [{"tier": "default", "order": 1000, "rules": rules, "namespace": namespace}]
    if item["kind"] not in ("NetworkPolicy", "GlobalNetworkPolicy"):
        return []
    if item["kind"] == "NetworkPolicy" and meta.get("namespace", "default") != namespace:
        return []
    # Rules before DNAT and before tracking are for host endpoints.
    if spec.get("preDNAT") or spec.get("doNotTrack"):
        return []
    types = spec.get("types")
    if types is None:
        types = []
        if spec.get("ingress") or not spec.get("egress"):
            types.append("Ingress")
        if spec.get("egress"):
            types.append("Egress")
    if "Ingress" not in types:
        return []
    if spec.get("selector") and not selects(spec["selector"], pod):
        return []
    if spec.get("namespaceSelector") and not selects(
        spec["namespaceSelector"], {"projectcalico.org/name": namespace}
    ):
        return []
    return [
        {
            "tier": spec.get("tier", "default"),
            "order": spec.get("order", _INFINITE),
            "rules": spec.get("ingress", []),
            "namespace": namespace if item["kind"] == "NetworkPolicy" else None,
        }
    ]


def _matches(
    rule: dict[str, Any], policy: dict[str, Any], objects: list[dict[str, Any]], packet: Packet
) -> bool:
    if "k8s" in rule:
        return _matches_kubernetes(rule["k8s"], packet)
    if "ipVersion" in rule and rule["ipVersion"] != packet.family:
        return False
    if "protocol" in rule and _number(rule["protocol"]) != packet.protocol:
        return False
    if "notProtocol" in rule and _number(rule["notProtocol"]) == packet.protocol:
        return False
    if "icmp" in rule and not _is_icmp(rule["icmp"], packet):
        return False
    # A notICMP without a type says nothing.
    if "notICMP" in rule and "type" in rule["notICMP"] and _is_icmp(rule["notICMP"], packet):
        return False
    source, destination = rule.get("source", {}), rule.get("destination", {})
    # "A rule with CIDRs of one family is left out for the other."
    for net in source.get("nets", []) + source.get("notNets", []):
        if (":" in net) != (packet.family == 6):
            return False
    if source.get("nets") and not any(_within(packet.source, net) for net in source["nets"]):
        return False
    if any(_within(packet.source, net) for net in source.get("notNets", [])):
        return False
    if not _is_port(source, packet.source_port) or not _is_port(destination, packet.port):
        return False
    return _is_selected(source, policy["namespace"], objects, packet)


def _is_selected(
    source: dict[str, Any], namespace: str | None, objects: list[dict[str, Any]], packet: Packet
) -> bool:
    selector, spaces, unwanted = (
        source.get("selector"),
        source.get("namespaceSelector"),
        source.get("notSelector"),
    )
    if unwanted and any(selects(unwanted, found) for found in _sets_of(packet.source, objects)):
        return False
    if not selector and not spaces and not (namespace and unwanted):
        return True
    for labels in _sets_of(packet.source, objects):
        home = labels.get("projectcalico.org/namespace")
        if spaces:
            if spaces == "global()":
                fits = home is None
            elif spaces == "all()":
                fits = home is not None
            else:
                fits = home is not None and selects(spaces, {"projectcalico.org/name": home})
        else:
            # "An empty namespaceSelector of a NetworkPolicy limits the selector to the policy's own namespace."
            fits = namespace is None or home == namespace
        if fits and (not selector or selects(selector, labels)):
            return True
    return False


def _sets_of(source: str, objects: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The labels of each network set that has the address."""
    found = []
    for item in objects:
        if item["kind"] not in ("NetworkSet", "GlobalNetworkSet"):
            continue
        if any(_within(source, net) for net in item["spec"].get("nets", [])):
            labels = dict(item["metadata"].get("labels", {}))
            if item["kind"] == "NetworkSet":
                labels["projectcalico.org/namespace"] = item["metadata"].get("namespace", "default")
            found.append(labels)
    return found


def _is_icmp(icmp: dict[str, int], packet: Packet) -> bool:
    if "type" in icmp and packet.icmp_type != icmp["type"]:
        return False
    return not ("code" in icmp and packet.icmp_code != icmp["code"])


def _is_port(entity: dict[str, Any], port: int) -> bool:
    if entity.get("ports") and not any(_in_range(port, each) for each in entity["ports"]):
        return False
    return not any(_in_range(port, each) for each in entity.get("notPorts", []))


def _in_range(port: int, entry: int | str) -> bool:
    low, _, high = str(entry).partition(":")
    return int(low) <= port <= int(high or low)


def _number(protocol: int | str) -> int:
    return protocol if isinstance(protocol, int) else _PROTOCOLS[protocol]


def _matches_kubernetes(rule: dict[str, Any], packet: Packet) -> bool:
    if rule.get("ports"):
        for port in rule["ports"]:
            if _number(port.get("protocol", "TCP")) != packet.protocol:
                continue
            if "port" not in port or port["port"] <= packet.port <= port.get("endPort", port["port"]):
                break
        else:
            return False
    if not rule.get("from"):
        return True
    for peer in rule["from"]:
        block = peer.get("ipBlock")
        if not block or not _within(packet.source, block["cidr"]):
            continue
        if not any(_within(packet.source, hole) for hole in block.get("except", [])):
            return True
    return False


def _within(address: str, cidr: str) -> bool:
    return _address(address) in _network(cidr)


_address = functools.lru_cache(maxsize=65536)(ipaddress.ip_address)
_network = functools.lru_cache(maxsize=65536)(ipaddress.ip_network)

_WORDS = re.compile(r"&&|\|\||==|!=|[!(){},]|'[^']*'|\"[^\"]*\"|[\w./-]+")


def selects(selector: str, labels: dict[str, str]) -> bool:
    """Whether the selector holds for the labels: split into words, read from the left."""
    words = _words(selector)
    if not words:
        return True
    value, rest = _either(words, labels)
    assert not rest, f"{selector}: {rest}"
    return value


@functools.lru_cache(maxsize=4096)
def _words(selector: str) -> tuple[str, ...]:
    return tuple(_WORDS.findall(selector))


def _either(words: tuple[str, ...], labels: dict[str, str]) -> tuple[bool, tuple[str, ...]]:
    value, words = _both(words, labels)
    while words[:1] == ("||",):
        right, words = _both(words[1:], labels)
        value = value or right
    return value, words


def _both(words: tuple[str, ...], labels: dict[str, str]) -> tuple[bool, tuple[str, ...]]:
    value, words = _one(words, labels)
    while words[:1] == ("&&",):
        right, words = _one(words[1:], labels)
        value = value and right
    return value, words


def _one(words: tuple[str, ...], labels: dict[str, str]) -> tuple[bool, tuple[str, ...]]:
    if words[0] == "!":
        value, words = _one(words[1:], labels)
        return not value, words
    if words[0] == "(":
        value, words = _either(words[1:], labels)
        return value, words[1:]
    if words[:3] == ("all", "(", ")"):
        return True, words[3:]
    if words[:2] == ("has", "("):
        return words[2] in labels, words[4:]
    value_of = labels.get(words[0])
    if words[1] == "==":
        return value_of == words[2][1:-1], words[3:]
    if words[1] == "!=":
        return value_of != words[2][1:-1], words[3:]
    if words[1] == "contains":
        return value_of is not None and words[2][1:-1] in value_of, words[3:]
    if words[1:3] == ("starts", "with"):
        return value_of is not None and value_of.startswith(words[3][1:-1]), words[4:]
    if words[1:3] == ("ends", "with"):
        return value_of is not None and value_of.endswith(words[3][1:-1]), words[4:]
    negative = words[1] == "not"
    start = 4 if negative else 3
    end = words.index("}")
    values = [word[1:-1] for word in words[start:end] if word != ","]
    return (value_of in values) != negative, words[end + 1 :]
