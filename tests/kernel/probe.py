"""Probes and the raw packets that carry them (standard library only).

A probe describes one connection attempt.  The probe's number travels in the IPv4 identification
field, or in the low 16 bits of the IPv6 flow label: no iptables match reads either of them.

Sources of the facts relied upon, in the Linux tree:

* net/netfilter/nf_conntrack_proto_tcp.c, _udp.c, _sctp.c, _icmp.c, _icmpv6.c: with
  ``net.netfilter.nf_conntrack_checksum=1`` (the default) a bad checksum makes a packet INVALID, so
  every checksum here is right; a first SCTP packet must be an INIT with verification tag 0.
* RFC 1071 (checksum), RFC 9260 (SCTP, CRC32c in appendix A), RFC 3828 (UDP-Lite: the pseudo header
  carries the datagram's length, not its coverage), RFC 4340 (DCCP).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
DCCP: Final = 33
ICMPV6: Final = 58
SCTP: Final = 132
MH: Final = 135
UDPLITE: Final = 136
NO_NEXT: Final = 59

PORT_PROTOCOLS: Final = frozenset({TCP, UDP, DCCP, SCTP, UDPLITE})

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
ACK: Final = 0x10

#: IPv6 extension headers: as a protocol number they would be parsed as headers and not judged as a
#: protocol (net/ipv6/exthdrs_core.c, ipv6_ext_hdr()).
EXTENSION_HEADERS: Final = frozenset({0, 43, 44, 51, 60})

#: ICMP requests that conntrack accepts as a new connection, with the type of their answer
#: (icmp_new() and invmap[] in nf_conntrack_proto_icmp.c; the same names in _icmpv6.c).
ICMP_ANSWER: Final = {4: {8: 0, 13: 14, 15: 16, 17: 18}, 6: {128: 129, 139: 140}}

_CLIENT_SEQ: Final = 1_000_000
_SERVER_SEQ: Final = 2_000_000
_CLIENT_TAG: Final = 0x11111111
_SERVER_TAG: Final = 0x22222222
_COOKIE: Final = b"cook"
_OPAQUE: Final = bytes(16)
#: A Binding Refresh Request (RFC 6275, 6.1.2): type 0, and "no next header" as its payload.
_MOBILITY: Final = struct.pack("!BBBBHH", NO_NEXT, 0, 0, 0, 0, 0)
_DATA: Final = b"probe..."


@dataclass(frozen=True)
class Probe:
    """One connection attempt towards the host under test."""

    family: int
    source: str
    destination: str
    protocol: int
    sport: int = 0
    dport: int = 0
    icmp_type: int = 0
    icmp_code: int = 0
    interface: str = "eth0"


@lru_cache(maxsize=200_000)
def _address(family: int, text: str) -> tuple[bytes, int]:
    raw = inet_pton(AF_INET if family == 4 else AF_INET6, text)
    return raw, int.from_bytes(raw, "big")


def _checksum(total: int) -> int:
    """RFC 1071 checksum of a number whose 16-bit digits are the words (2**16 == 1 modulo 65535).

    A result of zero appears as 0xffff, its other representation, which UDP asks for.
    """
    return 0xFFFF - total % 0xFFFF


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC32C: Final = _crc32c_table()


def crc32c(data: bytes) -> int:
    """The Castagnoli CRC that SCTP uses."""
    table = _CRC32C
    value = 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _ip(family: int, source: bytes, destination: bytes, protocol: int, ident: int, payload: bytes) -> bytes:
    if family == 4:
        start = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(payload), ident, 0, 64, protocol)
        total = int.from_bytes(start, "big") + int.from_bytes(source + destination, "big")
        return b"%b%b%b%b%b" % (start, _checksum(total).to_bytes(2, "big"), source, destination, payload)
    start = struct.pack("!IHBB", 0x60000000 | ident, len(payload), protocol, 64)
    return b"%b%b%b%b" % (start, source, destination, payload)


def _tcp(pseudo: int, sport: int, dport: int, flags: int, seq: int, ack: int) -> bytes:
    head = struct.pack("!HHIIBBH", sport, dport, seq, ack, 0x50, flags, 0xFAF0)
    # The words that follow the checksum (urgent pointer) are zero, those before keep their digits.
    check = _checksum(int.from_bytes(head, "big") + pseudo + 20)
    return b"%b%b\0\0" % (head, check.to_bytes(2, "big"))


def _udp(pseudo: int, sport: int, dport: int, coverage: int) -> bytes:
    head = struct.pack("!HHH", sport, dport, coverage)
    total = int.from_bytes(head, "big") + int.from_bytes(_DATA, "big") + pseudo + 8 + len(_DATA)
    return b"%b%b%b" % (head, _checksum(total).to_bytes(2, "big"), _DATA)


def _sctp(sport: int, dport: int, tag: int, chunk: bytes) -> bytes:
    ports = struct.pack("!HHI", sport, dport, tag)
    crc = crc32c(b"%b\0\0\0\0%b" % (ports, chunk))
    return b"%b%b%b" % (ports, crc.to_bytes(4, "little"), chunk)


def _sctp_init(kind: int, tag: int, tail: bytes) -> bytes:
    return struct.pack("!BBHIIHHI", kind, 0, 20 + len(tail), tag, 65536, 1, 1, 1) + tail


_INIT: Final = _sctp_init(1, _CLIENT_TAG, b"")
_INIT_ACK: Final = _sctp_init(2, _SERVER_TAG, struct.pack("!HH", 7, 8) + _COOKIE)
_COOKIE_ECHO: Final = struct.pack("!BBH", 10, 0, 8) + _COOKIE


def _dccp(pseudo: int, sport: int, dport: int, kind: int, seq: int, rest: bytes) -> bytes:
    length = 16 + len(rest)
    head = struct.pack("!HHBBHBBHI", sport, dport, length // 4, 0, 0, kind << 1 | 1, 0, 0, seq) + rest
    check = _checksum(int.from_bytes(head, "big") + pseudo + length)
    return head[:6] + check.to_bytes(2, "big") + head[8:]


def _icmp(pseudo: int, family: int, kind: int, code: int, ident: int, sequence: int) -> bytes:
    tail = struct.pack("!HH", ident, sequence) + _DATA
    total = (kind << 8 | code) + int.from_bytes(tail, "big")
    if family == 6:
        total += pseudo + 4 + len(tail)
    return struct.pack("!BBH", kind, code, _checksum(total)) + tail


#: The three moments of a connection: the client's first packet, the server's answer, the client's next.
_FIRST, _ANSWER, _LATER = 0, 1, 2


def _layer4(probe: Probe, ident: int, moment: int, pseudo: int, flags: int) -> bytes:
    protocol = probe.protocol
    answering = moment == _ANSWER
    sport, dport = (probe.dport, probe.sport) if answering else (probe.sport, probe.dport)
    if protocol == TCP:
        if moment == _FIRST:
            return _tcp(pseudo, sport, dport, flags, _CLIENT_SEQ, _SERVER_SEQ if flags & ACK else 0)
        if answering:
            return _tcp(pseudo, sport, dport, SYN | ACK, _SERVER_SEQ, _CLIENT_SEQ + 1)
        return _tcp(pseudo, sport, dport, flags, _CLIENT_SEQ + 1, _SERVER_SEQ + 1)
    if protocol == UDP:
        return _udp(pseudo, sport, dport, 8 + len(_DATA))
    if protocol == UDPLITE:
        # The length counts once in the pseudo header; the coverage field 0 means "all of it".
        return _udp(pseudo, sport, dport, 0)
    if protocol == SCTP:
        if moment == _FIRST:
            return _sctp(sport, dport, 0, _INIT)
        if answering:
            return _sctp(sport, dport, _CLIENT_TAG, _INIT_ACK)
        return _sctp(sport, dport, _SERVER_TAG, _COOKIE_ECHO)
    if protocol == DCCP:
        if moment == _FIRST:
            return _dccp(pseudo, sport, dport, 0, 1, bytes(4))
        if answering:
            return _dccp(pseudo, sport, dport, 1, 1, struct.pack("!II", 0, 1) + bytes(4))
        return _dccp(pseudo, sport, dport, 3, 2, struct.pack("!II", 0, 1))
    if protocol == (ICMP if probe.family == 4 else ICMPV6):
        kind = ICMP_ANSWER[probe.family][probe.icmp_type] if answering else probe.icmp_type
        sequence = 2 if moment == _LATER else 1
        return _icmp(pseudo, probe.family, kind, probe.icmp_code, ident, sequence)
    return _MOBILITY if protocol == MH else _OPAQUE


def _packet(probe: Probe, ident: int, moment: int, flags: int) -> bytes:
    family, protocol = probe.family, probe.protocol
    if family == 6 and protocol in EXTENSION_HEADERS:
        raise ValueError(f"IPv6 next header {protocol} is an extension header, not a protocol")
    source, source_number = _address(family, probe.source)
    destination, destination_number = _address(family, probe.destination)
    if moment == _ANSWER:
        source, destination = destination, source
    payload = _layer4(probe, ident, moment, source_number + destination_number + protocol, flags)
    return _ip(family, source, destination, protocol, ident, payload)


def first_packet(probe: Probe, ident: int, *, flags: int = SYN) -> bytes:
    """The packet that opens the connection; *flags* are the TCP flags."""
    return _packet(probe, ident, _FIRST, flags)


def answer_packet(probe: Probe, ident: int) -> bytes:
    """The server's answer, from the probe's destination to its source."""
    return _packet(probe, ident, _ANSWER, 0)


def later_packet(probe: Probe, ident: int, *, flags: int = ACK) -> bytes:
    """The client's next packet after the answer."""
    return _packet(probe, ident, _LATER, flags)


def can_answer(probe: Probe) -> bool:
    """Whether an answer to this probe exists (an ICMP notification has none)."""
    if probe.protocol == (ICMP if probe.family == 4 else ICMPV6):
        return probe.icmp_type in ICMP_ANSWER[probe.family]
    return True


def connection_key(probe: Probe, ident: int, *, rewritten: bool = False) -> tuple[object, ...]:
    """What conntrack tells connections apart by (the interface is not part of it).

    Where nat rewrites, connections to different ports may become one to the host.
    """
    key = (probe.family, probe.source, "" if rewritten else probe.destination, probe.protocol)
    if probe.protocol in PORT_PROTOCOLS:
        return (*key, probe.sport, 0 if rewritten else probe.dport)
    if probe.protocol == (ICMP if probe.family == 4 else ICMPV6):
        return (*key, probe.icmp_type, probe.icmp_code, ident)
    return key
