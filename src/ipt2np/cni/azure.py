"""``--cni azure-npm`` and ``--cni azure-cilium``: what Azure Kubernetes Service runs."""

from __future__ import annotations

from ipt2np.cni.base import Capability, Grade, Limit, Profile
from ipt2np.cni.byaddress import KIND, ByAddress
from ipt2np.cni.cilium import API_VERSION, Cilium
from ipt2np.cni.features import Feature
from ipt2np.cni.kinds.dialects import AZURE_NPM
from ipt2np.cni.networkpolicies import Writing
from ipt2np.cni.notes import Note, always

NPM_PAGE = "https://learn.microsoft.com/azure/aks/use-network-policies"
CILIUM_PAGE = "https://learn.microsoft.com/azure/aks/azure-cni-powered-by-cilium"


class AzureNpm(ByAddress):
    """NetworkPolicy as read by Azure Network Policy Manager on Linux nodes."""

    name = "azure-npm"
    dialect = AZURE_NPM
    scope = "every protocol of IPv4"
    writing = Writing(families=(4,))
    client_address = (
        "what comes in by a node port or load balancer with externalTrafficPolicy Cluster bypasses ingress policies "
        "altogether: Local is needed"
    )
    notes = (
        Note(
            "N2P417",
            "Azure NPM is at its end: support for Linux ends in 2028 (one copy of the page says 2026), for Windows in 2026",
            always,
            f"plan for --cni azure-cilium ({NPM_PAGE})",
        ),
    )
    profile = Profile(
        "Azure Network Policy Manager (Linux)",
        KIND,
        "every source's address, IPv4 only",
        {Feature.SCTP: Capability(Grade.EXACT, "on Linux nodes")},
        limits=(Limit("nodes of a cluster", 250, NPM_PAGE), Limit("pods of a cluster", 20_000, NPM_PAGE)),
    )


class AzureCilium(Cilium):
    """Azure CNI powered by Cilium, which nobody can configure."""

    name = "azure-cilium"
    scope = "every protocol but SCTP"
    sctp_documented = False
    match_modes = False
    profile = Profile(
        "Azure CNI powered by Cilium (1.17 or newer: Kubernetes 1.32)",
        (f"{API_VERSION} CiliumNetworkPolicy", f"{API_VERSION} CiliumCIDRGroup"),
        "sources outside the cluster; pods and nodes by what they are",
        {
            **Cilium.profile.capabilities,
            Feature.PORT_RANGE: Capability(Grade.EXACT, "by endPort: Kubernetes 1.32 or newer"),
            Feature.SCTP: Capability(Grade.PARTLY, "whether it is let through is not documented"),
            Feature.PROTOCOL: Capability(Grade.NOT, "the datapath drops all but TCP, UDP, SCTP and ICMP"),
            Feature.IN_CLUSTER: Capability(Grade.PARTLY, "all pods or all nodes together"),
        },
        Cilium.profile.limits,
        (f"layer 3 and 4 of CiliumNetworkPolicy alone ({CILIUM_PAGE})",),
    )
