"""``cilium.io/v2`` objects: what the API server and the agent take, and the policies that they become.

Kubernetes NetworkPolicy becomes the same kind of policy, as Cilium converts it.
Sources: the CRDs (cilium: pkg/k8s/apis/cilium.io/client/crds/v2), pkg/policy/api/rule_validation.go,
pkg/k8s/network_policy.go. Stricter than the agent where it tolerates what says one thing twice or something else
than it means: host bits in a CIDR, an exception as large as its block, ports without a number. Of egress rules only
the fields are looked at, and of rules of requests (L7) only that there are some.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ipt2np.cni.base import Object, PolicyFault
from ipt2np.cni.kinds import networkpolicy
from ipt2np.cni.kinds.cilium.fields import fields_of
from ipt2np.cni.kinds.cilium.peers import (
    ENTITIES,
    EVERYBODY,
    NOBODY,
    UNKNOWN,
    Block,
    Extents,
    GroupReference,
    Peers,
    bounds,
    endpoints,
    kubernetes_endpoints,
    nodes,
)
from ipt2np.cni.kinds.cilium.selectors import (
    NAMESPACE_LABELS,
    RESERVED,
    Selector,
    kubernetes_selector,
    selector_of,
)
from ipt2np.cni.kinds.cilium.services import EVERYTHING, Services, icmp_fields, kubernetes_ports, to_ports
from ipt2np.cni.manifests import is_name, list_of, metadata, network_of, require

API_VERSION = "cilium.io/v2"
POLICY, CLUSTERWIDE, GROUP = "CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy", "CiliumCIDRGroup"
LOG_LENGTH = 32

_SECTIONS = ("ingress", "ingressDeny", "egress", "egressDeny")
_SPEC = {"description", "enableDefaultDeny", "endpointSelector", "nodeSelector", "labels", "log", *_SECTIONS}
_PEERS = ("fromEndpoints", "fromCIDR", "fromCIDRSet", "fromEntities", "fromNodes", "fromGroups")
_INGRESS_DENY = {*_PEERS, "fromRequires", "toPorts", "icmps"}
_EGRESS_DENY = {
    *("toEndpoints", "toRequires", "toPorts", "toCIDR", "toCIDRSet", "toEntities"),
    *("toServices", "toGroups", "toNodes", "icmps"),
}
_RULE_FIELDS: Mapping[str, set[str]] = {
    "ingress": _INGRESS_DENY | {"authentication"},
    "ingressDeny": _INGRESS_DENY,
    "egress": _EGRESS_DENY | {"authentication", "toFQDNs"},
    "egressDeny": _EGRESS_DENY,
}
_AUTHENTICATION = ("disabled", "required", "test-always-fail")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of an ingress section."""

    peers: Peers
    services: Services
    authenticated: bool = False
    """True where a handshake outside the packet decides as well."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One ``spec``: whom it selects, and what it lets through to them or keeps from them."""

    native: bool
    """False for a Kubernetes NetworkPolicy."""
    namespace: str | None
    """None for a clusterwide one."""
    subject: Selector
    host: bool
    """True where ``subject`` selects nodes."""
    allow: tuple[Rule, ...]
    deny: tuple[Rule, ...]
    enforces: bool
    """True where there is an ingress section at all."""
    isolates: bool
    """True where what no rule lets through is dropped."""
    certain: bool = True
    """False where Cilium and Kubernetes differ on whether the policy is about ingress."""


@dataclass(frozen=True, slots=True)
class CidrGroup:
    """A CiliumCIDRGroup."""

    name: str
    labels: Mapping[str, str]
    blocks: tuple[Block, ...]


# -- peers -----------------------------------------------------------------------------------------------


def _cidr_rule(entry: Any, where: str) -> Block | GroupReference:
    fields = fields_of(entry, where, {"cidr", "cidrGroupRef", "cidrGroupSelector", "except"})
    named = [name for name in ("cidr", "cidrGroupRef", "cidrGroupSelector") if fields.get(name) is not None]
    require(len(named) == 1, f"{where}: exactly one of cidr, cidrGroupRef, cidrGroupSelector")
    holes = list_of(fields.get("except"), f"{where}.except")
    if named != ["cidr"]:
        require(not holes, f"{where}: except goes with cidr, not with {named[0]}")
        if named == ["cidrGroupSelector"]:
            return GroupReference(
                selector=kubernetes_selector(fields["cidrGroupSelector"], f"{where}.{named[0]}")
            )
        name = fields["cidrGroupRef"]
        require(isinstance(name, str) and is_name(name), f"{where}.cidrGroupRef {name!r}")
        return GroupReference(name)
    network = network_of(fields["cidr"], f"{where}.cidr")
    excepts = tuple(network_of(text, f"{where}.except") for text in holes)
    low, high = bounds(network)
    for inner in excepts:
        require(
            inner.version == network.version
            and inner.prefixlen > network.prefixlen
            and low <= bounds(inner)[0] <= high,
            f"{where}: except {inner} is not strictly inside {network}",
        )
    return Block(network, excepts)


def _entity(value: Any, where: str) -> Extents:
    require(isinstance(value, str) and value in ENTITIES, f"{where}: entity {value!r}")
    return ENTITIES[value]


def _aws(value: Any, where: str) -> None:
    group = fields_of(value, where, {"aws"})
    names = {"labels", "region", "securityGroupsIds", "securityGroupsNames"}
    fields_of(group.get("aws"), f"{where}.aws", names)


def _peers(rule: Mapping[str, Any], where: str, namespace: str | None, *, initial: bool) -> Peers:
    """The sources of a rule; without any peer field everybody."""
    require(not list_of(rule.get("fromRequires"), f"{where}.fromRequires"), f"{where}: fromRequires is gone")
    lists = {name: list_of(rule[name], f"{where}.{name}") for name in _PEERS if rule.get(name) is not None}
    if not lists:
        return Peers(EVERYBODY)
    used = [name for name, entries in lists.items() if entries]
    require(len(used) <= 1, f"{where}: {' and '.join(used)} do not go together in a rule")
    if not used:
        # An empty list is nobody in newer versions and was everybody in older ones.
        return Peers(UNKNOWN)
    extents, blocks, groups = NOBODY, [], []
    for index, entry in enumerate(lists[used[0]]):
        at = f"{where}.{used[0]}[{index}]"
        match used[0]:
            case "fromCIDR":
                blocks.append(Block(network_of(entry, at)))
            case "fromCIDRSet":
                found = _cidr_rule(entry, at)
                if isinstance(found, Block):
                    blocks.append(found)
                else:
                    groups.append(found)
            case "fromEntities":
                extents |= _entity(entry, at)
            case "fromEndpoints":
                extents |= endpoints(selector_of(entry, at), namespace, initial=initial)
            case "fromNodes":
                extents |= nodes(selector_of(entry, at))
            case _:
                _aws(entry, at)
                extents |= UNKNOWN
    return Peers(extents, tuple(blocks), tuple(groups))


# -- cilium.io -------------------------------------------------------------------------------------------


def _rule(
    value: Any, section: str, where: str, namespace: str | None, *, initial: bool, host: bool
) -> Rule | None:
    """A rule; None for one that says nothing, which matches nothing (rule.go: no peers and no ports)."""
    fields = fields_of(value, where, _RULE_FIELDS[section])
    entries = to_ports(fields.get("toPorts"), f"{where}.toPorts", deny=section == "ingressDeny", host=host)
    icmp = icmp_fields(fields.get("icmps"), f"{where}.icmps")
    require(not entries or not icmp, f"{where}: toPorts and icmps do not go together in a rule")
    peers = _peers(fields, where, namespace, initial=initial)
    authentication = fields.get("authentication")
    mode = "disabled"
    if authentication is not None:
        mode = fields_of(authentication, f"{where}.authentication", {"mode"}).get("mode", "")
        require(isinstance(mode, str) and mode in _AUTHENTICATION, f"{where}: authentication mode {mode!r}")
    services = Services(ports=entries, icmp=icmp) if entries or icmp else EVERYTHING
    if services.everything and all(fields.get(name) is None for name in _PEERS):
        return None
    return Rule(peers, services, mode != "disabled")


def _flags(value: Any, where: str) -> Mapping[str, bool]:
    flags = fields_of({} if value is None else value, where, {"ingress", "egress"})
    require(
        all(flag is None or isinstance(flag, bool) for flag in flags.values()), f"{where} takes true or false"
    )
    return flags


def _check_notes(spec: Mapping[str, Any], where: str) -> None:
    """What of a spec is for people: PolicyFault where it is malformed."""
    require(isinstance(spec.get("description", ""), str), f"{where}.description is not text")
    for index, entry in enumerate(list_of(spec.get("labels"), f"{where}.labels")):
        label = fields_of(entry, f"{where}.labels[{index}]", {"key", "value", "source"})
        texts = all(isinstance(text, str) for text in label.values())
        require("key" in label and texts, f"{where}.labels[{index}] needs a key, and texts")
    if spec.get("log") is not None:
        value = fields_of(spec["log"], f"{where}.log", {"value"}).get("value", "")
        require(
            isinstance(value, str)
            and len(value) <= LOG_LENGTH
            and not any(unicodedata.category(letter).startswith("C") for letter in value),
            f"{where}.log.value {value!r} is not text of at most {LOG_LENGTH} printable characters",
        )


def _policy(spec: Any, where: str, namespace: str | None) -> Policy:
    fields = fields_of(spec, where, _SPEC)
    _check_notes(fields, where)
    subjects = [name for name in ("endpointSelector", "nodeSelector") if fields.get(name) is not None]
    require(len(subjects) == 1, f"{where}: exactly one of endpointSelector, nodeSelector")
    host = subjects == ["nodeSelector"]
    require(not host or namespace is None, f"{where}: nodeSelector is for {CLUSTERWIDE} only")
    subject = selector_of(fields[subjects[0]], f"{where}.{subjects[0]}")
    # Only a selector of pods can be one of pods without labels (utils.go: matchesPodInit).
    initial = not host and any((c.source, c.key) == (RESERVED, "init") for c in subject)
    rules: dict[str, list[Rule]] = {"ingress": [], "ingressDeny": []}
    sections = {name: list_of(fields.get(name), f"{where}.{name}") for name in _SECTIONS}
    require(any(sections.values()), f"{where}: none of {', '.join(_SECTIONS)} has a rule")
    for name, entries in sections.items():
        for index, entry in enumerate(entries):
            at = f"{where}.{name}[{index}]"
            if name in rules:
                rule = _rule(entry, name, at, namespace, initial=initial, host=host)
                rules[name] += [] if rule is None else [rule]
            else:
                fields_of(entry, at, _RULE_FIELDS[name])
    enforces = bool(sections["ingress"] or sections["ingressDeny"])
    stated = _flags(fields.get("enableDefaultDeny"), f"{where}.enableDefaultDeny").get("ingress")
    return Policy(
        native=True,
        namespace=namespace,
        subject=subject,
        host=host,
        allow=tuple(rules["ingress"]),
        deny=tuple(rules["ingressDeny"]),
        enforces=enforces,
        isolates=enforces and stated is not False,
    )


def kind_of(document: Object) -> tuple[str, str]:
    """apiVersion and kind as text."""
    return str(document.get("apiVersion")), str(document.get("kind"))


def _native(document: Object) -> tuple[Policy, ...]:
    fields = fields_of(document, "object", {"apiVersion", "kind", "metadata", "spec", "specs"})
    namespaced = kind_of(document)[1] == POLICY
    found = metadata(fields.get("metadata"), namespaced=namespaced)
    namespace = found.get("namespace", "default") if namespaced else None
    specs = [("spec", fields["spec"])] if fields.get("spec") is not None else []
    specs += [(f"specs[{index}]", spec) for index, spec in enumerate(list_of(fields.get("specs"), "specs"))]
    require(bool(specs), "object has neither spec nor specs")
    return tuple(_policy(spec, where, namespace) for where, spec in specs)


def cidr_group(document: Object) -> CidrGroup:
    """A CiliumCIDRGroup; PolicyFault where the API server would refuse it."""
    fields = fields_of(document, "object", {"apiVersion", "kind", "metadata", "spec"})
    found = metadata(fields.get("metadata"), namespaced=False)
    spec = fields_of(fields.get("spec"), "spec", {"externalCIDRs"})
    require(isinstance(spec.get("externalCIDRs"), list), "spec.externalCIDRs is not a list")
    cidrs = [network_of(text, f"spec.externalCIDRs[{i}]") for i, text in enumerate(spec["externalCIDRs"])]
    return CidrGroup(found["name"], found.get("labels") or {}, tuple(Block(cidr) for cidr in cidrs))


# -- networking.k8s.io -----------------------------------------------------------------------------------


def _kubernetes_peers(sources: list[Any], where: str, namespace: str) -> Peers:
    if not sources:
        return Peers(EVERYBODY)
    extents, blocks = NOBODY, []
    for index, peer in enumerate(sources):
        at = f"{where}.from[{index}]"
        if "ipBlock" in peer:
            found = _cidr_rule(peer["ipBlock"], at)
            blocks += [found] if isinstance(found, Block) else []
            continue
        namespaces = peer.get("namespaceSelector")
        if namespaces is not None:
            namespaces = kubernetes_selector(namespaces, at, NAMESPACE_LABELS)
        pods = kubernetes_selector(peer.get("podSelector") or {}, at)
        extents |= kubernetes_endpoints(namespaces, pods, namespace)
    return Peers(extents, tuple(blocks))


def _kubernetes(document: Object) -> tuple[Policy, ...]:
    """A Kubernetes NetworkPolicy as Cilium converts it."""
    networkpolicy.validate(document)
    spec, namespace = document["spec"], document["metadata"].get("namespace", "default")
    entries = spec.get("ingress") or []
    declared = "Ingress" in (spec.get("policyTypes") or ["Ingress"])
    rules = []
    for index, rule in enumerate(entries):
        where = f"spec.ingress[{index}]"
        sources = rule.get("from") or []
        rules.append(
            Rule(_kubernetes_peers(sources, where, namespace), kubernetes_ports(rule.get("ports") or []))
        )
    enforces = declared or bool(rules)
    return (
        Policy(
            native=False,
            namespace=namespace,
            subject=kubernetes_selector(spec.get("podSelector") or {}, "spec.podSelector"),
            host=False,
            allow=tuple(rules),
            deny=(),
            enforces=enforces,
            isolates=enforces,
            # The conversion takes ingress rules over without a look at policyTypes.
            certain=declared,
        ),
    )


# -- all of them -----------------------------------------------------------------------------------------

_POLICIES: Mapping[tuple[str, str], Callable[[Object], tuple[Policy, ...]]] = {
    (API_VERSION, POLICY): _native,
    (API_VERSION, CLUSTERWIDE): _native,
    (networkpolicy.API_VERSION, networkpolicy.KIND): _kubernetes,
}


def _validate_policy(document: Object) -> None:
    require(kind_of(document) in _POLICIES, f"{' '.join(kind_of(document))} is no policy")
    _POLICIES[kind_of(document)](document)


def _validate_group(document: Object) -> None:
    cidr_group(document)


VALIDATORS: Mapping[tuple[str, str], Callable[[Object], None]] = {
    **dict.fromkeys(_POLICIES, _validate_policy),
    (API_VERSION, GROUP): _validate_group,
}
"""By apiVersion and kind: PolicyFault where the API server or the agent would refuse the object."""


def parsed(objects: list[Object]) -> tuple[list[Policy], Mapping[str, CidrGroup]]:
    """The policies and, by name, the CIDR groups of ``objects``; PolicyFault for other kinds and bad objects."""
    policies: list[Policy] = []
    groups: dict[str, CidrGroup] = {}
    for document in objects:
        kind = kind_of(document)
        if kind == (API_VERSION, GROUP):
            group = cidr_group(document)
            groups[group.name] = group
        elif kind in _POLICIES:
            policies += _POLICIES[kind](document)
        else:
            raise PolicyFault(f"Cilium reads no {' '.join(kind)}")
    return policies, groups
