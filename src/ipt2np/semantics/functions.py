"""Truth functions of conditions that nobody can settle: canonical, so that equal functions are the same number.

They are ordered decision diagrams over the places of conditions. A rule's match that is undecided is a condition; whether a
packet is accepted is a function of those that it meets on its way.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable

FALSE, TRUE = 0, 1
_LAST = 1 << 62
_LATER = 1 << 32
"""Where the places of later packets' conditions begin: behind all of the first ones'."""
STEPS = 200_000
"""So many steps may be remembered; what would need more is not worked out."""


class TooManySteps(Exception):
    """A function became too large."""


class Functions:
    """A store of functions, and the places of their conditions."""

    def __init__(self, steps: int = STEPS) -> None:
        self._nodes: list[tuple[int, int, int]] = [(_LAST, FALSE, FALSE), (_LAST, TRUE, TRUE)]
        """Place, function where its condition holds, function where it does not."""
        self._known: dict[tuple[int, int, int], int] = {}
        self._chosen: dict[tuple[int, int, int], int] = {}
        self._places: dict[Hashable, int] = {}
        self._steps = steps

    def place(self, condition: Hashable, *, later: bool = False) -> int:
        """The place of a condition; a new one goes behind those that are known."""
        return self._places.setdefault(condition, len(self._places) + (_LATER if later else 0))

    def choice(self, places: Iterable[int], yes: int, no: int) -> int:
        """``yes`` where the conditions at all ``places`` hold, else ``no``. TooManySteps where that is too large."""
        test = TRUE
        for place in sorted(places, reverse=True):
            test = self._node(place, test, FALSE)
        return self._choose(test, yes, no)

    def both(self, one: int, two: int) -> int:
        """Both of two. TooManySteps where that is too large."""
        return self._choose(one, two, FALSE)

    def implies(self, one: int, two: int) -> bool:
        """True where ``two`` holds whenever ``one`` does; False too where working it out takes too long."""
        try:
            return self._choose(one, two, TRUE) == TRUE
        except TooManySteps:
            return False

    def _node(self, place: int, yes: int, no: int) -> int:
        if yes == no:
            return yes
        found = self._known.get((place, yes, no))
        if found is None:
            found = self._known[place, yes, no] = len(self._nodes)
            self._nodes.append((place, yes, no))
        return found

    def _choose(self, test: int, yes: int, no: int) -> int:
        """``yes`` where ``test`` holds, else ``no``; without recursion, however many conditions there are."""
        pending = [(test, yes, no)]
        while True:
            step = pending[-1]
            found = self._plain(*step)
            if found is None:
                found = self._chosen.get(step)
            if found is None:
                place = min(self._nodes[each][0] for each in step)
                sides = [self._where(step, place, holds) for holds in (1, 2)]
                parts = [self._known_choice(side) for side in sides]
                missing = [side for side, part in zip(sides, parts, strict=True) if part is None]
                if missing:
                    pending += missing
                    continue
                if len(self._chosen) >= self._steps:
                    raise TooManySteps
                found = self._chosen[step] = self._node(place, parts[0] or FALSE, parts[1] or FALSE)
            pending.pop()
            if not pending:
                return found

    def _known_choice(self, step: tuple[int, int, int]) -> int | None:
        found = self._plain(*step)
        return self._chosen.get(step) if found is None else found

    @staticmethod
    def _plain(test: int, yes: int, no: int) -> int | None:
        """The answer where there is nothing to work out."""
        if test == TRUE or yes == no:
            return yes
        if test == FALSE:
            return no
        return test if (yes, no) == (TRUE, FALSE) else None

    def _where(self, step: tuple[int, int, int], place: int, side: int) -> tuple[int, int, int]:
        """The three functions where the condition at ``place`` holds (1), or does not (2)."""
        nodes = self._nodes
        a, b, c = (nodes[each][side] if nodes[each][0] == place else each for each in step)
        return a, b, c
