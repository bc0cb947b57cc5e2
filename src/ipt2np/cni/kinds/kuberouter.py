"""NetworkPolicy as kube-router reads it: all blocks of a rule in one set of networks.

An ``except`` becomes a ``nomatch`` member of the same set, so it hides addresses of the rule's other blocks too, wherever
it is the more specific member. This is the reading of the iptables backend, the default one.

Sources: kube-router, pkg/controllers/netpol/policy.go (evalIPBlockPeer), pkg/utils/ipset.go, pkg/utils/iptables.go;
``ipset(8)`` on hash:net and nomatch; net/netfilter/ipset/ip_set_hash_gen.h.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ipt2np.cni.base import Cluster, Identity, Object, Reading
from ipt2np.cni.kinds.dialects import Dialect, icmp_types
from ipt2np.cni.kinds.networkpolicy import IPBlock
from ipt2np.cni.kinds.prefixes import Prefix, longest_match
from ipt2np.cni.manifests import require
from ipt2np.packets import AddressSet, PacketSet, PacketSpace

MOST_MEMBERS = 65_536
"""An ipset takes no more where ``maxelem`` is not said."""

EVERYTHING: Mapping[Prefix, tuple[Prefix, ...]] = {
    Prefix(4, 0, 0): (Prefix(4, 0, 1), Prefix(4, 1 << 31, 1)),
    Prefix(6, 0, 0): (Prefix(6, 0x2 << 124, 3), Prefix(6, 0xFD << 120, 8)),
}
"""hash:net takes no /0. What kube-router puts in its place is less than everything for IPv6: 2000::/3 and fd00::/8."""


def one_set(blocks: Sequence[IPBlock], family: int) -> AddressSet:
    """The addresses that match a rule's set: the most specific member decides, of equal ones the one added last.

    PolicyFault where the set would be too large to load.
    """
    members: dict[Prefix, bool] = {}
    for block in blocks:
        if block.cidr.family == family:
            members |= dict.fromkeys(EVERYTHING.get(block.cidr, (block.cidr,)), True)
            members |= dict.fromkeys(block.excepts, False)
    require(
        len(members) <= MOST_MEMBERS,
        f"kube-router cannot load a rule with {len(members)} networks of IPv{family}: its ipset takes {MOST_MEMBERS}",
    )
    return AddressSet.of(family, [(low, high) for low, high, matches in longest_match(members) if matches])


KUBE_ROUTER = Dialect("kube-router", addresses=one_set)


def read_kuberouter(
    policies: Sequence[Object], identity: Identity, space: PacketSpace, cluster: Cluster
) -> Mapping[str, Reading]:
    """What the policies let through to the pods of ``identity``, by source class (``Dialect.read``).

    PolicyFault where a rule's set would be too large to load.
    """
    return KUBE_ROUTER.read(policies, identity, space, cluster)


def always(space: PacketSpace) -> PacketSet:
    """What kube-router lets through whatever policies say: echo requests, errors, neighbour discovery.

    Source: kube-router, pkg/utils/iptables.go (CommonICMPRules).
    """
    return icmp_types(space, 4, (8, 3, 11)) | icmp_types(space, 6, (128, 1, 3, 135, 136, 129))
