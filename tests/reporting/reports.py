"""Reports to look at: of samples, of small dumps, and with everything in them that an input may hold."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from ipt2np import Options, convert, parse_ruleset
from ipt2np.reporting.conversionreport import conversion_report
from ipt2np.reporting.report import Report
from ipt2np.sourcefile import SourceFile
from tests.sample_hosts import FOLDER, IDENTITY

SHOP = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A INPUT -s 203.0.113.0/24 -j DROP
-A INPUT -s 203.0.113.7/32 -p tcp -m tcp --dport 25 -j ACCEPT
-A INPUT -p tcp -m tcp --dport 443 -m comment --comment "the shop" -j ACCEPT
-A INPUT -s 10.0.0.0/8 -p tcp -m multiport --dports 22,9100 -j ACCEPT
-A INPUT -s 10.1.0.0/16 -p udp -m udp --dport 161 -m limit --limit 5/sec -j ACCEPT
-A INPUT -i eth1 -p tcp -m tcp --dport 5432 -j ACCEPT
-A INPUT -s 192.0.2.0/25 -p gre -j ACCEPT
-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A INPUT -m limit --limit 3/min -j LOG --log-prefix "refused "
-A INPUT -s 198.51.100.0/24 -m string --string "x" --algo bm -p tcp -m tcp --dport 8080 -j ACCEPT
COMMIT
"""
SHOP6 = """\
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT
-A INPUT -s 2001:db8:1::/48 -p tcp -m tcp --dport 22 -j ACCEPT
-A INPUT -s 2001:db8:1:bad::/64 -p udp -m udp --dport 53 -j ACCEPT
-A INPUT -i eth1 -p tcp -m tcp --dport 5432 -j ACCEPT
-A INPUT -p ipv6-icmp -j ACCEPT
COMMIT
"""


def of_dumps(texts: Mapping[str, str], cni: str = "kubernetes", policy: str = "policy.yaml") -> Report:
    """The report of a conversion of dumps, named by file; names that end in 6 are those of IPv6."""
    rulesets = []
    number = 0
    for name, text in texts.items():
        family = 6 if name.endswith("6") else 4
        rulesets.append(
            parse_ruleset(text.encode("utf-8", "surrogateescape"), name, family=family, first_number=number)
        )
        number = max([number, *(rule.number + 1 for rule in rulesets[-1].rules)])
    conversion = convert(rulesets, Options(identity=IDENTITY, cni=cni))
    lines = {name: text.splitlines() for name, text in texts.items()}
    return conversion_report(conversion, "1.2.3", lines, policy)


def of_samples(*names: str, cni: str = "kubernetes") -> Report:
    """The report of a conversion of files of samples/."""
    return of_dumps({name: (FOLDER / name).read_text(encoding="utf-8") for name in names}, cni)


@cache
def of_shop(cni: str = "kubernetes") -> Report:
    """A small host of which something of every kind is to be told; its first difference and warning are accepted."""
    return accepted(of_dumps({"shop.v4": SHOP, "shop.v6": SHOP6}, cni))


def accepted(report: Report, reason: str = "agreed with the owner", author: str = "reviewer") -> Report:
    """The report with a sign-off on its first difference and its first finding."""
    data = changed(report)
    for each in (*data["proof"]["differences"][:1], *data["findings"][:1]):
        each["accepted"] = {"reason": reason, "author": author, "expires": "2031-01-31"}
    return replace(report, data=data)


def as_lint(report: Report) -> Report:
    """What lint has to say of the same files: findings only."""
    data = changed(report)
    for key in (
        "target",
        "assumptions",
        "services",
        "frames",
        "platform",
        "proof",
        "access",
        "ledger",
        "places",
    ):
        data.pop(key, None)
    data["summary"] = {"name": "shop", "findings": data["summary"]["findings"]}
    data["command"] = "lint"
    return Report(data, tuple(file for file in report.files if file.role == "ruleset"))


def as_diff(report: Report) -> Report:
    """The same host compared with itself after a change: two rulesets, lines of both sides behind each difference."""
    data = changed(report)
    for key in ("target", "assumptions", "services", "frames", "platform", "ledger", "places"):
        data.pop(key, None)
    old = next(file for file in report.files if file.role == "ruleset")
    data["command"] = "diff"
    data["sides"] = [{"kind": "ruleset", "files": [old.name]}, {"kind": "ruleset", "files": [old.name]}]
    for each in data["proof"]["differences"]:
        each["lines"] = [{"file": old.name, "line": 8, "side": 0}, {"file": old.name, "line": 9, "side": 1}]
    new = SourceFile(old.name, old.role, (*old.lines, "# changed"))
    return Report(data, (old, new))


def changed(report: Report) -> dict[str, Any]:
    """A copy of the report's data, to be changed."""
    return copy.deepcopy(dict(report.data))


STRUCTURE = frozenset(
    {
        "command", "source", "source_class", "protocol", "ports", "source_ports", "icmp", "before", "after", "effect",
        "severity", "fate", "verdict", "code", "role", "kind", "by_class",
    }
)  # fmt: skip
"""Keys whose values are words of the schema, not of an input."""


def with_texts(report: Report, text: Callable[[str], str]) -> Report:
    """The report with every text of it replaced that an input, or a file's name, or a reviewer could have chosen."""

    def renewed(value: Any, key: str) -> Any:
        if isinstance(value, Mapping):
            if key == "places":
                return {text(name) + name: renewed(place, "place") for name, place in value.items()}
            return {name: renewed(each, name) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [renewed(each, key) for each in value]
        if key in ("emitted", "pointers"):
            return text(value) + value
        return text(value) if isinstance(value, str) and key not in STRUCTURE else value

    return Report(
        {
            name: value if name in STRUCTURE else renewed(value, name)
            for name, value in copy.deepcopy(dict(report.data)).items()
        },
        tuple(
            SourceFile(text(file.name), file.role, tuple(text(line) for line in file.lines))
            for file in report.files
        ),
    )
