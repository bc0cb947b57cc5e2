"""``--addr`` and ``--route`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from ipt2np.cli.main import app
from tests.dumps import dump, table

ADDR = [
    {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8}]},
    {"ifname": "eth0", "flags": ["UP"], "addr_info": [{"family": "inet", "local": "192.0.2.10", "prefixlen": 24}]},
    {"ifname": "eth1", "flags": ["UP"], "addr_info": [{"family": "inet", "local": "10.1.0.1", "prefixlen": 16}]},
]  # fmt: skip
ROUTE = [
    {"dst": "default", "gateway": "192.0.2.1", "dev": "eth0", "flags": []},
    {"dst": "10.0.0.0/8", "gateway": "10.1.0.254", "dev": "eth1", "flags": []},
    {"dst": "10.1.0.0/16", "dev": "eth1", "protocol": "kernel", "scope": "link", "flags": []},
    {"dst": "192.0.2.0/24", "dev": "eth0", "protocol": "kernel", "scope": "link", "flags": []},
]
ROUTE_TEXT = """\
default via 192.0.2.1 dev eth0
10.0.0.0/8 via 10.1.0.254 dev eth1
10.1.0.0/16 dev eth1 proto kernel scope link src 10.1.0.1
192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.10
"""
RULES = dump("-A INPUT -i eth1 -p tcp -m tcp --dport 22 -j ACCEPT")


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str, content: Any) -> str:
        text = content if isinstance(content, str) else json.dumps(content)
        (self.path / name).write_text(text, encoding="utf-8")
        return str(self.path / name)

    def convert(self, rules: str = RULES, addr: Any = None, route: Any = None, *more: str) -> Result:
        arguments = [self.file("rules.v4", rules), *more]
        arguments += ["--addr", self.file("addr", addr)] if addr is not None else []
        arguments += ["--route", self.file("route", route)] if route is not None else []
        return CliRunner().invoke(app, ["convert", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def ingress(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.stderr
    found = yaml.safe_load(result.stdout)["spec"]["ingress"]
    assert isinstance(found, list)
    return found


def sources(result: Result) -> list[str]:
    ((rule,),) = (ingress(result),)
    return [each["ipBlock"]["cidr"] for each in rule.get("from", [])]


@pytest.mark.parametrize("route", [ROUTE, ROUTE_TEXT], ids=["json", "text"])
def test_a_rule_by_interface_becomes_the_sources_behind_it(folder: Folder, route: Any) -> None:
    result = folder.convert(RULES, ADDR, route)
    assert sources(result) == ["10.0.0.0/8"]
    assert "rules: equal" in result.stderr
    assert "N2P112" in result.stderr
    assert "N2P203" not in result.stderr


def test_without_facts_it_is_undecided_and_the_finding_names_the_options(folder: Folder) -> None:
    result = folder.convert()
    assert ingress(result) == []
    said = " ".join(result.stderr.split())
    assert "N2P203" in said
    assert "--interface eth1=CIDR" in said
    assert "--route" in said


def test_addresses_alone_place_the_connected_networks(folder: Folder) -> None:
    result = folder.convert(RULES, ADDR)
    assert sources(result) == ["10.1.0.0/16"]
    assert "rules: narrower" in result.stderr
    assert "N2P203" in result.stderr  # where the rest comes in is not known


def test_with_one_interface_everything_comes_in_there(folder: Folder) -> None:
    result = folder.convert(RULES.replace("eth1", "eth0"), ADDR[:2])
    assert sources(result) == ["0.0.0.0/0"]
    assert ingress(result)[0]["ports"] == [{"protocol": "TCP", "port": 22}]
    assert "rules: equal" in result.stderr


def test_a_rule_for_an_own_address_is_settled_by_address_and_addr(folder: Folder) -> None:
    rules = dump("-A INPUT -d 192.0.2.10/32 -p tcp -m tcp --dport 443 -j ACCEPT")
    assert ingress(folder.convert(rules, ADDR)) == []
    settled = folder.convert(rules, ADDR, None, "--address", "192.0.2.10")
    assert ingress(settled)[0]["ports"] == [{"protocol": "TCP", "port": 443}]


def test_a_reverse_path_rule_is_taken_to_hold_and_said_so(folder: Folder) -> None:
    raw = table("raw", "-A PREROUTING -m rpfilter --invert -j DROP")
    result = folder.convert(dump("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", before=raw))
    assert ingress(result)[0]["ports"] == [{"protocol": "TCP", "port": 22}]
    assert "N2P112" in result.stderr
    doubted = folder.convert(
        dump("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", before=raw),
        None,
        None,
        "--assume",
        "reverse-path=undecided",
    )
    assert ingress(doubted) == []


def test_several_route_files_add_up(folder: Folder) -> None:
    more = folder.file(
        "six", [{"dst": "default", "gateway": "fe80::1", "dev": "eth0", "flags": [], "pref": "medium"}]
    )
    assert sources(folder.convert(RULES, ADDR, ROUTE, "--route", more)) == ["10.0.0.0/8"]


@pytest.mark.parametrize(("addr", "route", "more", "message"), [
    ({}, None, [], "addr:1:1: error: this is not a list of objects"),
    ("eth0 192.0.2.1", None, [], "addr:1:1: error: this is no line of ip addr"),
    (ROUTE, None, [], "this is what `ip route` prints: give it by --route"),
    (None, ADDR, [], "this is what `ip addr` prints: give it by --addr"),
    (None, [], [], "route: error: no route in it"),
    (ADDR[:1], None, [], "addr: error: no address of the host in it"),
    (ADDR, None, ["--interface", "eth9"], "--interface eth9: the --addr dump has no such interface"),
    (ADDR, None, ["--address", "192.0.2.11"], "--address 192.0.2.11: not one of the host's own addresses"),
    (None, ROUTE, ["--interface", "eth0"], "--interface without sources and --route contradict each other"),
])  # fmt: skip
def test_facts_that_cannot_be_used_are_refused_and_nothing_is_written(
    folder: Folder, addr: Any, route: Any, more: list[str], message: str
) -> None:
    result = folder.convert(RULES, addr, route, *more)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not result.stdout
