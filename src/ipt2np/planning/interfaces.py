"""A plan for each input interface, for targets whose policies know interfaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ipt2np.packets import Field, PacketMap, PacketSet
from ipt2np.planning.plan import PlanEffect, PolicyPlan
from ipt2np.semantics.outcomes import IMPOSSIBLE


@dataclass(frozen=True)
class InterfacePlan:
    """What is planned for packets that come in on some interfaces; in it the interface no longer matters."""

    names: tuple[str, ...]
    """Interfaces by name; none stands for all that have no plan of their own."""
    labels: tuple[int, ...]
    plan: PolicyPlan


def by_interface(plan: PolicyPlan, unnamed: Sequence[str]) -> list[InterfacePlan]:
    """The plan of each interface, equal ones together, and at the end that of all the others.

    ``unnamed`` are the names among the labels that a policy cannot write (wildcards): they count among the others. What
    is planned for the others is accepted only where all of them accept it.
    """
    assert plan.interfaces is not None
    names = plan.interfaces.names
    others = [label for label, name in enumerate(names) if name in unnamed] + [len(names)]
    rest = _on_all(plan, others)
    groups: dict[tuple[int, ...], list[int]] = {}
    plans: dict[tuple[int, ...], PolicyPlan] = {}
    for label, name in enumerate(names):
        if name not in unnamed:
            here = _on(plan, label)
            groups.setdefault(_meaning(here), []).append(label)
            plans[_meaning(here)] = here
    groups.pop(_meaning(rest), None)
    result = [
        InterfacePlan(tuple(names[label] for label in labels), tuple(labels), plans[key])
        for key, labels in groups.items()
    ]
    named = {label for part in result for label in part.labels}
    return [*result, InterfacePlan((), tuple(n for n in range(len(names) + 1) if n not in named), rest)]


def _meaning(plan: PolicyPlan) -> tuple[int, ...]:
    """Equal for plans in which the same rules do the same with the same packets."""
    entries, logs = (entry.packets.node for entry in plan.entries), (log.packets.node for log in plan.logs)
    return (plan.judged.node, *entries, *logs)


def _on(plan: PolicyPlan, label: int) -> PolicyPlan:
    """The plan for packets of one label."""
    space = plan.space
    here = space.value(Field.INTERFACE, label)

    def of(packets: PacketSet) -> PacketSet:
        return (packets & here).some(Field.INTERFACE)

    connections = plan.provenance.connections.within(here, IMPOSSIBLE)
    return replace(
        plan,
        entries=tuple(replace(entry, packets=of(entry.packets)) for entry in plan.entries),
        logs=tuple(replace(log, packets=of(log.packets)) for log in plan.logs),
        judged=of(plan.judged),
        provenance=replace(plan.provenance, connections=_flat(connections)),
        interfaces=None,
    )


def _flat(connections: PacketMap) -> PacketMap:
    return connections.without(Field.INTERFACE, lambda a, b: a if b == IMPOSSIBLE else b)


def _on_all(plan: PolicyPlan, labels: Sequence[int]) -> PolicyPlan:
    """The plan of several labels together: an accept of the last one stays where the others accept too."""
    plans = [_on(plan, label) for label in labels]
    result = plans[-1]
    for other in plans[:-1]:
        accepted = other.allow_only().allowed
        entries = tuple(
            replace(
                entry,
                packets=entry.packets & accepted if entry.effect is PlanEffect.ACCEPT else entry.packets,
            )
            for entry in result.entries
        )
        result = replace(result, entries=entries, judged=result.judged | other.judged)
    return result
