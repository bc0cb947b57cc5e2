"""Sets of sources as people read them: in full where they are short, at the end of the report where they are long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from socket import AF_INET, AF_INET6, inet_pton

from ipt2np.packets import AddressSet
from ipt2np.packets.intervals import ADDRESS_BITS, address_text
from ipt2np.reporting.phrases import counted

SHOWN_SOURCES = 6
"""Lists of sources up to so long stand where they are meant; longer ones once, at the end."""
SHOWN_OF_LONG = 3


@dataclass(frozen=True, slots=True)
class Sources:
    """A set of sources as it is shown: in full, or its beginning and the id of the whole list."""

    text: str
    more: int = 0
    list_id: str = ""


@dataclass(frozen=True, slots=True)
class LongList:
    """A list of sources that stands at the end of the report."""

    id: str
    title: str
    text: str


class SourceNames:
    """Names sets of sources; gathers the long ones, each once."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, ...], Sources] = {}
        self.long: list[LongList] = []

    def of(self, cidrs: Sequence[str]) -> Sources:
        """How to show the union of CIDRs of one family."""
        key = tuple(cidrs)
        if key not in self.shown:
            self.shown[key] = self._named(key, addresses(key)) if key else Sources("nobody")
        return self.shown[key]

    def of_addresses(self, some: AddressSet) -> Sources:
        """How to show addresses, of which there is one at least."""
        key = tuple(some.to_cidrs())
        if key not in self.shown:
            self.shown[key] = self._named(key, some)
        return self.shown[key]

    def _named(self, cidrs: Sequence[str], some: AddressSet) -> Sources:
        around, missing = _around(some)
        if not missing:
            return Sources(around)
        fewer = len(missing) < len(cidrs)
        listed = missing if fewer else cidrs
        head = f"{around} but " if fewer else ""
        if len(listed) <= SHOWN_SOURCES:
            return Sources(head + ", ".join(listed))
        name = f"s{len(self.long) + 1}"
        blocks = counted(len(listed), "block")
        title = f"{head}{blocks}" if fewer else f"{blocks} in {around}"
        self.long.append(LongList(name, title, ", ".join(listed)))
        return Sources(head + ", ".join(listed[:SHOWN_OF_LONG]), len(listed) - SHOWN_OF_LONG, name)


def addresses(cidrs: Sequence[str]) -> AddressSet:
    """The union of CIDRs of one family, as the report writes them: a long list takes a tenth of what ipaddress would."""
    family = family_of(cidrs)
    kind, bits = (AF_INET6, 128) if family == 6 else (AF_INET, 32)
    ranges = []
    for cidr in cidrs:
        network, _, length = cidr.partition("/")
        low = int.from_bytes(inet_pton(kind, network))
        ranges.append((low, low | (1 << (bits - int(length))) - 1))
    return AddressSet.of(family, ranges)


def family_of(cidrs: Sequence[str]) -> int:
    """4 or 6: the family of a list of CIDRs."""
    return 6 if cidrs and ":" in cidrs[0] else 4


def _around(some: AddressSet) -> tuple[str, list[str]]:
    """The smallest network that holds all the addresses, and what of it is none of them."""
    family, bits = some.family, ADDRESS_BITS[some.family]
    first, last = some.ranges[0][0], some.ranges[-1][1]
    length = bits - (first ^ last).bit_length()
    network = first >> (bits - length) << (bits - length)
    name = f"{address_text(network, family)}/{length}" if length else f"any IPv{family}"
    whole = AddressSet(family, ((network, network + (1 << (bits - length)) - 1),))
    return name, (whole - some).to_cidrs()
