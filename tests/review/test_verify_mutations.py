"""Mutated policies: what ``verify`` says of them is what packets show, one by one.

The hosts are small, so that a packet of every cell between the boundaries of host, cluster and policies can be asked: a
verdict is right only if no packet at all says otherwise.
"""

from __future__ import annotations

import copy
import itertools
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import yaml

from ipt2np import InDoubt, Ruleset, convert
from ipt2np.errors import InputError, InternalError
from ipt2np.review import verification
from tests.cni.random_hosts import Case, Packet

from .hosts import OWN_CASES, Decider, cells, small_case
from .judge import Trial, blind_inside, dumped, judged, options_of, report_of, rulesets_of, verified
from .mutations import CHANGES, FAULTS, Objects

CASES = int(os.environ.get("IPT2NP_MUTATED_CASES", "6"))
"""Random hosts, each for every CNI, beside those of our own."""
MUTATIONS = 3
"""Changes of the policies of a random host for a CNI."""
OWN_MUTATIONS = 10
"""Those of the hosts of our own, which have something of everything."""
SELDOM: Mapping[str, float] = {
    **{"other pods": 4, "more pods": 6, "no ingress": 4, "a rule twice": 3, "rules swapped": 2},
    **{"other entities": 0.3, "another ICMP type": 0.3, "denied for allowed": 0.3},
}
"""How many times as seldom as others: what fits everywhere or often changes nothing, and what fits nearly nowhere."""
MOST_CELLS = 2000
"""Policies that cut the packets finer than that are left aside."""
CNIS = (
    *("kubernetes", "calico", "cilium", "antrea", "gke-dataplane-v2", "kube-router", "aws-vpc-cni"),
    *("ovn-kubernetes", "azure-npm"),
)


@dataclass(frozen=True)
class Start:
    """A host, and the policies that were made for it."""

    case: Case
    rulesets: Sequence[Ruleset]
    cni: str
    objects: Objects


@cache
def cases() -> tuple[Case, ...]:
    return (*OWN_CASES, *(small_case(random.Random(f"host {seed}")) for seed in range(CASES)))


@cache
def starts(cni: str) -> tuple[Start, ...]:
    """The hosts' policies for a CNI, where they are not too many for the judge."""
    found = []
    for case in cases():
        rulesets = rulesets_of(case)
        in_doubt = InDoubt.ALLOW if case.allow_in_doubt else InDoubt.DENY
        text = convert(rulesets, replace(options_of(case), cni=cni, in_doubt=in_doubt)).text
        objects = list(yaml.safe_load_all(text))
        if _few_cells(case, objects):
            found.append(Start(case, rulesets, cni, objects))
    return tuple(found)


def _few_cells(case: Case, objects: Objects) -> bool:
    return sum(1 for _ in itertools.islice(cells(case, objects), MOST_CELLS + 1)) <= MOST_CELLS


def mutated(
    rng: random.Random, start: Start, used: Counter[str], count: int
) -> Iterator[tuple[str, Objects]]:
    """Different changes of the objects, kinds that were seldom used before the others."""
    for kind in sorted(CHANGES, key=lambda name: ((used[name] + 1) * SELDOM.get(name, 1), rng.random())):
        if not count:
            return
        changed = CHANGES[kind].of(rng, start.objects)
        if changed is not None and _few_cells(start.case, changed):
            used[kind] += 1
            count -= 1
            yield kind, changed


def outside_differs(one: Trial, two: Trial) -> bool:
    """True where some packet from outside is let in by one set of policies, and kept out by the other."""
    return any(
        {one.admits(packet), two.admits(packet)} == {True, False}
        for packet in cells(one.case, [*one.objects, *two.objects])
    )


def differs(one: Trial, two: Trial) -> bool:
    """True where some packet tells two sets of policies apart, whoever sends it; of pods and nodes a few are asked."""
    if outside_differs(one, two):
        return True
    if any(blind_inside(each.cni, each.objects) for each in (one, two)):
        return False
    return any(
        one.admits(sent) != two.admits(sent)
        for packet in itertools.islice(cells(one.case, [*one.objects, *two.objects]), 0, None, 7)
        for sender in one.case.senders(packet.source)
        for sent in [replace(packet, sender=sender)]
    )


@cache
def outcome(cni: str) -> Counter[Any]:
    """Mutations of a CNI's policies, each judged packet by packet: by kind, meaning, verdict, and the packets' effects."""
    counts: Counter[Any] = Counter()
    used: Counter[str] = Counter()
    rng = random.Random(f"mutations {cni}")
    fates: dict[int, dict[Packet, frozenset[Decider]]] = {}
    for number, start in enumerate(starts(cni)):
        known = fates.setdefault(number, {})
        original = Trial(start.case, cni, start.objects, known)
        count = OWN_MUTATIONS if start.case in OWN_CASES else MUTATIONS
        for kind, objects in mutated(rng, start, used, count):
            text = dumped(objects)
            try:
                report = report_of(verified(start.case, start.rulesets, text, cni))
                trial = Trial(start.case, cni, objects, known)
                counts += judged(rng, trial, report)
            except BaseException as error:
                hosts = "\n".join(host.text() for host in start.case.hosts)
                error.add_note(f"{cni}, {kind}, {start.case}\n{text}\n{hosts}")
                raise
            meaning = differs(original, trial)
            counts["kind", kind] += 1
            counts["meaning", kind] += meaning
            counts["changed", meaning] += 1
            counts["verdict", report["proof"]["verdict"]] += 1
    return counts


@pytest.mark.parametrize("cni", CNIS)
def test_what_is_said_of_mutated_policies_is_what_packets_show(cni: str) -> None:
    counts = outcome(cni)
    assert counts["changed", True] >= 20
    assert min(counts["external", effect] for effect in ("opens", "closes", "")) > 100
    assert min(counts["difference", effect, "external"] for effect in ("opens", "closes")) >= 5
    assert counts["verdict", "wider"] >= 1
    assert counts["verdict", "narrower"] >= 1


def test_every_kind_of_mutation_is_tried_and_most_change_the_meaning() -> None:
    """At least 300 mutations over all CNIs."""
    counts: Counter[Any] = Counter()
    for cni in CNIS:
        counts += outcome(cni)
    kinds = {kind: counts["kind", kind] for kind in CHANGES}
    assert sum(kinds.values()) >= 300, kinds
    assert min(kinds.values()) >= 2, kinds
    assert counts["changed", True] >= 200
    assert counts["changed", False] >= 10
    harmless = {kind for kind in CHANGES if not counts["meaning", kind]}
    assert harmless <= {"a rule twice", "more pods", "rules swapped"}
    assert min(counts["verdict", verdict] for verdict in ("equal", "narrower", "wider", "differs")) >= 10
    assert (
        min(counts["difference", effect, name] for effect in ("opens", "closes") for name in ("pod", "node"))
        >= 3
    )


@pytest.mark.parametrize("cni", CNIS)
def test_what_the_api_would_refuse_is_an_error_of_input(cni: str) -> None:
    rng = random.Random(f"faults {cni}")
    met: Counter[str] = Counter()
    for start in starts(cni):
        for name, fault in FAULTS.items():
            objects = fault.of(rng, start.objects)
            if objects is None or met[name] >= 2:
                continue
            met[name] += 1
            text = dumped(objects)
            with pytest.raises(InputError) as caught:
                verified(start.case, start.rulesets, text, cni)
                pytest.fail(f"{name} went through\n{text}")
            for problem in caught.value.problems:
                assert problem.location.file == "policy.yaml"
                assert 1 <= problem.location.line <= len(text.splitlines()), name
    assert len(met) >= 6, met


# -- the judge is judged -------------------------------------------------------------------------------------


def sample(cni: str, count: int) -> list[tuple[Start, Objects]]:
    """Mutations of some hosts that change the meaning."""
    rng, found = random.Random(f"sample {cni}"), []
    for start in starts(cni)[:4]:
        original = Trial(start.case, cni, start.objects)
        for _, objects in mutated(rng, start, Counter(), 6):
            if outside_differs(original, Trial(start.case, cni, objects)):
                found.append((start, objects))
    return rng.sample(found, min(count, len(found)))


@pytest.mark.parametrize("cni", CNIS[:4])
def test_a_verify_that_reads_the_unmutated_policies_is_noticed(
    cni: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = verification.read_for
    trials = sample(cni, 5)
    assert len(trials) == 5
    for start, objects in trials:

        def blind(policies: Any, *arguments: Any, start: Start = start) -> Any:
            manifests = tuple(
                replace(each, object=copy.deepcopy(there))
                for each, there in zip(policies.manifests, start.objects, strict=False)
            )
            return original(replace(policies, manifests=manifests), *arguments)

        monkeypatch.setattr(verification, "read_for", blind)
        with pytest.raises((AssertionError, InternalError)):
            report = report_of(verified(start.case, start.rulesets, dumped(objects), cni))
            judged(random.Random(1), Trial(start.case, cni, objects), report)
            pytest.fail("nobody noticed", pytrace=False)


Spoiling = Callable[[dict[str, Any]], Any]


def _differences(proof: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = proof["differences"]
    return found


def _swapped(proof: dict[str, Any]) -> None:
    each = _differences(proof)[0]
    each["effect"] = "opens" if each["effect"] == "closes" else "closes"


def _port_more(proof: dict[str, Any]) -> bool:
    for each in _differences(proof):
        if each.get("ports", "any") != "any" and each["source_class"] == "external":
            last = int(each["ports"].rpartition(",")[2].rpartition("-")[2])
            each["ports"] += f",{last + 1}"
            return last < 65535
    return False


def _lines_moved(proof: dict[str, Any]) -> bool:
    for each in _differences(proof):
        if each.get("lines") and each["source_class"] == "external":
            each["lines"] = [{**line, "line": line["line"] + 40} for line in each["lines"]]
            return True
    return False


def _pointers_gone(proof: dict[str, Any]) -> bool:
    gone = [each.pop("pointers", None) for each in _differences(proof) if each["effect"] == "opens"]
    return any(gone)


SPOILINGS: Mapping[str, Spoiling] = {
    "a difference less": lambda proof: _differences(proof).pop(0),
    "the other effect": _swapped,
    "what is certain is not": lambda proof: [
        each.update(certain=not each["certain"]) for each in _differences(proof)
    ],
    "a port more": _port_more,
    "another verdict": lambda proof: proof["by_class"].update(external="equal"),
    "a headline of its own": lambda proof: proof.update(verdict="equal"),
    "a witness from elsewhere": lambda proof: _differences(proof)[0]["witness"].update(source="127.0.0.1"),
    "other lines": _lines_moved,
    "no pointers": _pointers_gone,
    "another protocol": lambda proof: _differences(proof)[0].update(protocol="200"),
}


@pytest.mark.parametrize("what", SPOILINGS)
def test_a_report_that_says_something_else_is_noticed(what: str) -> None:
    tried = 0
    # Where nobody is isolated packets are let in by no rule: of those without pointers no judge can complain.
    for cni in ("kubernetes",) if what == "no pointers" else ("kubernetes", "calico", "cilium"):
        for start, objects in sample(cni, 8):
            report = report_of(verified(start.case, start.rulesets, dumped(objects), cni))
            spoilt = copy.deepcopy(dict(report))
            proof = spoilt["proof"]
            if proof["verdict"] == "equal" or SPOILINGS[what](proof) is False:
                continue
            trial = Trial(start.case, cni, objects)
            tried += 1
            with pytest.raises(AssertionError):
                judged(random.Random(1), trial, spoilt)
                pytest.fail(f"nobody noticed {what}", pytrace=False)
    assert tried >= 3
