"""``-m string`` (iptables-extensions(8)): bytes anywhere in a packet, which no policy can test."""

from __future__ import annotations

import re

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, ValueFault, option
from ipt2np.rules.model import Clause
from ipt2np.rules.values import choice, integer
from ipt2np.text import as_bytes

MOST = 128
"""So many bytes at most (xt_string.h, XT_STRING_MAX_PATTERN_SIZE)."""
LAST = 0xFFFF
_PRINTABLE = range(0x20, 0x7F)
_DIGITS = re.compile(rb"[0-9A-Fa-f]{2}")
_HELD = Undecided("the packet's payload, which no policy can test")


def _limited(found: bytes, text: str) -> bytes:
    if not 0 < len(found) <= MOST:
        raise ValueFault(f"{text[:40]!r} has {len(found)} bytes", f"from 1 to {MOST} bytes")
    return found


def _read(text: str, family: int) -> bytes:
    return _limited(as_bytes(text), text)


def _read_hexadecimal(text: str, family: int) -> bytes:
    r"""Bytes in hexadecimal between ``|``, text elsewhere, where a backslash takes the next byte as it is.

    As parse_hex_string() of libxt_string reads it: the byte after a closing ``|`` is taken as it is, too.
    """
    expected = "text, with bytes in hexadecimal between bars such as |0d 0a|"
    given = as_bytes(text)
    found = bytearray()
    at, inside = 0, False
    while at < len(given):
        literal = False
        if given[at] == 0x7C:
            inside = not inside
            literal = not inside
            at += 1
            while inside and given[at : at + 1] == b" ":
                at += 1
            if at == len(given):
                break
        elif given[at] == 0x5C and not inside:
            literal = True
            at += 1
        if inside:
            pair = given[at : at + 2]
            if not _DIGITS.fullmatch(pair) or at + 2 >= len(given):
                raise ValueFault(f"{text[:40]!r} has a part between bars that is not hexadecimal", expected)
            found.append(int(pair, 16))
            at += 3 if given[at + 2 : at + 3] == b" " else 2
        elif at == len(given):
            raise ValueFault(f"{text[:40]!r} ends with a backslash", expected)
        else:
            assert literal or given[at] not in (0x5C, 0x7C)
            found.append(given[at])
            at += 1
    return _limited(bytes(found), text)


def _write(value: bytes, family: int) -> str:
    r"""In double quotes, ``"`` and ``\`` escaped."""
    return '"' + re.sub(r"([\"\\])", r"\\\1", value.decode("latin-1")) + '"'


def _write_hexadecimal(value: bytes, family: int) -> str:
    return f'"|{value.hex()}|"'


class String(MatchExtension):
    """A string, as text or in hexadecimal, and where to look for it."""

    name = "string"
    options = (
        option("--string", kinds=Kind("TEXT", _read, _write, "text"), negatable=True, means=_HELD),
        option(
            "--hex-string",
            kinds=Kind("TEXT", _read_hexadecimal, _write_hexadecimal, "|0d0a|"),
            negatable=True,
            means=_HELD,
        ),
        # Both ways of searching find the same; iptables before 1.3.4 had one and no option for it.
        option("--algo", kinds=choice("bm", "kmp"), default=("bm",)),
        option("--from", kinds=integer(LAST), unsaid=(0,)),
        option("--to", kinds=integer(LAST), unsaid=(LAST,)),
        option("--icase"),
    )
    required = exclusive = (("--string", "--hex-string"),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """Hexadecimal where the bytes cannot be printed, or the last one is a backslash; text elsewhere."""
        return super().normal(tuple(_spelled(clause) for clause in clauses), family)


def _spelled(clause: Clause) -> Clause:
    if clause.option not in ("--string", "--hex-string"):
        return clause
    (wanted,) = clause.values
    assert isinstance(wanted, bytes)
    printable = all(byte in _PRINTABLE for byte in wanted) and not wanted.endswith(b"\\")
    return Clause("--string" if printable else "--hex-string", clause.negated, (wanted,))
