"""How findings speak of rules."""

from __future__ import annotations

from collections.abc import Sequence

from ipt2np.rules.model import Rule


def counted(rules: Sequence[object], what: str = "rule") -> str:
    """How many, in words: ``1 rule``, ``3 rules``."""
    return f"{len(rules)} {what}{'' if len(rules) == 1 else 's'}"


def lines_of(rules: Sequence[Rule], most: int = 8) -> str:
    """Where rules stand, for the end of a message: ``line 7`` or ``lines 7, 9, 12 and 40 more``."""
    several = len({rule.location.file for rule in rules}) > 1
    numbers = [
        f"{rule.location.file}:{rule.location.line}" if several else str(rule.location.line)
        for rule in rules[:most]
    ]
    if several:
        return ", ".join(numbers) + (f" and {len(rules) - most} more" if len(rules) > most else "")
    if len(rules) == 1:
        return f"line {numbers[0]}"
    more = f" and {len(rules) - most} more" if len(rules) > most else ""
    return f"lines {', '.join(numbers)}{more}"
