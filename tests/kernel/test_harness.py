"""The harness against facts known by hand."""

from __future__ import annotations

import subprocess
from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from .boundaries import boundary_probes, input_path
from .generate import rulesets
from .host import HarnessError, KernelHost, RulesetRefused
from .probe import ACK, RST, Probe, crc32c

FAMILIES = pytest.mark.parametrize("family", [4, 6])
SOURCE = {4: "198.51.100.7", 6: "2001:db8:7::7"}
HOST = {4: "10.0.0.1", 6: "fd00::1"}
OTHER = {4: "10.1.0.1", 6: "fd00:1::1"}
ECHO = {4: (1, 8), 6: (58, 128)}


def tcp(family: int, dport: int, *, source: str = "", sport: int = 40000, interface: str = "eth0") -> Probe:
    return Probe(family, source or SOURCE[family], HOST[family], 6, sport, dport, interface=interface)


def udp(family: int, dport: int, sport: int = 40000) -> Probe:
    return Probe(family, SOURCE[family], HOST[family], 17, sport, dport)


def icmp(family: int, kind: int, code: int = 0) -> Probe:
    return Probe(family, SOURCE[family], HOST[family], ECHO[family][0], icmp_type=kind, icmp_code=code)


def text(*rules: str, policy: str = "DROP", chains: tuple[str, ...] = (), before: str = "") -> str:
    declared = "".join(f":{chain} - [0:0]\n" for chain in chains)
    body = "".join(f"{rule}\n" for rule in rules)
    return f"{before}*filter\n:INPUT {policy} [0:0]\n:OUTPUT ACCEPT [0:0]\n{declared}{body}COMMIT\n"


def test_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32/ISCSI


@FAMILIES
@pytest.mark.parametrize("backend", ["nft", "legacy"])
def test_policies_and_backends(host: KernelHost, family: int, backend: str) -> None:
    host.backend = backend
    try:
        host.load(text("-A INPUT -p tcp --dport 22 -j ACCEPT"), family)
        assert host.first([tcp(family, 22), tcp(family, 23), udp(family, 22)]) == [True, False, False]
        host.load(text("-A INPUT -p tcp --dport 22 -j DROP", policy="ACCEPT"), family)
        assert host.first([tcp(family, 22), tcp(family, 23), udp(family, 22)]) == [False, True, True]
        host.flush()
        assert host.first([tcp(family, 22)]) == [True]
    finally:
        host.flush()
        host.backend = "nft"


@FAMILIES
def test_the_other_family_is_not_touched(host: KernelHost, family: int) -> None:
    host.load(text(), family)
    assert host.first([tcp(family, 22), tcp(10 - family, 22)]) == [False, True]


def test_refused_text(host: KernelHost) -> None:
    with pytest.raises(RulesetRefused):
        host.load(text("-A INPUT --no-such-option"), 4)


@FAMILIES
def test_return_and_goto(host: KernelHost, family: int) -> None:
    rules = ("-A ONE -p tcp --dport 1 -j RETURN", "-A ONE -p tcp --dport 2 -j ACCEPT")
    after = "-A INPUT -p tcp --dport 1:3 -j ACCEPT"
    probes = [tcp(family, port) for port in (1, 2, 3, 4)]
    host.load(text("-A INPUT -j ONE", *rules, after, chains=("ONE",)), family)
    assert host.first(probes) == [True, True, True, False]
    # After a goto, the end of the chain and RETURN lead to where the last jump came from.
    host.load(text("-A INPUT -g ONE", *rules, after, chains=("ONE",)), family)
    assert host.first(probes) == [False, True, False, False]
    nested = ("-A INPUT -j TWO", "-A TWO -g ONE", "-A TWO -j DROP")
    host.load(text(*nested, *rules, after, chains=("ONE", "TWO")), family)
    assert host.first(probes) == [True, True, True, False]


def test_icmp_type_255(host: KernelHost) -> None:
    # icmp_match() in net/ipv4/netfilter/ip_tables.c takes 0xff for any type; icmp6_type_code_match()
    # in ip6_tables.c has no such case.
    host.load(text("-A INPUT -p icmp -m icmp --icmp-type 255 -j ACCEPT"), 4)
    assert host.first([icmp(4, kind) for kind in (0, 8, 254, 255)]) == [True, True, True, True]
    host.load(text("-A INPUT -p icmpv6 -m icmp6 --icmpv6-type 255 -j ACCEPT"), 6)
    assert host.first([icmp(6, kind) for kind in (0, 128, 254, 255)]) == [False, False, False, True]


@FAMILIES
def test_icmp_codes(host: KernelHost, family: int) -> None:
    module, option = ("icmp", "--icmp-type") if family == 4 else ("icmp6", "--icmpv6-type")
    name = "icmp" if family == 4 else "icmpv6"
    host.load(text(f"-A INPUT -p {name} -m {module} {option} 3/4 -j ACCEPT"), family)
    assert host.first([icmp(family, 3, code) for code in (3, 4, 5)]) == [False, True, False]


def _by_state(host: KernelHost, family: int, state: str, probes: list[Probe]) -> list[bool | None]:
    host.load(text(f"-A INPUT -m conntrack --ctstate {state} -j ACCEPT"), family)
    return host.first(probes)


@FAMILIES
def test_first_states(host: KernelHost, family: int) -> None:
    other = [Probe(family, SOURCE[family], HOST[family], number, 5, 6) for number in (132, 47, 50, 253, 33)]
    fresh = [tcp(family, 1), udp(family, 1), icmp(family, ECHO[family][1]), *other]
    assert _by_state(host, family, "NEW", fresh) == [True] * len(fresh)
    assert _by_state(host, family, "INVALID", fresh) == [False] * len(fresh)
    assert _by_state(host, family, "ESTABLISHED,RELATED,UNTRACKED", fresh) == [False] * len(fresh)
    notices = [icmp(family, kind) for kind in (1, 2, 3, 4, 254)]
    assert _by_state(host, family, "INVALID", notices) == [True] * len(notices)


def test_neighbour_discovery_is_untracked(host: KernelHost) -> None:
    # icmpv6_error() and noct_valid_new[] in nf_conntrack_proto_icmpv6.c
    probes = [icmp(6, kind) for kind in (130, 131, 132, 133, 134, 135, 136, 143, 151, 152)]
    assert _by_state(host, 6, "UNTRACKED", probes) == [True] * len(probes)
    assert _by_state(host, 6, "UNTRACKED", [icmp(6, 137), icmp(6, 128)]) == [False, False]


def test_udplite_is_invalid_in_conntrack(host: KernelHost) -> None:
    # udplite_error() of nf_conntrack_proto_udp.c verifies with UDP's number in the pseudo header, so a
    # checksum that is right by RFC 3828 is "bad": seen on Linux 6.18.
    probe = Probe(4, SOURCE[4], HOST[4], 136, 5, 6)
    host.load(text("-A INPUT -p udplite -m multiport --dports 6 -j ACCEPT"), 4)
    assert host.first([probe]) == [True]
    new, invalid = (_by_state(host, 4, state, [probe])[0] for state in ("NEW", "INVALID"))
    assert new is not invalid


@FAMILIES
def test_untracked(host: KernelHost, family: int) -> None:
    raw = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 5 -j {}\nCOMMIT\n"
    for target in ("CT --notrack", "NOTRACK"):
        rule = "-A INPUT -m conntrack --ctstate {} -j ACCEPT"
        host.load(text(rule.format("UNTRACKED"), before=raw.format(target)), family)
        assert host.first([tcp(family, 5), tcp(family, 6)]) == [True, False]
        host.load(text(rule.format("NEW"), before=raw.format(target)), family)
        assert host.first([tcp(family, 5), tcp(family, 6)]) == [False, True]
        # Without conntrack a later packet is judged like the first.
        host.load(text(rule.format("UNTRACKED"), before=raw.format(target)), family)
        assert host.later([tcp(family, 5), tcp(family, 6)]) == [True, None]


def test_refused_sources_v4(host: KernelHost) -> None:
    # ip_route_input_slow() and __fib_validate_source() in net/ipv4
    host.load(text(policy="ACCEPT"), 4)
    refused = ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "10.0.0.1", "10.1.0.1")
    reach = ("240.0.0.1", "0.1.2.3", "255.255.255.254", "10.0.0.255", "10.0.0.0", "169.254.1.1")
    assert host.first([tcp(4, 1, source=source) for source in refused]) == [None] * len(refused)
    assert host.first([tcp(4, 1, source=source) for source in reach]) == [True] * len(reach)
    host.load(text(), 4)
    assert host.first([tcp(4, 1, source=source) for source in refused]) == [None] * len(refused)
    assert host.first([tcp(4, 1, source=source) for source in reach]) == [False] * len(reach)


def test_refused_sources_v6(host: KernelHost) -> None:
    # ip6_rcv_core() in net/ipv6/ip6_input.c, ahead of PREROUTING
    host.load(text(policy="ACCEPT"), 6)
    refused = ("::1", "ff02::1", "ff00::")
    reach = ("::", "::2", "fe80::1", "fd00:1::1", "fec0::1", "::ffff:1.2.3.4", "8000::1")
    assert host.first([tcp(6, 1, source=source) for source in refused]) == [None] * len(refused)
    assert host.first([tcp(6, 1, source=source) for source in reach]) == [True] * len(reach)


@FAMILIES
@pytest.mark.parametrize("table", ["security", "raw", "mangle", "mangle PREROUTING"])
def test_other_tables_count(host: KernelHost, family: int, table: str) -> None:
    name, _, chain = table.partition(" ")
    chain = chain or {"raw": "PREROUTING"}.get(name, "INPUT")
    before = f"*{name}\n:{chain} ACCEPT [0:0]\n-A {chain} -p tcp --dport 9 -j DROP\nCOMMIT\n"
    for backend in ("nft", "legacy"):
        host.backend = backend
        try:
            host.load(text(policy="ACCEPT", before=before), family)
            assert host.first([tcp(family, 9), tcp(family, 10)]) == [False, True]
        finally:
            host.flush()
            host.backend = "nft"


@FAMILIES
def test_interfaces(host: KernelHost, family: int) -> None:
    probes = [tcp(family, 1, interface=name) for name in ("eth0", "eth1")]
    for match, expected in (
        ("-i eth0", [True, False]),
        ("! -i eth0", [False, True]),
        ("-i eth+", [True, True]),
        ("-i lo", [False, False]),
    ):
        host.load(text(f"-A INPUT {match} -j ACCEPT"), family)
        assert host.first(probes) == expected
    with pytest.raises(ValueError, match="no interface"):
        host.first([tcp(family, 1, interface="eth9")])


@FAMILIES
def test_later_is_established(host: KernelHost, family: int) -> None:
    probes = [tcp(family, 7), udp(family, 7), icmp(family, ECHO[family][1])]
    probes += [Probe(family, SOURCE[family], HOST[family], number, 5, 7) for number in (132, 33, 47, 253)]
    every = [True] * len(probes)
    states = ("NEW", "INVALID", "RELATED", "UNTRACKED", "ESTABLISHED")
    # "! ESTABLISHED" accepts each first packet, whatever else may be accepted later.
    for state in states:
        host.load(
            text(
                f"-A INPUT -m conntrack --ctstate ESTABLISHED -m conntrack --ctstate {state} -j ACCEPT"
                if state == "ESTABLISHED"
                else f"-A INPUT -m conntrack --ctstate {state} -m conntrack ! --ctstate NEW -j ACCEPT",
                "-A INPUT -m conntrack --ctstate NEW -j ACCEPT",
            ),
            family,
        )
        assert host.first(probes) == every
        assert host.later(probes) == [state == "ESTABLISHED"] * len(probes), state


@FAMILIES
def test_later_without_a_connection(host: KernelHost, family: int) -> None:
    host.load(
        text("-A INPUT -m state --state ESTABLISHED -j ACCEPT", "-A INPUT -p tcp --dport 7 -j ACCEPT"), family
    )
    assert host.later([tcp(family, 7), tcp(family, 8), udp(family, 7)]) == [True, None, None]
    assert host.later([icmp(family, 3)]) == [None]


@FAMILIES
def test_later_packets_are_judged_by_the_rules(host: KernelHost, family: int) -> None:
    host.load(text("-A INPUT -p tcp --syn -j ACCEPT", "-A INPUT -p udp -j ACCEPT"), family)
    assert host.first([tcp(family, 7), udp(family, 7)]) == [True, True]
    assert host.later([tcp(family, 7), udp(family, 7)]) == [False, True]


@FAMILIES
def test_later_same_connection_twice(host: KernelHost, family: int) -> None:
    host.load(
        text(
            "-A INPUT -m state --state ESTABLISHED -j ACCEPT",
            "-A INPUT -i eth0 -m state --state NEW -j ACCEPT",
        ),
        family,
    )
    probes = [tcp(family, 7, interface=name) for name in ("eth0", "eth1", "eth0")]
    assert host.later(probes) == [True, None, True]
    assert host.first(probes) == [True, False, True]  # nothing is left behind in conntrack


@FAMILIES
def test_flags_of_a_first_packet(host: KernelHost, family: int) -> None:
    host.load(text("-A INPUT -m conntrack --ctstate NEW -j ACCEPT"), family)
    # nf_conntrack_tcp_loose is 1 by default: a lone ACK opens a connection, a lone RST does not.
    assert host.first([tcp(family, 7)], flags=ACK) == [True]
    assert host.first([tcp(family, 7)], flags=RST) == [False]


@FAMILIES
def test_many(host: KernelHost, family: int) -> None:
    host.load(text("-A INPUT -p tcp --dport 1000:1999 -j ACCEPT"), family)
    probes = [tcp(family, 1 + number % 3000, sport=1 + number // 3000) for number in range(70_000)]
    assert host.first(probes) == [1000 <= probe.dport <= 1999 for probe in probes]


def test_input_path(host: KernelHost) -> None:
    dump = (
        "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [3:4]\n:MINE - [0:0]\n"
        "[0:0] -A INPUT -j MINE\n-A OUTPUT -p tcp -j MINE\n[1:2] -A FORWARD -j MINE\n"
        '-A MINE -m comment --comment "-A OUTPUT" -j ACCEPT\nCOMMIT\n'
    )
    kept = input_path(dump)
    assert kept == (
        "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [3:4]\n:MINE - [0:0]\n"
        '[0:0] -A INPUT -j MINE\n-A MINE -m comment --comment "-A OUTPUT" -j ACCEPT\nCOMMIT\n'
    )
    host.load(kept, 4)
    assert host.first([tcp(4, 1)]) == [True]


@FAMILIES
def test_boundaries(host: KernelHost, family: int) -> None:
    prefix = {4: "10.9.8.0/24", 6: "fd09::/64"}[family]
    ruleset = text(f"-A INPUT -s {prefix} -p tcp -m tcp --dport 100:200 -j ACCEPT", "-A INPUT -p udp -j DROP")
    where = host.own(family)
    made = [
        boundary_probes(
            ruleset, family, count=3000, rng=Random(5), destinations=where, interfaces=host.interfaces
        )
        for _ in range(2)
    ]
    assert made[0] == made[1]
    ports = Counter(probe.dport for probe in made[0])
    assert all(ports[port] > 20 for port in (99, 100, 200, 201))
    edges = {4: ("10.9.7.255", "10.9.8.0", "10.9.8.255", "10.9.9.0"), 6: ("fd09::", "fd09:0:0:1::")}[family]
    sources = Counter(probe.source for probe in made[0])
    assert all(sources[source] > 20 for source in edges)
    host.load(ruleset, family)
    verdicts = Counter(host.first(made[0]))
    assert verdicts[True] > 100
    assert verdicts[False] > 100
    assert verdicts[None] == 0


@FAMILIES
def test_generated_rulesets_load(host: KernelHost, family: int) -> None:
    mixed = Counter[bool]()

    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(rulesets(family))
    def check(ruleset: str) -> None:
        host.load(ruleset, family)
        probes = boundary_probes(
            ruleset,
            family,
            count=200,
            rng=Random(1),
            destinations=host.own(family),
            interfaces=host.interfaces,
        )
        verdicts = host.first(probes)
        assert None not in verdicts
        assert host.first(probes) == verdicts
        mixed[len(set(verdicts)) > 1] += 1

    check()
    assert mixed[True] > 8


def test_namespaces_go_away() -> None:
    def names() -> set[str]:
        done = subprocess.run(("ip", "netns", "list"), capture_output=True, text=True, check=True)
        return {line.split()[0] for line in done.stdout.splitlines()}

    before = names()
    made: set[str] = set()

    def fail() -> None:
        with KernelHost() as other:
            other.first([Probe(4, "0.0.0.0", "192.0.2.1", 17, 1, 1)])  # makes the twin as well
            made.update(names() - before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(made) == 4
    assert not names() & made
    with pytest.raises(HarnessError, match="prefix"), KernelHost({"eth0": ("not an address",)}):
        pass
    assert not names() - before
