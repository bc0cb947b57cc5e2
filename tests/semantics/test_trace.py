"""The story of one packet: what its steps say, and that it ends as the decision says of the same packet."""

from __future__ import annotations

from itertools import cycle
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ipt2np import Can, Decision, Facts, Field, Half, PacketSet, decide, parse_ruleset
from ipt2np.packets.intervals import AddressSet
from ipt2np.semantics import trace as tracing
from ipt2np.semantics.decide import CONNECTION_PROTOCOLS, Side
from ipt2np.semantics.states import State
from ipt2np.semantics.trace import Joined, Trace, Untold, trace
from tests.dumps import decided, dump, packet, table
from tests.kernel.generate import HOST_ADDRESSES, rulesets

FAMILIES = pytest.mark.parametrize("family", [4, 6])
QUESTIONS: tuple[tuple[tuple[str, ...], Facts], ...] = (
    ((), Facts()),
    (("rate=undecided",), Facts()),
    (("rate=undecided", "state=undecided", "unicast=undecided", "fragment=undecided"), Facts()),
    ((), Facts(interfaces=(("eth0", ()),))),
    ((), Facts(interfaces=(("eth0", ()), ("eth1", ("10.1.0.0/16", "fd00:1::/32"))))),
    ((), Facts(addresses=("10.0.0.1", "10.1.0.1", "fd00::1", "fd00:1::1"))),
    ((), Facts(routes=(("10.0.0.0/9", "eth0"), ("fd00::/16", "eth0"), ("10.128.0.0/9", "eth1")))),
)  # fmt: skip


def exactly(decision: Decision, fields: dict[Field, int]) -> PacketSet:
    """The packets with these values, all others free."""
    space = decision.space
    family = 6 if fields[Field.FAMILY] else 4
    found = space.family(family)
    for each, value in fields.items():
        if each in (Field.SOURCE, Field.DESTINATION):
            found &= space.addresses(each, AddressSet.of(family, [(value, value)]))
        elif each is not Field.FAMILY:
            found &= space.value(each, value)
    return found


def expected(decision: Decision, packets: PacketSet) -> tuple[Can, Can, Can]:
    """What the decision's maps say of a set: of first packets, of later ones, of connections on the wire."""
    found = [Can.NOTHING] * 3
    outcomes = decision.outcomes
    side = next(side for side in decision.sides if side.possible.meets(packets))
    first, later = (side.walks[half].outcome for half in Half)
    protocols = decision.space.values(Field.PROTOCOL, tuple((n, n) for n in CONNECTION_PROTOCOLS))
    both = decision.space.combine(lambda v: outcomes.both(v[0], v[1]), first, later).over(protocols, first)
    for place, each in enumerate((first, later, both)):
        for value in each.values(packets):
            found[place] |= outcomes.can[value]
    return found[0], found[1], found[2]


def ended(traces: tuple[Trace, ...]) -> Can:
    found = Can.NOTHING
    for each in traces:
        found |= each.can
    return found


def random_packets(decision: Decision, side: Side, rng: Random, count: int) -> list[PacketSet]:
    """Sets in which some fields have a value, as the rules' own neighbourhood has them, and others are free."""
    family = side.family
    labels = len(side.walker.view.interfaces.names)
    own = [each.split("/")[0] for pair in HOST_ADDRESSES.values() for each in pair]
    near = {
        4: ("10.0.0.66", "10.0.0.2", "10.1.0.9", "10.0.1.1", "192.168.3.4", "10.200.0.1", "250.1.1.1"),
        6: ("fd00::42", "fd00::9", "fd00:1::9", "2001:db8::1", "fe80::9", "fd00:0:0:1::1"),
    }[family]
    found: list[PacketSet] = []
    while len(found) < count:
        fields = {Field.FAMILY: int(family == 6)}
        protocol = rng.choice((6, 6, 6, 17, 17, 132, 1 if family == 4 else 58, 47))
        fields[Field.PROTOCOL] = protocol
        fields[Field.SOURCE] = AddressSet.cidrs(rng.choice(near)).ranges[0][0]
        if protocol in (6, 17, 132):
            fields[Field.DESTINATION_PORT] = rng.choice((22, 80, 81, 443, 444, 8080, 8081, 53, 1, 65535))
            if rng.random() < 0.8:
                fields[Field.SOURCE_PORT] = rng.choice((40000, 53, 1023, 1024))
        if protocol in (1, 58) and rng.random() < 0.8:
            fields[Field.ICMP_TYPE] = rng.choice((8, 0, 3, 128, 129, 135))
            fields[Field.ICMP_CODE] = rng.choice((0, 1, 4))
        if rng.random() < 0.7:
            fields[Field.INTERFACE] = rng.randrange(labels + 1)
        if rng.random() < 0.7:
            given = AddressSet.cidrs(rng.choice([each for each in own if (":" in each) == (family == 6)]))
            fields[Field.DESTINATION] = given.ranges[0][0]
        packets = exactly(decision, fields)
        if packets.meets(side.possible):
            found.append(packets & side.possible)
        else:
            count -= 1
    return found


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


def disagreements(decision: Decision, packets: PacketSet) -> list[str]:
    """What a trace says of a set of packets otherwise than the decision's maps."""
    traces = trace(decision, packets)
    first, later, both = expected(decision, packets)
    found = []
    if ended(traces.first) != first:
        found.append(f"first {ended(traces.first)!r}, not {first!r}")
    if ended(traces.later) & ~later:
        found.append(f"later {ended(traces.later)!r}, not {later!r}")
    # What no route leads back to is accepted where every interface would accept it.
    if traces.can & ~both if traces.unrouted else traces.can != both:
        found.append(f"connections {traces.can!r}, not {both!r}")
    return found


@FAMILIES
@pytest.mark.parametrize(
    ("steps", "ways"),
    [(None, None), (-12, None), (None, 1)],
    ids=["whole", "untold chains", "one way a state"],
)
def test_every_trace_ends_as_the_walk_says_of_the_same_packets(
    monkeypatch: pytest.MonkeyPatch, family: int, steps: int | None, ways: int | None
) -> None:
    turns = cycle(QUESTIONS)
    asked, untold = [0], [0]
    if steps is not None:
        monkeypatch.setattr(tracing, "MOST_STEPS", steps)
    if ways is not None:
        monkeypatch.setattr(tracing, "MOST_WAYS", ways)

    @examples(60 if steps is None and ways is None else 25)
    @given(rulesets(family), st.integers(0, 1 << 16))
    def check(text: str, seed: int) -> None:
        chosen, facts = next(turns)
        decision = decided(text, *chosen, family=family, facts=facts)
        (side,) = decision.sides
        for packets in random_packets(decision, side, Random(seed), 12):
            assert disagreements(decision, packets) == [], (text, packets.witness(family))
            asked[0] += 1
            told = trace(decision, packets).first
            untold[0] += any(isinstance(event, Untold) for each in told for event in each.events)

    check()
    assert asked[0] > 150
    assert (untold[0] > 5) == (steps is not None)


def web_packets(decision: Decision, source: str = "192.0.2.9", port: int = 80) -> PacketSet:
    """TCP from one source to one port, whatever the rest."""
    (side, *_) = decision.sides
    fields = packet(source, "tcp", port)
    del fields[Field.SOURCE_PORT]
    return exactly(decision, fields) & side.possible


NAT = (
    "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080-8081",
    "-A PREROUTING -p tcp -m tcp --dport 443 -j DNAT --to-destination 192.0.2.1",
    "-A PREROUTING -p tcp -m tcp --dport 22 -j DNAT --to-destination 203.0.113.1",
)


@pytest.mark.parametrize("port", [22, 80, 443, 8080])
@pytest.mark.parametrize(
    "rule",
    [
        "-p tcp -m tcp --dport 8080 -j ACCEPT",
        "-p tcp -m tcp --dport 8080:8081 -j ACCEPT",
        "-m conntrack --ctstate DNAT -j ACCEPT",
        "-m conntrack --ctorigdstport 80 -j ACCEPT",
        "-p tcp -m conntrack --ctstate DNAT -m tcp --dport 8080 -j DROP",
        "-d 192.0.2.1/32 -j REJECT",
    ],
)
def test_behind_nat_too(rule: str, port: int) -> None:
    decision = decided(
        dump(f"-A INPUT {rule}", "-A INPUT -i eth0 -j DROP", policy="ACCEPT", before=table("nat", *NAT)),
        facts=Facts(addresses=("192.0.2.1",)),
    )
    packets = web_packets(decision, "198.51.100.7", port)
    assert packets
    assert disagreements(decision, packets) == []


@pytest.mark.parametrize(
    "rules",
    [
        ("-A INPUT -p tcp -j FROB --x", "-A INPUT -j ACCEPT"),
        ("-A INPUT -m frob -j FROB --x",),
        ("-A INPUT -p tcp -m tcp --dport 80 -j TPROXY --on-port 3128 --on-ip 127.0.0.1",),
        ("-A INPUT -p tcp -j NFQUEUE --queue-num 0 --queue-bypass", "-A INPUT -j DROP"),
        ("-A INPUT -p tcp -j NFQUEUE --queue-num 0", "-A INPUT -j ACCEPT"),
    ],
)
def test_targets_that_do_as_they_like(rules: tuple[str, ...]) -> None:
    before = table("mangle", *(each.replace("INPUT", "PREROUTING") for each in rules if "TPROXY" in each))
    decision = decided(dump(*(each for each in rules if "TPROXY" not in each), before=before))
    assert disagreements(decision, web_packets(decision)) == []


@pytest.mark.parametrize(
    "before",
    [
        table("raw", "-A PREROUTING -p tcp -j CT --notrack"),
        table("raw", "-A PREROUTING -i eth0 -j NOTRACK"),
        table("raw", "-A OUTPUT -p tcp -m tcp --sport 80 -j CT --notrack"),
        table("mangle", "-A INPUT -i eth0 -j CONNMARK --set-mark 7"),
        table("mangle", "-A INPUT -i eth0 -j MARK --set-mark 7"),
        table("nat", ":PREROUTING DROP [0:0]"),
    ],
)
def test_what_packets_carry_with_them(before: str) -> None:
    rules = (
        "-A INPUT -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT",
        "-A INPUT -m connmark --mark 7 -j ACCEPT",
        "-A INPUT -m mark --mark 7 -j REJECT",
    )
    decision = decided(dump(*rules, before=before))
    assert disagreements(decision, web_packets(decision)) == []


@pytest.mark.parametrize(
    "other",
    [
        dump("-A INPUT -i eth0 -j REJECT", policy="ACCEPT"),
        dump("-A INPUT -p tcp -j FROB --x", policy="DROP"),
        dump("-A INPUT -j ACCEPT", before=table("raw", "-A PREROUTING -p tcp -j NOTRACK")),
        dump("-A INPUT -j ACCEPT", before=table("nat", "-A PREROUTING -p tcp -j REDIRECT --to-ports 9")),
        dump("-A INPUT -m conntrack --ctstate ESTABLISHED -j DROP", policy="ACCEPT"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_two_rulesets_of_a_host_are_passed_one_after_the_other(other: str, swapped: bool) -> None:
    main = dump("-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A INPUT -p tcp -i eth1 -j ACCEPT")
    one, two = (other, main) if swapped else (main, other)
    first = parse_ruleset(one.encode(), "one", family=4)
    second = parse_ruleset(two.encode(), "two", family=4, first_number=len(first.rules))
    decision = decide([first], also=[second])
    if any(side.mappings for side in decision.sides):
        # What nat does is told in local ports there; here it is enough that neither rules the other out.
        assert trace(decision, web_packets(decision)).can & Can.ACCEPT
        return
    packets = web_packets(decision)
    wanted = Can.NOTHING
    for value in decision.connections.values(packets):
        wanted |= decision.outcomes.can[value]
    assert trace(decision, packets).can == wanted


# -- what the steps say -------------------------------------------------------------------------------------


def steps_of(text: str, source: str = "192.0.2.9", port: int = 80) -> list[tuple[int, str]]:
    """Line and outcome of each rule that the first packet comes to."""
    decision = decided(text)
    (first,) = trace(decision, web_packets(decision, source, port)).first
    return [(step.rule.location.line, step.outcome.value) for step in first.steps if step.rule is not None]


def test_return_from_a_user_chain_continues_after_the_jump() -> None:
    text = dump(
        "-A INPUT -j web", "-A INPUT -j ACCEPT", "-A web -p tcp -j RETURN", "-A web -j DROP", chains=["web"]
    )
    assert steps_of(text) == [(6, "matched"), (8, "matched"), (7, "matched")]


def test_a_goto_does_not_come_back() -> None:
    text = dump("-A INPUT -g web", "-A INPUT -j ACCEPT", "-A web -p udp -j DROP", chains=["web"])
    assert steps_of(text) == [(6, "matched"), (8, "not matched")]


def test_two_rules_about_the_same_thing_answer_alike_on_each_way() -> None:
    decision = decided(
        dump("-A INPUT -i eth0 -j web", "-A INPUT ! -i eth0 -j DROP", "-A INPUT -j ACCEPT", chains=["web"])
    )
    (first,) = trace(decision, web_packets(decision)).first
    second = [step.outcome for step in first.steps if step.rule is not None and step.rule.location.line == 7]
    assert sorted(each.value for each in second) == ["matched", "not matched"]


def test_ways_that_meet_with_the_same_packets_are_one() -> None:
    decision = decided(dump("-A INPUT -m set --match-set s src -j web", "-A INPUT -j ACCEPT", chains=["web"]))
    (first,) = trace(decision, web_packets(decision)).first
    assert [(each.way, each.into) for each in first.events if isinstance(each, Joined)] == [(2, 1)]
    assert len([step for step in first.steps if step.rule is not None]) == 2


def test_a_rule_that_only_counts_or_logs_makes_no_fork() -> None:
    decision = decided(dump("-A INPUT -i eth0 -j LOG", "-A INPUT -i eth0", "-A INPUT -j ACCEPT"))
    (first,) = trace(decision, web_packets(decision)).first
    assert first.ways == 1
    assert [step.outcome.value for step in first.steps] == ["undecided", "undecided", "matched"]


@FAMILIES
def test_the_parts_of_a_rule_together_mean_the_rule(family: int) -> None:
    @examples(30)
    @given(rulesets(family))
    def check(text: str) -> None:
        (side,) = decided(text, family=family).sides
        for rule in side.ruleset.rules:
            base = (rule.table, rule.chain)
            whole = side.walker.meaning(base, rule, Half.FIRST, State())
            may = must = side.walker.space.everything
            for part in side.walker.parts(base, rule, Half.FIRST, State()):
                may, must = may & part.meaning.may, must & part.meaning.must
            assert (may, must) == (whole.may, whole.must)

    check()
