"""``-m ecn`` (iptables-extensions(8)): explicit congestion notification."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.values import integer

_MEANS = Undecided("the packet's ECN bits, which no policy can test")


class Ecn(MatchExtension):
    """Bits of the IP and of the TCP header."""

    name = "ecn"
    options = (
        option("--ecn-tcp-ece", negatable=True, means=_MEANS),
        option("--ecn-tcp-cwr", negatable=True, means=_MEANS),
        option("--ecn-ip-ect", kinds=integer(3), negatable=True, means=_MEANS),
    )
    required = (("--ecn-tcp-ece", "--ecn-tcp-cwr", "--ecn-ip-ect"),)
