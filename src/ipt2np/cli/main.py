"""``ipt2np``: commands, and how errors reach the user."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import typer

from ipt2np.cli.accept import accept
from ipt2np.cli.cnis import cnis
from ipt2np.cli.convert import convert
from ipt2np.cli.diff import diff
from ipt2np.cli.explain import explain
from ipt2np.cli.lint import lint
from ipt2np.cli.rule import rule
from ipt2np.cli.testplan import testplan
from ipt2np.cli.verify import verify

app = typer.Typer(
    name="ipt2np",
    help="Turn the packet filter of a legacy Linux host (iptables-save) into Kubernetes network policy, and prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"ipt2np {version('ipt2np')}")
        raise typer.Exit


@app.callback()
def main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Turn the packet filter of a legacy Linux host (iptables-save) into Kubernetes network policy, and prove it."""


def _add(command: Callable[..., None]) -> None:
    """Adds a command; its help is its docstring with each paragraph on one line, which fits every terminal."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    app.command(help="\n\n".join(" ".join(each.split()) for each in paragraphs))(command)


for _command in (convert, verify, diff, explain, lint, testplan, accept, cnis, rule):
    _add(_command)


def run() -> None:
    """The entry point: exit codes 0 done, 1 a finding at or above --fail-on, 2 bad input or usage, 3 internal error."""
    try:
        app()
    except KeyboardInterrupt:  # outside of what a command does itself
        typer.echo("interrupted; nothing was written", err=True)
        raise SystemExit(130) from None


if __name__ == "__main__":
    run()
