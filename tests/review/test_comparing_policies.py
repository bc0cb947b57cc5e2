"""``compare_sides`` with policies on one side or both, judged packet by packet by evaluators that share no code with it."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import yaml

from ipt2np import CNIS, InputError, UsageError, convert
from ipt2np.packets import PacketSpace
from ipt2np.policies.loading import policies_in
from ipt2np.review.comparing import PolicySide, compare_sides, host_side, policy_side
from tests.cni.random_hosts import Case, Packet, random_case
from tests.cni.test_every_cni import JUDGES, Answer, Judge, header, options, parsed
from tests.review.test_comparing import holds, listed

PAIRS, PACKETS = 60, 60
NAMES = tuple(name for name in CNIS if name != "flannel")


def emitted(case: Case, cni: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(convert(parsed(case), options(case, cni)).text))


def spoilt(rng: random.Random, objects: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The objects with an entry of a longer list gone, or a port moved."""
    result = copy.deepcopy(list(objects))
    lists: list[list[Any]] = []
    ports: list[dict[str, Any]] = []

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("port"), int):
                ports.append(value)
            for each in value.values():
                visit(each)
        elif isinstance(value, list):
            if len(value) > 1:
                lists.append(value)
            for each in value:
                visit(each)

    for each in result:
        visit(each.get("spec", {}).get("ingress", []))
    if ports and rng.random() < 0.4:
        entry = rng.choice(ports)
        entry["port"] = max(1, min(65535, entry["port"] + rng.choice((-1, 1))))
    elif lists:
        chosen = rng.choice(lists)
        del chosen[rng.randrange(len(chosen))]
    return result


def side(objects: Sequence[dict[str, Any]], case: Case, cni: str, space: PacketSpace) -> PolicySide:
    text = yaml.safe_dump_all(objects).encode()
    return policy_side(policies_in([(text, f"{cni}.yaml")], cni), options(case, cni), space)


def told(report: Sequence[dict[str, Any]], packet: Packet) -> list[dict[str, Any]]:
    """The differences that hold for a packet; what is told of external sources holds for pods and nodes too."""
    classes = ("external", packet.sender)
    return [each for each in report if each["source_class"] in classes and holds(each, packet)]


def assert_told(report: Sequence[dict[str, Any]], packet: Packet, was: Answer, now: Answer) -> None:
    """Where both answers are known, the difference between them is told, and no other."""
    effects = {each["effect"] for each in told(report, packet)}
    if was is None or now is None:
        assert not effects, packet
    else:
        assert effects == ({"closes"} if was and not now else {"opens"} if now and not was else set()), packet


@pytest.mark.parametrize("seed", range(PAIRS))
def test_between_policies_what_their_judges_say_differs_is_told(seed: int) -> None:
    rng = random.Random(f"pair of policies {seed}")
    case = random_case(rng)
    one, two = rng.choice(NAMES), rng.choice(NAMES)
    before = emitted(case, one)
    after = spoilt(rng, emitted(case, two))
    space = PacketSpace()
    try:
        sides = side(before, case, one, space), side(after, case, two, space)
    except (InputError, UsageError):
        pytest.skip("what is left would be refused")
    found = compare_sides(*sides, space, options(case, one).cluster)
    report = listed(found)
    judges: tuple[Judge, Judge] = (JUDGES[one](before, case), JUDGES[two](after, case))
    for packet in case.packets(rng, PACKETS):
        if packet.sender == "external" and header(packet) in found.reference.judged:
            assert_told(report, packet, judges[0](packet), judges[1](packet))


@pytest.mark.parametrize("seed", range(PAIRS))
def test_between_a_ruleset_and_policies_what_their_judges_say_differs_is_told(seed: int) -> None:
    rng = random.Random(f"ruleset and policies {seed}")
    case = replace(random_case(rng), same_for_other_family=False)
    cni = rng.choice(NAMES)
    objects = spoilt(rng, emitted(case, cni)) if seed % 3 else emitted(case, cni)
    space = PacketSpace()
    try:
        policies = side(objects, case, cni, space)
    except (InputError, UsageError):
        pytest.skip("what is left would be refused")
    host = host_side(parsed(case), options(case, cni), space)
    cluster = options(case, cni).cluster
    closing, opening = (
        compare_sides(host, policies, space, cluster),
        compare_sides(policies, host, space, cluster),
    )
    judge = JUDGES[cni](objects, case)
    forth, back = listed(closing), listed(opening)
    for packet in case.packets(rng, PACKETS):
        ruleset = case.host(packet.family)
        if ruleset is None:
            assert not told(forth, packet) and not told(back, packet)
            continue
        if packet.sender != "external" or header(packet) not in closing.reference.judged:
            continue
        fates, admitted = ruleset.fates(packet), judge(packet)
        effects = set()
        if admitted is not None:
            effects |= {"closes"} if "accept" in fates and not admitted else set()
            effects |= {"opens"} if "refuse" in fates and admitted else set()
        mirrored = {"closes": "opens", "opens": "closes"}
        one, two = told(forth, packet), told(back, packet)
        assert {each["effect"] for each in one} == effects, packet
        assert {mirrored[each["effect"]] for each in two} == effects, packet
        assert {each["certain"] for each in (*one, *two)} <= {len(fates) == 1}, packet
