"""What the header does not say but the migration does: the assumptions, their defaults and values.

DESIGN: every assumption is listed in the report with the rules that rely on it; ``--assume ID=VALUE``
switches it, and every id also takes ``undecided``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ipt2np.errors import UsageError

UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Assumption:
    """An assumption's id, its default, the other values it takes, and what it states."""

    id: str
    default: str
    statement: str
    values: tuple[str, ...] = ()


ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "state",
        "kernel",
        "conntrack is on: first packets are NEW, later ones ESTABLISHED, as the kernel tracks them",
    ),
    Assumption(
        "fragment", "whole", "INPUT sees whole packets: conntrack reassembles fragments before any rule looks"
    ),
    Assumption(
        "plain-header",
        "plain",
        "packets carry none of the IPv6 extension headers and IPv4 options that rules test or reckon with",
    ),
    Assumption(
        "interface", UNDECIDED, "packets come in on no interface in particular, and never on lo", ("given",)
    ),
    Assumption(
        "address", UNDECIDED, "packets may be addressed to any of the host's own addresses", ("given",)
    ),
    Assumption(
        "reverse-path",
        "strict",
        "a source comes in where an answer to it would go out (strict rp_filter, no policy routing)",
    ),
    Assumption(
        "port-mapping",
        UNDECIDED,
        "a port that nat leads to is reached directly as well as by nat",
        ("mapped",),
    ),
    Assumption(
        "rate", "not-exceeded", "rate limits behave as for a fresh, slow source: no limit is ever exceeded"
    ),
    Assumption(
        "transient", "left-out", "with --drop-transient: bans that programs made at run time are left out"
    ),
    Assumption("unicast", "unicast", "pods receive no broadcast and no multicast"),
    Assumption("sole-policy", "sole", "no other policy selects these pods and no earlier tier decides"),
    Assumption(
        "client-address",
        "preserved",
        "the policy sees the client's real address (externalTrafficPolicy Local, DSR, PROXY protocol or a direct way)",
    ),
)
BY_ID: Mapping[str, Assumption] = {each.id: each for each in ASSUMPTIONS}
SET_VALUES = ("empty", UNDECIDED)
RULE_VALUES = ("no-match", "match", UNDECIDED)


@dataclass(frozen=True)
class Assumptions:
    """The values in force: ``assumptions[id]``."""

    chosen: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, identifier: str) -> str:
        if identifier in self.chosen:
            return self.chosen[identifier]
        known = BY_ID.get(identifier)
        return known.default if known else UNDECIDED

    def statement(self, identifier: str) -> str:
        """What the assumption says, in the words of a report."""
        if identifier.startswith("set:"):
            return f"the ipset {identifier[4:]} is {self[identifier]}"
        if identifier.startswith("rule:"):
            return f"the rule at line {identifier[5:]} is taken as: {self[identifier]}"
        return BY_ID[identifier].statement

    @classmethod
    def parse(cls, settings: tuple[str, ...]) -> Assumptions:
        """From ``ID=VALUE`` texts. UsageError where an id or a value is not known."""
        chosen: dict[str, str] = {}
        for text in settings:
            identifier, equals, value = text.rpartition("=")
            if not equals:
                raise UsageError(f"--assume {text}: expected ID=VALUE, for example rate=undecided")
            if identifier.startswith("set:"):
                allowed: tuple[str, ...] = SET_VALUES
            elif identifier.startswith("rule:"):
                allowed = RULE_VALUES
                if not identifier.rpartition(":")[2].isdecimal():
                    raise UsageError(f"--assume {text}: expected rule:LINE or rule:FILE:LINE before the =")
            elif identifier in ("interface", "address"):
                allowed = (UNDECIDED,)
            elif identifier in BY_ID:
                allowed = (BY_ID[identifier].default, *BY_ID[identifier].values, UNDECIDED)
            else:
                known = ", ".join([*BY_ID, "set:NAME", "rule:LINE"])
                raise UsageError(
                    f"--assume {text}: no assumption is called {identifier!r}; there are {known}"
                )
            if value not in allowed:
                more = f" (use --{identifier} to settle it)" if identifier in ("interface", "address") else ""
                raise UsageError(
                    f"--assume {text}: {identifier} takes {' or '.join(allowed)}, not {value!r}{more}"
                )
            chosen[identifier] = value
        return cls(chosen)
