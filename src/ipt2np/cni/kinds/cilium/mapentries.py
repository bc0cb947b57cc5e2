"""How many entries the policies need in the map of an endpoint, which has room for so many and no more.

An entry is an identity and a prefix of ports of a protocol. Every CIDR that a policy names, exceptions too, is an
identity of its own, and a rule on a CIDR has entries for all identities inside it.
Sources: cilium: Documentation/network/ebpf/maps.rst, pkg/option/config.go (bpf-policy-map-max), pkg/policy/mapstate.go;
layer3.rst on CIDR identities.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network

from ipt2np.cni.base import Identity, Object
from ipt2np.cni.kinds.cilium.peers import CLASSES, Block, Extent, Peers, bounds
from ipt2np.cni.kinds.cilium.policies import CidrGroup
from ipt2np.cni.kinds.cilium.selection import Options, Selected, host_policies, pod_policies, referenced
from ipt2np.cni.kinds.cilium.services import ALL_PORTS, ICMP_NUMBERS, Services
from ipt2np.packets.intervals import PORT_BITS, Range, merged, prefixes

DEFAULT_MAP_SIZE = 16_384
"""Entries of an endpoint's policy map (``bpf-policy-map-max``)."""

Key = tuple[int, int, int]
"""Protocol, and first port and length of a prefix of ports; protocol 0 is every protocol."""

_INSIDE = ("pod", "node")
_ANYBODY = -1
"""In front of the identities of CIDRs: the identity that stands for all."""


class _Identities:
    """The identities of CIDRs, in the order of their addresses: those inside a CIDR stand side by side."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        found = {(4, 0, 0), (6, 0, 0)}
        for block in blocks:
            found |= {_place(network) for network in (block.network, *block.excepts)}
        self._places = sorted(found)

    def within(self, network: IPv4Network | IPv6Network) -> Range:
        """The numbers of the identities inside ``network``, which is one of them."""
        last = (network.version, bounds(network)[1], network.max_prefixlen)
        return bisect_left(self._places, _place(network)), bisect_right(self._places, last) - 1

    def of(self, block: Block) -> list[Range]:
        """The numbers of the identities inside ``block`` and outside its exceptions."""
        low, high = self.within(block.network)
        found = []
        for hole in merged(self.within(network) for network in block.excepts):
            found.append((low, hole[0] - 1))
            low = hole[1] + 1
        return [(a, b) for a, b in (*found, (low, high)) if a <= b]

    @property
    def all(self) -> Range:
        """The numbers of all identities."""
        return 0, len(self._places) - 1


def _place(network: IPv4Network | IPv6Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _keys(services: Services, *, end_port: bool, native: bool) -> set[Key]:
    if services.everything:
        return {(0, 0, 0)}
    found = {(ICMP_NUMBERS[version], kind, PORT_BITS) for version, kind in services.icmp}
    for entry in services.ports:
        low, high = entry.ports
        if not end_port and not native and entry.ports != ALL_PORTS:
            high = low
        parts = list(prefixes(low, high, PORT_BITS))
        found |= {(protocol, *part) for protocol in entry.protocols for part in parts}
    return found


def _identities(
    peers: Peers, identities: _Identities, groups: Mapping[str, CidrGroup], members: Mapping[str, list[Range]]
) -> list[Range]:
    """Numbers of the identities that the peers select; pods and nodes, of unknown number, count as one each."""
    extents = peers.extents
    if all(extents.of(name) is Extent.ALL for name in CLASSES):
        return [(_ANYBODY, _ANYBODY)]
    found = [identities.all] if extents.external else []
    end = identities.all[1]
    found += [(end + i, end + i) for i, name in enumerate(_INSIDE, start=1) if extents.of(name)]
    for block in peers.blocks:
        found += identities.of(block)
    for reference in peers.groups:
        for group in referenced(reference, groups):
            found += members[group.name]
    return found


def _entries(selected: list[Selected], groups: Mapping[str, CidrGroup], options: Options) -> int:
    rules = [(one, rule) for one in selected for rule in (*one.policy.allow, *one.policy.deny)]
    blocks = [block for _, rule in rules for block in rule.peers.blocks]
    identities = _Identities([*blocks, *(block for group in groups.values() for block in group.blocks)])
    members = {
        name: list(merged(part for block in group.blocks for part in identities.of(block)))
        for name, group in groups.items()
    }
    by_peers: dict[Peers, tuple[Range, ...]] = {}
    chosen = []
    users: dict[Key, list[int]] = {}
    for number, (one, rule) in enumerate(rules):
        if rule.peers not in by_peers:
            by_peers[rule.peers] = merged(_identities(rule.peers, identities, groups, members))
        chosen.append(by_peers[rule.peers])
        for key in _keys(rule.services, end_port=options.end_port, native=one.policy.native):
            users.setdefault(key, []).append(number)
    # Keys of the same rules have the same identities, so these are counted once for all of them.
    alike: dict[tuple[int, ...], int] = {}
    for found in users.values():
        alike[tuple(found)] = alike.get(tuple(found), 0) + 1
    total = 0
    for numbers, keys in alike.items():
        ranges = chosen[numbers[0]] if len(numbers) == 1 else merged(r for n in numbers for r in chosen[n])
        total += keys * sum(high - low + 1 for low, high in ranges)
    return total


def map_entries(objects: list[Object], identity: Identity, options: Options) -> int:
    """How many entries the policies need in the policy map of a pod of ``identity``: an estimate.

    It leaves out what is not told: CIDRs of other pods' policies, and how many identities pods and nodes have.
    PolicyFault as for ``read``.
    """
    return _entries(*pod_policies(objects, identity, options), options)


def host_map_entries(objects: list[Object], node_labels: Mapping[str, str], options: Options) -> int:
    """The same for the policy map of a node with these labels, under the host firewall."""
    return _entries(*host_policies(objects, node_labels, options), options)
