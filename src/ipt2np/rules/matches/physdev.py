"""``-m physdev`` (iptables-extensions(8)): the ports of a bridge that a packet came in by and leaves through.

Source: net/netfilter/xt_physdev.c. A packet for the host itself leaves through no port: it is not bridged. Where it came
in by one, a test for the port that it leaves through fails even when it is negated.
"""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import interface

_COMES_IN = Undecided("the bridge port that the packet came in by, if any")


def _goes_out(view: View, *values: object) -> Meaning:
    return view.never()


class Physdev(MatchExtension):
    """Bridge ports, and whether there are any."""

    name = "physdev"
    options = (
        option("--physdev-is-in", negatable=True, means=_COMES_IN),
        option("--physdev-in", kinds=interface, negatable=True, means=_COMES_IN),
        option("--physdev-is-out", negatable=True, means=_goes_out),
        option("--physdev-out", kinds=interface, negatable=True),
        option("--physdev-is-bridged", negatable=True, means=_goes_out),
    )
    required = (tuple(each.name for each in options),)

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """``! --physdev-out`` holds for what did not come in by a port of a bridge."""
        result = super().meaning(clauses, view)
        for clause in clauses:
            if clause.option == "--physdev-out":
                result &= _COMES_IN(view) if clause.negated else view.never()
        return result
