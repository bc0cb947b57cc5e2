"""``-j MARK`` and ``-j CONNMARK`` (iptables-extensions(8)): marks that later rules can test."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from ipt2np.rules.extension import Effect, TargetExtension, option
from ipt2np.rules.marks import FULL, Marks
from ipt2np.rules.model import Clause
from ipt2np.rules.values import Masked, integer, masked

_SETTERS = ("--set-xmark", "--set-mark", "--and-mark", "--or-mark", "--xor-mark")
_SHIFTS = ("--left-shift-mark", "--right-shift-mark")
_BITS = integer(title="BITS")
_SET_OPTIONS = (
    option("--set-xmark", kinds=masked(always=True)),
    option("--set-mark", kinds=masked()),
    option("--and-mark", kinds=_BITS),
    option("--or-mark", kinds=_BITS),
    option("--xor-mark", kinds=_BITS),
)


def _as_xmark(clause: Clause) -> Masked:
    """Every way to set a mark is "clear the bits of a mask, then XOR a value"."""
    given = clause.values[0]
    if isinstance(given, Masked):
        return Masked(given.value, given.value | given.mask) if clause.option == "--set-mark" else given
    assert isinstance(given, int)
    return {
        "--and-mark": Masked(0, FULL & ~given),
        "--or-mark": Masked(given, given),
        "--xor-mark": Masked(given, 0),
    }[clause.option]


def _xmark(clauses: tuple[Clause, ...]) -> Masked | None:
    for clause in clauses:
        if clause.option == "--set-xmark" and isinstance(clause.values[0], Masked):
            return clause.values[0]
    return None


def _parts(clauses: tuple[Clause, ...]) -> tuple[str, int, int, int]:
    """Operation, mask of the packet's mark, mask of the connection's, bits of the shift to the left."""
    numbers = {
        clause.option: value for clause in clauses for value in clause.values if isinstance(value, int)
    }
    shift = numbers.get("--left-shift-mark", 0) - numbers.get("--right-shift-mark", 0)
    return clauses[0].option, numbers.get("--nfmask", FULL), numbers.get("--ctmask", FULL), shift


def _unshifted(bits: int, shift: int) -> int:
    """The bits that a shift to the left by ``shift`` (to the right where negative) brings to ``bits``."""
    return bits >> shift if shift >= 0 else bits << -shift & FULL


class Mark(TargetExtension):
    """Changes the packet's mark."""

    name = "MARK"
    effect = Effect.MARK
    options = _SET_OPTIONS
    required = exclusive = (_SETTERS,)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """As ``--set-xmark VALUE/MASK``."""
        (clause,) = super().normal(clauses, family)
        return (Clause("--set-xmark", False, (_as_xmark(clause),)),)

    def remarked(self, clauses: tuple[Clause, ...], marks: Marks) -> Marks:
        """The packet's mark as libxt_MARK and xt_mark.c change it."""
        change = _xmark(clauses)
        assert change is not None
        return replace(marks, packet=marks.packet.changed(change.value, change.mask))


class Connmark(TargetExtension):
    """Changes the connection's mark, or copies it from or to the packet's."""

    name = "CONNMARK"
    effect = Effect.MARK
    tracks = marks_connection = True
    options = (
        *_SET_OPTIONS,
        option("--save-mark"),
        option("--restore-mark"),
        option("--nfmask", kinds=integer(hexadecimal=True)),
        option("--ctmask", kinds=integer(hexadecimal=True)),
        option("--mask", kinds=integer()),
        option("--left-shift-mark", kinds=integer(32)),
        option("--right-shift-mark", kinds=integer(32)),
    )
    _OPERATIONS: ClassVar = (*_SETTERS, "--save-mark", "--restore-mark")
    required = (_OPERATIONS,)
    exclusive = (_OPERATIONS, ("--mask", "--nfmask"), ("--mask", "--ctmask"))

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """Setting as ``--set-xmark``, copying with both masks; one word overwrites another as in libxt_CONNMARK.c."""
        super().normal(clauses, family)
        operation, value, nfmask, ctmask, shift = "", 0, FULL, FULL, ("--left-shift-mark", 0)
        for clause in clauses:
            if clause.option in _SETTERS:
                operation, xmark = "--set-xmark", _as_xmark(clause)
                value, ctmask = xmark.value, xmark.mask
            elif clause.option in ("--save-mark", "--restore-mark"):
                operation = clause.option
            else:
                (number,) = clause.values
                assert isinstance(number, int)
                if clause.option in _SHIFTS:
                    shift = (clause.option, number)
                nfmask = number if clause.option in ("--mask", "--nfmask") else nfmask
                ctmask = number if clause.option in ("--mask", "--ctmask") else ctmask
        shifting = (Clause(shift[0], False, shift[1:]),) if shift[1] else ()
        if operation == "--set-xmark":
            return (Clause(operation, False, (Masked(value, ctmask),)), *shifting)
        masks = (Clause("--nfmask", False, (nfmask,)), Clause("--ctmask", False, (ctmask,)))
        return (Clause(operation), *masks, *shifting)

    def remarked(self, clauses: tuple[Clause, ...], marks: Marks) -> Marks:
        """The marks as connmark_tg_shift() of xt_connmark.c changes them."""
        operation, nfmask, ctmask, shift = _parts(clauses)
        if operation == "--set-xmark":
            change = _xmark(clauses)
            assert change is not None
            changed = marks.connection.changed(change.value, change.mask)
            return replace(marks, connection=changed.shifted(shift))
        if operation == "--save-mark":
            copied = marks.packet.under(nfmask).shifted(shift)
            return replace(marks, connection=marks.connection.merged(copied, ctmask))
        copied = marks.connection.under(ctmask).shifted(shift)
        return replace(marks, packet=marks.packet.merged(copied, nfmask))

    def copied_marks(self, clauses: tuple[Clause, ...], wanted: tuple[int, int]) -> tuple[int, int]:
        """Copying takes bits of the one mark for bits of the other; a shift moves them."""
        operation, packet, connection, shift = _parts(clauses)
        if operation == "--set-xmark":
            return 0, _unshifted(wanted[1], shift)
        if operation == "--save-mark":
            return _unshifted(wanted[1], shift) & packet, 0
        return 0, _unshifted(wanted[0], shift) & connection
