"""Facts of the host out of what iproute2 prints: ``ip -j addr`` and ``ip -j route`` (ip-address(8), ip-route(8))."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Any

from ipt2np.packets.intervals import ADDRESS_BITS
from ipt2np.rules.host import (
    DEFAULT_TABLE,
    LOCAL_TABLE,
    MAIN_TABLE,
    HostAddress,
    Interface,
    Route,
    RouteType,
    link_local,
)
from ipt2np.rules.routing import LOOPBACK_ADDRESSES
from ipt2np.syntax.iproute import Entry, Faults, address_entries, route_entries

ADDR_COMMAND, ROUTE_COMMAND = "the output of `ip -j addr`", "the output of `ip -j route` or `ip -j -6 route`"
_FAMILIES = {"inet": 4, "inet6": 6}
_TABLES = {"255": LOCAL_TABLE, "254": MAIN_TABLE, "253": DEFAULT_TABLE}
_OF_LOCAL_TABLE = frozenset({RouteType.LOCAL, RouteType.BROADCAST, RouteType.ANYCAST})
"""Types of routes that go to the table local unless another is named (ip-route(8), TABLEID)."""
_WIDEST_TEXT = 60


class _Wrong(ValueError):
    """A field that iproute2 would not print."""


def _shown(value: object) -> str:
    try:
        text = value if isinstance(value, str) else repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a nest of thousands of lists
        text = type(value).__name__
    return text if len(text) <= _WIDEST_TEXT else text[: _WIDEST_TEXT - 1] + "…"


def _address(value: object, what: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        if isinstance(value, str):
            return ipaddress.ip_address(value)
    except ValueError:
        pass
    raise _Wrong(f"{what}: {_shown(value)} is not an address")


def _number(value: object, what: str, most: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
        return value
    raise _Wrong(f"{what}: {_shown(value)} is not a number from 0 to {most}")


def _name(value: object, what: str) -> str:
    if (
        isinstance(value, str)
        and 0 < len(value) <= 15
        and value.isprintable()
        and not set(value) & set(" /:")
    ):
        return value
    raise _Wrong(f"{what}: {_shown(value)} is not an interface's name")


def _strings(value: object, what: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise _Wrong(f"{what}: {_shown(value)} is not a list of words")


def _objects(value: object, what: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return value
    raise _Wrong(f"{what}: {_shown(value)} is not a list of objects")


# -- addresses ------------------------------------------------------------------------------------------


def parse_interfaces(data: bytes, file: str) -> tuple[Interface, ...]:
    """Every interface with its addresses out of ``ip -j addr`` (or ``ip addr``).

    InputError where the text is something else, or holds no address that packets from outside could have.
    """
    faults = Faults(file, ADDR_COMMAND)
    found: dict[str, Interface] = {}
    for entry in address_entries(data, faults):
        if not entry.fields:  # what `ip -j -4 addr` prints for an interface without such addresses
            continue
        if "dst" in entry.fields:
            faults.at(entry, "this is what `ip route` prints: give it by --route")
            break
        try:
            interface = _interface(entry.fields)
            if interface.name in found:
                raise _Wrong(f"{interface.name} occurs a second time")
            found[interface.name] = interface
        except _Wrong as wrong:
            faults.at(entry, str(wrong))
    faults.report()
    every = [each for interface in found.values() for each in interface.addresses]
    if all(_near(each.address, each.family) for each in every):
        faults.add(0, 0, "", "no address of the host in it")
        faults.report()
    return tuple(found.values())


def _near(address: int, family: int) -> bool:
    return address in LOOPBACK_ADDRESSES[family] or link_local(address, family)


def _interface(fields: dict[str, Any]) -> Interface:
    name = _name(fields.get("ifname"), "ifname")
    infos = _objects(fields.get("addr_info"), f"addr_info of {name}")
    master = fields.get("master")
    return Interface(
        name,
        _strings(fields.get("altnames"), f"altnames of {name}"),
        frozenset(_strings(fields.get("flags"), f"flags of {name}")),
        "" if master is None else _name(master, f"master of {name}"),
        tuple(found for info in infos if (found := _host_address(info, name)) is not None),
    )


def _host_address(info: dict[str, Any], name: str) -> HostAddress | None:
    """An address; None where duplicate address detection took it away, or where it is of another family."""
    family = info.get("family")
    if isinstance(family, str) and family not in _FAMILIES:
        return None
    local = _address(info.get("local"), f"local address of {name}")
    if family is not None and _FAMILIES.get(family) != local.version:
        raise _Wrong(f"local address of {name}: {local} is not of the family {_shown(family)}")
    if info.get("dadfailed"):
        return None
    bits = ADDRESS_BITS[local.version]
    given = {key: _address(info[key], f"{key} of {name}") for key in ("address", "broadcast") if key in info}
    if any(each.version != local.version for each in given.values()):
        raise _Wrong(f"addresses of {name}: {local} and another family's")
    peer, broadcast = given.get("address"), given.get("broadcast")
    return HostAddress(
        local.version,
        int(local),
        _number(info.get("prefixlen", bits), f"prefixlen of {name}", bits),
        None if peer is None else int(peer),
        None if broadcast is None else int(broadcast),
        str(info.get("scope", "global"))[:_WIDEST_TEXT],
        bool(info.get("secondary")),
        not info.get("noprefixroute"),
    )


# -- routes ---------------------------------------------------------------------------------------------


def parse_routes(data: bytes, file: str) -> tuple[Route, ...]:
    """Every route in use out of ``ip -j route`` (``ip -j -6 route``, ``ip -j route show table all``, or without -j).

    InputError where the text is something else, or holds no route.
    """
    faults = Faults(file, ROUTE_COMMAND)
    entries: list[Entry] = []
    for entry in route_entries(data, faults):
        if "ifname" in entry.fields:
            faults.at(entry, "this is what `ip addr` prints: give it by --addr")
            break
        entries.append(entry)
    faults.report()
    found: list[Route] = []
    for entry, family in zip(entries, _families(entries), strict=True):
        try:
            route = _route(entry.fields, family)
            if route is not None:
                found.append(route)
        except _Wrong as wrong:
            faults.at(entry, str(wrong))
    faults.report()
    if not entries:
        faults.add(0, 0, "", "no route in it")
        faults.report()
    return tuple(dict.fromkeys(found))


def _told_family(fields: dict[str, Any]) -> int | None:
    """4 or 6 where a route shows its family."""
    texts = [fields.get("dst"), fields.get("gateway"), fields.get("prefsrc"), fields.get("from")]
    hops = fields.get("nexthops")
    for hop in hops if isinstance(hops, list) else []:
        texts.append(hop.get("gateway") if isinstance(hop, dict) else None)
    for text in texts:
        if isinstance(text, str) and text not in ("default", "all"):
            return 6 if ":" in text else 4
    if "via" in fields or "scope" in fields:  # IPv4 alone has routers of the other family, and shows scopes
        return 4
    return 6 if "pref" in fields else None


def _families(entries: Sequence[Entry]) -> list[int]:
    """The family of each route. ``default`` alone does not say: then that of the nearest that does, those behind first."""
    told = [_told_family(entry.fields) for entry in entries]
    result: list[int] = []
    behind: int | None = None
    for family in reversed(told):
        behind = family or behind
        result.append(behind or 0)
    result.reverse()
    before = 4
    for place, family in enumerate(result):
        before = result[place] = family or before
    return result


def _route(fields: dict[str, Any], family: int) -> Route | None:
    """A route; None where all its next hops are dead."""
    destination = fields.get("dst")
    if not isinstance(destination, str):
        raise _Wrong(f"dst: {_shown(destination)} is not a network")
    if destination == "default":
        destination = "::/0" if family == 6 else "0.0.0.0/0"
    try:
        network = ipaddress.ip_network(destination)
    except ValueError:
        raise _Wrong(f"dst: {_shown(destination)} is not a network") from None
    try:
        kind = RouteType(fields.get("type", "unicast"))
    except ValueError:
        raise _Wrong(f"type: {_shown(fields['type'])} is no type of routes") from None
    hops = _objects(fields.get("nexthops"), "nexthops") or [fields]
    living = [hop for hop in hops if "dead" not in _strings(hop.get("flags"), "flags")]
    devices = tuple(dict.fromkeys(_name(hop["dev"], "dev") for hop in living if "dev" in hop))
    if not living:
        return None
    if kind is RouteType.UNICAST and not devices:
        raise _Wrong(f"the route to {network} has no dev")
    return Route(
        network.version,
        int(network.network_address),
        network.prefixlen,
        kind,
        devices,
        _table(fields.get("table"), kind),
        _number(fields.get("metric", 0), "metric", 0xFFFFFFFF),
        any("gateway" in hop or "via" in hop for hop in living),
        fields.get("protocol") in ("kernel", "2"),
        "tos" in fields or fields.get("from", "default") not in ("default", "all"),
    )


def _table(value: object, kind: RouteType) -> str:
    if value is None:
        return LOCAL_TABLE if kind in _OF_LOCAL_TABLE else MAIN_TABLE
    if isinstance(value, (str, int)) and not isinstance(value, bool) and len(str(value)) <= _WIDEST_TEXT:
        return _TABLES.get(str(value), str(value))
    raise _Wrong(f"table: {_shown(value)} is not the name of a routing table")
