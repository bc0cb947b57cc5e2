"""``-m time`` (iptables-extensions(8)): dates, times of day, days of the month and of the week."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, ValueFault, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.names import number_of

FOREVER = 0x7FFFFFFF
"""The end of time where none is given, in seconds since 1970."""
DAY = 24 * 60 * 60
MONTHDAYS = frozenset(range(1, 32))
WEEKDAYS = {"Mon": 1, "Tue": 2, "Wed": 3, "Thu": 4, "Fri": 5, "Sat": 6, "Sun": 7}
EVERY = {"--monthdays": MONTHDAYS, "--weekdays": frozenset(WEEKDAYS.values())}
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2})(?:T([0-9]{1,2})(?::([0-9]{1,2})(?::([0-9]{1,2}))?)?)?)?)?"
)
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2})(?::([0-9]{1,2}))?")


def _seconds(hour: str | None, minute: str | None, second: str | None) -> int | None:
    """Since midnight; None where there is no such time."""
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    return 3600 * hours + 60 * minutes + seconds if hours < 24 and max(minutes, seconds) < 60 else None


def _read_date(text: str, family: int) -> int:
    """Seconds since 1970; month 0 is the one before January, days past a month's end run into the next (mktime(3))."""
    found = _DATE.fullmatch(text)
    since_midnight = _seconds(found[4], found[5], found[6]) if found else None
    if found is not None and since_midnight is not None:
        year, month, day = int(found[1]), int(found[2] or 1), int(found[3] or 1)
        if 1970 <= year <= 2038 and month <= 12 and day <= 31:
            first = date(year - (month == 0), month or 12, 1)
            moment = (first.toordinal() + day - 1 - date(1970, 1, 1).toordinal()) * DAY + since_midnight
            if moment >= 0:
                return moment
    raise ValueFault(f"{text!r} is no date from 1970 to 2038", "YYYY[-MM[-DD[Thh[:mm[:ss]]]]]")


def _write_date(value: int, family: int) -> str:
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _read_time(text: str, family: int) -> int:
    found = _TIME.fullmatch(text)
    moment = _seconds(found[1], found[2], found[3]) if found else None
    if moment is None:
        raise ValueFault(f"{text!r} is no time of day", "hh:mm[:ss] from 00:00 to 23:59:59")
    return moment


def _write_time(value: int, family: int) -> str:
    return f"{value // 3600:02}:{value // 60 % 60:02}:{value % 60:02}"


def _read_monthdays(text: str, family: int) -> frozenset[int]:
    """Days by number; the kernel knows a day 0 as well, which never comes."""
    days = [int(part) if re.fullmatch("[0-9]{1,2}", part) else 32 for part in text.split(",")]
    if max(days) > 31:
        raise ValueFault(f"{text!r} is no list of days of the month", "a list of numbers from 1 to 31")
    return frozenset(days)


def _write_monthdays(value: frozenset[int], family: int) -> str:
    return ",".join(str(day) for day in sorted(value & MONTHDAYS))


def _read_weekdays(text: str, family: int) -> frozenset[int]:
    """Days by number from Monday, or by name, of which two letters are enough."""
    found = set()
    for part in text.split(","):
        day = number_of(part, 7)
        if day is None and len(part) >= 2:
            day = next((n for name, n in WEEKDAYS.items() if name[:2].lower() == part[:2].lower()), None)
        if not day:
            raise ValueFault(
                f"{part!r} is no day of the week", "a list of " + ", ".join(WEEKDAYS) + " or 1 to 7"
            )
        found.add(day)
    return frozenset(found)


def _write_weekdays(value: frozenset[int], family: int) -> str:
    return ",".join(name for name, day in WEEKDAYS.items() if day in value)


_date = Kind("DATE", _read_date, _write_date, "2030-01-31T12:00:00")
_time = Kind("hh:mm[:ss]", _read_time, _write_time, "08:00")


class Time(MatchExtension):
    """When a packet comes; in UTC unless ``--kerneltz`` is given."""

    name = "time"
    options = (
        option("--timestart", kinds=_time, default=(0,)),
        option("--timestop", kinds=_time, default=(DAY - 1,)),
        option("--monthdays", kinds=Kind("LIST", _read_monthdays, _write_monthdays, "1,15"), negatable=True),
        # Until iptables 1.4 --days was a list of weekdays, too.
        option(
            "--weekdays",
            "--days",
            kinds=Kind("LIST", _read_weekdays, _write_weekdays, "Mon,Fri"),
            negatable=True,
        ),
        option("--datestart", kinds=_date, unsaid=(0,)),
        option("--datestop", kinds=_date, default=(FOREVER,), unsaid=(0,)),
        option("--kerneltz", "--localtz"),
        option("--utc", unsaid=()),
        option("--contiguous"),
    )
    exclusive = (("--kerneltz", "--utc"),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """Negated lists of days as the others; times and days that are all there are left out."""
        normal = super().normal(clauses, family)
        moments = {
            clause.option: clause.values[0] for clause in normal if clause.option.startswith("--times")
        }
        start, stop = int(str(moments["--timestart"])), int(str(moments["--timestop"]))
        if start < stop and any(clause.option == "--contiguous" for clause in normal):
            raise ValueFault(
                "--contiguous is for times that pass midnight",
                "--timestart later than --timestop",
                "--contiguous",
            )
        return tuple(_kept(normal, whole_day=(start, stop) == (0, DAY - 1)))

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """Never on no day at all, and else no header says when the packet comes."""
        for clause in clauses:
            days = clause.values[0] if clause.option in EVERY else None
            if isinstance(days, frozenset) and not days & EVERY[clause.option]:
                return view.never()
        return Undecided("the time at which the packet comes")(view)


def _kept(clauses: tuple[Clause, ...], *, whole_day: bool) -> Iterator[Clause]:
    for clause in clauses:
        if clause.option in ("--timestart", "--timestop") and whole_day:
            continue
        if clause.option not in EVERY:
            yield clause
            continue
        (days,) = clause.values
        assert isinstance(days, frozenset)
        chosen = days ^ EVERY[clause.option] if clause.negated else days
        if chosen != EVERY[clause.option]:
            yield Clause(clause.option, False, (chosen,))
