"""Container engines, virtual machines and private networks: what they do is done to forwarded packets, mostly."""

from __future__ import annotations

from ipt2np.frames.frame import Chains, Frame, OnDevice, Placed, Said, Together

_BRIDGE = r"docker0|docker_gwbridge|br-[0-9a-f]{12}"
_STATE = ("--ctstate", "--state")
_TO_A_PORT = ("--protocol", "--destination-port", "--destination-ports")
_SERVED_BY_LIBVIRT = Placed("filter", "INPUT", r"virbr\d+", _TO_A_PORT, (53, 67))
"""Before version 5.1 libvirt had no chains of its own (src/util/viriptables.c)."""

CONTAINERS = (
    Frame(
        "Docker",
        what="published ports are translated in nat and forwarded to containers: these packets never pass INPUT",
        advice="make a Service for each published port of a container that moves; this policy is about INPUT only",
        signs=(
            Together("nat", ("DOCKER",), callers=("PREROUTING",)),
            Together("filter", ("DOCKER",), callers=("FORWARD", "DOCKER-FORWARD", "DOCKER-BRIDGE")),
            Together("filter", ("DOCKER-USER",), callers=("FORWARD",)),
        ),
        chains=(
            Chains("DOCKER-USER", "rules of yours for containers", yours=True),
            Chains(
                r"DOCKER(-(ISOLATION(-STAGE-[12])?|FORWARD|BRIDGE|CT|INTERNAL|INGRESS))?",
                "containers' ports and networks",
                ("raw", "mangle", "nat", "filter"),
            ),
        ),
        reference="https://docs.docker.com/engine/network/packet-filtering-firewalls/",
        placed=(
            Placed("filter", "FORWARD", _BRIDGE, _STATE),
            Placed("nat", "POSTROUTING", _BRIDGE, ("--source", "--src-type")),
        ),
    ),
    Frame(
        "Podman (netavark)",
        what="published ports are translated in nat and forwarded to containers: these packets never pass INPUT",
        advice="make a Service for each published port of a container that moves; this policy is about INPUT only",
        signs=(
            Together("nat", ("NETAVARK-HOSTPORT-DNAT",)),
            Together("filter", ("NETAVARK_FORWARD",), callers=("FORWARD",)),
        ),
        chains=(
            Chains("NETAVARK_INPUT", "names and addresses for containers"),
            Chains(r"NETAVARK[-_].+", "containers' ports and networks", ("nat", "filter")),
        ),
        reference="https://github.com/containers/netavark/blob/main/src/firewall/varktables/types.rs",
        says="netavark .*",
    ),
    Frame(
        "CNI plugins",
        what="the portmap, bridge and firewall plugins publish containers' ports and forward to them, past INPUT",
        advice="make a Service for each published port of a container that moves",
        signs=(
            Together("nat", ("CNI-HOSTPORT-DNAT",)),
            Together("filter", ("CNI-FORWARD",), callers=("FORWARD",)),
            Together("filter", ("CNI-ISOLATION-STAGE-1",), callers=("FORWARD",)),
        ),
        chains=(
            Chains("CNI-ADMIN", "rules of yours for containers", yours=True),
            Chains(
                r"CNI-(FORWARD|ISOLATION-STAGE-[123]|HOSTPORT-(DNAT|SNAT|SETMARK|MASQ)|(DN|SN)-[0-9a-f]+|[0-9a-f]{24})",
                "containers' ports and networks",
                ("nat", "filter"),
            ),
        ),
        reference="https://www.cni.dev/plugins/current/meta/portmap/",
        says=r'CNI portfwd .*|(dnat )?name: ".*" id: ".*"',
    ),
    Frame(
        "libvirt",
        what="guests on virtual networks get addresses and names from the host, and are forwarded",
        advice="nothing to do: pods have no guests; what libvirt forwards is not part of this policy",
        signs=(
            Together("filter", ("LIBVIRT_INP",), callers=("INPUT",)),
            Together("filter", ("LIBVIRT_FWX",), callers=("FORWARD",)),
            Together("filter", ("libvirt-host-in", "libvirt-in")),
            OnDevice(_SERVED_BY_LIBVIRT),
        ),
        chains=(
            Chains(r"LIBVIRT_(INP|OUT)", "names and addresses for guests", ("filter", "mangle")),
            Chains(r"LIBVIRT_(FWI|FWO|FWX|PRT)", "guests' networks", ("nat", "filter", "mangle")),
            Chains(r"libvirt-(in|out|in-post|host-in)|F[IJOP]-.+|H[IJ]-.+", "network filters of guests"),
        ),
        reference="https://libvirt.org/firewall.html",
        placed=(
            _SERVED_BY_LIBVIRT,
            Placed("filter", "FORWARD", r"virbr\d+", ("--source", "--destination", *_STATE)),
            Placed("filter", "OUTPUT", r"virbr\d+", _TO_A_PORT, (53, 68)),
            Placed("mangle", "POSTROUTING", r"virbr\d+", _TO_A_PORT, (68,)),
        ),
    ),
    Frame(
        "LXD",
        what="containers on managed bridges get addresses and names from the host, and are forwarded",
        advice="nothing to do: pods have no LXD containers; what LXD forwards is not part of this policy",
        signs=(Said(r"generated for (LXD|Incus) (network|container|instance)(-forward)? .+"),),
        chains=(),
        reference="https://documentation.ubuntu.com/lxd/latest/howto/network_bridge_firewalld/",
        says=r"generated for (LXD|Incus) (network|container|instance)(-forward)? .+",
    ),
    Frame(
        "NetworkManager",
        what="a shared connection gives addresses and names to those behind it, and forwards them",
        advice="nothing to do: pods share no connection",
        signs=(Together("filter", (r"nm-sh-in-.+",), callers=("INPUT",)),),
        chains=(
            Chains(r"nm-sh-in-.+", "names and addresses for clients"),
            Chains(r"nm-sh-fw-.+", "forwarding"),
        ),
        reference="https://networkmanager.dev/docs/api/latest/settings-ipv4.html (method: shared)",
        says=r"nm-shared-.+",
    ),
    Frame(
        "Tailscale",
        what="packets of the private network come in by tailscale0, and addresses of 100.64.0.0/10 from nowhere else",
        advice="peers of the private network reach pods by a Tailscale of their own (the Kubernetes operator); "
        "settle the interface with --interface",
        signs=(
            Together("filter", ("ts-input",), callers=("INPUT",)),
            Together("filter", ("ts-forward",), callers=("FORWARD",)),
        ),
        chains=(
            Chains(r"ts-(input|forward)", "the private network"),
            Chains("ts-postrouting", "address translation", ("nat",)),
        ),
        reference="https://github.com/tailscale/tailscale/blob/main/util/linuxfw/iptables_runner.go",
    ),
    Frame(
        "Proxmox VE",
        what="guests' and the node's own rules; those of the node are in PVEFW-HOST-IN",
        advice="check the rules of PVEFW-HOST-IN; what belongs to guests is not part of this policy",
        signs=(Together("filter", ("PVEFW-INPUT", "PVEFW-HOST-IN"), callers=("INPUT",)),),
        chains=(
            Chains(r"PVEFW-HOST-(IN|OUT)|GROUP-.+", "rules of yours", yours=True),
            Chains(r"PVEFW-.+|(tap|veth)\d+i\d+-(IN|OUT)", "frame and guests", ("raw", "filter")),
        ),
        reference="https://pve.proxmox.com/pve-docs/chapter-pve-firewall.html",
        says=r"PVESIG:.+",
    ),
    Frame(
        "OpenStack",
        what="security groups of virtual machines, told by the bridge ports that they come from",
        advice="nothing to do: security groups are about the machines' packets, not about the host's",
        signs=(
            Together("filter", ("neutron-filter-top", r"neutron-\w+-(local|INPUT|OUTPUT)")),
            Together("filter", ("nova-filter-top", r"nova-\w+-local")),
        ),
        chains=(
            Chains(
                r"(neutron|nova|quantum)-.+",
                "security groups and address translation",
                ("raw", "mangle", "nat", "filter"),
            ),
        ),
        reference="https://docs.openstack.org/neutron/latest/admin/deploy-ovs-selfservice.html",
    ),
    Frame(
        "miniupnpd",
        what="clients of UPnP opened ports of the gateway for themselves",
        advice="these openings come and go while miniupnpd runs, and concern forwarded packets",
        signs=(
            Together("nat", ("MINIUPNPD",), callers=("PREROUTING",)),
            Together("filter", ("MINIUPNPD",), callers=("FORWARD",)),
        ),
        chains=(
            Chains(r"MINIUPNPD(-POSTROUTING)?", "ports that clients opened", ("mangle", "nat", "filter")),
        ),
        reference="https://github.com/miniupnp/miniupnp/tree/master/miniupnpd/netfilter",
    ),
)
