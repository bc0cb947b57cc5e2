"""``-m socket`` on a host that has sockets."""

from __future__ import annotations

import socket
from typing import Final

from .differential import PLAIN, against, ask
from .host import KernelHost
from .probe import DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, Probe
from .test_matches import FAMILIES

OWN: Final = {4: "10.0.0.1", 6: "fd00::1"}
SOURCE: Final = {4: "198.18.0.1", 6: "2001:db8::1"}
ANY: Final = {4: "0.0.0.0", 6: "::"}


@FAMILIES
def test_sockets_are_looked_up_for_tcp_and_udp_alone(host: KernelHost, family: int) -> None:
    def to(protocol: int, port: int = 22) -> Probe:
        return Probe(family, SOURCE[family], OWN[family], protocol, 40000, port)

    icmp = ICMP if family == 4 else ICMPV6
    types = [
        Probe(family, SOURCE[family], OWN[family], icmp, icmp_type=kind) for kind in (1, 3, 5, 8, 11, 128)
    ]
    asked = [to(TCP), to(UDP), to(TCP, 23), to(TCP, 80), to(SCTP), to(DCCP), to(UDPLITE), to(47), *types]
    made = [
        host.listening(socket.SOCK_STREAM, OWN[family], 22),
        host.listening(socket.SOCK_DGRAM, OWN[family], 22),
        host.listening(socket.SOCK_STREAM, ANY[family], 80),
    ]
    try:
        for options, wildcard in (("", False), (" --nowildcard", True)):
            text = f"*filter\n:INPUT DROP [0:0]\n-A INPUT -m socket{options} -j ACCEPT\nCOMMIT\n"
            heard = ask(text, family, host, asked)
            assert heard.first == [True, True, False, wildcard, *[False] * (len(asked) - 4)]
            assert not list(against(heard, [PLAIN]))
    finally:
        for each in made:
            each.close()
