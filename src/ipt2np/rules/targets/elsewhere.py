"""Targets that send a packet, or a copy of it, elsewhere (iptables-extensions(8)): TEE, TPROXY, SYNPROXY, CLUSTERIP.

Options, order and spelling after the extensions' sources in iptables 1.8.9; effects after net/netfilter/xt_TPROXY.c,
net/ipv4/netfilter/ipt_SYNPROXY.c and ipt_CLUSTERIP.c.
"""

from __future__ import annotations

from ipt2np.rules.extension import Effect, Kind, TargetExtension, ValueFault, option
from ipt2np.rules.model import Clause
from ipt2np.rules.values import (
    Masked,
    choice,
    host,
    integer,
    mac_address,
    masked,
    plain_string,
    port_of,
)


class Tee(TargetExtension):
    """Sends a copy to another host; the packet itself goes on."""

    name = "TEE"
    effect = Effect.CONTINUE
    options = (option("--gateway", kinds=host), option("--oif", kinds=plain_string(15)))
    required = (("--gateway",),)


_PORT = Kind("PORT", lambda text, family: port_of(text), lambda value, family: str(value), "8080")


class Tproxy(TargetExtension):
    """Gives the packet to a transparent proxy's socket; without one it is dropped."""

    name = "TPROXY"
    effect = Effect.DIVERT
    options = (
        option("--on-port", kinds=_PORT),
        option("--on-ip", kinds=host, default=(0,)),
        option("--tproxy-mark", kinds=masked(always=True), default=(Masked(0, 0),)),
    )
    required = (("--on-port",),)


class Synproxy(TargetExtension):
    """Answers the handshake itself and opens a connection of its own to the host only then.

    A SYN and a bare ACK end here; of a connection that began elsewhere, what has FIN or RST set goes on.
    """

    name = "SYNPROXY"
    effect = Effect.PROXY
    tracks = True
    options = (
        option("--sack-perm"),
        option("--timestamp"),
        option("--wscale", kinds=integer(0xFF)),
        option("--mss", kinds=integer(0xFFFF)),
        option("--ecn"),
    )


def _read_multicast(text: str, family: int) -> str:
    found = str(mac_address(text, family))
    if not int(found[:2], 16) & 1:
        raise ValueFault(f"{text} is no multicast address", "a MAC address with an odd first byte")
    return found.upper()


_NODE = integer(16, 1)
_DESCRIPTION = ("--hashmode", "--clustermac", "--total-nodes", "--local-node")


class Clusterip(TargetExtension):
    """Shares an address among hosts: each drops the packets of the others, and marks the connections."""

    name = "CLUSTERIP"
    effect = Effect.UNKNOWN
    tracks = True
    families = (4,)
    options = (
        option("--new"),
        option("--hashmode", kinds=choice("sourceip", "sourceip-sourceport", "sourceip-sourceport-destport")),
        option(
            "--clustermac",
            kinds=Kind("MAC", _read_multicast, lambda value, family: str(value), "01:00:5E:00:00:20"),
        ),
        option("--total-nodes", kinds=_NODE),
        option("--local-node", kinds=_NODE),
        option("--hash-init", kinds=integer()),
    )

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """Everything with ``--new``; without it the rule joins what another one has described."""
        given = {clause.option for clause in clauses}
        missing = [name for name in ("--new", *_DESCRIPTION) if name not in given]
        if given and missing:
            raise ValueFault(
                f"{missing[0]} is missing", "all of --new, " + ", ".join(_DESCRIPTION) + ", or none"
            )
        if given and "--hash-init" not in given:
            clauses = (*clauses, Clause("--hash-init", False, (0,)))
        return super().normal(clauses, family)
