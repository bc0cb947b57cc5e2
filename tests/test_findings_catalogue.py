"""Every finding code: what it takes to meet it, and that none is made up or forgotten."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ipt2np import CATALOGUE, Assumptions, Facts, Finding, Identity, Options, Severity, convert, parse_ruleset
from ipt2np.cni import kubernetes
from ipt2np.conversion import OtherFamily
from ipt2np.planning import InDoubt
from ipt2np.rules.host import Host, HostAddress, Interface, Route, RouteType
from ipt2np.syntax.ipset import parse_ipsets
from tests.dumps import dump, parsed, table

SOURCE = Path(__file__).resolve().parents[1] / "src" / "ipt2np"
WEB = "-A INPUT -p tcp --dport 80 -j ACCEPT"
MANY = ",".join(f"10.{n >> 7}.{(n & 127) * 2}.{n * 37 % 250 + 1}" for n in range(600))
"""Addresses of which no two lie in one block."""

ETH0 = Interface("eth0", flags=frozenset({"UP"}), addresses=(HostAddress(4, 0xC000020A, 24),))
LO = Interface("lo", flags=frozenset({"LOOPBACK", "UP"}))
SEEN, PART = Facts(host=Host((LO, ETH0))), Facts(host=Host((ETH0,)))
ROUTED = Facts(host=Host(routes=(Route.to("0.0.0.0/0", "eth0"),)))
POLICY_ROUTED = Facts(
    host=Host(
        routes=(
            *ROUTED.host.routes,
            Route(4, 0x0A000000, 8, devices=("eth1",), table="100"),
            Route(4, 0x0A000000, 8, RouteType.BLACKHOLE),
        )
    )
)

REDIRECT = table("nat", "-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080")
SHUT = table("mangle", "-A PREROUTING -p tcp --dport 8080 -j DROP")
DIVERTING = table("nat", "-A PREROUTING -p tcp --dport 81 -j DNAT --to-destination 10.0.0.9:80")
UNTRACKING = table("raw", "-A PREROUTING -j NOTRACK")

Case = tuple[str, str, int, dict[str, Any], int]
"""Code, ruleset, family (0: found from the text), options, line that the finding stands at (0: none)."""


def options(*settings: str, **more: Any) -> dict[str, Any]:
    return {"assumptions": Assumptions.parse(settings), **more}


CASES: Sequence[Case] = (
    ("N2P001", dump(WEB), 0, {}, 0),
    ("N2P002", table("filter", WEB), 4, {}, 0),
    ("N2P003", table("nat", ":PREROUTING ACCEPT [0:0]"), 4, {}, 0),
    ("N2P004", dump("-A INPUT -j web", "-A web -j ACCEPT").replace("-j web", "-j ACCEPT"), 4, {}, 6),
    ("N2P005", dump(WEB), 4, {}, 0),
    ("N2P006", dump(WEB), 4, {"other_family": OtherFamily.SAME}, 0),
    ("N2P012", dump("-A INPUT -i tun0 -j ACCEPT"), 4, {"facts": SEEN}, 5),
    ("N2P012", dump("-A INPUT -i eth1 -j ACCEPT"), 4, {"facts": ROUTED}, 5),
    ("N2P019", dump(WEB), 4, {"facts": PART}, 0),
    (
        "N2P011",
        dump("-A INPUT -m set --match-set s src -j ACCEPT"),
        4,
        {"facts": Facts(ipsets=parse_ipsets(b"create s hash:ip family inet6\n", "sets"))},
        5,
    ),
    ("N2P101", dump("-A INPUT -m state --state ESTABLISHED -j ACCEPT"), 4, {}, 5),
    ("N2P102", dump("-A INPUT -f -j DROP", policy="ACCEPT"), 4, {}, 5),
    ("N2P103", dump(WEB, "-A INPUT -m pkttype --pkt-type broadcast -j DROP"), 4, {}, 6),
    ("N2P104", dump("-A INPUT -m limit --limit 5/min -j ACCEPT"), 4, {}, 5),
    ("N2P105", dump("-A INPUT -i eth0 -j ACCEPT"), 4, {"facts": Facts((("eth0", ()),))}, 5),
    ("N2P105", dump("-A INPUT -m frob --x 1 -j ACCEPT"), 4, options("rule:5=match"), 5),
    ("N2P106", dump(), 4, {}, 0),
    ("N2P107", dump(), 4, {}, 0),
    ("N2P108", dump("-A INPUT -m frag --fragmore -j DROP", policy="ACCEPT"), 6, {}, 5),
    ("N2P110", dump('-A INPUT -m comment --comment "generated for LXD network a" -j ACCEPT'), 4, {}, 5),
    ("N2P111", dump("-A INPUT -m set --match-set f2b-sshd src -j DROP", WEB), 4, {}, 5),
    (
        "N2P111",
        dump("-A INPUT -m set --match-set f2b-sshd src -j DROP", WEB),
        4,
        {"facts": Facts(drop_transient=True)},
        5,
    ),
    ("N2P112", dump("-A INPUT -i eth0 -j ACCEPT"), 4, {"facts": ROUTED}, 5),
    ("N2P112", dump(WEB, before=table("raw", "-A PREROUTING -m rpfilter --invert -j DROP")), 4, {}, 2),
    ("N2P113", dump(WEB), 4, {"facts": POLICY_ROUTED}, 0),
    ("N2P118", dump(WEB), 4, {"facts": SEEN}, 0),
    ("N2P119", dump(WEB), 4, {"facts": POLICY_ROUTED}, 0),
    (
        "N2P114",
        dump("-A INPUT -m set --match-set s src -j ACCEPT"),
        4,
        {"facts": Facts(ipsets=parse_ipsets(b"create s hash:ip timeout 9\nadd s 10.0.0.1\n", "sets"))},
        5,
    ),
    ("N2P200", dump("-A INPUT -p udp -j DROP", "-A INPUT -m frob --x 1 -j ACCEPT"), 4, {}, 6),
    ("N2P201", dump("-A INPUT -m frob --x 1 -j ACCEPT"), 4, {}, 5),
    ("N2P202", dump("-A INPUT -j FROB --x 1"), 4, {}, 5),
    ("N2P203", dump("-A INPUT -i eth0 -j ACCEPT"), 4, {}, 5),
    ("N2P204", dump("-A INPUT -d 10.0.0.1 -j ACCEPT"), 4, {}, 5),
    ("N2P205", dump(before=table("nat", "-A PREROUTING -p tcp -j NETMAP --to 10.0.0.0/8")), 4, {}, 2),
    ("N2P208", dump(WEB, before=DIVERTING), 4, {}, 2),
    ("N2P209", dump("-A INPUT -p tcp --dport 8080 -j ACCEPT", before=REDIRECT + SHUT), 4, {}, 2),
    ("N2P210", dump("-A INPUT -p tcp --dport 8080 -j ACCEPT", before=REDIRECT), 4, {}, 2),
    ("N2P211", dump(WEB, before=DIVERTING), 4, {"facts": SEEN}, 2),
    (
        "N2P212",
        dump("-A INPUT -m state --state UNTRACKED -j DROP", policy="ACCEPT"),
        4,
        {"also": UNTRACKING},
        2,
    ),
    ("N2P206", dump("-A INPUT -p tcp -j NFQUEUE --queue-num 0"), 4, {}, 5),
    ("N2P207", dump(WEB, before=table("nat", ":PREROUTING DROP [0:0]")), 4, {}, 0),
    ("N2P301", dump("-A INPUT -m limit --limit 5/min -j ACCEPT"), 4, {}, 5),
    ("N2P302", dump("-A INPUT -p udp --sport 53 -j ACCEPT"), 4, {}, 5),
    ("N2P303", dump("-A INPUT -p gre -j ACCEPT"), 4, {}, 5),
    ("N2P303", dump("-A INPUT -s 2001:db8::/32 -p ipv6-icmp --icmpv6-type 128 -j ACCEPT"), 6, {}, 5),
    ("N2P304", dump("-A INPUT -p tcp --dport 113 -j REJECT"), 4, {}, 5),
    ("N2P305", dump("-A INPUT -j LOG"), 4, {}, 5),
    (
        "N2P306",
        dump("-A INPUT -p udp -m state --state ESTABLISHED -j DROP", "-A INPUT -p udp --dport 53 -j ACCEPT"),
        4,
        {},
        5,
    ),
    ("N2P306", dump("-A INPUT -p udp --dport 53 -m state --state NEW -j ACCEPT"), 4, {}, 0),
    ("N2P307", dump("-A INPUT -p icmp --icmp-type 3 -j ACCEPT"), 4, {}, 5),
    ("N2P308", dump("-A INPUT -m state --state RELATED -j ACCEPT"), 4, {}, 5),
    ("N2P309", dump("-A INPUT -s 10.0.0.0/8 -j ACCEPT"), 4, {}, 0),
    ("N2P310", dump("-A INPUT -s ::ffff:10.0.0.0/104 -j DROP", policy="ACCEPT"), 6, {}, 5),
    ("N2P311", dump("-A INPUT -p tcp --sport 80 ! --syn -j ACCEPT"), 4, {}, 5),
    ("N2P312", dump("-A INPUT -p tcp --dport 22 --syn -j ACCEPT"), 4, {}, 5),
    ("N2P313", dump(WEB), 4, {}, 0),
    ("N2P401", dump(WEB), 4, {"placeholder_selector": True}, 0),
    ("N2P402", dump(WEB), 4, {}, 0),
    ("N2P403", dump("-A INPUT -p tcp --dport 80:90 -j ACCEPT"), 4, {}, 0),
    ("N2P404", dump(f"-A INPUT -s {MANY} -p tcp --dport 80 -j ACCEPT"), 4, {}, 0),
    ("N2P405", dump("-A INPUT -m frob --x 1 -j ACCEPT"), 4, {"in_doubt": InDoubt.ALLOW}, 0),
    ("N2P406", dump(f"-A INPUT -s {MANY} -p tcp --dport 80 -j ACCEPT"), 4, {}, 0),
)


def findings(text: str, family: int = 4, also: str = "", **more: Any) -> tuple[Finding, ...]:
    beside = [parse_ruleset(also.encode(), "other", family=family, first_number=100)] if also else []
    return convert([parsed(text, family or None)], Options(**more), beside).findings


@pytest.mark.parametrize(
    ("code", "text", "family", "more", "line"),
    CASES,
    ids=[f"{case[0]}-{number}" for number, case in enumerate(CASES)],
)
def test_what_it_takes_to_meet_a_finding(
    code: str, text: str, family: int, more: dict[str, Any], line: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if code == "N2P404":
        monkeypatch.setattr(kubernetes, "OBJECT_BYTES", 20_000)
    if code == "N2P406":
        monkeypatch.setattr(kubernetes, "CLIENT_SIDE_BYTES", 20_000)
    (found,) = (finding for finding in findings(text, family, **more) if finding.code == code)
    assert found.place[1] == line
    assert found.message and found.remedy
    assert not found.message.endswith(".") and "\n" not in found.message
    assert found.severity is CATALOGUE[code].severity
    if line:
        assert f"line {line}" in found.message or code == "N2P004"


def test_every_code_of_the_catalogue_can_be_met() -> None:
    assert {case[0] for case in CASES} == set(CATALOGUE)


def test_every_code_that_the_source_names_is_in_the_catalogue() -> None:
    named = {
        code
        for path in SOURCE.rglob("*.py")
        for code in re.findall(r"N2P\d{3}", path.read_text(encoding="utf-8"))
    }
    assert named == set(CATALOGUE)


@pytest.mark.parametrize("code", CATALOGUE.values(), ids=list(CATALOGUE))
def test_every_code_is_explained_in_whole_sentences(code: Any) -> None:
    assert re.fullmatch(r"N2P\d{3}", code.code)
    assert isinstance(code.severity, Severity)
    assert (
        code.title
        and not code.title.endswith(".")
        and code.title[:1].islower() | code.title.startswith(("INPUT", "REJECT", "RELATED", "ICMP"))
    )
    assert code.explanation.endswith((".", "…")) and code.remedy.endswith(".")


def test_every_option_that_a_remedy_names_exists() -> None:
    import inspect

    from ipt2np.cli.convert import convert as command

    known = {"--" + name.replace("_", "-") for name in inspect.signature(command).parameters}
    for code in CATALOGUE.values():
        for option in re.findall(r"--[a-z][a-z0-9-]+", code.remedy):
            assert option in known, (code.code, option)


def test_a_plain_ruleset_for_both_families_meets_no_warning() -> None:
    assert [
        f.code for f in findings(dump(WEB), other_family=OtherFamily.SAME) if f.severity > Severity.INFO
    ] == []


def test_one_cause_is_one_finding_however_many_rules_share_it() -> None:
    rules = [f"-A INPUT -p tcp --dport {port} -m frob --x 1 -j ACCEPT" for port in range(1, 30)]
    found = [finding for finding in findings(dump(*rules)) if finding.code == "N2P201"]
    assert len(found) == 1
    assert "29 rules: lines 5, 6, 7, 8, 9, 10, 11, 12 and 21 more" in found[0].message


def test_two_causes_are_two_findings() -> None:
    rules = [
        "-A INPUT -p tcp -m frob --x 1 -j ACCEPT",
        "-A INPUT -p udp -m set --match-set a src -j ACCEPT",
        "-A INPUT -p sctp -m set --match-set b src -j ACCEPT",
    ]
    assert [finding.place[1] for finding in findings(dump(*rules)) if finding.code == "N2P201"] == [5, 6, 7]


def test_findings_about_rules_that_decide_nothing_are_not_made() -> None:
    text = dump(
        "-A INPUT -j ACCEPT",
        "-A INPUT -m frob --x 1 -j DROP",
        "-A INPUT -i eth0 -j DROP",
        "-A INPUT -j LOG",
        "-A FORWARD -j LOG",
        "-A INPUT -j REJECT",
    )
    codes = {finding.code for finding in findings(text)}
    assert not codes & {"N2P200", "N2P201", "N2P203", "N2P304", "N2P305"}


@pytest.mark.parametrize(("settings", "facts"), [
    (["rule:5=match"], Facts()), (["set:good=empty"], Facts()), ([], Facts((("eth0", ()),))),
    ([], Facts(addresses=("10.0.0.1",))),
])  # fmt: skip
def test_a_remedy_that_was_followed_ends_the_finding(settings: list[str], facts: Facts) -> None:
    rule = {"rule": "-m frob --x 1", "set": "-m set ! --match-set good src"}.get(
        "".join(settings).partition(":")[0]
    )
    rule = rule or ("-i eth0" if facts.addresses == () else "-d 10.0.0.1")
    text = dump(f"-A INPUT {rule} -p tcp --dport 80 -j ACCEPT")
    identity = Identity("web", "default", {"app": "web"})
    before = {finding.code for finding in findings(text, identity=identity)}
    after = {
        finding.code
        for finding in findings(
            text, identity=identity, assumptions=Assumptions.parse(tuple(settings)), facts=facts
        )
    }
    open_codes = {"N2P200", "N2P201", "N2P203", "N2P204"}
    assert before & open_codes and not after & open_codes and "N2P105" in after
