"""The file of accepted differences and findings: what is read, what is refused and where, what is written."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipt2np.errors import InputError, UsageError
from ipt2np.review.signoff import LONGEST, SignOff, SignOffs, parse_signoffs, shortened, signed, written

D, E = "0123456789abcdef", "fedcba9876543210"
ENTRY = f"accepted:\n- digest: {D}\n  reason: gone\n  author: ops\n"
DAY = datetime.date(2027, 1, 31)


def place(text: str | bytes) -> tuple[int, str]:
    """Line and message of the first fault."""
    with pytest.raises(InputError) as error:
        parse_signoffs(text if isinstance(text, bytes) else text.encode(), "accepted.yaml")
    problem = error.value.problems[0]
    assert problem.location.file == "accepted.yaml"
    return problem.location.line, problem.message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("accepted: 7\n", 1), ("- x\n", 1), ("x\n", 1), ("accepted: 'null'\n", 1), ("accepted: []\nmore: 1\n", 1),
        ("accepted: []\n---\naccepted: []\n", 2), ("accepted:\n- 7\n", 2), ("accepted:\n\t- x\n", 2),
        ("accepted: &a [*a, *a]\n", 1), ("&a accepted: [*a]\n", 1), ("? [a]\n: []\n", 1),
        ("accepted:\n- ? {a: b}\n  : x\n", 2), (ENTRY + "  more: x\n", 5), (ENTRY + f"  digest: {E}\n", 5),
        (ENTRY + "  expires: 2027-02-30\n", 2), (ENTRY + "  expires: 2027-01-31 10:00:00\n", 2),
        (ENTRY + "  expires: [2027-01-31]\n", 5), (ENTRY.replace("gone", "null"), 2), (ENTRY.replace("ops", "' '"), 2),
        (ENTRY.replace(D, D.upper()), 2), (ENTRY.replace(D, D[:-1]), 2), (ENTRY.replace("gone", "x" * 2001), 3),
        (ENTRY.replace("gone", "[a]"), 3), ("accepted:\n- <<: {reason: x}\n", 2), ("accepted: [\n", 2),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line(text: str, line: int) -> None:
    assert place(text)[0] == line, place(text)


def test_bytes_that_are_no_text_are_told_with_their_line() -> None:
    assert place(ENTRY.encode() + b"  what: \xff\n") == (5, "is no UTF-8")
    assert place("accepted: []\n".encode("utf-16")) == (1, "is no UTF-8")


@pytest.mark.parametrize("deep", ["[" * 100_000, "{a: " * 50_000, "[" * 500 + "]" * 500, "- " * 5000 + "x"])
def test_what_nests_without_end_is_refused(deep: str) -> None:
    assert "deeper" in place(f"accepted: {deep}\n" if deep[0] != "-" else deep)[1]


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "accepted:\n", "accepted: ~\n", "accepted: []\n", "\ufeffaccepted: []\n"]
)
def test_a_file_may_accept_nothing(text: str) -> None:
    assert parse_signoffs(text.encode(), "f") == ()


def test_anchors_are_followed_no_further_than_they_stand() -> None:
    layers = "".join(f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]\n" for n in range(1, 60))
    assert place(f"x0: &x0 [a]\n{layers}accepted: *x59\n")[0] == 1


def test_an_entry_counts_to_the_end_of_its_last_day() -> None:
    entry = SignOff(D, "gone", "ops", DAY)
    for days, counts in ((-1, True), (0, True), (1, False)):
        today = DAY + datetime.timedelta(days=days)
        found = SignOffs.of([entry], today)
        assert (D in found.valid, D in found.expired) == (counts, not counts)
        assert [each.code for each in found.about([D])] == ([] if counts else ["N2P508"])
        assert [each.code for each in found.about([])] == ["N2P507"]


def test_of_several_entries_for_one_digest_the_longest_counts() -> None:
    short, long, ever = (SignOff(D, "r", str(day), day) for day in (DAY, DAY.replace(year=2028), None))
    for entries in ((short, long), (long, short)):
        assert SignOffs.of(entries, DAY).valid == {D: long}
        assert SignOffs.of(entries, DAY.replace(year=2028)).expired == {}
    for entries in ((ever, long), (long, ever)):
        assert SignOffs.of(entries, DAY).valid == {D: ever}


def test_what_is_written_is_in_the_order_of_digests_and_the_same_each_time() -> None:
    entries = [SignOff(E, "b", "x", DAY, "what"), SignOff(D, "a", "y")]
    text = written(entries)
    assert text == written(entries[::-1]) == written(parse_signoffs(text.encode(), "f"))
    assert text.index(D) < text.index(E)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60), st.none() | st.dates())
def test_any_text_comes_back_from_the_file(
    reason: str, author: str, what: str, day: datetime.date | None
) -> None:
    entry = signed(reason + "x", "x" + author, day)
    entry = SignOff(D, entry.reason, entry.author, day, shortened(what).strip())
    (found,) = parse_signoffs(written([entry]).encode(), "f")
    assert (found.reason, found.author, found.what, found.expires) == (
        *(each.strip() for each in (entry.reason, entry.author, entry.what)), day,
    )  # fmt: skip


def test_what_is_too_long_is_cut_or_refused() -> None:
    assert len(shortened("x" * 5000)) == LONGEST
    with pytest.raises(UsageError):
        signed("x" * (LONGEST + 1), "ops", None)
