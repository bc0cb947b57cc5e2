"""A ruleset as the kernel's own iptables-save prints it (iptables 1.8.9, legacy backend).

Chains come in the kernel's order, user chains sorted, rules under their chain; comments inside a table are not part of
what the kernel keeps. A rule with several sources or destinations is several rules to the kernel, and printed so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from ipt2np.rules.model import BUILTIN_CHAINS, Chain, Clause, Counters, Jump, MatchUse, Rule, Ruleset, Table
from ipt2np.rules.unread import why_unread
from ipt2np.rules.values import AddressSpec

_LISTED = ("--source", "--destination")


def ruleset_text(ruleset: Ruleset, *, counters: bool = False) -> str:
    """The whole dump; with ``counters`` each rule has its own in front, as `iptables-save -c` prints it."""
    return "".join(f"{line}\n" for table in ruleset.tables for line in _table(ruleset, table, counters))


def _table(ruleset: Ruleset, table: Table, counters: bool) -> Iterator[str]:
    builtin = BUILTIN_CHAINS[table.name]
    users = sorted(name for of, name in ruleset.chains if of == table.name and name not in builtin)
    chains = [ruleset.chains[table.name, name] for name in (*builtin, *users)]
    yield from table.before
    yield f"*{table.name}"
    for chain in chains:
        yield f":{chain.name} {chain.policy or '-'} {_counted(chain.counters if chain.policy else None)}"
    for chain in chains:
        yield from _rules(chain, ruleset.family, counters)
    yield "COMMIT"
    yield from table.after


def _counted(counters: Counters | None) -> str:
    packets, octets = counters or (0, 0)
    return f"[{packets}:{octets}]"


def _rules(chain: Chain, family: int, counters: bool) -> Iterator[str]:
    for rule in chain.rules:
        for line in rule_lines(rule, family):
            yield f"{_counted(rule.counters)} {line}" if counters and line[:1] != "#" else line


def rule_lines(rule: Rule, family: int) -> list[str]:
    """The ``-A`` lines that the kernel makes of a rule: one, or one for each pair of its addresses.

    None for a rule that iptables-restore skips since it is marked for the other family; a comment for one that
    could not be read.
    """
    other = "--ipv6" if family == 4 else "--ipv4"
    if any(clause.option == other for use in rule.matches for clause in use.clauses):
        return []
    if why_unread(rule) is not None:
        return [f"# line {rule.location.line} cannot be read: {rule.text}"]
    return [rule_text(each, family) for each in _single(rule)]


def _single(rule: Rule) -> Iterator[Rule]:
    for position, use in enumerate(rule.matches):
        choices = [_choices(clause) for clause in use.clauses]
        if all(len(each) == 1 for each in choices):
            continue
        for clauses in product(*choices):
            matches = list(rule.matches)
            matches[position] = MatchUse(use.extension, clauses, use.text)
            yield replace(rule, matches=tuple(matches))
        return
    yield rule


def _choices(clause: Clause) -> list[Clause]:
    spec = clause.values[0] if clause.values else None
    if clause.option not in _LISTED or not isinstance(spec, AddressSpec):
        return [clause]
    return [replace(clause, values=(replace(spec, networks=(one,)),)) for one in spec.networks]


def rule_text(rule: Rule, family: int) -> str:
    """The rule on one line, a list of addresses left as it is."""
    words = [f"-A {rule.chain}"]
    for use in rule.matches:
        if use.extension.name != "ip":
            words.append(f"-m {use.extension.name}")
        words += [use.text] if use.text else []
        words += use.extension.texts(use.clauses, family)
    if isinstance(rule.target, Jump):
        words.append(f"{'-g' if rule.target.goto else '-j'} {rule.target.chain}")
    elif rule.target is not None:
        words.append(f"-j {rule.target.extension.name}")
        words += [rule.target.text] if rule.target.text else []
        words += rule.target.extension.texts(rule.target.clauses, family)
    return " ".join(words)
