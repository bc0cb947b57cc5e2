"""``-j SET`` (iptables-extensions(8); extensions/libxt_SET.c of iptables 1.8.9): changes ipsets, or asks one for marks."""

from __future__ import annotations

from collections.abc import Iterable

from ipt2np.rules.extension import Effect, TargetExtension, ValueFault, option
from ipt2np.rules.matches.set import directions
from ipt2np.rules.model import Clause, Ruleset, TargetUse
from ipt2np.rules.values import integer, plain_string

_SET = (plain_string(31), directions)
_NEEDS = {
    "--exist": "--add-set",
    "--timeout": "--add-set",
    "--map-mark": "--map-set",
    "--map-prio": "--map-set",
    "--map-queue": "--map-set",
}


def sets_changed(rulesets: Iterable[Ruleset]) -> frozenset[str]:
    """The ipsets whose entries rules add or delete: what a dump of them says holds until the next packet only."""
    return frozenset(
        str(clause.values[0])
        for ruleset in rulesets
        for rule in ruleset.rules
        if isinstance(rule.target, TargetUse) and isinstance(rule.target.extension, Set)
        for clause in rule.target.clauses
        if clause.option in ("--add-set", "--del-set")
    )


class Set(TargetExtension):
    """Adds the packet's addresses to a set, deletes them from one, or takes its mark from an entry of one."""

    name = "SET"
    effect = Effect.CONTINUE
    options = (
        option("--add-set", kinds=_SET),
        option("--exist"),
        option("--timeout", kinds=integer(0xFFFFFFFE), repeats=True),
        option("--del-set", kinds=_SET),
        option("--map-set", kinds=_SET),
        option("--map-mark"),
        option("--map-prio"),
        option("--map-queue"),
    )
    required = (("--add-set", "--del-set", "--map-set"),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """In order, with the last timeout; what belongs to an operation needs it."""
        given = {clause.option for clause in clauses}
        for name, operation in _NEEDS.items():
            if name in given and operation not in given:
                raise ValueFault(f"{name} needs {operation}", f"{operation} NAME src|dst[,…]", name)
        if "--map-set" in given and not given & {"--map-mark", "--map-prio", "--map-queue"}:
            raise ValueFault(
                "--map-set needs what it is to map", "--map-mark, --map-prio or --map-queue", "--map-set"
            )
        timeouts = [clause for clause in clauses if clause.option == "--timeout"]
        others = tuple(clause for clause in clauses if clause.option != "--timeout")
        return super().normal((*others, *timeouts[-1:]), family)

    def acts(self, clauses: tuple[Clause, ...]) -> Effect:
        """Changes the packet's mark with ``--map-mark``, to any: entries hold marks of their own."""
        maps = any(clause.option == "--map-mark" for clause in clauses)
        return Effect.MARK if maps else Effect.CONTINUE
