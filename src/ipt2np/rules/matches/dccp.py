"""``-m dccp`` (iptables-extensions(8))."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.matches.ports import PORT_OPTIONS
from ipt2np.rules.meaning import Half, Meaning, View
from ipt2np.rules.values import integer, words_of

TYPES = [
    "REQUEST",
    "RESPONSE",
    "DATA",
    "ACK",
    "DATAACK",
    "CLOSEREQ",
    "CLOSE",
    "RESET",
    "SYNC",
    "SYNCACK",
    "INVALID",
]


def _types(view: View, types: frozenset[str]) -> Meaning:
    """A connection begins with a REQUEST (RFC 4340, 5.1)."""
    if view.half is Half.FIRST:
        return view.constantly("REQUEST" in types)
    return view.undecided("DCCP packet types inside a connection")


class Dccp(MatchExtension):
    """Ports, packet types and options of DCCP."""

    name = "dccp"
    protocols = implied_by = (33,)
    options = (
        *PORT_OPTIONS,
        option("--dccp-types", kinds=words_of(*TYPES), negatable=True, means=_types),
        option(
            "--dccp-option",
            kinds=integer(255, 1),
            negatable=True,
            means=Undecided("DCCP options of the packet"),
        ),
    )
