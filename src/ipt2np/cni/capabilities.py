"""Grades that follow from what a target declares for its own writing: its words, its order, its families.

The matrix is made of the data that the code writes policies by, so the two cannot disagree. What follows from
something else a target states in its profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ipt2np.cni.base import Capability, Grade
from ipt2np.cni.features import Feature
from ipt2np.cni.fitting.cover import Icmp, Vocabulary
from ipt2np.cni.fitting.ordered import Logging, Order

if TYPE_CHECKING:
    from ipt2np.cni.networkpolicies import Writing

Capabilities = Mapping[Feature, Capability]

NAMED = frozenset((1, 6, 17, 58, 132))
"""Protocols that have rows of their own."""


def _exact(note: str = "") -> Capability:
    return Capability(Grade.EXACT, note)


def _partly(note: str) -> Capability:
    return Capability(Grade.PARTLY, note)


def _not(note: str) -> Capability:
    return Capability(Grade.NOT, note)


OF_PODS: Capabilities = {
    Feature.SOURCE: _exact(),
    Feature.NEGATED_SOURCE: _exact("as everything with an exception, or as the networks around it"),
    Feature.ADDRESS_RANGE: _exact("as networks: at most 62 for a range of IPv4, 254 of IPv6"),
    Feature.PORT: _exact("the pod's own port, behind a Service's"),
    Feature.PORT_RANGE: _exact(),
    Feature.PORT_LIST: _exact(),
    Feature.TCP_UDP: _exact(),
    Feature.INTERFACE: _not(
        "a pod has none of the host's interfaces; --interface and --route settle such rules"
    ),
    Feature.DESTINATION: _partly(
        "it is the pod that the policy selects; --address says which address it replaces"
    ),
    Feature.STATE: _partly(
        "NEW is judged, replies pass by themselves; INVALID, and connections that helpers announce, are the platform's"
    ),
    Feature.TCP_FLAGS: _partly(
        "connections are judged by their first packet (--syn); other flags have no counterpart"
    ),
    Feature.RATE: _not("no policy has limits"),
    Feature.IPSET: _exact("with the set's content (--ipset): as CIDRs, with ports where it has them"),
    Feature.LOG: _not("policies do not log; flow logs are the CNI's own"),
    Feature.REJECT: _not("refused packets are dropped without an answer"),
    Feature.DROPS: _exact("as what they leave of the accepts"),
    Feature.IN_CLUSTER: _exact("by address, as all others"),
    Feature.IPV6: _exact(),
}
"""What holds of every policy for pods where nothing else is said."""


def of_words(words: Vocabulary) -> Capabilities:
    """What a target keeps by what its rules can say of a packet beside its source."""
    return {
        **OF_PODS,
        Feature.SOURCE_PORT: _exact() if words.source_ports else _not("rules have no source ports"),
        Feature.SCTP: _exact() if 132 in words.ports else _not("rules cannot name it"),
        Feature.ICMP: _icmp(words),
        Feature.ICMP_TYPE: _icmp_type(words),
        Feature.PROTOCOL: _protocol(words),
    }


def of_order(order: Order) -> Capabilities:
    """What a target with ordered rules keeps."""
    return {
        **of_words(order.vocabulary),
        **_LOGGING[order.logging],
        **({Feature.REJECT: _exact()} if order.rejects else {}),
        Feature.DROPS: _exact("rules in the ruleset's order"),
        Feature.DEFAULT_ACCEPT: _exact("a last rule that allows the rest"),
    }


def of_writing(words: Vocabulary, writing: Writing) -> Capabilities:
    """What a target keeps that is given allow-only policies, which say ``words`` and are written so."""
    result = {
        **of_words(words),
        Feature.PORT_RANGE: _port_range(writing),
        Feature.DEFAULT_ACCEPT: _partly(
            "what is left of everything: where a port is refused, other protocols than TCP, UDP and SCTP are lost with it"
        ),
        Feature.IPV6: _exact()
        if 6 in writing.families
        else _not("no policy is enforced on it, or none taken"),
    }
    if not writing.excepts:
        result[Feature.NEGATED_SOURCE] = _exact("as the networks around it: exceptions reach too far here")
    if writing.entries_per_source:
        result[Feature.PORT_LIST] = _partly(
            f"{writing.entries_per_source} ports and ranges for a source, the rest is left out"
        )
    if writing.by_identity:
        result |= {
            Feature.SOURCE: _exact("of sources outside the cluster"),
            Feature.IN_CLUSTER: _partly("all pods together or none; nodes have no peer"),
        }
    if writing.answer:
        result[Feature.REJECT] = _partly("every refused packet is answered, dropped ones too, all in one way")
    return result


def of_host(kept: Capabilities, by_interface: bool) -> Capabilities:
    """What is kept where the host itself is filtered, of what is kept for pods."""
    return {
        **kept,
        Feature.PORT: _exact(),
        Feature.INTERFACE: _exact(
            "an endpoint for each; those that only a wildcard names count among the others, unless --addr names them"
        )
        if by_interface
        else _not("policies name no interfaces; --interface and --route settle such rules"),
        Feature.DESTINATION: _partly(
            "it is the node that the policy selects; --address says which address counts"
        ),
    }


_LOGGING: Mapping[Logging, Capabilities] = {
    Logging.NOT: {},
    Logging.STEP: {
        Feature.LOG: _partly("a rule that logs and goes on; the prefix is one for the whole cluster"),
    },
    Logging.FLAG: {
        Feature.LOG: _partly(
            "a flag of the rule that decides; without prefix, and only what a rule can name"
        ),
    },
}


def _icmp(words: Vocabulary) -> Capability:
    if {1, 58} <= words.protocols[4] | words.protocols[6]:
        return _exact() if words.whole_icmp else _exact("every type is listed")
    return _partly("only where every protocol is accepted from the source")


def _icmp_type(words: Vocabulary) -> Capability:
    if words.icmp is Icmp.NOTHING:
        return _not("rules have no ICMP types")
    if words.icmp is Icmp.TYPE:
        return _partly("types without codes")
    if words.icmp_types < 255:
        return _exact(f"types above {words.icmp_types} cannot be written; none opens a connection")
    return _exact()


def _protocol(words: Vocabulary) -> Capability:
    if frozenset(range(1, 256)) - NAMED <= words.protocols[4] & words.protocols[6]:
        return _exact()
    return _partly("only where every protocol is accepted from the source")


def _port_range(writing: Writing) -> Capability:
    if not writing.end_port:
        return _partly(
            f"port by port, to {writing.expanded} ports; the CNI reads the first port of a range only"
        )
    if not writing.end_port_documented:
        return _partly(
            f"port by port, to {writing.expanded} ports; whether endPort, which longer ones need, is read is not documented"
        )
    return _exact("by endPort")
