"""Where the fields of the packet space stand among a packet's bytes, for matches that read bytes by their offset.

Sources: RFC 791 and RFC 8200 (headers of IPv4 and IPv6), RFC 9293, 768, 9260, 4340, 3828 (ports come first), RFC 792 and
RFC 4443 (so do type and code of ICMP).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ipt2np.packets import Field, PacketSet
from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.rules.matches.extension_headers import ASSUMPTION
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import EXPANDED_PREFIXES

WHY = "bytes of the packet that no policy can test"
HEADER = {4: 20, 6: 40}
"""Bytes of the shortest IP header."""
_ADDRESSES = {
    4: ((12, Field.SOURCE), (16, Field.DESTINATION)),
    6: ((8, Field.SOURCE), (24, Field.DESTINATION)),
}
_PROTOCOL = {4: 9, 6: 6}
_FRAGMENT = range(50, 64)
"""The bits of an IPv4 header that tell fragments: the last flag and the offset, behind an id of two bytes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Packets whose payload begins alike: their protocols, the fields it begins with, its least length in bytes.

    No protocols stand for all that no other kind has.
    """

    protocols: tuple[int, ...]
    fields: tuple[Field, ...]
    least: int


_PORTED = Kind((6, 17, 33, 132, 136), (Field.SOURCE_PORT, Field.DESTINATION_PORT), 8)
_ICMP = (Field.ICMP_TYPE, Field.ICMP_CODE)
_OTHERS = Kind((), (), 0)
KINDS = {4: (_PORTED, Kind((1,), _ICMP, 8), _OTHERS), 6: (_PORTED, Kind((58,), _ICMP, 8), _OTHERS)}


@dataclass(frozen=True, slots=True)
class Place:
    """An offset from the beginning of the IP header, or of what follows it."""

    offset: int = 0
    payload: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Bit:
    """A bit of a packet: the packets in which it is set, and which bit of a field it is, if any."""

    meaning: Meaning
    field: Field | None = None
    place: int = 0


Word = tuple[Bit, ...]
"""32 bits, the most significant first."""


class Layout:
    """The bits of one kind of packet."""

    def __init__(self, view: View, kind: Kind) -> None:
        self.view = view
        self.kind = kind
        self.zero, self.one = Bit(view.never()), Bit(view.always())
        self.unknown = Bit(view.undecided(WHY))
        self.packets = self._packets()
        words = HEADER[4] // 4
        self.header_length = tuple(
            self._plain(Bit(view.constantly(words >> place & 1 == 1)))
            for place in ((3, 2, 1, 0) if view.family == 4 else ())
        )
        """IPv4: the four bits of the header's length, in units of four bytes."""

    def _packets(self) -> PacketSet:
        def of(kind: Kind) -> PacketSet:
            return self.view.of_protocols(kind.protocols).may

        if self.kind.protocols:
            return of(self.kind)
        rest = self.view.space.everything
        for other in KINDS[self.view.family]:
            rest -= of(other)
        return rest

    def _of(self, field: Field, place: int) -> Bit:
        return Bit(self.view.exactly(self.view.space.bit(field, place)), field, place)

    def _plain(self, bit: Bit) -> Bit:
        """A bit that is known of plain headers."""
        if bit is self.unknown:
            return bit
        return replace(bit, meaning=self.view.assumed(ASSUMPTION, bit.meaning, WHY))

    def _header(self, number: int) -> Bit:
        """A bit of the IP header."""
        family = self.view.family
        if number < 4:
            return self.one if family >> 3 - number & 1 else self.zero
        if family == 4 and number < 8:
            return self.header_length[number - 4]
        for start, field in _ADDRESSES[family]:
            if 0 <= number - 8 * start < ADDRESS_BITS[family]:
                return self._of(field, number - 8 * start)
        if 0 <= number - 8 * _PROTOCOL[family] < 8:
            protocol = self._of(Field.PROTOCOL, number - 8 * _PROTOCOL[family])
            return protocol if family == 4 else self._plain(protocol)
        if family == 4 and number in _FRAGMENT:
            return Bit(self.view.assumed("fragment", self.view.never(), "whether the packet is a fragment"))
        return self.unknown

    def _payload(self, number: int) -> Bit:
        """A bit of what follows the header."""
        for field in self.kind.fields:
            if number < field.bits:
                return self._of(field, number)
            number -= field.bits
        return self.unknown

    def word(self, place: Place) -> Word:
        """What stands at a place."""
        numbers = range(8 * place.offset, 8 * place.offset + 32)
        if place.payload:
            return tuple(map(self._payload, numbers))
        header = 8 * HEADER[self.view.family]
        return tuple(
            self._header(number) if number < header else self._plain(self._payload(number - header))
            for number in numbers
        )

    def surely_holds(self, place: Place) -> bool:
        """True where every packet of the kind is long enough for the four bytes at a place."""
        length = self.kind.least + (0 if place.payload else HEADER[self.view.family])
        return place.offset + 4 <= length

    def told_apart(self, bits: Word) -> Word:
        """The bits, those of a field unknown where they say little of its first bits and much of its last.

        A set of sources or ports that only such bits tell apart would be too scattered to be written down.
        """
        used: dict[Field, set[int]] = {}
        for bit in bits:
            if bit.field is not None and bit.field is not Field.DESTINATION:
                used.setdefault(bit.field, set()).add(bit.place)
        scattered = {
            field for field, places in used.items() if 1 << max(places) + 1 - len(places) > EXPANDED_PREFIXES
        }
        return tuple(self.unknown if bit.field in scattered else bit for bit in bits)
