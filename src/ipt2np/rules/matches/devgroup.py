"""``-m devgroup`` (iptables-extensions(8)): the group that an interface was put into (ip-link(8))."""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import Masked, marked

_DEFAULT = Masked(0, 0xFFFFFFFF)
"""The group called ``default`` in /etc/iproute2/group."""


def _read(text: str, family: int) -> Masked:
    found: Masked = _DEFAULT if text == "default" else marked.read(text, family)
    return found


def _write(value: Masked, family: int) -> str:
    return "default" if value == _DEFAULT else marked.write(value, family)


_GROUP = Kind("GROUP[/MASK]", _read, _write, "0x1")


def _out(view: View, group: Masked) -> Meaning:
    """On the way in there is no output interface (xt_devgroup.c compares with group 0 of none)."""
    return view.undecided("the group of an output interface, which there is none of")


class Devgroup(MatchExtension):
    """Groups of the input and the output interface."""

    name = "devgroup"
    options = (
        option(
            "--src-group",
            kinds=_GROUP,
            negatable=True,
            means=Undecided("the group that the input interface was put into"),
        ),
        option("--dst-group", kinds=_GROUP, negatable=True, means=_out),
    )
    required = (("--src-group", "--dst-group"),)
