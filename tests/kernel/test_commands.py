"""Sequences of commands leave the kernel's tables as they leave ours; what iptables refuses is refused or told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

import pytest

from ipt2np import InputError, Ruleset, parse_ruleset
from ipt2np.rules.canonical import ruleset_text

from .host import KernelHost, RulesetRefused

SEQUENCES: Final = 60
LENGTH: Final = 30
FILES: Final = 400
_CHAINS: Final = ("INPUT", "INPUT", "FORWARD", "web", "web", "api")
_EMPTY: Final = "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\nCOMMIT\n"
_RULES: Final = (
    "-s 10.0.0.1 -j ACCEPT", "-s 10.0.0.1/32 -j ACCEPT", "-p tcp --dport 22 -j ACCEPT", "-p tcp -m tcp --dport ssh -j ACCEPT",
    "-p tcp -m tcp --dport 22 -j DROP", "-s 10.0.0.1,10.0.0.2 -j DROP", "-s 10.0.0.2 -j DROP", "-s 10.0.0.2,10.0.0.1 -j DROP",
    "! -s 10.0.0.0/8 -j RETURN", "-j web", "-g web", "-j api", "-p udp", "", "-m comment --comment 'a b' -j ACCEPT",
    "-s 10.0.0.1 -d 10.0.0.3,10.0.0.4 -j DROP", "-m state --state NEW,ESTABLISHED -j ACCEPT",
    "-m state --state ESTABLISHED,NEW -j ACCEPT", "-s 0.0.0.0/0 -j DROP", "-j DROP",
)  # fmt: skip


@pytest.fixture
def legacy(host: KernelHost) -> Iterator[KernelHost]:
    """The host with the legacy backend."""
    host.backend = "legacy"
    try:
        yield host
    finally:
        host.flush()
        host.backend = "nft"


def _command(rng: Random) -> str:
    """Any command; whether it can be carried out depends on those before it."""
    chain, rule = rng.choice(_CHAINS), rng.choice(_RULES)
    return rng.choice(
        (
            f"-A {chain} {rule}", f"-A {chain} {rule}", f"-A {chain} {rule}", f"-A {chain} {rule}",
            f"-I {chain} {rule}", f"-I {chain} {rng.randint(1, 5)} {rule}",
            f"-D {chain} {rule}", f"-D {chain} {rule}", f"-D {chain} {rng.randint(1, 5)}",
            f"-R {chain} {rng.randint(1, 4)} {rule}",
            f"-N {chain}", f"-N {chain}", f"-X {chain}", "-X", f"-F {chain}", f"-E {chain} {rng.choice(_CHAINS)}",
            f"-P {rng.choice(('INPUT', 'FORWARD', 'web'))} {rng.choice(('ACCEPT', 'DROP'))}", f"-Z {chain}",
        )
    ).rstrip()  # fmt: skip


def _filter_of(text: str) -> list[str]:
    """The lines of the filter table, counters left out."""
    lines = text.split("*filter\n")[1].split("COMMIT\n")[0].splitlines() if "*filter\n" in text else []
    return [line.partition(" [")[0] if line.startswith(":") else line for line in lines]


def _readable(lines: Sequence[str]) -> tuple[list[str], Ruleset]:
    """The script without the lines at which it is refused, and what it means."""
    kept = list(lines)
    while True:
        try:
            return kept, parse_ruleset("\n".join(kept).encode(), "fw.sh", family=4)
        except InputError as error:
            bad = {problem.location.line for problem in error.problems}
            kept = [line for number, line in enumerate(kept, 1) if number not in bad]


def test_a_script_leaves_the_tables_as_the_kernel_does(legacy: KernelHost) -> None:
    rng = Random("scripts")
    carried_out = 0
    for _ in range(SEQUENCES):
        lines = ["iptables-legacy -N web", *(f"iptables-legacy {_command(rng)}" for _ in range(LENGTH))]
        kept, ruleset = _readable(lines)
        legacy.load(_EMPTY, 4)
        legacy.run("sh", "-c", "\n".join([*kept, "true"]))
        assert _filter_of(ruleset_text(ruleset)) == _filter_of(legacy.run("iptables-legacy-save")), "\n".join(
            kept
        )
        carried_out += len(kept)
    assert carried_out > SEQUENCES * LENGTH // 2


_ODD: Final = (
    ("-A INPUT -s 10.0.0.1 -j ACCEPT", "-A INPUT -s ! 10.0.0.1 -j ACCEPT"),
    ("-A INPUT -s 10.0.0.1 -j ACCEPT", "-A INPUT ! -s 10.0.0.1,10.0.0.2 -j ACCEPT"),
    ("-A INPUT -s 10.0.0.1 -j ACCEPT", "-A INPUT -s 10.0.0.1 -s 10.0.0.1/32 -j ACCEPT"),
    ("-A INPUT -s 10.0.0.1 -j ACCEPT", "-A INPUT -s 10.0.0.1 -j ACCEPT # why"),
    ("-A INPUT -s 10.0.0.1 -j ACCEPT", "-A INPUT -t filter -s 10.0.0.1 -j ACCEPT"),
    ("-A INPUT -s 10.0.0.1 -j ACCEPT", "iptables -A INPUT -s 10.0.0.1 -j ACCEPT"),
    ("-A INPUT -s 10.0.0.1 -j ACCEPT", "[3:4]-A INPUT -s 10.0.0.1 -j ACCEPT"),
    ("-A INPUT -s 10.0.0.1 -j ACCEPT", "-s 10.0.0.1 -j ACCEPT --append INPUT"),
    ("-A INPUT -s 10.0.0.1 -j ACCEPT", "  -AINPUT -j ACCEPT\t-s 10.0.0.1/255.255.255.255 -c 1 2"),
    ("--dport 22", "--dport SSH"), ("--dport 22", "--dport ssh"), ("--dport 22", "--dport ! 22"), ("--dport 22", "--dport=22"),
    ("--dport 22", "--dport 22 --dport 22"), ("--dport 22", "--dpo 0x16"), ("-p tcp", "-p TCP"), ("-p tcp", "-p 6"),
    ("-p tcp", "-p tcp -p tcp"), ("-p tcp", "-v -p tcp"), ("-j web", "-jweb"), ("-j web", "-j web "), ("-j web", "-gweb"),
    ("-p tcp", "-ptcp"), ("-p tcp", "--protocol=tcp"), ("-s 10.0.0.1", "--source=10.0.0.1"), ("-s 10.0.0.1", "-c 1,2 -s 10.0.0.1"),
    ("-p tcp", "-p tcp --match=tcp"), ("-j web", "--jump=web"), ("-j web", "--goto=web"), ("-p tcp", "-p tcp -w 5 -n"),
    (":INPUT DROP [0:0]", ":INPUT DROP"), (":INPUT DROP [0:0]", " :INPUT DROP [0:0]"), (":INPUT DROP [0:0]", "-P INPUT DROP"),
    (":INPUT DROP [0:0]", ":INPUT DROP [99999999999999999999:0]"), (":INPUT DROP [0:0]", ":INPUT ACCEPT\n:INPUT DROP"),
    (":web - [0:0]", ":web -"), (":web - [0:0]", "-N web"), (":web - [0:0]", ":web - [0:0]\n:web - [0:0]"),
    (":web - [0:0]", ":web -\n-N web"), (":web - [0:0]", "# no web"), (":web - [0:0]", f":web -\n:{'w' * 29} -"),
    (":web - [0:0]", f":web -\n:{'w' * 28} -"), ("-A web", "-I web 1"), ("-A web", "-I web 2"), ("-A web", "-I web"),
    ("COMMIT\n", "COMMIT \n"), ("COMMIT\n", "COMMIT"), ("COMMIT\n", "\t\nCOMMIT\n"), ("COMMIT\n", "\n\nCOMMIT\n"),
    ("COMMIT\n", " # end\nCOMMIT\n"), ("COMMIT\n", "-F web\nCOMMIT\n"), ("COMMIT\n", "-F\n-X\n-Z\nCOMMIT\n"),
    ("COMMIT\n", "-D INPUT 1\nCOMMIT\n"), ("COMMIT\n", "-D INPUT -p gre\nCOMMIT\n"), ("COMMIT\n", "-X web\nCOMMIT\n"),
    ("COMMIT\n", "-A late -j ACCEPT\n:late -\nCOMMIT\n"), ("COMMIT\n", ":late -\n-A late -j ACCEPT\nCOMMIT\n"),
    ("COMMIT\n", "COMMIT\nhello\n"), ("COMMIT\n", ""), ("*filter\n", "*filter \n"), ("*filter\n", " *filter\n"),
    ("*filter\n", "hello\n*filter\n"), ("*filter\n", "\ufeff*filter\n"), ("\n", "\r\n"),
)  # fmt: skip
"""What stands in a plain file, and how people write it."""
_PLAIN: Final = (
    "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:web - [0:0]\n"
    "-A INPUT -s 10.0.0.1 -j ACCEPT\n-A INPUT -p tcp --dport 22 -j web\n-A web -j ACCEPT\nCOMMIT\n"
)


def _odd(rng: Random) -> str:
    text = _PLAIN
    for before, after in rng.sample(_ODD, rng.randint(1, 3)):
        text = text.replace(before, after)
    return text


def test_what_iptables_restore_takes_is_read_the_same_and_what_it_refuses_is_refused_or_told(
    legacy: KernelHost,
) -> None:
    rng = Random("files")
    texts = [*(_PLAIN.replace(before, after) for before, after in _ODD), *(_odd(rng) for _ in range(FILES))]
    counts = {"taken": 0, "told": 0, "refused": 0}
    for text in texts:
        legacy.flush()
        try:
            legacy.load(text, 4, keep=True)
            taken = _filter_of(legacy.run("iptables-legacy-save"))
        except RulesetRefused:
            taken = None
        try:
            ruleset = parse_ruleset(text.encode(), "rules.v4", family=4)
        except InputError:
            assert taken is None, f"the kernel takes\n{text}"
            counts["refused"] += 1
            continue
        if taken is None:
            assert ruleset.notes, f"the kernel refuses, and nothing tells it:\n{text}"
            counts["told"] += 1
        else:
            assert _filter_of(ruleset_text(ruleset)) == taken, text
            counts["taken"] += 1
    assert min(counts.values()) > 20, counts
