"""``ipset save`` dumps: what is read of them, and what is wrong with bad ones."""

from __future__ import annotations

import pytest

from ipt2np import InputError
from ipt2np.rules.ipset import IpSet
from ipt2np.syntax.ipset import parse_ipsets


def sets(dump: str | bytes) -> dict[str, IpSet]:
    return dict(parse_ipsets(dump if isinstance(dump, bytes) else dump.encode(), "sets"))


def cidr(text: str) -> tuple[int, int]:
    from ipaddress import ip_network

    network = ip_network(text)
    return int(network[0]), int(network[-1])


def addresses(ipset: IpSet) -> list[tuple[int, int]]:
    """Every range of the only part that is addresses, ascending."""
    return sorted(each for batch in ipset.batches for each in batch.addresses[0])


def problems(dump: str) -> list[tuple[int, int, int, str, str]]:
    with pytest.raises(InputError) as caught:
        sets(dump)
    return [
        (each.location.line, each.location.column, each.width, each.message, each.expected)
        for each in caught.value.problems
    ]


# -- what is read ---------------------------------------------------------------------------------------


def test_a_dump_as_ipset_prints_it() -> None:
    found = sets(
        "create banned hash:net family inet hashsize 1024 maxelem 65536 timeout 0 counters comment skbinfo forceadd "
        "bucketsize 12 initval 0xaf046a92\n"
        'add banned 192.0.2.0/24 timeout 300 packets 4 bytes 400 comment "too many, -exist" skbmark 0x1/0xff\n'
        "add banned 192.0.2.128/25 timeout 0 nomatch packets 0 bytes 0\n"
        "create all list:set size 8\nadd all banned\n"
    )
    banned = found["banned"]
    assert (banned.type, banned.family, banned.counters, banned.location.line) == ("hash:net", 4, True, 1)
    by_prefix = {batch.prefix: batch for batch in banned.batches}
    assert by_prefix[24,].transient and not by_prefix[24,].nomatch
    assert by_prefix[25,].nomatch and not by_prefix[25,].transient
    assert banned.transient == 1 and [b.prefix for b in banned.permanent().batches] == [(25,)]
    assert found["all"].members == ("banned",)


@pytest.mark.parametrize(
    "dump",
    [
        "create s hash:ip\nadd s 10.0.0.1\nadd s 10.0.0.2\n",
        "\ufeffcreate s hash:ip\r\nadd s 10.0.0.1\r\nadd s 10.0.0.2\r\n",
        "# of the host\n\n  create\ts  hash:ip\n#x\nadd s 10.0.0.1\n   \nadd s 10.0.0.2",
        "create s hash:ip -exist\nadd s 10.0.0.1 -exist\nadd -! s 10.0.0.2\nadd s 10.0.0.2 -!\nCOMMIT\nquit\n",
        "-exist create s hash:ip\ncreate s hash:ip -exist\nadd s 10.0.0.1-10.0.0.2\n",
        "-N s iphash --hashsize 1024 --probes 8 --resize 50\n-A s 10.0.0.1\n-A s 10.0.0.2\nCOMMIT\n",
        "--create s iptree --timeout 0\n--add s 10.0.0.1\n--add s 10.0.0.2\n",
        "ipset create s hash:ip\n/usr/sbin/ipset -! add s 10.0.0.1\nipset add s 10.0.0.2 -quiet\n",
        "create s hash:ip\nadd s 9.9.9.9\nflush s\nadd s 10.0.0.1\nadd s 10.0.0.2\n",
        "create s hash:ip\ncreate new hash:ip\nadd new 10.0.0.1\nadd new 10.0.0.2\nswap new s\ndestroy new\n",
        "create old hash:ip\nadd old 9.9.9.9\ndestroy\ncreate s hash:ip\nadd s 10.0.0.1\nadd s 10.0.0.2\n",
        'create s hash:ip comment\nadd s 10.0.0.1 comment "a \\"\nadd s 10.0.0.2 comment word\n',
        "create s hash:ip -4\nadd s 10.0.0.1/32\nadd s 10.0.0.2-10.0.0.2\n",
        "create s hash:ip\nadd s 10.1\nadd s 012.0.0.2\n",
    ],
)
def test_what_people_write_means_what_ipset_makes_of_it(dump: str) -> None:
    assert list(sets(dump)) == ["s"]
    assert addresses(sets(dump)["s"]) == [((10 << 24) + 1, (10 << 24) + 2)]


def test_old_types_have_their_new_names() -> None:
    found = sets(
        "-N a ipmap --from 10.0.0.0 --to 10.0.0.255\n-A a 10.0.0.5\n-N b ipmap --network 10.0.0.0/255.255.0.0\n"
        "-N c portmap --from 1 --to 1024\n-A c 22\n-N d nethash\n-A d 10.0.0.0/8\n-N e setlist --size 8\n-A e a,before,d\n"
        "-N f iptreemap\n-A f 10.0.0.0-10.0.0.9\n-N g macipmap --network 10.0.0.0/24 --matchunset\n-A g 10.0.0.1\n"
    )
    assert [each.type for each in found.values()] == [
        "bitmap:ip", "bitmap:ip", "bitmap:port", "hash:net", "list:set", "hash:net", "bitmap:ip,mac",
    ]  # fmt: skip
    assert found["e"].members == ("a",)


def test_a_port_of_ipset_4_is_tcp_for_certain_and_udp_perhaps() -> None:
    old, new = (
        sets(f"create s {kind}\nadd s 10.0.0.1,53\nadd s 10.0.0.2,udp:53\n")["s"]
        for kind in ("ipporthash", "hash:ip,port")
    )
    assert sorted((batch.certain, *batch.services) for batch in new.batches) == [
        (True, (6, 53, 53), (17, 53, 53))
    ]
    assert sorted((batch.certain, *batch.services) for batch in old.batches) == [
        (False, (17, 53, 53)), (True, (6, 53, 53), (17, 53, 53)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("22", (6, 22, 22)), ("ssh", (6, 22, 22)), ("tcp:80-90", (6, 80, 90)), ("udp:90-80", (17, 80, 90)),
        ("tcp:[ftp-data]", (6, 20, 20)), ("ftp-data", (6, 20, 20)), ("ftp-data-ssh", (6, 20, 22)),
        ("17:0x35", (17, 53, 53)), ("SCTP:1", (132, 1, 1)), ("udplite:5", (136, 5, 5)), ("gre:0", (47, 0, 0)),
        ("icmp:echo-request", (1, 0x800, 0x800)), ("icmp:3/4", (1, 0x304, 0x304)), ("1:echo-re", (1, 0, 0)),
        ("ICMP:TOS-host-redirect", (1, 0x503, 0x503)), ("dccp:0", (33, 0, 0)),
    ],
)  # fmt: skip
def test_services(text: str, service: tuple[int, int, int]) -> None:
    (batch,) = sets(f"create s hash:net,port\nadd s 10.0.0.0/8,{text}\n")["s"].batches
    assert list(batch.services) == [service]


def test_icmpv6_in_a_set_of_ipv6() -> None:
    (batch,) = sets(
        "create s hash:ip,port family inet6\nadd s fd00::1,ipv6-icmp:port-unreachable\nadd s ::1,icmpv6:128/0\n"
    )["s"].batches
    assert list(batch.services) == [(58, 0x104, 0x104), (58, 0x8000, 0x8000)]


def test_ranges_of_networks_are_the_fewest_networks() -> None:
    found = sets("create s hash:net\nadd s 10.0.0.6-10.0.0.1\nadd s 10.0.0.77/255.255.255.0\n")["s"]
    assert sorted((batch.prefix, batch.count) for batch in found.batches) == [
        ((24,), 1),
        ((31,), 2),
        ((32,), 2),
    ]


def test_a_type_that_is_not_known_is_kept_without_its_elements() -> None:
    found = sets("create s hash:ip,vlan family inet frob 7\nadd s 10.0.0.1,5\n")["s"]
    assert found.kind is None and not found.batches


def test_a_list_may_hold_sets_of_both_families_and_follows_swaps_by_name() -> None:
    found = sets(
        "create a hash:ip\nadd a 10.0.0.1\ncreate b hash:ip\ncreate six hash:ip family inet6\ncreate l list:set timeout 9\n"
        "add l a\nadd l six before a\nadd l b timeout 0\nswap a b\n"
    )
    assert sorted(found["l"].members) == ["a", "b", "six"]
    assert found["l"].transient == 2 and found["l"].permanent().members == ("b",)
    assert not found["a"].batches and found["b"].batches


# -- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dump", "line", "column", "width", "message"),
    [
        ("", 0, 0, 1, "holds no ipset"),
        ("nonsense\n", 1, 1, 8, "no line of an ipset dump"),
        ("Name: s\nType: hash:ip\n", 1, 1, 5, "what ipset list prints"),
        ("create s\n", 1, 9, 1, "ends too early"),
        ('create s hash:ip "x\n', 1, 18, 1, "never closed"),
        ("create s hash:frob_\n", 1, 10, 10, "no set type"),
        ("create s hash:ip\ncreate s hash:ip\n", 2, 8, 1, "created twice"),
        ("create s hash:ip\ncreate s hash:net -exist\n", 2, 8, 1, "created twice"),
        (f"create {'s' * 32} hash:ip\n", 1, 8, 32, "longer than 31"),
        ("create s hash:ip frob 3\n", 1, 18, 4, "'frob' is not known here"),
        ("create s hash:net netmask 24\n", 1, 19, 7, "'netmask' is not known here"),
        ("create s hash:ip family\n", 1, 18, 6, "needs a value"),
        ("create s hash:ip family any\n", 1, 25, 3, "no family"),
        ("create s hash:ip -4 -6\n", 1, 21, 2, "family stands twice"),
        ("create s hash:ip timeout 1 timeout 2\n", 1, 28, 7, "stands twice"),
        ("create s hash:ip timeout 9999999\n", 1, 26, 7, "no number"),
        ("create s hash:ip netmask 33\n", 1, 26, 2, "no number"),
        ("create s hash:ip netmask 8 bitmask 255.0.0.0\n", 1, 28, 7, "exclude each other"),
        ("create s hash:ip bitmask 0.0.0.0\n", 1, 26, 7, "without a bit"),
        ("create s bitmap:ip\n", 1, 10, 9, "needs a range"),
        ("create s bitmap:ip range 10.0.0.0/15\n", 1, 26, 11, "too wide"),
        ("create s bitmap:ip range x\n", 1, 26, 1, "host name"),
        ("create s hash:ip,mark markmask 0\n", 1, 32, 1, "no number"),
        ("add s 10.0.0.1\n", 1, 5, 1, "was not created"),
        ("create s hash:ip\nadd s 10.0.0.300\n", 2, 7, 10, "not an address"),
        ("create s hash:ip\nadd s fd00::1\n", 2, 7, 7, "IPv6 address in an IPv4 set"),
        ("create s hash:ip family inet6\nadd s 10.0.0.1\n", 2, 7, 8, "IPv4 address in an IPv6 set"),
        ("create s hash:ip family inet6\nadd s fd00::/64\n", 2, 7, 9, "more than one address"),
        ("create s hash:ip\nadd s example.org\n", 2, 7, 11, "host name"),
        ("create s hash:ip\nadd s 0.0.0.0\n", 2, 7, 7, "is zero"),
        ("create s hash:ip netmask 24\nadd s 0.0.0.9\n", 2, 7, 7, "is zero"),
        ("create s hash:ip\nadd s 10.0.0.1/0\n", 2, 7, 10, "not a prefix length"),
        ("create s hash:net\nadd s 0.0.0.0/0\n", 2, 7, 9, "not a prefix length"),
        ("create s hash:net\nadd s 0.0.0.0-255.255.255.255\n", 2, 7, 23, "whole address space"),
        ("create s hash:net family inet6\nadd s ::1-::2\n", 2, 7, 7, "is a range"),
        ("create s hash:ip\nadd s 10.0.0.1,80\n", 2, 7, 11, "has 2 parts"),
        ("create s hash:ip,port\nadd s 10.0.0.1\n", 2, 7, 8, "has 1 part"),
        ("create s hash:ip,port\nadd s 10.0.0.1,nope:1\n", 2, 16, 6, "unknown protocol"),
        ("create s hash:ip,port\nadd s 10.0.0.1,0:0\n", 2, 16, 3, "unknown protocol"),
        ("create s hash:ip,port\nadd s 10.0.0.1,icmpv6:128/0\n", 2, 16, 12, "other family"),
        ("create s hash:ip,port\nadd s 10.0.0.1,icmp:3\n", 2, 16, 6, "no ICMP type with a code"),
        ("create s hash:ip,port\nadd s 10.0.0.1,dccp:22\n", 2, 16, 7, "has no ports"),
        ("create s hash:ip,port\nadd s 10.0.0.1,65536\n", 2, 16, 5, "not a port"),
        ("create s hash:ip,port,ip\nadd s 10.0.0.1,80,10.0.0.0/8\n", 2, 19, 10, "more than one address"),
        ("create s hash:net,iface\nadd s 10.0.0.0/8,\n", 2, 18, 1, "not an interface name"),
        ("create s hash:net,iface\nadd s 10.0.0.0/8,sixteen-letters.\n", 2, 18, 16, "not an interface name"),
        ("create s hash:ip,mark\nadd s 10.0.0.1,x\n", 2, 16, 1, "not a mark"),
        ("create s hash:ip,mark\nadd s 0.0.0.0,0\n", 2, 15, 1, "is zero"),
        ("create s hash:mac\nadd s 00:00:00:00:00:00\n", 2, 7, 17, "is zero"),
        ("create s hash:mac\nadd s 1:2:3\n", 2, 7, 5, "not a MAC address"),
        ("create s bitmap:port range 1-9\nadd s 10\n", 2, 7, 2, "out of the range"),
        ("create s bitmap:port range 1-9\nadd s sctp:5\n", 2, 7, 6, "neither TCP nor UDP"),
        ("create s bitmap:ip range 10.0.0.0/24\nadd s 10.0.1.0\n", 2, 7, 8, "out of the range"),
        ("create s bitmap:ip range 10.0.0.8-10.0.0.20\nadd s 10.0.0.0/28\n", 2, 7, 11, "out of the range"),
        ("create s hash:ip\nadd s 10.0.0.1 nomatch\n", 2, 16, 7, "'nomatch' is not known here"),
        ("create s hash:net\nadd s 10.0.0.1 wildcard\n", 2, 16, 8, "'wildcard' is not known here"),
        ("create s hash:net\nadd s 10.0.0.1 timeout\n", 2, 16, 7, "needs a value"),
        ("create s hash:net\nadd s 10.0.0.1 timeout soon\n", 2, 24, 4, "no number"),
        ("create l list:set\nadd l s\n", 2, 7, 1, "was not created"),
        ("create l list:set\nadd l l\n", 2, 7, 1, "a loop: l is a list itself"),
        ("create m list:set\ncreate l list:set\nadd l m\nadd m l\n", 3, 7, 1, "m is a list itself"),
        ("create a hash:ip\ncreate l list:set\nadd l a,b\n", 3, 7, 3, "no set's name"),
        ("create a hash:ip\ncreate l list:set\nadd l a\ndestroy a\n", 4, 9, 1, "is a member of l"),
        ("create a hash:ip\ncreate b hash:net\nswap a b\n", 3, 8, 1, "not of the same type"),
        ("create s hash:ip\ndel s 10.0.0.1\n", 2, 1, 3, "ipset del is no line of a dump"),
        ("create s hash:ip\nquit\nadd s 10.0.0.1\n", 3, 1, 14, "after quit"),
        ("flush s\n", 1, 7, 1, "was not created"),
    ],
)  # fmt: skip
def test_a_bad_dump_is_refused_with_its_place(
    dump: str, line: int, column: int, width: int, message: str
) -> None:
    at_line, at_column, at_width, what, expected = problems(dump)[0]
    assert (at_line, at_column, at_width) == (line, column, width), what
    assert message in what
    assert expected


def test_all_faults_of_a_dump_are_reported_at_once() -> None:
    found = problems("create s hash:ip\nadd s x\nadd t 1.2.3.4\nadd s y\nfrob\n")
    assert [line for line, *_ in found] == [2, 3, 4, 5]


def test_names_may_hold_bytes_that_are_no_text_and_count_them_singly() -> None:
    name = b"\xff" * 31
    assert [len(each) for each in sets(b"create " + name + b" hash:ip\n")] == [31]
    with pytest.raises(InputError, match="longer than 31 bytes"):
        sets(b"create " + name + b"\xff hash:ip\n")
    found = sets(b"create s hash:net,iface\nadd s 10.0.0.0/8,\xff\n")["s"]
    assert tuple(found.batches[0].names) == ("\udcff",)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InputError, match="is not an address"):
        sets(b"create s hash:ip\nadd s 10.0.0.\xff\n")
