"""Random tests of bytes: what ``-m u32`` says of a packet, alone in a chain of its own."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Final

import pytest

from .differential import PLAIN, Mismatch, Question, against, ask, story
from .host import KernelHost
from .probe import ACK, Probe, first_packet
from .test_matches import FAMILIES, Single, probes, ruleset, source

CHAINS: Final = 10
COUNT: Final = 120
"""Tests for each family and question."""
_MASKS: Final = (
    0xFF,
    0xFFFF,
    0xFFFF0000,
    0xFF000000,
    0xFF0000,
    0xF,
    0x3FFF,
    0x3C,
    0xFFFFFFFF,
    0,
    0xF0F0F0F0,
    0x00FFFF00,
)
_PAST: Final = ((">>", 22), ("&", 0x3C))
Steps = list[tuple[str, int]]


def value(packet: bytes, start: int, steps: Steps) -> int | None:
    """What a location holds in a packet; None where the packet ends before it."""
    base, place, found = 0, start, packet[start : start + 4]
    number = int.from_bytes(found, "big")
    for operator, operand in steps:
        if operator == "@":
            base, place = base + number, operand
            found = packet[base + place : base + place + 4]
            number = int.from_bytes(found, "big")
        elif operator == "&":
            number &= operand
        else:
            number = (number << operand if operator == "<<" else number >> operand) & 0xFFFFFFFF
        if len(found) < 4:
            return None
    return number if len(found) == 4 else None


def location(rng: Random, family: int) -> tuple[int, Steps]:
    """A place among the first bytes, by its offset or past the header, and something done with what is there."""
    steps: Steps = []
    start = rng.choice(
        (0, 4, 6, 8, 9, 12, 14, 16, 18, 20, 21, 22, 24, 30, 36, 38, 40, 41, 42, 60, rng.randrange(70))
    )
    if family == 4 and rng.random() < 0.5:
        start = 0
        steps += [*_PAST, ("@", rng.choice((0, 0, 0, 1, 2, 3, 4, 5, 8)))]
    elif rng.random() < 0.2:
        steps += [("&", 0), ("@", rng.choice((0, 6, 8, 9, 12, 20, 40)))]
    for _ in range(rng.choice((0, 1, 1, 2))):
        operator = rng.choice(("&", "&", ">>", "<<"))
        steps.append((operator, rng.choice(_MASKS) if operator == "&" else rng.choice((0, 4, 8, 16, 24, 31))))
    return start, steps


def ranges(rng: Random, found: int) -> str:
    """Ranges about a number: with it, beside it, all there is, in no order."""
    texts = []
    for _ in range(rng.choice((1, 1, 2))):
        low, high = found - rng.choice((0, 0, 1, 256, 1 << 30)), found + rng.choice((0, 0, 1, 65536))
        if rng.random() < 0.2:
            low, high = found + 1, found + 9
        low, high = max(low, 0), min(high, 0xFFFFFFFF)
        texts.append(f"{low:#x}:{high:#x}" if rng.random() < 0.9 else f"{high:#x}:{low:#x}")
    return ",".join(texts)


def expression(rng: Random, family: int, packets: Sequence[bytes]) -> str:
    parts = []
    for _ in range(rng.choice((1, 1, 2))):
        start, steps = location(rng, family)
        found = value(rng.choice(packets), start, steps)
        where = f"{start}" + "".join(f"{operator}{operand:#x}" for operator, operand in steps)
        parts.append(f"{where}={ranges(rng, found or 0)}")
    return f'-m u32 {rng.choice(("", "! "))}--u32 "{"&&".join(parts)}"'


@FAMILIES
@pytest.mark.parametrize(
    "settings", [(), ("plain-header=undecided", "fragment=undecided")], ids=["plain", "undecided"]
)
def test_tests_of_bytes(host: KernelHost, family: int, settings: tuple[str, ...]) -> None:
    rng = Random(f"u32 {family} {settings}")
    sent = probes(family, CHAINS)
    packets = [first_packet(probe, number % 60000 + 1) for number, probe in enumerate(sent)]
    every = [Single(expression(rng, family, packets)) for _ in range(COUNT)]
    guilty: dict[str, list[Mismatch]] = {}
    for start in range(0, len(every), CHAINS):
        each = every[start : start + CHAINS]
        asked: list[Probe] = probes(family, len(each))
        heard = ask(ruleset(family, each), family, host, asked, flags=ACK)
        names = {source(family, number): single for number, single in enumerate(each)}
        for found in against(heard, [Question(settings) if settings else PLAIN]):
            guilty.setdefault(str(names[found.probe.source]), []).append(found)
    assert not guilty, "\n".join(story(name, found, 2) for name, found in guilty.items())
