"""Provenance: the rules behind a packet set, carried from the decision to whatever is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ipt2np.frames import Frames
from ipt2np.packets import PacketMap, PacketSet
from ipt2np.rules.model import Rule
from ipt2np.semantics.outcomes import IMPOSSIBLE, Can, Outcomes


@dataclass(frozen=True, slots=True)
class Policy:
    """A built-in policy as a decider."""

    table: str
    chain: str
    effect: str
    family: int


@dataclass(frozen=True)
class Provenance:
    """Connections to outcomes, and the rules and policies that outcomes name by number."""

    connections: PacketMap
    outcomes: Outcomes
    rules: Mapping[int, Rule]
    policies: Mapping[int, Policy]
    frames: Frames = field(default_factory=Frames)
    """The programs that wrote rules."""

    def _deciders(self, packets: PacketSet, what: Can) -> list[int]:
        return sorted(self.outcomes.deciders(self.connections.values(packets) - {IMPOSSIBLE}, what))

    def rules_behind(self, packets: PacketSet, what: Can = Can.ACCEPT) -> list[Rule]:
        """The rules that decided ``packets`` to be ``what``, in the order of the files."""
        return [self.rules[number] for number in self._deciders(packets, what) if number in self.rules]

    def policies_behind(self, packets: PacketSet, what: Can = Can.ACCEPT) -> list[Policy]:
        """The built-in policies that decided ``packets`` to be ``what``."""
        return [self.policies[number] for number in self._deciders(packets, what) if number in self.policies]

    def behind(
        self, packets: PacketSet, what: Can = Can.ACCEPT
    ) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
        """The rules, and the built-in policies as ``INPUT policy ACCEPT``, that decided ``packets`` to be ``what``."""
        policies = (f"{each.chain} policy {each.effect}" for each in self.policies_behind(packets, what))
        return tuple(self.rules_behind(packets, what)), tuple(dict.fromkeys(policies))

    def causes(self, packets: PacketSet) -> set[int]:
        """What leaves ``packets`` open: rule numbers, INTERFACE, ADDRESS."""
        return self.outcomes.causes(self.connections.values(packets) - {IMPOSSIBLE})
