"""``-m owner`` (iptables-extensions(8)): whose socket sent a packet, which only packets that go out can have."""

from __future__ import annotations

from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.names import number_of
from ipt2np.rules.values import integer, unquoted

GREATEST = 0xFFFFFFFE
ROOT = "root"


def _owned(view: View, *values: object) -> Meaning:
    """Never: a packet on its way in has no socket yet (net/netfilter/xt_owner.c, owner_mt()).

    The kernel takes the match in OUTPUT and POSTROUTING alone.
    """
    return view.never()


def _read_id(text: str, family: int) -> Range | str:
    """Numbers, or the name of a user or group: which number the host gives to it only the host knows."""
    separator = "-" if "-" in text else ":"
    parts = text.split(separator)
    numbers = [number for number in (number_of(part, GREATEST) for part in parts) if number is not None]
    if len(numbers) == len(parts) <= 2:
        if numbers[-1] < numbers[0]:
            raise ValueFault(f"the range {text} ends before it begins", "FIRST-LAST with FIRST <= LAST")
        return numbers[0], numbers[-1]
    if not text or text[0].isdecimal():
        raise ValueFault(f"{text!r} is neither a number nor a name", "a name, a number or FIRST-LAST")
    return (0, 0) if text == ROOT else text


def _write_id(value: Range | str, family: int) -> str:
    if isinstance(value, str):
        return value
    return str(value[0]) if value[0] == value[1] else f"{value[0]}-{value[1]}"


_id = Kind("NAME|N[-N]", _read_id, _write_id, "0-99")
_process = integer(0x7FFFFFFF)


class Owner(MatchExtension):
    """User, group or existence of the sending socket; and what Linux before 2.6.25 could tell of it."""

    name = "owner"
    options = (
        option("--socket-exists", negatable=True, means=_owned),
        option("--uid-owner", kinds=_id, negatable=True, means=_owned),
        option("--gid-owner", kinds=_id, negatable=True, means=_owned),
        option("--suppl-groups", means=_owned),
        option("--pid-owner", kinds=_process, negatable=True, means=_owned),
        option("--sid-owner", kinds=_process, negatable=True, means=_owned),
        option("--cmd-owner", kinds=unquoted(15), negatable=True, means=_owned),
    )
    required = (tuple(each.name for each in options if each.name != "--suppl-groups"),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """``--suppl-groups`` widens ``--gid-owner``."""
        given = {clause.option for clause in clauses}
        if "--suppl-groups" in given and "--gid-owner" not in given:
            raise ValueFault("--suppl-groups needs --gid-owner", "--gid-owner with a group", "--suppl-groups")
        return super().normal(clauses, family)
