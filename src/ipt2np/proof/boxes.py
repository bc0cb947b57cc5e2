"""Packet sets as a list of boxes that people can read: sources × protocol × ports, each with a witness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import Range, address_text, merged
from ipt2np.rules.interfaces import Interfaces
from ipt2np.rules.names import protocol_name

OTHER_INTERFACES = "any other"
SHOWN_SOURCES = 3
SHOWN_PROTOCOLS = 4
PORTED = (6, 17, 33, 132, 136)
ICMP = (1, 58)


@dataclass(frozen=True, slots=True)
class Box:
    """Packets of one family: any of the sources, protocols, ports."""

    family: int
    sources: AddressSet
    named: AddressSet
    """The sources as a reader would name them: gaps that hold no possible source are filled."""
    protocols: tuple[Range, ...]
    ports: tuple[Range, ...]
    source_ports: tuple[Range, ...]
    icmp: tuple[tuple[Range, Range], ...]
    """Ranges of ICMP types with ranges of codes; empty where they do not matter."""
    interface: str = ""
    """The input interface; empty where it does not matter."""

    @property
    def protocol(self) -> str:
        """``tcp``, a number, ranges of numbers, or ``any``."""
        if self.protocols == ((0, 255),):
            return "any"
        return ",".join(
            protocol_name(low) if low == high else f"{low}-{high}" for low, high in self.protocols
        )

    def by_protocol(self) -> Iterator[Box]:
        """The box as one for each protocol that has a name, and one for all others together."""
        if self.protocols == ((0, 255),):
            yield self
            return
        numbers = {number for low, high in self.protocols for number in range(low, high + 1)}
        named = sorted(number for number in numbers if not protocol_name(number).isdigit())
        for number in named:
            yield replace(self, protocols=((number, number),))
        others = merged((number, number) for number in numbers - set(named))
        if others:
            yield replace(self, protocols=others)

    def packets(self, space: PacketSpace, interfaces: Interfaces | None = None) -> PacketSet:
        """The packets of the box in a space, and in the labels of its interfaces."""
        result = space.addresses(Field.SOURCE, self.sources)
        result &= space.values(Field.PROTOCOL, self.protocols)
        result &= space.values(Field.DESTINATION_PORT, self.ports)
        result &= space.values(Field.SOURCE_PORT, self.source_ports)
        if self.icmp:
            messages = space.nothing
            for types, codes in self.icmp:
                messages |= space.values(Field.ICMP_TYPE, (types,)) & space.values(Field.ICMP_CODE, (codes,))
            result &= messages
        if self.interface and interfaces is not None:
            names = interfaces.names
            label = names.index(self.interface) if self.interface in names else len(names)
            result &= space.value(Field.INTERFACE, label)
        return result

    def witness(self) -> dict[str, str | int]:
        """One packet of the box, the lowest in every field."""
        low = self.protocols[0][0]
        result: dict[str, str | int] = {
            "source": address_text(self.sources.ranges[0][0], self.family),
            "protocol": protocol_name(low),
        }
        if low in PORTED:
            result["port"] = max(self.ports[0][0], 1)
            if not whole(self.source_ports):
                result["source_port"] = max(self.source_ports[0][0], 1)
        if low in ICMP and self.icmp:
            result["icmp_type"], result["icmp_code"] = self.icmp[0][0][0], self.icmp[0][1][0]
        if self.interface:
            result["interface"] = self.interface
        return result


def whole(ports: tuple[Range, ...]) -> bool:
    """True where the ports are all that a policy can write."""
    return ports in (((0, 0xFFFF),), ((1, 0xFFFF),))


def _grouped(packets: PacketSet, field: Field) -> list[tuple[tuple[Range, ...], PacketSet]]:
    """Values of ``field`` with equal rest, in the order of the least value."""
    groups: dict[int, tuple[list[Range], PacketSet]] = {}
    for low, high, rest in packets.space.split(packets, field):
        groups.setdefault(rest.node, ([], rest))[0].append((low, high))
    return [(merged(ranges), rest) for ranges, rest in groups.values()]


def boxes_by_interface(
    packets: PacketSet, impossible: Mapping[int, AddressSet], interfaces: Interfaces
) -> Iterator[Box]:
    """``boxes`` of packets that their input interface tells apart; equal ones of several interfaces are named by each."""
    space = packets.space
    labels = [*enumerate(interfaces.names), (len(interfaces.names), OTHER_INTERFACES)]
    for label, name in labels:
        here = (packets & space.value(Field.INTERFACE, label)).some(Field.INTERFACE)
        yield from (replace(box, interface=name) for box in boxes(here, impossible))


def readable(
    packets: PacketSet, impossible: Mapping[int, AddressSet], interfaces: Interfaces | None
) -> Iterator[Box]:
    """``boxes``, by input interface where there are labels of such."""
    if interfaces is None:
        return boxes(packets, impossible)
    return boxes_by_interface(packets, impossible, interfaces)


def boxes(packets: PacketSet, impossible: Mapping[int, AddressSet] | None = None) -> Iterator[Box]:
    """Disjoint boxes whose union is ``packets`` (in which interface and destination must not matter).

    ``impossible`` are sources, by family, that no packet of interest can have.
    """
    space = packets.space
    for family in (4, 6):
        of_family = space.of_family(packets & space.family(family), family)
        if not of_family:
            continue
        for protocols, by_protocol in _grouped(of_family, Field.PROTOCOL):
            for types, by_type in _grouped(by_protocol, Field.ICMP_TYPE):
                for codes, by_code in _grouped(by_type, Field.ICMP_CODE):
                    for ports, by_port in _grouped(by_code, Field.DESTINATION_PORT):
                        for source_ports, sources in _grouped(by_port, Field.SOURCE_PORT):
                            addresses = space.source_addresses(sources, family)
                            given = types != ((0, 255),) or codes != ((0, 255),)
                            icmp = tuple((t, c) for t in types for c in codes) if given else ()
                            named = addresses.bridged(impossible[family]) if impossible else addresses
                            yield Box(family, addresses, named, protocols, ports, source_ports, icmp)


def describe(packets: PacketSet) -> str:
    """One packet of the set, in words."""
    values = packets.witness()
    family = 6 if values.get(Field.FAMILY) else 4
    protocol = values.get(Field.PROTOCOL, 0)
    words = [
        f"protocol {protocol_name(protocol)}",
        f"from {address_text(values.get(Field.SOURCE, 0), family)}",
    ]
    if protocol in PORTED:
        words.append(f"to port {max(values.get(Field.DESTINATION_PORT, 0), 1)}")
    return " ".join(words)


def ranges_text(ranges: tuple[Range, ...]) -> str:
    """``any``, or numbers and ranges in a comma-separated string."""
    if whole(ranges):
        return "any"
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


def sources_text(box: Box) -> str:
    """The sources of a box, the first few of many, or the few that are none."""
    cidrs = box.named.to_cidrs()
    if cidrs in (["0.0.0.0/0"], ["::/0"]):
        return f"any IPv{box.family} address"
    if len(cidrs) > SHOWN_SOURCES:
        missing = (~box.named).to_cidrs()
        if len(missing) <= SHOWN_SOURCES:
            return f"any IPv{box.family} address but {', '.join(missing)}"
    more = f" and {len(cidrs) - SHOWN_SOURCES} more" if len(cidrs) > SHOWN_SOURCES else ""
    return ", ".join(cidrs[:SHOWN_SOURCES]) + more


def services_text(box: Box) -> str:
    """Protocol and ports of a box."""
    ports = "" if ranges_text(box.ports) == "any" else f" port {ranges_text(box.ports)}"
    if ranges_text(box.source_ports) != "any":
        ports += f" from port {ranges_text(box.source_ports)}"
    return _protocols(box) + ports


def _protocols(box: Box) -> str:
    """Names as they are; of numbers the first, as protocols."""
    names = box.protocol.split(",")
    if len(names) <= SHOWN_PROTOCOLS and not names[0][:1].isdigit():
        return box.protocol
    more = ", …" if len(names) > SHOWN_PROTOCOLS else ""
    one = len(names) == 1 and names[0].isdigit()
    return f"{'protocol' if one else 'protocols'} {', '.join(names[:SHOWN_PROTOCOLS])}{more}"
