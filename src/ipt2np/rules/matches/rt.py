"""``-m rt`` (ip6tables): the routing header (iptables-extensions(8), net/ipv6/netfilter/ip6t_rt.c)."""

from __future__ import annotations

from collections.abc import Iterator

from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.extension_headers import absent
from ipt2np.rules.matches.spi import said
from ipt2np.rules.model import Clause
from ipt2np.rules.values import address, integer, integer_range

HOPS = 16
"""So many addresses at most (ip6t_rt.h, IP6T_RT_HOPS)."""


def _read_addresses(text: str, family: int) -> tuple[int, ...]:
    parts = text.split(",")
    if len(parts) > HOPS:
        raise ValueFault(f"{len(parts)} addresses are too many", f"at most {HOPS}")
    return tuple(address.read(part, family) for part in parts)


def _write_addresses(value: tuple[int, ...], family: int) -> str:
    return ",".join(address.write(each, family) for each in value)


_addresses = Kind("ADDRESS[,…]", _read_addresses, _write_addresses, "fd00::1,fd00::2", "fd00::1,fd00::2")


class Rt(MatchExtension):
    """Type, segments left, length and, for type 0, reserved field and addresses of the routing header."""

    name = "rt"
    families = (6,)
    options = (
        option("--rt-type", kinds=integer(), negatable=True),
        option("--rt-segsleft", kinds=integer_range(ordered=False), negatable=True),
        option("--rt-len", kinds=integer(), negatable=True),
        option("--rt-0-res"),
        option("--rt-0-addrs", kinds=_addresses),
        option("--rt-0-not-strict"),
    )
    meaning = absent

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """What is asked of a header of type 0 needs that type."""
        normal = super().normal(clauses, family)
        given = {clause.option for clause in normal}
        if Clause("--rt-type", False, (0,)) not in normal:
            for name in ("--rt-0-res", "--rt-0-addrs"):
                if name in given:
                    raise ValueFault(f"{name} needs --rt-type 0", f"--rt-type 0 {name}", name)
        if "--rt-0-not-strict" in given and "--rt-0-addrs" not in given:
            raise ValueFault(
                "--rt-0-not-strict needs --rt-0-addrs", "--rt-0-addrs with a list", "--rt-0-not-strict"
            )
        return normal

    def texts(self, clauses: tuple[Clause, ...], family: int) -> Iterator[str]:
        """Without the range of all numbers of segments."""
        return super().texts(said(clauses), family)
