"""Rules that let in answers to the host's own connections, as a host without connection tracking needs them.

Two kinds. Rules that *only* answers and later packets can match, since they ask for TCP flags that the first packet
of a connection does not have, or for ICMP replies: told by the packets that they match. And rules that take the
source port for the sign of an answer (``--sport 53``), by which new connections come in as well: told by their ports.

Sources: RFC 792 and RFC 4443 (ICMP replies), RFC 959, 3.2 (FTP's data connections are opened by the server, from port 20),
RFC 2131, 4.1 and RFC 8415, 7.2 (ports of DHCP), RFC 5905, 9.1 (NTP from port 123 to port 123),
Documentation/networking/ip-sysctl.rst, ip_local_port_range (where the kernel takes a client's ports from).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ipt2np.packets import Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import Effect
from ipt2np.rules.matches.tcp import ACK, SYN
from ipt2np.rules.meaning import Half, Hook
from ipt2np.rules.model import Clause, Rule
from ipt2np.rules.values import PortList
from ipt2np.semantics.decide import Decision, Side
from ipt2np.semantics.states import effect_of

ICMP_REPLIES = ((4, 1, (0, 14, 16, 18)), (6, 58, (129,)))
"""Family, protocol, and the types that answer a request: echo, timestamp, information, address mask."""
FIRST_CLIENT_PORT = 32768
"""Clients' ports begin here, unless the host was told otherwise."""
FTP_DATA = 20
SYMMETRIC = ((53, 53), (67, 68), (123, 123), (547, 546))
"""(server's port, client's port) of protocols whose clients have a port of their own."""


def reply_rules(decision: Decision) -> tuple[Rule, ...]:
    """Accepting rules of the input path that only later packets and answers can match, the state of which they don't ask."""
    found: dict[int, Rule] = {}
    for side in decision.sides:
        others = side.possible - _icmp_replies(decision.space, side.family)
        for rule in _stateless_accepts(side):
            opens = _matched(side, rule, Half.FIRST).meets(others)
            if not opens and _lets_in(side, rule):
                found[rule.number] = rule
    return tuple(found[number] for number in sorted(found))


@dataclass(frozen=True, slots=True)
class Answering:
    """A rule that takes a server's source port for the sign of an answer, and the connection attempts that it lets in."""

    rule: Rule
    packets: PacketSet


def answering_rules(decision: Decision) -> tuple[Answering, ...]:
    """Those of the input path, in the order of the files; destination and interface are projected out of the packets."""
    found: dict[int, Answering] = {}
    for side in decision.sides:
        for rule in filter(_from_a_server, _stateless_accepts(side)):
            packets = side.arrivals(rule, Half.FIRST).some(Field.DESTINATION).some(Field.INTERFACE)
            if packets:
                known = found.get(rule.number)
                found[rule.number] = Answering(rule, packets if known is None else known.packets | packets)
    return tuple(found[number] for number in sorted(found))


def _stateless_accepts(side: Side) -> Iterator[Rule]:
    for key in side.walker.order:
        for rule in side.ruleset.chains[key].rules:
            asks = any("state" in meaning.assumptions for meaning in side.meanings(rule))
            if effect_of(rule) is Effect.ACCEPT and not asks:
                yield rule


def _matched(side: Side, rule: Rule, half: Half) -> PacketSet:
    """The packets of a half that the rule may match, whatever comes before it."""
    view = replace(side.walker.view, half=half, hook=Hook.AFTER_CONNTRACK)
    result = view.always()
    for use in rule.matches:
        result &= use.extension.meaning(use.clauses, view)
    return result.may


def _icmp_replies(space: PacketSpace, family: int) -> PacketSet:
    result = space.nothing
    for of_family, protocol, types in ICMP_REPLIES:
        if of_family == family:
            ranges = tuple((each, each) for each in types)
            result |= space.value(Field.PROTOCOL, protocol) & space.values(Field.ICMP_TYPE, ranges)
    return result


def _lets_in(side: Side, rule: Rule) -> bool:
    """True where the rule sees a packet that it matches: a later one, an ICMP reply, or the SYN,ACK of an answer.

    The last is a packet of neither half, so whether it gets as far as the rule is not asked.
    """
    if any(_matched(side, rule, half) for half in Half):
        return any(side.arrives(rule, half) for half in Half)
    flags = [clause for clause in _clauses(rule) if clause.option == "--tcp-flags"]
    return bool(flags) and all(_has_flags(clause, SYN | ACK) for clause in flags)


def _has_flags(clause: Clause, flags: int) -> bool:
    mask, compare = clause.values
    assert isinstance(mask, int)
    return (flags & mask == compare) is not clause.negated


def _from_a_server(rule: Rule) -> bool:
    sources, destinations = _ports(rule, "--source-port"), _ports(rule, "--destination-port")
    if not sources or any(high >= FIRST_CLIENT_PORT for _, high in sources):
        return False
    if sources == ((FTP_DATA, FTP_DATA),):
        return False
    if any(
        sources == ((server, server),) and destinations == ((client, client),) for server, client in SYMMETRIC
    ):
        return True
    return not destinations or any(high >= FIRST_CLIENT_PORT for _, high in destinations)


def _ports(rule: Rule, name: str) -> tuple[Range, ...]:
    """The ports that the rule asks for, none where it doesn't or says which not."""
    for clause in _clauses(rule):
        if clause.option in (name, name + "s"):
            ports = clause.values[0]
            ranges = ports.ranges if isinstance(ports, PortList) else ports
            return ranges if isinstance(ranges, tuple) and not clause.negated else ()
    return ()


def _clauses(rule: Rule) -> Iterator[Clause]:
    return (clause for use in rule.matches for clause in use.clauses)
