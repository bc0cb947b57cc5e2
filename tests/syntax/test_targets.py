"""The canonical text of targets where the kernel of the tests cannot be asked, and what no target can have.

The texts follow the ``save`` functions of iptables 1.8.9: extensions/libipt_ULOG.c, libipt_CLUSTERIP.c, libxt_LED.c,
libxt_SECMARK.c, libxt_CT.c.
"""

from __future__ import annotations

import pytest

from ipt2np import InputError
from ipt2np.rules.canonical import rule_lines
from ipt2np.rules.extension import Effect
from ipt2np.rules.marks import UNKNOWN, ZERO, Marks
from ipt2np.rules.model import TargetUse
from ipt2np.rules.targets.nat import NatRange
from tests.dumps import only_rule


def used(target: str, family: int = 4) -> TargetUse:
    """A rule's target."""
    found = only_rule(f"-A INPUT -p tcp -j {target}", family).target
    assert isinstance(found, TargetUse)
    return found


def saved(target: str, family: int = 4) -> str:
    """What iptables-save prints behind ``-j``."""
    (line,) = rule_lines(only_rule(f"-A INPUT -p tcp -j {target}", family), family)
    return line.partition(" -j ")[2]


_CLUSTER = "CLUSTERIP --new --hashmode sourceip --clustermac 01:AA:7B:47:F7:D7 --total-nodes 2 --local-node 1 --hash-init"


@pytest.mark.parametrize(("given", "printed"), [
    ("ULOG", "ULOG"),
    ("ULOG --ulog-nlgroup 1 --ulog-cprange 0 --ulog-qthreshold 1", "ULOG"),
    ('ULOG --ulog-qthreshold 50 --ulog-cprange 100 --ulog-nlgroup 32 --ulog-prefix "a b"',
     'ULOG --ulog-prefix "a b" --ulog-nlgroup 32 --ulog-cprange 100 --ulog-qthreshold 50'),
    ("ULOG --ulog-prefix 0123456789012345678901234567890123", "ULOG --ulog-prefix 0123456789012345678901234567890"),
    ("CLUSTERIP", "CLUSTERIP"),
    (f"{_CLUSTER} 7", f"{_CLUSTER} 7"),
    ("CLUSTERIP --local-node 1 --total-nodes 2 --clustermac 1:aa:7b:47:f7:d7 --hashmode sourceip --new", f"{_CLUSTER} 0"),
    ("LED --led-trigger-id web", 'LED --led-trigger-id "web"'),
    ('LED --led-always-blink --led-delay 50 --led-trigger-id "it\'s \\"x\\" \\\\"',
     'LED --led-trigger-id "it\'s \\"x\\" \\\\" --led-delay 50 --led-always-blink'),
    ("LED --led-trigger-id web --led-delay 0", 'LED --led-trigger-id "web"'),
    ("LED --led-trigger-id web --led-delay INF", 'LED --led-trigger-id "web" --led-delay -1'),
    ("LED --led-trigger-id web --led-delay -1", 'LED --led-trigger-id "web" --led-delay -1'),
    ("LED --led-trigger-id web --led-delay 0x80000000", 'LED --led-trigger-id "web" --led-delay -2147483648'),
    ("SECMARK --selctx system_u:object_r:httpd_packet_t:s0", "SECMARK --selctx system_u:object_r:httpd_packet_t:s0"),
    ("CT --ctevents new --timeout slow --helper ftp", "CT --helper ftp --timeout slow --ctevents new"),
    ("LOG --log-level err", "LOG --log-level 3"),
    ("LOG --log-level warn", "LOG"),
    ('LOG --log-prefix ""', "LOG"),
    ("NFQUEUE --queue-balance 0:65535", "NFQUEUE --queue-balance 0:65535"),
])  # fmt: skip
def test_what_a_target_was_given_is_printed_as_the_kernel_keeps_it(given: str, printed: str) -> None:
    assert saved(given) == printed
    assert saved(printed) == printed


@pytest.mark.parametrize(("target", "message"), [
    ("DNAT --to-destination 10.0.0.1 --to-destination 10.0.0.2",
     "--to-destination stands more than once, which Linux has not had since 2.6.11"),
    ("SNAT --to-source 10.0.0.1 --to-source 10.0.0.2", "--to-source stands more than once"),
    ("DNAT", "DNAT needs --to-destination"),
    ("DNAT --to-destination 10.0.0.1:80:90", "not an IPv4 address"),
    ("DNAT --to-destination :90-80", "ends before it begins"),
    ("DNAT --to-destination 10.0.0.1:70000", "is not a port"),
    ("DNAT --to-destination 10.0.0.1:", "is not a port"),
    ("DNAT --to-destination 10.0.0.1:1-2/", "no range of ports"),
    ("DNAT --to-destination [10.0.0.1]:80", "not a destination"),
    ("DNAT --to-destination fd00::1", "not an IPv4 address"),
    ("DNAT --to-destination www.example.org", "not an IPv4 address"),
    ("REDIRECT --to-ports 80:90", "no range of ports"),
    ("REDIRECT --to-ports 80-90/3", "only DNAT can have"),
    ("NETMAP --to 10.0.0.0/255.0.255.0", "a mask with holes"),
    ("REJECT --reject-with icmp6-no-route", "no answer of IPv4"),
    ("REJECT --reject-with", "--reject-with needs a value"),
    ("LOG --log-level loud", "no log level"),
    ("NFLOG --nflog-size 1 --nflog-range 2", "exclude each other"),
    ("NFQUEUE --queue-cpu-fanout", "needs several queues"),
    ("NFQUEUE --queue-balance 3:3", "a single queue"),
    ("NFQUEUE --queue-num 1 --queue-balance 1:3", "exclude each other"),
    ("AUDIT", "AUDIT needs --type"),
    ("CLASSIFY --set-class 1", "no class of traffic"),
    ("DSCP --set-dscp 64", "no number from 0 to 63"),
    ("DSCP --set-dscp-class XY", "no class"),
    ("TOS --set-tos 256", "no type of service"),
    ("ECN --ecn-tcp-remove --ecn-tcp-cwr 0", "exclude each other"),
    ("TTL --ttl-dec 0", "no number from 1 to 255"),
    ("TCPOPTSTRIP --strip-options 1", "no TCP option that can be stripped"),
    ("CHECKSUM", "CHECKSUM needs --checksum-fill"),
    ("SET --exist --del-set x src", "--exist needs --add-set"),
    ("SET --map-set x src", "--map-set needs what it is to map"),
    ("SET --map-mark --add-set x src", "--map-mark needs --map-set"),
    ("SET --exist", "--exist needs --add-set"),
    ("SET --add-set x up", "no list of directions"),
    ("HMARK --hmark-tuple src --hmark-mod 1", "HMARK needs --hmark-rnd"),
    ("HMARK --hmark-rnd 1 --hmark-mod 1", "HMARK needs --hmark-tuple"),
    ("HMARK --hmark-tuple spi,sport --hmark-mod 1 --hmark-rnd 1", "exclude each other"),
    ("HMARK --hmark-tuple src,,dst --hmark-mod 1 --hmark-rnd 1", "no part of a packet"),
    ("RATEEST --rateest-name x --rateest-interval 9s --rateest-ewmalog 20s", "the interval is too long"),
    ("RATEEST --rateest-name x --rateest-interval 1s --rateest-ewmalog 1s", "does not fit the interval"),
    ("RATEEST --rateest-name x --rateest-interval 1e9s --rateest-ewmalog 1s", "is no time"),
    ("RATEEST --rateest-name x --rateest-interval 99999999999s --rateest-ewmalog 1s", "is too long"),
    ("LED --led-trigger-id 01234567890123456", "is too long"),
    ("CLUSTERIP --new", "--hashmode is missing"),
    ("CLUSTERIP --clustermac 02:00:00:00:00:01", "no multicast address"),
    ("TEE --oif eth0", "TEE needs --gateway"),
    ("CT --zone 65536", "is no zone"),
])  # fmt: skip
def test_what_a_target_cannot_have_is_an_error_that_says_so(target: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        used(target)
    assert message in str(caught.value)


@pytest.mark.parametrize(("target", "family", "expected"), [
    ("DNAT --to-destination 10.0.0.1", 4, NatRange(0x0A000001, 0x0A000001)),
    ("DNAT --to-destination 10.0.0.1-10.0.0.3:80-90", 4, NatRange(0x0A000001, 0x0A000003, 80, 90)),
    ("DNAT --to-destination :80", 4, NatRange(None, None, 80, 80)),
    ("DNAT --to-destination :80-90/10", 6, NatRange(None, None, 80, 90, 10)),
    ("DNAT --to-destination [::1-::3]:http", 6, NatRange(1, 3, 80, 80)),
    ("SNAT --to-source ::1", 6, NatRange(1, 1)),
    ("REDIRECT --to-ports 80", 4, (80, 80)),
    ("MASQUERADE --to-ports 80-90", 4, (80, 90)),
])  # fmt: skip
def test_where_nat_sends_a_connection(target: str, family: int, expected: object) -> None:
    assert used(target, family).clauses[0].values == (expected,)


@pytest.mark.parametrize(("target", "effect"), [
    ("NFQUEUE", Effect.DIVERT),
    ("NFQUEUE --queue-bypass", Effect.MAY_DIVERT),
    ("SET --add-set x src", Effect.CONTINUE),
    ("SET --map-set x src --map-prio", Effect.CONTINUE),
    ("SET --map-set x src --map-mark", Effect.MARK),
    ("HMARK --hmark-tuple src --hmark-mod 1 --hmark-rnd 1", Effect.MARK),
    ("IPMARK --addr src", Effect.MARK),
    ("CLUSTERIP", Effect.UNKNOWN),
])  # fmt: skip
def test_what_a_target_does_follows_from_its_options(target: str, effect: Effect) -> None:
    assert used(target).effect is effect


@pytest.mark.parametrize("target", [
    "SET --map-set x src --map-mark", "HMARK --hmark-tuple src --hmark-mod 1 --hmark-rnd 1", "IPMARK --addr src",
])  # fmt: skip
def test_a_mark_out_of_a_set_or_a_hash_could_be_any(target: str) -> None:
    use = used(target)
    assert use.extension.remarked(use.clauses, Marks(ZERO, ZERO)) == Marks(UNKNOWN, ZERO)
