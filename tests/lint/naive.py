"""A packet at a time through a table, straight from the kernel's rules: the judge of lint.

Shares nothing with what it judges but the text of the ruleset. Source: net/ipv4/netfilter/ip_tables.c, ipt_do_table().
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

SYN, ACK, URG, NONE = "SYN", "ACK", "URG", "NONE"
"""Flags of a TCP packet: exactly these."""


@dataclass(frozen=True)
class Packet:
    """What the rules of small rulesets can ask of a packet."""

    hook: str
    source: int
    """0 to 7: 10.0.0.0 to 10.0.0.7; 8: some other address."""
    protocol: str
    port: int
    flags: str
    state: str
    incoming: str
    outgoing: str
    hops: bool
    """Whether ``-m ttl --ttl-eq 9`` holds."""
    payload: bool
    """Whether ``-m string --string x`` holds."""
    fragment: bool
    expires: bool
    """Whether ``-m conntrack --ctexpire 10`` holds, if there is a connection."""


@dataclass(frozen=True)
class Test:
    """A match as text, and the packets that it holds for; ``chance`` where it holds or not, as it happens."""

    text: str
    kind: str
    value: Any = None
    negated: bool = False

    def holds(self, packet: Packet) -> bool:
        """Whether the packet matches, where that is no matter of chance."""
        found: bool = getattr(self, f"_{self.kind}")(packet)
        if self.kind in ("port", "flags"):
            if packet.protocol == "tcp" or (self.kind == "port" and packet.protocol == "udp"):
                return not packet.fragment and found is not self.negated
            return False
        return found is not self.negated

    def _source(self, packet: Packet) -> bool:
        return bool(self.value[0] <= packet.source <= self.value[1])

    def _protocol(self, packet: Packet) -> bool:
        return bool(packet.protocol == self.value)

    def _port(self, packet: Packet) -> bool:
        return bool(self.value[0] <= packet.port <= self.value[1])

    def _flags(self, packet: Packet) -> bool:
        return bool(packet.flags == self.value)

    def _state(self, packet: Packet) -> bool:
        return packet.state in self.value

    def _incoming(self, packet: Packet) -> bool:
        return bool(packet.incoming == self.value)

    def _outgoing(self, packet: Packet) -> bool:
        return bool(packet.outgoing == self.value)

    def _hops(self, packet: Packet) -> bool:
        return packet.hops

    def _payload(self, packet: Packet) -> bool:
        return packet.payload

    def _fragment(self, packet: Packet) -> bool:
        return packet.fragment

    def _expires(self, packet: Packet) -> bool:
        return packet.expires and packet.state in ("NEW", "ESTABLISHED", "RELATED")

    def _chance(self, packet: Packet) -> bool:
        return True


@dataclass(frozen=True)
class Rule:
    """A rule: its number, chain, tests, and what it does: a verdict, ``LOG``, or ``jump:`` or ``goto:`` a chain."""

    number: int
    chain: str
    tests: tuple[Test, ...]
    target: str

    @property
    def by_chance(self) -> bool:
        """Whether it is a matter of chance that the rule matches."""
        return any(test.kind == "chance" for test in self.tests)

    def may_match(self, packet: Packet) -> bool:
        """Whether the packet can match."""
        return all(test.holds(packet) for test in self.tests)

    def text(self) -> str:
        """The line of a dump."""
        words = ["-A", self.chain, *(test.text for test in self.tests)]
        kind, _, name = self.target.partition(":")
        words += ["-g" if kind == "goto" else "-j", name or kind]
        return " ".join(words)


@dataclass(frozen=True)
class Table:
    """A filter table."""

    policies: dict[str, str]
    users: tuple[str, ...]
    rules: tuple[Rule, ...]
    packets: tuple[Packet, ...] = field(default=(), repr=False)

    def text(self) -> str:
        """The dump."""
        lines = ["*filter", *(f":{name} {policy} [0:0]" for name, policy in self.policies.items())]
        lines += [f":{name} - [0:0]" for name in self.users]
        return "\n".join([*lines, *(rule.text() for rule in self.rules), "COMMIT", ""])

    def chain(self, name: str) -> list[Rule]:
        """The rules of a chain."""
        return [rule for rule in self.rules if rule.chain == name]

    def without(self, numbers: Iterable[int]) -> Table:
        """The table with some rules removed."""
        gone = set(numbers)
        return Table(
            self.policies, self.users, tuple(r for r in self.rules if r.number not in gone), self.packets
        )


@dataclass(frozen=True)
class Run:
    """One way that things can go for a packet in a chain: the rules that it matched, and how it left the chain."""

    matched: frozenset[int]
    end: str


def runs(table: Table, chain: str, packet: Packet) -> list[Run]:
    """Every way that things can go; ``return`` is the end of what comes back to the caller."""
    return list(dict.fromkeys(_runs(table, table.chain(chain), 0, packet, frozenset())))


def _runs(
    table: Table, rules: list[Rule], place: int, packet: Packet, matched: frozenset[int]
) -> Iterator[Run]:
    if place == len(rules):
        yield Run(matched, "return")
        return
    rule = rules[place]
    if not rule.may_match(packet) or rule.by_chance:
        yield from _runs(table, rules, place + 1, packet, matched)
    if not rule.may_match(packet):
        return
    matched = matched | {rule.number}
    kind, _, name = rule.target.partition(":")
    if kind == "LOG":
        yield from _runs(table, rules, place + 1, packet, matched)
    elif kind == "RETURN":
        yield Run(matched, "return")
    elif kind in ("jump", "goto"):
        for run in runs(table, name, packet):
            if run.end == "return" and kind == "jump":
                yield from _runs(table, rules, place + 1, packet, matched | run.matched)
            else:
                yield Run(matched | run.matched, run.end)
    else:
        yield Run(matched, kind)


def matched_rules(table: Table) -> set[int]:
    """The rules that some packet matches."""
    result: set[int] = set()
    for packet in table.packets:
        for run in runs(table, packet.hook, packet):
            result |= run.matched
    return result


def ends(table: Table) -> list[frozenset[str]]:
    """What can become of each packet."""
    return [
        frozenset(
            table.policies[packet.hook] if run.end == "return" else run.end
            for run in runs(table, packet.hook, packet)
        )
        for packet in table.packets
    ]


def ways(table: Table, chain: str) -> list[tuple[Rule, ...]]:
    """The jumps that lead from a built-in chain to ``chain``."""
    if chain in table.policies:
        return [()]
    return [
        (*way, rule)
        for rule in table.rules
        if rule.target in (f"jump:{chain}", f"goto:{chain}")
        for way in ways(table, rule.chain)
    ]


def could_match(table: Table, rule: Rule) -> list[tuple[tuple[Rule, ...], Packet]]:
    """The ways and packets by which a rule would be matched if no other rule took a packet."""
    return [
        (way, packet)
        for way in ways(table, rule.chain)
        for packet in table.packets
        if packet.hook == (way[0].chain if way else rule.chain)
        and all(step.may_match(packet) for step in (*way, rule))
    ]


def takes(table: Table, rule: Rule, packet: Packet) -> bool:
    """Whether a packet that comes to a rule certainly goes no further in its chain."""
    kind, _, name = rule.target.partition(":")
    if rule.by_chance or not rule.may_match(packet) or kind == "LOG":
        return False
    return kind != "jump" or all(run.end != "return" for run in runs(table, name, packet))


def blocks(table: Table, blockers: Iterable[int], rule: Rule) -> bool:
    """Whether the blocking rules alone keep every packet from a rule, on every way to it."""
    chosen = set(blockers)
    for way, packet in could_match(table, rule):
        before = [
            other
            for step in (*way, rule)
            for other in table.chain(step.chain)
            if other.number < step.number and other.number in chosen
        ]
        if not any(takes(table, other, packet) for other in before):
            return False
    return True


# -- small random rulesets --------------------------------------------------------------------------------


def _tests(rng: random.Random, features: list[str]) -> tuple[Test, ...]:
    found: list[Test] = []
    asked: list[str] = [
        name
        for name in ("source", "protocol", "state", "incoming", "outgoing", "fragment")
        if name in features
    ]
    for kind in asked:
        if rng.random() < 0.45:
            found.append(_test(rng, kind))
    protocol = next((t.value for t in found if t.kind == "protocol" and not t.negated), None)
    if protocol in ("tcp", "udp") and rng.random() < 0.6:
        found.append(_test(rng, "port"))
        if rng.random() < 0.15:
            found.append(_test(rng, "ports"))
    if protocol == "tcp" and "flags" in features and rng.random() < 0.5:
        found.append(_test(rng, "flags"))
    for kind in ("hops", "payload", "expires", "chance"):
        if kind in features and rng.random() < 0.25:
            found.append(_test(rng, kind))
    return tuple(found)


def _test(rng: random.Random, kind: str) -> Test:
    no = rng.random() < 0.25
    bang = "! " if no else ""
    if kind == "source":
        length = rng.choice([29, 30, 31, 32])
        first = rng.randrange(8) & ~((1 << 32 - length) - 1)
        return Test(f"{bang}-s 10.0.0.{first}/{length}", kind, (first, first + (1 << 32 - length) - 1), no)
    if kind == "protocol":
        name = rng.choice(["tcp", "tcp", "udp", "gre"])
        return Test(f"{bang}-p {name}", kind, name, no)
    if kind == "port":
        first = rng.randrange(1, 4)
        last = rng.randrange(first, 4)
        return Test(f"{bang}--dport {first}:{last}", kind, (first, last), no)
    if kind == "ports":
        first = rng.randrange(1, 4)
        return Test(f"-m multiport {bang}--dports {first},{first + 1}", "port", (first, first + 1), no)
    if kind == "flags":
        flags = rng.choice([SYN, ACK, NONE])
        text = {SYN: "--syn", ACK: "--tcp-flags ACK,SYN,URG ACK", NONE: "--tcp-flags ALL NONE"}[flags]
        return Test(f"{bang}{text}", kind, flags, no)
    if kind == "state":
        states = rng.choice([("NEW",), ("ESTABLISHED", "RELATED"), ("INVALID",), ("NEW", "ESTABLISHED")])
        if rng.random() < 0.3:
            return Test(f"-m state {bang}--state {','.join(states)}", kind, states, no)
        return Test(f"-m conntrack {bang}--ctstate {','.join(states)}", kind, states, no)
    if kind in ("incoming", "outgoing"):
        name = rng.choice(["eth0", "eth1"])
        return Test(f"{bang}-{kind[0]} {name}", kind, name, no)
    if kind == "fragment":
        return Test(f"{bang}-f", kind, None, no)
    if kind == "hops":
        return Test("-m ttl --ttl-eq 9", kind)
    if kind == "expires":
        return Test("-m conntrack --ctexpire 10", kind)
    if kind == "payload":
        return Test(f"-m string {bang}--string x --algo bm", kind, None, no)
    return Test("-m statistic --mode random --probability 0.5", kind)


FEATURES = (
    "source",
    "protocol",
    "flags",
    "state",
    "incoming",
    "outgoing",
    "hops",
    "payload",
    "fragment",
    "expires",
)


def random_table(rng: random.Random, *, chance: bool = False) -> Table:
    """A small table with every packet that its rules can tell apart."""
    features = ["protocol", *rng.sample(["source", *FEATURES[2:]], rng.randrange(1, 4))]
    if {"state", "expires"} & set(features) and "fragment" in features:
        features.remove("fragment")  # conntrack leaves no fragments
    if chance:
        features.append("chance")
    bases = ["INPUT"] if rng.random() < 0.5 else ["INPUT", "FORWARD", "OUTPUT"]
    users = tuple(f"u{number}" for number in range(rng.randrange(4)))
    rules: list[Rule] = []
    chains = [*bases, *users]
    for position, chain in enumerate(chains):
        callable_ = [name for name in users if name not in bases and chains.index(name) > position]
        for _ in range(rng.randrange(1, 6 if chain in bases else 5)):
            targets = [
                "ACCEPT",
                "ACCEPT",
                "DROP",
                "DROP",
                "REJECT",
                "LOG",
                *(["RETURN"] if chain in users else []),
            ]
            if callable_ and rng.random() < 0.5:
                targets = [f"{rng.choice(['jump', 'jump', 'goto'])}:{name}" for name in callable_]
            target = rng.choice(targets)
            tests = _tests(rng, features) if rng.random() < 0.9 else ()
            if sum(rule.by_chance for rule in rules) >= 3:
                tests = tuple(test for test in tests if test.kind != "chance")
            rules.append(Rule(len(rules), chain, tests, target))
    policies = dict.fromkeys(("INPUT", "FORWARD", "OUTPUT"), "ACCEPT")
    policies |= {name: rng.choice(["ACCEPT", "DROP"]) for name in bases}
    return Table(policies, users, tuple(rules), tuple(_packets(rules, bases)))


def _packets(rules: list[Rule], bases: list[str]) -> Iterator[Packet]:
    """One packet of each class that the rules tell apart."""
    kinds = {test.kind for rule in rules for test in rule.tests}
    # Without conntrack, fragments come in as they are.
    asked = kinds | (
        {"fragment"} if kinds & {"port", "flags"} and not kinds & {"state", "expires"} else set()
    )
    sources = range(9) if "source" in kinds else (8,)
    states = (
        ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
        if kinds & {"state", "expires"}
        else ("NEW",)
    )
    protocols = ("tcp", "udp", "gre", "esp") if "protocol" in kinds else ("tcp",)
    for hook in bases:
        for source, state, protocol in product(sources, states, protocols):
            ported = "port" in kinds and protocol in ("tcp", "udp")
            ports = (1, 2, 3, 4, 5) if ported else (5,)
            flags = (SYN, ACK, NONE, URG) if "flags" in kinds and protocol == "tcp" else (SYN,)
            names = ("eth0", "eth1", "eth2")
            incoming = names if "incoming" in kinds and hook != "OUTPUT" else ("",)
            outgoing = names if "outgoing" in kinds and hook != "INPUT" else ("",)
            booleans: list[tuple[Any, ...]] = [
                (False, True) if kind in asked else (False,)
                for kind in ("hops", "payload", "fragment", "expires")
            ]
            for rest in product(ports, flags, (state,), incoming, outgoing, *booleans):
                yield Packet(hook, source, protocol, *rest)
