"""Security parameter indices, as ``-m ah`` and ``-m esp`` take them."""

from __future__ import annotations

from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer_range

EVERY = (0, 0xFFFFFFFF)
spi = integer_range(0xFFFFFFFF, title="SPI[:SPI]")


def said(clauses: tuple[Clause, ...]) -> tuple[Clause, ...]:
    """The clauses that iptables-save prints: not the range of every index, negated or not."""
    return tuple(clause for clause in clauses if clause.values != (EVERY,))
