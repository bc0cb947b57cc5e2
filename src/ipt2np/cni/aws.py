"""``--cni aws-vpc-cni``: the network policy agent of the Amazon VPC CNI, which keeps one table of prefixes a pod."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.cni.base import EXTERNAL, NODE, POD, Cluster, Fitted, Identity, Limit, Profile, Reading
from ipt2np.cni.byaddress import KIND
from ipt2np.cni.kinds.aws import MOST_PREFIXES, SLOTS, read_aws
from ipt2np.cni.kinds.networkpolicy import VALIDATORS
from ipt2np.cni.kubernetes import EVERYWHERE
from ipt2np.cni.manifests import load
from ipt2np.cni.networkpolicies import NetworkPolicies, Writing
from ipt2np.cni.notes import Note, accepts_both_families, always, has_blocks
from ipt2np.errors import UsageError
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
            "N2P411",
            "a cluster of the VPC CNI has one IP family: the other family's rules have no effect there",
            accepts_both_families,
        ),
    )
    profile = Profile(
        "Amazon VPC CNI (EKS) with its network policy agent",
        KIND,
        "every source's address, the longest prefix first",
        limits=(
            Limit("ports and port ranges of a source, over all policies of a pod", SLOTS, EKS_PAGE),
            Limit(
                "prefixes of a pod", MOST_PREFIXES, "aws-network-policy-agent: pkg/ebpf/c/tc.v4ingress.bpf.c"
            ),
        ),
        remarks=("ICMP errors of admitted connections are dropped unless a rule without ports admits them",),
    )

    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """The objects; UsageError where they need more prefixes than the agent can load for a pod."""
        fitted = super().fit(plan, identity, cluster, source_note)
        cidrs = {
            peer["ipBlock"]["cidr"]
            for each in fitted.objects
            for rule in each["spec"]["ingress"]
            for peer in rule.get("from", ())
        }
        six = sum(":" in cidr for cidr in cidrs)
        needed = max(six, len(cidrs) - six)
        if needed >= MOST_PREFIXES:
            raise UsageError(
                f"--cni {self.name}: the policy needs {needed} prefixes, and the network policy agent can load fewer than "
                f"{MOST_PREFIXES} for a pod (blocks have no exceptions there): use another CNI or shorten the lists"
            )
        return fitted

    def interpret(
        self, text: str, identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """Reads the objects as a cluster of each family does, the packets of that family."""
        policies = load(text, VALIDATORS)
        readings = {family: read_aws(policies, identity, space, cluster, family) for family in (4, 6)}
        result = {}
        for name in (EXTERNAL, POD, NODE):
            admits = undefined = space.nothing
            for family, reading in readings.items():
                admits |= reading[name].admits & space.family(family)
                undefined |= reading[name].undefined & space.family(family)
            result[name] = Reading(admits, undefined)
        return result
