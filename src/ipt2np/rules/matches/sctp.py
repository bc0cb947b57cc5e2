"""``-m sctp`` (iptables-extensions(8)): ports, and the chunks that a packet holds (net/netfilter/xt_sctp.c)."""

from __future__ import annotations

from typing import NamedTuple

from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.ports import SAID_PORT_OPTIONS
from ipt2np.rules.meaning import Half, Meaning, View

TYPES = {
    "DATA": 0, "INIT": 1, "INIT_ACK": 2, "SACK": 3, "HEARTBEAT": 4, "HEARTBEAT_ACK": 5, "ABORT": 6, "SHUTDOWN": 7,
    "SHUTDOWN_ACK": 8, "ERROR": 9, "COOKIE_ECHO": 10, "COOKIE_ACK": 11, "ECN_ECNE": 12, "ECN_CWR": 13,
    "SHUTDOWN_COMPLETE": 14, "I_DATA": 64, "ASCONF_ACK": 128, "RE_CONFIG": 130, "PAD": 132, "FORWARD_TSN": 192,
    "ASCONF": 193, "I_FORWARD_TSN": 194,
}  # fmt: skip
NAMES = {number: name for name, number in TYPES.items()}
FLAGS = {"DATA": "IUBE", "I_DATA": "IUBE", "ABORT": "T", "SHUTDOWN_COMPLETE": "T"}
"""The flags of a type of chunk, the last one the lowest bit."""
FLAGGED = 4
"""So many types with flags at most (xt_sctp.h, XT_NUM_SCTP_FLAGS)."""
INIT = TYPES["INIT"]
SCOPES = ("any", "all", "only")


class Chunk(NamedTuple):
    """A type of chunk, and which of its flags must be set or clear: the bits under ``mask``."""

    number: int
    mask: int = 0
    flags: int = 0


ALL = tuple(Chunk(number) for number in range(256))
_SPECIAL = {"ALL": ALL, "NONE": ()}


def _chunk(text: str) -> Chunk:
    """``TYPE[:FLAGS]``; a flag in upper case must be set, in lower case clear."""
    name, _, wanted = text.partition(":")
    name = name.upper()
    if name not in TYPES:
        raise ValueFault(f"{name!r} is not an SCTP chunk type", "ALL, NONE or a list of " + ", ".join(TYPES))
    known = FLAGS.get(name, "")
    mask = flags = 0
    for letter in wanted:
        if letter.upper() not in known:
            raise ValueFault(
                f"{letter!r} is no flag of {name} chunks",
                f"flags out of {known}" if known else f"{name} without flags",
            )
        bit = 1 << (len(known) - 1 - known.index(letter.upper()))
        mask |= bit
        flags |= bit if letter.isupper() else 0
    return Chunk(TYPES[name], mask, flags)


def _read_chunks(text: str, family: int) -> tuple[Chunk, ...]:
    """``TYPE[:FLAGS][,…]`` by ascending number; ``ALL`` is every type, ``NONE`` none."""
    if text.upper() in _SPECIAL:
        return _SPECIAL[text.upper()]
    found: dict[int, Chunk] = {}
    for part in filter(None, text.split(",")):
        chunk = _chunk(part)
        before = found.get(chunk.number, Chunk(chunk.number))
        found[chunk.number] = Chunk(chunk.number, before.mask | chunk.mask, before.flags | chunk.flags)
    if not found:
        raise ValueFault("a chunk type is missing", "ALL, NONE or a list of " + ", ".join(TYPES))
    if sum(bool(chunk.mask) for chunk in found.values()) > FLAGGED:
        raise ValueFault("too many chunk types with flags", f"flags at {FLAGGED} types at most")
    # iptables 1.8.9 files the flags under the type's place in its table, which is its number up to 14 only.
    kept = (chunk if chunk.number <= 14 else Chunk(chunk.number) for chunk in found.values())
    return tuple(sorted(kept))


def _write_chunks(value: tuple[Chunk, ...], family: int) -> str:
    for name, special in _SPECIAL.items():
        if value == special:
            return name
    return ",".join(_write_chunk(chunk) for chunk in value)


def _write_chunk(chunk: Chunk) -> str:
    name = NAMES[chunk.number]
    known = FLAGS.get(name, "")
    bits = {letter: 1 << (len(known) - 1 - place) for place, letter in enumerate(known)}
    wanted = [
        letter if chunk.flags & bit else letter.lower() for letter, bit in bits.items() if chunk.mask & bit
    ]
    return f"{name}:{''.join(wanted)}" if wanted else name


def _read_scope(text: str, family: int) -> str:
    if text.lower() not in SCOPES:
        raise ValueFault(f"{text!r} is not known here", "one of " + ", ".join(SCOPES))
    return text.lower()


_scope = Kind("any|all|only", _read_scope, lambda value, family: str(value), "any")
_chunks = Kind("TYPE[:FLAGS][,…]", _read_chunks, _write_chunks, "INIT")


def _chunk_types(view: View, scope: str, chunks: tuple[Chunk, ...]) -> Meaning:
    """The first packet of an association holds one INIT chunk, which has no flags, and nothing else (RFC 9260, 6.10).

    What later packets hold no header says; that they hold some chunk is certain.
    """
    listed = {chunk.number for chunk in chunks}
    if view.half is Half.FIRST:
        holds = {"any": INIT in listed, "all": listed <= {INIT}, "only": INIT in listed}
        return view.constantly(holds[scope])
    if not chunks:
        return view.constantly(scope == "all")
    if chunks == ALL and scope != "all":
        return view.always()
    return view.undecided("chunk types inside an SCTP association")


class Sctp(MatchExtension):
    """Ports, and whether any, all or only the listed types are among a packet's chunks."""

    name = "sctp"
    protocols = implied_by = (132,)
    options = (
        *SAID_PORT_OPTIONS,
        option("--chunk-types", kinds=(_scope, _chunks), negatable=True, means=_chunk_types),
    )
