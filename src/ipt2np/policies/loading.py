"""Files, folders and standard input to the policies of one CNI, checked as its API server would.

Fields that a server adds (``status``, ``metadata.uid``, …) are left out; an object without a namespace goes where kubectl
would put it. Source: apimachinery/pkg/apis/meta/v1/types.go (ObjectMeta).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ipt2np.cni.base import Cni, Object, PolicyFault
from ipt2np.cni.registry import CNIS
from ipt2np.errors import InputError, Location, Problem, UsageError
from ipt2np.files import read_input
from ipt2np.policies.manifest import Manifest, manifests_of
from ipt2np.sourcefile import POLICY, SourceFile

SUFFIXES = (".yaml", ".yml", ".json")
MOST_FILES = 10_000
KEPT_METADATA = ("name", "namespace", "labels", "annotations")
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CLUSTERWIDE = frozenset(
    {
        "GlobalNetworkPolicy",
        "GlobalNetworkSet",
        "HostEndpoint",
        "Tier",
        "CiliumClusterwideNetworkPolicy",
        "CiliumCIDRGroup",
        "ClusterNetworkPolicy",
        "ClusterGroup",
    }
)
"""Kinds whose objects have no namespace."""


@dataclass(frozen=True)
class NamedPort:
    """The number behind a port's name in the pods: ``http=8080/tcp``."""

    name: str
    port: int
    protocol: str
    """``TCP``, ``UDP``, ``SCTP``."""


@dataclass(frozen=True)
class Policies:
    """The policies of one CNI among the objects of some files."""

    cni: Cni
    manifests: tuple[Manifest, ...]
    set_aside: tuple[Manifest, ...]
    """Objects that are no policies: Deployments, Services, …"""
    files: tuple[SourceFile, ...]

    @property
    def objects(self) -> list[Object]:
        """The objects, in the order of the files."""
        return [each.object for each in self.manifests]

    @property
    def name(self) -> str:
        """That of the first policy; sets, tiers and groups that policies refer to give theirs where there is none."""
        named = [each for each in self.objects if str(each["kind"]).endswith("Policy")] or self.objects
        return str(named[0]["metadata"]["name"])


def read_texts(names: Sequence[str]) -> list[tuple[bytes, str]]:
    """The bytes and names of files, those of folders included; ``-`` is standard input.

    InputError where some cannot be read.
    """
    found: list[tuple[bytes, str]] = []
    problems: list[Problem] = []
    for name in _expanded(names):
        try:
            found.append(read_input(name))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return found


def policies_in(
    texts: Sequence[tuple[bytes, str]],
    cni: str | None = None,
    namespace: str = "default",
    ports: Sequence[NamedPort] = (),
) -> Policies:
    """The policies that texts hold.

    ``cni`` is found from the kinds where it is None. InputError, with file:line of every fault, where something cannot be
    read or would be refused; UsageError where there is no policy at all.
    """
    manifests: list[Manifest] = []
    files: list[SourceFile] = []
    problems: list[Problem] = []
    for data, file in texts:
        try:
            text = _decoded(data, file)
            manifests += manifests_of(text, file)
        except InputError as error:
            problems += error.problems
            continue
        files.append(SourceFile.of(file, POLICY, text.splitlines()))
    if problems:
        raise InputError(problems)
    return checked(manifests, files, cni, namespace, ports)


def checked(
    manifests: Iterable[Manifest],
    files: Iterable[SourceFile] = (),
    cni: str | None = None,
    namespace: str = "default",
    ports: Sequence[NamedPort] = (),
) -> Policies:
    """The policies among objects, as ``policies_in``."""
    found = list(manifests)
    chosen = CNIS[cni or _cni_of(found)]
    policies: list[Manifest] = []
    aside: list[Manifest] = []
    problems: list[Problem] = []
    names: dict[tuple[Any, ...], Manifest] = {}
    for each in found:
        kind = (each.object.get("apiVersion"), each.object.get("kind"))
        known = all(isinstance(part, str) for part in kind)
        if not known or kind not in chosen.kinds:
            other = _readers_of(kind) if known else []
            if other:
                problems.append(
                    _problem(
                        each,
                        f"{kind[0]} {kind[1]} is not read by {chosen.name}",
                        f"policies of one CNI; {' and '.join(other)} read{'s' if len(other) == 1 else ''} it",
                    )
                )
            elif known:
                aside.append(each)
            else:
                problems.append(_problem(each, "is no API object", "a mapping with apiVersion and kind"))
            continue
        applied = replace(each, object=_applied(each.object, namespace))
        try:
            applied = replace(applied, object=_numbered(applied.object, ports))
            chosen.kinds[str(kind[0]), str(kind[1])](applied.object)
        except PolicyFault as fault:
            problems.append(_problem(each, str(fault), f"what {chosen.name} takes", _path_in(str(fault))))
            continue
        meta = applied.object["metadata"]
        name = (*kind, meta.get("namespace"), meta["name"])
        if name in names:
            first = names[name]
            problems.append(
                _problem(
                    each,
                    f"{applied.pointer} stands in {first.file}:{first.span()[0]} too: one would replace the other",
                    "each object once",
                )
            )
            continue
        names[name] = applied
        policies.append(applied)
    if problems:
        raise InputError(problems)
    if not policies:
        told = ", ".join(sorted({str(each.object.get("kind")) for each in aside})) or "no object at all"
        kinds = ", ".join(f"{group} {kind}" for group, kind in chosen.kinds)
        raise UsageError(f"no policy among the objects ({told}); {chosen.name} reads {kinds}")
    return Policies(chosen, tuple(policies), tuple(aside), tuple(files))


def is_policy_text(data: bytes) -> bool:
    """True where a file rather holds API objects than a ruleset."""
    head = data[:65536].decode("utf-8", "replace")
    lines = [line.strip() for line in head.splitlines()]
    if any(
        line.startswith(("*filter", "*nat", "*mangle", "*raw", "*security", "-A ", "-P ")) for line in lines
    ):
        return False
    return (
        any(line.lstrip('"{- ').startswith(("apiVersion", "kind")) for line in lines)
        or head.lstrip()[:1] == "{"
    )


def _decoded(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            [Problem(Location(file, line, 1), "", "is not UTF-8", "YAML or JSON in UTF-8")]
        ) from None


def _expanded(names: Sequence[str]) -> Iterator[str]:
    """Files as they are; of folders every YAML and JSON file below them, in the order of their names."""
    for name in names:
        if name == "-" or not Path(name).is_dir():
            yield name
            continue
        found = sorted(
            str(path)
            for path in Path(name).rglob("*")
            if path.suffix.lower() in SUFFIXES
            and path.is_file()
            and not any(part.startswith(".") for part in path.relative_to(name).parts)
        )
        if not found:
            raise UsageError(f"{name}: no file in this folder ends in {', '.join(SUFFIXES)}")
        if len(found) > MOST_FILES:
            raise UsageError(f"{name}: more than {MOST_FILES:,} files")
        yield from found


def _cni_of(manifests: Iterable[Manifest]) -> str:
    """The CNI whose own kinds are there, else the portable core."""
    groups = {str(each.object.get("apiVersion")).partition("/")[0] for each in manifests}
    owners = {"projectcalico.org": "calico", "cilium.io": "cilium", "crd.antrea.io": "antrea"}
    found = [cni for group, cni in owners.items() if group in groups]
    if len(found) > 1:
        raise UsageError(f"there are policies of {' and '.join(found)}: say by --cni whose are meant")
    return found[0] if found else "kubernetes"


def _readers_of(kind: tuple[Any, ...]) -> list[str]:
    """The CNIs that read a kind; those that are given no kinds of their own count as one."""
    return [name for name in ("kubernetes", "calico", "cilium", "antrea") if kind in CNIS[name].kinds]


def _problem(each: Manifest, message: str, expected: str, path: tuple[str | int, ...] = ()) -> Problem:
    line, _ = each.span(path)
    return Problem(Location(each.file, line, 1), "", f"{each.pointer or 'the object'}: {message}", expected)


def _path_in(message: str) -> tuple[str | int, ...]:
    """The part of an object that a fault's message begins with: ``spec.ingress[0].ports[1]: …``."""
    path: list[str | int] = []
    for step in message.split(":")[0].split(" ")[0].split("."):
        name, *indexes = step.replace("]", "").split("[")
        path.append(name)
        path += [int(index) for index in indexes if index.isdigit()]
    return tuple(path)


def _applied(each: Object, namespace: str) -> Object:
    """The object as somebody would apply it."""
    result = {key: value for key, value in each.items() if key != "status"}
    metadata = each.get("metadata")
    if isinstance(metadata, dict):
        kept = {key: metadata[key] for key in KEPT_METADATA if metadata.get(key) is not None}
        notes = kept.get("annotations")
        if isinstance(notes, dict):
            kept["annotations"] = {key: value for key, value in notes.items() if key != LAST_APPLIED}
        if each.get("kind") not in CLUSTERWIDE:
            kept.setdefault("namespace", namespace)
        result["metadata"] = kept
    return result


def _numbered(each: Object, ports: Sequence[NamedPort]) -> Object:
    """A Kubernetes NetworkPolicy with the numbers of its named ports. PolicyFault where one is not known."""
    if each.get("apiVersion") != "networking.k8s.io/v1":
        return each
    known = {(port.name, port.protocol): port.port for port in ports}

    def number(entry: Any, where: str) -> Any:
        name = entry.get("port") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            return entry
        protocol = str(entry.get("protocol", "TCP"))
        found = known.get((name, protocol))
        if found is None:
            raise PolicyFault(
                f"{where}: which number the port {name!r} has is up to the pods; say it by "
                f"--named-port {name}=NUMBER/{protocol.lower()}"
            )
        return {**entry, "port": found}

    spec = each.get("spec")
    if not isinstance(spec, dict) or not isinstance(spec.get("ingress"), list):
        return each
    rules = spec["ingress"]
    changed = [
        {
            **rule,
            "ports": [
                number(entry, f"spec.ingress[{place}].ports[{index}]")
                for index, entry in enumerate(rule["ports"])
            ],
        }
        if isinstance(rule, dict) and isinstance(rule.get("ports"), list)
        else rule
        for place, rule in enumerate(rules)
    ]
    return {**each, "spec": {**spec, "ingress": changed}}
