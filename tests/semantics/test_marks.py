"""Packet marks and connection marks, from the rules that set them to the rules that test them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipt2np import decide, parse_ruleset
from ipt2np.rules.marks import FULL, Bits, Marks
from ipt2np.rules.model import TargetUse
from ipt2np.semantics import states
from tests.dumps import decided, dump, fate_of, only_rule, parsed, table

ANY = "203.0.113.7"


def judged(*rules: str, mangle: tuple[str, ...] = (), policy: str = "DROP", first: str = "") -> str:
    """What becomes of a TCP connection to port 80."""
    text = dump(
        *(f"-A INPUT {rule}" for rule in rules), policy=policy, before=first + table("mangle", *mangle)
    )
    return fate_of(decided(text), ANY, "tcp", 80)


def test_a_fresh_packet_and_its_connection_are_marked_zero() -> None:
    assert judged("-m mark --mark 0 -j ACCEPT") == "accept"
    assert judged("-m mark --mark 1 -j ACCEPT") == "refuse"
    assert judged("-m connmark --mark 0 -j ACCEPT") == "accept"
    assert judged("-m connmark --mark 0x10/0x10 -j ACCEPT") == "refuse"


def test_a_mark_set_in_mangle_is_tested_in_filter() -> None:
    mark = "-A PREROUTING -p tcp --dport 80 -j MARK --set-mark 5"
    assert judged("-m mark --mark 5 -j ACCEPT", mangle=(mark,)) == "accept"
    assert judged("-m mark --mark 4/4 -j ACCEPT", mangle=(mark,)) == "accept"
    assert judged("-m mark ! --mark 5 -j ACCEPT", mangle=(mark,)) == "refuse"


def test_a_mask_leaves_the_other_bits() -> None:
    rules = ("-A INPUT -j MARK --set-mark 3", "-A INPUT -j MARK --set-xmark 0x4/0x1")
    assert judged("-m mark --mark 6 -j ACCEPT", mangle=rules) == "accept"


def test_a_mark_that_only_some_packets_get() -> None:
    mark = "-A PREROUTING -s 203.0.113.0/24 -j MARK --set-mark 1"
    text = dump("-A INPUT -m mark --mark 1 -j ACCEPT", before=table("mangle", mark))
    assert fate_of(decided(text), ANY, "tcp", 80) == "accept"
    assert fate_of(decided(text), "198.51.100.1", "tcp", 80) == "refuse"


def test_later_packets_find_the_connection_mark_that_the_first_one_left() -> None:
    keep = "-A INPUT -m conntrack --ctstate NEW -j CONNMARK --set-mark 7"
    only = ("-m conntrack --ctstate NEW -j ACCEPT", "-m connmark --mark 7 -j ACCEPT")
    assert judged(*only, mangle=(keep,)) == "accept"
    assert judged(*only) == "refuse"


def test_a_connection_mark_is_saved_and_restored() -> None:
    mangle = (
        "-A PREROUTING -j CONNMARK --restore-mark",
        "-A PREROUTING -m mark ! --mark 0 -j ACCEPT",
        "-A PREROUTING -p tcp --dport 80 -j MARK --set-mark 2",
        "-A PREROUTING -j CONNMARK --save-mark",
    )
    assert judged("-m mark --mark 2 -j ACCEPT", mangle=mangle) == "accept"


def test_later_packets_that_change_the_mark_leave_it_open_for_those_behind_them() -> None:
    mangle = ("-A INPUT -m conntrack --ctstate ESTABLISHED -j CONNMARK --set-mark 9",)
    assert judged("-m connmark --mark 9 -j DROP", "-j ACCEPT", mangle=mangle) == "refuse"
    before = ("-A PREROUTING -m connmark --mark 9 -j DROP", *mangle)
    assert judged("-j ACCEPT", mangle=before) == "undecided"


def test_answers_may_change_the_mark_on_their_way_out() -> None:
    mangle = ("-A INPUT -j CONNMARK --set-xmark 0x1/0x1", "-A OUTPUT -j CONNMARK --set-xmark 0x2/0x2")
    assert judged("-m connmark --mark 0x1/0x1 -j ACCEPT", mangle=mangle) == "accept"
    # The first packet is judged before an answer, the later ones behind it.
    assert judged("-m connmark ! --mark 0x2/0x2 -j ACCEPT", mangle=mangle) == "undecided"


def test_an_untracked_packet_has_no_connection_to_mark() -> None:
    raw = table("raw", "-A PREROUTING -j NOTRACK")
    mangle = ("-A INPUT -j CONNMARK --set-mark 1", "-A INPUT -j MARK --set-mark 1")
    assert judged("-m connmark --mark 1 -j ACCEPT", mangle=mangle, first=raw) == "refuse"
    assert judged("-m connmark ! --mark 1 -j ACCEPT", mangle=mangle, first=raw) == "refuse"
    assert judged("-m mark --mark 1 -j ACCEPT", mangle=mangle, first=raw) == "accept"


def test_what_an_unknown_target_does_to_marks_is_open() -> None:
    assert judged("-m mark --mark 1 -j ACCEPT", mangle=("-A INPUT -p tcp -j FROB --x",)) == "undecided"


def test_beyond_the_bound_of_states_marks_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    mangle = tuple(
        f"-A INPUT -s 10.0.{bit}.0/24 -j MARK --set-xmark {1 << bit:#x}/{1 << bit:#x}" for bit in range(4)
    )
    tests = [f"-m mark --mark {1 << bit:#x}/{1 << bit:#x} -j DROP" for bit in range(4)]
    text = dump(*(f"-A INPUT {rule}" for rule in (*tests, "-j ACCEPT")), before=table("mangle", *mangle))
    assert fate_of(decided(text), "10.0.3.1", "tcp", 80) == "refuse"
    monkeypatch.setattr(states, "MOST_MARKS", 3)
    assert fate_of(decided(text), "10.0.3.1", "tcp", 80) == "undecided"


def test_marks_of_another_ruleset_are_not_known_here() -> None:
    own = parsed(dump("-A INPUT -m mark --mark 1 -j DROP", "-A INPUT -j ACCEPT"))
    text = dump(policy="ACCEPT", before=table("mangle", "-A INPUT -j MARK --set-mark 1"))
    other = parse_ruleset(text.encode(), "other", family=4, first_number=100)
    assert fate_of(decide([own]), ANY, "tcp", 80) == "accept"
    assert fate_of(decide([own], also=[other]), ANY, "tcp", 80) == "undecided"


_MARK = st.integers(0, FULL)


@given(_MARK, _MARK, _MARK, _MARK)
def test_known_bits_are_right_and_unknown_ones_may_be_anything(
    packet: int, connection: int, hidden: int, noise: int
) -> None:
    """Whatever the unknown bits are, the known bits of the result are those of the real result."""
    for words in (
        "MARK --set-xmark 0x5/0xf",
        "MARK --xor-mark 0xff",
        "CONNMARK --set-xmark 0x30/0xf0 --left-shift-mark 4",
        "CONNMARK --save-mark --nfmask 0xffff --ctmask 0xff00",
        "CONNMARK --restore-mark --nfmask 0xf0 --ctmask 0xff --right-shift-mark 2",
        "CONNMARK --save-mark --left-shift-mark 7",
    ):
        target = only_rule(f"-A INPUT -j {words}").target
        assert isinstance(target, TargetUse)

        def after(packet: int, connection: int, known: int, use: TargetUse = target) -> Marks:
            marks = Marks(Bits(packet & known, known), Bits(connection & known, known))
            return use.extension.remarked(use.clauses, marks)

        vague = after(packet, connection, FULL ^ hidden)
        real = after(packet ^ noise & hidden, connection ^ noise & hidden, FULL)
        for mine, true in ((vague.packet, real.packet), (vague.connection, real.connection)):
            assert true.known == FULL
            assert mine.value == true.value & mine.known


def test_a_match_that_restores_the_mark_of_a_socket_leaves_every_mark_open() -> None:
    restore = "-A PREROUTING -p tcp -m socket --transparent --restore-skmark"
    mangle = (restore, "-A PREROUTING -j CONNMARK --save-mark")
    for mark in ("-m mark --mark 0", "-m mark --mark 1", "-m connmark --mark 1"):
        assert judged(f"{mark} -j ACCEPT", mangle=mangle) == "undecided"
    assert (
        judged("-m mark --mark 0 -j ACCEPT", mangle=(restore.replace(" --restore-skmark", ""),)) == "accept"
    )
