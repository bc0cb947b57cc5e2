"""What reviewers have accepted: differences and findings by their digests, with a reason, an author and a last day.

The file is YAML::

    accepted:
      - digest: 5f0c3b1a9d2e4c77
        what: closes udp port 53 from 10.0.0.0/8 [N2P302]
        reason: the resolver is gone
        author: ops@example.org
        expires: 2027-01-31
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from ipt2np.cni.manifests import DEEPEST, LOADER, too_deep
from ipt2np.errors import InputError, Location, Problem, UsageError
from ipt2np.findings import Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.text import as_bytes

DIGEST = re.compile(r"[0-9a-f]{16}")
_FIELDS = ("digest", "what", "reason", "author", "expires")
_REQUIRED = ("digest", "reason", "author")
_EXPECTED = "accepted: a list of entries with digest, reason, author (ipt2np accept writes them)"
HEADER = (
    "# Differences and findings that reviewers have accepted. Written by ipt2np accept, read by --accept.\n"
)
LONGEST = 2000
"""Characters of one text."""
ABOUT_ENTRIES = ("N2P507", "N2P508")
"""Findings on entries themselves: nobody can accept those."""


@dataclass(frozen=True, slots=True)
class SignOff:
    """One entry: somebody answers for one difference or finding."""

    digest: str
    reason: str
    author: str
    expires: datetime.date | None = None
    """The last day on which it counts; None for no end."""
    what: str = ""
    """The difference or finding in words, for readers of the file."""
    location: Location = field(default_factory=lambda: Location(""))

    def plain(self) -> dict[str, str]:
        """As it stands in a report beside what it accepts."""
        result = {"reason": self.reason, "author": self.author}
        if self.expires is not None:
            result["expires"] = self.expires.isoformat()
        return result


@dataclass(frozen=True)
class SignOffs:
    """What counts on a day, and what does not any more."""

    valid: Mapping[str, SignOff] = field(default_factory=dict)
    expired: Mapping[str, SignOff] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[SignOff], today: datetime.date) -> SignOffs:
        """The entries by digest; of several for one digest the one that counts longest."""
        valid: dict[str, SignOff] = {}
        expired: dict[str, SignOff] = {}
        for each in entries:
            into = valid if each.expires is None or each.expires >= today else expired
            known = into.get(each.digest)
            if known is None or _longer(each, known):
                into[each.digest] = each
        return cls(valid, {digest: each for digest, each in expired.items() if digest not in valid})

    def about(self, digests: Iterable[str]) -> list[Finding]:
        """Entries that have expired, and those that fit none of the ``digests`` of what was found."""
        present = set(digests)
        result = [
            Finding(
                "N2P508",
                f"{each.author} accepted this until {each.expires}: {each.what or digest} ({each.reason})",
                remedy("N2P508"),
                file=each.location.file,
                line=each.location.line,
            )
            for digest, each in self.expired.items()
            if digest in present
        ]
        result += [
            Finding(
                "N2P507",
                f"nothing has the digest {digest} any more: {each.what or each.reason}",
                remedy("N2P507"),
                file=each.location.file,
                line=each.location.line,
            )
            for digest, each in [*self.valid.items(), *self.expired.items()]
            if digest not in present
        ]
        return result


def _longer(one: SignOff, two: SignOff) -> bool:
    if two.expires is None:
        return False
    return one.expires is None or one.expires > two.expires


def parse_signoffs(data: bytes, file: str) -> tuple[SignOff, ...]:
    """The entries of a file. InputError with file:line of every fault."""
    try:
        text = data.decode("utf-8-sig")
        deep = too_deep(text)
        if deep is not None:
            place = Location(file, deep[0] + 1, deep[1] + 1)
            raise InputError([Problem(place, "", f"nests deeper than {DEEPEST} levels", _EXPECTED)])
        loader = LOADER(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Location(file, mark.line + 1, mark.column + 1) if mark else Location(file)
        raise InputError([Problem(place, "", f"is no YAML: {error.problem}", _EXPECTED)]) from None
    except UnicodeDecodeError as error:
        place = Location(file, data.count(b"\n", 0, error.start) + 1, 1)
        raise InputError([Problem(place, "", "is no UTF-8", _EXPECTED)]) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError([Problem(Location(file), "", f"is no YAML: {error}", _EXPECTED)]) from None
    if node is None:
        return ()
    problems: list[Problem] = []
    entries = _entries(node, file, problems)
    found = [each for each in (_entry(entry, file, problems) for entry in entries) if each is not None]
    if problems:
        raise InputError(problems)
    return tuple(found)


def _at(node: yaml.Node, file: str, message: str, expected: str = _EXPECTED) -> Problem:
    mark = node.start_mark
    return Problem(Location(file, mark.line + 1, mark.column + 1), "", message, expected)


def _entries(node: yaml.Node, file: str, problems: list[Problem]) -> Sequence[yaml.Node]:
    if isinstance(node, yaml.MappingNode) and len(node.value) == 1:
        key, value = node.value[0]
        if key.value == "accepted" and isinstance(value, yaml.SequenceNode):
            return list(value.value)
        if key.value == "accepted" and _is_null(value):
            return []
    problems.append(_at(node, file, "is no list of what was accepted"))
    return []


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == "tag:yaml.org,2002:null")


def _entry(node: yaml.Node, file: str, problems: list[Problem]) -> SignOff | None:
    if not isinstance(node, yaml.MappingNode):
        problems.append(_at(node, file, "is no entry"))
        return None
    before = len(problems)
    values: dict[str, str] = {}
    for key, value in node.value:
        if key.value not in _FIELDS or key.value in values:
            named = repr(key.value) if isinstance(key, yaml.ScalarNode) else "this key"
            problems.append(_at(key, file, f"{named} does not belong here", ", ".join(_FIELDS)))
        elif not isinstance(value, yaml.ScalarNode) or len(value.value) > LONGEST:
            problems.append(_at(value, file, f"{key.value} is no short text", "one text"))
        else:
            values[key.value] = "" if _is_null(value) else value.value.strip()
    for name in _REQUIRED:
        if not values.get(name):
            problems.append(_at(node, file, f"the entry has no {name}"))
    digest, expires = values.get("digest", ""), values.get("expires")
    if digest and not DIGEST.fullmatch(digest):
        problems.append(
            _at(node, file, f"{digest!r} is no digest", "16 hexadecimal digits, as a report has them")
        )
    day = None
    if expires:
        try:
            day = datetime.date.fromisoformat(expires)
        except ValueError:
            problems.append(_at(node, file, f"expires: {expires!r} is no day", "a day such as 2027-01-31"))
    if len(problems) > before:
        return None
    line = node.start_mark.line + 1
    return SignOff(
        digest, values["reason"], values["author"], day, values.get("what", ""), Location(file, line)
    )


def signed(reason: str, author: str, expires: datetime.date | None) -> SignOff:
    """An entry for any digest. UsageError where the file could not hold what was given."""
    for option, text in (("--reason", reason), ("--author", author)):
        if len(text) > LONGEST:
            raise UsageError(f"{option}: {len(text)} characters, at most {LONGEST} go in an entry")
    return SignOff("", _storable(reason), _storable(author), expires)


def shortened(what: str) -> str:
    """What is accepted, as long as an entry may have it."""
    return _storable(what if len(what) <= LONGEST else what[: LONGEST - 1] + "…")


def _storable(text: str) -> str:
    """``text`` with what UTF-8 cannot hold replaced, and all its line breaks the same: YAML knows more of them."""
    return "\n".join(as_bytes(text).decode("utf-8", "replace").splitlines()).strip()


def written(entries: Iterable[SignOff]) -> str:
    """The file's text, entries in the order of their digests."""
    listed: list[dict[str, Any]] = []
    for each in sorted(entries, key=lambda entry: (entry.digest, entry.author)):
        plain: dict[str, Any] = {"digest": each.digest}
        if each.what:
            plain["what"] = each.what
        plain |= {"reason": each.reason, "author": each.author}
        if each.expires is not None:
            plain["expires"] = each.expires
        listed.append(plain)
    text = yaml.safe_dump({"accepted": listed}, sort_keys=False, allow_unicode=True, width=2**31)
    return HEADER + text
