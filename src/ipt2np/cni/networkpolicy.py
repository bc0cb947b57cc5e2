"""``networking.k8s.io/v1`` NetworkPolicy: what the API server takes, and what the API says it means.

Sources: k8s.io/api/networking/v1/types.go; pkg/apis/networking/validation/validation.go;
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ipt2np.cni.base import Identity, Object, PolicyFault, Reading
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace

API_VERSION, KIND = "networking.k8s.io/v1", "NetworkPolicy"
PROTOCOLS: Mapping[str, int] = {"TCP": 6, "UDP": 17, "SCTP": 132}

_CIDR = re.compile(r"[0-9a-fA-F.:]+/(0|[1-9][0-9]{0,2})")
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_OPERATORS = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}
"""Operators of label selectors, and whether they take values."""

LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader where PyYAML was built with it: the same result, ten times as fast."""

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NAMESPACE = re.compile(_LABEL)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(rf"(?:({_LABEL}(?:\.{_LABEL})*)/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


def is_name(text: str) -> bool:
    """True for an object's name: a DNS-1123 subdomain of at most 253 characters."""
    return len(text) <= 253 and bool(_NAME.fullmatch(text))


def is_namespace(text: str) -> bool:
    """True for a namespace: a DNS-1123 label of at most 63 characters."""
    return len(text) <= 63 and bool(_NAMESPACE.fullmatch(text))


def is_label(key: str, value: str) -> bool:
    """True for a label: a qualified name and a value of at most 63 characters."""
    prefix, slash, name = key.rpartition("/")
    return (
        len(name) <= 63
        and len(prefix) <= 253
        and bool(_LABEL_KEY.fullmatch(key))
        and bool(slash) == bool(prefix)
        and len(value) <= 63
        and bool(_LABEL_VALUE.fullmatch(value))
    )


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise PolicyFault(message)


def _mapping(value: Any, where: str, allowed: set[str]) -> dict[str, Any]:
    _require(isinstance(value, dict), f"{where} is not a mapping")
    unknown = set(value) - allowed
    _require(not unknown, f"{where} has no field {', '.join(map(repr, sorted(map(str, unknown))))}")
    return dict(value)


def _list(value: Any, where: str) -> list[Any]:
    _require(value is None or isinstance(value, list), f"{where} is not a list")
    return list(value or [])


def _network(text: Any, where: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    _require(isinstance(text, str) and bool(_CIDR.fullmatch(text)), f"{where}: {text!r} is not a CIDR")
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise PolicyFault(f"{where}: {error}") from None
    # Go reads an IPv4-mapped network as IPv4 (net.IP.To4), so it would mean other addresses than it says.
    mapped = network.version == 6 and network.subnet_of(MAPPED)
    _require(not mapped, f"{where}: {text!r} is IPv4-mapped")
    return network


def _selector(value: Any, where: str) -> dict[str, Any]:
    selector = _mapping(value, where, {"matchLabels", "matchExpressions"})
    labels = selector.get("matchLabels") or {}
    _require(isinstance(labels, dict), f"{where}.matchLabels is not a mapping")
    for key, label in labels.items():
        _require(
            isinstance(key, str) and isinstance(label, str) and is_label(key, label),
            f"{where}: bad label {key!r}: {label!r}",
        )
    for index, entry in enumerate(_list(selector.get("matchExpressions"), f"{where}.matchExpressions")):
        at = f"{where}.matchExpressions[{index}]"
        expression = _mapping(entry, at, {"key", "operator", "values"})
        key, operator = expression.get("key"), expression.get("operator")
        values = _list(expression.get("values"), f"{at}.values")
        _require(isinstance(key, str) and is_label(key, ""), f"{at}: bad key {key!r}")
        _require(isinstance(operator, str) and operator in _OPERATORS, f"{at}: operator {operator!r}")
        _require(bool(values) == _OPERATORS[str(operator)], f"{at}: {operator} with {len(values)} values")
        _require(
            all(isinstance(v, str) and is_label(str(key), v) for v in values), f"{at}: bad values {values!r}"
        )
    return selector


def _ports(rule: Mapping[str, Any], where: str) -> Iterator[tuple[int, tuple[int, int]]]:
    """Protocol number and port range of each entry; named ports are refused, since the packet has none."""
    for index, entry in enumerate(_list(rule.get("ports"), f"{where}.ports")):
        at = f"{where}.ports[{index}]"
        port = _mapping(entry, at, {"protocol", "port", "endPort"})
        protocol = port.get("protocol", "TCP")
        _require(isinstance(protocol, str) and protocol in PROTOCOLS, f"{at}: protocol {protocol!r}")
        number, end = port.get("port"), port.get("endPort")
        _require(
            number is None
            or (isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 65535),
            f"{at}: port {number!r}",
        )
        _require(
            end is None
            or (
                isinstance(end, int)
                and not isinstance(end, bool)
                and number is not None
                and number <= end <= 65535
            ),
            f"{at}: endPort {end!r}",
        )
        yield PROTOCOLS[protocol], (0, 0xFFFF) if number is None else (number, number if end is None else end)


def _peers(rule: Mapping[str, Any], where: str) -> Iterator[tuple[str, list[str]] | None]:
    """CIDR and excepts of each ipBlock peer; None for a peer made of selectors."""
    for index, entry in enumerate(_list(rule.get("from"), f"{where}.from")):
        at = f"{where}.from[{index}]"
        peer = _mapping(entry, at, {"ipBlock", "podSelector", "namespaceSelector"})
        _require(bool(peer), f"{at} is empty")
        if "ipBlock" not in peer:
            for name, selector in peer.items():
                _selector(selector, f"{at}.{name}")
            yield None
            continue
        _require(len(peer) == 1, f"{at}: ipBlock stands alone in a peer")
        block = _mapping(peer["ipBlock"], f"{at}.ipBlock", {"cidr", "except"})
        network = _network(block.get("cidr"), f"{at}.ipBlock.cidr")
        excepts = _list(block.get("except"), f"{at}.ipBlock.except")
        for text in excepts:
            inner = _network(text, f"{at}.ipBlock.except")
            _require(
                inner.version == network.version
                and inner.prefixlen > network.prefixlen
                and inner.subnet_of(network),  # type: ignore[arg-type]
                f"{at}.ipBlock: except {text} is not strictly inside {network}",
            )
        yield str(network), [str(text) for text in excepts]


def validate(policy: Object) -> None:
    """PolicyFault where the API server would refuse the object or warn about it."""
    top = _mapping(policy, "object", {"apiVersion", "kind", "metadata", "spec"})
    _require(
        top.get("apiVersion") == API_VERSION and top.get("kind") == KIND,
        f"{top.get('apiVersion')} {top.get('kind')} is not {API_VERSION} {KIND}",
    )
    metadata = _mapping(top.get("metadata"), "metadata", {"name", "namespace", "labels", "annotations"})
    _require(
        isinstance(metadata.get("name"), str) and is_name(metadata["name"]),
        f"metadata.name {metadata.get('name')!r}",
    )
    namespace = metadata.get("namespace", "default")
    _require(isinstance(namespace, str) and is_namespace(namespace), f"metadata.namespace {namespace!r}")
    for field_name in ("labels", "annotations"):
        values = metadata.get(field_name) or {}
        _require(isinstance(values, dict), f"metadata.{field_name} is not a mapping")
        for key, value in values.items():
            _require(
                isinstance(key, str) and isinstance(value, str), f"metadata.{field_name}: {key!r} is not text"
            )
            _require(
                is_label(key, value if field_name == "labels" else ""),
                f"metadata.{field_name}: bad {key!r}: {value!r}",
            )
    spec = _mapping(top.get("spec"), "spec", {"podSelector", "policyTypes", "ingress", "egress"})
    _selector(spec.get("podSelector", {}), "spec.podSelector")
    types = _list(spec.get("policyTypes"), "spec.policyTypes")
    _require(
        len(types) <= 2 and all(t in ("Ingress", "Egress") for t in types), f"spec.policyTypes {types!r}"
    )
    for index, rule in enumerate(_list(spec.get("egress"), "spec.egress")):
        _mapping(rule, f"spec.egress[{index}]", {"to", "ports"})
    for index, rule in enumerate(_list(spec.get("ingress"), "spec.ingress")):
        where = f"spec.ingress[{index}]"
        mapping = _mapping(rule, where, {"from", "ports"})
        list(_ports(mapping, where))
        list(_peers(mapping, where))


def load(text: str) -> list[Object]:
    """The objects of a YAML stream, each valid. PolicyFault where one is not, or the text is no YAML."""
    try:
        documents = [document for document in yaml.load_all(text, Loader=LOADER) if document is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PolicyFault(f"not YAML: {error}") from None
    names: set[tuple[str, str]] = set()
    for document in documents:
        validate(document)
        name = (document["metadata"].get("namespace", "default"), document["metadata"]["name"])
        _require(name not in names, f"two objects are called {name[1]!r}: the second would replace the first")
        names.add(name)
    return documents


def selects(policy: Object, identity: Identity) -> bool:
    """True where the policy selects the pods of ``identity`` and isolates their ingress."""
    spec, metadata = policy["spec"], policy["metadata"]
    if metadata.get("namespace", "default") != identity.namespace:
        return False
    if "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
        return False
    selector = spec.get("podSelector") or {}
    labels = identity.pod_labels
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_expression_holds(expression, labels) for expression in selector.get("matchExpressions") or [])


def _expression_holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression.get("key"), expression.get("operator"), expression.get("values") or []
    held = labels.get(str(key))
    if operator == "In":
        return held in values
    if operator == "NotIn":
        return held not in values
    if operator == "Exists":
        return held is not None
    if operator == "DoesNotExist":
        return held is None
    raise PolicyFault(f"matchExpressions: operator {operator!r}")


def _block_packets(space: PacketSpace, cidr: str, excepts: list[str]) -> PacketSet:
    addresses = AddressSet.cidrs(cidr)
    if excepts:
        addresses -= AddressSet.cidrs(*excepts)
    return space.addresses(Field.SOURCE, addresses)


def read(policies: list[Object], identity: Identity, space: PacketSpace) -> Mapping[str, Reading]:
    """What the policies together let through to the pods, by source class, as the API defines it.

    External sources match ipBlock peers and rules without peers. Whether a pod's or node's address matches an
    ipBlock, and what rules mean for protocols other than TCP, UDP and SCTP, the API leaves open.
    """
    isolating = [policy for policy in policies if selects(policy, identity)]
    named = space.nothing
    for number in PROTOCOLS.values():
        named |= space.value(Field.PROTOCOL, number)
    external, anywhere, by_address = space.nothing, space.nothing, space.nothing
    if not isolating:
        external = anywhere = space.everything
    for policy in isolating:
        for index, rule in enumerate(policy["spec"].get("ingress") or []):
            where = f"spec.ingress[{index}]"
            services = space.nothing
            for protocol, ports in _ports(rule, where):
                services |= space.value(Field.PROTOCOL, protocol) & space.values(
                    Field.DESTINATION_PORT, (ports,)
                )
            if not rule.get("ports"):
                services = space.everything
            if not rule.get("from"):
                external |= services
                anywhere |= services
                continue
            for peer in _peers(rule, where):
                if peer is None:
                    by_address |= services
                    continue
                external |= services & _block_packets(space, *peer)
                by_address |= services & _block_packets(space, *peer)
    inside = Reading(anywhere, ~named | (by_address - anywhere))
    return {"external": Reading(external, ~named), "pod": inside, "node": inside}
