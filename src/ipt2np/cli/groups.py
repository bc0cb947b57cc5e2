"""Options that several commands share: declared once, as the fields of a dataclass that a command takes whole."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command as typer is to see it: a parameter whose type is a dataclass becomes one for each of its fields."""
    hints = get_type_hints(command, include_extras=True)
    own = inspect.signature(command).parameters
    groups = {name: hints[name] for name in own if is_dataclass(hints[name])}
    parameters: list[inspect.Parameter] = []
    for name, parameter in own.items():
        if name in groups:
            parameters += _flat(groups[name])
        else:
            parameters.append(parameter.replace(kind=_KEYWORD, annotation=hints[name]))

    @wraps(command)
    def flat(**values: Any) -> None:
        made = {
            name: group(**{each.name: values.pop(each.name) for each in fields(group)})
            for name, group in groups.items()
        }
        command(**made, **values)

    del flat.__wrapped__  # its signature is not the one to show
    flat.__annotations__ = {each.name: each.annotation for each in parameters}
    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return flat


def _flat(group: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    own = inspect.get_annotations(group)
    # What a group adds to another one is shown before what it takes over.
    for each in sorted(fields(group), key=lambda each: each.name not in own):
        yield inspect.Parameter(each.name, _KEYWORD, default=_default(each), annotation=hints[each.name])


def _default(field: Field[Any]) -> Any:
    return inspect.Parameter.empty if field.default is MISSING else field.default
