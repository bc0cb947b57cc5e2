"""The words of a rule line to typed matches and a target, by the options that extensions declare.

iptables reads options with getopt(3): an option belongs to the header, to a match loaded before it, to the
match that ``-p`` implies, or to the target; long options may be shortened as long as they stay unique.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ipt2np.rules.extension import (
    Effect,
    MatchExtension,
    Option,
    TargetAsText,
    TargetExtension,
    UnknownMatch,
    ValueFault,
)
from ipt2np.rules.matches import all_matches
from ipt2np.rules.matches.ip import Ip
from ipt2np.rules.model import Clause, Jump, MatchUse, TargetUse
from ipt2np.rules.targets import all_targets
from ipt2np.rules.unread import UNREAD_TARGET
from ipt2np.rules.values import AddressSpec, port_list, port_range, quoted
from ipt2np.syntax.verbs import Word, setting_length

SHORT_WITH_VALUE = "spdiojgmt"
"""Short options that take a value, which may stand in the same word."""
CORE_OPTIONS = ("--match", "--jump", "--goto", "--table", "--set-counters")
"""Long options that belong to no extension."""
_DASHES = "\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}"


class WordFault(Exception):
    """A word that the rule cannot have; ``word`` is where, None for the line's end."""

    def __init__(self, word: Word | None, message: str, expected: str = "") -> None:
        self.word = word
        self.message = message
        self.expected = expected
        super().__init__(message)


@dataclass
class _Loaded:
    """An extension that the rule has loaded, and what it was given so far."""

    extension: MatchExtension | TargetExtension
    word: Word | None = None
    """The word that loaded it; None where ``-p`` did, or for the header."""
    clauses: list[Clause] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    """The option of each clause."""
    text: list[str] = field(default_factory=list)
    spoilt: bool = False
    """True where one of its values could not be read and was left out."""

    @property
    def open_ended(self) -> bool:
        """True where options are not declared and are kept as text."""
        return isinstance(self.extension, TargetAsText | UnknownMatch)


@dataclass(frozen=True, slots=True)
class Leniency:
    """Something that iptables would refuse, read because its meaning is plain."""

    word: Word
    message: str


BEHIND = "a ! stands behind its option, and is read as standing in front of it"
NONE_OF_THEM = "a ! stands before a list of addresses, and is read as none of them"
TRAILING = "a comment (#) stands behind a rule, and is left out"
GLUED = "an option and its value stand in one word, and are read as two"
SETTING = "options for the program itself, such as -w, stand in a rule, and are left out"
COUNTED_TWICE = "-c stands twice in a rule, and says nothing of what it matches"
UPPER_CASE = "a service's name has capital letters, and is read as in small ones"


def _kept(text: str) -> str:
    """A word of text that is kept: quoted only where it would not be read back as one word."""
    return text if text and not any(c.isspace() or c in "\"\\'" for c in text) else quoted(text)


class _Binder:
    """One rule line being read, word by word."""

    def __init__(
        self, words: Sequence[Word], family: int, is_chain: Callable[[str], bool], tolerant: bool
    ) -> None:
        self.family = family
        self.is_chain = is_chain
        self.tolerant = tolerant
        self.words = words
        self.at = 0
        self.pushed: Word | None = None
        """The value that stood in the same word as its option, if it did."""
        self.glued = False
        """True where the value taken last stood in the same word as its option."""
        self.header = _Loaded(Ip())
        self.matches: list[_Loaded] = []
        self.target: _Loaded | Jump | None = None
        self.target_word: Word | None = None
        self.protocol: int | None = None
        self.table: Word | None = None
        self.table_option: Word | None = None
        self.open_option: _Loaded | None = None
        self.counted = False
        self.lenient: list[Leniency] = []
        self.unread: list[WordFault] = []
        """What was passed over; only where the binder is tolerant."""

    def next(self) -> Word | None:
        """The next word, None at the end of the line."""
        if self.pushed is not None:
            word, self.pushed = self.pushed, None
            return word
        self.at += 1
        return self.words[self.at - 1] if self.at <= len(self.words) else None

    def take(self, option_word: Word, what: str) -> Word:
        """The next word, whatever it looks like, as getopt takes an option's argument; ``--opt=value`` too."""
        word = self.next()
        if word is None:
            raise WordFault(None, f"{option_word.text} needs a value", what)
        self.glued = word.column == option_word.column + option_word.width
        if self.glued and word.text.startswith("="):
            return Word(word.text[1:], word.column + 1, word.width - 1, "word")
        return word

    def value_follows(self) -> bool:
        """True where the next word cannot be an option or its negation."""
        return self.at < len(self.words) and not self.words[self.at].text.startswith(("-", "!"))

    def note_glue(self, word: Word) -> None:
        """iptables 1.8.9 takes ``-ieth0`` or ``--jump=DROP`` whole for the value, as other versions don't."""
        if self.glued:
            self.lenient.append(Leniency(word, GLUED))

    def bind(self) -> tuple[tuple[MatchUse, ...], TargetUse | Jump | None]:
        negated: Word | None = None
        last: Word | None = None
        while (word := self.next()) is not None:
            if word.role == "not":
                if negated is not None:
                    raise WordFault(word, "! stands twice", "an option after the first !")
                negated = word
                continue
            option = self.detached(word)
            if option is None:
                self.keep(word, negated, last)
            else:
                self.option(option, negated)
                negated = None
            last = word
        if negated is not None:
            raise WordFault(negated, "nothing stands after !", "the option that ! negates")
        uses = []
        for each in (self.header, *self.matches):
            assert isinstance(each.extension, MatchExtension)
            if each.spoilt and each is not self.header:
                continue
            try:
                clauses = self.normal(each)
            except WordFault as fault:
                self.pass_over(fault)
                continue
            if clauses or each is not self.header:
                uses.append(MatchUse(each.extension, clauses, " ".join(each.text)))
        target = self.finished_target(self.target) if isinstance(self.target, _Loaded) else self.target
        return tuple(uses), target

    def normal(self, loaded: _Loaded) -> tuple[Clause, ...]:
        """What the extension was given, in canonical form."""
        clauses: list[Clause] = []
        for clause, word in zip(loaded.clauses, loaded.words, strict=True):
            declared = loaded.extension.named(clause.option)
            before = [each for each in clauses if each.option == clause.option]
            if before and declared is not None and not declared.repeats:
                if clause not in before:
                    raise WordFault(
                        word, f"{word.text} stands twice with different values", f"{word.text} once"
                    )
                self.lenient.append(
                    Leniency(word, f"{word.text} stands twice in a rule with the same value, and counts once")
                )
                continue
            clauses.append(clause)
        try:
            return loaded.extension.normal(tuple(clauses), self.family)
        except ValueFault as fault:
            named = [
                word
                for clause, word in zip(loaded.clauses, loaded.words, strict=True)
                if clause.option == fault.option
            ]
            raise WordFault(
                named[0] if named else loaded.word or (loaded.words[-1] if loaded.words else None),
                fault.message,
                fault.expected,
            ) from None

    def keep(self, word: Word, negated: Word | None, last: Word | None) -> None:
        """A word that is no option: part of an extension that is kept as text, or out of place."""
        if self.open_option is None or negated is not None:
            if word.text[:1] == "#" and word.width == len(word.text) and negated is None:
                self.lenient.append(Leniency(word, TRAILING))
                self.at = len(self.words)
                return
            expected = "an option such as -s, --dport or -j"
            if word.text[:1] in _DASHES:
                expected += "; this dash is not the - of the keyboard"
            raise WordFault(word, f"{word.text!r} belongs to no option", expected)
        glued = word.text.startswith("=") and last is not None and word.column == last.column + last.width
        if glued and self.open_option.text:
            self.open_option.text[-1] += word.text
        else:
            self.open_option.text.append(_kept(word.text))

    def detached(self, word: Word) -> Word | None:
        """The option that a word is or begins with (``-ptcp``), None for any other word."""
        text = word.text
        if len(text) > 2 and text[0] == "-" and text[1] in SHORT_WITH_VALUE:
            self.pushed = Word(text[2:].removeprefix("="), word.column + 2, word.width - 2, "word")
            return Word(text[:2], word.column, 2, "option")
        return word if word.role == "option" else None

    def pass_over(self, fault: WordFault) -> None:
        """Goes on without what is at fault, where that is wanted."""
        if not self.tolerant:
            raise fault
        self.unread.append(fault)

    def finished_target(self, loaded: _Loaded) -> TargetUse:
        """The target; one that does anything where it could not be read and that is no reason to stop."""
        try:
            return UNREAD_TARGET if loaded.spoilt else self.typed_target(loaded)
        except WordFault as fault:
            self.pass_over(fault)
            return UNREAD_TARGET

    def typed_target(self, loaded: _Loaded) -> TargetUse:
        extension = loaded.extension
        assert isinstance(extension, TargetExtension)
        if isinstance(extension, TargetAsText) and extension.acts(()) is Effect.UNKNOWN and not loaded.text:
            raise WordFault(
                self.target_word,
                f"there is no chain {extension.name!r} and no target of that name",
                "a chain of this table (declared by :NAME - [0:0]) or a target such as ACCEPT",
            )
        return TargetUse(extension, self.normal(loaded), " ".join(loaded.text))

    def option(self, word: Word, negated: Word | None) -> None:
        name = self.completed(word.text)
        self.open_option = None
        if name in ("-m", "--match"):
            self.refuse_not(negated, word)
            self.load(self.take(word, "the name of a match extension"))
        elif name in ("-j", "--jump", "-g", "--goto"):
            self.refuse_not(negated, word)
            target = self.take(word, "a target or a chain")
            if name in ("-j", "--jump"):
                self.note_glue(word)
            self.jump(target, goto=name in ("-g", "--goto"))
        elif name in ("-c", "--set-counters"):
            if "," not in self.take(word, "a packet counter").text:
                self.take(word, "a byte counter")
            if self.counted:
                self.lenient.append(Leniency(word, COUNTED_TWICE))
            self.counted = True
        elif name in ("-t", "--table"):
            self.table, self.table_option = self.take(word, "a table's name"), word
        elif negated is None and self.setting():
            pass
        else:
            loaded, declared = self.owner(word)
            if declared is None:
                loaded.text += ["!", name] if negated else [name]
                self.open_option = loaded
            else:
                self.clause(loaded, declared, word, negated)

    def setting(self) -> bool:
        """Passes over an option that concerns the program, such as ``-w 5``; False where it is none."""
        if any(
            each.open_ended or each.extension.named(self.words[self.at - 1].text)
            for each in self.candidates()
        ):
            return False
        length = setting_length(self.words, self.at - 1)
        if length:
            self.lenient.append(Leniency(self.words[self.at - 1], SETTING))
            self.at += length - 1
        return length > 0

    def completed(self, name: str) -> str:
        """One of the options of no extension written in full, where ``name`` is short for it alone."""
        if not name.startswith("--") or name in CORE_OPTIONS:
            return name
        if any(each.extension.named(name) for each in self.candidates()):
            return name
        found = [each for each in CORE_OPTIONS if each.startswith(name)]
        rivals = [
            n for e in self.candidates() for o in e.extension.options for n in o.names if n.startswith(name)
        ]
        return found[0] if len(found) == 1 and not rivals else name

    def refuse_not(self, negated: Word | None, word: Word) -> None:
        if negated is not None:
            raise WordFault(negated, f"{word.text} cannot be negated", "the option without !")

    def load(self, word: Word) -> None:
        known = all_matches().get((word.text, self.family))
        self.matches.append(_Loaded(known if known is not None else UnknownMatch(word.text), word))
        if known is None:
            self.open_option = self.matches[-1]

    def jump(self, word: Word, goto: bool) -> None:
        if self.target is not None:
            raise WordFault(word, "the rule already has a target", "one -j or -g")
        self.target_word = word
        if self.is_chain(word.text):
            self.target = Jump(word.text, goto)
        elif goto:
            expected = "a chain of this table (declared by :NAME - [0:0])"
            self.pass_over(WordFault(word, f"there is no chain {word.text!r}", expected))
            self.target = _Loaded(TargetAsText(word.text), word, spoilt=True)
        else:
            known = all_targets().get((word.text, self.family))
            self.target = _Loaded(known if known is not None else TargetAsText(word.text), word)
            self.open_option = self.target if self.target.open_ended else None

    def candidates(self) -> list[_Loaded]:
        """Loaded extensions, the ones asked first at the front."""
        target = [self.target] if isinstance(self.target, _Loaded) else []
        return [*target, *reversed(self.matches), self.header]

    def owner(self, word: Word) -> tuple[_Loaded, Option | None]:
        """The extension that an option belongs to; no ``Option`` where the extension keeps text."""
        loaded = self.candidates()
        implied = self.implied()
        pool = loaded if implied is None else [*loaded, implied]
        for each in pool:
            declared = each.extension.named(word.text)
            if declared is not None:
                if each is implied:
                    self.matches.append(implied)
                return each, declared
        keeper = next((each for each in loaded if each.open_ended), None)
        if keeper is not None:
            return keeper, None
        if word.text.startswith("--"):
            found = {
                (id(each), declared): (each, declared)
                for each in pool
                for declared in each.extension.options
                if any(name.startswith(word.text) for name in declared.names)
            }
            if len(found) == 1:
                each, declared = next(iter(found.values()))
                if each is implied:
                    self.matches.append(implied)
                return each, declared
        raise WordFault(
            word,
            f"no match or target of this rule has an option {word.text}",
            "an option of " + ", ".join(sorted({e.extension.name for e in pool})),
        )

    def implied(self) -> _Loaded | None:
        """The match whose options ``-p`` makes known without ``-m``."""
        if self.protocol is None:
            return None
        for extension in {id(e): e for (_, f), e in all_matches().items() if f == self.family}.values():
            if self.protocol in extension.implied_by and all(
                m.extension.name != extension.name for m in self.matches
            ):
                return _Loaded(extension)
        return None

    def clause(self, loaded: _Loaded, declared: Option, word: Word, negated: Word | None) -> None:
        values: list[object] = []
        kinds = declared.kinds if not declared.optional or self.value_follows() else ()
        for kind in kinds:
            value = self.take(word, f"a value for {word.text}")
            if loaded is self.header:
                self.note_glue(word)
            if value.role == "not" and not values and negated is None:
                negated = value
                self.lenient.append(Leniency(value, BEHIND))
                value = self.take(word, f"a value for {word.text}")
            try:
                values.append(kind(value.text, self.family))
            except ValueFault as fault:
                self.bad_value(loaded, WordFault(value, f"{word.text}: {fault.message}", fault.expected))
                continue
            if (
                kind in (port_range, port_list)
                and value.text != value.text.lower()
                and value.text[:2] != "0X"
            ):
                self.lenient.append(Leniency(value, UPPER_CASE))
        if negated is not None and not declared.negatable:
            raise WordFault(negated, f"{word.text} cannot be negated", f"{word.text} without !")
        if len(values) < len(kinds):
            return
        first = values[0] if values else None
        if negated is not None and isinstance(first, AddressSpec) and len(first.networks) > 1:
            self.lenient.append(Leniency(negated, NONE_OF_THEM))
        if declared.names[0] == "--protocol" and isinstance(loaded.extension, Ip):
            number = values[0]
            assert isinstance(number, int)
            if negated is None:
                self.protocol = number
            elif number == 0:
                raise WordFault(
                    negated, "! -p all matches nothing: iptables refuses it", "a protocol, or no -p at all"
                )
        loaded.clauses.append(Clause(declared.name, negated is not None, tuple(values)))
        loaded.words.append(word)

    def bad_value(self, loaded: _Loaded, fault: WordFault) -> None:
        """A value that cannot be read: passed over, the rest of the rule still bounds what it can match or do."""
        self.pass_over(fault)
        loaded.spoilt = True


@dataclass(frozen=True, slots=True)
class Bound:
    """What a rule line says: its matches, its target and where that stands, ``-t`` and the table it names."""

    matches: tuple[MatchUse, ...]
    target: TargetUse | Jump | None
    target_word: Word | None
    table_option: Word | None
    table: Word | None
    lenient: tuple[Leniency, ...]
    unread: tuple[WordFault, ...] = ()
    """What was passed over: the rule matches at most what the rest says."""


def bind(
    words: Sequence[Word], family: int, is_chain: Callable[[str], bool], *, tolerant: bool = False
) -> Bound:
    """The typed rule that ``words`` make; WordFault at the first word that cannot be.

    ``is_chain`` tells whether a name is a user chain of the rule's table. Where ``tolerant``, a value or a target that
    cannot be read is passed over and told in ``Bound.unread``: the match is left out, the target may do anything.
    """
    binder = _Binder(words, family, is_chain, tolerant)
    matches, target = binder.bind()
    return Bound(
        matches,
        target,
        binder.target_word,
        binder.table_option,
        binder.table,
        tuple(binder.lenient),
        tuple(binder.unread),
    )
