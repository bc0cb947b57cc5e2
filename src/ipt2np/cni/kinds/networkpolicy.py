"""``networking.k8s.io/v1`` NetworkPolicy: what the API server takes, and what the API says it means.

Sources: k8s.io/api/networking/v1/types.go; pkg/apis/networking/validation/validation.go;
https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ipt2np.cni.base import Identity, Object, Reading
from ipt2np.cni.manifests import fields_of, list_of, metadata, network_of, require, selected, selector_of
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace

API_VERSION, KIND = "networking.k8s.io/v1", "NetworkPolicy"
PROTOCOLS: Mapping[str, int] = {"TCP": 6, "UDP": 17, "SCTP": 132}


def _ports(rule: Mapping[str, Any], where: str) -> Iterator[tuple[int, tuple[int, int]]]:
    """Protocol number and port range of each entry; named ports are refused, since the packet has none."""
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
        yield PROTOCOLS[protocol], (0, 0xFFFF) if number is None else (number, number if end is None else end)


def _peers(rule: Mapping[str, Any], where: str) -> Iterator[tuple[str, list[str]] | None]:
    """CIDR and excepts of each ipBlock peer; None for a peer made of selectors."""
    for index, entry in enumerate(list_of(rule.get("from"), f"{where}.from")):
        at = f"{where}.from[{index}]"
        peer = fields_of(entry, at, {"ipBlock", "podSelector", "namespaceSelector"})
        require(bool(peer), f"{at} is empty")
        if "ipBlock" not in peer:
            for name, selector in peer.items():
                selector_of(selector, f"{at}.{name}")
            yield None
            continue
        require(len(peer) == 1, f"{at}: ipBlock stands alone in a peer")
        block = fields_of(peer["ipBlock"], f"{at}.ipBlock", {"cidr", "except"})
        network = network_of(block.get("cidr"), f"{at}.ipBlock.cidr")
        excepts = list_of(block.get("except"), f"{at}.ipBlock.except")
        for text in excepts:
            inner = network_of(text, f"{at}.ipBlock.except")
            require(
                inner.version == network.version
                and inner.prefixlen > network.prefixlen
                and inner.subnet_of(network),  # type: ignore[arg-type]
                f"{at}.ipBlock: except {text} is not strictly inside {network}",
            )
        yield str(network), [str(text) for text in excepts]


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
    for index, rule in enumerate(list_of(spec.get("ingress"), "spec.ingress")):
        where = f"spec.ingress[{index}]"
        fields = fields_of(rule, where, {"from", "ports"})
        list(_ports(fields, where))
        list(_peers(fields, where))


VALIDATORS: Mapping[tuple[str, str], Callable[[Object], None]] = {(API_VERSION, KIND): validate}


def selects(policy: Object, identity: Identity) -> bool:
    """True where the policy selects the pods of ``identity`` and isolates their ingress."""
    spec = policy["spec"]
    if policy["metadata"].get("namespace", "default") != identity.namespace:
        return False
    if "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
        return False
    return selected(spec.get("podSelector") or {}, identity.pod_labels)


def _block_packets(space: PacketSpace, cidr: str, excepts: list[str]) -> PacketSet:
    addresses = AddressSet.cidrs(cidr)
    if excepts:
        addresses -= AddressSet.cidrs(*excepts)
    return space.addresses(Field.SOURCE, addresses)


def read(policies: list[Object], identity: Identity, space: PacketSpace) -> Mapping[str, Reading]:
    """What the policies together let through to the pods, by source class, as the API defines it.

    External sources match ipBlock peers and rules without peers. Whether a pod's or node's address matches an
    ipBlock, and what rules mean for protocols other than TCP, UDP and SCTP, the API leaves open.
    """
    isolating = [policy for policy in policies if selects(policy, identity)]
    named = space.nothing
    for number in PROTOCOLS.values():
        named |= space.value(Field.PROTOCOL, number)
    external, anywhere, by_address = space.nothing, space.nothing, space.nothing
    if not isolating:
        external = anywhere = space.everything
    for policy in isolating:
        for index, rule in enumerate(policy["spec"].get("ingress") or []):
            where = f"spec.ingress[{index}]"
            services = space.nothing
            for protocol, ports in _ports(rule, where):
                services |= space.value(Field.PROTOCOL, protocol) & space.values(
                    Field.DESTINATION_PORT, (ports,)
                )
            if not rule.get("ports"):
                services = space.everything
            if not rule.get("from"):
                external |= services
                anywhere |= services
                continue
            for peer in _peers(rule, where):
                if peer is None:
                    by_address |= services
                    continue
                external |= services & _block_packets(space, *peer)
                by_address |= services & _block_packets(space, *peer)
    inside = Reading(anywhere, ~named | (by_address - anywhere))
    return {"external": Reading(external, ~named), "pod": inside, "node": inside}
