"""The types of ipsets: what an element's parts are, and which options a set is created with (ipset(8), 7.17).

Sources: lib/ipset_*.c of ipset 7.17 (each type's options and what its parts may look like); the kernel's
net/netfilter/ipset/ip_set_*.c (families, the ``nomatch`` flag, /0 networks, masks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Part(Enum):
    """What one part of an element is."""

    HOSTS = "ip"
    """An address; in IPv4 also a network or a range, which stand for their addresses."""
    HOST = "one ip"
    """An address alone."""
    NET = "net"
    """A network; in IPv4 also a range, which stands for the networks that make it up."""
    PORT = "port"
    IFACE = "iface"
    MARK = "mark"
    MAC = "mac"
    SET = "set"


ADDRESSES = frozenset({Part.HOSTS, Part.HOST, Part.NET})

_EVERY = frozenset({"timeout", "counters", "comment", "skbinfo"})
_HASH = _EVERY | {"family", "-4", "-6", "hashsize", "maxelem", "bucketsize", "initval", "forceadd"}
_OLD = frozenset({"probes", "resize", "gc", "from", "to", "network", "matchunset"})
"""Options of ipset 4, which say nothing of the entries of a hash."""

FLAG_OPTIONS = frozenset({"-4", "-6", "counters", "comment", "skbinfo", "forceadd", "matchunset"})
"""Options of ``create`` that take no value."""


@dataclass(frozen=True, slots=True)
class SetType:
    """A type of set: its name, the parts of an element, and how the kernel treats it."""

    name: str
    parts: tuple[Part, ...]
    old_name: str
    """The name that ipset 4 gave it; still understood."""
    options: frozenset[str]
    """What may follow ``create NAME TYPE``."""
    families: tuple[int, ...] = (4, 6)
    """Empty where sets of the type are of no family."""
    nomatch: bool = False
    """True where an entry may be flagged ``nomatch``."""
    whole: bool = False
    """True where a network may have the prefix length 0."""
    nonzero: tuple[int, ...] = ()
    """The families in which no entry holds for a first address that is zero (under the set's mask)."""
    stops: bool = False
    """True where the lookup ends at the longest prefix that has entries at all, whatever else they say."""

    @property
    def nets(self) -> int:
        """How many parts are networks, by whose prefix lengths entries are tried."""
        return self.parts.count(Part.NET)


def _hash(
    name: str,
    old: str,
    parts: tuple[Part, ...],
    *more: str,
    nomatch: bool = False,
    whole: bool = False,
    nonzero: tuple[int, ...] = (),
    stops: bool = False,
) -> SetType:
    options = _HASH | _OLD | set(more)
    return SetType(
        f"hash:{name}", parts, old, options, nomatch=nomatch, whole=whole, nonzero=nonzero, stops=stops
    )


_HOSTS, _HOST, _NET, _PORT = Part.HOSTS, Part.HOST, Part.NET, Part.PORT
_ALL = (
    SetType("bitmap:ip", (_HOSTS,), "ipmap", _EVERY | _OLD | {"range", "netmask"}, families=(4,)),
    SetType("bitmap:ip,mac", (_HOST, Part.MAC), "macipmap", _EVERY | _OLD | {"range"}, families=(4,)),
    SetType("bitmap:port", (_PORT,), "portmap", _EVERY | _OLD | {"range"}, families=()),
    _hash("ip", "iphash", (_HOSTS,), "netmask", "bitmask", nonzero=(4, 6)),
    _hash("ip,mac", "ipmachash", (_HOST, Part.MAC)),
    _hash("ip,mark", "ipmarkhash", (_HOSTS, Part.MARK), "markmask"),
    _hash("ip,port", "ipporthash", (_HOSTS, _PORT), "netmask", "bitmask", nonzero=(4, 6)),
    _hash("ip,port,ip", "ipportiphash", (_HOSTS, _PORT, _HOST)),
    _hash("ip,port,net", "ipportnethash", (_HOSTS, _PORT, _NET), nomatch=True),
    SetType("hash:mac", (Part.MAC,), "machash", _HASH - {"family", "-4", "-6"}, families=()),
    _hash("net", "nethash", (_NET,), nomatch=True),
    _hash("net,iface", "netifacehash", (_NET, Part.IFACE), nomatch=True, whole=True, stops=True),
    _hash("net,net", "netnethash", (_NET, _NET), "netmask", "bitmask", nonzero=(6,), nomatch=True),
    _hash("net,port", "netporthash", (_NET, _PORT), nomatch=True),
    _hash("net,port,net", "netportnethash", (_NET, _PORT, _NET), nomatch=True, whole=True),
    SetType("list:set", (Part.SET,), "setlist", _EVERY | {"size"}, families=()),
)
SET_TYPES: Mapping[str, SetType] = {each.name: each for each in _ALL}
"""Every type by its name."""

OLD_NAMES: Mapping[str, str] = {each.old_name: each.name for each in _ALL} | {
    "iptree": "hash:ip",
    "iptreemap": "hash:net",
}
"""ipset 4's names. ``iptree`` and ``iptreemap`` are gone since: sets of addresses, and of networks and ranges."""

ICMP_NAMES: Mapping[int, Mapping[str, tuple[int, int]]] = {
    4: {
        "echo-reply": (0, 0), "pong": (0, 0), "network-unreachable": (3, 0), "host-unreachable": (3, 1),
        "protocol-unreachable": (3, 2), "port-unreachable": (3, 3), "fragmentation-needed": (3, 4),
        "source-route-failed": (3, 5), "network-unknown": (3, 6), "host-unknown": (3, 7),
        "network-prohibited": (3, 9), "host-prohibited": (3, 10), "tos-network-unreachable": (3, 11),
        "tos-host-unreachable": (3, 12), "communication-prohibited": (3, 13),
        "host-precedence-violation": (3, 14), "precedence-cutoff": (3, 15), "source-quench": (4, 0),
        "network-redirect": (5, 0), "host-redirect": (5, 1), "tos-network-redirect": (5, 2),
        "tos-host-redirect": (5, 3), "echo-request": (8, 0), "ping": (8, 0), "router-advertisement": (9, 0),
        "router-solicitation": (10, 0), "ttl-zero-during-transit": (11, 0),
        "ttl-zero-during-reassembly": (11, 1), "ip-header-bad": (12, 0), "required-option-missing": (12, 1),
        "timestamp-request": (13, 0), "timestamp-reply": (14, 0), "address-mask-request": (17, 0),
        "address-mask-reply": (18, 0),
    },
    6: {
        "no-route": (1, 0), "communication-prohibited": (1, 1), "address-unreachable": (1, 3),
        "port-unreachable": (1, 4), "packet-too-big": (2, 0), "ttl-zero-during-transit": (3, 0),
        "ttl-zero-during-reassembly": (3, 1), "bad-header": (4, 0), "unknown-header-type": (4, 1),
        "unknown-option": (4, 2), "echo-request": (128, 0), "ping": (128, 0), "echo-reply": (129, 0),
        "pong": (129, 0), "router-solicitation": (133, 0), "router-advertisement": (134, 0),
        "neighbour-solicitation": (135, 0), "neigbour-solicitation": (135, 0),
        "neighbour-advertisement": (136, 0), "neigbour-advertisement": (136, 0), "redirect": (137, 0),
    },
}  # fmt: skip
"""ipset's own names for an ICMP type with a code (lib/icmp.c, lib/icmpv6.c): the first that begins so is meant."""
