"""The bytes of an input file as text.

iptables takes bytes as they are: a comment in another encoding than UTF-8 stops nobody. Such bytes stand in the text
as Python's surrogate escapes (PEP 383), so that what is printed back has the same bytes.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

from ipt2np.errors import InputError, Location, Problem

_MARKS: Sequence[tuple[bytes, str, str]] = (
    (codecs.BOM_UTF8, "utf-8", "begins with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32-le", "is UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "is UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "is UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "is UTF-16"),
)
"""Byte order marks, those that begin like a shorter one before it."""
_PACKED: Sequence[tuple[bytes, str, str]] = (
    (b"\x1f\x8b", "gzip", "zcat"),
    (b"BZh", "bzip2", "bzcat"),
    (b"\xfd7zXZ\x00", "xz", "xzcat"),
    (b"\x28\xb5\x2f\xfd", "Zstandard", "zstdcat"),
    (b"PK\x03\x04", "ZIP", "unzip -p"),
)
"""First bytes of compressed files, and the program that unpacks them."""
_SAMPLE = 4096


@dataclass(frozen=True, slots=True)
class Decoded:
    """A file's text, and what it takes to know that iptables would not read it so (empty where it would)."""

    text: str
    oddity: str = ""


def decoded(data: bytes, file: str) -> Decoded:
    """The text of a file: UTF-8, whatever other bytes stand in it, or UTF-16 and UTF-32 where they show.

    InputError where the file is compressed.
    """
    for magic, name, program in _PACKED:
        if data.startswith(magic):
            raise InputError(
                [
                    Problem(
                        Location(file),
                        "",
                        f"the file is compressed ({name})",
                        f"the text in it; for example: {program} FILE | ipt2np convert -",
                    )
                ]
            )
    for mark, codec, oddity in _MARKS:
        if data.startswith(mark):
            return Decoded(_text(data[len(mark) :], codec), oddity)
    codec = _unmarked(data[:_SAMPLE])
    return Decoded(_text(data, codec), "is UTF-16" if codec != "utf-8" else "")


def decode(data: bytes, file: str) -> str:
    """``decoded(data, file).text``"""
    return decoded(data, file).text


def _text(data: bytes, codec: str) -> str:
    return data.decode(codec, "surrogateescape" if codec == "utf-8" else "replace")


def _unmarked(sample: bytes) -> str:
    """UTF-16 without a mark shows in that every other byte of ASCII text is 0."""
    even, odd = sample[::2], sample[1::2]
    if len(odd) >= 2:
        if odd.count(0) > 0.9 * len(odd) and not even.count(0):
            return "utf-16-le"
        if even.count(0) > 0.9 * len(even) and not odd.count(0):
            return "utf-16-be"
    return "utf-8"
