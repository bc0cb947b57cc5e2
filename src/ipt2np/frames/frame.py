"""What a frame is: the rules that a known program makes, and how they are told from a person's own.

A frame is a row of data: the chains that the program makes and what each is for, the *signs* by which the program is
known to have been at work, what becomes of its rules in the migration, and the source of all that. Names are regular
expressions that a whole name must match. One chain of a common name is no sign: signs ask for chains that stand
together, or for a chain that is called from where the program calls it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from ipt2np.rules.extension import Effect
from ipt2np.rules.model import Chain, Jump, Rule, Ruleset, TargetUse

ALL_TABLES = ("raw", "mangle", "nat", "filter", "security")
_LITERAL = re.compile(r"[A-Za-z0-9_-]+")
_DEVICES = ("--in-interface", "--out-interface")
_PORTS = ("--destination-port", "--destination-ports")


@dataclass(frozen=True, slots=True)
class Chains:
    """Chains that a program makes, by their names."""

    names: str
    purpose: str
    """What they are for; stands behind the program's name, as in ``ufw, what you asked it for``."""
    tables: tuple[str, ...] = ("filter",)
    yours: bool = False
    """True where the rules in them are what a person asked the program for, not its boilerplate."""
    bans: bool = False
    """True where rules in them that refuse a source are bans that the program made while it ran."""

    def include(self, table: str, name: str) -> bool:
        """True for the chain ``name`` of ``table``."""
        return table in self.tables and re.fullmatch(self.names, name) is not None


@dataclass(frozen=True, slots=True)
class Placed:
    """Rules that a program puts into a built-in chain and that have no mark but its own device."""

    table: str
    chain: str
    device: str
    options: tuple[str, ...]
    """Options that such a rule may have beside the device and a comment: one with others is a person's own."""
    ports: tuple[int, ...] = ()
    """Where given: the rule tests one of these destination ports."""

    def covers(self, rule: Rule) -> bool:
        """True for such a rule."""
        if (rule.table, rule.chain) != (self.table, self.chain):
            return False
        devices = 0
        for clause in (clause for use in rule.matches for clause in use.clauses):
            if clause.option in _DEVICES:
                devices += re.fullmatch(self.device, str(clause.values[0])) is not None
            elif clause.option not in (*self.options, "--comment"):
                return False
        known = not any(use.text for use in rule.matches)
        return known and devices > 0 and (not self.ports or self.port(rule) is not None)

    def port(self, rule: Rule) -> int | None:
        """The one destination port that the rule tests, if it is one of ``ports``."""
        tested = list(values_of(rule, _PORTS))
        return next((port for port in self.ports if tested == [((port, port),)]), None)


class Scene:
    """What signs look at: a ruleset's chains, who calls them, comments, the ipsets that rules test."""

    def __init__(self, ruleset: Ruleset) -> None:
        self.ruleset = ruleset
        self.names: dict[str, dict[str, None]] = {}
        """Table to the names of its user chains."""
        for (table, name), chain in ruleset.chains.items():
            if chain.policy is None:
                self.names.setdefault(table, {})[name] = None

    @cached_property
    def callers(self) -> Mapping[tuple[str, str], frozenset[str]]:
        """Table and chain to the chains that call it."""
        found: dict[tuple[str, str], set[str]] = {}
        for rule in self.ruleset.rules:
            if isinstance(rule.target, Jump):
                found.setdefault((rule.table, rule.target.chain), set()).add(rule.chain)
        return {key: frozenset(names) for key, names in found.items()}

    @cached_property
    def comments(self) -> frozenset[str]:
        """Everything that is said of rules."""
        return frozenset(text for rule in self.ruleset.rules for text in comments_of(rule))

    @cached_property
    def sets(self) -> frozenset[str]:
        """Every ipset that a rule tests."""
        return frozenset(name for rule in self.ruleset.rules for name in sets_of(rule))

    def called(self, table: str, names: str) -> Iterator[str]:
        """The user chains of ``table`` with such a name."""
        known = self.names.get(table, {})
        if _LITERAL.fullmatch(names):
            return iter([names] if names in known else [])
        return (name for name in known if re.fullmatch(names, name))


class Sign:
    """Something that shows that a program was at work."""

    def shown(self, scene: Scene) -> bool:
        """True where it is there."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Together(Sign):
    """Chains that stand in one table, each by its name."""

    table: str
    chains: tuple[str, ...]
    callers: tuple[str, ...] = ()
    """Where given: the first is called from one of these."""
    returns: bool = False
    """True where the first ends by going back, whatever the packet."""

    def shown(self, scene: Scene) -> bool:
        """True where each is there."""
        first, *others = self.chains
        return any(self._fits(scene, name) for name in scene.called(self.table, first)) and all(
            any(True for _ in scene.called(self.table, name)) for name in others
        )

    def _fits(self, scene: Scene, name: str) -> bool:
        if self.returns and not _goes_back(scene.ruleset.chains[self.table, name]):
            return False
        called_from = scene.callers.get((self.table, name), frozenset())
        return not self.callers or not called_from.isdisjoint(self.callers)


def _goes_back(chain: Chain) -> bool:
    """True where the last rule returns every packet that gets there."""
    last = chain.rules[-1] if chain.rules else None
    return (
        last is not None
        and isinstance(last.target, TargetUse)
        and last.target.effect is Effect.RETURN
        and not any(use.clauses for use in last.matches if use.extension.name != "comment")
    )


@dataclass(frozen=True, slots=True)
class Said(Sign):
    """A comment that only the program writes."""

    text: str

    def shown(self, scene: Scene) -> bool:
        """True where some rule says that."""
        return any(re.fullmatch(self.text, text) for text in scene.comments)


@dataclass(frozen=True, slots=True)
class Tested(Sign):
    """An ipset whose name is the program's."""

    name: str

    def shown(self, scene: Scene) -> bool:
        """True where some rule tests it."""
        return any(re.fullmatch(self.name, name) for name in scene.sets)


@dataclass(frozen=True, slots=True)
class OnDevice(Sign):
    """Rules of one kind for each of the ports that the program serves on its device."""

    placed: Placed

    def shown(self, scene: Scene) -> bool:
        """True where every port has its rule."""
        chain = scene.ruleset.chains.get((self.placed.table, self.placed.chain))
        rules = chain.rules if chain is not None else ()
        return {self.placed.port(rule) for rule in rules if self.placed.covers(rule)} == {*self.placed.ports}


@dataclass(frozen=True, slots=True)
class Frame:
    """A program that makes rules."""

    name: str
    what: str
    """What its rules do, as the end of a sentence about them."""
    advice: str
    """What becomes of them in the migration, as the end of a sentence."""
    signs: tuple[Sign, ...]
    """One of them is enough."""
    chains: tuple[Chains, ...]
    reference: str
    """The source of these facts: a manual page, the vendor's documentation or source."""
    says: str = ""
    """The comments of its rules, inside its chains or not."""
    placed: tuple[Placed, ...] = ()
    ban_sets: str = ""
    """Names of ipsets that hold bans which the program made while it ran."""

    def chain(self, table: str, name: str) -> Chains | None:
        """The row for a chain, None where it is not the program's."""
        return next((each for each in self.chains if each.include(table, name)), None)


def values_of(rule: Rule, options: Iterable[str]) -> Iterator[object]:
    """The first value of each clause of the rule that is one of ``options`` and not negated."""
    return (
        getattr(clause.values[0], "ranges", clause.values[0])
        for use in rule.matches
        for clause in use.clauses
        if clause.option in options and not clause.negated and clause.values
    )


def comments_of(rule: Rule) -> Iterator[str]:
    """What is said of the rule."""
    return map(str, values_of(rule, ("--comment",)))


def sets_of(rule: Rule) -> Iterator[str]:
    """The ipsets of which the rule asks that the packet be a member."""
    return map(str, values_of(rule, ("--match-set",)))
