"""One packet against NetworkPolicy YAML, word by word from the API reference, with no cleverness at all.

The quoted sentences are from the reference of ``networking.k8s.io/v1``.  The policies are taken to select
the pod (selectors are not looked at), to be valid, and to name no port by a word.  The source is outside
the cluster.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import Any

import yaml


def admits(policy_yaml: str, source: str, protocol: str, port: int) -> bool:
    """Whether a packet from this address, of this protocol and to this port, may reach the pod."""
    # "Traffic is allowed to a pod if there are no NetworkPolicies selecting the pod ... OR if the traffic
    # matches at least one ingress rule across all of the NetworkPolicy objects whose podSelector matches
    # the pod."
    selected = False
    for policy in _policies(policy_yaml):
        spec = policy["spec"]
        # "If this field is not specified, it will default based on the existence of ingress or egress
        # rules; ... all policies (whether or not they contain an ingress section) are assumed to affect
        # ingress."
        if "Ingress" not in (spec.get("policyTypes") or ["Ingress"]):
            continue
        selected = True
        for rule in spec.get("ingress") or []:
            # "The traffic must match both ports and from."
            if _matches_from(rule, source) and _matches_ports(rule, protocol, port):
                return True
    return not selected


def _matches_from(rule: dict[str, Any], source: str) -> bool:
    # "If this field is empty or missing, this rule matches all sources"
    if not rule.get("from"):
        return True
    # "Items in this list are combined using a logical OR operation."
    return any(_matches_peer(peer, source) for peer in rule["from"])


def _matches_peer(peer: dict[str, Any], source: str) -> bool:
    # The other fields select pods; the source is none.
    if "ipBlock" not in peer:
        return False
    block = peer["ipBlock"]
    if not _within(source, block["cidr"]):
        return False
    # "except is a slice of CIDRs that should not be included within an IPBlock"
    return not any(_within(source, hole) for hole in block.get("except") or [])


def _matches_ports(rule: dict[str, Any], protocol: str, port: int) -> bool:
    # "If this field is empty or missing, this rule matches all ports"
    if not rule.get("ports"):
        return True
    # "Each item in this list is combined using a logical OR."
    return any(_matches_port(item, protocol, port) for item in rule["ports"])


def _matches_port(item: dict[str, Any], protocol: str, port: int) -> bool:
    # "protocol represents the protocol (TCP, UDP, or SCTP) which traffic must match. If not specified,
    # this field defaults to TCP."
    if item.get("protocol", "TCP").lower() != protocol.lower():
        return False
    # "If this field is not provided, this matches all port names and numbers."
    if item.get("port") is None:
        return True
    # "endPort indicates that the range of ports from port to endPort if set, inclusive, should be allowed"
    if item.get("endPort") is not None:
        return bool(item["port"] <= port <= item["endPort"])
    return bool(item["port"] == port)


def _within(address: str, cidr: str) -> bool:
    # ``in`` is false across families.
    return _address(address) in _network(cidr)


# Only to save parsing the same text again and again.
_address = functools.lru_cache(maxsize=4096)(ipaddress.ip_address)
_network = functools.lru_cache(maxsize=4096)(functools.partial(ipaddress.ip_network, strict=False))


@functools.lru_cache(maxsize=4)
def _policies(policy_yaml: str) -> list[dict[str, Any]]:
    return [policy for policy in yaml.load_all(policy_yaml, Loader=yaml.CSafeLoader) if policy is not None]
