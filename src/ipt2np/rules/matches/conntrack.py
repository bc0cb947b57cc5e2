"""``-m state`` and ``-m conntrack`` (iptables-extensions(8)): the connection's state is the packet's.

Sources: net/netfilter/xt_conntrack.c (a packet without a connection is judged by its state test alone),
nf_conntrack_proto_icmp.c (``valid_new``: types 8, 13, 15, 17 open a connection),
nf_conntrack_proto_icmpv6.c (128 and 139 do; neighbour discovery and multicast listener types are untracked).
"""

from __future__ import annotations

from ipt2np.packets import Field, PacketSet
from ipt2np.packets.intervals import Range, merged
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Half, Hook, Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import AddressSpec, addresses, port_range, protocol, word, words_of

ICMP_OPENING = {4: ((1, (8, 13, 15, 17)),), 6: ((58, (128, 139)),)}
ICMP_UNTRACKED = {4: (), 6: ((58, (130, 131, 132, 133, 134, 135, 136, 143, 151, 152)),)}
PORTED = ((6, 6), (17, 17), (132, 132))
"""Protocols whose ports are part of a connection (net/netfilter/nf_conntrack_core.c, nf_ct_get_tuple)."""
ICMP_PROTOCOLS = ((1, 1), (58, 58))
"""Conntrack takes the other family's ICMP for INVALID, whatever its type (nf_conntrack_icmp_packet())."""


def _icmp(view: View, table: tuple[tuple[int, tuple[int, ...]], ...]) -> PacketSet:
    result = view.space.nothing
    for number, types in table:
        result |= view.space.value(Field.PROTOCOL, number) & view.space.values(
            Field.ICMP_TYPE, merged((t, t) for t in types)
        )
    return result


def opening(view: View) -> PacketSet:
    """Packets that conntrack takes for the beginning of a connection."""
    icmp = view.space.values(Field.PROTOCOL, ICMP_PROTOCOLS)
    return ~icmp | _icmp(view, ICMP_OPENING[view.family])


def in_state(view: View, state: str) -> PacketSet:
    """The packets whose state is NEW, ESTABLISHED, INVALID, UNTRACKED or RELATED."""
    space = view.space
    if not view.tracked:
        return space.everything if state == "UNTRACKED" else space.nothing
    if view.hook is Hook.BEFORE_CONNTRACK:
        return space.everything if state == "INVALID" else space.nothing
    open_ = opening(view)
    untracked = _icmp(view, ICMP_UNTRACKED[view.family])
    if state == "UNTRACKED":
        return untracked
    if state == "INVALID":
        return ~(open_ | untracked)
    if state == ("NEW" if view.half is Half.FIRST else "ESTABLISHED"):
        return open_
    return space.nothing


def has_connection(view: View) -> PacketSet:
    """Packets that belong to a connection by the time the rule looks."""
    return in_state(view, "NEW") | in_state(view, "ESTABLISHED")


def _states(view: View, states: frozenset[str]) -> Meaning:
    packets = view.space.nothing
    for state in states & {"NEW", "ESTABLISHED", "INVALID", "UNTRACKED", "RELATED"}:
        packets |= in_state(view, state)
    meaning = view.exactly(packets)
    # SNAT and DNAT are pseudo-states: the connection's addresses were rewritten.
    if "DNAT" in states and view.rewritten:
        meaning |= view.exactly(has_connection(view))
    if "SNAT" in states and view.translates:
        meaning |= view.undecided("whether nat has changed the connection's source", has_connection(view))
    return view.assumed("state", meaning, "the connection's state")


class State(MatchExtension):
    """``--state``: the older form of ``-m conntrack --ctstate``."""

    name = "state"
    tracks = of_connection = True
    options = (
        option(
            "--state",
            kinds=words_of("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED"),
            negatable=True,
            means=_states,
        ),
    )


def _original(field: Field, view: View, spec: AddressSpec) -> Meaning:
    if spec.addresses.family != view.family:
        return view.never()
    packets = view.space.addresses(field, spec.addresses)
    if not spec.exact:
        return view.undecided("the connection's original addresses", packets)
    return view.exactly(packets)


def _original_source(view: View, spec: AddressSpec) -> Meaning:
    return _original(Field.SOURCE, view, spec)


def _original_destination(view: View, spec: AddressSpec) -> Meaning:
    return _original(Field.DESTINATION, view, spec)


def _original_port(field: Field, view: View, ranges: tuple[Range, ...]) -> Meaning:
    """Exact for protocols whose ports conntrack keeps; for others the same bytes hold an id, a type or nothing."""
    why = "what conntrack keeps as the connection's ports"
    ported = view.space.values(Field.PROTOCOL, PORTED)
    return view.exactly(ported & view.space.values(field, ranges)) | view.undecided(why, ~ported)


def _original_source_port(view: View, ranges: tuple[Range, ...]) -> Meaning:
    return _original_port(Field.SOURCE_PORT, view, ranges)


def _original_destination_port(view: View, ranges: tuple[Range, ...]) -> Meaning:
    return _original_port(Field.DESTINATION_PORT, view, ranges)


def _protocol(view: View, number: int) -> Meaning:
    return view.of_protocols((number,))


def _direction(view: View, directions: frozenset[str]) -> Meaning:
    return view.constantly(directions == {"ORIGINAL"})


def _not_in_the_header(view: View, value: object) -> Meaning:
    return view.undecided("what conntrack knows of the connection beside its state")


class Conntrack(MatchExtension):
    """State, addresses and direction of the connection that a packet belongs to."""

    name = "conntrack"
    tracks = of_connection = True
    options = (
        option(
            "--ctstate",
            kinds=words_of("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"),
            negatable=True,
            means=_states,
        ),
        option("--ctproto", kinds=protocol, negatable=True, means=_protocol),
        option("--ctorigsrc", kinds=addresses, negatable=True, means=_original_source),
        option("--ctorigdst", kinds=addresses, negatable=True, means=_original_destination),
        option("--ctreplsrc", kinds=addresses, negatable=True, means=_not_in_the_header),
        option("--ctrepldst", kinds=addresses, negatable=True, means=_not_in_the_header),
        option("--ctorigsrcport", kinds=port_range, negatable=True, means=_original_source_port),
        option("--ctorigdstport", kinds=port_range, negatable=True, means=_original_destination_port),
        option("--ctreplsrcport", kinds=port_range, negatable=True, means=_not_in_the_header),
        option("--ctrepldstport", kinds=port_range, negatable=True, means=_not_in_the_header),
        option("--ctstatus", kinds=word, negatable=True, means=_not_in_the_header),
        option("--ctexpire", kinds=word, negatable=True, means=_not_in_the_header),
        option("--ctdir", kinds=words_of("ORIGINAL", "REPLY"), means=_direction),
    )

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """Without a connection only the state test counts, and without one nothing matches."""
        state = tuple(clause for clause in clauses if clause.option == "--ctstate")
        by_state = super().meaning(state, view) if state else view.always()
        rest = super().meaning(tuple(clause for clause in clauses if clause.option != "--ctstate"), view)
        connected = view.exactly(has_connection(view))
        if not state:
            return connected & rest
        return by_state & (rest | ~connected)
