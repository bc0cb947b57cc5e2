"""``-j NFQUEUE`` (iptables-extensions(8); extensions/libxt_NFQUEUE.c of iptables 1.8.9): a program decides."""

from __future__ import annotations

from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import Effect, Kind, TargetExtension, ValueFault, option
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer, integer_range

_ANY_RANGE = integer_range(0xFFFF)


def _read_queues(text: str, family: int) -> Range:
    first, last = _ANY_RANGE(text, family)
    if first == last:
        raise ValueFault(f"{text!r} is a single queue", "FIRST:LAST with FIRST < LAST, or --queue-num")
    return first, last


_QUEUES = Kind("FIRST:LAST", _read_queues, lambda value, family: _ANY_RANGE.write(value, family), "0:3")


class Nfqueue(TargetExtension):
    """Hands the packet to a program; with ``--queue-bypass`` lets it through where none listens."""

    name = "NFQUEUE"
    effect = Effect.DIVERT
    options = (
        option("--queue-num", kinds=integer(0xFFFF)),
        option("--queue-balance", kinds=_QUEUES),
        option("--queue-bypass"),
        option("--queue-cpu-fanout"),
    )
    exclusive = (("--queue-num", "--queue-balance"),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """With its queue, which is 0 where none is named."""
        given = {clause.option for clause in clauses}
        if "--queue-balance" not in given:
            if "--queue-cpu-fanout" in given:
                raise ValueFault(
                    "--queue-cpu-fanout needs several queues",
                    "--queue-balance FIRST:LAST",
                    "--queue-cpu-fanout",
                )
            if "--queue-num" not in given:
                clauses = (Clause("--queue-num", False, (0,)), *clauses)
        return super().normal(clauses, family)

    def acts(self, clauses: tuple[Clause, ...]) -> Effect:
        """Accepts or diverts with ``--queue-bypass``."""
        bypasses = any(clause.option == "--queue-bypass" for clause in clauses)
        return Effect.MAY_DIVERT if bypasses else Effect.DIVERT
