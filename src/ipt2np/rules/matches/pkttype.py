"""``-m pkttype`` (iptables-extensions(8)): how the link layer delivered the packet."""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.meaning import Meaning, View

TYPES = {
    "unicast": "unicast", "host": "unicast", "broadcast": "broadcast", "bcast": "broadcast",
    "multicast": "multicast", "mcast": "multicast", "otherhost": "otherhost",
}  # fmt: skip
"""Names, and the one that iptables-save prints."""


def _read(text: str, family: int) -> str:
    if text.lower() not in TYPES:
        raise ValueFault(f"{text!r} is no type of packet", "one of " + ", ".join(TYPES))
    return TYPES[text.lower()]


def _delivered(view: View, kind: str) -> Meaning:
    """Packets for other hosts are dropped before any table (net/ipv4/ip_input.c, ip_rcv_core())."""
    if kind == "otherhost":
        return view.never()
    return view.assumed("unicast", view.constantly(kind == "unicast"), "how the link delivered the packet")


class Pkttype(MatchExtension):
    """Unicast, broadcast or multicast on the link."""

    name = "pkttype"
    options = (
        option(
            "--pkt-type",
            kinds=Kind("TYPE", _read, lambda value, family: str(value), "unicast"),
            negatable=True,
            means=_delivered,
        ),
    )
    required = (("--pkt-type",),)
