"""Sources inside the cluster, for targets that match them by identity and not by address.

Such a target compares CIDRs with external sources only; all pods (or all nodes) are one peer, which says nothing of
addresses. So they are admitted together or not at all.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

from ipt2np.cni.base import NODE, POD, Cluster
from ipt2np.findings import Difference, Finding, Predicted
from ipt2np.findings.catalogue import remedy
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.planning import PolicyPlan

Sources = Mapping[int, tuple[PacketSet, PacketSet]]
"""By family: (wanted, allowed) sources, the family itself not tested."""

PRIVATE = {
    4: ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
    6: ("fc00::/7",),
}
"""Where clusters take their addresses from where nobody says otherwise (RFC 1918, RFC 6598, RFC 4193)."""


def cidrs_of(cluster: Cluster, source_class: str) -> tuple[str, ...]:
    """The declared addresses of a class of sources inside the cluster."""
    return cluster.pod_cidrs if source_class == POD else cluster.node_cidrs


def packets_from(space: PacketSpace, cidrs: Sequence[str]) -> PacketSet:
    """The packets whose source is in one of the CIDRs, of whatever family."""
    result = space.nothing
    for family in (4, 6):
        chosen = [text for text in cidrs if ipaddress.ip_network(text).version == family]
        if chosen:
            result |= space.addresses(Field.SOURCE, AddressSet.cidrs(*chosen))
    return result


def packets_of(space: PacketSpace, cluster: Cluster, source_class: str) -> PacketSet:
    """The packets whose source may be of a class inside the cluster."""
    mine = cidrs_of(cluster, source_class)
    others = cidrs_of(cluster, NODE if source_class == POD else POD)
    return packets_from(space, mine) if mine else space.everything - packets_from(space, others)


def admits_class(sources: Sources, cluster: Cluster, source_class: str, space: PacketSpace) -> bool:
    """True where a rule for ``sources`` is to admit a whole class.

    Declared: all its addresses are allowed, and something is wanted of them. Not declared: the rule admits everybody
    but some (``all_but_bans``).
    """
    cidrs = cidrs_of(cluster, source_class)
    if not cidrs:
        return any(wanted for wanted, _ in sources.values()) and all_but_bans(sources, space)
    declared = packets_from(space, cidrs)
    inside = {family: space.of_family(declared & space.family(family), family) for family in sources}
    spoken = [family for family, some in inside.items() if some]
    return (
        bool(spoken)
        and all(inside[family] <= sources[family][1] for family in spoken)
        and any(inside[family].meets(sources[family][0]) for family in spoken)
    )


def all_but_bans(sources: Sources, space: PacketSpace) -> bool:
    """True where most of the address space is allowed, and no private network is refused as a whole."""
    for family, (_, allowed) in sources.items():
        ranges = space.source_addresses(allowed, family).ranges
        if 2 * sum(high - low + 1 for low, high in ranges) < 1 << ADDRESS_BITS[family]:
            return False
        for text in PRIVATE[family]:
            private = space.of_family(packets_from(space, (text,)), family)
            if not allowed.meets(private):
                return False
    return True


def external(
    sources: Sources, cluster: Cluster, space: PacketSpace
) -> dict[int, tuple[PacketSet, PacketSet]]:
    """The sources that CIDRs are to name: addresses that CIDRs do not match may be named or not."""
    unmatched = [
        cidr
        for name in (POD, NODE)
        if f"{name}s" not in cluster.cidr_match
        for cidr in cidrs_of(cluster, name)
    ]
    inside = packets_from(space, unmatched)
    result = {}
    for family, (wanted, allowed) in sources.items():
        here = space.of_family(inside & space.family(family), family)
        result[family] = (wanted - here, allowed | here)
    return result


def in_cluster_findings(
    plan: PolicyPlan, cluster: Cluster, admitted: Mapping[str, PacketSet], left: PacketSet
) -> list[Finding]:
    """What is lost and opened of sources inside the cluster, given what the policy admits of each class.

    ``left`` is lost of every source, for a cause of its own.
    """
    space = plan.space
    allowance = plan.allow_only()
    due = allowance.wanted - left
    result: list[Finding] = []
    lost, opened = [], []
    for name, packets in admitted.items():
        mine = packets_of(space, cluster, name)
        if (due - packets) & mine:
            lost.append(Predicted(Difference.CLOSES, due - packets, (name,)))
        if (packets & mine & (plan.judged | _unspoken(plan))) - allowance.wanted:
            opened.append(Predicted(Difference.OPENS, packets - allowance.wanted, (name,)))
    if lost:
        result.append(
            Finding(
                "N2P407",
                f"{_who(lost)} that the host accepts are refused: this CNI compares CIDRs with sources from outside the "
                "cluster only",
                remedy("N2P407"),
                predicted=tuple(lost),
            )
        )
    if opened:
        result.append(
            Finding(
                "N2P408",
                f"all {_who(opened)} are admitted where the host accepts everybody but some sources, those with such an "
                "address and those of another IP family too",
                remedy("N2P408"),
                predicted=tuple(opened),
            )
        )
    return result


def _who(predicted: Sequence[Predicted]) -> str:
    return " and ".join(f"{each.source_classes[0]}s" for each in predicted)


def _unspoken(plan: PolicyPlan) -> PacketSet:
    """The packets of the families that no ruleset was given for."""
    result = plan.space.everything
    for family in plan.families:
        result -= plan.space.family(family)
    return result
