"""Sets with more addresses than can be told apart in memory: looked at by networks, and left open there.

A decision diagram takes a node for every bit that tells one address from the others: two nodes for an address of a
million in IPv4, but ninety in IPv6. Above a bound the addresses are cut to the networks around them, so that what is
in those networks may belong to the set but must not. Networks that are shorter stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain

from ipt2np.packets.intervals import Range, merged
from ipt2np.rules.ipset import Batch, IpSet
from ipt2np.rules.settypes import ADDRESSES

NODES = 3_000_000
"""The most diagram nodes that the addresses of one set may take: some 600 MB."""


def coarse(ipset: IpSet) -> IpSet:
    """The set as it is, or where that would take too many nodes, one that is certain of less."""
    places = sum(part in ADDRESSES for part in ipset.parts)
    bits = len(ipset.mask.positions())
    values = sum(len(column) for batch in ipset.batches for column in batch.addresses)
    if values * bits <= NODES or (bits <= 32 and len(ipset.parts) == 1 and 2 * values <= NODES):
        return ipset
    needed = [0] * bits
    for place in range(places):
        for level, nodes in enumerate(_needed(ipset.batches, place, bits, last=place + 1 == places)):
            needed[level] += nodes
    kept = sum(total <= NODES for total in accumulate(needed))
    if kept == bits:
        return ipset
    batches = chain.from_iterable(_cut(batch, bits - kept) for batch in ipset.batches)
    return replace(ipset, batches=tuple(batches), blurred=True)


def _keyed(batch: Batch, place: int) -> Iterator[tuple[tuple[object, ...], Range]]:
    """Each row's other values, those of later addresses left out, and its addresses at ``place``."""
    others = [each for each in (batch.services, batch.names, batch.marks) if each]
    keys = list(zip(*others, *batch.addresses[:place], strict=True)) or [()] * len(batch.addresses[place])
    return zip(keys, batch.addresses[place], strict=True)


def _needed(batches: Sequence[Batch], place: int, bits: int, *, last: bool) -> Iterator[int]:
    """About how many nodes test each bit of the addresses at ``place``.

    Addresses that share their first bits share nodes, among entries that are otherwise alike. Where one address is
    left below a node, all that end alike share the rest, if no part comes after it.
    """
    rows = sorted(row for batch in batches for row in _keyed(batch, place))
    alone, several = [0] * (bits + 1), [0] * (bits + 1)
    shared = -1
    for number, (key, (low, high)) in enumerate(rows):
        before, shared = shared, -1
        if number + 1 < len(rows) and rows[number + 1][0] == key:
            shared = bits - (low ^ rows[number + 1][1][0]).bit_length()
        end = bits - (high - low).bit_length()
        for counts, first, stop in (
            (several, before + 1, min(shared + 1, end)),
            (alone, max(before, shared) + 1, end),
        ):
            if first < stop:
                counts[first] += 1
                counts[stop] -= 1
    for level, one, more in zip(range(bits), accumulate(alone), accumulate(several), strict=False):
        yield more + (min(one, 1 << (bits - level)) if last else one)


def _cut(batch: Batch, free: int) -> Iterator[Batch]:
    """Entries that are made of blocks of ``2**free`` addresses as they are, and of the others their blocks, uncertain."""
    hosts = (1 << free) - 1
    if len(batch.addresses) == 1 and not (batch.services or batch.names or batch.marks):
        whole = [((low + hosts) & ~hosts, ((high + 1) & ~hosts) - 1) for low, high in batch.addresses[0]]
        yield replace(batch, addresses=([each for each in whole if each[0] <= each[1]],))
        yield replace(batch, addresses=(merged(_widened(batch.addresses[0], hosts)),), certain=False)
        return
    exact: list[int] = []
    blurred: list[int] = []
    for row, ranges in enumerate(zip(*batch.addresses, strict=True)):
        blocks = all(not low & hosts and high & hosts == hosts for low, high in ranges)
        (exact if blocks else blurred).append(row)
    yield _only(batch, exact)
    rest = _only(batch, blurred)
    yield replace(rest, addresses=tuple(_widened(column, hosts) for column in rest.addresses), certain=False)


def _widened(ranges: Sequence[Range], hosts: int) -> list[Range]:
    return [(low & ~hosts, high | hosts) for low, high in ranges]


def _only(batch: Batch, rows: Sequence[int]) -> Batch:
    """The batch with these rows."""
    return replace(
        batch,
        count=len(rows),
        addresses=tuple([column[row] for row in rows] for column in batch.addresses),
        services=[batch.services[row] for row in rows] if batch.services else (),
        names=[batch.names[row] for row in rows] if batch.names else (),
        marks=[batch.marks[row] for row in rows] if batch.marks else (),
    )
