"""A test plan as values: probes, what is expected of each on the old host and on the new pod, and why it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ipt2np.packets import Field
from ipt2np.packets.intervals import address_text
from ipt2np.proof.boxes import ICMP, PORTED
from ipt2np.rules.model import Rule
from ipt2np.rules.names import protocol_name

ANY_SOURCE_PORT = 40_000
"""The source port of a packet whose source port does not matter: one that clients are given."""


@dataclass(frozen=True, slots=True)
class Packet:
    """What opens a connection; fields that its protocol lacks are 0."""

    family: int
    source: int
    protocol: int
    port: int = 0
    source_port: int = 0
    icmp_type: int = 0
    icmp_code: int = 0

    def fields(self) -> dict[Field, int]:
        """As packet sets and maps take it."""
        return {
            Field.FAMILY: int(self.family == 6),
            Field.PROTOCOL: self.protocol,
            Field.ICMP_TYPE: self.icmp_type,
            Field.ICMP_CODE: self.icmp_code,
            Field.DESTINATION_PORT: self.port,
            Field.SOURCE_PORT: self.source_port,
            Field.SOURCE: self.source,
        }


class OnHost(Enum):
    """What the old host does with a connection."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNDECIDED = "undecided"
    """The dump does not say."""


class How(Enum):
    """In which way a host refuses, where it is certain."""

    DROPPED = "dropped"
    REJECTED = "rejected"
    DIVERTED = "diverted"
    LATER = "later"
    """The connection is opened, and its later packets are refused."""


class OnPod(Enum):
    """What the new pod does with a connection."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    UNDEFINED = "undefined"
    """The target's documents do not say."""


class Why(Enum):
    """Why a packet is in the plan; the first matter most."""

    DIFFERENCE = "difference"
    """A witness of a difference between host and pod."""
    ANSWERS = "answers"
    """One of the packets to a service that host and pod answer alike."""
    PORT = "port"
    """The last before, or the first behind, a boundary between ports or ICMP messages."""
    DECIDED = "decided"
    """One of the packets that the same rules decide."""
    SOURCE = "source"
    """The last before, or the first behind, a boundary between sources."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a packet is in the plan, in words."""

    why: Why
    text: str
    findings: tuple[str, ...] = ()
    """Of a difference: the codes of what explains it."""
    beyond: tuple[Rule, ...] = ()
    """Of a boundary: the rules that decide on its other side."""


@dataclass(frozen=True)
class ProbeCase:
    """One probe and what is expected of it on both sides."""

    source_class: str
    packet: Packet
    host: OnHost
    pod: OnPod
    rules: tuple[Rule, ...]
    """The rules behind the host's answer, in the order of the files."""
    reasons: tuple[Reason, ...]
    how: How | None = None
    policies: tuple[str, ...] = ()
    """Built-in policies behind the host's answer, as ``INPUT policy DROP``, or that there is no ruleset."""
    source_port: int | None = None
    """The source port to send from; None where it does not matter."""
    host_port: int | None = None
    """The port to ask the host for: not the pod's where nat leads from one to the other; None where none leads there."""
    everywhere: bool = False
    """True where every source of the class is given the same answer by the pod, from any port that clients are given."""

    @property
    def source(self) -> str:
        """The source's address."""
        return address_text(self.packet.source, self.packet.family)

    @property
    def protocol(self) -> str:
        """Its name, or its number as text."""
        return protocol_name(self.packet.protocol)

    @property
    def port(self) -> int | None:
        """The pod's port; None for protocols that have none."""
        return self.packet.port if self.packet.protocol in PORTED else None

    @property
    def icmp(self) -> str | None:
        """Type and code, as ``8/0``; None for other protocols."""
        if self.packet.protocol not in ICMP:
            return None
        return f"{self.packet.icmp_type}/{self.packet.icmp_code}"


@dataclass(frozen=True)
class TestPlan:
    """Probes, those that matter most first, and how much was left out."""

    __test__ = False  # no test class of pytest's

    cases: tuple[ProbeCase, ...]
    left_out: int = 0
    """Boundaries and parts of the answers that no probe was made for."""
    left_out_more: bool = False
    """True where there are more of them than were counted."""
