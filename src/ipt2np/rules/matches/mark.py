"""``-m mark`` (iptables-extensions(8)): the packet's mark under a mask (net/netfilter/xt_mark.c, mark_mt)."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import Masked, marked


def bits_tested(clauses: tuple[Clause, ...]) -> int:
    """The bits that the ``--mark`` options look at."""
    found = 0
    for clause in clauses:
        for value in clause.values:
            found |= value.mask if isinstance(value, Masked) else 0
    return found


def _mark(view: View, mark: Masked) -> Meaning:
    return view.known(view.marks.packet.equal(mark.value, mark.mask), "the packet's mark")


class Mark(MatchExtension):
    """The packet's mark under a mask."""

    name = "mark"
    options = (option("--mark", kinds=marked, negatable=True, means=_mark),)
    required = (("--mark",),)

    def tested_marks(self, clauses: tuple[Clause, ...], view: View) -> tuple[int, int]:
        """The bits under the mask."""
        return bits_tested(clauses), 0
