"""Hypothesis strategies for rulesets that iptables-restore accepts.

Every constant comes from a small neighbourhood, so that the rules of a ruleset overlap.  Where an
option is refused in some place, the source is named: the strategies follow the kernel's and iptables'
own checks, and a self test loads what they make.
"""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

#: Feature groups; "core" (addresses, protocols, interfaces, user chains) is always on.
FEATURES: Final = frozenset(
    {
        "ports", "multiport", "iprange", "icmp", "tcpflags", "state", "limit", "addrtype", "mark",
        "pkttype", "mac", "comment", "goto", "reject", "log", "notrack", "raw", "mangle", "security", "nat",
    }
)  # fmt: skip

#: The addresses that the generated destinations and "own" addresses come from.
HOST_ADDRESSES: Final = {
    "eth0": ("10.0.0.1/24", "fd00::1/64"),
    "eth1": ("10.1.0.1/24", "fd00:1::1/64"),
}

#: A generated "-m limit" never runs out when no more probes than this follow one load.
LIMIT_BURST: Final = 10_000

_SOURCES: Final = {
    4: (
        "10.0.0.0/8", "10.0.0.0/9", "10.0.0.0/16", "10.0.0.0/24", "10.0.0.128/25", "10.0.0.64/26",
        "10.0.1.0/24", "10.0.0.0/23", "10.1.0.0/16", "10.0.0.66/32", "10.0.0.67/32", "10.0.1.1/32",
        "10.128.0.0/9", "0.0.0.0/1", "128.0.0.0/1", "240.0.0.0/4", "192.168.0.0/16",
    ),
    6: (
        "fd00::/8", "fd00::/16", "fd00::/32", "fd00::/64", "fd00:0:0:1::/64", "fd00::8000/113",
        "fd00::40/122", "fd00:1::/32", "fd00::42/128", "fd00::43/128", "fd00:0:0:1::1/128", "2000::/3",
        "fe80::/10", "::/1", "8000::/1",
    ),
}  # fmt: skip
_RANGES: Final = {
    4: (
        "10.0.0.10-10.0.0.20", "10.0.0.60-10.0.0.70", "10.0.0.66-10.0.0.66", "10.0.0.200-10.0.1.10",
        "9.255.255.250-10.0.0.3", "10.0.0.0-10.0.0.255", "240.0.0.0-255.255.255.254",
    ),
    6: (
        "fd00::10-fd00::20", "fd00::3f-fd00::45", "fd00::42-fd00::42", "fd00::ffff-fd00:0:0:1::3",
        "2000::-fd00::3",
    ),
}  # fmt: skip
_DESTINATIONS: Final = {
    4: ("10.0.0.1/32", "10.1.0.1/32", "10.0.0.0/24", "10.0.0.0/15", "192.0.2.0/24"),
    6: ("fd00::1/128", "fd00:1::1/128", "fd00::/64", "fd00::/31", "2001:db8::/32"),
}
_DESTINATION_RANGES: Final = {
    4: ("10.0.0.1-10.0.0.9", "10.0.0.2-10.1.0.1", "192.0.2.1-192.0.2.2"),
    6: ("fd00::1-fd00::9", "fd00::2-fd00:1::1", "2001:db8::1-2001:db8::2"),
}
_ICMP_TYPES: Final = {
    4: (
        "any", "255", "0", "3", "8", "8/0", "8/1", "3/4", "13", "18", "echo-request", "echo-reply",
        "destination-unreachable", "port-unreachable", "fragmentation-needed", "time-exceeded", "redirect",
        "timestamp-request", "ttl-zero-during-transit", "parameter-problem", "254/7",
    ),
    6: (
        "1", "1/4", "2", "128", "128/0", "128/1", "129", "135", "255", "echo-request", "echo-reply",
        "destination-unreachable", "port-unreachable", "packet-too-big", "neighbour-solicitation",
        "router-advertisement", "ttl-zero-during-transit", "parameter-problem", "254/7",
    ),
}  # fmt: skip
_STATES: Final = ("NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
_FLAGS: Final = ("SYN,RST,ACK SYN", "SYN,ACK ACK", "FIN,SYN,RST,PSH,ACK,URG NONE", "ACK ACK", "SYN SYN",
                 "FIN,SYN FIN,SYN", "ALL SYN", "RST RST")  # fmt: skip
_INTERFACES: Final = ("eth0", "eth1", "eth+", "lo", "e+", "eth0+", "eth2")
_REJECTS: Final = {
    4: ("icmp-port-unreachable", "icmp-host-prohibited", "icmp-admin-prohibited", "icmp-net-unreachable"),
    6: ("icmp6-port-unreachable", "icmp6-adm-prohibited", "icmp6-no-route", "icmp6-addr-unreachable"),
}
_CONNMARKS: Final = (
    "--set-xmark 0x1/0xffffffff", "--set-xmark 0x2/0x2", "--set-xmark 0x0/0x1", "--set-xmark 0x1/0x0",
    "--save-mark --nfmask 0xffffffff --ctmask 0xffffffff", "--restore-mark --nfmask 0xffffffff --ctmask 0xffffffff",
    "--save-mark --nfmask 0x1 --ctmask 0x3", "--restore-mark --nfmask 0x2 --ctmask 0x3",
    "--set-xmark 0x1/0x0 --left-shift-mark 1", "--restore-mark --nfmask 0x3 --ctmask 0x3 --right-shift-mark 1",
)  # fmt: skip
_OWN: Final = {4: ("10.0.0.1", "10.1.0.1"), 6: ("fd00::1", "fd00:1::1")}
_ELSEWHERE: Final = {4: "203.0.113.9", 6: "2001:db8:113::9"}
_MACS: Final = ("02:00:00:00:01:00", "02:00:00:00:01:01", "02:00:00:00:01:02")


def _maybe_not(draw: st.DrawFn, often: int = 5) -> str:
    return "! " if draw(st.integers(0, often)) == 0 else ""


def _one_port(draw: st.DrawFn) -> int:
    return draw(
        st.one_of(st.sampled_from((1, 22, 53, 80, 81, 443, 8080, 40000, 65535)), st.integers(1, 65535))
    )


def _port_range(draw: st.DrawFn) -> str:
    low, high = sorted((_one_port(draw), _one_port(draw)))
    # libxt_multiport.c refuses a range of one port ("invalid portrange").
    return str(low) if low == high or draw(st.booleans()) else f"{low}:{high}"


def _multiport(draw: st.DrawFn) -> str:
    """At most 15 slots, of which a range takes two (XT_MULTI_PORTS in xt_multiport.h)."""
    parts = [_port_range(draw) for _ in range(draw(st.integers(1, 7)))]
    option = draw(st.sampled_from(("dports", "dports", "sports", "ports")))
    return f"-m multiport {_maybe_not(draw)}--{option} {','.join(parts)}"


def _protocol_matches(draw: st.DrawFn, family: int, on: frozenset[str]) -> tuple[list[str], str]:
    """The -p part of a rule and what only that protocol may have; the protocol's name."""
    icmp = "icmp" if family == 4 else "ipv6-icmp"
    names = ("tcp", "tcp", "tcp", "udp", "udp", "sctp", icmp, icmp, "", "", "", "47", "all")
    name = draw(st.sampled_from(names))
    if name in ("", "all"):
        return (["-p all"] if name else []), ""
    # The matches of a protocol are refused behind "! -p" (libxtables, xtables_find_match()).
    if draw(st.integers(0, 9)) == 0:
        return [f"! -p {name}"], ""
    parts = [f"-p {name}"]
    if name in ("tcp", "udp", "sctp"):
        choice = draw(st.integers(0, 9))
        if choice < 6 and "ports" in on:
            parts.append(f"-m {name}")
            option = draw(st.sampled_from(("dport", "dport", "dport", "sport", "both")))
            if option in ("sport", "both"):
                parts.append(f"{_maybe_not(draw)}--sport {_port_range(draw)}")
            if option in ("dport", "both"):
                parts.append(f"{_maybe_not(draw)}--dport {_port_range(draw)}")
        elif choice < 8 and "multiport" in on:
            parts.append(_multiport(draw))
        if name == "tcp" and "tcpflags" in on and draw(st.integers(0, 5)) == 0:
            if "-m tcp" not in parts:
                parts.append("-m tcp")
            if draw(st.booleans()):
                parts.append(f"{_maybe_not(draw, 2)}--syn")
            else:
                parts.append(f"{_maybe_not(draw, 3)}--tcp-flags {draw(st.sampled_from(_FLAGS))}")
    elif name == icmp and "icmp" in on and draw(st.integers(0, 3)):
        module, option = ("icmp", "icmp-type") if family == 4 else ("icmp6", "icmpv6-type")
        kind = draw(st.sampled_from(_ICMP_TYPES[family]))
        parts.append(f"-m {module} {_maybe_not(draw)}--{option} {kind}")
    return parts, name


def _extra(draw: st.DrawFn, family: int, on: frozenset[str], table: str) -> list[str]:
    """Matches that any protocol may have."""
    parts = []

    def wanted(feature: str, one_in: int) -> bool:
        return feature in on and draw(st.integers(1, one_in)) == 1

    if wanted("iprange", 6):
        if draw(st.integers(0, 3)):
            parts.append(f"-m iprange {_maybe_not(draw)}--src-range {draw(st.sampled_from(_RANGES[family]))}")
        else:
            where = draw(st.sampled_from(_DESTINATION_RANGES[family]))
            parts.append(f"-m iprange {_maybe_not(draw)}--dst-range {where}")
    # In raw PREROUTING nothing has a state yet: conntrack comes later (-200 after -300).
    if table != "raw" and wanted("state", 4):
        if draw(st.booleans()):
            module, option, names = "conntrack", "ctstate", _STATES
        else:
            module, option, names = "state", "state", _STATES
        states = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
        parts.append(f"-m {module} {_maybe_not(draw)}--{option} {','.join(states)}")
    if wanted("limit", 12):
        # The greatest rate and burst that libxt_limit.c takes: see LIMIT_BURST.
        parts.append("-m limit --limit 10000/sec --limit-burst 10000")
    if wanted("addrtype", 10):
        side = draw(st.sampled_from(("--dst-type LOCAL", "--src-type UNICAST", "--src-type LOCAL",
                                     "--dst-type UNICAST")))  # fmt: skip
        parts.append(f"-m addrtype {_maybe_not(draw)}{side}")
    if wanted("mark", 10):
        mark = draw(st.sampled_from(("0x0", "0x1", "0x2/0x2", "0x3")))
        parts.append(f"-m mark {_maybe_not(draw)}--mark {mark}")
    if "mark" in on and table != "raw" and draw(st.integers(0, 11)) == 0:
        mark = draw(st.sampled_from(("0x0", "0x1", "0x2/0x2", "0x3", "0x0/0x1")))
        parts.append(f"-m connmark {_maybe_not(draw)}--mark {mark}")
    if wanted("pkttype", 14):
        kind = draw(st.sampled_from(("unicast", "broadcast", "multicast")))
        parts.append(f"-m pkttype {_maybe_not(draw)}--pkt-type {kind}")
    if wanted("mac", 14):
        parts.append(f"-m mac {_maybe_not(draw)}--mac-source {draw(st.sampled_from(_MACS))}")
    if wanted("comment", 6):
        text = draw(st.sampled_from(("plain", "two words", "-j DROP", '\\"quoted\\"', "-s 1.2.3.4")))
        parts.append(f'-m comment --comment "{text}"')
    return parts


def _rewriting(draw: st.DrawFn, family: int, kind: str, protocol: str) -> str:
    """Ports may be changed only behind -p tcp, udp or sctp (libxt_NAT.c)."""
    ports = draw(st.sampled_from(("", "80", "8080", "22", "8080-8081", "443-445", "8000-8999")))
    ports = ports if protocol in ("tcp", "udp", "sctp") else ""
    if kind == "REDIRECT":
        return f"-j REDIRECT --to-ports {ports}" if ports else "-j REDIRECT"
    address = draw(st.sampled_from((*_OWN[family], *_OWN[family], _ELSEWHERE[family], "")))
    if not address and not ports:
        return "-j RETURN"
    if family == 6 and ports:
        address = f"[{address}]"
    return f"-j DNAT --to-destination {address}{':' + ports if ports else ''}"


def _target(
    draw: st.DrawFn, family: int, on: frozenset[str], table: str, protocol: str, below: list[str], user: bool
) -> str:
    choices = ["ACCEPT"] * 4 + ["DROP"] * 3 + [""] + ["RETURN"] * (2 if user else 1)
    if below:
        choices += ["jump"] * 5
        if "goto" in on:
            choices += ["goto"] * 2
    if "reject" in on and table == "filter":  # REJECT belongs to the filter table (ipt_REJECT.c)
        choices += ["REJECT"]
    if "log" in on and draw(st.integers(0, 3)) == 0:
        choices += ["LOG"]
    if "mark" in on and table == "mangle":  # MARK belongs to the mangle table in its --set-mark use
        choices += ["MARK"] * 3 + ["CONNMARK"] * 3
    if "mark" in on and table in ("raw", "filter"):
        choices += ["CONNMARK"]
    if table == "nat":  # which iptables keeps from dropping
        choices = [each for each in choices if each != "DROP"]
        choices += ["REDIRECT"] * 4 + ["DNAT"] * 3
    if "notrack" in on and table == "raw":
        choices += ["CT", "NOTRACK"]
    kind = draw(st.sampled_from(choices))
    if kind == "":
        return ""
    if kind == "jump":
        return f"-j {draw(st.sampled_from(below))}"
    if kind == "goto":
        return f"-g {draw(st.sampled_from(below))}"
    if kind == "REJECT":
        if protocol == "tcp" and draw(st.booleans()):
            return "-j REJECT --reject-with tcp-reset"
        return f"-j REJECT --reject-with {draw(st.sampled_from(_REJECTS[family]))}"
    if kind == "LOG":
        return '-j LOG --log-prefix "seen: " --log-level 7'
    if kind == "MARK":
        marks = ("0x1/0xffffffff", "0x2/0x2", "0x3/0xffffffff", "0x0/0x1")
        return f"-j MARK --set-xmark {draw(st.sampled_from(marks))}"
    if kind == "CONNMARK":
        return f"-j CONNMARK {draw(st.sampled_from(_CONNMARKS))}"
    if kind in ("REDIRECT", "DNAT"):
        return _rewriting(draw, family, kind, protocol)
    if kind == "CT":
        return "-j CT --notrack"
    return f"-j {kind}"


def _rule(
    draw: st.DrawFn, family: int, on: frozenset[str], table: str, chain: str, below: list[str], user: bool
) -> str:
    parts = [f"-A {chain}"]
    if draw(st.integers(0, 2)) == 0:
        parts.append(f"{_maybe_not(draw)}-s {draw(st.sampled_from(_SOURCES[family]))}")
    if draw(st.integers(0, 5)) == 0:
        parts.append(f"{_maybe_not(draw)}-d {draw(st.sampled_from(_DESTINATIONS[family]))}")
    if draw(st.integers(0, 5)) == 0:
        parts.append(f"{_maybe_not(draw)}-i {draw(st.sampled_from(_INTERFACES))}")
    matches, protocol = _protocol_matches(draw, family, on)
    parts += matches
    parts += _extra(draw, family, on, table)
    target = _target(draw, family, on, table, protocol, below, user)
    if target:
        parts.append(target)
    return " ".join(parts)


def _table(
    draw: st.DrawFn, family: int, on: frozenset[str], table: str, chains: dict[str, bool], size: int
) -> list[str]:
    """One table; *chains* says for each built-in chain whether it gets rules."""
    count = draw(st.integers(0, 6 if table == "filter" else 2))
    users = [f"{table[0].upper()}{number}-chain" for number in range(count)]
    lines = [f"*{table}"]
    for chain, used in chains.items():
        policy = "ACCEPT"
        if used:
            policies = ("ACCEPT", "DROP") if table == "filter" else ("ACCEPT",) * 9 + ("DROP",)
            policy = draw(st.sampled_from(policies))
        lines.append(f":{chain} {policy} [0:0]")
    lines += [f":{user} - [0:0]" for user in users]
    for chain, used in chains.items():
        if used:
            for _ in range(draw(st.integers(0, size))):
                lines.append(_rule(draw, family, on, table, chain, users, user=False))
    for number, user in enumerate(users):  # a chain only calls those after it: no loop
        for _ in range(draw(st.integers(0, 4))):
            lines.append(_rule(draw, family, on, table, user, users[number + 1 :], user=True))
    lines.append("COMMIT")
    return lines


@st.composite
def rulesets(draw: st.DrawFn, family: int, features: frozenset[str] = FEATURES) -> str:
    """The text of one family's ruleset, as iptables-save writes it."""
    unknown = features - FEATURES
    if unknown:
        raise ValueError(f"unknown features {sorted(unknown)}")
    lines: list[str] = []
    if "raw" in features and draw(st.integers(0, 3)) == 0:
        lines += _table(draw, family, features, "raw", {"PREROUTING": True, "OUTPUT": False}, 3)
    if "mangle" in features and draw(st.integers(0, 3)) == 0:
        chains = {"PREROUTING": True, "INPUT": True, "FORWARD": False, "OUTPUT": False, "POSTROUTING": False}
        lines += _table(draw, family, features, "mangle", chains, 3)
    if "nat" in features and draw(st.integers(0, 2)) == 0:
        chains = {"PREROUTING": True, "INPUT": False, "OUTPUT": False, "POSTROUTING": False}
        lines += _table(draw, family, features, "nat", chains, 4)
    lines += _table(draw, family, features, "filter", {"INPUT": True, "FORWARD": False, "OUTPUT": False}, 8)
    if "security" in features and draw(st.integers(0, 5)) == 0:
        chains = {"INPUT": True, "FORWARD": False, "OUTPUT": False}
        lines += _table(draw, family, features, "security", chains, 3)
    return "\n".join(lines) + "\n"
