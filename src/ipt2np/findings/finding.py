"""What a finding is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ipt2np.findings.catalogue import CATALOGUE, Severity
from ipt2np.packets import PacketSet
from ipt2np.rules.model import Rule


class Difference(Enum):
    """How a policy can differ from the ruleset."""

    CLOSES = "closes"
    """The policy refuses what iptables may accept."""
    OPENS = "opens"
    """The policy admits what iptables may refuse."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """Packets that a finding expects to be treated differently, and in which way."""

    effect: Difference
    packets: PacketSet
    source_classes: tuple[str, ...] = ("external", "pod", "node")
    """The classes of sources that it is about."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One cause, in the user's words; ``rules`` are the rules that it is about, the first one to blame."""

    code: str
    message: str
    remedy: str
    rules: tuple[Rule, ...] = ()
    file: str = ""
    line: int = 0
    """Place for findings that are about no rule."""
    predicted: tuple[Predicted, ...] = ()
    pointers: tuple[str, ...] = ()
    """Rules of policies that it is about, as ``NetworkPolicy/default/web#/spec/ingress/0``."""

    @property
    def severity(self) -> Severity:
        """The severity that the code has."""
        return CATALOGUE[self.code].severity

    @property
    def place(self) -> tuple[str, int]:
        """File and line, the line 0 where the finding is about a whole file or none."""
        if self.rules:
            location = self.rules[0].location
            return location.file, location.line
        return self.file, self.line
