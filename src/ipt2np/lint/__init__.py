"""Lint: rules that do nothing, do the same twice, contradict themselves, or let in too much."""

from ipt2np.lint.lint import CODES, Linted, lint

__all__ = ["CODES", "Linted", "lint"]
