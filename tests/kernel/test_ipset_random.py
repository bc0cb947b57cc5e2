"""Random ipsets: the kernel, the sets of packets that ipt2np makes of a dump, and the slow evaluator, all the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from ipt2np import Assumptions, Facts, decide, parse_ruleset
from ipt2np.syntax.ipset import parse_ipsets
from tests.ipsets.naive import NaiveSet, Seen, add, created, found
from tests.ipsets.strategies import IN_KERNEL, Dump, dumps, probes, searches

from .differential import TALLY, Heard, packet_mismatches, story
from .host import HarnessError, KernelHost

EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
_WAYS = {
    4: (("10.0.0.1", "eth0"), ("10.1.0.1", "eth1"), ("10.0.0.1", "eth1")),
    6: (("fd00::1", "eth0"), ("fd00:1::1", "eth1"), ("fd00::1", "eth1")),
}
PROBES = {family: probes(family, _WAYS[family]) for family in (4, 6)}


def ruleset(match: str) -> str:
    policies = ":INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]"
    return f"*filter\n{policies}\n-A INPUT -m set {match} -j ACCEPT\nCOMMIT\n"


def naively(saved: str) -> dict[str, NaiveSet]:
    """What `ipset save` printed, as the slow evaluator reads it."""
    sets: dict[str, NaiveSet] = {}
    for line in saved.splitlines():
        command, name, what, *rest = line.split()
        if command == "create":
            words = [word for word in rest if word not in ("counters", "comment", "skbinfo", "forceadd")]
            sets[name] = created([what, *words])
        else:
            add(sets[name], what, rest, saved=True)
    return sets


def loaded(host: KernelHost, sets: str) -> str:
    """Has the host hold the sets and no rules; what it saves of them."""
    host.flush()
    host.load("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n", 4, sets=sets)
    return host.run("ipset", "save")


def judge(
    host: KernelHost, match: str, family: int, saved: str, sets: str, search: tuple[Sequence[str], bool]
) -> None:
    """One rule: the kernel, the slow evaluator, and the decision made from the dump and from the file behind it."""
    text = ruleset(match)
    host.load(text, family, keep=True)
    heard = Heard(text, family, PROBES[family], host.first(PROBES[family]), [None] * len(PROBES[family]))
    TALLY.rulesets += 1
    TALLY.verdicts += sum(verdict is not None for verdict in heard.first)
    slow = naively(saved)
    for probe, verdict in zip(heard.probes, heard.first, strict=True):
        if verdict is not None:
            truth = found(slow, "s", Seen.of(probe), search[0], search[1])
            held = verdict is not match.startswith("!")
            assert held in truth, (match, probe, held, truth, saved)
    for dump in (saved, sets):
        facts = Facts(ipsets=parse_ipsets(dump.encode(), "sets"))
        decision = decide([parse_ruleset(text.encode(), "rules", family=family)], Assumptions(), facts)
        wrong = packet_mismatches(heard, decision)
        TALLY.mismatches += len(wrong)
        assert not wrong, story(saved + sets + text, wrong)


@pytest.mark.parametrize("kind", IN_KERNEL)
def test_random_sets(host: KernelHost, kind: str) -> None:
    @EXAMPLES
    @given(st.data())
    def every(data: st.DataObject) -> None:
        dump: Dump = data.draw(dumps([kind]))
        try:
            saved = loaded(host, dump.text)
        except HarnessError as error:
            assert any(
                why in str(error) for why in ("already added", "Null-valued", "Invalid argument", "range")
            ), error
            assume(False)
        for _ in range(3):
            directions = data.draw(searches(len(dump.naive.parts)))
            holes = data.draw(st.booleans())
            negation = data.draw(st.sampled_from(("", "", "! ")))
            match = f"{negation}--match-set s {','.join(directions)}{' --return-nomatch' if holes else ''}"
            judge(host, match, dump.family, saved, dump.text, (directions, holes))

    every()
    host.flush()
