"""Ranges of integers, against Python sets of the integers themselves."""

from __future__ import annotations

import ipaddress
from itertools import pairwise, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt2np.packets import AddressSet, PortSet
from ipt2np.packets.intervals import ADDRESS_BITS, Range, complement, merged, prefixes

LAST = 40
RANGES = st.lists(
    st.tuples(st.integers(0, LAST), st.integers(0, LAST)).map(lambda pair: (min(pair), max(pair))), max_size=8
)
EXAMPLES = settings(max_examples=300, derandomize=True, deadline=None)

LAST_ADDRESS = {family: (1 << bits) - 1 for family, bits in ADDRESS_BITS.items()}
CLOSE_TO_THE_ENDS = st.one_of(st.integers(0, 60), st.integers(1 << 20, (1 << 20) + 60))


def numbers(ranges: tuple[Range, ...] | list[Range]) -> set[int]:
    return {n for low, high in ranges for n in range(low, high + 1)}


def is_canonical(ranges: tuple[Range, ...]) -> bool:
    """Each range in order, and room between it and the next."""
    return all(low <= high for low, high in ranges) and all(a[1] + 1 < b[0] for a, b in pairwise(ranges))


@EXAMPLES
@given(RANGES)
def test_merging_keeps_every_number_and_is_canonical(ranges: list[Range]) -> None:
    assert numbers(merged(ranges)) == numbers(ranges)
    assert is_canonical(merged(ranges))


@EXAMPLES
@given(RANGES, st.randoms(use_true_random=False))
def test_the_order_and_the_cuts_of_ranges_do_not_matter(ranges: list[Range], random: object) -> None:
    singles = [(n, n) for n in numbers(ranges)]
    random.shuffle(singles)  # type: ignore[attr-defined]
    assert merged(singles) == merged(ranges) == merged(reversed(merged(ranges)))


@EXAMPLES
@given(RANGES)
def test_the_complement_is_what_is_left(ranges: list[Range]) -> None:
    rest = complement(merged(ranges), LAST)
    assert numbers(rest) == set(range(LAST + 1)) - numbers(ranges)
    assert is_canonical(rest)
    assert complement(rest, LAST) == merged(ranges)


@EXAMPLES
@given(RANGES, RANGES)
def test_port_sets_are_sets_of_ports(a: list[Range], b: list[Range]) -> None:
    left, right = PortSet.of(a), PortSet.of(b)
    for got, expected in (
        (left | right, numbers(a) | numbers(b)),
        (left & right, numbers(a) & numbers(b)),
        (left - right, numbers(a) - numbers(b)),
    ):
        assert numbers(got.ranges) == expected
        assert is_canonical(got.ranges)
        assert bool(got) == bool(expected)
    assert (left <= right) == (numbers(a) <= numbers(b))
    assert (left == right) == (numbers(a) == numbers(b))
    assert {n for n in range(LAST + 2) if n in left} == numbers(a)


@EXAMPLES
@given(RANGES, RANGES, RANGES)
def test_the_laws_of_sets_hold_for_ports(a: list[Range], b: list[Range], c: list[Range]) -> None:
    x, y, z = PortSet.of(a), PortSet.of(b), PortSet.of(c)
    assert ~(x | y) == ~x & ~y
    assert ~(x & y) == ~x | ~y
    assert ~~x == x
    assert x | (x & y) == x == x & (x | y)
    assert x & (y | z) == (x & y) | (x & z)
    assert x | (y & z) == (x | y) & (x | z)
    assert x | ~x == PortSet.everything()
    assert not x & ~x


@pytest.mark.parametrize(
    ("ranges", "text"),
    [
        ([(0, 65535)], "any"),
        ([(1, 65535)], "any"),
        ([(2, 65535)], "2-65535"),
        ([(22, 22)], "22"),
        ([(8000, 8080), (22, 22), (23, 23)], "22-23,8000-8080"),
        ([], ""),
    ],
)
def test_ports_read_as_people_write_them(ranges: list[Range], text: str) -> None:
    assert str(PortSet.of(ranges)) == text


@EXAMPLES
@given(st.sampled_from((4, 6)), RANGES, RANGES, st.booleans())
def test_address_sets_are_sets_of_addresses(family: int, a: list[Range], b: list[Range], high: bool) -> None:
    shift = LAST_ADDRESS[family] - LAST if high else 0
    left = AddressSet.of(family, [(x + shift, y + shift) for x, y in a])
    right = AddressSet.of(family, [(x + shift, y + shift) for x, y in b])
    for got, expected in (
        (left | right, numbers(a) | numbers(b)),
        (left & right, numbers(a) & numbers(b)),
        (left - right, numbers(a) - numbers(b)),
    ):
        assert {n - shift for n in numbers(got.ranges)} == expected
        assert is_canonical(got.ranges)
    assert (left <= right) == (numbers(a) <= numbers(b))
    assert ~~left == left
    assert left | ~left == AddressSet.everything(family)
    assert not left & ~left
    assert ~(left | right) == ~left & ~right
    assert {n for n in range(LAST + 1) if n + shift in left} == numbers(a)


def test_families_do_not_mix() -> None:
    four, six = AddressSet.everything(4), AddressSet.everything(6)
    for mix in (lambda: four | six, lambda: four & six, lambda: four - six, lambda: four <= six):
        with pytest.raises(ValueError, match="different families"):
            mix()
    with pytest.raises(ValueError, match="one family"):
        AddressSet.cidrs("10.0.0.0/8", "2001:db8::/32")
    with pytest.raises(ValueError, match="one family"):
        AddressSet.cidrs()


def test_host_bits_of_a_cidr_are_ignored() -> None:
    assert (
        AddressSet.cidrs("10.1.2.3/8")
        == AddressSet.cidrs("10.0.0.0/8")
        == AddressSet.cidrs("10.0.0.0/9", "10.128.0.0/9")
    )


SMALL_BITS = 5


@pytest.fixture(scope="module")
def fewest() -> dict[Range, int]:
    """For each range of 5-bit numbers, the fewest aligned blocks whose union it is: a shortest path over its ends."""
    size = 1 << SMALL_BITS
    result: dict[Range, int] = {}
    for low in range(size):
        steps = {low: 0}
        for start in range(low, size):
            for width in (1 << k for k in range(SMALL_BITS + 1)):
                if start % width == 0 and start + width <= size and start in steps:
                    end = start + width
                    steps[end] = min(steps.get(end, size), steps[start] + 1)
        result |= {(low, end - 1): count for end, count in steps.items() if end > low}
    return result


def test_prefixes_are_exact_aligned_and_fewest(fewest: dict[Range, int]) -> None:
    size = 1 << SMALL_BITS
    for low, high in product(range(size), repeat=2):
        if low > high:
            assert list(prefixes(low, high, SMALL_BITS)) == []
            continue
        found = list(prefixes(low, high, SMALL_BITS))
        blocks = [(network, network + (1 << (SMALL_BITS - length)) - 1) for network, length in found]
        assert all(
            0 <= length <= SMALL_BITS and network % (1 << (SMALL_BITS - length)) == 0
            for network, length in found
        )
        assert [n for a, b in blocks for n in range(a, b + 1)] == list(range(low, high + 1))
        assert len(found) == fewest[low, high]


@EXAMPLES
@given(
    st.sampled_from((4, 6)),
    st.lists(st.tuples(CLOSE_TO_THE_ENDS, CLOSE_TO_THE_ENDS, st.booleans()), max_size=6),
)
def test_plain_cidrs_are_those_of_the_standard_library(
    family: int, drawn: list[tuple[int, int, bool]]
) -> None:
    last = LAST_ADDRESS[family]
    ranges = [(min(a, b), max(a, b)) for a, b, _ in drawn]
    ranges = [
        (last - b, last - a) if high else (a, b) for (a, b), (_, _, high) in zip(ranges, drawn, strict=True)
    ]
    addresses = AddressSet.of(family, ranges)
    make = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
    networks = [n for a, b in ranges for n in ipaddress.summarize_address_range(make(a), make(b))]
    expected = [str(network) for network in ipaddress.collapse_addresses(networks)]  # type: ignore[type-var]
    assert addresses.to_cidrs() == expected
    if expected:
        assert AddressSet.cidrs(*expected) == addresses


@pytest.mark.parametrize(("family", "cidr"), [(4, "0.0.0.0/0"), (6, "::/0")])
def test_all_addresses_are_one_cidr(family: int, cidr: str) -> None:
    assert AddressSet.everything(family).to_cidrs() == [cidr]
    assert AddressSet.cidrs(cidr) == AddressSet.everything(family)
    assert AddressSet.of(family, []).to_cidrs() == []


def test_a_gap_that_holds_no_possible_address_is_bridged() -> None:
    refused = AddressSet.cidrs("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32")
    everyone = AddressSet.everything(4) - refused
    assert everyone.bridged(refused) == AddressSet.everything(4)
    without_ten = everyone - AddressSet.cidrs("10.0.0.0/8")
    assert ~without_ten.bridged(refused) == AddressSet.cidrs("10.0.0.0/8")


def test_addresses_beside_a_gap_do_not_grow_into_it() -> None:
    refused = AddressSet.cidrs("127.0.0.0/8")
    assert AddressSet.cidrs("126.0.0.0/8").bridged(refused) == AddressSet.cidrs("126.0.0.0/8")
    assert AddressSet(4).bridged(refused) == AddressSet(4)
