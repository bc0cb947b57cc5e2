"""The hosts of samples/: each dump by itself, and both families together where a host has both."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ipt2np import Draft, Identity, InDoubt, Options, OtherFamily, Ruleset, draft, parse_ruleset

FOLDER = Path(__file__).parents[1] / "samples"
IDENTITY = Identity("web", "shop", {"app": "web", "tier": "front"})

_BY_STEM: dict[str, list[str]] = {}
for _path in sorted(FOLDER.glob("*.v[46]")):
    _BY_STEM.setdefault(_path.stem, []).append(_path.name)

HOSTS: Mapping[str, tuple[str, ...]] = {
    **{name: (name,) for names in _BY_STEM.values() for name in names},
    **{f"{stem}, both": tuple(names) for stem, names in _BY_STEM.items() if len(names) == 2},
}
"""A title to the files that make up the host."""


def rulesets(files: tuple[str, ...]) -> list[Ruleset]:
    """The parsed dumps, rules numbered apart."""
    result: list[Ruleset] = []
    number = 0
    for name in files:
        family = int(name[-1])
        result.append(parse_ruleset((FOLDER / name).read_bytes(), name, family=family, first_number=number))
        number = max([number, *(rule.number + 1 for rule in result[-1].rules)])
    return result


@cache
def drafted(
    host: str, in_doubt: InDoubt = InDoubt.DENY, other_family: OtherFamily = OtherFamily.DENY
) -> Draft:
    """The host's policy, not yet proven."""
    options = Options(identity=IDENTITY, in_doubt=in_doubt, other_family=other_family)
    return draft(rulesets(HOSTS[host]), options)
