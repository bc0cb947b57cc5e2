"""Fewest entries, against a search through everything that the policy language can write.

Two references, neither of which knows how ``blocks`` works:

* ``fewest()`` holds, for each of the 2**16 sets of sixteen addresses, the fewest entries of *any* list of
  blocks, overlapping or not, each with *any* excepts, whose union is that set. It is found by adding
  blocks to what was reachable, one number of entries after another.
* ``fewest_of`` goes down the prefix tree of 256 addresses and keeps count of the blocks that cover an address
  at the same time, up to three; at each prefix any number of blocks may begin and any of those above end by an
  ``except``.
"""

from __future__ import annotations

import functools
import ipaddress
import random
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, pairwise, product

import pytest

from ipt2np.cni.fitting.blocks import Block, blocks, halved, layers, without_wildcard
from ipt2np.packets import AddressSet, Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import ADDRESS_BITS

SIXTEEN = 16
EVERY_ADDRESS = (1 << SIXTEEN) - 1
MOST = 8
"""Sixteen addresses never need more: every second one by itself."""

Leaf = int
"""0 unwanted, 1 wanted, 2 either."""


# -- the first reference: every list of blocks over sixteen addresses ----------------------------------


def prefixes_of(bits: int) -> list[tuple[int, int]]:
    """Every prefix of ``bits``-bit addresses: first address and size, the whole space first."""
    return [(first, 1 << size) for size in range(bits, -1, -1) for first in range(0, 1 << bits, 1 << size)]


def mask(first: int, size: int) -> int:
    """The addresses of a prefix as bits of a number."""
    return ((1 << size) - 1) << first


def single_blocks(first: int, size: int) -> dict[int, int]:
    """Every set that one block with this ``cidr`` and any excepts strictly inside can be, by fewest entries."""
    inside = [mask(f, s) for f, s in prefixes_of(4) if s < size and first <= f < first + size]
    result = {mask(first, size): 1}
    newest = set(result)
    for count in range(2, MOST + 1):
        newest = {cut & ~hole for cut in newest for hole in inside} - result.keys()
        result |= dict.fromkeys(newest, count)
    return result


def summed_over_subsets(counts: list[int], sign: int) -> list[int]:
    """For each set the sum over its subsets (``sign`` 1), or the way back (-1)."""
    counts = counts[:]
    for bit in (1 << k for k in range(SIXTEEN)):
        for base in range(0, 1 << SIXTEEN, 2 * bit):
            low = counts[base : base + bit]
            high = counts[base + bit : base + 2 * bit]
            counts[base + bit : base + 2 * bit] = [h + sign * x for h, x in zip(high, low, strict=True)]
    return counts


@functools.cache
def fewest() -> list[int]:
    """For each set of sixteen addresses, the fewest entries of a list of blocks.

    The sets that are a union of one from A and one from B are those with a count above 0 in the product of
    both sums over subsets, taken back: as many pairs, and no others, have their union there.
    """
    by_count: list[set[int]] = [set() for _ in range(MOST + 1)]
    for first, size in prefixes_of(4):
        for addresses, count in single_blocks(first, size).items():
            by_count[count].add(addresses)
    single = [summed_over_subsets(_indicator(sets), 1) for sets in by_count]
    result = [MOST + 1] * (1 << SIXTEEN)
    result[0] = 0
    newest = [summed_over_subsets(_indicator({0}), 1)]
    for count in range(1, MOST + 1):
        pairs = [0] * (1 << SIXTEEN)
        for last in range(1, count + 1):
            pairs = [
                total + a * b for total, a, b in zip(pairs, newest[count - last], single[last], strict=True)
            ]
        reached = {addresses for addresses, n in enumerate(summed_over_subsets(pairs, -1)) if n}
        assert min(summed_over_subsets(pairs, -1)) >= 0
        for addresses in reached:
            result[addresses] = min(result[addresses], count)
        newest.append(summed_over_subsets(_indicator(reached), 1))
    return result


def _indicator(sets: set[int]) -> list[int]:
    return [int(addresses in sets) for addresses in range(1 << SIXTEEN)]


def wanted_and_allowed(leaves: Sequence[Leaf]) -> tuple[int, int]:
    """Sixteen leaves as two sets."""
    wanted = sum(1 << n for n, leaf in enumerate(leaves) if leaf == 1)
    return wanted, wanted | sum(1 << n for n, leaf in enumerate(leaves) if leaf == 2)


def fewest_between(wanted: int, allowed: int) -> int:
    """The fewest entries of any set between the two."""
    table, free = fewest(), allowed & ~wanted
    best, part = table[wanted], free
    while part:
        best = min(best, table[wanted | part])
        part = (part - 1) & free
    return best


# -- the second reference: down the tree, counting the blocks that cover -------------------------------

AT_ONCE = 3


def fewest_of(leaves: Sequence[Leaf]) -> int:
    """The fewest entries for a tree of leaves, with up to three blocks over one address."""
    return _fewest_below(tuple(leaves))[0]


@functools.lru_cache(maxsize=100_000)
def _fewest_below(leaves: tuple[Leaf, ...]) -> tuple[int, ...]:
    """The fewest entries to write here and below, by how many blocks cover the prefix from above.

    Of those, some end here by an except of their own (one entry each); then some begin (one entry each,
    and they cannot end at their own prefix). What covers after that covers both halves.
    """
    if len(leaves) == 1:
        never = 1 << 30
        covered = {0: (0, never), 1: (never, 0), 2: (0, 0)}[leaves[0]]
        inner = [covered[min(count, 1)] for count in range(AT_ONCE + 1)]
    else:
        half = len(leaves) // 2
        left, right = _fewest_below(leaves[:half]), _fewest_below(leaves[half:])
        inner = [a + b for a, b in zip(left, right, strict=True)]
    return tuple(
        min(
            ended + begun + inner[above - ended + begun]
            for ended in range(above + 1)
            for begun in range(AT_ONCE - above + ended + 1)
        )
        for above in range(AT_ONCE + 1)
    )


# -- what is judged ------------------------------------------------------------------------------------

Place = tuple[int, int, str]
"""A family and a prefix of it: its length, its first address."""

PLACES: dict[str, Place] = {
    "the last four bits": (4, 28, "10.1.2.48"),
    "the first four bits": (4, 0, "0.0.0.0"),
    "IPv6": (6, 124, "2001:db8::f0"),
}
PLACES_OF = dict(zip(PLACES.values(), ((0, 1, 2), (3, 4, 5, 6, 7, 8, 9), (4,)), strict=True))
"""Which of ten shapes are tried there; an IPv6 address is 128 levels deep and takes its time."""


def embedded(space: PacketSpace, leaves: Sequence[Leaf], place: Place) -> tuple[PacketSet, PacketSet]:
    """(wanted, allowed) with each leaf an equal part of the prefix that ``place`` names; nothing outside."""
    family, length, base = place
    bits = len(leaves).bit_length() - 1
    width = ADDRESS_BITS[family] - length - bits
    start = int(ipaddress.ip_address(base))
    ranges = [(start + (n << width), start + ((n + 1) << width) - 1) for n in range(len(leaves))]
    wanted = AddressSet.of(family, [r for r, leaf in zip(ranges, leaves, strict=True) if leaf == 1])
    allowed = AddressSet.of(family, [r for r, leaf in zip(ranges, leaves, strict=True) if leaf])
    return (
        space.of_family(space.addresses(Field.SOURCE, wanted), family),
        space.of_family(space.addresses(Field.SOURCE, allowed), family),
    )


def network(cidr: str) -> tuple[int, int]:
    """The inclusive range of a CIDR without host bits."""
    parsed = ipaddress.ip_network(cidr)
    return int(parsed.network_address), int(parsed.broadcast_address)


def count(found: Sequence[Block]) -> int:
    return sum(1 + len(block.excepts) for block in found)


def assert_right(leaves: Sequence[Leaf], place: Place, space: PacketSpace) -> int:
    """Exact, disjoint, in order, excepts strictly inside; the number of entries."""
    family, length, base = place
    wanted, allowed = embedded(space, leaves, place)
    found = blocks(wanted, allowed, family)
    start, size = int(ipaddress.ip_address(base)), 1 << (ADDRESS_BITS[family] - length)
    width = size // len(leaves)
    covering = [0] * len(leaves)
    last_first = -1
    for block in found:
        low, high = network(block.cidr)
        assert low > last_first, "not in the order of addresses"
        last_first = low
        holes = [network(text) for text in block.excepts]
        assert all(low <= a and b <= high and (a, b) != (low, high) for a, b in holes)
        assert all(a[1] < b[0] for a, b in pairwise(holes)), "excepts overlap or are out of order"
        assert start <= low and high < start + size
        for cidr in ((low, high), *holes):
            assert (cidr[0] - start) % width == 0 == (cidr[1] + 1 - start) % width
        for n in range(len(leaves)):
            at = start + n * width
            covering[n] += low <= at <= high and not any(a <= at <= b for a, b in holes)
    assert max(covering, default=0) <= 1, "blocks overlap"
    assert all(leaf == 2 or leaf == covered for leaf, covered in zip(leaves, covering, strict=True))
    return count(found)


def shapes(bits: int) -> Iterator[tuple[Leaf, ...]]:
    """Every way to mark the leaves 0, 1 or 2, up to swapping the two halves of any prefix."""
    if bits == 0:
        yield from ((0,), (1,), (2,))
        return
    for left, right in combinations_with_replacement(list(shapes(bits - 1)), 2):
        yield left + right


def shuffled(leaves: tuple[Leaf, ...], chance: random.Random) -> tuple[Leaf, ...]:
    """The same shape with halves swapped at random, which changes no number of entries."""
    if len(leaves) == 1:
        return leaves
    half = len(leaves) // 2
    left, right = shuffled(leaves[:half], chance), shuffled(leaves[half:], chance)
    return right + left if chance.random() < 0.5 else left + right


def test_eight_addresses_marked_in_every_way() -> None:
    """All 3**8 of them, the eighths of the address space, against both references."""
    space = PacketSpace()
    for leaves in product((0, 1, 2), repeat=8):
        in_pairs = tuple(leaf for leaf in leaves for _ in (0, 1))
        found = assert_right(leaves, (4, 0, "0.0.0.0"), space)
        assert found == fewest_of(leaves) == fewest_between(*wanted_and_allowed(in_pairs))


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_sixteen_addresses_of_every_shape(place: Place) -> None:
    """All 26,796 shapes of wanted, unwanted and either, some at each place and none nowhere."""
    chance = random.Random(f"shapes {place}")
    space = PacketSpace()
    for number, shape in enumerate(shapes(4)):
        if number % 10 not in PLACES_OF[place]:
            continue
        leaves = shuffled(shape, chance)
        assert assert_right(leaves, place, space) == fewest_between(*wanted_and_allowed(leaves)), leaves


def test_the_two_references_agree() -> None:
    """On every set of sixteen addresses whose shape is its own, without and with addresses that go either way."""
    for shape in shapes(4):
        assert fewest_of(shape) == fewest_between(*wanted_and_allowed(shape))


def random_leaves(chance: random.Random, bits: int) -> list[Leaf]:
    """Clustered marks, as real rules make them: a run of CIDR-like strokes, one over another."""
    size = 1 << bits
    leaves = [chance.choice((0, 0, 1))] * size
    for _ in range(chance.randint(0, 24)):
        width = 1 << chance.choice((0, 0, 0, 1, 1, 2, 3, 4, 5, bits - 1))
        first = chance.randrange(0, size, width)
        leaves[first : first + width] = [chance.choice((0, 1, 1, 0, 2))] * width
    if chance.random() < 0.3:
        leaves = [leaf if chance.random() < 0.9 else chance.choice((0, 1, 2)) for leaf in leaves]
    return leaves


@pytest.mark.parametrize(
    "place", [(4, 24, "10.0.0.0"), (4, 0, "0.0.0.0"), (6, 120, "2001:db8::"), (6, 0, "::")]
)
def test_256_addresses_at_random(place: Place) -> None:
    chance = random.Random(f"addresses {place}")
    for _ in range(300):
        leaves = random_leaves(chance, 8)
        assert assert_right(leaves, place, PacketSpace()) == fewest_of(leaves)


@pytest.mark.parametrize(
    ("wanted", "either", "expected"),
    [
        (["172.17.0.0/16-172.17.1.0/24"], [], [Block("172.17.0.0/16", ("172.17.1.0/24",))]),
        (["0.0.0.0/0"], [], [Block("0.0.0.0/0")]),
        ([], ["10.0.0.0/8"], []),
        ([], [], []),
        # What cannot exist as a source is taken in where that is shorter.
        (["0.0.0.0/0-127.0.0.0/8"], ["127.0.0.0/8"], [Block("0.0.0.0/0")]),
        (["10.0.0.0/25"], ["10.0.0.128/25"], [Block("10.0.0.0/25")]),
        # As many entries either way: no exception.
        (["10.0.0.0/30-10.0.0.0/32"], [], [Block("10.0.0.1/32"), Block("10.0.0.2/31")]),
        # A hole with an island in it is a block of its own.
        (
            ["10.0.0.0/8-10.1.0.0/16", "10.1.2.0/24"],
            [],
            [Block("10.0.0.0/8", ("10.1.0.0/16",)), Block("10.1.2.0/24")],
        ),
    ],
)
def test_blocks_as_people_would_write_them(
    wanted: list[str], either: list[str], expected: list[Block]
) -> None:
    space = PacketSpace()

    def addresses(texts: list[str]) -> PacketSet:
        result = AddressSet.of(4, [])
        for text in texts:
            cidr, _, hole = text.partition("-")
            result |= AddressSet.cidrs(cidr) - (AddressSet.cidrs(hole) if hole else AddressSet.of(4, []))
        return space.of_family(space.addresses(Field.SOURCE, result), 4)

    assert blocks(addresses(wanted), addresses(wanted) | addresses(either), 4) == expected


# -- blocks in pieces ------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 3, 50])
def test_a_halved_block_is_the_same_addresses_with_few_exceptions_each(most: int) -> None:
    rng = random.Random(most)
    for _ in range(20):
        holes = {f"10.{rng.randrange(4)}.{rng.randrange(256)}.{rng.randrange(64) * 4}/30" for _ in range(120)}
        excepts = tuple(sorted(holes, key=ipaddress.ip_network))
        parts = halved(Block("10.0.0.0/14", excepts), lambda part: len(part.excepts) <= most)
        assert all(len(part.excepts) <= most for part in parts)
        left = AddressSet.of(4, [])
        for part in parts:
            own = AddressSet.cidrs(part.cidr)
            own = own - AddressSet.cidrs(*part.excepts) if part.excepts else own
            assert not left & own
            left |= own
        assert left == AddressSet.cidrs("10.0.0.0/14") - AddressSet.cidrs(*excepts)


def test_all_addresses_are_two_halves_where_a_target_reads_them_as_less() -> None:
    assert without_wildcard(Block("::/0")) == [Block("::/1"), Block("8000::/1")]
    assert without_wildcard(Block("0.0.0.0/0", ("0.0.0.0/1", "200.0.0.0/8"))) == [Block("128.0.0.0/1", ("200.0.0.0/8",))]
    assert without_wildcard(Block("10.0.0.0/8", ("10.1.0.0/16",))) == [Block("10.0.0.0/8", ("10.1.0.0/16",))]


def test_layers_keep_exceptions_from_the_blocks_inside_them() -> None:
    found = [
        Block("10.0.0.0/8", ("10.1.0.0/16", "10.2.0.0/16")), Block("10.1.0.0/24"), Block("10.2.3.0/24", ("10.2.3.128/25",)),
        Block("10.2.3.192/26"), Block("192.168.0.0/16"),
    ]  # fmt: skip
    assert layers(found) == [[found[0], found[4]], [found[1], found[2]], [found[3]]]
