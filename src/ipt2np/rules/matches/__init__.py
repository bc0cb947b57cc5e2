"""Match extensions, one file each (families of a kind together); every class here is found by itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache

from ipt2np.rules.extension import MatchExtension
from ipt2np.rules.registry import extensions


@cache
def all_matches() -> Mapping[tuple[str, int], MatchExtension]:
    """Every known match extension by name and family."""
    return {
        (each.name, family): each
        for each in extensions(sys.modules[__name__], MatchExtension)
        for family in each.families
    }
