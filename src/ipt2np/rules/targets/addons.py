"""Targets of other packages than iptables itself (xtables-addons(8)): what each does; options are kept as text."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.rules.extension import Effect

_BY_EFFECT: Mapping[Effect, str] = {
    Effect.REJECT: "REJECT",
    Effect.LOG: "LOG NFLOG ULOG",
    Effect.ACCEPT: "SNAT MASQUERADE",
    Effect.CONTINUE: (
        "AUDIT CHECKSUM CLASSIFY CONNSECMARK DSCP ECN HL HMARK IDLETIMER LED RATEEST SECMARK SET "
        "TCPMSS TCPOPTSTRIP TEE TOS TRACE TTL "
        "ACCOUNT DHCPMAC IPMARK LOGMARK IPV4OPTSSTRIP"
    ),
    Effect.DIVERT: "NFQUEUE SYNPROXY TPROXY TARPIT DELUDE CHAOS ECHO STEAL",
    Effect.REWRITE: "DNAT REDIRECT NETMAP DNPT SNPT CLUSTERIP RAWDNAT RAWSNAT DNETMAP",
}
ADDONS: Mapping[str, Effect] = {
    name: effect for effect, names in _BY_EFFECT.items() for name in names.split()
}
"""Name to effect."""
