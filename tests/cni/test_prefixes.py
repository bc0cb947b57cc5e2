"""Tables of prefixes: the longest one that holds an address decides."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from ipt2np.cni.kinds.prefixes import Prefix, longest_match
from ipt2np.packets.intervals import ADDRESS_BITS

FREE = 6
"""Bits that vary: every address of a small network is asked for."""


def _prefix(rng: random.Random, family: int, base: int) -> Prefix:
    bits = ADDRESS_BITS[family]
    length = rng.randint(bits - FREE, bits)
    size = 1 << (bits - length)
    return Prefix(family, base + rng.randrange(1 << FREE) // size * size, length)


@pytest.mark.parametrize("family", [4, 6])
def test_every_address_of_a_small_network(family: int) -> None:
    held = 0
    for seed in range(400):
        rng = random.Random(seed)
        bits = ADDRESS_BITS[family]
        base = rng.choice((0, (1 << bits) - (1 << FREE), 10 << (bits - 8)))
        table = {_prefix(rng, family, base): rng.randrange(3) for _ in range(rng.randint(0, 12))}
        ranges = longest_match(table)
        assert all(low <= high for low, high, _ in ranges)
        assert all(before[1] < after[0] for before, after in pairwise(ranges))
        for address in range(base, base + (1 << FREE)):
            around = [prefix for prefix in table if prefix.first <= address <= prefix.last]
            expected = [table[max(around, key=lambda prefix: prefix.length)]] if around else []
            assert [value for low, high, value in ranges if low <= address <= high] == expected
            held += bool(expected)
    assert 5000 < held < 400 << FREE
