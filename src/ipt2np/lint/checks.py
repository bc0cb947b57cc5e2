"""What is wrong with rules, in words: one finding for each cause."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ipt2np.findings.catalogue import remedy
from ipt2np.findings.finding import Finding
from ipt2np.findings.wording import counted, lines_of, of
from ipt2np.frames import Frames
from ipt2np.lint.blockers import Blockers
from ipt2np.lint.reach import TAKING
from ipt2np.lint.redundancy import RETURN, Folding, called_chains
from ipt2np.lint.tables import TableLint
from ipt2np.packets import PacketMap, PacketSet
from ipt2np.rules.extension import Effect
from ipt2np.rules.model import BUILTIN_CHAINS, Chain, Jump, Rule
from ipt2np.semantics.states import effect_of
from ipt2np.text import printable

SHOWN_TEXT = 100
"""Characters of another rule's text in a message."""


@dataclass(frozen=True)
class TableChecks:
    """The findings about one table of a ruleset."""

    lint: TableLint
    frames: Frames

    def findings(self) -> Iterator[Finding]:
        """All of them."""
        yield from self._contradictory()
        yield from self._shadowed()
        yield from self._redundant()
        yield from self._never_hit()
        yield from self._unused()
        yield from self._in_vain()

    # -- dead rules -----------------------------------------------------------------------------------------

    @cached_property
    def _dead(self) -> list[Rule]:
        """Dead rules of chains that packets enter; those of other chains are dead for their callers' reasons.

        Rules that are marked for the other family are none to the kernel.
        """
        enters, family = self.lint.reach.enters, self.lint.reach.universe.family
        return [rule for rule in self.lint.dead if enters[rule.chain] and not _of_other_family(rule, family)]

    @cached_property
    def _contradicting(self) -> frozenset[int]:
        return frozenset(rule.number for rule in self.lint.contradictory)

    @cached_property
    def _tails(self) -> list[tuple[Rule, tuple[Rule, ...]]]:
        """Rules that take everything that could come to their chain, with the rules behind them."""
        found = []
        reach = self.lint.reach
        for name in reach.order:
            chain = reach.chains[name]
            for place, rule in enumerate(chain.rules[:-1]):
                if reach.could_enter[name] <= reach.taken(rule) and reach.alive[rule.number]:
                    found.append((rule, chain.rules[place + 1 :]))
                    break
        return found

    def _contradictory(self) -> Iterator[Finding]:
        behind = {rule.number for _, tail in self._tails for rule in tail}
        for rule in self._dead:
            if rule.number in self._contradicting and rule.number not in behind:
                why = self._contradiction(rule)
                owner = self.frames.boilerplate(rule)
                if owner is None:
                    yield Finding("N2P604", why, remedy("N2P604"), (rule,))
                else:
                    told = f"{of(owner.name)} rule matches nothing where it stands: {why}"
                    yield Finding("N2P612", told, remedy("N2P612"), (rule,))

    def _contradiction(self, rule: Rule) -> str:
        reach = self.lint.reach
        where = f"({lines_of([rule])})"
        anything = reach.universe.space.nothing
        for name in BUILTIN_CHAINS[reach.table]:
            anything |= reach.universe.entering(name)
        if not reach.bounds[rule.number].may.meets(anything):
            return f"no packet fulfils all conditions of the rule {where}"
        if rule.chain in BUILTIN_CHAINS[reach.table]:
            return f"no packet that comes to {rule.chain} fulfils the rule's conditions {where}"
        callers = self._callers(rule.chain)
        return (
            f"the chain {printable(rule.chain, 40)} is called only for packets that the rule excludes "
            f"{where}, by {counted(callers)} ({lines_of(callers, self.frames)})"
        )

    def _callers(self, chain: str) -> list[Rule]:
        reach = self.lint.reach
        return [
            rule
            for name in reach.order
            for rule in reach.chains[name].rules
            if isinstance(rule.target, Jump) and rule.target.chain == chain
        ]

    def _shadowed(self) -> Iterator[Finding]:
        """Tails as one finding each; the others grouped by the rules that block them."""
        behind: set[int] = set()
        for taker, tail in self._tails:
            behind |= {rule.number for rule in tail}
            yield self._tail(taker, tail)
        groups: dict[tuple[str, tuple[int, ...]], tuple[list[Rule], tuple[Rule, ...]]] = {}
        for rule in self._dead:
            if rule.number in behind or rule.number in self._contradicting:
                continue
            blocking = self._blockers.of(rule) or ()
            code = "N2P602" if blocking and self._same(rule, blocking) else "N2P601"
            key = code, tuple(each.number for each in blocking)
            groups.setdefault(key, ([], blocking))[0].append(rule)
        for (code, _), (rules, blocking) in groups.items():
            yield Finding(code, self._shadow(code, rules, blocking), remedy(code), tuple(rules))

    @cached_property
    def _blockers(self) -> Blockers:
        return Blockers(self.lint.reach)

    @cached_property
    def _summaries(self) -> tuple[Folding, Mapping[str, PacketMap]] | None:
        return called_chains(self.lint.reach)

    def _same(self, rule: Rule, blocking: Iterable[Rule]) -> bool:
        """True where the packets of a dead rule meet at the blocking rules what the rule says."""
        return all(
            self._does_the_same(rule, each, self.lint.reach.bounds[rule.number].may) for each in blocking
        )

    def _does_the_same(self, rule: Rule, blocking: Rule, packets: PacketSet) -> bool:
        """True where every packet meets at the blocking rule the end, the only one, that the rule would send it to."""
        if rule.target is None or rule.target == blocking.target:
            return True
        found = self._summaries
        if found is None:
            return False
        folding, summaries = found
        one, other = _fates(rule, folding, summaries), _fates(blocking, folding, summaries)
        if one is None or other is None:
            return False
        taken = packets & self.lint.reach.taken(blocking)
        ends = [folding.fates.ends(value) for value in one.values(taken)]
        certain = all(len(each) == 1 and RETURN not in each for each in ends)
        return certain and one.within(taken, 0) == other.within(taken, 0)

    def _shadow(self, code: str, rules: Sequence[Rule], blocking: Sequence[Rule]) -> str:
        where = lines_of(rules, self.frames)
        they = "it" if len(rules) == 1 else "they"
        if not blocking:
            return f"shadowed on every way ({where}): rules before take all packets that {they} could match"
        takers = f"{counted(blocking)} before ({lines_of(blocking, self.frames)})"
        takes = "takes" if len(blocking) == 1 else "together take"
        text = f"shadowed ({where}): {takers} {takes} all packets that {they} could match"
        if code == "N2P602":
            return f"{text}, to the same end"
        first = next((each for each in blocking if each.target != rules[0].target), blocking[0])
        return (
            f"{text}; {lines_of([first])} does something else with them: {printable(first.text, SHOWN_TEXT)}"
        )

    def _tail(self, taker: Rule, tail: tuple[Rule, ...]) -> Finding:
        same = all(self._same(rule, [taker]) or effect_of(rule) is Effect.RETURN for rule in tail)
        code = "N2P602" if same else "N2P605"
        return Finding(
            code,
            f"{counted(tail)} behind the end of {printable(taker.chain, 40)} ({lines_of(tail, self.frames)}): "
            f"{lines_of([taker])} takes every packet that comes to the chain{', to the same end' if same else ''}: "
            f"{printable(taker.text, SHOWN_TEXT)}",
            remedy(code),
            tail,
        )

    # -- live rules -----------------------------------------------------------------------------------------

    def _redundant(self) -> Iterator[Finding]:
        """One finding a chain: which rules can go."""
        chains: dict[str, list[Rule]] = {}
        for rule in self.lint.redundant:
            if not self._closes(rule):
                chains.setdefault(rule.chain, []).append(rule)
        for chain, rules in chains.items():
            what = "the rule changes nothing" if len(rules) == 1 else "the rules change nothing"
            yield Finding(
                "N2P603",
                f"{what} ({lines_of(rules, self.frames)}): what {'it takes' if len(rules) == 1 else 'they take'} in "
                f"{printable(chain, 40)} comes to the same end without {'it' if len(rules) == 1 else 'them'}",
                remedy("N2P603"),
                tuple(rules),
            )

    def _closes(self, rule: Rule) -> bool:
        """True for what people write at the end of a chain on purpose: RETURN, or once more what the policy says."""
        rules = self.lint.reach.chains[rule.chain].rules
        if effect_of(rule) is Effect.RETURN:
            return rule is rules[-1]
        return rule is rules[-1] and self.lint.reach.could_enter[rule.chain] <= self.lint.reach.taken(rule)

    def _never_hit(self) -> Iterator[Finding]:
        """Rules whose counters say that they never matched, in chains that packets have come to."""
        dead = {rule.number for rule in self.lint.dead}
        for name in self.lint.reach.order:
            chain = self.lint.reach.chains[name]
            if not _has_seen_packets(chain):
                continue
            rules = [
                rule
                for rule in chain.rules
                if rule.counters is not None and not rule.counters[0] and rule.number not in dead
            ]
            if rules:
                yield Finding(
                    "N2P606",
                    f"{counted(rules)} of {printable(name, 40)} matched no packet since the counters were last set to zero, "
                    f"others of the chain did ({lines_of(rules, self.frames)})",
                    remedy("N2P606"),
                    tuple(rules),
                )

    # -- chains ---------------------------------------------------------------------------------------------

    def _unused(self) -> Iterator[Finding]:
        """User chains that no way leads to."""
        reach = self.lint.reach
        chains = [
            chain
            for name, chain in reach.chains.items()
            if name not in reach.order and name not in BUILTIN_CHAINS[reach.table]
        ]
        if not chains:
            return
        rules = tuple(rule for chain in chains for rule in chain.rules)
        names = ", ".join(printable(chain.name, 40) for chain in chains[:6])
        more = f" and {len(chains) - 6} more" if len(chains) > 6 else ""
        told = f"{counted(rules)} in vain: {lines_of(rules, self.frames)}" if rules else "no rules"
        place = chains[0].location
        yield Finding(
            "N2P610",
            f"never called: {names}{more}, {counted(chains, 'chain')} of the table {reach.table} ({told})",
            remedy("N2P610"),
            rules,
            file=place.file if place else "",
            line=place.line if place else 0,
        )

    def _in_vain(self) -> Iterator[Finding]:
        """Jumps to chains in which nothing is done."""
        reach = self.lint.reach
        idle: set[str] = set()
        for name in reversed(reach.order):
            if all(_idle(rule, idle) for rule in reach.chains[name].rules):
                idle.add(name)
        dead = {rule.number for rule in self.lint.dead}
        rules = [
            rule
            for name in reach.order
            if name not in idle or name in BUILTIN_CHAINS[reach.table]
            for rule in reach.chains[name].rules
            if isinstance(rule.target, Jump) and rule.target.chain in idle and rule.number not in dead
        ]
        if rules:
            chains = list(dict.fromkeys(rule.target.chain for rule in rules if isinstance(rule.target, Jump)))
            names = ", ".join(printable(name, 40) for name in chains[:6])
            more = f" and {len(chains) - 6} more" if len(chains) > 6 else ""
            yield Finding(
                "N2P611",
                f"{counted(rules)} of the table {reach.table} {'calls a chain' if len(rules) == 1 else 'call chains'} that "
                f"{'does' if len(chains) == 1 else 'do'} nothing: {names}{more} ({lines_of(rules, self.frames)})",
                remedy("N2P611"),
                tuple(rules),
            )


def _fates(rule: Rule, folding: Folding, summaries: Mapping[str, PacketMap]) -> PacketMap | None:
    """What becomes of packets that a rule takes; None where the rule does not send them anywhere."""
    if isinstance(rule.target, Jump):
        return summaries[rule.target.chain]
    if effect_of(rule) is Effect.RETURN or effect_of(rule) not in TAKING:
        return None
    return folding.reach.universe.space.constant(folding.end(rule))


def _of_other_family(rule: Rule, family: int) -> bool:
    """True for what iptables-restore passes by (iptables(8), -4 and -6)."""
    other = "--ipv6" if family == 4 else "--ipv4"
    return any(clause.option == other for use in rule.matches for clause in use.clauses)


def _has_seen_packets(chain: Chain) -> bool:
    policy = chain.counters if chain.policy is not None else None
    return any(
        each is not None and each[0] > 0 for each in (policy, *(rule.counters for rule in chain.rules))
    )


def _idle(rule: Rule, idle: set[str]) -> bool:
    """True where a rule does nothing but to go back; one without a target counts packets for somebody."""
    if isinstance(rule.target, Jump):
        return rule.target.chain in idle and not rule.target.goto
    return effect_of(rule) is Effect.RETURN
