"""Targets that change a header's fields, none of which decides about a packet (iptables-extensions(8)).

DSCP, TOS, ECN, TTL, HL, TCPMSS, TCPOPTSTRIP and CHECKSUM; options, order and spelling after the extensions' sources in
iptables 1.8.9.
"""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.rules.extension import Effect, Kind, TargetExtension, ValueFault, option
from ipt2np.rules.matches.dscp import code_point, service_class
from ipt2np.rules.model import Clause
from ipt2np.rules.names import number_of
from ipt2np.rules.values import Masked, integer


class Dscp(TargetExtension):
    """Sets the code point, given as a number or as the class that stands for one."""

    name = "DSCP"
    effect = Effect.CONTINUE
    options = (option("--set-dscp", kinds=code_point), option("--set-dscp-class", kinds=service_class))
    required = exclusive = (("--set-dscp", "--set-dscp-class"),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """A class as its code point."""
        (clause,) = super().normal(clauses, family)
        return (Clause("--set-dscp", False, clause.values),)


_SERVICES: Mapping[str, int] = {
    "minimize-delay": 0x10,
    "maximize-throughput": 0x08,
    "maximize-reliability": 0x04,
    "minimize-cost": 0x02,
    "normal-service": 0,
}
"""The types of service of RFC 1349; each sets all but the two uppermost bits."""


def _read_service(text: str, family: int) -> Masked:
    named = _SERVICES.get(text.lower())
    if named is not None:
        return Masked(named, 0x3F)
    value_text, slash, mask_text = text.partition("/")
    value, mask = number_of(value_text, 0xFF), number_of(mask_text, 0xFF) if slash else 0xFF
    if value is None or mask is None:
        raise ValueFault(
            f"{text!r} is no type of service",
            "VALUE[/MASK], each from 0 to 255, or one of " + ", ".join(_SERVICES),
        )
    return Masked(value, mask)


_SERVICE = Kind(
    "VALUE[/MASK]",
    _read_service,
    lambda value, family: f"0x{value.value:02x}/0x{value.mask:02x}",
    "0x10/0x3f",
)
_TOS_OPERATIONS = ("--set-tos", "--and-tos", "--or-tos", "--xor-tos")


class Tos(TargetExtension):
    """Clears the bits of a mask in the type of service, then XORs a value."""

    name = "TOS"
    effect = Effect.CONTINUE
    options = (
        option("--set-tos", kinds=_SERVICE),
        *(option(name, kinds=integer(0xFF, title="BITS")) for name in _TOS_OPERATIONS[1:]),
    )
    required = exclusive = (_TOS_OPERATIONS,)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """As ``--set-tos VALUE/MASK``."""
        (clause,) = super().normal(clauses, family)
        (given,) = clause.values
        if isinstance(given, int):
            given = {
                "--and-tos": Masked(0, 0xFF & ~given),
                "--or-tos": Masked(given, given),
                "--xor-tos": Masked(given, 0),
            }[clause.option]
        return (Clause("--set-tos", False, (given,)),)


class Ecn(TargetExtension):
    """Sets bits of explicit congestion notification."""

    name = "ECN"
    effect = Effect.CONTINUE
    families = (4,)
    options = (
        option("--ecn-tcp-remove"),
        option("--ecn-tcp-ece", kinds=integer(1)),
        option("--ecn-tcp-cwr", kinds=integer(1)),
        option("--ecn-ip-ect", kinds=integer(3)),
    )
    required = (("--ecn-tcp-remove", "--ecn-tcp-ece", "--ecn-tcp-cwr", "--ecn-ip-ect"),)
    exclusive = (("--ecn-tcp-remove", "--ecn-tcp-ece"), ("--ecn-tcp-remove", "--ecn-tcp-cwr"))

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """Both bits of TCP cleared is a removal if it is all; a removal forgets what stood before it."""
        super().normal(clauses, family)
        bits: dict[str, int] = {}
        for clause in clauses:
            if clause.option == "--ecn-tcp-remove":
                bits = {"--ecn-tcp-ece": 0, "--ecn-tcp-cwr": 0}
                continue
            for value in clause.values:
                assert isinstance(value, int)
                bits[clause.option] = value
        if bits == {"--ecn-tcp-ece": 0, "--ecn-tcp-cwr": 0}:
            return (Clause("--ecn-tcp-remove"),)
        return super().normal(tuple(Clause(name, False, (value,)) for name, value in bits.items()), family)


class Ttl(TargetExtension):
    """Changes the time to live."""

    name = "TTL"
    effect = Effect.CONTINUE
    families = (4,)
    options = (
        option("--ttl-set", kinds=integer(0xFF)),
        option("--ttl-dec", kinds=integer(0xFF, 1)),
        option("--ttl-inc", kinds=integer(0xFF, 1)),
    )
    required = exclusive = (("--ttl-set", "--ttl-dec", "--ttl-inc"),)


class Hl(TargetExtension):
    """Changes the hop limit."""

    name = "HL"
    effect = Effect.CONTINUE
    families = (6,)
    options = (
        option("--hl-set", kinds=integer(0xFF)),
        option("--hl-dec", kinds=integer(0xFF, 1)),
        option("--hl-inc", kinds=integer(0xFF, 1)),
    )
    required = exclusive = (("--hl-set", "--hl-dec", "--hl-inc"),)


class Tcpmss4(TargetExtension):
    """Lowers the maximum segment size that a SYN announces."""

    name = "TCPMSS"
    effect = Effect.CONTINUE
    families = (4,)
    options = (option("--set-mss", kinds=integer(0xFFFF - 20)), option("--clamp-mss-to-pmtu"))
    required = exclusive = (("--set-mss", "--clamp-mss-to-pmtu"),)


class Tcpmss6(Tcpmss4):
    """The same in IPv6, whose header is longer."""

    families = (6,)
    options = (option("--set-mss", kinds=integer(0xFFFF - 40)), option("--clamp-mss-to-pmtu"))


_TCP_OPTIONS: Mapping[str, int] = {
    "wscale": 3,
    "mss": 2,
    "sack-permitted": 4,
    "sack": 5,
    "timestamp": 8,
    "md5": 19,
}


def _read_tcp_options(text: str, family: int) -> tuple[int, ...]:
    found = set()
    for part in text.split(","):
        number = _TCP_OPTIONS.get(part, number_of(part, 0xFF))
        if number is None or number < 2:
            raise ValueFault(
                f"{part!r} is no TCP option that can be stripped",
                "a list of numbers from 2 to 255 or of " + ", ".join(_TCP_OPTIONS),
            )
        found.add(number)
    return tuple(sorted(found))


class Tcpoptstrip(TargetExtension):
    """Overwrites TCP options with padding."""

    name = "TCPOPTSTRIP"
    effect = Effect.CONTINUE
    options = (
        option(
            "--strip-options",
            kinds=Kind(
                "OPTION[,…]",
                _read_tcp_options,
                lambda value, family: ",".join(map(str, value)),
                "sack,timestamp",
            ),
        ),
    )


class Checksum(TargetExtension):
    """Computes the checksum that the card was to fill in."""

    name = "CHECKSUM"
    effect = Effect.CONTINUE
    options = (option("--checksum-fill"),)
    required = (("--checksum-fill",),)
