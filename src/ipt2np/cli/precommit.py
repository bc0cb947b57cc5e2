"""What `.pre-commit-hooks.yaml` runs: a command that takes one ruleset, for each of the files that pre-commit names.

``python -m ipt2np.cli.precommit COMMAND [OPTION…] [--] FILE…``. The exit status is the worst of all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Options, and the files behind ``--``; without it those of the last arguments that are names of files."""
    if "--" in arguments:
        end = len(arguments) - 1 - list(reversed(arguments)).index("--")
        return list(arguments[:end]), list(arguments[end + 1 :])
    end = len(arguments)
    while end and Path(arguments[end - 1]).is_file():
        end -= 1
    return list(arguments[:end]), list(arguments[end:])


def run(arguments: Sequence[str]) -> int:
    """Runs the command for each file; the worst exit status, 2 where no command is named."""
    from ipt2np.cli.main import app

    if not arguments:
        typer.echo("usage: python -m ipt2np.cli.precommit COMMAND [OPTION…] [--] FILE…", err=True)
        return 2
    command, *rest = arguments
    options, files = split(rest)
    worst = 0
    for file in files:
        name = f"./{file}" if file.startswith("-") else file
        try:
            app([command, *options, name])
        except SystemExit as ended:
            worst = max(worst, ended.code if isinstance(ended.code, int) else 1)
    return worst


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
