"""The kinds of values that options take: text in, typed value out, canonical text back.

Reading follows libxtables (libxtables/xtoptions.c and xtables.c of iptables 1.8.9), writing what the extensions'
own ``save`` functions print. A text that does not fit is a ``ValueFault``.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ipt2np.packets import AddressSet
from ipt2np.packets.intervals import ADDRESS_BITS, Range, merged
from ipt2np.rules.extension import Kind, ValueFault
from ipt2np.rules.names import (
    ICMP_TYPES,
    ICMPV6_TYPES,
    IcmpType,
    number_of,
    port_number,
    protocol_number,
    saved_protocol,
)
from ipt2np.text import as_bytes

EXPANDED_PREFIXES = 4096
"""A non-contiguous mask is expanded into at most so many prefixes; above it the match is undecided."""
_DOMAINS = {4: socket.AF_INET, 6: socket.AF_INET6}
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def quoted(text: str) -> str:
    """``text`` as iptables-save writes free text (libxtables/xtables.c, xtables_save_string)."""
    return text if _PLAIN.fullmatch(text) else '"' + re.sub(r"([\"'\\])", r"\\\1", text) + '"'


def _as_it_is(value: object, family: int) -> str:
    return str(value)


def saved_address(value: int, family: int) -> str:
    """An address as inet_ntop(3) writes it: IPv4-mapped ones keep their dots."""
    return socket.inet_ntop(_DOMAINS[family], value.to_bytes(ADDRESS_BITS[family] // 8, "big"))


# -- words and numbers ------------------------------------------------------------------------------------

word = Kind("WORD", lambda text, family: text, _as_it_is, "word")
"""Any text, printed as it is."""


def string(most: int = 0, *, least: int = 0, cut: bool = False, title: str = "TEXT") -> Kind:
    """Free text, quoted where it must be; longer than ``most`` bytes it is cut where ``cut`` says so, else a fault."""

    def read(text: str, family: int) -> str:
        data = as_bytes(text)
        if len(data) < least:
            raise ValueFault(f"{text!r} is too short", f"at least {least} characters")
        if most and len(data) > most:
            if not cut:
                raise ValueFault(f"{text[:40]!r}… is too long", f"at most {most} characters")
            return data[:most].decode("utf-8", "surrogateescape")
        return text

    return Kind(title, read, lambda value, family: quoted(str(value)), "text")


def unquoted(most: int, *, title: str = "NAME") -> Kind:
    """A name, cut to ``most`` bytes as the kernel keeps it, and printed as it is, without quotes."""
    return Kind(title, string(most, cut=True).read, _as_it_is, "name")


def integer(high: int = 0xFFFFFFFF, low: int = 0, *, title: str = "N", hexadecimal: bool = False) -> Kind:
    """A number from ``low`` to ``high``, read as strtoul(3) does, written in decimal or as ``0x…``."""

    def read(text: str, family: int) -> int:
        found = number_of(text, high)
        if found is None or found < low:
            raise ValueFault(f"{text!r} is no number from {low} to {high}", f"a number from {low} to {high}")
        return found

    write = (lambda value, family: hex(int(value))) if hexadecimal else _as_it_is
    return Kind(title, read, write, str(max(low, min(5, high))))


number = integer(2**64 - 1)
"""Any number of at most 64 bits."""


def integer_range(
    high: int = 0xFFFFFFFF, *, separator: str = ":", title: str = "N[:N]", ordered: bool = True
) -> Kind:
    """``FIRST[:LAST]`` as a pair; either end left out is the least or greatest number. One number is written alone.

    Unless ``ordered``, a range that ends before it begins is read as well: the kernel takes it, and nothing is in it.
    """

    def one(text: str, otherwise: int) -> int:
        if not text:
            return otherwise
        found = number_of(text, high)
        if found is None:
            raise ValueFault(
                f"{text!r} is no number from 0 to {high}", f"FIRST{separator}LAST, each from 0 to {high}"
            )
        return found

    def read(text: str, family: int) -> Range:
        first, middle, last = text.partition(separator)
        if not text:
            raise ValueFault("a number is missing", f"FIRST{separator}LAST, each from 0 to {high}")
        low = one(first, 0)
        top = one(last, high) if middle else low
        if ordered and top < low:
            raise ValueFault(
                f"the range {text} ends before it begins", f"FIRST{separator}LAST with FIRST <= LAST"
            )
        return low, top

    def write(value: Range, family: int) -> str:
        return str(value[0]) if value[0] == value[1] else f"{value[0]}{separator}{value[1]}"

    return Kind(title, read, write, f"20{separator}60")


@dataclass(frozen=True, slots=True)
class Masked:
    """A value under a mask: bits outside the mask do not count."""

    value: int
    mask: int


def masked(bits: int = 32, *, title: str = "VALUE[/MASK]", always: bool = False) -> Kind:
    """``VALUE[/MASK]``, written in hexadecimal; a full mask is left out unless ``always``."""
    full = (1 << bits) - 1

    def part(text: str) -> int:
        found = number_of(text, full)
        if found is None:
            raise ValueFault(
                f"{text!r} is no number from 0 to {full:#x}", "VALUE or VALUE/MASK such as 0x1/0xff"
            )
        return found

    def read(text: str, family: int) -> Masked:
        value, slash, mask = text.partition("/")
        return Masked(part(value), part(mask) if slash else full)

    def write(value: Masked, family: int) -> str:
        return f"{value.value:#x}/{value.mask:#x}" if always or value.mask != full else f"{value.value:#x}"

    return Kind(title, read, write, "0x1/0xff")


marked = masked()
"""``VALUE[/MASK]`` of a packet or connection mark."""


def words_of(*choices: str, title: str = "LIST", lower: bool = False) -> Kind:
    """A comma-separated list of words among ``choices``, in any case, as a frozenset; written in their order."""

    def read(text: str, family: int) -> frozenset[str]:
        words = [part.strip().upper() for part in text.split(",")]
        for part in words:
            if part not in choices:
                raise ValueFault(f"{part!r} is not known here", "a list of " + ", ".join(choices))
        return frozenset(words)

    def write(value: frozenset[str], family: int) -> str:
        text = ",".join(each for each in choices if each in value)
        return text.lower() if lower else text

    return Kind(title, read, write, choices[0].lower() if lower else choices[0])


def choice(
    *names: str, title: str = "NAME", aliases: Mapping[str, str] | None = None, fold: bool = False
) -> Kind:
    """One of ``names`` (in any case where ``fold``), or another spelling out of ``aliases``, each to a name."""
    other = aliases or {}

    def read(text: str, family: int) -> str:
        text = text.upper() if fold else text
        found = other.get(text, text)
        if found not in names:
            raise ValueFault(f"{text!r} is not known here", "one of " + ", ".join(names))
        return found

    return Kind(title, read, _as_it_is, names[0])


# -- protocols --------------------------------------------------------------------------------------------


def _read_protocol(text: str, family: int) -> int:
    found = protocol_number(text)
    if found is None:
        raise ValueFault(f"unknown protocol {text!r}", "a protocol name such as tcp, a number 0..255, or all")
    return found


protocol = Kind("PROTOCOL", _read_protocol, lambda value, family: saved_protocol(value), "tcp")
"""A protocol's number; 0 means any (iptables(8), -p). Written by the name that /etc/protocols has."""
protocol_as_number = Kind("PROTOCOL", _read_protocol, _as_it_is, "tcp")
"""A protocol's number, written as one."""


# -- addresses --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Network:
    """An address under a mask, both as integers; the mask need not be contiguous."""

    address: int
    mask: int

    def text(self, family: int) -> str:
        """``ADDRESS/PREFIX``, or ``ADDRESS/MASK`` where the mask is not contiguous."""
        bits = ADDRESS_BITS[family]
        tail = ((1 << bits) - 1) & ~self.mask
        contiguous = tail & (tail + 1) == 0
        mask = str(bits - tail.bit_length()) if contiguous else saved_address(self.mask, family)
        return f"{saved_address(self.address, family)}/{mask}"


@dataclass(frozen=True, slots=True)
class AddressSpec:
    """An address list of ``-s`` or ``-d``; ``exact`` is False where a mask is too scattered to expand."""

    addresses: AddressSet
    networks: tuple[Network, ...]
    """As written: a rule with several stands for one rule each."""
    exact: bool = True


_PLACEHOLDER = re.compile(
    r"[<>{}$%*\[\]]|(?:^|[.:])[xX]{1,4}(?:$|[.:])|\b(?:your|my)[-_]|redacted|placeholder|_(?:ip|addr|net)\b",
    re.IGNORECASE,
)
"""What people write in place of an address that they keep to themselves: ``<private_ip>``, ``10.x.x.x``, ``$LAN``."""


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
        if _PLACEHOLDER.search(text):
            raise ValueFault(
                f"{text!r} stands in place of an address", f"{hint}: the one that the host really has there"
            ) from None
        if re.fullmatch(r"[A-Za-z0-9_.-]+", text) and re.search(r"[A-Za-z_]", text):
            raise ValueFault(
                f"{text!r} is a host name, not an address",
                f"{hint}; look the name up (getent ahosts {text[:80]}) and write its address",
            ) from None
        raise ValueFault(f"{text!r} is not an address", hint) from None
    if parsed.version != family or getattr(parsed, "scope_id", None):
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


def _network(text: str, family: int) -> Network:
    address, slash, mask_text = text.partition("/")
    value = _address(address, family)
    mask = _mask(mask_text, family) if slash else (1 << ADDRESS_BITS[family]) - 1
    return Network(value & mask, mask)


def covered(network: Network, family: int) -> tuple[list[Range], bool]:
    """The addresses of a network as ranges; False, and more addresses, where its mask is too scattered to expand."""
    bits = ADDRESS_BITS[family]
    tail = ((1 << bits) - 1) & ~network.mask
    low_run = 0
    while tail >> low_run & 1:
        low_run += 1
    scattered = [bit for bit in range(low_run, bits) if tail >> bit & 1]
    base = network.address
    if 1 << len(scattered) > EXPANDED_PREFIXES:
        top = scattered[-1] + 1
        start = base >> top << top
        return [(start, start + (1 << top) - 1)], False
    starts = [base]
    for bit in scattered:
        starts += [start | 1 << bit for start in starts]
    return [(start, start + (1 << low_run) - 1) for start in starts], True


def _read_addresses(text: str, family: int) -> AddressSpec:
    ranges: list[Range] = []
    networks: list[Network] = []
    exact = True
    for part in text.split(","):
        if not part:
            raise ValueFault("an address is missing", "an address or network")
        networks.append(_network(part, family))
        more, fully = covered(networks[-1], family)
        ranges += more
        exact &= fully
    return AddressSpec(AddressSet.of(family, ranges), tuple(networks), exact)


def _write_addresses(value: AddressSpec, family: int) -> str:
    return ",".join(network.text(family) for network in value.networks)


addresses = Kind("ADDRESS[/MASK][,…]", _read_addresses, _write_addresses, "10.0.0.0/8", "fd00::/8")
"""``ADDRESS[/MASK][,...]``: the union (iptables(8), -s; a list stands for one rule each)."""


def _read_network(text: str, family: int) -> Network:
    if "," in text:
        raise ValueFault(f"{text!r} is a list", "one address or network")
    return _network(text, family)


network = Kind(
    "ADDRESS[/MASK]", _read_network, lambda value, family: value.text(family), "10.0.0.0/8", "fd00::/8"
)
"""One network, always written with its mask."""
address = Kind("ADDRESS", _address, lambda value, family: saved_address(value, family), "10.0.0.1", "fd00::1")
"""One address as an integer."""


def _read_address_range(text: str, family: int) -> AddressSet:
    first_text, dash, last_text = text.partition("-")
    first = _address(first_text, family)
    last = _address(last_text, family) if dash else first
    if last < first:
        raise ValueFault(f"the range {text} ends before it begins", "FIRST-LAST with FIRST <= LAST")
    return AddressSet.of(family, [(first, last)])


def _write_address_range(value: AddressSet, family: int) -> str:
    ((first, last),) = value.ranges
    return f"{saved_address(first, family)}-{saved_address(last, family)}"


address_range = Kind(
    "FIRST[-LAST]", _read_address_range, _write_address_range, "10.0.0.1-10.0.0.9", "fd00::1-fd00::9"
)
"""``FIRST[-LAST]`` (iptables-extensions(8), iprange)."""


# -- ports ------------------------------------------------------------------------------------------------


def port_of(text: str) -> int:
    """One port by number or service name."""
    found = port_number(text)
    if found is None:
        raise ValueFault(f"{text!r} is not a port", "a port from 0 to 65535 or a service name")
    return found


def _read_port_range(text: str, family: int) -> tuple[Range, ...]:
    first_text, colon, last_text = text.partition(":")
    if not text:
        raise ValueFault(f"{text!r} is not a port or a range", "a port or FIRST:LAST, each from 0 to 65535")
    first = port_of(first_text) if first_text else 0
    last = (port_of(last_text) if last_text else 0xFFFF) if colon else first
    if last < first:
        raise ValueFault(f"the port range {text} ends before it begins", "FIRST:LAST with FIRST <= LAST")
    return ((first, last),)


def _write_ports(value: Sequence[Range], family: int) -> str:
    return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in value)


port_range = Kind("PORT[:PORT]", _read_port_range, _write_ports, "1024:2048")
"""``PORT[:PORT]`` with either end left out for the least or greatest port; as canonical ranges."""


@dataclass(frozen=True, slots=True)
class PortList:
    """A list of ports as written."""

    items: tuple[Range, ...]

    @property
    def ranges(self) -> tuple[Range, ...]:
        """Its ports as canonical ranges."""
        return merged(self.items)


def _read_port_list(text: str, family: int) -> PortList:
    return PortList(tuple(part for item in text.split(",") for part in _read_port_range(item, family)))


port_list = Kind(
    "PORT[:PORT][,…]", _read_port_list, lambda value, family: _write_ports(value.items, family), "22,80:90"
)
"""``PORT[:PORT][,...]`` (iptables-extensions(8), multiport)."""


# -- what single protocols have ---------------------------------------------------------------------------


def _read_icmp_type(text: str, family: int) -> IcmpType | None:
    if text.lower() == "any":
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


def _write_icmp_type(value: IcmpType | None, family: int) -> str:
    if value is None:
        return "any"
    kind, first, last = value
    return str(kind) if (first, last) == (0, 255) else f"{kind}/{first}"


icmp_type = Kind("TYPE[/CODE]", _read_icmp_type, _write_icmp_type, "8/0", "128/0")
"""An ICMP type by name, number or ``type/code``; None means any type.

iptables 1.8.9: ``any`` and, in IPv4 only, the number 255 mean any type.
"""

TCP_FLAGS = {"FIN": 1, "SYN": 2, "RST": 4, "PSH": 8, "ACK": 16, "URG": 32, "ALL": 63, "NONE": 0}


def _read_tcp_flags(text: str, family: int) -> int:
    result = 0
    for name in text.split(","):
        if name.upper() not in TCP_FLAGS:
            raise ValueFault(f"{name!r} is not a TCP flag", "a list of " + ", ".join(TCP_FLAGS))
        result |= TCP_FLAGS[name.upper()]
    return result


def _write_tcp_flags(value: int, family: int) -> str:
    return ",".join(name for name, bit in TCP_FLAGS.items() if value & bit and name != "ALL") or "NONE"


tcp_flags = Kind("FLAGS", _read_tcp_flags, _write_tcp_flags, "SYN,ACK")
"""A comma-separated list of TCP flags as the bits of the header."""


# -- interfaces and links ---------------------------------------------------------------------------------


def _read_interface(text: str, family: int) -> str:
    if not text or len(text) > 15:
        raise ValueFault(
            f"{text!r} is not an interface name", "a name of 1 to 15 characters, a final + for any suffix"
        )
    return text


interface = Kind("NAME[+]", _read_interface, _as_it_is, "eth0")
"""An interface name, or a wildcard with a final ``+``; the kernel takes at most 15 characters."""


def _read_mac_address(text: str, family: int) -> str:
    if re.fullmatch(r"[0-9A-Fa-fxX*]{1,2}(:[0-9A-Fa-fxX*]{1,2}){5}", text) and re.search("[xX*]", text):
        raise ValueFault(
            f"{text!r} stands in place of a MAC address", "the one that the host really has there"
        )
    if not re.fullmatch(r"[0-9A-Fa-f]{1,2}(:[0-9A-Fa-f]{1,2}){5}", text):
        raise ValueFault(f"{text!r} is not a MAC address", "six bytes such as 00:11:22:aa:bb:cc")
    return ":".join(part.zfill(2) for part in text.lower().split(":"))


mac_address = Kind("XX:XX:XX:XX:XX:XX", _read_mac_address, _as_it_is, "00:11:22:aa:bb:cc")
"""Six hexadecimal bytes separated by colons."""


def plain_string(most: int, *, title: str = "NAME") -> Kind:
    """Text of which the kernel keeps ``most`` bytes and which iptables-save never quotes."""
    return Kind(title, string(most, least=1, cut=True, title=title).read, _as_it_is, "name")


# -- addresses under a mask that does not change them -----------------------------------------------------


def _host(text: str, family: int) -> int:
    """One address as getaddrinfo(3) reads it: unlike behind -s, ``10.1`` is 10.0.0.1."""
    if family == 4 and re.fullmatch(r"[0-9A-Fa-fXx]+(\.[0-9A-Fa-fXx]+){0,2}", text):
        try:
            return int.from_bytes(socket.inet_aton(text), "big")
        except OSError:
            pass
    return _address(text, family)


def _read_host_mask(text: str, family: int) -> Network:
    host_text, slash, mask_text = text.partition("/")
    full = (1 << ADDRESS_BITS[family]) - 1
    mask = _mask(mask_text, family) if slash else full
    tail = full & ~mask
    return Network(_host(host_text, family), mask if tail & (tail + 1) == 0 else full)


def _write_host_mask(value: Network, family: int) -> str:
    return value.text(family).removesuffix(f"/{ADDRESS_BITS[family]}")


host = Kind("ADDRESS", _host, lambda value, family: saved_address(value, family), "10.0.0.1", "fd00::1")
"""One address as an integer, in the short forms of inet_aton(3) too."""
host_mask = Kind("ADDRESS[/MASK]", _read_host_mask, _write_host_mask, "10.0.0.1/8", "fd00::1/8")
"""An address under a mask: bits outside the mask are kept and printed, a full mask is not.

A mask that is no prefix becomes a full one (iptables 1.8.9, xtopt_parse_plenmask()).
"""
