"""``-j MARK`` and ``-j CONNMARK`` (iptables-extensions(8)): marks that later rules can test."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from ipt2np.rules.extension import Effect, MarkingTarget, option
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


class Mark(MarkingTarget):
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


class Connmark(MarkingTarget):
    """Changes the connection's mark, or copies it from or to the packet's."""

    name = "CONNMARK"
    effect = Effect.MARK
    tracks = True
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
        values = {clause.option: clause.values for clause in clauses}
        shift = int(str(values.get("--left-shift-mark", (0,))[0])) - int(
            str(values.get("--right-shift-mark", (0,))[0])
        )
        change = _xmark(clauses)
        if change is not None:
            changed = marks.connection.changed(change.value, change.mask)
            return replace(marks, connection=changed.shifted(shift))
        nfmask, ctmask = (int(str(values[name][0])) for name in ("--nfmask", "--ctmask"))
        if "--save-mark" in values:
            copied = marks.packet.under(nfmask).shifted(shift)
            return replace(marks, connection=marks.connection.merged(copied, ctmask))
        copied = marks.connection.under(ctmask).shifted(shift)
        return replace(marks, packet=marks.packet.merged(copied, nfmask))
