"""Ordered decision diagrams over bits: the canonical form behind packet sets and packet maps.

A node tests one bit (its *level*; lower levels are tested first) and names the node for 0 and the node
for 1; a terminal carries an integer. Nodes are hash-consed and never test a bit in vain, so two functions
are equal exactly when their nodes are the same number (Bryant, "Graph-Based Algorithms for Boolean
Function Manipulation", 1986). Terminals 0 and 1 are false and true; other terminals make a diagram a
*map* from packets to values. Node numbers mean nothing outside their own ``Diagram``.

Cost: an operation visits at most the product of its operands' nodes, and in practice the nodes on the
paths where they differ. Recursion is as deep as the number of levels, a constant of the packet space.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

FALSE = 0
TRUE = 1
TERMINAL_LEVEL = 1 << 30
CACHED_STEPS = 1_000_000
"""Remembered steps of an operation before its cache starts afresh: bounds memory, not results."""
CHAINED_BITS = 16
"""The last so many bits of a field's single values are shared between all values that end alike."""


class Diagram:
    """A store of nodes and the operations on them."""

    __slots__ = (
        "_choose",
        "_conjoin",
        "_subtract",
        "_terminals",
        "_unique",
        "_unite",
        "high",
        "level",
        "low",
    )

    def __init__(self) -> None:
        self.level: list[int] = [TERMINAL_LEVEL, TERMINAL_LEVEL]
        self.low: list[int] = [FALSE, TRUE]
        self.high: list[int] = [FALSE, TRUE]
        self._unique: dict[tuple[int, int, int], int] = {}
        self._terminals: dict[int, int] = {FALSE: FALSE, TRUE: TRUE}
        self._conjoin: dict[tuple[int, int], int] = {}
        self._unite: dict[tuple[int, int], int] = {}
        self._subtract: dict[tuple[int, int], int] = {}
        self._choose: dict[tuple[int, int, int], int] = {}

    def node(self, level: int, low: int, high: int) -> int:
        """The node that tests bit ``level``, or its child where both are the same."""
        if low == high:
            return low
        key = (level, low, high)
        found = self._unique.get(key)
        if found is None:
            found = self._unique[key] = len(self.level)
            self.level.append(level)
            self.low.append(low)
            self.high.append(high)
        return found

    def terminal(self, value: int) -> int:
        """The node that stands for ``value`` whatever the packet."""
        found = self._terminals.get(value)
        if found is None:
            found = self._terminals[value] = len(self.level)
            self.level.append(TERMINAL_LEVEL)
            self.low.append(value)
            self.high.append(value)
        return found

    def value(self, node: int) -> int:
        """The integer that the terminal ``node`` carries."""
        return self.low[node]

    # -- sets -----------------------------------------------------------------------------------------

    def conjoin(self, a: int, b: int) -> int:
        """Set intersection."""
        cache = self._conjoin
        if len(cache) > CACHED_STEPS:
            cache.clear()
        levels, lows, highs, node = self.level, self.low, self.high, self.node

        def step(a: int, b: int) -> int:
            if a == b or b == TRUE:
                return a
            if a == TRUE:
                return b
            if a == FALSE or b == FALSE:
                return FALSE
            if a > b:
                a, b = b, a
            key = (a, b)
            found = cache.get(key)
            if found is None:
                level, other = levels[a], levels[b]
                if level == other:
                    found = node(level, step(lows[a], lows[b]), step(highs[a], highs[b]))
                elif level < other:
                    found = node(level, step(lows[a], b), step(highs[a], b))
                else:
                    found = node(other, step(a, lows[b]), step(a, highs[b]))
                cache[key] = found
            return found

        return step(a, b)

    def unite(self, a: int, b: int) -> int:
        """Set union."""
        cache = self._unite
        if len(cache) > CACHED_STEPS:
            cache.clear()
        levels, lows, highs, node = self.level, self.low, self.high, self.node

        def step(a: int, b: int) -> int:
            if a == b or b == FALSE:
                return a
            if a == FALSE:
                return b
            if a == TRUE or b == TRUE:
                return TRUE
            if a > b:
                a, b = b, a
            key = (a, b)
            found = cache.get(key)
            if found is None:
                level, other = levels[a], levels[b]
                if level == other:
                    found = node(level, step(lows[a], lows[b]), step(highs[a], highs[b]))
                elif level < other:
                    found = node(level, step(lows[a], b), step(highs[a], b))
                else:
                    found = node(other, step(a, lows[b]), step(a, highs[b]))
                cache[key] = found
            return found

        return step(a, b)

    def subtract(self, a: int, b: int) -> int:
        """Set difference; ``subtract(TRUE, b)`` is the complement."""
        cache = self._subtract
        if len(cache) > CACHED_STEPS:
            cache.clear()
        levels, lows, highs, node = self.level, self.low, self.high, self.node

        def step(a: int, b: int) -> int:
            if a in (FALSE, b) or b == TRUE:
                return FALSE
            if b == FALSE:
                return a
            key = (a, b)
            found = cache.get(key)
            if found is None:
                level, other = levels[a], levels[b]
                if level == other:
                    found = node(level, step(lows[a], lows[b]), step(highs[a], highs[b]))
                elif level < other:
                    found = node(level, step(lows[a], b), step(highs[a], b))
                else:
                    found = node(other, step(a, lows[b]), step(a, highs[b]))
                cache[key] = found
            return found

        return step(a, b)

    def subset(self, a: int, b: int) -> bool:
        """True where every packet of the set ``a`` is in ``b``; stops at the first that is not."""
        levels, lows, highs = self.level, self.low, self.high
        seen: set[tuple[int, int]] = set()
        pending = [(a, b)]
        while pending:
            a, b = pending.pop()
            if a in (FALSE, b) or b == TRUE:
                continue
            if a == TRUE or b == FALSE:
                return False
            level, other = levels[a], levels[b]
            first = min(level, other)
            a0, a1 = (lows[a], highs[a]) if level == first else (a, a)
            b0, b1 = (lows[b], highs[b]) if other == first else (b, b)
            for pair in ((a0, b0), (a1, b1)):
                if pair not in seen:
                    seen.add(pair)
                    pending.append(pair)
        return True

    def meets(self, a: int, b: int) -> bool:
        """True where the sets have a packet in common; stops at the first."""
        levels, lows, highs = self.level, self.low, self.high
        seen: set[tuple[int, int]] = set()
        pending = [(a, b)]
        while pending:
            a, b = pending.pop()
            if FALSE in (a, b):
                continue
            if TRUE in (a, b) or a == b:
                return True
            level, other = levels[a], levels[b]
            first = min(level, other)
            a0, a1 = (lows[a], highs[a]) if level == first else (a, a)
            b0, b1 = (lows[b], highs[b]) if other == first else (b, b)
            for pair in ((a0, b0), (a1, b1)):
                if pair not in seen:
                    seen.add(pair)
                    pending.append(pair)
        return False

    # -- maps -----------------------------------------------------------------------------------------

    def choose(self, test: int, yes: int, no: int) -> int:
        """The map that is ``yes`` inside the set ``test`` and ``no`` outside."""
        cache = self._choose
        if len(cache) > CACHED_STEPS:
            cache.clear()
        levels, lows, highs, node = self.level, self.low, self.high, self.node

        def step(test: int, yes: int, no: int) -> int:
            if test == TRUE or yes == no:
                return yes
            if test == FALSE:
                return no
            key = (test, yes, no)
            found = cache.get(key)
            if found is None:
                level_t, level_y, level_n = levels[test], levels[yes], levels[no]
                level = min(level_t, level_y, level_n)
                t0, t1 = (lows[test], highs[test]) if level_t == level else (test, test)
                y0, y1 = (lows[yes], highs[yes]) if level_y == level else (yes, yes)
                n0, n1 = (lows[no], highs[no]) if level_n == level else (no, no)
                found = cache[key] = node(level, step(t0, y0, n0), step(t1, y1, n1))
            return found

        return step(test, yes, no)

    def combine(self, operation: Callable[[tuple[int, ...]], int], nodes: tuple[int, ...]) -> int:
        """The map whose value is ``operation`` of the operands' values, packet by packet."""
        levels, lows, highs, node, terminal = self.level, self.low, self.high, self.node, self.terminal
        cache: dict[tuple[int, ...], int] = {}

        def step(nodes: tuple[int, ...]) -> int:
            found = cache.get(nodes)
            if found is None:
                level = min([levels[n] for n in nodes])
                if level == TERMINAL_LEVEL:
                    found = terminal(operation(tuple([lows[n] for n in nodes])))
                else:
                    found = node(
                        level,
                        step(tuple([lows[n] if levels[n] == level else n for n in nodes])),
                        step(tuple([highs[n] if levels[n] == level else n for n in nodes])),
                    )
                cache[nodes] = found
            return found

        return step(nodes)

    def graft(
        self,
        region: int,
        operation: Callable[[tuple[int, ...]], int],
        nodes: tuple[int, ...],
        outside: int,
        neutral: tuple[int, ...],
        answer: Callable[[int], int | None],
    ) -> int:
        """``combine`` inside the set ``region``, the map ``outside`` elsewhere, visiting no more than it must.

        Where all operands but the first are the nodes ``neutral``, the operation must give the first operand's
        value. Where the first operand's value is ``v`` and ``answer(v)`` a number, the operation must give the
        value of the operand of that number. Such parts are taken over as they are.
        """
        levels, lows, highs, node, terminal = self.level, self.low, self.high, self.node, self.terminal
        cache: dict[tuple[int, ...], int] = {}

        def step(operands: tuple[int, ...]) -> int:
            region, outside, *rest = operands
            if region == FALSE:
                return outside
            if region == TRUE:
                if tuple(rest[1:]) == neutral:
                    return rest[0]
                if levels[rest[0]] == TERMINAL_LEVEL:
                    chosen = answer(lows[rest[0]])
                    if chosen is not None:
                        return rest[chosen]
                operands = (TRUE, FALSE, *rest)
            found = cache.get(operands)
            if found is None:
                level = min([levels[n] for n in operands])
                if level == TERMINAL_LEVEL:
                    found = terminal(operation(tuple([lows[n] for n in rest])))
                else:
                    found = node(
                        level,
                        step(tuple([lows[n] if levels[n] == level else n for n in operands])),
                        step(tuple([highs[n] if levels[n] == level else n for n in operands])),
                    )
                cache[operands] = found
            return found

        return step((region, outside, *nodes))

    def revise(self, region: int, root: int, value_of: Callable[[int], int]) -> int:
        """The map ``root`` with each value ``v`` replaced by ``value_of(v)`` inside the set ``region`` only."""
        levels, lows, highs, node, terminal = self.level, self.low, self.high, self.node, self.terminal
        cache: dict[tuple[int, int], int] = {}

        def step(region: int, at: int) -> int:
            if region == FALSE:
                return at
            key = (region, at)
            found = cache.get(key)
            if found is None:
                level_r, level_a = levels[region], levels[at]
                level = min(level_r, level_a)
                if level == TERMINAL_LEVEL:
                    found = terminal(value_of(lows[at]))
                else:
                    r0, r1 = (lows[region], highs[region]) if level_r == level else (region, region)
                    a0, a1 = (lows[at], highs[at]) if level_a == level else (at, at)
                    found = node(level, step(r0, a0), step(r1, a1))
                cache[key] = found
            return found

        return step(region, root)

    def replace(self, root: int, value_of: Callable[[int], int]) -> int:
        """The map with each terminal value ``v`` replaced by ``value_of(v)``."""
        return self.revise(TRUE, root, value_of)

    def eliminate(self, root: int, first: int, last: int, join: Callable[[int, int], int]) -> int:
        """The diagram without the bits ``first..last``: both values of each joined by ``join``.

        ``join`` takes and gives nodes and must be commutative, associative and idempotent (union for
        "some value", intersection for "every value").
        """
        levels, lows, highs, node = self.level, self.low, self.high, self.node
        cache: dict[int, int] = {}

        def step(at: int) -> int:
            level = levels[at]
            if level > last:
                return at
            found = cache.get(at)
            if found is None:
                low, high = step(lows[at]), step(highs[at])
                found = cache[at] = join(low, high) if level >= first else node(level, low, high)
            return found

        return step(root)

    def values(self, root: int) -> set[int]:
        """The values that the map takes somewhere."""
        seen = {root}
        pending = [root]
        result: set[int] = set()
        while pending:
            at = pending.pop()
            if self.level[at] == TERMINAL_LEVEL:
                result.add(self.low[at])
                continue
            for child in (self.low[at], self.high[at]):
                if child not in seen:
                    seen.add(child)
                    pending.append(child)
        return result

    def values_within(self, root: int, within: int) -> set[int]:
        """The values that the map takes somewhere in the set ``within``."""
        levels, lows, highs = self.level, self.low, self.high
        seen = {(root, within)}
        pending = [(root, within)]
        result: set[int] = set()
        while pending:
            at, inside = pending.pop()
            if inside == FALSE:
                continue
            level, other = levels[at], levels[inside]
            if level == TERMINAL_LEVEL:
                result.add(lows[at])
                continue
            if other == level:
                pairs = ((lows[at], lows[inside]), (highs[at], highs[inside]))
            elif level < other:
                pairs = ((lows[at], inside), (highs[at], inside))
            else:
                pairs = ((at, lows[inside]), (at, highs[inside]))
            for pair in pairs:
                if pair not in seen:
                    seen.add(pair)
                    pending.append(pair)
        return result

    def digest(self, root: int) -> str:
        """A digest of the function itself: equal for equal functions of any two diagrams."""
        found = hashlib.sha256()
        numbers: dict[int, int] = {}
        stack = [(root, False)]
        while stack:
            node, children_done = stack.pop()
            if node in numbers:
                continue
            if self.level[node] == TERMINAL_LEVEL:
                found.update(b"t%d;" % self.value(node))
            elif children_done:
                low, high = numbers[self.low[node]], numbers[self.high[node]]
                found.update(b"%d:%d,%d;" % (self.level[node], low, high))
            else:
                stack += [(node, True), (self.high[node], False), (self.low[node], False)]
                continue
            numbers[node] = len(numbers)
        return found.hexdigest()

    def partition(self, root: int, group_of: Callable[[int], int]) -> dict[int, int]:
        """The sets of packets by the group of their value: ``{group: set}``, all disjoint."""
        levels, lows, highs, node = self.level, self.low, self.high, self.node
        cache: dict[int, dict[int, int]] = {}

        def step(at: int) -> dict[int, int]:
            found = cache.get(at)
            if found is None:
                level = levels[at]
                if level == TERMINAL_LEVEL:
                    found = {group_of(lows[at]): TRUE}
                else:
                    low, high = step(lows[at]), step(highs[at])
                    found = {g: node(level, n, high.get(g, FALSE)) for g, n in low.items()}
                    for g, n in high.items():
                        if g not in low:
                            found[g] = node(level, FALSE, n)
                cache[at] = found
            return found

        return step(root)

    # -- fields: runs of consecutive bits, most significant first ----------------------------------------

    def span(
        self, first: int, bits: int, ranges: Iterable[tuple[int, int]], inside: int, outside: int
    ) -> int:
        """``inside`` where the field of ``bits`` bits at ``first`` is in the canonical ``ranges``."""
        return self.table(range(first, first + bits), [(low, high, inside) for low, high in ranges], outside)

    def table(self, levels: Sequence[int], rows: Sequence[tuple[int, int, int]], outside: int) -> int:
        """The map that is ``node`` where the bits ``levels`` make a number in ``low..high``, for each row.

        ``rows`` are ``(low, high, node)``, ascending and disjoint; no row's node tests a bit above the last level.
        ``outside`` stands between them. Linear in the nodes that come out.
        """
        node, starts, depth = self.node, [row[0] for row in rows], len(levels)
        levels = tuple(levels)  # the numbers themselves, once: every node keeps its own
        chains: dict[tuple[int, int, int, int], int] = {}

        def chain(first: int, free: int, remaining: int, inside: int) -> int:
            """``inside`` where all but the last ``free`` of the last ``remaining`` bits are those of ``first``."""
            key = (first & ((1 << remaining) - 1), free, remaining, inside)
            found = chains.get(key) if remaining <= CHAINED_BITS else None
            if found is None:
                found = inside
                for bit in range(free, remaining):
                    low, high = (outside, found) if first >> bit & 1 else (found, outside)
                    found = node(levels[depth - 1 - bit], low, high)
                if remaining <= CHAINED_BITS:
                    chains[key] = found
            return found

        def build(low: int, remaining: int, i: int, end: int) -> int:
            """The part ``low .. low + 2**remaining - 1``, which the rows ``i..end-1`` meet and no others."""
            if i == end:
                return outside
            first, last, inside = rows[i]
            top = low + (1 << remaining) - 1
            if first <= low and last >= top:
                return inside
            if end - i == 1 and first >= low and last <= top:
                free = (last - first).bit_length()
                if last - first + 1 == 1 << free and not first & (last - first):
                    return chain(first, free, remaining, inside)
            middle = low + (1 << (remaining - 1))
            right = bisect_left(starts, middle, i, end)
            over = right > i and rows[right - 1][1] >= middle
            return node(
                levels[depth - remaining],
                build(low, remaining - 1, i, right),
                build(middle, remaining - 1, right - over, end),
            )

        return build(0, depth, 0, len(rows))

    def split(self, root: int, first: int, bits: int) -> list[tuple[int, int, int]]:
        """The field's values as ascending ``(low, high, rest)``: ranges with equal rest of the diagram.

        ``root`` must not test a bit above the field.
        """
        levels, lows, highs = self.level, self.low, self.high
        end = first + bits
        result: list[tuple[int, int, int]] = []

        def walk(at: int, start: int, level: int) -> None:
            if levels[at] >= end:
                last = start + (1 << (end - level)) - 1
                if result and result[-1][2] == at:
                    result[-1] = (result[-1][0], last, at)
                else:
                    result.append((start, last, at))
                return
            if levels[at] > level:
                half = 1 << (end - level - 1)
                walk(at, start, level + 1)
                walk(at, start + half, level + 1)
                return
            half = 1 << (end - level - 1)
            walk(lows[at], start, level + 1)
            walk(highs[at], start + half, level + 1)

        walk(root, 0, first)
        return result
