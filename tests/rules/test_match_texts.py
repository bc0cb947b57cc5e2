"""What ipt2np prints of matches that no kernel at hand takes, and what it says of those that nobody could take."""

from __future__ import annotations

import pytest

from ipt2np import InputError
from ipt2np.rules.canonical import rule_lines
from tests.dumps import only_rule


def printed(rule: str, family: int) -> str:
    (line,) = rule_lines(only_rule(f"-A INPUT {rule}", family), family)
    return line.removeprefix("-A INPUT ")


@pytest.mark.parametrize(("rule", "canonical", "family"), [
    # libxt_ipvs, ipvs_mt_dump(); the kernel needs IPVS for it.
    ("-m ipvs --ipvs", "-m ipvs --ipvs", 4),
    ("-m ipvs ! --ipvs", "-m ipvs ! --ipvs", 6),
    ("-m ipvs --ipvs --vport http", "-m ipvs --vport 80", 4),
    ("-m ipvs ! --vproto TCP --vdir reply", "-m ipvs ! --vproto 6 --vdir REPLY", 4),
    ("-m ipvs --vmethod masq ! --vaddr 1.2.3.4/255.255.255.0", "-m ipvs ! --vaddr 1.2.3.4/24 --vmethod MASQ", 4),
    ("-m ipvs --vaddr fd00::1 ! --vportctl 21", "-m ipvs --vaddr fd00::1 ! --vportctl 21", 6),
    ("-m ipvs ! --vmethod IPIP ! --vport 22 --vdir ORIGINAL", "-m ipvs ! --vport 22 --vdir ORIGINAL ! --vmethod IPIP", 4),
    # The kernel has the match, iptables 1.8.9 no extension for it.
    ("-p udplite -m udplite --dport 5:9 ! --sport 7", "-p udplite -m udplite ! --sport 7 --dport 5:9", 4),
    # libxt_owner, revision 0; numbers of users and groups that only the host knows.
    ("-m owner --cmd-owner sshd ! --pid-owner 7", "-m owner ! --pid-owner 7 --cmd-owner sshd", 4),
    ("-m owner ! --sid-owner 0x10 --uid-owner 7", "-m owner --uid-owner 7 ! --sid-owner 16", 6),
    ("-m owner --gid-owner web --uid-owner root", "-m owner --uid-owner 0 --gid-owner web", 4),
    ("-m owner ! --cmd-owner a-name-that-is-too-long", "-m owner ! --cmd-owner a-name-that-is-", 4),
    # iptables before 1.4 had --days, before 1.3.4 no --algo.
    ("-m time --timestart 8:00 --timestop 18:00 --days Mon,Tue",
     "-m time --timestart 08:00:00 --timestop 18:00:00 --weekdays Mon,Tue --datestop 2038-01-19T03:14:07", 4),
    ("-m string --string cmd.exe", '-m string --string "cmd.exe" --algo bm', 4),
    ('-m string --string ! "a b"', '-m string ! --string "a b" --algo bm', 6),
    # The kernel finds it too slow; in IPv4 a realm has a name that only the host knows.
    ("-m limit --limit 1/day", "-m limit --limit 1/day", 4),
    ("-m realm ! --realm office", "-m realm ! --realm office", 4),
    # Printed as numbers with a sign, which nobody reads back.
    ("-m recent --rcheck --seconds 4294967295",
     "-m recent --rcheck --seconds -1 --name DEFAULT --mask 255.255.255.255 --rsource", 4),
    # In any order, and where iptables wants another one.
    ("-m rt --rt-0-not-strict --rt-0-addrs fd00::1 --rt-type 0",
     "-m rt --rt-type 0 --rt-0-addrs fd00::1 --rt-0-not-strict", 6),
])  # fmt: skip
def test_the_canonical_text_of_what_this_kernel_does_not_take(rule: str, canonical: str, family: int) -> None:
    assert printed(rule, family) == canonical


@pytest.mark.parametrize(("rule", "at", "message", "family"), [
    ("-m limit --limit 20000/sec", "20000/sec", "--limit: the rate 20000/sec is too fast to be kept", 4),
    ("-m limit --limit 0/sec", "0/sec", "--limit: '0/sec' is not a rate", 4),
    ("-m limit --limit 5/fortnight", "5/fortnight", "--limit: '5/fortnight' is not a rate", 4),
    ("-m limit --limit " + "9" * 5000, "9" * 5000, "--limit: the rate 999", 4),
    ("-m quota", "quota", "quota needs --quota", 4),
    ("-m statistic --mode random --probability 1.5", "1.5", "--probability: '1.5' is no probability", 4),
    ("-m statistic --mode random", "--mode", "mode random needs --probability", 4),
    ("-m statistic --mode nth --every 5", "--mode", "mode nth needs --packet", 4),
    ("-m statistic --mode nth --every 5 --packet 5", "--packet", "--packet is not less than --every", 4),
    ("-m statistic --mode nth --every 5 --packet 1 --probability 1", "--probability", "mode nth takes no --probability", 4),
    ("-m string --hex-string |0g|", "|0g|", "--hex-string: '|0g|' has a part between bars that is not hexadecimal", 4),
    ('-m string --hex-string "|0a" --algo bm', '"|0a"', "--hex-string: '|0a' has a part between bars", 4),
    ("-m string --string x --hex-string |00|", "--hex-string", "--string and --hex-string exclude each other", 4),
    ("-m string --algo wrong --string x", "wrong", "--algo: 'wrong' is not known here", 4),
    ("-m string --string " + "x" * 129, "x" * 129, "--string: 'xxx", 4),
    ('-m string --string ""', '""', "--string: '' has 0 bytes", 4),
    ('-m u32 --u32 "6&0xff"', '"6&0xff"', "--u32: '6&0xff' is no test of bytes: 'the end' is out of place", 4),
    ('-m u32 --u32 "6 & = 1"', '"6 & = 1"', "--u32: '6 & = 1' is no test of bytes: '=' is out of place", 4),
    ('-m u32 --u32 ""', '""', "--u32: '' is no test of bytes", 4),
    ("-m u32 --u32 " + "&&".join(["0=0"] * 11), "&&".join(["0=0"] * 11), "--u32: too many tests", 4),
    ("-m time --weekdays 0", "0", "--weekdays: '0' is no day of the week", 4),
    ("-m time --monthdays 32", "32", "--monthdays: '32' is no list of days of the month", 4),
    ("-m time --timestart 24:00", "24:00", "--timestart: '24:00' is no time of day", 4),
    ("-m time --datestart 1969-12-31", "1969-12-31", "--datestart: '1969-12-31' is no date", 4),
    ("-m time --utc --kerneltz", "--utc", "--kerneltz and --utc exclude each other", 4),
    ("-m time --timestart 8:00 --contiguous", "--contiguous", "--contiguous is for times that pass midnight", 4),
    ("-m policy --pol ipsec", "policy", "policy needs --dir", 4),
    ("-m policy --dir in --next --reqid 1", "--next", "--next needs --strict", 4),
    ("-m policy --dir in --strict", "--strict", "element 1 of the policy is empty", 4),
    ("-m policy --dir in --strict --reqid 1 --next", "--next", "element 2 of the policy is empty", 4),
    ("-m policy --dir in --strict --pol none", "--strict", "--pol none and --strict exclude each other", 4),
    ("-m policy --dir in --tunnel-src 10.0.0.1", "--tunnel-src", "--tunnel-src needs tunnel mode", 4),
    ("-m policy --dir in --reqid 1 --reqid 2", "--reqid", "--reqid stands twice in one element", 4),
    ("-m policy --dir in --proto tcp", "tcp", "--proto: 'tcp' is no protocol of IPsec", 4),
    ("-m policy --dir in --strict" + " --spi 1 --next" * 4 + " --spi 1", "--next", "5 elements are too many", 4),
    ("-m recent --rcheck --set", "--rcheck", "--set and --rcheck exclude each other", 4),
    ("-m recent --name x", "recent", "recent needs --set or --rcheck", 4),
    ("-m recent --rcheck --reap", "--reap", "--reap needs --seconds", 4),
    ("-m recent --rcheck --seconds 0", "0", "--seconds: '0' is no number from 1", 4),
    ("-m owner --suppl-groups --uid-owner 1", "--suppl-groups", "--suppl-groups needs --gid-owner", 4),
    ("-m owner --uid-owner 9-5", "9-5", "--uid-owner: the range 9-5 ends before it begins", 4),
    ("-m owner --uid-owner 4294967295", "4294967295", "--uid-owner: '4294967295' is neither a number nor a name", 4),
    ("-m ipvs ! --ipvs --vport 80", "--ipvs", "! --ipvs cannot stand with other options", 4),
    ("-m ipvs --vmethod NAT", "NAT", "--vmethod: 'NAT' is not known here", 4),
    ("-m rateest --rateest a --rateest-bps 5", "rateest", "rateest needs --rateest-lt or --rateest-gt", 4),
    ("-m rateest --rateest a --rateest-lt --rateest-bps 5x", "5x", "--rateest-bps: '5x' is not a rate", 4),
    ("-p sctp -m sctp --chunk-types any DATA:X", "DATA:X", "--chunk-types: 'X' is no flag of DATA chunks", 4),
    ("-p sctp -m sctp --chunk-types some DATA", "some", "--chunk-types: 'some' is not known here", 4),
    ("-m rt --rt-0-res", "--rt-0-res", "--rt-0-res needs --rt-type 0", 6),
    ("-m rt --rt-type 2 --rt-0-addrs fd00::1", "--rt-0-addrs", "--rt-0-addrs needs --rt-type 0", 6),
    ("-m rt --rt-type 0 --rt-0-addrs " + ",".join(["fd00::1"] * 17), "fd00::1", "--rt-0-addrs: 17 addresses", 6),
    ("-m ipv6header --header tcp", "tcp", "--header: 'tcp' is no header", 6),
    ("-p mh -m mh --mh-type frob", "frob", "--mh-type: 'frob' is no type of a mobility message", 6),
    ("-m pkttype --pkt-type wrong", "wrong", "--pkt-type: 'wrong' is no type of packet", 4),
    ("-m tos --tos 300", "300", "--tos: '300' is no type of service", 4),
    ("-m ttl --ttl-eq 64 --ttl-gt 5", "--ttl-gt", "--ttl-eq and --ttl-gt exclude each other", 4),
    ("-m physdev", "physdev", "physdev needs --physdev-is-in or", 4),
])  # fmt: skip
def test_what_cannot_be_is_told_with_its_place(rule: str, at: str, message: str, family: int) -> None:
    line = f"-A INPUT {rule}"
    with pytest.raises(InputError) as caught:
        only_rule(line, family)
    (problem,) = caught.value.problems
    assert problem.message.startswith(message), problem.message
    column = problem.location.column
    assert column is not None and line[column - 1 :].startswith(at), (problem.message, column)
