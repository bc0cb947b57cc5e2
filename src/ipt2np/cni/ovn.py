"""``--cni ovn-kubernetes``: OVN-Kubernetes, which OpenShift runs."""

from __future__ import annotations

from ipt2np.cni.base import Profile
from ipt2np.cni.byaddress import KIND, ByAddress
from ipt2np.cni.kinds.dialects import OVN_KUBERNETES
from ipt2np.cni.notes import Note, has_portless


class OvnKubernetes(ByAddress):
    """NetworkPolicy as read by OVN-Kubernetes. Named ports and port-less entries beside numbered ones are never written."""

    name = "ovn-kubernetes"
    dialect = OVN_KUBERNETES
    scope = "TCP, UDP, SCTP, ICMP"
    client_address = "a Service with externalTrafficPolicy Cluster shows the pods a node's address; Local keeps the client's"
    notes = (
        Note(
            "N2P309",
            "a rule without ports admits every protocol; whether policies affect protocols other than TCP, UDP, ICMP and "
            "SCTP at all, OVN-Kubernetes' code and OpenShift's manual say differently: those are outside the verdict",
            has_portless,
        ),
    )
    profile = Profile("OVN-Kubernetes (OpenShift)", KIND, "every source's address")
