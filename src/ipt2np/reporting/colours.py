"""Colours at a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.findings.catalogue import Severity

SEVERITY_COLOURS: Mapping[Severity, str] = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.INFO: "cyan",
}
