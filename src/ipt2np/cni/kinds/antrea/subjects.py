"""Whom a policy applies to.

Of a pod its labels and the name of its namespace are known, of a node its labels. Other labels of the namespace,
service accounts and the pods behind a Service are not, so that a policy may or may not apply.

Sources: antrea: docs/antrea-network-policy.md (appliedTo, ClusterGroup), docs/antrea-node-network-policy.md;
https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-metadata-name
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ipt2np.cni.base import Object
from ipt2np.cni.kinds.antrea.bounds import Truth, all_of, any_of
from ipt2np.cni.kinds.antrea.schema import CLUSTER_POLICY
from ipt2np.cni.manifests import selected

Groups = Mapping[tuple[str | None, str], Object]
"""Groups and ClusterGroups by ``schema.group_key``."""

_NAMESPACE_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Subject:
    """A pod, or where ``namespace`` is None a node."""

    labels: Mapping[str, str]
    namespace: str | None


def namespace_of(policy: Object) -> str | None:
    """The namespace that bounds a policy's selectors and names its groups; None for a ClusterNetworkPolicy."""
    return None if policy["kind"] == CLUSTER_POLICY else policy["metadata"].get("namespace", "default")


def is_selected(selector: Mapping[str, Any], namespace: str) -> Truth:
    """Whether a namespace of which nothing is known but its name is selected."""
    known = {_NAMESPACE_NAME: namespace}
    requirements: list[tuple[str, Mapping[str, Any]]] = [
        (key, {"matchLabels": {key: value}}) for key, value in (selector.get("matchLabels") or {}).items()
    ]
    requirements += [
        (each["key"], {"matchExpressions": [each]}) for each in selector.get("matchExpressions") or []
    ]
    return all_of(selected(each, known) if key in known else None for key, each in requirements)


def applies(entries: list[dict[str, Any]], policy: Object, groups: Groups, subject: Subject) -> Truth:
    """Whether one of the entries of ``appliedTo`` holds for the subject."""
    own = namespace_of(policy)
    return any_of(
        _group_applies((own, entry["group"]), groups, subject)
        if entry.get("group")
        else _is_member(entry, own, subject)
        for entry in entries
    )


def _group_applies(key: tuple[str | None, str], groups: Groups, subject: Subject) -> Truth:
    group = groups.get(key)
    if group is None:
        return None
    children = group["spec"].get("childGroups")
    if children:
        return any_of(_group_applies((key[0], child), groups, subject) for child in children)
    answer = _is_member(group["spec"], key[0], subject)
    # That a group may stand for nodes to which a policy applies, the CRD allows and the document denies.
    return None if answer and subject.namespace is None else answer


def _is_member(fields: Mapping[str, Any], own: str | None, subject: Subject) -> Truth:
    said = {key: value for key, value in fields.items() if value is not None}
    if not said:
        return None
    if "nodeSelector" in said:
        return subject.namespace is None and selected(said["nodeSelector"], subject.labels)
    if subject.namespace is None:
        return False
    # Addresses are never subjects: such a group is ignored.
    if said.keys() & {"ipBlocks", "externalEntitySelector", "childGroups"}:
        return False
    for key in ("serviceAccount", "serviceReference"):
        if key in said:
            return None if said[key].get("namespace", subject.namespace) == subject.namespace else False
    if "service" in said:
        # Traffic to a Service is not traffic to a pod, but it may end there.
        return None
    answers = [selected(said.get("podSelector") or {}, subject.labels)]
    if "namespaceSelector" in said:
        return all_of([*answers, is_selected(said["namespaceSelector"], subject.namespace)])
    return all_of([*answers, own in (None, subject.namespace)])
