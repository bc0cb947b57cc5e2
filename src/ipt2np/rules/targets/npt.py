"""``-j DNPT`` and ``-j SNPT`` (iptables-extensions(8)): IPv6 networks mapped onto each other without a state.

Options, order and spelling after extensions/libip6t_DNPT.c and libip6t_SNPT.c of iptables 1.8.9.
"""

from __future__ import annotations

from ipt2np.rules.extension import Effect, TargetExtension, option
from ipt2np.rules.targets.nat import prefixed

_OPTIONS = (option("--src-pfx", kinds=prefixed), option("--dst-pfx", kinds=prefixed))


class Dnpt(TargetExtension):
    """Gives the packet a destination in another network."""

    name = "DNPT"
    effect = Effect.REWRITE
    families = (6,)
    options = _OPTIONS
    required = (("--src-pfx",), ("--dst-pfx",))


class Snpt(Dnpt):
    """Gives the packet a source in another network."""

    name = "SNPT"
