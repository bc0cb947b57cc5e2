"""A field of the packet that nothing here knows, compared under a mask."""

from __future__ import annotations

from ipt2np.rules.marks import UNKNOWN
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import Masked


def under_mask(view: View, wanted: Masked, why: str) -> Meaning:
    """``FIELD & mask == value``: settled only where the mask alone settles it, else undecided: ``why``.

    A value with bits outside its mask is never met, an empty mask always.
    """
    answer = UNKNOWN.equal(wanted.value, wanted.mask)
    return view.undecided(why) if answer is None else view.constantly(answer)
