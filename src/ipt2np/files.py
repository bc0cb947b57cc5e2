"""Files in and out: read once, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ipt2np.errors import InputError, Location, Problem, UsageError


def read_input(name: str) -> tuple[bytes, str]:
    """The bytes of a file, or of standard input for ``-``, and the name to call it by.

    InputError where it cannot be read.
    """
    if name == "-":
        return sys.stdin.buffer.read(), "<stdin>"
    try:
        return Path(name).read_bytes(), name
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(
            [
                Problem(
                    Location(name), "", f"cannot be read: {why}", "a readable file, or - for standard input"
                )
            ]
        ) from None
    except ValueError as error:
        raise InputError(
            [Problem(Location(name), "", f"is no file name: {error}", "a readable file")]
        ) from None


def write_all(texts: Mapping[str, str]) -> None:
    """Writes every text to its file, or none: all are written beside their places before any is moved there.

    UsageError where one cannot be written; files that existed then stay as they were.
    """
    staged: list[tuple[str, Path]] = []
    name = ""
    try:
        for name, text in texts.items():
            target = Path(name)
            if target.is_dir():
                raise IsADirectoryError(None, "is a directory")
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:80]}.", dir=target.resolve().parent)
            staged.append((temporary, target.resolve()))
            with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            mode = target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
            Path(temporary).chmod(mode)
        while staged:
            temporary, target = staged[0]
            name = str(target)
            Path(temporary).replace(target)
            staged.pop(0)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{name}: cannot be written: {why}; nothing was written") from None
    finally:
        for temporary, _ in staged:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
