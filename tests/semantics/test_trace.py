"""The story of one packet: what its steps say, and that it ends as the decision says of the same packet."""

from __future__ import annotations

from itertools import cycle
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ipt2np import Can, Decision, Facts, Field, Half, PacketSet, decide, parse_ruleset
from ipt2np.packets.intervals import AddressSet
from ipt2np.rules.assumptions import Assumptions
from ipt2np.semantics.decide import CONNECTION_PROTOCOLS, Side
from ipt2np.semantics.trace import Trace, trace
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


@FAMILIES
def test_every_trace_ends_as_the_walk_says_of_the_same_packets(family: int) -> None:
    turns = cycle(QUESTIONS)
    asked = [0]

    @examples(60)
    @given(rulesets(family), st.integers(0, 1 << 16))
    def check(text: str, seed: int) -> None:
        settings_, facts = next(turns)
        decision = decide(
            [parse_ruleset(text.encode(), "x", family=family)], Assumptions.parse(settings_), facts
        )
        (side,) = decision.sides
        for packets in random_packets(decision, side, Random(seed), 12):
            traces = trace(decision, packets)
            first, later, both = expected(decision, packets)
            told = (ended(traces.first), traces.can)
            assert told == (first, both) or traces.unrouted, (text, packets.witness(family), seed)
            if traces.later:
                assert ended(traces.later) & ~later == Can.NOTHING
            if traces.unrouted:
                assert traces.can & ~both == Can.NOTHING
            asked[0] += 1

    check()
    assert asked[0] > 500
