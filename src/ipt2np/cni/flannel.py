"""``--cni flannel``, which enforces nothing, and ``--cni flannel-netpol``: Flannel with kube-network-policies."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.cni.base import (
    SOURCE_CLASSES,
    Capability,
    Cluster,
    Fitted,
    Grade,
    Identity,
    PlatformEffect,
    Profile,
)
from ipt2np.cni.byaddress import KIND, ByAddress
from ipt2np.cni.features import Feature
from ipt2np.cni.kinds.dialects import FLANNEL, FLANNEL_NETPOL, flannel_netpol_always
from ipt2np.cni.kubernetes import EVERYWHERE
from ipt2np.findings import Difference, Finding, Predicted
from ipt2np.findings.catalogue import remedy
from ipt2np.planning import PolicyPlan

NETPOL_PAGE = "https://github.com/flannel-io/flannel/blob/master/Documentation/netpol.md"


class Flannel(ByAddress):
    """Flannel alone: policies are objects without effect."""

    name = "flannel"
    dialect = FLANNEL
    platform = ()
    profile = Profile("Flannel alone: enforces no policy", KIND, "nothing is compared")
    client_address = "no policy looks at it"

    def derived(self) -> Mapping[Feature, Capability]:
        """Nothing, since no policy is enforced."""
        return dict.fromkeys(Feature, Capability(Grade.NOT, "no policy is enforced"))

    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """The portable policy, with the error that it has no effect."""
        fitted = super().fit(plan, identity, cluster, source_note)
        opened = Predicted(Difference.OPENS, plan.space.everything, SOURCE_CLASSES)
        error = Finding(
            "N2P409",
            "Flannel enforces no policy: everything reaches the pods",
            remedy("N2P409"),
            predicted=(opened,),
        )
        return Fitted(fitted.objects, fitted.emitted, (error,))


class FlannelNetpol(ByAddress):
    """Flannel with kube-network-policies beside it."""

    name = "flannel-netpol"
    dialect = FLANNEL_NETPOL
    platform = (
        *EVERYWHERE,
        PlatformEffect(
            "opens",
            "any",
            "icmpv6",
            "ICMPv6 neighbour discovery is always accepted",
            "kube-network-policies: pkg/dataplane/controller.go",
            flannel_netpol_always,
        ),
    )
    client_address = "policies are asked before the node's source NAT, after that of another node"
    profile = Profile(
        "Flannel with kube-network-policies", KIND, "every source's address", remarks=(NETPOL_PAGE,)
    )
