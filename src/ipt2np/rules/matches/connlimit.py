"""``-m connlimit`` (iptables-extensions(8)): how many connections an address or a network holds already."""

from __future__ import annotations

from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.rate import above, below
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer, network


def _upto(view: View, connections: int) -> Meaning:
    """A fresh source holds one connection: the one that the packet opens."""
    return below(view) if connections >= 1 else above(view)


def _above(view: View, connections: int) -> Meaning:
    return above(view) if connections >= 1 else below(view)


def _read_length(text: str, family: int) -> int:
    bits = ADDRESS_BITS[family]
    try:
        mask: int = network.read(f"{'0.0.0.0' if family == 4 else '::'}/{text}", family).mask
    except ValueFault:
        raise ValueFault(f"{text!r} is no prefix length", f"a prefix length from 0 to {bits}") from None
    length = mask.bit_count()
    if mask != ((1 << length) - 1) << (bits - length):
        raise ValueFault(f"{text!r} is no prefix length", f"a prefix length from 0 to {bits}")
    return length


prefix_length = Kind("PREFIX", _read_length, lambda value, family: str(value), "24", "64")
"""A prefix length, or the mask that it stands for."""


class Connlimit(MatchExtension):
    """Counted by source, or by destination."""

    name = "connlimit"
    tracks = True
    options = (
        option("--connlimit-upto", kinds=integer(), negatable=True, means=_upto),
        option("--connlimit-above", kinds=integer(), negatable=True, means=_above),
        option("--connlimit-mask", kinds=prefix_length),
        option("--connlimit-saddr"),
        option("--connlimit-daddr"),
    )
    required = (("--connlimit-upto", "--connlimit-above"),)
    exclusive = (
        ("--connlimit-upto", "--connlimit-above"),
        ("--connlimit-saddr", "--connlimit-daddr"),
    )

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """``! --connlimit-upto`` as ``--connlimit-above`` and the other way round; with mask and direction."""
        given = {clause.option: clause for clause in super().normal(clauses, family)}
        limit = given.get("--connlimit-upto") or given["--connlimit-above"]
        below_limit = (limit.option == "--connlimit-upto") != limit.negated
        by = "--connlimit-daddr" if "--connlimit-daddr" in given else "--connlimit-saddr"
        whole = Clause("--connlimit-mask", False, (ADDRESS_BITS[family],))
        name = "--connlimit-upto" if below_limit else "--connlimit-above"
        return (Clause(name, False, limit.values), given.get("--connlimit-mask", whole), Clause(by))
