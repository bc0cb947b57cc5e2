"""The text of an ipset's element to the entries that it stands for, as ipset 7.17 and the kernel take it.

Sources: lib/parse.c of ipset 7.17 (what a part may look like); the functions *_uadt() of the kernel's
net/netfilter/ipset/ (what is kept of it: networks for ranges, addresses under the set's mask).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from ipt2np.packets.intervals import ADDRESS_BITS, Range, prefixes
from ipt2np.rules.extension import ValueFault
from ipt2np.rules.ipset import BRIDGE, PORTED, Mask, Service
from ipt2np.rules.names import number_of, port_number, protocol_number
from ipt2np.rules.settypes import ADDRESSES, ICMP_NAMES, Part, SetType
from ipt2np.rules.values import mac_address
from ipt2np.text import as_bytes

TCP, UDP = 6, 17
ICMP_OF = {4: 1, 6: 58}
IFNAMSIZ = 16
NO_MAC = "00:00:00:00:00:00"

_AF = {4: socket.AF_INET, 6: socket.AF_INET6}
_LENGTHS = {str(length): length for length in range(1, 129)}
_DOTTED = re.compile(r"[0-9]+(\.[0-9]+){0,3}")


class ElementFault(ValueFault):
    """A part of an element that cannot be; ``offset`` is where in the element it begins, ``width`` its length."""

    def __init__(self, fault: ValueFault, offset: int, width: int) -> None:
        super().__init__(fault.message, fault.expected)
        self.offset = offset
        self.width = max(width, 1)


class Element(NamedTuple):
    """One entry: the addresses of its parts and what else the header can tell."""

    addresses: tuple[Range, ...]
    service: Service | None = None
    name: str | None = None
    mark: int | None = None
    prefix: tuple[int, ...] = ()
    """The lengths of the parts that are networks."""
    certain: bool = True
    """False where the text leaves open what the kernel holds, or where no header says whether the entry holds."""


# -- addresses ------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """Addresses as written: one, a network, or a range."""

    given: int
    """The address that stands first, host bits and all."""
    low: int
    high: int
    length: int | None
    """The prefix length; None for a range."""
    alone: bool = False
    """True where it was written as one address."""


def address_of(text: str, family: int) -> int:
    """One address as an integer; IPv4 also in the short forms of inet_aton(3), where 10.1 is 10.0.0.1."""
    try:
        return int.from_bytes(socket.inet_pton(_AF[family], text), "big")
    except (OSError, ValueError):
        pass
    try:
        if family == 4 and _DOTTED.fullmatch(text):
            return int.from_bytes(socket.inet_aton(text), "big")
    except OSError:
        pass
    raise _no_address(text, family)


def _no_address(text: str, family: int) -> ValueFault:
    kind = f"an IPv{family} address"
    try:
        socket.inet_pton(_AF[10 - family], text)
    except (OSError, ValueError):
        if not (re.fullmatch(r"[A-Za-z0-9_.-]+", text) and re.search(r"[A-Za-z_]", text)):
            return ValueFault(f"{text!r} is not an address", kind)
        hint = f"{kind}; ipset save prints addresses where it is not told to -resolve them"
        return ValueFault(f"{text!r} is a host name, not an address", hint)
    other = "inet6" if family == 4 else "inet"
    return ValueFault(
        f"{text!r} is an IPv{10 - family} address in an IPv{family} set",
        f"{kind}, or family {other} where the set is created",
    )


def _length_of(text: str, family: int, least: int) -> int:
    bits = ADDRESS_BITS[family]
    length = number_of(text, bits)
    if length is None and family == 4 and text.count(".") == 3:
        hosts = address_of(text, 4) ^ 0xFFFFFFFF
        length = 32 - hosts.bit_length() if not hosts & (hosts + 1) else None
    if length is None or length < least:
        raise ValueFault(f"/{text[:40]} is not a prefix length here", f"a number from {least} to {bits}")
    return length


def span_of(text: str, family: int, least: int) -> Span:
    """``ADDRESS``, ``ADDRESS/LENGTH`` or ``FIRST-LAST``, which may be the other way round."""
    bits = ADDRESS_BITS[family]
    slash, dash = text.find("/"), text.find("-")
    if 0 < slash < len(text) - 1:
        value, length = address_of(text[:slash], family), _length_of(text[slash + 1 :], family, least)
        hosts = (1 << (bits - length)) - 1
        return Span(value, value & ~hosts, value | hosts, length)
    if 0 < dash < len(text) - 1:
        first, last = address_of(text[:dash], family), address_of(text[dash + 1 :], family)
        return Span(first, min(first, last), max(first, last), None)
    value = address_of(text, family)
    return Span(value, value, value, bits, True)


# -- services -------------------------------------------------------------------------------------------


def _one_port(text: str) -> int:
    found = port_number(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    if found is None:
        raise ValueFault(f"{text!r} is not a port", "a port from 0 to 65535 or a service name")
    return found


def _ports(text: str) -> Range:
    """``PORT`` or ``FIRST-LAST``; names may have dashes, and stand in brackets then."""
    for dash in re.finditer("-", text):
        try:
            first, last = _one_port(text[: dash.start()]), _one_port(text[dash.end() :])
        except ValueFault:
            continue
        return min(first, last), max(first, last)
    alone = _one_port(text)
    return alone, alone


def _icmp(text: str, family: int) -> int:
    known = ICMP_NAMES[family]
    name = next((each for each in known if text and each.startswith(text.lower())), None)
    kind, code = known[name] if name else (None, None)
    if name is None:
        kind_text, _, code_text = text.partition("/")
        kind, code = number_of(kind_text, 255), number_of(code_text, 255)
    if kind is None or code is None:
        raise ValueFault(f"{text!r} is no ICMP type with a code", "a name, or type and code such as 8/0")
    return kind << 8 | code


def service_of(text: str, family: int) -> Service:
    """``[PROTOCOL:]PORT[-PORT]``, ``icmp:TYPE/CODE`` or ``PROTOCOL:0``; TCP where no protocol is named."""
    name, colon, port = text.partition(":")
    if not (colon and name and port):
        return (TCP, *_ports(text))
    number = protocol_number(name)
    if not number:
        raise ValueFault(f"unknown protocol {name!r}", "PROTOCOL:PORT such as tcp:80")
    if number in PORTED:
        return (number, *_ports(port))
    if number == ICMP_OF[family]:
        return (number, *(_icmp(port, family),) * 2)
    if number in ICMP_OF.values():
        raise ValueFault(f"{name} is of the other family", "icmp in an IPv4 set, icmpv6 in an IPv6 set")
    if port != "0":
        raise ValueFault(f"{name} has no ports", f"{name}:0")
    return number, 0, 0


# -- elements -------------------------------------------------------------------------------------------


class Rest(NamedTuple):
    """What an element says beside addresses, each with whether it is certain."""

    services: tuple[tuple[Service | None, bool], ...] = ((None, True),)
    name: tuple[str | None, bool] = (None, True)
    mark: int | None = None


class ElementReader:
    """Reads the elements of one set. ``within`` is the range that a bitmap has, ``old`` says ipset 4 named its type."""

    def __init__(
        self, kind: SetType, family: int, mask: Mask, markmask: int, within: Range | None, old: bool
    ) -> None:
        self.kind = kind
        self.family = family
        self.mask = mask
        self.markmask = markmask
        self.within = within
        self.old = old
        self.bits = ADDRESS_BITS[family]
        self.bitmap = kind.name.startswith("bitmap:")
        self.plain = mask.whole and not self.bitmap and kind.parts in ((Part.NET,), (Part.HOSTS,))
        self.address_parts = [part for part in kind.parts if part in ADDRESSES]
        self.services: dict[str, tuple[tuple[Service, bool], ...]] = {}

    def quick(self, text: str) -> Element | None:
        """What ``read`` gives for the addresses and networks that long sets are full of; None for all else."""
        if not self.plain:
            return None
        address, slash, length_text = text.partition("/")
        try:
            value = int.from_bytes(socket.inet_pton(_AF[self.family], address), "big")
        except (OSError, ValueError):
            return None
        nets = self.kind.nets
        if not slash:
            return Element(((value, value),), prefix=(self.bits,) * nets) if value else None
        length = _LENGTHS.get(length_text, 0)
        if not nets or not 0 < length <= self.bits:
            return None
        hosts = (1 << (self.bits - length)) - 1
        return Element(((value & ~hosts, value | hosts),), prefix=(length,))

    def read(self, text: str) -> Iterator[Element]:
        """The entries that an element stands for. ElementFault where the set cannot hold it."""
        texts, parts = text.split(","), self.kind.parts
        optional = self.bitmap and parts[-1] is Part.MAC
        if not len(parts) - optional <= len(texts) <= len(parts):
            counted = f"{len(texts)} part{'' if len(texts) == 1 else 's'}"
            wanted = f"an element of {self.kind.name}: {','.join(part.value for part in parts)}"
            raise ElementFault(ValueFault(f"{text!r} has {counted}", wanted), 0, len(text))
        spans: list[Span] = []
        rest, offset = Rest(), 0
        for part, each in zip(parts, texts, strict=False):
            try:
                if part in ADDRESSES:
                    spans.append(self.span(part, each))
                elif part is Part.PORT:
                    rest = rest._replace(services=self.service(each))
                elif part is Part.IFACE:
                    rest = rest._replace(name=_interface(each))
                elif part is Part.MARK:
                    rest = rest._replace(mark=_mark(each) & self.markmask)
                    if self.family == 4 and not rest.mark and not spans[0].given:
                        raise _null(text)  # hash_ipmark4_uadt()
                else:
                    self.mac(each)
            except ValueFault as fault:
                raise ElementFault(fault, offset, len(each)) from None
            offset += len(each) + 1
        yield from self.entries(spans, rest)

    def entries(self, spans: Sequence[Span], rest: Rest) -> Iterator[Element]:
        """A range of networks is many entries; an entry with nothing left that could hold is none."""
        ranged = any(span.length is None for span in spans)
        addresses = [list(self.addresses(number, span, ranged)) for number, span in enumerate(spans)]
        sure = Part.MAC not in self.kind.parts and rest.name[1]
        for chosen in product(*addresses):
            ranges = tuple(each[0] for each in chosen)
            prefix = tuple(length for each in chosen for length in each[1])
            certain = sure and all(each[2] for each in chosen)
            for service, known in rest.services:
                yield Element(ranges, service, rest.name[0], rest.mark, prefix, certain and known)

    # -- parts ------------------------------------------------------------------------------------------

    def span(self, part: Part, text: str) -> Span:
        """A part that is addresses. ValueFault where the type, the family or the set's range has no such element."""
        family, nonzero = self.family, self.family in self.kind.nonzero
        found = span_of(text, family, 0 if part is Part.NET and self.kind.whole else 1)
        if part is Part.NET:
            if found.length is None and family == 6:
                raise ValueFault(f"{text!r} is a range", "an IPv6 address or network; ranges are for IPv4")
            if found.length is None and found.high - found.low == 0xFFFFFFFF:
                raise ValueFault(f"{text!r} is the whole address space", "a smaller range")
        elif found.length != self.bits and (part is Part.HOST or family == 6):
            raise ValueFault(
                f"{text!r} is more than one address", "one address; networks are for sets of type hash:net"
            )
        if (
            nonzero
            and (part is Part.HOSTS or found.length == self.bits)
            and not found.given & self.mask.value
        ):
            raise _null(text)
        self.check_range(found.low, found.high, text)
        return found

    def check_range(self, low: int, high: int, text: str) -> None:
        """ValueFault where a bitmap has no room for ``low..high``."""
        if self.within is not None and not self.within[0] <= low <= high <= self.within[1]:
            raise ValueFault(f"{text!r} is out of the range of the set", "an element of the set's range")

    def service(self, text: str) -> tuple[tuple[Service, bool], ...]:
        """A port with its protocol. What ipset 4 wrote without one stood for TCP and UDP alike."""
        known = self.services.get(text)
        if known is not None:
            return known
        protocol, first, last = service_of(text, self.family)
        if self.bitmap:
            if protocol not in (TCP, UDP):
                raise ValueFault(f"{text!r} is neither TCP nor UDP", "a port, or tcp:PORT or udp:PORT")
            self.check_range(first, last, text)
            protocol = 0
        result: tuple[tuple[Service, bool], ...] = (((protocol, first, last), True),)
        if self.old and not self.bitmap and ":" not in text:
            result += (((UDP, first, last), False),)
        if len(self.services) < 1 << 16:
            self.services[text] = result
        return result

    def mac(self, text: str) -> None:
        """A link-layer address, which no header that a policy sees has. ValueFault where it is none."""
        address = ":".join(byte.zfill(2) for byte in mac_address(text, self.family).split(":"))
        if address == NO_MAC and not self.bitmap:
            raise _null(text)

    # -- what the kernel keeps of addresses -------------------------------------------------------------------

    def addresses(self, number: int, span: Span, ranged: bool) -> Iterator[Kept]:
        """The addresses of part ``number``; ``ranged`` tells that some part of the element is a range."""
        lowest = 1 if number == 0 and self.family in self.kind.nonzero else 0
        if self.address_parts[number] is Part.NET:
            found = self.networks(span, ranged)
        elif self.bitmap:
            found = self.blocks(span)
        else:
            found = self.masked(span)
        for (low, high), prefix, certain in found:
            if high >= lowest:
                yield (max(low, lowest), high), prefix, certain

    def networks(self, span: Span, ranged: bool) -> Iterator[Kept]:
        """Networks; a range is the fewest that make it up. Under a mask those of ranges are kept as they are."""
        nets = prefixes(span.low, span.high, self.bits) if span.length is None else [(span.low, span.length)]
        for low, length in nets:
            hosts = (1 << (self.bits - length)) - 1
            inside = self.mask.within(low)
            if not ranged or inside:
                start = low & self.mask.value
                yield (self.mask.of(start), self.mask.of(start | hosts & self.mask.value)), (length,), inside

    def blocks(self, span: Span) -> Iterator[Kept]:
        """The blocks of a bitmap: from the first address on, in steps of a block's size."""
        size = self.mask.value & -self.mask.value
        first = span.low // size
        yield (first, first + (span.high - span.low) // size), (), True

    def masked(self, span: Span) -> Iterator[Kept]:
        """Addresses under the mask. The kernel masks the first of them only, so that others may never be found.

        One address that has bits outside the mask is either masked (as typed) or never found (as saved).
        """
        start = span.low & self.mask.value
        if span.alone:
            masks_all = self.kind.name == "hash:ip" and self.mask.prefixed
            yield (self.mask.of(start),) * 2, (), masks_all or self.mask.within(span.low)
        elif span.length is not None:
            yield (self.mask.of(start), self.mask.last(start | (span.high - span.low))), (), True
        else:
            turned = span.given != span.low and not self.mask.whole
            yield (self.mask.of(start), self.mask.last(span.high)), (), not turned


Kept = tuple[Range, tuple[int, ...], bool]
"""Addresses under the mask, the prefix length if they are a network, and whether it is certain that they are kept."""


def _interface(text: str) -> tuple[str, bool]:
    """An interface's name, or ``physdev:`` and a bridge port's, of which the header says nothing."""
    name = text.removeprefix("physdev:")
    if len(as_bytes(name)) >= IFNAMSIZ or (not name and name == text):
        raise ValueFault(f"{text!r} is not an interface name", "a name of 1 to 15 characters")
    # A final + is a wildcard in iptables and here; ipset means an interface of that name.
    return (name, not name.endswith("+")) if name == text else (BRIDGE, False)


def _mark(text: str) -> int:
    found = number_of(text, 0xFFFFFFFF)
    if found is None:
        raise ValueFault(f"{text!r} is not a mark", "a number from 0 to 0xffffffff")
    return found


def _null(text: str) -> ValueFault:
    return ValueFault(f"{text!r} is zero, which no set of this type can hold", "an address other than zero")
