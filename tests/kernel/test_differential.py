"""Random rulesets: what the kernel does and what ipt2np says, probe by probe.

UDP-Lite under state matches is left out (see ``differential``): conntrack on 6.18 takes a UDP-Lite packet
whose checksum is right by RFC 3828 for INVALID.
"""

from __future__ import annotations

from itertools import cycle
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ipt2np import Facts, Field, Half, InDoubt

from .boundaries import boundary_probes
from .differential import PLAIN, Question, against, ask, boundary, shortest, story
from .generate import LIMIT_BURST, rulesets
from .host import KernelHost
from .membership import Members, label, packet, word
from .probe import ACK, FIN

FAMILIES = pytest.mark.parametrize("family", [4, 6])
PROBES = 2400
PSH, URG = 0x08, 0x20

#: What a user may choose; PLAIN is asked every time, one of these besides.
QUESTIONS = {
    "undecided rate": Question(("rate=undecided",)),
    "everything undecided": Question(
        ("rate=undecided", "state=undecided", "unicast=undecided", "fragment=undecided")
    ),
    "in doubt allow": Question(in_doubt=InDoubt.ALLOW),
    "one interface": Question(facts=Facts(interfaces=(("eth0", ()),))),
    "an interface that no rule names": Question(facts=Facts(interfaces=(("eth0", ()), ("eth5", ())))),
    "networks behind interfaces": Question(
        facts=Facts(interfaces=(("eth0", ()), ("eth1", ("10.1.0.0/16", "fd00:1::/32"))))
    ),
    "networks behind one interface only": Question(
        facts=Facts(interfaces=(("eth0", ("10.0.0.0/8", "fd00::/8")),))
    ),
    "one address": Question(facts=Facts(addresses=("10.0.0.1", "fd00::1"))),
    "both addresses": Question(facts=Facts(addresses=("10.0.0.1", "10.1.0.1", "fd00::1", "fd00:1::1"))),
    "interface and address": Question(
        facts=Facts(interfaces=(("eth1", ()),), addresses=("10.1.0.1", "fd00:1::1"))
    ),
    "interface and address in doubt": Question(
        ("rate=undecided",),
        Facts(interfaces=(("eth1", ()),), addresses=("10.0.0.1", "fd00::1")),
        InDoubt.ALLOW,
    ),
}


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
def test_the_kernel_stays_between_the_bounds_and_no_difference_is_undeclared(
    host: KernelHost, family: int
) -> None:
    assert 3 * PROBES < LIMIT_BURST
    asked: set[str] = set()
    turns = cycle(sorted(QUESTIONS))

    @examples(26)
    @given(
        rulesets(family),
        st.sampled_from((ACK, ACK, ACK | PSH, ACK | FIN, ACK | URG)),
        st.integers(0, 1 << 16),
    )
    def check(ruleset: str, flags: int, seed: int) -> None:
        name = next(turns)
        probes = boundary(ruleset, family, host, PROBES, seed)
        heard = ask(ruleset, family, host, probes, flags=flags)
        questions = (PLAIN, QUESTIONS[name])
        found = against(heard, questions)
        asked.add(name)
        if found:
            probes = [each.probe for each in found]

            def fails(text: str) -> bool:
                return bool(against(ask(text, family, host, probes, flags=flags), questions))

            pytest.fail(f"asked: {name}; the least ruleset:\n{story(shortest(ruleset, fails), found)}")

    check()
    assert asked == set(QUESTIONS)


@FAMILIES
def test_the_packet_words_are_the_packets(host: KernelHost, family: int) -> None:
    """The fast look-up says what PacketSet says."""

    @examples(4)
    @given(rulesets(family))
    def check(ruleset: str) -> None:
        decision = PLAIN.decision(ruleset, family)
        (side,) = decision.sides
        probes = boundary_probes(
            ruleset,
            family,
            count=60,
            rng=Random(2),
            destinations=host.own(family),
            interfaces=host.interfaces,
        )
        interfaces = side.walker.view.interfaces
        members = Members(probes, [word(probe) for probe in probes], interfaces)
        sets = [decision.judged, decision.must_accept, decision.may_accept]
        sets += [bound for half in Half for bound in decision.packet_bounds(side, half)]
        for packets in sets:
            slow = [packet(probe, label(interfaces, probe.interface)) in packets for probe in probes]
            assert members.of(packets) == slow

    check()


def test_labels_of_interfaces() -> None:
    from ipt2np.rules.interfaces import Interfaces

    interfaces = Interfaces.of(["eth0", "eth+", "e+", "lo", "+", "ppp0"])
    assert interfaces.names == ("e+", "eth+", "eth0", "ppp0")
    names = ("eth0", "eth1", "em1", "ppp0", "wlan0")
    assert [label(interfaces, name) for name in names] == [2, 1, 0, 3, 4]
    for pattern in ("e+", "eth+", "eth0", "ppp0", "+", "p+", "eth0+"):
        for name in names:
            covered = name == pattern or (pattern[-1] == "+" and name.startswith(pattern[:-1]))
            inside = any(low <= label(interfaces, name) <= high for low, high in interfaces.matching(pattern))
            assert inside == covered or pattern not in (*interfaces.names, "+")


def test_a_packet_has_every_field(host: KernelHost) -> None:
    probe = boundary("", 4, host, 1)[0]
    assert set(packet(probe)) == set(Field)
