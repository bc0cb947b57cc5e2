"""The per-packet reading of the API text against network-config-analyzer's, on random policies."""

from __future__ import annotations

import random
from itertools import pairwise, product
from typing import Any

import pytest
import yaml

from .naive import admits
from .policies import LABELS, NAMESPACE, PROTOCOLS, edges, generate, text
from .reading import Admitted, covers, read

SEEDS = range(240)
SEEDS_IN_FULL = range(1000, 1060)
PROBES = 250

_LAST = {4: (1 << 32) - 1, 6: (1 << 128) - 1}


def _compare(policy_yaml: str, boxes: list[Admitted], packets: list[tuple[tuple[int, int], str, int]]) -> int:
    """The number of packets admitted; fails at the first on which the two differ."""
    admitted = 0
    for (family, source), protocol, port in packets:
        ours = admits(policy_yaml, text(family, source), protocol, port)
        theirs = covers(boxes, family=family, source=source, protocol=protocol, port=port)
        assert ours == theirs, (
            f"{text(family, source)} {protocol}/{port}: naive {ours}, analyser {theirs}\n{policy_yaml}"
        )
        admitted += ours
    return admitted


@pytest.mark.usefixtures("analyzer")
@pytest.mark.parametrize("seed", SEEDS)
def test_random_and_boundary_probes(seed: int) -> None:
    """Packets at, just before and just after every boundary of the text, and anywhere."""
    rng = random.Random(f"probes {seed}")
    policy_yaml = generate(seed)
    at = edges(policy_yaml)
    sources = [(f, n) for f, edge in at.sources for n in (edge - 1, edge, edge + 1) if 0 <= n <= _LAST[f]]
    sources += [(f, _LAST[f]) for f in (4, 6)] + [(f, rng.randint(0, _LAST[f])) for f in (4, 4, 6, 6)]
    ports = [n for edge in at.ports for n in (edge - 1, edge, edge + 1) if 1 <= n <= 65535]
    ports += [65535, *(rng.randint(1, 65535) for _ in range(3))]
    packets = [(rng.choice(sources), rng.choice(PROTOCOLS), rng.choice(ports)) for _ in range(PROBES)]
    _compare(policy_yaml, read(policy_yaml, namespace=NAMESPACE, labels=LABELS), packets)


@pytest.mark.usefixtures("analyzer")
@pytest.mark.parametrize("seed", SEEDS_IN_FULL)
def test_every_packet(seed: int) -> None:
    """Equality outright: one packet for every cell that the text's or the boxes' boundaries leave uncut.

    Neither side can change its answer inside a cell, so a cell's first packet speaks for all of it.
    """
    policy_yaml = generate(seed)
    boxes = read(policy_yaml, namespace=NAMESPACE, labels=LABELS)
    at = edges(policy_yaml)
    sources, ports = set(at.sources), set(at.ports)
    for box in boxes:
        cuts = {n for first, last in box.sources for n in (first, last + 1)}
        sources |= {(box.family, n) for n in cuts if n <= _LAST[box.family]}
        ports |= {n for first, last in box.ports for n in (first, last + 1) if n <= 65535}
    _compare(policy_yaml, boxes, list(product(sorted(sources), PROTOCOLS, sorted(ports))))
    _assert_canonical(boxes)


def _assert_canonical(boxes: list[Admitted]) -> None:
    for box in boxes:
        assert box.family in _LAST
        assert box.protocol in PROTOCOLS
        for ranges, lowest, highest in ((box.sources, 0, _LAST[box.family]), (box.ports, 1, 65535)):
            assert ranges
            assert all(lowest <= first <= last <= highest for first, last in ranges)
            assert all(before[1] + 1 < after[0] for before, after in pairwise(ranges))


def test_the_sample_holds_what_it_should() -> None:
    """Every shape of policy occurs often, and so do both answers: agreement is not had for nothing."""
    seen: dict[str, int] = {}
    answers = {True: 0, False: 0}
    for seed in SEEDS:
        policy_yaml = generate(seed)
        assert policy_yaml == generate(seed)
        policies = yaml.load_all(policy_yaml, Loader=yaml.CSafeLoader)
        for shape in {shape for policy in policies for shape in _shapes(policy)}:
            seen[shape] = seen.get(shape, 0) + 1
        at = edges(policy_yaml)
        rng = random.Random(seed)
        for _ in range(20):
            family, source = rng.choice(at.sources)
            packet = text(family, source), rng.choice(PROTOCOLS), rng.choice(at.ports)
            answers[admits(policy_yaml, *packet)] += 1
    expected = {
        *("ingress missing", "ingress empty", "ingress not a type", "types missing", "types reversed"),
        *("from missing", "from empty", "ports missing", "ports empty", "rule empty"),
        *("v4", "v6", "v4 except", "v6 except", "selector"),
        *("TCP", "UDP", "SCTP", "protocol missing", "port missing", "endPort"),
    }
    assert set(seen) == expected
    assert {shape for shape, times in seen.items() if times < 10} == set()
    assert min(answers.values()) > sum(answers.values()) // 5


def _shapes(policy: dict[str, Any]) -> set[str]:
    spec = policy["spec"]
    shapes = set()
    types = spec.get("policyTypes")
    if types is None:
        shapes.add("types missing")
    elif "Ingress" not in types:
        return {"ingress not a type"}
    elif types == ["Egress", "Ingress"]:
        shapes.add("types reversed")
    if not spec.get("ingress"):
        shapes.add("ingress empty" if "ingress" in spec else "ingress missing")
    for rule in spec.get("ingress") or []:
        if not rule:
            shapes.add("rule empty")
        for field in ("from", "ports"):
            if not rule.get(field):
                shapes.add(f"{field} empty" if field in rule else f"{field} missing")
        for peer in rule.get("from") or []:
            if "ipBlock" not in peer:
                shapes.add("selector")
                continue
            family = "v6" if ":" in peer["ipBlock"]["cidr"] else "v4"
            shapes |= {family} | ({f"{family} except"} if peer["ipBlock"].get("except") else set())
        for port in rule.get("ports") or []:
            shapes.add(port.get("protocol", "protocol missing"))
            shapes |= {"port missing"} if "port" not in port else {"endPort"} & set(port)
    return shapes


def _policy(spec: str) -> str:
    return (
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: shop}, "
        f"spec: {{podSelector: {{}}, {spec}}}}}"
    )


BLOCK = "{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}"
INNER = "{ipBlock: {cidr: 10.1.2.0/24}}"


@pytest.mark.parametrize(
    ("spec", "source", "protocol", "port", "expected"),
    [
        ("policyTypes: [Ingress]", "192.0.2.1", "tcp", 80, False),
        ("policyTypes: [Ingress], ingress: []", "192.0.2.1", "tcp", 80, False),
        ("policyTypes: [Egress]", "192.0.2.1", "tcp", 80, True),
        ("egress: []", "192.0.2.1", "tcp", 80, False),
        ("ingress: [{}]", "192.0.2.1", "sctp", 1, True),
        ("ingress: [{}]", "2001:db8::1", "udp", 65535, True),
        ("ingress: [{from: [], ports: []}]", "2001:db8::1", "udp", 65535, True),
        (f"ingress: [{{from: [{BLOCK}]}}]", "10.0.255.255", "udp", 9, True),
        (f"ingress: [{{from: [{BLOCK}]}}]", "10.1.0.0", "udp", 9, False),
        (f"ingress: [{{from: [{BLOCK}]}}]", "10.1.255.255", "udp", 9, False),
        (f"ingress: [{{from: [{BLOCK}]}}]", "10.2.0.0", "udp", 9, True),
        (f"ingress: [{{from: [{BLOCK}]}}]", "11.0.0.0", "udp", 9, False),
        (f"ingress: [{{from: [{BLOCK}]}}]", "::a00:1", "udp", 9, False),
        (f"ingress: [{{from: [{BLOCK}]}}, {{from: [{INNER}]}}]", "10.1.2.3", "tcp", 1, True),
        (f"ingress: [{{from: [{BLOCK}, {INNER}]}}]", "10.1.2.3", "tcp", 1, True),
        ("ingress: [{from: [{podSelector: {}}]}]", "10.1.2.3", "tcp", 1, False),
        ("ingress: [{ports: [{port: 80}]}]", "192.0.2.1", "tcp", 80, True),
        ("ingress: [{ports: [{port: 80}]}]", "192.0.2.1", "udp", 80, False),
        ("ingress: [{ports: [{port: 80}]}]", "192.0.2.1", "tcp", 81, False),
        ("ingress: [{ports: [{protocol: UDP}]}]", "192.0.2.1", "udp", 65535, True),
        ("ingress: [{ports: [{protocol: UDP}]}]", "192.0.2.1", "tcp", 65535, False),
        ("ingress: [{ports: [{}]}]", "192.0.2.1", "tcp", 7, True),
        ("ingress: [{ports: [{}]}]", "192.0.2.1", "udp", 7, False),
        ("ingress: [{ports: [{protocol: SCTP, port: 5, endPort: 9}]}]", "192.0.2.1", "sctp", 4, False),
        ("ingress: [{ports: [{protocol: SCTP, port: 5, endPort: 9}]}]", "192.0.2.1", "sctp", 5, True),
        ("ingress: [{ports: [{protocol: SCTP, port: 5, endPort: 9}]}]", "192.0.2.1", "sctp", 9, True),
        ("ingress: [{ports: [{protocol: SCTP, port: 5, endPort: 9}]}]", "192.0.2.1", "sctp", 10, False),
        (f"ingress: [{{from: [{BLOCK}], ports: [{{port: 80}}]}}]", "10.0.0.1", "tcp", 80, True),
        (f"ingress: [{{from: [{BLOCK}], ports: [{{port: 80}}]}}]", "10.0.0.1", "tcp", 81, False),
        (f"ingress: [{{from: [{BLOCK}], ports: [{{port: 80}}]}}]", "11.0.0.1", "tcp", 80, False),
    ],
)
def test_the_api_text(spec: str, source: str, protocol: str, port: int, expected: bool) -> None:
    """What the API reference says outright, written down by hand."""
    assert admits(_policy(spec), source, protocol, port) is expected


def test_policies_add_up() -> None:
    """One policy's admission is not taken back by another that admits nothing."""
    both = "\n---\n".join((_policy("ingress: []"), _policy("ingress: [{ports: [{port: 80}]}]")))
    assert admits(both, "192.0.2.1", "tcp", 80)
    assert not admits(both, "192.0.2.1", "tcp", 81)


def test_no_policy_admits_everything() -> None:
    """A pod that no policy selects is open."""
    assert admits("", "192.0.2.1", "tcp", 80)
