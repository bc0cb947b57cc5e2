"""``--cni kube-router``: kube-router, which keeps the blocks of a rule in one ipset and always answers pings."""

from __future__ import annotations

from ipt2np.cni.base import Capability, Grade, Limit, PlatformEffect, Profile
from ipt2np.cni.byaddress import KIND, ByAddress
from ipt2np.cni.features import Feature
from ipt2np.cni.kinds.kuberouter import KUBE_ROUTER, MOST_MEMBERS, always
from ipt2np.cni.kubernetes import EVERYWHERE
from ipt2np.cni.networkpolicies import Writing
from ipt2np.cni.notes import Note, has_blocks, refuses

COMMON_RULES = "https://github.com/cloudnativelabs/kube-router/blob/master/pkg/utils/iptables.go"


class KubeRouter(ByAddress):
    """NetworkPolicy as read by kube-router's iptables backend."""

    name = "kube-router"
    dialect = KUBE_ROUTER
    writing = Writing(excepts=False, halved=(6,), answer="an ICMP error", peers_per_rule=MOST_MEMBERS // 2)
    platform = (
        *EVERYWHERE,
        PlatformEffect(
            "opens",
            "any",
            "icmp",
            "echo requests, destination-unreachable and time-exceeded, and ICMPv6 neighbour discovery, are always accepted",
            COMMON_RULES,
            always,
        ),
    )
    client_address = "a Service with externalTrafficPolicy Cluster shows the pods a node's address"
    notes = (
        Note(
            "N2P416",
            "kube-router answers refused packets with an ICMP error where the host drops them",
            refuses,
        ),
        Note(
            "N2P418",
            "blocks have no exceptions: an except would reach into the rule's other blocks",
            has_blocks,
        ),
    )
    profile = Profile(
        "kube-router (iptables backend)",
        KIND,
        "every source's address",
        {
            Feature.ICMP: Capability(
                Grade.PARTLY,
                "only where every protocol is accepted from the source; echo requests and errors always are",
            ),
            Feature.ICMP_TYPE: Capability(
                Grade.PARTLY,
                "rules have no ICMP types, but echo requests and errors are always accepted",
            ),
        },
        (
            Limit(
                "networks in a rule",
                MOST_MEMBERS,
                "kube-router: pkg/utils/ipset.go; ipset(8), maxelem",
            ),
        ),
    )
