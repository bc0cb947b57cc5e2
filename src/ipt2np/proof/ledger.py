"""The ledger: one fate for every rule of the input, so that none is lost in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from ipt2np.cni.base import EXTERNAL, NODE, POD, Cluster, Fitted, Reading
from ipt2np.findings.collect import relied_on
from ipt2np.packets import Field, PacketSet
from ipt2np.proof.prove import class_packets
from ipt2np.rules.extension import Effect
from ipt2np.rules.meaning import Half
from ipt2np.rules.model import Jump, Rule
from ipt2np.semantics import Decision
from ipt2np.semantics.decide import Side
from ipt2np.semantics.nat import Rewriting
from ipt2np.semantics.states import effect_of


class Fate(Enum):
    """What became of a rule; the first that holds, in this order."""

    UNREACHABLE = "unreachable"
    """Earlier rules decide all its packets."""
    NOT_APPLICABLE = "not-applicable"
    """Not on the input path, or matches nothing that a pod could receive, or has no effect."""
    LOST = "lost"
    APPROXIMATED = "approximated"
    ASSUMED = "assumed"
    """An assumption settles it."""
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule, its fate, and where it went."""

    rule: Rule
    fate: Fate
    emitted: tuple[str, ...]


@dataclass(frozen=True)
class Ledger:
    """Every rule's entry, in the order of the files."""

    entries: tuple[Entry, ...]

    def sums(self) -> dict[Fate, int]:
        """How many rules met each fate; the sum is all rules."""
        counted = Counter(entry.fate for entry in self.entries)
        return {fate: counted[fate] for fate in Fate}


def pointers(fitted: Fitted) -> Mapping[int, tuple[str, ...]]:
    """Rule number to the places in the emitted objects that it is behind."""
    result: dict[int, list[str]] = {}
    for emitted in fitted.emitted:
        metadata = fitted.objects[emitted.object_index]["metadata"]
        owner = [fitted.objects[emitted.object_index]["kind"], metadata.get("namespace"), metadata["name"]]
        place = "/".join(filter(None, owner)) + "#/" + "/".join(map(str, emitted.path))
        for rule in emitted.rules:
            result.setdefault(rule.number, []).append(place)
    return {number: tuple(places) for number, places in result.items()}


def ledger(
    decision: Decision, fitted: Fitted, readings: Mapping[str, Reading], cluster: Cluster | None = None
) -> Ledger:
    """The fate of every rule under a policy that is read as ``readings``.

    A source that ``cluster`` declares as a pod's or node's goes by their reading, all others by that of external sources.
    """
    places = pointers(fitted)
    assumed = {rule.number for rules in relied_on(decision).values() for rule in rules}
    sides: dict[int, list[Side]] = {}
    for side in decision.sides:
        for rule in side.ruleset.rules:
            sides.setdefault(rule.number, []).append(side)
    judge = _Judge(decision, fitted, _by_source(decision, readings, cluster or Cluster()), assumed)
    return Ledger(
        tuple(
            Entry(rule, judge.fate(rule, sides[rule.number]), places.get(rule.number, ()))
            for ruleset in decision.rulesets
            for rule in ruleset.rules
        )
    )


def _by_source(decision: Decision, readings: Mapping[str, Reading], cluster: Cluster) -> Reading:
    """What is let through, each source taken for who it is declared to be; of two classes both must be let through."""
    classes = class_packets(decision.space, cluster)
    external = readings[EXTERNAL]
    refused, undefined = classes[EXTERNAL] - external.admits, classes[EXTERNAL] & external.undefined
    for name, declared in ((POD, cluster.pod_cidrs), (NODE, cluster.node_cidrs)):
        if declared:
            refused |= classes[name] - readings[name].admits - readings[name].undefined
            undefined |= classes[name] & readings[name].undefined
    return Reading(~refused, undefined)


class _Judge:
    def __init__(self, decision: Decision, fitted: Fitted, reading: Reading, assumed: set[int]) -> None:
        self.decision = decision
        self.admits = reading.admits
        self.defined = ~reading.undefined
        self.refused = decision.judged - decision.may_accept
        self.logged = {rule.number for rule in fitted.logged}
        self.rejected = decision.space.nothing if fitted.rejected is None else fitted.rejected
        self.assumed = assumed
        self.on_path = {side.family: set(side.walker.order) for side in decision.sides}

    def fate(self, rule: Rule, sides: Sequence[Side]) -> Fate:
        walked = [side for side in sides if (rule.table, rule.chain) in self.on_path[side.family]]
        if not walked:
            return Fate.NOT_APPLICABLE
        effect = effect_of(rule)
        tested = any(side.walker.tests_marks for side in walked)
        passive = effect in (Effect.CONTINUE, Effect.CLAIM) or (effect is Effect.MARK and not tested)
        if passive and not isinstance(rule.target, Jump):
            return Fate.NOT_APPLICABLE
        matching = any(m.may.meets(side.possible) for side in walked for m in side.meanings(rule))
        if not matching:
            return Fate.ASSUMED if rule.number in self.assumed else Fate.NOT_APPLICABLE
        if not any(side.arrives(rule, half) for side in walked for half in Half):
            return Fate.UNREACHABLE
        undecided = any(not meaning.exact for side in walked for meaning in side.meanings(rule))
        settled = Fate.ASSUMED if rule.number in self.assumed else Fate.KEPT
        if effect is Effect.REWRITE:
            rewriting = walked[0].walker.rewritings[rule.number]
            if rewriting.rewrite is None or rewriting.forwards:
                return Fate.NOT_APPLICABLE if rewriting == Rewriting(forwards=True) else Fate.LOST
        if effect is Effect.LOG and rule.number in self.logged:
            return Fate.APPROXIMATED if undecided else settled
        if effect in (Effect.LOG, Effect.DIVERT, Effect.PROXY, Effect.MAY_DIVERT, Effect.UNKNOWN):
            return Fate.LOST
        steers = effect in (Effect.RETURN, Effect.UNTRACK, Effect.MARK, Effect.REWRITE)
        if isinstance(rule.target, Jump) or steers:
            return Fate.APPROXIMATED if undecided else settled
        first = self.decision.space.nothing
        for side in walked:
            first |= side.arrivals(rule, Half.FIRST)
        packets = first.some(Field.DESTINATION)
        if self.decision.interfaces is None:
            packets = packets.some(Field.INTERFACE)
        packets &= self.decision.judged
        if effect is Effect.ACCEPT:
            return self._accepting(packets, undecided, settled)
        return self._refusing(packets & self.refused, effect is Effect.REJECT, undecided, settled)

    def _refusing(self, packets: PacketSet, rejects: bool, undecided: bool, settled: Fate) -> Fate:
        if packets and packets <= self.admits:
            return Fate.LOST
        unanswered = rejects and not (packets and packets <= self.rejected)
        return Fate.APPROXIMATED if undecided or unanswered or packets.meets(self.admits) else settled

    def _accepting(self, packets: PacketSet, undecided: bool, settled: Fate) -> Fate:
        accepted = packets & self.decision.may_accept
        if not accepted:
            # Only later packets, or packets that open no connection: replies pass by themselves.
            return Fate.APPROXIMATED if undecided else settled
        if accepted <= self.admits and not undecided:
            return settled
        return Fate.APPROXIMATED if (accepted & self.admits).meets(self.defined) else Fate.LOST
