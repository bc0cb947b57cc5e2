"""``-m tcp`` (iptables-extensions(8))."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.matches.ports import PORT_OPTIONS
from ipt2np.rules.meaning import Half, Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import TCP_FLAGS, integer, tcp_flags

SYN, ACK = TCP_FLAGS["SYN"], TCP_FLAGS["ACK"]
OPENING = (SYN | ACK | TCP_FLAGS["RST"] | TCP_FLAGS["FIN"], SYN)
"""What ``--syn`` stands for: SYN set; ACK, RST and FIN clear."""


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


class Tcp(MatchExtension):
    """Ports, flags, options of TCP."""

    name = "tcp"
    protocols = implied_by = (6,)
    options = (
        *PORT_OPTIONS,
        option(
            "--tcp-option",
            kinds=integer(255, 1),
            negatable=True,
            means=Undecided("TCP options of the packet"),
        ),
        option("--tcp-flags", kinds=(tcp_flags, tcp_flags), negatable=True, means=_flags),
        option("--syn", negatable=True),
    )
    exclusive = (("--tcp-flags", "--syn"),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """``--syn`` becomes the flags that it stands for."""
        return tuple(
            Clause("--tcp-flags", clause.negated, OPENING) if clause.option == "--syn" else clause
            for clause in super().normal(clauses, family)
        )
