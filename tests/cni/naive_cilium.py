"""Cilium's verdict on one packet, rule by rule over plain YAML data: the judge of ``ipt2np.cni.kinds.cilium``.

Written from Cilium's documentation and sources and not from the reader; nothing of ``ipt2np`` is imported here.
Slow on purpose: no sets, no sharing, one packet at a time. Answers are True (it passes), False (it is dropped) or
None (nobody can say).

Sources: cilium: Documentation/security/policy/{layer3,layer4,deny,host}.rst; pkg/policy/api/{ingress,entity,cidr,l4,
icmp,rule_validation}.go; pkg/k8s/network_policy.go; pkg/k8s/apis/cilium.io/utils/utils.go; cilium#47827, #46996.
"""

from __future__ import annotations

import functools
import ipaddress
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Answer = bool | None
Object = dict[str, Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

CLASSES = ("external", "pod", "node")
POLICY, CLUSTERWIDE, GROUP = "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "CiliumCIDRGroup"
NAMESPACE_KEY = "io.kubernetes.pod.namespace"
METADATA_KEY = "io.cilium.k8s.namespace.labels."
TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58
L4_NUMBERS = {
    "TCP": {6},
    "UDP": {17},
    "SCTP": {132},
    "ANY": {6, 17, 132},
    "IGMP": {2},
    "IPIP": {4},
    "IPV6": {41},
    "GRE": {47},
    "ESP": {50},
    "AH": {51},
    "VRRP": {112},
}
EXTENDED = {2, 4, 41, 47, 50, 51, 112}
ICMP_NAMES = {("IPv4", "EchoRequest"): 8, ("IPv6", "EchoRequest"): 128, ("IPv4", "TimeExceeded"): 11}


@dataclass(frozen=True)
class Agent:
    """How the agent is configured, as far as policy goes."""

    cidr_match: frozenset[str] = frozenset()
    extended: bool = False
    sctp: bool = False
    end_port: bool = True


@dataclass(frozen=True)
class Packet:
    """A packet that opens a connection, and what kind of source sent it."""

    source_class: str
    source: Address
    protocol: int
    port: int = 0
    icmp_type: int = 0


def some_hold(answers: Iterable[Answer]) -> Answer:
    """Kleene's or."""
    found = list(answers)
    if True in found:
        return True
    return None if None in found else False


def all_hold(answers: Iterable[Answer]) -> Answer:
    """Kleene's and."""
    found = list(answers)
    if False in found:
        return False
    return None if None in found else True


def negated(answer: Answer) -> Answer:
    """Kleene's not."""
    return None if answer is None else not answer


# -- labels ----------------------------------------------------------------------------------------------


def conditions(selector: Mapping[str, Any]) -> Iterator[tuple[str, str, str, list[str]]]:
    """Source (``any`` where none is said), key, operator, values of each condition of a selector."""
    for key, value in (selector.get("matchLabels") or {}).items():
        source, _, rest = key.rpartition(":")
        yield source or "any", rest, "In", [value]
    for entry in selector.get("matchExpressions") or []:
        source, _, rest = entry["key"].rpartition(":")
        yield source or "any", rest, entry["operator"], entry.get("values") or []


def condition_holds(condition: tuple[str, str, str, list[str]], labels: Mapping[str, str]) -> Answer:
    source, key, operator, values = condition
    if source not in ("k8s", "any", "reserved"):
        return None
    name = f"reserved:{key}" if source == "reserved" else key
    if source != "reserved" and key.startswith("io.cilium.k8s.") and key not in labels:
        return None
    held = labels.get(name)
    return {
        "In": held in values,
        "NotIn": held not in values,
        "Exists": held is not None,
        "DoesNotExist": held is None,
    }[operator]


def selects(selector: Mapping[str, Any], labels: Mapping[str, str], own_namespace: bool) -> Answer:
    """True where the endpoint with ``labels`` is selected.

    A namespaced policy applies in its own namespace; what it says of another one is dropped with a warning.
    """
    answers = []
    for condition in conditions(selector):
        answer = condition_holds(condition, labels)
        if own_namespace and condition[1] == NAMESPACE_KEY and condition[0] in ("k8s", "any") and not answer:
            answer = None
        answers.append(answer)
    return all_hold(answers)


# -- peers -----------------------------------------------------------------------------------------------


# Only to save parsing the same text again and again.
network_of = functools.lru_cache(maxsize=10_000)(ipaddress.ip_network)


def cidr_matches(packet: Packet, cidr: str, excepts: Iterable[str], agent: Agent) -> Answer:
    network = network_of(cidr)
    inside = packet.source in network and not any(packet.source in network_of(hole) for hole in excepts)
    if packet.source_class == "external":
        return inside
    if packet.source_class == "pod":
        return inside and "pods" in agent.cidr_match
    if "nodes" not in agent.cidr_match or not inside:
        return False
    if network.prefixlen == 0:
        # Not with nodes alone (cilium#47827); with pods beside it, #47828 and #48046 say different things.
        return None if "pods" in agent.cidr_match else False
    return True


ENTITIES: Mapping[str, tuple[Answer, Answer, Answer]] = {
    "all": (True, True, True),
    "world": (True, False, False),
    "cluster": (False, True, True),
    "host": (False, False, False),
    "remote-node": (False, False, True),
    "none": (False, False, False),
    "init": (False, None, False),
    "ingress": (False, None, False),
    "unmanaged": (False, None, False),
    "health": (False, None, False),
    "kube-apiserver": (None, None, None),
}
"""Whether an entity matches an external source, a pod, another node."""


def endpoint_matches(
    packet: Packet, selector: Mapping[str, Any], namespace: str | None, init: bool
) -> Answer:
    """Whether a fromEndpoints selector matches; ``namespace`` of the policy, None for a clusterwide one."""
    wanted = list(conditions(selector))
    if any(source not in ("k8s", "any") for source, *_ in wanted):
        return None
    keys = [key for _, key, _, _ in wanted]
    if NAMESPACE_KEY not in keys:
        if namespace is None and not init:
            wanted.append(("k8s", NAMESPACE_KEY, "Exists", []))
        if namespace is not None and not any(key.startswith(METADATA_KEY) for key in keys):
            wanted.append(("k8s", NAMESPACE_KEY, "In", [namespace]))
    if packet.source_class == "pod":
        everyone = all(key == NAMESPACE_KEY and operator == "Exists" for _, key, operator, _ in wanted)
        return True if everyone else None
    # Only a condition that needs a namespace label keeps sources without one out (cilium#46996).
    kept_out = any(
        operator in ("In", "Exists") and (key == NAMESPACE_KEY or key.startswith(METADATA_KEY))
        for _, key, operator, _ in wanted
    )
    return False if kept_out else None


def node_matches(packet: Packet, selector: Mapping[str, Any]) -> Answer:
    """Whether a fromNodes selector matches: it needs an agent flag, and node labels are not known."""
    if packet.source_class == "node":
        return None
    positive = any(operator in ("In", "Exists") for _, _, operator, _ in conditions(selector))
    return False if positive else None


def group_cidrs(entry: Mapping[str, Any], groups: Sequence[Object]) -> Iterator[str]:
    for group in groups:
        if "cidrGroupRef" in entry:
            wanted = group["metadata"]["name"] == entry["cidrGroupRef"]
        else:
            labels = group["metadata"].get("labels") or {}
            wanted = bool(selects(entry["cidrGroupSelector"], labels, False))
        if wanted:
            yield from group["spec"]["externalCIDRs"]


PEER_FIELDS = ("fromEndpoints", "fromCIDR", "fromCIDRSet", "fromEntities", "fromNodes", "fromGroups")


def peer_answer(
    packet: Packet, rule: Object, namespace: str | None, init: bool, groups: Sequence[Object], agent: Agent
) -> Answer:
    """Whether the rule's peers match; a rule that names none matches everybody."""
    answers: list[Answer] = []
    if not any(rule.get(field) for field in PEER_FIELDS):
        # An empty list is nobody in some versions and everybody in others.
        return None if any(rule.get(field) == [] for field in PEER_FIELDS) else True
    for selector in rule.get("fromEndpoints") or []:
        answers.append(endpoint_matches(packet, selector, namespace, init))
    for cidr in rule.get("fromCIDR") or []:
        answers.append(cidr_matches(packet, cidr, [], agent))
    for entry in rule.get("fromCIDRSet") or []:
        if "cidr" in entry:
            answers.append(cidr_matches(packet, entry["cidr"], entry.get("except") or [], agent))
        else:
            answers += [cidr_matches(packet, cidr, [], agent) for cidr in group_cidrs(entry, groups)]
    for entity in rule.get("fromEntities") or []:
        answers.append(ENTITIES[entity][CLASSES.index(packet.source_class)])
    for selector in rule.get("fromNodes") or []:
        answers.append(node_matches(packet, selector))
    for _ in rule.get("fromGroups") or []:
        answers.append(None)
    return some_hold(answers)


# -- services --------------------------------------------------------------------------------------------


def port_matches(packet: Packet, entry: Mapping[str, Any], agent: Agent) -> Answer:
    if packet.protocol not in L4_NUMBERS[entry.get("protocol", "ANY")]:
        return False
    if packet.protocol not in (TCP, UDP, SCTP):
        return True
    first = int(entry["port"])
    if first == 0:
        return True
    last = entry.get("endPort", first)
    if packet.port == first:
        return True
    if not first <= packet.port <= last:
        return False
    return True if agent.end_port else None


def icmp_matches(packet: Packet, field: Mapping[str, Any]) -> bool:
    family = field.get("family", "IPv4")
    wanted = field["type"]
    if isinstance(wanted, str):
        wanted = int(wanted) if wanted.isdigit() else ICMP_NAMES[family, wanted]
    number, version = (ICMP, 4) if family == "IPv4" else (ICMPV6, 6)
    return packet.protocol == number and packet.source.version == version and packet.icmp_type == wanted


def service_answer(packet: Packet, rule: Object, agent: Agent) -> Answer:
    answers: list[Answer] = []
    if not rule.get("toPorts") and not rule.get("icmps"):
        answers.append(True)
    for part in rule.get("toPorts") or []:
        judged = set(part) - {"ports"}  # by a proxy, which sees more than the first packet
        for entry in part["ports"]:
            answer = port_matches(packet, entry, agent)
            answers.append(None if answer and judged else answer)
    for part in rule.get("icmps") or []:
        answers += [icmp_matches(packet, field) for field in part["fields"]]
    return some_hold(answers)


def rule_answer(
    packet: Packet, rule: Object, namespace: str | None, init: bool, groups: Sequence[Object], agent: Agent
) -> Answer:
    """Whether a rule of a Cilium policy matches; one that says nothing matches nothing."""
    if not any(rule.get(field) is not None for field in (*PEER_FIELDS, "toPorts", "icmps")):
        return False
    answers = [peer_answer(packet, rule, namespace, init, groups, agent), service_answer(packet, rule, agent)]
    if rule.get("authentication", {}).get("mode", "disabled") != "disabled":
        answers.append(None)
    return all_hold(answers)


# -- Kubernetes NetworkPolicy ----------------------------------------------------------------------------


def kubernetes_peer(packet: Packet, peer: Object, agent: Agent) -> Answer:
    if "ipBlock" in peer:
        return cidr_matches(packet, peer["ipBlock"]["cidr"], peer["ipBlock"].get("except") or [], agent)
    if "namespaceSelector" not in peer:
        return None if packet.source_class == "pod" else False
    namespaces = list(conditions(peer["namespaceSelector"]))
    pods = list(conditions(peer.get("podSelector") or {}))
    if packet.source_class == "pod":
        return True if not namespaces and not pods else None
    if not namespaces or any(operator in ("In", "Exists") for _, _, operator, _ in namespaces):
        return False
    return None


def kubernetes_port(packet: Packet, entry: Mapping[str, Any], agent: Agent) -> Answer:
    if packet.protocol not in L4_NUMBERS[entry.get("protocol", "TCP")]:
        return False
    if "port" not in entry:
        return True
    last = entry.get("endPort", entry["port"]) if agent.end_port else entry["port"]
    return bool(entry["port"] <= packet.port <= last)


def kubernetes_rule(packet: Packet, rule: Object, agent: Agent) -> Answer:
    sources, ports = rule.get("from") or [], rule.get("ports") or []
    return all_hold(
        [
            some_hold(kubernetes_peer(packet, peer, agent) for peer in sources) if sources else True,
            some_hold(kubernetes_port(packet, port, agent) for port in ports) if ports else True,
        ]
    )


# -- the verdict -----------------------------------------------------------------------------------------


def datapath_answer(packet: Packet, agent: Agent) -> Answer:
    """Whether the datapath knows the protocol at all."""
    known = {TCP, UDP, ICMP if packet.source.version == 4 else ICMPV6}
    if agent.sctp:
        known.add(SCTP)
    if packet.protocol in known:
        return True
    if not agent.extended or packet.protocol in (SCTP, ICMP, ICMPV6):
        return False
    return True if packet.protocol in EXTENDED else None


def default_deny(spec: Object) -> bool:
    if not spec.get("ingress") and not spec.get("ingressDeny"):
        return False
    return bool((spec.get("enableDefaultDeny") or {}).get("ingress", True))


def verdict(
    objects: Sequence[Object], namespace: str, pod_labels: Mapping[str, str], packet: Packet, agent: Agent
) -> Answer:
    """Whether ``packet`` reaches the pod."""
    labels = {**pod_labels, NAMESPACE_KEY: namespace, METADATA_KEY + "kubernetes.io/metadata.name": namespace}
    groups = [found for found in objects if found["kind"] == GROUP]
    allowed: list[Answer] = []
    denied: list[Answer] = []
    isolated: list[Answer] = []
    for found in objects:
        if found["kind"] == GROUP:
            continue
        own = found["metadata"].get("namespace", "default") if found["kind"] != CLUSTERWIDE else None
        if own is not None and own != namespace:
            continue
        if found["kind"] == "NetworkPolicy":
            spec = found["spec"]
            chosen = selects(spec.get("podSelector") or {}, labels, True)
            if "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
                if not spec.get("ingress"):
                    continue
                chosen = all_hold([chosen, None])  # Cilium's conversion does not look at the types
            isolated.append(chosen)
            for rule in spec.get("ingress") or []:
                allowed.append(all_hold([chosen, kubernetes_rule(packet, rule, agent)]))
            continue
        for spec in [found["spec"]] if "spec" in found else found["specs"]:
            if "endpointSelector" not in spec:
                continue
            subject = spec["endpointSelector"]
            chosen = selects(subject, labels, own is not None)
            init = any((source, key) == ("reserved", "init") for source, key, _, _ in conditions(subject))
            isolated.append(all_hold([chosen, default_deny(spec)]))
            for rule in spec.get("ingress") or []:
                allowed.append(all_hold([chosen, rule_answer(packet, rule, own, init, groups, agent)]))
            for rule in spec.get("ingressDeny") or []:
                denied.append(all_hold([chosen, rule_answer(packet, rule, own, init, groups, agent)]))
    return all_hold(
        [
            datapath_answer(packet, agent),
            negated(some_hold(denied)),
            some_hold([some_hold(allowed), negated(some_hold(isolated))]),
        ]
    )


def host_verdict(
    objects: Sequence[Object], node_labels: Mapping[str, str], packet: Packet, agent: Agent
) -> Answer:
    """Whether ``packet`` reaches the node itself, where the host firewall is on."""
    labels = {**node_labels, "reserved:host": ""}
    groups = [found for found in objects if found["kind"] == GROUP]
    allowed: list[Answer] = []
    denied: list[Answer] = []
    isolated: list[Answer] = []
    enforced: list[Answer] = []
    for found in objects:
        if found["kind"] != CLUSTERWIDE:
            continue
        for spec in [found["spec"]] if "spec" in found else found["specs"]:
            if "nodeSelector" not in spec or not (spec.get("ingress") or spec.get("ingressDeny")):
                continue
            chosen = selects(spec["nodeSelector"], labels, False)
            enforced.append(chosen)
            isolated.append(all_hold([chosen, default_deny(spec)]))
            for rule in spec.get("ingress") or []:
                allowed.append(all_hold([chosen, rule_answer(packet, rule, None, False, groups, agent)]))
            for rule in spec.get("ingressDeny") or []:
                denied.append(all_hold([chosen, rule_answer(packet, rule, None, False, groups, agent)]))
    known = datapath_answer(packet, agent)
    if known is not True and some_hold(enforced) is not True:
        known = None  # without a policy nobody says whether the host's packets are looked at
    return all_hold(
        [known, negated(some_hold(denied)), some_hold([some_hold(allowed), negated(some_hold(isolated))])]
    )


# -- random policies and packets -------------------------------------------------------------------------

V4 = [
    "10.0.0.0/8",
    "10.0.0.0/9",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "10.255.255.255/32",
    "192.168.0.0/16",
    "192.168.4.0/22",
    "0.0.0.0/0",
    "128.0.0.0/1",
    "203.0.113.0/24",
    "203.0.113.128/25",
    "203.0.113.7/32",
]
V6 = [
    "::/0",
    "2001:db8::/32",
    "2001:db8:1::/48",
    "2001:db8:1:2::/64",
    "2001:db8::7/128",
    "fd00::/8",
    "2000::/3",
]
PORTS = (1, 22, 53, 80, 443, 1023, 1024, 8080, 30000, 65535)
NAMESPACE = "web"
POD_LABELS = {"app": "web", "tier": "front", "example.com/team": "a"}
NODE_LABELS = {"role": "edge", "example.com/zone": "1"}


class Writer:
    """Random policies that the API server and the agent take."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def some(self, values: Sequence[Any], most: int) -> list[Any]:
        return self.rng.sample(list(values), self.rng.randint(1, min(most, len(values))))

    def block(self) -> Object:
        cidr = self.rng.choice(V4 + V6)
        network = ipaddress.ip_network(cidr)
        holes = [
            str(inner)
            for inner in map(ipaddress.ip_network, V4 + V6)
            if inner.version == network.version
            and inner.prefixlen > network.prefixlen
            and int(network[0]) <= int(inner[0]) <= int(network[-1])
        ]
        if holes and self.rng.random() < 0.5:
            return {"cidr": cidr, "except": self.some(holes, 3)}
        return {"cidr": cidr}

    def subject(self, labels: Mapping[str, str], *, hit: float = 0.8) -> Object:
        """A selector of policy subjects that often selects the endpoint with ``labels``."""
        if self.rng.random() < 0.3:
            return {}
        if self.rng.random() < hit:
            key, value = self.rng.choice(sorted(labels.items()))
            return self.rng.choice(
                [
                    {"matchLabels": {key: value}},
                    {"matchLabels": {f"k8s:{key}": value}},
                    {"matchExpressions": [{"key": key, "operator": "In", "values": [value, "other"]}]},
                    {"matchExpressions": [{"key": f"any:{key}", "operator": "Exists"}]},
                    {"matchExpressions": [{"key": "nowhere", "operator": "DoesNotExist"}]},
                    {"matchExpressions": [{"key": "reserved:init", "operator": "DoesNotExist"}]},
                ]
            )
        return self.rng.choice(
            [
                {"matchLabels": {"app": "another"}},
                {"matchLabels": {f"k8s:{METADATA_KEY}team": "a"}},
                {"matchLabels": {f"k8s:{METADATA_KEY}kubernetes.io/metadata.name": NAMESPACE}},
                {"matchLabels": {f"k8s:{NAMESPACE_KEY}": "elsewhere"}},
                {"matchLabels": {"io.cilium.k8s.policy.serviceaccount": "default"}},
                {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]},
                {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]},
                {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]},
                {"matchExpressions": [{"key": "reserved:host", "operator": "Exists"}]},
            ]
        )

    def peer_selector(self) -> Object:
        key = self.rng.choice(
            [
                "app",
                "k8s:app",
                f"k8s:{NAMESPACE_KEY}",
                NAMESPACE_KEY,
                f"k8s:{METADATA_KEY}team",
                "reserved:world",
            ]
        )
        return self.rng.choice(
            [
                {},
                {},
                {"matchLabels": {key: "a"}},
                {"matchExpressions": [{"key": f"k8s:{NAMESPACE_KEY}", "operator": "Exists"}]},
                {"matchExpressions": [{"key": key, "operator": "Exists"}]},
                {"matchExpressions": [{"key": key, "operator": "NotIn", "values": ["a"]}]},
                {"matchExpressions": [{"key": key, "operator": "DoesNotExist"}]},
                {"matchLabels": {key: "a"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]},
            ]
        )

    def group_entry(self) -> Object:
        return self.rng.choice(
            [
                {"cidrGroupRef": "one"},
                {"cidrGroupRef": "two"},
                {"cidrGroupSelector": {}},
                {"cidrGroupSelector": {"matchLabels": {"kind": "list"}}},
            ]
        )

    def peers(self) -> Object:
        kind = self.rng.choice(
            ["set"] * 5 + ["cidr"] * 3 + ["any"] * 2 + ["entity"] * 3 + ["pods"] * 2 + ["rare"]
        )
        if kind == "set":
            entries = [
                self.block() if self.rng.random() < 0.8 else self.group_entry()
                for _ in range(self.rng.randint(1, 3))
            ]
            return {"fromCIDRSet": entries}
        if kind == "cidr":
            return {"fromCIDR": self.some(V4 + V6, 3)}
        if kind == "entity":
            common = ["all", "world", "cluster", "remote-node", "host"]
            return {"fromEntities": self.some(common if self.rng.random() < 0.7 else list(ENTITIES), 2)}
        if kind == "pods":
            return {"fromEndpoints": [self.peer_selector() for _ in range(self.rng.randint(1, 2))]}
        if kind == "rare":
            return self.rng.choice(
                [
                    {"fromNodes": [{}]},
                    {"fromNodes": [{"matchLabels": {"zone": "1"}}]},
                    {"fromGroups": [{"aws": {"securityGroupsIds": ["sg-1"]}}]},
                    {"fromEndpoints": []},
                    {"fromCIDR": []},
                ]
            )
        return {}

    def port(self, *, extended: bool) -> Object:
        if extended and self.rng.random() < 0.15:
            return {
                "port": "0",
                "protocol": self.rng.choice(["VRRP", "IGMP", "GRE", "ESP", "AH", "IPIP", "IPV6"]),
            }
        entry: Object = {"port": str(self.rng.choice((0, *PORTS)))}
        if self.rng.random() < 0.8:
            entry["protocol"] = self.rng.choice(["TCP", "TCP", "UDP", "SCTP", "ANY"])
        if entry["port"] != "0" and self.rng.random() < 0.4:
            entry["endPort"] = min(65535, int(entry["port"]) + self.rng.choice((0, 1, 100, 5000)))
        return entry

    def services(self, *, deny: bool, host: bool, extended: bool) -> Object:
        kind = self.rng.choice(["ports"] * 4 + ["icmp"] + ["any"] * 3)
        if kind == "ports":
            parts: list[Object] = []
            for _ in range(self.rng.randint(1, 2)):
                parts.append({"ports": [self.port(extended=extended) for _ in range(self.rng.randint(1, 3))]})
            if not deny and not host and self.rng.random() < 0.1:
                parts.append(
                    {"ports": [{"port": "80", "protocol": "TCP"}], "rules": {"http": [{"method": "GET"}]}}
                )
            return {"toPorts": parts}
        if kind == "icmp":
            fields: list[Object] = []
            for _ in range(self.rng.randint(1, 3)):
                family = self.rng.choice(["IPv4", "IPv6"])
                wanted: Any = self.rng.choice([0, 8, 13, 128, 139, 255, "8", "EchoRequest"])
                fields.append({"type": wanted, "family": family})
            if isinstance(fields[0]["type"], int):
                del fields[0]["family"]
            return {"icmps": [{"fields": fields}]}
        return {}

    def rule(self, *, deny: bool, host: bool, extended: bool) -> Object:
        made = {**self.peers(), **self.services(deny=deny, host=host, extended=extended)}
        if not deny and self.rng.random() < 0.05:
            made["authentication"] = {"mode": self.rng.choice(["disabled", "required"])}
        return made

    def spec(self, *, host: bool, extended: bool) -> Object:
        made: Object = {}
        made["nodeSelector" if host else "endpointSelector"] = self.subject(
            NODE_LABELS if host else POD_LABELS
        )
        if self.rng.random() < 0.9:
            made["ingress"] = [
                self.rule(deny=False, host=host, extended=extended) for _ in range(self.rng.randint(1, 4))
            ]
        if "ingress" not in made or self.rng.random() < 0.4:
            made["ingressDeny"] = [
                self.rule(deny=True, host=host, extended=extended) for _ in range(self.rng.randint(1, 2))
            ]
        if self.rng.random() < 0.15:
            made = {key: value for key, value in made.items() if key.endswith("Selector")}
            made["egress"] = [{"toEntities": ["world"]}]
            if self.rng.random() < 0.5:
                made["enableDefaultDeny"] = {"ingress": True}
        elif self.rng.random() < 0.3:
            made["enableDefaultDeny"] = {"ingress": self.rng.random() < 0.3}
        return made

    def native(self, number: int, *, host: bool = False, extended: bool = False) -> Object:
        clusterwide = host or self.rng.random() < 0.4
        made: Object = {
            "apiVersion": "cilium.io/v2",
            "kind": CLUSTERWIDE if clusterwide else POLICY,
            "metadata": {"name": f"p{number}"},
        }
        if not clusterwide:
            made["metadata"]["namespace"] = NAMESPACE if self.rng.random() < 0.9 else "elsewhere"
        if self.rng.random() < 0.2:
            made["specs"] = [self.spec(host=host, extended=extended) for _ in range(2)]
        else:
            made["spec"] = self.spec(host=host, extended=extended)
        return made

    def kubernetes(self, number: int) -> Object:
        rules: list[Object] = []
        for _ in range(self.rng.randint(0, 3)):
            rule: Object = {}
            if self.rng.random() < 0.8:
                rule["from"] = [self.kubernetes_peer() for _ in range(self.rng.randint(1, 3))]
            if self.rng.random() < 0.7:
                rule["ports"] = [self.kubernetes_port() for _ in range(self.rng.randint(1, 3))]
            rules.append(rule)
        subject = self.rng.choice(
            [
                {},
                {},
                {"matchLabels": {"app": "web"}},
                {"matchLabels": {"app": "other"}},
                {"matchLabels": POD_LABELS},
            ]
        )
        spec: Object = {"podSelector": subject, "ingress": rules}
        if self.rng.random() < 0.6:
            spec["policyTypes"] = self.rng.choice(
                [["Ingress"], ["Ingress", "Egress"], ["Ingress"], ["Egress"]]
            )
        namespace = NAMESPACE if self.rng.random() < 0.9 else "elsewhere"
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": f"k{number}", "namespace": namespace},
            "spec": spec,
        }

    def kubernetes_peer(self) -> Object:
        if self.rng.random() < 0.7:
            return {"ipBlock": self.block()}
        absent = {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}
        return self.rng.choice(
            [
                {"namespaceSelector": {}},
                {"namespaceSelector": {}, "podSelector": {}},
                {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "a"}}},
                {"namespaceSelector": {"matchLabels": {"team": "a"}}},
                {"namespaceSelector": absent},
                {"podSelector": {}},
                {"podSelector": absent},
            ]
        )

    def kubernetes_port(self) -> Object:
        entry: Object = {}
        if self.rng.random() < 0.8:
            entry["protocol"] = self.rng.choice(["TCP", "TCP", "UDP", "SCTP"])
        if self.rng.random() < 0.8:
            entry["port"] = self.rng.choice(PORTS)
            if self.rng.random() < 0.4:
                entry["endPort"] = min(65535, entry["port"] + self.rng.choice((0, 1, 100, 5000)))
        return entry

    def groups(self) -> list[Object]:
        return [
            {
                "apiVersion": "cilium.io/v2",
                "kind": GROUP,
                "metadata": {"name": name, "labels": {"kind": "list", "name": name}},
                "spec": {"externalCIDRs": self.some(V4 + V6, 3)},
            }
            for name in ("one", "two")
        ]

    def policies(self, *, extended: bool = False, host: bool = False) -> list[Object]:
        """One to four policies of all kinds, with the groups that they may name."""
        made = self.groups()
        for number in range(self.rng.randint(1, 3)):
            if not host and self.rng.random() < 0.3:
                made.append(self.kubernetes(number))
            else:
                made.append(self.native(number, host=host, extended=extended))
        return made

    def packets(self, objects: Sequence[Object], count: int) -> list[Packet]:
        """Random packets, most of them at the edges of what the policies name."""
        ports, addresses = edges(objects)
        made: list[Packet] = []
        for _ in range(count):
            source = self.rng.choice(addresses)
            if self.rng.random() < 0.1:
                source = (
                    ipaddress.IPv4Address(self.rng.getrandbits(32))
                    if source.version == 4
                    else ipaddress.IPv6Address(self.rng.getrandbits(128))
                )
            own = ICMP if source.version == 4 else ICMPV6
            rare = self.rng.choice([SCTP, 47, 50, 51, 112, 2, 4, 41, 136, 255, 0, ICMP, ICMPV6])
            protocol = self.rng.choice([TCP, TCP, TCP, UDP, UDP, own, rare])
            made.append(
                Packet(
                    self.rng.choice(CLASSES),
                    source,
                    protocol,
                    self.rng.choice(ports) if self.rng.random() < 0.9 else self.rng.randint(1, 65535),
                    self.rng.choice([0, 8, 13, 128, 139, 255, 1, 7, 9, 127, self.rng.randint(0, 255)]),
                )
            )
        return made


def numbers_of(value: Any, field: str) -> Iterator[Any]:
    """Every value under a key called ``field``, however deep."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == field:
                yield from inner if isinstance(inner, list) else [inner]
            yield from numbers_of(inner, field)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers_of(inner, field)


def edges(objects: Sequence[Object]) -> tuple[list[int], list[Address]]:
    """Ports and addresses at, just inside and just outside what the objects name."""
    ports = {
        near
        for field in ("port", "endPort")
        for number in numbers_of(list(objects), field)
        for near in (int(number) - 1, int(number), int(number) + 1)
        if 1 <= near <= 65535
    }
    addresses: set[Address] = {ipaddress.ip_address("198.51.100.9"), ipaddress.ip_address("2001:db8:9::9")}
    for field in ("cidr", "except", "fromCIDR", "externalCIDRs"):
        for text in numbers_of(list(objects), field):
            network = ipaddress.ip_network(text)
            top = 2**network.max_prefixlen - 1
            kind = type(network.network_address)
            for edge in (int(network[0]), int(network[-1])):
                addresses |= {kind(near) for near in (edge - 1, edge, edge + 1) if 0 <= near <= top}
    return sorted(ports) or [80], sorted(addresses, key=lambda a: (a.version, int(a)))
