"""``-m addrtype`` (iptables-extensions(8)): what the routing table says an address is.

net/netfilter/xt_addrtype.c: IPv4 looks for any of the types; IPv6 wants each of MULTICAST, UNICAST and UNSPEC and
any of the routed ones (addrtype_mt_v1() and match_type6()).
"""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.packets import AddressSet, Field
from ipt2np.rules.assumptions import UNDECIDED
from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.prefixes import Holding, Surveyed
from ipt2np.rules.routing import Routing
from ipt2np.rules.surveys import held, on_each, on_interfaces

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
_KINDS: Mapping[str, AddressSet] = {
    "UNSPEC": AddressSet.cidrs("::/128"),
    "MULTICAST": AddressSet.cidrs("ff00::/8"),
    "UNICAST": ~AddressSet.cidrs("::/128", "::ffff:0:0/96", "ff00::/8"),
}
"""IPv6 addresses by their looks (net/ipv6/addrconf_core.c, __ipv6_addr_type)."""
_SOURCE_WHY = "what kind of address the source is: that depends on the host's addresses and routes"
_DESTINATION_WHY = "what kind of address the packet is sent to"
_INTERFACE_WHY = "on which interface the address lives: that depends on the host's addresses and routes"


def _read_types(text: str, family: int) -> frozenset[str]:
    """A list of types in any case; the beginning of a word stands for the first that has it (parse_type())."""
    found = set()
    for part in text.split(","):
        matching = [each for each in TYPES if part and each.startswith(part.upper())]
        if not matching:
            raise ValueFault(f"{part!r} is no type of addresses", "a list of " + ", ".join(TYPES))
        found.add(matching[0])
    return frozenset(found)


def _write_types(value: frozenset[str], family: int) -> str:
    return ",".join(each for each in TYPES if each in value)


_LIST = Kind("LIST", _read_types, _write_types, "UNICAST")


def _destination_type(view: View, types: frozenset[str]) -> Meaning:
    """What reaches INPUT as unicast is addressed to one of the host's own addresses: LOCAL, in IPv6 perhaps ANYCAST."""
    routing = view.routing
    if routing is not None and routing.local_known:
        return _within_reach(view, routing, _typed(view, Field.DESTINATION, types, routing))
    if view.family == 4:
        meaning = view.constantly("LOCAL" in types)
    elif types & {"MULTICAST", "UNSPEC"}:
        meaning = view.never()
    elif types & ROUTED == {"ANYCAST"}:
        meaning = view.undecided("whether the address is an anycast one")
    else:
        meaning = view.constantly("LOCAL" in types or not types & ROUTED)
    return view.assumed("unicast", meaning, _DESTINATION_WHY)


def _source_type(view: View, types: frozenset[str]) -> Meaning:
    routing = view.routing
    if routing is not None and routing.local_known:
        return _typed(view, Field.SOURCE, types, routing)
    if routing is not None and routing.main_known:
        # Nobody answers to an own or a broadcast address by a route, so no source is one.
        return view.assumed("reverse-path", _typed(view, Field.SOURCE, types, routing), _SOURCE_WHY)
    if view.family == 4:
        return view.never() if types <= NEVER_A_SOURCE else view.undecided(_SOURCE_WHY)
    if "MULTICAST" in types:
        return view.never()
    if types == {"UNICAST"}:
        return view.exactly(view.space.addresses(Field.SOURCE, _KINDS["UNICAST"]))
    return view.undecided(_SOURCE_WHY)


def _typed(view: View, field: Field, types: frozenset[str], routing: Routing) -> Meaning:
    """Addresses of the types, by what is known of the host."""
    why = _SOURCE_WHY if field is Field.SOURCE else _DESTINATION_WHY
    if view.family == 4:
        return held(view, field, routing.types4(types), why)
    looks = _looks(view, field, types)
    return looks & held(view, field, routing.types6(types), why) if types & ROUTED else looks


def _looks(view: View, field: Field, types: frozenset[str]) -> Meaning:
    """IPv6 addresses that look like each of the types that show."""
    meaning = view.always()
    for kind in sorted(types & _KINDS.keys()):
        meaning &= view.exactly(view.space.addresses(field, _KINDS[kind]))
    return meaning


def _within_reach(view: View, routing: Routing, meaning: Meaning) -> Meaning:
    """The same for packets to the host's own addresses, which alone come in: simpler where those are all alike."""
    reached = view.space.addresses(Field.DESTINATION, routing.own[1])
    if view.assumptions["unicast"] == UNDECIDED:
        return meaning
    if reached <= meaning.must:
        return view.always()
    if not meaning.may.meets(reached):
        return view.never()
    return Meaning(meaning.may & reached, meaning.must & reached, meaning.assumptions, meaning.undecided)


def _on_interface(view: View, field: Field, types: frozenset[str]) -> Meaning:
    """The same with ``--limit-iface-in``."""
    routing = view.routing
    if routing is None or not routing.local_known:
        return view.undecided(_INTERFACE_WHY)
    if view.family == 4:
        return held(view, field, routing.types4(types, by_interface=True), _INTERFACE_WHY)
    looks = _looks(view, field, types)
    if not types & ROUTED:
        return looks
    known = routing

    def on_device(device: str) -> Meaning:
        return held(view, field, known.types6_on(device, types), _INTERFACE_WHY)

    elsewhere: Surveyed = {known.types6_elsewhere(types): ~AddressSet(6)}
    others = view.exactly(on_interfaces(view, Holding(known.devices, True)))
    return looks & (
        on_each(view, known.devices, on_device) | (others & held(view, field, elsewhere, _INTERFACE_WHY))
    )


class Addrtype(MatchExtension):
    """Types of the source and destination address."""

    name = "addrtype"
    options = (
        option("--src-type", kinds=_LIST, negatable=True, means=_source_type),
        option("--dst-type", kinds=_LIST, negatable=True, means=_destination_type),
        option("--limit-iface-in"),
        option("--limit-iface-out"),
    )
    required = (("--src-type", "--dst-type"),)
    exclusive = (("--limit-iface-in", "--limit-iface-out"),)

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """With ``--limit-iface-in`` only addresses and routes of the packet's own interface count."""
        limits = {clause.option for clause in clauses if clause.option.startswith("--limit-iface")}
        if not limits:
            return super().meaning(clauses, view)
        if limits != {"--limit-iface-in"}:
            return view.undecided("on which interface the packet would leave")
        fields = {"--src-type": Field.SOURCE, "--dst-type": Field.DESTINATION}
        result = view.always()
        for clause in clauses:
            if clause.option in fields and isinstance(clause.values[0], frozenset):
                part = _on_interface(view, fields[clause.option], clause.values[0])
                result &= ~part if clause.negated else part
        return result
