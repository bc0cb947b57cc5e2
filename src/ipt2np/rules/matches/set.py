"""``-m set`` (iptables-extensions(8)): membership of an ipset, whose entries the dump does not hold."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import number, word


def _member(view: View, name: str, flags: str) -> Meaning:
    if view.assumptions[f"set:{name}"] == "empty":
        return view.assumed(f"set:{name}", view.never(), "")
    return view.undecided(f"the entries of the ipset {name}")


class Set(MatchExtension):
    """``--match-set NAME src[,dst]``."""

    name = "set"
    options = (
        option("--match-set", "--set", kinds=(word, word), negatable=True, means=_member),
        option("--return-nomatch", negatable=True),
        option("--update-counters", negatable=True),
        option("--update-subcounters", negatable=True),
        *(
            option(f"--{which}-{how}", kinds=number, negatable=how == "eq")
            for which in ("packets", "bytes")
            for how in ("eq", "lt", "gt")
        ),
    )
