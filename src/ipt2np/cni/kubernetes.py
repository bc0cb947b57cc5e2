"""``--cni kubernetes``: the portable core, what every conforming CNI must do."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.cni.base import Capability, Cluster, Grade, Identity, Object, PlatformEffect, Profile, Reading
from ipt2np.cni.features import Feature
from ipt2np.cni.kinds.networkpolicy import read
from ipt2np.cni.networkpolicies import NetworkPolicies
from ipt2np.cni.notes import Note, has_blocks, has_portless
from ipt2np.packets import PacketSpace

API_PAGE = "https://kubernetes.io/docs/concepts/services-networking/network-policies/"
UNPROMISED = "only where every protocol is accepted from the source; the API does not promise even that"
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
    scope = "TCP, UDP, SCTP"
    platform = EVERYWHERE
    notes = (
        Note(
            "N2P309",
            "a rule without ports admits every protocol from its sources, as the host does; the API promises that for TCP, "
            "UDP and SCTP only",
            has_portless,
        ),
        Note(
            "N2P402",
            "whether an ipBlock matches pods and nodes is up to the CNI: in-cluster sources are outside the verdict",
            has_blocks,
        ),
    )
    profile = Profile(
        "the portable core: what every conforming CNI must do",
        ("networking.k8s.io/v1 NetworkPolicy",),
        "sources outside the cluster; of pods and nodes the API says nothing",
        {
            Feature.SOURCE: Capability(Grade.EXACT, "of sources outside the cluster"),
            Feature.PORT_RANGE: Capability(Grade.EXACT, "by endPort, which not every CNI reads"),
            Feature.SCTP: Capability(Grade.EXACT, "where the CNI has it"),
            Feature.ICMP: Capability(Grade.PARTLY, UNPROMISED),
            Feature.PROTOCOL: Capability(Grade.PARTLY, UNPROMISED),
            Feature.IN_CLUSTER: Capability(
                Grade.NOT, "the API leaves open whether an ipBlock matches pods and nodes"
            ),
        },
    )

    def read(
        self, objects: list[Object], identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """Reads back what the YAML lets through."""
        return read(objects, identity, space)
