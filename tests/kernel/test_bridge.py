"""What ``-m physdev`` says of packets for the host that came in by a port of a bridge."""

from __future__ import annotations

import pytest

from .differential import PLAIN, against, ask
from .host import KernelHost
from .probe import TCP, UDP, Probe

ADDRESSES = {"eth0": ("10.0.0.1/24", "fd00::1/64"), "eth1": ("10.1.0.1/24", "fd00:1::1/64")}
HOLDS = {
    "--physdev-is-in": True,
    "! --physdev-is-in": False,
    "--physdev-in eth1": True,
    "! --physdev-in eth1": False,
    "--physdev-in eth+": True,
    "--physdev-in other": False,
    "! --physdev-in other": True,
    "--physdev-is-out": False,
    "! --physdev-is-out": True,
    "--physdev-out eth1": False,
    "! --physdev-out eth1": False,
    "! --physdev-is-in ! --physdev-out eth1": False,
    "--physdev-is-bridged": False,
    "! --physdev-is-bridged": True,
}


@pytest.mark.parametrize("family", [4, 6])
def test_a_packet_that_came_in_by_a_bridge(family: int) -> None:
    source, destination = {4: ("198.18.0.1", "10.1.0.1"), 6: ("2001:db8::1", "fd00:1::1")}[family]
    asked = [
        Probe(family, source, destination, protocol, 40000, 22, interface="eth1") for protocol in (TCP, UDP)
    ]
    with KernelHost(ADDRESSES) as host:
        for command in (
            "ip link add br0 type bridge",
            "ip link set eth1 master br0",
            "ip link set br0 up",
            "sysctl -q net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
        ):
            host.run(*command.split())
        for match, holds in HOLDS.items():
            text = f"*filter\n:INPUT DROP [0:0]\n-A INPUT -m physdev {match} -j ACCEPT\nCOMMIT\n"
            heard = ask(text, family, host, asked)
            assert heard.first == [holds, holds], match
            assert not list(against(heard, [PLAIN])), match
