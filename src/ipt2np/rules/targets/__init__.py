"""Target extensions, families of a kind together in one file; every class here is found by itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

from ipt2np.rules.extension import TargetAsText, TargetExtension
from ipt2np.rules.registry import extensions
from ipt2np.rules.targets.addons import ADDONS


@cache
def all_targets() -> Mapping[tuple[str, int], TargetExtension]:
    """Every known target extension by name and family."""
    addons = {
        (name, family): TargetAsText(name, effect) for name, effect in ADDONS.items() for family in (4, 6)
    }
    return addons | {
        (each.name, family): each
        for each in extensions(sys.modules[__name__], TargetExtension)
        for family in each.families
    }
