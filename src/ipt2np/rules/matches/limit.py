"""``-m limit`` (iptables-extensions(8)): a token bucket for the whole rule."""

from __future__ import annotations

import re

from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.rate import below
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer

SCALE = 10000
"""The kernel keeps a rate as the time between two packets, in units of 1/10000 s (xt_limit.h, XT_LIMIT_SCALE)."""
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
"""Units of time; any beginning of their names will do."""
PRINTED = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
_RATE = re.compile(r"\s*\+?([0-9]{1,10})[^/]*(?:/(.+))?", re.DOTALL)


def _read(text: str, family: int) -> int:
    """The time between two packets, in 1/10000 s; what follows the number, up to the slash, is not looked at."""
    expected = "packets per unit of time, such as 5/second, 3/minute, 10/hour or 1/day"
    found = _RATE.fullmatch(text)
    if found is None:
        raise ValueFault(f"{text!r} is not a rate", expected)
    packets, unit = int(found[1]), (found[2] or "second").lower()
    seconds = next((length for title, length in SECONDS.items() if title.startswith(unit)), None)
    if seconds is None or not packets:
        raise ValueFault(f"{text!r} is not a rate", expected)
    period = SCALE * seconds // packets
    if not period:
        raise ValueFault(f"the rate {text} is too fast to be kept", f"at most {SCALE}/second")
    return period


def _write(period: int, family: int) -> str:
    """In the longest unit that loses little: iptables goes on to a shorter one while the remainder stays small."""
    chosen, length = "day", PRINTED["day"]
    for title, seconds in PRINTED.items():
        whole, rest = divmod(SCALE * seconds, period)
        if not whole or (title != "day" and whole < rest):
            break
        chosen, length = title, seconds
    return f"{SCALE * length // period}/{chosen}"


rate = Kind("RATE[/UNIT]", _read, _write, "5/min")


class Limit(MatchExtension):
    """Holds until the limit is reached."""

    name = "limit"
    options = (
        option("--limit", kinds=rate, default=(SCALE * 3600 // 3,)),
        option("--limit-burst", kinds=integer(10000, 1), default=(5,), unsaid=(5,)),
    )

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """Always, below the limit."""
        return below(view)
