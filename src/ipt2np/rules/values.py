"""The kinds of values that options take: text in, typed value out, ``ValueFault`` where it does not fit."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from ipt2np.packets import AddressSet
from ipt2np.packets.intervals import ADDRESS_BITS, Range, merged
from ipt2np.rules.extension import Kind, ValueFault
from ipt2np.rules.names import ICMP_TYPES, ICMPV6_TYPES, IcmpType, number_of, port_number, protocol_number

EXPANDED_PREFIXES = 4096
"""A non-contiguous mask is expanded into at most so many prefixes; above it the match is undecided."""


@dataclass(frozen=True, slots=True)
class AddressSpec:
    """An address list of ``-s`` or ``-d``; ``exact`` is False where the mask is too scattered to expand."""

    addresses: AddressSet
    exact: bool = True


def word(text: str, family: int) -> str:
    """Any text."""
    return text


def number(text: str, family: int) -> int:
    """A number, decimal or with a leading 0x."""
    found = number_of(text, 2**64 - 1)
    if found is None:
        raise ValueFault(f"{text!r} is not a number", "a number")
    return found


def protocol(text: str, family: int) -> int:
    """A protocol's number; 0 means any (iptables(8), -p)."""
    found = protocol_number(text)
    if found is None:
        raise ValueFault(f"unknown protocol {text!r}", "a protocol name such as tcp, a number 0..255, or all")
    return found


def _address(text: str, family: int) -> int:
    """One address as an integer; IPv4 may leave out trailing parts, as iptables allows (10 is 10.0.0.0)."""
    if family == 4 and text.count(".") <= 3:
        parts = [number_of(part, 255) for part in text.split(".")]
        given = [part for part in parts if part is not None]
        if len(given) == len(parts):
            return int.from_bytes(bytes(given + [0] * (4 - len(given))), "big")
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        kind = "an IPv4 address" if family == 4 else "an IPv6 address"
        hint = f"{kind}, with /prefix or /mask if it is a network"
        if re.fullmatch(r"[A-Za-z0-9_.-]+", text) and re.search(r"[A-Za-z_]", text):
            raise ValueFault(
                f"{text!r} is a host name, not an address", f"{hint}; look the name up and write its address"
            ) from None
        raise ValueFault(f"{text!r} is not an address", hint) from None
    if parsed.version != family:
        raise ValueFault(
            f"{text!r} is an IPv{parsed.version} address in an IPv{family} ruleset",
            f"an IPv{family} address; give the other family's dump by --rules6",
        )
    return int(parsed)


def _mask(text: str, family: int) -> int:
    bits = ADDRESS_BITS[family]
    if text.isdecimal():
        length = number_of(text, bits)
        if length is None:
            raise ValueFault(f"/{text[:40]} is not a prefix length", f"a prefix length from 0 to {bits}")
        return ((1 << length) - 1) << (bits - length)
    try:
        return int(ipaddress.IPv4Address(text) if family == 4 else ipaddress.IPv6Address(text))
    except ValueError:
        raise ValueFault(f"/{text} is not a mask", f"a prefix length from 0 to {bits}, or a mask") from None


def _network(text: str, family: int) -> tuple[list[Range], bool]:
    address, slash, mask_text = text.partition("/")
    bits = ADDRESS_BITS[family]
    whole = (1 << bits) - 1
    value = _address(address, family)
    mask = _mask(mask_text, family) if slash else whole
    tail = whole & ~mask
    low_run = 0
    while tail >> low_run & 1:
        low_run += 1
    scattered = [bit for bit in range(low_run, bits) if tail >> bit & 1]
    base = value & mask
    if 1 << len(scattered) > EXPANDED_PREFIXES:
        top = scattered[-1] + 1
        start = base >> top << top
        return [(start, start + (1 << top) - 1)], False
    starts = [base]
    for bit in scattered:
        starts += [start | 1 << bit for start in starts]
    return [(start, start + (1 << low_run) - 1) for start in starts], True


def addresses(text: str, family: int) -> AddressSpec:
    """``ADDRESS[/MASK][,...]``: the union (iptables(8), -s; a list stands for one rule each)."""
    ranges: list[Range] = []
    exact = True
    for part in text.split(","):
        if not part:
            raise ValueFault("an address is missing", "an address or network")
        more, fully = _network(part, family)
        ranges += more
        exact &= fully
    return AddressSpec(AddressSet.of(family, ranges), exact)


def address_range(text: str, family: int) -> AddressSet:
    """``FIRST[-LAST]`` (iptables-extensions(8), iprange)."""
    first_text, dash, last_text = text.partition("-")
    first = _address(first_text, family)
    last = _address(last_text, family) if dash else first
    if last < first:
        raise ValueFault(f"the range {text} ends before it begins", "FIRST-LAST with FIRST <= LAST")
    return AddressSet.of(family, [(first, last)])


def _port(text: str) -> int:
    found = port_number(text)
    if found is None:
        raise ValueFault(f"{text!r} is not a port", "a port from 0 to 65535 or a service name")
    return found


def port_range(text: str, family: int) -> tuple[Range, ...]:
    """``PORT[:PORT]`` with either end left out for the least or greatest port."""
    first_text, colon, last_text = text.partition(":")
    if not text:
        raise ValueFault(f"{text!r} is not a port or a range", "a port or FIRST:LAST, each from 0 to 65535")
    first = _port(first_text) if first_text else 0
    last = (_port(last_text) if last_text else 0xFFFF) if colon else first
    if last < first:
        raise ValueFault(f"the port range {text} ends before it begins", "FIRST:LAST with FIRST <= LAST")
    return ((first, last),)


def port_list(text: str, family: int) -> tuple[Range, ...]:
    """``PORT[:PORT][,...]`` as canonical ranges (iptables-extensions(8), multiport)."""
    return merged(part for item in text.split(",") for part in port_range(item, family))


def icmp_type(text: str, family: int) -> IcmpType | None:
    """An ICMP type by name, number or ``type/code``; None means any type.

    iptables 1.8.9: ``any`` and, in IPv4 only, the number 255 mean any type.
    """
    if text == "any":
        return None
    names = ICMP_TYPES if family == 4 else ICMPV6_TYPES
    named = [value for name, value in names.items() if name.lower() == text.lower()]
    if not named:
        named = list({value for name, value in names.items() if name.lower().startswith(text.lower())})
    if len(named) == 1:
        return named[0]
    type_text, slash, code_text = text.partition("/")
    kind, code = number_of(type_text, 255), number_of(code_text, 255) if slash else None
    if kind is None or (slash and code is None):
        raise ValueFault(f"{text!r} is not an ICMP type", "a type's name, a number 0..255, type/code, or any")
    if family == 4 and kind == 255:
        return None
    return (kind, 0, 255) if code is None else (kind, code, code)


TCP_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ALL": 63, "NONE": 0}


def tcp_flags(text: str, family: int) -> int:
    """A comma-separated list of TCP flags as the bits of the header."""
    result = 0
    for name in text.split(","):
        if name.upper() not in TCP_FLAGS:
            raise ValueFault(f"{name!r} is not a TCP flag", "a list of " + ", ".join(TCP_FLAGS))
        result |= TCP_FLAGS[name.upper()]
    return result


def words_of(*choices: str) -> Kind:
    """A kind: a comma-separated list of words among ``choices``, upper-cased, as a frozenset."""

    def kind(text: str, family: int) -> frozenset[str]:
        words = [part.strip().upper() for part in text.split(",")]
        for part in words:
            if part not in choices:
                raise ValueFault(f"{part!r} is not known here", "a list of " + ", ".join(choices))
        return frozenset(words)

    return kind


def interface(text: str, family: int) -> str:
    """An interface name, or a wildcard with a final ``+``; the kernel takes at most 15 characters."""
    if not text or len(text) > 15:
        raise ValueFault(
            f"{text!r} is not an interface name", "a name of 1 to 15 characters, a final + for any suffix"
        )
    return text


def mac_address(text: str, family: int) -> str:
    """Six hexadecimal bytes separated by colons."""
    if not re.fullmatch(r"[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2}){5}", text):
        raise ValueFault(f"{text!r} is not a MAC address", "six bytes such as 00:11:22:aa:bb:cc")
    return text.upper()


def marked(text: str, family: int) -> tuple[int, int]:
    """``VALUE[/MASK]`` of a packet mark."""
    value, slash, mask = text.partition("/")
    return number(value, family), number(mask, family) if slash else 0xFFFFFFFF
