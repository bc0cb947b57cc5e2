"""Small rulesets × every CNI: what the proof says of each, as a text that people can read.

``python -m tests.cni.matrix > tests/cni/matrix.txt`` writes the text anew; read the difference before you keep it,
each line is a claim about a CNI.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ipt2np import CNIS, Conversion, Facts, Identity, Options, Ruleset, convert, parse_ruleset
from ipt2np.cni.base import SOURCE_CLASSES, Cluster
from ipt2np.syntax.ipset import parse_ipsets
from tests.dumps import dump

FILE = Path(__file__).with_suffix(".txt")
IDENTITY = Identity("web", "shop", {"app": "web"})
SHOWN_RULES = 9
NOTHING_DECLARED = Cluster()


@dataclass(frozen=True)
class Case:
    """A host's rules of INPUT, by family; no rules and no policy of a family: nothing was given for it."""

    name: str
    v4: tuple[str, ...] = ()
    policy: str = "DROP"
    v6: tuple[str, ...] | None = None
    chains: tuple[str, ...] = ()
    only6: bool = False
    ipsets: str = ""
    cluster: Cluster = NOTHING_DECLARED

    @property
    def rules(self) -> tuple[str, ...]:
        """All rules as they are given, IPv4 first."""
        return (*self.v4, *(self.v6 or ()))


def accept(rest: str) -> str:
    return f"-A INPUT {rest} -j ACCEPT"


def drop(rest: str) -> str:
    return f"-A INPUT {rest} -j DROP"


def tcp(ports: int | str, source: str = "") -> str:
    """An accepted TCP port or range of ports."""
    return accept(f"{f'-s {source} ' if source else ''}-p tcp -m tcp --dport {ports}")


DECLARED = Cluster(pod_cidrs=("10.96.0.0/12",), node_cidrs=("192.168.50.0/24",))

RECENT = "-p tcp -m tcp --dport 22 -m recent {} --name ssh --mask 255.255.255.255 --rsource"

CASES = (
    # Services.
    Case("TCP port from one network", (tcp(22, "198.51.100.0/24"),)),
    Case("TCP port from everywhere", (tcp(443),)),
    Case("UDP port from everywhere", (accept("-p udp -m udp --dport 53"),)),
    Case("SCTP port from one network", (accept("-s 198.51.100.0/24 -p sctp -m sctp --dport 3868"),)),
    Case("all of TCP from one network", (accept("-s 198.51.100.0/24 -p tcp"),)),
    Case("every protocol from one network", (accept("-s 198.51.100.0/24"),)),
    Case("port range of 11 ports", (tcp("6000:6010", "198.51.100.0/24"),)),
    Case("port range of 101 ports", (tcp("8000:8100", "198.51.100.0/24"),)),
    Case("port range of 30001 ports", (tcp("30000:60000"),)),
    Case("port list", (accept("-p tcp -m multiport --dports 25,110,143,465,587,993,995"),)),
    Case(
        "60 separate ports from one network",
        tuple(tcp(port, "198.51.100.0/24") for port in range(1000, 1120, 2)),
    ),
    Case(
        "25 separate ports from one network",
        tuple(tcp(port, "198.51.100.0/24") for port in range(1000, 1050, 2)),
    ),
    Case("negated port", (accept("-p tcp -m tcp ! --dport 25"),)),
    Case("source port of a client", (accept("-s 198.51.100.0/24 -p tcp -m tcp --sport 1024:65535 --dport 22"),)),
    Case("source port taken for an answer", (accept("-p udp -m udp --sport 53"), tcp(80))),
    Case("ping", (accept("-p icmp -m icmp --icmp-type 8"), tcp(80))),
    Case("ICMP type and code", (accept("-p icmp -m icmp --icmp-type 8/0"),)),
    Case("all of ICMP", (accept("-p icmp"),)),
    Case("ping of IPv6", v6=(accept("-p ipv6-icmp -m icmp6 --icmpv6-type 128"), tcp(80)), only6=True),
    Case("GRE and ESP", (accept("-s 198.51.100.0/24 -p gre"), accept("-s 198.51.100.0/24 -p esp"))),
    # Default ACCEPT.
    Case("nothing but policy ACCEPT", policy="ACCEPT"),
    Case(
        "ban list, IPv4",
        (drop("-s 203.0.113.7/32"), drop("-s 198.51.100.0/24"), drop("-s 172.17.1.0/24")),
        "ACCEPT",
    ),
    Case("ban list, IPv6", v6=(drop("-s 2001:db8:bad::/48"),), policy="ACCEPT", only6=True),
    Case("ban list, both families", (drop("-s 203.0.113.7/32"),), "ACCEPT", (drop("-s 2001:db8:bad::/48"),)),
    Case("policy ACCEPT, both families", (), "ACCEPT", ()),
    Case("ban of a port", (drop("-p tcp -m tcp --dport 25"),), "ACCEPT"),
    Case("ban of a port for most", (drop("! -s 198.51.100.0/24 -p tcp -m tcp --dport 3306"),), "ACCEPT"),
    Case("ban of ping", (drop("-p icmp -m icmp --icmp-type 8"),), "ACCEPT"),
    Case("ban list, pods and nodes declared", (drop("-s 203.0.113.7/32"),), "ACCEPT", cluster=DECLARED),
    Case("ban of a pod's address", (drop("-s 10.96.7.0/24"),), "ACCEPT", cluster=DECLARED),
    Case("ban list, no peers in the cluster", (drop("-s 203.0.113.7/32"),), "ACCEPT", cluster=Cluster(in_cluster=False)),
    Case("ban of a private network", (drop("-s 10.0.0.0/8"),), "ACCEPT"),
    # Default DROP.
    Case("nothing but policy DROP"),
    Case("policy DROP, both families", (), "DROP", ()),
    Case(
        "web server, both families",
        (
            accept("-m conntrack --ctstate RELATED,ESTABLISHED"),
            accept("-i lo"),
            tcp(80),
            tcp(443),
            tcp(22, "198.51.100.0/24"),
        ),
        v6=(
            accept("-m conntrack --ctstate RELATED,ESTABLISHED"),
            tcp(80),
            tcp(443),
            tcp(22, "2001:db8:5::/48"),
        ),
    ),
    Case("allow list of pods and of nodes", (tcp(9100, "10.96.0.0/12"), tcp(10250, "192.168.50.0/24")), cluster=DECLARED),
    Case("allow list of some pods", (tcp(5432, "10.96.7.0/24"),), cluster=DECLARED),
    Case("negated source", (accept("! -s 203.0.113.0/24 -p tcp -m tcp --dport 80"),)),
    Case(
        "holes in holes",
        (
            tcp(22, "10.1.2.3/32"),
            drop("-s 10.1.2.0/24"),
            tcp(22, "10.1.0.0/16"),
            drop("-s 10.0.0.0/8"),
            tcp(22),
        ),
    ),
    Case("drop before an accept of everything", (drop("-s 172.17.1.0/24"), accept("-s 172.17.0.0/16"))),
    Case(
        "drop of all protocols before accepted ports",
        (drop("-s 203.0.113.0/24"), tcp(80), accept("-p udp -m udp --dport 123")),
    ),
    Case("drop of a port before an accept of everything", (drop("-p tcp -m tcp --dport 23"), accept("-s 198.51.100.0/24"))),
    Case(
        "address range",
        (accept("-p tcp -m iprange --src-range 198.51.100.10-198.51.100.90 -m tcp --dport 22"),),
    ),
    Case("300 scattered addresses", tuple(tcp(22, f"203.0.{n // 100}.{n % 100 * 2 + 1}/32") for n in range(300))),
    # Answers, logs, limits.
    Case("REJECT at the end", (tcp(80), "-A INPUT -j REJECT --reject-with icmp-port-unreachable")),
    Case(
        "REJECT by a reset, then DROP",
        (tcp(80), "-A INPUT -p tcp -m tcp --dport 113 -j REJECT --reject-with tcp-reset"),
    ),
    Case("LOG before the end", (tcp(80), '-A INPUT -j LOG --log-prefix "IN-DROP: "')),
    Case("LOG of what is accepted", ("-A INPUT -p tcp -m tcp --dport 22 -j LOG", tcp(22))),
    Case("LOG with a limit", (tcp(80), "-A INPUT -m limit --limit 5/min -j LOG")),
    Case("rate limit of accepts", (accept("-p tcp -m tcp --dport 22 -m limit --limit 3/min --limit-burst 5"),)),
    Case(
        "throttle by recent",
        (
            f"-A INPUT {RECENT.format('--set')}",
            drop(RECENT.format("--update --seconds 60 --hitcount 4")),
            tcp(22),
        ),
    ),
    # Ways through the chains.
    Case(
        "user chain with a return",
        (
            "-A INPUT -p tcp -m tcp --dport 22 -j admin",
            tcp(80),
            "-A admin -s 203.0.113.0/24 -j RETURN",
            "-A admin -s 198.51.100.0/24 -j ACCEPT",
            "-A admin -j DROP",
        ),
        chains=("admin",),
    ),
    Case(
        "ipset of banned networks",
        (drop("-m set --match-set bans src"), tcp(80)),
        ipsets="create bans hash:net family inet\nadd bans 203.0.113.0/24\nadd bans 198.51.100.7\n",
    ),
    Case(
        "ipset of hosts and ports",
        (accept("-m set --match-set clients src,dst"),),
        ipsets="create clients hash:ip,port family inet\n"
        "add clients 198.51.100.7,tcp:22\nadd clients 198.51.100.8,udp:161\n",
    ),
    Case("interface that nobody settled", (accept("-i eth1 -p tcp -m tcp --dport 22"), tcp(80))),
)  # fmt: skip


def rulesets_of(case: Case) -> list[Ruleset]:
    """The case's dumps, parsed."""
    rulesets = []
    if not case.only6:
        text = dump(*case.v4, policy=case.policy, chains=case.chains)
        rulesets.append(parse_ruleset(text.encode(), "rules.v4", family=4))
    if case.v6 is not None:
        text = dump(*case.v6, policy=case.policy)
        rulesets.append(parse_ruleset(text.encode(), "rules.v6", family=6, first_number=len(case.v4)))
    return rulesets


def facts_of(case: Case) -> Facts:
    """The case's ipsets."""
    return Facts(ipsets=parse_ipsets(case.ipsets.encode(), "sets") if case.ipsets else {})


def conversion(case: Case, cni: str) -> Conversion:
    """The case's conversion for a target."""
    options = Options(identity=IDENTITY, cni=cni, cluster=case.cluster, facts=facts_of(case))
    return convert(rulesets_of(case), options)


def codes(result: Conversion) -> list[str]:
    """The codes that the matrix shows: what is undecided, and all that the target has to do with."""
    found = {finding.code for finding in result.findings}
    return sorted(code for code in found if code >= "N2P200")


def row(result: Conversion, shared: frozenset[str]) -> str:
    """Verdicts by class (``-`` where the target's documents leave it open) and the codes that are not ``shared``."""
    verdicts = [result.proof.by_class.get(name) for name in SOURCE_CLASSES]
    words = [f"{verdict.value if verdict else '-':<9}" for verdict in verdicts]
    return f"{''.join(words)}{' '.join(code[3:] for code in codes(result) if code not in shared)}".rstrip()


def block(case: Case) -> str:
    """The case, what every CNI has to say of it, and a line for each."""
    results = {name: conversion(case, name) for name in CNIS}
    shared = frozenset.intersection(*(frozenset(codes(each)) for each in results.values()))
    said = [f"everywhere: {' '.join(code[3:] for code in sorted(shared))}"] if shared else []
    return "\n".join(
        [*_heading(case), *said, *(f"{name:<17}{row(each, shared)}" for name, each in results.items())]
    )


def _heading(case: Case) -> Iterator[str]:
    yield f"== {case.name}"
    families = [*([] if case.only6 else ["IPv4"]), *([] if case.v6 is None else ["IPv6"])]
    yield f"   # {' and '.join(families)}, policy {case.policy}{_of_cluster(case.cluster)}"
    for family, rules in (("", case.v4), ("6: ", case.v6 or ())):
        yield from (f"   {family}{rule}" for rule in rules[:SHOWN_RULES])
        if len(rules) > SHOWN_RULES:
            yield f"   … and {len(rules) - SHOWN_RULES} more like these"
    yield from (f"   ipset: {line}" for line in case.ipsets.splitlines())


def _of_cluster(cluster: Cluster) -> str:
    said = [("pods", cluster.pod_cidrs), ("nodes", cluster.node_cidrs)]
    listed = "".join(f", {who} {', '.join(cidrs)}" for who, cidrs in said if cidrs)
    return listed if cluster.in_cluster else f"{listed}, no peers for pods and nodes"


HEAD = """\
What the proof says of small rulesets on every CNI: the verdict on external sources, on pods and on nodes (`-`: the
target's documents leave it open), then the codes of findings from N2P200 on, without "N2P"; those that every CNI has
stand above. A verdict is about the packets of which the documents say something: 303 and 309 on `kubernetes` and
`ovn-kubernetes`, 411, 414 and 419 name those that are outside.
Made by `python -m tests.cni.matrix > tests/cni/matrix.txt`.
"""


def text() -> str:
    """The whole matrix."""
    return "\n\n".join([HEAD.rstrip(), *(block(case) for case in CASES)]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
