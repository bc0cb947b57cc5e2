"""What ipt2np prints of a rule is what iptables-save prints after loading it."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import pytest

from ipt2np import parse_ruleset
from ipt2np.rules.canonical import ruleset_text
from ipt2np.rules.extension import Extension, TargetAsText
from ipt2np.rules.matches import all_matches
from ipt2np.rules.targets import all_targets

from .host import KernelHost, RulesetRefused
from .rulesets import SHARED, corpus

FOLDER: Final = Path(__file__).parent / "canonical"
FILES: Final = sorted(FOLDER.glob("*.rules"))
FAMILIES = pytest.mark.parametrize("family", [4, 6])
COMBINATIONS: Final = 60
"""Random combinations of each extension's options that the kernel is offered."""

#: Options, or whole extensions, that no line can show, and why.
UNSHOWN: Final[Mapping[str, str]] = {
    "-m bpf 4: --object-pinned": "a program has to be pinned first, by one that iptables does not bring (bpftool)",
    "-m bpf 6: --object-pinned": "a program has to be pinned first, by one that iptables does not bring (bpftool)",
    "-m ip 6: --fragment": "ip6tables has no -f: fragments have a header of their own",
    "-m ip 6: -f": "ip6tables has no -f: fragments have a header of their own",
    "-m ip 6: ! --fragment": "ip6tables has no -f: fragments have a header of their own",
    "-j CLUSTERIP": "this kernel has no ipt_CLUSTERIP (Linux dropped it in 6.7)",
    "-j LED": "this kernel has no xt_LED",
    "-j SECMARK": "this kernel has no security module loaded that knows a context",
    "-j ULOG": "no kernel since 3.17 has ipt_ULOG",
    "-m ipvs": "the kernel needs CONFIG_IP_VS, which few have",
    "-m udplite": "iptables 1.8.9 has no such extension, only the kernel has the match",
    **{
        f"-m owner {family}: {negation}{option}": "Linux since 2.6.25 has no revision 0 of xt_owner"
        for family in (4, 6)
        for negation in ("", "! ")
        for option in ("--pid-owner", "--sid-owner", "--cmd-owner")
    },
    **{f"-m time {family}: --days": "an option of iptables before 1.4" for family in (4, 6)},
}


@dataclass(frozen=True)
class Line:
    """A rule as written, and where it goes."""

    families: tuple[int, ...]
    table: str
    chain: str
    rule: str


def lines(path: Path) -> list[Line]:
    """The rules of a file."""
    found = []
    for text in path.read_text(encoding="utf-8").splitlines():
        if text.startswith(("4", "6")):
            families, table, chain, *rule = text.split(" ", 3)
            found.append(Line(tuple(int(each) for each in families), table, chain, rule[0] if rule else ""))
    return found


def commands(path: Path) -> list[list[str]]:
    """What has to be run on the host before a file's rules can be loaded; ``python`` runs a script that is here."""
    found = []
    for text in path.read_text(encoding="utf-8").splitlines():
        if text.startswith("$"):
            program, *arguments = text[1:].split()
            if program == "python":
                program, arguments[0] = sys.executable, str(FOLDER.parent / arguments[0])
            found.append([program, *arguments])
    return found


def dump(wanted: Sequence[Line]) -> str:
    """The rules as a dump, table by table."""
    by_table: dict[str, list[str]] = defaultdict(list)
    for line in wanted:
        by_table[line.table].append(f"-A {line.chain} {line.rule}".rstrip())
    return "".join(
        f"*{table}\n" + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n"
        for table, rules in by_table.items()
    )


def saved(host: KernelHost, family: int) -> dict[tuple[str, str], list[str]]:
    """The rules that the kernel holds, as iptables-save prints them, by table and chain."""
    program = "iptables-legacy-save" if family == 4 else "ip6tables-legacy-save"
    return rules_of(host.run(program))


def rules_of(text: str) -> dict[tuple[str, str], list[str]]:
    """A dump's rule lines by table and chain."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A "):
            found[table, line.split()[1]].append(line)
    return dict(found)


def printed(text: str, family: int) -> dict[tuple[str, str], list[str]]:
    """The same as ipt2np prints it."""
    return rules_of(ruleset_text(parse_ruleset(text.encode(), "rules", family=family)))


@pytest.fixture
def legacy(host: KernelHost) -> Iterator[KernelHost]:
    """The host with the legacy backend, which keeps rules as the extensions know them."""
    host.backend = "legacy"
    try:
        yield host
    finally:
        host.flush()
        host.backend = "nft"


def _prepare(host: KernelHost, path: Path) -> None:
    host.flush()
    for command in commands(path):
        host.run(*command)


def _tidy(host: KernelHost, path: Path) -> None:
    host.flush()
    if commands(path):
        host.run("ipset", "destroy")


@FAMILIES
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_kernel_prints_the_same(legacy: KernelHost, path: Path, family: int) -> None:
    wanted = [line for line in lines(path) if family in line.families]
    if not wanted:
        return
    text = dump(wanted)
    _prepare(legacy, path)
    try:
        legacy.load(text, family, keep=True)
        assert printed(text, family) == saved(legacy, family)
    finally:
        _tidy(legacy, path)
    again = ruleset_text(parse_ruleset(text.encode(), "rules", family=family))
    assert ruleset_text(parse_ruleset(again.encode(), "rules", family=family)) == again


def _pieces(rule: str) -> Iterator[str]:
    """A rule's words, each option with its values and its ``!`` in one piece."""
    words = re.findall(r'(?:[^\s"]*"(?:\\.|[^"\\])*")|\S+', rule)
    piece: list[str] = []
    for word in words:
        opens = word == "!" or (re.match(r"--?[A-Za-z46]", word) is not None and piece[-1:] != ["!"])
        if opens and piece:
            yield " ".join(piece)
            piece = []
        piece.append(word)
    if piece:
        yield " ".join(piece)


@dataclass(frozen=True)
class Bag:
    """What an extension's lines are made of: what stands in front of its options, and the options themselves."""

    head: str
    table: str
    chain: str
    options: tuple[str, ...]


def bags(path: Path, family: int) -> list[Bag]:
    """One for each way in which a file's lines load extensions."""
    found: dict[tuple[str, str, str], dict[str, None]] = defaultdict(dict)
    for line in lines(path):
        if family not in line.families:
            continue
        pieces = list(_pieces(line.rule))
        loads = [place for place, piece in enumerate(pieces) if piece.startswith(("-m ", "-j "))]
        if len(loads) != 1:
            continue
        head = " ".join(pieces[: loads[0] + 1])
        found[line.table, line.chain, head] |= dict.fromkeys(pieces[loads[0] + 1 :])
    return [Bag(head, table, chain, tuple(options)) for (table, chain, head), options in found.items()]


def combinations(path: Path, family: int, rng: Random) -> Iterator[Line]:
    """Random choices of options, in random order."""
    for bag in bags(path, family):
        for _ in range(COMBINATIONS if len(bag.options) > 1 else 0):
            options = rng.sample(bag.options, rng.randint(1, min(5, len(bag.options))))
            yield Line((family,), bag.table, bag.chain, f"{bag.head} {' '.join(options)}")


def accepted(host: KernelHost, family: int, wanted: Sequence[Line]) -> list[Line]:
    """Those of the rules that the kernel takes: loaded in halves until each half is clean or one rule."""
    try:
        host.load(dump(wanted), family, keep=True)
        return list(wanted)
    except RulesetRefused:
        if len(wanted) == 1:
            return []
        middle = len(wanted) // 2
        return accepted(host, family, wanted[:middle]) + accepted(host, family, wanted[middle:])


@FAMILIES
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_random_combinations_that_the_kernel_takes_are_printed_the_same(
    legacy: KernelHost, path: Path, family: int
) -> None:
    offered = list(combinations(path, family, Random(f"{path.stem} {family}")))
    if not offered:
        return
    _prepare(legacy, path)
    try:
        taken = accepted(legacy, family, offered)
        assert taken, "the kernel takes none of the combinations"
        text = dump(taken)
        legacy.load(text, family, keep=True)
        assert printed(text, family) == saved(legacy, family)
    finally:
        _tidy(legacy, path)


def _typed() -> dict[str, Extension]:
    extensions: dict[str, Extension] = {}
    for (name, family), match in all_matches().items():
        extensions[f"-m {name} {family}"] = match
    for (name, family), target in all_targets().items():
        extensions[f"-j {name} {family}"] = target
    return extensions


def test_every_option_under_every_name_is_shown() -> None:
    shown: dict[int, list[tuple[set[str], list[str]]]] = {4: [], 6: []}
    for path in FILES:
        for line in lines(path):
            pieces = list(_pieces(line.rule))
            loads = {piece for piece in pieces if piece.startswith(("-m ", "-j "))}
            for family in line.families:
                shown[family].append((loads, pieces))
    missing = []
    for title, extension in _typed().items():
        how, name, family_text = title.split()
        family = int(family_text)
        if title in UNSHOWN or f"{how} {name}" in UNSHOWN or isinstance(extension, TargetAsText):
            continue
        mine = [
            piece
            for loads, pieces in shown[family]
            if name == "ip" or f"{how} {name}" in loads
            for piece in pieces
        ]
        if not mine and name != "ip":
            missing.append(title)
            continue
        for each in extension.options:
            for spelling in each.names:
                if not any(re.match(rf"(! )?{re.escape(spelling)}(?= |$)", piece) for piece in mine):
                    missing.append(f"{title}: {spelling}")
            negated = any(piece.startswith(f"! {spelling}") for piece in mine for spelling in each.names)
            if each.negatable and not negated:
                missing.append(f"{title}: ! {each.name}")
    missing = [each for each in missing if each not in UNSHOWN]
    assert not missing, "\n".join(missing)


@pytest.mark.skipif(not corpus(), reason=f"no corpus of real rulesets at {SHARED} (set IPT2NP_SHARED)")
@pytest.mark.parametrize("real", corpus(), ids=lambda real: real.name)
def test_real_rulesets_print_back_byte_for_byte(real: object) -> None:
    path: Path = real.path  # type: ignore[attr-defined]
    data = path.read_bytes()
    assert ruleset_text(parse_ruleset(data, path.name)).encode() == data
