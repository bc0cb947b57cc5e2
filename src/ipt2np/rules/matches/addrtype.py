"""``-m addrtype`` (iptables-extensions(8)): what the routing table says an address is."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import words_of

TYPES = (
    "UNSPEC",
    "UNICAST",
    "LOCAL",
    "BROADCAST",
    "ANYCAST",
    "MULTICAST",
    "BLACKHOLE",
    "UNREACHABLE",
    "PROHIBIT",
    "THROW",
    "NAT",
    "XRESOLVE",
)
NEVER_A_SOURCE = frozenset({"LOCAL", "MULTICAST", "UNSPEC"})


def _destination_type(view: View, types: frozenset[str]) -> Meaning:
    """What reaches INPUT as unicast is addressed to one of the host's own addresses: LOCAL.

    In IPv6 some of those are anycast addresses (the subnet-router's, RFC 4291 2.6.1).
    """
    meaning = view.constantly("LOCAL" in types)
    if "ANYCAST" in types and "LOCAL" not in types and view.family == 6:
        meaning = view.undecided("whether the address is an anycast one")
    return view.assumed("unicast", meaning, "what kind of address the packet is sent to")


def _source_type(view: View, types: frozenset[str]) -> Meaning:
    """The kernel refuses own, multicast and unspecified addresses as sources before any rule looks."""
    if types <= NEVER_A_SOURCE:
        return view.never()
    return view.undecided("what kind of address the source is: that depends on the host's routes")


class Addrtype(MatchExtension):
    """Types of the source and destination address."""

    name = "addrtype"
    options = (
        option("--src-type", kinds=words_of(*TYPES), negatable=True, means=_source_type),
        option("--dst-type", kinds=words_of(*TYPES), negatable=True, means=_destination_type),
        option("--limit-iface-in"),
        option("--limit-iface-out"),
    )

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """With ``--limit-iface-in`` an own address of another interface does not count."""
        if any(clause.option.startswith("--limit-iface") for clause in clauses):
            return view.undecided("on which interface the address lives")
        return super().meaning(clauses, view)
