"""Hypothesis strategies for dumps of ipsets: constants from a small neighbourhood, so that entries overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from hypothesis import strategies as st

from tests.kernel.probe import ICMP, ICMPV6, Probe

from .naive import NaiveSet, Refused, add, created

TYPES: Final = (
    "bitmap:ip", "bitmap:ip,mac", "bitmap:port", "hash:ip", "hash:ip,mac", "hash:ip,mark", "hash:ip,port",
    "hash:ip,port,ip", "hash:ip,port,net", "hash:mac", "hash:net", "hash:net,iface", "hash:net,net",
    "hash:net,port", "hash:net,port,net",
)  # fmt: skip
IN_KERNEL: Final = tuple(
    name
    for name in TYPES
    if name not in ("hash:ip,mac", "hash:ip,mark", "hash:mac", "hash:net,net", "hash:net,port,net")
)
"""The types that every kernel's configuration has."""
_NOMATCH: Final = (
    "hash:net",
    "hash:net,net",
    "hash:net,port",
    "hash:net,iface",
    "hash:ip,port,net",
    "hash:net,port,net",
)
_MASKED: Final = ("hash:ip", "hash:ip,port", "hash:net,net")

HOSTS: Final = {
    4: (
        "10.0.0.1",
        "10.0.0.2",
        "10.0.0.3",
        "10.0.0.66",
        "10.0.0.127",
        "10.0.1.1",
        "10.1.0.1",
        "10.1.0.66",
        "11.0.0.1",
    ),
    6: ("fd00::1", "fd00::2", "fd00::3", "fd00::42", "fd00::1:1", "fd00:1::1", "fd00:1::42", "2001:db8::1"),
}
LENGTHS: Final = {4: (7, 8, 15, 16, 24, 25, 26, 30, 31, 32), 6: (7, 16, 31, 32, 64, 112, 122, 126, 127, 128)}
_SERVICES: Final = {
    4: (
        "tcp:22",
        "22",
        "tcp:80",
        "udp:53",
        "sctp:22",
        "udplite:22",
        "icmp:8/0",
        "icmp:3/4",
        "47:0",
        "tcp:20-25",
        "50:0",
    ),
    6: ("tcp:22", "tcp:80", "udp:53", "sctp:22", "ipv6-icmp:128/0", "ipv6-icmp:1/4", "47:0", "udp:50-60"),
}
_INTERFACES: Final = ("eth0", "eth1", "eth", "lo", "eth00", "wlan0")
_MASKS: Final = {
    4: ("255.255.255.0", "255.0.0.255", "0.0.255.255", "255.255.255.254"),
    6: ("ffff:ffff:ffff:ffff::", "::ffff:ffff:ffff", "ffff::ff"),
}


@dataclass(frozen=True)
class Dump:
    """A set called s, as text and as the slow evaluator has it."""

    text: str
    naive: NaiveSet
    type: str
    family: int


def _host(draw: st.DrawFn, family: int, mask: int) -> str:
    number = int(ip_address(draw(st.sampled_from(HOSTS[family])))) + draw(st.integers(0, 2))
    masked = number & mask if draw(st.integers(0, 4)) else number
    return str(ip_address(masked) if family == 4 else ip_address(masked.to_bytes(16, "big")))


def _net(draw: st.DrawFn, family: int, mask: int, whole: bool, ranges: bool) -> str:
    if family == 4 and ranges and draw(st.integers(0, 9)) == 0:
        return _range(draw)
    lengths = LENGTHS[family] + ((0,) if whole else ())
    return f"{_host(draw, family, mask)}/{draw(st.sampled_from(lengths))}"


def _range(draw: st.DrawFn) -> str:
    first = int(ip_address(draw(st.sampled_from(HOSTS[4]))))
    return f"{ip_address(first)}-{ip_address(first + draw(st.integers(0, 300)))}"


def _hosts(draw: st.DrawFn, family: int, mask: int, ranges: bool) -> str:
    choice = draw(st.integers(0, 9))
    if family == 4 and ranges and choice == 0:
        return _range(draw)
    if family == 4 and ranges and choice == 1:
        return f"{_host(draw, 4, mask)}/{draw(st.sampled_from((24, 28, 30)))}"
    return _host(draw, family, mask)


@st.composite
def dumps(draw: st.DrawFn, types: Sequence[str] = TYPES, families: Sequence[int] = (4, 6)) -> Dump:
    """One set of one of ``types``, with a handful of entries."""
    kind = draw(st.sampled_from(types))
    family = 4 if kind.startswith("bitmap:ip") else draw(st.sampled_from(families))
    words = [kind]
    if kind.startswith("hash:") and kind != "hash:mac":
        words += ["family", "inet" if family == 4 else "inet6"]
    if kind in _MASKED and draw(st.integers(0, 2)) == 0:
        if draw(st.booleans()):
            words += [
                "netmask",
                str(draw(st.sampled_from((8, 16, 24, 31) if family == 4 else (16, 32, 64, 127)))),
            ]
        else:
            words += ["bitmask", draw(st.sampled_from(_MASKS[family]))]
    if kind == "bitmap:ip":
        words += ["range", "10.0.0.0-10.0.255.255"]
        if draw(st.integers(0, 2)) == 0:
            words += ["netmask", str(draw(st.sampled_from((20, 24, 30))))]
    elif kind == "bitmap:ip,mac":
        words += ["range", "10.0.0.0-10.0.3.255"]
    elif kind == "bitmap:port":
        words += ["range", "0-1024"]
    if kind == "hash:ip,mark" and draw(st.booleans()):
        words += ["markmask", draw(st.sampled_from(("0x000000ff", "0x0000ff00")))]
    naive = created(words)
    lines = [f"create s {' '.join(words)}"]
    for _ in range(draw(st.integers(0, 7))):
        element, flags = _element(draw, kind, family, naive)
        try:
            add(naive, element, flags)
        except Refused:
            continue
        lines.append(" ".join(["add s", element, *flags]))
    return Dump("\n".join(lines) + "\n", naive, kind, family)


def _element(draw: st.DrawFn, kind: str, family: int, naive: NaiveSet) -> tuple[str, list[str]]:
    texts = []
    for number, part in enumerate(naive.parts):
        if kind.startswith("bitmap:ip") and part == "ip":
            first = (10 << 24) + draw(st.integers(0, 0x3FF))
            ranged = kind == "bitmap:ip" and draw(st.integers(0, 2)) == 0
            last = first + draw(st.integers(0, 0x2FF))
            texts.append(f"{ip_address(first)}-{ip_address(last)}" if ranged else str(ip_address(first)))
        elif kind == "bitmap:port":
            texts.append(draw(st.sampled_from(("22", "53", "80", "20-25", "50-60"))))
        elif part == "ip":
            texts.append(_hosts(draw, family, naive.mask, ranges=number == 0 and kind != "hash:ip,mac"))
        elif part == "net":
            whole = kind in ("hash:net,iface", "hash:net,port,net")
            texts.append(_net(draw, family, naive.mask, whole, ranges=True))
        elif part == "port":
            texts.append(draw(st.sampled_from(_SERVICES[family])))
        elif part == "iface":
            texts.append(draw(st.sampled_from(_INTERFACES)))
        elif part == "mark":
            texts.append(draw(st.sampled_from(("0x00000001", "0x00000102", "0x00000000"))))
        elif part == "mac" and (kind.startswith("hash:") or draw(st.booleans())):
            texts.append("02:00:00:00:01:00")
    flags = ["nomatch"] if kind in _NOMATCH and draw(st.integers(0, 2)) == 0 else []
    if kind == "hash:net,iface" and draw(st.integers(0, 3)) == 0:
        flags.append("wildcard")
    return ",".join(texts), flags


@dataclass(frozen=True)
class Listed:
    """A list called s and its members, as text and as the slow evaluator has them."""

    text: str
    naive: dict[str, NaiveSet]


@st.composite
def lists(draw: st.DrawFn, types: Sequence[str] = TYPES) -> Listed:
    """A list of up to three sets, of whatever types and families."""
    members = [draw(dumps(types)) for _ in range(draw(st.integers(0, 3)))]
    naive = {f"m{number}": member.naive for number, member in enumerate(members)}
    text = "".join(
        member.text.replace("create s ", f"create m{number} ").replace("add s ", f"add m{number} ")
        for number, member in enumerate(members)
    )
    listed = NaiveSet("list:set", 4, 0, members=list(naive))
    text += "create s list:set\n" + "".join(f"add s {name}\n" for name in naive)
    return Listed(text, {**naive, "s": listed})


@st.composite
def searches(draw: st.DrawFn, parts: int) -> tuple[str, ...]:
    """Directions, now and then one too few or too many."""
    count = max(1, parts + draw(st.sampled_from((0, 0, 0, 0, 0, 0, 1, -1))))
    return tuple(draw(st.lists(st.sampled_from(("src", "dst")), min_size=count, max_size=count)))


_PACKETS: Final = ((6, 40000, 22), (6, 22, 80), (6, 80, 443), (17, 40000, 53), (17, 53, 22), (132, 40000, 22),
                   (136, 40000, 22), (33, 40000, 22), (47, 0, 0), (50, 0, 0))  # fmt: skip


def probes(family: int, ways: Sequence[tuple[str, str]]) -> list[Probe]:
    """Packets of all kinds from everywhere in the neighbourhood, and just outside it, by ``(destination, interface)``."""
    kind = type(ip_address(HOSTS[family][0]))
    sources = sorted({int(ip_address(text)) + step for text in HOSTS[family] for step in (-1, 0, 1, 2, 64)})
    own = {destination for destination, _ in ways}
    result = []
    for turn, source in enumerate(str(kind(number)) for number in sources):
        if family == 4 and source in own:
            continue
        for step, (protocol, sport, dport) in enumerate(_PACKETS):
            to, interface = ways[(turn // 2 + step) % len(ways)]
            result.append(Probe(family, source, to, protocol, sport, dport, interface=interface))
        icmp, types = (
            (ICMP, ((8, 0), (3, 4), (3, 0))) if family == 4 else (ICMPV6, ((128, 0), (1, 4), (129, 0)))
        )
        for step, (number, code) in enumerate(types):
            to, interface = ways[(turn + step) % len(ways)]
            result.append(
                Probe(family, source, to, icmp, icmp_type=number, icmp_code=code, interface=interface)
            )
    return result
