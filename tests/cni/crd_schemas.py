"""The schemas of the kinds that CNIs bring, as validators: they lie outside the project, beside the corpus.

An API server drops fields that a CRD does not have, without a word: here they are faults.
"""

from __future__ import annotations

import importlib
import ipaddress
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from tests.corpus.measure import shared_folder

jsonschema: Any = importlib.import_module("jsonschema")
"""Comes with kubernetes-validate."""

Schema = Mapping[str, Any]
Kind = tuple[str, str]
GO_PATTERN, PYTHON_PATTERN = r"^\PC*$", r"^[^\x00-\x1f\x7f-\x9f]*$"
"""No character of the category "other": a class of Go's that Python's ``re`` lacks."""


@cache
def validators() -> Mapping[Kind, Any]:
    """Validators by apiVersion and kind; none where the schemas are absent."""
    shared = shared_folder()
    folder = None if shared is None else shared / "crds"
    if folder is None or not folder.is_dir():
        return {}
    found: dict[Kind, Schema] = {}
    for path in sorted(folder.glob("*/*.yaml")):
        crd = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]
        for version in crd["versions"]:
            kind = f"{crd['group']}/{version['name']}", crd["names"]["kind"]
            found[kind] = version["schema"]["openAPIV3Schema"]
    names = {kind.lower(): kind for kind in ("CiliumNetworkPolicy", "CiliumCIDRGroup")}
    for path in sorted((folder / "cilium").glob("*_v2.json")):
        name = names.get(path.name.partition("_")[0])
        if name:
            found["cilium.io/v2", name] = json.loads(path.read_text(encoding="utf-8"))
    checker = jsonschema.FormatChecker(formats=())
    checker.checks("cidr", raises=ValueError)(_is_cidr)
    return {
        kind: jsonschema.Draft7Validator(_top(schema), format_checker=checker)
        for kind, schema in found.items()
    }


def _is_cidr(text: object) -> bool:
    """The API server's format ``cidr`` asks for a prefix."""
    return not isinstance(text, str) or ("/" in text and bool(ipaddress.ip_network(text, strict=False)))


def _top(schema: Schema) -> Schema:
    """The schema of an object: every one has metadata, whether the CRD says so or not."""
    closed = dict(_closed(schema))
    closed["properties"] = {
        **{key: {"type": "string"} for key in ("apiVersion", "kind")},
        **closed["properties"],
        "metadata": {"type": "object", "required": ["name"]},
    }
    return closed


def _closed(schema: Schema) -> Schema:
    """The schema with no field but those that it names."""
    result = dict(schema)
    if "properties" in result:
        result["properties"] = {name: _closed(each) for name, each in result["properties"].items()}
        if not result.get("x-kubernetes-preserve-unknown-fields"):
            result.setdefault("additionalProperties", False)
    if isinstance(result.get("items"), dict):
        result["items"] = _closed(result["items"])
    if isinstance(result.get("additionalProperties"), dict):
        result["additionalProperties"] = _closed(result["additionalProperties"])
    if result.get("pattern") == GO_PATTERN:
        result["pattern"] = PYTHON_PATTERN
    return result


def faults(item: Mapping[str, Any]) -> list[str]:
    """What of the object its CRD would not take. KeyError where the CRD is not there."""
    validator = validators()[item["apiVersion"], item["kind"]]
    return [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}"
        for error in validator.iter_errors(item)
    ]
