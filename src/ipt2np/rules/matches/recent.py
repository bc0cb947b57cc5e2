"""``-m recent`` (iptables-extensions(8)): a list of sources, written and read by rules."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.matches.rate import WHY
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import number, word

DEFAULT_LIST = "DEFAULT"


def list_name(clauses: tuple[Clause, ...]) -> str:
    """The list that a use of the match works on."""
    return next((str(c.values[0]) for c in clauses if c.option == "--name"), DEFAULT_LIST)


class Recent(MatchExtension):
    """``--set`` always holds; the others ask how often, or whether, the source was seen."""

    name = "recent"
    options = (
        option("--set", negatable=True),
        option("--rcheck", negatable=True),
        option("--update", negatable=True),
        option("--remove", negatable=True),
        *(option(name, kinds=number) for name in ("--seconds", "--hitcount")),
        option("--reap"),
        option("--rttl"),
        option("--name", kinds=word),
        option("--mask", kinds=word),
        option("--rsource"),
        option("--rdest"),
    )

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """A fresh, slow source was not seen so often; whether it was seen at all depends on other rules."""
        asked = next((c for c in clauses if c.option in ("--set", "--rcheck", "--update", "--remove")), None)
        if asked is None:
            return view.undecided("what the recent list holds")
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
