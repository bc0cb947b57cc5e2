"""What a rule matches: services and sources, each with both bounds.

Sources: antrea: docs/antrea-network-policy.md, pkg/agent/openflow/network_policy.go (services as flows, ICMP of both
families), pkg/controller/networkpolicy/group.go; for nodes pkg/agent/controller/networkpolicy/node_reconciler_linux.go
and pkg/agent/util/iptables. Addresses are compared as they are, whoever has them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

from ipt2np.cni.kinds.antrea.bounds import Bounds, Truth, any_of
from ipt2np.cni.kinds.antrea.subjects import Groups
from ipt2np.cni.kinds.networkpolicy import PROTOCOLS
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import Range, merged

CLASSES = ("external", "pod", "node")
"""Who may have sent a packet."""

BySource = Mapping[str, Bounds]
"""Bounds for each class of sources."""

_ICMP: Mapping[int, int] = {4: 1, 6: 58}
_IGMP = 2
_NOBODY: Mapping[str, Truth] = dict.fromkeys(CLASSES, False)
_ANYBODY: Mapping[str, Truth] = dict.fromkeys(CLASSES, None)
_SOME_PODS: Mapping[str, Truth] = {"external": False, "pod": None, "node": None}
"""Pods of the host network have a node's address, so that a node may match as well."""
_ALL_PODS: Mapping[str, Truth] = {"external": False, "pod": True, "node": None}


@dataclass(frozen=True, slots=True)
class Sources:
    """Addresses that match, others that may, by family; and what is known of each class as a whole."""

    must: Mapping[int, tuple[Range, ...]] = field(default_factory=dict)
    may: Mapping[int, tuple[Range, ...]] = field(default_factory=dict)
    classes: Mapping[str, Truth] = field(default_factory=lambda: _NOBODY)

    @classmethod
    def union(cls, parts: Iterable[Sources]) -> Sources:
        """What any of the parts matches."""
        must: dict[int, list[Range]] = {4: [], 6: []}
        may: dict[int, list[Range]] = {4: [], 6: []}
        classes = dict(_NOBODY)
        for part in parts:
            for family in must:
                must[family] += part.must.get(family, ())
                may[family] += part.may.get(family, ())
            classes = {name: any_of((classes[name], part.classes[name])) for name in CLASSES}
        return cls(
            {family: merged(ranges) for family, ranges in must.items()},
            {family: merged(ranges) for family, ranges in may.items()},
            classes,
        )

    def bounds(self, space: PacketSpace) -> BySource:
        """The packets that come from there, by class."""
        addresses = Bounds(_packets(space, self.must), _packets(space, self.may))
        return {name: addresses | Bounds.of(self.classes[name], space.everything) for name in CLASSES}


def _packets(space: PacketSpace, ranges: Mapping[int, tuple[Range, ...]]) -> PacketSet:
    result = space.nothing
    for family, each in ranges.items():
        if each:
            result |= space.addresses(Field.SOURCE, AddressSet(family, each))
    return result


def _block(block: Mapping[str, Any], *, in_group: bool) -> Sources:
    network = ipaddress.ip_network(block["cidr"])
    whole: Range = (int(network.network_address), int(network.broadcast_address))
    kept: tuple[Range, ...] = (whole,)
    if block.get("except"):
        kept = (AddressSet(network.version, kept) - AddressSet.cidrs(*block["except"])).ranges
    # Whether a group keeps its excepts when they change is not documented.
    possible = (whole,) if in_group else kept
    return Sources({network.version: kept}, {network.version: possible})


def _is_specific(selector: Mapping[str, Any] | None) -> bool:
    return selector is not None and bool(selector.get("matchLabels") or selector.get("matchExpressions"))


def _workloads(fields: Mapping[str, Any], own: str | None) -> Sources:
    """Selectors of a peer or a group: which addresses they stand for nobody can tell, unless they select all."""
    said = {key for key, value in fields.items() if value is not None} - {"scope"}
    if not said or "externalEntitySelector" in said:
        return Sources(classes=_ANYBODY)
    if "nodeSelector" in said:
        every = not _is_specific(fields["nodeSelector"])
        return Sources(classes={"external": False, "pod": False, "node": True if every else None})
    every = (
        said <= {"podSelector", "namespaceSelector"}
        and not _is_specific(fields.get("podSelector"))
        and not _is_specific(fields.get("namespaceSelector"))
        and (own is None or "namespaceSelector" in said)
    )
    return Sources(classes=_ALL_PODS if every else _SOME_PODS)


class Peers:
    """Resolves the peers of rules. A group is resolved once, and rules that name it share its packets."""

    def __init__(self, groups: Groups, space: PacketSpace) -> None:
        self._groups = groups
        self._space = space
        self._found: dict[tuple[str | None, str], BySource] = {}

    def bounds(self, peers: Sequence[Mapping[str, Any]], own: str | None) -> BySource:
        """What comes from the peers of a rule; ``own`` is the namespace of its policy."""
        in_cluster = [peer for peer in peers if peer.get("scope") != "ClusterSet"]
        plain = [_peer(peer, own) for peer in in_cluster if not peer.get("group")]
        if len(in_cluster) < len(peers):
            plain.append(Sources(classes=_ANYBODY))
        names = dict.fromkeys(peer["group"] for peer in in_cluster if peer.get("group"))
        return _joined(
            [Sources.union(plain).bounds(self._space), *(self._group((own, name)) for name in names)]
        )

    def _group(self, key: tuple[str | None, str]) -> BySource:
        if key not in self._found:
            self._found[key] = self._resolve(key)
        return self._found[key]

    def _resolve(self, key: tuple[str | None, str]) -> BySource:
        group = self._groups.get(key)
        if group is None:
            return Sources(classes=_ANYBODY).bounds(self._space)
        spec = group["spec"]
        if spec.get("childGroups"):
            return _joined([self._group((key[0], child)) for child in dict.fromkeys(spec["childGroups"])])
        if spec.get("ipBlocks") is not None:
            found = Sources.union(_block(block, in_group=True) for block in spec["ipBlocks"])
        else:
            found = _workloads(spec, key[0])
        return found.bounds(self._space)


def _peer(peer: Mapping[str, Any], own: str | None) -> Sources:
    return _block(peer["ipBlock"], in_group=False) if peer.get("ipBlock") else _workloads(peer, own)


def _joined(parts: Sequence[BySource]) -> BySource:
    return {name: reduce(or_, (part[name] for part in parts)) for name in CLASSES}


def services(rule: Mapping[str, Any], space: PacketSpace, *, on_node: bool) -> Bounds:
    """What the ports and protocols of a rule match; every packet where it has neither."""
    ports, protocols = rule.get("ports") or [], rule.get("protocols") or []
    if not ports and not protocols:
        return Bounds.exactly(space.everything)
    # Entries that differ in the port only become one set of ports.
    numbered: dict[tuple[int, Range | None], list[Range]] = {}
    named = space.nothing
    for entry in ports:
        protocol = PROTOCOLS[entry.get("protocol") or "TCP"]
        source = _range(entry, "sourcePort", "sourceEndPort")
        if isinstance(entry.get("port"), str):
            # The number belongs to a container of the pod.
            named |= _ports(space, protocol, source, ())
        else:
            destination = _range(entry, "port", "endPort")
            numbered.setdefault((protocol, source), []).append(destination or (0, 0xFFFF))
    found = space.nothing
    for (protocol, source), destinations in numbered.items():
        found |= _ports(space, protocol, source, merged(destinations))
    result = Bounds(found, found | named)
    for entry in protocols:
        result |= _protocol(entry, space, on_node=on_node)
    return result


def _range(entry: Mapping[str, Any], first: str, last: str) -> Range | None:
    low, high = entry.get(first), entry.get(last)
    return None if low is None else (low, low if high is None else high)


def _ports(
    space: PacketSpace, protocol: int, source: Range | None, destinations: tuple[Range, ...]
) -> PacketSet:
    packets = space.value(Field.PROTOCOL, protocol)
    if destinations:
        packets &= space.values(Field.DESTINATION_PORT, destinations)
    if source is not None:
        packets &= space.values(Field.SOURCE_PORT, (source,))
    return packets


def _protocol(entry: Mapping[str, Any], space: PacketSpace, *, on_node: bool) -> Bounds:
    if "igmp" in entry:
        # Flows match IGMP sent to a group, which no pod or node is; what iptables rules make of it is not documented.
        return Bounds(space.nothing, space.everything if on_node else space.value(Field.PROTOCOL, _IGMP))
    kind, code = entry["icmp"].get("icmpType"), entry["icmp"].get("icmpCode")
    exact = possible = space.nothing
    for family, protocol in _ICMP.items():
        every = space.family(family) & space.value(Field.PROTOCOL, protocol)
        packets = every
        if kind is not None:
            packets &= space.value(Field.ICMP_TYPE, kind)
        if code is not None:
            packets &= space.value(Field.ICMP_CODE, code)
        # iptables has no code without a type, and its type 255 of ICMPv4 is any type.
        loose = on_node and ((kind is None and code is not None) or (kind == 255 and family == 4))
        exact |= packets
        possible |= every if loose else packets
    return Bounds(exact, possible)
