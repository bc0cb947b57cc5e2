"""``--cni gke-dataplane-v2`` and ``--cni gke-calico``: what Google Kubernetes Engine runs."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.cni.base import Capability, Cluster, Grade, Identity, Object, Profile, Reading, either
from ipt2np.cni.byaddress import KIND, ByAddress
from ipt2np.cni.cilium import datapath_findings, dropped_by_datapath
from ipt2np.cni.features import Feature
from ipt2np.cni.kinds import cilium
from ipt2np.cni.kinds.dialects import GKE_CALICO
from ipt2np.cni.kubernetes import EVERYWHERE
from ipt2np.cni.networkpolicies import NetworkPolicies, Writing
from ipt2np.findings import Finding
from ipt2np.packets import PacketSet, PacketSpace
from ipt2np.planning import PolicyPlan

CERTAIN = cilium.Options(cidr_match=frozenset(), end_port=False, native=False)
"""What is known to be enforced: of the embedded Cilium neither endPort nor SCTP is documented.

Source: https://cloud.google.com/kubernetes-engine/docs/concepts/dataplane-v2
"""
POSSIBLE = cilium.Options(cidr_match=frozenset(), sctp=True, native=False)


class GkeDataplaneV2(NetworkPolicies):
    """NetworkPolicy as read by GKE Dataplane V2, a Cilium that nobody can configure."""

    name = "gke-dataplane-v2"
    scope = "every protocol but SCTP"
    platform = EVERYWHERE
    writing = Writing(expanded=32, end_port_documented=False, by_identity=True)
    client_address = (
        "a Service with externalTrafficPolicy Cluster, an ingress controller or a proxy shows the pods another address: "
        "a node's, which CIDRs do not match here, or the proxy's"
    )
    profile = Profile(
        "GKE Dataplane V2 (Cilium; match mode fixed, policy CRDs off unless enabled)",
        KIND,
        "sources outside the cluster; pods and nodes by what they are",
        {
            Feature.SCTP: Capability(Grade.PARTLY, "whether it is let through is not documented"),
            Feature.PROTOCOL: Capability(Grade.NOT, "the datapath drops all but TCP, UDP, SCTP and ICMP"),
        },
        remarks=(
            "CiliumClusterwideNetworkPolicy is there only where the cluster was made with it; it is not used here",
        ),
    )

    def dropped(self, space: PacketSpace) -> PacketSet:
        """Protocols that the datapath does not know."""
        return dropped_by_datapath(space)

    def losses(self, plan: PolicyPlan) -> list[Finding]:
        """Protocols that the datapath drops."""
        return datapath_findings(
            plan, "whether Dataplane V2 lets SCTP through is not documented; the host accepts some"
        )

    def read(
        self, objects: list[Object], identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """Reads the objects as Cilium does, and leaves open what hangs on undocumented settings."""
        return either(
            *(cilium.read(objects, identity, space, cluster, options) for options in (CERTAIN, POSSIBLE))
        )


class GkeCalico(ByAddress):
    """NetworkPolicy as read by the Calico that GKE manages on its legacy dataplane."""

    name = "gke-calico"
    dialect = GKE_CALICO
    client_address = (
        "kube-proxy rewrites the source of what comes in by a Service with externalTrafficPolicy Cluster to a node's "
        "address"
    )
    profile = Profile(
        "GKE's legacy dataplane (managed Calico, iptables)",
        KIND,
        "every source's address",
        remarks=("whether Calico's own kinds may be used on GKE is not documented; they are not used here",),
    )
