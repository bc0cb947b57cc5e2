"""``-m addrtype`` (iptables-extensions(8)): what the routing table says an address is."""

from __future__ import annotations

from ipt2np.packets import AddressSet, Field
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
"""Types of sources that the kernel refuses before any rule looks; in IPv6 it does so for multicast alone."""
ROUTED = frozenset({"LOCAL", "ANYCAST", "UNREACHABLE"})
NOT_UNICAST = AddressSet.cidrs("::/128", "::ffff:0:0/96")
"""What remains of IPv6 sources that is not unicast to the kernel (net/ipv6/addrconf_core.c, __ipv6_addr_type)."""


def _destination_type(view: View, types: frozenset[str]) -> Meaning:
    """What reaches INPUT as unicast is addressed to one of the host's own addresses: LOCAL.

    IPv4 looks for any of the types, IPv6 wants each of MULTICAST, UNICAST and UNSPEC and any of the routed ones
    (net/netfilter/xt_addrtype.c, addrtype_mt_v4 and match_type6). Some own IPv6 addresses are anycast ones.
    """
    if view.family == 4:
        meaning = view.constantly("LOCAL" in types)
    elif types & {"MULTICAST", "UNSPEC"}:
        meaning = view.never()
    elif types & ROUTED == {"ANYCAST"}:
        meaning = view.undecided("whether the address is an anycast one")
    else:
        meaning = view.constantly("LOCAL" in types or not types & ROUTED)
    return view.assumed("unicast", meaning, "what kind of address the packet is sent to")


def _source_type(view: View, types: frozenset[str]) -> Meaning:
    why = "what kind of address the source is: that depends on the host's routes"
    if view.family == 4:
        return view.never() if types <= NEVER_A_SOURCE else view.undecided(why)
    if "MULTICAST" in types:
        return view.never()
    if types == {"UNICAST"}:
        return view.exactly(~view.space.addresses(Field.SOURCE, NOT_UNICAST))
    return view.undecided(why)


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
