"""Test plans in the kernel: what a plan expects of the old host is what the host does, by the harness and by the script."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ipt2np import Options, convert, parse_ruleset
from ipt2np.testplan import OnHost, ProbeCase, TestPlan, plan_probes
from ipt2np.testplan.shell import shell_script
from tests.cni.random_hosts import random_case
from tests.sample_hosts import FOLDER

from .differential import _considered
from .host import PREFIX, KernelHost
from .probe import Probe

SAMPLES = sorted(path.name for path in FOLDER.glob("*.v[46]"))
RANDOM_HOSTS = 12
BY_PACKETS = (6, 132)
_numbers = itertools.count(1)


def planned(text: str, family: int, most: int = 400, senders: tuple[str, ...] = ()) -> TestPlan:
    ruleset = parse_ruleset(text.encode(), f"rules.v{family}", family=family)
    return plan_probes(convert([ruleset], Options()), most, senders)


def probe(case: ProbeCase, destination: str) -> Probe:
    """The case as a packet on the wire."""
    packet = case.packet
    return Probe(
        packet.family,
        case.source,
        destination,
        packet.protocol,
        packet.source_port,
        case.host_port or 0,
        packet.icmp_type,
        packet.icmp_code,
    )


def wrong(text: str, family: int, host: KernelHost) -> tuple[list[str], Counter[OnHost]]:
    """The cases that the kernel answers otherwise, and how many were asked by what was expected."""
    cases = [
        case
        for case in planned(text, family).cases
        if case.host is not OnHost.UNDECIDED
        and case.packet.family == family
        and (case.port is None or case.host_port is not None)
    ]
    destination = host.own(family)[0]
    asked = {probe(case, destination): case for case in cases}
    probes = _considered(text, asked)
    host.load(text, family)
    first = host.first(probes)
    host.load(text, family)
    later = host.later(probes)
    found, counts = [], Counter[OnHost]()
    for each, opened, kept in zip(probes, first, later, strict=True):
        if opened is None or (opened and each.protocol in BY_PACKETS and kept is None):
            continue  # the kernel itself takes no such source, or has no way to answer it
        accepted = bool(opened) and (each.protocol not in BY_PACKETS or bool(kept))
        case = asked[each]
        counts[case.host] += 1
        if accepted != (case.host is OnHost.ACCEPTED):
            found.append(f"kernel {'accepts' if accepted else 'refuses'} {case}")
    return found, counts


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_expected_of_a_sample_host_is_what_its_kernel_does(name: str, host: KernelHost) -> None:
    found, counts = wrong((FOLDER / name).read_text(), int(name[-1]), host)
    assert not found, "\n".join(found[:5])
    assert counts


def test_what_is_expected_of_random_hosts_is_what_their_kernel_does(host: KernelHost) -> None:
    counts: Counter[OnHost] = Counter()
    for seed in range(RANDOM_HOSTS):
        for each in random_case(random.Random(f"plans in the kernel {seed}")).hosts:
            found, asked = wrong(each.text(), each.family, host)
            assert not found, "\n".join([f"seed {seed}", *found[:5], each.text()])
            counts += asked
    assert counts[OnHost.ACCEPTED] > 100 and counts[OnHost.REFUSED] > 100


def test_a_port_that_nat_leads_to_is_asked_for_by_the_port_on_the_wire(host: KernelHost) -> None:
    text = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
        "-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080\n"
        "-A PREROUTING -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 9\nCOMMIT\n"
        "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
        "-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT\nCOMMIT\n"
    )
    (case, *_) = [each for each in planned(text, 4).cases if each.port == 8080]
    assert (case.host, case.host_port) == (OnHost.ACCEPTED, 80)
    unreachable = [each for each in planned(text, 4).cases if each.port == 80]
    assert {each.host_port for each in unreachable} == {None}
    found, counts = wrong(text, 4, host)
    assert not found and counts[OnHost.ACCEPTED]


# -- the script, from a client with several addresses to a host with listeners --------------------------------

CLIENT = ("10.9.0.5", "10.9.1.7", "2001:db8::5")
TARGETS = {4: "10.9.0.1", 6: "2001:db8::1"}
STATE = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
HEAD = "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n" + STATE
RULES = (
    HEAD
    + "-A INPUT -s 10.9.0.0/24 -p tcp -m tcp --dport 22 -j ACCEPT\n"
    + '-A INPUT -p tcp -m tcp --dport 80 -m comment --comment "it\'s $(touch pwned) `touch pwned` \\"x\\" # ok" -j ACCEPT\n'
    + "-A INPUT -p udp -m udp --sport 1024:65535 --dport 53 -j ACCEPT\n"
    + "-A INPUT -s 10.9.1.7/32 -p icmp -m icmp --icmp-type 8 -j ACCEPT\n"
    + "-A INPUT -p tcp -m tcp --dport 113 -j REJECT --reject-with tcp-reset\n"
    + "-A INPUT -p udp -m udp --dport 53 -j REJECT --reject-with icmp-port-unreachable\n"
    + "COMMIT\n"
)
RULES6 = (
    HEAD
    + "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT\n"
    + "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 136 -j ACCEPT\n"
    + "-A INPUT -s 2001:db8::/64 -p tcp -m tcp --dport 22 -j ACCEPT\n"
    + "-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 128 -j ACCEPT\nCOMMIT\n"
)
SHORT = "".join(line for line in RULES.splitlines(keepends=True) if "udp" not in line)
"""The same without UDP, of which silence takes a while to tell."""
_LISTENER = """
import selectors, socket, sys
waiting = selectors.DefaultSelector()
for spec in sys.argv[1:]:
    protocol, port = spec.split("/")
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        made = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, int(port)))
        if protocol == "tcp":
            made.listen(50)
        waiting.register(made, selectors.EVENT_READ, protocol)
print("ready", flush=True)
while True:
    for key, _ in waiting.select():
        if key.data == "tcp":
            key.fileobj.accept()[0].close()
        else:
            data, sender = key.fileobj.recvfrom(2000)
            key.fileobj.sendto(data, sender)
"""


def run(*command: str, stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Machines:
    """A host under test and a client, one network namespace each."""

    host: str
    client: str

    def load(self, text: str, family: int) -> None:
        program = "iptables-nft-restore" if family == 4 else "ip6tables-nft-restore"
        run("ip", "netns", "exec", self.host, program, stdin=text)

    def script(self, path: Path, *arguments: str, shell: str = "sh") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ip", "netns", "exec", self.client, *shell.split(), str(path), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            cwd=path.parent,
            stdin=subprocess.DEVNULL,
        )


@pytest.fixture
def machines() -> Iterator[Machines]:
    stem = f"{PREFIX}-{os.getpid()}-plan{next(_numbers)}"
    made = Machines(f"{stem}-host", f"{stem}-client")
    listener = None
    try:
        for name in (made.host, made.client):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        link = ("link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns")
        run("ip", "-n", made.host, *link, made.client)
        for name, addresses in ((made.host, TARGETS.values()), (made.client, CLIENT)):
            for address in addresses:
                given = [f"{address}/64", "nodad"] if ":" in address else [f"{address}/16"]
                run("ip", "-n", name, "addr", "add", given[0], "dev", "eth0", *given[1:])
            run("ip", "-n", name, "link", "set", "eth0", "up")
        ports = {
            f"{case.protocol}/{case.port}"
            for text, family in ((RULES, 4), (RULES6, 6))
            for case in planned(text, family, senders=CLIENT).cases
            if case.protocol in ("tcp", "udp")
        }
        listener = subprocess.Popen(
            ["ip", "netns", "exec", made.host, sys.executable, "-c", _LISTENER, *sorted(ports)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert listener.stdout is not None and listener.stdout.readline() == "ready\n"
        yield made
    finally:
        if listener is not None:
            listener.kill()
            listener.communicate()
        for name in (made.host, made.client):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def script_of(text: str, family: int, folder: Path) -> Path:
    path = folder / "testplan.sh"
    path.write_text(shell_script(planned(text, family, senders=CLIENT), "a host with $(touch pwned)"))
    return path


def outcomes(printed: str) -> dict[str, list[str]]:
    """Lines of probes by what they say: ok, not ok, unsure, skipped."""
    found: dict[str, list[str]] = {"ok": [], "not ok": [], "unsure": [], "skipped": []}
    for line in printed.splitlines():
        if line.startswith("not ok "):
            found["not ok"].append(line)
        elif line.startswith("ok "):
            found["unsure" if "# SKIP unsure" in line else "skipped" if "# SKIP" in line else "ok"].append(
                line
            )
    return found


def asks(family: int, *more: str) -> tuple[str, ...]:
    return ("--side", "old", "--target", TARGETS[family], "--wait", "1", *more)


def available(command: str) -> None:
    if shutil.which(command.split()[0]) is None:
        pytest.skip(f"no {command}")


@pytest.mark.parametrize(
    ("program", "shell"), [("nc", "dash"), ("ncat", "busybox ash"), ("busybox nc", "bash")]
)
def test_the_script_finds_the_host_as_its_ruleset_says(
    program: str, shell: str, machines: Machines, tmp_path: Path
) -> None:
    available(program)
    available(shell)
    available("ping")
    machines.load(RULES, 4)
    path = script_of(RULES, 4, tmp_path)
    done = machines.script(path, *asks(4, "--listening", "--nc", program), shell=shell)
    found = outcomes(done.stdout)
    assert (done.returncode, found["not ok"], found["unsure"]) == (0, [], []), done.stdout + done.stderr
    answers = {line.rpartition("got ")[2] for line in found["ok"]}
    assert answers == {"open", "silent", "rejected"}
    assert len(found["ok"]) >= (8 if program == "busybox nc" else 15)
    assert sum(map(len, found.values())) == len(planned(RULES, 4, senders=CLIENT).cases)
    assert not (tmp_path / "pwned").exists()


BROKEN = {
    "opened": (SHORT, "-A INPUT -s 10.9.0.0/24 -p tcp", "-A INPUT -p tcp", "tcp port 22 from 10.9.1.7"),
    "closed": (SHORT, "--dport 80 -m", "--dport 81 -m", "tcp port 80 from"),
    "rejected": (
        SHORT,
        "COMMIT",
        "-A INPUT -p tcp -j REJECT --reject-with tcp-reset\nCOMMIT",
        "tcp port 23 from",
    ),
    "ping": (SHORT, "-s 10.9.1.7/32 -p icmp", "-s 10.9.0.5/32 -p icmp", "icmp type 8/0 from 10.9.1.7"),
    "source port": (
        RULES,
        "--sport 1024:65535 --dport 53",
        "--dport 53",
        "udp port 53 from 10.9.0.5 port 1023",
    ),
}
"""The ruleset that the plan is of, what is changed in it, and the probe that must notice."""


@pytest.mark.parametrize("name", BROKEN)
def test_the_script_notices_a_host_that_is_not_as_its_ruleset_says(
    name: str, machines: Machines, tmp_path: Path
) -> None:
    available("nc")
    available("ping")
    rules, old, new, expected = BROKEN[name]
    assert old in rules
    machines.load(rules.replace(old, new), 4)
    done = machines.script(script_of(rules, 4, tmp_path), *asks(4, "--listening"))
    assert done.returncode == 1
    assert any(expected in line for line in outcomes(done.stdout)["not ok"]), done.stdout


def test_without_listeners_that_are_known_nothing_is_claimed_that_no_answer_shows(
    machines: Machines, tmp_path: Path
) -> None:
    available("nc")
    machines.load(RULES, 4)
    done = machines.script(script_of(RULES, 4, tmp_path), *asks(4))
    found = outcomes(done.stdout)
    assert done.returncode == 0 and not found["not ok"]
    assert all("udp" in line or "rejected" in line for line in found["unsure"])
    assert any("udp" in line and "got silent" in line for line in found["unsure"])
    assert any("tcp port 80" in line and "got open" in line for line in found["ok"])
    assert any("udp port 53" in line and "got open" in line for line in found["ok"])


def test_the_script_probes_by_ipv6(machines: Machines, tmp_path: Path) -> None:
    available("nc")
    available("ping")
    machines.load(RULES6, 6)
    done = machines.script(script_of(RULES6, 6, tmp_path), *asks(6, "--listening"))
    found = outcomes(done.stdout)
    assert (done.returncode, found["not ok"]) == (0, []), done.stdout + done.stderr
    assert any("tcp port 22 from 2001:db8::5" in line and "got open" in line for line in found["ok"])
    assert any("icmp" in line and "got open" in line for line in found["ok"])


def test_a_machine_without_any_of_the_sources_proves_nothing(machines: Machines, tmp_path: Path) -> None:
    path = tmp_path / "testplan.sh"
    rules = HEAD + "-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
    path.write_text(shell_script(planned(rules, 4), "other sources"))
    done = machines.script(path, *asks(4))
    assert done.returncode == 2 and "no probe was run" in done.stderr
    assert not outcomes(done.stdout)["ok"]
