"""Objects to YAML by a Jinja2 template: layout and comments only, all text escaped on its way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    FunctionLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
)
from jinja2.sandbox import SandboxedEnvironment

from ipt2np.cni.base import Cni, EmittedRule, Fitted
from ipt2np.cni.manifests import LOADER
from ipt2np.errors import InternalError, UsageError
from ipt2np.frames import Frames
from ipt2np.resources import read_template
from ipt2np.rules.model import Rule
from ipt2np.text import printable

REMARKED_RULES = 8
"""A comment over an emitted rule names so many rules and counts the others."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_CIDR = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3}){3}/[0-9]{1,2}")
_CIDR6 = re.compile(r"[0-9a-f:]+/[0-9]{1,3}")


def scalar(value: Any) -> str:
    """``value`` as a YAML scalar on one line that reads back as the same text, whatever is in it."""
    text = str(value)
    # Most of a long policy is CIDRs, which are no other type of YAML.
    if _CIDR.fullmatch(text):
        return text
    return f'"{text}"' if _CIDR6.fullmatch(text) else _scalar(text)


@lru_cache(maxsize=10_000)
def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and yaml.safe_load(text) == text:
        return text
    return yaml.safe_dump(text, default_style='"', allow_unicode=False, width=2**31).rstrip("\n")


def block(value: Any, indent: int) -> str:
    """Plain data as YAML in block style, every line indented by ``indent``; empty lists and mappings on one line."""
    return "\n".join(" " * indent + line for line in _block_lines(value))


def _block_lines(value: Any) -> list[str]:
    if isinstance(value, Mapping) and value:
        lines = []
        for key, item in value.items():
            nested = _block_lines(item)
            if isinstance(item, Mapping | list) and item:
                lines += [f"{scalar(key)}:", *(f"  {line}" for line in nested)]
            else:
                lines.append(f"{scalar(key)}: {nested[0]}")
        return lines
    if isinstance(value, list) and value:
        return [mark + line for item in value for mark, line in _marked(_block_lines(item))]
    if isinstance(value, str):
        return [scalar(value)]
    return [json.dumps(value)]


def _marked(lines: list[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines):
        yield "  " if number else "- ", line


@cache
def _environment(folder: Path | None) -> Environment:
    own = FunctionLoader(read_template)
    environment = SandboxedEnvironment(
        loader=own if folder is None else ChoiceLoader([FileSystemLoader(folder), own]),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    environment.filters["text"] = scalar
    environment.filters["remark"] = printable
    environment.filters["block"] = block
    return environment


def _remarks(emitted: EmittedRule, frames: Frames) -> list[str]:
    lines = [
        f"{rule.location.file}:{rule.location.line}: {rule.text}{_belongs(rule, frames)}"
        for rule in emitted.rules[:REMARKED_RULES]
    ]
    if len(emitted.rules) > REMARKED_RULES:
        lines.append(f"and {len(emitted.rules) - REMARKED_RULES} more rules")
    return lines + list(emitted.policies)


def _belongs(rule: Rule, frames: Frames) -> str:
    """The program that made the rule, and what the rule's chain is for."""
    frame, kind = frames.of(rule), frames.kind(rule)
    if frame is None:
        return ""
    return f" ({frame.name})" if kind is None else f" ({frame.name}: {kind.purpose})"


def render(
    cni: Cni, fitted: Fitted, header: str, frames: Frames | None = None, templates: Path | None = None
) -> str:
    """The YAML text of the objects, each rule under comments that name the rules behind it and who made them.

    Deterministic. ``templates`` is a folder whose templates stand in for those of the same name. InternalError where the
    text would not read back as the very objects it was made from; UsageError where that is a user's template's doing.
    """
    remarks: list[dict[tuple[str | int, ...], list[str]]] = [{} for _ in fitted.objects]
    for emitted in fitted.emitted:
        remarks[emitted.object_index][emitted.path] = _remarks(emitted, frames or Frames())
    blamed = InternalError if templates is None else UsageError
    try:
        template = _environment(templates).get_template(cni.template)
        text = template.render(objects=fitted.objects, remarks=remarks, header=header)
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        place = f" line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
        raise blamed(f"the template {cni.template}{place} fails: {error}") from None
    if _read_back(text, blamed) != list(fitted.objects):
        raise blamed(f"the template {cni.template} does not keep the objects that it was given")
    return text


def _read_back(text: str, blamed: type[InternalError | UsageError]) -> Sequence[Any]:
    try:
        return list(yaml.load_all(text, Loader=LOADER))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise blamed(f"a template made text that is no YAML: {error}") from None
