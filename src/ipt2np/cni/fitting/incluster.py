"""Sources inside the cluster, for targets that match them by identity and not by address.

Such a target compares CIDRs with external sources only; all pods (or all nodes) are one peer, which says nothing of
addresses. So they are admitted together or not at all.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from ipt2np.cni.base import Cluster
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import ADDRESS_BITS

Sources = Mapping[int, tuple[PacketSet, PacketSet]]

PRIVATE = {
    4: ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
    6: ("fc00::/7",),
}
"""Where clusters take their addresses from where nobody says otherwise (RFC 1918, RFC 6598, RFC 4193)."""


@dataclass(frozen=True)
class InCluster:
    """The addresses of one class of sources inside the cluster, as far as they were declared."""

    space: PacketSpace
    cidrs: tuple[str, ...]

    def declared(self, family: int) -> PacketSet:
        """The sources of a family that are of the class, the family itself not tested."""
        chosen = [text for text in self.cidrs if ipaddress.ip_network(text).version == family]
        if not chosen:
            return self.space.nothing
        return self.space.of_family(self.space.addresses(Field.SOURCE, AddressSet.cidrs(*chosen)), family)

    def admitted(self, sources: Sources) -> bool:
        """True where a rule for ``sources`` is to admit the whole class.

        Declared: all its addresses are allowed, and something is wanted of them. Not declared: the rule admits most of
        the address space and does not refuse any whole private network, so that its exceptions are bans.
        """
        if self.cidrs:
            inside = {family: self.declared(family) for family in sources}
            spoken = [family for family, some in inside.items() if some]
            allowed = all(inside[family] <= sources[family][1] for family in spoken)
            return bool(spoken) and allowed and any(sources[f][0].meets(inside[f]) for f in spoken)
        return any(wanted for wanted, _ in sources.values()) and all(
            self._all_but_bans(allowed, family) for family, (_, allowed) in sources.items()
        )

    def _all_but_bans(self, allowed: PacketSet, family: int) -> bool:
        addresses = self.space.source_addresses(allowed, family)
        count = sum(high - low + 1 for low, high in addresses.ranges)
        if 2 * count < 1 << ADDRESS_BITS[family]:
            return False
        return all(
            allowed.meets(
                self.space.of_family(self.space.addresses(Field.SOURCE, AddressSet.cidrs(text)), family)
            )
            for text in PRIVATE[family]
        )


def external(
    sources: Sources, cluster: Cluster, space: PacketSpace
) -> dict[int, tuple[PacketSet, PacketSet]]:
    """The sources that CIDRs are to name: addresses inside the cluster may be named or not, they match nobody."""
    result = {}
    for family, (wanted, allowed) in sources.items():
        inside = InCluster(space, (*cluster.pod_cidrs, *cluster.node_cidrs)).declared(family)
        result[family] = (wanted - inside, allowed | inside)
    return result
