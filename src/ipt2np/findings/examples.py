"""An example of every finding: a short ruleset and the command that meets it.

The files are such as an operator has; addresses are those kept for documentation (RFC 5737, RFC 3849). Every code has
its row in ``EXAMPLES``, or says in ``WITHOUT`` why there is none.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

V4, V6 = "rules.v4", "rules.v6"
"""What the ruleset's file is called, as on Debian."""

_NO_FILES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Example:
    """Files, and a command on them that has the finding."""

    rules: str
    """The text of the file that the command takes first."""
    options: tuple[str, ...] = ()
    """The other arguments, in order."""
    files: Mapping[str, str] = field(default_factory=lambda: _NO_FILES)
    """File name to text, of what ``options`` name."""
    at: str = ""
    """How the line begins, of ``rules`` or else of another file, that the finding stands at; empty where it is at none."""
    name: str = V4
    """What the file of ``rules`` is called."""
    command: str = "convert"

    @property
    def arguments(self) -> tuple[str, ...]:
        """The command line behind ``ipt2np``."""
        return (self.command, self.name, *self.options)

    @property
    def command_line(self) -> str:
        """The command as it is typed."""
        return shlex.join(("ipt2np", *self.arguments))

    @property
    def texts(self) -> Mapping[str, str]:
        """File name to text, of all files, the ruleset's first."""
        return {self.name: self.rules, **self.files}

    @property
    def place(self) -> tuple[str, int]:
        """File and line that the finding stands at; an empty name and 0 where it stands at none."""
        if not self.at:
            return "", 0
        return next(
            (name, number)
            for name, text in self.texts.items()
            for number, line in enumerate(text.splitlines(), start=1)
            if line.startswith(self.at)
        )


def _table(name: str, *lines: str) -> str:
    return "\n".join((f"*{name}", *lines, "COMMIT")) + "\n"


def _filter(*rules: str, policy: str = "DROP", chains: tuple[str, ...] = ()) -> str:
    built_in = (f":INPUT {policy} [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]")
    return _table("filter", *built_in, *(f":{chain} - [0:0]" for chain in chains), *rules)


def _nat(*rules: str) -> str:
    return _table("nat", ":PREROUTING ACCEPT [0:0]", ":INPUT ACCEPT [0:0]", *rules)


def _json(*objects: str) -> str:
    """A list as ``ip -j`` prints it, an object on each line."""
    return "[" + ",\n ".join(objects) + "]\n"


def _link(name: str, address: str, length: int, flags: str = '"BROADCAST","UP"') -> str:
    inside = f'{{"family":"inet","local":"{address}","prefixlen":{length}}}'
    return f'{{"ifname":"{name}","flags":[{flags}],"addr_info":[{inside}]}}'


ESTABLISHED = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
HTTP = "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"
HTTPS = "-A INPUT -p tcp -m tcp --dport 443 -j ACCEPT"
OFFICE = "-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -j ACCEPT"
WEB = _filter(ESTABLISHED, HTTP, HTTPS)
"""A web server."""
LO = _link("lo", "127.0.0.1", 8, '"LOOPBACK","UP"')
ETH0 = _link("eth0", "192.0.2.10", 24)
ADDR = {"addr.json": _json(LO, ETH0)}
DEFAULT = '{"dst":"default","gateway":"192.0.2.1","dev":"eth0","flags":[]}'
LOCAL = '{"dst":"192.0.2.0/24","dev":"eth0","flags":[]}'


def _scattered(count: int) -> str:
    """An ipset of single addresses of which no two lie in one block: every other one of a network."""
    members = (f"add customers 10.128.{100 + n // 128}.{n % 128 * 2 + 1}" for n in range(count))
    return "\n".join(("create customers hash:ip maxelem 65536", *members)) + "\n"


def _policy(*ingress: str, name: str = "web") -> str:
    """A NetworkPolicy written by hand, with one line for each rule."""
    lines = (
        "apiVersion: networking.k8s.io/v1",
        "kind: NetworkPolicy",
        f"metadata: {{name: {name}}}",
        "spec:",
        f"  podSelector: {{matchLabels: {{app: {name}}}}}",
        "  policyTypes: [Ingress]",
        "  ingress:",
        *(f"  {rule}" for rule in ingress),
    )
    return "\n".join(lines) + "\n"


def _accepted(digest: str, expires: str) -> str:
    """What ``ipt2np accept`` writes."""
    return (
        f"accepted:\n  - digest: {digest}\n    what: closes tcp port 80 from any IPv4 address [N2P501]\n"
        f"    reason: nobody uses it\n    author: network team\n    expires: {expires}\n"
    )


GEOIP = "-A INPUT -p tcp -m tcp --dport 443 -m string --string probe --algo bm -j DROP"
CUSTOMERS = "-A INPUT -p tcp -m tcp --dport 443 -m set --match-set customers src -j ACCEPT"

EXAMPLES: Mapping[str, Example] = {
    # What the input says, or leaves out.
    "N2P001": Example(WEB),
    "N2P002": Example(_table("filter", ESTABLISHED, OFFICE)),
    "N2P003": Example(_table("nat", ":POSTROUTING ACCEPT [0:0]", "-A POSTROUTING -o eth0 -j MASQUERADE")),
    "N2P004": Example(
        _filter(
            ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 22 -j SSH", "-A SSH -s 198.51.100.0/24 -j ACCEPT"
        ),
        at="-A SSH",
    ),
    "N2P005": Example(_filter(ESTABLISHED, OFFICE)),
    "N2P006": Example(WEB, ("--other-family", "same")),
    "N2P007": Example(
        _filter(ESTABLISHED, "-A INPUT -s ! 203.0.113.0/24 -p tcp --dport 80 -j ACCEPT"), at="-A INPUT -s !"
    ),
    "N2P008": Example(
        _filter(ESTABLISHED, "-A INPUT -s backup.example.net -p tcp --dport 22 -j ACCEPT", HTTP),
        ("--keep-going",),
        at="-A INPUT -s backup",
    ),
    "N2P009": Example(
        "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n" + WEB,
        at="# Warning",
    ),
    "N2P010": Example(
        "# Generated by iptables-save v1.8.9 (nf_tables) on Mon Jan  1 00:00:00 2024\n" + WEB,
        at="# Generated",
    ),
    "N2P013": Example("# Table `filter' is incompatible, use 'nft' tool.\n" + WEB, at="# Table"),
    "N2P012": Example(
        _filter(ESTABLISHED, "-A INPUT -i tun0 -p tcp -m tcp --dport 22 -j ACCEPT", HTTPS),
        ("--addr", "addr.json"),
        ADDR,
        at="-A INPUT -i tun0",
    ),
    "N2P019": Example(WEB, ("--addr", "addr.json"), {"addr.json": _json(ETH0)}),
    "N2P011": Example(
        _filter(ESTABLISHED, "-A INPUT -m set --match-set blocked src -j DROP", HTTPS),
        ("--ipset", "sets.txt"),
        {"sets.txt": "create blocked hash:net family inet6\nadd blocked 2001:db8:bad::/48\n"},
        at="-A INPUT -m set",
    ),
    # Assumptions that were relied on.
    "N2P101": Example(WEB, at=ESTABLISHED),
    "N2P102": Example(_filter("-A INPUT -f -j DROP", ESTABLISHED, HTTP), at="-A INPUT -f"),
    "N2P103": Example(
        _filter(
            ESTABLISHED,
            "-A INPUT -m pkttype --pkt-type broadcast -j DROP",
            "-A INPUT -p udp -m udp --dport 137 -j ACCEPT",
        ),
        at="-A INPUT -m pkttype",
    ),
    "N2P104": Example(
        _filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 22 -m limit --limit 6/min -j ACCEPT"),
        at="-A INPUT -p tcp -m tcp --dport 22",
    ),
    "N2P105": Example(
        _filter(ESTABLISHED, "-A INPUT -i eth0 -p tcp -m tcp --dport 443 -j ACCEPT"),
        ("--interface", "eth0"),
        at="-A INPUT -i eth0",
    ),
    "N2P106": Example(WEB),
    "N2P107": Example(_filter(ESTABLISHED, OFFICE)),
    "N2P108": Example(
        _filter(
            ESTABLISHED,
            "-A INPUT -m rt --rt-type 0 -j DROP",
            "-A INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 22 -j ACCEPT",
        ),
        name=V6,
        at="-A INPUT -m rt",
    ),
    "N2P110": Example(
        _filter(
            "-A INPUT -j ufw-before-input",
            "-A INPUT -j ufw-user-input",
            f"-A ufw-before-input{ESTABLISHED.removeprefix('-A INPUT')}",
            "-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT",
            chains=("ufw-before-input", "ufw-user-input"),
        ),
        at="-A INPUT -j ufw-before-input",
    ),
    "N2P111": Example(
        _filter(
            "-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd",
            ESTABLISHED,
            "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
            "-A f2b-sshd -s 203.0.113.7/32 -j REJECT --reject-with icmp-port-unreachable",
            "-A f2b-sshd -j RETURN",
            chains=("f2b-sshd",),
        ),
        at="-A f2b-sshd -s",
    ),
    "N2P112": Example(
        _filter(ESTABLISHED, "-A INPUT -i eth1 -p tcp -m tcp --dport 22 -j ACCEPT", HTTPS),
        ("--route", "route.json"),
        {"route.json": _json(DEFAULT, LOCAL, '{"dst":"198.51.100.0/24","dev":"eth1","flags":[]}')},
        at="-A INPUT -i eth1",
    ),
    "N2P113": Example(
        _filter(ESTABLISHED, "-A INPUT -i eth1 -p tcp -m tcp --dport 22 -j ACCEPT", HTTPS),
        ("--route", "route.json"),
        {
            "route.json": _json(
                DEFAULT, LOCAL, '{"dst":"198.51.100.0/24","dev":"eth1","table":"100","flags":[]}'
            )
        },
    ),
    "N2P118": Example(WEB, ("--addr", "addr.json"), ADDR),
    "N2P119": Example(
        WEB,
        ("--route", "route.json"),
        {"route.json": _json(DEFAULT, LOCAL, '{"type":"blackhole","dst":"203.0.113.0/24","flags":[]}')},
    ),
    "N2P114": Example(
        _filter("-A INPUT -m set --match-set banned src -j DROP", ESTABLISHED, HTTPS),
        ("--ipset", "sets.txt"),
        {"sets.txt": "create banned hash:ip timeout 86400\nadd banned 203.0.113.7 timeout 4211\n"},
        at="-A INPUT -m set",
    ),
    # What the header cannot decide.
    "N2P200": Example(
        _filter("-A INPUT -m geoip ! --source-country DE -j DROP", ESTABLISHED, HTTPS), at="-A INPUT -m geoip"
    ),
    "N2P201": Example(
        _filter(
            ESTABLISHED,
            '-A INPUT -p tcp -m tcp --dport 80 -m string --string "wp-login" --algo bm -j DROP',
            HTTP,
            HTTPS,
        ),
        at="-A INPUT -p tcp -m tcp --dport 80 -m string",
    ),
    "N2P202": Example(
        _table(
            "mangle",
            ":PREROUTING ACCEPT [0:0]",
            "-A PREROUTING -p tcp -m tcp --dport 80 -j IMQ --todev 0",
        )
        + WEB,
        at="-A PREROUTING",
    ),
    "N2P203": Example(
        _filter(ESTABLISHED, HTTPS, "-A INPUT -i eth1 -p tcp -m tcp --dport 5432 -j ACCEPT"),
        at="-A INPUT -i eth1",
    ),
    "N2P204": Example(
        _filter(ESTABLISHED, "-A INPUT -d 192.0.2.10/32 -p tcp -m tcp --dport 443 -j ACCEPT"),
        at="-A INPUT -d",
    ),
    "N2P205": Example(
        _nat("-A PREROUTING -d 203.0.113.0/24 -j NETMAP --to 192.0.2.0/24") + WEB, at="-A PREROUTING"
    ),
    "N2P206": Example(
        _filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 80 -j NFQUEUE --queue-num 0", HTTPS),
        at="-A INPUT -p tcp -m tcp --dport 80",
    ),
    "N2P207": Example(_table("nat", ":PREROUTING DROP [0:0]") + _filter(OFFICE)),
    "N2P208": Example(
        _nat("-A PREROUTING -p tcp -m tcp --dport 8443 -j DNAT --to-destination 192.0.2.10:443") + WEB,
        at="-A PREROUTING",
    ),
    "N2P209": Example(
        _table("mangle", ":PREROUTING ACCEPT [0:0]", "-A PREROUTING -p tcp -m tcp --dport 8080 -j DROP")
        + _nat("-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080")
        + _filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT"),
        at="-A PREROUTING -p tcp -m tcp --dport 80 ",
    ),
    "N2P210": Example(
        _nat("-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080")
        + _filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 8080 -j ACCEPT"),
        at="-A PREROUTING",
    ),
    "N2P211": Example(
        _nat("-A PREROUTING -p tcp -m tcp --dport 8443 -j DNAT --to-destination 198.51.100.9:443") + WEB,
        ("--addr", "addr.json"),
        ADDR,
        at="-A PREROUTING",
    ),
    "N2P212": Example(
        _filter("-A INPUT -m conntrack --ctstate UNTRACKED -j DROP", HTTP),
        ("--also-rules", "legacy.v4"),
        {
            "legacy.v4": _table(
                "raw", ":PREROUTING ACCEPT [0:0]", "-A PREROUTING -p tcp -m tcp --dport 80 -j NOTRACK"
            )
        },
        at="-A PREROUTING",
    ),
    # What the target cannot keep.
    "N2P301": Example(
        _filter(
            ESTABLISHED,
            "-A INPUT -p tcp -m tcp --dport 22 -m connlimit --connlimit-above 4 --connlimit-mask 32 -j DROP",
            OFFICE,
        ),
        at="-A INPUT -p tcp -m tcp --dport 22 -m connlimit",
    ),
    "N2P302": Example(_filter("-A INPUT -p udp -m udp --sport 53 -j ACCEPT", OFFICE), at="-A INPUT -p udp"),
    "N2P303": Example(
        _filter(ESTABLISHED, "-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT", HTTPS), at="-A INPUT -p icmp"
    ),
    "N2P304": Example(
        _filter(ESTABLISHED, HTTPS, "-A INPUT -p tcp -j REJECT --reject-with tcp-reset"),
        at="-A INPUT -p tcp -j REJECT",
    ),
    "N2P305": Example(
        _filter(ESTABLISHED, HTTPS, '-A INPUT -m limit --limit 5/min -j LOG --log-prefix "refused: "'),
        at="-A INPUT -m limit",
    ),
    "N2P306": Example(
        _filter(
            "-A INPUT -p udp -m conntrack --ctstate ESTABLISHED -j DROP",
            "-A INPUT -p udp -m udp --dport 53 -j ACCEPT",
        ),
        at="-A INPUT -p udp -m conntrack",
    ),
    "N2P307": Example(
        _filter(ESTABLISHED, "-A INPUT -p icmp -m icmp --icmp-type 3 -j ACCEPT", HTTPS), at="-A INPUT -p icmp"
    ),
    "N2P308": Example(_filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 21 -j ACCEPT"), at=ESTABLISHED),
    "N2P309": Example(_filter(ESTABLISHED, "-A INPUT -s 198.51.100.0/24 -j ACCEPT")),
    "N2P310": Example(
        _filter("-A INPUT -s ::ffff:0.0.0.0/96 -j DROP", ESTABLISHED, HTTPS), name=V6, at="-A INPUT -s ::ffff"
    ),
    "N2P311": Example(
        _filter("-A INPUT -p tcp -m tcp --sport 443 ! --syn -j ACCEPT", OFFICE), at="-A INPUT -p tcp"
    ),
    "N2P312": Example(
        _filter("-A INPUT -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT"),
        at="-A INPUT -p tcp",
    ),
    "N2P313": Example(_filter(HTTP, OFFICE)),
    # The objects.
    "N2P401": Example(WEB),
    "N2P402": Example(_filter(ESTABLISHED, OFFICE)),
    "N2P403": Example(_filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 49152:65535 -j ACCEPT")),
    "N2P404": Example(
        _filter(ESTABLISHED, CUSTOMERS), ("--ipset", "sets.txt"), {"sets.txt": _scattered(17000)}
    ),
    "N2P405": Example(
        _filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 443 -m geoip --source-country DE -j ACCEPT"),
        ("--in-doubt", "allow"),
    ),
    "N2P406": Example(
        _filter(ESTABLISHED, CUSTOMERS), ("--ipset", "sets.txt"), {"sets.txt": _scattered(6000)}
    ),
    "N2P407": Example(_filter(ESTABLISHED, OFFICE), ("--cni", "cilium")),
    "N2P408": Example(
        _filter("-A INPUT -s 203.0.113.0/24 -j DROP", policy="ACCEPT"), ("--cni", "gke-dataplane-v2")
    ),
    "N2P409": Example(WEB, ("--cni", "flannel")),
    "N2P410": Example(
        _filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 30000:32767 -j ACCEPT"),
        ("--cni", "weave"),
        at="-A INPUT -p tcp",
    ),
    "N2P411": Example(
        _filter(ESTABLISHED, "-A INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 22 -j ACCEPT"),
        ("--cni", "azure-npm"),
        name=V6,
        at="-A INPUT -s",
    ),
    "N2P412": Example(
        _filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 8080:8083 -j ACCEPT"), ("--cni", "weave")
    ),
    "N2P413": Example(
        _filter(ESTABLISHED, "-A INPUT -p gre -j ACCEPT"), ("--cni", "cilium"), at="-A INPUT -p gre"
    ),
    "N2P414": Example(
        _filter(ESTABLISHED, "-A INPUT -p sctp -m sctp --dport 3868 -j ACCEPT"),
        ("--cni", "cilium"),
        at="-A INPUT -p sctp",
    ),
    "N2P415": Example(WEB, ("--cni", "kube-router")),
    "N2P416": Example(WEB, ("--cni", "kube-router")),
    "N2P417": Example(WEB, ("--cni", "calico")),
    "N2P418": Example(
        _filter("-A INPUT -s 198.51.100.7/32 -j DROP", ESTABLISHED, OFFICE), ("--cni", "kube-router")
    ),
    "N2P419": Example(
        _filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 30000:32767 -j ACCEPT"),
        ("--cni", "gke-dataplane-v2"),
        at="-A INPUT -p tcp",
    ),
    "N2P420": Example(WEB, ("--cni", "azure-cilium")),
    "N2P421": Example(
        _filter(ESTABLISHED, OFFICE, "-A INPUT -i tun+ -j ACCEPT"),
        ("--cni", "calico", "--scope", "host"),
        at="-A INPUT -i tun+",
    ),
    "N2P422": Example(_filter(ESTABLISHED, OFFICE), ("--cni", "antrea", "--scope", "host")),
    "N2P423": Example(WEB, ("--cni", "aws-vpc-cni")),
    "N2P424": Example(
        _filter(ESTABLISHED, HTTPS, "-A INPUT -p tcp -m tcp --dport 113 -j REJECT --reject-with tcp-reset"),
        ("--cni", "antrea"),
        at="-A INPUT -p tcp -m tcp --dport 113",
    ),
    "N2P425": Example(
        _filter(ESTABLISHED, HTTPS, '-A INPUT -p tcp -m tcp --dport 23 -j LOG --log-prefix "telnet: "'),
        ("--cni", "calico"),
        at="-A INPUT -p tcp -m tcp --dport 23",
    ),
    # Policies that exist, and what reviewers accepted.
    "N2P501": Example(
        _filter(ESTABLISHED, HTTP, HTTPS),
        ("policy.yaml",),
        {"policy.yaml": _policy("- ports: [{port: 443}]")},
        at=HTTP,
        command="verify",
    ),
    "N2P502": Example(
        _filter(ESTABLISHED, HTTPS, OFFICE),
        ("policy.yaml",),
        {"policy.yaml": _policy("- ports: [{port: 443}, {port: 22}]")},
        at=":INPUT",
        command="verify",
    ),
    "N2P503": Example(
        _filter(ESTABLISHED, HTTPS),
        ("policy.yaml",),
        {"policy.yaml": _policy("- ports: [{port: 443}]")},
        command="verify",
    ),
    "N2P504": Example(
        _filter(ESTABLISHED, HTTPS),
        ("policy.yaml", "--pod-selector", "app=shop"),
        {"policy.yaml": _policy("- ports: [{port: 443}]")},
        command="verify",
    ),
    "N2P505": Example(
        _filter(ESTABLISHED, HTTPS),
        ("others.yaml", "policy.yaml", "--pod-selector", "app=web"),
        {
            "others.yaml": _policy("- ports: [{port: 5432}]", name="db"),
            "policy.yaml": _policy("- ports: [{port: 443}]"),
        },
        at="apiVersion",
        command="verify",
    ),
    "N2P506": Example(
        _filter(ESTABLISHED, HTTPS),
        ("policy.yaml", "service.yaml"),
        {
            "policy.yaml": _policy("- ports: [{port: 443}]"),
            "service.yaml": "kind: Service\napiVersion: v1\nmetadata: {name: web}\nspec: {ports: [{port: 443}]}\n",
        },
        at="kind: Service",
        command="verify",
    ),
    "N2P507": Example(
        _filter(ESTABLISHED, HTTPS),
        ("policy.yaml", "--accept", "accepted.yaml"),
        {
            "policy.yaml": _policy("- ports: [{port: 443}]"),
            "accepted.yaml": _accepted("5f0c3b1a9d2e4c77", "2030-12-31"),
        },
        at="  - digest",
        command="verify",
    ),
    "N2P508": Example(
        _filter(ESTABLISHED, HTTP, HTTPS),
        ("policy.yaml", "--accept", "accepted.yaml"),
        {
            "policy.yaml": _policy("- ports: [{port: 443}]"),
            "accepted.yaml": _accepted("a8a3c39d0ff1133b", "2025-12-31"),
        },
        at="  - digest",
        command="verify",
    ),
    "N2P509": Example(
        _filter(ESTABLISHED, GEOIP, HTTPS),
        ("new.v4",),
        {"new.v4": _filter(ESTABLISHED, GEOIP, HTTPS, HTTP)},
        at=GEOIP,
        command="diff",
    ),
    "N2P510": Example(
        _filter(ESTABLISHED, HTTPS, "-A INPUT -p gre -j ACCEPT"),
        ("policy.yaml",),
        {"policy.yaml": _policy("- ports: [{port: 443}]")},
        at="-A INPUT -p gre",
        command="verify",
    ),
    # What lint finds in the rules themselves.
    "N2P601": Example(
        _filter(
            "-A INPUT -m conntrack --ctstate INVALID,NEW -s 203.0.113.0/24 -j DROP",
            "-A INPUT -s 203.0.113.7/32 -p tcp -m tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT",
            ESTABLISHED,
            HTTPS,
        ),
        at="-A INPUT -s 203.0.113.7/32",
        command="lint",
    ),
    "N2P602": Example(
        _filter(ESTABLISHED, HTTP, "-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 80 -j ACCEPT"),
        at="-A INPUT -s 198.51.100.0/24",
        command="lint",
    ),
    "N2P603": Example(
        _filter(ESTABLISHED, "-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 443 -j ACCEPT", HTTPS),
        at="-A INPUT -s 198.51.100.0/24",
        command="lint",
    ),
    "N2P604": Example(
        _filter(
            ESTABLISHED,
            "-A INPUT -p tcp -j SERVICES",
            "-A SERVICES -p udp -m udp --dport 53 -j ACCEPT",
            "-A SERVICES -p tcp -m tcp --dport 53 -j ACCEPT",
            chains=("SERVICES",),
        ),
        at="-A SERVICES -p udp",
        command="lint",
    ),
    "N2P605": Example(
        _filter(ESTABLISHED, HTTP, "-A INPUT -j REJECT --reject-with icmp-port-unreachable", HTTPS),
        at=HTTPS,
        command="lint",
    ),
    "N2P606": Example(
        _table(
            "filter",
            ":INPUT DROP [7:420]",
            f"[90:5400] {ESTABLISHED}",
            f"[12:720] {HTTPS}",
            f"[0:0] {OFFICE}",
        ),
        at=f"[0:0] {OFFICE}",
        command="lint",
    ),
    "N2P607": Example(
        _filter(ESTABLISHED, HTTPS, "-A INPUT -p tcp -m multiport --dports 22,3306 -j ACCEPT"),
        at="-A INPUT -p tcp -m multiport",
        command="lint",
    ),
    "N2P608": Example(
        _filter(ESTABLISHED, "-A INPUT -p tcp -m tcp --dport 3306 -j DROP", policy="ACCEPT"),
        at=":INPUT",
        command="lint",
    ),
    "N2P609": Example(
        _filter("-A INPUT -p udp -m udp --sport 53 -j ACCEPT", HTTPS),
        at="-A INPUT -p udp",
        command="lint",
    ),
    "N2P610": Example(
        _filter(ESTABLISHED, HTTPS, "-A OFFICE -s 198.51.100.0/24 -j ACCEPT", chains=("OFFICE",)),
        at="-A OFFICE",
        command="lint",
    ),
    "N2P611": Example(
        _filter(ESTABLISHED, HTTPS, "-A INPUT -j LATER", chains=("LATER",)),
        at="-A INPUT -j LATER",
        command="lint",
    ),
    "N2P612": Example(
        _table(
            "filter",
            ":INPUT DROP [0:0]",
            ":FORWARD DROP [0:0]",
            ":DOCKER - [0:0]",
            ":DOCKER-ISOLATION-STAGE-1 - [0:0]",
            ":DOCKER-ISOLATION-STAGE-2 - [0:0]",
            ESTABLISHED,
            HTTPS,
            "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
            "-A FORWARD -o docker0 -j DOCKER",
            "-A DOCKER -d 10.2.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT",
            "-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2",
            "-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP",
        ),
        at="-A DOCKER-ISOLATION-STAGE-2",
        command="lint",
    ),
}
"""Code to example; in the order of the catalogue."""

WITHOUT: Mapping[str, str] = {}
"""Code to the reason, a sentence, why no short file shows it."""
