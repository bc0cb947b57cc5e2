"""What Calico takes of ``projectcalico.org/v3``: its validator's rules and those of its CRDs.

An object that the API server accepts and Felix then finds invalid is treated as missing, so the pod would stay open
(calico: felix/calc/validation_filter.go). Hence all rules are checked here, whoever would check them.

Sources: calico: libcalico-go/lib/validator/v3/validator.go, api/pkg/apis/projectcalico/v3/, api/pkg/lib/numorstring/,
api/config/crd/ (lists' limits and CEL rules of the versions after 3.32).
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ipt2np.cni.base import Object, PolicyFault
from ipt2np.cni.kinds.calico_selectors import parse
from ipt2np.cni.manifests import fields_of, is_label, is_name, list_of, metadata, network_of, require

API_VERSION = "projectcalico.org/v3"
PROTOCOLS: Mapping[str, int] = {"TCP": 6, "UDP": 17, "ICMP": 1, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}
PORT_PROTOCOLS = frozenset({6, 17, 132})
"""Protocols whose ports a rule may name; UDPLite is not among them (numorstring/protocol.go)."""
ICMP_FAMILY: Mapping[int, int] = {1: 4, 58: 6}
"""The family of ICMP and of ICMPv6."""
ACTIONS = ("Allow", "Deny", "Log", "Pass")

RULES_LIMIT = 1024
NETS_LIMIT = 256
PORTS_LIMIT = 50
"""Entries of a list (maxItems in the CRDs after 3.32; earlier ones have no limit)."""
_HTTP_LIMIT = 20
_ANNOTATIONS_LIMIT = 256 * 1024

DEFAULT_TIER = "default"
TIERS: Mapping[str, tuple[float, str]] = {
    DEFAULT_TIER: (1_000_000, "Deny"),
    "kube-admin": (1_000, "Pass"),
    "kube-baseline": (10_000_000, "Pass"),
}
"""The tiers that always exist, with the order and default action that they must have (tiers CRD)."""

_LABEL = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_POLICY_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})?")
_CONVERTED_NAME = re.compile(r"(?:knp|ossg)\.default\.(.+)")
_TIER_NAME = re.compile(_LABEL)
_INTERFACE = re.compile(r"[a-zA-Z0-9_.-]{1,15}")
_PORT = re.compile(r"0*([0-9]{1,5})(?::0*([0-9]{1,5}))?")
_PORT_NAME = re.compile(r"(?=.{1,15}\Z)(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_PROTOCOL_NUMBER = re.compile(r"[1-9][0-9]{0,2}")
_GLOBAL_ALONE = re.compile(r"[ \t]*global\([ \t]*\)[ \t]*")

_SELECTOR_FIELDS = ("selector", "notSelector", "namespaceSelector")
_ENTITY_FIELDS = {"nets", "notNets", "ports", "notPorts", "serviceAccounts", "services", *_SELECTOR_FIELDS}
_RULE_FIELDS = {
    *(
        "action",
        "ipVersion",
        "protocol",
        "notProtocol",
        "icmp",
        "notICMP",
        "source",
        "destination",
        "http",
        "metadata",
    )
}
_POLICY_FIELDS = {
    *("tier", "order", "selector", "serviceAccountSelector", "types", "ingress", "egress", "performanceHints")
}
_FLAGS = ("applyOnForward", "preDNAT", "doNotTrack")


def named_port(text: str) -> bool:
    """True for the name of a port: an IANA service name."""
    return bool(_PORT_NAME.fullmatch(text))


def port_range(port: Any) -> tuple[int, int] | None:
    """First and last port of an entry of ``ports``; None for a name. PolicyFault where it is neither."""
    if isinstance(port, str) and (found := _PORT.fullmatch(port)):
        low, high = int(found[1]), int(found[2] or found[1])
    elif isinstance(port, str) and named_port(port):
        return None
    else:
        low = high = port if type(port) is int else 0
    require(1 <= low <= high <= 65535, f"port {port!r} is neither 1-65535, a range as '1:2', nor a name")
    return low, high


def protocol_number(protocol: Any) -> int:
    """The number of a ``protocol``: a name, or 1 to 255. PolicyFault where it is none; names mind their case."""
    if isinstance(protocol, str):
        if protocol in PROTOCOLS:
            return PROTOCOLS[protocol]
        number = int(protocol) if _PROTOCOL_NUMBER.fullmatch(protocol) else 0
    else:
        number = protocol if type(protocol) is int else 0
    require(1 <= number <= 255, f"protocol {protocol!r} is neither 1-255 nor one of {', '.join(PROTOCOLS)}")
    return number


def _whole(value: Any, where: str, low: int, high: int) -> None:
    require(
        type(value) is int and low <= value <= high, f"{where} {value!r} is no number from {low} to {high}"
    )


def _flag(value: Any, where: str) -> None:
    require(value is None or isinstance(value, bool), f"{where} {value!r} is neither true nor false")


def _order(value: Any, where: str) -> None:
    if value is None:
        return
    require(
        isinstance(value, (int, float)) and not isinstance(value, bool), f"{where} {value!r} is no number"
    )
    try:
        finite = math.isfinite(float(value))
    except OverflowError:
        finite = False
    require(finite, f"{where} is not finite")


def _selector(value: Any, where: str, *, global_alone: bool = False) -> None:
    """A selector; ``global()`` is refused, or allowed where nothing stands beside it."""
    if value is None or value == "":
        return
    require(isinstance(value, str), f"{where} {value!r} is not text")
    # Felix puts it in parentheses, and an empty pair of them is no selector.
    require(bool(value.strip()), f"{where} is blank")
    try:
        parse(value)
    except PolicyFault as fault:
        raise PolicyFault(f"{where}: {fault}") from None
    if "global(" in value:
        require(global_alone, f"{where}: global() may stand in a rule's namespaceSelector only")
        require(
            bool(_GLOBAL_ALONE.fullmatch(value)), f"{where}: global() cannot be combined with other selectors"
        )


def _distinct(values: list[Any], where: str) -> None:
    require(all(isinstance(value, str) for value in values), f"{where} has an entry that is not text")
    twice = [value for value, count in Counter(values).items() if count > 1]
    require(not twice, f"{where} has {', '.join(twice[:3])} twice")


def _nets(value: Any, where: str, limit: int | None) -> list[int]:
    """The families of a list of CIDRs."""
    nets = list_of(value, where)
    require(limit is None or len(nets) <= limit, f"{where} has {len(nets)} entries, more than {limit}")
    _distinct(nets, where)
    return [network_of(net, where).version for net in nets]


def _ports(value: Any, where: str) -> bool:
    """True for a list of ports that has a number; False for names only."""
    ports = list_of(value, where)
    require(len(ports) <= PORTS_LIMIT, f"{where} has {len(ports)} entries, more than {PORTS_LIMIT}")
    numbers = False
    for port in ports:
        try:
            numbers = port_range(port) is not None or numbers
        except PolicyFault as fault:
            raise PolicyFault(f"{where}: {fault}") from None
    return numbers


def _icmp(value: Any, where: str) -> None:
    if value is None:
        return
    icmp = fields_of(value, where, {"type", "code"})
    # 255 is not writable: iptables takes it for "any type" (policy_common.go).
    if icmp.get("type") is not None:
        _whole(icmp["type"], f"{where}.type", 0, 254)
    if icmp.get("code") is not None:
        _whole(icmp["code"], f"{where}.code", 0, 255)
        require(icmp.get("type") is not None, f"{where} has a code without a type")


def _http(value: Any, where: str) -> None:
    http = fields_of(value, where, {"methods", "paths"})
    methods, paths = (
        list_of(http.get("methods"), f"{where}.methods"),
        list_of(http.get("paths"), f"{where}.paths"),
    )
    require(
        max(len(methods), len(paths)) <= _HTTP_LIMIT, f"{where} has a list of more than {_HTTP_LIMIT} entries"
    )
    _distinct(methods, f"{where}.methods")
    for entry in paths:
        path = fields_of(entry, f"{where}.paths", {"exact", "prefix"})
        require(len(path) == 1, f"{where}.paths: one of exact and prefix is needed")
        (text,) = path.values()
        require(isinstance(text, str) and len(text) <= 1024, f"{where}.paths: {text!r} is no path")
        require(text.startswith("/") and not set(text) & set("? #"), f"{where}.paths: {text!r} is no path")


def _entity(
    value: Any, where: str, *, services: bool, service_namespace: bool
) -> tuple[dict[str, Any], list[int]]:
    """A rule's source or destination, checked by itself, and the families of its CIDRs."""
    entity = fields_of({} if value is None else value, where, _ENTITY_FIELDS)
    families = _nets(entity.get("nets"), f"{where}.nets", NETS_LIMIT)
    families += _nets(entity.get("notNets"), f"{where}.notNets", NETS_LIMIT)
    for net in list_of(entity.get("notNets"), f"{where}.notNets"):
        # Felix leaves out a rule that has it (felix/rules/policy.go filterNets).
        require(network_of(net, where).prefixlen > 0, f"{where}.notNets has {net}, which leaves nothing")
    for name in _SELECTOR_FIELDS:
        _selector(entity.get(name), f"{where}.{name}", global_alone=name == "namespaceSelector")
    if entity.get("serviceAccounts") is not None:
        accounts = fields_of(entity["serviceAccounts"], f"{where}.serviceAccounts", {"names", "selector"})
        _distinct(
            list_of(accounts.get("names"), f"{where}.serviceAccounts.names"), f"{where}.serviceAccounts.names"
        )
        _selector(accounts.get("selector"), f"{where}.serviceAccounts.selector")
    if entity.get("services") is not None:
        at = f"{where}.services"
        require(
            services,
            f"{at}: services stand in an ingress rule's source and an egress rule's destination only",
        )
        service = fields_of(entity["services"], at, {"name", "namespace"})
        for name in ("name", "namespace"):
            text = service.get(name)
            require(text is None or (isinstance(text, str) and is_name(text)), f"{at}.{name} {text!r}")
        require(bool(service.get("name")), f"{at} needs a name")
        require(
            bool(service.get("namespace")) or not service_namespace,
            f"{at} of a global policy needs a namespace",
        )
        beside = [
            name for name in (*_SELECTOR_FIELDS, "nets", "notNets", "serviceAccounts") if entity.get(name)
        ]
        require(not beside, f"{at} stands beside {', '.join(beside)}")
    return entity, families


def _rule_ports(entity: Mapping[str, Any], where: str, protocol: int | None) -> None:
    for name in ("ports", "notPorts"):
        if entity.get(name) is None:
            continue
        numbers = _ports(entity[name], f"{where}.{name}")
        if entity[name]:
            require(
                protocol in PORT_PROTOCOLS or (protocol is None and not numbers),
                f"{where}.{name} need a protocol of TCP, UDP or SCTP",
            )


def _rule(value: Any, where: str, *, ingress: bool, namespaced: bool) -> None:
    rule = fields_of(value, where, _RULE_FIELDS)
    action, version, named = rule.get("action"), rule.get("ipVersion"), rule.get("protocol")
    require(
        isinstance(action, str) and action in ACTIONS,
        f"{where}.action {action!r} is none of {', '.join(ACTIONS)}",
    )
    require(version is None or (type(version) is int and version in (4, 6)), f"{where}.ipVersion {version!r}")
    numbers: dict[str, int | None] = {}
    for name in ("protocol", "notProtocol"):
        try:
            numbers[name] = None if rule.get(name) is None else protocol_number(rule[name])
        except PolicyFault as fault:
            raise PolicyFault(f"{where}.{name}: {fault}") from None
        family = ICMP_FAMILY.get(numbers[name] or 0)
        require(
            family is None or version in (None, family),
            f"{where}: {rule.get(name)} needs ipVersion {family}, not {version}",
        )
    for name in ("icmp", "notICMP"):
        _icmp(rule.get(name), f"{where}.{name}")
        # The validator takes names alone, and of notICMP it says nothing: iptables would not load such a rule.
        require(
            rule.get(name) is None or named in ("ICMP", "ICMPv6"),
            f"{where}.{name} needs protocol ICMP or ICMPv6",
        )
    families: list[int] = []
    for side in ("source", "destination"):
        at = f"{where}.{side}"
        services = ingress == (side == "source")
        entity, found = _entity(rule.get(side), at, services=services, service_namespace=not namespaced)
        families += found
        _rule_ports(entity, at, numbers["protocol"])
        if side == "destination" and entity.get("services") is not None:
            require(not entity.get("ports") and not entity.get("notPorts"), f"{at} has ports beside services")
    require(len(set(families)) <= 1, f"{where} has CIDRs of both families")
    require(
        version is None or set(families) <= {version},
        f"{where} has CIDRs of another family than ipVersion {version}",
    )
    if rule.get("http") is not None:
        _http(rule["http"], f"{where}.http")
        require(ingress and action == "Allow", f"{where}.http stands in an ingress rule that allows only")
        require(named is None or named in ("TCP", 6), f"{where}.http needs protocol TCP or none")
    if rule.get("metadata") is not None:
        _annotations(fields_of(rule["metadata"], f"{where}.metadata", {"annotations"}), f"{where}.metadata")


def _annotations(meta: Mapping[str, Any], where: str) -> None:
    annotations = meta.get("annotations")
    require(annotations is None or isinstance(annotations, dict), f"{where}.annotations is not a mapping")
    size = 0
    for key, text in (annotations or {}).items():
        require(isinstance(key, str) and isinstance(text, str), f"{where}.annotations: {key!r} is not text")
        require(is_label(key.lower(), ""), f"{where}.annotations: bad {key!r}")
        size += len(key.encode()) + len(text.encode(errors="replace"))
    require(
        size <= _ANNOTATIONS_LIMIT, f"{where}.annotations have {size} bytes, more than {_ANNOTATIONS_LIMIT}"
    )


def _top(value: Object, kind: str, *, namespaced: bool) -> tuple[str, dict[str, Any]]:
    """An object's name and spec; what objects of every kind have is checked."""
    top = fields_of(value, "object", {"apiVersion", "kind", "metadata", "spec"})
    found = (top.get("apiVersion"), top.get("kind"))
    require(found == (API_VERSION, kind), f"{found[0]} {found[1]} is not {API_VERSION} {kind}")
    meta = metadata(top.get("metadata"), namespaced=namespaced)
    _annotations(meta, "metadata")
    require(isinstance(top.get("spec"), dict), "spec is not a mapping")
    return str(meta["name"]), top["spec"]


def _policy(spec: Mapping[str, Any], *, namespaced: bool) -> None:
    tier = spec.get("tier")
    require(
        tier is None or (isinstance(tier, str) and (tier == "" or is_tier(tier))),
        f"spec.tier {tier!r} is no tier's name",
    )
    _order(spec.get("order"), "spec.order")
    for name in ("selector", "serviceAccountSelector", "namespaceSelector"):
        _selector(spec.get(name), f"spec.{name}")
    for name in ("types", "performanceHints"):
        _distinct(list_of(spec.get(name), f"spec.{name}"), f"spec.{name}")
    types, hints = spec.get("types"), spec.get("performanceHints") or []
    require(types is None or len(types) >= 1, "spec.types is empty")
    require(all(t in ("Ingress", "Egress") for t in types or []), f"spec.types {types!r}")
    require(all(hint == "AssumeNeededOnEveryNode" for hint in hints), f"spec.performanceHints {hints!r}")
    for direction in ("ingress", "egress"):
        rules = list_of(spec.get(direction), f"spec.{direction}")
        require(
            len(rules) <= RULES_LIMIT, f"spec.{direction} has {len(rules)} rules, more than {RULES_LIMIT}"
        )
        for index, rule in enumerate(rules):
            _rule(rule, f"spec.{direction}[{index}]", ingress=direction == "ingress", namespaced=namespaced)


def is_tier(name: str) -> bool:
    """True for a tier's name: no dots, since it is a part of other names."""
    return len(name) <= 63 and bool(_TIER_NAME.fullmatch(name))


def validate_network_policy(value: Object) -> None:
    """PolicyFault where Calico would refuse the NetworkPolicy."""
    name, spec = _top(value, "NetworkPolicy", namespaced=True)
    converted = _CONVERTED_NAME.fullmatch(name)
    require(
        bool(_POLICY_NAME.fullmatch(name)) or (converted is not None and is_name(converted[1])),
        f"metadata.name {name!r} has more than one dot",
    )
    _policy(fields_of(spec, "spec", _POLICY_FIELDS), namespaced=True)


def validate_global_network_policy(value: Object) -> None:
    """PolicyFault where Calico would refuse the GlobalNetworkPolicy."""
    name, spec = _top(value, "GlobalNetworkPolicy", namespaced=False)
    require(bool(_POLICY_NAME.fullmatch(name)), f"metadata.name {name!r} has more than one dot")
    _policy(fields_of(spec, "spec", {*_POLICY_FIELDS, "namespaceSelector", *_FLAGS}), namespaced=False)
    for flag in _FLAGS:
        _flag(spec.get(flag), f"spec.{flag}")
    before, untracked = spec.get("preDNAT"), spec.get("doNotTrack")
    require(not (before and untracked), "spec has both preDNAT and doNotTrack")
    require(
        bool(spec.get("applyOnForward")) or not (before or untracked),
        "spec: preDNAT and doNotTrack need applyOnForward",
    )
    require(
        not (before and (spec.get("egress") or "Egress" in (spec.get("types") or []))),
        "spec: preDNAT is for ingress only",
    )


def _network_set(value: Object, kind: str, *, namespaced: bool) -> None:
    _, spec = _top(value, kind, namespaced=namespaced)
    labels = value["metadata"].get("labels") or {}
    require("projectcalico.org/namespace" not in labels, "metadata.labels has projectcalico.org/namespace")
    _nets(fields_of(spec, "spec", {"nets"}).get("nets"), "spec.nets", None)


def validate_network_set(value: Object) -> None:
    """PolicyFault where Calico would refuse the NetworkSet."""
    _network_set(value, "NetworkSet", namespaced=True)


def validate_global_network_set(value: Object) -> None:
    """PolicyFault where Calico would refuse the GlobalNetworkSet."""
    _network_set(value, "GlobalNetworkSet", namespaced=False)


def validate_host_endpoint(value: Object) -> None:
    """PolicyFault where Calico would refuse the HostEndpoint."""
    _, spec = _top(value, "HostEndpoint", namespaced=False)
    fields_of(spec, "spec", {"node", "interfaceName", "expectedIPs", "profiles", "ports"})
    node, interface = spec.get("node"), spec.get("interfaceName") or None
    require(isinstance(node, str) and is_name(node), f"spec.node {node!r}")
    require(
        interface is None
        or (isinstance(interface, str) and (interface == "*" or bool(_INTERFACE.fullmatch(interface)))),
        f"spec.interfaceName {interface!r} is neither * nor 1-15 of a-z, A-Z, 0-9, _, . and -",
    )
    addresses = list_of(spec.get("expectedIPs"), "spec.expectedIPs")
    _distinct(addresses, "spec.expectedIPs")
    for address in addresses:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise PolicyFault(f"spec.expectedIPs: {address!r} is no address") from None
        require("%" not in address, f"spec.expectedIPs: {address!r} has a zone")
    require(interface is not None or bool(addresses), "spec needs interfaceName or expectedIPs")
    profiles = list_of(spec.get("profiles"), "spec.profiles")
    _distinct(profiles, "spec.profiles")
    require(all(is_name(profile) for profile in profiles), f"spec.profiles {profiles!r}")
    for index, entry in enumerate(list_of(spec.get("ports"), "spec.ports")):
        at = f"spec.ports[{index}]"
        port = fields_of(entry, at, {"name", "port", "protocol"})
        require(
            isinstance(port.get("name"), str) and named_port(port["name"]), f"{at}.name {port.get('name')!r}"
        )
        _whole(port.get("port"), f"{at}.port", 1, 65535)
        require(protocol_number(port.get("protocol")) in PORT_PROTOCOLS, f"{at}.protocol has no ports")


def validate_tier(value: Object) -> None:
    """PolicyFault where Calico would refuse the Tier."""
    require(isinstance(value, dict), "object is not a mapping")
    # What the API server gives back has a status.
    name, spec = _top({key: part for key, part in value.items() if key != "status"}, "Tier", namespaced=False)
    fields_of(spec, "spec", {"order", "defaultAction"})
    require(
        is_tier(name), f"metadata.name {name!r} is no tier's name: it has a dot, or more than 63 characters"
    )
    _order(spec.get("order"), "spec.order")
    action = spec.get("defaultAction")
    require(action in (None, "Pass", "Deny"), f"spec.defaultAction {action!r} is neither Pass nor Deny")
    if name in TIERS:
        order, needed = TIERS[name]
        require(spec.get("order") == order, f"the tier {name} has order {order:.0f}")
        require((action or "Deny") == needed, f"the tier {name} has defaultAction {needed}")


VALIDATORS: Mapping[tuple[str, str], Callable[[Object], None]] = {
    (API_VERSION, "NetworkPolicy"): validate_network_policy,
    (API_VERSION, "GlobalNetworkPolicy"): validate_global_network_policy,
    (API_VERSION, "NetworkSet"): validate_network_set,
    (API_VERSION, "GlobalNetworkSet"): validate_global_network_set,
    (API_VERSION, "HostEndpoint"): validate_host_endpoint,
    (API_VERSION, "Tier"): validate_tier,
}
