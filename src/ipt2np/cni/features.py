"""What a ruleset may ask for: the rows of the capability matrix."""

from __future__ import annotations

from enum import Enum


class Feature(Enum):
    """Something that iptables does, in the order in which it is shown."""

    SOURCE = "source CIDR", "-s"
    NEGATED_SOURCE = "negated source", "! -s"
    ADDRESS_RANGE = "address range", "-m iprange --src-range"
    PORT = "destination port", "--dport 22"
    PORT_RANGE = "port range", "--dport 8000:8100"
    PORT_LIST = "port list", "-m multiport --dports"
    SOURCE_PORT = "source port", "--sport"
    TCP_UDP = "TCP and UDP", "-p tcp, -p udp"
    SCTP = "SCTP", "-p sctp"
    ICMP = "ICMP", "-p icmp, -p icmpv6"
    ICMP_TYPE = "ICMP type and code", "--icmp-type, --icmpv6-type"
    PROTOCOL = "protocol number", "-p 47"
    INTERFACE = "input interface", "-i"
    DESTINATION = "destination address", "-d"
    STATE = "connection state", "-m conntrack --ctstate"
    TCP_FLAGS = "TCP flags", "--syn, --tcp-flags"
    RATE = "rate limit", "-m limit, hashlimit, connlimit"
    IPSET = "ipset", "-m set --match-set"
    LOG = "LOG", "-j LOG"
    REJECT = "REJECT", "-j REJECT"
    DROPS = "list of DROPs", "-j DROP before -j ACCEPT"
    DEFAULT_ACCEPT = "default ACCEPT", ":INPUT ACCEPT"
    IN_CLUSTER = "sources in the cluster", "-s POD, -s NODE"
    IPV6 = "IPv6", "ip6tables-save"

    def __init__(self, title: str, written: str) -> None:
        self.title = title
        self.written = written
        """How iptables writes it."""

    @property
    def id(self) -> str:
        """Its name in the JSON output, as ``source-port``."""
        return self.name.lower().replace("_", "-")
