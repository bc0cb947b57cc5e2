"""Routing for one address at a time, by looking at every route: what ``rules.routing`` does for all of them at once.

Rows are routes as ``ip -j route show table all`` prints them. Nothing here knows ipt2np.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

Row = Mapping[str, Any]
Address = IPv4Address | IPv6Address

REJECTING = ("blackhole", "unreachable", "prohibit", "throw")
SPECIAL4 = {"0.0.0.0": "broadcast", "255.255.255.255": "broadcast"}


def kind(row: Row) -> str:
    return str(row.get("type", "unicast"))


def table(row: Row) -> str:
    return str(row.get("table", "main"))


def network(row: Row, family: int) -> Any:
    text = row["dst"]
    return ip_network(("::/0" if family == 6 else "0.0.0.0/0") if text == "default" else text)


def devices(row: Row) -> set[str]:
    hops = [hop for hop in row.get("nexthops", [row]) if "dead" not in hop.get("flags", ())]
    return {hop["dev"] for hop in hops if "dev" in hop}


def gateway(row: Row) -> bool:
    return any("gateway" in hop or "via" in hop for hop in row.get("nexthops", [row]))


@dataclass(frozen=True)
class NaiveRouting:
    """The rows of one family, in the order of the dump."""

    family: int
    rows: Sequence[Row]

    def covering(self, address: Address, *tables: str) -> list[tuple[int, Row]]:
        """(prefix length, row) of the tables' routes to an address, in the order of the dump."""
        found = []
        for row in self.rows:
            if table(row) in tables:
                net = network(row, self.family)
                if address in net:
                    found.append((net.prefixlen, row))
        return found

    def longest(self, address: Address, *tables: str) -> tuple[int, list[Row]]:
        """The routes of the longest prefix, the least metric first, local before main."""
        found = self.covering(address, *tables)
        if not found:
            return -1, []
        length = max(each for each, _ in found)
        rows = [row for each, row in found if each == length]
        return length, sorted(rows, key=lambda row: (table(row) != "local", row.get("metric", 0)))

    # -- IPv4 -------------------------------------------------------------------------------------------

    def lookups4(self, address: Address) -> Iterator[Row | None]:
        """The route that IPv4 ends at: with the tables as one, then one after the other."""
        for tables in ([("local", "main"), ("default",)], [("local",), ("main",), ("default",)]):
            answer: Row | None = None
            for group in tables:
                _, rows = self.longest(address, *group)
                if not rows:
                    continue
                if kind(rows[0]) == "throw":
                    continue
                answer = rows[0]
                if len(group) == 1 or kind(answer) not in REJECTING:
                    break
            yield answer

    def leaves4(self, address: Address) -> set[frozenset[str]]:
        """By which interfaces an answer may leave, for each way that the tables may be joined."""
        return {
            frozenset(devices(row) - {"lo"}) if row is not None and kind(row) == "unicast" else frozenset()
            for row in self.lookups4(address)
        }

    def types4(self, address: Address, device: str = "") -> set[str]:
        """The types that the address may be of; with ``device`` as --limit-iface-in asks."""
        if str(address) in SPECIAL4:
            return {SPECIAL4[str(address)]}
        if address.is_multicast:
            return {"multicast"}
        found = set()
        for tables in (("local", "main"), ("local",)):
            _, rows = self.longest(address, *tables)
            if not rows or kind(rows[0]) in REJECTING:
                found.add("unicast")
                continue
            there = [hop.get("dev", "") for hop in rows[0].get("nexthops", [rows[0]])]
            found.add(kind(rows[0]) if not device or there[0] == device else "unicast")
        return found

    def passes4(self, address: Address, device: str, *, loose: bool, accept_local: bool) -> set[bool]:
        """Does a packet from the address, on the interface, pass rpfilter?"""
        found = set()
        for row in self.lookups4(address):
            good = row is not None and (kind(row) == "unicast" or (accept_local and kind(row) == "local"))
            found.add(good and (loose or (row is not None and device in devices(row))))
        return found

    # -- IPv6 -------------------------------------------------------------------------------------------

    def rejects6(self, row: Row) -> bool:
        return kind(row) in REJECTING or (kind(row) != "local" and devices(row) == {"lo"})

    def own6(self, row: Row) -> bool:
        """True where the route is to the host itself."""
        return kind(row) == "local" or (kind(row) == "anycast" and row.get("protocol") == "kernel")

    def selected6(self, address: Address, device: str = "") -> list[Row]:
        """The routes of which IPv6 takes one; with ``device`` it asks for routes by it alone."""
        for name in ("local", "main"):
            rows = [
                (length, row)
                for length, row in self.covering(address, name)
                if not device or device in devices(row)
            ]
            if not rows:
                continue
            length = max(each for each, _ in rows)
            same = [row for each, row in rows if each == length]
            least = min(row.get("metric", 0) for row in same)
            chosen = [row for row in same if row.get("metric", 0) == least]
            if all(kind(row) != "throw" for row in chosen):
                return chosen
        return []

    def leaves6(self, address: Address) -> set[frozenset[str]]:
        rows = self.selected6(address)
        leaving = {
            frozenset() if self.rejects6(row) or self.own6(row) else frozenset(devices(row) - {"lo"})
            for row in rows
        }
        return leaving or {frozenset()}

    def types6(
        self, address: Address, device: str = "", on_device: frozenset[Address] = frozenset()
    ) -> set[frozenset[str]]:
        """The routed types; with ``device`` as --limit-iface-in asks, where the interface has ``on_device``."""
        found = set()
        for row in self.selected6(address, device):
            if self.rejects6(row):
                found.add(frozenset({"unreachable"}))
                continue
            net = network(row, 6)
            types = set()
            if (not device and kind(row) == "local") or (device and address in on_device):
                types.add("local")
            first = net.prefixlen < 127 and not gateway(row) and net.network_address == address
            if first or (kind(row) == "anycast" and row.get("protocol") == "kernel"):
                types.add("anycast")
            found.add(frozenset(types))
        return found or {frozenset({"unreachable"})}

    def passes6(self, address: Address, device: str, *, loose: bool, accept_local: bool) -> bool:
        """Does a packet from the address, on the interface, pass rpfilter?"""
        if address == ip_address("::"):
            return True
        if address.is_link_local:
            rows = self.selected6(address, device)
        else:
            rows = []
            for name in ("local", "main"):
                _, same = self.longest(address, name)
                by_device = [row for row in same if device in devices(row)]
                if same and kind(same[0]) != "throw":
                    rows = [] if loose else by_device
                    rows = rows or same
                    break
        if not rows or self.rejects6(rows[0]):
            return False
        if kind(rows[0]) == "local":
            return accept_local
        return not self.own6(rows[0]) and (loose or address.is_link_local or device in devices(rows[0]))
