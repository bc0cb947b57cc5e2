"""What a target has to say of a policy beside what is lost: a table of messages, and when each applies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ipt2np.cni.base import Object
from ipt2np.findings import Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.planning import PlanEffect, PolicyPlan

Condition = Callable[[PolicyPlan, Sequence[Object]], bool]


@dataclass(frozen=True)
class Note:
    """A finding of a target, without rules and without packets, and when it is due."""

    code: str
    message: str
    when: Condition
    remedy: str = ""
    """In place of the one that the code has."""

    def finding(self) -> Finding:
        """The note as a finding."""
        return Finding(self.code, self.message, self.remedy or remedy(self.code))


def due(notes: Sequence[Note], plan: PolicyPlan, objects: Sequence[Object]) -> Iterator[Finding]:
    """The findings of the notes that apply."""
    return (note.finding() for note in notes if note.when(plan, objects))


def always(plan: PolicyPlan, objects: Sequence[Object]) -> bool:
    """Whatever the policy."""
    return True


def _rules(objects: Sequence[Object]) -> Iterator[Object]:
    for each in objects:
        yield from each["spec"].get("ingress") or []


def has_blocks(plan: PolicyPlan, objects: Sequence[Object]) -> bool:
    """Where some rule names sources."""
    return any("from" in rule for rule in _rules(objects))


def has_portless(plan: PolicyPlan, objects: Sequence[Object]) -> bool:
    """Where some rule admits every protocol."""
    return any("ports" not in rule for rule in _rules(objects))


def has_ports(plan: PolicyPlan, objects: Sequence[Object]) -> bool:
    """Where some rule admits ports, and not every protocol."""
    return any("ports" in rule for rule in _rules(objects))


def accepts_sctp(plan: PolicyPlan, objects: Sequence[Object]) -> bool:
    """Where SCTP is accepted by name, not only with everything."""
    return any(port.get("protocol") == "SCTP" for rule in _rules(objects) for port in rule.get("ports", []))


def refuses(plan: PolicyPlan, objects: Sequence[Object]) -> bool:
    """Where the host drops something in silence."""
    return any(entry.effect is PlanEffect.DROP for entry in plan.entries)


def accepts_both_families(plan: PolicyPlan, objects: Sequence[Object]) -> bool:
    """Where packets of both families are accepted."""
    wanted = plan.allow_only().wanted
    return all(wanted.meets(plan.space.family(family)) for family in (4, 6))
