"""Targets that write of a packet and let it go on (iptables-extensions(8)): LOG, NFLOG, ULOG, AUDIT, TRACE.

Options and their order: extensions/libxt_LOG.c, libxt_NFLOG.c, libipt_ULOG.c, libxt_AUDIT.c of iptables 1.8.9.
"""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.rules.extension import Effect, Kind, TargetExtension, ValueFault, option
from ipt2np.rules.names import number_of
from ipt2np.rules.values import choice, integer, string

_LEVELS: Mapping[str, int] = {
    "emerg": 0, "panic": 0, "alert": 1, "crit": 2, "error": 3, "err": 3, "warning": 4, "warn": 4, "notice": 5,
    "info": 6, "debug": 7,
}  # fmt: skip
"""The names of syslog(3); iptables itself reads neither ``err`` nor ``warn``."""


def _read_level(text: str, family: int) -> int:
    found = number_of(text, 7)
    level = _LEVELS.get(text) if found is None else found
    if level is None:
        raise ValueFault(f"{text!r} is no log level", "a number from 0 to 7 or one of " + ", ".join(_LEVELS))
    return level


_LEVEL = Kind("LEVEL", _read_level, lambda value, family: str(value), "warning")


class Log(TargetExtension):
    """Writes to the kernel's log."""

    name = "LOG"
    effect = Effect.LOG
    options = (
        option("--log-prefix", kinds=string(29, cut=True), unsaid=("",)),
        option("--log-level", kinds=_LEVEL, default=(4,), unsaid=(4,)),
        option("--log-tcp-sequence"),
        option("--log-tcp-options"),
        option("--log-ip-options"),
        option("--log-uid"),
        option("--log-macdecode"),
    )


class Nflog(TargetExtension):
    """Sends to whoever reads a netlink group; ``--nflog-range`` never did anything."""

    name = "NFLOG"
    effect = Effect.LOG
    options = (
        option("--nflog-prefix", kinds=string(63, cut=True), unsaid=("",)),
        option("--nflog-group", kinds=integer(0xFFFF), default=(0,), unsaid=(0,)),
        option("--nflog-size", kinds=integer()),
        option("--nflog-range", kinds=integer(), unsaid=(0,)),
        option("--nflog-threshold", kinds=integer(0xFFFF), default=(0,), unsaid=(0,)),
    )
    exclusive = (("--nflog-size", "--nflog-range"),)


class Ulog(TargetExtension):
    """The older form of NFLOG, of IPv4 only."""

    name = "ULOG"
    effect = Effect.LOG
    families = (4,)
    options = (
        option("--ulog-prefix", kinds=string(31, cut=True), unsaid=("",)),
        option("--ulog-nlgroup", kinds=integer(32, 1), default=(1,), unsaid=(1,)),
        option("--ulog-cprange", kinds=integer(), default=(0,), unsaid=(0,)),
        option("--ulog-qthreshold", kinds=integer(50, 1), default=(1,), unsaid=(1,)),
    )


class Audit(TargetExtension):
    """Writes a record for the audit daemon."""

    name = "AUDIT"
    effect = Effect.LOG
    options = (
        option(
            "--type",
            kinds=choice(
                "accept",
                "drop",
                "reject",
                aliases={"ACCEPT": "accept", "DROP": "drop", "REJECT": "reject"},
                fold=True,
            ),
        ),
    )
    required = (("--type",),)


class Trace(TargetExtension):
    """Makes the kernel log each rule that the packet meets."""

    name = "TRACE"
    effect = Effect.LOG
