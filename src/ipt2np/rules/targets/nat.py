"""TEMP until merged."""

from __future__ import annotations

from dataclasses import dataclass

from ipt2np.rules.extension import Effect, Kind, TargetExtension, option
from ipt2np.rules.values import address


@dataclass(frozen=True, slots=True)
class NatRange:
    first_address: int | None = None
    last_address: int | None = None
    first_port: int | None = None
    last_port: int | None = None
    base_port: int | None = None


def _read_ports(text, family):
    a, _, b = text.partition("-")
    return (int(a), int(b or a))


def _read_to(text, family):
    if family == 6 and text.startswith("["):
        addr, _, rest = text[1:].partition("]")
        ports = rest[1:] if rest else ""
    elif family == 6:
        addr, ports = text, ""
    else:
        addr, _, ports = text.partition(":")
    a = [address(x, family) for x in addr.split("-")] if addr else [None]
    p = _read_ports(ports, family) if ports else (None, None)
    return NatRange(a[0], a[-1], *p)


_PORTS = Kind("P", _read_ports, lambda v, f: "", "1")
_TO = Kind("P", _read_to, lambda v, f: "", "1")


class Redirect(TargetExtension):
    name = "REDIRECT"
    effect = Effect.REWRITE
    tracks = True
    options = (option("--to-ports", kinds=_PORTS), option("--random"))


class Dnat(TargetExtension):
    name = "DNAT"
    effect = Effect.REWRITE
    tracks = True
    options = (option("--to-destination", kinds=_TO), option("--random"), option("--persistent"))
