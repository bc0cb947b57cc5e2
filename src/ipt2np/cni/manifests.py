"""API objects as text and plain data: YAML streams, and the parts that objects of every kind share.

Sources: apimachinery/pkg/api/validation (names, labels), apimachinery/pkg/apis/meta/v1 (selectors);
https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml

Object = dict[str, Any]
"""An API object as plain data."""

_CIDR = re.compile(r"[0-9a-fA-F.:]+/(0|[1-9][0-9]{0,2})")
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_OPERATORS = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}
"""Operators of label selectors, and whether they take values."""

LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader where PyYAML was built with it: the same result, ten times as fast."""
DEEPEST = 200
"""So far may a text nest: the loader goes down by recursion, and beyond some depth ends the process."""

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_NAMESPACE = re.compile(_LABEL)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_LABEL_KEY = re.compile(rf"(?:({_LABEL}(?:\.{_LABEL})*)/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")


class PolicyFault(ValueError):
    """A policy that the API server or the CNI would refuse."""


def too_deep(text: str) -> tuple[int, int] | None:
    """Line and column, from 0, where a text nests beyond ``DEEPEST``, None where it does not; yaml.YAMLError for no YAML."""
    # No line opens more blocks than it is long.
    if max(map(len, text.split("\n"))) + text.count("[") + text.count("{") <= DEEPEST:
        return None
    loader, depth = LOADER(text), 0
    try:
        while loader.check_event():
            event = loader.get_event()  # type: ignore[no-untyped-call]
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                mark = event.start_mark
                if depth > DEEPEST and mark is not None:
                    return mark.line, mark.column
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    finally:
        loader.dispose()
    return None


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


def require(holds: bool, message: str) -> None:
    """PolicyFault with ``message`` where something does not hold."""
    if not holds:
        raise PolicyFault(message)


def fields_of(value: Any, where: str, allowed: set[str]) -> dict[str, Any]:
    """A mapping that has no fields but the ``allowed`` ones."""
    require(isinstance(value, dict), f"{where} is not a mapping")
    unknown = set(value) - allowed
    require(not unknown, f"{where} has no field {', '.join(map(repr, sorted(map(str, unknown))))}")
    return dict(value)


def list_of(value: Any, where: str) -> list[Any]:
    """A list; an absent one is empty."""
    require(value is None or isinstance(value, list), f"{where} is not a list")
    return list(value or [])


def network_of(text: Any, where: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A CIDR in canonical form: with a prefix, without host bits, not IPv4-mapped."""
    require(isinstance(text, str) and bool(_CIDR.fullmatch(text)), f"{where}: {text!r} is not a CIDR")
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise PolicyFault(f"{where}: {error}") from None
    # Go reads an IPv4-mapped network as IPv4 (net.IP.To4), so it would mean other addresses than it says.
    mapped = network.version == 6 and network.subnet_of(MAPPED)
    require(not mapped, f"{where}: {text!r} is IPv4-mapped")
    return network


def selector_of(value: Any, where: str) -> dict[str, Any]:
    """A label selector (metav1.LabelSelector), checked."""
    selector = fields_of(value, where, {"matchLabels", "matchExpressions"})
    labels = selector.get("matchLabels")
    require(labels is None or isinstance(labels, dict), f"{where}.matchLabels is not a mapping")
    for key, label in (labels or {}).items():
        require(
            isinstance(key, str) and isinstance(label, str) and is_label(key, label),
            f"{where}: bad label {key!r}: {label!r}",
        )
    for index, entry in enumerate(list_of(selector.get("matchExpressions"), f"{where}.matchExpressions")):
        at = f"{where}.matchExpressions[{index}]"
        expression = fields_of(entry, at, {"key", "operator", "values"})
        key, operator = expression.get("key"), expression.get("operator")
        values = list_of(expression.get("values"), f"{at}.values")
        require(isinstance(key, str) and is_label(key, ""), f"{at}: bad key {key!r}")
        require(isinstance(operator, str) and operator in _OPERATORS, f"{at}: operator {operator!r}")
        require(bool(values) == _OPERATORS[str(operator)], f"{at}: {operator} with {len(values)} values")
        require(
            all(isinstance(v, str) and is_label(str(key), v) for v in values), f"{at}: bad values {values!r}"
        )
    return selector


def selected(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """True where a valid label selector holds for ``labels``; an empty one holds for all."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or [])


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
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


def metadata(value: Any, *, namespaced: bool = True) -> dict[str, Any]:
    """An object's metadata, checked: name, namespace (``default`` where none is said), labels, annotations."""
    fields = (
        {"name", "namespace", "labels", "annotations"} if namespaced else {"name", "labels", "annotations"}
    )
    found = fields_of(value, "metadata", fields)
    name = found.get("name")
    require(isinstance(name, str) and is_name(name), f"metadata.name {name!r}")
    namespace = found.get("namespace", "default")
    require(isinstance(namespace, str) and is_namespace(namespace), f"metadata.namespace {namespace!r}")
    for field_name in ("labels", "annotations"):
        values = found.get(field_name)
        require(values is None or isinstance(values, dict), f"metadata.{field_name} is not a mapping")
        for key, text in (values or {}).items():
            require(
                isinstance(key, str) and isinstance(text, str), f"metadata.{field_name}: {key!r} is not text"
            )
            require(
                is_label(key, text if field_name == "labels" else ""),
                f"metadata.{field_name}: bad {key!r}: {text!r}",
            )
    return found


def load(text: str, validators: Mapping[tuple[str, str], Callable[[Object], None]]) -> list[Object]:
    """The objects of a YAML stream, each valid by the validator of its (apiVersion, kind).

    PolicyFault where one is not, is of another kind, or the text is no YAML.
    """
    try:
        documents = [document for document in yaml.load_all(text, Loader=LOADER) if document is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise PolicyFault(f"not YAML: {error}") from None
    names: set[tuple[str, str, str, str]] = set()
    for document in documents:
        require(isinstance(document, dict), "object is not a mapping")
        kind = (document.get("apiVersion"), document.get("kind"))
        known = all(isinstance(part, str) for part in kind) and kind in validators
        require(known, f"{kind[0]} {kind[1]} is none of {', '.join(' '.join(k) for k in validators)}")
        validators[kind](document)
        name = (*kind, document["metadata"].get("namespace", "default"), document["metadata"]["name"])
        require(name not in names, f"two objects are called {name[3]!r}: the second would replace the first")
        names.add(name)
    return documents
