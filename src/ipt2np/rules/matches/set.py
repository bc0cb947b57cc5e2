"""``-m set`` (iptables-extensions(8)): membership of an ipset; its entries are in a dump of its own."""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause, Ruleset
from ipt2np.rules.values import number, word


def _read_directions(text: str, family: int) -> tuple[str, ...]:
    """``src`` and ``dst``, one for each dimension of the set."""
    parts = tuple(text.split(","))
    if not all(part in ("src", "dst") for part in parts) or len(parts) > 6:
        raise ValueFault(
            f"{text!r} is no list of directions", "src or dst for each dimension, such as src,dst"
        )
    return parts


directions = Kind("src|dst[,…]", _read_directions, lambda value, family: ",".join(value), "src")


def _member(view: View, name: str, order: tuple[str, ...]) -> Meaning:
    known = view.ipsets.get(name)
    if known is not None:
        return known.members(view, order)
    if view.assumptions[f"set:{name}"] == "empty":
        return view.assumed(f"set:{name}", view.never(), "")
    return view.undecided(f"the entries of the ipset {name}")


def sets_named(ruleset: Ruleset) -> set[str]:
    """The ipsets that a ruleset's rules test."""
    return {
        str(clause.values[0])
        for rule in ruleset.rules
        for use in rule.matches
        for clause in use.clauses
        if clause.option == "--match-set"
    }


class Set(MatchExtension):
    """``--match-set NAME src[,dst]``."""

    name = "set"
    options = (
        option("--match-set", "--set", kinds=(word, directions), negatable=True, means=_member),
        option("--return-nomatch", negatable=True),
        option("--update-counters", negatable=True),
        option("--update-subcounters", negatable=True),
        *(
            option(f"--{which}-{how}", kinds=number, negatable=how == "eq")
            for which in ("packets", "bytes")
            for how in ("eq", "lt", "gt")
        ),
    )

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """Membership; what an entry has counted, and holes that count as members, the dump does not settle."""
        counting = ("--return-nomatch", "--packets-", "--bytes-")
        if any(clause.option.startswith(counting) for clause in clauses):
            return view.undecided("the counters or holes of an ipset")
        return super().meaning(clauses, view)
