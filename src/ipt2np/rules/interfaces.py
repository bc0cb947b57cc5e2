"""Input interfaces as finite labels: one for each name that matters, one for all the others."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

from ipt2np.packets.intervals import Range

LABELS = 0xFFFF
"""The last label that the packet space has room for."""


@dataclass(frozen=True, slots=True)
class Interfaces:
    """Labels 0..n-1 stand for the sorted ``names``; labels from n on for any interface that nobody names.

    A wildcard pattern ``eth+`` also stands as a name of its own: an interface that it covers and no
    other pattern names. ``lo`` has no label: packets from outside never come in there.
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Interfaces:
        """Labels for all ``patterns`` (names, or wildcards with a final ``+``)."""
        return cls(tuple(sorted({p for p in patterns if p not in ("lo", "+", "")})))

    def matching(self, pattern: str) -> tuple[Range, ...]:
        """The labels that ``-i PATTERN`` holds for, as canonical ranges.

        iptables(8): a name that ends in ``+`` matches every interface that begins with it.
        """
        if pattern in ("+", ""):
            return ((0, LABELS),)
        if pattern.endswith("+"):
            stem = pattern[:-1]
            first, end = bisect_left(self.names, stem), bisect_left(self.names, stem + "\U0010ffff")
        else:
            first = bisect_left(self.names, pattern)
            end = first + (first < len(self.names) and self.names[first] == pattern)
        return ((first, end - 1),) if first < end else ()

    def label(self, name: str) -> int:
        """An interface's label: its own, else that of the longest wildcard that covers it, else that of the others."""
        for stem in (name, *(name[:end] + "+" for end in range(len(name), 0, -1))):
            at = bisect_left(self.names, stem)
            if at < len(self.names) and self.names[at] == stem:
                return at
        return len(self.names)
