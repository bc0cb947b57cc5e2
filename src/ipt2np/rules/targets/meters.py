"""Targets that measure or show traffic and let it go on (iptables-extensions(8)): RATEEST, IDLETIMER, LED."""

from __future__ import annotations

import math
import re

from ipt2np.rules.extension import Effect, Kind, TargetExtension, ValueFault, option
from ipt2np.rules.model import Clause
from ipt2np.rules.names import number_of
from ipt2np.rules.values import integer, plain_string, string

_SECOND = 1_000_000
_UNITS = {"": 1, "us": 1, "usec": 1, "usecs": 1, "ms": 1000, "msec": 1000, "msecs": 1000} | dict.fromkeys(
    ("s", "sec", "secs"), _SECOND
)
_TIME = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})([a-z]*)", re.IGNORECASE)
_MOST_DOUBLINGS = 5
_MOST_EWMA_LOG = 30


def _read_time(text: str, family: int) -> int:
    """Microseconds: a number alone counts them, with a unit s, ms or us those."""
    found = _TIME.fullmatch(text)
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None:
        raise ValueFault(f"{text[:40]!r} is no time", "a number with a unit s, ms or us, such as 250ms")
    time = int(float(found[1]) * unit)
    if time > 0xFFFFFFFF:
        raise ValueFault(f"{text[:40]!r} is too long", "a time of at most 4294 seconds")
    return time


def _write_time(value: int, family: int) -> str:
    if value >= _SECOND:
        return f"{value / _SECOND:.1f}s"
    return f"{value / 1000:.1f}ms" if value >= 1000 else f"{value}us"


_INTERVAL = Kind("TIME", _read_time, _write_time, "250ms")
_AVERAGING = Kind("TIME", _read_time, _write_time, "500ms")


class Rateest(TargetExtension):
    """Feeds an estimator of rates, which ``-m rateest`` reads."""

    name = "RATEEST"
    effect = Effect.CONTINUE
    options = (
        option("--rateest-name", kinds=plain_string(15)),
        option("--rateest-interval", kinds=_INTERVAL),
        option("--rateest-ewmalog", kinds=_AVERAGING),
    )
    required = (("--rateest-name",), ("--rateest-interval",), ("--rateest-ewmalog",))

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """The times that the kernel can hold: 250 ms doubled some times, and that doubled some times."""
        name, interval, averaging = super().normal(clauses, family)
        (wanted,), (average,) = interval.values, averaging.values
        assert isinstance(wanted, int)
        assert isinstance(average, int)
        steps = next((n for n in range(_MOST_DOUBLINGS + 1) if wanted <= (_SECOND // 4) << n), None)
        if steps is None:
            raise ValueFault("the interval is too long", "at most 8s", interval.option)
        log = _ewma_log(wanted, average)
        if not 0 < log <= _MOST_EWMA_LOG:
            raise ValueFault(
                "the averaging time does not fit the interval",
                "a longer time than the interval",
                averaging.option,
            )
        held = (_SECOND // 4) << steps
        return (
            name,
            Clause(interval.option, False, (held,)),
            Clause(averaging.option, False, (held << log & 0xFFFFFFFF,)),
        )


def _ewma_log(interval: int, average: int) -> int:
    """The weight of the past as a power of two (extensions/libxt_RATEEST.c, RATEEST_final_check)."""
    for log in range(1, _MOST_EWMA_LOG + 1):
        if interval / -math.log1p(-1 / (1 << log)) > average:
            return log - 1
    return _MOST_EWMA_LOG + 1


class Idletimer(TargetExtension):
    """Tells user space when no packet has come for a while."""

    name = "IDLETIMER"
    effect = Effect.CONTINUE
    options = (
        option("--timeout", kinds=integer(low=1)),
        option("--label", kinds=plain_string(27)),
        option("--alarm"),
    )
    required = (("--timeout",), ("--label",))


_FOREVER = 0xFFFFFFFF


def _read_delay(text: str, family: int) -> int:
    """Milliseconds, or the greatest number for ``inf``; negative as iptables-save prints great ones."""
    if text.lower().startswith("inf"):
        return _FOREVER
    positive = text.removeprefix("-")
    found = number_of(positive, 1 << 31 if positive != text else _FOREVER)
    if found is None:
        raise ValueFault(f"{text!r} is no delay", f"milliseconds from 0 to {_FOREVER}, or inf")
    return found if positive == text else -found & _FOREVER


def _write_delay(value: int, family: int) -> str:
    """Signed, so that what was ``inf`` is -1."""
    return str(value - (1 << 32) if value >> 31 else value)


def _write_trigger(value: str, family: int) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


class Led(TargetExtension):
    """Lights a LED."""

    name = "LED"
    effect = Effect.CONTINUE
    options = (
        option("--led-trigger-id", kinds=Kind("NAME", string(16).read, _write_trigger, "name")),
        option(
            "--led-delay", kinds=Kind("MS|inf", _read_delay, _write_delay, "50"), default=(0,), unsaid=(0,)
        ),
        option("--led-always-blink"),
    )
    required = (("--led-trigger-id",),)
