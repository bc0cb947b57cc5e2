"""``-m connmark`` (iptables-extensions(8)): the connection's mark under a mask (net/netfilter/xt_connmark.c)."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.matches.conntrack import has_connection
from ipt2np.rules.matches.mark import bits_tested
from ipt2np.rules.meaning import Hook, Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import Masked, marked


def _mark(view: View, mark: Masked) -> Meaning:
    return view.known(view.marks.connection.equal(mark.value, mark.mask), "the connection's mark")


class Connmark(MatchExtension):
    """The connection's mark under a mask."""

    name = "connmark"
    tracks = True
    options = (option("--mark", kinds=marked, negatable=True, means=_mark),)
    required = (("--mark",),)

    def tested_marks(self, clauses: tuple[Clause, ...], view: View) -> tuple[int, int]:
        """The bits under the mask."""
        return 0, bits_tested(clauses)

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """A packet without a connection matches nothing, negated or not."""
        if view.hook is Hook.BEFORE_CONNTRACK:
            return view.never()
        return super().meaning(clauses, view) & view.exactly(has_connection(view))
