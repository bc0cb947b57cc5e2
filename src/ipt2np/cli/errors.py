"""How failures reach the user: one message, one exit status, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ipt2np.reporting.terminal import ErrorConsole


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turns every failure into one message and its exit status."""
    from ipt2np.errors import InputError, InternalError, UsageError
    from ipt2np.reporting.terminal import ErrorConsole, problem_lines, write
    from ipt2np.text import printable

    console = ErrorConsole()
    try:
        yield
    except InputError as error:
        write(console, problem_lines(error.problems))
        raise typer.Exit(2) from None
    except UsageError as error:
        console.print(f"error: {printable(str(error), 1000)}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        console.print("interrupted; nothing was written")
        raise typer.Exit(130) from None
    except InternalError as error:
        _internal(console, str(error))
    except Exception as error:
        _internal(console, f"{type(error).__name__}: {error}")


def _internal(console: ErrorConsole, message: str) -> None:
    from ipt2np.text import printable

    for line in (
        f"internal error: {printable(message, 1000)}",
        "Nothing was written. This is a fault of ipt2np: please report it with the ruleset.",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(3) from None
