"""``-m esp`` (iptables-extensions(8)): IPsec's encrypted payloads."""

from __future__ import annotations

from collections.abc import Iterator

from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.matches.spi import EVERY, said, spi
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause


def _index(view: View, indices: Range) -> Meaning:
    if indices == EVERY:
        return view.always()
    return view.undecided("the packet's security parameter index, which no policy can test")


class Esp(MatchExtension):
    """The security parameter index of ESP."""

    name = "esp"
    protocols = implied_by = (50,)
    options = (option("--espspi", kinds=spi, negatable=True, means=_index),)

    def texts(self, clauses: tuple[Clause, ...], family: int) -> Iterator[str]:
        """Without the range of every index."""
        return super().texts(said(clauses), family)
