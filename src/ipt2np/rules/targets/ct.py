"""``-j CT`` and ``-j NOTRACK`` (iptables-extensions(8)): how conntrack treats the packet, if at all."""

from __future__ import annotations

from ipt2np.rules.extension import Effect, Kind, TargetExtension, ValueFault, option
from ipt2np.rules.model import Clause
from ipt2np.rules.names import number_of
from ipt2np.rules.values import plain_string, words_of

_EVENTS = (
    "NEW",
    "RELATED",
    "DESTROY",
    "REPLY",
    "ASSURED",
    "PROTOINFO",
    "HELPER",
    "MARK",
    "NATSEQINFO",
    "SECMARK",
)


def _read_zone(text: str, family: int) -> str:
    if text.lower() == "mark":
        return "mark"
    found = number_of(text, 0xFFFF)
    if found is None:
        raise ValueFault(f"{text!r} is no zone", "a zone's number from 0 to 65535, or mark")
    return str(found)


_ZONE = Kind("ID|mark", _read_zone, lambda value, family: str(value), "1")


_ZONES = ("--zone", "--zone-orig", "--zone-reply")


class Ct(TargetExtension):
    """With ``--notrack`` conntrack leaves the packet alone; the other options change nothing that a filter sees."""

    name = "CT"
    effect = Effect.CLAIM
    options = (
        option("--notrack"),
        option("--helper", kinds=plain_string(15)),
        option("--timeout", kinds=plain_string(31)),
        option("--ctevents", kinds=words_of(*_EVENTS, lower=True)),
        option("--expevents", kinds=words_of("NEW", lower=True)),
        option("--zone", kinds=_ZONE),
        option("--zone-orig", kinds=_ZONE),
        option("--zone-reply", kinds=_ZONE),
    )

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """One zone: of several the last number, or ``mark``; for one direction where only that was named."""
        zones = [clause for clause in clauses if clause.option in _ZONES]
        others = super().normal(tuple(clause for clause in clauses if clause not in zones), family)
        numbers = [clause.values[0] for clause in zones if clause.values[0] != "mark"]
        value = "mark" if len(numbers) < len(zones) else numbers[-1] if numbers else "0"
        if value == "0":
            return others
        directions = {clause.option for clause in zones} - {"--zone"}
        name = directions.pop() if len(directions) == 1 else "--zone"
        return (*others, Clause(name, False, (value,)))

    def tracking(self, clauses: tuple[Clause, ...]) -> bool:
        """Not with ``--notrack``: xt_ct_tg_check() then has nothing to set up."""
        return self.acts(clauses) is not Effect.UNTRACK

    def acts(self, clauses: tuple[Clause, ...]) -> Effect:
        """Untracks with ``--notrack``; of several rules the first one counts (net/netfilter/xt_CT.c, xt_ct_target())."""
        untracks = any(clause.option == "--notrack" for clause in clauses)
        return Effect.UNTRACK if untracks else Effect.CLAIM


class Notrack(TargetExtension):
    """The older form of ``-j CT --notrack``."""

    name = "NOTRACK"
    effect = Effect.UNTRACK
