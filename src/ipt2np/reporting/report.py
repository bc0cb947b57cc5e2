"""What every format of a report is made of: the plain data of the JSON report, and the files that it points into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ipt2np.sourcefile import SourceFile

SCHEMA = 1


@dataclass(frozen=True)
class Report:
    """One report; every format is a function of it."""

    data: Mapping[str, Any]
    """The JSON report, schema 1."""
    files: tuple[SourceFile, ...] = ()
