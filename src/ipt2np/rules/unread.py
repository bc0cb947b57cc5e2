"""What stands for a line that could not be read: it may match any packet, or none, and do anything.

The kernel refuses such a rule, or, where another version of iptables reads it, holds one that is not known here.
Both are inside what an undecided match and an unknown target allow.
"""

from __future__ import annotations

from ipt2np.rules.extension import Effect, MatchExtension, TargetAsText
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause, MatchUse, Rule, TargetUse


class Unread(MatchExtension):
    """The part of a rule that could not be read; ``why`` is the fault that was found."""

    name = "unread"

    def __init__(self, why: str) -> None:
        self.why = why

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unread) and other.why == self.why

    def __hash__(self) -> int:
        return hash((Unread, self.why))

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """May hold for any packet."""
        return view.undecided(f"the line cannot be read: {self.why}")


UNREAD_TARGET = TargetUse(TargetAsText("unread", Effect.UNKNOWN))
"""The target of a rule of which nothing could be read."""


def unread_use(why: str) -> MatchUse:
    """An undecided match in place of what could not be read."""
    return MatchUse(Unread(why))


def why_unread(rule: Rule) -> str | None:
    """The fault because of which a rule, or a part of it, could not be read; None for any other rule."""
    return next((use.extension.why for use in rule.matches if isinstance(use.extension, Unread)), None)
