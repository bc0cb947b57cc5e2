"""``-m statistic`` (iptables-extensions(8)): packets picked at random or by counting."""

from __future__ import annotations

import math
import re

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, ValueFault, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import choice, integer

CERTAIN = 1 << 31
"""The kernel keeps a probability as a number of 1/2^31 (xt_statistic.c)."""
_NUMBER = re.compile(r"\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_MODES = {"random": ("--probability",), "nth": ("--every", "--packet")}
_PICKED = Undecided("which packets the rule picks at random or by counting")


def _read(text: str, family: int) -> int:
    """In units of 1/2^31, rounded half up as lround(3) does."""
    value = float(text) if len(text) <= 400 and _NUMBER.fullmatch(text) else math.inf
    if not 0 <= value <= 1:
        raise ValueFault(f"{text[:40]!r} is no probability", "a number from 0 to 1")
    whole = math.floor(value * CERTAIN)
    return whole + (value * CERTAIN - whole >= 0.5)


_probability = Kind("P", _read, lambda value, family: f"{value / CERTAIN:.11f}", "0.5")


def _chance(view: View, probability: int) -> Meaning:
    if probability in (0, CERTAIN):
        return view.constantly(probability == CERTAIN)
    return _PICKED(view)


def _counted(view: View, every: int) -> Meaning:
    return view.always() if every == 1 else _PICKED(view)


class Statistic(MatchExtension):
    """``random`` with a probability, or ``nth``: one packet out of so many, the first after so many others."""

    name = "statistic"
    options = (
        option("--mode", kinds=choice(*_MODES)),
        option("--probability", kinds=_probability, negatable=True, means=_chance),
        option("--every", kinds=integer(low=1), negatable=True, means=_counted),
        option("--packet", kinds=integer()),
    )
    required = (("--mode",),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """Each mode has options of its own, and needs all of them."""
        normal = super().normal(clauses, family)
        given = {clause.option: clause.values for clause in normal}
        (mode,) = given["--mode"]
        for other, names in _MODES.items():
            for name in names:
                if (name in given) != (mode == other):
                    wrong = f"mode {mode} {'takes no' if name in given else 'needs'} {name}"
                    raise ValueFault(
                        wrong,
                        f"--mode {mode} with " + " and ".join(_MODES[str(mode)]),
                        name if name in given else "--mode",
                    )
        if mode == "nth" and int(str(given["--packet"][0])) >= int(str(given["--every"][0])):
            raise ValueFault("--packet is not less than --every", "a number from 0 to N-1", "--packet")
        return normal
