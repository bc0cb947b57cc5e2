"""``-m tos`` (iptables-extensions(8)): the type of service, in IPv6 the traffic class."""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.masks import under_mask
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.names import number_of
from ipt2np.rules.values import Masked

SYMBOLS = {
    "Minimize-Delay": 0x10,
    "Maximize-Throughput": 0x08,
    "Maximize-Reliability": 0x04,
    "Minimize-Cost": 0x02,
    "Normal-Service": 0x00,
}
SYMBOL_MASK = 0x3F
"""A symbol leaves the two upper bits free (libxt_tos revision 1)."""


def _read(text: str, family: int) -> Masked:
    for symbol, bits in SYMBOLS.items():
        if symbol.lower() == text.lower():
            return Masked(bits, SYMBOL_MASK)
    value_text, slash, mask_text = text.partition("/")
    value, mask = number_of(value_text, 255), number_of(mask_text, 255) if slash else 255
    if value is None or mask is None:
        raise ValueFault(
            f"{text!r} is no type of service", "VALUE[/MASK] of 8 bits, or " + ", ".join(SYMBOLS)
        )
    return Masked(value, mask)


tos_value = Kind(
    "VALUE[/MASK]", _read, lambda value, family: f"{value.value:#04x}/{value.mask:#04x}", "0x10/0x3f"
)


def _service(view: View, wanted: Masked) -> Meaning:
    return under_mask(view, wanted, "the packet's type of service")


class Tos(MatchExtension):
    """A value under a mask, or a symbol."""

    name = "tos"
    options = (option("--tos", kinds=tos_value, negatable=True, means=_service),)
    required = (("--tos",),)
