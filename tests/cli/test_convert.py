"""``ipt2np convert`` as a user meets it: exit statuses, streams, files, messages."""

from __future__ import annotations

import inspect
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from ipt2np import conversion as conversion_module
from ipt2np.cli.convert import convert as convert_command
from ipt2np.cli.main import app
from ipt2np.cni.registry import CNIS
from ipt2np.conversion import Draft
from tests.dumps import dump, table

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
WEB = dump("-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT")
UNDECIDED = dump("-A INPUT -i eth0 -p tcp -m tcp --dport 80 -j ACCEPT")
WEB6 = dump("-A INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 443 -j ACCEPT")


class Host:
    """A folder with rulesets, and the command run in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(app, ["convert", *arguments], input=stdin)

    def on(self, text: str | bytes, *arguments: str) -> Result:
        return self.run(str(self.write("rules.v4", text)), *arguments)

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def program(
    *arguments: str | bytes, stdin: bytes = b"", env: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The installed program's entry point in a process of its own."""
    return subprocess.run(
        command(*arguments),
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        timeout=120,
    )


def command(*arguments: str | bytes) -> list[str | bytes]:
    return [sys.executable, "-c", "from ipt2np.cli.main import run; run()", "convert", *arguments]


def policy(text: str) -> dict[str, Any]:
    (document,) = yaml.safe_load_all(text)
    assert isinstance(document, dict)
    return document


def flat(text: str) -> str:
    return " ".join(text.split())


# -- streams and exit statuses --------------------------------------------------------------------------


def test_yaml_goes_to_stdout_and_findings_to_stderr(host: Host) -> None:
    result = host.on(WEB)
    assert result.exit_code == 0
    assert policy(result.stdout)["spec"]["ingress"] == [
        {"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}], "ports": [{"protocol": "TCP", "port": 80}]}
    ]
    assert "N2P005" in result.stderr and "rules: equal" in result.stderr
    assert "N2P" not in result.stdout


def test_quiet_prints_no_findings(host: Host) -> None:
    result = host.on(WEB, "--quiet")
    assert (result.exit_code, result.stderr) == (0, "")
    assert policy(result.stdout)


def test_quiet_still_tells_what_is_wrong_with_the_input(host: Host) -> None:
    result = host.on("hello", "--quiet")
    assert result.exit_code == 2
    assert "begins with 'hello'" in result.stderr


def test_a_dash_reads_standard_input(host: Host) -> None:
    result = host.run("-", "--name", "web", stdin=WEB)
    assert result.exit_code == 0
    assert policy(result.stdout) | {"metadata": 0} == policy(host.on(WEB, "--name", "web").stdout) | {
        "metadata": 0
    }
    assert "<stdin>" in result.stdout


def test_a_fault_on_standard_input_is_called_that(host: Host) -> None:
    result = host.run("-", stdin="hello\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("<stdin>:1:1: error: ")


def test_standard_input_can_be_read_once_only(host: Host) -> None:
    result = host.run("-", "--rules6", "-", stdin=WEB)
    assert result.exit_code == 2
    assert "standard input can be read once only" in flat(result.stderr)


def test_a_second_ruleset_adds_the_other_family(host: Host) -> None:
    result = host.on(WEB, "--rules6", str(host.write("rules.v6", WEB6)))
    assert result.exit_code == 0
    assert "N2P005" not in result.stderr
    cidrs = {
        peer["ipBlock"]["cidr"] for rule in policy(result.stdout)["spec"]["ingress"] for peer in rule["from"]
    }
    assert cidrs == {"0.0.0.0/0", "2001:db8::/32"}


def test_an_ipv4_dump_for_rules6_is_refused_at_its_first_address(host: Host) -> None:
    result = host.on(WEB, "--rules6", str(host.write("rules.v6", dump("-A INPUT -s 10.0.0.1 -j ACCEPT"))))
    assert result.exit_code == 2
    assert "rules.v6:5:13: error: -s: '10.0.0.1' is an IPv4 address in an IPv6 ruleset" in flat(result.stderr)


@pytest.mark.parametrize(("level", "status"), [("never", 0), ("error", 0), ("warning", 1), ("info", 1)])
def test_fail_on_turns_findings_into_the_exit_status_after_writing(
    host: Host, level: str, status: int
) -> None:
    result = host.on(WEB, "--fail-on", level, "-o", str(host.folder / "out.yaml"))
    assert result.exit_code == status
    assert policy((host.folder / "out.yaml").read_text())


def test_a_ruleset_without_warnings_passes_fail_on_warning(host: Host) -> None:
    result = host.on(WEB, "--other-family", "same", "--fail-on", "warning")
    assert result.exit_code == 0


def test_a_corrupted_policy_is_an_internal_error_and_nothing_is_written(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    conclude = conversion_module.conclude

    def corrupting(drafted: Draft, text: str) -> object:
        return conclude(drafted, text.replace("port: 80", "port: 81"))

    monkeypatch.setattr(conversion_module, "conclude", corrupting)
    result = host.on(WEB, "-o", str(host.folder / "out.yaml"))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "internal error: the policy" in result.stderr and "Nothing was written" in result.stderr
    assert host.names() == {"rules.v4"}


def test_a_crash_is_an_internal_error_without_a_traceback(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_arguments: object, **_more: object) -> object:
        raise ZeroDivisionError("\x1b[31mred")

    monkeypatch.setattr(conversion_module, "decide", crash)
    result = host.on(WEB)
    assert result.exit_code == 3
    assert "internal error: ZeroDivisionError: " in result.stderr
    assert "\x1b" not in result.stderr and "Traceback" not in result.stderr


# -- bad input ------------------------------------------------------------------------------------------


def test_a_fault_shows_the_line_a_caret_and_what_was_expected(host: Host) -> None:
    result = host.on(dump("-A INPUT -p tcp --dport 99999 -j ACCEPT"))
    assert (result.exit_code, result.stdout) == (2, "")
    place, line, caret, expected = result.stderr.splitlines()
    assert place.endswith("rules.v4:5:25: error: --dport: '99999' is not a port")
    assert line[caret.index("^") : caret.rindex("~") + 1] == "99999"
    assert expected == "  expected: a port from 0 to 65535 or a service name"


@pytest.mark.parametrize("lead", ["", "\t", "\x1b[31m", "x" * 300])
def test_the_caret_stands_under_the_fault_whatever_is_in_front(host: Host, lead: str) -> None:
    result = host.on(dump(f'-A INPUT -m comment --comment "{lead}" -p tcp --dport 99999 -j ACCEPT'))
    _, line, caret, _ = result.stderr.splitlines()
    assert line[caret.index("^") : caret.rindex("~") + 1] == "99999"
    assert len(line) < 250 and "\x1b" not in line


def test_all_faults_of_a_file_are_told_at_once(host: Host) -> None:
    result = host.on(dump("-A INPUT -j nowhere", "-A INPUT -p x", "hello"))
    assert result.exit_code == 2
    assert result.stderr.count("error:") == 3


@pytest.mark.parametrize(("make", "why"), [
    (lambda folder: folder / "absent.v4", "No such file or directory"),
    (lambda folder: folder, "Is a directory"),
    (lambda folder: folder / "rules.v4" / "x", "Not a directory"),
])  # fmt: skip
def test_an_input_that_cannot_be_read_is_named(host: Host, make: Callable[[Path], Path], why: str) -> None:
    host.write("rules.v4", WEB)
    result = host.run(str(make(host.folder)), "-o", str(host.folder / "out.yaml"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"error: cannot be read: {why}" in flat(result.stderr)
    assert "Traceback" not in result.stderr
    assert host.names() == {"rules.v4"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read any file")
def test_an_input_without_permission_is_named(host: Host) -> None:
    path = host.write("rules.v4", WEB)
    path.chmod(0)
    assert "Permission denied" in host.run(str(path)).stderr


@pytest.mark.parametrize(("arguments", "message"), [
    (["--cni", "frob"], "--cni frob: not known; there is kubernetes"),
    (["--name", "Web"], "--name Web: expected a Kubernetes name"),
    (["--name", "a" * 254], "at most 253 characters"),
    (["--namespace", "a.b"], "--namespace a.b: expected"),
    (["--pod-selector", "web"], "--pod-selector web: expected KEY=VALUE"),
    (["--pod-selector", ""], "expected KEY=VALUE"),
    (["--pod-selector", "a=b,c"], "expected KEY=VALUE"),
    (["--pod-selector", "a=b c"], "expected KEY=VALUE"),
    (["--interface", "lo"], "--interface lo: expected an interface's name"),
    (["--interface", "eth+"], "--interface eth+: expected an interface's name"),
    (["--interface", "eth0="], "--interface eth0=: expected an interface's name"),
    (["--interface", "eth0=nonsense"], "--interface nonsense: expected an address or a network"),
    (["--interface", "interface-name16"], "expected an interface's name"),
    (["--address", "10.0.0.0/8"], "--address 10.0.0.0/8: expected one address"),
    (["--pod-cidr", "10.0.0.0/99"], "--pod-cidr 10.0.0.0/99: expected an address or a network"),
    (["--node-cidr", "x"], "--node-cidr x: expected an address or a network"),
    (["--assume", "rate"], "--assume rate: expected ID=VALUE"),
    (["--assume", "frob=1"], "no assumption is called 'frob'; there are state, fragment"),
    (["--assume", "rate=maybe"], "rate takes not-exceeded or undecided, not 'maybe'"),
    (["--assume", "interface=eth0"], "(use --interface to settle it)"),
    (["--assume", "rule:x=match"], "expected rule:LINE"),
    (["--assume", "rule:5=maybe"], "takes no-match or match or undecided"),
    (["--assume", "set:bad=full"], "set:bad takes empty or undecided"),
    (["--report", "x.pdf"], "--report x.pdf: expected a file name that ends in"),
    (["--in-doubt", "perhaps"], "Invalid value for '--in-doubt'"),
    (["--fail-on", "always"], "Invalid value for '--fail-on'"),
    (["--frobnicate"], "No such option"),
    (["-o", "same.json", "--report", "same.json"], "two outputs go to the same file"),
])  # fmt: skip
def test_a_bad_option_is_named_with_what_it_takes(host: Host, arguments: Sequence[str], message: str) -> None:
    result = host.on(WEB, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    told = flat(result.stderr.replace("│", " "))
    assert message in told
    assert "Traceback" not in told
    assert host.names() == {"rules.v4"}


@pytest.mark.parametrize("setting", ["rule:99=no-match", "rule:1=no-match", "set:never-heard-of=empty"])
def test_an_assumption_about_nothing_in_the_file_is_refused(host: Host, setting: str) -> None:
    result = host.on(WEB, "--assume", setting)
    assert result.exit_code == 2
    assert setting.rpartition("=")[0] in result.stderr


def test_an_assumption_as_the_blamed_rules_remedy_names_it_is_taken(host: Host) -> None:
    text = dump("-A INPUT -m frob --frob 1 -j DROP", "-A INPUT -p tcp --dport 80 -j ACCEPT")
    assert "--assume rule:5=no-match" in host.on(text).stderr
    assert "rules: equal" in host.on(text, "--assume", "rule:5=no-match").stderr


# -- output files ---------------------------------------------------------------------------------------


def test_output_goes_to_the_file_and_not_to_stdout(host: Host) -> None:
    out = host.folder / "out.yaml"
    result = host.on(WEB, "-o", str(out))
    assert (result.exit_code, result.stdout) == (0, "")
    assert out.read_text() == host.on(WEB).stdout
    assert host.names() == {"rules.v4", "out.yaml"}
    assert stat.S_IMODE(out.stat().st_mode) & 0o600 == 0o600


def test_an_existing_output_is_replaced_and_keeps_its_mode(host: Host) -> None:
    out = host.write("out.yaml", "old")
    out.chmod(0o640)
    assert host.on(WEB, "-o", str(out)).exit_code == 0
    assert policy(out.read_text())
    assert stat.S_IMODE(out.stat().st_mode) == 0o640


def test_an_output_that_is_a_link_is_written_where_it_points(host: Host) -> None:
    target, link = host.write("target.yaml", "old"), host.folder / "link.yaml"
    link.symlink_to(target)
    assert host.on(WEB, "-o", str(link)).exit_code == 0
    assert link.is_symlink() and policy(target.read_text())


def test_an_output_that_is_no_regular_file_is_never_replaced_by_one(host: Host) -> None:
    pipe = host.folder / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        result = host.on(WEB, "-o", str(pipe))
        assert pipe.is_fifo()
        assert result.exit_code == 2 or policy(os.read(reader, 1 << 16).decode())
    finally:
        os.close(reader)


UNWRITABLE: tuple[Callable[[Path], Path], ...] = (
    lambda folder: folder / "absent" / "out.yaml",
    lambda folder: folder,
    lambda folder: folder / "rules.v4" / "out.yaml",
    lambda folder: Path("/proc/out.yaml"),
    lambda folder: folder / ("x" * 300),
)


@pytest.mark.parametrize("place", UNWRITABLE)
@pytest.mark.parametrize("what", ["output", "report"])
def test_an_output_that_cannot_be_written_is_one_message_and_no_file(
    host: Host, place: Callable[[Path], Path], what: str
) -> None:
    kept, bad = host.write("kept.json", "old"), place(host.folder)
    bad = bad if what == "output" else bad.with_name(bad.name + ".json")
    if what == "report" and bad.name.startswith(host.folder.name):
        bad.mkdir()
    before = host.names()
    arguments = (
        ["-o", str(bad), "--report", str(kept)]
        if what == "output"
        else ["--report", str(bad), "-o", str(kept)]
    )
    result = host.on(WEB, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("error:") == 1 and len(result.stderr.splitlines()) == 1
    assert "cannot be written" in result.stderr and "nothing was written" in result.stderr
    assert kept.read_text() == "old"
    assert host.names() == before | {"rules.v4"}


def test_bad_input_leaves_an_existing_output_as_it_was(host: Host) -> None:
    out = host.write("out.yaml", "old")
    assert host.on("hello", "-o", str(out)).exit_code == 2
    assert out.read_text() == "old"


def test_an_output_over_the_input_is_refused(host: Host) -> None:
    rules = host.write("rules.v4", WEB)
    result = host.run(str(rules), "-o", str(rules))
    assert result.exit_code == 2
    assert rules.read_text() == WEB


# -- the objects ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("file", "name"), [
    ("web-server.v4", "web-server"),
    ("Web_Server 01.rules", "web-server-01"),
    ("iptables.save", "iptables"),
    ("fw1.example.com.v6", "fw1-example-com"),
    ("---.v4", "host"),
    ("été.v4", "t"),
    ("a" * 100, "a" * 63),
    ("-x.v4", "x"),
])  # fmt: skip
def test_the_default_name_comes_from_the_files_name(host: Host, file: str, name: str) -> None:
    result = host.run(str(host.write(file, WEB)))
    document = policy(result.stdout)
    assert document["metadata"]["name"] == name
    assert document["spec"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}


def test_names_namespaces_and_selectors_are_those_given(host: Host) -> None:
    result = host.on(
        WEB, "--name", "front.door", "--namespace", "shop", "--pod-selector", "app=web,tier=front"
    )
    document = policy(result.stdout)
    assert (document["metadata"]["name"], document["metadata"]["namespace"]) == ("front.door", "shop")
    assert document["spec"]["podSelector"]["matchLabels"] == {"app": "web", "tier": "front"}
    assert "N2P401" not in result.stderr


def test_a_placeholder_selector_is_told_with_the_option_that_replaces_it(host: Host) -> None:
    stderr = flat(host.on(WEB).stderr)
    assert "info N2P401" in stderr and "app.kubernetes.io/name: rules is a placeholder" in stderr
    assert "--pod-selector app=web" in stderr


@pytest.mark.parametrize(("rules", "line", "option"), [
    (["-A INPUT -p tcp --dport 22 -j DROP", "-A INPUT -i eth0 -p tcp --dport 80 -j ACCEPT"], 6, "--interface eth0"),
    (["-A INPUT -d 192.0.2.1 -p tcp --dport 80 -j ACCEPT"], 5, "--address"),
    (["-A INPUT -m frob --frob 1 -j DROP", "-A INPUT -p tcp --dport 80 -j ACCEPT"], 5, "--assume rule:5=no-match"),
    (["-A INPUT -m set --match-set good src -j ACCEPT"], 5, "--assume set:good=empty"),
    (["-A INPUT -j FROB --x 1", "-A INPUT -p tcp --dport 80 -j ACCEPT"], 5, "--assume rule:5=no-match"),
])  # fmt: skip
def test_where_nothing_is_left_to_admit_the_first_line_says_so_and_who_is_to_blame(
    host: Host, rules: list[str], line: int, option: str
) -> None:
    result = host.on(dump(*rules))
    assert result.exit_code == 0
    assert policy(result.stdout)["spec"]["ingress"] == []
    first, rule, remedy = result.stderr.splitlines()[:3]
    assert first.startswith("warning N2P200 ") and f"rules.v4:{line}: nothing is left to admit" in first
    assert rule.strip() == rules[line - 5]
    assert option in remedy


def test_no_n2p200_where_iptables_itself_admits_nothing(host: Host) -> None:
    assert "N2P200" not in host.on(dump()).stderr


# -- facts, assumptions, doubt --------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "arguments"), [
    ("-A INPUT -i eth0 -p tcp --dport 80 -j ACCEPT", ["--interface", "eth0"]),
    ("-A INPUT -i eth+ -p tcp --dport 80 -j ACCEPT", ["--interface", "eth0"]),
    ("-A INPUT ! -i eth1 -p tcp --dport 80 -j ACCEPT", ["--interface", "eth0"]),
    ("-A INPUT -d 192.0.2.1/32 -p tcp --dport 80 -j ACCEPT", ["--address", "192.0.2.1"]),
    ("-A INPUT ! -d 192.0.2.9/32 -p tcp --dport 80 -j ACCEPT", ["--address", "192.0.2.1"]),
    ("-A INPUT -m set ! --match-set bad src -p tcp --dport 80 -j ACCEPT", ["--assume", "set:bad=empty"]),
    ("-A INPUT -m frob --x 1 -p tcp --dport 80 -j ACCEPT", ["--assume", "rule:5=match"]),
])  # fmt: skip
def test_a_fact_settles_what_the_file_leaves_open(host: Host, rule: str, arguments: list[str]) -> None:
    assert policy(host.on(dump(rule)).stdout)["spec"]["ingress"] == []
    settled = host.on(dump(rule), *arguments)
    assert policy(settled.stdout)["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 80}]
    assert "rules: equal" in settled.stderr and "N2P105" in settled.stderr


def test_in_doubt_allow_admits_what_is_undecided_and_warns(host: Host) -> None:
    result = host.on(UNDECIDED, "--in-doubt", "allow")
    assert policy(result.stdout)["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 80}]
    assert "rules: wider" in result.stderr
    assert "N2P405" in result.stderr and "N2P200" not in result.stderr


def test_the_other_family_is_refused_unless_it_is_said_to_be_the_same(host: Host) -> None:
    def families(*arguments: str) -> set[str]:
        (rule,) = policy(host.on(WEB, *arguments).stdout)["spec"]["ingress"]
        return {"any"} if "from" not in rule else {peer["ipBlock"]["cidr"] for peer in rule["from"]}

    assert families() == families("--other-family", "deny") == {"0.0.0.0/0"}
    assert families("--other-family", "same") in ({"any"}, {"0.0.0.0/0", "::/0"})


def test_an_assumption_switched_off_leaves_its_rules_open(host: Host) -> None:
    text = dump("-A INPUT -p tcp --dport 80 -m limit --limit 5/min -j ACCEPT")
    assert "rules: equal" in host.on(text).stderr
    off = host.on(text, "--assume", "rate=undecided")
    assert policy(off.stdout)["spec"]["ingress"] == [] and "N2P200" in off.stderr


# -- the report -----------------------------------------------------------------------------------------

_PLACE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["file", "line"],
    "properties": {"file": {"type": "string"}, "line": {"type": "integer", "minimum": 1}},
}
_TEXT = {"type": "string", "minLength": 1}
_VERDICT = {"enum": ["equal", "narrower", "wider", "differs"]}
_RANGES = {"type": "string", "pattern": r"^(any|\d+(-\d+)?(,\d+(-\d+)?)*)$"}
_PROTOCOL = {"type": "string", "pattern": r"^(tcp|udp|sctp|icmp|icmpv6|any|\d+(-\d+)?(,\d+(-\d+)?)*)$"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def _list(items: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


_SOURCES = _list({"type": "string", "pattern": "^[0-9a-f.:]+/[0-9]+$"}, 1)
_WITNESS = _object({"source": _TEXT, "protocol": {"type": "string", "pattern": r"^(tcp|udp|sctp|icmp|icmpv6|\d+)$"}}, {
    name: {"type": "integer", "minimum": 0} for name in ("port", "source_port", "icmp_type", "icmp_code")
})  # fmt: skip
_DIGEST = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
_POINTER = {"type": "string", "pattern": r"^(Cilium)?NetworkPolicy/[a-z0-9-]+/[a-z0-9.-]+#/spec/ingress(Deny)?/\d+$"}
_COUNT = {"type": "integer", "minimum": 0}
_ANSWER = {"enum": ["accepted", "refused", "undecided"]}
_PACKETS = {
    "ports": _RANGES, "source_ports": _RANGES,
    "icmp": _list({"type": "string", "pattern": r"^(any|[\d,-]+)(/[\d,-]+)?$"}),
    "interface": _TEXT,
}  # fmt: skip

SCHEMA = _object({
    "schema": {"const": 1},
    "command": {"const": "convert"},
    "tool": _object({"name": {"const": "ipt2np"}, "version": _TEXT}),
    "summary": _object({
        "name": _TEXT, "verdict_text": _TEXT, "about": _TEXT, "inside": {"type": "string"}, "rules": _COUNT,
        "fates": {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}},
        "findings": _object({"error": _COUNT, "warning": _COUNT, "info": _COUNT})}),
    "input": _object({"files": _list(_object({
        "path": _TEXT, "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "rules": {"type": "integer", "minimum": 0}}), 1)}),
    "target": _object({"cni": _TEXT, "objects": _list(_object(
        {"apiVersion": _TEXT, "kind": _TEXT, "name": _TEXT}, {"namespace": _TEXT}), 1)}),
    "assumptions": _list(_object({"id": _TEXT, "value": _TEXT, "statement": _TEXT, "lines": _list(_PLACE)})),
    "services": _list(_object({
        "protocol": _PROTOCOL, "port": _RANGES, "target_port": _RANGES, "lines": _list(_PLACE, 1)})),
    "frames": _list(_object({
        "name": _TEXT, "statement": _TEXT, "reference": _TEXT, "rules": {"type": "integer", "minimum": 0},
        "lines": _list(_PLACE), "bans": _list(_PLACE), "chains": _list(_object({
            "file": _TEXT, "table": _TEXT, "name": _TEXT, "purpose": _TEXT,
            "rules": {"type": "integer", "minimum": 0}}))})),
    "platform": _list(_object({
        "effect": {"enum": ["opens", "closes"]}, "source_class": {"enum": ["external", "pod", "node", "any"]},
        "protocol": _PROTOCOL,
        "statement": _TEXT, "reference": _TEXT},
        {"witness": _WITNESS,
         "packets": _list(_object({"source": _SOURCES, "protocol": _PROTOCOL}, _PACKETS), 1)})),
    "proof": _object({
        "verdict": _VERDICT,
        "by_class": {"type": "object", "additionalProperties": False, "required": ["external"],
                     "properties": {"external": _VERDICT, "pod": _VERDICT, "node": _VERDICT}},
        "differences": _list(_object(
            {"effect": {"enum": ["closes", "opens"]}, "certain": {"type": "boolean"},
             "source_class": {"enum": ["external", "pod", "node", "any"]},
             "source": _SOURCES,
             "protocol": _PROTOCOL,
             "witness": _WITNESS,
             "digest": _DIGEST,
             "findings": _list({"type": "string", "pattern": "^N2P[0-9]{3}$"}, 1)},
            {"lines": _list(_PLACE, 1), "more_lines": _COUNT, **_PACKETS}))}),
    "access": _list(_object(
        {"source_class": {"enum": ["external", "pod", "node"]}, "source": _SOURCES, "protocol": _PROTOCOL,
         "before": _ANSWER, "after": _ANSWER}, _PACKETS)),
    "places": {"type": "object", "additionalProperties": _object({"file": _TEXT, "line": _COUNT, "end": _COUNT})},
    "findings": _list(_object(
        {"code": {"type": "string", "pattern": "^N2P[0-9]{3}$"}, "severity": {"enum": ["error", "warning", "info"]},
         "message": _TEXT, "remedy": _TEXT, "digest": _DIGEST},
        {"file": _TEXT, "line": {"type": "integer", "minimum": 1}, "rule": _TEXT, "lines": _list(_PLACE, 1)})),
    "ledger": _list(_object({
        "file": _TEXT, "line": {"type": "integer", "minimum": 1},
        "fate": {"enum": ["unreachable", "not-applicable", "lost", "approximated", "assumed", "kept"]},
        "emitted": _list(_POINTER)})),
})  # fmt: skip


def validate(report: dict[str, Any]) -> None:
    """Fails where the report has not the promised shape."""
    pytest.importorskip("jsonschema").Draft202012Validator(SCHEMA).validate(report)


def report_of(host: Host, *arguments: str) -> dict[str, Any]:
    place = host.folder / "report.json"
    result = host.run(*arguments, "--report", str(place), "--fail-on", "never")
    assert result.exit_code == 0, result.stderr
    found = json.loads(place.read_text(encoding="ascii"))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("sample", sorted(path.name for path in SAMPLES.glob("*.v[46]")))
def test_the_report_of_every_sample_has_the_promised_shape(host: Host, sample: str) -> None:
    report = report_of(host, str(SAMPLES / sample))
    validate(report)
    lines = (SAMPLES / sample).read_text().splitlines()
    rules = [number for number, line in enumerate(lines, 1) if "-A " in line and not line.startswith("#")]
    assert [entry["line"] for entry in report["ledger"]] == rules
    assert report["input"]["files"][0]["rules"] == len(rules)
    codes = {finding["code"] for finding in report["findings"]}
    assert all(set(difference["findings"]) <= codes for difference in report["proof"]["differences"])


@pytest.mark.parametrize("sample", ["web-server", "mail-server"])
@pytest.mark.parametrize("cni", CNIS)
def test_the_report_for_every_cni_has_the_promised_shape(host: Host, cni: str, sample: str) -> None:
    families = [str(SAMPLES / f"{sample}.v4"), "--rules6", str(SAMPLES / f"{sample}.v6")]
    inside = ["--pod-cidr", "10.244.0.0/16", "--node-cidr", "192.168.7.0/24", "--interface", "eth0"]
    report = report_of(host, *families, *inside, "--cni", cni)
    validate(report)
    assert report["target"]["cni"] == cni
    assert report["proof"]["by_class"]["external"] == report["proof"]["verdict"]
    codes = {finding["code"] for finding in report["findings"]}
    assert all(set(difference["findings"]) <= codes for difference in report["proof"]["differences"])


def test_an_object_without_a_namespace_has_none_in_the_report(host: Host) -> None:
    banned = ",".join(f"10.{n >> 7}.{(n & 127) * 2}.{n * 37 % 250 + 1}" for n in range(300))
    rules = host.write("rules.v4", dump(f"-A INPUT -s {banned} -p tcp -m tcp --dport 80 -j ACCEPT"))
    report = report_of(host, str(rules), "--cni", "cilium")
    validate(report)
    assert [(each["kind"], each.get("namespace")) for each in report["target"]["objects"]] == [
        ("CiliumCIDRGroup", None),
        ("CiliumNetworkPolicy", "default"),
    ]


def test_what_the_platform_opens_against_the_host_is_told_with_its_packets(host: Host) -> None:
    (opens,) = (
        effect
        for effect in report_of(host, str(host.write("rules.v4", WEB)), "--cni", "kube-router")["platform"]
        if "packets" in effect
    )
    assert (opens["effect"], opens["source_class"], opens["protocol"]) == ("opens", "any", "icmp")
    assert [(each["protocol"], each["icmp"]) for each in opens["packets"]] == [("icmp", ["8"])]
    assert opens["witness"] == {"source": "0.0.0.1", "protocol": "icmp", "icmp_type": 8, "icmp_code": 0}


def test_a_difference_says_whose_the_sources_are(host: Host) -> None:
    rules = host.write("rules.v4", dump("-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT"))
    report = report_of(
        host, str(rules), "--cni", "cilium", "--pod-cidr", "10.9.0.0/16", "--node-cidr", "10.8.0.1"
    )
    assert report["proof"]["by_class"] == {"external": "equal", "pod": "equal", "node": "equal"}
    report = report_of(
        host, str(rules), "--cni", "cilium", "--pod-cidr", "10.0.0.0/7", "--node-cidr", "10.8.0.1"
    )
    assert report["proof"]["by_class"] == {"external": "equal", "pod": "narrower", "node": "equal"}
    (difference,) = report["proof"]["differences"]
    assert (difference["source_class"], difference["certain"], difference["source"]) == (
        "pod",
        True,
        ["10.0.0.0/8"],
    )


def test_a_report_of_two_files_tells_them_apart(host: Host) -> None:
    v6 = str(SAMPLES / "mail-server.v6")
    report = report_of(
        host,
        str(SAMPLES / "mail-server.v4"),
        "--rules6",
        v6,
        "--interface",
        "eth0",
        "--assume",
        "rate=undecided",
    )
    validate(report)
    assert [each["path"] for each in report["input"]["files"]] == [str(SAMPLES / "mail-server.v4"), v6]
    assert len(report["ledger"]) == sum(each["rules"] for each in report["input"]["files"])
    places = [(entry["file"], entry["line"]) for entry in report["ledger"]]
    assert len(set(places)) == len(places)


def test_a_difference_is_told_with_its_packets_a_witness_and_the_finding(host: Host) -> None:
    rules = host.write(
        "rules.v4", dump("-A INPUT -s 10.0.0.0/8 -p udp --sport 53 --dport 1024:2000 -j ACCEPT")
    )
    (difference,) = report_of(host, str(rules))["proof"]["differences"]
    assert len(difference.pop("digest")) == 16
    assert difference == {
        "effect": "closes",
        "certain": True,
        "source_class": "external",
        "source": ["10.0.0.0/8"],
        "protocol": "udp",
        "ports": "1024-2000",
        "source_ports": "53",
        "witness": {"source": "10.0.0.0", "protocol": "udp", "port": 1024, "source_port": 53},
        "findings": ["N2P302"],
        "lines": [{"file": str(rules), "line": 5}],
    }


def test_a_kept_rule_points_at_the_emitted_one(host: Host) -> None:
    report = report_of(host, str(host.write("rules.v4", WEB)), "--namespace", "shop", "--name", "web")
    assert report["ledger"][0]["emitted"] == ["NetworkPolicy/shop/web#/spec/ingress/0"]


def test_facts_stand_among_the_assumptions_with_the_lines_that_use_them(host: Host) -> None:
    report = report_of(host, str(host.write("rules.v4", UNDECIDED)), "--interface", "eth0")
    (fact,) = (each for each in report["assumptions"] if each["id"] == "interface")
    assert fact["value"] == "given" and [place["line"] for place in fact["lines"]] == [5]
    assert "eth0" in fact["statement"]


# -- determinism, signals, pipes ------------------------------------------------------------------------


def test_the_same_input_gives_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    outputs = set()
    for seed in ("0", "1", "4242"):
        report = tmp_path / f"report-{seed}.json"
        done = program(str(SAMPLES / "firewalld.v4"), "--report", str(report), env={"PYTHONHASHSEED": seed})
        assert done.returncode == 0
        outputs.add((done.stdout, done.stderr, report.read_bytes()))
    assert len(outputs) == 1


def big_ruleset() -> str:
    numbers = range(6000)
    return dump(
        *(
            f"-A INPUT -s 10.{n >> 8}.{n & 255}.{n * 7 % 256}/32 -p tcp --dport {n % 5000 + 1} -m frob --x {n} -j ACCEPT"
            for n in numbers
        )
    )


def wait_for_work(running: subprocess.Popen[bytes], seconds: float = 1.2) -> None:
    """Waits until a process has used so much CPU time: then it is past its imports, however busy the machine is."""
    ticks = os.sysconf("SC_CLK_TCK")
    while running.poll() is None:
        fields = Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()
        if (int(fields[11]) + int(fields[12])) / ticks >= seconds:
            return
        time.sleep(0.05)


def test_an_interrupt_ends_with_130_one_line_and_no_file(tmp_path: Path) -> None:
    out = tmp_path / "out.yaml"
    rules = tmp_path / "rules.v4"
    rules.write_text(big_ruleset())
    with subprocess.Popen(
        command(str(rules), "-o", str(out)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        wait_for_work(running)
        assert running.poll() is None, "the ruleset is too small to be interrupted"
        running.send_signal(signal.SIGINT)
        stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 130
    assert stdout == b"" and b"Traceback" not in stderr
    assert stderr.decode().strip() == "interrupted; nothing was written"
    assert {path.name for path in tmp_path.iterdir()} == {"rules.v4"}


def test_an_interrupt_while_starting_up_leaves_no_traceback(tmp_path: Path) -> None:
    rules = tmp_path / "rules.v4"
    rules.write_text(big_ruleset())
    for delay in (0.15, 0.3, 0.45):
        with subprocess.Popen(command(str(rules)), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
            time.sleep(delay)
            running.send_signal(signal.SIGINT)
            _, stderr = running.communicate(timeout=60)
        if (
            b"site-packages" not in stderr and b"importlib" not in stderr and b"<string>" not in stderr
        ):  # the interpreter's own start
            assert b"Traceback" not in stderr


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_ends_the_program_quietly(tmp_path: Path, stream: str) -> None:
    rules = tmp_path / "rules.v4"
    rules.write_text(
        dump(
            *(
                f"-A INPUT -s 10.{n >> 8}.{n & 255}.0/25 -p tcp -m tcp --dport {n + 1} -j ACCEPT"
                for n in range(150)
            )
        )
    )
    read_end, write_end = os.pipe()
    os.close(read_end)
    other = {"stdout": "stderr", "stderr": "stdout"}[stream]
    done = subprocess.run(
        command(str(rules)), check=False, timeout=120, **{stream: write_end, other: subprocess.PIPE}
    )  # type: ignore[call-overload]
    os.close(write_end)
    assert b"Traceback" not in (getattr(done, other) or b"") and b"Exception ignored" not in (
        getattr(done, other) or b""
    )
    assert done.returncode in (0, 141)


def test_stdout_that_is_full_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    rules = tmp_path / "rules.v4"
    rules.write_text(WEB)
    with full.open("wb") as sink:
        done = subprocess.run(
            command(str(rules)), stdout=sink, stderr=subprocess.PIPE, check=False, timeout=120
        )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr and b"No space left on device" in done.stderr
    assert b"fault of ipt2np" not in done.stderr


def test_an_ascii_terminal_still_gets_the_policy_and_the_findings() -> None:
    done = program(
        str(SAMPLES / "odd-matches.v4"), env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    assert yaml.safe_load(done.stdout)


# -- help -----------------------------------------------------------------------------------------------


def test_help_mentions_every_option() -> None:
    result = CliRunner().invoke(
        app, ["convert", "--help"], env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    )
    assert result.exit_code == 0
    for name in inspect.signature(convert_command).parameters:
        shown = "RULES" if name == "rules" else "--" + name.replace("_", "-")
        assert shown in result.output, shown
    assert "Exit status: 0 done; 1" in flat(result.output)


def test_no_arguments_print_the_help() -> None:
    assert "convert" in CliRunner().invoke(app, []).output


def test_the_version_is_the_packages() -> None:
    from ipt2np import __version__

    assert CliRunner().invoke(app, ["--version"]).output == f"ipt2np {__version__}\n"


def test_other_tables_do_not_disturb_the_filter_table(host: Host) -> None:
    text = dump(
        "-A INPUT -p tcp --dport 80 -j ACCEPT",
        before=table("raw", ":PREROUTING ACCEPT [0:0]") + table("nat", ":PREROUTING ACCEPT [0:0]"),
    )
    assert policy(host.on(text).stdout)["spec"] == policy(host.on(WEB).stdout)["spec"]
