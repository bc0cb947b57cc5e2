"""``--cni kubernetes``: the portable core, what every conforming CNI must do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ipt2np.cni.base import Cluster, Identity, Object, PlatformEffect, Profile, Reading
from ipt2np.cni.kinds.networkpolicy import VALIDATORS, read
from ipt2np.cni.manifests import load
from ipt2np.cni.networkpolicies import NetworkPolicies
from ipt2np.findings import Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.packets import PacketSpace
from ipt2np.planning import PolicyPlan

API_PAGE = "https://kubernetes.io/docs/concepts/services-networking/network-policies/"
EVERYWHERE = (
    PlatformEffect(
        "opens", "node", "any", "the node that runs the pod always reaches it, and the pod itself", API_PAGE
    ),
    PlatformEffect(
        "opens",
        "any",
        "any",
        "replies to connections that the pod opens, and of connections that the policy admits, always pass",
        API_PAGE,
    ),
)
"""What every conforming CNI does whatever the policy says."""


class Kubernetes(NetworkPolicies):
    """networking.k8s.io/v1 NetworkPolicy as its API documents it."""

    name = "kubernetes"
    platform = EVERYWHERE
    profile = Profile(
        "the portable core: what every conforming CNI must do",
        ("networking.k8s.io/v1 NetworkPolicy",),
        "sources outside the cluster; of pods and nodes the API says nothing",
    )

    def remarks(self, plan: PolicyPlan, objects: Sequence[Object], cluster: Cluster) -> list[Finding]:
        """Addresses inside the cluster are up to the CNI."""
        if not any("from" in rule for each in objects for rule in each["spec"]["ingress"]):
            return []
        return [
            Finding(
                "N2P402",
                "whether an ipBlock matches pods and nodes is up to the CNI: in-cluster sources are outside the verdict",
                remedy("N2P402"),
            )
        ]

    def interpret(
        self, text: str, identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """Reads back what the YAML lets through."""
        return read(load(text, VALIDATORS), identity, space)
