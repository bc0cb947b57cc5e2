"""What a target is: how it fits a plan, how it reads policies, what it cannot keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ipt2np.findings import Finding
from ipt2np.packets import PacketSet, PacketSpace
from ipt2np.planning import PolicyPlan
from ipt2np.rules.model import Rule

Object = dict[str, Any]
"""An API object as plain data."""


@dataclass(frozen=True)
class Identity:
    """Whose policy it is: name, namespace, and the labels of the pods it selects."""

    name: str
    namespace: str
    pod_labels: Mapping[str, str]


@dataclass(frozen=True)
class Cluster:
    """What is known of the cluster beside its CNI."""

    pod_cidrs: tuple[str, ...] = ()
    node_cidrs: tuple[str, ...] = ()
    """Addresses of pods and nodes; an address that is in neither may be anybody's."""
    cidr_match: frozenset[str] = frozenset()
    """Which of ``pods`` and ``nodes`` CIDRs match where they match external sources alone by default (Cilium)."""
    in_cluster: bool = True
    """True where peers that stand for all pods or nodes may be written."""


@dataclass(frozen=True, slots=True)
class EmittedRule:
    """A rule of an emitted object: where it stands, what it admits of the plan, the rules behind it."""

    object_index: int
    rule_index: int
    packets: PacketSet
    rules: tuple[Rule, ...]
    policies: tuple[str, ...] = ()
    """Built-in policies behind it, as ``INPUT policy ACCEPT``."""


@dataclass(frozen=True)
class Fitted:
    """What a plan became: objects as plain data, the rules behind their rules, what was lost on the way."""

    objects: tuple[Object, ...]
    emitted: tuple[EmittedRule, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class PlatformEffect:
    """Something that the platform does whatever the policy says."""

    effect: str
    source_class: str
    protocol: str
    statement: str
    reference: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a policy lets through for one class of sources (``external``, ``pod``, ``node``)."""

    admits: PacketSet
    undefined: PacketSet
    """Packets for which the target's documents give no answer: outside the verdict."""


class PolicyFault(ValueError):
    """A policy that the API server or the CNI would refuse."""


class Cni(ABC):
    """A target."""

    name: ClassVar[str]
    template: ClassVar[str]
    platform: ClassVar[Sequence[PlatformEffect]] = ()

    @abstractmethod
    def fit(self, plan: PolicyPlan, identity: Identity, source_note: str) -> Fitted:
        """The plan as objects of this target."""

    @abstractmethod
    def interpret(self, text: str, identity: Identity, space: PacketSpace) -> Mapping[str, Reading]:
        """What the YAML ``text`` lets through to the pods of ``identity``, by source class.

        Raises PolicyFault where the target would refuse the text.
        """
