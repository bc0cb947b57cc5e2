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

    What is no regular file (a pipe, a device) is written to as it is, last. UsageError where one cannot be
    written; files that existed then stay as they were.
    """
    staged: list[tuple[str, Path]] = []
    streams: list[str] = []
    name, so_far = "", "; nothing was written"
    try:
        for name, text in texts.items():
            target = Path(name).resolve()
            if target.is_dir():
                raise IsADirectoryError(None, "is a directory")
            if target.exists() and not target.is_file():
                streams.append(name)
                continue
            handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:80]}.", dir=target.parent)
            staged.append((temporary, target))
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
            so_far = ""
            staged.pop(0)
        for name in streams:
            with Path(name).open("w", encoding="utf-8", errors="surrogateescape") as stream:
                stream.write(texts[name])
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{name}: cannot be written: {why}{so_far}") from None
    finally:
        for temporary, _ in staged:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
