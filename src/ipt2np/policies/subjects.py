"""Whose pods policies select, where their selectors say it by labels that must be there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ipt2np.policies.manifest import Manifest

Subject = tuple[str, tuple[tuple[str, str], ...]]
"""A namespace (empty for those of all) and labels."""

_TERM = re.compile(r"""\s*([A-Za-z0-9_./-]+)\s*==\s*(?:'([^']*)'|"([^"]*)")\s*""")


def subjects(manifests: Iterable[Manifest]) -> tuple[Subject, ...]:
    """The different subjects of the policies, in the order of the files; selectors that say more are left out."""
    return tuple(dict.fromkeys(each for manifest in manifests for each in _subjects(manifest)))


def _subjects(manifest: Manifest) -> Iterator[Subject]:
    each = manifest.object
    namespace = str(each["metadata"].get("namespace", ""))
    specs = [each.get("spec"), *(each.get("specs") or [])]
    for spec in specs:
        if not isinstance(spec, dict):
            continue
        for selector in _selectors(spec):
            labels = _labels(selector)
            if labels:
                yield namespace, tuple(sorted(labels.items()))


def _selectors(spec: Mapping[str, Any]) -> Iterator[Any]:
    for key in ("podSelector", "endpointSelector", "nodeSelector", "selector"):
        if spec.get(key):
            yield spec[key]
    for entry in spec.get("appliedTo") or []:
        yield entry.get("podSelector") or entry.get("nodeSelector")


def _labels(selector: Any) -> dict[str, str]:
    if isinstance(selector, str):
        terms = [_TERM.fullmatch(term) for term in selector.split("&&")]
        return (
            {found[1]: found[2] if found[2] is not None else found[3] for found in terms if found}
            if all(terms)
            else {}
        )
    if not isinstance(selector, dict) or selector.get("matchExpressions"):
        return {}
    return {
        str(key).removeprefix("k8s:"): str(value)
        for key, value in (selector.get("matchLabels") or {}).items()
    }
