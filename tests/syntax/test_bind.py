"""The words of a rule: how one thing may be written in many ways, and what unknown words become."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipt2np import InputError
from ipt2np.rules.extension import Effect
from ipt2np.rules.model import Jump, TargetUse
from tests.dumps import decided, dump, fate_of, only_rule, said


def kept_text(line: str, match: str) -> str:
    (use,) = (use for use in only_rule(line).matches if use.extension.name == match)
    return use.text


@pytest.mark.parametrize(("one", "other"), [
    ("-s 10.0.0.0/8", "--source 10.0.0.0/8"),
    ("-s 10.0.0.0/8", "--src 10.0.0.0/8"),
    ("-s 10.0.0.0/8", "--sour 10.0.0.0/8"),
    ("-s 10.0.0.0/8", "--source=10.0.0.0/8"),
    ("-s 10.0.0.0/8", "-s 10.0.0.0/255.0.0.0"),
    ("-s 10.0.0.0/8", "-s 10.9.8.7/8"),
    ("-s 10.0.0.0/8", "-s 10/8"),
    ("-s 10.0.0.0/8", "-s10.0.0.0/8"),
    ("-s 10.0.0.1", "-s10.0.0.1"),
    ("-s 10.0.0.1", "-s 10.0.0.1/32"),
    ("! -s 10.0.0.0/8", "-s ! 10.0.0.0/8"),
    ("! -d 10.0.0.0/8", "--destination ! 10.0.0.0/8"),
    ("! -i eth0", "-i ! eth0"),
    ("! -i eth0", "! --in-interface eth0"),
    ("-i eth0", "-ieth0"),
    ("-i eth+", "-ieth+"),
    ("-i +", "-i+"),
    ("-p tcp", "--protocol tcp"),
    ("-p tcp", "--proto tcp"),
    ("-p tcp", "-p 6"),
    ("-p tcp", "-p TCP"),
    ("-p tcp", "-ptcp"),
    ("! -p tcp", "-p ! tcp"),
    ("-p all", "-p 0"),
    ("-p tcp -m tcp --dport 22", "-p tcp --dport 22"),
    ("-p tcp -m tcp --dport 22", "-p tcp --match tcp --dport 22"),
    ("-p tcp -m tcp --dport 22", "-p tcp -mtcp --dport 22"),
    ("-p tcp -m tcp --dport 22", "-p tcp --destination-port 22"),
    ("-p tcp -m tcp --dport 22", "-p tcp --dpor 22"),
    ("-p tcp -m tcp --dport 22", "-p tcp --dport=22"),
    ("-p tcp -m tcp --dport 22", "-p tcp --dport ssh"),
    ("-p tcp -m tcp --dport 22", "-p tcp --dport 22:22"),
    ("-p tcp -m tcp --dport 22", "-p tcp --dport 0x16"),
    ("-p tcp -m tcp --dport 18", "-p tcp --dport 022"),  # strtoul(3), base 0: a leading 0 is octal
    ("-s 8.0.0.1", "-s 010.0.0.1"),  # inet_aton(3), likewise
    ("-p tcp -m tcp --dport 0:22", "-p tcp --dport :22"),
    ("-p tcp -m tcp --dport 22:65535", "-p tcp --dport 22:"),
    ("-p tcp -m tcp --dport 0:65535", "-p tcp --dport :"),
    ("-p tcp ! --dport 22", "-p tcp --dport ! 22"),
    ("-p tcp --tcp-flags FIN,SYN,RST,ACK SYN", "-p tcp --tcp-flags SYN,RST,ACK,FIN syn"),
    ("-p tcp ! --tcp-flags SYN,ACK SYN", "-p tcp --tcp-flags ! SYN,ACK SYN"),
    ("-p tcp ! --syn", "-p tcp ! --sy"),
    ("-p udp -m multiport --dports 53,100:200", "-p udp -m multiport --destination-ports domain,100:200"),
    ("-p icmp --icmp-type 8", "-p icmp --icmp-type echo-request"),
    ("-p icmp --icmp-type 8", "-p icmp --icmp-type ping"),
    ("-p icmp --icmp-type 8", "-p icmp --icmp-type ECHO-REQ"),
    ("-p icmp --icmp-type 3/3", "-p icmp --icmp-type port-unreachable"),
    ("-p icmp --icmp-type any", "-p icmp --icmp-type 255"),
    ("-m state --state NEW,ESTABLISHED", "-m state --state established,new"),
    ("-m conntrack ! --ctstate NEW", "-m conntrack --ctstate ! NEW"),
    ("-m mac --mac-source 00:11:22:aa:bb:cc", "-m mac --mac-source 00:11:22:AA:BB:CC"),
    ("-m mark --mark 0x10", "-m mark --mark 16"),
    ("-m hashlimit --hashlimit 5/min --hashlimit-name x", "-m hashlimit --hashlimit-upto 5/min --hashlimit-name x"),
    ('-m comment --comment "a b"', '-m comment --comment a" b"'),
    ("! -f", "! --fragment"),
    ("-j ACCEPT", "--jump ACCEPT"),
    ("-j ACCEPT", "--jump=ACCEPT"),
    ("-j ACCEPT", "--jum ACCEPT"),
    ("-j ACCEPT", "-jACCEPT"),
    ("-j web", "-jweb"),
    ("-g web", "--goto web"),
    ("-g web", "--goto=web"),
    ("-g web", "-gweb"),
    ("-s 10.0.0.1 -j ACCEPT", "-j ACCEPT -s 10.0.0.1"),
    ("-p tcp --dport 22 -j ACCEPT", "-p tcp -j ACCEPT --dport 22"),
    ("-p tcp --dport 22 -j LOG", "-p tcp -j LOG -m tcp --dport 22"),
    ("-s 10.0.0.1", "-c 1 2 -s 10.0.0.1"),
    ("-s 10.0.0.1", "-t filter -s 10.0.0.1"),
    ("-s 10.0.0.1", "-4 -s 10.0.0.1"),
    ("-s 10.0.0.1", "--ipv4 -s 10.0.0.1"),
])  # fmt: skip
def test_two_ways_to_write_one_rule(one: str, other: str) -> None:
    def meant(line: str) -> object:
        uses, target = said(only_rule(f"-A INPUT {line}"))
        return {
            (name, frozenset(c for c in clauses if c.option not in ("--ipv4", "--ipv6")), text)
            for name, clauses, text in uses
        } - {("ip", frozenset(), "")}, target

    assert meant(other) == meant(one)


def test_an_empty_protocol_option_and_none_mean_the_same() -> None:
    for line in ("-A INPUT -p all -j ACCEPT", "-A INPUT -j ACCEPT"):
        assert fate_of(decided(dump(line)), "192.0.2.1", "gre") == "accept"


def test_a_list_of_sources_is_any_of_them() -> None:
    decision = decided(dump("-A INPUT -s 10.0.0.1,10.0.0.3 -j ACCEPT"))
    assert [fate_of(decision, f"10.0.0.{n}", "tcp", 22) for n in (1, 2, 3)] == ["accept", "refuse", "accept"]


def test_a_mask_with_holes_is_all_of_its_networks() -> None:
    decision = decided(dump("-A INPUT -s 10.0.7.0/255.0.255.0 -j ACCEPT"))
    assert [fate_of(decision, a, "tcp", 22) for a in ("10.1.7.9", "10.255.7.9", "10.1.8.9")] == [
        "accept",
        "accept",
        "refuse",
    ]


def test_a_mask_with_too_many_holes_leaves_both_bounds() -> None:
    decision = decided(dump("-A INPUT -s 10.0.0.1/255.0.85.85 -j ACCEPT"))
    assert fate_of(decision, "10.0.0.1", "tcp", 22) == "undecided"
    assert fate_of(decision, "11.0.0.1", "tcp", 22) == "refuse"


def test_an_ipv6_only_rule_of_a_shared_file_is_no_rule_of_an_ipv4_ruleset() -> None:
    # iptables(8), -6: such a rule is silently ignored by iptables-restore.
    decision = decided(dump("-A INPUT -6 -j ACCEPT", "-A INPUT -4 -p tcp --dport 22 -j ACCEPT"))
    assert fate_of(decision, "192.0.2.1", "tcp", 80) == "refuse"
    assert fate_of(decision, "192.0.2.1", "tcp", 22) == "accept"


def test_ipv6_rules_read_ipv6_addresses_and_types() -> None:
    rule = only_rule(
        "-A INPUT ! -s 2001:db8::/32 -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT", family=6
    )
    assert rule.matched_names() == ("ip", "icmp6")
    decision = decided(dump(rule.text), family=6)
    assert fate_of(decision, "2001:db9::1", "icmpv6", icmp_type=128) == "accept"
    assert fate_of(decision, "2001:db8::1", "icmpv6", icmp_type=128) == "refuse"


def test_the_last_match_of_a_name_takes_the_options_behind_it() -> None:
    rule = only_rule("-A INPUT -m set --match-set good src -m set ! --match-set bad src -j ACCEPT")
    clauses = [(c.values[0], c.negated) for use in rule.matches for c in use.clauses]
    assert clauses == [("good", False), ("bad", True)]


# -- what is not known -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "text"), [
    ("", ""),
    ("--frob 1", "--frob 1"),
    ("! --frob 1", "! --frob 1"),
    ("--frob=1", "--frob=1"),
    ('--frob "a b" --twice x y', '--frob "a b" --twice x y'),
    (r'--frob "say \"hi\" \\"', r'--frob "say \"hi\" \\"'),
    ('--frob ""', '--frob ""'),
    ("-x 1", "-x 1"),
])  # fmt: skip
def test_an_unknown_match_keeps_its_words_and_is_undecided(options: str, text: str) -> None:
    line = f"-A INPUT -p tcp -m frob {options} -j ACCEPT"
    assert kept_text(line, "frob") == text
    decision = decided(dump(line))
    assert fate_of(decision, "192.0.2.1", "tcp", 22) == "undecided"
    assert fate_of(decision, "192.0.2.1", "udp", 22) == "refuse"


def test_known_options_are_known_beside_an_unknown_match() -> None:
    rule = only_rule("-A INPUT -m frob --frob 1 -s 10.0.0.1 -p tcp -m tcp --dport 22 -j web")
    assert rule.matched_names() == ("ip", "frob", "tcp")
    assert kept_text(rule.text, "frob") == "--frob 1"
    assert rule.target == Jump("web")


def test_an_unknown_target_with_options_is_undecided_and_may_fall_through() -> None:
    rule = only_rule('-A INPUT -j FROB --how "very well" ! --not')
    assert isinstance(rule.target, TargetUse)
    assert (rule.target.extension.name, rule.target.effect) == ("FROB", Effect.UNKNOWN)
    assert rule.target.text == '--how "very well" ! --not'
    for policy in ("ACCEPT", "DROP"):
        assert fate_of(decided(dump(rule.text, policy=policy)), "192.0.2.1", "tcp", 22) == "undecided"


def test_a_target_without_options_that_nobody_knows_is_a_misspelt_chain() -> None:
    with pytest.raises(InputError, match="there is no chain 'wbe'"):
        only_rule("-A INPUT -j wbe")


@pytest.mark.parametrize("options", ['--addr 10.0.0.0/8 --tname "all of it"', "--tname x", ""])
def test_an_addons_targets_options_are_kept_as_text(options: str) -> None:
    rule = only_rule(f"-A INPUT -j ACCOUNT {options}")
    assert isinstance(rule.target, TargetUse)
    assert (rule.target.text, rule.target.effect) == (options, Effect.CONTINUE)


def test_ct_notrack_is_notrack() -> None:
    target = only_rule("-A INPUT -j CT --notrack").target
    assert isinstance(target, TargetUse)
    assert target.effect is Effect.UNTRACK


def test_a_chain_may_be_called_like_an_option_or_a_match() -> None:
    for name in ("tcp", "--x", "a=b", "a,b", "a.b", "!x", "#", "*"):
        assert only_rule(f"-A INPUT -j {name}", chains=[name]).target == Jump(name)


# -- Hypothesis ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Term:
    """One option of a rule, to be written in different ways."""

    names: tuple[str, ...]
    value: str
    negated: bool
    needs: str = ""


_NETWORKS = st.builds(
    lambda a, n: f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}/{n}",
    st.integers(1 << 24, (1 << 32) - 1),
    st.integers(0, 32),
)
_PORTS = st.one_of(
    st.integers(0, 65535).map(str),
    st.tuples(st.integers(0, 30000), st.integers(30000, 65535)).map(lambda p: f"{p[0]}:{p[1]}"),
)
_TERMS = st.tuples(
    st.builds(_Term, st.just(("-s", "--source", "--src")), _NETWORKS, st.booleans()),
    st.builds(_Term, st.just(("-d", "--destination", "--dst")), _NETWORKS, st.booleans()),
    st.builds(_Term, st.just(("-i", "--in-interface", "--in-inter")),
     st.sampled_from(["eth0", "eth+", "br-lan", "wg0"]), st.booleans()),
    st.builds(_Term, st.just(("--dport", "--destination-port", "--dpor")), _PORTS, st.booleans(), st.just("-p")),
    st.builds(_Term, st.just(("--sport", "--source-port", "--spor")), _PORTS, st.booleans(), st.just("-p")),
    st.builds(_Term, st.just(("--ctstate",)), st.sampled_from(["NEW", "NEW,INVALID", "RELATED,ESTABLISHED"]),
     st.booleans(), st.just("-m conntrack")),
    st.builds(_Term, st.just(("--mark",)), st.sampled_from(["0x1", "0x10/0xff"]), st.booleans(), st.just("-m mark")),
    st.builds(_Term, st.just(("--comment",)), st.just('"a \\"b\\" c"'), st.just(False), st.just("-m comment")),
)  # fmt: skip


@st.composite
def _written(draw: st.DrawFn, terms: list[_Term], protocol: str) -> str:
    """The terms in some order and spelling."""
    words = ["-A INPUT", draw(st.sampled_from(["-p ", "--protocol ", "--proto=", "-p"])) + protocol]
    if draw(st.booleans()):
        words.append(f"{draw(st.sampled_from(['-m', '--match']))} {protocol}")
    words += [need for need in dict.fromkeys(term.needs for term in terms) if need.startswith("-m")]
    terms = draw(st.permutations(terms))
    early = draw(st.booleans())
    target = draw(st.sampled_from(["-j ACCEPT", "--jump ACCEPT"]))
    for term in terms:
        name = draw(st.sampled_from(term.names))
        if term.negated and draw(st.booleans()):
            words.append(f"{name} ! {term.value}")
        else:
            joint = "=" if name.startswith("--") and draw(st.booleans()) else " "
            words.append(("! " if term.negated else "") + name + joint + term.value)
    words.insert(2 if early else len(words), target)
    return draw(st.sampled_from([" ", "\t", "  "])).join(words)


@given(st.data())
def test_spelling_and_order_of_options_do_not_change_a_rule(data: st.DataObject) -> None:
    terms = [term for term in data.draw(_TERMS) if data.draw(st.booleans())]
    protocol = data.draw(st.sampled_from(["tcp", "udp", "sctp"]))
    one, other = (data.draw(_written(terms, protocol)) for _ in range(2))

    def meant(line: str) -> object:
        uses, target = said(only_rule(line))
        return {use for use in uses if use[1]}, target

    assert meant(one) == meant(other)
    assert sum(len(clauses) for _, clauses, _ in said(only_rule(one))[0]) == len(terms) + 1
