"""Names that iptables accepts for numbers: protocols, services, ICMP types.

Protocols: iptables' own list (libxtables/xtables.c, xtables_chain_protos) and IANA's names as
/etc/protocols has them. Services: a table of the project's own (``rules/services.py``), never the machine's. ICMP:
libxt_icmp.h of iptables 1.8.9.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ipt2np.rules.services import SERVICES

PROTOCOLS: Mapping[str, int] = {
    "ip": 0, "hopopt": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "ipv4": 4, "st": 5, "tcp": 6,
    "egp": 8, "igp": 9, "pup": 12, "udp": 17, "hmp": 20, "xns-idp": 22, "rdp": 27, "iso-tp4": 29, "dccp": 33,
    "xtp": 36, "ddp": 37, "idpr-cmtp": 38, "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "idrp": 45,
    "rsvp": 46, "gre": 47, "esp": 50, "ipv6-crypt": 50, "ah": 51, "ipv6-auth": 51, "skip": 57, "icmpv6": 58,
    "ipv6-icmp": 58, "icmp6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60, "rspf": 73, "vmtp": 81, "eigrp": 88,
    "ospf": 89, "ospfigp": 89, "ax.25": 93, "ipip": 94, "etherip": 97, "encap": 98, "pim": 103, "ipcomp": 108, "vrrp": 112,
    "l2tp": 115, "isis": 124, "sctp": 132, "fc": 133, "mobility-header": 135, "ipv6-mh": 135, "mh": 135,
    "udplite": 136, "mpls-in-ip": 137, "manet": 138, "hip": 139, "shim6": 140, "wesp": 141, "rohc": 142, "ethernet": 143,
}  # fmt: skip

_ALIASES = frozenset(
    {"hopopt", "ipv4", "ipv6-crypt", "ipv6-auth", "icmpv6", "icmp6", "ospfigp", "ipv6-mh", "mh"}
)
"""Names that iptables reads beside the one that /etc/protocols gives to the number."""
_SAVED: Mapping[int, str] = {number: name for name, number in PROTOCOLS.items() if name not in _ALIASES}

IcmpType = tuple[int, int, int]
"""An ICMP type and its first and last code."""

ICMP_TYPES: Mapping[str, IcmpType] = {
    "echo-reply": (0, 0, 255), "pong": (0, 0, 255),
    "destination-unreachable": (3, 0, 255), "network-unreachable": (3, 0, 0), "host-unreachable": (3, 1, 1),
    "protocol-unreachable": (3, 2, 2), "port-unreachable": (3, 3, 3), "fragmentation-needed": (3, 4, 4),
    "source-route-failed": (3, 5, 5), "network-unknown": (3, 6, 6), "host-unknown": (3, 7, 7),
    "network-prohibited": (3, 9, 9), "host-prohibited": (3, 10, 10), "TOS-network-unreachable": (3, 11, 11),
    "TOS-host-unreachable": (3, 12, 12), "communication-prohibited": (3, 13, 13),
    "host-precedence-violation": (3, 14, 14), "precedence-cutoff": (3, 15, 15),
    "source-quench": (4, 0, 255),
    "redirect": (5, 0, 255), "network-redirect": (5, 0, 0), "host-redirect": (5, 1, 1),
    "TOS-network-redirect": (5, 2, 2), "TOS-host-redirect": (5, 3, 3),
    "echo-request": (8, 0, 255), "ping": (8, 0, 255),
    "router-advertisement": (9, 0, 255), "router-solicitation": (10, 0, 255),
    "time-exceeded": (11, 0, 255), "ttl-exceeded": (11, 0, 255), "ttl-zero-during-transit": (11, 0, 0),
    "ttl-zero-during-reassembly": (11, 1, 1),
    "parameter-problem": (12, 0, 255), "ip-header-bad": (12, 0, 0), "required-option-missing": (12, 1, 1),
    "timestamp-request": (13, 0, 255), "timestamp-reply": (14, 0, 255),
    "address-mask-request": (17, 0, 255), "address-mask-reply": (18, 0, 255),
}  # fmt: skip

ICMPV6_TYPES: Mapping[str, IcmpType] = {
    "destination-unreachable": (1, 0, 255), "no-route": (1, 0, 0), "communication-prohibited": (1, 1, 1),
    "beyond-scope": (1, 2, 2), "address-unreachable": (1, 3, 3), "port-unreachable": (1, 4, 4),
    "failed-policy": (1, 5, 5), "reject-route": (1, 6, 6),
    "packet-too-big": (2, 0, 255),
    "time-exceeded": (3, 0, 255), "ttl-exceeded": (3, 0, 255), "ttl-zero-during-transit": (3, 0, 0),
    "ttl-zero-during-reassembly": (3, 1, 1),
    "parameter-problem": (4, 0, 255), "bad-header": (4, 0, 0), "unknown-header-type": (4, 1, 1),
    "unknown-option": (4, 2, 2),
    "echo-request": (128, 0, 255), "ping": (128, 0, 255), "echo-reply": (129, 0, 255), "pong": (129, 0, 255),
    "mld-listener-query": (130, 0, 255), "mld-listener-report": (131, 0, 255),
    "mld-listener-done": (132, 0, 255), "mld-listener-reduction": (132, 0, 255),
    "router-solicitation": (133, 0, 255), "router-advertisement": (134, 0, 255),
    "neighbor-solicitation": (135, 0, 255), "neighbour-solicitation": (135, 0, 255),
    "neighbor-advertisement": (136, 0, 255), "neighbour-advertisement": (136, 0, 255),
    "redirect": (137, 0, 255),
}  # fmt: skip


_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]{1,16}|0[0-7]{0,22}|[1-9][0-9]{0,19}")


def number_of(text: str, most: int) -> int | None:
    """The number from 0 to ``most`` that iptables reads, or None.

    As strtoul(3) with base 0 (libxtables/xtables.c, xtables_strtoui): 0x begins hexadecimal, 0 octal.
    """
    if not _NUMBER.fullmatch(text):
        return None
    base = 10 if text[0] != "0" else 16 if text[1:2] in ("x", "X") else 8
    value = int(text, base)
    return value if value <= most else None


def protocol_number(text: str) -> int | None:
    """The protocol's number 0..255 (``all`` is 0, which means any), or None."""
    number = number_of(text, 255)
    if number is not None:
        return number
    name = text.lower()
    return 0 if name == "all" else PROTOCOLS.get(name)


def saved_protocol(number: int) -> str:
    """What iptables-save prints behind -p: the name that /etc/protocols has, else the number."""
    return _SAVED.get(number, str(number))


def protocol_name(number: int) -> str:
    """The lower-case name that reports use: tcp, udp, sctp, icmp, icmpv6, else the number as text."""
    return {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}.get(number, str(number))


def port_number(text: str) -> int | None:
    """The port 0..65535 that a number or service name stands for, or None."""
    number = number_of(text, 0xFFFF)
    if number is not None or text[:1].isdecimal():
        return number
    return SERVICES.get(text.lower())
