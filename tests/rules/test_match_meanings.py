"""What matches mean where no kernel can be asked, or only of a host unlike the one at hand."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ipt2np import Field
from ipt2np.rules.extension import ValueFault
from ipt2np.rules.matches import all_matches
from tests.dumps import decided, dump, fate_of

SOURCE = {4: "203.0.113.7", 6: "2001:db8:9::7"}


def fate(match: str, protocol: str = "tcp", *settings: str, family: int = 4, source: str = "") -> str:
    """What becomes of a connection to port 22 where only the match lets its first packet in."""
    text = dump("-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT", f"-A INPUT {match} -j ACCEPT")
    return fate_of(decided(text, *settings, family=family), source or SOURCE[family], protocol, 22)


def reasons(match: str, *settings: str, family: int = 4) -> set[str]:
    """Why the match is undecided."""
    (side,) = decided(dump(f"-A INPUT {match} -j ACCEPT"), *settings, family=family).sides
    (rule,) = side.ruleset.rules
    return {why for meaning in side.walker.meanings(rule) for why in meaning.undecided}


@pytest.mark.parametrize("match", ["--uid-owner 0", "--gid-owner web", "--socket-exists", "--pid-owner 7"])
def test_a_packet_on_its_way_in_has_no_owner(match: str) -> None:
    assert fate(f"-m owner {match}") == "refuse"
    assert fate(f"-m owner ! {match}") == "accept"
    assert fate("-m owner ! --gid-owner web --suppl-groups") == "refuse"


@pytest.mark.parametrize(("match", "family", "why"), [
    ("-m ipvs ! --vport 80", 4, "what IPVS knows of the packet's connection"),
    ("-m nfacct --nfacct-name web", 6, "whether the accounting object 'web' has a quota, and is over it"),
    ("-m policy --dir in --pol none", 4, "whether the packet came in through IPsec, and by which policy"),
    ("-m realm --realm office", 4, "the realm that the host's routes give to the packet"),
    ("-m time ! --weekdays Sun", 6, "the time at which the packet comes"),
    ("-m rateest --rateest a --rateest-lt --rateest-bps 5", 4, "the rate that the host's rate estimators measure"),
    ("-m socket --transparent", 6, "which sockets are open on the host"),
    ("-p tcp -m osf --genre Linux", 4, "the operating system that the packet's sender looks like"),
    ("-m string --string x", 4, "the packet's payload, which no policy can test"),
    ("-m physdev --physdev-in eth0", 4, "the bridge port that the packet came in by, if any"),
    ("-m u32 --u32 0>>22&0x3C@12=5", 4, "bytes of the packet that no policy can test"),
])  # fmt: skip
def test_what_nobody_can_know_is_undecided_with_its_reason(match: str, family: int, why: str) -> None:
    assert fate(match, family=family) == "undecided"
    assert reasons(match, family=family) == {why}


def test_an_undecided_match_is_still_one_of_its_protocol() -> None:
    for match in ("-p tcp -m osf --genre Linux", "-p tcp -m tcpmss --mss 1400", "-m socket"):
        assert fate(match, "tcp") == "undecided"
        assert fate(match, "gre") == "refuse"
    assert fate("-p ipcomp -m ipcomp --ipcompspi 5") == "refuse"


def test_extension_headers_are_assumed_away_until_somebody_asks_for_them() -> None:
    for match in ("-m rt ! --rt-type 0", "-m srh --srh-tag 5", "-m ipv6header --header route --soft"):
        assert fate(match, family=6) == "refuse"
        assert fate(match, "tcp", "plain-header=undecided", family=6) == "undecided"
    assert fate("-m ipv6header ! --header esp --soft", family=6) == "accept"


MANUAL = "6 & 0xFF = 1 && 4 & 0x3FFF = 0 && 0 >> 22 & 0x3C @ 0 >> 24 = 0"  # iptables-extensions(8), u32


def test_the_manual_example_of_u32_is_icmp_of_type_0() -> None:
    decision = decided(dump(f'-A INPUT -m u32 --u32 "{MANUAL}" -j ACCEPT'))
    (side,) = decision.sides
    space = decision.space
    for meaning in side.walker.meanings(side.ruleset.rules[0]):
        assert meaning.exact
        assert meaning.may == space.value(Field.PROTOCOL, 1) & space.value(Field.ICMP_TYPE, 0)
        assert meaning.assumptions == {"fragment"}


@pytest.mark.parametrize(("test", "accepted", "refused"), [
    ("12=0xcb007107", "203.0.113.7", "203.0.113.8"),
    ("12>>8=0xcb0071", "203.0.113.99", "203.0.114.7"),
    ("12&0xffffff00=0xcb007100:0xcb0071ff", "203.0.113.99", "203.0.114.7"),
    ("6&0xff=6&&0>>22&0x3c@0&0xffff=22&&12>>24=203", "203.0.113.7", "204.0.113.7"),
    ("20&0xffff=22&&12>>24=0,203,9:5", "203.0.113.7", "204.0.113.7"),
])  # fmt: skip
def test_what_u32_reads_of_addresses_and_ports_is_decided(test: str, accepted: str, refused: str) -> None:
    match = f'-m u32 --u32 "{test}"'
    assert fate(match, source=accepted) == "accept"
    assert fate(match, source=refused) == "refuse"


def test_bytes_behind_the_header_are_where_they_are_as_long_as_headers_are_plain() -> None:
    assert fate("-m u32 --u32 20&0xffff=22") == "accept"
    assert fate("-m u32 --u32 20&0xffff=22", "tcp", "plain-header=undecided") == "undecided"
    assert fate("-m u32 --u32 0>>22&0x3C@0&0xffff=22", "tcp", "plain-header=undecided") == "accept"


def test_sources_that_only_their_last_bits_tell_apart_are_not_listed() -> None:
    assert fate("-m u32 --u32 12&0xff=7") == "undecided"
    assert fate("-m u32 --u32 12&0xff=0x100") == "refuse"
    assert fate("-m u32 --u32 12>>24=203&&14>>16=0x7107") == "undecided"
    assert fate("-m u32 --u32 12>>24=204&&14>>16=0x7107") == "refuse"


_TEXTS = st.text(st.sampled_from("0123456789abcxX.:,/&|@<>=!-+_ \\\"'~é٣²") | st.characters(), max_size=40)


@pytest.mark.parametrize(("name", "family"), sorted(all_matches()))
@given(text=_TEXTS)
@example(text="\ud800")
@example(text="\udcff")
def test_any_text_is_a_value_or_a_fault(name: str, family: int, text: str) -> None:
    for declared in all_matches()[name, family].options:
        for kind in declared.kinds:
            try:
                value = kind.read(text, family)
            except ValueFault:
                continue
            assert isinstance(kind.write(value, family), str)
