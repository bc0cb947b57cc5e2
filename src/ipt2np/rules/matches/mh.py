"""``-m mh`` (ip6tables): the type of a Mobile IPv6 message (iptables-extensions(8)).

The kernel drops a message that does not name "no next header" as its payload (net/ipv6/netfilter/ip6t_mh.c);
RFC 6275, 6.1.1, has no other. To ip6tables a message is a protocol of its own, not an extension header.
"""

from __future__ import annotations

from collections.abc import Iterator

from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import Kind, MatchExtension, Undecided, ValueFault, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.names import number_of

TYPES = {
    "binding-refresh-request": 0, "brr": 0, "home-test-init": 1, "hoti": 1, "careof-test-init": 2, "coti": 2,
    "home-test": 3, "hot": 3, "careof-test": 4, "cot": 4, "binding-update": 5, "bu": 5,
    "binding-acknowledgement": 6, "ba": 6, "binding-error": 7, "be": 7,
}  # fmt: skip
"""Names and their short forms, in the order in which libip6t_mh tries them."""
EVERY = (0, 0xFF)


def _type(text: str) -> int:
    """A type by its name or the beginning of one, or by number."""
    wanted = text.lower()
    if wanted in TYPES:
        return TYPES[wanted]
    found = next((number for title, number in TYPES.items() if title.startswith(wanted)), None)
    if found is None:
        found = number_of(text, 255)
    if found is None:
        raise ValueFault(
            f"{text!r} is no type of a mobility message", "a number from 0 to 255, or " + ", ".join(TYPES)
        )
    return found


def _read(text: str, family: int) -> Range:
    first, colon, last = text.partition(":")
    if not text:
        raise ValueFault("a type is missing", "a type, or FIRST:LAST")
    low = _type(first) if first else 0
    high = (_type(last) if last else 0xFF) if colon else low
    if high < low:
        raise ValueFault(f"the range {text} ends before it begins", "FIRST:LAST with FIRST <= LAST")
    return low, high


def _write(value: Range, family: int) -> str:
    return str(value[0]) if value[0] == value[1] else f"{value[0]}:{value[1]}"


def _message(view: View, types: Range) -> Meaning:
    return view.always() if types == EVERY else Undecided("the type of the Mobile IPv6 message")(view)


class Mh(MatchExtension):
    """A type or a range of types."""

    name = "mh"
    families = (6,)
    protocols = implied_by = (135,)
    options = (
        option("--mh-type", kinds=Kind("TYPE[:TYPE]", _read, _write, "bu"), negatable=True, means=_message),
    )

    def texts(self, clauses: tuple[Clause, ...], family: int) -> Iterator[str]:
        """The range of all types is not printed, not even negated."""
        return super().texts(tuple(clause for clause in clauses if clause.values != (EVERY,)), family)
