"""``-m state`` and ``-m conntrack`` (iptables-extensions(8)): the connection's state is the packet's.

Sources: net/netfilter/xt_conntrack.c (a packet without a connection is judged by its state test alone),
nf_conntrack_proto_icmp.c (``valid_new``: types 8, 13, 15, 17 open a connection),
nf_conntrack_proto_icmpv6.c (128 and 139 do; neighbour discovery and multicast listener types are untracked).
"""

from __future__ import annotations

from ipt2np.packets import AddressSet, Field, PacketSet
from ipt2np.packets.intervals import Range, merged
from ipt2np.rules.extension import Kind, MatchExtension, Undecided, option
from ipt2np.rules.meaning import Half, Hook, Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import (
    Network,
    choice,
    covered,
    host_mask,
    integer_range,
    port_range,
    protocol_as_number,
    words_of,
)

ICMP_OPENING = {4: ((1, (8, 13, 15, 17)),), 6: ((58, (128, 139)),)}
ICMP_UNTRACKED = {4: (), 6: ((58, (130, 131, 132, 133, 134, 135, 136, 143, 151, 152)),)}
PORTED = ((6, 6), (17, 17), (132, 132))
"""Protocols whose ports are part of a connection (net/netfilter/nf_conntrack_core.c, nf_ct_get_tuple)."""
ICMP_PROTOCOLS = ((1, 1), (58, 58))
"""Conntrack takes the other family's ICMP for INVALID, whatever its type (nf_conntrack_icmp_packet())."""

NO_NEXT_HEADER = 59
"""In IPv6 nothing follows such a packet's header that conntrack could look at (ipv6_skip_exthdr())."""


def _icmp(view: View, table: tuple[tuple[int, tuple[int, ...]], ...]) -> PacketSet:
    result = view.space.nothing
    for number, types in table:
        result |= view.space.value(Field.PROTOCOL, number) & view.space.values(
            Field.ICMP_TYPE, merged((t, t) for t in types)
        )
    return result


def opening(view: View) -> PacketSet:
    """Packets that conntrack takes for the beginning of a connection."""
    others = ~view.space.values(Field.PROTOCOL, ICMP_PROTOCOLS)
    if view.family == 6:
        others -= view.space.value(Field.PROTOCOL, NO_NEXT_HEADER)
    return others | _icmp(view, ICMP_OPENING[view.family])


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
    if "DNAT" in states and view.rewritten is not False:
        meaning |= (
            view.exactly(has_connection(view))
            if view.rewritten
            else view.undecided("whether nat has changed the connection's destination", has_connection(view))
        )
    if "SNAT" in states and view.translates:
        meaning |= view.undecided("whether nat has changed the connection's source", has_connection(view))
    return view.assumed("state", meaning, "the connection's state")


class State(MatchExtension):
    """``--state``: the older form of ``-m conntrack --ctstate``."""

    name = "state"
    tracks = True
    options = (
        option(
            "--state",
            kinds=words_of("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED"),
            negatable=True,
            means=_states,
        ),
    )
    required = (("--state",),)


def _address(field: Field, view: View, given: Network, known: bool) -> Meaning:
    ranges, _ = covered(Network(given.address & given.mask, given.mask), view.family)
    packets = view.space.addresses(field, AddressSet.of(view.family, ranges))
    return view.exactly(packets) if known else view.undecided("an address of the connection")


def _port(field: Field, view: View, ranges: tuple[Range, ...], known: bool) -> Meaning:
    """Exact for protocols whose ports conntrack keeps; for others the same bytes hold an id, a type or nothing."""
    why = "what conntrack keeps as the connection's ports"
    if not known:
        return view.undecided(why)
    ported = view.space.values(Field.PROTOCOL, PORTED)
    return view.exactly(ported & view.space.values(field, ranges)) | view.undecided(why, ~ported)


def _original_source(view: View, given: Network) -> Meaning:
    return _address(Field.SOURCE, view, given, True)


def _original_destination(view: View, given: Network) -> Meaning:
    return _address(Field.DESTINATION, view, given, view.wire or view.rewritten is False)


def _reply_source(view: View, given: Network) -> Meaning:
    """An answer comes from where the packet went to, which is where nat sent it."""
    return _address(Field.DESTINATION, view, given, not view.wire or view.rewritten is False)


def _reply_destination(view: View, given: Network) -> Meaning:
    return _address(Field.SOURCE, view, given, not view.translates)


def _original_source_port(view: View, ranges: tuple[Range, ...]) -> Meaning:
    return _port(Field.SOURCE_PORT, view, ranges, True)


def _original_destination_port(view: View, ranges: tuple[Range, ...]) -> Meaning:
    return _port(Field.DESTINATION_PORT, view, ranges, view.wire or view.rewritten is False)


def _reply_source_port(view: View, ranges: tuple[Range, ...]) -> Meaning:
    return _port(Field.DESTINATION_PORT, view, ranges, not view.wire or view.rewritten is False)


def _reply_destination_port(view: View, ranges: tuple[Range, ...]) -> Meaning:
    # nat gives a connection another port where two would else look alike to the host.
    return _port(Field.SOURCE_PORT, view, ranges, not view.translates and view.rewritten is False)


def _protocol(view: View, number: int) -> Meaning:
    return view.of_protocols((number,))


def _direction(view: View, direction: str) -> Meaning:
    return view.constantly(direction == "ORIGINAL")


def _status(view: View, statuses: frozenset[str]) -> Meaning:
    """Any of the bits; a first packet's connection has none of them yet (nf_conntrack_core.c, __nf_conntrack_confirm)."""
    if view.half is Half.FIRST:
        meaning = view.never()
    elif statuses & {"SEEN_REPLY", "CONFIRMED"}:
        meaning = view.always()
    elif "ASSURED" in statuses:
        meaning = view.undecided("whether conntrack takes the connection for an assured one")
    else:
        meaning = view.never()
    return view.assumed("state", meaning, "the connection's status")


STATUSES = ("EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED")


def _read_status(text: str, family: int) -> frozenset[str]:
    found: frozenset[str] = words_of(*STATUSES, "NONE").read(text, family)
    return found - {"NONE"}


def _write_status(value: frozenset[str], family: int) -> str:
    return ",".join(each for each in STATUSES if each in value) or "NONE"


_STATUS = Kind("LIST", _read_status, _write_status, "ASSURED")


_OF_NAT = frozenset(
    {"--ctorigdst", "--ctorigdstport", "--ctreplsrc", "--ctreplsrcport", "--ctrepldst", "--ctrepldstport"}
)


class Conntrack(MatchExtension):
    """State, addresses and direction of the connection that a packet belongs to."""

    name = "conntrack"
    tracks = True
    options = (
        option(
            "--ctstate",
            kinds=words_of("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT"),
            negatable=True,
            means=_states,
        ),
        option("--ctproto", kinds=protocol_as_number, negatable=True, means=_protocol),
        option("--ctorigsrc", kinds=host_mask, negatable=True, means=_original_source),
        option("--ctorigdst", kinds=host_mask, negatable=True, means=_original_destination),
        option("--ctreplsrc", kinds=host_mask, negatable=True, means=_reply_source),
        option("--ctrepldst", kinds=host_mask, negatable=True, means=_reply_destination),
        option("--ctorigsrcport", kinds=port_range, negatable=True, means=_original_source_port),
        option("--ctorigdstport", kinds=port_range, negatable=True, means=_original_destination_port),
        option("--ctreplsrcport", kinds=port_range, negatable=True, means=_reply_source_port),
        option("--ctrepldstport", kinds=port_range, negatable=True, means=_reply_destination_port),
        option("--ctstatus", kinds=_STATUS, negatable=True, means=_status),
        option(
            "--ctexpire",
            kinds=integer_range(),
            negatable=True,
            means=Undecided("how long conntrack will keep the connection"),
        ),
        option("--ctdir", kinds=choice("ORIGINAL", "REPLY", fold=True), means=_direction),
    )
    required = (tuple(each.name for each in options),)

    def tests_rewriting(self, clauses: tuple[Clause, ...]) -> bool:
        """Where the destination before or behind nat is asked for, or whether nat changed it."""
        return any(
            clause.option in _OF_NAT
            or (clause.option == "--ctstate" and any("DNAT" in value for value in clause.values))  # type: ignore[operator]
            for clause in clauses
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
