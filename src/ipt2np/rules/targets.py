"""Target extensions: what each does to a packet, one row each (iptables-extensions(8) 1.8.9).

``UNKNOWN`` stands where the packet itself is rewritten in a way that later rules can see.
"""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.rules.extension import Effect, Option, TargetExtension, option
from ipt2np.rules.values import word

NOTRACK_OPTION = "--notrack"

_EFFECTS: Mapping[Effect, str] = {
    Effect.ACCEPT: "ACCEPT",
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
    Effect.REWRITE: "DNAT REDIRECT NETMAP DNPT SNPT RAWDNAT RAWSNAT DNETMAP CLUSTERIP SNAT MASQUERADE",
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


def unknown_target(name: str) -> TargetExtension:
    """A target that is not known: it may accept, deny, divert or continue."""
    return TargetExtension(name, Effect.UNKNOWN)
