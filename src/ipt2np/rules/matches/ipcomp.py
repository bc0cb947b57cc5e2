"""``-m ipcomp`` (iptables-extensions(8)): the parameter index of compressed payload (net/netfilter/xt_ipcomp.c)."""

from __future__ import annotations

from collections.abc import Iterator

from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.matches.spi import said
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer_range

INDEX = (0, 0xFFFF)
"""What the header has room for (RFC 3173, 3.1); the option takes 32 bits."""


def _index(view: View, wanted: Range) -> Meaning:
    first, last = wanted
    if last < first or first > INDEX[1]:
        return view.never()
    if first == INDEX[0] and last >= INDEX[1]:
        return view.always()
    return view.undecided("the compression parameter index (CPI) of the packet")


class Ipcomp(MatchExtension):
    """A parameter index or a range of them, 0 where none is given; what ``--compres`` asks the kernel does not look at."""

    name = "ipcomp"
    protocols = implied_by = (108,)
    options = (
        option(
            "--ipcompspi",
            kinds=integer_range(ordered=False),
            negatable=True,
            means=_index,
            default=((0, 0),),
        ),
        option("--compres"),
    )

    def texts(self, clauses: tuple[Clause, ...], family: int) -> Iterator[str]:
        """Without the range of every index."""
        return super().texts(said(clauses), family)
