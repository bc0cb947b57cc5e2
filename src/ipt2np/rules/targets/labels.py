"""Targets that label a packet for other parts of the kernel (iptables-extensions(8)): nothing that filters sees it."""

from __future__ import annotations

import re

from ipt2np.rules.extension import Effect, Kind, TargetExtension, ValueFault, option
from ipt2np.rules.values import plain_string

_CLASS = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,4}):(?:0[xX])?([0-9A-Fa-f]{1,4})")


def _read_class(text: str, family: int) -> tuple[int, int]:
    found = _CLASS.fullmatch(text)
    if found is None:
        raise ValueFault(f"{text!r} is no class of traffic", "MAJOR:MINOR in hexadecimal, such as 1:a0")
    return int(found[1], 16), int(found[2], 16)


class Classify(TargetExtension):
    """Chooses the queueing class by which the packet leaves."""

    name = "CLASSIFY"
    effect = Effect.CONTINUE
    options = (
        option(
            "--set-class",
            kinds=Kind(
                "MAJOR:MINOR",
                _read_class,
                lambda value, family: f"{value[0]:04x}:{value[1]:04x}",
                "0001:00a0",
            ),
        ),
    )
    required = (("--set-class",),)


class Secmark(TargetExtension):
    """Gives the packet a security context."""

    name = "SECMARK"
    effect = Effect.CONTINUE
    options = (option("--selctx", kinds=plain_string(255, title="CONTEXT")),)
    required = (("--selctx",),)


class Connsecmark(TargetExtension):
    """Copies the security context from or to the connection."""

    name = "CONNSECMARK"
    effect = Effect.CONTINUE
    tracks = True
    options = (option("--save"), option("--restore"))
    required = exclusive = (("--save", "--restore"),)
