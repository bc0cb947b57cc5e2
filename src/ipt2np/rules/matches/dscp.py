"""``-m dscp`` (iptables-extensions(8)): the differentiated services field."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, ValueFault, option
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer

CLASSES: Mapping[str, int] = {
    "CS0": 0x00, "CS1": 0x08, "CS2": 0x10, "CS3": 0x18, "CS4": 0x20, "CS5": 0x28, "CS6": 0x30, "CS7": 0x38,
    "BE": 0x00, "AF11": 0x0A, "AF12": 0x0C, "AF13": 0x0E, "AF21": 0x12, "AF22": 0x14, "AF23": 0x16,
    "AF31": 0x1A, "AF32": 0x1C, "AF33": 0x1E, "AF41": 0x22, "AF42": 0x24, "AF43": 0x26, "EF": 0x2E,
}  # fmt: skip
"""Classes of service by name (RFC 2474, RFC 2597, RFC 3246)."""


def _read_class(text: str, family: int) -> int:
    found = next((value for name, value in CLASSES.items() if text.upper().startswith(name)), None)
    if found is None:
        raise ValueFault(f"{text!r} is no class", "one of " + ", ".join(CLASSES))
    return found


def _write(value: int, family: int) -> str:
    return f"0x{value:02x}"


code_point = Kind("VALUE", integer(0x3F).read, _write, "0x2e")
"""A code point from 0 to 63."""
service_class = Kind("CLASS", _read_class, _write, "EF")
"""A code point by the name of its class."""


class Dscp(MatchExtension):
    """The code point, or the class that stands for one."""

    name = "dscp"
    options = (
        option(
            "--dscp",
            kinds=code_point,
            negatable=True,
            means=Undecided("the packet's DSCP, which no policy can test"),
        ),
        option("--dscp-class", kinds=service_class, negatable=True),
    )
    required = exclusive = (("--dscp", "--dscp-class"),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """A class as its code point."""
        (clause,) = super().normal(clauses, family)
        return (Clause("--dscp", clause.negated, clause.values),)
