"""A rule of a Calico policy as the packets that it matches, and what selectors select.

Addresses are compared as they are, whoever owns them. What hangs on something that no manifest says is matched
possibly: the addresses of other pods, of services, the number of a named port, the labels of other namespaces.

Sources: calico: felix/rules/policy.go (matches), libcalico-go/lib/backend/syncersv1/updateprocessors/rules.go (how the
selectors of a rule make one), libcalico-go/lib/backend/k8s/conversion/ (labels of namespaces and service accounts).
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ipt2np.cni.base import Object
from ipt2np.cni.kinds.calico_selectors import (
    All,
    Labels,
    LabelTest,
    Not,
    Selector,
    Truth,
    conjunction,
    holds,
    parse,
    rewritten,
)
from ipt2np.cni.kinds.calico_validation import ICMP_FAMILY, PORT_PROTOCOLS, port_range, protocol_number
from ipt2np.cni.kinds.calico_verdict import Match, Step, exactly, possibly
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import ADDRESS_BITS, Range, merged

NAMESPACE = "projectcalico.org/namespace"
ORCHESTRATOR = "projectcalico.org/orchestrator"
SERVICE_ACCOUNT = "projectcalico.org/serviceaccount"
DEFAULT_ALLOW = "projectcalico-default-allow"
"""The profile that allows what no policy decides; it gives no labels."""
NAMESPACE_PREFIX, ACCOUNT_PREFIX = "pcns.", "pcsa."
"""What stands before the labels that a pod has from its namespace and from its service account."""

_ANY_NAMESPACE = LabelTest(NAMESPACE, "has")
_INHERITED = (NAMESPACE_PREFIX, ACCOUNT_PREFIX)

SOURCE_CLASSES = ("external", "pod", "node")
_STRANGERS: Mapping[str, Labels | None] = {
    "external": None,
    "pod": Labels(
        {ORCHESTRATOR: "k8s"},
        present=frozenset(
            {
                NAMESPACE,
                SERVICE_ACCOUNT,
                NAMESPACE_PREFIX + "projectcalico.org/name",
                ACCOUNT_PREFIX + "projectcalico.org/name",
            }
        ),
        open=("",),
    ),
    "node": Labels({}, absent=frozenset({NAMESPACE, ORCHESTRATOR, SERVICE_ACCOUNT}), open=("",)),
}
"""What is known of the labels of any endpoint of a class: of a pod, of a host endpoint."""


def namespace_labels(namespace: str) -> dict[str, str]:
    """The labels that every endpoint and network set of ``namespace`` is known to have from it."""
    return {
        NAMESPACE: namespace,
        NAMESPACE_PREFIX + "projectcalico.org/name": namespace,
        NAMESPACE_PREFIX + "kubernetes.io/metadata.name": namespace,
    }


def pod_labels(namespace: str, labels: Mapping[str, str]) -> Labels:
    """The labels of a pod as selectors see them: its own, and those it inherits."""
    inherited = {**namespace_labels(namespace), ORCHESTRATOR: "k8s"}
    present = frozenset({SERVICE_ACCOUNT, ACCOUNT_PREFIX + "projectcalico.org/name"})
    return Labels({**labels, **inherited}, present=present, open=_INHERITED)


def host_endpoint_labels(item: Object) -> Labels:
    """The labels of a valid HostEndpoint: its own, and those that a profile may give it (spec.labelsToApply)."""
    labels = dict(item["metadata"].get("labels") or {})
    if set(item["spec"].get("profiles") or ()) <= {DEFAULT_ALLOW}:
        return Labels(labels)
    return Labels(labels, absent=frozenset({NAMESPACE, ORCHESTRATOR}), open=("",))


@dataclass(frozen=True)
class Members:
    """Addresses that selectors find by labels: a network set, or a host endpoint with expected addresses."""

    labels: Labels
    addresses: tuple[AddressSet, ...]


def members(objects: Iterable[Object]) -> tuple[Members, ...]:
    """The network sets and host endpoints among valid ``objects``."""
    found = []
    for item in objects:
        if item.get("kind") not in ("NetworkSet", "GlobalNetworkSet", "HostEndpoint"):
            continue
        meta, spec = item["metadata"], item["spec"]
        known = host_endpoint_labels(item)
        if item["kind"] == "NetworkSet":
            inherited = namespace_labels(meta.get("namespace", "default"))
            known = Labels({**known.known, **inherited}, open=(NAMESPACE_PREFIX,))
        texts = spec.get("nets") or spec.get("expectedIPs") or []
        found.append(Members(known, addresses_of(texts)))
    return tuple(found)


def addresses_of(texts: Iterable[str]) -> tuple[AddressSet, ...]:
    """The union of CIDRs and addresses, one set for each family that occurs."""
    ranges: dict[int, list[Range]] = {}
    for text in texts:
        network = ipaddress.ip_network(text)
        size = (1 << ADDRESS_BITS[network.version] - network.prefixlen) - 1
        first = int(network.network_address)
        ranges.setdefault(network.version, []).append((first, first + size))
    return tuple(AddressSet.of(family, found) for family, found in sorted(ranges.items()))


def _packets(space: PacketSpace, field: Field, addresses: Iterable[AddressSet]) -> PacketSet:
    ranges: dict[int, list[Range]] = {}
    for found in addresses:
        ranges.setdefault(found.family, []).extend(found.ranges)
    result = space.nothing
    for family, all_ranges in ranges.items():
        result |= space.addresses(field, AddressSet.of(family, all_ranges))
    return result


def entity_selector(entity: Mapping[str, Any], namespace: str) -> Selector | None:
    """The one selector that ``selector``, ``namespaceSelector`` and ``serviceAccounts`` of a rule make, text or parsed.

    None where the entity has none of them. In a policy of a ``namespace`` it is limited to that namespace, or to the
    selected ones, as soon as any selector is there, ``notSelector`` included.
    """
    parts: list[Selector] = []
    accounts = entity.get("serviceAccounts") or {}
    if accounts.get("selector"):
        parts.append(rewritten(_expression(accounts["selector"]), ACCOUNT_PREFIX, All(), All()))
    if accounts.get("names"):
        parts.append(LabelTest(SERVICE_ACCOUNT, "in", tuple(accounts["names"])))
    if entity.get("selector"):
        parts.append(_expression(entity["selector"]))
    if entity.get("namespaceSelector"):
        chosen = _expression(entity["namespaceSelector"])
        parts.insert(0, rewritten(chosen, NAMESPACE_PREFIX, _ANY_NAMESPACE, Not(_ANY_NAMESPACE)))
    elif namespace and (parts or entity.get("notSelector")):
        parts.insert(0, LabelTest(NAMESPACE, "==", (namespace,)))
    return conjunction(*parts) if parts else None


def _expression(selector: str | Selector) -> Selector:
    return parse(selector) if isinstance(selector, str) else selector


def policy_selector(spec: Mapping[str, Any]) -> Selector:
    """The one selector that says to which endpoints a policy applies (its namespace apart)."""
    selector = parse(spec.get("selector") or "")
    for field, prefix, every in (
        ("namespaceSelector", NAMESPACE_PREFIX, NAMESPACE),
        ("serviceAccountSelector", ACCOUNT_PREFIX, SERVICE_ACCOUNT),
    ):
        if spec.get(field):
            inherited = rewritten(parse(spec[field]), prefix, All(), All())
            both = conjunction(selector, inherited) if spec.get("selector") else inherited
            # Calico replaces every all() of the whole, also that of the endpoint's selector.
            selector = rewritten(both, "", LabelTest(every, "has"), All())
    return selector


@dataclass(frozen=True)
class Scene:
    """What the rules are read for: the class of sources, the addresses that labels find, the endpoint itself."""

    space: PacketSpace
    source_class: str
    members: tuple[Members, ...]
    endpoint: Labels
    destinations: bool
    """True where the packet's destination is compared; a pod's own address is not known."""
    _found: dict[Selector, Match] = dataclasses.field(default_factory=dict, repr=False)
    """What selectors select, kept since many rules have the same."""

    def selected(self, selector: Selector) -> Match:
        """The packets whose source is selected."""
        found = self._found.get(selector)
        if found is None:
            found = self._found[selector] = self._source(selector)
        return found

    def _source(self, selector: Selector) -> Match:
        strangers = _STRANGERS[self.source_class]
        stranger: Truth = False if strangers is None else holds(selector, strangers)
        if stranger and self.source_class == "node":
            # Not every node has a host endpoint, and one without expected addresses selects nothing.
            stranger = None
        return self._selected(Field.SOURCE, selector, stranger)

    def _selected(self, field: Field, selector: Selector, owner: Truth) -> Match:
        must: list[AddressSet] = []
        may: list[AddressSet] = []
        for group in self.members:
            found = holds(selector, group.labels)
            if found is not False:
                may.extend(group.addresses)
            if found is True:
                must.extend(group.addresses)
        everything = self.space.everything
        certain = everything if owner is True else _packets(self.space, field, must)
        if owner is False and len(must) == len(may):
            return exactly(certain)
        possible = _packets(self.space, field, may) if owner is False else everything
        return Match(certain, certain if owner is True else possible)

    def step(self, rule: Mapping[str, Any], namespace: str) -> Step:
        """What a valid ingress rule of a policy of ``namespace`` ("" for a global one) does."""
        match = self._header(rule)
        source, destination = rule.get("source") or {}, rule.get("destination") or {}
        protocol = rule.get("protocol")
        number = None if protocol is None else protocol_number(protocol)
        match &= self._nets(Field.SOURCE, source) & self._ports(Field.SOURCE_PORT, source, number)
        match &= self._ports(Field.DESTINATION_PORT, destination, number)
        chosen = entity_selector(source, namespace)
        if chosen is not None:
            match &= self.selected(chosen)
        if source.get("notSelector"):
            match &= ~self.selected(_expression(source["notSelector"]))
        match &= self._destination(destination, namespace)
        if source.get("services") or rule.get("http"):
            match = possibly(match)
        return Step(rule["action"], match)

    def _header(self, rule: Mapping[str, Any]) -> Match:
        """Family, protocol and ICMP fields."""
        space = self.space
        packets = space.everything
        for family in families_of(rule):
            packets &= space.family(family)
        if rule.get("protocol") is not None:
            packets &= space.value(Field.PROTOCOL, protocol_number(rule["protocol"]))
        if rule.get("notProtocol") is not None:
            packets -= space.value(Field.PROTOCOL, protocol_number(rule["notProtocol"]))
        chosen, unwanted = self._icmp(rule.get("icmp")), self._icmp(rule.get("notICMP"))
        if chosen is None and unwanted is None:
            return exactly(packets)
        packets = (packets if chosen is None else packets & chosen) - (unwanted or space.nothing)
        # In the other family the kernel has no such match, and nobody says what becomes of the rule there.
        family = ICMP_FAMILY[protocol_number(rule["protocol"])]
        own = packets & space.family(family)
        return exactly(packets) if packets <= own else Match(own, packets)

    def _icmp(self, icmp: Mapping[str, Any] | None) -> PacketSet | None:
        if icmp is None or icmp.get("type") is None:
            return None
        packets = self.space.value(Field.ICMP_TYPE, icmp["type"])
        if icmp.get("code") is not None:
            packets &= self.space.value(Field.ICMP_CODE, icmp["code"])
        return packets

    def _nets(self, field: Field, entity: Mapping[str, Any]) -> Match:
        packets = self.space.everything
        if entity.get("nets"):
            packets = _packets(self.space, field, addresses_of(entity["nets"]))
        if entity.get("notNets"):
            packets -= _packets(self.space, field, addresses_of(entity["notNets"]))
        return exactly(packets)

    def _ports(self, field: Field, entity: Mapping[str, Any], protocol: int | None) -> Match:
        match = exactly(self.space.everything)
        if entity.get("ports"):
            match &= self._listed(field, entity["ports"], protocol)
        if entity.get("notPorts"):
            match &= ~self._listed(field, entity["notPorts"], protocol)
        return match

    def _listed(self, field: Field, ports: Sequence[Any], protocol: int | None) -> Match:
        ranges = [port_range(port) for port in ports]
        numbers = self.space.values(field, merged(found for found in ranges if found is not None))
        if None not in ranges:
            return exactly(numbers)
        # A name stands for the port that each endpoint gives it.
        named = {protocol} if protocol is not None else PORT_PROTOCOLS
        return Match(
            numbers, self.space.values(Field.PROTOCOL, tuple((number, number) for number in sorted(named)))
        )

    def _destination(self, entity: Mapping[str, Any], namespace: str) -> Match:
        match = exactly(self.space.everything)
        chosen = entity_selector(entity, namespace)
        if chosen is not None:
            match &= self._is_destination(chosen)
        if entity.get("notSelector"):
            match &= ~self._is_destination(_expression(entity["notSelector"]))
        if entity.get("nets") or entity.get("notNets"):
            match &= self._nets(Field.DESTINATION, entity) if self.destinations else possibly(match)
        return match

    def _is_destination(self, selector: Selector) -> Match:
        """The packets whose destination is selected: the endpoint's own address, which no manifest says."""
        if self.destinations:
            return self._selected(Field.DESTINATION, selector, None)
        itself = holds(selector, self.endpoint)
        if itself is False and any(holds(selector, group.labels) is not False for group in self.members):
            itself = None
        everything, nothing = self.space.everything, self.space.nothing
        return Match(everything if itself else nothing, nothing if itself is False else everything)


def families_of(rule: Mapping[str, Any]) -> set[int]:
    """The families that a rule is limited to by ``ipVersion`` and its CIDRs; the empty set for both.

    A rule with CIDRs of one family, ``notNets`` included, is not rendered for the other (filterNets).
    """
    found = {rule["ipVersion"]} if rule.get("ipVersion") is not None else set()
    for side in ("source", "destination"):
        entity = rule.get(side) or {}
        for name in ("nets", "notNets"):
            found |= {6 if ":" in net else 4 for net in entity.get(name) or []}
    return found


def tells_sources_apart(rule: Mapping[str, Any]) -> bool:
    """True where a rule may match one class of sources and not another."""
    source = rule.get("source") or {}
    return any(
        source.get(name) for name in ("selector", "notSelector", "namespaceSelector", "serviceAccounts")
    )
