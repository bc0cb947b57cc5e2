"""Cilium's label selectors: conditions on keys that may name a source, as ``k8s:app`` or ``reserved:host``.

Sources: cilium: pkg/policy/api/selector.go, pkg/labels/labels.go, pkg/k8s/apis/cilium.io/const.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ipt2np.cni.kinds.cilium.fields import fields_of
from ipt2np.cni.manifests import is_label, list_of, require
from ipt2np.cni.manifests import selector_of as kubernetes_selector_of

NAMESPACE = "io.kubernetes.pod.namespace"
"""The label that holds a pod's namespace; pods have it and nothing else has."""
NAMESPACE_LABELS = "io.cilium.k8s.namespace.labels."
"""In front of the labels that a pod has from its namespace."""
NAMESPACE_NAME = f"{NAMESPACE_LABELS}kubernetes.io/metadata.name"
_DERIVED = "io.cilium.k8s."
"""In front of all labels that Cilium makes: of the namespace, the service account, the cluster."""
ANY, KUBERNETES, RESERVED = "any", "k8s", "reserved"
POD_SOURCES = (ANY, KUBERNETES)
_TAKES_VALUES = {"In": True, "NotIn": True, "Exists": False, "DoesNotExist": False}


@dataclass(frozen=True, slots=True)
class Condition:
    """What a selector demands of one label."""

    source: str
    key: str
    operator: str
    values: tuple[str, ...] = ()

    @property
    def positive(self) -> bool:
        """True where an endpoint without the label cannot meet the condition."""
        return self.operator in ("In", "Exists")

    @property
    def names_namespace(self) -> bool:
        """True where the condition is on the pod's namespace itself."""
        return self.key == NAMESPACE and self.source in POD_SOURCES


Selector = tuple[Condition, ...]
"""Conditions that all must hold; without any it selects everything."""


def _condition(name: Any, operator: Any, values: list[Any], where: str) -> Condition:
    require(isinstance(name, str), f"{where}: bad key {name!r}")
    source, colon, key = name.rpartition(":")
    require(
        is_label(key, "") and bool(source) == bool(colon) and (not source or is_label(source, "")),
        f"{where}: bad key {name!r}",
    )
    require(isinstance(operator, str) and operator in _TAKES_VALUES, f"{where}: operator {operator!r}")
    require(bool(values) == _TAKES_VALUES[operator], f"{where}: {operator} with {len(values)} values")
    require(
        all(isinstance(value, str) and is_label(key, value) for value in values),
        f"{where}: bad values {values!r}",
    )
    return Condition(source or ANY, key, operator, tuple(values))


def selector_of(value: Any, where: str) -> Selector:
    """An EndpointSelector, checked."""
    fields = fields_of(value, where, {"matchLabels", "matchExpressions"})
    labels = fields.get("matchLabels") or {}
    require(isinstance(labels, dict), f"{where}.matchLabels is not a mapping")
    conditions = [_condition(key, "In", [label], f"{where}.matchLabels") for key, label in labels.items()]
    for index, entry in enumerate(list_of(fields.get("matchExpressions"), f"{where}.matchExpressions")):
        at = f"{where}.matchExpressions[{index}]"
        expression = fields_of(entry, at, {"key", "operator", "values"})
        values = list_of(expression.get("values"), f"{at}.values")
        conditions.append(_condition(expression.get("key"), expression.get("operator"), values, at))
    return tuple(conditions)


def kubernetes_selector(value: Any, where: str, prefix: str = "") -> Selector:
    """A metav1.LabelSelector as Cilium takes it over: its keys are Kubernetes', behind ``prefix``."""
    selector = kubernetes_selector_of(value, where)
    conditions = [("In", key, [label]) for key, label in (selector.get("matchLabels") or {}).items()]
    for entry in selector.get("matchExpressions") or []:
        conditions.append((entry["operator"], entry["key"], entry.get("values") or []))
    return tuple(
        Condition(KUBERNETES, prefix + key, operator, tuple(values)) for operator, key, values in conditions
    )


def holds(selector: Iterable[Condition], labels: Mapping[str, str], reserved: frozenset[str]) -> bool | None:
    """Whether the endpoint with these labels is selected; None where that depends on labels that nobody told.

    ``reserved`` are the endpoint's ``reserved:`` labels, all of them known.
    """
    answers = {_holds(condition, labels, reserved) for condition in selector}
    if False in answers:
        return False
    return None if None in answers else True


def _holds(condition: Condition, labels: Mapping[str, str], reserved: frozenset[str]) -> bool | None:
    key, values = condition.key, condition.values
    if condition.source == RESERVED:
        held = "" if key in reserved else None
    elif condition.source not in POD_SOURCES or (key.startswith(_DERIVED) and key not in labels):
        return None
    else:
        held = labels.get(key)
    match condition.operator:
        case "In":
            return held in values
        case "NotIn":
            return held not in values
        case "Exists":
            return held is not None
        case _:
            return held is None
