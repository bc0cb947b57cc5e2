"""Random pairs of hosts, the second an edit of the first, judged packet by packet in every world that could be.

A world says what no ruleset does: whether each text is in the payload, on which interface and to which address of the host
a packet comes. Nothing of ``ipt2np`` is used.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product

from tests.cni.random_hosts import PORTED, SCTP, TCP, HostRule, Packet, Range, Writer, _edges

TEXTS = ("alpha", "beta")
INTERFACES = ("eth0", "eth1", "wlan0")
"""The last one stands for all that no rule names."""
DESTINATIONS = {
    4: ("192.0.2.1", "192.0.2.2", "192.0.2.99"),
    6: ("2001:db8::1", "2001:db8::2", "2001:db8::99"),
}
VERDICTS = ("ACCEPT", "DROP", "REJECT")


@dataclass(frozen=True)
class World:
    """What is true of a packet beside its header."""

    texts: Mapping[str, bool]
    interface: str
    destination: str
    new: bool = True


@dataclass(frozen=True)
class OpenRule(HostRule):
    """A rule that may test what no header of a connection's first packet settles."""

    contains: str = ""
    interface: str = ""
    destination: str = ""
    new: bool = False
    """Tests for the first packet of a connection."""
    goto: bool = False

    def text(self, chain: str, family: int) -> str:
        words = [super().text(chain, family).rpartition(" -j ")[0]]
        if self.interface:
            words.append(f"-i {self.interface}")
        if self.destination:
            words.append(f"-d {self.destination}")
        if self.contains:
            words.append(f'-m string --string "{self.contains}" --algo bm --to 65535')
        if self.new:
            words.append("-m conntrack --ctstate NEW")
        words.append(f"{'-g' if self.goto else '-j'} {self.target}")
        return " ".join(words)

    def holds(self, packet: Packet, world: World) -> bool:
        return (
            self.matches(packet) is True
            and (not self.interface or world.interface == self.interface)
            and (not self.destination or world.destination == self.destination)
            and (not self.contains or world.texts[self.contains])
            and (not self.new or world.new)
        )


Rules = tuple[OpenRule, ...]


@dataclass(frozen=True)
class OpenHost:
    """One family's filter table."""

    family: int
    policy: str
    chains: Mapping[str, Rules]
    established: bool = True
    """Whether later packets of connections are accepted at once."""

    def lines(self) -> list[str]:
        """As iptables-save prints it."""
        users = [chain for chain in self.chains if chain != "INPUT"]
        lines = ["*filter", f":INPUT {self.policy} [0:0]", *(f":{chain} - [0:0]" for chain in users)]
        if self.established:
            lines.append("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
        lines += [rule.text(chain, self.family) for chain, rules in self.chains.items() for rule in rules]
        return [*lines, "COMMIT"]

    def text(self) -> str:
        return "\n".join(self.lines()) + "\n"

    def decided(self, packet: Packet, world: World) -> tuple[bool, str]:
        """Whether one packet is accepted, and by what: a line, or the policy."""
        if self.established and not world.new:
            return True, "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        found = self._walk("INPUT", packet, world)
        if found is None:
            return self.policy == "ACCEPT", f"INPUT policy {self.policy}"
        chain, rule = found
        return rule.target == "ACCEPT", rule.text(chain, self.family)

    def _walk(self, chain: str, packet: Packet, world: World) -> tuple[str, OpenRule] | None:
        """The rule that decides; None where the chain comes to its end."""
        for rule in self.chains[chain]:
            if not rule.holds(packet, world) or rule.target == "LOG":
                continue
            if rule.target == "RETURN":
                return None
            if rule.target in VERDICTS:
                return chain, rule
            found = self._walk(rule.target, packet, world)
            if found is not None or rule.goto:
                return found
        return None

    def connects(self, packet: Packet, first: World, later: World) -> bool:
        """Whether a connection comes about: its first packet and, where they are tracked so, its later ones."""
        accepted = self.decided(packet, first)[0]
        return accepted and (packet.protocol not in (TCP, SCTP) or self.decided(packet, later)[0])

    @property
    def rules(self) -> list[OpenRule]:
        return [rule for rules in self.chains.values() for rule in rules]


def worlds(family: int, hosts: Sequence[OpenHost], packet: Packet) -> Iterator[tuple[World, World]]:
    """All that may be true of a connection's first and later packets."""
    rules = [rule for host in hosts for rule in host.rules]
    texts = sorted({rule.contains for rule in rules} - {""})
    interfaces = INTERFACES if any(rule.interface for rule in rules) else INTERFACES[-1:]
    destinations = (
        DESTINATIONS[family] if any(rule.destination for rule in rules) else DESTINATIONS[family][-1:]
    )
    followed = packet.protocol in (TCP, SCTP) and not all(host.established for host in hosts)
    for interface, destination in product(interfaces, destinations):
        for truths in product((False, True), repeat=len(texts)):
            first = World(dict(zip(texts, truths, strict=True)), interface, destination)
            if not followed:
                yield first, replace(first, new=False)
                continue
            for others in product((False, True), repeat=len(texts)):
                yield first, World(dict(zip(texts, others, strict=True)), interface, destination, False)


class Editor:
    """Random hosts, edits of them, and rewrites that keep what they mean."""

    def __init__(self, rng: random.Random, family: int = 4) -> None:
        self.rng, self.family = rng, family
        self.writer = Writer(rng, family)

    def host(self) -> OpenHost:
        """A host of a few rules, some of which are open."""
        rng = self.rng
        users = [f"user{number}" for number in range(rng.choice((0, 1, 1, 2, 3)))]
        chains = {}
        for number, name in enumerate(["INPUT", *users]):
            chains[name] = tuple(self.rule(users[number:]) for _ in range(rng.randint(1, 5)))
        return OpenHost(self.family, rng.choice(("ACCEPT", "DROP", "DROP")), chains, rng.random() < 0.8)

    def rule(self, users: Sequence[str]) -> OpenRule:
        """A rule that may jump to one of ``users``."""
        rng = self.rng
        plain = replace(self.writer.rule(users), undecided=False)
        more: dict[str, object] = {}
        draw = rng.random()
        if draw < 0.25:
            more["contains"] = rng.choice(TEXTS)
        elif draw < 0.33:
            more["interface"] = rng.choice(INTERFACES[:2])
        elif draw < 0.41:
            more["destination"] = rng.choice(DESTINATIONS[self.family][:2])
        more["new"] = rng.random() < 0.06
        more["goto"] = plain.target in users and rng.random() < 0.3
        given = {each.name: getattr(plain, each.name) for each in fields(plain)}
        if rng.random() < 0.3:
            # Broad rules let what is open matter to many packets.
            given |= {"source": (), "source_text": "", "not_source": False}
        return OpenRule(**given, **more)  # type: ignore[arg-type]

    # -- edits -------------------------------------------------------------------------------------------

    def edited(self, host: OpenHost) -> OpenHost:
        """The host with a rule added, removed, moved or changed, or another policy."""
        rng = self.rng
        name = rng.choice(list(host.chains))
        rules = list(host.chains[name])
        place = rng.randrange(len(rules) + 1)
        behind = list(host.chains)[list(host.chains).index(name) + 1 :]
        draw = rng.random()
        if draw < 0.25 or not rules:
            rules.insert(place, self.rule(behind))
        elif draw < 0.45:
            del rules[place - 1]
        elif draw < 0.65:
            rules.insert(rng.randrange(len(rules)), rules.pop(place - 1))
        elif draw < 0.9:
            rules[place - 1] = self._changed(rules[place - 1], behind)
        elif draw < 0.95:
            return replace(host, policy="DROP" if host.policy == "ACCEPT" else "ACCEPT")
        else:
            return replace(host, established=not host.established)
        return replace(host, chains={**host.chains, name: tuple(rules)})

    def _changed(self, rule: OpenRule, behind: Sequence[str]) -> OpenRule:
        rng = self.rng
        what = rng.choice(("target", "contains", "interface", "destination", "all"))
        if what == "target":
            return replace(rule, target=rng.choice((*VERDICTS, "RETURN", *behind)), goto=False)
        if what == "contains":
            return replace(rule, contains=rng.choice(("", *TEXTS)))
        if what == "interface":
            return replace(rule, interface=rng.choice(("", *INTERFACES[:2])))
        if what == "destination":
            return replace(rule, destination=rng.choice(("", *DESTINATIONS[self.family][:2])))
        return self.rule(behind)

    # -- rewrites ----------------------------------------------------------------------------------------

    def rewritten(self, host: OpenHost) -> OpenHost:
        """The same meaning, said otherwise."""
        ways: tuple[Callable[[OpenHost, str], OpenHost], ...] = (
            *(self._split, self._inlined, self._swapped, self._doubled, self._ports_apart),
            *(self._reworded, self._logged, self._renamed, self._policy_said),
        )
        for _ in range(self.rng.randint(1, 4)):
            host = self.rng.choice(ways)(host, self.rng.choice(list(host.chains)))
        return host

    def _split(self, host: OpenHost, name: str) -> OpenHost:
        rules = host.chains[name]
        if not rules:
            return host
        low = self.rng.randrange(len(rules))
        high = self.rng.randint(low + 1, len(rules))
        moved = rules[low:high]
        if any(rule.target == "RETURN" or rule.goto for rule in moved):
            return host
        new = f"part{len(host.chains)}{self.rng.randrange(1000)}"
        kept = (*rules[:low], OpenRule(new), *rules[high:])
        return replace(host, chains={**host.chains, name: kept, new: moved})

    def _inlined(self, host: OpenHost, name: str) -> OpenHost:
        rules = host.chains[name]
        for place, rule in enumerate(rules):
            if rule == OpenRule(rule.target) and rule.target in host.chains:
                inner = host.chains[rule.target]
                if not any(each.target == "RETURN" or each.goto for each in inner):
                    chained = (*rules[:place], *inner, *rules[place + 1 :])
                    return replace(host, chains={**host.chains, name: chained})
        return host

    def _swapped(self, host: OpenHost, name: str) -> OpenHost:
        """Two neighbours with the same verdict change places."""
        rules = list(host.chains[name])
        for place in self.rng.sample(range(len(rules)), len(rules)):
            if place and rules[place].target == rules[place - 1].target and rules[place].target in VERDICTS:
                rules[place - 1], rules[place] = rules[place], rules[place - 1]
                break
        return replace(host, chains={**host.chains, name: tuple(rules)})

    def _doubled(self, host: OpenHost, name: str) -> OpenHost:
        """A verdict stands twice, the second one somewhere behind the first."""
        rules = list(host.chains[name])
        verdicts = [place for place, rule in enumerate(rules) if rule.target in VERDICTS]
        if verdicts:
            place = self.rng.choice(verdicts)
            rules.insert(self.rng.randint(place + 1, len(rules)), rules[place])
        return replace(host, chains={**host.chains, name: tuple(rules)})

    def _ports_apart(self, host: OpenHost, name: str) -> OpenHost:
        """A rule for each port of a list."""
        rules: list[OpenRule] = []
        for rule in host.chains[name]:
            apart = len(rule.ports) > 1 and not rule.not_ports and rule.target in (*VERDICTS, "RETURN")
            rules += [replace(rule, ports=(port,)) for port in rule.ports] if apart else [rule]
        return replace(host, chains={**host.chains, name: tuple(rules)})

    def _reworded(self, host: OpenHost, name: str) -> OpenHost:
        """DROP and REJECT refuse alike."""
        other = {"DROP": "REJECT", "REJECT": "DROP"}
        rules = tuple(replace(rule, target=other.get(rule.target, rule.target)) for rule in host.chains[name])
        return replace(host, chains={**host.chains, name: rules})

    def _logged(self, host: OpenHost, name: str) -> OpenHost:
        rules = list(host.chains[name])
        rules.insert(self.rng.randrange(len(rules) + 1), replace(self.rule(()), target="LOG", goto=False))
        return replace(host, chains={**host.chains, name: tuple(rules)})

    def _renamed(self, host: OpenHost, name: str) -> OpenHost:
        if name == "INPUT":
            return host
        new = f"other{self.rng.randrange(10_000)}"
        return replace(
            host,
            chains={
                new if chain == name else chain: tuple(
                    replace(rule, target=new) if rule.target == name else rule for rule in rules
                )
                for chain, rules in host.chains.items()
            },
        )

    def _policy_said(self, host: OpenHost, name: str) -> OpenHost:
        """What the policy does is said by a last rule; RETURN and goto ask the policy itself."""
        if any(rule.target == "RETURN" or rule.goto for rule in host.chains["INPUT"]):
            return host
        last = OpenRule("ACCEPT" if host.policy == "ACCEPT" else "DROP")
        policy = "DROP" if host.policy == "ACCEPT" else "ACCEPT"
        return replace(host, policy=policy, chains={**host.chains, "INPUT": (*host.chains["INPUT"], last)})


def packets(rng: random.Random, hosts: Sequence[OpenHost], count: int) -> Iterator[Packet]:
    """Packets that open connections, most of them at boundaries of what the rules name."""
    family = hosts[0].family
    rules = [rule for host in hosts for rule in host.rules]
    spare = ipaddress.ip_network("198.51.100.9/32" if family == 4 else "2001:db8:9::9/128")
    sources = [near for net in (spare, *(n for r in rules for n in r.source[:2])) for near in _edges(net)]
    sources = [each for each in sources if _usable(each)]
    ranges: list[Range] = [each for rule in rules for each in (*rule.ports, *rule.source_ports)]
    ports = [near for low, high in ranges for near in (low - 1, low, low + 1, high, high + 1)]
    ports = [port for port in ports if 1 <= port <= 65535] + [80]
    protocols = [rule.protocol for rule in rules if rule.protocol is not None]
    icmp = 1 if family == 4 else 58
    for _ in range(count):
        source, protocol = rng.choice(sources), rng.choice((*protocols, 6, 17, rng.randrange(256)))
        if protocol in PORTED:
            yield Packet("external", source, protocol, rng.choice(ports), rng.choice((*ports, 40000)))
        elif protocol == icmp:
            kind = rng.choice((8, 13) if family == 4 else (128,))
            yield Packet("external", source, protocol, icmp_type=kind, icmp_code=rng.choice((0, 0, 1)))
        else:
            yield Packet("external", source, protocol)


def _usable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """An address that the kernel takes as a source, and that is none of the host's own."""
    if address.version == 4:
        first = int(address) >> 24
        return int(address) > 0 and first != 127 and first < 224
    return not address.is_loopback and not address.is_multicast and int(address) != 0
