"""The judge is judged: semantics that are wrong on purpose must not get past the kernel.

Each mutation changes one thing in ipt2np and names a small ruleset that tells the difference; without the
mutation kernel and ipt2np agree about that ruleset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Final

import pytest

from ipt2np import AddressSet, Facts, Half, PacketSet
from ipt2np.rules.extension import Effect
from ipt2np.rules.marks import FULL, Bits
from ipt2np.rules.matches import conntrack
from ipt2np.rules.meaning import Hook, Meaning, View
from ipt2np.rules.model import Chain, Clause, Jump, Rule, Ruleset
from ipt2np.semantics import existing, states
from ipt2np.semantics import walk as walking
from ipt2np.semantics.outcomes import Outcomes
from ipt2np.semantics.walk import Walker

from .differential import PLAIN, Question, Tally, against, ask, boundary, story
from .host import KernelHost

deciding: Final = import_module("ipt2np.semantics.decide")  # the package has a function of that name
Patch = Callable[[pytest.MonkeyPatch], None]
_COUNT: Final = 400


@dataclass(frozen=True)
class Mutation:
    """What is broken, how, and a ruleset that must show it."""

    name: str
    apply: Patch
    rules: tuple[str, ...]
    policy: str = "DROP"
    chains: tuple[str, ...] = ()
    before: str = ""
    family: int = 4
    question: Question = PLAIN

    @property
    def text(self) -> str:
        lines = ["*filter", f":INPUT {self.policy} [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
        lines += [f":{chain} - [0:0]" for chain in self.chains]
        return self.before + "\n".join([*lines, *self.rules, "COMMIT", ""])


# -- ways to break things ---------------------------------------------------------------------------------


def effects(change: Callable[[Rule, Effect], Effect]) -> Patch:
    """Targets do something else."""
    real = states.effect_of

    def apply(monkeypatch: pytest.MonkeyPatch) -> None:
        for module in (states, walking):
            monkeypatch.setattr(module, "effect_of", lambda rule: change(rule, real(rule)))

    return apply


def rules(change: Callable[[Rule], Rule], method: str) -> Patch:
    """Rules are read as other rules, by one method of the walker."""
    real = getattr(Walker, method)
    return lambda monkeypatch: monkeypatch.setattr(
        Walker,
        method,
        lambda self, *more: real(self, *(change(each) if isinstance(each, Rule) else each for each in more)),
    )


def clauses(change: Callable[[Clause], Clause | None]) -> Patch:
    """Clauses are read as other clauses, or not at all."""

    def changed(rule: Rule) -> Rule:
        uses = []
        for use in rule.matches:
            kept = (change(clause) for clause in use.clauses)
            uses.append(replace(use, clauses=tuple(clause for clause in kept if clause is not None)))
        return replace(rule, matches=tuple(uses))

    return rules(changed, "_meaning")


def without(*options: str) -> Patch:
    return clauses(lambda clause: None if clause.option in options else clause)


def renamed(**names: str) -> Patch:
    pairs = {f"--{old.replace('_', '-')}": f"--{new.replace('_', '-')}" for old, new in names.items()}
    return clauses(lambda clause: replace(clause, option=pairs.get(clause.option, clause.option)))


def revalued(option: str, change: Callable[..., tuple[object, ...]]) -> Patch:
    return clauses(
        lambda clause: replace(clause, values=change(*clause.values)) if clause.option == option else clause
    )


def positive(option: str) -> Patch:
    return clauses(lambda clause: replace(clause, negated=False) if clause.option == option else clause)


def chains(change: Callable[[Chain], Chain]) -> Patch:
    """The chain INPUT of the filter table is another one."""
    real = Walker.__init__

    def init(self: Walker, ruleset: Ruleset, *more: Any) -> None:
        key = ("filter", "INPUT")
        changed = {**ruleset.chains, key: change(ruleset.chains[key])}
        real(self, replace(ruleset, chains=changed), *more)

    return lambda monkeypatch: monkeypatch.setattr(Walker, "__init__", init)


def meanings(change: Callable[[Meaning], Meaning]) -> Patch:
    real = Walker._meaning
    return lambda monkeypatch: monkeypatch.setattr(
        Walker, "_meaning", lambda self, *more: change(real(self, *more))
    )


def path_without(*tables: str) -> Patch:
    kept = tuple(key for key in states.INPUT_PATH if key[0] not in tables)
    return lambda monkeypatch: monkeypatch.setattr(walking, "INPUT_PATH", kept)


def connection_states(names: dict[str, str]) -> Patch:
    real = conntrack.in_state

    def in_state(view: View, state: str) -> PacketSet:
        return real(view, names.get(state, state))

    return lambda monkeypatch: monkeypatch.setattr(conntrack, "in_state", in_state)


def jumps(goto: bool) -> Patch:
    return rules(
        lambda rule: (
            replace(rule, target=replace(rule.target, goto=goto)) if isinstance(rule.target, Jump) else rule
        ),
        "_with_rule",
    )


def _raw_after_conntrack(monkeypatch: pytest.MonkeyPatch) -> None:
    real = conntrack.in_state

    def in_state(view: View, state: str) -> PacketSet:
        return real(replace(view, hook=Hook.AFTER_CONNTRACK), state)

    monkeypatch.setattr(conntrack, "in_state", in_state)


def _first_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "_connections", lambda space, outcomes, halves: halves[Half.FIRST])


def _later_like_first(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Walker._meaning
    monkeypatch.setattr(
        Walker, "_meaning", lambda self, rule, half, *more: real(self, rule, Half.FIRST, *more)
    )


def _nothing_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Walker, "_after", lambda self, end: states.State(pending=end.nat))


def _nat_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Walker._after
    monkeypatch.setattr(Walker, "_after", lambda self, end: real(self, end)._replace(pending=None))


def _the_filter_sees_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walking, "behind", lambda view, rewrite, meaning: meaning)
    monkeypatch.setattr(walking, "before", lambda outcome, rewrite, join: outcome)


def _wire_ports_are_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "local", lambda wire, *more, **options: wire)


def _masks_are_full(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Bits.changed
    monkeypatch.setattr(Bits, "changed", lambda self, value, mask: real(self, value, FULL))


def _tested_under_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Bits.equal
    monkeypatch.setattr(Bits, "equal", lambda self, value, mask: real(self, value, FULL))


def _untracked_packets_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states.State, "untracked", lambda self: self)


def _answers_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Walker, "_changed_on_the_way_out", lambda self: 0)


def _one_side_of_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outcomes, "either", lambda self, cause, x, y, *asked: x or y)


def _accept_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outcomes, "onward", lambda self, outcome, *more: outcome)


def _echo_alone_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conntrack, "ICMP_OPENING", {4: ((1, (8,)),), 6: ((58, (128,)),)})


def _neighbours_are_invalid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conntrack, "ICMP_UNTRACKED", {4: (), 6: ()})


def _behind_the_other_interface(monkeypatch: pytest.MonkeyPatch) -> None:
    real = existing._arriving

    def swapped(view: View, given: Facts) -> existing.Existing:
        (one, cidrs), (two, more) = given.interfaces
        return real(view, Facts(((two, cidrs), (one, more))))

    monkeypatch.setattr(existing, "_arriving", swapped)


def _shorter(low_high: tuple[tuple[int, int], ...]) -> tuple[object, ...]:
    return (tuple((low, high - 1) for low, high in low_high if low < high),)


def _without_last(addresses: AddressSet) -> tuple[object, ...]:
    return (AddressSet.of(addresses.family, [(low, high - 1) for low, high in addresses.ranges]),)


def _user(rule: Rule) -> bool:
    return rule.chain not in ("INPUT", "PREROUTING")


RETURNING: Final = (
    "-A INPUT -j ONE",
    "-A INPUT -p tcp -m tcp --dport 20:30 -j ACCEPT",
    "-A ONE -p tcp -m tcp --dport 22 -j RETURN",
    "-A ONE -p tcp -m tcp --dport 22:25 -j DROP",
)
_RAW: Final = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING {}\nCOMMIT\n"
_MANGLE: Final = (
    "*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    ":POSTROUTING ACCEPT [0:0]\n{}\nCOMMIT\n"
)
_NAT: Final = (
    "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
    "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080\nCOMMIT\n"
)
_TWO: Final = (
    "-A INPUT -p tcp -j ONE",
    "-A ONE -g TWO",
    "-A ONE -j DROP",
    "-A TWO -p tcp -m tcp --dport 22 -j DROP",
)

MUTATIONS: Final = (
    Mutation(
        "RETURN falls through",
        effects(lambda rule, effect: Effect.CONTINUE if effect is Effect.RETURN else effect),
        RETURNING,
        chains=("ONE",),
    ),
    Mutation(
        "RETURN from a user chain ends the walk",
        effects(lambda rule, effect: Effect.ACCEPT if effect is Effect.RETURN and _user(rule) else effect),
        (*RETURNING[:1], "-A INPUT -p tcp -j DROP", *RETURNING[2:]),
        chains=("ONE",),
    ),
    Mutation("a jump does not come back", jumps(goto=True), RETURNING, chains=("ONE",)),
    Mutation("a goto comes back", jumps(goto=False), _TWO, policy="ACCEPT", chains=("ONE", "TWO")),
    Mutation(
        "DROP in a user chain accepts",
        effects(lambda rule, effect: Effect.ACCEPT if effect is Effect.DROP and _user(rule) else effect),
        RETURNING,
        chains=("ONE",),
    ),
    Mutation(
        "LOG accepts",
        effects(lambda rule, effect: Effect.ACCEPT if effect is Effect.LOG else effect),
        ("-A INPUT -p tcp -j LOG", "-A INPUT -p udp -m udp --dport 53 -j ACCEPT"),
    ),
    Mutation(
        "REJECT is passed over",
        effects(lambda rule, effect: Effect.CONTINUE if effect is Effect.REJECT else effect),
        ("-A INPUT -p tcp -m tcp --dport 22 -j REJECT", "-A INPUT -p tcp -j ACCEPT"),
    ),
    Mutation(
        "the built-in policy is ignored",
        chains(lambda chain: replace(chain, policy="ACCEPT")),
        ("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",),
    ),
    Mutation(
        "the built-in policy is turned round",
        chains(lambda chain: replace(chain, policy={"ACCEPT": "DROP"}.get(chain.policy or "", "ACCEPT"))),
        ("-A INPUT -p tcp -m tcp --dport 22 -j DROP",),
        policy="ACCEPT",
    ),
    Mutation(
        "the first rule is passed over",
        chains(lambda chain: replace(chain, rules=chain.rules[1:])),
        ("-A INPUT -p tcp -m tcp --dport 22 -j DROP", "-A INPUT -p tcp -j ACCEPT"),
    ),
    Mutation(
        "rules are tried from the last to the first",
        chains(lambda chain: replace(chain, rules=chain.rules[::-1])),
        ("-A INPUT -p tcp -m tcp --dport 22 -j DROP", "-A INPUT -p tcp -j ACCEPT"),
    ),
    Mutation(
        "a negation is dropped: source",
        positive("--source"),
        ("-A INPUT ! -s 10.0.0.0/24 -j ACCEPT",),
    ),
    Mutation(
        "a negation is dropped: protocol",
        positive("--protocol"),
        ("-A INPUT ! -p tcp -j ACCEPT",),
        family=6,
    ),
    Mutation(
        "a negation is dropped: multiport",
        positive("--destination-ports"),
        ("-A INPUT -p tcp -m multiport ! --dports 22,80 -j ACCEPT",),
    ),
    Mutation(
        "the bounds of an undecided match are swapped",
        meanings(lambda meaning: replace(meaning, may=meaning.must, must=meaning.may)),
        (
            "-A INPUT -p tcp -m string --string nowhere --algo bm -j ACCEPT",
            "-A INPUT -p udp -m string ! --string nowhere --algo bm -j DROP",
            "-A INPUT -p udp -j ACCEPT",
        ),
    ),
    Mutation(
        "an undecided match never holds",
        meanings(lambda meaning: replace(meaning, may=meaning.must)),
        ("-A INPUT -p tcp -m length --length 0:1500 -j ACCEPT",),
    ),
    Mutation(
        "an undecided match always holds",
        meanings(lambda meaning: replace(meaning, must=meaning.may)),
        ("-A INPUT -p tcp -m length --length 1400:1500 -j ACCEPT",),
    ),
    Mutation(
        "a fork forgets one of its ways",
        _one_side_of_doubt,
        (
            "-A INPUT -p tcp -m length --length 1400:1500 -j ACCEPT",
            "-A INPUT -p udp -m length --length 0:1500 -j ACCEPT",
        ),
    ),
    Mutation(
        "a port range ends one early",
        revalued("--destination-port", _shorter),
        ("-A INPUT -p tcp -m tcp --dport 20:25 -j ACCEPT",),
    ),
    Mutation(
        "--ports looks at the destination only",
        renamed(ports="destination_ports"),
        ("-A INPUT -p udp -m multiport --ports 53,123 -j ACCEPT",),
    ),
    Mutation(
        "source and destination port are swapped",
        renamed(source_port="destination_port", destination_port="source_port"),
        ("-A INPUT -p tcp -m tcp --sport 1024:65535 --dport 22 -j ACCEPT",),
    ),
    Mutation(
        "source and destination address are swapped",
        renamed(source="destination", destination="source"),
        ("-A INPUT -s 10.0.0.0/25 -d 10.0.0.0/8 -j ACCEPT",),
    ),
    Mutation(
        "iprange leaves out its last address",
        revalued("--src-range", _without_last),
        ("-A INPUT -m iprange --src-range fd00::10-fd00::1f -j ACCEPT",),
        family=6,
    ),
    Mutation(
        "the destination address is ignored",
        without("--destination"),
        ("-A INPUT -d 10.1.0.1/32 -j ACCEPT",),
    ),
    Mutation(
        "the input interface is ignored",
        without("--in-interface"),
        ("-A INPUT -i eth1 -j ACCEPT",),
    ),
    Mutation(
        "an interface wildcard is a name",
        revalued("--in-interface", lambda pattern: (pattern.rstrip("+"),)),
        ("-A INPUT -i eth+ -j ACCEPT",),
    ),
    Mutation(
        "NEW means ESTABLISHED",
        connection_states({"NEW": "ESTABLISHED", "ESTABLISHED": "NEW"}),
        ("-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",),
    ),
    Mutation(
        "INVALID is empty",
        connection_states({"INVALID": "RELATED"}),
        ("-A INPUT -m conntrack --ctstate INVALID -j DROP",),
        policy="ACCEPT",
    ),
    Mutation(
        "of ICMP only the echo request opens a connection",
        _echo_alone_opens,
        ("-A INPUT -p icmp -m icmp --icmp-type 13 -m conntrack --ctstate NEW -j ACCEPT",),
    ),
    Mutation(
        "neighbour discovery is tracked",
        _neighbours_are_invalid,
        (
            "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -m conntrack --ctstate INVALID -j DROP",
            "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT",
        ),
        family=6,
    ),
    Mutation(
        "the raw table is ignored",
        path_without("raw"),
        ("-A INPUT -p tcp -j ACCEPT",),
        before=_RAW.format("-p tcp -m tcp --dport 22 -j DROP"),
    ),
    Mutation(
        "the mangle table is ignored",
        path_without("mangle"),
        ("-A INPUT -p tcp -j ACCEPT",),
        before="*mangle\n:PREROUTING ACCEPT\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n"
        ":POSTROUTING ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j DROP\nCOMMIT\n",
    ),
    Mutation(
        "the security table is ignored",
        path_without("security"),
        ("-A INPUT -p tcp -j ACCEPT",),
        before="*security\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n"
        "-A INPUT -p tcp -m tcp --dport 22 -j DROP\nCOMMIT\n",
    ),
    Mutation(
        "an accept in an earlier table is the last word",
        _accept_is_final,
        ("-A INPUT -p tcp -m tcp --dport 22 -j DROP",),
        before=_RAW.format("-p tcp -j ACCEPT"),
    ),
    Mutation(
        "NOTRACK is ignored",
        effects(lambda rule, effect: Effect.CONTINUE if effect is Effect.UNTRACK else effect),
        ("-A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT",),
        before=_RAW.format("-p tcp -m tcp --dport 22 -j CT --notrack"),
    ),
    Mutation(
        "raw PREROUTING knows the connection",
        _raw_after_conntrack,
        ("-A INPUT -p tcp -j ACCEPT",),
        before=_RAW.format("-m conntrack --ctstate INVALID -j DROP"),
    ),
    Mutation(
        "TCP flags are ignored",
        without("--tcp-flags", "--syn"),
        ("-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT",),
    ),
    Mutation(
        "the ICMP code is ignored",
        revalued("--icmp-type", lambda wanted: ((wanted[0], 0, 255),)),
        ("-A INPUT -p icmp -m icmp --icmp-type 3/4 -j ACCEPT",),
    ),
    Mutation(
        "the ICMP type is ignored",
        revalued("--icmpv6-type", lambda wanted: (None,)),
        ("-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT",),
        family=6,
    ),
    Mutation(
        "later packets do not count for a connection",
        _first_only,
        ("-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT",),
    ),
    Mutation(
        "later packets are judged like the first",
        _later_like_first,
        ("-A INPUT -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT",),
    ),
    Mutation(
        "later packets do not inherit the connection's mark",
        _nothing_is_inherited,
        ("-A INPUT -m conntrack --ctstate NEW -j ACCEPT", "-A INPUT -m connmark --mark 0x5 -j ACCEPT"),
        before=_MANGLE.format("-A INPUT -m conntrack --ctstate NEW -j CONNMARK --set-xmark 0x5/0xffffffff"),
    ),
    Mutation(
        "answers do not change the connection's mark",
        _answers_change_nothing,
        ("-A INPUT -m connmark --mark 0x0/0x2 -j ACCEPT",),
        before=_MANGLE.format("-A OUTPUT -j CONNMARK --set-xmark 0x2/0x2"),
    ),
    Mutation(
        "a mark is set as a whole",
        _masks_are_full,
        ("-A INPUT -p tcp -m mark --mark 0x3 -j ACCEPT",),
        before=_MANGLE.format("-A INPUT -j MARK --set-xmark 0x1/0x1\n-A INPUT -j MARK --set-xmark 0x2/0x2"),
    ),
    Mutation(
        "a mark is tested as a whole",
        _tested_under_no_mask,
        ("-A INPUT -p tcp -m mark --mark 0x1/0x1 -j ACCEPT", "-A INPUT -m mark --mark 0x0/0x2 -j DROP"),
        before=_MANGLE.format("-A INPUT -j MARK --set-xmark 0x3/0xffffffff"),
    ),
    Mutation(
        "MARK is ignored",
        effects(lambda rule, effect: Effect.CONTINUE if effect is Effect.MARK else effect),
        ("-A INPUT -p tcp -m mark --mark 0x1/0x1 -j ACCEPT",),
        before=_MANGLE.format("-A INPUT -j MARK --set-xmark 0x1/0xffffffff"),
    ),
    Mutation(
        "an untracked packet keeps its connection",
        _untracked_packets_are_marked,
        ("-A INPUT -m connmark --mark 0x0 -j ACCEPT",),
        before=_RAW.format("-p tcp -m tcp --dport 22 -j CT --notrack"),
    ),
    Mutation(
        "the filter sees the port on the wire",
        _the_filter_sees_the_wire,
        ("-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT",),
        before=_NAT,
    ),
    Mutation(
        "later packets are not redirected",
        _nat_is_forgotten,
        ("-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT",),
        before=_NAT,
    ),
    Mutation(
        "decisions are in ports on the wire",
        _wire_ports_are_local,
        ("-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT",),
        before=_NAT + _RAW.format("-p tcp -m tcp --dport 8080 -j DROP"),
    ),
    Mutation(
        "sources are behind the other interface",
        _behind_the_other_interface,
        ("-A INPUT -i eth1 -j ACCEPT",),
        question=Question(facts=Facts(interfaces=(("eth0", ()), ("eth1", ("10.1.0.0/16",))))),
    ),
)


def test_there_are_enough_mutations() -> None:
    assert len(MUTATIONS) >= 12
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_kernel_catches(host: KernelHost, monkeypatch: pytest.MonkeyPatch, mutation: Mutation) -> None:
    text, family, questions = mutation.text, mutation.family, (mutation.question,)
    heard = ask(text, family, host, boundary(text, family, host, _COUNT))
    found = against(heard, questions, policies=False)
    assert not found, story(text, found)
    mutation.apply(monkeypatch)
    caught = against(heard, questions, policies=False, tally=Tally())
    assert caught, f"nobody noticed that {mutation.name}:\n{text}"
    assert {type(each.kernel) for each in caught} == {bool}


def test_the_kernel_says_both(host: KernelHost) -> None:
    """A harness that always gives the same answer would notice every mutation, too."""
    text = MUTATIONS[0].text
    heard = ask(text, 4, host, boundary(text, 4, host, _COUNT))
    assert {True, False} <= set(heard.first)
    assert {True, None} <= set(heard.later)
