"""What a match or target extension is: a name, a table of options, a meaning, and its canonical text.

A new match is one class in one file of ``rules/matches/``, a new target one class in ``rules/targets/``; every
class there is found by itself. Most need nothing but their table of options: each option says what kind of value it
takes, which packets it means and how it is written, and the match is the intersection of its options, negated where
``!`` stands.

The *canonical form* of what an extension was given is the one that the kernel keeps and that iptables-save prints:
defaults filled in, older spellings replaced, options in the order in which the extension writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from ipt2np.rules.marks import UNKNOWN, Marks
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause


class ValueFault(ValueError):
    """A value or a combination of options that cannot be; says what was wrong and what was expected.

    ``option`` is the canonical name of the option that is to blame where it is not the one being read.
    """

    def __init__(self, message: str, expected: str = "", option: str = "") -> None:
        self.message = message
        self.expected = expected
        self.option = option
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of value: its name in manuals, how it is read, how iptables-save writes it, an example.

    ``read(text, family)`` raises ``ValueFault`` where it cannot; ``write(value, family)`` gives the canonical text.
    Where IPv6 needs an example of its own, it stands in ``example6``.
    """

    title: str
    read: Callable[[str, int], Any]
    write: Callable[[Any, int], str]
    example: str
    example6: str = ""

    def __call__(self, text: str, family: int) -> Any:
        """The value behind ``text``."""
        return self.read(text, family)

    def example_for(self, family: int) -> str:
        """A text that ``read`` takes."""
        return self.example6 if family == 6 and self.example6 else self.example


@dataclass(frozen=True, slots=True)
class Option:
    """An option: its names (the canonical one first), the kinds of its values, what it means, how it is written.

    ``means(view, *values)`` gives the packets that the option matches when not negated; an option without
    it does not decide by itself (the match's own ``meaning`` reads it).
    """

    names: tuple[str, ...]
    kinds: tuple[Kind, ...] = ()
    negatable: bool = False
    means: Callable[..., Meaning] | None = None
    saved: str = ""
    """The name under which iptables-save prints it."""
    default: tuple[object, ...] | None = None
    """The values that stand where the option is not given; None where nothing does."""
    unsaid: tuple[object, ...] | None = None
    """The values with which iptables-save leaves the option out, unless negated; None where it never does."""
    repeats: bool = False
    """True where the option may stand more than once, each time with its own meaning."""
    optional: bool = False
    """True where the value may be left out: the next word is one unless it begins with ``-`` or ``!``."""

    @property
    def name(self) -> str:
        """The canonical name."""
        return self.names[0]

    def text(self, clause: Clause, family: int) -> str:
        """The option as iptables-save prints it."""
        values = [kind.write(value, family) for kind, value in zip(self.kinds, clause.values, strict=False)]
        return " ".join((["!"] if clause.negated else []) + [self.saved or self.names[0], *values])


def option(
    *names: str,
    kinds: Kind | tuple[Kind, ...] = (),
    negatable: bool = False,
    means: Callable[..., Meaning] | None = None,
    saved: str = "",
    default: tuple[object, ...] | None = None,
    unsaid: tuple[object, ...] | None = None,
    repeats: bool = False,
    optional: bool = False,
) -> Option:
    """An ``Option`` in the short form that tables of options are written in."""
    given = kinds if isinstance(kinds, tuple) else (kinds,)
    return Option(names, given, negatable, means, saved, default, unsaid, repeats, optional)


@dataclass(frozen=True, slots=True)
class Undecided:
    """The meaning of an option that no header, set dump or host fact can settle; ``why`` completes "undecided: …"."""

    why: str

    def __call__(self, view: View, *values: object) -> Meaning:
        """May hold for any packet."""
        return view.undecided(self.why)


class Extension:
    """What matches and targets have in common: a name, families, options, the canonical form."""

    name: str
    families: ClassVar[tuple[int, ...]] = (4, 6)
    options: ClassVar[tuple[Option, ...]] = ()
    """In the order in which iptables-save prints them."""
    required: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of options (canonical names) of which at least one must be given."""
    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of options of which at most one may be given."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Extension) and type(other) is type(self) and other.name == self.name

    def __hash__(self) -> int:
        return hash((type(self), self.name))

    def named(self, name: str) -> Option | None:
        """The option called ``name``, or None."""
        return self._by_name().get(name)

    @classmethod
    def _by_name(cls) -> dict[str, Option]:
        table = cls.__dict__.get("_option_table")
        if table is None:
            table = {name: each for each in cls.options for name in each.names}
            cls._option_table = table  # type: ignore[attr-defined]
        return table

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """The canonical form of what was given, complete with defaults.

        ValueFault where the kernel could not hold the combination. Overridden where an extension rewrites options
        into each other.
        """
        given = {clause.option for clause in clauses}
        for group in self.exclusive:
            several = [name for name in group if name in given]
            if len(several) > 1:
                raise ValueFault(
                    f"{several[0]} and {several[1]} exclude each other",
                    f"one of {', '.join(group)}",
                    several[1],
                )
        for group in self.required:
            if not given.intersection(group):
                raise ValueFault(f"{self.name} needs {' or '.join(group)}", f"{group[0]} with its value")
        defaults = [
            Clause(each.name, False, each.default)
            for each in self.options
            if each.default is not None and each.name not in given
        ]
        place = {each.name: number for number, each in enumerate(self.options)}
        return tuple(sorted((*clauses, *defaults), key=lambda clause: place[clause.option]))

    def texts(self, clauses: tuple[Clause, ...], family: int) -> Iterator[str]:
        """The options of a canonical form as iptables-save prints them, one after the other."""
        for clause in clauses:
            declared = self._by_name()[clause.option]
            if declared.unsaid is None or clause.values != declared.unsaid or clause.negated:
                yield declared.text(clause, family)


class MatchExtension(Extension):
    """A match extension (``-m NAME``)."""

    protocols: ClassVar[tuple[int, ...]] = ()
    """Protocols whose packets alone the match can hold for; empty means every protocol."""
    implied_by: ClassVar[tuple[int, ...]] = ()
    """Protocol numbers for which ``-p`` alone makes this match's options known."""
    tracks: ClassVar[bool] = False
    """True where a rule with this match makes the kernel track connections (nf_ct_netns_get() in net/netfilter/)."""

    def tests_rewriting(self, clauses: tuple[Clause, ...]) -> bool:
        """True where the match can tell packets that nat has rewritten from others, or knows what they were before."""
        return False

    def tested_marks(self, clauses: tuple[Clause, ...], view: View) -> tuple[int, int]:
        """The bits of the packet's and of the connection's mark that the match tests."""
        return 0, 0

    def changes_mark(self, clauses: tuple[Clause, ...]) -> bool:
        """True where the match itself may give the packet another mark."""
        return False

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """The packets that the match holds for: every clause holds."""
        result = view.of_protocols(self.protocols) if self.protocols else view.always()
        for clause in clauses:
            declared = self.named(clause.option)
            if declared is None or declared.means is None:
                continue
            part = declared.means(view, *clause.values)
            result = result & (~part if clause.negated else part)
        return result


class UnknownMatch(MatchExtension):
    """A match extension that is not known: kept as text, undecided."""

    def __init__(self, name: str) -> None:
        self.name = name

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """May hold for any packet."""
        return view.undecided(f"the match -m {self.name}, which is not known")


class Effect(Enum):
    """What a target does to a packet."""

    ACCEPT = "accept"
    DROP = "drop"
    REJECT = "reject"
    RETURN = "return"
    CONTINUE = "continue"
    """Continues, and nothing that a later rule can see has changed."""
    LOG = "log"
    """Continues, and someone may read what it wrote."""
    UNTRACK = "untrack"
    """Continues, and conntrack leaves the packet alone."""
    CLAIM = "claim"
    """Continues; how conntrack treats the packet is settled, so that a later rule cannot keep it from conntrack."""
    MARK = "mark"
    """Continues with another packet mark or connection mark."""
    DIVERT = "divert"
    """The packet goes to something else than the host's own socket: neither accepted nor denied."""
    PROXY = "proxy"
    """Diverts the first packet of a connection; some later ones go on behind the rule."""
    MAY_DIVERT = "may divert"
    """Goes to a program if one listens, else is accepted."""
    REWRITE = "rewrite"
    """The packet's destination or port changes: what the filter then says of it is not known here."""
    UNKNOWN = "unknown"
    """May accept, deny, divert or continue."""


class TargetExtension(Extension):
    """A target extension (``-j NAME``): what it does to the packet, and its options."""

    effect: ClassVar[Effect]
    tracks: ClassVar[bool] = False
    """True where a rule with this target makes the kernel track connections (nf_ct_netns_get() in net/netfilter/)."""

    marks_connection: ClassVar[bool] = False
    """True where the target needs the packet's connection to change a mark."""

    def tracking(self, clauses: tuple[Clause, ...]) -> bool:
        """Whether a rule with the target and these options makes the kernel track connections."""
        return self.tracks

    def acts(self, clauses: tuple[Clause, ...]) -> Effect:
        """What the target does with these options."""
        return self.effect

    def remarked(self, clauses: tuple[Clause, ...], marks: Marks) -> Marks:
        """The marks of a packet behind a target that changes them (``Effect.MARK``): its own could be any."""
        return Marks(UNKNOWN, marks.connection)

    def copied_marks(self, clauses: tuple[Clause, ...], wanted: tuple[int, int]) -> tuple[int, int]:
        """The bits of the two marks that must be known for the bits of ``wanted`` to be known behind the target."""
        return 0, 0


class TargetAsText(TargetExtension):
    """A target whose options are kept as text: one that is not known, or one of another package than iptables."""

    def __init__(self, name: str, effect: Effect = Effect.UNKNOWN) -> None:
        self.name = name
        self._effect = effect

    def acts(self, clauses: tuple[Clause, ...]) -> Effect:
        """What the target does, whatever its options."""
        return self._effect
