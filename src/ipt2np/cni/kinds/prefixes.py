"""Prefixes of addresses, and tables of them in which the longest one decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from ipt2np.packets.intervals import ADDRESS_BITS

Value = TypeVar("Value")


class Prefix(NamedTuple):
    """A network: its family, its first address, the bits that count. Ordered so that it stands before what it contains."""

    family: int
    first: int
    length: int

    @property
    def last(self) -> int:
        """The last address."""
        return self.first | ((1 << (ADDRESS_BITS[self.family] - self.length)) - 1)


def longest_match(table: Mapping[Prefix, Value]) -> list[tuple[int, int, Value]]:
    """Ascending disjoint ranges of addresses, each with the value of the longest prefix that holds it.

    The prefixes are of one family; addresses in none are left out. Linear but for the sorting.
    """
    result: list[tuple[int, int, Value]] = []
    around: list[tuple[int, Value]] = []
    at = 0
    for prefix in sorted(table):
        while around and around[-1][0] < prefix.first:
            at = _closed(around, at, result)
        if around and at < prefix.first:
            result.append((at, prefix.first - 1, around[-1][1]))
        at = prefix.first
        around.append((prefix.last, table[prefix]))
    while around:
        at = _closed(around, at, result)
    return result


def _closed(around: list[tuple[int, Value]], at: int, result: list[tuple[int, int, Value]]) -> int:
    """Writes what is left of the innermost prefix from ``at`` on, takes it off, and says where it ended."""
    last, value = around.pop()
    if at <= last:
        result.append((at, last, value))
    return last + 1
