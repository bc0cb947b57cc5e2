"""``-m recent`` (iptables-extensions(8)): a list of sources, written and read by rules."""

from __future__ import annotations

from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.rate import WHY
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import host, integer, unquoted

OPERATIONS = ("--set", "--rcheck", "--update", "--remove")
SIDES = ("--rsource", "--rdest")


def list_name(clauses: tuple[Clause, ...]) -> str:
    """The list that a use of the match works on."""
    return next(str(c.values[0]) for c in clauses if c.option == "--name")


def _write_signed(value: int, family: int) -> str:
    """As libxt_recent prints its 32 bits: with a sign."""
    return str(value - (1 << 32) if value >> 31 else value)


_seconds = Kind("SECONDS", integer(low=1).read, _write_signed, "60")


class Recent(MatchExtension):
    """``--set`` always holds; the others ask how often, or whether, the source was seen."""

    name = "recent"
    options = (
        *(option(operation, negatable=True) for operation in OPERATIONS),
        option("--seconds", kinds=_seconds),
        option("--reap"),
        option("--hitcount", kinds=integer(), unsaid=(0,)),
        option("--rttl"),
        option("--name", kinds=unquoted(199), default=("DEFAULT",)),
        option("--mask", kinds=host),
        *(option(side) for side in SIDES),
    )
    required = exclusive = (OPERATIONS,)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """The last of ``--rsource`` and ``--rdest`` counts; the mask is said even where it is a full one."""
        given = {clause.option for clause in clauses}
        if "--reap" in given and "--seconds" not in given:
            raise ValueFault("--reap needs --seconds", "--seconds with a number", "--reap")
        sides = [clause for clause in clauses if clause.option in SIDES][-1:] or [Clause(SIDES[0])]
        kept = [clause for clause in clauses if clause.option not in SIDES]
        if "--mask" not in given:
            kept.append(Clause("--mask", False, ((1 << ADDRESS_BITS[family]) - 1,)))
        return super().normal((*kept, *sides), family)

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """A fresh, slow source was not seen so often; whether it was seen at all depends on other rules."""
        asked = next(c for c in clauses if c.option in OPERATIONS)
        if asked.option == "--set":
            held = view.always()
        else:
            hits = next((int(str(c.values[0])) for c in clauses if c.option == "--hitcount"), 0)
            if hits <= 1 and list_name(clauses) in view.recorded:
                held = view.undecided(
                    f"whether the source is in the recent list {list_name(clauses)!r}, "
                    "which other rules write"
                )
            else:
                held = view.assumed("rate", view.never(), WHY)
        return ~held if asked.negated else held
