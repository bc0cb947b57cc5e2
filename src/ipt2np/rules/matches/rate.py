"""Limits: what all matches by rate mean (iptables-extensions(8)).

The header does not say how fast a source sends; under the assumption ``rate`` no limit is exceeded, so a
match that holds below its limit always holds and one that holds above it never does.
"""

from __future__ import annotations

from ipt2np.rules.meaning import Meaning, View

WHY = "how fast the source sends, or how many connections it holds"


def below(view: View, *values: object) -> Meaning:
    """A match that holds as long as the limit is not reached."""
    return view.assumed("rate", view.always(), WHY)


def above(view: View, *values: object) -> Meaning:
    """A match that holds only once the limit is exceeded."""
    return view.assumed("rate", view.never(), WHY)
