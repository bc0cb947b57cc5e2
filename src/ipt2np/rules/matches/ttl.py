"""``-m ttl`` (iptables-extensions(8)): how many hops a packet had left."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import integer

_octet = integer(255)
_hops = Undecided("the packet's time to live, which no policy can test")


def _fewer(view: View, hops: int) -> Meaning:
    return _hops(view) if hops else view.never()


def _more(view: View, hops: int) -> Meaning:
    return _hops(view) if hops < 255 else view.never()


class Ttl(MatchExtension):
    """Equal to, less than or greater than a number."""

    name = "ttl"
    families = (4,)
    options = (
        option("--ttl-eq", "--ttl", kinds=_octet, negatable=True, means=_hops),
        option("--ttl-lt", kinds=_octet, means=_fewer),
        option("--ttl-gt", kinds=_octet, means=_more),
    )
    required = exclusive = (("--ttl-eq", "--ttl-lt", "--ttl-gt"),)
