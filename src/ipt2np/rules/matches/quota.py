"""``-m quota`` (iptables-extensions(8)): holds until so many bytes have passed (net/netfilter/xt_quota.c)."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.matches.length import SMALLEST
from ipt2np.rules.matches.rate import below
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import number


def _left(view: View, octets: int) -> Meaning:
    """A quota that no packet fits into is used up by the first one."""
    return view.never() if octets < SMALLEST[view.family] else below(view)


class Quota(MatchExtension):
    """A number of bytes."""

    name = "quota"
    options = (option("--quota", kinds=number, negatable=True, means=_left),)
    required = (("--quota",),)
