"""Real rulesets: the shared corpus and the project's own samples, made ready for the kernel."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Final

from .boundaries import input_path

_PROJECT: Final = Path(__file__).parents[2]
SHARED: Final = Path(os.environ.get("IPT2NP_SHARED", _PROJECT.parent / "shared"))
SAMPLES: Final = _PROJECT / "samples"

_INTERFACES: Final = 6
_DESTINATIONS: Final = 8
_UNNAMED: Final = "other0"


@dataclass(frozen=True)
class RealRuleset:
    """A file with a dump of one family."""

    name: str
    path: Path
    family: int

    @property
    def text(self) -> str:
        """Its input path, as iptables-restore takes it."""
        return input_path(self.path.read_text(encoding="utf-8", errors="replace"))


def corpus() -> list[RealRuleset]:
    """Every ruleset of the shared corpus; none where it is absent."""
    return [
        RealRuleset(f"v{family}/{path.stem}", path, family)
        for family in (4, 6)
        for path in sorted((SHARED / "corpus" / f"v{family}").glob("*.rules"))
    ]


def samples() -> list[RealRuleset]:
    """The rulesets in samples/."""
    return [
        RealRuleset(f"samples/{path.name}", path, family)
        for family in (4, 6)
        for path in sorted(SAMPLES.glob(f"*.v{family}"))
    ]


def reached(text: str) -> list[str]:
    """The rules of the chains that a packet for the host itself can come through."""
    rules: dict[tuple[str, str], list[str]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        found = re.match(r"(?:\[\d+:\d+\]\s*)?-A\s+(\S+)\s", line)
        if found:
            rules.setdefault((table, found[1]), []).append(line)
    seen = {key for key in rules if key[1] in ("PREROUTING", "INPUT")}
    pending = list(seen)
    while pending:
        table, chain = pending.pop()
        for line in rules[table, chain]:
            called = re.search(r"\s(?:-j|-g)\s+(\S+)", line)
            key = (table, called[1]) if called else None
            if key in rules and key not in seen:
                seen.add(key)
                pending.append(key)
    return [line for key, lines in rules.items() if key in seen for line in lines]


def _mentioned(option: str, rules: Iterable[str]) -> list[str]:
    found = (re.findall(rf"\s{option}\s+(\S+)", rule) for rule in rules)
    return list(dict.fromkeys(value for values in found for value in values))


def host_addresses(text: str, family: int) -> dict[str, tuple[str, ...]]:
    """Interfaces and addresses for a host on which the ruleset's rules have something to match.

    Every interface that the input path names (a wildcard gets one), as far as the bound goes, and one that
    it does not name; an own address in each destination network that it names, likewise.
    """
    rules = reached(text)
    names = dict.fromkeys(
        name[:-1] + "7" if name.endswith("+") else name
        for name in _mentioned("-i", rules)
        if name not in ("lo", "+") and len(name.rstrip("+")) < 15
    )
    interfaces = [*list(names)[: _INTERFACES - 1], _UNNAMED]
    own = {4: ["192.0.2.1/24"], 6: ["2001:db8::1/64"]}
    prefix = {4: 32, 6: 128}[family]
    for text_of in _mentioned("-d", rules):
        network = ip_network(text_of, strict=False)
        if network.version != family or network.is_multicast or network.is_loopback or network.prefixlen == 0:
            continue
        if network.prefixlen == prefix and int(network[0]) in (0, (1 << 32) - 1):
            continue
        chosen = network[0] if network.prefixlen == prefix else network[1]
        own[family].append(f"{chosen}/{prefix}")
    own[family] = list(dict.fromkeys(own[family]))[:_DESTINATIONS]
    result = dict.fromkeys(interfaces, ())
    return {**result, interfaces[0]: (*own[4], *own[6])}
