"""``--cni aws-vpc-cni``: the network policy agent of the Amazon VPC CNI, which keeps one table of prefixes a pod."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.cni.base import (
    EXTERNAL,
    NODE,
    POD,
    Capability,
    Cluster,
    Fitted,
    Grade,
    Identity,
    Limit,
    Object,
    Profile,
    Reading,
)
from ipt2np.cni.byaddress import KIND
from ipt2np.cni.features import Feature
from ipt2np.cni.kinds.aws import MOST_PREFIXES, SLOTS, read_aws
from ipt2np.cni.kubernetes import EVERYWHERE
from ipt2np.cni.networkpolicies import NetworkPolicies, Writing
from ipt2np.cni.notes import Note, accepts_both_families, always, has_blocks, has_ports
from ipt2np.errors import TargetLimit
from ipt2np.packets import PacketSpace
from ipt2np.planning import PolicyPlan

EKS_PAGE = "https://docs.aws.amazon.com/eks/latest/userguide/cni-network-policy.html"


class AwsVpcCni(NetworkPolicies):
    """NetworkPolicy as read by the VPC CNI on EC2 Linux nodes."""

    name = "aws-vpc-cni"
    platform = EVERYWHERE
    writing = Writing(excepts=False, entries_per_source=SLOTS)
    client_address = (
        "a load balancer in instance mode with externalTrafficPolicy Cluster shows the pods a node's address; use target "
        "type ip or Local"
    )
    notes = (
        Note(
            "N2P417",
            "pods that no Deployment, StatefulSet or the like owns are not covered, nor pods on Fargate or Windows; "
            "a Service's port must equal the container's",
            always,
            f"check the pods' owners ({EKS_PAGE})",
        ),
        Note(
            "N2P418",
            "blocks have no exceptions: an except would deny its range to every rule of the pod",
            has_blocks,
        ),
        Note(
            "N2P423",
            "ICMP errors of admitted connections, fragmentation needed among them, are dropped unless a rule without ports "
            "admits their sender",
            has_ports,
        ),
        Note(
            "N2P411",
            "a cluster of the VPC CNI has one IP family: the other family's rules have no effect there",
            accepts_both_families,
        ),
    )
    profile = Profile(
        "Amazon VPC CNI (EKS) with its network policy agent",
        KIND,
        "every source's address, the longest prefix first",
        {
            Feature.IPSET: Capability(
                Grade.PARTLY,
                f"with the set's content (--ipset), to {MOST_PREFIXES:,} prefixes of a pod in all",
            ),
            Feature.IPV6: Capability(
                Grade.PARTLY, "a cluster has one family; rules of the other have no effect"
            ),
        },
        limits=(
            Limit("ports and port ranges of a source, over all policies of a pod", SLOTS, EKS_PAGE),
            Limit(
                "prefixes of a pod", MOST_PREFIXES, "aws-network-policy-agent: pkg/ebpf/c/tc.v4ingress.bpf.c"
            ),
        ),
        remarks=("ICMP errors of admitted connections are dropped unless a rule without ports admits them",),
    )

    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """As for every target, within what a pod's table takes. TargetLimit beyond that."""
        fitted = super().fit(plan, identity, cluster, source_note)
        rules = (rule for each in fitted.objects for rule in each["spec"]["ingress"])
        prefixes = {peer["ipBlock"]["cidr"] for rule in rules for peer in rule.get("from", [])}
        count = max(sum((":" in cidr) is wide for cidr in prefixes) for wide in (False, True))
        if count >= MOST_PREFIXES:
            raise TargetLimit(
                f"--cni aws-vpc-cni: the policy needs {count:,} prefixes, and a pod's table takes {MOST_PREFIXES - 1:,}"
            )
        return fitted

    def read(
        self, objects: list[Object], identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """Reads the objects as a cluster of each family does, the packets of that family."""
        readings = {family: read_aws(objects, identity, space, cluster, family) for family in (4, 6)}
        result = {}
        for name in (EXTERNAL, POD, NODE):
            admits = undefined = space.nothing
            for family, reading in readings.items():
                admits |= reading[name].admits & space.family(family)
                undefined |= reading[name].undefined & space.family(family)
            result[name] = Reading(admits, undefined)
        return result
