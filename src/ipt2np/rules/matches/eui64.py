"""``-m eui64`` (ip6tables-extensions(8)): the source address made from the sender's MAC address."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause


class Eui64(MatchExtension):
    """Whether the two belong together."""

    name = "eui64"
    families = (6,)

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """The link layer's source is in no header that a policy sees."""
        return view.undecided("whether the source address is made from the sender's MAC address")
