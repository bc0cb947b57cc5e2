"""Limits: ``limit`` and ``quota`` (iptables-extensions(8)), and what all matches by rate mean.

The header does not say how fast a source sends; under the assumption ``rate`` no limit is exceeded, so a
match that holds below its limit always holds and one that holds above it never does.
"""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import number, word

WHY = "how fast the source sends, or how many connections it holds"


def below(view: View, *values: object) -> Meaning:
    """A match that holds as long as the limit is not reached."""
    return view.assumed("rate", view.always(), WHY)


def above(view: View, *values: object) -> Meaning:
    """A match that holds only once the limit is exceeded."""
    return view.assumed("rate", view.never(), WHY)


class Limit(MatchExtension):
    """Holds until the limit is reached (token bucket for the whole rule)."""

    name = "limit"
    options = (option("--limit", kinds=word), option("--limit-burst", kinds=number))

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """Always, below the limit (also where only the default of 3/hour stands)."""
        return below(view)


class Quota(MatchExtension):
    """Holds until so many bytes have passed."""

    name = "quota"
    options = (option("--quota", kinds=number, negatable=True, means=below),)
