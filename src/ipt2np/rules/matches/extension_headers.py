"""What the matches on IPv6 extension headers have in common: under ``plain-header`` no packet has one."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause

ASSUMPTION = "plain-header"
WHY = "which extension headers the packet carries, which no policy can test"


def absent(extension: MatchExtension, clauses: tuple[Clause, ...], view: View) -> Meaning:
    """A match that holds only for packets with the header (the method ``meaning`` of such an extension)."""
    return view.assumed(ASSUMPTION, view.never(), WHY)
