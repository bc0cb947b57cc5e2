"""``-m tcp`` (iptables-extensions(8))."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.matches.ports import PORT_OPTIONS
from ipt2np.rules.meaning import Half, Meaning, View
from ipt2np.rules.values import TCP_FLAGS, number, tcp_flags

SYN, ACK = TCP_FLAGS["SYN"], TCP_FLAGS["ACK"]


def _flags(view: View, mask: int, compare: int) -> Meaning:
    """True where the flags under ``mask`` are exactly ``compare`` (net/netfilter/xt_tcpudp.c)."""
    if view.half is Half.FIRST:
        return view.constantly(SYN & mask == compare)
    known = SYN | ACK
    if ACK & mask != compare & known:
        return view.never()
    if compare & ~mask:
        return view.never()
    return view.always() if not mask & ~known else view.undecided("TCP flags of packets inside a connection")


def _syn(view: View) -> Meaning:
    return _flags(view, SYN | ACK | TCP_FLAGS["RST"] | TCP_FLAGS["FIN"], SYN)


def _tcp_option(view: View, kind: int) -> Meaning:
    return view.undecided("TCP options of the packet")


class Tcp(MatchExtension):
    """Ports, flags, options of TCP."""

    name = "tcp"
    protocols = implied_by = (6,)
    options = (
        *PORT_OPTIONS,
        option("--tcp-flags", kinds=(tcp_flags, tcp_flags), negatable=True, means=_flags),
        option("--syn", negatable=True, means=_syn),
        option("--tcp-option", kinds=number, negatable=True, means=_tcp_option),
    )
