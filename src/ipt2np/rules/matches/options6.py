"""``-m dst`` and ``-m hbh`` (ip6tables-extensions(8)): destination and hop-by-hop options of IPv6."""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.extension_headers import absent
from ipt2np.rules.names import number_of
from ipt2np.rules.values import integer

MOST = 16
"""Options that one rule can name (IP6T_OPTS_OPTSNR)."""
HeaderOption = tuple[int, int]
"""An option's type and length; 255 stands for any length."""


def _read(text: str, family: int) -> tuple[HeaderOption, ...]:
    found: list[HeaderOption] = []
    for part in text.split(","):
        kind_text, colon, length_text = part.partition(":")
        kind, length = number_of(kind_text, 255), number_of(length_text, 255) if colon else 255
        if kind is None or length is None or (colon and not kind):
            raise ValueFault(
                f"{part!r} is no header option", "TYPE[:LENGTH] from 0 to 255; type 0 has no length"
            )
        found.append((kind, length))
    if len(found) > MOST:
        raise ValueFault("too many header options", f"at most {MOST}")
    return tuple(found)


def _write(value: tuple[HeaderOption, ...], family: int) -> str:
    return ",".join(str(kind) if length == 255 else f"{kind}:{length}" for kind, length in value)


_OPTIONS = Kind("TYPE[:LENGTH][,…]", _read, _write, "149:92,12")


class Dst(MatchExtension):
    """Destination options."""

    name = "dst"
    families = (6,)
    options = (
        option("--dst-len", kinds=integer(), negatable=True),
        option("--dst-opts", kinds=_OPTIONS),
    )
    meaning = absent


class Hbh(MatchExtension):
    """Hop-by-hop options."""

    name = "hbh"
    families = (6,)
    options = (
        option("--hbh-len", kinds=integer(), negatable=True),
        option("--hbh-opts", kinds=_OPTIONS),
    )
    meaning = absent
