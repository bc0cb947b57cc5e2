"""What the JSON report says, in the words that the formats for people share. Nothing here is escaped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ipt2np.packets import AddressSet

Entry: TypeAlias = Mapping[str, Any]
"""An object of the JSON report."""

SEVERITIES = ("error", "warning", "info")
"""The worst first."""
FATES = ("lost", "approximated", "assumed", "unreachable", "kept", "not-applicable")
"""What a reviewer asks for first, first."""

SHOWN_SOURCES = 4
MOST_INVERTED = SHOWN_SOURCES * 128
"""Blocks that are left where so few of the shortest are taken out of all addresses."""
SHOWN_PORTS = 200
"""Characters of a list of ports."""


def counted(number: int, one: str, many: str = "") -> str:
    """``1,204 rules``, ``1 rule``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def tally(kinds: Iterable[str], order: Sequence[str]) -> str:
    """``lost 14, kept 1,190``: how many of each kind, in ``order``, others behind."""
    sums = Counter(kinds)
    names = [*(name for name in order if name in sums), *sorted(set(sums) - set(order))]
    return ", ".join(f"{name} {sums[name]:,}" for name in names)


def some(items: Sequence[str], shown: int = SHOWN_SOURCES) -> str:
    """The first of ``items``, and how many more there are."""
    more = f" and {len(items) - shown:,} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + more


def place_text(place: Entry) -> str:
    """``rules.v4:7``, or the file alone."""
    line = place.get("line")
    return f"{place.get('file', '')}:{line}" if line else str(place.get("file", ""))


def sources_text(box: Entry) -> str:
    """Who: addresses, whose they are where they are not external, and the interface."""
    cidrs = [str(each) for each in box.get("source", [])]
    if cidrs in (["0.0.0.0/0"], ["::/0"]):
        text = f"any IPv{6 if ':' in cidrs[0] else 4} address"
    else:
        text = _all_but_a_few(cidrs) or some(cidrs) or "any address"
    who = box.get("source_class", "external")
    if who != "external":
        text += " (any source)" if who == "any" else f" ({who}s)"
    return text + (f" on {box['interface']}" if box.get("interface") else "")


def _all_but_a_few(cidrs: Sequence[str]) -> str:
    """``any IPv4 address but 10.0.0.0/8`` where that is shorter than what is there; else nothing."""
    if not SHOWN_SOURCES < len(cidrs) <= MOST_INVERTED:
        return ""
    there = AddressSet.cidrs(*cidrs)
    missing = (~there).to_cidrs()
    return f"any IPv{there.family} address but {', '.join(missing)}" if len(missing) <= SHOWN_SOURCES else ""


def service_text(box: Entry) -> str:
    """To what: protocol, ports, ICMP types."""
    protocol = str(box.get("protocol", "any"))
    words = [
        "every protocol"
        if protocol == "any"
        else f"protocol {protocol}"
        if protocol[:1].isdigit()
        else protocol
    ]
    if box.get("icmp"):
        words.append("type " + some([str(each) for each in box["icmp"]]))
    if box.get("ports", "any") != "any":
        words.append("port " + _cut(str(box["ports"])))
    if box.get("source_ports", "any") != "any":
        words.append("from port " + _cut(str(box["source_ports"])))
    return " ".join(words)


def difference_text(difference: Entry) -> str:
    """``maybe opens tcp port 22 from 10.0.0.0/8 (pods)``."""
    sure = "" if difference.get("certain", True) else "maybe "
    return f"{sure}{difference['effect']} {service_text(difference)} from {sources_text(difference)}"


def witness_text(witness: Entry) -> str:
    """One packet in words: ``10.0.0.1 to tcp port 22``."""
    text = f"{witness.get('source', '?')} to {witness.get('protocol', 'any')}"
    if "port" in witness:
        text += f" port {witness['port']}"
    if "source_port" in witness:
        text += f" from port {witness['source_port']}"
    if "icmp_type" in witness:
        text += f" type {witness['icmp_type']} code {witness.get('icmp_code', 0)}"
    if "interface" in witness:
        text += f" on {witness['interface']}"
    return text


def sign_off_text(accepted: Entry) -> str:
    """Who accepted it, until when, and why."""
    until = f" until {accepted['expires']}" if accepted.get("expires") else ""
    return f"accepted by {accepted.get('author', '?')}{until}: {accepted.get('reason', '')}"


def differences_of(data: Entry) -> Sequence[Entry]:
    """The report's differences: those that nobody signed off first, of those what is opened for certain first."""
    found: Sequence[Entry] = data.get("proof", {}).get("differences", [])
    return sorted(found, key=_urgency)


def findings_of(data: Entry) -> Sequence[Entry]:
    """The report's findings, the worst first."""
    found: Sequence[Entry] = data.get("findings", [])
    return sorted(found, key=lambda each: (SEVERITIES.index(each["severity"]), "accepted" in each))


def severity_of_difference(difference: Entry) -> str:
    """``error`` for what is opened for certain, else ``warning``."""
    return "error" if difference["effect"] == "opens" and difference.get("certain", True) else "warning"


def headline(data: Entry) -> str:
    """The verdict and what it is about, or how many findings there are where nothing is proven."""
    summary = data.get("summary", {})
    told = summary.get("verdict_text") or data.get("proof", {}).get("verdict")
    if not told:
        sums = Counter(each["severity"] for each in data.get("findings", []))
        return ", ".join(counted(sums[each], each) for each in SEVERITIES if sums[each]) or "no findings"
    return f"{told} ({summary['about']})" if summary.get("about") else str(told)


def subject(data: Entry) -> str:
    """The name of what the report is about: the policy's, or that of the first file."""
    name = data.get("summary", {}).get("name")
    if name:
        return str(name)
    files = data.get("input", {}).get("files", [])
    return str(files[0]["path"]) if files else str(data.get("command", ""))


def _urgency(difference: Entry) -> tuple[bool, bool, bool]:
    return (
        "accepted" in difference,
        severity_of_difference(difference) != "error",
        difference["effect"] != "opens",
    )


def _cut(ports: str) -> str:
    if len(ports) <= SHOWN_PORTS:
        return ports
    whole = ports[:SHOWN_PORTS].rpartition(",")[0]
    return f"{whole} and {ports.count(',') - whole.count(','):,} more"
