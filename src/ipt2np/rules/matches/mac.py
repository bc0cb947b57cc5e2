"""``-m mac`` (iptables-extensions(8)): the link-layer source, which a pod never sees."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import mac_address


def _source(view: View, address: str) -> Meaning:
    return view.undecided("the sender's MAC address, which no policy can test")


class Mac(MatchExtension):
    """The sender's MAC address."""

    name = "mac"
    options = (option("--mac-source", kinds=mac_address, negatable=True, means=_source),)
