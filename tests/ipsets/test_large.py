"""Sets as large as ban lists get: what they cost, and what is given up where they would cost too much."""

from __future__ import annotations

import random
import subprocess
import sys
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipt2np.rules import coarse as coarsening
from ipt2np.rules.membership import Search, found_in

from .strategies import dumps, searches
from .test_naive import view

SOURCE = Path(__file__).resolve().parents[2] / "src"
PROGRAM = """
import sys
from pathlib import Path
from ipt2np import Assumptions, Half, PacketSpace
from ipt2np.rules.interfaces import Interfaces
from ipt2np.rules.meaning import Hook, View
from ipt2np.rules.membership import Search, found_in
from ipt2np.syntax.ipset import parse_ipsets

sets = parse_ipsets(sys.stdin.buffer.read(), "sets")
space, names = PacketSpace(), Interfaces.of(sets["s"].interfaces)
looked = View(space, sets["s"].family, Half.FIRST, Hook.AFTER_CONNTRACK, True, Assumptions(), names, sets)
meaning = found_in(sets["s"], looked, Search(("src", "src")))
assert meaning.may
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024, len(space.diagram.level), int(meaning.exact))
"""


class Cost(NamedTuple):
    megabytes: int
    nodes: int
    exact: bool


def cost(text: str) -> Cost:
    """What it costs a process of its own to read a set called s and to make packets of it: peak memory, diagram nodes.

    The peak is /proc's: what getrusage() calls a process's own begins with that of the process it was forked from.
    """
    command, environment = [sys.executable, "-c", PROGRAM], {"PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, env=environment)
    megabytes, nodes, exact = map(int, done.stdout.split())
    return Cost(megabytes, nodes, bool(exact))


def dotted(rng: random.Random) -> str:
    return ".".join(str(rng.randint(1, 223)) for _ in range(4))


def test_a_million_addresses_are_exact() -> None:
    rng = random.Random(1)
    text = "create s hash:ip\n" + "".join(f"add s {dotted(rng)}\n" for _ in range(1_000_000))
    spent = cost(text)
    assert spent.exact
    assert spent.megabytes < 1000
    assert spent.nodes < 2_000_000


def test_a_hundred_thousand_of_everything_is_exact() -> None:
    rng = random.Random(2)

    def net() -> str:
        return f"{dotted(rng)}/{rng.choice((16, 20, 24, 28, 32))} timeout {rng.randint(0, 9999)}"

    def service() -> str:
        return f"{dotted(rng)},{rng.choice(('tcp', 'udp'))}:{rng.randint(1, 65535)}"

    def interface() -> str:
        return f'{dotted(rng)}/24,eth{rng.randint(0, 9)} comment "{rng.random()}"'

    create = {"hash:net timeout 0": net, "hash:ip,port": service, "hash:net,iface comment": interface}
    for kind, element in create.items():
        spent = cost(f"create s {kind}\n" + "".join(f"add s {element()}\n" for _ in range(100_000)))
        assert spent.exact, kind
        assert spent.megabytes < 700, kind


def test_scattered_ipv6_addresses_are_looked_at_by_networks_where_they_are_too_many() -> None:
    rng = random.Random(3)
    text = "create s hash:ip family inet6\n" + "".join(
        f"add s {IPv6Address(rng.getrandbits(125) | 1 << 125)}\n" for _ in range(150_000)
    )
    spent = cost(text)
    assert not spent.exact
    assert spent.nodes < coarsening.NODES
    assert spent.megabytes < 1000


@pytest.mark.parametrize("nodes", [0, 5, 20, 60, 200])
def test_what_is_given_up_is_certainty_and_never_truth(monkeypatch: pytest.MonkeyPatch, nodes: int) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def every(data: st.DataObject) -> None:
        dump = data.draw(dumps())
        search = Search(data.draw(searches(len(dump.naive.parts))), data.draw(st.booleans()))
        looked = view(dump.text, dump.family)
        exact = found_in(looked.ipsets["s"], looked, search)
        looked.memo.clear()
        with monkeypatch.context() as patched:
            patched.setattr(coarsening, "NODES", nodes)
            blurred = found_in(looked.ipsets["s"], looked, search)
        assert exact.may <= blurred.may
        assert blurred.must <= exact.must
        assert blurred.exact or blurred.undecided

    every()


def test_networks_that_are_short_enough_stay_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coarsening, "NODES", 60)
    text = "create s hash:net\nadd s 10.0.0.0/8\n" + "".join(f"add s 192.0.2.{n}\n" for n in range(1, 250, 7))
    looked = view(text, 4)
    found = found_in(looked.ipsets["s"], looked, Search(("src",)))
    assert not found.exact and found.must
    assert found.undecided == ("the ipset s: it is too large to tell all its addresses apart",)
