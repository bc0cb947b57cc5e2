"""What undecided packets hang on, named so that two rulesets mean the same by the same name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ipt2np.rules.canonical import rule_text
from ipt2np.rules.extension import Effect
from ipt2np.rules.matches.recent import list_name
from ipt2np.rules.model import MatchUse, Rule, Ruleset, TargetUse
from ipt2np.rules.unread import why_unread
from ipt2np.semantics import Decision
from ipt2np.semantics.outcomes import CONNTRACK, Asked
from ipt2np.semantics.states import changes_mark_in_passing, effect_of

STEADY = frozenset(
    {
        *("ip", "tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmp6", "multiport", "iprange"),
        *("ah", "esp", "ipcomp", "frag", "rt", "mh", "dst", "hbh", "ipv6header", "srh", "eui64"),
        *("string", "u32", "bpf", "length", "ttl", "hl", "tos", "dscp", "ecn", "tcpmss", "osf", "mac"),
        *("conntrack", "state", "addrtype", "rpfilter", "pkttype", "physdev", "policy", "realm", "devgroup"),
        *("owner", "socket", "cgroup", "cluster", "ipvs", "time"),
    }
)
"""Matches whose answer is in the packet, its connection, the host or the clock; others may remember what came by before."""
_OWN = frozenset({"limit", "connlimit", "quota", "statistic", "connbytes"})
"""Matches that remember for each rule apart."""
_MARKS = frozenset({"mark", "connmark", "connlabel"})
"""Matches that look at what other rules have written on the packet or its connection."""
_COUNTED = ("--packets-", "--bytes-")
"""Options of ``-m set`` that look at counters, which matching itself changes."""
_HARMLESS = frozenset({Effect.ACCEPT, Effect.DROP, Effect.REJECT, Effect.RETURN, Effect.LOG, Effect.DIVERT})


def identity(ruleset: Ruleset) -> Hashable:
    """Equal for rulesets that say the same word by word, wherever their lines stand."""
    chains = tuple(
        sorted((key, chain.policy or "", chain.policy is None) for key, chain in ruleset.chains.items())
    )
    return ruleset.family, chains, tuple((rule.table, rule.chain, rule.text) for rule in ruleset.rules)


@dataclass(frozen=True)
class Conditions:
    """The conditions of one decision."""

    decision: Decision

    def __call__(self, cause: int, asked: Asked, later: bool) -> tuple[Hashable, ...]:
        """What must all be so for ``cause`` to hold; nothing where it need not have the same answer elsewhere."""
        if cause == CONNTRACK:
            return ("whether the kernel tracks connections",)
        rule = self.decision.rules.get(cause)
        if rule is None:
            return ()
        if asked is Asked.MATCH:
            return tuple(self._match(rule))
        return (("target", self._said[cause], self._repeated[cause], self._altered),)

    @cached_property
    def _whole(self) -> Hashable:
        return tuple(identity(side.ruleset) for side in self.decision.sides)

    @cached_property
    def _marks_in_passing(self) -> bool:
        return any(changes_mark_in_passing(rule) for rule in self.decision.rules.values())

    @cached_property
    def _said(self) -> dict[int, tuple[str, str]]:
        """Rule number to its table and what it says, whatever its chain is called."""
        return {
            rule.number: (
                rule.table,
                rule.text if why_unread(rule) is not None else rule_text(rule, side.family).split(" ", 2)[-1],
            )
            for side in self.decision.sides
            for rule in side.ruleset.rules
        }

    @cached_property
    def _repeated(self) -> dict[int, int]:
        """Rule number to how many rules before it say the same: targets may answer each of them otherwise."""
        found: dict[int, int] = {}
        seen: Counter[tuple[str, str]] = Counter()
        for number, said in self._said.items():
            found[number] = seen[said]
            seen[said] += 1
        return found

    @cached_property
    def _altered(self) -> Hashable:
        """The rules that may change what later ones see of a packet, with the packets that arrive there."""
        altering = (
            (self._said[rule.number], self._arriving(rule))
            for rule in self.decision.rules.values()
            if isinstance(rule.target, TargetUse) and effect_of(rule) not in _HARMLESS
        )
        return tuple(each for each in altering if any(any(nodes) for nodes in each[-1]))

    def _arriving(self, rule: Rule) -> tuple[tuple[int, ...], ...]:
        """The sets of packets that arrive at a rule, by family and half; 0 for none."""
        return tuple(
            tuple(
                0 if (found := walk.arrivals.get(rule.number)) is None else found.node
                for walk in side.walks.values()
            )
            for side in self.decision.sides
            if side.holds(rule)
        )

    def _match(self, rule: Rule) -> Iterator[Hashable]:
        """That the undecided ones of a rule's matches hold."""
        said = self._said[rule.number]
        if why_unread(rule) is not None:
            yield "unread", said, rule.chain, self._altered
            return
        sides = [side for side in self.decision.sides if side.holds(rule)]
        if any(rule.number in side.walker.left_out for side in sides):
            yield "ban", said, rule.chain
        for use in dict.fromkeys(use for side in sides for use in side.walker.undecided_uses(rule)):
            name = use.extension.name
            text = " ".join([use.text, *use.extension.texts(use.clauses, sides[0].family)])
            remembered = () if name in STEADY else self._remembered(rule, use)
            yield "match", rule.table == "raw", name, text, remembered, self._altered

    def _remembered(self, rule: Rule, use: MatchUse) -> Hashable:
        """What a match that looks back has seen: the rules that fill its memory, and the packets that arrive there."""
        name = use.extension.name
        if name in _MARKS or self._marks_in_passing:
            return self._whole
        if name in _OWN:
            return self._repeated[rule.number], self._said[rule.number], self._arriving(rule)
        return tuple(
            (self._said[each.number], self._arriving(each))
            for each in self.decision.rules.values()
            if _fills(each, use)
        )


def _fills(rule: Rule, use: MatchUse) -> bool:
    """True where a rule may change what the match remembers."""
    name = use.extension.name
    if isinstance(rule.target, TargetUse) and rule.target.extension.name.lower() == name:
        return True
    if name == "set" and not any(clause.option.startswith(_COUNTED) for clause in use.clauses):
        return False
    return any(
        each.extension.name == name
        and (name != "recent" or list_name(each.clauses) == list_name(use.clauses))
        for each in rule.matches
    )
