"""Facts of the host out of iproute2's JSON: ``ip -j addr`` and ``ip -j route`` (ip-address(8), ip-route(8))."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from typing import Any

from ipt2np.errors import InputError, Location, Problem
from ipt2np.syntax.dump import decode

_IGNORED_ROUTES = frozenset(
    {"unreachable", "blackhole", "prohibit", "throw", "local", "broadcast", "multicast", "anycast"}
)


def _entries(data: bytes, file: str, command: str) -> Iterator[dict[str, Any]]:
    text = decode(data, file)
    try:
        loaded = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        line, column = getattr(error, "lineno", 1), getattr(error, "colno", 1)
        lines = text.split("\n")
        shown = lines[line - 1] if line <= len(lines) else ""
        raise InputError(
            [Problem(Location(file, line, column), shown, "this is not JSON", f"the output of {command}")]
        ) from None
    if not isinstance(loaded, list) or not all(isinstance(entry, dict) for entry in loaded):
        raise InputError([Problem(Location(file), "", "not a list of objects", f"the output of {command}")])
    yield from loaded


def _fault(file: str, message: str, command: str) -> InputError:
    return InputError([Problem(Location(file), "", message, f"the output of {command}")])


def parse_addresses(data: bytes, file: str) -> tuple[str, ...]:
    """The host's own addresses out of ``ip -j addr``, loopback and link-local ones left out.

    InputError where the text is something else, or holds no address.
    """
    found: list[str] = []
    for entry in _entries(data, file, "ip -j addr"):
        if entry.get("ifname") == "lo":
            continue
        for info in entry.get("addr_info") or []:
            try:
                address = ipaddress.ip_address(info["local"])
            except (TypeError, KeyError, ValueError):
                raise _fault(
                    file, f"an addr_info without a local address: {info!r}"[:200], "ip -j addr"
                ) from None
            if not address.is_loopback and not address.is_link_local:
                found.append(str(address))
    if not found:
        raise _fault(file, "no address of the host in it", "ip -j addr")
    return tuple(dict.fromkeys(found))


def parse_routes(data: bytes, file: str) -> tuple[tuple[str, str], ...]:
    """``(CIDR, interface)`` of every unicast route out of ``ip -j route`` (``ip -j -6 route``).

    InputError where the text is something else, or holds no route.
    """
    found: list[tuple[str, str]] = []
    entries = list(_entries(data, file, "ip -j route"))
    six = any(":" in str(entry.get(key, "")) for entry in entries for key in ("dst", "gateway"))
    for entry in entries:
        device, destination = entry.get("dev"), entry.get("dst")
        if entry.get("type", "unicast") in _IGNORED_ROUTES or device == "lo":
            continue
        if destination == "default":
            destination = "::/0" if six else "0.0.0.0/0"
        hops = [hop.get("dev") for hop in entry.get("nexthops") or [] if isinstance(hop, dict)] or [device]
        try:
            network = str(ipaddress.ip_network(str(destination)))
        except ValueError:
            raise _fault(file, f"a route to {destination!r}"[:200], "ip -j route") from None
        for hop in hops:
            if not isinstance(hop, str):
                raise _fault(file, f"the route to {network} has no dev", "ip -j route")
            found.append((network, hop))
    if not found:
        raise _fault(file, "no route in it", "ip -j route")
    return tuple(dict.fromkeys(found))
