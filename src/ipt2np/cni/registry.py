"""The targets by name."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.cni.antrea import Antrea, AntreaNode
from ipt2np.cni.aws import AwsVpcCni
from ipt2np.cni.azure import AzureCilium, AzureNpm
from ipt2np.cni.base import Cni
from ipt2np.cni.calico import Calico
from ipt2np.cni.calicohost import CalicoHost
from ipt2np.cni.cilium import Cilium, CiliumHost
from ipt2np.cni.flannel import Flannel, FlannelNetpol
from ipt2np.cni.gke import GkeCalico, GkeDataplaneV2
from ipt2np.cni.kubernetes import Kubernetes
from ipt2np.cni.kuberouter import KubeRouter
from ipt2np.cni.ovn import OvnKubernetes
from ipt2np.cni.weave import Weave

CNIS: Mapping[str, Cni] = {
    cni.name: cni
    for cni in (
        Kubernetes(),
        Calico(),
        Cilium(),
        Antrea(),
        GkeDataplaneV2(),
        GkeCalico(),
        OvnKubernetes(),
        KubeRouter(),
        AwsVpcCni(),
        AzureCilium(),
        AzureNpm(),
        FlannelNetpol(),
        Weave(),
        Flannel(),
    )
}
"""Every target, the portable core first, the ones to avoid last."""

HOSTS: Mapping[str, Cni] = {cni.name: cni for cni in (CalicoHost(), CiliumHost(), AntreaNode())}
"""The targets that filter hosts themselves, by the name of their CNI."""

REFUSED: Mapping[str, str] = dict.fromkeys(
    ("adminnetworkpolicy", "baselineadminnetworkpolicy", "clusternetworkpolicy"),
    "its ingress rules name pods and namespaces only, no CIDRs: an iptables source cannot be written in it "
    "(https://network-policy-api.sigs.k8s.io/)",
)
"""Kinds that somebody may ask for, and why they are no target."""
