"""How failures reach the user: one message, one exit status, never a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from ipt2np.reporting.console import ErrorConsole


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turns every failure into one message and its exit status."""
    from rich.text import Text

    from ipt2np.errors import InputError, InternalError, UsageError
    from ipt2np.reporting.console import ErrorConsole, problem_lines, write
    from ipt2np.text import printable

    console = ErrorConsole()
    try:
        yield
    except InputError as error:
        write(console, problem_lines(error.problems))
        raise typer.Exit(2) from None
    except UsageError as error:
        write(console, iter([Text(f"error: {printable(str(error), 1000)}")]))
        raise typer.Exit(2) from None
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        write(console, iter([Text("interrupted; nothing was written")]))
        raise typer.Exit(130) from None
    except InternalError as error:
        _internal(console, str(error))
    except Exception as error:
        _internal(console, f"{type(error).__name__}: {error}")


def _internal(console: ErrorConsole, message: str) -> None:
    from rich.text import Text

    from ipt2np.reporting.console import write
    from ipt2np.text import printable

    lines = (
        f"internal error: {printable(message, 1000)}",
        "Nothing was written. This is a fault of ipt2np: please report it with the ruleset.",
    )
    write(console, (Text(line) for line in lines))
    raise typer.Exit(3) from None
