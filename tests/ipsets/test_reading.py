"""The short ways for the lines that dumps are full of: what they read, the grammar and the long ways read alike."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipt2np import InputError, Location
from ipt2np.rules.ipset import Batch
from ipt2np.syntax.ipset import parse_ipsets
from ipt2np.syntax.ipsetbuild import created, entry_flags, quick_flags
from ipt2np.syntax.ipsetlines import option_words, plain_add, read_set_line
from ipt2np.syntax.verbs import LineFault, Word

from .strategies import TYPES, Dump, dumps

EXAMPLES = settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)

_WORDS = (
    "add", "create", "s", "t", "-exist", "-!", "--exist", "ipset", "10.0.0.1", "10.0.0.0/24", "fd00::1", "hash:ip",
    "hash:net,iface", "timeout", "5", "nomatch", "wildcard", "comment", '"two words"', '"', '""', 'a"b c"d', "\\", "#",
    "COMMIT", "quit", "flush", "swap", "destroy", "-N", "-A", "del", "--", "-", "\u00a0", "\u2028", "\x85", "ä",
)  # fmt: skip
_GAPS = (" ", " ", " ", " ", "  ", "\t", "\r", "\f", "", " \v")
LINES = st.lists(st.tuples(st.sampled_from(_WORDS), st.sampled_from(_GAPS)), max_size=8).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
ADDS = st.tuples(
    st.sampled_from(("add ", "add  ", " add ", "-A ", "add\t")),
    st.lists(st.sampled_from(_WORDS), min_size=1, max_size=7).map(" ".join),
    st.sampled_from(("", "\r", " ", "\r\r")),
).map("".join)


@EXAMPLES
@given(LINES | ADDS | st.text(max_size=30))
def test_what_the_short_way_reads_the_grammar_reads_alike(line: str) -> None:
    quick = plain_add(line)
    if quick is None:
        return
    name, element, rest = quick
    slow = read_set_line(line.rstrip("\r"))
    assert slow is not None and (slow.command, slow.exist) == ("add", False)
    assert [word.text for word in slow.words] == [name, element, *option_words(rest)]


@pytest.mark.parametrize(
    "line",
    [
        "add s 10.0.0.1",
        "add s 10.0.0.1 timeout 5\r",
        'add s 10.0.0.0/24 timeout 0 packets 1 bytes 2 comment "a b" nomatch',
        'add s 10.0.0.1,tcp:80 comment "-exist"',
    ],
)
def test_the_lines_that_dumps_are_full_of_take_the_short_way(line: str) -> None:
    assert plain_add(line) is not None


_OPTION_WORDS = (
    "timeout", "0", "1", "00", "9999999", "nomatch", "wildcard", "comment", '"x y"', "packets", "before", "s", "+1",
)  # fmt: skip
_RANGES = {"bitmap:ip": "range 10.0.0.0/24", "bitmap:ip,mac": "range 10.0.0.0/24", "bitmap:port": "range 1-9"}


def words_of(text: str) -> list[Word]:
    return [Word(each, 1, 1, "word") for each in text.split()]


@EXAMPLES
@given(st.sampled_from(TYPES), st.booleans(), st.lists(st.sampled_from(_OPTION_WORDS), max_size=6))
def test_what_the_short_way_says_of_options_the_long_one_says_too(
    kind: str, timeout: bool, words: list[str]
) -> None:
    name, type_word = words_of(f"s {kind}")
    options = words_of(_RANGES.get(kind, "") + (" timeout 7" if timeout else ""))
    target = created(name, type_word, options, Location("sets", 1, 1))
    rest = "".join(f" {word}" for word in words)
    quick = quick_flags(target, rest)
    if quick is not None:
        assert quick == entry_flags(target, [Word(text, 1, 1, "word") for text in option_words(rest)])


@EXAMPLES
@given(dumps())
def test_a_dump_means_the_same_with_and_without_the_short_ways(dump: Dump) -> None:
    spaced = dump.text.replace("add s ", "add  s ")
    assert all(plain_add(line) is None for line in spaced.splitlines())
    one, two = (parse_ipsets(text.encode(), "sets")["s"] for text in (dump.text, spaced))
    assert [_plain(batch) for batch in one.batches] == [_plain(batch) for batch in two.batches]


def _plain(batch: Batch) -> object:
    columns = [list(each) for each in (*batch.addresses, batch.services, batch.names, batch.marks)]
    return columns, batch.count, batch.prefix, batch.nomatch, batch.transient, batch.certain


def test_a_fault_of_a_line_keeps_its_place_behind_the_short_way() -> None:
    with pytest.raises(InputError) as caught:
        parse_ipsets(b"create s hash:ip,port\nadd s 10.0.0.1,udp:x timeout 5\n", "sets")
    assert caught.value.problems[0].location.column == 16


def test_a_fault_of_the_grammar_is_a_fault_of_the_line() -> None:
    with pytest.raises(LineFault):
        read_set_line('add s "')
