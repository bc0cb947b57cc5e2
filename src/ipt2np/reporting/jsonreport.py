"""The JSON report: a stable interface (schema 1)."""

from __future__ import annotations

import json

from ipt2np.reporting.report import Report


def text(report: Report) -> str:
    """The report as JSON text, the same bytes for the same input."""
    return json.dumps(report.data, indent=1, ensure_ascii=True) + "\n"
