"""Match extensions, one file each (families of a kind together); every class here is found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache

from ipt2np.rules.extension import MatchExtension


@cache
def all_matches() -> Mapping[tuple[str, int], MatchExtension]:
    """Every known match extension by name and family."""
    found: dict[tuple[str, int], MatchExtension] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, MatchExtension) and hasattr(value, "name"):
                found.update({(value.name, family): value() for family in value.families})
    return found
