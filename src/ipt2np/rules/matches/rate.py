"""Limits: ``limit``, ``hashlimit``, ``connlimit``, ``quota`` (iptables-extensions(8)).

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


def _held_upto(view: View, connections: int) -> Meaning:
    """A fresh source holds one connection: the one that the packet opens."""
    return below(view) if connections >= 1 else above(view)


def _held_above(view: View, connections: int) -> Meaning:
    return above(view) if connections >= 1 else below(view)


class Limit(MatchExtension):
    """Holds until the limit is reached (token bucket for the whole rule)."""

    name = "limit"
    options = (option("--limit", kinds=word), option("--limit-burst", kinds=number))

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """Always, below the limit (also where only the default of 3/hour stands)."""
        return below(view)


class Hashlimit(MatchExtension):
    """A limit for each address or port; ``--hashlimit`` is the older name of ``--hashlimit-upto``."""

    name = "hashlimit"
    options = (
        option("--hashlimit-upto", "--hashlimit", kinds=word, negatable=True, means=below),
        option("--hashlimit-above", kinds=word, negatable=True, means=above),
        *(
            option(f"--hashlimit-{rest}", kinds=word)
            for rest in (
                "burst",
                "mode",
                "srcmask",
                "dstmask",
                "name",
                "htable-size",
                "htable-max",
                "htable-expire",
                "htable-gcinterval",
                "rate-interval",
            )
        ),
        option("--hashlimit-rate-match"),
    )


class Connlimit(MatchExtension):
    """How many connections a source or network already holds."""

    name = "connlimit"
    options = (
        option("--connlimit-upto", kinds=number, negatable=True, means=_held_upto),
        option("--connlimit-above", kinds=number, negatable=True, means=_held_above),
        option("--connlimit-mask", kinds=word),
        option("--connlimit-saddr"),
        option("--connlimit-daddr"),
    )


class Quota(MatchExtension):
    """Holds until so many bytes have passed."""

    name = "quota"
    options = (option("--quota", kinds=number, negatable=True, means=below),)
