"""What the API server and Antrea's webhook take of ``crd.antrea.io/v1beta1``.

Sources: antrea: build/charts/antrea/crds/{networkpolicy,clusternetworkpolicy,tier,group,clustergroup}.yaml,
pkg/controller/networkpolicy/validate.go, mutate.go and tier.go, docs/antrea-network-policy.md,
docs/antrea-node-network-policy.md. Where those let pass what they then do not enforce as written (a port 0, which
means every port; an entry in which nothing is set; an ``ipBlock`` beside a selector), it is refused here as well.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ipt2np.cni.base import Object
from ipt2np.cni.kinds import networkpolicy
from ipt2np.cni.manifests import fields_of, is_label, list_of, metadata, network_of, require, selector_of

API_VERSION = "crd.antrea.io/v1beta1"
POLICY, CLUSTER_POLICY, TIER, GROUP, CLUSTER_GROUP = (
    "NetworkPolicy",
    "ClusterNetworkPolicy",
    "Tier",
    "Group",
    "ClusterGroup",
)
ACTIONS = ("Allow", "Drop", "Reject", "Pass")
STATIC_TIERS: Mapping[str, int] = {
    "emergency": 50,
    "securityops": 100,
    "networkops": 150,
    "platform": 200,
    "application": 250,
    "baseline": 253,
}
"""The tiers that Antrea makes itself, and their priorities (antrea: pkg/controller/networkpolicy/tier.go)."""
DEFAULT_TIER, BASELINE_TIER = "application", "baseline"
MAX_TIERS = 20
"""Antrea's own six among them."""

_OLD_TIER_NAMES = frozenset({"Emergency", "SecurityOps", "NetworkOps", "Platform", "Application", "Baseline"})
_RESERVED_PRIORITIES = frozenset({251, 252, 254, 255})
_LOG_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


def _text(value: Any, where: str) -> None:
    require(isinstance(value, str) and bool(value), f"{where}: {value!r} is not a name")


def _whole_number(value: Any, low: int, high: int, where: str) -> None:
    fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    require(fits, f"{where}: {value!r} is not a number from {low} to {high}")


def _one_of(choices: Sequence[str], value: Any, where: str) -> None:
    require(
        isinstance(value, str) and value in choices, f"{where}: {value!r} is none of {', '.join(choices)}"
    )


def _namespaced_name(value: Any, where: str) -> None:
    fields = fields_of(value, where, {"name", "namespace"})
    for field in ("name", "namespace"):
        _text(fields.get(field), f"{where}.{field}")


def _block(value: Any, where: str) -> None:
    fields = fields_of(value, where, {"cidr", "except"})
    network = network_of(fields.get("cidr"), f"{where}.cidr")
    for text in list_of(fields.get("except"), f"{where}.except"):
        inner = network_of(text, f"{where}.except")
        within = (
            inner.version == network.version
            and inner.prefixlen > network.prefixlen
            and int(inner.network_address) >> (network.max_prefixlen - network.prefixlen)
            == int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        )
        require(within, f"{where}: except {text} is not strictly inside {network}")


def _namespaces(value: Any, where: str) -> None:
    fields = fields_of(value, where, {"match", "sameLabels"})
    require(len(fields) == 1, f"{where} has {len(fields)} criteria, not one")
    if "match" in fields:
        _one_of(("Self",), fields["match"], f"{where}.match")
    for key in list_of(fields.get("sameLabels"), f"{where}.sameLabels"):
        require(isinstance(key, str) and is_label(key, ""), f"{where}.sameLabels: bad key {key!r}")


def _selector(value: Any, where: str) -> None:
    selector_of(value, where)


_SELECTIONS: Mapping[str, Callable[[Any, str], None]] = {
    "podSelector": _selector,
    "namespaceSelector": _selector,
    "externalEntitySelector": _selector,
    "nodeSelector": _selector,
    "namespaces": _namespaces,
    "ipBlock": _block,
    "group": _text,
    "fqdn": _text,
    "serviceAccount": _namespaced_name,
    "service": _namespaced_name,
    "scope": partial(_one_of, ("Cluster", "ClusterSet")),
}
"""Fields that select workloads or addresses, and what is to be said of their values."""
_ALONE = frozenset({"ipBlock", "group", "fqdn", "serviceAccount", "service", "nodeSelector"})
_APART = (
    frozenset({"namespaces", "namespaceSelector"}),
    frozenset({"podSelector", "externalEntitySelector"}),
)


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of a policy's selections, as its CRD has them."""

    applied_to: frozenset[str]
    rule_applied_to: Mapping[str, frozenset[str]]
    peers: Mapping[str, frozenset[str]]


_NAMESPACED_PEERS = frozenset(
    {"podSelector", "namespaceSelector", "externalEntitySelector", "ipBlock", "nodeSelector", "group"}
)
_CLUSTER_PEERS = frozenset(
    {"podSelector", "namespaceSelector", "namespaces", "ipBlock", "nodeSelector", "group", "serviceAccount"}
)
_WORKLOADS = frozenset({"podSelector", "namespaceSelector", "group", "serviceAccount"})
_FIELDS: Mapping[str, _Fields] = {
    POLICY: _Fields(
        applied_to=frozenset({"podSelector", "externalEntitySelector", "group"}),
        rule_applied_to=dict.fromkeys(("ingress", "egress"), frozenset({"podSelector", "group"})),
        peers={"ingress": _NAMESPACED_PEERS | {"scope"}, "egress": _NAMESPACED_PEERS | {"fqdn"}},
    ),
    CLUSTER_POLICY: _Fields(
        applied_to=_WORKLOADS | {"service", "nodeSelector"},
        rule_applied_to={"ingress": _WORKLOADS | {"service"}, "egress": _WORKLOADS},
        peers={"ingress": _CLUSTER_PEERS | {"scope"}, "egress": _CLUSTER_PEERS | {"fqdn"}},
    ),
}
_PEER_LISTS: Mapping[str, str] = {"ingress": "from", "egress": "to"}
_RULE_FIELDS = frozenset(
    {"action", "name", "ports", "protocols", "l7Protocols", "appliedTo", "enableLogging", "logLabel"}
)


def _selection(value: Any, where: str, allowed: Iterable[str]) -> dict[str, Any]:
    """A peer or an entry of ``appliedTo``."""
    entry = {key: field for key, field in fields_of(value, where, set(allowed)).items() if field is not None}
    for key, field in entry.items():
        _SELECTIONS[key](field, f"{where}.{key}")
    require(bool(entry.keys() - {"scope"}), f"{where} selects nothing")
    for key in sorted(_ALONE & entry.keys()):
        require(len(entry) == 1, f"{where}: {key} stands alone in an entry")
    for pair in _APART:
        require(not pair <= entry.keys(), f"{where}: {' and '.join(sorted(pair))} exclude each other")
    return entry


def _port(value: Any, where: str) -> None:
    entry = fields_of(value, where, {"protocol", "port", "endPort", "sourcePort", "sourceEndPort"})
    _one_of(tuple(networkpolicy.PROTOCOLS), entry.get("protocol", "TCP"), f"{where}.protocol")
    port = entry.get("port")
    if isinstance(port, str):
        require(
            len(port) <= 15 and bool(_PORT_NAME.fullmatch(port)),
            f"{where}.port: {port!r} is not the name of a port",
        )
        require(entry.get("endPort") is None, f"{where}: endPort beside the name of a port")
    for first, last in (("port", "endPort"), ("sourcePort", "sourceEndPort")):
        low, high = entry.get(first), entry.get(last)
        if low is not None and (first, type(low)) != ("port", str):
            _whole_number(low, 1, 0xFFFF, f"{where}.{first}")
        if high is not None:
            require(low is not None, f"{where}: {last} without {first}")
            _whole_number(high, 1, 0xFFFF, f"{where}.{last}")
            require(high >= low, f"{where}: {last} {high} is below {first} {low}")


def _protocol(value: Any, where: str, direction: str) -> str:
    """The name of the one protocol of the entry."""
    entry = fields_of(value, where, {"icmp", "igmp"})
    require(len(entry) == 1, f"{where}: either icmp or igmp")
    if "icmp" in entry:
        icmp = fields_of(entry["icmp"], f"{where}.icmp", {"icmpType", "icmpCode"})
        for field, number in icmp.items():
            _whole_number(number, 0, 255, f"{where}.icmp.{field}")
        return "icmp"
    igmp = fields_of(entry["igmp"], f"{where}.igmp", {"igmpType", "groupAddress"})
    kinds = (0x11,) if direction == "ingress" else (0x12, 0x16, 0x22)
    if "igmpType" in igmp:
        kind = igmp["igmpType"]
        require(type(kind) is int and kind in kinds, f"{where}.igmp.igmpType: {kind!r} is none of {kinds}")
    if igmp.get("groupAddress", "") != "":
        address = _address(igmp["groupAddress"])
        require(
            address is not None and address.is_multicast,
            f"{where}.igmp.groupAddress: {igmp['groupAddress']!r} is not a multicast address",
        )
    return "igmp"


def _address(text: Any) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _to_services(rule: Mapping[str, Any], where: str, kind: str) -> None:
    for index, value in enumerate(list_of(rule.get("toServices"), f"{where}.toServices")):
        at = f"{where}.toServices[{index}]"
        entry = fields_of(value, at, {"name", "namespace", "scope"})
        _text(entry.get("name"), f"{at}.name")
        if kind == CLUSTER_POLICY or "namespace" in entry:
            _text(entry.get("namespace"), f"{at}.namespace")
        if kind == CLUSTER_POLICY and "scope" in entry:
            _one_of(("Cluster", "ClusterSet"), entry["scope"], f"{at}.scope")
    if rule.get("toServices") is not None:
        beside = [key for key in ("to", "ports", "protocols") if rule.get(key)]
        require(not beside, f"{where}: toServices beside {', '.join(beside)}")


def _rule(value: Any, where: str, kind: str, direction: str) -> tuple[dict[str, Any], set[str]]:
    """The rule, and which of ``icmp`` and ``igmp`` are among its protocols."""
    peers = _PEER_LISTS[direction]
    extra = {peers, "toServices"} if direction == "egress" else {peers}
    rule = fields_of(value, where, extra | _RULE_FIELDS)
    _one_of(ACTIONS, rule.get("action"), f"{where}.action")
    require(isinstance(rule.get("name", ""), str), f"{where}.name is not text")
    require(isinstance(rule.get("enableLogging", False), bool), f"{where}.enableLogging is not a boolean")
    label = rule.get("logLabel", "")
    require(
        isinstance(label, str) and bool(_LOG_LABEL.fullmatch(label)), f"{where}.logLabel: bad label {label!r}"
    )
    # The gate L7NetworkPolicy is off by default (antrea: docs/feature-gates.md).
    require(
        not list_of(rule.get("l7Protocols"), f"{where}.l7Protocols"), f"{where}: l7Protocols are not enabled"
    )
    for index, entry in enumerate(list_of(rule.get(peers), f"{where}.{peers}")):
        _selection(entry, f"{where}.{peers}[{index}]", _FIELDS[kind].peers[direction])
    for index, entry in enumerate(list_of(rule.get("ports"), f"{where}.ports")):
        _port(entry, f"{where}.ports[{index}]")
    protocols = {
        _protocol(entry, f"{where}.protocols[{index}]", direction)
        for index, entry in enumerate(list_of(rule.get("protocols"), f"{where}.protocols"))
    }
    if direction == "egress":
        _to_services(rule, where, kind)
    refused = "igmp" in protocols and rule["action"] in ("Pass", "Reject")
    require(not refused, f"{where}: igmp cannot be {rule['action']}")
    return rule, protocols


def _applied_to(value: Any, where: str, allowed: Iterable[str]) -> list[dict[str, Any]]:
    entries = [
        _selection(entry, f"{where}[{index}]", allowed) for index, entry in enumerate(list_of(value, where))
    ]
    for field, what in (("service", "Services"), ("nodeSelector", "nodes")):
        count = sum(field in entry for entry in entries)
        require(count in (0, len(entries)), f"{where}: {what} beside other workloads")
    return entries


def _check_applied_to(
    spec: Mapping[str, Any], rules: Sequence[tuple[str, str, dict[str, Any]]], kind: str
) -> None:
    """``appliedTo`` once, in the policy or in each of its rules; what is applied to a Service takes ipBlocks only."""
    of_policy = _applied_to(spec.get("appliedTo"), "spec.appliedTo", _FIELDS[kind].applied_to)
    of_rules = [
        _applied_to(rule.get("appliedTo"), f"{where}.appliedTo", _FIELDS[kind].rule_applied_to[direction])
        for direction, where, rule in rules
    ]
    count = sum(map(bool, of_rules))
    require(not (of_policy and count), "spec: appliedTo of the policy beside appliedTo of its rules")
    require(bool(of_policy or count), "spec: appliedTo is missing")
    require(count in (0, len(rules)), "spec: appliedTo in some of the rules only")
    for (direction, where, rule), entries in zip(rules, of_rules, strict=True):
        if any("service" in entry for entry in of_policy or entries):
            require(direction == "ingress", f"{where}: an egress rule cannot be applied to Services")
            for peer in rule.get("from") or []:
                require(
                    "ipBlock" in peer, f"{where}: a rule that is applied to Services takes ipBlock peers only"
                )


def _check_igmp(rules: Sequence[tuple[str, str, dict[str, Any]]], protocols: Sequence[set[str]]) -> None:
    """IGMP alone in its rule, and no rule with peers or ports behind it: the webhook does not forget what it has seen."""
    seen: set[str] = set()
    for (_, where, rule), found in zip(rules, protocols, strict=True):
        seen |= found
        if "igmp" in seen:
            beside = [key for key in ("ports", "toServices", "from", "to") if rule.get(key)]
            require(
                not beside and "icmp" not in seen, f"{where}: igmp beside other protocols, peers or ports"
            )


def _check_names(rules: Sequence[tuple[str, str, dict[str, Any]]]) -> None:
    """No name twice, and no two rules without a name alike: names are made of what a rule says."""
    names: set[str] = set()
    for direction, where, rule in rules:
        said = {key: value for key, value in rule.items() if value is not None}
        name = rule.get("name") or f"{direction}: {json.dumps(said, sort_keys=True, default=str)}"
        require(name not in names, f"{where}: a rule of this name stands before it")
        names.add(name)


def _object(value: Object, kind: str, *, namespaced: bool) -> Any:
    """The spec of an object of ``kind``."""
    top = fields_of(value, "object", {"apiVersion", "kind", "metadata", "spec"})
    said = (top.get("apiVersion"), top.get("kind"))
    require(said == (API_VERSION, kind), f"{said[0]} {said[1]} is not {API_VERSION} {kind}")
    metadata(top.get("metadata"), namespaced=namespaced)
    return top.get("spec")


def _policy(kind: str, policy: Object) -> None:
    fields = {"tier", "priority", "appliedTo", "ingress", "egress"}
    spec = fields_of(_object(policy, kind, namespaced=kind == POLICY), "spec", fields)
    priority = spec.get("priority")
    require(
        isinstance(priority, int | float) and not isinstance(priority, bool) and 1.0 <= priority <= 10000.0,
        f"spec.priority: {priority!r} is not a number from 1.0 to 10000.0",
    )
    tier = spec.get("tier", "")
    require(isinstance(tier, str), f"spec.tier: {tier!r} is not a name")
    rules, protocols = [], []
    for direction in _PEER_LISTS:
        for index, entry in enumerate(list_of(spec.get(direction), f"spec.{direction}")):
            where = f"spec.{direction}[{index}]"
            rule, found = _rule(entry, where, kind, direction)
            require(
                rule["action"] != "Pass" or tier.lower() != BASELINE_TIER,
                f"{where}: Pass in the baseline tier",
            )
            rules.append((direction, where, rule))
            protocols.append(found)
    _check_applied_to(spec, rules, kind)
    _check_igmp(rules, protocols)
    _check_names(rules)


def _tier(tier: Object) -> None:
    spec = fields_of(_object(tier, TIER, namespaced=False), "spec", {"priority", "description"})
    priority, name = spec.get("priority"), tier["metadata"]["name"]
    _whole_number(priority, 0, 255, "spec.priority")
    require(isinstance(spec.get("description", ""), str), "spec.description is not text")
    own = STATIC_TIERS.get(name)
    if own is not None:
        require(priority == own, f"spec.priority: tier {name} is Antrea's own, with priority {own}")
        return
    require(priority not in _RESERVED_PRIORITIES, f"spec.priority: {priority} is reserved")
    require(
        priority not in STATIC_TIERS.values(),
        f"spec.priority: {priority} is that of one of Antrea's own tiers",
    )


def _group(kind: str, group: Object) -> None:
    fields = {
        "childGroups",
        "podSelector",
        "namespaceSelector",
        "externalEntitySelector",
        "ipBlocks",
        "serviceReference",
    } | ({"nodeSelector"} if kind == CLUSTER_GROUP else set())
    value = _object(group, kind, namespaced=kind == GROUP)
    spec = {key: field for key, field in fields_of(value, "spec", fields).items() if field is not None}
    if len(spec) > 1:
        pairs = ({"namespaceSelector", "podSelector"}, {"namespaceSelector", "externalEntitySelector"})
        require(spec.keys() in pairs, f"spec: {', '.join(sorted(spec))} exclude each other")
    for key in spec.keys() & _SELECTIONS.keys():
        _SELECTIONS[key](spec[key], f"spec.{key}")
    for index, child in enumerate(list_of(spec.get("childGroups"), "spec.childGroups")):
        _text(child, f"spec.childGroups[{index}]")
    if "serviceReference" in spec:
        reference = fields_of(spec["serviceReference"], "spec.serviceReference", {"name", "namespace"})
        for key, text in reference.items():
            _text(text, f"spec.serviceReference.{key}")
    blocks = list_of(spec.get("ipBlocks"), "spec.ipBlocks")
    for index, block in enumerate(blocks):
        _block(block, f"spec.ipBlocks[{index}]")
    multicast = {network_of(block["cidr"], "spec.ipBlocks").is_multicast for block in blocks}
    require(len(multicast) <= 1, "spec.ipBlocks: multicast beside other addresses")


VALIDATORS: Mapping[tuple[str, str], Callable[[Object], None]] = {
    (API_VERSION, POLICY): partial(_policy, POLICY),
    (API_VERSION, CLUSTER_POLICY): partial(_policy, CLUSTER_POLICY),
    (API_VERSION, TIER): _tier,
    (API_VERSION, GROUP): partial(_group, GROUP),
    (API_VERSION, CLUSTER_GROUP): partial(_group, CLUSTER_GROUP),
    **networkpolicy.VALIDATORS,
}
"""By (apiVersion, kind): PolicyFault where an object would be refused. Kubernetes' own policies are among them."""


def of_kind(objects: Iterable[Object], *kinds: str) -> Iterator[Object]:
    """Antrea's objects of these kinds."""
    return (each for each in objects if each["apiVersion"] == API_VERSION and each["kind"] in kinds)


def tier_name(policy: Object) -> str:
    """The name of the tier that a valid policy is in."""
    name = str(policy["spec"].get("tier") or DEFAULT_TIER)
    return name.lower() if name in _OLD_TIER_NAMES else name


def tier_priorities(objects: Sequence[Object]) -> Mapping[str, int]:
    """The priority of each tier: Antrea's own and those among the objects."""
    return dict(STATIC_TIERS) | {
        each["metadata"]["name"]: each["spec"]["priority"] for each in of_kind(objects, TIER)
    }


def group_key(group: Object) -> tuple[str | None, str]:
    """Namespace and name of a Group; a ClusterGroup has no namespace."""
    meta = group["metadata"]
    return None if group["kind"] == CLUSTER_GROUP else meta.get("namespace", "default"), meta["name"]


def check_together(objects: Sequence[Object]) -> None:
    """PolicyFault where valid objects would be refused for each other's sake.

    Two tiers of one priority, more than ``MAX_TIERS`` tiers, a policy whose tier there is not, children of children.
    """
    tiers = tier_priorities(objects)
    require(len(tiers) <= MAX_TIERS, f"{len(tiers)} tiers with Antrea's own, and {MAX_TIERS} is the most")
    by_priority: dict[int, str] = {}
    for name, priority in tiers.items():
        other = by_priority.setdefault(priority, name)
        require(other == name, f"tiers {other} and {name} have one priority, {priority}")
    for policy in of_kind(objects, POLICY, CLUSTER_POLICY):
        name = tier_name(policy)
        require(name in tiers, f"{policy['kind']} {policy['metadata']['name']}: there is no tier {name!r}")
    groups = {group_key(group): group for group in of_kind(objects, GROUP, CLUSTER_GROUP)}
    for (namespace, name), group in groups.items():
        for child in group["spec"].get("childGroups") or []:
            nested = groups.get((namespace, child))
            require(
                nested is None or not nested["spec"].get("childGroups"),
                f"{group['kind']} {name}: its child {child} has children of its own",
            )
