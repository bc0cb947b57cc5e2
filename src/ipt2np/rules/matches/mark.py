"""``-m mark`` (iptables-extensions(8)): the packet's mark under a mask."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import Masked, marked


def _mark(view: View, mark: Masked) -> Meaning:
    return view.undecided("the packet's mark")


class Mark(MatchExtension):
    """The packet's mark under a mask."""

    name = "mark"
    options = (option("--mark", kinds=marked, negatable=True, means=_mark),)
    required = (("--mark",),)
