"""What ``ip addr`` and ``ip route`` print, as entries with their places: JSON (``ip -j``) or plain text.

Both forms come out alike, under the keys of the JSON form (ip(8), -json; ip-address(8), ip-route(8)).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ipt2np.errors import InputError, Location, Problem
from ipt2np.rules.host import RouteType
from ipt2np.syntax.encoding import decode

MOST_PROBLEMS = 20
"""A file with more faults than this is read no further."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One interface or route: its fields, and where in the file it begins."""

    fields: dict[str, Any]
    line: int
    column: int
    text: str
    """The whole line."""


@dataclass
class Faults:
    """The faults of a file, up to a bound."""

    file: str
    expected: str
    problems: list[Problem] = field(default_factory=list)

    def add(self, line: int, column: int, text: str, message: str) -> None:
        """Note a fault. InputError where there are too many."""
        self.problems.append(Problem(Location(self.file, line, column), text, message, self.expected))
        if len(self.problems) >= MOST_PROBLEMS:
            self.report()

    def at(self, entry: Entry, message: str) -> None:
        """Note a fault of an entry."""
        self.add(entry.line, entry.column, entry.text, message)

    def report(self) -> None:
        """InputError where there are any."""
        if self.problems:
            raise InputError(self.problems)


def address_entries(data: bytes, faults: Faults) -> Iterator[Entry]:
    """The interfaces of ``ip addr``. InputError where the text is something else."""
    text = decode(data, faults.file)
    return _json_entries(text, faults) if _is_json(text) else _interfaces_of_text(text, faults)


def route_entries(data: bytes, faults: Faults) -> Iterator[Entry]:
    """The routes of ``ip route``. InputError where the text is something else."""
    text = decode(data, faults.file)
    return _json_entries(text, faults) if _is_json(text) else _routes_of_text(text, faults)


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("", "[", "{")


# -- JSON -----------------------------------------------------------------------------------------------


class _Places:
    """Offsets to lines and columns, asked for in ascending order."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.number, self.start, self.end, self.line = 1, 0, -1, ""
        self._read_line(0)

    def _read_line(self, start: int) -> None:
        end = self.text.find("\n", start)
        self.start, self.end = start, end if end >= 0 else len(self.text)
        self.line = self.text[self.start : self.end]

    def at(self, offset: int) -> tuple[int, int, str]:
        """Line, column and the line's text."""
        if offset > self.end:
            self.number += self.text.count("\n", self.start, offset)
            self._read_line(self.text.rfind("\n", 0, offset) + 1)
        return self.number, offset - self.start + 1, self.line


_SPACE = re.compile(r"[ \t\r\n]*")


def _json_entries(text: str, faults: Faults) -> Iterator[Entry]:
    """The objects of one list, or of several one after the other (``ip -j route; ip -j -6 route``)."""
    decoder, places = json.JSONDecoder(), _Places(text)
    at = _skip(text, 0)
    if at == len(text):
        faults.add(0, 0, "", "the file is empty")
    while at < len(text) and not faults.problems:
        if text[at] != "[":
            faults.add(*places.at(at), "this is not a list of objects")
            break
        at = _skip(text, at + 1)
        closed = text.startswith("]", at)
        at += closed
        while not closed:
            place = places.at(at)
            try:
                value, at = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                faults.add(*places.at(max(error.pos, at)), "this is not JSON")
                break
            except (
                ValueError,
                RecursionError,
            ):  # a number of thousands of digits, a nest of thousands of lists
                faults.add(*place, "this is no object that ip would print")
                break
            if not isinstance(value, dict):
                faults.add(*place, "this is not an object")
                break
            yield Entry(value, *place)
            at = _skip(text, at)
            closed = text.startswith("]", at)
            if not closed and not text.startswith(",", at):
                faults.add(*places.at(at), "the list ends here without a ]")
                break
            at = _skip(text, at + 1)
        at = _skip(text, at)
    faults.report()


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


# -- plain text -----------------------------------------------------------------------------------------

_HEAD = re.compile(r"\d+: ([^\s:@]+)(?:@[^\s:]+)?: <([^<>]*)>(.*)")
_ADDRESS_KEYS = {"peer": "address", "brd": "broadcast", "scope": "scope"}
_ADDRESS_FLAGS = frozenset({"secondary", "noprefixroute", "tentative", "dadfailed"})
_ADDRESS_SKIPPED = frozenset({"any", "metric", "proto"})
"""Words that are followed by a value of no use here."""


def _interfaces_of_text(text: str, faults: Faults) -> Iterator[Entry]:
    """ip-address(8): a line for each interface, then indented lines, of which ``inet`` and ``inet6`` hold addresses."""
    current: Entry | None = None
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r ")
        if not line:
            continue
        head = _HEAD.fullmatch(line)
        if head is not None:
            if current is not None:
                yield current
            words = head[3].split()
            fields: dict[str, Any] = {"ifname": head[1], "flags": head[2].split(","), "addr_info": []}
            if "master" in words[:-1]:
                fields["master"] = words[words.index("master") + 1]
            current = Entry(fields, number, 1, line)
        elif line[0] not in " \t" or current is None:
            faults.add(number, 1, line, "this is no line of ip addr")
            break
        else:
            _add_line(current.fields, line.split(), number, line, faults)
    if current is not None:
        yield current
    faults.report()


def _add_line(fields: dict[str, Any], words: list[str], number: int, line: str, faults: Faults) -> None:
    if words[0] == "altname" and len(words) > 1:
        fields.setdefault("altnames", []).append(words[1])
    if words[0] not in ("inet", "inet6"):
        return
    if len(words) < 2:
        faults.add(number, len(line) + 1, line, "an address is missing")
        return
    local, slash, length = words[1].partition("/")
    info: dict[str, Any] = {"family": words[0], "local": local}
    at = 2
    while at < len(words):
        word = words[at]
        if word in _ADDRESS_KEYS and at + 1 < len(words):
            info[_ADDRESS_KEYS[word]] = words[at + 1]
            at += 1
        elif word in _ADDRESS_FLAGS:
            info[word] = True
        elif word in _ADDRESS_SKIPPED:
            at += 1
        at += 1
    if "address" in info:
        # Behind a peer stands the length of the peer's prefix.
        info["address"], slash, length = str(info["address"]).partition("/")
    if slash:
        info["prefixlen"] = int(length) if re.fullmatch(r"[0-9]{1,3}", length) else length
    fields["addr_info"].append(info)


_TYPES = frozenset({*RouteType, "nat", "xresolve"})
_DESTINATION = re.compile(
    r"default|[0-9]+(?:\.[0-9]+){3}(?:/[0-9]+)?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:/[0-9]+)?"
)
_VALUED = {
    "dev": "dev", "table": "table", "proto": "protocol", "scope": "scope", "src": "prefsrc", "metric": "metric",
    "tos": "tos", "from": "from", "pref": "pref", "nhid": "nhid", "weight": "weight", "mtu": "mtu", "expires": "expires",
    "error": "error", "realm": "realm",
}  # fmt: skip
_HOP_FLAGS = frozenset({"dead", "linkdown", "onlink", "pervasive"})


def _routes_of_text(text: str, faults: Faults) -> Iterator[Entry]:
    """ip-route(8): a line for each route; indented ``nexthop`` lines belong to the one above."""
    current: Entry | None = None
    for number, line in enumerate(text.split("\n"), 1):
        line = line.rstrip("\r ")
        words = line.split()
        if not words:
            continue
        if line[0] in " \t":
            if current is None:
                faults.add(number, 1, line, "this is no line of ip route")
                break
            if words[0] == "nexthop":  # others hold details that `ip -d` shows
                current.fields.setdefault("nexthops", []).append(_route_fields(words[1:]))
            continue
        if current is not None:
            yield current
        current = None
        kind = words.pop(0) if words[0] in _TYPES else "unicast"
        if not words or not _DESTINATION.fullmatch(words[0]):
            faults.add(number, 1, line, "this is no line of ip route")
            break
        own, hops = _with_hops(words[1:])
        fields = {"type": kind, "dst": words[0], **_route_fields(own)}
        if hops:
            fields["nexthops"] = [_route_fields(hop) for hop in hops]
        current = Entry(fields, number, 1, line)
    if current is not None:
        yield current
    faults.report()


def _with_hops(words: list[str]) -> tuple[list[str], list[list[str]]]:
    """The words before the first ``nexthop``, and those of each; they may stand on the route's own line."""
    own: list[str] = []
    hops: list[list[str]] = []
    for word in words:
        if word == "nexthop":
            hops.append([])
        else:
            (hops[-1] if hops else own).append(word)
    return own, hops


def _route_fields(words: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"flags": [word for word in words if word in _HOP_FLAGS]}
    at = 0
    while at < len(words):
        word, value = words[at], words[at + 1] if at + 1 < len(words) else None
        at += 1
        if value is None:
            continue
        if word == "via" and value in ("inet", "inet6") and at + 1 < len(words):
            fields["via"] = {"family": value, "host": words[at + 1]}
            at += 2
        elif word == "via":
            fields["gateway"] = value
            at += 1
        elif word in _VALUED:
            fields[_VALUED[word]] = (
                int(value) if word == "metric" and value.isascii() and value.isdigit() else value
            )
            at += 1
    return fields
