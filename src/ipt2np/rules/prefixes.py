"""Looking addresses up in tables of prefixes, for all addresses at once: the longest prefix wins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ipt2np.packets import AddressSet
from ipt2np.packets.intervals import ADDRESS_BITS, Range, complement, merged
from ipt2np.rules.host import Route, prefix_range
from ipt2np.rules.interfaces import LABELS, Interfaces

MOST_WAYS = 256
"""An address with more alternatives than this is taken to be open."""


@dataclass(frozen=True, slots=True)
class Holding:
    """On which interfaces something holds: on those ``on``, and on all ``but`` those where ``elsewhere``."""

    names: frozenset[str] = frozenset()
    elsewhere: bool = False
    """What holds on interfaces that are not in ``names``; the opposite holds on those that are."""

    def labels(self, interfaces: Interfaces) -> tuple[Range, ...]:
        """The labels of the interfaces on which it holds, as canonical ranges."""
        named = merged((label, label) for label in map(interfaces.label, self.names))
        return complement(named, LABELS) if self.elsewhere else named


NOWHERE, EVERYWHERE = Holding(), Holding(elsewhere=True)
OPEN = frozenset({NOWHERE, EVERYWHERE})
"""Nobody knows."""

Ways = frozenset[Holding]
"""What may be the case, one of these; a single one is certain."""
Surveyed = Mapping[Ways, AddressSet]
"""The address space, in parts with equal ``Ways``."""


@dataclass(frozen=True, slots=True, eq=False)
class Prefix:
    """A prefix of a table: its routes in the order of the table, and the longest prefix around it."""

    network: int
    length: int
    routes: tuple[Route, ...]
    around: Prefix | None


@dataclass(frozen=True)
class PrefixTable:
    """The address space cut where the longest matching prefix changes.

    From ``starts[i]`` up to the next start ``prefixes[i]`` is the longest, None where there is none.
    """

    starts: tuple[int, ...]
    prefixes: tuple[Prefix | None, ...]

    @classmethod
    def of(cls, routes: Iterable[Route], family: int) -> PrefixTable:
        """The table of the routes, which are of one family: in time that grows as n log n."""
        by_prefix: dict[tuple[int, int], list[Route]] = {}
        for route in routes:
            by_prefix.setdefault((route.network, route.length), []).append(route)
        starts: list[int] = [0]
        prefixes: list[Prefix | None] = [None]

        def cut(at: int, longest: Prefix | None) -> None:
            if starts[-1] == at:
                prefixes[-1] = longest
            else:
                starts.append(at)
                prefixes.append(longest)

        end = (1 << ADDRESS_BITS[family]) - 1
        nested: list[tuple[int, Prefix]] = []

        def leave(before: int) -> None:
            while nested and nested[-1][0] < before:
                last, _ = nested.pop()
                if last < end:
                    cut(last + 1, nested[-1][1] if nested else None)

        for network, length in sorted(by_prefix):
            leave(network)
            around = nested[-1][1] if nested else None
            prefix = Prefix(network, length, tuple(by_prefix[network, length]), around)
            cut(network, prefix)
            nested.append((prefix_range(network, length, family)[1], prefix))
        leave(end + 1)
        return cls(tuple(starts), tuple(prefixes))


@dataclass(frozen=True, slots=True)
class Stage:
    """A table to ask; where ``conditional``, nobody knows whether the kernel asks it."""

    table: PrefixTable
    conditional: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a table says: the ways that it leaves open, and whether the kernel looks no further."""

    ways: Ways = frozenset()
    final: bool = False


Reading = Callable[[Prefix, bool], Answer]
"""What a prefix says of the addresses whose longest it is; the flag is True for the network's own address."""


def survey(
    stages: Sequence[Stage],
    family: int,
    reading: Reading,
    missing: Ways,
    *,
    networks_apart: bool = False,
    rival: int | None = None,
) -> Surveyed:
    """Every address looked up in the tables, one after the other, until one's answer is final.

    ``missing`` are the ways of an address that no table has a final answer for. With ``networks_apart`` a
    network's own address (all host bits zero) is read for itself. The first table and the one numbered ``rival``
    may be one to the kernel: then a longer prefix of the rival goes before the first table's.
    """
    found: dict[Ways, list[Range]] = {}
    known: dict[tuple[int, bool], Answer] = {}

    def read(prefix: Prefix, first: bool) -> Answer:
        key = (id(prefix), first)
        if key not in known:
            known[key] = reading(prefix, first)
        return known[key]

    for low, high, prefixes in _pieces([stage.table for stage in stages], family, networks_apart):
        ways: Ways = frozenset()
        longer = None if rival is None else prefixes[rival]
        overtaken = longer is not None and prefixes[0] is not None and longer.length > prefixes[0].length
        answered = False  # by the first table, if it is asked by itself
        for number, (stage, prefix) in enumerate(zip(stages, prefixes, strict=True)):
            if prefix is None:
                continue
            answer = read(prefix, networks_apart and prefix.network == low)
            ways |= answer.ways
            if answer.final and overtaken and number == 0:
                answered = True
            elif answer.final and (not stage.conditional or (answered and number == rival)):
                break
        else:
            ways |= missing
        found.setdefault(ways if len(ways) <= MOST_WAYS else OPEN, []).append((low, high))
    return {ways: AddressSet.of(family, ranges) for ways, ranges in found.items()}


def _pieces(
    tables: Sequence[PrefixTable], family: int, networks_apart: bool
) -> Iterator[tuple[int, int, list[Prefix | None]]]:
    """The address space cut where any table's longest prefix changes: first and last address, the prefixes."""
    end = (1 << ADDRESS_BITS[family]) - 1
    cuts = {0, *(start for table in tables for start in table.starts)}
    if networks_apart:
        cuts |= {start + 1 for start in cuts if start < end}
    ordered = sorted(cuts)
    at = [0] * len(tables)
    for low, following in zip(ordered, [*ordered[1:], end + 1], strict=True):
        for number, table in enumerate(tables):
            while at[number] + 1 < len(table.starts) and table.starts[at[number] + 1] <= low:
                at[number] += 1
        yield low, following - 1, [table.prefixes[i] for table, i in zip(tables, at, strict=True)]
