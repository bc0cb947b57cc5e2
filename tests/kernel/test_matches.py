"""Every match that ipt2np knows, alone: many small chains in one ruleset, each with a source of its own.

A match that hides behind others in a random ruleset stands alone here, with probes made for it; and the
matches that ipt2np leaves undecided are asked as well, for an undecided match may not be narrowed either.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import pytest

from .differential import PLAIN, Mismatch, against, ask, story
from .generate import HOST_ADDRESSES
from .host import KernelHost
from .probe import ACK, DCCP, FIN, ICMP, ICMPV6, MH, NO_NEXT, SCTP, TCP, UDP, UDPLITE, Probe

FAMILIES = pytest.mark.parametrize("family", [4, 6])

OWN: Final = {4: ("10.0.0.1", "10.1.0.1"), 6: ("fd00::1", "fd00:1::1")}
_BASE: Final = {4: int(ip_address("198.18.0.0")), 6: int(ip_address("2001:db8:1::"))}
CHAINS: Final = 30
"""In one ruleset: more need fewer loads, but the product of all that they tell apart grows."""
IPCOMP: Final = 108
_PORTS: Final = ((40000, 22), (1023, 23), (1024, 21), (22, 1), (1, 65535), (65535, 80), (0, 22), (5, 0))


def _with_not(*matches: str) -> Iterator[str]:
    """Each match, and its negation where a ``%`` shows the place of the exclamation mark."""
    for match in matches:
        yield match.replace("%", "")
        if "%" in match:
            yield match.replace("%", "! ")


_ANY_FAMILY: Final = (
    "", "-p all", "%-p tcp", "%-p udp", "%-p sctp", "%-p 47", "%-p 255",
    "%-i eth0", "%-i eth1", "%-i eth+", "%-i e+", "-i +", "%-i lo", "%-i eth0+", "%-i lo+", "%-i ETH0", "%-i eth",
    *(f"-p tcp -m tcp {o}" for o in (
        "%--dport 22", "%--dport 21:22", "%--dport :22", "%--dport 22:", "%--sport 1024:", "%--sport 0",
        "--sport 1024: %--dport 22", "--sport 1023 --dport 23", "%--dport 0", "--dport 65535")),
    *(f"-p {p} -m {p} {o}" for p in ("udp", "sctp", "dccp") for o in ("%--dport 21:22", "--sport 1024: %--dport 22")),
    *(f"-p tcp -m multiport {o}" for o in (
        "%--dports 22,80", "%--sports 1024:65535,5", "%--ports 22", "%--ports 0,1023:1024", "%--dports 0:21")),
    *(f"-p {p} -m multiport %--ports 22,1023:1024" for p in ("udp", "sctp", "dccp", "udplite")),
    *(f"-p tcp -m tcp %--tcp-flags {flags}" for flags in (
        "SYN SYN", "SYN,ACK SYN", "SYN,ACK ACK", "FIN,SYN,RST,PSH,ACK,URG SYN", "FIN,SYN,RST,PSH,ACK,URG NONE",
        "FIN,SYN,RST,PSH,ACK,URG ACK", "RST RST", "FIN FIN", "FIN,RST NONE", "PSH,URG NONE", "SYN SYN,ACK", "ACK,FIN ACK",
        "SYN,RST,ACK,FIN SYN", "SYN NONE", "ACK NONE")),
    "-p tcp -m tcp %--syn", "-p tcp -m tcp %--tcp-option 2", "-p tcp -m tcp --dport 22 %--syn",
    *(f"-p sctp -m sctp %--chunk-types {kinds}" for kinds in (
        "any INIT", "all INIT", "only INIT", "any DATA", "only INIT,DATA", "any COOKIE_ECHO", "only COOKIE_ECHO",
        "all INIT,COOKIE_ECHO", "any INIT,DATA:b", "all DATA:B", "only INIT,ABORT:t",
        "any ALL", "all ALL", "only ALL", "any NONE", "all NONE", "only NONE")),
    *(f"-p dccp -m dccp %--dccp-types {kinds}" for kinds in ("REQUEST", "RESPONSE", "DATA,ACK", "REQUEST,INVALID")),
    *(f"-m {match} {states}" for states in (
        "NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED", "NEW,INVALID", "RELATED,ESTABLISHED",
        "NEW,ESTABLISHED,RELATED,INVALID,UNTRACKED") for match in ("state %--state", "conntrack %--ctstate")),
    "-m conntrack %--ctproto tcp", "-m conntrack %--ctorigdstport 22", "-m conntrack %--ctorigsrcport 1024:65535",
    "-m conntrack --ctdir ORIGINAL", "-m conntrack --ctdir REPLY", "-m conntrack %--ctstate SNAT",
    "-m conntrack %--ctstate DNAT", "-m conntrack %--ctstatus SEEN_REPLY", "-m conntrack %--ctexpire 1:100",
    "-m conntrack %--ctreplsrcport 22", "-m conntrack %--ctrepldstport 1024:65535", "-m conntrack %--ctreplsrcport 21:22",
    *(f"-m conntrack %--ctstatus {statuses}" for statuses in (
        "NONE", "EXPECTED", "ASSURED", "CONFIRMED", "EXPECTED,SEEN_REPLY", "EXPECTED,ASSURED")),
    "-p esp -m esp %--espspi 5:10", "-p esp -m esp %--espspi 0:4294967295", "-m dscp %--dscp-class EF",
    "-m cgroup %--cgroup 0",
    "-p tcp -m ecn %--ecn-tcp-cwr", "-m ecn %--ecn-ip-ect 0", "-m connlabel %--label 40", "-m devgroup %--src-group 0",
    "-m connbytes %--connbytes 0:1 --connbytes-mode packets --connbytes-dir original", '-m bpf --bytecode "1,6 0 0 1"',
    "-m conntrack --ctstate INVALID --ctproto tcp",
    "-m conntrack --ctstate UNTRACKED,NEW --ctorigdstport 22", "-m conntrack %--ctstate NEW --ctproto udp",
    "-m addrtype %--dst-type LOCAL", "-m addrtype %--dst-type UNICAST", "-m addrtype %--dst-type MULTICAST",
    "-m addrtype %--dst-type ANYCAST", "-m addrtype %--dst-type UNSPEC", "-m addrtype %--dst-type UNREACHABLE",
    "-m addrtype %--dst-type LOCAL,UNICAST", "-m addrtype %--dst-type LOCAL,MULTICAST",
    "-m addrtype %--dst-type UNICAST,MULTICAST", "-m addrtype %--dst-type UNSPEC,LOCAL",
    "-m addrtype %--dst-type UNICAST,UNREACHABLE", "-m addrtype %--dst-type LOCAL --limit-iface-in",
    "-m addrtype %--src-type LOCAL", "-m addrtype %--src-type UNICAST", "-m addrtype %--src-type MULTICAST",
    "-m addrtype %--src-type UNSPEC", "-m addrtype %--src-type UNICAST,LOCAL",
    "-m addrtype %--src-type UNSPEC,MULTICAST", "-m addrtype --dst-type LOCAL %--src-type UNICAST",
    "-m pkttype %--pkt-type unicast", "-m pkttype %--pkt-type host", "-m pkttype %--pkt-type broadcast",
    "-m pkttype %--pkt-type multicast", "-m pkttype %--pkt-type otherhost",
    "-m mark %--mark 0x0", "-m mark %--mark 0x1/0x1", "-m connmark %--mark 0x0",
    "-m mac %--mac-source 02:00:00:00:01:00", "-m nfacct --nfacct-name free", "-m nfacct --nfacct-name spent",
    *(f"-p ipcomp -m ipcomp {o}" for o in (
        "", "%--ipcompspi 0", "%--ipcompspi 5:9", "%--ipcompspi 0:65535", "%--ipcompspi 70000:", "%--ipcompspi 9:5",
        "--ipcompspi : --compres")),
    *(f"-m length %--length {lengths}" for lengths in ("20:60", "0:19", "0:39", "0:40", "40:65535", ":", "60:20", "21:")),
    *(f"-m policy --dir in {o}" for o in ("--pol none", "--pol ipsec", "--pol ipsec --strict %--proto esp --reqid 1")),
    *(f"-m physdev %--physdev-{o}" for o in ("is-in", "is-out", "is-bridged", "out eth0", "in eth+", "out +")),
    *(f"-m tos %--tos {o}" for o in ("0x10/0x3f", "0/0", "1/0", "0xff/0x0f", "Normal-Service")),
    *(f"-m time {o}" for o in (
        "", "%--weekdays Mon,Tue,Wed,Thu,Fri,Sat,Sun", "--monthdays 0", "--datestop 1970-01-01", "--datestart 2001",
        "--timestart 12:00 --timestop 11:59 --contiguous")),
    *(f"-m socket {o}" for o in ("--transparent", "--nowildcard", "--restore-skmark")),
    "-p tcp -m tcpmss %--mss 1:65535", "-m rateest --rateest one %--rateest-lt --rateest-bps 8bit",
    "-m string %--hex-string |45| --algo kmp", "-m string %--string probe --algo bm",
    "-m u32 %--u32 0=0", "-m dscp %--dscp 0x00",
    "-m physdev %--physdev-in eth0", "-m time --timestart 00:00 --timestop 23:59",
    "-m statistic --mode nth --every 2 --packet 0", "-m statistic --mode nth %--every 1 --packet 0",
    "-m statistic --mode random %--probability 0", "-m statistic --mode random %--probability 1",
    "-m statistic --mode random %--probability 0.5",
    "-m limit --limit 10000/sec --limit-burst 10000",
    "-m hashlimit --hashlimit-upto 10000/sec --hashlimit-burst 10000 --hashlimit-mode srcip --hashlimit-name a",
    "-m hashlimit --hashlimit-above 10000/sec --hashlimit-burst 10000 --hashlimit-mode srcip --hashlimit-name b",
    "-m connlimit --connlimit-upto 60000", "-m connlimit --connlimit-above 60000", "-m quota %--quota 100000000",
    "-m quota %--quota 19",
    "-m connlimit --connlimit-above 0", "-m connlimit --connlimit-upto 0",
    "-m recent %--set --name one --rsource", "-m recent %--rcheck --name two --rsource",
    "-m recent %--update --seconds 60 --hitcount 4 --name three --rsource",
    "-m recent %--remove --name four --rsource",
    '-m comment --comment "-p tcp -j DROP"', "-m socket", "-m cpu %--cpu 0", "-m helper %--helper ftp",
)  # fmt: skip

_OWN_FAMILY: Final = {
    4: (
        "-d 10.0.0.1/32", "%-d 10.0.0.1/32", "%-d 10.0.0.0/24", "%-d 10.0.0.0/15", "-d 0.0.0.0/0",
        "%-d 0.0.0.1/0.0.0.255", "%-d 0.1.0.0/0.1.0.0", "%-s 198.18.0.0/0.254.0.0", "%-s 0.0.0.1/0.0.0.1",
        "-m iprange %--dst-range 10.0.0.1-10.0.0.1", "-m iprange %--dst-range 10.0.0.2-10.1.0.1",
        "-m iprange %--src-range 0.0.0.0-255.255.255.255", "-m iprange --src-range 198.18.0.0-198.18.255.255 "
        "--dst-range 10.1.0.0-10.1.0.1",
        "-m conntrack %--ctorigdst 10.0.0.1", "-m conntrack %--ctorigsrc 198.18.0.0/16",
        "-m conntrack --ctstate NEW,INVALID %--ctorigdst 10.0.0.1", "-m conntrack %--ctreplsrc 10.0.0.1",
        "-m conntrack %--ctrepldst 198.18.0.0/16", "-p ah -m ah %--ahspi 5",
        "%-f", "-m ttl %--ttl-eq 64", "-m ttl --ttl-lt 0", "-m ttl --ttl-gt 255", "-m ttl --ttl-gt 63",
        *(f"-m realm %--realm {realm}" for realm in ("0", "5", "0x5/0x3", "0/0")), "-p tcp -m osf %--genre Linux",
        "%-p icmp", "%-p ipv6-icmp",
        "-m addrtype %--dst-type BROADCAST", "-m addrtype %--src-type BROADCAST", "-m addrtype %--src-type BLACKHOLE",
        "-m addrtype --dst-type PROHIBIT,THROW,NAT,XRESOLVE", "-m addrtype %--dst-type LOCAL,BROADCAST",
        *(f"-p icmp -m icmp %--icmp-type {kind}" for kind in (
            "any", "255", "254", "0", "8", "8/0", "8/1", "3/4", "3/255", "ping", "pong", "echo-reply", "ttl-exceeded",
            "destination-unreachable", "host-unreachable", "source-route-failed", "communication-prohibited",
            "precedence-cutoff", "source-quench", "redirect", "TOS-host-redirect", "router-advertisement",
            "router-solicitation", "time-exceeded", "ttl-zero-during-reassembly", "parameter-problem",
            "required-option-missing", "timestamp-request", "timestamp-reply", "address-mask-request",
            "address-mask-reply")),
    ),
    6: (
        "%-d fd00::1/128", "%-d fd00::/64", "%-d fd00::/31", "-d ::/0", "%-d ::1/::ffff", "%-s ::1/::1",
        "-m iprange %--dst-range fd00::1-fd00::1", "-m iprange %--dst-range fd00::2-fd00:1::1",
        "-m iprange %--src-range ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "-m conntrack %--ctorigdst fd00::1", "-m conntrack %--ctorigsrc 2001:db8::/32",
        "-m conntrack --ctstate NEW,INVALID %--ctorigdst fd00::1", "-m conntrack %--ctreplsrc fd00::1",
        "-m conntrack %--ctrepldst 2001:db8::/32", "-m ah %--ahspi 5", "-m dst %--dst-len 8", "-m hbh %--hbh-len 8",
        "-m hl %--hl-eq 64",
        "-m hl --hl-eq 64", "-m frag --fragid 0", "-m eui64",
        *(f"-m ipv6header %--header {headers}" for headers in (
            "hop --soft", "esp", "none", "prot", "esp,none", "esp,prot --soft", "none --soft", "hop,prot", "auth --soft")),
        *(f"-m rt {o}" for o in ("", "%--rt-type 0", "%--rt-segsleft 0:", "--rt-type 0 --rt-0-res")),
        *(f"-m srh {o}" for o in ("", "%--srh-next-hdr 6", "%--srh-tag 0", "%--srh-psid fd00::/16")),
        *(f"-p mh -m mh {o}" for o in ("", "%--mh-type 0", "%--mh-type 1:255", "%--mh-type 0:255")),
        "%-p ipv6-icmp", "%-p icmp",
        *(f"-p ipv6-icmp -m icmp6 %--icmpv6-type {kind}" for kind in (
            "255", "254", "1", "1/4", "128", "128/0", "128/1", "129", "135", "ping", "pong", "no-route", "port-unreachable",
            "communication-prohibited", "beyond-scope", "address-unreachable", "failed-policy", "reject-route",
            "packet-too-big", "ttl-exceeded", "ttl-zero-during-reassembly", "parameter-problem", "bad-header",
            "unknown-header-type", "unknown-option", "router-solicitation", "router-advertisement",
            "neighbour-solicitation", "neighbor-advertisement", "redirect", "destination-unreachable")),
    ),
}  # fmt: skip

_ICMP_TYPES: Final = {
    4: ((0, 0), (3, 0), (3, 1), (3, 4), (3, 5), (3, 13), (3, 15), (3, 255), (4, 0), (5, 0), (5, 3), (8, 0), (8, 1),
        (9, 0), (10, 0), (11, 0), (11, 1), (12, 0), (12, 1), (13, 0), (14, 0), (15, 0), (17, 0), (18, 0), (254, 0),
        (255, 0)),
    6: (*((1, code) for code in range(8)), (2, 0), (3, 0), (3, 1), (4, 0), (4, 1), (4, 2), (128, 0), (128, 1), (129, 0),
        (130, 0), (133, 0), (134, 0), (135, 0), (136, 0), (137, 0), (139, 0), (143, 0), (254, 0), (255, 0)),
}  # fmt: skip


@dataclass(frozen=True)
class Single:
    """A match in a chain of its own; with *opened*, first packets pass whatever it says of later ones."""

    match: str
    opened: bool = False


def singles(family: int) -> list[Single]:
    """Every match, and those that tell first packets from later ones once more for the later ones."""
    found = []
    for match in _with_not(*_ANY_FAMILY, *_OWN_FAMILY[family]):
        found.append(Single(match))
        if re.search(r"--tcp-flags|--syn|--chunk-types|--dccp-types|state |--ctstatus|--tcp-option", match):
            found.append(Single(match, opened=True))
    return found


def source(family: int, number: int) -> str:
    return str(ip_address(_BASE[family] + number))


def ruleset(family: int, each: Sequence[Single]) -> str:
    """A chain for each match, called for the match's own source."""
    width = {4: 32, 6: 128}[family]
    lines = ["*filter", ":INPUT DROP [0:0]", ":FORWARD ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    lines += [f":M{number} - [0:0]" for number in range(len(each))]
    lines.append("-A OUTPUT -j RATEEST --rateest-name one --rateest-interval 250ms --rateest-ewmalog 500ms")
    lines += [f"-A INPUT -s {source(family, number)}/{width} -j M{number}" for number in range(len(each))]
    for number, single in enumerate(each):
        if single.opened:
            lines.append(f"-A M{number} -m conntrack --ctstate NEW -j ACCEPT")
        lines.append(f"-A M{number} {single.match} -j ACCEPT".replace("  ", " "))
    return "\n".join([*lines, "COMMIT", ""])


def probes(family: int, count: int) -> list[Probe]:
    """For each source: ports of every kind, other protocols, ICMP types; both addresses and interfaces."""
    made = []
    for number in range(count):
        where = source(family, number)
        ways = [(OWN[family][0], "eth0"), (OWN[family][1], "eth1"), (OWN[family][1], "eth0")]
        for turn, (sport, dport) in enumerate(_PORTS):
            for step, protocol in enumerate((TCP, UDP, SCTP, DCCP)):
                destination, interface = ways[(number + turn + step) % len(ways)]
                made.append(Probe(family, where, destination, protocol, sport, dport, interface=interface))
        for turn, protocol in enumerate((47, 50, IPCOMP, MH, 255, ICMPV6 if family == 4 else ICMP)):
            destination, interface = ways[(number + turn) % len(ways)]
            made.append(Probe(family, where, destination, protocol, interface=interface))
        made.append(Probe(family, where, OWN[family][0], UDPLITE, 40000, 22))
        for turn, (kind, code) in enumerate(_ICMP_TYPES[family]):
            destination, interface = ways[(number + turn) % len(ways)]
            icmp = ICMP if family == 4 else ICMPV6
            made.append(
                Probe(family, where, destination, icmp, icmp_type=kind, icmp_code=code, interface=interface)
            )
    return made


@FAMILIES
def test_each_match_alone(host: KernelHost, family: int) -> None:
    assert host.addresses == HOST_ADDRESSES
    for arguments in (["free"], ["spent", "0"]):
        host.run(sys.executable, str(Path(__file__).with_name("accounting.py")), *arguments)
    every = singles(family)
    guilty: dict[str, list[Mismatch]] = {}
    for start in range(0, len(every), CHAINS):
        each = every[start : start + CHAINS]
        heard = ask(ruleset(family, each), family, host, probes(family, len(each)), flags=ACK | FIN)
        names = {source(family, number): single for number, single in enumerate(each)}
        for found in against(heard, [PLAIN]):
            guilty.setdefault(str(names[found.probe.source]), []).append(found)
    assert not guilty, "\n".join(story(name, found, 2) for name, found in guilty.items())


def test_no_next_header_is_a_protocol_that_conntrack_takes_for_invalid(host: KernelHost) -> None:
    matches = ("-p ipv6-nonxt", "-m ipv6header --header none", "-m ipv6header ! --header none",
               "-m ipv6header --header prot",
               "-m ipv6header ! --header esp,prot --soft", "-m state --state INVALID", "-m conntrack --ctstate NEW",
               "-m conntrack ! --ctstate NEW --ctorigsrc 2001:db8::/32")  # fmt: skip
    each = [Single(match) for match in matches]
    asked = [Probe(6, source(6, number), OWN[6][0], NO_NEXT) for number in range(len(each))]
    heard = ask(ruleset(6, each), 6, host, asked)
    assert heard.first == [True, True, False, False, True, True, False, True]
    assert not list(against(heard, [PLAIN]))
