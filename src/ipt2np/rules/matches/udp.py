"""``-m udp`` and ``-m udplite`` (iptables-extensions(8)): ports only."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension
from ipt2np.rules.matches.ports import PORT_OPTIONS


class Udp(MatchExtension):
    """Ports of UDP."""

    name = "udp"
    protocols = implied_by = (17,)
    options = PORT_OPTIONS


class Udplite(MatchExtension):
    """Ports of UDP-Lite."""

    name = "udplite"
    protocols = implied_by = (136,)
    options = PORT_OPTIONS
