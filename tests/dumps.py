"""Rulesets as text, the way iptables-save prints them, for tests that need one."""

from __future__ import annotations

from collections.abc import Sequence

from ipt2np import Assumptions, Can, Decision, Facts, Field, Half, Rule, Ruleset, decide, parse_ruleset
from ipt2np.packets.intervals import AddressSet
from ipt2np.rules.model import Clause, Jump, TargetUse


def dump(*rules: str, policy: str = "DROP", chains: Sequence[str] = (), before: str = "") -> str:
    """A filter table; ``before`` is text of other tables in front of it."""
    declared = [f":{chain} - [0:0]" for chain in chains]
    lines = [
        "*filter",
        f":INPUT {policy} [0:0]",
        ":FORWARD DROP [0:0]",
        ":OUTPUT ACCEPT [0:0]",
        *declared,
        *rules,
        "COMMIT",
    ]
    return before + "\n".join(lines) + "\n"


def table(name: str, *lines: str) -> str:
    """Another table, its built-in chains left undeclared."""
    return "\n".join([f"*{name}", *lines, "COMMIT"]) + "\n"


def parsed(text: str | bytes, family: int | None = 4, file: str = "rules.v4") -> Ruleset:
    """The ruleset behind ``text``."""
    return parse_ruleset(text if isinstance(text, bytes) else text.encode(), file, family=family)


def only_rule(line: str, family: int | None = 4, chains: Sequence[str] = ("web",)) -> Rule:
    """The one rule that ``line`` is."""
    (rule,) = parsed(dump(line, chains=chains), family).rules
    return rule


def decided(text: str, *settings: str, family: int = 4, facts: Facts | None = None) -> Decision:
    """The decision on ``text`` under ``--assume`` settings."""
    return decide([parsed(text, family)], Assumptions.parse(settings), facts)


_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "icmpv6": 58, "sctp": 132}


def packet(
    source: str, protocol: str, port: int = 0, *, icmp_type: int = 0, source_port: int = 40000
) -> dict[Field, int]:
    """A packet's fields, as packet sets take them."""
    family = 6 if ":" in source else 4
    fields = {
        Field.FAMILY: 0 if family == 4 else 1,
        Field.SOURCE: AddressSet.cidrs(source).ranges[0][0],
        Field.PROTOCOL: _PROTOCOLS[protocol],
    }
    if protocol in ("icmp", "icmpv6"):
        return {**fields, Field.ICMP_TYPE: icmp_type}
    if protocol == "gre":
        return fields
    return {**fields, Field.DESTINATION_PORT: port, Field.SOURCE_PORT: source_port}


def fate_of(decision: Decision, source: str, protocol: str, port: int = 0, **more: int) -> str:
    """``accept``, ``refuse`` or, where the two bounds differ, ``undecided``: what becomes of a connection attempt."""
    fields = packet(source, protocol, port, **more)
    if fields in decision.must_accept:
        return "accept"
    return "undecided" if fields in decision.may_accept else "refuse"


def first_packets(decision: Decision, family: int = 4) -> Can:
    """What can become of any first TCP packet to port 80: one bit for each outcome that occurs."""
    (side,) = (side for side in decision.sides if side.family == family)
    outcome = side.walks[Half.FIRST].outcome.at(
        packet("192.0.2.1" if family == 4 else "2001:db8::1", "tcp", 80)
    )
    return decision.outcomes.can[outcome]


Said = tuple[frozenset[tuple[str, frozenset[Clause], str]], TargetUse | Jump | None]


def said(rule: Rule) -> Said:
    """What a rule says, however it is written: its matches and clauses without their order, and its target."""
    return frozenset(
        (use.extension.name, frozenset(use.clauses), use.text) for use in rule.matches
    ), rule.target


def chains_said(ruleset: Ruleset) -> dict[tuple[str, str], tuple[str | None, list[Said]]]:
    """Every chain's policy and rules, however they are written."""
    return {
        key: (chain.policy, [said(rule) for rule in chain.rules]) for key, chain in ruleset.chains.items()
    }
