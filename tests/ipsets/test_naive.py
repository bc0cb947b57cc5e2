"""Every type of set, every direction, both families: packets one at a time against sets of packets."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipt2np import Assumptions, Half, PacketSpace
from ipt2np.rules.interfaces import Interfaces
from ipt2np.rules.marks import UNKNOWN_MARKS, Bits, Marks
from ipt2np.rules.meaning import Hook, Meaning, View
from ipt2np.rules.membership import Search, found_in
from ipt2np.syntax.ipset import parse_ipsets
from tests.kernel.membership import Members, word
from tests.kernel.probe import Probe

from .naive import OPEN, YES, NaiveSet, Seen, found
from .strategies import TYPES, dumps, lists, probes, searches

_WAYS = {
    4: (("10.0.0.1", "eth0"), ("10.1.0.1", "eth1"), ("10.0.0.66", "eth1")),
    6: (("fd00::1", "eth0"), ("fd00:1::1", "eth1"), ("fd00::1", "eth1")),
}
EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def view(text: str, family: int, mark: int | None = None) -> View:
    sets = parse_ipsets(text.encode(), "sets")
    names = Interfaces.of(["eth0", "eth1", *(name for each in sets.values() for name in each.interfaces)])
    return View(
        PacketSpace(),
        family,
        Half.FIRST,
        Hook.AFTER_CONNTRACK,
        True,
        Assumptions(),
        names,
        sets,
        marks=UNKNOWN_MARKS if mark is None else Marks(Bits(mark)),
    )


PROBES = {family: probes(family, _WAYS[family]) for family in (4, 6)}
WORDS = {family: [word(probe) for probe in PROBES[family]] for family in (4, 6)}


def check(
    meaning: Meaning, looked: View, sets: dict[str, NaiveSet], name: str, search: Search, text: str
) -> None:
    """Every probe's membership lies between the bounds, and on both where nothing is open."""
    family, doubtful = looked.family, False
    members = Members(PROBES[family], WORDS[family], looked.interfaces)
    exact = meaning.exact
    for probe, may, must in zip(
        PROBES[family], members.of(meaning.may), members.of(meaning.must), strict=True
    ):
        truth = found(
            sets,
            name,
            Seen.of(probe, None if looked.marks == UNKNOWN_MARKS else looked.marks.packet.value),
            search.directions,
            search.holes,
        )
        assert may or True not in truth, (probe, "cannot be in the set", truth)
        assert truth == YES or not must, (probe, "must be in the set", truth)
        assert truth == OPEN or not exact or may == (truth == YES), (probe, truth)
        doubtful |= truth == OPEN
    assert not (doubtful and exact)
    open_parts = any(each.masked or part in ("mac", "mark") for each in sets.values() for part in each.parts)
    needless = not (exact or doubtful or open_parts)
    assert not needless or "wildcard" in text, "nothing is open, and yet it is left open"
    assert meaning.must <= meaning.may
    assert exact or meaning.undecided


@pytest.mark.parametrize("kind", TYPES)
def test_a_set_means_what_one_packet_after_the_other_finds(kind: str) -> None:
    @EXAMPLES
    @given(st.data())
    def every(data: st.DataObject) -> None:
        dump = data.draw(dumps([kind]))
        directions = data.draw(searches(len(dump.naive.parts)))
        holes = data.draw(st.booleans())
        mark = data.draw(st.sampled_from((None, 0, 1, 0x102))) if kind == "hash:ip,mark" else None
        looked = view(dump.text, dump.family, mark)
        search = Search(directions, holes)
        meaning = found_in(looked.ipsets["s"], looked, search)
        check(meaning, looked, {"s": dump.naive}, "s", search, dump.text)

    every()


@settings(EXAMPLES, max_examples=150)
@given(st.data())
def test_a_list_means_what_its_members_mean(data: st.DataObject) -> None:
    listed = data.draw(lists())
    for family in (4, 6):
        looked = view(listed.text, family)
        search = Search(data.draw(searches(2)), data.draw(st.booleans()))
        meaning = found_in(looked.ipsets["s"], looked, search)
        check(meaning, looked, listed.naive, "s", search, listed.text)


@pytest.mark.parametrize(
    ("known", "may", "must"),
    [
        (Bits(1), True, True),
        (Bits(2), False, False),
        (Bits(0x101), True, True),
        (Bits(0, 0), True, False),
        (Bits(0, 0xF0), True, False),
        (Bits(2, 2), False, False),
        (Bits(1, 0xFF), True, True),
    ],
)
def test_of_a_mark_the_bits_that_are_known_decide(known: Bits, may: bool, must: bool) -> None:
    looked = replace(
        view("create s hash:ip,mark markmask 0xff\nadd s 10.0.0.2,0x1\n", 4), marks=Marks(known, Bits(0))
    )
    meaning = found_in(looked.ipsets["s"], looked, Search(("src", "src")))
    probe = Probe(4, "10.0.0.2", "10.0.0.1", 6, 40000, 22)
    members = Members([probe], [word(probe)], looked.interfaces)
    assert (members.of(meaning.may), members.of(meaning.must)) == ([may], [must])
    assert meaning.exact or meaning.undecided == ("the ipset s: the packet's mark",)


@pytest.mark.parametrize(("mask", "direction", "exact"), [
    ("0.0.0.255", "src", False),
    ("0.0.0.255", "dst", True),
    ("255.255.0.255", "src", True),
])  # fmt: skip
def test_sources_that_no_list_of_networks_can_hold_are_undecided(
    mask: str, direction: str, exact: bool
) -> None:
    looked = view(f"create s hash:ip bitmask {mask}\nadd s 0.0.0.5\n", 4)
    meaning = found_in(looked.ipsets["s"], looked, Search((direction,)))
    assert meaning.exact is exact
    assert exact or "its bitmask picks sources" in meaning.undecided[0]
