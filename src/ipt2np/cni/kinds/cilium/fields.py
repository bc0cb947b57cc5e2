"""Mappings of ``cilium.io`` objects, as an API server takes them by a CRD."""

from __future__ import annotations

from typing import Any

from ipt2np.cni import manifests
from ipt2np.cni.manifests import require


def fields_of(value: Any, where: str, allowed: set[str]) -> dict[str, Any]:
    """A mapping with no fields but the ``allowed`` ones, none of them null: no field of the CRDs is nullable."""
    found = manifests.fields_of(value, where, allowed)
    for name, inner in found.items():
        require(inner is not None, f"{where}.{name} is null")
    return found
