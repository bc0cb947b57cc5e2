"""``-m cgroup`` (iptables-extensions(8)): the control group of the program that the packet is for."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.values import integer, string

_MEANS = Undecided("the control group of the program that the packet is for")


class Cgroup(MatchExtension):
    """By path (version 2) or by class (version 1)."""

    name = "cgroup"
    options = (
        option("--path", kinds=string(511, title="PATH"), negatable=True, means=_MEANS),
        option("--cgroup", kinds=integer(), negatable=True, means=_MEANS),
    )
    required = exclusive = (("--path", "--cgroup"),)
