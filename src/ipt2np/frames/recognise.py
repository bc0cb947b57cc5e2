"""Which programs' rules a host has: a pure function of its rulesets, on which no decision depends."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ipt2np.frames.bans import BANS
from ipt2np.frames.clusters import CLUSTERS
from ipt2np.frames.containers import CONTAINERS
from ipt2np.frames.frame import Chains, Frame, Scene, comments_of, sets_of, values_of
from ipt2np.frames.frontends import FRONT_ENDS
from ipt2np.packets import AddressSet
from ipt2np.rules.extension import Effect
from ipt2np.rules.model import Jump, Rule, Ruleset
from ipt2np.rules.values import AddressSpec

FRAMES: tuple[Frame, ...] = (*BANS, *CLUSTERS, *CONTAINERS, *FRONT_ENDS)
"""Every frame that is known; where two could claim a chain, the first that is there does."""

_REFUSING = (Effect.DROP, Effect.REJECT, Effect.DIVERT)
_EVERYWHERE = {4: AddressSet.cidrs("0.0.0.0/0"), 6: AddressSet.cidrs("::/0")}

Owned = Mapping[tuple[str, str], tuple[Frame, Chains]]
"""Table and name of a chain to the frame that has it, and the row that says so."""


@dataclass(frozen=True, slots=True)
class FrameChain:
    """A chain of a frame, with the number of its rules."""

    file: str
    table: str
    name: str
    kind: Chains
    rules: int


@dataclass(frozen=True, slots=True)
class Found:
    """A frame that is there: its chains, and its rules in them, to them and beside them, in the order of the files."""

    frame: Frame
    chains: tuple[FrameChain, ...]
    rules: tuple[Rule, ...]
    bans: tuple[Rule, ...]
    """Those of its rules that refuse a source which the program banned while it ran."""


@dataclass(frozen=True)
class Frames:
    """What was recognised on a host."""

    found: tuple[Found, ...] = ()
    kinds: Mapping[tuple[str, str, str], Chains] = field(default_factory=dict)
    """File, table and name of a frame's chain to its row."""

    @cached_property
    def _by_rule(self) -> Mapping[int, Found]:
        return {rule.number: found for found in self.found for rule in found.rules}

    @cached_property
    def bans(self) -> frozenset[int]:
        """The numbers of rules that are runtime state: bans that programs made while they ran."""
        return frozenset(rule.number for found in self.found for rule in found.bans)

    def of(self, rule: Rule) -> Frame | None:
        """The frame that the rule belongs to."""
        found = self._by_rule.get(rule.number)
        return found.frame if found is not None else None

    def kind(self, rule: Rule) -> Chains | None:
        """The row for the rule's chain, None outside frames' chains."""
        return self.kinds.get((rule.location.file, rule.table, rule.chain))

    def boilerplate(self, rule: Rule) -> Frame | None:
        """The frame that the rule belongs to, None where a person asked for the rule."""
        frame, kind = self.of(rule), self.kind(rule)
        return None if kind is not None and kind.yours else frame


def recognise(rulesets: Sequence[Ruleset]) -> Frames:
    """The frames of a host's rulesets, the families' and backends' together.

    A rule is the frame's that its comment names, else that of its chain, else that of the chain which it calls, of
    the ipset which it tests, or of the device for which it stands where the program puts such rules.
    """
    chains: dict[str, list[FrameChain]] = {}
    rules: dict[str, list[Rule]] = {}
    bans: dict[str, list[Rule]] = {}
    kinds: dict[tuple[str, str, str], Chains] = {}
    for ruleset in rulesets:
        scene = Scene(ruleset)
        present = [frame for frame in FRAMES if any(sign.shown(scene) for sign in frame.signs)]
        if not present:
            continue
        owned = _owned_chains(scene, present)
        for (table, name), (frame, kind) in owned.items():
            kinds[ruleset.file, table, name] = kind
            count = len(ruleset.chains[table, name].rules)
            chains.setdefault(frame.name, []).append(FrameChain(ruleset.file, table, name, kind, count))
        for rule in ruleset.rules:
            owner = _owner(rule, present, owned)
            if owner is not None:
                rules.setdefault(owner.name, []).append(rule)
                if _is_ban(rule, owner, owned):
                    bans.setdefault(owner.name, []).append(rule)
    found = tuple(
        Found(
            frame,
            tuple(chains.get(frame.name, ())),
            tuple(rules.get(frame.name, ())),
            tuple(bans.get(frame.name, ())),
        )
        for frame in FRAMES
        if frame.name in chains or frame.name in rules
    )
    return Frames(found, kinds)


def _owned_chains(scene: Scene, present: Sequence[Frame]) -> Owned:
    """The frames' user chains; the first frame that claims a chain has it."""
    return {
        (table, name): claims[0]
        for table, names in scene.names.items()
        for name in names
        if (claims := [(frame, kind) for frame in present if (kind := frame.chain(table, name)) is not None])
    }


def _owner(rule: Rule, present: Sequence[Frame], owned: Owned) -> Frame | None:
    said = tuple(comments_of(rule))
    for frame in present:
        if frame.says and any(re.fullmatch(frame.says, text) for text in said):
            return frame
    claim = owned.get((rule.table, rule.chain))
    if claim is None and isinstance(rule.target, Jump):
        claim = owned.get((rule.table, rule.target.chain))
    if claim is not None:
        return claim[0]
    for frame in present:
        if _tests_bans(rule, frame) or any(placed.covers(rule) for placed in frame.placed):
            return frame
    return None


def _tests_bans(rule: Rule, frame: Frame) -> bool:
    return bool(frame.ban_sets) and any(re.fullmatch(frame.ban_sets, name) for name in sets_of(rule))


def _is_ban(rule: Rule, frame: Frame, owned: Owned) -> bool:
    """True where the frame's rule refuses a source, or the members of a set, that the program banned."""
    if isinstance(rule.target, Jump):
        claim = owned.get((rule.table, rule.target.chain))
        if claim is None or claim[0] is not frame or claim[1].bans:
            return False
    elif rule.target is None or rule.target.effect not in _REFUSING:
        return False
    place = owned.get((rule.table, rule.chain))
    if place is not None and place[1].bans:
        return _names_source(rule) or any(True for _ in sets_of(rule))
    return _tests_bans(rule, frame)


def _names_source(rule: Rule) -> bool:
    """True where the rule is about some sources only."""
    specs = (spec for spec in values_of(rule, ("--source",)) if isinstance(spec, AddressSpec))
    return any(spec.addresses != _EVERYWHERE[spec.addresses.family] for spec in specs)
