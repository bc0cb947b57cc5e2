"""``ipt2np explain``: the verdict first, then the way, what would settle it, and what policies say of the same packet."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ipt2np.cli.main import app
from ipt2np.semantics import trace
from tests.dumps import dump, table

WEB = dump(
    "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT",
    "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT",
    "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
)
POLICY = """apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
    - ports: [{protocol: TCP, port: 443}]
    - from: [{ipBlock: {cidr: 198.51.100.0/24}}]
      ports: [{protocol: TCP, port: 22}]
"""


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["explain", *words])


@pytest.fixture
def web(tmp_path: Path) -> str:
    return written(tmp_path, WEB)


def written(folder: Path, text: str, name: str = "rules.v4") -> str:
    path = folder / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return str(path)


def told(rules: str, *words: str) -> str:
    result = run(rules, *words)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def data(rules: str, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(told(rules, *words, "--format", "json"))
    return found


def lines_of(found: dict[str, Any], outcome: str, half: int = 0) -> list[int]:
    return [each["line"] for each in found["ways"][half]["steps"] if each.get("outcome") == outcome]


def test_the_verdict_comes_first_and_names_the_rule_that_decides(web: str) -> None:
    first, second, third, *_ = told(web, "--from", "10.0.0.5", "--to", "443/tcp").splitlines()
    assert first == "10.0.0.5 to 443/tcp: accepted"
    assert second.endswith("rules.v4:7 in INPUT")
    assert third.strip() == "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT"


def test_a_packet_that_no_rule_matches_meets_the_policy(web: str) -> None:
    text = told(web, "--from", "10.0.0.5", "--to", "53/udp")
    assert "dropped by the policy DROP of INPUT in filter" in text
    assert "-p tcp: the protocol is udp" in text


def test_the_later_packets_of_a_connection_have_a_way_of_their_own(web: str) -> None:
    found = data(web, "--from", "10.0.0.5", "--to", "443/tcp")
    assert [way["half"] for way in found["ways"]] == ["first", "later"]
    assert lines_of(found, "matched", 0) == [7]
    assert lines_of(found, "matched", 1) == [5]
    assert [way["half"] for way in data(web, "--from", "10.0.0.5", "--to", "443/udp")["ways"]] == ["first"]


def test_every_part_that_does_not_hold_is_said_in_words(web: str) -> None:
    found = data(web, "--from", "10.0.0.5", "--to", "23/tcp", "--all")
    (step,) = (step for step in found["ways"][0]["steps"] if step.get("line") == 6)
    assert [(part["match"], part["why"]) for part in step["because"] if part["holds"] == "no"] == [
        ("-s 192.0.2.0/24", "the source is 10.0.0.5"),
        ("-m tcp --dport 22", "the port is 23"),
    ]


def test_a_rule_that_matches_by_an_assumption_says_by_which(tmp_path: Path) -> None:
    rules = written(
        tmp_path,
        dump(
            "-A INPUT -p icmp -m icmp --icmp-type 8 -m limit --limit 10/sec -j ACCEPT",
            "-A INPUT -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT",
            "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
        ),
    )
    assert "    as assumed: rate\n" in told(rules, "--from", "10.0.0.5", "--to", "icmp/8")
    assert "    as assumed: state\n" in told(rules, "--from", "10.0.0.5", "--to", "22/tcp")
    assert "as assumed" not in told(rules, "--from", "10.0.0.5", "--to", "443/tcp")
    (step,) = data(rules, "--from", "10.0.0.5", "--to", "icmp/8")["ways"][0]["steps"]
    assert [part["assumed"] for part in step["because"] if "assumed" in part] == [["rate"]]
    switched = told(rules, "--from", "10.0.0.5", "--to", "icmp/8", "--assume", "rate=undecided")
    assert "as assumed" not in switched and "open: " in switched


def test_a_rule_that_is_taken_to_match_says_so(tmp_path: Path) -> None:
    rules = written(tmp_path, dump("-A INPUT -p tcp -m frob --x 1 -j ACCEPT"))
    packet = ("--from", "10.0.0.5", "--to", "23/tcp")
    assert "as assumed: rule:5" in told(rules, *packet, "--assume", "rule:5=match")
    assert "as assumed" not in told(rules, *packet)


def test_an_interface_that_nobody_said_leaves_both_ways_and_is_named_as_the_remedy(tmp_path: Path) -> None:
    rules = written(tmp_path, dump("-A INPUT -i eth1 -p tcp -j ACCEPT", "-A INPUT -i eth2 -j REJECT"))
    found = data(rules, "--from", "10.0.0.5", "--to", "22/tcp")
    assert found["verdict"] == {
        "text": "undecided: accepted or dropped or rejected",
        "can": ["accept", "drop", "reject"],
    }
    assert {(each["outcome"], *each["when"]) for each in found["outcomes"] if each["half"] == "first"} == {
        ("accept", "the interface is eth1"),
        ("reject", "the interface is eth2"),
        ("drop", "the interface is none that a rule names"),
    }
    assert [each["settle"].split()[0] for each in found["settle"]] == ["--on"]
    assert "What would settle it" in told(rules, "--from", "10.0.0.5", "--to", "22/tcp")
    for interface, verdict in (("eth1", "accepted"), ("eth2", "rejected"), ("eth3", "dropped")):
        assert (
            data(rules, "--from", "10.0.0.5", "--to", "22/tcp", "--on", interface)["verdict"]["text"]
            == verdict
        )


def test_an_ipset_that_is_not_given_is_named_with_its_option(tmp_path: Path) -> None:
    rules = written(
        tmp_path, dump("-A INPUT -m set --match-set bans src -j DROP", "-A INPUT -p udp -j ACCEPT")
    )
    (settle,) = data(rules, "--from", "10.0.0.5", "--to", "53/udp")["settle"]
    assert settle["why"] == "the entries of the ipset bans"
    assert "--ipset" in settle["settle"]
    assert "--assume set:bans=empty" in settle["settle"]
    found = data(rules, "--from", "10.0.0.5", "--to", "53/udp", "--assume", "set:bans=empty")
    assert found["verdict"]["text"] == "accepted"


def test_the_own_address_settles_rules_about_destinations(tmp_path: Path) -> None:
    rules = written(tmp_path, dump("-A INPUT -d 192.0.2.1/32 -p udp -j ACCEPT"))
    assert data(rules, "--from", "10.0.0.5", "--to", "53/udp")["verdict"]["can"] == ["accept", "drop"]
    at = ("--from", "10.0.0.5", "--to", "53/udp", "--at")
    assert data(rules, *at, "192.0.2.1")["verdict"]["text"] == "accepted"
    assert data(rules, *at, "192.0.2.2")["verdict"]["text"] == "dropped"
    found = data(rules, *at, "192.0.2.2", "--address", "192.0.2.1")
    assert found["verdict"]["text"] == "impossible"
    assert "none of the host's own addresses" in found["verdict"]["why"]


def test_nat_says_where_it_sends_the_packet_and_the_filter_sees_that_port(tmp_path: Path) -> None:
    nat = table("nat", "-A PREROUTING -p tcp -m tcp --dport 443 -j REDIRECT --to-ports 8443")
    rules = written(
        tmp_path,
        dump(
            "-A INPUT -p tcp -m tcp --dport 443 -j DROP",
            "-A INPUT -p tcp -m tcp --dport 8443 -j ACCEPT",
            before=nat,
        ),
    )
    text = told(rules, "--from", "10.0.0.5", "--to", "443/tcp")
    assert text.startswith("10.0.0.5 to 443/tcp: accepted")
    assert "nat sends it to port 8443" in text
    assert "the port behind nat is 8443" in text


def test_a_source_that_the_kernel_refuses_is_said_plainly(web: str) -> None:
    text = told(web, "--from", "127.0.0.1", "--to", "443/tcp")
    assert text.splitlines() == [
        "127.0.0.1 to 443/tcp: impossible",
        "  the kernel itself refuses packets from 127.0.0.1, before any rule sees them",
    ]


def test_what_no_policy_is_judged_by_is_said(web: str) -> None:
    assert "port 0 is no port" in told(web, "--from", "10.0.0.5", "--to", "0/tcp")
    assert "opens no connection" in told(web, "--from", "10.0.0.5", "--to", "icmp/0")


def test_a_family_without_a_ruleset_is_said(web: str) -> None:
    result = run(web, "--from", "fd00::5", "--to", "443/tcp")
    assert result.exit_code == 2
    assert "holds no IPv6 ruleset" in result.stderr
    assert "--rules6" in result.stderr
    alike = run(web, "--from", "fd00::5", "--to", "443/tcp", "--other-family", "same")
    assert alike.stdout.startswith("fd00::5 to 443/tcp: accepted")


@pytest.mark.parametrize(
    ("source", "service", "first"),
    [
        ("10.0.0.5:40000", "443/tcp", "10.0.0.5:40000 to 443/tcp: accepted"),
        ("10.0.0.5", "https/tcp", "10.0.0.5 to 443/tcp: accepted"),
        ("10.0.0.5", "443/6", "10.0.0.5 to 443/tcp: accepted"),
        ("10.0.0.5", "tcp", "10.0.0.5 to tcp: undecided: accepted or dropped"),
        ("10.0.0.5", "icmp/8", "10.0.0.5 to icmp/8: dropped"),
        ("10.0.0.5", "icmp/8/0", "10.0.0.5 to icmp/8/0: dropped"),
        ("10.0.0.5", "gre", "10.0.0.5 to gre: dropped"),
        ("10.0.0.5", "47", "10.0.0.5 to gre: dropped"),
        ("10.0.0.5", "80", "10.0.0.5 to protocol 80: dropped"),
        ("[fd00::5]:9", "443/tcp", "[fd00::5]:9 to 443/tcp: accepted"),
        ("fd00::5", "icmp/128", "fd00::5 to icmpv6/128: dropped"),
        ("fd00::5", "icmpv6", "fd00::5 to icmpv6: dropped"),
    ],
)
def test_packets_may_be_written_so(web: str, source: str, service: str, first: str) -> None:
    words = ("--from", source, "--to", service, "--other-family", "same")
    assert told(web, *words).splitlines()[0] == first


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "10.0.0", "--to", "443/tcp"), "--from 10.0.0: expected one address"),
        (("--from", "10.0.0.0/8", "--to", "443/tcp"), "expected one address"),
        (("--from", "fe80::1%eth0", "--to", "443/tcp"), "expected one address"),
        (("--from", "10.0.0.5:99999", "--to", "443/tcp"), "expected a port 0..65535"),
        (("--from", "10.0.0.5:", "--to", "443/tcp"), "expected a port 0..65535"),
        (("--from", "[fd00::5", "--to", "443/tcp"), "expected one address"),
        (("--from", "10.0.0.5", "--to", "443"), "443 without its protocol says too little"),
        (("--from", "10.0.0.5", "--to", "tcp/443"), "expected a port and its protocol such as 443/tcp"),
        (("--from", "10.0.0.5", "--to", "443/gre"), "gre has no ports"),
        (("--from", "10.0.0.5", "--to", "icmp/256"), "expected icmp/TYPE"),
        (("--from", "10.0.0.5", "--to", "icmp/8/0/0"), "expected icmp/TYPE"),
        (("--from", "10.0.0.5", "--to", "icmpv6/128"), "ICMPv6 goes with an IPv6 address"),
        (("--from", "10.0.0.5:9", "--to", "icmp/8"), "has no ports; leave the port out"),
        (("--from", "10.0.0.5", "--to", "443/tcp", "--at", "fd00::1"), "expected an IPv4 address"),
        (("--from", "10.0.0.5", "--to", "443/tcp", "--on", "lo"), "not lo"),
        (("--from", "10.0.0.5", "--to", "443/tcp", "--on", "eth+"), "no wildcard"),
        (("--from", "10.0.0.5", "--to", "443/tcp", "--assume", "rule:99=match"), "no rule at that line"),
        (("--from", "10.0.0.5", "--to", "443/tcp", "--cni", "calico"), "without --policy"),
        (("--from", "1\x1b[31m", "--to", "443/tcp"), "expected one address"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_what_was_expected(
    web: str, words: tuple[str, ...], said: str
) -> None:
    result = run(web, *words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "\x1b" not in result.stderr


def test_a_file_that_is_not_there_is_no_traceback(tmp_path: Path) -> None:
    result = run(str(tmp_path / "none"), "--from", "10.0.0.5", "--to", "443/tcp")
    assert result.exit_code == 2
    assert "Traceback" not in result.output


# -- policies -----------------------------------------------------------------------------------------------


@pytest.fixture
def policy(tmp_path: Path) -> str:
    return written(tmp_path, POLICY, "policy.yaml")


def test_the_policy_rule_that_admits_the_packet_stands_beside_the_verdict(web: str, policy: str) -> None:
    words = (web, "--from", "10.0.0.5", "--to", "443/tcp", "--policy", policy)
    found = data(*words)["policy"]
    assert found["verdict"] == "admitted"
    assert found["agrees"] is True
    assert found["pods"] == {"app": "web"}
    (rule,) = found["rules"]
    assert (rule["line"], rule["pointer"]) == (8, "NetworkPolicy/shop/web#/spec/ingress/0")
    assert "policy.yaml:8 NetworkPolicy/shop/web#/spec/ingress/0" in told(*words)


def test_where_no_policy_rule_admits_it_the_nearest_are_named(web: str, policy: str) -> None:
    found = data(web, "--from", "192.0.2.7", "--to", "22/tcp", "--policy", policy)
    assert found["verdict"]["text"] == "accepted"
    assert found["policy"]["verdict"] == "refused"
    assert found["policy"]["agrees"] is False
    assert [(near["line"], near["but"]) for near in found["policy"]["near"]] == [
        (9, "source"),
        (8, "destination port"),
    ]
    assert "unlike on the host" in told(web, "--from", "192.0.2.7", "--to", "22/tcp", "--policy", policy)


def test_a_port_that_nat_maps_is_looked_up_as_the_pods_see_it(tmp_path: Path) -> None:
    nat = table("nat", "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 443")
    rules = written(tmp_path, dump("-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT", before=nat))
    policy = written(tmp_path, POLICY, "policy.yaml")
    found = data(rules, "--from", "10.0.0.5", "--to", "80/tcp", "--policy", policy)["policy"]
    assert found["verdict"] == "admitted"
    assert [rule["line"] for rule in found["rules"]] == [8]


def test_policies_that_select_nobody_keep_nothing_from_the_pods(web: str, policy: str) -> None:
    words = (web, "--from", "10.0.0.5", "--to", "53/udp", "--policy", policy, "--pod-selector", "app=other")
    assert data(*words)["policy"]["verdict"] == "admitted"
    assert data(*words)["policy"]["agrees"] is False
    assert "nothing keeps packets from them" in told(*words)


DENYING = """apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: app == 'web'
  types: [Ingress]
  ingress:
    - {action: Deny, protocol: TCP, source: {nets: [10.0.0.0/8]}, destination: {ports: [22]}}
    - {action: Allow, protocol: TCP, destination: {ports: [22, 443]}}
"""


def test_a_rule_that_denies_is_named_too(web: str, tmp_path: Path) -> None:
    policy = written(tmp_path, DENYING, "calico.yaml")
    found = data(web, "--from", "10.0.0.5", "--to", "22/tcp", "--policy", policy)["policy"]
    assert (found["cni"], found["verdict"], found["agrees"]) == ("calico", "refused", True)
    assert [(rule["line"], rule["action"]) for rule in found["rules"]] == [(8, "deny"), (9, "allow")]
    text = told(web, "--from", "10.0.0.5", "--to", "22/tcp", "--policy", policy)
    assert "denied by" in text
    assert "calico.yaml:9 NetworkPolicy/shop/web#/spec/ingress/1 matches too, and does not decide" in text


def test_a_source_inside_the_cluster_is_looked_up_as_what_it_is(web: str, policy: str) -> None:
    words = ("--from", "10.0.0.5", "--to", "443/tcp", "--policy", policy)
    assert data(web, *words)["policy"]["source_class"] == "external"
    assert data(web, *words, "--pod-cidr", "10.0.0.0/16")["policy"]["source_class"] == "pod"
    assert data(web, *words, "--node-cidr", "10.0.0.0/16")["policy"]["source_class"] == "node"


def test_a_policy_that_cannot_be_read_is_refused_with_its_line(web: str, tmp_path: Path) -> None:
    policy = written(tmp_path, "kind: [", "broken.yaml")
    result = run(web, "--from", "10.0.0.5", "--to", "443/tcp", "--policy", policy)
    assert result.exit_code == 2
    assert "broken.yaml:2" in result.stderr


# -- hostile and large ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["\x1b[31mred", "\x07\x08", "[red]x[/red]", "\u202eevil", "\x9b31m", ":smile:", "{0}"]
)
def test_a_comment_cannot_speak_to_the_terminal(tmp_path: Path, text: str) -> None:
    rules = written(tmp_path, dump(f'-A INPUT -p udp -m comment --comment "{text}" -j ACCEPT'))
    for words in (("53/udp",), ("53/tcp",), ("53/udp", "--all")):
        out = told(rules, "--from", "10.0.0.5", "--to", *words)
        assert all(character.isprintable() or character == "\n" for character in out)
    assert told(rules, "--from", "10.0.0.5", "--to", "53/udp", "--format", "json").isascii()


def test_names_of_chains_and_matches_are_escaped(tmp_path: Path) -> None:
    rules = written(
        tmp_path,
        dump("-A INPUT -j c\x1b[2J", "-A c\x1b[2J -m frob --x \x1b]0;t\x07 -j ACCEPT", chains=["c\x1b[2J"]),
    )
    out = told(rules, "--from", "10.0.0.5", "--to", "53/udp")
    assert "undecided" in out
    assert all(character.isprintable() or character == "\n" for character in out)


def test_ten_thousand_rules_are_told_in_a_few_lines(tmp_path: Path) -> None:
    many = ["-A INPUT -s 10.0.0.0/8 -p udp -j ACCEPT"] * 10_000
    rules = written(tmp_path, dump(*many, "-A INPUT -p udp -m udp --dport 53 -j ACCEPT"))
    words = ("--from", "192.0.2.1", "--to", "53/udp")
    text = told(rules, *words)
    assert "lines 5-10004: 10,000 rules do not match (source)" in text
    assert len(text.splitlines()) < 12


def test_all_tells_every_rule(tmp_path: Path) -> None:
    rules = written(tmp_path, dump(*["-A INPUT -s 10.0.0.0/8 -p udp -j ACCEPT"] * 500))
    text = told(rules, "--from", "192.0.2.1", "--to", "53/udp", "--all")
    assert text.count("-s 10.0.0.0/8: the source is 192.0.2.1") == 500


def test_chains_that_call_each_other_twice_do_not_explode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace, "MOST_STEPS", 300)
    chains = [f"c{n}" for n in range(60)]
    calls = [f"-A c{n} -j c{n + 1}" for n in range(59) for _ in range(2)]
    rules = written(tmp_path, dump("-A INPUT -j c0", *calls, "-A c59 -p udp -j ACCEPT", chains=chains))
    assert data(rules, "--from", "192.0.2.1", "--to", "53/udp")["verdict"]["text"] == "accepted"
    found = data(rules, "--from", "192.0.2.1", "--to", "53/tcp")
    assert found["verdict"]["text"] == "dropped"
    assert any("untold" in step for step in found["ways"][0]["steps"])


def test_a_nest_of_chains_may_be_deep(tmp_path: Path) -> None:
    chains = [f"c{n}" for n in range(1500)]
    calls = [f"-A c{n} -j c{n + 1}" for n in range(1499)]
    rules = written(tmp_path, dump("-A INPUT -j c0", *calls, "-A c1499 -p udp -j ACCEPT", chains=chains))
    found = data(rules, "--from", "192.0.2.1", "--to", "53/udp")
    assert [each["by"][0]["chain"] for each in found["outcomes"]] == ["c1499"]


def test_what_is_undecided_again_and_again_is_bounded_and_says_so(tmp_path: Path) -> None:
    pairs = [
        f"-A PREROUTING -m set --match-set s{n} src -j MARK --set-xmark {1 << n:#x}/{1 << n:#x}"
        for n in range(10)
    ]
    rules = written(tmp_path, dump("-A INPUT -m mark --mark 0x3ff -j ACCEPT", before=table("mangle", *pairs)))
    found = data(rules, "--from", "192.0.2.1", "--to", "53/udp")
    assert found["verdict"]["can"] == ["accept", "drop"]


def test_standard_output_may_go_away(web: str) -> None:
    command = [
        sys.executable,
        "-m",
        "ipt2np.cli.main",
        "explain",
        web,
        "--from",
        "10.0.0.5",
        "--to",
        "443/tcp",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
