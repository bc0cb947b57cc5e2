"""``-m socket`` (iptables-extensions(8)): whether the host has a socket that the packet is for.

Source: net/netfilter/xt_socket.c and net/ipv4/netfilter/nf_socket_ipv4.c (and _ipv6.c), nf_sk_lookup_slow(): sockets
are looked up for TCP, UDP and ICMP errors about them alone.
"""

from __future__ import annotations

from ipt2np.packets import Field
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause

ICMP = {4: 1, 6: 58}
ERRORS = {4: ((3, 5), (11, 12)), 6: ((0, 127),)}
"""Types of ICMP messages that quote a packet; in IPv4 without the two in between that nobody sends any more."""


class Socket(MatchExtension):
    """Any but a wildcard socket; ``--nowildcard`` takes these too, ``--transparent`` only transparent ones."""

    name = "socket"
    options = (
        option("--transparent"),
        option("--nowildcard"),
        option("--restore-skmark"),
    )

    def changes_mark(self, clauses: tuple[Clause, ...]) -> bool:
        """``--restore-skmark`` gives the packet the mark of the socket that it is for."""
        return Clause("--restore-skmark") in clauses

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """Never for packets that no socket is looked up for."""
        icmp = view.space.value(Field.PROTOCOL, ICMP[view.family])
        errors = icmp & view.space.values(Field.ICMP_TYPE, ERRORS[view.family])
        ported = view.space.values(Field.PROTOCOL, ((6, 6), (17, 17)))
        return view.undecided("which sockets are open on the host", ported | errors)
