"""``networking.k8s.io/v1`` NetworkPolicy: what the API server takes, and what the API says it means.

Sources: k8s.io/api/networking/v1/types.go; pkg/apis/networking/validation/validation.go;
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ipt2np.cni.base import Identity, Object, Reading
from ipt2np.cni.kinds.prefixes import Prefix
from ipt2np.cni.manifests import fields_of, list_of, metadata, network_of, require, selected, selector_of
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import Range, merged

API_VERSION, KIND = "networking.k8s.io/v1", "NetworkPolicy"
PROTOCOLS: Mapping[str, int] = {"TCP": 6, "UDP": 17, "SCTP": 132}
CLASSES = ("external", "pod", "node")


# -- an object, parsed -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PortEntry:
    """An entry of ``ports``: a protocol's number, its ``port`` and ``endPort`` as far as they are said."""

    protocol: int
    port: int | None = None
    end: int | None = None

    @property
    def range(self) -> Range:
        """The ports that the entry stands for."""
        if self.port is None:
            return 0, 0xFFFF
        return self.port, self.port if self.end is None else self.end


@dataclass(frozen=True, slots=True)
class IPBlock:
    """An ``ipBlock`` peer; each of ``excepts`` is strictly inside ``cidr``."""

    cidr: Prefix
    excepts: tuple[Prefix, ...] = ()

    def ranges(self) -> list[Range]:
        """The addresses of the block by itself, ascending and disjoint."""
        result: list[Range] = []
        start = self.cidr.first
        for low, high in merged((hole.first, hole.last) for hole in self.excepts):
            if low > start:
                result.append((start, low - 1))
            start = high + 1
        if start <= self.cidr.last:
            result.append((start, self.cidr.last))
        return result


@dataclass(frozen=True, slots=True)
class PodPeer:
    """A peer made of selectors; ``everyone`` where they select all pods of all namespaces."""

    everyone: bool


@dataclass(frozen=True, slots=True)
class IngressRule:
    """A rule: what may come, and from whom. None is the empty or missing list, which is everything or everyone."""

    ports: tuple[PortEntry, ...] | None
    peers: tuple[IPBlock | PodPeer, ...] | None

    @property
    def blocks(self) -> tuple[IPBlock, ...]:
        """The peers that are blocks of addresses."""
        return tuple(peer for peer in self.peers or () if isinstance(peer, IPBlock))

    @property
    def pods(self) -> tuple[PodPeer, ...]:
        """The peers that are selectors."""
        return tuple(peer for peer in self.peers or () if isinstance(peer, PodPeer))


def _ports(rule: Mapping[str, Any], where: str) -> Iterator[PortEntry]:
    """The entries of ``ports``; named ports are refused, since the packet has none."""
    for index, entry in enumerate(list_of(rule.get("ports"), f"{where}.ports")):
        at = f"{where}.ports[{index}]"
        port = fields_of(entry, at, {"protocol", "port", "endPort"})
        protocol = port.get("protocol", "TCP")
        require(isinstance(protocol, str) and protocol in PROTOCOLS, f"{at}: protocol {protocol!r}")
        number, end = port.get("port"), port.get("endPort")
        require(
            number is None
            or (isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 65535),
            f"{at}: port {number!r}",
        )
        require(
            end is None
            or (
                isinstance(end, int)
                and not isinstance(end, bool)
                and number is not None
                and number <= end <= 65535
            ),
            f"{at}: endPort {end!r}",
        )
        yield PortEntry(PROTOCOLS[protocol], number, end)


def _prefix(text: Any, where: str) -> Prefix:
    network = network_of(text, where)
    return Prefix(network.version, int(network.network_address), network.prefixlen)


def _peers(rule: Mapping[str, Any], where: str) -> Iterator[IPBlock | PodPeer]:
    for index, entry in enumerate(list_of(rule.get("from"), f"{where}.from")):
        at = f"{where}.from[{index}]"
        peer = fields_of(entry, at, {"ipBlock", "podSelector", "namespaceSelector"})
        require(bool(peer), f"{at} is empty")
        if "ipBlock" not in peer:
            selectors = {name: selector_of(selector, f"{at}.{name}") for name, selector in peer.items()}
            empty = not any(any(selector.values()) for selector in selectors.values())
            yield PodPeer(everyone="namespaceSelector" in selectors and empty)
            continue
        require(len(peer) == 1, f"{at}: ipBlock stands alone in a peer")
        block = fields_of(peer["ipBlock"], f"{at}.ipBlock", {"cidr", "except"})
        outer = _prefix(block.get("cidr"), f"{at}.ipBlock.cidr")
        excepts: list[Prefix] = []
        for text in list_of(block.get("except"), f"{at}.ipBlock.except"):
            inner = _prefix(text, f"{at}.ipBlock.except")
            require(
                inner.family == outer.family
                and inner.length > outer.length
                and outer.first <= inner.first <= outer.last,
                f"{at}.ipBlock: except {text} is not strictly inside {block.get('cidr')}",
            )
            excepts.append(inner)
        yield IPBlock(outer, tuple(excepts))


def ingress_rules(policy: Object) -> Iterator[IngressRule]:
    """The ingress rules of a policy. PolicyFault where one is not valid."""
    for index, entry in enumerate(list_of(policy["spec"].get("ingress"), "spec.ingress")):
        where = f"spec.ingress[{index}]"
        rule = fields_of(entry, where, {"from", "ports"})
        yield IngressRule(tuple(_ports(rule, where)) or None, tuple(_peers(rule, where)) or None)


def validate(policy: Object) -> None:
    """PolicyFault where the API server would refuse the object or warn about it."""
    top = fields_of(policy, "object", {"apiVersion", "kind", "metadata", "spec"})
    require(
        top.get("apiVersion") == API_VERSION and top.get("kind") == KIND,
        f"{top.get('apiVersion')} {top.get('kind')} is not {API_VERSION} {KIND}",
    )
    metadata(top.get("metadata"))
    spec = fields_of(top.get("spec"), "spec", {"podSelector", "policyTypes", "ingress", "egress"})
    selector_of(spec.get("podSelector", {}), "spec.podSelector")
    types = list_of(spec.get("policyTypes"), "spec.policyTypes")
    require(len(types) <= 2 and all(t in ("Ingress", "Egress") for t in types), f"spec.policyTypes {types!r}")
    for index, rule in enumerate(list_of(spec.get("egress"), "spec.egress")):
        fields_of(rule, f"spec.egress[{index}]", {"to", "ports"})
    for _ in ingress_rules(policy):
        pass


VALIDATORS: Mapping[tuple[str, str], Callable[[Object], None]] = {(API_VERSION, KIND): validate}


# -- what it means ---------------------------------------------------------------------------------------


def selects(policy: Object, identity: Identity) -> bool:
    """True where the policy selects the pods of ``identity`` and isolates their ingress."""
    spec = policy["spec"]
    if policy["metadata"].get("namespace", "default") != identity.namespace:
        return False
    if "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
        return False
    return selected(spec.get("podSelector") or {}, identity.pod_labels)


def rules_for(policies: Sequence[Object], identity: Identity) -> list[IngressRule] | None:
    """The rules of all policies that isolate the pods, None where none does: then everything is let through."""
    isolating = [policy for policy in policies if selects(policy, identity)]
    if not isolating:
        return None
    return [rule for policy in isolating for rule in ingress_rules(policy)]


def services(space: PacketSpace, ports: Iterable[tuple[int, Range]] | None) -> PacketSet:
    """Packets to the ``ports``, each a protocol's number with a range; everything for None."""
    if ports is None:
        return space.everything
    by_protocol: dict[int, list[Range]] = {}
    for protocol, span in ports:
        by_protocol.setdefault(protocol, []).append(span)
    result = space.nothing
    for protocol, spans in by_protocol.items():
        result |= space.value(Field.PROTOCOL, protocol) & space.values(Field.DESTINATION_PORT, merged(spans))
    return result


def each_by_itself(blocks: Sequence[IPBlock], family: int) -> AddressSet:
    """The addresses of ``family`` that are in some block: an exception takes from its own block alone."""
    return AddressSet.of(
        family, [span for block in blocks if block.cidr.family == family for span in block.ranges()]
    )


def sources(
    space: PacketSpace, blocks: Sequence[IPBlock], addresses: Callable[[Sequence[IPBlock], int], AddressSet]
) -> PacketSet:
    """Packets of both families whose source is among the ``addresses`` of ``blocks``."""
    result = space.nothing
    for family in sorted({block.cidr.family for block in blocks}):
        result |= space.addresses(Field.SOURCE, addresses(blocks, family))
    return result


def read(policies: list[Object], identity: Identity, space: PacketSpace) -> Mapping[str, Reading]:
    """What the policies together let through to the pods, by source class, as the API defines it.

    External sources match ipBlock peers and rules without peers, pods a selector of all pods. Whether a pod's or node's
    address matches an ipBlock, which pods another selector selects, and what rules mean for protocols other than TCP, UDP
    and SCTP, the API leaves open.
    """
    named = space.values(Field.PROTOCOL, tuple((number, number) for number in sorted(PROTOCOLS.values())))
    rules = rules_for(policies, identity)
    if rules is None:
        return dict.fromkeys(CLASSES, Reading(space.everything, ~named))
    anywhere = from_pods = by_address = by_selector = space.nothing
    for rule in rules:
        wanted = services(space, _spans(rule))
        if rule.peers is None:
            anywhere |= wanted
        if rule.blocks:
            by_address |= wanted & sources(space, rule.blocks, each_by_itself)
        if rule.pods:
            by_selector |= wanted
        if any(peer.everyone for peer in rule.pods):
            from_pods |= wanted
    inside = by_address | by_selector
    return {
        "external": Reading(anywhere | by_address, ~named),
        "pod": Reading(anywhere | from_pods, ~named | (inside - anywhere - from_pods)),
        "node": Reading(anywhere, ~named | (inside - anywhere)),
    }


def _spans(rule: IngressRule) -> list[tuple[int, Range]] | None:
    return None if rule.ports is None else [(entry.protocol, entry.range) for entry in rule.ports]
