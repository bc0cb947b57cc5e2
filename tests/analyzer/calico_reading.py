"""What network-config-analyzer (``nca``, see ``reading``) makes of Calico's policies and network sets.

``read`` puts one pod beside the objects and asks nca which packets from outside the cluster reach it. Written against,
and checked with, network-config-analyzer 2.1.0.

How nca represents an answer: as in ``reading``, with three more dimensions: source ports (1-65535), ICMP type (0-254)
and ICMP code. A dimension that a protocol does not have is full in its cubes; ``read`` refuses a cube for which that
does not hold. A network set is a peer like an address block, with its own addresses.

What nca does not know or does otherwise, each seen in its code, and what follows for those who call ``read``:

* Tiers: ``tier`` is an unknown field to it. All policies are in one tier; what they pass on is allowed, as by the
  profile of a pod's namespace.
* ``ipVersion`` is accepted and not looked at (CalicoPolicyYamlParser._parse_xgress_rule): it may be written only beside
  CIDRs of that family.
* ``notNets`` without ``nets`` leaves all of the other family as well, which Felix leaves out
  (felix/rules/policy.go filterNets): ``notNets`` may be written only beside ``nets``.
* ``icmp`` and ``notICMP`` of type 0 or code 0 are taken for absent (``if icmp_type:`` in _parse_icmp), and a ``notICMP``
  wider than the rule's ``icmp`` "has no effect".
* ``protocol`` with ``notProtocol`` matches nothing, even where the two are different.
* ICMP of the other family is not told apart: ``ICMP`` is protocol 1 of both. The comparison leaves out protocol 1 of
  IPv6 and 58 of IPv4, which nobody sends.
* A selector beside ``nets`` or ``notNets`` "is likely a mistake" and selects nothing.
* What selectors find is put together address by address, not set by set: with two sets that share an address, one of
  which a selector excludes, the other loses it too (PeerSet in CoreDS/Peer.py). Sets must not overlap.
* In a policy of a namespace, ``notSelector`` alone does not limit the sources to the namespace, as Calico does.
* Policies of one order stay in the order in which they are read; examples have no two.
* ``types`` must not lack Ingress where there are ingress rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .reading import UnreadableError, listening, parts, ranges

_PORT_PROTOCOLS = frozenset({6, 17, 132})
_ICMP_PROTOCOLS = frozenset({1, 58})
_ALL_PORTS = ((1, 65535),)
_ALL_TYPES, _ALL_CODES = ((0, 254),), ((0, 255),)

_HARMLESS = re.compile(
    "|".join(
        (
            r"types is missing/empty in the spec of",  # Calico's default applies, in nca as well
            r"policyTypes is missing/empty in the spec of",
            r"selects no endpoints",  # a selector that finds no network set
            r"Rule selects no (source|destination) endpoints",
            r"selects all endpoints",
            r"selector has no effect",
            r"notICMP has no effect",  # of another type than the rule's icmp
        )
    )
)

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Box:
    """One box of what is let through to the pod from outside the cluster; ranges are inclusive and ascending."""

    family: int
    sources: Ranges
    protocol: int
    source_ports: Ranges
    ports: Ranges
    icmp_types: Ranges
    icmp_codes: Ranges


def read(objects: Iterable[Mapping[str, Any]], *, namespace: str, labels: Mapping[str, str]) -> list[Box]:
    """What nca lets through to a pod of these labels in this namespace.

    Raises ``UnreadableError`` if nca refuses an object or would judge only part of them.
    """
    objects = [dict(item) for item in objects]
    sets = [item for item in objects if item["kind"] in ("NetworkSet", "GlobalNetworkSet")]
    policies = [item for item in objects if item not in sets]
    with listening(_HARMLESS):
        nca = parts()
        nca.BasePeerSet.reset()
        namespaces = nca.NamespacesFinder()
        for name in sorted({namespace, *(item["metadata"].get("namespace", namespace) for item in sets)}):
            found = {"name": name, "labels": {"projectcalico.org/name": name}}
            namespaces.parse_yaml_code_for_ns({"kind": "Namespace", "metadata": found})
        pods = nca.PodsFinder()
        pods.namespaces_finder = namespaces
        metadata = {"name": "pod", "namespace": namespace, "labels": dict(labels)}
        pods.add_eps_from_yaml({"kind": "Pod", "metadata": metadata, "spec": {}})
        (pod,) = pods.peer_set
        for item in sets:
            pods.add_eps_from_yaml(item)
        peers = nca.PeerContainer(pods.peer_set, namespaces.namespaces, [], pods.representative_peers)
        finder = nca.PoliciesFinder()
        finder.set_peer_container(peers)
        for item in policies:
            finder.parse_yaml_code_for_policy(item, "policies")
        try:
            finder.parse_policies_in_parse_queue()
        except SyntaxError as error:
            raise UnreadableError(f"nca refuses the policies: {error.msg}") from error
        if (taken := len(finder.policies_container.policies)) != len(policies):
            raise UnreadableError(f"nca took up {taken} of {len(policies)} policies")
        config = nca.NetworkConfig("policies", peers, finder)
        only = nca.PolicyConnectionsFilter.only_all_allowed_connections()
        connections = config.allowed_connections(res_conns_filter=only).all_allowed_conns
        return [box for cube in connections for box in _boxes(connections.get_connectivity_cube(cube), pod)]


def _boxes(cube: Any, pod: Any) -> Iterator[Box]:
    """The part of one cube that leads from outside the cluster to the pod."""
    if pod not in cube["dst_peers"]:
        return
    ports, source_ports = ranges(cube["dst_ports"].port_set), ranges(cube["src_ports"].port_set)
    types, codes = (ranges(cube.get_dim_directly(name)) for name in ("icmp_type", "icmp_code"))
    for peer in cube["src_peers"]:
        if not isinstance(peer, parts().IpBlock):
            continue
        for family in (4, 6):
            sources = ranges(r for r in peer if r.start.address.version == family)
            for protocol in range(256) if sources else ():
                if protocol not in cube["protocols"]:
                    continue
                if protocol not in _PORT_PROTOCOLS and (ports, source_ports) != (_ALL_PORTS, _ALL_PORTS):
                    raise UnreadableError(f"nca gives ports to protocol {protocol}")
                if protocol not in _ICMP_PROTOCOLS and (types, codes) != (_ALL_TYPES, _ALL_CODES):
                    raise UnreadableError(f"nca gives ICMP fields to protocol {protocol}")
                yield Box(family, sources, protocol, source_ports, ports, types, codes)
