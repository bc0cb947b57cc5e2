"""NetworkPolicy as read by CNIs that compare the packet's source with each block, whoever sent the packet.

They share one reading and differ in a few points, which stand here side by side. What a CNI always lets through beside
its policies is no part of a reading. Named ports, which OVN-Kubernetes takes for all ports of their protocol
(ovn-org/ovn-kubernetes#2117), are refused before any reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ipt2np.cni.base import Cluster, Identity, Object, Reading
from ipt2np.cni.kinds.networkpolicy import (
    CLASSES,
    IngressRule,
    IPBlock,
    each_by_itself,
    ingress_rules,
    rules_for,
    services,
    sources,
)
from ipt2np.cni.manifests import require
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import Range, complement, merged

ICMP, ICMPV6 = 1, 58
SETTLED_BY_RED_HAT = merged((number, number) for number in (6, 17, 132, ICMP, ICMPV6))


@dataclass(frozen=True)
class Dialect:
    """How a CNI that compares addresses reads NetworkPolicy.

    A rule without ``ports`` admits every IP protocol; other rules admit none but TCP, UDP and SCTP.
    """

    name: str
    enforced: bool = True
    """False where policies are objects without effect."""
    families: tuple[int, ...] = (4, 6)
    """Families that are filtered; what becomes of the others is not said."""
    refuses_other_families: bool = False
    """A policy with a block of another family is refused as a whole."""
    end_port: bool = True
    """False where ``endPort`` is ignored: the entry then is its ``port`` alone."""
    port_less_survives: bool = True
    """False where an entry without ``port`` is lost beside numbered ones of its protocol in the same rule."""
    unsettled: tuple[Range, ...] = ()
    """Protocols of which the documents contradict each other."""
    addresses: Callable[[Sequence[IPBlock], int], AddressSet] = each_by_itself
    """The addresses of a family that match the blocks of one rule."""

    def read(
        self, policies: Sequence[Object], identity: Identity, space: PacketSpace, cluster: Cluster
    ) -> Mapping[str, Reading]:
        """What the policies, each valid, let through to the pods of ``identity``, by source class.

        A selector never matches an external source; the one of all pods matches every pod. Which pods another one
        selects is not known, nor whether any covers pods that share a node's address. PolicyFault where the CNI refuses
        a policy.
        """
        if self.refuses_other_families:
            for policy in policies:
                self._require_families(policy)
        rules = rules_for(policies, identity)
        if rules is None or not self.enforced:
            return dict.fromkeys(CLASSES, Reading(space.everything, space.nothing))
        anybody = every_pod = some_pods = space.nothing
        for rule in rules:
            wanted = self._services(space, rule)
            if rule.peers is None:
                anybody |= wanted
            if rule.blocks:
                anybody |= wanted & sources(space, rule.blocks, self.addresses)
            if rule.pods:
                some_pods |= wanted
            if any(peer.everyone for peer in rule.pods):
                every_pod |= wanted
        every_pod |= anybody
        filtered = space.nothing
        for family in self.families:
            filtered |= space.family(family)
        unknown = ~filtered | space.values(Field.PROTOCOL, self.unsettled)
        return {
            "external": Reading(anybody & filtered, unknown),
            "pod": Reading(every_pod & filtered, unknown | (some_pods - every_pod)),
            "node": Reading(anybody & filtered, unknown | (some_pods - anybody)),
        }

    def _services(self, space: PacketSpace, rule: IngressRule) -> PacketSet:
        return services(space, None if rule.ports is None else self._spans(rule))

    def _spans(self, rule: IngressRule) -> Iterator[tuple[int, Range]]:
        entries = rule.ports or ()
        numbered = {entry.protocol for entry in entries if entry.port is not None}
        for entry in entries:
            if entry.port is None:
                if self.port_less_survives or entry.protocol not in numbered:
                    yield entry.protocol, entry.range
            else:
                yield entry.protocol, entry.range if self.end_port else (entry.port, entry.port)

    def _require_families(self, policy: Object) -> None:
        for rule in ingress_rules(policy):
            for block in rule.blocks:
                require(
                    block.cidr.family in self.families,
                    f"{self.name} refuses NetworkPolicy {policy['metadata']['name']}: "
                    f"it has an ipBlock of IPv{block.cidr.family}",
                )


CALICO = Dialect("calico")
"""calico: libcalico-go/lib/backend/k8s/conversion/conversion.go (a rule for each peer, endPort kept), with the iptables
or nftables data plane; of SCTP the eBPF one has no policy."""

GKE_CALICO = Dialect("gke-calico")
"""GKE's legacy data plane: Calico with iptables."""

ANTREA = Dialect("antrea")
"""antrea: docs/design/ovs-pipeline.md; pkg/agent/controller/networkpolicy."""

OVN_KUBERNETES = Dialect(
    "ovn-kubernetes", port_less_survives=False, unsettled=complement(SETTLED_BY_RED_HAT, 0xFF)
)
"""ovn-kubernetes: go-controller/pkg/ovn/gress_policy.go; go-controller/pkg/libovsdb/util/acl.go (getProtocolPortsMap).
Its drop ACL names no protocol, while Red Hat's manual of OpenShift says that TCP, UDP, ICMP and SCTP alone are affected."""

WEAVE = Dialect("weave", families=(4,), end_port=False)
"""weave: npc/analyser.go (protocol and port alone are passed on), npc/ipblock.go. It has chains of iptables and none of
ip6tables."""

AZURE_NPM = Dialect("azure-npm", families=(4,), refuses_other_families=True)
"""azure-container-networking: npm/pkg/controlplane/translation/translatePolicy.go, on Linux nodes."""

FLANNEL_NETPOL = Dialect("flannel-netpol")
"""kube-network-policies beside flannel: pkg/networkpolicy/networkpolicy.go; flannel: Documentation/netpol.md."""

FLANNEL = Dialect("flannel", enforced=False)
"""flannel alone: policies are accepted by the API server and have no effect."""

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (CALICO, GKE_CALICO, ANTREA, OVN_KUBERNETES, WEAVE, AZURE_NPM, FLANNEL_NETPOL, FLANNEL)
}


def icmp_types(space: PacketSpace, family: int, types: Sequence[int]) -> PacketSet:
    """ICMP packets of IPv4 or ICMPv6 packets of IPv6, of these types."""
    protocol = space.value(Field.PROTOCOL, ICMP if family == 4 else ICMPV6)
    return space.family(family) & protocol & space.values(Field.ICMP_TYPE, merged((t, t) for t in types))


def flannel_netpol_always(space: PacketSpace) -> PacketSet:
    """What kube-network-policies lets through whatever policies say: ICMPv6 of neighbour discovery.

    Source: kube-network-policies, pkg/dataplane/controller.go (syncNFTablesRules).
    """
    return icmp_types(space, 6, (133, 134, 135, 136, 137))
