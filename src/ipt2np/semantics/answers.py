"""Answers that conntrack does not see: then it does not know the connection's later packets, either.

Rules of raw OUTPUT may keep answers from conntrack, and a zone that is set for one direction only lets it look for them
in another place. A later TCP packet is then INVALID instead of ESTABLISHED, one of another protocol NEW again.
Sources: net/netfilter/nf_conntrack_core.c (resolve_normal_ct), xt_CT.c, nf_conntrack_proto_tcp.c (tcp_new).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ipt2np.packets import Field, PacketSet
from ipt2np.rules.extension import Effect
from ipt2np.rules.meaning import View
from ipt2np.rules.model import Clause, Rule, TargetUse
from ipt2np.semantics.states import effect_of

_MIRRORED: Mapping[str, Mapping[str, str]] = {
    "ip": {"--source": "--destination", "--destination": "--source", "--protocol": "--protocol"},
    **{
        name: {"--source-port": "--destination-port", "--destination-port": "--source-port"}
        for name in ("tcp", "udp", "sctp", "dccp", "udplite")
    },
    "multiport": {
        "--source-ports": "--destination-ports",
        "--destination-ports": "--source-ports",
        "--ports": "--ports",
    },
}
"""Of each match the options that say something of an answer, and what they say of the packet that it answers."""
ZONES = ("--zone", "--zone-reply")


def unseen(
    incoming: Iterable[Rule], outgoing: Iterable[Rule], view: View, *, rewritten: bool
) -> Iterator[tuple[Rule, PacketSet]]:
    """Rules of raw PREROUTING and raw OUTPUT by which answers may go unseen, and to which packets those answers are.

    With ``rewritten`` the answers may come from another address and port than the packets were sent to.
    """
    for rule in incoming:
        if _sets_zone(rule):
            yield rule, _may(rule, view)
    for rule in outgoing:
        if effect_of(rule) in (Effect.UNTRACK, Effect.UNKNOWN) or _sets_zone(rule):
            answered = _may(_mirrored(rule, view.family), view)
            if rewritten:
                answered = answered.some(Field.DESTINATION_PORT).some(Field.DESTINATION)
            yield rule, answered


def _sets_zone(rule: Rule) -> bool:
    target = rule.target
    return isinstance(target, TargetUse) and any(clause.option in ZONES for clause in target.clauses)


def _may(rule: Rule, view: View) -> PacketSet:
    result = view.always()
    for use in rule.matches:
        result &= use.extension.meaning(use.clauses, view)
    return result.may


def _mirrored(rule: Rule, family: int) -> Rule:
    """The rule as one about the packets whose answers it matches; what an answer alone has is left out."""
    uses = []
    for use in rule.matches:
        names = _MIRRORED.get(use.extension.name)
        if names is None:
            continue
        clauses = tuple(
            replace(clause, option=names[clause.option]) for clause in use.clauses if clause.option in names
        )
        if family == 4 and Clause("--out-interface", False, ("lo",)) in use.clauses:
            clauses += (Clause("--in-interface", False, ("lo",)),)  # nothing from outside is answered there
        uses.append(replace(use, clauses=clauses))
    return replace(rule, matches=tuple(uses))
