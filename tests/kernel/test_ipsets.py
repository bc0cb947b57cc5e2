"""``-m set`` against the kernel: each type of set that ipt2np follows, with its own ``ipset save`` dump.

hash:net,net, hash:net,port,net, hash:ip,mark and hash:mac are modules that the tests' kernel may lack.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

import pytest

from ipt2np import Facts
from ipt2np.syntax.ipset import parse_ipsets

from .differential import PLAIN, TALLY, Heard, Question, against, story
from .host import HarnessError, KernelHost
from .probe import DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, Probe

_TWO: Final = ("src,src", "src,dst", "dst,src", "dst,dst")
_PORTS: Final = (
    (TCP, 40000, 22), (TCP, 22, 80), (UDP, 40000, 53), (UDP, 53, 22), (SCTP, 40000, 22), (DCCP, 40000, 22),
    (UDPLITE, 40000, 22), (47, 0, 0), (50, 0, 0),
)  # fmt: skip
_SOURCES: Final = {
    4: ("10.0.0.5", "10.0.0.64", "10.0.0.65", "10.0.1.1", "10.2.0.1", "192.168.7.9", "9.9.9.9"),
    6: ("fd00::5", "fd00::40", "fd00:0:0:1::1", "fd02::1", "2001::9"),
}
_OWN: Final = {
    4: (("10.0.0.1", "eth0"), ("10.1.0.1", "eth1")),
    6: (("fd00::1", "eth0"), ("fd00:1::1", "eth1")),
}


@dataclass(frozen=True)
class SetCase:
    family: int
    type: str
    entries: tuple[str, ...]
    directions: tuple[str, ...] = ("src", "dst")
    options: tuple[str, ...] = ()
    """What else is asked, in the first of the directions."""
    before: str = ""
    """Sets that are there before."""


CASES: Final = (
    SetCase(4, "hash:ip", ("10.0.0.5", "10.0.0.64/31"), ("src", "dst", "src,dst")),
    SetCase(4, "hash:ip netmask 24", ("10.0.0.5",)),
    SetCase(4, "bitmap:ip range 10.0.0.0/24", ("10.0.0.5", "10.0.0.64-10.0.0.70")),
    SetCase(4, "bitmap:ip range 10.0.0.0/16 netmask 24", ("10.0.0.0",)),
    SetCase(4, "bitmap:ip,mac range 10.0.0.0/24", ("10.0.0.5", "10.0.0.64,02:00:00:00:01:00"), ("src,src",)),
    SetCase(4, "bitmap:port range 0-1024", ("22", "50-60"), ("src", "dst", "src,dst")),
    SetCase(6, "bitmap:port range 0-1024", ("22", "50-60")),
    SetCase(4, "hash:mac", ("02:00:00:00:01:00",)),
    SetCase(
        4,
        "hash:net",
        ("10.0.0.0/24", "10.0.0.64/26 nomatch", "10.0.0.65", "10.2.0.0/16"),
        ("src", "dst", "src,src"),
    ),
    SetCase(4, "hash:net", ("0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8 nomatch")),
    SetCase(
        4,
        "hash:net timeout 1000 counters comment skbinfo",
        ('10.0.0.0/24 timeout 100 packets 4 bytes 8 comment "a, b"',),
    ),
    SetCase(
        4,
        "hash:ip,port",
        (
            "10.0.0.5,tcp:22", "10.0.0.5,udp:53", "9.9.9.9,icmp:8/0", "10.0.0.1,22-30", "9.9.9.9,47:0",
            "10.0.0.5,icmp:3/4", "10.0.0.5,sctp:22", "10.0.0.5,udplite:22",
        ),
        (*_TWO, "src"),
    ),
    SetCase(
        4, "hash:net,port", ("10.0.0.0/24,tcp:22", "10.0.0.64/26,tcp:22 nomatch", "10.0.0.65,tcp:22"), _TWO
    ),
    SetCase(
        4,
        "hash:ip,port,ip",
        ("10.0.0.5,tcp:22,10.0.0.1", "9.9.9.9,udp:53,10.1.0.1"),
        ("src,dst,dst", "src,src,dst", "dst,dst,src", "src,dst"),
    ),
    SetCase(
        4, "hash:ip,port,net", ("10.0.0.5,tcp:22,10.0.0.0/24", "9.9.9.9,udp:53,10.0.0.0/8"), ("src,dst,dst",)
    ),
    SetCase(4, "hash:net,iface", ("10.0.0.0/24,eth0", "9.0.0.0/8,eth1"), ("src,src", "src,dst")),
    SetCase(6, "hash:ip family inet6", ("fd00::5", "fd00::1")),
    SetCase(6, "hash:net family inet6", ("fd00::/64", "fd00::40/122 nomatch", "fd00:1::/32")),
    SetCase(
        6,
        "hash:ip,port family inet6",
        ("fd00::5,tcp:22", "2001::9,icmpv6:128/0", "fd00::1,22", "fd00::5,47:0", "fd00::5,icmpv6:1/4"),
        _TWO,
    ),
    SetCase(6, "hash:net,port family inet6", ("fd00::/16,tcp:22", "fd00::/64,tcp:22 nomatch"), _TWO),
    SetCase(4, "hash:ip bitmask 255.255.0.255", ("10.0.0.5", "10.0.9.64", "10.1.1.1-10.1.1.9"), ("src", "dst")),
    SetCase(4, "hash:ip bitmask 0.0.0.255", ("10.0.0.5", "0.0.0.1"), ("src", "dst")),
    SetCase(4, "hash:ip,port netmask 24", ("10.0.0.0,tcp:22", "10.0.1.0/24,udp:53"), _TWO),
    SetCase(6, "hash:ip family inet6 bitmask ffff::ff", ("fd00::5", "fd02::1")),
    SetCase(6, "hash:ip,port family inet6 netmask 64", ("fd00::,tcp:22", "fd02::,udp:53"), _TWO),
    SetCase(
        4,
        "hash:net",
        ("10.0.0.0/8", "10.0.0.0/24 nomatch", "10.0.0.64/31"),
        options=("--return-nomatch", "--packets-gt 3", "! --update-counters"),
    ),
    SetCase(4, "hash:ip", ("10.0.0.5", "10.0.0.64"), options=("--return-nomatch", "--bytes-eq 0")),
    SetCase(
        4,
        "hash:net counters",
        ("10.0.0.0/8 packets 9 bytes 90", "10.0.0.0/24 nomatch packets 2 bytes 2", "10.0.0.64/31 packets 0 bytes 0"),
        options=("--packets-gt 5", "--packets-lt 5", "--return-nomatch --bytes-lt 50", "! --packets-eq 9"),
    ),
    SetCase(  # the longest prefix with an entry at all ends the search, whatever interface it names
        4,
        "hash:net,iface",
        ("10.0.0.0/8,eth0", "10.0.0.0/24,eth1", "10.0.0.64/31,eth0 nomatch", "0.0.0.0/0,eth wildcard"),
        _TWO,
        ("--return-nomatch",),
    ),
    SetCase(6, "hash:net,iface family inet6", ("fd00::/16,eth0", "fd00::/64,eth1", "::/0,e wildcard"), _TWO),
    SetCase(4, "hash:net,iface", ("10.0.0.0/24,physdev:eth0", "10.0.0.0/8,eth0", "9.0.0.0/8,lo"), _TWO),
    SetCase(4, "hash:net,iface", ("10.0.0.0/8,eth0 nomatch", "10.0.0.0/8,eth wildcard"), _TWO),
    SetCase(
        4,
        "list:set",
        ("net", "port", "six", "mac"),
        ("src,dst", "src", "dst,src", "src,dst,src"),
        ("--return-nomatch",),
        "create net hash:net\nadd net 10.0.0.0/24\nadd net 10.0.0.64/26 nomatch\ncreate port hash:ip,port\n"
        "add port 9.9.9.9,udp:53\nadd port 10.0.0.65,tcp:22\ncreate six hash:net family inet6\nadd six fd00::/8\n"
        "create mac bitmap:ip,mac range 10.2.0.0/16\nadd mac 10.2.0.1\n",
    ),
    SetCase(
        6,
        "list:set counters",
        ("four", "six packets 7 bytes 7"),
        ("src", "src,dst"),
        ("--packets-gt 5",),
        "create four hash:ip\nadd four 10.0.0.5\ncreate six hash:ip family inet6 counters\nadd six fd00::5\n",
    ),
    SetCase(
        4,
        "hash:net,net",
        ("10.0.0.0/8,10.1.0.1 nomatch", "10.0.0.64/26,10.0.0.0/8", "10.0.0.0/24,10.0.0.0/8"),
        _TWO,
    ),
    SetCase(
        4,
        "hash:net,port,net",
        ("10.0.0.0/8,tcp:22,10.1.0.1 nomatch", "10.0.0.64/26,tcp:22,10.0.0.0/8"),
        ("src,dst,dst",),
    ),
)  # fmt: skip


def probes(family: int) -> list[Probe]:
    sources, own = _SOURCES[family], _OWN[family]
    made = [
        Probe(family, source, address, protocol, sport, dport, interface=interface)
        for source, (address, interface), (protocol, sport, dport) in product(sources, own, _PORTS)
    ]
    icmp, types = (ICMP, ((8, 0), (8, 1), (3, 4))) if family == 4 else (ICMPV6, ((128, 0), (1, 4), (129, 0)))
    for source in (sources[0], sources[-1]):
        made += [
            Probe(family, source, own[0][0], icmp, icmp_type=kind, icmp_code=code) for kind, code in types
        ]
    made.append(Probe(family, sources[0], own[0][0], 59 - icmp, icmp_type=8))
    return made


def check(host: KernelHost, case: SetCase) -> None:
    """Each of the directions, the first one negated and with each of the options as well."""
    sets = f"{case.before}create s {case.type}\n" + "".join(f"add s {entry}\n" for entry in case.entries)
    first = case.directions[0]
    asked_for = [f"! --match-set s {first}", *(f"--match-set s {each}" for each in case.directions)]
    asked_for += [
        f"{negation}--match-set s {first} {each}" for each in case.options for negation in ("", "! ")
    ]
    for match in asked_for:
        rule = f"-A INPUT -m set {match} -j ACCEPT"
        text = f"*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{rule}\nCOMMIT\n"
        try:
            host.load(text, case.family, sets=sets)
        except HarnessError as error:
            if "set type not supported" in str(error):
                host.flush()
                pytest.skip(f"this kernel has no {case.type}")
            raise
        asked = probes(case.family)
        saved = host.run("ipset", "save")
        heard = Heard(text, case.family, asked, host.first(asked), host.later(asked))
        TALLY.rulesets += 1
        TALLY.verdicts += sum(verdict is not None for verdict in (*heard.first, *heard.later))
        known = Question(facts=Facts(ipsets=parse_ipsets(saved.encode(), "sets")))
        found = against(heard, [known])
        assert not found, story(saved + text, found)
        # Nothing known of the set: everything stays open, and still nothing wrong is said.
        assert not against(heard, [PLAIN], policies=False)
    host.flush()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.type} {case.entries[0]}")
def test_sets(host: KernelHost, case: SetCase) -> None:
    check(host, case)


@pytest.mark.parametrize("operation", ["--add-set", "--del-set"])
@pytest.mark.parametrize("family", [4, 6])
def test_a_set_that_rules_change_is_not_what_its_dump_says(
    host: KernelHost, family: int, operation: str
) -> None:
    """``-j SET`` acts before the next rule asks; the dump is read back before any packet has come."""
    source = _SOURCES[family][0]
    sets = f"create s hash:ip family {'inet' if family == 4 else 'inet6'}\n"
    sets += f"add s {source}\n" if operation == "--del-set" else ""
    text = (
        "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        f"-A INPUT -j SET {operation} s src\n-A INPUT -m set --match-set s src -j ACCEPT\nCOMMIT\n"
    )
    host.load(text, family, sets=sets)
    saved = host.run("ipset", "save")
    asked = probes(family)
    heard = Heard(text, family, asked, host.first(asked), host.later(asked))
    TALLY.rulesets += 1
    TALLY.verdicts += sum(verdict is not None for verdict in (*heard.first, *heard.later))
    found = against(heard, [Question(facts=Facts(ipsets=parse_ipsets(saved.encode(), "sets")))])
    host.flush()
    assert not found, story(saved + text, found)
