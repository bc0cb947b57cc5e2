"""API objects of a YAML or JSON text, each with the lines on which its parts stand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from ipt2np.cni.base import Object
from ipt2np.cni.manifests import DEEPEST, LOADER, too_deep
from ipt2np.errors import InputError, Location, Problem

MOST_VALUES = 4_000_000
"""Values that a text may expand to: anchors can make a few lines mean more than a machine holds."""

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Manifest:
    """An object, the file that it stands in, and its place there."""

    object: Object
    file: str
    node: yaml.MappingNode

    @property
    def pointer(self) -> str:
        """``Kind/namespace/name``, as far as it has them."""
        return owner_of(self.object)

    def span(self, path: Path = ()) -> tuple[int, int]:
        """First and last line of a part, from 1; those of the nearest part around it where it is not there."""
        return _span(self.node, path)


def owner_of(each: Object) -> str:
    """``Kind/namespace/name`` of an object, as far as it has them."""
    metadata = each.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    parts = (each.get("kind"), metadata.get("namespace"), metadata.get("name"))
    return "/".join(str(part) for part in parts if part)


def pointer_to(each: Object, path: Path) -> str:
    """A part of an object: ``NetworkPolicy/default/web#/spec/ingress/0``."""
    return f"{owner_of(each)}#/{'/'.join(map(str, path))}"


def manifests_of(text: str, file: str) -> list[Manifest]:
    """Every object of a text, those of lists one by one. InputError with file:line:column where it is no YAML."""
    text = _without_tabs(text)
    found: list[Manifest] = []
    loader = LOADER(text)
    try:
        deep = too_deep(text)
        if deep is not None:
            raise _fault(file, text, *deep, f"nests deeper than {DEEPEST} levels")
        while loader.check_node():
            node = loader.get_node()
            assert node is not None
            _check(node, file, text)
            found += _objects(loader.construct_document(node), node, file)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
        raise _fault(file, text, line, column, f"is no YAML: {error.problem or error.context}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _fault(file, text, 0, 0, f"is no YAML: {error}") from None
    finally:
        loader.dispose()
    return found


def _without_tabs(text: str) -> str:
    """JSON may be indented by tabs, which YAML refuses; no string of valid JSON holds one."""
    if text.lstrip()[:1] == "{" and "\t" in text:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return text
        return text.replace("\t", " ")
    return text


def _fault(file: str, text: str, line: int, column: int, message: str) -> InputError:
    lines = text.splitlines()
    shown = lines[line] if line < len(lines) else ""
    expected = "API objects as YAML or JSON, such as kubectl get networkpolicy -o yaml prints"
    return InputError([Problem(Location(file, line + 1, column + 1), shown, message, expected)])


def _check(node: yaml.Node, file: str, text: str) -> None:
    """InputError for a key that stands twice in a mapping, and for anchors that contain themselves or expand too far."""
    sizes: dict[int, int] = {}
    open_: set[int] = set()
    stack: list[tuple[yaml.Node, bool]] = [(node, False)]
    while stack:
        at, done = stack.pop()
        if id(at) in sizes:
            continue
        children = _children(at)
        if done:
            open_.discard(id(at))
            sizes[id(at)] = 1 + sum(sizes[id(child)] for child in children)
            if sizes[id(at)] > MOST_VALUES:
                raise _at(at, file, text, "is too large once its anchors are followed")
            continue
        if id(at) in open_:
            raise _at(at, file, text, "is an anchor that contains itself")
        open_.add(id(at))
        if isinstance(at, yaml.MappingNode):
            keys: set[str] = set()
            for key, _ in at.value:
                name = str(key.value)
                if name in keys and name != "<<":
                    raise _at(key, file, text, f"the key {name!r} stands twice in the same mapping")
                keys.add(name)
        stack.append((at, True))
        for child in children:
            if id(child) in open_:
                raise _at(child, file, text, "is an anchor that contains itself")
            stack.append((child, False))


def _at(node: yaml.Node, file: str, text: str, message: str) -> InputError:
    return _fault(file, text, node.start_mark.line, node.start_mark.column, message)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _objects(document: Any, node: yaml.Node, file: str) -> Iterator[Manifest]:
    """The objects of a document; a ``List`` (``v1``, or any kind that ends so and has items) is its items."""
    if document is None:
        return
    if not isinstance(document, dict) or not isinstance(node, yaml.MappingNode):
        mark = node.start_mark
        message = "is no API object: not a mapping"
        raise InputError([Problem(Location(file, mark.line + 1, mark.column + 1), "", message)])
    items = document.get("items")
    if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
        inside = _value(node, "items")
        nodes = inside.value if isinstance(inside, yaml.SequenceNode) else []
        for item, below in zip(items, nodes, strict=False):
            for each in _objects(item, below, file):
                yield _typed(each, document)
        return
    yield Manifest(document, file, node)


def _typed(each: Manifest, listing: Object) -> Manifest:
    """An item of a typed list (``NetworkPolicyList``) may leave out what kind it is."""
    kind = str(listing["kind"]).removesuffix("List")
    if "kind" in each.object or not kind:
        return each
    return replace(each, object={"apiVersion": listing.get("apiVersion"), "kind": kind, **each.object})


def _value(node: yaml.Node, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: yaml.Node = node.value[step]
        return found
    return None


def _span(node: yaml.Node, path: Sequence[str | int]) -> tuple[int, int]:
    first = node.start_mark.line
    for step in path:
        below = _value(node, step)
        if below is None:
            break
        key = (
            next(each for each, value in node.value if value is below)
            if isinstance(node, yaml.MappingNode)
            else below
        )
        node, first = below, key.start_mark.line
    return first + 1, max(_last(node), first) + 1


def _last(node: yaml.Node) -> int:
    """The line on which a part's last value ends; the mark behind a block stands on a later one."""
    while children := _children(node):
        node = children[-1]
    end = node.end_mark
    return int(end.line - 1 if end.column == 0 and end.line > node.start_mark.line else end.line)
