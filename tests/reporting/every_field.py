"""Reports to put into formats: of real conversions, and made by hand so that every field holds what a test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipt2np import Options, convert
from ipt2np.reporting.conversionreport import conversion_report
from ipt2np.reporting.report import Report
from ipt2np.sourcefile import SourceFile
from ipt2np.syntax.dump import parse_rulesets

HOSTILE = (
    "a|b", "||", "\\|", "\\", "\\\\|x", "`", "``", "`x` ``y``", "a`", "`|`", "*bold* _it_ ~~no~~", "</details>",
    "</summary></details></code>", "<script>alert(1)</script>", "<!--", "-->", "<img src=x onerror=alert(1)>",
    "@everyone", "@org/team", "root@example.net", "#123", "GH-7", "org/repo#5", "http://evil.example/x",
    "www.evil.example", "[x](http://evil.example)", "![x](y)", "[^1]", "[x]: y", ":100:", "2001:ab:1::", "$x$", "$`x`$",
    "&lt;", "&amp;#64;everyone", "::error::x", "%0A::error::x", "%", "a,b:c", "\x00\x1b[31m", "\u202eevil",
    "\u2028x", "\udcff", "é中🙂", "{0}", "{{", "- x", "1. x", "# x", "> x", "---", "x" * 5000, "|" * 5000, "@" * 5000,
    " ", " x ", "",
)  # fmt: skip


def converted(text: str, file: str = "rules.v4", **options: Any) -> Report:
    """The report of a conversion of this dump."""
    conversion = convert(parse_rulesets(text.encode("utf-8", "surrogateescape"), file), Options(**options))
    return conversion_report(conversion, "1.2.3", {file: text.splitlines()})


def difference(number: int = 0, text: str = "x", **fields: Any) -> dict[str, Any]:
    """One difference with every field."""
    return {
        "effect": "closes" if number % 2 else "opens",
        "certain": number % 3 != 0,
        "source_class": "external",
        "source": [f"10.{number // 250 % 250}.{number % 250}.0/24"],
        "protocol": "tcp",
        "ports": str(1 + number),
        "source_ports": "any",
        "interface": text,
        "witness": {"source": "10.0.0.1", "protocol": "tcp", "port": 1 + number, "interface": text},
        "findings": ["N2P203"],
        "digest": f"{number:012x}",
        "lines": [{"file": f"r{text}", "line": 1}],
        "pointers": [f"NetworkPolicy/default/{text}#/spec/ingress/0"],
        **fields,
    }


def finding(number: int = 0, text: str = "x", severity: str = "warning", **fields: Any) -> dict[str, Any]:
    """One finding with every field."""
    return {
        "code": "N2P203",
        "severity": severity,
        "file": f"r{text}",
        "line": 1 + number,
        "rule": text,
        "lines": [{"file": f"r{text}", "line": 1 + number}],
        "message": f"rules say {text}",
        "remedy": f"change {text}",
        "digest": f"{number:012x}",
        **fields,
    }


def sign_off(text: str = "x") -> dict[str, str]:
    return {"reason": f"because {text}", "author": text, "expires": "2030-01-31"}


def everything(
    text: str = "x",
    *,
    command: str = "convert",
    differences: Sequence[Mapping[str, Any]] | None = None,
    findings: Sequence[Mapping[str, Any]] | None = None,
    rules: int = 3,
    fates: Sequence[str] = ("kept", "lost", "assumed"),
) -> Report:
    """A report in which every text that may come from the input is ``text``."""
    name = f"r{text}"
    access = {
        "source_class": "external",
        "source": ["10.0.0.0/8"],
        "protocol": "tcp",
        "ports": "22",
        "interface": text,
    }
    data: dict[str, Any] = {
        "schema": 1,
        "command": command,
        "tool": {"name": "ipt2np", "version": "1.2.3"},
        "summary": {
            "name": f"n{text}",
            "verdict_text": "differs",
            "about": "TCP from outside the cluster",
            "inside": "from pods equal",
        },
        "input": {"files": [{"path": name, "sha256": "ab" * 32, "rules": rules}]},
        "target": {
            "cni": "kubernetes",
            "objects": [{"apiVersion": "v1", "kind": "NetworkPolicy", "namespace": text, "name": text}],
        },
        "assumptions": [
            {
                "id": f"set:{text}",
                "value": text,
                "statement": f"s {text}",
                "lines": [{"file": name, "line": 1}],
            }
        ],
        "services": [
            {"protocol": "tcp", "port": "80", "target_port": "8080", "lines": [{"file": name, "line": 1}]}
        ],
        "frames": [
            {"name": "docker", "statement": "chains", "reference": "https://docs.docker.com/x", "rules": 1}
        ],
        "platform": [
            {
                "effect": "opens",
                "source_class": "any",
                "protocol": "icmp",
                "statement": "ping",
                "reference": "https://github.com/o/r/issues/1",
                "witness": {"source": "10.0.0.1", "protocol": "icmp", "icmp_type": 8, "icmp_code": 0},
            }
        ],
        "proof": {
            "verdict": "differs",
            "by_class": {"external": "differs", "pod": "equal"},
            "differences": [difference(0, text), difference(1, text, accepted=sign_off(text))]
            if differences is None
            else differences,
        },
        "access": [
            {**access, "before": "accepted", "after": "refused"},
            {**access, "ports": "23", "before": "accepted", "after": "accepted"},
        ],
        "findings": [
            finding(0, text, "error"),
            finding(1, text, "warning", accepted=sign_off(text)),
            finding(2, text, "info"),
        ]
        if findings is None
        else findings,
        "places": {
            f"NetworkPolicy/default/{text}#/spec/ingress/0": {"file": f"p{text}", "line": 2, "end": 4}
        },
        "ledger": [
            {
                "file": name,
                "line": 1 + number,
                "fate": fates[number % len(fates)],
                "emitted": [
                    f"NetworkPolicy/default/{text}#/spec/ingress/0",
                    f"NetworkPolicy/x/{text}#/spec/ingress/9",
                ],
            }
            for number in range(rules)
        ],
    }
    files = (
        SourceFile(name, "ruleset", (text,) * rules),
        SourceFile(f"p{text}", "policy", ("kind: NetworkPolicy",) * 9),
    )
    return Report(data, files)
