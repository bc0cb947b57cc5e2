"""Which packets a rule is about, its peers aside: ``toPorts``, ``icmps`` and Kubernetes ``ports``.

Sources: cilium: pkg/policy/api/{l4,icmp,rule_validation}.go, pkg/u8proto; the CRDs' patterns; for protocols beyond
SCTP cilium#44459 and the option enable-extended-ip-protocols.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ipt2np.cni.kinds.cilium.fields import fields_of
from ipt2np.cni.manifests import list_of, require
from ipt2np.packets.intervals import Range

MAX_ENTRIES = 40
"""Entries of one ``toPorts[].ports`` and of one ``icmps[].fields``."""
LAST_PORT = 65535
ALL_PORTS: Range = (0, LAST_PORT)
ICMP_NUMBERS: Mapping[int, int] = {4: 1, 6: 58}
"""The protocol number of ICMP by IP version."""
_VERSIONS: Mapping[str, int] = {"IPv4": 4, "IPv6": 6}
TRANSPORTS: Mapping[str, int] = {"TCP": 6, "UDP": 17, "SCTP": 132}
EXTENDED: Mapping[str, int] = {
    "IGMP": 2,
    "IPIP": 4,
    "IPV6": 41,
    "GRE": 47,
    "ESP": 50,
    "AH": 51,
    "VRRP": 112,
}
"""Protocols without ports, known to agents with enable-extended-ip-protocols only."""

_PORT = re.compile(r"0|[1-9][0-9]{0,4}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,2}")
ICMP_TYPES: Mapping[str, Mapping[str, int]] = {
    "IPv4": {
        "EchoReply": 0,
        "DestinationUnreachable": 3,
        "Redirect": 5,
        "Echo": 8,
        "EchoRequest": 8,
        "RouterAdvertisement": 9,
        "RouterSelection": 10,
        "TimeExceeded": 11,
        "ParameterProblem": 12,
        "Timestamp": 13,
        "TimestampReply": 14,
        "Photuris": 40,
        "ExtendedEchoRequest": 42,
    },
    "IPv6": {
        "DestinationUnreachable": 1,
        "PacketTooBig": 2,
        "TimeExceeded": 3,
        "ParameterProblem": 4,
        "EchoRequest": 128,
        "EchoReply": 129,
        "MulticastListenerQuery": 130,
        "MulticastListenerReport": 131,
        "MulticastListenerDone": 132,
        "RouterSolicitation": 133,
        "RouterAdvertisement": 134,
        "NeighborSolicitation": 135,
        "NeighborAdvertisement": 136,
        "RedirectMessage": 137,
        "RouterRenumbering": 138,
        "ICMPNodeInformationQuery": 139,
        "ICMPNodeInformationResponse": 140,
        "InverseNeighborDiscoverySolicitation": 141,
        "InverseNeighborDiscoveryAdvertisement": 142,
        "HomeAgentAddressDiscoveryRequest": 144,
        "HomeAgentAddressDiscoveryReply": 145,
        "MobilePrefixSolicitation": 146,
        "MobilePrefixAdvertisement": 147,
        "DuplicateAddressRequestCodeSuffix": 157,
        "DuplicateAddressConfirmationCodeSuffix": 158,
        "ExtendedEchoRequest": 160,
    },
}
"""Names of ICMP types; those that the CRD's pattern spells wrongly (ExtendedEchoReply) are left out."""


@dataclass(frozen=True, slots=True)
class PortEntry:
    """Ports of some protocols; all of them for protocols that have none."""

    protocols: tuple[int, ...]
    ports: Range = ALL_PORTS
    proxied: bool = False
    """True where a proxy has the last word on the connection."""


@dataclass(frozen=True, slots=True)
class Services:
    """The union of its entries, or every packet where ``everything``."""

    everything: bool = False
    ports: tuple[PortEntry, ...] = ()
    icmp: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    """IP version and type."""


EVERYTHING = Services(everything=True)


def _port_entry(entry: Any, where: str, *, proxied: bool) -> PortEntry:
    fields = fields_of(entry, where, {"port", "endPort", "protocol"})
    protocol, text, end = fields.get("protocol", "ANY"), fields.get("port", ""), fields.get("endPort")
    known = isinstance(protocol, str) and (
        protocol == "ANY" or protocol in TRANSPORTS or protocol in EXTENDED
    )
    require(known, f"{where}: protocol {protocol!r}")
    if protocol in EXTENDED:
        require(text in ("", "0") and end is None, f"{where}: {protocol} has no ports")
        require(not proxied, f"{where}: rules of requests need TCP ports")
        return PortEntry((EXTENDED[protocol],))
    require(isinstance(text, str), f"{where}: port {text!r} is not text")
    if re.search("[A-Za-z]", text):
        require(False, f"{where}: port {text!r} is a name; which number it stands for depends on the pod")
    require(bool(_PORT.fullmatch(text)) and int(text) <= LAST_PORT, f"{where}: port {text!r}")
    number = int(text)
    require(
        end is None
        or (isinstance(end, int) and not isinstance(end, bool) and 0 < number <= end <= LAST_PORT),
        f"{where}: endPort {end!r} of port {text}",
    )
    require(not proxied or (protocol == "TCP" and number > 0), f"{where}: rules of requests need TCP ports")
    numbers = tuple(TRANSPORTS.values()) if protocol == "ANY" else (TRANSPORTS[protocol],)
    return PortEntry(numbers, (number, end or number) if number else ALL_PORTS, proxied)


_REQUESTS = {"rules", "serverNames", "terminatingTLS", "originatingTLS", "listener"}
"""Fields of an allow rule's toPorts that hand the connection to a proxy."""


def _requests(part: Mapping[str, Any], where: str, *, host: bool) -> bool:
    """True where the element has rules of requests; their grammar is the proxy's and not looked at here."""
    require("listener" not in part, f"{where}: a listener is for egress only")
    rules = part.get("rules")
    if rules is not None:
        kinds = fields_of(rules, f"{where}.rules", {"http", "kafka", "dns", "l7proto", "l7"})
        require("dns" not in kinds, f"{where}: rules of DNS requests are for egress only")
        require(len(set(kinds) - {"l7"}) == 1, f"{where}.rules: exactly one of http, kafka, l7proto")
        require(not host, f"{where}: host policies have no rules of requests")
    return bool(_REQUESTS & set(part))


def to_ports(value: Any, where: str, *, deny: bool, host: bool) -> tuple[PortEntry, ...]:
    """The entries of ``toPorts``; PolicyFault for named ports, of which a packet knows nothing."""
    found = []
    for index, element in enumerate(list_of(value, where)):
        at = f"{where}[{index}]"
        part = fields_of(element, at, {"ports"} if deny else {"ports"} | _REQUESTS)
        entries = list_of(part.get("ports"), f"{at}.ports")
        require(bool(entries), f"{at} has no ports")
        require(
            len(entries) <= MAX_ENTRIES,
            f"{at}: {len(entries)} ports, at most {MAX_ENTRIES} go in one element",
        )
        proxied = _requests(part, at, host=host)
        found += [_port_entry(entry, f"{at}.ports[{i}]", proxied=proxied) for i, entry in enumerate(entries)]
    return tuple(found)


def _icmp_type(value: Any, family: str, where: str) -> int:
    if isinstance(value, str):
        value = int(value) if _NUMBER.fullmatch(value) else ICMP_TYPES[family].get(value)
    require(
        isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255,
        f"{where}: bad ICMP type",
    )
    return int(value)


def icmp_fields(value: Any, where: str) -> frozenset[tuple[int, int]]:
    """IP version and type of each field of ``icmps``."""
    found = set()
    for index, element in enumerate(list_of(value, where)):
        at = f"{where}[{index}]"
        entries = list_of(fields_of(element, at, {"fields"}).get("fields"), f"{at}.fields")
        require(bool(entries), f"{at} has no fields")
        require(
            len(entries) <= MAX_ENTRIES,
            f"{at}: {len(entries)} fields, at most {MAX_ENTRIES} go in one element",
        )
        for i, entry in enumerate(entries):
            fields = fields_of(entry, f"{at}.fields[{i}]", {"family", "type"})
            family = fields.get("family", "IPv4")
            known = isinstance(family, str) and family in _VERSIONS
            require(known, f"{at}.fields[{i}]: family {family!r}")
            found.add((_VERSIONS[family], _icmp_type(fields.get("type"), family, f"{at}.fields[{i}]")))
    return frozenset(found)


def kubernetes_ports(entries: list[Any]) -> Services:
    """The ``ports`` of a valid Kubernetes rule: each becomes an element of ``toPorts`` (pkg/k8s/network_policy.go)."""
    if not entries:
        return EVERYTHING
    found = []
    for entry in entries:
        number = entry.get("port")
        ports = ALL_PORTS if number is None else (number, entry.get("endPort") or number)
        found.append(PortEntry((TRANSPORTS[entry.get("protocol", "TCP")],), ports))
    return Services(ports=tuple(found))
