"""Why a rule matches a packet, or does not, match by match and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from ipt2np.packets import AddressSet, Field, PacketSet
from ipt2np.packets.intervals import ADDRESS_BITS, Range
from ipt2np.rules.interfaces import Interfaces
from ipt2np.rules.meaning import Half
from ipt2np.rules.names import protocol_name
from ipt2np.semantics.states import State
from ipt2np.semantics.trace import Outcome, Step, Trace
from ipt2np.semantics.walk import Part

SHOWN_VALUES = 3
ADDRESSES = (Field.SOURCE, Field.DESTINATION)

FIELD_NAMES: Mapping[Field, str] = {
    Field.SOURCE: "source",
    Field.DESTINATION: "destination",
    Field.PROTOCOL: "protocol",
    Field.INTERFACE: "interface",
    Field.DESTINATION_PORT: "port",
    Field.SOURCE_PORT: "source port",
    Field.ICMP_TYPE: "ICMP type",
    Field.ICMP_CODE: "ICMP code",
}
_FIELDS: Mapping[str, Field] = {
    "--source": Field.SOURCE,
    "--src-range": Field.SOURCE,
    "--destination": Field.DESTINATION,
    "--dst-range": Field.DESTINATION,
    "--protocol": Field.PROTOCOL,
    "--in-interface": Field.INTERFACE,
    "--destination-port": Field.DESTINATION_PORT,
    "--destination-ports": Field.DESTINATION_PORT,
    "--ports": Field.DESTINATION_PORT,
    "--source-port": Field.SOURCE_PORT,
    "--source-ports": Field.SOURCE_PORT,
    "--icmp-type": Field.ICMP_TYPE,
    "--icmpv6-type": Field.ICMP_TYPE,
}
_TOPICS: Mapping[str, str] = {
    "state": "state",
    "conntrack": "state",
    "mark": "mark",
    "connmark": "connection mark",
    "set": "ipset",
    "addrtype": "kind of address",
    "limit": "rate",
    "hashlimit": "rate",
    "recent": "recent list",
    "tcp": "TCP flags",
}


class Holds(Enum):
    """Whether a part of a rule holds for the packets that come to it."""

    YES = "yes"
    NO = "no"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Reason:
    """One part of a rule, and whether it holds."""

    text: str
    """The part as iptables-save writes it; empty where it is about the whole rule."""
    topic: str
    """What it asks for, in a word or two."""
    holds: Holds
    why: str
    """In words, as the end of a sentence; empty where the part says it all."""
    unsaid: tuple[Field, ...] = ()
    """The fields that would settle it and that nobody said."""
    open: tuple[str, ...] = ()
    """What is open beside them."""
    assumed: tuple[str, ...] = ()
    """The assumptions by which the part holds."""


def reasons(trace: Trace, step: Step) -> Iterator[Reason]:
    """The parts of a step's rule, those that decide whether it matches first; none for a policy."""
    if step.rule is None:
        return
    told = False
    by_protocol: set[Holds] = set()
    for part in trace.side.walker.parts(step.base, step.rule, trace.half, step.strand.state):
        holds = _holds(part, step.strand.packets)
        told = told or holds is not Holds.YES
        if _topic(part) == "protocol":
            if not part.clauses and holds in by_protocol:
                continue  # a match for a protocol says no more than the -p before it
            by_protocol.add(holds)
        yield _reason(trace, step, part, holds)
    if step.outcome is Outcome.NOT_MATCHED and not told:
        yield Reason("", "match", Holds.NO, "no packet has all of that at once")


def decisive(trace: Trace, step: Step) -> list[Reason]:
    """The parts because of which a rule does not match, else those that leave it open; else none."""
    found = list(reasons(trace, step))
    wanted = {Outcome.NOT_MATCHED: Holds.NO, Outcome.UNDECIDED: Holds.OPEN}.get(step.outcome)
    return [each for each in found if each.holds is wanted] or (
        [each for each in found if each.holds is Holds.OPEN] if wanted else []
    )


def topic(trace: Trace, step: Step) -> str:
    """What the first part asks for that does not hold: cheap, for long runs of rules."""
    assert step.rule is not None
    for part in trace.side.walker.parts(step.base, step.rule, trace.half, step.strand.state):
        if _holds(part, step.strand.packets) is Holds.NO:
            return _topic(part)
    return "several parts at once"


def _holds(part: Part, packets: PacketSet) -> Holds:
    if not packets.meets(part.meaning.may):
        return Holds.NO
    return Holds.YES if packets <= part.meaning.must else Holds.OPEN


def _topic(part: Part) -> str:
    if part.use is None:
        return "assumption"
    if not part.clauses:
        return "protocol"
    options = [clause.option for clause in part.clauses]
    if len(options) == 1 and options[0] in _FIELDS:
        return FIELD_NAMES[_FIELDS[options[0]]]
    return _TOPICS.get(part.use.extension.name, f"-m {part.use.extension.name}")


def _text(part: Part, family: int) -> str:
    if part.use is None:
        return ""
    name = part.use.extension.name
    words = " ".join(
        [*part.use.extension.texts(part.clauses, family), *([part.use.text] if part.use.text else [])]
    )
    return words if name == "ip" else f"-m {name} {words}".rstrip()


def _reason(trace: Trace, step: Step, part: Part, holds: Holds) -> Reason:
    family, packets = trace.side.family, step.strand.packets
    text, about = _text(part, family), _topic(part)
    if holds is Holds.YES:
        return Reason(text, about, holds, "", assumed=tuple(sorted(part.meaning.assumptions)))
    if part.use is None:
        return Reason(text, about, holds, "as the assumption about this rule says")
    if holds is Holds.NO:
        return Reason(text, about, holds, _why_not(trace, step, part))
    # What no packet of the set leaves open is open for want of a field that was not said.
    doubt = packets & part.meaning.may - part.meaning.must
    partly = packets.meets(part.meaning.must) or bool(packets - part.meaning.may)
    unsaid = tuple(_varying(packets, family)) if not doubt else ()
    if partly and doubt:
        unsaid = tuple(_varying(packets, family))
    field = _field(part)
    if field in unsaid:
        unsaid = (field,) if field is not None else unsaid
    opened = part.meaning.undecided if doubt else ()
    words = [f"the {FIELD_NAMES[each]} is not said" for each in unsaid]
    return Reason(text, about, holds, "; ".join([*opened, *words]) or "open", unsaid, opened)


def _field(part: Part) -> Field | None:
    if not part.clauses:
        return Field.PROTOCOL
    return _FIELDS.get(part.clauses[0].option) if len(part.clauses) == 1 else None


def _why_not(trace: Trace, step: Step, part: Part) -> str:
    packets, state = step.strand.packets, step.strand.state
    interfaces = trace.side.walker.view.interfaces
    field = _field(part)
    clause = part.clauses[0] if part.clauses else None
    if clause is not None and clause.option == "--in-interface" and clause.values[:1] == ("lo",):
        return "packets from outside never come in on lo"
    if field is not None:
        moved = field in (Field.DESTINATION, Field.DESTINATION_PORT) and (
            state.nat is not None or step.strand.moved is not None
        )
        title = f"the {FIELD_NAMES[field]}{' behind nat' if moved else ''}"
        if state.nat is not None and moved:
            return _rewritten(state, field) or f"{title} is another one"
        if field is not Field.INTERFACE and len(projection(packets, field, trace.side.family)) > SHOWN_VALUES:
            return f"{title}, which is not said, is none of these"
        return f"{title} is {values(packets, field, trace.side.family, interfaces)}"
    name = part.use.extension.name if part.use is not None else ""
    if name in ("state", "conntrack"):
        return f"it is {_state(trace, step)}"
    if name == "mark" and state.packet.known:
        return f"the packet's mark is {state.packet.value:#x}"
    if name == "connmark":
        return (
            f"the connection's mark is {state.connection.value:#x}"
            if state.tracked
            else "it has no connection"
        )
    if name == "tcp":
        return (
            "a first packet has SYN alone"
            if trace.half is Half.FIRST
            else "a later packet has ACK and no SYN"
        )
    if name == "set":
        negated = clause is not None and clause.negated
        return "it is in the set" if negated else "it is not in the set"
    if part.meaning.assumptions:
        return f"as the assumption {', '.join(sorted(part.meaning.assumptions))} says"
    return "that does not hold"


def _rewritten(state: State, field: Field) -> str:
    ports = state.nat.ports if state.nat is not None else None
    if field is Field.DESTINATION_PORT and ports is not None:
        return f"nat has made the port {ports[0] if ports[0] == ports[1] else f'{ports[0]}-{ports[1]}'}"
    return ""


def _state(trace: Trace, step: Step) -> str:
    packets, state = step.strand.packets, step.strand.state
    if not state.tracked:
        return "kept from conntrack (UNTRACKED)"
    if step.base[0] == "raw":
        return "not yet looked at by conntrack"
    if packets.meets(trace.side.walker.connected(state)):
        return (
            "the first packet of a connection (NEW)"
            if trace.half is Half.FIRST
            else "a later one (ESTABLISHED)"
        )
    return "no packet of a connection"


# -- values of fields ---------------------------------------------------------------------------------------


def projection(packets: PacketSet, field: Field, family: int) -> list[Range]:
    """The values that a field has in a set of one family."""
    first = packets.witness(family).get(field)
    if first is not None and packets <= _at(packets, field, family, first):
        return [(first, first)]
    only = packets
    for other in Field:
        if other is not field and other is not Field.FAMILY:
            only = only.some(other)
    only = packets.space.of_family(only, family) if field is not Field.FAMILY else only
    return [(low, high) for low, high, _ in packets.space.split(only, field, family)]


def _at(packets: PacketSet, field: Field, family: int, value: int) -> PacketSet:
    """All packets of which a field has a value."""
    if field in ADDRESSES:
        return packets.space.addresses(field, AddressSet.of(family, [(value, value)]))
    return packets.space.value(field, value)


def _varying(packets: PacketSet, family: int) -> Iterator[Field]:
    """The fields that have more than one value in a set."""
    for field in Field:
        if field is not Field.FAMILY:
            ranges = projection(packets, field, family)
            if len(ranges) > 1 or ranges[0][0] != ranges[0][1]:
                yield field


def values(packets: PacketSet, field: Field, family: int, interfaces: Interfaces) -> str:
    """The values that a field has in a set, the first of them where they are many."""
    ranges = projection(packets, field, family)
    bits = ADDRESS_BITS[family] if field in ADDRESSES else field.bits
    if ranges == [(0, (1 << bits) - 1)]:
        return "any"
    if field in ADDRESSES:
        words = [
            cidr.removesuffix("/32").removesuffix("/128") for cidr in AddressSet.of(family, ranges).to_cidrs()
        ]
    elif field is Field.INTERFACE:
        words = _interfaces(ranges, interfaces)
    elif field is Field.PROTOCOL:
        words = [protocol_name(low) if low == high else f"{low}-{high}" for low, high in ranges]
    else:
        words = [str(low) if low == high else f"{low}-{high}" for low, high in ranges]
    more = f" and {len(words) - SHOWN_VALUES} more" if len(words) > SHOWN_VALUES else ""
    return ", ".join(words[:SHOWN_VALUES]) + more


def _interfaces(ranges: list[Range], interfaces: Interfaces) -> list[str]:
    names = interfaces.names
    inside = [names[at] for low, high in ranges for at in range(low, min(high + 1, len(names)))]
    if ranges[-1][1] < len(names):
        return inside
    outside = [name for name in names if name not in set(inside)]
    if len(outside) < len(inside):
        return [f"any but {', '.join(outside)}" if outside else "any"]
    return [*inside, "any other" if inside else "none that a rule names"]


def narrowed(packets: PacketSet, among: PacketSet, family: int, interfaces: Interfaces) -> list[str]:
    """What a part of a set has of its own, field by field: ``the interface is eth0``."""
    return [
        f"the {FIELD_NAMES[field]} is {values(packets, field, family, interfaces)}"
        for field in Field
        if field is not Field.FAMILY
        and projection(packets, field, family) != projection(among, field, family)
    ]
