"""Rulesets of real hosts, and the project's samples, against the kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import pytest

from ipt2np import Facts

from .differential import PLAIN, Question, against, ask, boundary, story
from .host import KernelHost, RulesetRefused
from .probe import Probe
from .rulesets import SHARED, RealRuleset, corpus, host_addresses, reached, samples

PROBES: Final = 2000

#: Rulesets that iptables-restore 1.8.9 does not load on Linux 6.18, and what it says.
REFUSED: Final[Mapping[str, str]] = {}

_LIMITED: Final = re.compile(r"-m (?:limit|hashlimit|connlimit|recent|quota)\b")
_UNRAISABLE: Final = re.compile(r"-m (?:connlimit|recent|quota)\b")
_FOUND: Final = corpus()

#: The kernel's own answer to whether ``reverse-path`` is true of a packet.
_REVERSE_PATH: Final = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m rpfilter --invert -j DROP\nCOMMIT\n"


def unspoofed(probes: Sequence[Probe], family: int, host: KernelHost) -> list[Probe]:
    """The probes that come in where the kernel would send an answer."""
    host.load(_REVERSE_PATH, family)
    passed = [probe for probe, verdict in zip(probes, host.first(probes), strict=True) if verdict]
    assert passed, "no probe comes in by its reverse path: nothing said under that assumption is judged"
    return passed


def unlimited(text: str) -> str:
    """The ruleset with rate limits that no test exceeds: what ``rate`` assumes of a slow source."""
    text = re.sub(r" --limit-burst \d+", "", text)
    text = re.sub(r"(-m limit)(?: --limit \S+)?", r"\1 --limit 10000/sec --limit-burst 10000", text)
    text = re.sub(r" --hashlimit-burst \d+", "", text)
    return re.sub(
        r"(--hashlimit(?:-upto|-above)?) \d\S*", r"\1 10000/sec --hashlimit-burst 10000", text
    )  # fmt: skip


def test_unlimited_raises_every_limit() -> None:
    assert unlimited("-A C -m limit --limit 3/min --limit-burst 10 -j LOG\n-A C -m limit -j DROP") == (
        "-A C -m limit --limit 10000/sec --limit-burst 10000 -j LOG\n"
        "-A C -m limit --limit 10000/sec --limit-burst 10000 -j DROP"
    )
    assert unlimited("-m hashlimit --hashlimit-upto 3/hour --hashlimit-burst 5 --hashlimit-mode srcip") == (
        "-m hashlimit --hashlimit-upto 10000/sec --hashlimit-burst 10000 --hashlimit-mode srcip"
    )


@contextmanager
def _host_for(real: RealRuleset, backend: str) -> Iterator[KernelHost]:
    with KernelHost(host_addresses(real.text, real.family), backend=backend) as host:
        try:
            host.load(real.text, real.family)
        except RulesetRefused as refused:
            if real.name in REFUSED:
                pytest.xfail(f"{real.name}: {REFUSED[real.name]}")
            pytest.fail(f"{real.name} does not load, and is not in the list of those: {refused}")
        assert real.name not in REFUSED, f"{real.name} loads: take it from the list"
        try:
            yield host
        finally:
            host.flush()


def check(real: RealRuleset, backend: str) -> None:
    """Every statement about the ruleset holds, on a host that has what the ruleset names.

    Where a limit stands the kernel counts, so only the bounds of ``rate=undecided`` are facts about the
    ruleset as it is; what is said under the assumption that no limit is exceeded is held against the same
    ruleset with limits that are not. What ``recent`` and ``connlimit`` remember cannot be raised like that.
    Where ``rpfilter`` is asked, so too only the bounds of ``reverse-path=undecided`` are facts about every
    packet; what is said under that assumption is held against the packets of which it is true.
    """
    text, family = real.text, real.family
    limited = any(_LIMITED.search(rule) for rule in reached(text))
    raisable = not any(_UNRAISABLE.search(rule) for rule in reached(text))
    by_path = any("-m rpfilter" in rule for rule in reached(text))
    rate = ("rate=undecided",) if limited else ()
    question = Question((*rate, "reverse-path=undecided") if by_path else rate)
    with _host_for(real, backend) as host:
        probes = boundary(text, family, host, PROBES if backend == "nft" else PROBES // 2)
        heard = ask(text, family, host, probes)
        policies = backend == "nft" and not (limited and raisable)
        found = against(heard, [question], policies=policies)
        if by_path:
            probes = unspoofed(probes, family, host)
            found += against(ask(text, family, host, probes), [Question(rate)], policies=policies)
        if limited and raisable and backend == "nft":
            found += against(ask(unlimited(text), family, host, probes), [PLAIN])
        if backend == "nft" and (len(host.interfaces) > 1 or len(host.own(family)) > 1):
            settled = Facts(interfaces=((host.interfaces[0], ()),), addresses=host.own(family)[:1])
            found += against(heard, [Question(question.settings, settled)], policies=False)
    assert not found, story(f"{real.name} ({real.path})", found)


@pytest.mark.skipif(not _FOUND, reason=f"no corpus of real rulesets at {SHARED} (set IPT2NP_SHARED)")
@pytest.mark.parametrize("real", _FOUND, ids=lambda real: real.name)
def test_real_rulesets(real: RealRuleset) -> None:
    check(real, "nft")


@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("real", samples(), ids=lambda real: real.name)
def test_samples(real: RealRuleset, backend: str) -> None:
    check(real, backend)


def test_the_list_of_refused_rulesets_names_real_ones() -> None:
    assert set(REFUSED) <= {real.name for real in (*_FOUND, *samples())} or not _FOUND
