"""``ipset save`` text to sets, by the Lark grammar ``grammars/ipset_save.lark``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput

from ipt2np.errors import InputError, Location, Problem
from ipt2np.packets import AddressSet
from ipt2np.packets.intervals import ADDRESS_BITS, merged
from ipt2np.resources import grammar
from ipt2np.rules.extension import ValueFault
from ipt2np.rules.ipset import KNOWN_DIMENSIONS, PORTED, Entry, IpSet, PortPart
from ipt2np.rules.names import protocol_number
from ipt2np.rules.values import address_range, addresses, icmp_type, port_range
from ipt2np.syntax.dump import decode
from ipt2np.syntax.lines import fault_column

FAMILIES = {"inet": 4, "inet6": 6}

Words = tuple[str, tuple[Token, ...]]


class _Statements(Transformer[Token, Words | None]):
    """Parse tree to ``(command, words)``."""

    def start(self, parts: list[Words | None]) -> Words | None:
        return parts[0] if parts else None

    def create(self, parts: list[Token]) -> Words:
        return "create", tuple(parts)

    def add(self, parts: list[Token]) -> Words:
        return "add", tuple(parts)

    def comment(self, parts: list[Token]) -> None:
        return None

    def flow(self, parts: list[Token]) -> None:
        return None


@cache
def _parser() -> Lark:
    return Lark(grammar("ipset_save.lark"), parser="lalr", lexer="contextual", transformer=_Statements())


class _Set:
    """A set being read."""

    def __init__(self, words: tuple[Token, ...]) -> None:
        self.name, self.type = str(words[0]), str(words[1])
        options = [str(word) for word in words[2:]]
        given = dict(pairwise(options))
        self.family = FAMILIES.get(given.get("family", "inet"), 4)
        self.netmask = int(given["netmask"]) if given.get("netmask", "").isdecimal() else None
        self.entries: list[Entry] = []
        self.unreadable = ""
        kinds = set(self.type.partition(":")[2].split(","))
        if self.type == "list:set" or not kinds <= KNOWN_DIMENSIONS or "bitmask" in options:
            self.unreadable = f"sets of type {self.type} are not followed"

    def finished(self) -> IpSet:
        return IpSet(self.name, self.type, self.family, tuple(self.entries), self.unreadable)

    def add(self, words: tuple[Token, ...]) -> None:
        """Reads one element; ValueFault where it does not suit the set's type."""
        if self.unreadable:
            return
        texts = str(words[1]).split(",")
        kinds = self.type.partition(":")[2].split(",")
        if len(texts) != len(kinds):
            raise ValueFault(
                f"{words[1]!s} has {len(texts)} parts", f"an element of {self.type}: {len(kinds)} parts"
            )
        parts: list[AddressSet | PortPart] = []
        prefixes: list[int] = []
        for kind, text in zip(kinds, texts, strict=True):
            if kind == "port":
                parts.append(self.port(text))
                continue
            address = self.address(text)
            parts.append(address)
            if kind == "net":
                low, high = address.ranges[0]
                prefixes.append(ADDRESS_BITS[self.family] - (high - low).bit_length())
        self.entries.append(
            Entry(tuple(parts), "nomatch" in [str(word) for word in words[2:]], tuple(prefixes))
        )

    def address(self, text: str) -> AddressSet:
        is_range = "-" in text
        found: AddressSet = (
            address_range(text, self.family) if is_range else addresses(text, self.family).addresses
        )
        if self.netmask is None:
            return found
        size = 1 << (ADDRESS_BITS[self.family] - self.netmask)
        return AddressSet(
            self.family,
            merged((low // size * size, high // size * size + size - 1) for low, high in found.ranges),
        )

    def port(self, text: str) -> PortPart:
        protocol_text, colon, port_text = text.rpartition(":")
        if self.type.startswith("bitmap:"):
            return PortPart(None, port_range(text.replace("-", ":"), self.family))
        number = protocol_number(protocol_text) if colon else 6
        if number is None:
            raise ValueFault(f"unknown protocol {protocol_text!r}", "PROTOCOL:PORT such as tcp:80")
        if number in (1, 58):
            kind = icmp_type(port_text, 6 if number == 58 else 4)
            if kind is None:
                raise ValueFault(f"{port_text!r} is not one ICMP type", "a type and code such as 8/0")
            return PortPart(number, icmp=(kind[0], kind[1]))
        return PortPart(
            number, port_range(port_text.replace("-", ":"), self.family) if number in PORTED else ()
        )


def parse_ipsets(data: bytes, file: str) -> Mapping[str, IpSet]:
    """The sets of an ``ipset save`` dump by name. InputError with every problem of the file."""
    lines = decode(data, file).split("\n")
    sets: dict[str, _Set] = {}
    problems: list[Problem] = []
    for number, raw in enumerate(lines, 1):
        text = raw.rstrip("\r")

        def fault(
            column: int, width: int, message: str, expected: str, number: int = number, text: str = text
        ) -> None:
            problems.append(Problem(Location(file, number, column), text, message, expected, max(width, 1)))

        try:
            statement: Words | None = _parser().parse(text)  # type: ignore[assignment]
        except UnexpectedInput as error:
            fault(
                fault_column(text, error),
                1,
                "this is no line of an ipset dump",
                "create NAME TYPE …, or add NAME ELEMENT …, as ipset save prints them",
            )
            continue
        if statement is None:
            continue
        command, words = statement
        if command == "create":
            if str(words[0]) in sets:
                fault(
                    words[0].column or 1, len(words[0]), f"the set {words[0]!s} is created twice", "one dump"
                )
            sets[str(words[0])] = _Set(words)
        elif str(words[0]) not in sets:
            fault(
                words[0].column or 1,
                len(words[0]),
                f"the set {words[0]!s} was not created",
                "create NAME TYPE … before its first add",
            )
        else:
            try:
                sets[str(words[0])].add(words)
            except ValueFault as bad:
                fault(words[1].column or 1, len(words[1]), bad.message, bad.expected)
    if not sets and not problems:
        problems.append(Problem(Location(file), "", "the file holds no ipset", "the output of ipset save"))
    if problems:
        raise InputError(problems)
    return {name: each.finished() for name, each in sets.items()}
