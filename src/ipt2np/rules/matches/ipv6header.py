"""``-m ipv6header`` (ip6tables): which headers a packet has (iptables-extensions(8)).

Source: net/ipv6/netfilter/ip6t_ipv6header.c. A packet without extension headers has one entry: "none" or "esp" where
its protocol is one of those, "protocol" for any other.
"""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.extension_headers import ASSUMPTION, WHY
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.names import protocol_number

ESP, NO_NEXT, PAYLOAD = 50, 59, 255
SAVED = {0: "hop-by-hop", 60: "ipv6-opts", 43: "ipv6-route", 44: "ipv6-frag", 51: "ah", ESP: "esp",
         NO_NEXT: "ipv6-nonxt", PAYLOAD: "protocol"}  # fmt: skip
"""Headers by number, in the order and under the names in which iptables-save lists them."""
OTHER_NAMES = {"hop-by-hop": 0, "hop": 0, "dst": 60, "route": 43, "frag": 44, "auth": 51, "none": NO_NEXT,
               "protocol": PAYLOAD, "prot": PAYLOAD}  # fmt: skip


def _read(text: str, family: int) -> frozenset[int]:
    found = set()
    for part in filter(None, text.split(",")):
        number = OTHER_NAMES.get(part.lower(), protocol_number(part))
        if number not in SAVED:
            raise ValueFault(
                f"{part!r} is no header", "a list of hop, dst, route, frag, auth, esp, none and prot"
            )
        found.add(number)
    if not found:
        raise ValueFault("a header is missing", "a list of hop, dst, route, frag, auth, esp, none and prot")
    return frozenset(found)


def _write(value: frozenset[int], family: int) -> str:
    return ",".join(name for number, name in SAVED.items() if number in value)


class Ipv6Header(MatchExtension):
    """Exactly the headers of a list, or with ``--soft`` at least these."""

    name = "ipv6header"
    families = (6,)
    options = (
        option("--header", kinds=Kind("LIST", _read, _write, "hop,route"), negatable=True),
        option("--soft"),
    )
    required = (("--header",),)

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """By the protocol, as long as packets carry no extension headers."""
        header = next(clause for clause in clauses if clause.option == "--header")
        soft = any(clause.option == "--soft" for clause in clauses)
        (listed,) = header.values
        assert isinstance(listed, frozenset)
        held = {ESP: view.of_protocols((ESP,)), NO_NEXT: view.of_protocols((NO_NEXT,))}
        held[PAYLOAD] = ~(held[ESP] | held[NO_NEXT])
        result = view.never()
        for entry, packets in held.items():
            # With --soft and negated, the kernel wants each of the listed headers to be absent.
            without = entry not in listed if soft else listed != {entry}
            if without if header.negated else listed == {entry}:
                result |= packets
        return view.assumed(ASSUMPTION, result, WHY)
