"""Text of any origin inside GitHub's Markdown: shown as it is, and never more than text.

What GitHub makes of Markdown: https://github.github.com/gfm/. After that it looks through the text, but not through
code, for mentions, issue numbers and emoji:
https://docs.github.com/en/get-started/writing-on-github/working-with-advanced-formatting/autolinked-references-and-urls
"""

from __future__ import annotations

import re

from ipt2np.text import printable

WIDTH = 400
CODE_WIDTH = 160

_UNSEEN = "&#8203;"
"""A space of no width, between what GitHub would take together."""

_BACKSLASHED = re.compile(r"([\\`*_\[\]|~])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"}
_ENTITY = re.compile(r"[&<>$]")
_JOINED = re.compile(r"@|#(?=\d)|\bGH-(?=\d)|:(?=//)|\bwww(?=\.)|:(?=[\w+-]+:)", re.IGNORECASE)
_MARKED = re.compile(r"[^a-zA-Z0-9 ./,:;=()-]")
_RUN = re.compile(r"`+")


def prose(text: str, width: int = WIDTH) -> str:
    """``text`` on one line as running text, also in the cell of a table: no markup, no HTML, no links, nobody called.

    It must not begin a line: what stands there may mean a list or a heading.
    """
    shown = printable(text, width)
    parts = []
    end = 0
    for match in _JOINED.finditer(shown):
        parts.append(_plain(shown[end : match.end()]) + _UNSEEN)
        end = match.end()
    return "".join([*parts, _plain(shown[end:])])


def code(text: str, width: int = CODE_WIDTH) -> str:
    """``text`` on one line as code, also in the cell of a table."""
    shown = printable(text, width)
    if not shown.strip(" ") or "|" in shown:
        # A pipe ends the cell of a table, also inside a code span.
        return f"<code>{_apart(_MARKED.sub(lambda match: f'&#{ord(match[0])};', shown))}</code>"
    fence = "`" * (max((len(run) for run in _RUN.findall(shown)), default=0) + 1)
    room = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{room}{shown}{room}{fence}"


def html(text: str, width: int = WIDTH) -> str:
    """``text`` on one line inside an HTML element that stands on its own, where Markdown means nothing."""
    return _ENTITY.sub(lambda match: _ENTITIES[match[0]], printable(text, width)).replace("@", f"@{_UNSEEN}")


def link(address: str, text: str) -> str:
    """A link to one of our own sources; an address on GitHub as code, since links make references there."""
    if re.fullmatch(r"https://(?!(?:[a-z.]+\.)?github\.com/)[\w./#?=&%~+:-]+", address, re.ASCII):
        return f"[{text}]({address})"
    return code(address, WIDTH)


def _plain(text: str) -> str:
    return _ENTITY.sub(lambda match: _ENTITIES[match[0]], _BACKSLASHED.sub(r"\\\1", text))


def _apart(text: str) -> str:
    """Autolinks are looked for before tags pair up: addresses inside ``<code>`` are taken apart as elsewhere."""
    return text.replace("://", f":{_UNSEEN}//").replace("www.", f"www{_UNSEEN}.")
