"""``-m pkttype`` (iptables-extensions(8)): how the link layer delivered the packet."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import words_of

NAMES = ("UNICAST", "HOST", "BROADCAST", "BCAST", "MULTICAST", "MCAST", "OTHERHOST")


def _type(view: View, types: frozenset[str]) -> Meaning:
    meaning = view.constantly(bool(types & {"UNICAST", "HOST"}))
    return view.assumed("unicast", meaning, "how the packet was delivered on the link")


class Pkttype(MatchExtension):
    """Unicast, broadcast or multicast on the link."""

    name = "pkttype"
    options = (
        option(
            "--pkt-type",
            kinds=words_of(*NAMES),
            negatable=True,
            means=_type,
        ),
    )
