"""``-j REJECT`` (iptables-extensions(8); extensions/libipt_REJECT.c and libip6t_REJECT.c of iptables 1.8.9)."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.rules.extension import Effect, Kind, TargetExtension, ValueFault, option

_ANSWERS: Mapping[int, Mapping[str, str]] = {
    4: {
        "icmp-net-unreachable": "net-unreach",
        "icmp-host-unreachable": "host-unreach",
        "icmp-proto-unreachable": "proto-unreach",
        "icmp-port-unreachable": "port-unreach",
        "icmp-net-prohibited": "net-prohib",
        "icmp-host-prohibited": "host-prohib",
        "tcp-reset": "tcp-rst",
        "icmp-admin-prohibited": "admin-prohib",
    },
    6: {
        "icmp6-no-route": "no-route",
        "icmp6-adm-prohibited": "adm-prohibited",
        "icmp6-addr-unreachable": "addr-unreach",
        "icmp6-port-unreachable": "port-unreach",
        "tcp-reset": "tcp-reset",
        "icmp6-policy-fail": "policy-fail",
        "icmp6-reject-route": "reject-route",
    },
}
"""By family, in the order of the kernel's numbers: what is sent back, and its other name."""


def _read_answer(text: str, family: int) -> str:
    """An answer by either name, or by the beginning of one: the first in the kernel's order."""
    begun = text.lower()
    for name, other in _ANSWERS[family].items():
        if begun and (name.startswith(begun) or other.startswith(begun)):
            return name
    raise ValueFault(f"{text!r} is no answer of IPv{family}", "one of " + ", ".join(_ANSWERS[family]))


_ANSWER = Kind("TYPE", _read_answer, lambda value, family: str(value), "tcp-reset")


class Reject4(TargetExtension):
    """Denies, and tells the sender so."""

    name = "REJECT"
    effect = Effect.REJECT
    families = (4,)
    options = (option("--reject-with", kinds=_ANSWER, default=("icmp-port-unreachable",)),)


class Reject6(TargetExtension):
    """Denies, and tells the sender so."""

    name = "REJECT"
    effect = Effect.REJECT
    families = (6,)
    options = (option("--reject-with", kinds=_ANSWER, default=("icmp6-port-unreachable",)),)
