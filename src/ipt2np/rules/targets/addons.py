"""Targets of other packages than iptables itself (xtables-addons(8)): what each does; options are kept as text."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.rules.extension import Effect

_BY_EFFECT: Mapping[Effect, str] = {
    Effect.LOG: "LOGMARK",
    Effect.DROP: "STEAL",
    Effect.CONTINUE: "ACCOUNT DHCPMAC IPV4OPTSSTRIP",
    Effect.MARK: "IPMARK",
    Effect.DIVERT: "TARPIT DELUDE CHAOS ECHO",
    Effect.REWRITE: "DNETMAP",
    Effect.UNKNOWN: "RAWDNAT RAWSNAT",
}
ADDONS: Mapping[str, Effect] = {
    name: effect for effect, names in _BY_EFFECT.items() for name in names.split()
}
"""Name to effect."""
