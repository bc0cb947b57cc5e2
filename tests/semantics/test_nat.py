"""What nat does to the ports that programs listen on: decisions speak of local ports."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ipt2np import Decision, Facts, convert, decide
from ipt2np.findings.collect import publications
from ipt2np.reporting.conversionreport import conversion_report
from ipt2np.semantics import nat
from tests.dumps import decided, dump, fate_of, parsed, table

ANY = "203.0.113.7"
OWN = Facts(addresses=("192.0.2.10",))


def behind_nat(*rules: str, filtering: Sequence[str], facts: Facts | None = None, **more: str) -> Decision:
    """What is decided of a host with these nat PREROUTING rules and INPUT rules."""
    before = table("nat", *(f"-A PREROUTING {rule}" for rule in rules))
    text = dump(*(f"-A INPUT {rule}" for rule in filtering), before=more.get("first", "") + before)
    return decided(text, *more.get("assume", "").split(), facts=facts)


def ports(decision: Decision, *numbers: int) -> list[str]:
    return [fate_of(decision, ANY, "tcp", number) for number in numbers]


def test_the_filter_judges_the_port_that_nat_made() -> None:
    decision = behind_nat(
        "-p tcp --dport 80 -j REDIRECT --to-ports 8080", filtering=["-p tcp --dport 8080 -j ACCEPT"]
    )
    assert ports(decision, 8080, 80, 22) == ["accept", "refuse", "refuse"]


def test_a_port_that_nat_takes_away_is_reached_by_nobody() -> None:
    decision = behind_nat("-p tcp --dport 9200 -j REDIRECT --to-ports 9", filtering=["-j ACCEPT"])
    assert ports(decision, 9200, 9, 80) == ["refuse", "accept", "accept"]


def test_nat_takes_a_port_away_from_its_own_sources_only() -> None:
    decision = behind_nat(
        "-s 10.0.0.0/8 -p tcp --dport 80 -j REDIRECT --to-ports 8080",
        filtering=["-p tcp --dport 80 -j ACCEPT"],
    )
    assert fate_of(decision, "10.1.1.1", "tcp", 80) == "refuse"
    assert fate_of(decision, ANY, "tcp", 80) == "accept"
    assert fate_of(decision, "10.1.1.1", "tcp", 8080) == "refuse"


def test_two_ways_to_a_local_port_that_are_judged_differently_leave_it_open() -> None:
    shut = table("mangle", "-A PREROUTING -p tcp --dport 8080 -j DROP")
    rule = "-p tcp --dport 80 -j REDIRECT --to-ports 8080"
    filtering = ["-p tcp --dport 8080 -j ACCEPT"]
    assert ports(behind_nat(rule, filtering=filtering, first=shut), 8080, 80) == ["undecided", "refuse"]
    mapped = behind_nat(rule, filtering=filtering, first=shut, assume="port-mapping=mapped")
    assert ports(mapped, 8080, 80) == ["accept", "refuse"]


def test_a_redirect_to_the_same_port_changes_nothing() -> None:
    decision = behind_nat(
        "-p tcp --dport 80 -j REDIRECT --to-ports 80", filtering=["-p tcp --dport 80 -j ACCEPT"]
    )
    assert ports(decision, 80, 81) == ["accept", "refuse"]


def test_ports_that_are_exchanged() -> None:
    decision = behind_nat(
        "-p tcp --dport 1 -j REDIRECT --to-ports 2",
        "-p tcp --dport 2 -j REDIRECT --to-ports 1",
        filtering=["-p tcp --dport 1 -j ACCEPT"],
    )
    assert ports(decision, 1, 2) == ["accept", "refuse"]


def test_of_several_ports_each_may_be_the_one() -> None:
    decision = behind_nat(
        "-p tcp --dport 80 -j REDIRECT --to-ports 8080-8081", filtering=["-p tcp --dport 8080 -j ACCEPT"]
    )
    assert ports(decision, 8081) == ["undecided"]
    certain = behind_nat(
        "-p tcp --dport 80 -j REDIRECT --to-ports 8080-8081", filtering=["-p tcp --dport 8080:8081 -j ACCEPT"]
    )
    assert ports(certain, 8080, 8081, 80) == ["accept", "accept", "refuse"]


@pytest.mark.parametrize(("facts", "fates"), [(None, ["undecided", "refuse"]), (OWN, ["accept", "refuse"])])
def test_dnat_to_an_own_address_is_a_redirect(facts: Facts | None, fates: list[str]) -> None:
    shut = table("mangle", "-A PREROUTING -p tcp --dport 8080 -j DROP")
    decision = behind_nat(
        "-p tcp --dport 80 -j DNAT --to-destination 192.0.2.10:8080",
        filtering=["-p tcp -j ACCEPT"],
        facts=facts,
        first=shut,
        assume="port-mapping=mapped",
    )
    assert ports(decision, 8080, 80) == fates


def test_dnat_to_loopback_depends_on_route_localnet() -> None:
    decision = behind_nat(
        "-p tcp --dport 80 -j DNAT --to-destination 127.0.0.1:8080", filtering=["-p tcp -j ACCEPT"], facts=OWN
    )
    assert ports(decision, 80) == ["undecided"]


def test_connections_are_known_by_the_port_they_came_to() -> None:
    rule = "-p tcp --dport 80 -j REDIRECT --to-ports 8080"
    original = ["-m conntrack --ctstate DNAT --ctorigdstport 80 -j ACCEPT"]
    assert ports(behind_nat(rule, filtering=original, assume="port-mapping=mapped"), 8080, 22) == [
        "accept",
        "refuse",
    ]


def test_more_rewrites_than_the_bound_are_undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nat, "MOST_REWRITES", 2)
    rules = [f"-p tcp --dport {port} -j REDIRECT --to-ports {port + 1000}" for port in (1, 2, 3)]
    decision = behind_nat(
        *rules, filtering=["-p tcp --dport 1001:1003 -j ACCEPT"], assume="port-mapping=mapped"
    )
    assert ports(decision, 1001, 1002, 3) == ["accept", "accept", "undecided"]


def test_what_a_service_would_offer() -> None:
    before = table(
        "nat",
        "-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080",
        "-A PREROUTING -p tcp -m multiport --dports 443,444 -j REDIRECT --to-ports 8443",
    )
    text = dump("-A INPUT -p tcp --dport 8080 -j ACCEPT", before=before)
    assert [str(each) for each in publications(decide([parsed(text)]))] == [
        "tcp 80 → 8080",
        "tcp 443-444 → 8443",
    ]
    services = conversion_report(convert([parsed(text)]), "0").data["services"]
    assert services[0] == {
        "protocol": "tcp",
        "port": "80",
        "target_port": "8080",
        "lines": [{"file": "rules.v4", "line": 2}],
    }
