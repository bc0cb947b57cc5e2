"""Facts about the kernel that ipt2np once got wrong, each in the least ruleset that shows it."""

from __future__ import annotations

import pytest

from .differential import mismatches, story
from .host import KernelHost
from .probe import ACK, FIN, ICMP, TCP, UDP, Probe
from .test_ipsets import SetCase
from .test_ipsets import check as check_set

FAMILIES = pytest.mark.parametrize("family", [4, 6])
BACKENDS = pytest.mark.parametrize("backend", ["nft", "legacy"])
SOURCE = {4: "9.9.9.9", 6: "2001:db8:7::7"}
OWN = {4: "10.0.0.1", 6: "fd00::1"}


def text(*rules: str, policy: str = "DROP", before: str = "") -> str:
    lines = ["*filter", f":INPUT {policy} [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    return before + "\n".join([*lines, *rules, "COMMIT", ""])


def nat(*rules: str, prerouting: str = "ACCEPT", input_: str = "ACCEPT") -> str:
    lines = ["*nat", f":PREROUTING {prerouting} [0:0]", f":INPUT {input_} [0:0]", ":OUTPUT ACCEPT [0:0]"]
    return "\n".join([*lines, ":POSTROUTING ACCEPT [0:0]", *rules, "COMMIT", ""])


def agree(host: KernelHost, ruleset: str, family: int, *probes: Probe, backend: str = "nft") -> None:
    host.backend = backend
    try:
        found = mismatches(ruleset, family, host, probes=probes, count=100)
        assert not found, story(ruleset, found)
    finally:
        host.flush()
        host.backend = "nft"


@pytest.mark.parametrize("negation", ["", "! "])
@pytest.mark.parametrize(
    "types",
    ["UNICAST", "LOCAL,MULTICAST", "UNSPEC,LOCAL", "UNICAST,MULTICAST", "UNICAST,UNREACHABLE", "UNSPEC"],
)
def test_ipv6_addrtype_asks_for_every_kind_of_the_address_itself(
    host: KernelHost, negation: str, types: str
) -> None:
    # net/netfilter/xt_addrtype.c match_type6(): MULTICAST, UNICAST and UNSPEC must each hold if listed (an own
    # address is UNICAST, too); then one of LOCAL, ANYCAST, UNREACHABLE if any of those is listed. In IPv4
    # match_type() takes a list as alternatives.
    agree(host, text(f"-A INPUT -m addrtype {negation}--dst-type {types} -j ACCEPT"), 6)


@pytest.mark.parametrize("negation", ["", "! "])
@pytest.mark.parametrize("types", ["LOCAL", "UNSPEC", "UNICAST"])
def test_ipv6_own_and_unspecified_sources_reach_input(host: KernelHost, negation: str, types: str) -> None:
    probes = [Probe(6, source, OWN[6], TCP, 1000, 22) for source in ("fd00::1", "fd00:1::1", "::")]
    agree(host, text(f"-A INPUT -m addrtype {negation}--src-type {types} -j ACCEPT"), 6, *probes)


@FAMILIES
@BACKENDS
def test_the_policy_of_nat_input_drops_first_packets(host: KernelHost, family: int, backend: str) -> None:
    before = nat("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", input_="DROP")
    rules = ("-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", "-A INPUT -p gre -j DROP")
    probes = [Probe(family, SOURCE[family], OWN[family], TCP, 40000, port) for port in (22, 23)]
    agree(host, text(*rules, policy="ACCEPT", before=before), family, *probes, backend=backend)


@FAMILIES
@BACKENDS
def test_nat_is_not_asked_where_no_rule_needs_conntrack(host: KernelHost, family: int, backend: str) -> None:
    # nf_nat_inet_fn() leaves a packet without a connection alone, and nobody has switched conntrack on
    # (nf_ct_netns_get(): state matches, NAT targets and CT do). A host may have it on for other reasons.
    before = nat("-A PREROUTING -p tcp -m tcp --dport 22 -j ACCEPT", prerouting="DROP")
    probes = [Probe(family, SOURCE[family], OWN[family], TCP, 40000, port) for port in (22, 23)]
    agree(host, text(policy="ACCEPT", before=before), family, *probes, backend=backend)


@FAMILIES
@BACKENDS
def test_a_queue_with_bypass_accepts_where_nobody_listens(
    host: KernelHost, family: int, backend: str
) -> None:
    rule = "-A INPUT -p tcp -j NFQUEUE --queue-num 0 --queue-bypass"
    agree(host, text(rule, "-A INPUT -p udp -j ACCEPT"), family, backend=backend)
    agree(host, text(rule, policy="ACCEPT"), family, backend=backend)


@pytest.mark.parametrize("kind", ["bcast", "mcast", "otherhost"])
def test_pkttype_has_more_names(host: KernelHost, kind: str) -> None:
    agree(host, text(f"-A INPUT -m pkttype --pkt-type {kind} -j ACCEPT"), 4)


@FAMILIES
@pytest.mark.parametrize(
    "option", ["--ctorigdstport 22", "--ctorigsrcport 1024:65535", "--ctorigdstport 0:21"]
)
@pytest.mark.parametrize("negation", ["", "! "])
def test_connections_have_ports_only_where_conntrack_reads_them(
    host: KernelHost, family: int, option: str, negation: str
) -> None:
    # DCCP tracking left the kernel with 6.16; generic connections have the ports 0; those of ICMP are its
    # type and code (2048 for an IPv4 echo request) and its id.
    probes = [
        Probe(family, SOURCE[family], OWN[family], protocol, 40000, 22) for protocol in (6, 17, 132, 33)
    ]
    probes += [Probe(family, SOURCE[family], OWN[family], protocol) for protocol in (47, 50, 253)]
    icmp = (ICMP, 8) if family == 4 else (58, 128)
    probes += [Probe(family, SOURCE[family], OWN[family], icmp[0], icmp_type=icmp[1])]
    agree(host, text(f"-A INPUT -m conntrack {negation}{option} -j ACCEPT"), family, *probes)


@pytest.mark.parametrize("option", ["--ctorigdstport 2048", "--ctorigsrcport 0"])
def test_the_ports_of_a_ping_are_its_type_and_id(host: KernelHost, option: str) -> None:
    ping = Probe(4, SOURCE[4], OWN[4], ICMP, icmp_type=8)
    agree(
        host,
        text(f"-A INPUT -m conntrack {option} -j ACCEPT"),
        4,
        ping,
        Probe(4, SOURCE[4], OWN[4], UDP, 1, 2048),
    )


@pytest.mark.parametrize(
    "entry", ["9.9.9.9,udp:53,10.1.0.0/16 nomatch", "9.9.9.9,udp:53,10.0.0.0/24 nomatch"]
)
def test_a_hole_is_as_deep_as_its_network(host: KernelHost, entry: str) -> None:
    # hash:ip,port,net: the whole address in front is no prefix; the network's length decides.
    case = SetCase(
        4, "hash:ip,port,net", ("9.9.9.9,udp:53,10.0.0.0/8", entry), ("src,dst,dst", "src,src,dst")
    )
    check_set(host, case)
    check_set(host, SetCase(4, case.type, case.entries[::-1], case.directions))


def mangle(*rules: str) -> str:
    lines = ["*mangle", *(f":{chain} ACCEPT [0:0]" for chain in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT"))]
    chains = sorted({rule.split()[1] for rule in rules} - {"PREROUTING", "INPUT", "FORWARD", "OUTPUT"})
    return "\n".join([*lines, *(f":{chain} - [0:0]" for chain in chains), *rules, "COMMIT", ""])


@FAMILIES
@BACKENDS
def test_a_chain_called_twice_with_a_mark_between_answers_differently(
    host: KernelHost, family: int, backend: str
) -> None:
    before = mangle(
        "-A INPUT -j ONCE",
        "-A INPUT -p tcp -m tcp --dport 22 -j MARK --set-xmark 0x1/0x1",
        "-A INPUT -j ONCE",
        "-A ONCE -m mark --mark 0x1/0x1 -j MARK --set-xmark 0x6/0x6",
    )
    rules = ("-A INPUT -m mark --mark 0x7 -j ACCEPT", "-A INPUT -p udp -m mark ! --mark 0x0/0x4 -j ACCEPT")
    agree(host, text(*rules, before=before), family, backend=backend)


@FAMILIES
def test_a_chain_of_two_hooks_sees_the_port_before_and_behind_nat(host: KernelHost, family: int) -> None:
    shared = mangle(
        "-A PREROUTING -j BOTH",
        "-A INPUT -j BOTH",
        "-A BOTH -p tcp -m tcp --dport 8080 -j MARK --set-xmark 0x1/0x0",
    )
    redirect = nat("-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080")
    for mark in ("0x0", "0x1"):
        rules = text(f"-A INPUT -p tcp -m mark --mark {mark} -j ACCEPT", before=shared + redirect)
        agree(
            host,
            rules,
            family,
            *(Probe(family, SOURCE[family], OWN[family], TCP, 1000, p) for p in (80, 8080)),
        )


@FAMILIES
@pytest.mark.parametrize("restored", ["", "-A PREROUTING -j CONNMARK --restore-mark"])
def test_later_packets_inherit_the_connection_mark(host: KernelHost, family: int, restored: str) -> None:
    rules = [
        rule for rule in (restored, "-A INPUT -m conntrack --ctstate NEW -j CONNMARK --set-mark 5") if rule
    ]
    for match in ("-m connmark --mark 5", "-m mark --mark 5", "-m connmark ! --mark 5/4", "-m mark --mark 0"):
        filtering = text(
            "-A INPUT -m conntrack --ctstate NEW -j ACCEPT",
            f"-A INPUT {match} -j ACCEPT",
            before=mangle(*rules),
        )
        agree(host, filtering, family)


@FAMILIES
def test_answers_change_the_connection_mark(host: KernelHost, family: int) -> None:
    before = mangle("-A OUTPUT -j CONNMARK --set-xmark 0x2/0x2")
    for match in ("--mark 0x2", "! --mark 0x2", "--mark 0x0/0x1"):
        agree(host, text(f"-A INPUT -m connmark {match} -j ACCEPT", before=before), family)


@FAMILIES
def test_nothing_is_marked_on_a_connection_that_is_not_tracked(host: KernelHost, family: int) -> None:
    before = mangle("-A PREROUTING -j CONNMARK --set-mark 1", "-A INPUT -j CONNMARK --restore-mark")
    raw = (
        "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -p tcp -j CT --notrack\nCOMMIT\n"
    )
    for match in ("connmark --mark 1", "connmark ! --mark 1", "mark --mark 1", "mark ! --mark 1"):
        agree(host, text(f"-A INPUT -m {match} -j ACCEPT", before=raw + before), family)


@FAMILIES
@BACKENDS
def test_redirects_and_what_the_filter_sees_of_them(host: KernelHost, family: int, backend: str) -> None:
    rules = (
        "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080",
        "-A PREROUTING -p tcp -m tcp --dport 1000:2000 -j REDIRECT --to-ports 22",
        "-A PREROUTING -p udp -m udp --dport 53 -j REDIRECT --to-ports 5353",
    )
    icmp, kind = ("icmp", 8) if family == 4 else ("ipv6-icmp", 128)
    probes = [
        Probe(family, SOURCE[family], OWN[family], TCP, 999, port) for port in (22, 80, 1000, 1999, 8080)
    ]
    probes += [Probe(family, SOURCE[family], OWN[family], UDP, 999, port) for port in (53, 5353)]
    probes.append(Probe(family, SOURCE[family], OWN[family], ICMP if family == 4 else 58, icmp_type=kind))
    for filtering in (
        ("-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT", "-A INPUT -p udp -m udp --dport 5353 -j ACCEPT"),
        ("-A INPUT -p tcp -m conntrack --ctstate DNAT -j ACCEPT", f"-A INPUT -p {icmp} -j ACCEPT"),
        ("-A INPUT -m conntrack --ctorigdstport 80 -j ACCEPT", "-A INPUT -p udp -m udp --dport 53 -j ACCEPT"),
        ("-A INPUT -p tcp -m conntrack ! --ctstate DNAT --ctproto tcp -j ACCEPT",),
    ):
        agree(host, text(*filtering, before=nat(*rules)), family, *probes, backend=backend)


@FAMILIES
@pytest.mark.parametrize("flags", [ACK, ACK | FIN])
def test_a_synproxy_lets_later_packets_go_on(host: KernelHost, family: int, flags: int) -> None:
    # synproxy_tg4() in net/ipv4/netfilter/ipt_SYNPROXY.c: a SYN is answered, a bare ACK looked for a cookie; all else
    # goes on behind the rule.
    rules = ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT", "-p tcp -j SYNPROXY", "-j ACCEPT")
    probe = Probe(family, SOURCE[family], OWN[family], TCP, 40000, 22)
    ruleset = text(*(f"-A INPUT {rule}" for rule in rules))
    found = mismatches(ruleset, family, host, probes=[probe], count=100, flags=flags)
    assert not found, story(ruleset, found)


@FAMILIES
@BACKENDS
@pytest.mark.parametrize(
    "target",
    ["NOTRACK", "CT --notrack", "CT", "CT --ctevents new", "CT --zone-orig 5", "CONNMARK --save-mark"],
)
def test_nat_is_asked_where_a_target_needs_conntrack(
    host: KernelHost, family: int, backend: str, target: str
) -> None:
    # xt_ct_tg_check() in net/netfilter/xt_CT.c: with --notrack there is nothing to set up.
    table, chain = ("mangle", "INPUT") if target.startswith("CONNMARK") else ("raw", "PREROUTING")
    before = f"*{table}\n-A {chain} -p udp -j {target}\nCOMMIT\n"
    before += nat("-A PREROUTING -p tcp -m tcp --dport 22 -j ACCEPT", prerouting="DROP")
    probes = [Probe(family, SOURCE[family], OWN[family], TCP, 40000, port) for port in (22, 23)]
    agree(host, text(policy="ACCEPT", before=before), family, *probes, backend=backend)


def raw(*rules: str) -> str:
    return "\n".join(["*raw", ":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]", *rules, "COMMIT", ""])


@FAMILIES
@pytest.mark.parametrize(
    "rules",
    [
        ("-A OUTPUT -p tcp -m tcp --sport 22 -j NOTRACK",),
        ("-A OUTPUT -j CT --zone 5",),
        ("-A PREROUTING -p tcp -m tcp --dport 22 -j CT --zone 5",),
        ("-A PREROUTING -j CT --zone-reply 5",),
        ("-A PREROUTING -j CT --zone-orig 5",),
        ("-A PREROUTING -j CT --zone 5", "-A OUTPUT -j CT --zone 5"),
        ("-A PREROUTING -p tcp -j NOTRACK", "-A OUTPUT -p tcp -j NOTRACK"),
        ("-A PREROUTING -j CT --ctevents new", "-A PREROUTING -j NOTRACK"),
        (
            "-A PREROUTING -p tcp -m tcp --dport 22 -j CT --ctevents new",
            "-A PREROUTING -p tcp -j CT --notrack",
        ),
    ],
)
def test_answers_that_conntrack_does_not_see(host: KernelHost, family: int, rules: tuple[str, ...]) -> None:
    probes = [Probe(family, SOURCE[family], OWN[family], TCP, 40000, port) for port in (22, 23)]
    for states in ("NEW,ESTABLISHED", "NEW,INVALID", "UNTRACKED"):
        filtering = text(f"-A INPUT -m conntrack --ctstate {states} -j ACCEPT", before=raw(*rules))
        agree(host, filtering, family, *probes)
