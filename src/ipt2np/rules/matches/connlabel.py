"""``-m connlabel`` (iptables-extensions(8)): labels that rules put on connections."""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, option
from ipt2np.rules.values import string


class Connlabel(MatchExtension):
    """A label by its name in connlabel.conf, or its number from 0 to 127."""

    name = "connlabel"
    tracks = True
    options = (
        option(
            "--label",
            kinds=Kind("NAME", string(least=1).read, lambda value, family: f'"{value}"', "40"),
            negatable=True,
            means=Undecided("the connection's labels"),
        ),
        option("--set"),
    )
    required = (("--label",),)
