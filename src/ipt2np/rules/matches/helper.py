"""``-m helper`` (iptables-extensions(8)): connections that a conntrack helper has announced.

Source: net/netfilter/xt_helper.c, helper_mt(): a connection without a master has none, and then nothing matches
but a negation.
"""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import string


def _helper(view: View, name: str) -> Meaning:
    """Only RELATED connections are announced by another one."""
    return view.assumed("state", view.never(), "whether a helper announced the connection")


class Helper(MatchExtension):
    """A helper's name, such as ``ftp``."""

    name = "helper"
    tracks = True
    options = (option("--helper", kinds=string(29, cut=True), negatable=True, means=_helper),)
    required = (("--helper",),)
