"""``-m nfacct`` (iptables-extensions(8), nfacct(8)): counts into an object that rules and programs share.

Source: net/netfilter/xt_nfacct.c. Without a quota the match always holds; with one, only once it is used up. Which of
the two an object is, no ruleset says.
"""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import quoted, string

_name = Kind(
    "NAME",
    string(31, least=1, cut=True).read,
    lambda value, family: f" {quoted(str(value))}",  # libxt_nfacct prints two spaces
    "web",
)


def _counted(view: View, name: str) -> Meaning:
    return view.undecided(f"whether the accounting object {name!r} has a quota, and is over it")


class Nfacct(MatchExtension):
    """The name of an accounting object."""

    name = "nfacct"
    options = (option("--nfacct-name", kinds=_name, means=_counted),)
    required = (("--nfacct-name",),)
