"""A Kubernetes NetworkPolicy as the Calico policy that is enforced in its place.

Each peer becomes a rule of its own, so the ``except`` of a block is no other block's, and each protocol too; a rule
without ports is for every protocol.

Source: calico: libcalico-go/lib/backend/k8s/conversion/conversion.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ipt2np.cni.kinds.calico_selectors import All, LabelTest, Selector, conjunction, negated
from ipt2np.cni.manifests import selected

ORDER = 1000.0
"""The order of every converted policy; its tier is ``default``."""
ORCHESTRATED = LabelTest("projectcalico.org/orchestrator", "==", ("k8s",))


def ingress_rules(spec: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The ingress rules, in Calico's form, of a valid NetworkPolicy's ``spec``; its selectors are parsed already."""
    return tuple(
        {"action": "Allow", "source": source, **service}
        for rule in spec.get("ingress") or []
        for service in _services(rule.get("ports") or [])
        for source in [_source(peer) for peer in rule.get("from") or []] or [{}]
    )


def selects(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """True where the policy of ``spec`` selects a pod of its namespace that has ``labels``."""
    return selected(spec.get("podSelector") or {}, labels)


def _source(peer: Mapping[str, Any]) -> dict[str, Any]:
    if block := peer.get("ipBlock"):
        return {"nets": [block["cidr"]], "notNets": list(block.get("except") or [])}
    source: dict[str, Any] = {"selector": conjunction(ORCHESTRATED, *_tests(peer.get("podSelector") or {}))}
    if peer.get("namespaceSelector") is not None:
        tests = _tests(peer["namespaceSelector"])
        source["namespaceSelector"] = conjunction(*tests) if tests else All()
    return source


def _tests(selector: Mapping[str, Any]) -> list[Selector]:
    """The tests of a label selector of Kubernetes."""
    tests: list[Selector] = [
        LabelTest(key, "==", (value,)) for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for expression in selector.get("matchExpressions") or []:
        key, values = expression["key"], tuple(expression.get("values") or ())
        has = LabelTest(key, "has")
        tests.append(
            {
                "In": LabelTest(key, "in", values),
                "NotIn": LabelTest(key, "not in", values),
                "Exists": has,
                "DoesNotExist": negated(has),
            }[expression["operator"]]
        )
    return tests


def _services(ports: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Protocol and ports of each rule; an entry without a port takes in all ports of its protocol."""
    if not ports:
        yield {}
    numbers: dict[str, list[str] | None] = {}
    for entry in ports:
        protocol, port = entry.get("protocol") or "TCP", entry.get("port")
        found = numbers.setdefault(protocol, [])
        if port is None:
            numbers[protocol] = None
        elif found is not None:
            found.append(f"{port}:{entry.get('endPort') or port}")
    for protocol, found in numbers.items():
        yield {"protocol": protocol, "destination": {"ports": found or []}}
