"""``-m realm`` (iptables-extensions(8)): the routing realm that the host's routes give to a packet."""

from __future__ import annotations

import re

from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.marks import FULL
from ipt2np.rules.matches.masks import under_mask
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import Masked, marked

NAMES = {"cosmos": 0}
"""What /etc/iproute2/rt_realms has unless somebody changed it; other names only the host knows."""


def _read(text: str, family: int) -> Masked | str:
    if text in NAMES:
        return Masked(NAMES[text], FULL)
    if re.fullmatch(r"[^\s\d/][^\s/]*", text):
        return text
    try:
        found = marked.read(text, family)
    except ValueFault as fault:
        raise ValueFault(fault.message, "VALUE or VALUE/MASK such as 0x1/0xff, or a realm's name") from None
    assert isinstance(found, Masked)
    return found


def _write(value: Masked | str, family: int) -> str:
    if isinstance(value, str):
        return value
    names = {Masked(number, FULL): name for name, number in NAMES.items()}
    return names.get(value) or marked.write(value, family)


def _realm(view: View, wanted: Masked | str) -> Meaning:
    why = "the realm that the host's routes give to the packet"
    return view.undecided(why) if isinstance(wanted, str) else under_mask(view, wanted, why)


class Realm(MatchExtension):
    """A realm by number under a mask, or by name."""

    name = "realm"
    families = (4,)
    options = (
        option("--realm", kinds=Kind("REALM[/MASK]", _read, _write, "0x5"), negatable=True, means=_realm),
    )
    required = (("--realm",),)
