"""``-m set`` (iptables-extensions(8)): membership of an ipset; its entries are in a dump of its own."""

from __future__ import annotations

from collections.abc import Iterator

from ipt2np.rules.assumptions import UNDECIDED
from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.ipset import with_members
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.membership import Search, found_in
from ipt2np.rules.model import Clause, Rule, Ruleset
from ipt2np.rules.settypes import Part
from ipt2np.rules.values import number, word

MISSING = "the entries of the ipset "
"""Why a set that no dump has is undecided; its name follows."""
MOST_DIRECTIONS = 6
"""IPSET_DIM_MAX (libxt_set.h)."""


def _read_directions(text: str, family: int) -> tuple[str, ...]:
    """``src`` and ``dst``, one for each part of an element."""
    parts = tuple(text.split(","))
    if not all(part in ("src", "dst") for part in parts) or len(parts) > MOST_DIRECTIONS:
        raise ValueFault(
            f"{text!r} is no list of directions",
            f"src or dst for each part of an element, such as src,dst; at most {MOST_DIRECTIONS}",
        )
    return parts


directions = Kind("src|dst[,…]", _read_directions, lambda value, family: ",".join(value), "src")


def searches(rule: Rule) -> Iterator[tuple[str, Search]]:
    """Each set that a rule tests, and how."""
    for use in rule.matches:
        if isinstance(use.extension, Set):
            for clause in use.clauses:
                if clause.option == "--match-set":
                    yield _search(clause, use.clauses)


def _search(clause: Clause, clauses: tuple[Clause, ...]) -> tuple[str, Search]:
    name, directions = clause.values
    assert isinstance(name, str) and isinstance(directions, tuple)
    options = [each.option for each in clauses]
    counted = any(option.startswith(("--packets-", "--bytes-")) for option in options)
    return name, Search(directions, "--return-nomatch" in options, counted)


def sets_named(ruleset: Ruleset) -> set[str]:
    """The ipsets that a ruleset's rules test."""
    return {name for rule in ruleset.rules for name, _ in searches(rule)}


def _member(view: View, name: str, search: Search) -> Meaning:
    identifier = f"set:{name}"
    chosen = view.assumptions.chosen.get(identifier)
    if chosen == "empty":
        return view.assumed(identifier, view.never(), "")
    known = view.ipsets.get(name)
    if known is None or chosen == UNDECIDED:
        return view.undecided(MISSING + name)
    return found_in(known, view, search)


class Set(MatchExtension):
    """``--match-set NAME src[,dst]``."""

    name = "set"
    options = (
        option("--match-set", "--set", kinds=(word, directions), negatable=True),
        option("--return-nomatch"),
        option("--update-counters", negatable=True, repeats=True),
        option("--update-subcounters", negatable=True, repeats=True),
        *(
            option(f"--{which}-{how}", kinds=number, negatable=how == "eq")
            for which in ("packets", "bytes")
            for how in ("eq", "lt", "gt")
        ),
    )

    required = (("--match-set",),)
    exclusive = tuple(
        tuple(f"--{which}-{how}" for how in ("eq", "lt", "gt")) for which in ("packets", "bytes")
    )

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """Counters are updated unless the rule says not to, so that only the latter is kept."""
        default = ("--update-counters", "--update-subcounters")
        kept = (clause for clause in clauses if clause.negated or clause.option not in default)
        return super().normal(tuple(dict.fromkeys(kept)), family)

    def tested_marks(self, clauses: tuple[Clause, ...], view: View) -> tuple[int, int]:
        """The bits of the packet's mark that hash:ip,mark sets look at."""
        bits = 0
        for clause in clauses:
            if clause.option == "--match-set":
                for each in with_members(view.ipsets, str(clause.values[0])):
                    bits |= each.markmask if Part.MARK in each.parts else 0
        return bits, 0

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """Membership, negated as a whole: the other options say which entries count as found."""
        result = view.always()
        for clause in clauses:
            if clause.option == "--match-set":
                found = _member(view, *_search(clause, clauses))
                result &= ~found if clause.negated else found
        return result
