"""Target extensions: what each does to a packet, one row each (iptables-extensions(8) 1.8.9).

``REWRITE`` stands where the packet is rewritten in a way that later rules can see. SNAT and MASQUERADE, which nat
INPUT knows, rewrite it behind all rules: to them it is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.rules.extension import Effect, Option, TargetExtension, option
from ipt2np.rules.values import word

NOTRACK_OPTION = "--notrack"

_EFFECTS: Mapping[Effect, str] = {
    Effect.ACCEPT: "ACCEPT SNAT MASQUERADE",
    Effect.DROP: "DROP",
    Effect.REJECT: "REJECT",
    Effect.RETURN: "RETURN",
    Effect.LOG: "LOG NFLOG ULOG",
    Effect.UNTRACK: "NOTRACK",
    Effect.CONTINUE: (
        "AUDIT CHECKSUM CLASSIFY CONNMARK CONNSECMARK CT DSCP ECN HL HMARK IDLETIMER LED MARK RATEEST SECMARK SET "
        "TCPMSS TCPOPTSTRIP TEE TOS TRACE TTL ACCOUNT DHCPMAC IPMARK LOGMARK IPV4OPTSSTRIP"
    ),
    Effect.DIVERT: "NFQUEUE QUEUE SYNPROXY TPROXY TARPIT DELUDE CHAOS ECHO STEAL",
    Effect.REWRITE: "DNAT REDIRECT NETMAP DNPT SNPT RAWDNAT RAWSNAT DNETMAP CLUSTERIP",
}
_OPTIONS: Mapping[str, tuple[Option, ...]] = {
    "ACCEPT": (), "DROP": (), "RETURN": (), "NOTRACK": (), "QUEUE": (), "TRACE": (),
    "REJECT": (option("--reject-with", kinds=word),),
}  # fmt: skip

TARGETS: Mapping[str, TargetExtension] = {
    name: TargetExtension(name, effect, _OPTIONS.get(name))
    for effect, names in _EFFECTS.items()
    for name in names.split()
}


QUEUE_BYPASS = TargetExtension("NFQUEUE", Effect.MAY_DIVERT)
"""``-j NFQUEUE --queue-bypass``."""


def unknown_target(name: str) -> TargetExtension:
    """A target that is not known: it may accept, deny, divert or continue."""
    return TargetExtension(name, Effect.UNKNOWN)
