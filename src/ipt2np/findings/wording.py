"""Words that findings share: how many rules, where they stand, which protocols."""

from __future__ import annotations

from collections.abc import Sequence

from ipt2np.frames import Frames
from ipt2np.packets import Field, PacketSet
from ipt2np.packets.intervals import merged
from ipt2np.rules.model import BUILTIN_CHAINS, Rule

BUILTIN = frozenset(name for names in BUILTIN_CHAINS.values() for name in names)
NO_FRAMES = Frames()
SHOWN_CHAINS = 6
SHOWN_RANGES = 8
NAMED_PROTOCOLS = ((6, "TCP"), (17, "UDP"), (132, "SCTP"), (1, "ICMP"), (58, "ICMPv6"))


def counted(rules: Sequence[object], what: str = "rule") -> str:
    """How many, in words: ``1 rule``, ``3 rules``."""
    return f"{len(rules)} {what}{'' if len(rules) == 1 else 's'}"


def of(name: str) -> str:
    """The genitive: ``ufw's``, ``Kubernetes'``."""
    return name + ("'" if name.endswith("s") else "'s")


def lines_of(rules: Sequence[Rule], frames: Frames = NO_FRAMES, most: int = 8) -> str:
    """Where rules stand, for the end of a message: ``line 7`` or ``lines 7, 9, 12 and 40 more``.

    Boilerplate of a recognised frame is told by its chains instead: ``ufw's ufw-before-input (3 rules)``.
    """
    of_frames: dict[tuple[str, str], list[Rule]] = {}
    told: list[Rule] = []
    for rule in rules:
        frame = frames.boilerplate(rule) if len(rules) > 1 else None
        if frame is None:
            told.append(rule)
        else:
            of_frames.setdefault((frame.name, rule.chain), []).append(rule)
    parts = [_lines(told, most)] if told else []
    shown = list(of_frames.items())[:SHOWN_CHAINS]
    named: dict[str, list[str]] = {}
    for (name, chain), mine in shown:
        place = f"own in {chain}" if chain in BUILTIN else chain
        named.setdefault(name, []).append(f"{place} ({counted(mine)})")
    parts += [f"{of(name)} {', '.join(chains)}" for name, chains in named.items()]
    rest = list(of_frames.values())[SHOWN_CHAINS:]
    if rest:
        parts.append(f"{counted(rest, 'chain')} more ({counted([rule for mine in rest for rule in mine])})")
    return "; ".join(parts)


def _lines(rules: Sequence[Rule], most: int) -> str:
    several = len({rule.location.file for rule in rules}) > 1
    numbers = [
        f"{rule.location.file}:{rule.location.line}" if several else str(rule.location.line)
        for rule in rules[:most]
    ]
    more = f" and {len(rules) - most} more" if len(rules) > most else ""
    if several:
        return ", ".join(numbers) + more
    if len(rules) == 1:
        return f"line {numbers[0]}"
    return f"lines {', '.join(numbers)}{more}"


def extent_of(rules: Sequence[Rule]) -> str:
    """From where to where many rules stand: ``lines 41-113``, or ``a.v4 lines 7, 9-12; b.v6 line 3``."""
    by_file: dict[str, list[int]] = {}
    for rule in rules:
        by_file.setdefault(rule.location.file, []).append(rule.location.line)
    parts = []
    for file, lines in by_file.items():
        ranges = merged((line, line) for line in sorted(set(lines)))
        shown = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges[:SHOWN_RANGES])
        more = f" and {len(ranges) - SHOWN_RANGES} more places" if len(ranges) > SHOWN_RANGES else ""
        single = len(ranges) == 1 and ranges[0][0] == ranges[0][1]
        parts.append((f"{file} " if len(by_file) > 1 else "") + f"line{'' if single else 's'} {shown}{more}")
    return "; ".join(parts)


def protocols_text(packets: PacketSet) -> str:
    """The protocols of a packet set in words, as ``ICMP and protocols 47, 50-51``."""
    space = packets.space
    named = []
    rest = packets
    for number, name in NAMED_PROTOCOLS:
        chosen = space.value(Field.PROTOCOL, number)
        if packets.meets(chosen):
            named.append(name)
            rest -= chosen
    numbers: list[str] = []
    if rest:
        ranges = merged(
            (low, high)
            for family in (4, 6)
            for low, high, _ in space.split(
                space.of_family(rest & space.family(family), family), Field.PROTOCOL
            )
        )
        count = sum(high - low + 1 for low, high in ranges)
        text = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges[:4])
        numbers = [
            f"protocol {text}" if count == 1 else f"protocols {text}" + (", …" if len(ranges) > 4 else "")
        ]
    return " and ".join([*named, *numbers])
