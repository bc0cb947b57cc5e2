"""``-m u32`` (iptables-extensions(8)): four bytes out of a packet, reckoned with and compared.

What a test says of addresses, protocol, ports, ICMP types and codes is decided, bit by bit; other bytes are unknown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ipt2np.packets import PacketSet
from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.layout import KINDS, Layout, Place, Word
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.names import number_of

MOST = 10
"""So many tests, numbers of a location and values of a test at most (xt_u32.h, XT_U32_MAXSIZE)."""
OPERATORS = ("&&", "<<", ">>", "&", "@", "=", ",", ":")
_TOKEN = re.compile(r"\s*(" + "|".join(OPERATORS) + r"|[0-9A-Za-z]+|.)", re.DOTALL)
_EXPECTED = "OFFSET[&MASK][>>N][<<N][@OFFSET]=VALUE[:VALUE][,…][&&…] in numbers of 32 bits"


@dataclass(frozen=True, slots=True)
class ByteTest:
    """Four bytes from ``start`` on, what is done with them step by step, and which results are meant."""

    start: int
    steps: tuple[tuple[str, int], ...]
    values: tuple[Range, ...]

    def __str__(self) -> str:
        location = hex(self.start) + "".join(f"{operator}{number:#x}" for operator, number in self.steps)
        values = (f"{low:#x}" if low == high else f"{low:#x}:{high:#x}" for low, high in self.values)
        return f"{location}={','.join(values)}"


class _Reader:
    """The words of an expression, from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = [found[1] for found in _TOKEN.finditer(text.strip())] if text.strip() else []
        self.at = 0

    def fault(self) -> ValueFault:
        word = self.words[self.at] if self.at < len(self.words) else "the end"
        return ValueFault(f"{self.text[:60]!r} is no test of bytes: {word!r} is out of place", _EXPECTED)

    def word(self, *wanted: str) -> str | None:
        """The next word if it is one of these."""
        if self.at < len(self.words) and self.words[self.at] in wanted:
            self.at += 1
            return self.words[self.at - 1]
        return None

    def number(self) -> int:
        found = number_of(self.words[self.at], 0xFFFFFFFF) if self.at < len(self.words) else None
        if found is None:
            raise self.fault()
        self.at += 1
        return found

    def few(self, count: int, what: str) -> None:
        if count > MOST:
            raise ValueFault(f"too many {what}", f"at most {MOST}")

    def test(self) -> ByteTest:
        start = self.number()
        steps = []
        while operator := self.word("&", "<<", ">>", "@"):
            steps.append((operator, self.number()))
        self.few(len(steps) + 1, "numbers before =")
        if not self.word("="):
            raise self.fault()
        values: list[Range] = []
        while not values or self.word(","):
            low = self.number()
            values.append((low, self.number() if self.word(":") else low))
        self.few(len(values), "values of a test")
        return ByteTest(start, tuple(steps), tuple(values))


def _read(text: str, family: int) -> tuple[ByteTest, ...]:
    """Tests, all of which must hold."""
    reader = _Reader(text)
    tests: list[ByteTest] = []
    while not tests or reader.word("&&"):
        tests.append(reader.test())
    if reader.at < len(reader.words):
        raise reader.fault()
    reader.few(len(tests), "tests")
    return tuple(tests)


def _write(value: tuple[ByteTest, ...], family: int) -> str:
    return '"' + "&&".join(str(test) for test in value) + '"'


def _tests(view: View, tests: tuple[ByteTest, ...]) -> Meaning:
    """All tests hold, in each kind of packet by itself: what follows the IP header depends on the protocol."""
    result = view.never()
    for kind in KINDS[view.family]:
        layout = Layout(view, kind)
        meaning = view.exactly(layout.packets)
        for test in tests:
            meaning &= _holds(layout, test)
        result |= meaning
    return result


def _holds(layout: Layout, test: ByteTest) -> Meaning:
    """One test, reckoned as u32_match_it() of net/netfilter/xt_u32.c does; a packet that is too short fails it."""
    place: Place | None = Place(test.start)
    base: Place | None = Place()
    bits, sure = layout.word(Place(test.start)), layout.surely_holds(Place(test.start))
    for operator, number in test.steps:
        if operator == "@":
            base = _moved(layout, base, bits)
            place = None if base is None else Place(base.offset + number, base.payload)
            bits = (layout.unknown,) * 32 if place is None else layout.word(place)
            sure = sure and place is not None and layout.surely_holds(place)
        else:
            bits = _changed(layout, bits, operator, number)
    result = layout.view.never()
    bits = layout.told_apart(bits)
    for values in test.values:
        if values[0] <= values[1]:
            result |= _within(layout, bits, values)
    return result if sure else result & layout.unknown.meaning


def _moved(layout: Layout, base: Place | None, bits: Word) -> Place | None:
    """Where ``@`` leads: on by a number that is known, or past an IPv4 header of any length; None for elsewhere."""
    if base is None:
        return None
    if all(bit is layout.zero or bit is layout.one for bit in bits):
        return Place(
            base.offset + sum((bit is layout.one) << 31 - n for n, bit in enumerate(bits)), base.payload
        )
    past = (layout.zero,) * 26 + layout.header_length + (layout.zero,) * 2
    if base == Place() and len(past) == 32 and all(a is b for a, b in zip(bits, past, strict=True)):
        return Place(0, payload=True)
    return None


def _changed(layout: Layout, bits: Word, operator: str, number: int) -> Word:
    if operator == "&":
        return tuple(bit if number >> 31 - place & 1 else layout.zero for place, bit in enumerate(bits))
    if number > 31:
        return (layout.unknown,) * 32
    zeros = (layout.zero,) * number
    return bits[number:] + zeros if operator == "<<" else zeros + bits[: 32 - number]


def _within(layout: Layout, bits: Word, values: Range) -> Meaning:
    """The bits as a number in a range; each bound of the meaning is reckoned with the bits that suit it."""
    low, high = values
    # Packets in which a bit can be 0, and those in which it can be nothing else; the same for 1.
    may = [(~bit.meaning.must, bit.meaning.may) for bit in bits]
    must = [(~bit.meaning.may, bit.meaning.must) for bit in bits]
    varying = [bit.meaning for bit in bits if bit is not layout.zero and bit is not layout.one]
    upper = _at_most(layout, may, high) & _at_least(layout, may, low)
    lower = _at_most(layout, must, high) & _at_least(layout, must, low)
    whys = dict.fromkeys(why for bit in varying for why in bit.undecided)
    assumptions = frozenset().union(*(bit.assumptions for bit in varying))
    return Meaning(upper, lower, assumptions, tuple(whys) if upper != lower else ())


Sets = list[tuple[PacketSet, PacketSet]]
"""For each bit, the most significant first: where it counts as 0, and where it counts as 1."""


def _at_most(layout: Layout, bits: Sets, limit: int) -> PacketSet:
    result = layout.view.space.everything
    for place, (zero, _) in enumerate(reversed(bits)):
        result = zero | result if limit >> place & 1 else zero & result
    return result


def _at_least(layout: Layout, bits: Sets, limit: int) -> PacketSet:
    result = layout.view.space.everything
    for place, (_, one) in enumerate(reversed(bits)):
        result = one & result if limit >> place & 1 else one | result
    return result


class U32(MatchExtension):
    """Tests of bytes."""

    name = "u32"
    options = (
        option(
            "--u32",
            kinds=Kind("TESTS", _read, _write, "6&0xff=1"),
            negatable=True,
            means=_tests,
        ),
    )
    required = (("--u32",),)
