"""``-m hashlimit`` (iptables-extensions(8)): a limit for each address or port.

Source of numbers and units: extensions/libxt_hashlimit.c of iptables 1.8.9 (parse_rate, bytes_to_cost, print_rate,
print_bytes) and include/uapi/linux/netfilter/xt_hashlimit.h.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.rules.extension import Kind, MatchExtension, ValueFault, option
from ipt2np.rules.matches.connlimit import prefix_length
from ipt2np.rules.matches.rate import above, below
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer, word

SCALE = 1_000_000
"""Rates of packets are kept as the time between two of them, in microseconds."""
BYTE_SHIFT = 4
_MOST_COST = 0xFFFFFFFF
_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
_PRINTED = {"day": 86400, "hour": 3600, "min": 60, "sec": 1}
_UNITS = {"m": 1 << 20, "k": 1 << 10, "": 1}
BYTE_EXPIRE, BYTE_EXPIRE_BURST = 15, 60
"""Seconds after which an entry goes, for rates of bytes without and with a burst."""
MOST_BURST = 1_000_000
DEFAULT_BURST = 5
_EXPECTED = "a rate such as 5/sec, 10/min, 100/hour, or bytes such as 512kb/s"


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate as the kernel keeps it: the cost of a packet or of 16 bytes, and the seconds of the unit it was given in."""

    cost: int
    seconds: int
    of_bytes: bool = False

    @property
    def chunk(self) -> int:
        """The bytes a second that a rate of bytes stands for, after rounding."""
        return ((_MOST_COST // self.cost if self.cost else _MOST_COST) - 1) << BYTE_SHIFT

    def text(self) -> tuple[str, int]:
        """As printed, and the milliseconds after which entries go where nothing else is said."""
        if self.of_bytes:
            chunk = self.chunk
            unit = next(
                (
                    name
                    for name, size in _UNITS.items()
                    if chunk >= size and _cost(chunk & ~(size - 1)) == self.cost
                ),
                "",
            )
            return f"{chunk // _UNITS[unit]}{unit}b/s", BYTE_EXPIRE * 1000
        chosen, length = "day", _PRINTED["day"]
        for title, seconds in list(_PRINTED.items())[1:]:
            whole, rest = divmod(SCALE * seconds, self.cost)
            if not whole or whole < rest:
                break
            chosen, length = title, seconds
        return f"{SCALE * length // self.cost}/{chosen}", length * 1000


def _cost(octets: int) -> int:
    return _MOST_COST // ((octets >> BYTE_SHIFT) + 1)


def _read_rate(text: str, family: int) -> Rate:
    octets = re.fullmatch(r"([0-9]{1,18})([km]?)b/s", text)
    if octets is not None:
        cost = _cost(int(octets[1]) * _UNITS[octets[2]])
        if not int(octets[1]) or not cost:
            raise ValueFault(f"the rate {text} cannot be kept", _EXPECTED)
        return Rate(cost, BYTE_EXPIRE, of_bytes=True)
    packets = re.fullmatch(r"([0-9]{1,18})(?:/([a-zA-Z]+))?", text)
    unit = (packets[2] or "second").lower() if packets else ""
    seconds = next((length for title, length in _SECONDS.items() if unit and title.startswith(unit)), 0)
    if packets is None or not seconds or not int(packets[1]):
        raise ValueFault(f"{text!r} is not a rate", _EXPECTED)
    cost = SCALE * seconds // int(packets[1])
    if not cost:
        raise ValueFault(f"the rate {text} is too fast to be kept", f"at most {SCALE}/second")
    return Rate(cost, seconds)


def _read_burst(text: str, family: int) -> int:
    found = re.fullmatch(r"([0-9]{1,18})([km]?)b?", text)
    if found is None or not int(found[1]):
        raise ValueFault(
            f"{text!r} is no burst", f"a number of packets up to {MOST_BURST}, or bytes such as 16kb"
        )
    return int(found[1]) * _UNITS[found[2]]


def _read_mode(text: str, family: int) -> frozenset[str]:
    words = [part for part in re.split(r"[,|]", text) if part]
    for each in words:
        if each not in _MODES:
            raise ValueFault(f"{each!r} is not known here", "a list of " + ", ".join(_MODES))
    return frozenset(words)


_MODES = ("srcip", "srcport", "dstip", "dstport")
_RATE = Kind("RATE", _read_rate, lambda value, family: value.text()[0], "5/sec")
_BURST = Kind("BURST", _read_burst, lambda value, family: str(value), "5")
_MODE = Kind(
    "LIST",
    _read_mode,
    lambda value, family: ",".join(each for each in _MODES if each in value),
    "srcip,dstport",
)
_NUMBER = integer()


class Hashlimit(MatchExtension):
    """Holds up to the limit, or above it; ``--hashlimit`` is the older name of ``--hashlimit-upto``."""

    name = "hashlimit"
    options = (
        option("--hashlimit-upto", "--hashlimit", kinds=_RATE, negatable=True, means=below),
        option("--hashlimit-above", kinds=_RATE, negatable=True, means=above),
        option("--hashlimit-burst", kinds=_BURST),
        option("--hashlimit-mode", kinds=_MODE),
        option("--hashlimit-name", kinds=word),
        option("--hashlimit-htable-size", kinds=_NUMBER, unsaid=(0,)),
        option("--hashlimit-htable-max", kinds=_NUMBER, unsaid=(0,)),
        option("--hashlimit-htable-gcinterval", kinds=_NUMBER, unsaid=(1000,)),
        option("--hashlimit-htable-expire", kinds=_NUMBER),
        option("--hashlimit-srcmask", kinds=prefix_length),
        option("--hashlimit-dstmask", kinds=prefix_length),
        option("--hashlimit-rate-match"),
        option("--hashlimit-rate-interval", kinds=integer(0x7FFFFFFF, 1), unsaid=(1,)),
    )
    required = (("--hashlimit-upto", "--hashlimit-above"), ("--hashlimit-name",))
    exclusive = (("--hashlimit-upto", "--hashlimit-above"),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """``! --hashlimit-upto`` as ``--hashlimit-above``; burst in packets, or in chunks for a rate of bytes."""
        given = {clause.option: clause for clause in super().normal(clauses, family)}
        limit = given.get("--hashlimit-upto") or given["--hashlimit-above"]
        (rate,) = limit.values
        assert isinstance(rate, Rate)
        is_upto = (limit.option == "--hashlimit-upto") != limit.negated
        burst, expire = self._burst(given, rate)
        matching = "--hashlimit-rate-match" in given
        interval = given.get("--hashlimit-rate-interval")
        if matching and not rate.of_bytes:
            rate = Rate(rate.cost // rate.seconds, rate.seconds)
            interval = interval or Clause("--hashlimit-rate-interval", False, (rate.seconds,))
        elif matching:
            interval = interval or Clause("--hashlimit-rate-interval", False, (1,))
        result = {
            **given,
            limit.option: Clause("--hashlimit-upto" if is_upto else "--hashlimit-above", False, (rate,)),
            "--hashlimit-burst": Clause("--hashlimit-burst", False, (burst,)),
            "--hashlimit-htable-expire": given.get(
                "--hashlimit-htable-expire", Clause("--hashlimit-htable-expire", False, (expire * 1000,))
            ),
        }
        result.pop("--hashlimit-rate-interval", None)
        if matching and interval is not None:
            result["--hashlimit-rate-interval"] = interval
        place = {each.name: number for number, each in enumerate(self.options)}
        return tuple(sorted(result.values(), key=lambda clause: place[clause.option]))

    def _burst(self, given: Mapping[str, Clause], rate: Rate) -> tuple[int, int]:
        """The burst, and the seconds after which entries go."""
        said = given.get("--hashlimit-burst")
        number = int(str(said.values[0])) if said else DEFAULT_BURST
        if not rate.of_bytes:
            if number > MOST_BURST:
                raise ValueFault(
                    "the burst is too large", f"at most {MOST_BURST} packets", "--hashlimit-burst"
                )
            return number, rate.seconds
        if said is None:
            return 0, BYTE_EXPIRE
        if number < rate.chunk:
            raise ValueFault(
                "the burst is smaller than the rate", f"at least {rate.chunk}b", "--hashlimit-burst"
            )
        return -(-number // rate.chunk), BYTE_EXPIRE_BURST

    def texts(self, clauses: tuple[Clause, ...], family: int) -> Iterator[str]:
        """Bursts of bytes in their largest unit, no mask that covers the address, no time that goes without saying."""
        rate = next(value for clause in clauses for value in clause.values if isinstance(value, Rate))
        _, expire = rate.text()
        for clause in clauses:
            value = clause.values[0] if clause.values else None
            if clause.option == "--hashlimit-burst" and rate.of_bytes:
                assert isinstance(value, int)
                if value:
                    expire = BYTE_EXPIRE_BURST * 1000
                    octets = rate.chunk * value
                    unit = next(name for name, size in _UNITS.items() if octets >= size)
                    yield f"--hashlimit-burst {octets // _UNITS[unit]}{unit}b"
                continue
            masks = clause.option in ("--hashlimit-srcmask", "--hashlimit-dstmask")
            if masks and value == ADDRESS_BITS[family]:
                continue
            if clause.option == "--hashlimit-htable-expire" and value == expire:
                continue
            yield from super().texts((clause,), family)
