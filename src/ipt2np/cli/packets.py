"""Texts of ``--from``, ``--to``, ``--on`` and ``--at`` to the packet that is meant; UsageError says what they take."""

from __future__ import annotations

import ipaddress
import re

from ipt2np.errors import UsageError
from ipt2np.rules.names import PROTOCOLS, number_of, port_number, protocol_number
from ipt2np.semantics.decide import PORT_PROTOCOLS
from ipt2np.semantics.question import ICMP, PacketQuestion

_SERVICES = "a port and its protocol such as 443/tcp, icmp/8, icmp/3/4, or a protocol alone such as gre or 47"
_ICMP_NAMES = ("icmp", "icmpv6", "icmp6", "ipv6-icmp")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def question_of(source: str, service: str, on: str | None = None, at: str | None = None) -> PacketQuestion:
    """The packet that the options tell of. UsageError where one of them cannot be read, or they contradict each other."""
    address, source_port = _source(source)
    family = address.version
    protocol, port, icmp = _service(service, family)
    if source_port is not None and protocol not in PORT_PROTOCOLS:
        raise UsageError(f"--from {source}: what --to {service} names has no ports; leave the port out")
    destination = None if at is None else _address("--at", at)
    if destination is not None and destination.version != family:
        raise UsageError(f"--at {at}: expected an IPv{family} address, as --from {source} is one")
    if on is not None and (not on or len(on) > 15 or "+" in on or on == "lo"):
        raise UsageError(
            f"--on {on}: expected the name of one interface such as eth0 (no wildcard, and not lo, where nothing comes in)"
        )
    return PacketQuestion(
        family,
        int(address),
        protocol,
        port,
        source_port,
        *icmp,
        interface=on,
        destination=None if destination is None else int(destination),
    )


def _source(text: str) -> tuple[Address, int | None]:
    """An address and perhaps a port."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(.*))?", text)
    if bracketed:
        address, port = bracketed[1], bracketed[2]
    elif text.count(":") == 1:
        address, port = text.split(":")
    else:
        address, port = text, None
    if port is None:
        return _address("--from", address, text), None
    number = number_of(port, 0xFFFF)
    if number is None:
        raise UsageError(f"--from {text}: expected a port 0..65535 behind the address, as in 10.0.0.5:40000")
    return _address("--from", address, text), number


def _address(option: str, text: str, whole: str | None = None) -> Address:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        found = None
    if found is None or getattr(found, "scope_id", None):
        example = "such as 10.0.0.5, 10.0.0.5:40000, fd00::5 or [fd00::5]:40000" if option == "--from" else ""
        raise UsageError(f"{option} {whole or text}: expected one address {example}".rstrip())
    return found


def _service(text: str, family: int) -> tuple[int, int | None, tuple[int | None, int | None]]:
    """Protocol, port, ICMP type and code."""
    first, *rest = text.split("/")
    if first.lower() in _ICMP_NAMES or first == str(ICMP[family]):
        if first.lower() in _ICMP_NAMES[1:] and family == 4:
            raise UsageError(f"--to {text}: ICMPv6 goes with an IPv6 address; expected icmp/TYPE")
        numbers = [number_of(each, 255) for each in rest]
        if len(numbers) > 2 or None in numbers:
            raise UsageError(
                f"--to {text}: expected icmp/TYPE or icmp/TYPE/CODE with numbers 0..255, such as icmp/8"
            )
        kind, code, *_ = [*numbers, None, None]
        return ICMP[family], None, (kind, code)
    if not rest:
        protocol = protocol_number(first)
        if protocol is None:
            hint = f"; {first} without its protocol says too little" if port_number(first) is not None else ""
            raise UsageError(f"--to {text}: expected {_SERVICES}{hint}")
        return protocol, None, (None, None)
    protocol, port = protocol_number(rest[0]), port_number(first)
    if len(rest) != 1 or port is None or protocol is None:
        raise UsageError(f"--to {text}: expected {_SERVICES}")
    if protocol not in PORT_PROTOCOLS:
        ported = ", ".join(name for name, number in PROTOCOLS.items() if number in PORT_PROTOCOLS)
        raise UsageError(f"--to {text}: {rest[0]} has no ports; {ported} do")
    return protocol, port, (None, None)
