"""``-m length`` (iptables-extensions(8)): the length of the whole packet, IP header included."""

from __future__ import annotations

from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Half, Meaning, View
from ipt2np.rules.values import integer_range

SMALLEST = {4: 20, 6: 40}
"""Bytes of a packet that is nothing but an IP header."""
GREATEST = 0xFFFF
"""Bytes of the longest packet on the wire; what the kernel merges from several (BIG TCP) may be longer."""


def _length(view: View, lengths: Range) -> Meaning:
    first, last = lengths
    smallest = SMALLEST[view.family]
    if last < max(first, smallest):
        return view.never()
    if first <= smallest and last == GREATEST and view.half is Half.FIRST:
        return view.always()
    return view.undecided("the packet's length, which no policy can test")


class Length(MatchExtension):
    """A length or a range of lengths; the kernel takes a range that ends before it begins."""

    name = "length"
    options = (option("--length", kinds=integer_range(0xFFFF, ordered=False), negatable=True, means=_length),)
    required = (("--length",),)
