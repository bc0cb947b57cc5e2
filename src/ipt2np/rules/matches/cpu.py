"""``-m cpu`` (iptables-extensions(8)): the processor that handles the packet."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.values import integer


class Cpu(MatchExtension):
    """A processor's number."""

    name = "cpu"
    options = (
        option(
            "--cpu", kinds=integer(), negatable=True, means=Undecided("which processor handles the packet")
        ),
    )
    required = (("--cpu",),)
