"""``-j DNPT`` and ``-j SNPT`` (iptables-extensions(8)): IPv6 networks mapped onto each other without a state.

Options, order and spelling after extensions/libip6t_DNPT.c and libip6t_SNPT.c of iptables 1.8.9.
"""

from __future__ import annotations

from ipt2np.rules.extension import Effect, TargetExtension, option
from ipt2np.rules.targets.nat import prefixed
from ipt2np.rules.values import Network

_ANY = (Network(0, 0),)
# ip6tables wants both, but ip6tables-save leaves out one that is ::/0.
_OPTIONS = tuple(
    option(name, kinds=prefixed, default=_ANY, unsaid=_ANY) for name in ("--src-pfx", "--dst-pfx")
)


class Dnpt(TargetExtension):
    """Gives the packet a destination in another network, and lets it go on to the next rule."""

    name = "DNPT"
    effect = Effect.UNKNOWN
    families = (6,)
    options = _OPTIONS


class Snpt(Dnpt):
    """Gives the packet a source in another network."""

    name = "SNPT"
