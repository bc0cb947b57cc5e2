"""Bytes to text: whatever an editor or a terminal made of them."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipt2np import InputError, parse_ruleset
from ipt2np.rules.canonical import ruleset_text
from ipt2np.syntax.encoding import decode, decoded
from tests.dumps import chains_said, dump, parsed

TEXT = dump('-A INPUT -s 10.0.0.1/32 -m comment --comment "café" -j ACCEPT')


@pytest.mark.parametrize(("codec", "mark", "odd"), [
    ("utf-8", b"", False),
    ("utf-8", b"\xef\xbb\xbf", True),
    ("utf-16-le", b"\xff\xfe", True),
    ("utf-16-be", b"\xfe\xff", True),
    ("utf-16-le", b"", True),
    ("utf-16-be", b"", True),
    ("utf-32-le", b"\xff\xfe\0\0", True),
    ("utf-32-be", b"\0\0\xfe\xff", True),
])  # fmt: skip
def test_the_encoding_does_not_change_what_a_file_says(codec: str, mark: bytes, odd: bool) -> None:
    data = mark + TEXT.encode(codec)
    assert decode(data, "f") == TEXT
    assert bool(decoded(data, "f").oddity) == odd
    ruleset = parse_ruleset(data, "f", family=4)
    assert chains_said(ruleset) == chains_said(parsed(TEXT))
    assert [note.kind for note in ruleset.notes] == (["lenient"] if odd else [])


@pytest.mark.parametrize(
    "comment", [b"caf\xe9", b"\x80\xff", b"na\xc3\xafve \xc3", b"\xed\xa0\x80", "né".encode("cp1252")]
)
def test_bytes_of_another_encoding_stop_nobody_and_are_printed_back(comment: bytes) -> None:
    data = (
        dump('-A INPUT -s 10.0.0.1/32 -m comment --comment "X Y" -j ACCEPT')
        .encode()
        .replace(b"X Y", b"X " + comment)
    )
    ruleset = parse_ruleset(data, "f")
    assert ruleset.notes == ()
    assert ruleset_text(ruleset).encode("utf-8", "surrogateescape") == data


def test_a_comment_is_cut_at_the_255_bytes_that_the_kernel_keeps() -> None:
    data = dump('-A INPUT -m comment --comment "X"').encode().replace(b"X", b"\xe9" * 300)
    assert ruleset_text(parse_ruleset(data, "f")).encode("utf-8", "surrogateescape").count(b"\xe9") == 255


@pytest.mark.parametrize(("data", "name"), [
    (gzip.compress(TEXT.encode()), "gzip"),
    (bz2.compress(TEXT.encode()), "bzip2"),
    (lzma.compress(TEXT.encode()), "xz"),
    (b"\x28\xb5\x2f\xfd" + bytes(20), "Zstandard"),
])  # fmt: skip
def test_a_compressed_file_is_named_as_such(data: bytes, name: str) -> None:
    with pytest.raises(InputError, match=name) as caught:
        parse_ruleset(data, "rules.gz")
    assert "cat FILE | ipt2np convert -" in caught.value.problems[0].expected


def test_a_zip_archive_is_named_as_such() -> None:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("rules.v4", TEXT)
    with pytest.raises(InputError, match="ZIP"):
        parse_ruleset(stream.getvalue(), "rules.zip")


@given(st.binary())
def test_any_bytes_are_text_or_an_input_error_and_what_is_utf8_comes_back(data: bytes) -> None:
    try:
        text = decode(data, "f")
    except InputError as error:
        assert error.problems[0].message.startswith("the file is compressed")
        return
    if not decoded(data, "f").oddity:
        assert text.encode("utf-8", "surrogateescape") == data
