"""Sets while they are being read: what ``create`` makes, and the entries that lines add to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ipt2np.errors import Location
from ipt2np.packets.intervals import Range, merged
from ipt2np.rules.extension import ValueFault
from ipt2np.rules.ipset import BRIDGE, Batch, IpSet, Mask, Service
from ipt2np.rules.names import number_of
from ipt2np.rules.settypes import FLAG_OPTIONS, OLD_NAMES, SET_TYPES, Part, SetType
from ipt2np.syntax.ipsetelements import Element, ElementReader, address_of, service_of, span_of
from ipt2np.syntax.ipsetlines import option_words
from ipt2np.syntax.verbs import Word

FAMILIES = {"inet": 4, "ipv4": 4, "inet6": 6, "ipv6": 6}
NAME_LENGTH = 31
"""Bytes that a set's name may have (IPSET_MAXNAMELEN - 1)."""
BITMAP_ELEMENTS = 0x10000
"""How many elements a bitmap may have room for (IPSET_BITMAP_MAX_RANGE + 1)."""
ENTRY_OPTIONS = frozenset({"timeout", "packets", "bytes", "comment", "skbmark", "skbprio", "skbqueue"})
"""What may follow an element of any type, each with a value."""


class WordProblem(Exception):
    """A word of a line that cannot be; ``offset`` and ``width`` say which part of it."""

    def __init__(self, word: Word, message: str, expected: str, offset: int = 0, width: int = 0) -> None:
        self.column = word.column + offset
        self.width = width or word.width
        self.message = message
        self.expected = expected
        super().__init__(message)


@dataclass(slots=True)
class _Gathered:
    """Entries alike, as columns that grow."""

    addresses: tuple[list[Range], ...]
    services: list[Service] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    count: int = 0

    def append(self, element: Element, wildcard: bool) -> None:
        self.count += 1
        for column, ranges in zip(self.addresses, element.addresses, strict=True):
            column.append(ranges)
        if element.service is not None:
            self.services.append(element.service)
        if element.name is not None:
            self.names.append(element.name + "+" if wildcard and element.name != BRIDGE else element.name)
        if element.mark is not None:
            self.marks.append(element.mark)


class Flags(NamedTuple):
    """What the options behind an element say."""

    nomatch: bool = False
    wildcard: bool = False
    transient: bool = False


NO_FLAGS = Flags()
Key = tuple[tuple[int, ...], Flags, bool]


@dataclass
class SetBuilder:
    """A set being read."""

    name: str
    type: str
    kind: SetType | None
    family: int | None
    location: Location
    reader: ElementReader | None = None
    mask: Mask = field(default_factory=lambda: Mask.everything(4))
    markmask: int = 0xFFFFFFFF
    counters: bool = False
    default: Flags = NO_FLAGS
    """The flags of an entry without options."""
    batches: dict[Key, _Gathered] = field(default_factory=dict)
    members: dict[str, Flags] = field(default_factory=dict)

    def flush(self) -> None:
        """Without entries."""
        self.batches.clear()
        self.members.clear()

    def enter(self, text: str, flags: Flags) -> None:
        """The entries that an element stands for. ElementFault where the set cannot hold it."""
        assert self.reader is not None
        quick = self.reader.quick(text)
        for element in self.reader.read(text) if quick is None else (quick,):
            key = element.prefix, flags, element.certain
            gathered = self.batches.get(key)
            if gathered is None:
                gathered = self.batches[key] = _Gathered(tuple([] for _ in element.addresses))
            gathered.append(element, flags.wildcard)

    def finished(self) -> IpSet:
        """The set. Of addresses alone, neighbours are joined."""
        joined = self.kind is not None and len(self.kind.parts) == 1
        batches = [
            Batch(
                batch.count,
                tuple(merged(column) for column in batch.addresses) if joined else batch.addresses,
                batch.services,
                batch.names,
                batch.marks,
                prefix,
                flags.nomatch,
                flags.transient,
                certain,
            )
            for (prefix, flags, certain), batch in self.batches.items()
        ]
        for transient in (False, True):
            names = [name for name, flags in self.members.items() if flags.transient is transient]
            if names:
                batches.append(Batch(len(names), names=names, transient=transient))
        return IpSet(
            self.name, self.type, self.kind, self.family, self.location, self.mask, self.markmask,
            self.counters, tuple(batches),
        )  # fmt: skip


# -- options --------------------------------------------------------------------------------------------


def _options(
    words: Sequence[Word], known: Iterable[str], flags: Iterable[str]
) -> dict[str, tuple[Word, Word]]:
    """Option to its word and its value's; two leading dashes say nothing. WordProblem at one that is not known."""
    result: dict[str, tuple[Word, Word]] = {}
    queue = iter(words)
    for word in queue:
        name = word.text.removeprefix("--") if word.text not in ("-4", "-6") else word.text
        if name not in known:
            raise WordProblem(
                word, f"{word.text!r} is not known here", "one of " + ", ".join(sorted(set(known) - _UNNAMED))
            )
        value = word if name in flags else next(queue, None)
        if value is None:
            raise WordProblem(word, f"{word.text} needs a value", f"{word.text} VALUE")
        if name in result and name not in flags:
            raise WordProblem(word, f"{word.text} stands twice", "each option once")
        result[name] = word, value
    return result


_UNNAMED = frozenset({"probes", "resize", "gc", "from", "to", "network", "matchunset", "-4", "-6"})
"""Options that nobody needs to be told of: of ipset 4, or short for another."""


def _number(word: Word, most: int, least: int = 0) -> int:
    found = number_of(word.text, most)
    if found is None or found < least:
        raise WordProblem(
            word, f"{word.text!r} is no number from {least} to {most}", "a number in that range"
        )
    return found


_LONGEST_TIMEOUT = ((1 << 32) - 1 >> 1) // 1000


def entry_flags(target: SetBuilder, words: Sequence[Word]) -> Flags:
    """The flags of an entry with these options."""
    if not words:
        return target.default
    kind = target.kind
    assert kind is not None
    known = set(ENTRY_OPTIONS)
    known |= {"nomatch"} if kind.nomatch else set()
    known |= {"wildcard"} if Part.IFACE in kind.parts else set()
    known |= {"before", "after"} if Part.SET in kind.parts else set()
    given = _options(words, known, ("nomatch", "wildcard"))
    transient = target.default.transient
    if "timeout" in given:
        transient = _number(given["timeout"][1], _LONGEST_TIMEOUT) > 0
    return Flags("nomatch" in given, "wildcard" in given, transient)


_SECONDS = re.compile("[1-9][0-9]{0,5}")


def quick_flags(target: SetBuilder, rest: str) -> Flags | None:
    """What ``entry_flags`` says of plain options; None where it must look at them word by word."""
    kind = target.kind
    assert kind is not None
    nomatch = wildcard = False
    transient = target.default.transient
    seen: set[str] = set()
    queue = iter(option_words(rest))
    for name in queue:
        if name == "nomatch" and kind.nomatch:
            nomatch = True
        elif name == "wildcard" and kind.stops:
            wildcard = True
        elif name in ENTRY_OPTIONS and name not in seen:
            seen.add(name)
            value = next(queue, None)
            if value is None:
                return None
            if name == "timeout":
                if value != "0" and not _SECONDS.fullmatch(value):
                    return None
                transient = value != "0"
        else:
            return None
    return Flags(nomatch, wildcard, transient)


def created(name: Word, type_word: Word, words: Sequence[Word], location: Location) -> SetBuilder:
    """The empty set that ``create`` makes."""
    type_name = OLD_NAMES.get(type_word.text, type_word.text)
    kind = SET_TYPES.get(type_name)
    if kind is None:
        if not re.fullmatch(r"(bitmap|hash|list|tree):[a-z,]+", type_name):
            raise WordProblem(
                type_word, f"there is no set type {type_name!r}", "one of " + ", ".join(SET_TYPES)
            )
        return SetBuilder(name.text, type_name, None, None, location)
    given = _options(words, kind.options, FLAG_OPTIONS)
    family = _family(kind, given)
    bits_of = family or 4
    made = SetBuilder(name.text, kind.name, kind, family, location)
    made.counters = "counters" in given
    if "timeout" in given:
        made.default = Flags(transient=_number(given["timeout"][1], _LONGEST_TIMEOUT) > 0)
    if "markmask" in given:
        made.markmask = _number(given["markmask"][1], 0xFFFFFFFF, 1)
    made.mask = _mask(given, bits_of)
    within = _range(kind, type_word, given, made.mask) if kind.name.startswith("bitmap:") else None
    for option in ("hashsize", "maxelem", "bucketsize", "initval", "size"):
        if option in given:
            _number(given[option][1], 0xFFFFFFFF)
    if Part.SET not in kind.parts:
        old = type_word.text in OLD_NAMES
        made.reader = ElementReader(kind, bits_of, made.mask, made.markmask, within, old)
    return made


def _family(kind: SetType, given: Mapping[str, tuple[Word, Word]]) -> int | None:
    if not kind.families:
        return None
    chosen = {4: "-4" in given, 6: "-6" in given}
    if "family" in given:
        word = given["family"][1]
        if word.text not in FAMILIES:
            raise WordProblem(word, f"{word.text!r} is no family of a {kind.name} set", "inet or inet6")
        chosen[FAMILIES[word.text]] = True
    if all(chosen.values()):
        raise WordProblem(given["-6"][0], "the family stands twice", "family inet or family inet6")
    return 6 if chosen[6] else 4


def _mask(given: Mapping[str, tuple[Word, Word]], family: int) -> Mask:
    """The address bits that the set looks at."""
    every = Mask.everything(family)
    if "netmask" in given and "bitmask" in given:
        raise WordProblem(given["bitmask"][0], "netmask and bitmask exclude each other", "one of them")
    if "netmask" in given:
        length = _number(given["netmask"][1], every.bits, 1)
        return Mask(every.bits, every.value >> (every.bits - length) << (every.bits - length))
    if "bitmask" not in given:
        return every
    word = given["bitmask"][1]
    try:
        value = address_of(word.text, family)
    except ValueFault as fault:
        raise WordProblem(word, fault.message, fault.expected) from None
    if not value:
        raise WordProblem(word, "a mask without a bit looks at nothing", "a mask such as 255.255.0.0")
    return Mask(every.bits, value)


def _range(kind: SetType, type_word: Word, given: Mapping[str, tuple[Word, Word]], mask: Mask) -> Range:
    """The range of a bitmap: ``range A-B``, or ipset 4's ``from A to B`` and ``network A/N``."""
    texts = [given[name][1] for name in ("range", "network", "from", "to") if name in given]
    if not texts:
        raise WordProblem(type_word, f"a set of type {kind.name} needs a range", "range FIRST-LAST")
    try:
        ends = [_ends(kind, word.text) for word in texts]
    except ValueFault as fault:
        raise WordProblem(texts[0], fault.message, fault.expected) from None
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    size = mask.value & -mask.value
    low, high = low // size * size, high // size * size + size - 1
    if (high - low + 1) // size > BITMAP_ELEMENTS:
        raise WordProblem(
            texts[0], "the range is too wide for a bitmap", f"at most {BITMAP_ELEMENTS} elements"
        )
    return low, high


def _ends(kind: SetType, text: str) -> Range:
    if kind.parts == (Part.PORT,):
        _, first, last = service_of(text, 4)
        return first, last
    span = span_of(text, 4, 0)
    return span.low, span.high
