"""What the kernel does with probes, held against what ipt2np says of them.

Three things are compared, each a fact that must hold for every probe:

* *packets*: a packet that the kernel accepts may be accepted, and one that must be accepted is, for first
  packets and for later ones, over all fields;
* *connections*: the same for the decision without interface and destination, for connections (TCP and SCTP:
  first and later packet), wherever the facts of the decision let the probe exist;
* *policies*: where the emitted policy, read back, and the kernel disagree, the proof has said so.

UDP-Lite is left out where a rule asks for the connection's state: on 6.18 conntrack takes its packets for
INVALID when the checksum is right by RFC 3828 (see test_udplite_is_invalid_in_conntrack).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from random import Random
from typing import Final

from ipt2np import (
    Assumptions,
    Conversion,
    Decision,
    Facts,
    Half,
    InDoubt,
    Options,
    PacketSet,
    Ruleset,
    convert,
    decide,
    parse_ruleset,
)

from .boundaries import boundary_probes
from .host import KernelHost
from .membership import Members, word
from .probe import ACK, SCTP, TCP, UDP, UDPLITE, Probe

_BY_PACKETS: Final = (TCP, SCTP)
"""Protocols whose connections are accepted only where their later packets are too."""
_NAMED: Final = (TCP, UDP, SCTP)
"""Protocols that a policy can name."""


@lru_cache(maxsize=200_000)
def _address(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text)


@dataclass
class Tally:
    """How much was asked of the kernel, and how often the answer was not the expected one."""

    rulesets: int = 0
    verdicts: int = 0
    """Packets that the kernel has judged."""
    comparisons: int = 0
    """Statements of ours that were held against a verdict."""
    certain: int = 0
    """Those of them that leave the verdict no choice."""
    mismatches: int = 0


TALLY: Final = Tally()
"""The whole test run's, for the summary."""


@dataclass(frozen=True)
class Mismatch:
    """A probe for which the kernel and ipt2np do not say the same."""

    what: str
    probe: Probe
    kernel: bool
    says: str

    def __str__(self) -> str:
        return (
            f"{self.what}: kernel {'accepts' if self.kernel else 'refuses'}, we say {self.says}: {self.probe}"
        )


@dataclass(frozen=True)
class Heard:
    """What the kernel said of probes; None where it has nothing to say."""

    text: str
    family: int
    probes: Sequence[Probe]
    first: Sequence[bool | None]
    later: Sequence[bool | None]
    places: Sequence[tuple[str, int] | None] = ()
    """Where nat sent the first packets; empty where there is no nat."""

    @cached_property
    def words(self) -> list[int]:
        return [word(probe) for probe in self.probes]

    def members(self, decision: Decision) -> Members:
        """The probes as they are on the wire."""
        (side,) = decision.sides
        return Members(self.probes, self.words, side.walker.view.interfaces)

    @cached_property
    def local_probes(self) -> Sequence[Probe]:
        """The probes as programs on the host see them: to the port that nat gave them."""
        if not self.places:
            return self.probes
        return [
            replace(probe, dport=place[1]) if place is not None else probe
            for probe, place in zip(self.probes, self.places, strict=True)
        ]

    def local_members(self, decision: Decision) -> Members:
        """The probes as programs on the host see them."""
        (side,) = decision.sides
        probes = self.local_probes
        words = self.words if probes is self.probes else [word(probe) for probe in probes]
        return Members(probes, words, side.walker.view.interfaces)

    @cached_property
    def connections(self) -> list[bool | None]:
        """For each probe: is its connection accepted?"""
        return [
            later if first and probe.protocol in _BY_PACKETS else first
            for probe, first, later in zip(self.probes, self.first, self.later, strict=True)
        ]


@dataclass(frozen=True)
class Question:
    """What ipt2np is asked to decide: everything that a user may choose."""

    settings: tuple[str, ...] = ()
    facts: Facts = field(default_factory=Facts)
    in_doubt: InDoubt = InDoubt.DENY

    def decision(self, text: str, family: int) -> Decision:
        return decide([_ruleset(text, family)], Assumptions.parse(self.settings), self.facts)

    def conversion(self, text: str, family: int) -> Conversion:
        options = Options(
            assumptions=Assumptions.parse(self.settings), facts=self.facts, in_doubt=self.in_doubt
        )
        return convert([_ruleset(text, family)], options)

    def possible(self, probes: Sequence[Probe]) -> list[bool]:
        """Whether the facts let each probe exist: read from the facts' own words, not from the code."""
        own = {_address(text) for text in self.facts.addresses}
        behind = [(name, ip_network(cidr)) for name, cidrs in self.facts.interfaces for cidr in cidrs]
        bare = {name for name, cidrs in self.facts.interfaces if not cidrs}
        named = {name for name, _ in self.facts.interfaces}

        def exists(probe: Probe) -> bool:
            source = _address(probe.source)
            if own and (_address(probe.destination) not in own or (probe.family == 4 and source in own)):
                return False
            expected = {name for name, cidr in behind if source.version == cidr.version and source in cidr}
            if expected or bare:
                return probe.interface in (expected or bare)
            return probe.interface not in named

        return [exists(probe) for probe in probes] if self.facts != Facts() else [True] * len(probes)


PLAIN: Final = Question()


def _ruleset(text: str, family: int) -> Ruleset:
    return parse_ruleset(text.encode(), f"x.v{family}", family=family)


def _considered(text: str, probes: Iterable[Probe]) -> list[Probe]:
    stateful = re.search(r"-m (state|conntrack|connmark|helper)\b|-j CONNMARK|^\*nat", text, re.MULTILINE)
    return [probe for probe in probes if not (stateful and probe.protocol == UDPLITE)]


def ask(
    text: str,
    family: int,
    host: KernelHost,
    probes: Iterable[Probe],
    *,
    flags: int = ACK,
    tally: Tally = TALLY,
) -> Heard:
    """Load the ruleset and have the kernel judge the probes' first and later packets.

    The ruleset is loaded anew for the later packets, so that no limit has been used up.
    """
    probes = _considered(text, probes)
    host.load(text, family)
    first = host.first(probes)
    host.load(text, family)
    places = host.places(probes) if "*nat" in text else ()
    host.load(text, family)
    later = host.later(probes, flags=flags)
    tally.rulesets += 1
    tally.verdicts += sum(verdict is not None for verdict in (*first, *later))
    return Heard(text, family, probes, first, later, places)


def boundary(text: str, family: int, host: KernelHost, count: int, seed: int = 1) -> list[Probe]:
    """Probes at the boundaries of the ruleset's values, to every address and interface of the host."""
    return boundary_probes(
        text,
        family,
        count=count,
        rng=Random(seed),
        destinations=host.own(family),
        interfaces=host.interfaces,
    )


def _outside(
    what: str,
    heard: Heard,
    verdicts: Sequence[bool | None],
    members: Members,
    must: PacketSet,
    may: PacketSet,
    counts: Sequence[bool],
    tally: Tally,
) -> Iterator[Mismatch]:
    rows = zip(heard.probes, verdicts, members.of(must), members.of(may), counts, strict=True)
    for probe, verdict, certain, possible, counted in rows:
        if verdict is None or not counted:
            continue
        tally.comparisons += 1
        tally.certain += certain or not possible
        if verdict and not possible:
            yield Mismatch(what, probe, True, "refused for certain")
        elif certain and not verdict:
            yield Mismatch(what, probe, False, "accepted for certain")


def packet_mismatches(
    heard: Heard, decision: Decision, *, counts: Sequence[bool] = (), tally: Tally = TALLY
) -> list[Mismatch]:
    """Packets, over all fields: the kernel's verdict lies between the bounds of its half.

    *counts* says which of the probes are asked; none for all of them.
    """
    members = heard.members(decision)
    (side,) = decision.sides
    every = counts or [True] * len(heard.probes)
    found: list[Mismatch] = []
    for half, verdicts in ((Half.FIRST, heard.first), (Half.LATER, heard.later)):
        must, may = decision.packet_bounds(side, half)
        found += _outside(f"{half.value} packet", heard, verdicts, members, must, may, every, tally)
    return found


def connection_mismatches(
    heard: Heard, decision: Decision, question: Question = PLAIN, *, tally: Tally = TALLY
) -> list[Mismatch]:
    """Connections, interface and destination projected out, where the facts let them exist."""
    members = heard.local_members(decision)
    rows = zip(members.of(decision.judged), question.possible(heard.probes), strict=True)
    counts = [judged and possible for judged, possible in rows]
    must, may = decision.must_accept, decision.may_accept
    return list(_outside("connection", heard, heard.connections, members, must, may, counts, tally))


def policy_mismatches(
    heard: Heard, conversion: Conversion, question: Question = PLAIN, *, tally: Tally = TALLY
) -> list[Mismatch]:
    """Connections that the policy judges otherwise than the kernel, and no difference says so."""
    decision = conversion.draft.decision
    members = heard.local_members(decision)
    rows = zip(
        heard.probes,
        heard.connections,
        question.possible(heard.probes),
        members.of(decision.judged),
        members.of(conversion.readings["external"].admits),
        members.of(conversion.proof.closes),
        members.of(conversion.proof.opens),
        strict=True,
    )
    found = []
    for probe, verdict, possible, judged, admitted, closes, opens in rows:
        if verdict is None or not judged or not possible or probe.protocol not in _NAMED:
            continue
        tally.comparisons += 1
        tally.certain += not (opens if admitted else closes)
        if verdict and not admitted and not closes:
            found.append(Mismatch("policy", probe, True, "the policy refuses it, and no difference says so"))
        elif admitted and not verdict and not opens:
            found.append(Mismatch("policy", probe, False, "the policy admits it, and no difference says so"))
    return found


def against(
    heard: Heard, questions: Sequence[Question] = (PLAIN,), *, policies: bool = True, tally: Tally = TALLY
) -> list[Mismatch]:
    """Everything above, for each question."""
    found: list[Mismatch] = []
    for question in questions:
        if policies:
            conversion = question.conversion(heard.text, heard.family)
            decision = conversion.draft.decision
            found += policy_mismatches(heard, conversion, question, tally=tally)
        else:
            decision = question.decision(heard.text, heard.family)
        found += packet_mismatches(heard, decision, tally=tally)
        found += connection_mismatches(heard, decision, question, tally=tally)
    tally.mismatches += len(found)
    return found


def mismatches(
    text: str,
    family: int,
    host: KernelHost,
    *,
    questions: Sequence[Question] = (PLAIN,),
    probes: Sequence[Probe] = (),
    count: int = 500,
    flags: int = ACK,
    policies: bool = True,
    tally: Tally = TALLY,
) -> list[Mismatch]:
    """What the kernel and ipt2np do not agree about, for one ruleset and *count* boundary probes."""
    asked = [*probes, *boundary(text, family, host, count)]
    heard = ask(text, family, host, asked, flags=flags, tally=tally)
    return against(heard, questions, policies=policies, tally=tally)


def shortest(text: str, fails: Callable[[str], bool]) -> str:
    """The ruleset without every rule that can go while *fails* stays true: for messages."""
    lines = text.splitlines()
    at = len(lines) - 1
    while at >= 0:
        if lines[at].lstrip("[0123456789:] ").startswith("-A"):
            fewer = lines[:at] + lines[at + 1 :]
            try:
                if fails("\n".join(fewer) + "\n"):
                    lines = fewer
            except Exception:  # a text that does not load is no shorter case
                pass
        at -= 1
    return "\n".join(lines) + "\n"


def story(text: str, found: Sequence[Mismatch], most: int = 5) -> str:
    """A failed comparison in words."""
    lines = [str(each) for each in found[:most]]
    if len(found) > most:
        lines.append(f"and {len(found) - most} more")
    return "\n".join([f"{len(found)} mismatches", *lines, text])
