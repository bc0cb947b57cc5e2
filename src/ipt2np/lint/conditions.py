"""Which packets a rule certainly takes for its own, and which it may: lint's reading of matches.

Exact for header fields, interfaces, TCP flags and the state of the connection. Other matches fall in two kinds. A *test*
gives the same answer for one packet in every rule of a table (``ttl``, ``string``, ``-m set`` with a set that no rule
changes): two rules that ask the same can shadow each other. All else (``limit``, ``recent``, ``statistic``, unknown
matches) may hold or not, each time anew.

Sources: net/netfilter/xt_tcpudp.c, xt_multiport.c, xt_sctp.c (a later fragment has no ports, whatever is negated);
xt_conntrack.c, xt_state.c; net/ipv4/netfilter/ip_tables.c, ip_packet_match().
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ipt2np.lint.universe import CONNECTED, Universe
from ipt2np.packets import PacketSet
from ipt2np.rules.assumptions import ASSUMPTIONS, UNDECIDED, Assumptions
from ipt2np.rules.extension import Effect, Option
from ipt2np.rules.ipset import with_members
from ipt2np.rules.meaning import Half, Hook, View
from ipt2np.rules.model import Clause, Jump, MatchUse, Rule, Ruleset, TargetUse
from ipt2np.rules.settypes import ADDRESSES, Part
from ipt2np.rules.targets.set import sets_changed
from ipt2np.semantics import Facts

BY_HEADER = (
    "ip",
    "comment",
    "iprange",
    "tcp",
    "udp",
    "udplite",
    "icmp",
    "icmp6",
    "multiport",
    "sctp",
    "dccp",
)
"""Matches whose options are read one by one; those that no header decides are tests of their own."""
OF_TRANSPORT = ("tcp", "udp", "udplite", "icmp", "icmp6", "multiport", "sctp", "dccp")
"""Matches that never hold for later fragments."""
LASTING = (
    "addrtype", "ah", "bpf", "cgroup", "cluster", "connbytes", "connlabel", "connmark", "conntrack", "cpu", "devgroup",
    "dscp", "dst", "ecn", "esp", "eui64", "frag", "hbh", "helper", "hl", "ipcomp", "ipv4options", "ipv6header", "ipvs",
    "length", "mac", "mark", "mh", "osf", "owner", "physdev", "pkttype", "policy", "realm", "rpfilter", "rt", "set",
    "sctp", "dccp", "ip", "tcp", "srh", "string", "tcpmss", "time", "tos", "ttl", "u32",
)  # fmt: skip
"""Matches that say the same of a packet in every rule of a table, if no rule changes what they look at."""
COMPLEMENTED = ("dscp", "length", "mark", "pkttype", "set", "string", "tos")
"""Matches whose negation holds exactly where they do not. (``! -m mac`` fails as well where there is no MAC address.)"""
UNTOUCHING: Mapping[str, tuple[str, ...]] = {
    "CLASSIFY": (), "TEE": (), "LED": (), "RATEEST": (), "IDLETIMER": (),
    "MARK": ("mark", "set"), "CONNMARK": ("mark", "connmark", "set"), "SET": ("set",),
}  # fmt: skip
"""Targets that leave the packet as it is, and the matches that may see what they changed; any other may change anything."""
_DECIDING = (
    Effect.ACCEPT, Effect.DROP, Effect.REJECT, Effect.RETURN, Effect.DIVERT, Effect.MAY_DIVERT, Effect.PROXY,
    Effect.REWRITE, Effect.LOG,
)  # fmt: skip
_COUNTED = ("--packets-", "--bytes-")
_ALL_OPEN = Assumptions({each.id: UNDECIDED for each in ASSUMPTIONS})


@dataclass(frozen=True, slots=True)
class Bounds:
    """``may`` ⊇ ``must``: the packets that a condition may hold for, and those for which it certainly does."""

    may: PacketSet
    must: PacketSet

    def __and__(self, other: Bounds) -> Bounds:
        return Bounds(self.may & other.may, self.must & other.must)

    def __invert__(self) -> Bounds:
        return Bounds(~self.must, ~self.may)


@dataclass(frozen=True)
class Conditions:
    """Reads the rules of one table."""

    universe: Universe
    view: View
    table: str
    unsteady: frozenset[str]
    """Matches of which rules of the table change what they look at."""
    repeated: frozenset[Hashable] | None = None
    """The tests that one packet may be asked more than once; None while they are counted."""
    asked: Counter[Hashable] = field(default_factory=Counter)

    @classmethod
    def of(cls, universe: Universe, ruleset: Ruleset, table: str, facts: Facts) -> Conditions:
        """For a table of a ruleset."""
        targets = [rule.target for rule in ruleset.rules if rule.table == table]
        unsteady: set[str] = set()
        for target in targets:
            if isinstance(target, TargetUse) and target.effect not in _DECIDING:
                unsteady.update(UNTOUCHING.get(target.extension.name, LASTING))
        if any(use.extension.changes_mark(use.clauses) for rule in ruleset.rules for use in rule.matches):
            unsteady |= {"mark", "set"}
        view = View(
            universe.space,
            universe.family,
            Half.LATER,
            Hook.AFTER_CONNTRACK,
            True,
            _ALL_OPEN,
            universe.interfaces,
            facts.counted_ipsets,
            changed_sets=sets_changed([ruleset]),
        )
        conditions = cls(universe, view, table, frozenset(unsteady))
        rules = [rule for rule in ruleset.rules if rule.table == table]
        often = _called_often(rules)
        for rule in rules:
            for _ in range(2 if rule.chain in often else 1):
                conditions.of_rule(rule)
        repeated = frozenset(test for test, times in conditions.asked.items() if times > 1)
        return replace(conditions, repeated=repeated)

    def of_rule(self, rule: Rule) -> Bounds:
        """The packets for which all of a rule's matches may hold, and certainly hold."""
        everything = self.universe.space.everything
        result = Bounds(everything, everything)
        for use in rule.matches:
            result &= self._of_use(use)
        return result

    def _exactly(self, packets: PacketSet) -> Bounds:
        return Bounds(packets, packets)

    def _open(self) -> Bounds:
        return Bounds(self.universe.space.everything, self.universe.space.nothing)

    def _of_use(self, use: MatchUse) -> Bounds:
        name, extension = use.extension.name, use.extension
        result = self._exactly(self.universe.space.everything)
        if extension.protocols:
            result &= self._exactly(self.view.of_protocols(extension.protocols).must)
        if name in OF_TRANSPORT:
            result &= self._exactly(~self.universe.fragments)
        if name in BY_HEADER:
            for clause in use.clauses:
                declared = extension.named(clause.option)
                if declared is not None:
                    result &= self._of_clause(use, declared, clause)
            return result
        if name == "state" or (name == "conntrack" and self.table != "raw"):
            return self._of_connection(use)
        if name == "set":
            known = self._of_known_set(use)
            if known is not None:
                return known
        return result & self._of_test(name, use.clauses)

    def _of_clause(self, use: MatchUse, declared: Option, clause: Clause) -> Bounds:
        """One option of a match that mostly looks at the header."""
        decided = self._decided(declared, clause)
        if decided is not None:
            return self._exactly(~decided if clause.negated else decided)
        if declared.means is None:
            return self._exactly(self.universe.space.everything)
        meaning = declared.means(self.view, *clause.values)
        if meaning.exact:
            return self._exactly(~meaning.must if clause.negated else meaning.must)
        test = self._of_test(use.extension.name, (replace(clause, negated=False),))
        if clause.option == "--fragment":
            test = self._open()
        bounded = Bounds(test.may & meaning.may | meaning.must, test.must & meaning.may | meaning.must)
        # Of a header that is cut short neither an option nor its negation holds.
        if clause.negated and not clause.option.endswith("-option"):
            return ~bounded
        return self._of_test(use.extension.name, (clause,)) if clause.negated else bounded

    def _decided(self, declared: Option, clause: Clause) -> PacketSet | None:
        """What an option asks for where lint sees more of a packet than the header."""
        universe, values = self.universe, clause.values
        if declared.name == "--in-interface":
            return universe.coming_in(str(values[0]))
        if declared.name == "--out-interface":
            return universe.going_out(str(values[0]))
        if declared.name == "--tcp-flags":
            mask, wanted = values
            assert isinstance(mask, int) and isinstance(wanted, int)
            return universe.with_flags(mask, wanted)
        if declared.name == "--fragment" and not universe.whole:
            return universe.fragments
        return None

    def _of_connection(self, use: MatchUse) -> Bounds:
        """Without a connection only the state counts, and without a test of the state nothing holds."""
        if (
            self.table == "raw"
        ):  # conntrack has not seen the packet, or a rule before this one settled what it will see
            return self._open()
        everything = self._exactly(self.universe.space.everything)
        connected = self._exactly(self.universe.in_state(*CONNECTED))
        state, rest, asked = everything, everything, False
        for clause in use.clauses:
            if clause.option in ("--state", "--ctstate"):
                states = clause.values[0]
                assert isinstance(states, frozenset)
                held = self.universe.in_state(*states)
                state, asked = state & self._exactly(~held if clause.negated else held), True
            else:
                rest &= self._of_test("conntrack", (clause,))
        if not asked:
            return connected & rest
        return state & ~(~rest & connected)

    def _of_known_set(self, use: MatchUse) -> Bounds | None:
        """Membership of a set that a dump has and no rule changes; None where the header does not decide it."""
        if "set" in self.unsteady or any(clause.option.startswith(_COUNTED) for clause in use.clauses):
            return None
        decided = {*ADDRESSES, Part.PORT} if self.universe.whole else set(ADDRESSES)
        for clause in use.clauses:
            if clause.option == "--match-set":
                members = with_members(self.view.ipsets, str(clause.values[0]))
                parts = {part for each in members for part in each.parts}
                if not members or not parts - {Part.SET} <= decided or any(not each.kind for each in members):
                    return None
        meaning = use.extension.meaning(use.clauses, self.view)
        return self._exactly(meaning.must) if meaning.exact else None

    def _of_test(self, name: str, clauses: tuple[Clause, ...]) -> Bounds:
        """A condition that no header decides: the same for a packet wherever it is asked, or open each time."""
        if name not in LASTING or name in self.unsteady or (self.table == "raw" and name == "conntrack"):
            return self._open()
        if name == "set" and any(clause.option.startswith(_COUNTED) for clause in clauses):
            return self._open()
        told = tuple(clause for clause in clauses if not clause.option.startswith("--update-"))
        negated = [clause for clause in told if clause.negated]
        turned = name in COMPLEMENTED and len(negated) == 1
        key: Hashable = (name, tuple(replace(each, negated=False) for each in told) if turned else told)
        if self.repeated is None:
            self.asked[key] += 1
            return self._open()
        packets = self.universe.passing(key) if key in self.repeated else None
        if packets is None:
            return self._open()
        return self._exactly(~packets if turned else packets)


def _called_often(rules: Sequence[Rule]) -> set[str]:
    """The chains that one packet may go through more than once."""
    jumps = [(rule.chain, rule.target.chain) for rule in rules if isinstance(rule.target, Jump)]
    times = Counter(called for _, called in jumps)
    found: set[str] = set()
    fresh = {called for called, count in times.items() if count > 1}
    below: dict[str, set[str]] = {}
    for chain, called in jumps:
        below.setdefault(chain, set()).add(called)
    while fresh:
        found |= fresh
        fresh = {called for chain in fresh for called in below.get(chain, ())} - found
    return found
