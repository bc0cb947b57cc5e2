"""What a target is: how it fits a plan, how it reads policies, what it cannot keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import ClassVar

from ipt2np.cni.features import Feature
from ipt2np.cni.manifests import Object as Object
from ipt2np.cni.manifests import PolicyFault as PolicyFault
from ipt2np.cni.manifests import load
from ipt2np.findings import Finding
from ipt2np.packets import PacketSet, PacketSpace
from ipt2np.planning import PolicyPlan
from ipt2np.rules.interfaces import Interfaces
from ipt2np.rules.model import Rule

EXTERNAL, POD, NODE = "external", "pod", "node"
SOURCE_CLASSES = (EXTERNAL, POD, NODE)
"""Who a source can be; the pod's own node is the platform's."""


@dataclass(frozen=True)
class Identity:
    """Whose policy it is: name, namespace, and the labels of the pods it selects."""

    name: str
    namespace: str
    pod_labels: Mapping[str, str]
    """Of the pods, or of the node where the policy is a host's."""
    interfaces: Interfaces | None = None
    """The labels of input interfaces in the packet space, where the policy is a host's."""


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
    """A rule of an emitted object: where it stands, what it decides of the plan, who is behind it."""

    object_index: int
    path: tuple[str | int, ...]
    """The way from the object to the rule, as ``("spec", "ingress", 0)``."""
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
    logged: tuple[Rule, ...] = ()
    """Rules that log, all whose connection attempts the target logs too."""
    rejected: PacketSet | None = None
    """Refused packets that the target answers, as REJECT does; None where it answers none."""


@dataclass(frozen=True, slots=True)
class PlatformEffect:
    """Something that the platform does whatever the policy says."""

    effect: str
    source_class: str
    protocol: str
    statement: str
    reference: str
    packets: Callable[[PacketSpace], PacketSet] | None = None
    """Which packets, where the effect is on new connections of sources that a policy is about."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a policy lets through for one class of sources (``external``, ``pod``, ``node``)."""

    admits: PacketSet
    undefined: PacketSet
    """Packets for which the target's documents give no answer: outside the verdict."""


def either(one: Mapping[str, Reading], two: Mapping[str, Reading]) -> dict[str, Reading]:
    """The reading where either of two may be right: what they differ in is undefined."""
    result = {}
    for name, first in one.items():
        second = two[name]
        differing = (first.admits - second.admits) | (second.admits - first.admits)
        result[name] = Reading(first.admits & second.admits, first.undefined | second.undefined | differing)
    return result


class Grade(Enum):
    """How well a target keeps something that iptables does."""

    EXACT = "exact"
    PARTLY = "partly"
    NOT = "not"


@dataclass(frozen=True, slots=True)
class Capability:
    """What a target makes of one thing that iptables does, and in which way."""

    grade: Grade
    note: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A number that the target's API, agent or datapath sets, and the document that says so."""

    what: str
    value: int
    reference: str


@dataclass(frozen=True)
class Profile:
    """What ``ipt2np cnis`` tells of a target."""

    title: str
    kinds: tuple[str, ...]
    """As ``networking.k8s.io/v1 NetworkPolicy``."""
    sources: str
    """What a CIDR is compared with."""
    capabilities: Mapping[Feature, Capability] = field(default_factory=dict)
    """What does not follow from what the target declares otherwise (``Cni.derived``)."""
    limits: tuple[Limit, ...] = ()
    remarks: tuple[str, ...] = ()
    """What a user must know before choosing it."""


class Cni(ABC):
    """A target."""

    name: ClassVar[str]
    template: ClassVar[str]
    profile: ClassVar[Profile]
    client_address: ClassVar[str] = (
        "a Service with externalTrafficPolicy Cluster may show the pods a node's address"
    )
    """What the pods see in place of the client's address where it does not arrive."""
    match_modes: ClassVar[bool] = False
    """True where the user chooses what CIDRs match beside sources outside the cluster."""
    scope: ClassVar[str] = "every protocol"
    """Which connections a verdict is about, whoever sends them: those that a reading leaves open are outside."""
    platform: ClassVar[Sequence[PlatformEffect]] = ()
    kinds: ClassVar[Mapping[tuple[str, str], Callable[[Object], None]]]
    """The (apiVersion, kind) that it reads, and what raises PolicyFault for an object that it would refuse."""
    by_interface: ClassVar[bool] = False
    """True where its policies tell packets apart by their input interface."""

    @abstractmethod
    def derived(self) -> Mapping[Feature, Capability]:
        """The grades that follow from what the target declares for its own writing (``cni/capabilities.py``)."""

    def capabilities(self) -> Mapping[Feature, Capability]:
        """What it makes of every feature, in their order."""
        found = {**self.derived(), **self.profile.capabilities}
        return {feature: found[feature] for feature in Feature}

    def remarks(self) -> tuple[str, ...]:
        """What a user must know before choosing it."""
        return self.profile.remarks

    def always(self, space: PacketSpace) -> PacketSet:
        """New connections that the platform lets in whatever a policy says."""
        result = space.nothing
        for effect in self.platform:
            if effect.packets is not None:
                result |= effect.packets(space)
        return result

    def as_set(self, cluster: Cluster) -> Cluster:
        """The cluster as it can be under this target: where a provider sets how CIDRs match, nobody else does."""
        return cluster if self.match_modes else replace(cluster, cidr_match=frozenset())

    @abstractmethod
    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """The plan as objects of this target."""

    def interpret(
        self, text: str, identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """What the YAML ``text`` lets through to the pods of ``identity``, by source class.

        Raises PolicyFault where the target would refuse the text.
        """
        return self.read(load(text, self.kinds), identity, cluster, space)

    @abstractmethod
    def read(
        self, objects: list[Object], identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """What valid objects let through to the pods of ``identity``, by source class.

        Raises PolicyFault where they do not go together.
        """
