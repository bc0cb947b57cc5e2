"""What went wrong, as values: where, in which line, why, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A place in an input file; ``line`` and ``column`` count from 1, 0 means the whole file."""

    file: str
    line: int = 0
    column: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of the input: the place, the line's text, what is wrong and what was expected."""

    location: Location
    text: str
    message: str
    expected: str = ""
    width: int = 1


class InputError(Exception):
    """The input cannot be used; carries every problem found, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "; ".join(f"{p.location.file}:{p.location.line}: {p.message}" for p in self.problems)
        )


class UsageError(Exception):
    """An option's value cannot be used; the message names the option and what it takes."""


class TargetLimit(UsageError):
    """What was asked for exceeds a hard limit of the target, which the message names."""


class InternalError(Exception):
    """ipt2np contradicts itself (exit 3): nothing may be written."""
