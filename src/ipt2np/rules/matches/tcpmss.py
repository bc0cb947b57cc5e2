"""``-m tcpmss`` (iptables-extensions(8)): the segment size that a TCP packet announces."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.values import integer_range


class Tcpmss(MatchExtension):
    """A segment size or a range of them."""

    name = "tcpmss"
    protocols = (6,)
    options = (
        option(
            "--mss",
            kinds=integer_range(0xFFFF),
            negatable=True,
            means=Undecided("the segment size (MSS) that the packet announces, if any"),
        ),
    )
    required = (("--mss",),)
