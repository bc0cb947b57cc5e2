"""The HTML report: one file that needs nothing else, for people who review.

What comes from the input is text in it, never markup: every value that the template prints is escaped, characters that
do not show (controls, changes of direction) are spelled out, and a Content-Security-Policy admits only the style and the
script that are part of the template, by their digests.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from ipt2np.reporting.htmlview import service_text, view
from ipt2np.reporting.phrases import counted
from ipt2np.reporting.report import Report
from ipt2np.resources import read_template

PER_CHUNK = 100
"""Lines that a browser may leave unpainted together while they are out of sight."""

_CUTS = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def html(report: Report) -> str:
    """The report as one HTML file: deterministic, pure, all that is not the template's own escaped."""
    style, script = read_template("report.css"), read_template("report.js")
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            view(report),
            style=Markup(style),
            script=Markup(script),
            style_digest=_digest(style),
            script_digest=_digest(script),
        )
    )


def shown(text: str) -> str:
    """``text`` with the characters that do not show spelled out; tabs stay, they are layout."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _finalize(value: Any) -> Any:
    """What the template prints of a value; escaping comes after it."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return shown(value)
    return value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FunctionLoader(read_template),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["longer_than"] = lambda text, length: len(text) > length
    environment.filters["service"] = service_text
    environment.filters["count_of"] = lambda items, *words: counted(len(items), *words)
    environment.filters["count"] = counted
    environment.filters["web"] = _web
    environment.filters["data"] = _json_text
    environment.filters["chunks"] = _chunks
    return environment


def _digest(text: str) -> str:
    """The text's digest as a source of a Content-Security-Policy names it (CSP3, 2.3.1)."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _json_text(value: Any) -> Markup:
    """JSON that ends no element and no line of a script, whatever is in it; its texts are ``shown`` as others are."""
    text = json.dumps(_shown_in(value), ensure_ascii=True, separators=(",", ":"))
    return Markup(re.sub("[<>&]", lambda found: _CUTS[found[0]], text))


def _shown_in(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown_in(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shown_in(each) for each in value]
    return shown(value) if isinstance(value, str) else value


def _web(text: Any) -> bool:
    """True for the address of a page; nothing else becomes a link out of the report."""
    return isinstance(text, str) and re.fullmatch(r"https?://[!-~]+", text) is not None


def _chunks(lines: Sequence[Any]) -> list[Sequence[Any]]:
    return [lines[start : start + PER_CHUNK] for start in range(0, len(lines), PER_CHUNK)]
