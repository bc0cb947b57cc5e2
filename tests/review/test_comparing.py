"""``compare_sides`` judged packet by packet, in every world that the rulesets leave open."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from typing import Any

import pytest

from ipt2np.conversion import Options
from ipt2np.packets import PacketSpace
from ipt2np.proof.prove import Verdict
from ipt2np.reporting.comparisonreport import behind_sides, comparison_report
from ipt2np.review.comparing import Comparison, compare_sides, host_side
from ipt2np.rules.names import protocol_name
from ipt2np.syntax.dump import parse_rulesets
from tests.cni.random_hosts import PORTED, Packet
from tests.review.random_pairs import Editor, OpenHost, packets, worlds

PAIRS, PACKETS = 150, 12
NUMBERS = {protocol_name(number): number for number in range(256)}


def compared(before: str, after: str, family: int = 4, options: Options | None = None) -> Comparison:
    """Two rulesets of a family."""
    options, space = options or Options(), PacketSpace()
    one, two = (
        parse_rulesets(text.encode(), name, family=family)
        for text, name in ((before, "before.v4"), (after, "after.v4"))
    )
    sides = (host_side(one, options, space, two), host_side(two, options, space, one))
    return compare_sides(*sides, space, options.cluster)


def of_hosts(before: OpenHost, after: OpenHost) -> Comparison:
    return compared(before.text(), after.text(), before.family)


def within(ranges: str, number: int) -> bool:
    """Whether a report's ranges hold a number."""
    if ranges == "any":
        return True
    ends = [part.split("-") for part in ranges.split(",")]
    return any(int(each[0]) <= number <= int(each[-1]) for each in ends)


def holds(box: dict[str, Any], packet: Packet) -> bool:
    """Whether a report's box holds a packet."""
    if not any(packet.source in ipaddress.ip_network(cidr) for cidr in box["source"]):
        return False
    names = box["protocol"]
    numbers = ",".join(str(NUMBERS.get(name, name)) for name in names.split(",")) if names != "any" else names
    if not within(numbers, packet.protocol):
        return False
    if packet.protocol in PORTED:
        return within(box["ports"], packet.port) and within(box["source_ports"], packet.source_port)
    if "icmp" in box:
        for message in box["icmp"]:
            types, _, codes = message.partition("/")
            if within(types, packet.icmp_type) and within(codes or "any", packet.icmp_code):
                return True
        return False
    return True


def judged(before: OpenHost, after: OpenHost, packet: Packet) -> tuple[set[str], bool]:
    """How two hosts differ about a packet: the effects that some world has, and whether every world has one."""
    found = [
        (before.connects(packet, *world), after.connects(packet, *world))
        for world in worlds(before.family, (before, after), packet)
    ]
    effects = {"closes" if was else "opens" for was, now in found if was != now}
    return effects, len(set(found)) == 1


def witness(told: dict[str, Any]) -> Packet:
    protocol = told["protocol"]
    source = ipaddress.ip_address(told["source"])
    number = NUMBERS[protocol] if protocol in NUMBERS else int(protocol)
    kind = told.get("icmp_type", 8 if source.version == 4 else 128) if number in (1, 58) else 0
    port, source_port = told.get("port", 0), told.get("source_port", 40000)
    return Packet(
        "external",
        source,
        number,
        port,
        source_port if number in PORTED else 0,
        kind,
        told.get("icmp_code", 0),
    )


def listed(found: Comparison) -> list[dict[str, Any]]:
    """The report's differences."""
    return list(comparison_report(found, "0").data["proof"]["differences"])


def external(found: Comparison) -> list[dict[str, Any]]:
    """The report's differences for external sources."""
    return [each for each in listed(found) if each["source_class"] == "external"]


@pytest.mark.parametrize("seed", range(PAIRS))
def test_an_edit_is_told_by_all_packets_that_it_changes_and_by_no_others(seed: int) -> None:
    rng = random.Random(seed)
    editor = Editor(rng, rng.choice((4, 4, 6)))
    before = editor.host()
    after = before
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        after = editor.edited(after)
    found = of_hosts(before, after)
    told = external(found)
    note = f"{before.text()}\n{after.text()}\n{told}"
    assert (found.verdict is Verdict.EQUAL) == (not told), note
    tried = [*packets(rng, (before, after), PACKETS), *(witness(each["witness"]) for each in told[:20])]
    for packet in tried:
        effects, certain = judged(before, after, packet)
        boxes = [each for each in told if holds(each, packet)]
        assert {each["effect"] for each in boxes} == effects, f"{packet}\n{note}"
        assert {each["certain"] for each in boxes} <= {certain}, f"{packet}\n{note}"
    assert_rules_decide(found, before, after, tried)


def assert_rules_decide(
    found: Comparison, before: OpenHost, after: OpenHost, tried: Sequence[Packet]
) -> None:
    """The rules that are named behind a certain difference are those that decide its packets."""
    for each in found.differences:
        if each.source_class != "external" or not each.certain:
            continue
        for part in each.box.by_protocol():
            whose = behind_sides(found, each, part)
            inside = [
                packet
                for packet in tried
                if packet.family == part.family
                and any(low <= packet.protocol <= high for low, high in part.protocols)
                and any(low <= int(packet.source) <= high for low, high in part.sources.ranges)
                and (
                    packet.protocol not in PORTED
                    or (
                        any(low <= packet.port <= high for low, high in part.ports)
                        and any(low <= packet.source_port <= high for low, high in part.source_ports)
                    )
                )
                and (
                    not part.icmp
                    or any(
                        t[0] <= packet.icmp_type <= t[1] and c[0] <= packet.icmp_code <= c[1]
                        for t, c in part.icmp
                    )
                )
            ]
            for host, behind in zip((before, after), whose, strict=True):
                named = {rule.text for rule in behind.rules} | set(behind.policies)
                for packet in inside:
                    assert deciders(host, before, after, packet) <= named, (packet, host.text())


def deciders(host: OpenHost, before: OpenHost, after: OpenHost, packet: Packet) -> set[str]:
    """What decides a packet on a host, in whatever world: the first packet, or the later ones that are refused."""
    found = set()
    for first, later in worlds(host.family, (before, after), packet):
        accepted, who = host.decided(packet, first)
        if accepted and not host.connects(packet, first, later):
            who = host.decided(packet, later)[1]
        found.add(who)
    return found


@pytest.mark.parametrize("seed", range(PAIRS))
def test_what_is_only_said_otherwise_is_equal(seed: int) -> None:
    rng = random.Random(seed)
    editor = Editor(rng, rng.choice((4, 6)))
    before = editor.host()
    after = editor.rewritten(before)
    for packet in packets(rng, (before, after), 3):
        assert not judged(before, after, packet)[0], "the rewrite itself is wrong"
    found = of_hosts(before, after)
    assert found.verdict is Verdict.EQUAL and not found.differences, f"{before.text()}\n{after.text()}"
