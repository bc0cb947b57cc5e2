"""Corrupted objects of the CNIs' own kinds: whatever changes what they let through is refused.

Every leaf of every object is spoilt in turn. The hosts are such that the policy is equal and no finding predicts a
difference, so a reading that differs on any packet that counts must end in an internal error.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ipt2np import Draft, Identity, InternalError, Options, conclude, draft
from ipt2np.cni.base import PolicyFault
from ipt2np.packets import PacketSet
from tests.dumps import dump, parsed

HOSTS = {
    "services": (
        "-A INPUT -s 10.0.0.0/8 -p tcp -m multiport --dports 22,80,443 -j ACCEPT",
        "-A INPUT -s 192.0.2.0/24 -p udp -m udp --dport 5000:5010 -j ACCEPT",
    ),
    "refusals": (
        "-A INPUT -s 10.1.0.0/16 -p tcp -m tcp --dport 22 -j DROP",
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT",
        "-A INPUT -s 203.0.113.7/32 -p tcp -m tcp --dport 443 -j DROP",
        "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT",
    ),
    "messages": (
        "-A INPUT -s 10.0.0.0/8 -p icmp -m icmp --icmp-type 8 -j ACCEPT",
        "-A INPUT -s 192.0.2.1/32 -p udp -m udp --sport 123 --dport 123 -j ACCEPT",
    ),
}
CNIS = ("calico", "antrea", "cilium")
Path = tuple[str | int, ...]


def drafted(cni: str, host: str) -> Draft:
    rules = HOSTS[host] if cni != "cilium" else [rule for rule in HOSTS[host] if "--sport" not in rule]
    identity = Identity("web", "shop", {"app": "web"})
    return draft([parsed(dump(*rules))], Options(identity=identity, cni=cni))


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every scalar, and every list and mapping that has more than one part, with the way to it."""
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield (*path, key), item
            yield from leaves(item, (*path, key))


def spoilt(documents: list[Any]) -> Iterator[tuple[Path, list[Any]]]:
    """The documents with one part left out, or with one scalar another one."""
    for path, value in leaves(documents):
        if path[1:2] != ("spec",):
            continue
        for change in (None, *_others(value)):
            copied = copy.deepcopy(documents)
            at: Any = copied
            for step in path[:-1]:
                at = at[step]
            if change is None:
                del at[path[-1]]
            else:
                at[path[-1]] = change
            yield path, copied


def _others(value: Any) -> Iterator[Any]:
    swapped = {
        "Allow": "Deny",
        "Deny": "Allow",
        "Drop": "Allow",
        "TCP": "UDP",
        "UDP": "TCP",
        "Ingress": "Egress",
    }
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from (value + 1, value - 1)
    elif isinstance(value, str):
        if value in swapped:
            yield swapped[value]
        if "/" in value and value[0].isdigit():
            yield from ("10.0.0.0/9", "0.0.0.0/0", "203.0.113.7/32")
        elif value.isdigit():
            yield str(int(value) + 1)
        else:
            yield value + "x"


def admits(draft: Draft, text: str) -> tuple[PacketSet, PacketSet]:
    """The packets that count that ``text`` lets through for external sources, and those of which nothing is said."""
    options, judged = draft.options, draft.decision.judged
    readings = draft.cni.interpret(text, options.identity, options.cluster, draft.decision.space)
    return readings["external"].admits & judged, readings["external"].undefined & judged


@pytest.mark.parametrize("cni", CNIS)
def test_every_change_of_what_is_let_through_is_refused(cni: str) -> None:
    changed = harmless = invalid = 0
    for host in HOSTS:
        original = drafted(cni, host)
        conclude(original, original.text)
        before = admits(original, original.text)
        for path, documents in spoilt(list(yaml.safe_load_all(original.text))):
            text = yaml.safe_dump_all(documents)
            try:
                after = admits(original, text)
            except PolicyFault:
                invalid += 1
                with pytest.raises(InternalError):
                    conclude(original, text)
                continue
            if after == before:
                harmless += 1
                continue
            changed += 1
            if after[0] == before[0] or after[0] - after[1] == before[0] - after[1]:
                continue  # left open only: nothing is claimed of it
            with pytest.raises(InternalError):
                conclude(original, text)
                pytest.fail(f"{host}: {path} was spoilt, and nobody noticed")
    assert changed > 60, (changed, harmless, invalid)
    assert invalid > 10
