"""The targets of the nat table (iptables-extensions(8); extensions/libxt_NAT.c and libipt_NETMAP.c of iptables 1.8.9)."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from enum import Enum

from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.rules.extension import Effect, Kind, TargetExtension, ValueFault, option
from ipt2np.rules.model import Clause
from ipt2np.rules.names import number_of
from ipt2np.rules.values import Network, host, network, port_of, saved_address

_DOMAINS = {4: socket.AF_INET, 6: socket.AF_INET6}
_PORTS_EXPECTED = "PORT or FIRST-LAST, each from 0 to 65535"


@dataclass(frozen=True, slots=True)
class NatRange:
    """Where nat sends a connection: addresses as integers, ports, and the port that the first of those stands for.

    None where nothing is said: the address or the port then stays. The kernel also holds addresses that end before
    they begin.
    """

    first_address: int | None = None
    last_address: int | None = None
    first_port: int | None = None
    last_port: int | None = None
    base_port: int | None = None


class Shift(Enum):
    """What becomes of a base port behind a range of ports."""

    KEPT = "kept"
    REFUSED = "refused"
    LOST = "lost"
    """iptables reads it, the kernel's structure has no room for it, and iptables-save prints 0."""


def _number_range(text: str, shift: Shift) -> tuple[int, ...]:
    """``PORT`` or ``FIRST-LAST`` as a pair, with ``/BASE`` as a triple; a name stands for one port alone.

    ``PORT/BASE`` is what iptables-save prints of a range of one port.
    """
    span, slash, base_text = text.partition("/")
    first_text, dash, last_text = span.partition("-")
    first = number_of(first_text, 0xFFFF)
    if first is None:
        if ":" in text:
            raise ValueFault(f"{text!r} is no range of ports here", "FIRST-LAST with a dash")
        port = port_of(text)
        return port, port
    last = number_of(last_text, 0xFFFF) if dash else first
    if last is None or (slash and not base_text):
        raise ValueFault(f"{text!r} is no range of ports", _PORTS_EXPECTED)
    if last < first:
        raise ValueFault(f"the port range {text} ends before it begins", "FIRST-LAST with FIRST <= LAST")
    if not slash:
        return first, last
    if shift is Shift.REFUSED:
        raise ValueFault(f"{text!r} has a base port, which only DNAT can have", _PORTS_EXPECTED)
    base = port_of(base_text)
    return first, last, 0 if shift is Shift.LOST else base


def _range_text(ports: tuple[int, ...]) -> str:
    first, last, *base = ports
    span = str(first) if first == last else f"{first}-{last}"
    return "/".join([span, *map(str, base)])


def _one_address(text: str, family: int) -> int:
    try:
        return int.from_bytes(socket.inet_pton(_DOMAINS[family], text), "big")
    except (OSError, ValueError):
        raise ValueFault(
            f"{text!r} is not an IPv{family} address",
            f"ADDRESS[-ADDRESS][:PORT[-PORT]] with IPv{family} addresses"
            + (", in brackets where a port follows" if family == 6 else ""),
        ) from None


def _halves(text: str, family: int) -> tuple[str, str | None]:
    """The addresses and, where there are any, the ports of ``[ADDRESS[-ADDRESS]][:PORTS]``."""
    if "[" in text:
        bracketed = re.fullmatch(r"\[([^]]*)](?::(.*))?", text)
        if bracketed is None or family == 4:
            raise ValueFault(f"{text!r} is not a destination", "ADDRESS:PORT, in IPv6 [ADDRESS]:PORT")
        return bracketed[1], bracketed[2]
    if text.count(":") == 1:
        addresses, _, ports = text.partition(":")
        return addresses, ports
    return text, None


def _to(shift: Shift) -> Kind:
    def read(text: str, family: int) -> NatRange:
        addresses, port_text = _halves(text, family)
        ports: tuple[int | None, ...] = (None, None)
        if port_text is not None:
            ports = _number_range(port_text, shift)
        if not addresses and port_text is not None:
            return NatRange(None, None, *ports)
        first, _, last = addresses.partition("-")
        low = _one_address(first, family)
        return NatRange(low, _one_address(last, family) if last else low, *ports)

    def write(value: NatRange, family: int) -> str:
        text = ""
        if value.first_address is not None and value.last_address is not None:
            text = saved_address(value.first_address, family)
            if value.last_address != value.first_address:
                text += f"-{saved_address(value.last_address, family)}"
        ports = [each for each in (value.first_port, value.last_port, value.base_port) if each is not None]
        if not ports:
            return text
        return (f"[{text}]" if family == 6 and text else text) + ":" + _range_text(tuple(ports))

    shape = "[ADDRESS[-ADDRESS]][:PORT[-PORT" + ("[/PORT]" if shift is Shift.KEPT else "") + "]]"
    return Kind(shape, read, write, "10.0.0.1:80", "[fd00::1]:80")


def _ports(shift: Shift) -> Kind:
    return Kind(
        "PORT[-PORT]",
        lambda text, family: _number_range(text, shift),
        lambda value, family: _range_text(value),
        "8000-8010",
    )


def _read_prefixed(text: str, family: int) -> Network:
    """A network with a prefix: libxtables reads a mask with holes here as if it were a single address."""
    address_text, slash, mask_text = text.partition("/")
    bits = ADDRESS_BITS[family]
    full = (1 << bits) - 1
    address = host.read(address_text, family)
    mask = network.read(f"{saved_address(address, family)}/{mask_text}", family).mask if slash else full
    tail = ~mask & full
    if tail & (tail + 1):
        raise ValueFault(f"{text!r} has a mask with holes, which names no network", "ADDRESS/PREFIX")
    return Network(address & mask, mask)


prefixed = Kind("ADDRESS[/PREFIX]", _read_prefixed, network.write, "10.1.0.0/16", "fd00:1::/64")
"""A network whose mask is a prefix."""


class _Nat(TargetExtension):
    tracks = True

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """One range: a kernel since 2.6.11 holds no second one."""
        ranges = [clause for clause in clauses if isinstance(next(iter(clause.values), None), NatRange)]
        if len(set(ranges)) > 1:
            raise ValueFault(
                f"{ranges[0].option} stands more than once, which Linux has not had since 2.6.11",
                "one range ADDRESS-ADDRESS, or a rule for each address with -m statistic --mode nth",
                ranges[0].option,
            )
        rest = tuple(clause for clause in clauses if clause not in ranges)
        return super().normal((*ranges[:1], *rest), family)


class Dnat(_Nat):
    """Gives the connection another destination."""

    name = "DNAT"
    effect = Effect.REWRITE
    options = (
        option("--to-destination", kinds=_to(Shift.KEPT), repeats=True),
        option("--random"),
        option("--persistent"),
    )
    required = (("--to-destination",),)


class Redirect(_Nat):
    """Sends the connection to the host itself, to another port where one is given."""

    name = "REDIRECT"
    effect = Effect.REWRITE
    options = (option("--to-ports", kinds=_ports(Shift.REFUSED)), option("--random"))


class Snat(_Nat):
    """Gives the connection another source, behind every table that filters."""

    name = "SNAT"
    effect = Effect.ACCEPT
    options = (
        option("--to-source", kinds=_to(Shift.LOST), repeats=True),
        option("--random"),
        option("--random-fully"),
        option("--persistent"),
    )
    required = (("--to-source",),)


class Masquerade(_Nat):
    """Gives the connection the source of the interface that it leaves by."""

    name = "MASQUERADE"
    effect = Effect.ACCEPT
    options = (
        option("--to-ports", kinds=_ports(Shift.LOST)),
        option("--random"),
        option("--random-fully"),
    )


class Netmap(_Nat):
    """Maps a whole network onto another: the destination's before routing, else the source's."""

    name = "NETMAP"
    effect = Effect.REWRITE
    options = (option("--to", kinds=prefixed),)
    required = (("--to",),)
