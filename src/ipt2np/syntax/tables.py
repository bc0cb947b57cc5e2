"""A table being put together by commands, one after the other, as the kernel does it.

Source: iptables(8), COMMANDS; what is refused, and when, is that of iptables/iptables.c do_command4() and
libiptc/libiptc.c of iptables 1.8.9.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import prod

from ipt2np.rules.canonical import rule_text
from ipt2np.rules.model import BUILTIN_CHAINS, Clause, Counters, Jump, MatchUse, Rule
from ipt2np.rules.unread import why_unread
from ipt2np.rules.values import AddressSpec, Network
from ipt2np.syntax.verbs import Word

MOST_STEPS = 10_000_000
"""So many rules are looked at in a file's commands, all in all; a file that needs more is made to be slow."""
MOST_SINGLE = 4096
"""A rule with lists of addresses stands for at most so many rules where one of them has to be found."""
SHOWN_WAY = 12
"""How many chains of a loop are named."""
_LISTS = ("--source", "--destination")
_EVERYTHING = (Network(0, 0),)

Key = tuple[str, tuple[Network, ...], tuple[Network, ...]]
"""What makes two rules the same to ``-D``: their text without addresses, their sources, their destinations."""


class Refused(Exception):
    """A command that the kernel refuses; ``word`` is where, None for the line's end.

    ``harmless`` where it is refused because there is nothing to do.
    """

    def __init__(
        self, word: Word | None, message: str, expected: str = "", *, harmless: bool = False
    ) -> None:
        self.word = word
        self.message = message
        self.expected = expected
        self.harmless = harmless
        super().__init__(message)


class TooManySteps(Exception):
    """Following the commands would take too long."""


@dataclass(eq=False)
class Entry:
    """A rule in its chain."""

    rule: Rule
    line: int
    within: int = 0
    """Its place among the commands of its line."""
    jump: Word | None = None
    """The word that names its target."""
    stays: bool = False
    """True for what stands for an unreadable command: no flush takes it out."""
    key: Key | None = None
    counted: int | None = None
    unread: bool | None = None

    def count(self, family: int) -> int:
        """How many rules of the kernel it is: one for each pair of its addresses, none where it is the other family's."""
        if self.counted is None:
            self.counted = self._count(family)
        return self.counted

    def is_unread(self) -> bool:
        """True for a rule that could not be read in full."""
        if self.unread is None:
            self.unread = why_unread(self.rule) is not None
        return self.unread

    def _count(self, family: int) -> int:
        other = "--ipv6" if family == 4 else "--ipv4"
        if any(clause.option == other for use in self.rule.matches for clause in use.clauses):
            return 0
        return prod(len(networks) for networks in _lists(self.rule))

    def says(self, family: int) -> Key:
        """What ``-D`` compares."""
        if self.key is None:
            self.key = _key(self.rule, family)
        return self.key

    def becomes(self, rule: Rule) -> None:
        """The rule is another one now."""
        self.rule, self.key, self.counted, self.unread = rule, None, None, None


def _lists(rule: Rule) -> tuple[tuple[Network, ...], tuple[Network, ...]]:
    """The sources and destinations that stand for one rule each."""
    found: dict[str, tuple[Network, ...]] = dict.fromkeys(_LISTS, _EVERYTHING)
    for use in rule.matches:
        for clause in use.clauses:
            spec = clause.values[0] if clause.values else None
            if clause.option in _LISTS and isinstance(spec, AddressSpec) and not clause.negated:
                found[clause.option] = spec.networks
    return found["--source"], found["--destination"]


def _key(rule: Rule, family: int) -> Key:
    def bare(use: MatchUse) -> MatchUse:
        clauses = (
            clause
            for clause in use.clauses
            if clause.option not in _LISTS or clause.negated or not isinstance(clause.values[0], AddressSpec)
        )
        return replace(use, clauses=tuple(clauses))

    matches = tuple(bare(use) if use.extension.name == "ip" else use for use in rule.matches)
    sources, destinations = (
        tuple(sorted(networks, key=lambda each: (each.address, each.mask))) for networks in _lists(rule)
    )
    return rule_text(replace(rule, matches=matches), family), sources, destinations


def _reversed(rule: Rule) -> Rule:
    """A rule as ``-I`` puts it in: each of its addresses in front of the one before."""

    def turned(clause: Clause) -> Clause:
        spec = clause.values[0] if clause.values else None
        if clause.option not in _LISTS or not isinstance(spec, AddressSpec) or len(spec.networks) == 1:
            return clause
        return replace(clause, values=(replace(spec, networks=spec.networks[::-1]),))

    if all(len(networks) == 1 for networks in _lists(rule)):
        return rule
    return replace(
        rule,
        matches=tuple(replace(use, clauses=tuple(turned(c) for c in use.clauses)) for use in rule.matches),
    )


@dataclass
class ChainState:
    """A chain and its rules so far."""

    name: str
    builtin: bool
    policy: str | None = None
    policy_unclear: bool = False
    line: int = 0
    counters: Counters | None = None
    entries: list[Entry] = field(default_factory=list)
    floor: int = 0
    """Nothing is inserted in front of so many entries."""
    plain: bool = True
    """True where each entry certainly is one rule of the kernel."""


class TableState:
    """A table: its chains by name, and what commands do to them. Raises ``Refused`` as the kernel does."""

    def __init__(self, name: str, family: int, line: int) -> None:
        self.name = name
        self.family = family
        self.line = line
        self.builtins = BUILTIN_CHAINS.get(name, ())
        self.chains: dict[str, ChainState] = {}
        self.policies_unclear = False
        """True where a line that may have said a policy could not be read."""
        self.before: list[str] = []
        """Comment lines in front of the table."""
        self.after: list[str] = []
        self.steps = 0

    def looked(self, steps: int) -> None:
        """Counts what was looked at."""
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise TooManySteps

    def is_builtin(self, name: str) -> bool:
        """True for a chain that the kernel itself has in this table."""
        return name in self.builtins

    def chain(self, name: str) -> ChainState | None:
        """The chain, or None where there is none; a built-in one is there whether declared or not."""
        if name not in self.chains and self.is_builtin(name):
            self.chains[name] = ChainState(name, True)
        return self.chains.get(name)

    def existing(self, word: Word, *, harmless: bool = False) -> ChainState:
        """The chain that a word names."""
        found = self.chain(word.text)
        if found is None:
            raise Refused(
                word,
                f"there is no chain {word.text!r} at this point",
                f"-N {word.text} before it",
                harmless=harmless,
            )
        return found

    def create(self, word: Word, line: int) -> ChainState:
        """A new user chain."""
        if self.chain(word.text) is not None:
            raise Refused(word, f"there is a chain {word.text!r} already", "another name", harmless=True)
        self.chains[word.text] = ChainState(word.text, False, line=line)
        return self.chains[word.text]

    # -- rules ------------------------------------------------------------------------------------------

    def place(self, chain: ChainState, number: int | None, word: Word | None, *, new: bool) -> int:
        """Where in ``entries`` the kernel's rule ``number`` is, counted from 1; ``new`` allows the place behind the last."""
        counts: Sequence[int] = range(0)
        if not chain.plain:
            self.looked(len(chain.entries))
            unread = next((entry for entry in chain.entries if entry.is_unread()), None)
            if unread is not None:
                raise Refused(
                    word,
                    f"which place this is cannot be told: line {unread.line} cannot be read",
                    "the rule itself instead of its place",
                )
            counts = [entry.count(self.family) for entry in chain.entries]
        most = (len(chain.entries) if chain.plain else sum(counts)) + new
        if number is None or not 1 <= number <= most:
            shown = word.text if word is not None else "1"
            expected = f"a number from 1 to {most}" if most else "a chain that has rules"
            raise Refused(word, f"the chain {chain.name} has no place {shown}", expected)
        if chain.plain:
            return number - 1
        passed = 0
        for index, count in enumerate(counts):
            if passed + 1 == number and (count == 1 or (new and count)):
                return index
            if passed < number <= passed + count:
                line = chain.entries[index].line
                raise Refused(
                    word,
                    f"the place {number} is inside line {line}, which makes {count} rules",
                    "one address a rule",
                )
            passed += count
        return len(counts)

    def append(self, chain: ChainState, entry: Entry) -> None:
        """``-A``"""
        self._counted(chain, entry)
        chain.entries.append(entry)

    def _counted(self, chain: ChainState, entry: Entry) -> None:
        chain.plain = chain.plain and entry.count(self.family) == 1 and not entry.is_unread()

    def insert(self, chain: ChainState, entry: Entry, number: int | None, word: Word | None) -> None:
        """``-I``: in front of the rule ``number``, or of all."""
        first = word is None or number == 1
        index = 0 if first else self.place(chain, number, word, new=True)
        entry.becomes(_reversed(entry.rule))
        self._counted(chain, entry)
        chain.entries.insert(max(index, chain.floor), entry)

    def replace(self, chain: ChainState, index: int, entry: Entry) -> None:
        """``-R``: another rule in the place."""
        self._counted(chain, entry)
        chain.entries[index] = entry

    def stand_in(self, chain: ChainState, entry: Entry, *, doubtful: bool) -> None:
        """In front of the chain, where it covers all that an unreadable command may have done to it.

        A ``doubtful`` chain may not exist: nothing goes in front then.
        """
        entry.stays = True
        self.insert(chain, entry, None, None)
        chain.floor += doubtful

    def delete_like(self, chain: ChainState, rule: Rule) -> None:
        """``-D CHAIN rule``: the first rule that says the same, for each pair of its addresses."""
        self.looked(len(chain.entries))
        base, sources, destinations = _key(rule, self.family)
        single = len(sources) == len(destinations) == 1
        related: list[tuple[Entry, Key]] = []
        for index, entry in enumerate(chain.entries):
            if entry.stays or entry.is_unread():
                continue
            key = entry.says(self.family)
            if key[0] != base:
                continue
            if single and not related and key == (base, sources, destinations):
                del chain.entries[index]
                return
            if set(key[1]) & set(sources) and set(key[2]) & set(destinations):
                related.append((entry, key))
        if not related:
            raise Refused(
                None, f"the chain {chain.name} has no such rule", "a rule that it has", harmless=True
            )
        first, key = related[0]
        if key == (base, sources, destinations) and len(related) == 1:
            chain.entries.remove(first)
            return
        doomed = _singles(related, sources, destinations)
        if doomed is None:
            raise Refused(
                None, f"this takes out a part of the rule at line {first.line}", "one address a rule, in both"
            )
        chain.entries = [entry for entry in chain.entries if id(entry) not in doomed]

    # -- chains -----------------------------------------------------------------------------------------

    def flush(self, chain: ChainState) -> None:
        """``-F CHAIN``"""
        chain.entries = [entry for entry in chain.entries if entry.stays]
        chain.floor = min(chain.floor, len(chain.entries))

    def zero(self, chain: ChainState, index: int | None) -> None:
        """``-Z CHAIN [number]``: counters to 0."""
        if index is None:
            self.looked(len(chain.entries))
            chain.counters = (0, 0) if chain.counters is not None else None
        for entry in chain.entries if index is None else [chain.entries[index]]:
            if entry.rule.counters is not None:
                entry.becomes(replace(entry.rule, counters=(0, 0)))

    def rules(self) -> Iterator[Entry]:
        """Every rule of the table."""
        for chain in self.chains.values():
            yield from chain.entries

    def remove(self, word: Word) -> None:
        """``-X CHAIN``: refused while it has rules or is jumped to."""
        chain = self.existing(word, harmless=True)
        if chain.builtin:
            raise Refused(
                word, f"the built-in chain {chain.name} cannot be deleted", "a user chain", harmless=True
            )
        self.looked(1 + sum(len(each.entries) for each in self.chains.values()))
        if chain.entries or any(_jumps_to(entry, chain.name) for entry in self.rules()):
            raise Refused(
                word,
                f"the chain {chain.name} is in use, and stays",
                "an empty chain that nothing jumps to",
                harmless=True,
            )
        del self.chains[chain.name]

    def remove_all(self) -> None:
        """``-X``: every user chain, or none where one is in use."""
        self.looked(1 + sum(len(each.entries) for each in self.chains.values()))
        used = {entry.rule.target.chain for entry in self.rules() if isinstance(entry.rule.target, Jump)}
        for name, chain in self.chains.items():
            if not chain.builtin and (chain.entries or name in used):
                message = f"the chain {name} is in use, so all stay"
                raise Refused(None, message, "chains that are empty and that nothing jumps to", harmless=True)
        self.chains = {name: chain for name, chain in self.chains.items() if chain.builtin}

    def rename(self, old: Word, new: Word) -> None:
        """``-E OLD NEW``: jumps follow."""
        chain = self.existing(old)
        if chain.builtin or self.chain(new.text) is not None:
            why = (
                f"there is a chain {new.text!r} already"
                if not chain.builtin
                else f"the built-in chain {old.text} keeps its name"
            )
            raise Refused(new if not chain.builtin else old, why, "a user chain, and a name that is free")
        self.looked(1 + sum(len(each.entries) for each in self.chains.values()))
        self.chains = {(new.text if name == old.text else name): state for name, state in self.chains.items()}
        chain.name = new.text
        for entry in chain.entries:
            entry.becomes(replace(entry.rule, chain=new.text))
        for entry in self.rules():
            if _jumps_to(entry, old.text):
                assert isinstance(entry.rule.target, Jump)
                entry.becomes(replace(entry.rule, target=replace(entry.rule.target, chain=new.text)))


def _singles(
    related: Sequence[tuple[Entry, Key]], sources: Sequence[Network], destinations: Sequence[Network]
) -> set[int] | None:
    """The ids of the entries that are one pair of addresses each; None where a pair is missing or in a longer list."""
    by_pair: dict[tuple[Network, Network], list[int]] = {}
    for entry, (_, some, others) in related:
        if len(some) > 1 or len(others) > 1:
            return None
        by_pair.setdefault((some[0], others[0]), []).append(id(entry))
    if len(sources) * len(destinations) > MOST_SINGLE:
        return None
    doomed: set[int] = set()
    for pair in product(sources, destinations):
        if not by_pair.get(pair):
            return None
        doomed.add(by_pair[pair].pop(0))
    return doomed


def _jumps_to(entry: Entry, name: str) -> bool:
    return isinstance(entry.rule.target, Jump) and entry.rule.target.chain == name


def loops(table: TableState) -> Iterator[tuple[Entry, Sequence[str]]]:
    """Every jump that closes a loop, with the first chains of the way around; depth-first, without recursion.

    The kernel minds only loops that a built-in chain leads into (net/ipv4/netfilter/ip_tables.c, mark_source_chains()).
    """
    done: set[str] = set()
    for start in [name for name, chain in table.chains.items() if chain.builtin]:
        way = [start]
        at = {start: 0}
        stack = [iter(table.chains[start].entries)]
        while stack:
            name = way[-1]
            entry = next(stack[-1], None) if name not in done else None
            if entry is None:
                done.add(name)
                del at[way.pop()]
                stack.pop()
            elif isinstance(entry.rule.target, Jump):
                target = entry.rule.target.chain
                if target in at:
                    yield entry, way[at[target] : at[target] + SHOWN_WAY + 1]
                elif target not in done and target in table.chains:
                    at[target] = len(way)
                    way.append(target)
                    stack.append(iter(table.chains[target].entries))


def loop_message(entry: Entry, way: Sequence[str]) -> str:
    """The loop that a jump closes, in words."""
    assert isinstance(entry.rule.target, Jump)
    shown = " → ".join(way[:SHOWN_WAY]) + (" → …" if len(way) > SHOWN_WAY else "")
    return f"a jump loop: {shown} → {entry.rule.target.chain}"
