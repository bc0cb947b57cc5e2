"""Finds the extensions: every class of a package's modules that has a name of its own."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import TypeVar

from ipt2np.rules.extension import Extension

E = TypeVar("E", bound=Extension)


def extensions(package: ModuleType, base: type[E]) -> Iterator[E]:
    """One of each class below ``base`` that the package's modules define, in the order of their names."""
    for module_info in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, base)
                and value.__module__ == module.__name__
                and hasattr(value, "name")
            ):
                yield value()
