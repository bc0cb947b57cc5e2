"""Every target that the kernel loads on the input path, alone: what it does to a packet is what ipt2np says.

The rules are those whose canonical text is asked for (``canonical/``). Each stands in a chain of its own, called for a
source of its own; behind them come rules that let some packets in by port and by state, so that it shows whether a
packet went on, and how.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from .differential import PLAIN, Mismatch, against, ask, story
from .host import KernelHost
from .probe import ACK, FIN, ICMP, ICMPV6, SCTP, TCP, UDP, Probe
from .test_canonical import FILES, Line, commands, lines
from .test_matches import CHAINS, OWN, source

FAMILIES = pytest.mark.parametrize("family", [4, 6])
PLACES: Final = (
    ("raw", "PREROUTING"),
    ("mangle", "PREROUTING"),
    ("nat", "PREROUTING"),
    ("mangle", "INPUT"),
    ("filter", "INPUT"),
)
_BEHIND: Final = (
    "-p tcp -m tcp --dport 22 -j ACCEPT",
    "-p udp -m udp --dport 53 -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT",
    "-p tcp -m tcp --dport 80 -m conntrack --ctstate UNTRACKED -j ACCEPT",
    "-p tcp -m tcp --dport 81 -m mark --mark 0x0 -j ACCEPT",
    "-p tcp -m tcp --dport 82 -m connmark --mark 0x0 -j ACCEPT",
    "-p sctp -j ACCEPT",
)
_PORTS: Final = (22, 53, 80, 81, 82, 8080)


@dataclass(frozen=True)
class Place:
    """A base chain, and rules of one file that jump to targets there."""

    path: Path
    table: str
    chain: str
    rules: tuple[Line, ...]


def places(family: int) -> Iterator[Place]:
    """The rules of the canonical files that have a target and stand on the input path, in parts."""
    for path in FILES:
        for table, chain in PLACES:
            every = [
                line
                for line in lines(path)
                if (line.table, line.chain) == (table, chain) and family in line.families
            ]
            every = [line for line in every if "-j " in line.rule]
            for start in range(0, len(every), CHAINS):
                yield Place(path, table, chain, tuple(every[start : start + CHAINS]))


def ruleset(family: int, place: Place) -> str:
    """A chain for each rule, called for the rule's own source, in front of rules by port and state."""
    width = {4: 32, 6: 128}[family]
    numbers = range(len(place.rules))
    own = [f":M{number} - [0:0]" for number in numbers]
    own += [f"-A {place.chain} -s {source(family, number)}/{width} -j M{number}" for number in numbers]
    own += [f"-A M{number} {line.rule}" for number, line in enumerate(place.rules)]
    filtering = [f"-A INPUT {rule}" for rule in _BEHIND]
    if place.table == "filter":
        return "\n".join(["*filter", ":INPUT DROP [0:0]", *own, *filtering, "COMMIT", ""])
    first = [f"*{place.table}", *own, "COMMIT"]
    return "\n".join([*first, "*filter", ":INPUT DROP [0:0]", *filtering, "COMMIT", ""])


def probes(family: int, count: int) -> list[Probe]:
    """For each source: the ports that the rules behind name and another one, and a ping."""
    made = []
    for number in range(count):
        where, (own, _) = source(family, number), OWN[family]
        made += [
            Probe(family, where, own, protocol, 40000, port)
            for protocol in (TCP, UDP, SCTP)
            for port in _PORTS
        ]
        icmp, echo = (ICMP, 8) if family == 4 else (ICMPV6, 128)
        made.append(Probe(family, where, own, icmp, icmp_type=echo))
    return made


@FAMILIES
def test_each_target_alone(host: KernelHost, family: int) -> None:
    guilty: dict[str, list[Mismatch]] = {}
    host.backend = "legacy"
    try:
        for place in places(family):
            host.flush()
            for command in commands(place.path):
                host.run(*command)
            names = {source(family, number): line.rule for number, line in enumerate(place.rules)}
            heard = ask(
                ruleset(family, place), family, host, probes(family, len(place.rules)), flags=ACK | FIN
            )
            for found in against(heard, [PLAIN]):
                title = f"{place.table} {place.chain} {names[found.probe.source]}"
                guilty.setdefault(title, []).append(found)
            host.flush()
            if commands(place.path):
                host.run("ipset", "destroy")
    finally:
        host.flush()
        host.backend = "nft"
    assert not guilty, "\n".join(story(name, found, 2) for name, found in guilty.items())
