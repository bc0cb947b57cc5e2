"""``-m sctp`` (iptables-extensions(8))."""

from __future__ import annotations

import re

from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.ports import PORT_OPTIONS
from ipt2np.rules.meaning import Half, Meaning, View
from ipt2np.rules.values import words_of

CHUNKS = (
    *("DATA", "INIT", "INIT_ACK", "SACK", "HEARTBEAT", "HEARTBEAT_ACK", "ABORT", "SHUTDOWN", "SHUTDOWN_ACK"),
    *("ERROR", "COOKIE_ECHO", "COOKIE_ACK", "ECN_ECNE", "ECN_CWR", "SHUTDOWN_COMPLETE", "ASCONF"),
    *("ASCONF_ACK", "FORWARD_TSN", "I_DATA", "I_FORWARD_TSN", "RE_CONFIG", "PAD"),
)


def _read_chunks(text: str, family: int) -> frozenset[str]:
    """``TYPE[:FLAGS][,...]``; ``ALL`` and ``NONE`` as in the manual. A type with flags keeps them."""
    names = frozenset(part.upper() for part in text.split(","))
    for name in names:
        if not re.fullmatch(r"[A-Z_]+(:[A-Z]+)?", name) or name.partition(":")[0] not in (
            *CHUNKS,
            "ALL",
            "NONE",
        ):
            raise ValueFault(f"{name!r} is not an SCTP chunk type", "a list of " + ", ".join(CHUNKS))
    return names


_chunks = Kind("TYPE[:FLAGS][,…]", _read_chunks, lambda value, family: ",".join(sorted(value)), "INIT")


def _chunk_types(view: View, scope: frozenset[str], chunks: frozenset[str]) -> Meaning:
    """The first packet of an association holds one INIT chunk and nothing else (RFC 9260, 6.10)."""
    why = "chunk types inside an SCTP association"
    if view.half is Half.LATER or any(":" in chunk for chunk in chunks):
        return view.undecided(why)
    listed = frozenset(CHUNKS) if "ALL" in chunks else chunks - {"NONE"}
    held = frozenset({"INIT"})
    if scope == {"ANY"}:
        return view.constantly(bool(listed & held))
    if scope == {"ALL"}:
        return view.constantly(listed <= held)
    return view.constantly(held <= listed)


class Sctp(MatchExtension):
    """Ports and chunk types of SCTP."""

    name = "sctp"
    protocols = implied_by = (132,)
    options = (
        *PORT_OPTIONS,
        option(
            "--chunk-types",
            kinds=(words_of("ALL", "ANY", "ONLY"), _chunks),
            negatable=True,
            means=_chunk_types,
        ),
    )
