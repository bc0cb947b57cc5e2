"""Rules of both iptables backends on one host: packets must be accepted by both."""

from __future__ import annotations

from random import Random

import pytest

from ipt2np import Decision, decide, parse_ruleset

from .boundaries import boundary_probes
from .differential import TALLY
from .host import KernelHost
from .membership import Members, word
from .probe import UDPLITE, Probe
from .test_regressions import mangle, nat, text

FAMILIES = pytest.mark.parametrize("family", [4, 6])
RAW = (
    "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
    "-A PREROUTING -p tcp -m tcp --dport 22 -j CT --notrack\nCOMMIT\n"
)
PAIRS = (
    (
        text("-A INPUT -p tcp -m tcp --dport 20:30 -j ACCEPT", "-A INPUT -p udp -j ACCEPT"),
        text(
            "-A INPUT -p tcp -m tcp --dport 25 -j DROP",
            "-A INPUT -p udp --dport 53 -j REJECT",
            policy="ACCEPT",
        ),
    ),
    (
        text("-A INPUT -p tcp -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT"),
        text("-A INPUT -p tcp -j ACCEPT", before=RAW),
    ),
    (
        text("-A INPUT -m mark --mark 0x1/0x1 -j DROP", policy="ACCEPT"),
        text(
            before=mangle("-A PREROUTING -p tcp -m tcp --dport 22 -j MARK --set-xmark 0x1/0x1"),
            policy="ACCEPT",
        ),
    ),
    (
        text("-A INPUT -m connmark --mark 0x1 -j DROP", policy="ACCEPT"),
        text(before=mangle("-A INPUT -p udp -j CONNMARK --set-xmark 0x1/0xffffffff"), policy="ACCEPT"),
    ),
    (
        text("-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT", "-A INPUT -p udp -j ACCEPT"),
        text(policy="ACCEPT", before=nat("-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080")),
    ),
)


def _decision(one: str, other: str, family: int) -> Decision:
    main = parse_ruleset(one.encode(), "one", family=family)
    beside = parse_ruleset(other.encode(), "other", family=family, first_number=len(main.rules))
    return decide([main], also=[beside])


@FAMILIES
@pytest.mark.parametrize("turned", [False, True], ids=["nft first", "legacy first"])
@pytest.mark.parametrize("pair", PAIRS)
def test_both_must_accept(host: KernelHost, family: int, turned: bool, pair: tuple[str, str]) -> None:
    one, other = pair[::-1] if turned else pair
    probes = [
        probe
        for probe in boundary_probes(
            one + other,
            family,
            count=300,
            rng=Random(3),
            destinations=host.own(family),
            interfaces=host.interfaces,
        )
        if probe.protocol != UDPLITE
    ]
    try:
        host.load(one, family)
        host.backend = "legacy"
        host.load(other, family, keep=True)
        first, later, places = host.first(probes), host.later(probes), host.places(probes)
    finally:
        host.flush()
        host.backend = "nft"
    assert {True, False} <= set(first)
    decision = _decision(one, other, family)
    local = [
        probe if place is None else Probe(**{**vars(probe), "dport": place[1]})
        for probe, place in zip(probes, places, strict=True)
    ]
    members = Members(local, [word(probe) for probe in local], decision.sides[0].walker.view.interfaces)
    rows = zip(
        probes,
        first,
        later,
        members.of(decision.judged),
        members.of(decision.must_accept),
        members.of(decision.may_accept),
        strict=True,
    )
    for probe, opened, onward, judged, must, may in rows:
        verdict = onward if opened and probe.protocol in (6, 132) else opened
        if not judged or verdict is None:
            continue
        TALLY.comparisons += 1
        TALLY.certain += must or not may
        assert may if verdict else not must, (probe, verdict, must, may)
