"""Kubernetes on the host: kube-proxy, kubelet, and the CNIs."""

from __future__ import annotations

from ipt2np.frames.frame import ALL_TABLES, Chains, Frame, Said, Together

_BY_THE_CLUSTER = (
    "the new cluster's components write rules of their own: only what guards the host itself is carried over"
)

CLUSTERS = (
    Frame(
        "kube-router",
        what="network policies of the node's pods, and Services",
        advice=_BY_THE_CLUSTER,
        signs=(
            Together("filter", ("KUBE-ROUTER-INPUT",), callers=("INPUT",)),
            Together("filter", ("KUBE-ROUTER-FORWARD",), callers=("FORWARD",)),
        ),
        chains=(
            Chains(r"KUBE-(ROUTER-.+|POD-FW-.+|NWPLCY-.+)", "policies of pods", ("mangle", "nat", "filter")),
        ),
        reference="https://www.kube-router.io/docs/",
        says=r"kube-router .*",
    ),
    Frame(
        "Kubernetes",
        what="kube-proxy and kubelet forward Services to pods and drop what was marked; INPUT passes a few of their chains",
        advice=_BY_THE_CLUSTER,
        signs=(
            Together("nat", ("KUBE-SERVICES",), callers=("PREROUTING",)),
            Together("filter", ("KUBE-FIREWALL",), callers=("INPUT", "OUTPUT")),
            Together("filter", ("KUBE-FORWARD",), callers=("FORWARD",)),
            Together("mangle", ("KUBE-KUBELET-CANARY",)),
        ),
        chains=(
            Chains(r"KUBE-(SVC|SEP|SVL|EXT|FW|XLB|SRC|HP)-.+", "a Service", ("nat", "filter")),
            Chains(
                r"KUBE-(SERVICES|NODEPORTS|NODE-PORT|EXTERNAL-SERVICES|LOAD-BALANCER|PROXY-FIREWALL|SOURCE-RANGES-FIREWALL|"
                r"IPVS-FILTER|IPVS-OUT-FILTER|HOSTPORTS)",
                "Services",
                ("nat", "filter"),
            ),
            Chains(
                r"KUBE-(FIREWALL|FORWARD|MARK-DROP|MARK-MASQ|POSTROUTING|PROXY-CANARY|KUBELET-CANARY|IPTABLES-HINT)",
                "frame",
                ("mangle", "nat", "filter"),
            ),
        ),
        reference="https://kubernetes.io/docs/reference/networking/virtual-ips/",
        says=r"kubernetes .*",
    ),
    Frame(
        "Calico",
        what="network policies of the node's pods, tunnels between nodes, and the host endpoint if there is one",
        advice=_BY_THE_CLUSTER,
        signs=(
            Together("filter", ("cali-INPUT",), callers=("INPUT",)),
            Together("filter", ("cali-FORWARD",), callers=("FORWARD",)),
            Together("nat", ("cali-PREROUTING",), callers=("PREROUTING",)),
        ),
        chains=(
            Chains(r"cali-(INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING)", "entry", ALL_TABLES),
            Chains(r"cali-.+", "policies of pods", ALL_TABLES),
        ),
        reference="https://docs.tigera.io/calico/latest/reference/felix/configuration",
        says=r"cali:.+",
    ),
    Frame(
        "Cilium",
        what="packets for Cilium's proxy are marked and let in; pods' policies are not in iptables",
        advice=_BY_THE_CLUSTER,
        signs=(
            Together("filter", (r"(OLD_)?CILIUM_INPUT",), callers=("INPUT",)),
            Together("filter", (r"(OLD_)?CILIUM_FORWARD",), callers=("FORWARD",)),
            Together("nat", (r"(OLD_)?CILIUM_POST_nat",)),
        ),
        chains=(Chains(r"(OLD_)?CILIUM_.+", "feeding Cilium", ALL_TABLES),),
        reference="https://docs.cilium.io/en/stable/network/ebpf/iptables/",
        says=r"cilium(-feeder)?: .*",
    ),
    Frame(
        "Antrea",
        what="packets of pods are kept out of connection tracking or translated; pods' policies are not in iptables",
        advice=_BY_THE_CLUSTER,
        signs=(
            Together("filter", ("ANTREA-FORWARD",), callers=("FORWARD",)),
            Together("nat", ("ANTREA-POSTROUTING",), callers=("POSTROUTING",)),
        ),
        chains=(Chains(r"ANTREA-.+", "feeding Antrea", ALL_TABLES),),
        reference="https://antrea.io/docs/",
        says=r"Antrea: .*",
    ),
    Frame(
        "flannel",
        what="packets of pods are forwarded and translated",
        advice=_BY_THE_CLUSTER,
        signs=(
            Together("nat", ("FLANNEL-POSTRTG",), callers=("POSTROUTING",)),
            Together("filter", ("FLANNEL-FWD",), callers=("FORWARD",)),
            Said(r"flanneld (masq|forward)"),
        ),
        chains=(Chains(r"FLANNEL-(POSTRTG|FWD)", "pods' networks", ("nat", "filter")),),
        reference="https://github.com/flannel-io/flannel",
        says=r"flanneld .*",
    ),
    Frame(
        "Weave Net",
        what="network policies of the node's pods, and checks of the tunnels between nodes",
        advice=_BY_THE_CLUSTER,
        signs=(
            Together("nat", ("WEAVE",), callers=("POSTROUTING",)),
            Together("filter", ("WEAVE-NPC",), callers=("FORWARD",)),
            Together("filter", (r"WEAVE-(NPC-EGRESS|IPSEC-IN)",), callers=("INPUT",)),
        ),
        chains=(Chains(r"WEAVE(-.+)?", "policies of pods, tunnels", ("mangle", "nat", "filter")),),
        reference="https://github.com/weaveworks/weave/blob/master/net/bridge.go",
    ),
    Frame(
        "Amazon VPC CNI",
        what="packets of pods are marked and translated",
        advice=_BY_THE_CLUSTER,
        signs=(Together("nat", ("AWS-SNAT-CHAIN-0",), callers=("POSTROUTING",)),),
        chains=(Chains(r"AWS-(SNAT|CONNMARK)-CHAIN-\d+", "pods' networks", ("nat",)),),
        reference="https://github.com/aws/amazon-vpc-cni-k8s",
        says=r"AWS,? (SNAT|CONNMARK|primary ENI).*",
    ),
)
