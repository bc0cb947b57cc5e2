"""``-m hl`` (ip6tables-extensions(8)): the hop limit of IPv6."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.values import integer

_MEANS = Undecided("the packet's hop limit, which no policy can test")


class Hl(MatchExtension):
    """Equal, less, greater."""

    name = "hl"
    families = (6,)
    options = (
        option("--hl-eq", "--hl", kinds=integer(255), negatable=True, means=_MEANS),
        option("--hl-lt", kinds=integer(255), means=_MEANS),
        option("--hl-gt", kinds=integer(255), means=_MEANS),
    )
    required = exclusive = (("--hl-eq", "--hl-lt", "--hl-gt"),)
