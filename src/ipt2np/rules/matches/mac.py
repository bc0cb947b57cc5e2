"""``-m mac`` (iptables-extensions(8)): the link-layer source, which a pod never sees."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.values import mac_address


class Mac(MatchExtension):
    """The sender's MAC address."""

    name = "mac"
    options = (
        option(
            "--mac-source",
            kinds=mac_address,
            negatable=True,
            means=Undecided("the sender's MAC address, which no policy can test"),
        ),
    )
    required = (("--mac-source",),)
