"""What a packet is for lint: its header, and what else rules can ask of it.

The rest of ipt2np looks at the first and the later packets of connections. A rule that neither of them meets may still
see others: an ACK that conntrack takes for a new connection, an INVALID packet, a fragment. So here a packet has, beside
the header fields of the packet space, further bits below them in the diagram, all free of each other: the output
interface, the hook, the state of its connection, its TCP flags, whether it is a later fragment, and one for each *test*
that no header decides but that gives the same answer wherever it is asked (``ttl``, ``string``, an unknown ipset).

There are more packets here than a network can send. What holds for all of them holds for every real one.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from ipt2np.packets import Field, PacketSet, PacketSpace
from ipt2np.packets.diagram import FALSE, TRUE
from ipt2np.packets.intervals import Range
from ipt2np.rules.interfaces import LABELS, Interfaces

STATES = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
"""What a packet's state can be (net/netfilter/xt_conntrack.c); SNAT and DNAT come on top of the first three."""
CONNECTED = ("NEW", "ESTABLISHED", "RELATED")
HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
NO_INPUT = ("OUTPUT",)
"""Hooks at which a packet has no input interface. (Newer kernels show it to POSTROUTING, older ones do not.)"""
NO_OUTPUT = ("PREROUTING", "INPUT")
FLAGS = 6
"""TCP flags that iptables can ask for: FIN, SYN, RST, PSH, ACK, URG, the first one the lowest bit."""
MOST_TESTS = 24
"""So many tests are followed from rule to rule in one table; further ones are undecided at each rule."""

_OUTPUT = Field.SOURCE.last + 1
_HOOK = _OUTPUT + 16
_STATE = _HOOK + 3
_SNAT = _STATE + 3
_DNAT = _SNAT + 1
_FRAGMENT = _DNAT + 1
_FLAGS = _FRAGMENT + 1
_TESTS = _FLAGS + FLAGS


@dataclass(frozen=True)
class Universe:
    """All packets that lint knows of, in one family's table."""

    space: PacketSpace
    family: int
    interfaces: Interfaces
    """Labels of all interfaces that rules name, ``lo`` among them; those beyond stand for any other, and for none."""
    whole: bool
    """True where conntrack puts fragments together before any rule looks."""
    tests: dict[Hashable, int] = field(default_factory=dict)
    """The level of each test."""

    def _bit(self, level: int) -> PacketSet:
        return PacketSet(self.space, self.space.diagram.node(level, FALSE, TRUE))

    def _number(self, first: int, bits: int, ranges: Iterable[Range]) -> PacketSet:
        return PacketSet(self.space, self.space.diagram.span(first, bits, tuple(ranges), TRUE, FALSE))

    def coming_in(self, pattern: str) -> PacketSet:
        """Packets that came in on an interface of the pattern."""
        return self.space.values(Field.INTERFACE, self.interfaces.matching(pattern))

    def going_out(self, pattern: str) -> PacketSet:
        """Packets that leave by an interface of the pattern."""
        return self._number(_OUTPUT, 16, self.interfaces.matching(pattern))

    def at(self, hook: str) -> PacketSet:
        """Packets at a hook."""
        place = HOOKS.index(hook)
        return self._number(_HOOK, 3, ((place, place),))

    def in_state(self, *states: str) -> PacketSet:
        """Packets whose connection is in one of the states; SNAT and DNAT only where there is a connection."""
        result = self.space.nothing
        for state in states:
            if state in STATES:
                place = STATES.index(state)
                result |= self._number(_STATE, 3, ((place, place),))
        for name, level in (("SNAT", _SNAT), ("DNAT", _DNAT)):
            if name in states:
                result |= self._bit(level) & self.in_state(*CONNECTED)
        return result

    def with_flags(self, mask: int, wanted: int) -> PacketSet:
        """Packets whose TCP flags under ``mask`` are exactly ``wanted``."""
        if wanted & ~mask:
            return self.space.nothing
        result = self.space.everything
        for place in range(FLAGS):
            if mask >> place & 1:
                bit = self._bit(_FLAGS + place)
                result &= bit if wanted >> place & 1 else ~bit
        return result

    @property
    def fragments(self) -> PacketSet:
        """Fragments but for the first one of a packet: they have no transport header."""
        return self._bit(_FRAGMENT)

    def passing(self, test: Hashable) -> PacketSet | None:
        """Packets for which a test holds; None where there are too many tests to follow this one."""
        level = self.tests.get(test)
        if level is None:
            if len(self.tests) >= MOST_TESTS:
                return None
            level = self.tests[test] = _TESTS + len(self.tests)
        return self._bit(level)

    def entering(self, hook: str) -> PacketSet:
        """Every packet that can come to a built-in chain."""
        result = self.space.family(self.family) & self.at(hook) & self.in_state(*STATES)
        unnamed = ((len(self.interfaces.names), LABELS),)
        if hook in NO_INPUT:
            result &= self.space.values(Field.INTERFACE, unnamed)
        if hook in NO_OUTPUT:
            result &= self._number(_OUTPUT, 16, unnamed)
        return result - self.fragments if self.whole else result
