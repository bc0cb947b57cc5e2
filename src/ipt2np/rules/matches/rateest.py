"""``-m rateest`` (iptables-extensions(8)): rates that ``-j RATEEST`` rules measure, compared.

An estimator is compared with a number (absolute) or with a second estimator (relative); with ``--rateest-delta`` it is
the difference to a given rate that counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, ValueFault, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer, unquoted

UNITS = {
    "": 1, "bit": 1, "kibit": 1024, "kbit": 1000, "mibit": 1024**2, "mbit": 10**6, "gibit": 1024**3, "gbit": 10**9,
    "tibit": 1024**4, "tbit": 10**12,
    "bps": 8, "kibps": 8 * 1024, "kbps": 8000, "mibps": 8 * 1024**2, "mbps": 8 * 10**6, "gibps": 8 * 1024**3,
    "gbps": 8 * 10**9, "tibps": 8 * 1024**4, "tbps": 8 * 10**12,
}  # fmt: skip
"""Bits per second in a unit, in any case; libxt_rateest takes a number without a unit for bits, too."""
GREATEST = 0xFFFFFFFF
"""The greatest rate, in bytes per second."""
_RATE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?([A-Za-z]*)")
_COMPARED = ("--rateest-lt", "--rateest-gt", "--rateest-eq")


def _read_rate(text: str, family: int) -> int:
    """Bytes per second."""
    found = _RATE.fullmatch(text) if len(text) <= 40 else None
    factor = UNITS.get(found[3].lower()) if found else None
    if found is None or factor is None:
        raise ValueFault(f"{text!r} is not a rate", "a number with bit, kbit, mbit, … or Bps, KBps, …")
    rate = float(found[1] + (found[2] or "")) * factor / 8
    if rate > GREATEST:
        raise ValueFault(f"the rate {text} is too great", f"at most {GREATEST} bytes per second")
    return int(rate)


def _write_rate(octets: int, family: int) -> str:
    bits = float(octets) * 8
    if bits >= 1e9:
        return f"{bits / 1e6:.0f}Mbit"
    return f"{bits / 1e3:.0f}Kbit" if bits >= 1e6 else f"{bits:.0f}bit"


_estimator = unquoted(15)
_bits = Kind("RATE", _read_rate, _write_rate, "5kbit")
_packets = integer()


class Rateest(MatchExtension):
    """One or two estimators, what to compare, and how."""

    name = "rateest"
    options = (
        option("--rateest-delta"),
        option("--rateest1", kinds=_estimator),
        option("--rateest", kinds=_estimator),
        option("--rateest-bps1", kinds=_bits, optional=True),
        option("--rateest-bps2", kinds=_bits, optional=True),
        option("--rateest-bps", kinds=_bits, optional=True),
        option("--rateest-pps1", kinds=_packets, optional=True),
        option("--rateest-pps2", kinds=_packets, optional=True),
        option("--rateest-pps", kinds=_packets, optional=True),
        *(option(how, negatable=True) for how in _COMPARED),
        option("--rateest2", kinds=_estimator),
    )
    required = (
        ("--rateest1", "--rateest"),
        _COMPARED,
        tuple(f"--rateest-{unit}" for unit in ("bps1", "bps2", "bps", "pps1", "pps2", "pps")),
    )
    exclusive = (
        ("--rateest1", "--rateest"),
        ("--rateest-bps2", "--rateest-bps"),
        ("--rateest-pps2", "--rateest-pps"),
    )

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """As libxt_rateest prints what the kernel keeps, which may repeat how rates are compared.

        Names without a number are those of the absolute form; the last of several comparisons counts, and any ``!``.
        """
        super().normal(clauses, family)
        given = {clause.option: clause.values for clause in clauses}
        delta, relative = "--rateest-delta" in given, "--rateest2" in given
        compared = [clause for clause in clauses if clause.option in _COMPARED]
        how = Clause(compared[-1].option, any(clause.negated for clause in compared))
        estimator = given.get("--rateest1", given.get("--rateest", ()))
        result = [Clause("--rateest-delta")] if delta else []
        result.append(Clause("--rateest1" if relative else "--rateest", False, estimator))
        for unit in ("bps", "pps"):
            result += self._compared(unit, given, how, delta, relative)
        if relative:
            result.append(Clause("--rateest2", False, given["--rateest2"]))
        return tuple(result)

    def _compared(
        self, unit: str, given: dict[str, tuple[object, ...]], how: Clause, delta: bool, relative: bool
    ) -> Iterator[Clause]:
        short, first, second = f"--rateest-{unit}", f"--rateest-{unit}1", f"--rateest-{unit}2"
        if not given.keys() & {short, first, second}:
            return
        value = given.get(second) or given.get(short) or (0,)
        if delta:
            yield Clause(first, False, given.get(first) or (0,))
            yield how
            yield Clause(second, False, value)
        else:
            yield how
            yield Clause(short, False, () if relative else value)

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """What other packets there are decides."""
        return Undecided("the rate that the host's rate estimators measure")(view)
