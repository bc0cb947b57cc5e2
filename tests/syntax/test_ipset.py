"""``ipset save`` dumps: what they say of packets, and what is wrong with bad ones."""

from __future__ import annotations

import pytest

from ipt2np import Decision, Facts, Field, InputError, decide, parse_ruleset
from ipt2np.syntax.ipset import parse_ipsets

HEAD = "*filter\n:INPUT DROP [0:0]\n"


def decided(dump: str, rule: str, family: int = 4) -> Decision:
    ruleset = parse_ruleset(f"{HEAD}-A INPUT {rule} -j ACCEPT\nCOMMIT\n".encode(), "rules", family=family)
    return decide([ruleset], facts=Facts(ipsets=parse_ipsets(dump.encode(), "sets")))


def tcp(source: str, port: int = 80, sport: int = 40000) -> dict[Field, int]:
    value = int.from_bytes(bytes(int(part) for part in source.split(".")), "big")
    return {Field.PROTOCOL: 6, Field.SOURCE: value, Field.DESTINATION_PORT: port, Field.SOURCE_PORT: sport}


def exact(decision: Decision) -> bool:
    return decision.must_accept == decision.may_accept


def test_a_set_of_addresses_holds_for_their_packets() -> None:
    decision = decided(
        "create s hash:ip family inet\nadd s 192.0.2.7\nadd s 192.0.2.9\n", "-m set --match-set s src"
    )
    assert exact(decision)
    assert tcp("192.0.2.7") in decision.must_accept
    assert tcp("192.0.2.8") not in decision.must_accept


def test_the_longest_prefix_decides_so_that_nomatch_cuts_a_hole() -> None:
    dump = "create s hash:net\nadd s 10.0.0.0/8\nadd s 10.1.0.0/16 nomatch\nadd s 10.1.2.0/24\n"
    decision = decided(dump, "-m set --match-set s src")
    assert exact(decision)
    assert tcp("10.2.0.1") in decision.must_accept
    assert tcp("10.1.9.1") not in decision.must_accept
    assert tcp("10.1.2.1") in decision.must_accept


def test_a_negated_address_and_port_set_holds_for_protocols_without_ports() -> None:
    decision = decided("create s hash:ip,port\nadd s 10.0.0.1,tcp:80\n", "-m set ! --match-set s src,dst")
    gre = {Field.PROTOCOL: 47, Field.SOURCE: 10 << 24 | 1}
    assert gre in decision.must_accept
    assert tcp("10.0.0.1", 80) not in decision.may_accept
    assert tcp("10.0.0.1", 81) in decision.must_accept


def test_port_ranges_icmp_types_and_a_netmask_are_read() -> None:
    dump = "create p bitmap:port range 0-1024\nadd p 20-25\ncreate n hash:ip netmask 24\nadd n 192.0.2.0\n"
    assert tcp("10.0.0.1", 22) in decided(dump, "-m set --match-set p dst").must_accept
    assert tcp("192.0.2.200") in decided(dump, "-m set --match-set n src").must_accept
    icmp = "create i hash:ip,port\nadd i 10.0.0.1,icmp:echo-request\nadd i 10.0.0.1,47:0\n"
    assert {Field.PROTOCOL: 47, Field.SOURCE: 10 << 24 | 1} in decided(
        icmp, "-m set --match-set i src,dst"
    ).must_accept


def test_a_set_of_the_other_family_or_with_too_few_directions_never_matches() -> None:
    six = "create s hash:ip family inet6\nadd s 2001:db8::1\n"
    assert not decided(six, "-m set --match-set s src").may_accept
    assert decided(six, "-m set --match-set s src", family=6).must_accept
    assert not decided(
        "create s hash:ip,port\nadd s 10.0.0.1,tcp:80\n", "-m set --match-set s src"
    ).may_accept


@pytest.mark.parametrize("kind", ["hash:mac", "list:set", "hash:net,iface", "hash:ip,mark"])
def test_a_type_that_is_not_followed_is_undecided(kind: str) -> None:
    decision = decided(f"create s {kind}\n", "-m set --match-set s src,src")
    assert not decision.must_accept
    assert decision.may_accept


def test_a_set_that_is_not_in_the_dump_is_undecided() -> None:
    assert decided("create other hash:ip\n", "-m set --match-set s src").may_accept


@pytest.mark.parametrize(
    ("dump", "line", "column", "message"),
    [
        ("create s hash:ip\nadd s 10.0.0.300\n", 2, 7, "not an address"),
        ("add s 10.0.0.1\n", 1, 5, "was not created"),
        ("create s hash:ip\ncreate s hash:ip\n", 2, 8, "created twice"),
        ("create s hash:ip,port\nadd s 10.0.0.1\n", 2, 7, "has 1 parts"),
        ("create s hash:ip,port\nadd s 10.0.0.1,nope:1\n", 2, 7, "unknown protocol"),
        ("nonsense\n", 1, 1, "no line of an ipset dump"),
        ("create s\n", 1, 9, "no line of an ipset dump"),
        ("", 0, 0, "holds no ipset"),
    ],
)
def test_a_bad_dump_is_refused_with_its_place(dump: str, line: int, column: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_ipsets(dump.encode(), "sets")
    problem = caught.value.problems[0]
    assert (problem.location.line, problem.location.column) == (line, column)
    assert message in problem.message


def test_all_faults_of_a_dump_are_reported_at_once() -> None:
    with pytest.raises(InputError) as caught:
        parse_ipsets(b"create s hash:ip\nadd s x\nadd t 1.2.3.4\nadd s y\n", "sets")
    assert [problem.location.line for problem in caught.value.problems] == [2, 3, 4]
