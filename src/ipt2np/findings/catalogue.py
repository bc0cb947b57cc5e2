"""Every finding code: severity, title, and what its page in the docs says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How much a finding matters; the order is that of ``--fail-on``."""

    INFO = 1
    WARNING = 2
    ERROR = 3

    @property
    def word(self) -> str:
        """The lower-case word of reports."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Code:
    """A finding code and what it stands for."""

    code: str
    severity: Severity
    title: str
    explanation: str
    remedy: str


_I, _W, _E = Severity.INFO, Severity.WARNING, Severity.ERROR

_CODES = (
    # What the input says, or leaves out.
    Code("N2P001", _I, "nothing tells the family of the file",
         "No address, protocol or header in the file belongs to IPv4 or IPv6 alone. It is read as IPv4.",
         "Give an IPv6 dump by --rules6."),
    Code("N2P002", _W, "the policy of INPUT is not in the file",
         "The filter table has no chain line for INPUT. The kernel's initial policy, ACCEPT, is taken.",
         "Add the chain line that the host's iptables-save prints, such as `:INPUT DROP [0:0]`."),
    Code("N2P003", _W, "there is no filter table",
         "The dump holds other tables only, so nothing filters INPUT and the host accepts everything.",
         "Check that the dump is complete: iptables-save prints every table that is in use."),
    Code("N2P004", _I, "a chain is used but never declared",
         "Rules are appended to a user chain that has no chain line. iptables-restore would refuse that; the meaning is plain.",
         "Add the chain line (`:NAME - [0:0]`)."),
    Code("N2P005", _W, "nothing is known of the other IP family",
         "A ruleset was given for one family only. Packets of the other family are never opened in silence: the policy refuses them.",
         "Give the other family's dump by --rules6, or --other-family same if both are filtered alike."),
    Code("N2P006", _I, "the other IP family is taken to be filtered alike",
         "With --other-family same the ruleset stands for both families; rules that name addresses match only their own.",
         "Give the other family's dump by --rules6 where it differs."),
    Code("N2P007", _I, "iptables would refuse the file as it is, but its meaning is plain",
         "Something is written in a way that iptables-restore does not take, such as a negation behind its option, lines that end in "
         "CR LF, or a prompt above the dump. There is one way to understand it, and it was read that way.",
         "None needed."),
    Code("N2P008", _E, "a line cannot be read",
         "With --keep-going a line that cannot be read is taken as undecided: the kernel may have refused it, or hold a rule that matches any "
         "packet and does anything. What was readable of its matches still bounds it.",
         "Correct the line, or settle it with --assume rule:LINE=no-match where it does not matter."),
    Code("N2P009", _W, "another backend holds rules too",
         "A comment of the dump says that the host has rules of the other iptables backend beside these. The kernel asks both, and a packet "
         "must be accepted by both.",
         "Give what the other backend's iptables-legacy-save or iptables-nft-save prints by --also-rules."),
    Code("N2P010", _I, "the dump is that of one backend",
         "Its first line names the backend that it was made with. Where the host has rules of the other backend as well, they are not in it.",
         "Run the other backend's iptables-legacy-save or iptables-nft-save; if it prints rules, give them by --also-rules."),
    Code("N2P013", _W, "nft itself made rules that iptables-save cannot print",
         "A comment of the dump says that a table is incompatible: someone changed it by nft. What it does is not known here.",
         "Look at it with nft list ruleset, and put what matters into iptables rules."),
    Code("N2P012", _W, "the host has no such interface",
         "Rules name an interface that the host's own dumps (--addr, --route) do not have, or that nothing comes in on: it is down, a port "
         "of a bridge, or known by another name. By those facts the rules match nothing.",
         "If it is there at other times (a VPN, a hotplugged card), take the dumps while it is, or name what is behind it: "
         "--interface tun0=10.8.0.0/24."),
    Code("N2P019", _W, "the address dump is only a part of the host's",
         "What was given by --addr has no loopback interface, which every host has. Its addresses are taken for all of the host's own, "
         "but nothing is concluded from interfaces that it does not have.",
         "Give what `ip -j addr` prints, without a filter."),
    Code("N2P011", _W, "an ipset does not fit the rule that tests it",
         "The ipset is of the other IP family, or the rule names more or fewer directions than the set's elements have parts. "
         "What the kernel makes of that is kept: a search that does not fit finds nothing, and directions too many are not looked at.",
         "Check that the dump and the ruleset are of the same host and time, and that the rule says what was meant."),
    # Assumptions that were relied on.
    Code("N2P101", _I, "the kernel's connection tracking is relied on",
         "Rules test the state of connections. First packets are NEW, later ones ESTABLISHED, as the kernel tracks them; "
         "the platform lets replies through by itself.",
         "Switch it off with --assume state=undecided."),
    Code("N2P102", _I, "whole packets are assumed",
         "INPUT sees reassembled packets, so `-f` matches none of them.",
         "Switch it off with --assume fragment=undecided."),
    Code("N2P103", _I, "unicast is assumed",
         "Pods receive no broadcast and no multicast; rules that test for it are settled that way.",
         "Switch it off with --assume unicast=undecided."),
    Code("N2P104", _I, "rate limits are assumed never to be exceeded",
         "The policy is compared with what the host does for a fresh, slow source.",
         "Switch it off with --assume rate=undecided."),
    Code("N2P105", _I, "a fact that you gave settles rules",
         "Something was given on the command line (--interface, --address, --addr, --assume set:… or rule:…) that settles rules which "
         "the file alone leaves open.",
         "Check that it is true of the host."),
    Code("N2P106", _I, "no other policy is assumed",
         "The proof holds for pods that no other policy selects; policies add up, so another one can open more.",
         "Look for other policies that select the same pods: kubectl get networkpolicy -A."),
    Code("N2P107", _I, "the client's real address is assumed to arrive",
         "The policy compares source addresses. Behind a load balancer or node port that rewrites them it sees another address.",
         "Use externalTrafficPolicy: Local, direct server return or the PROXY protocol, or connect directly."),
    Code("N2P108", _I, "plain headers are assumed",
         "Packets carry no IPv6 extension headers (routing, hop-by-hop, destination, fragment, authentication) and no IPv4 options; rules "
         "that test for them, or that read bytes behind them, are settled that way.",
         "Switch it off with --assume plain-header=undecided."),
    Code("N2P110", _I, "rules of a known program are in the file",
         "The file has the chains that a front end, a container engine, a CNI or another program makes. They are told by the program's name, "
         "and findings count them by chain. Every rule is read as it stands: being recognised changes the meaning of none.",
         "Look through the chains that hold what you asked the program for; the others need no counterpart."),
    Code("N2P111", _I, "bans that a program made at run time",
         "fail2ban, CrowdSec or sshguard refuse these sources for a time. The policy keeps refusing them for good. "
         "With --drop-transient they are left out: the rules match nothing then, and are listed as settled by the assumption `transient`.",
         "Leave the bans out, and ban in the application or at the ingress."),
    Code("N2P112", _I, "sources are taken to come in where an answer would go out",
         "The host's routes, or the networks of its addresses, say which sources are behind which interface; and `-m rpfilter` holds for all "
         "of them. That is so where the host tests the reverse path strictly (the sysctl rp_filter is 1, or a rule does it) and its routes "
         "go both ways.",
         "Switch it off with --assume reverse-path=undecided, or name the sources: --interface eth1=10.0.0.0/8."),
    Code("N2P113", _W, "policy routing is in use",
         "The dump has routing tables other than local, main and default. Rules of `ip rule` say which packets go by them, and those are "
         "not in the dump: sources that such a table leads to may come in by it or by the main table.",
         "Where that leaves rules open, name the sources: --interface eth1=10.0.0.0/8."),
    Code("N2P118", _I, "a fact settles nothing",
         "Facts about interfaces, addresses or routes were given, and no rule of the input path asks for them.",
         "None needed."),
    Code("N2P119", _I, "routes refuse sources",
         "Routes of the types blackhole, unreachable or prohibit keep the host from answering these sources. The policy is made of the "
         "rules alone and may admit them.",
         "If these sources must stay out, add a rule that drops them before you convert."),
    Code("N2P114", _I, "ipset entries that expire",
         "Entries with a timeout are what the host knew when the dump was made: bans, or clients that were let in for a while. "
         "By default they count as if they stayed.",
         "Leave them out with --drop-transient."),
    # What the header cannot decide.
    Code("N2P200", _W, "nothing is left to admit",
         "What is undecided leaves no packet that iptables certainly accepts, so the policy admits nothing.",
         "Settle the rule that is named with the option that is named."),
    Code("N2P201", _W, "a match is undecided",
         "The packet's header does not say whether the rule matches. By default the policy admits only what is accepted either way.",
         "Settle it with --assume rule:LINE=no-match or =match, or take the open side with --in-doubt allow."),
    Code("N2P202", _W, "a target is not known",
         "The rule's target may accept, drop, divert or continue: nobody can say.",
         "Settle it with --assume rule:LINE=no-match, or take the open side with --in-doubt allow."),
    Code("N2P203", _W, "the input interface is undecided",
         "Rules accept or refuse by input interface, and a pod has none of the host's interfaces.",
         "Name what the pods will receive: --interface eth0, or --interface eth1=10.0.0.0/8 for the sources behind it."),
    Code("N2P204", _W, "the destination address is undecided",
         "Rules accept or refuse by destination address, and the pod has an address of its own.",
         "Name the own address that the pod replaces: --address ADDR."),
    Code("N2P205", _W, "nat rewrites packets before the filter sees them",
         "A nat PREROUTING rule changes the destination or the port of these packets, so the filter judges another port or never sees them.",
         "Settle it with --assume rule:LINE=no-match where the rule does not concern the pods."),
    Code("N2P206", _W, "packets are diverted",
         "The rule hands packets to a program or proxy on the host; they are neither accepted nor denied. The policy refuses them.",
         "Decide what the program does for the pods, and settle the rule with --assume rule:LINE=no-match if it is not needed."),
    Code("N2P207", _W, "it is open whether nat is asked",
         "A nat chain drops packets, and no rule of the dump needs connection tracking. The kernel asks nat only where it tracks connections, "
         "which something else on the host may have switched on.",
         "Take the open side with --in-doubt allow if nothing on the host tracks connections."),
    Code("N2P208", _W, "it is open whether nat sends packets to the host itself",
         "A DNAT rule names an address of which nobody said whether it is one of the host's own. If it is, the filter judges the packets "
         "behind it; if not, they are forwarded.",
         "Give the host's own addresses: --addr FILE with what `ip -j addr` prints."),
    Code("N2P209", _W, "the ways to a local port are judged differently",
         "nat leads another port to this one, and what comes through nat is not treated like what comes to the port directly. Nobody can "
         "say which of the two the pods will receive.",
         "If the pods are reached through a Service that maps the ports, settle it with --assume port-mapping=mapped."),
    Code("N2P210", _I, "nat maps public ports to local ones",
         "REDIRECT or DNAT rules lead a public port to another local port. The policy speaks of local ports, which are the pods' own; the "
         "public ones are what a Service has to offer (`port`, with the local one as `targetPort`).",
         "Make a Service with these ports."),
    Code("N2P211", _I, "nat forwards packets to other hosts",
         "A DNAT rule sends these packets to an address that is not the host's own. They are neither accepted nor refused by INPUT, so the "
         "policy does not admit them.",
         "If the pods are to take over the forwarding, make a Service or an ingress route to the other host."),
    Code("N2P212", _W, "another ruleset of the host changes packets first",
         "Rules of the other iptables backend keep conntrack from packets, before or while this ruleset looks at them; in which order is "
         "not known.",
         "Settle the rules that depend on it with --assume rule:LINE=no-match or =match."),
    # What the target cannot keep.
    Code("N2P301", _W, "a rate limit is not kept",
         "The host limits how fast or how many connections a source may open; a NetworkPolicy has no limits.",
         "Limit in the application, an ingress controller or a service mesh."),
    Code("N2P302", _W, "source ports cannot be written",
         "A NetworkPolicy does not test source ports. What the host accepts from some source ports only is refused. Rules that take a server's "
         "source port for the sign of an answer (`--sport 53`) are told apart: answers to the pod's own connections pass by themselves, so where "
         "nothing but answers came in by such a rule, nothing is lost.",
         "Use a CNI with source ports, or let clients use any port."),
    Code("N2P303", _W, "a protocol other than TCP, UDP and SCTP cannot be written",
         "A NetworkPolicy names TCP, UDP and SCTP only. What the host accepts of other protocols (ICMP, GRE, ESP, …) is admitted only "
         "where every protocol is accepted from the same source.",
         "Use a CNI whose own policies know the protocol."),
    Code("N2P304", _W, "REJECT answers are not kept",
         "The host answers refused packets with an ICMP error or a TCP reset; a NetworkPolicy drops them, so clients wait until they time out.",
         "Nothing is opened. Tell the clients' owners, or use a CNI that rejects."),
    Code("N2P305", _W, "logging is not kept",
         "The host logs packets of this rule; a NetworkPolicy does not log.",
         "Use the CNI's own flow logs."),
    Code("N2P306", _W, "later packets of a connection are refused",
         "The host accepts the first packet but not what follows it once the connection is answered. For protocols other than TCP and SCTP "
         "the policy goes by the first packet.",
         "Check the rules' order: an ESTABLISHED rule is probably missing or behind a DROP."),
    Code("N2P307", _I, "ICMP messages that open no connection are judged by the platform",
         "The host has rules for ICMP types that conntrack never takes for a new connection (errors, replies, neighbour discovery). "
         "A NetworkPolicy speaks of connections; what belongs to one passes.",
         "None needed."),
    Code("N2P308", _I, "RELATED connections are left to the platform",
         "Rules accept RELATED packets: ICMP errors, which the platform passes, and connections that helpers such as FTP's announce, "
         "which a NetworkPolicy cannot follow.",
         "If a protocol with a helper is in use, open its data ports explicitly."),
    Code("N2P309", _I, "rules without ports also admit other protocols",
         "Where every protocol is accepted from a source, the policy's rule has no ports. The API leaves open what that means for protocols "
         "other than TCP, UDP and SCTP; most CNIs admit them.",
         "None needed."),
    Code("N2P310", _W, "sources inside ::ffff:0:0/96 cannot be written",
         "Rules name sources inside ::ffff:0:0/96. API servers and CNIs read such a CIDR as IPv4, so no policy can name them; they are "
         "outside the verdict.",
         "None needed where the network drops such packets, as it should (RFC 4942, 2.2)."),
    Code("N2P311", _I, "rules admit replies only",
         "Without connection tracking a host needs rules for the answers to its own connections: TCP segments other than the first, ICMP replies. "
         "A NetworkPolicy lets answers through by itself, so nothing is emitted for these rules and nothing is lost. Rules that admit answers by "
         "their source port alone also admit new connections from there: those are N2P302.",
         "None needed."),
    Code("N2P312", _W, "connections are refused after their first packet",
         "A rule accepts the packet that opens a TCP or SCTP connection, and what the client sends next is refused: the host lets no such "
         "connection through, whatever the first rule looks like. Neither does the policy.",
         "Accept the later packets too: put a rule for ESTABLISHED connections in front, or drop the test for NEW or SYN."),
    Code("N2P313", _I, "no rule tests the state of connections",
         "The host filters packet by packet: answers to its own connections are refused unless some rule admits them. Pods always receive "
         "answers, so a pod can reach what the host could not.",
         "If the host was not meant to reach out, write an egress policy for the pods."),
    # The objects.
    Code("N2P401", _I, "the pod selector is a placeholder",
         "No --pod-selector was given, so the policy selects pods by a label made from its name.",
         "Set the labels of the pods that replace the host: --pod-selector app=web."),
    Code("N2P402", _I, "addresses inside the cluster are up to the CNI",
         "The API leaves open whether an ipBlock matches pods and nodes. Calico, Antrea, OVN-Kubernetes and kube-router compare addresses; "
         "the Cilium family does not match pods or nodes by address.",
         "Name the CNI's behaviour in the review, or add selectors for in-cluster clients."),
    Code("N2P403", _I, "port ranges need endPort",
         "The policy uses endPort (Kubernetes 1.25 and later). A CNI that does not know it silently takes the first port only.",
         "Check the CNI's version: Cilium before 1.17 and Weave Net ignore endPort."),
    Code("N2P404", _W, "the policy was split over several objects",
         "One object would be larger than an API server takes. The objects add up to the same policy.",
         "Apply them together, and prune what a former run left behind by the set label."),
    Code("N2P405", _W, "the policy opens what iptables may refuse",
         "With --in-doubt allow the policy admits what is undecided.",
         "Settle the undecided rules, or leave --in-doubt at deny."),
    Code("N2P406", _I, "the policy is large",
         "An object is larger than kubectl's client-side apply can keep in its annotation (256 KiB).",
         "Use server-side apply."),
    Code("N2P407", _W, "sources inside the cluster are not matched by address",
         "The CNI knows pods and nodes by what they are, not by their addresses; a CIDR matches sources from outside the cluster only. Pods or "
         "nodes whose addresses the host accepts are refused where no peer stands for all of them.",
         "Say which addresses are whose (--pod-cidr, --node-cidr), or add peers for the workloads that are to connect."),
    Code("N2P408", _W, "all pods are admitted together",
         "The host accepts everybody but some sources. The CNI does not match pods by address, so one peer admits them all; a pod whose address "
         "is among those that the host refuses is admitted too, and so is a pod of an IP family that no ruleset was given for.",
         "Declare the pods' addresses with --pod-cidr, or leave pods out with --no-in-cluster."),
    Code("N2P409", _E, "the CNI enforces no policy",
         "An API server accepts the objects, and nothing happens: every packet reaches the pods.",
         "Install a policy engine (for Flannel: kube-network-policies, --cni flannel-netpol, or Calico on top of it), or take another CNI."),
    Code("N2P410", _E, "a hard limit of the CNI is exceeded",
         "The CNI keeps less than the policy would need. What does not fit is left out, so it is refused; nothing is opened.",
         "Open fewer ports on the host, merge those of several rules into ranges, or take a CNI without that limit (ipt2np cnis)."),
    Code("N2P411", _W, "the CNI filters one IP family",
         "The host accepts packets of a family that the CNI does not enforce policies for, or does not have.",
         "Check which family the pods have."),
    Code("N2P412", _I, "port ranges are written port by port",
         "The CNI does not read endPort, or it is not known to: every port of a range stands for itself.",
         "None needed."),
    Code("N2P413", _W, "the CNI drops protocols that it does not know",
         "The datapath drops packets of protocols other than TCP, UDP, SCTP and ICMP whatever the policy says. The host accepts some.",
         "If such a protocol is in use, switch it on in the CNI where it can be (Cilium: enable-extended-ip-protocols), or take another CNI."),
    Code("N2P414", _W, "SCTP is not filtered as the policy says",
         "The CNI handles SCTP only where that was switched on, or it is not documented whether it does.",
         "If SCTP is in use, switch it on in the CNI (Cilium: enable-sctp) and test it."),
    Code("N2P415", _W, "the platform also opens what the host refuses",
         "The CNI lets these packets in whatever a policy says. They are outside the verdict and stand in the report under `platform`.",
         "If that is not acceptable, take another CNI (ipt2np cnis)."),
    Code("N2P416", _I, "refused connections are rejected",
         "The CNI answers refused packets where the host drops them in silence.",
         "None needed."),
    Code("N2P417", _I, "the CNI needs something for the objects to count",
         "Objects that are accepted and not enforced are the most common surprise: kinds that nobody installed, pods that are not covered.",
         "Check it on the cluster before you rely on the policy."),
    Code("N2P418", _I, "exceptions are written as what is left of them",
         "The CNI reads an `except` beyond its own block, so there are none: the remaining networks are listed.",
         "None needed."),
    Code("N2P419", _W, "it is not documented whether the CNI reads port ranges",
         "Ranges are written with endPort. A CNI that does not know it takes the first port only; of the others nothing is claimed.",
         "Test one port of the range on the cluster."),
    Code("N2P420", _I, "what the policy costs",
         "Cilium keeps an entry for each source and port (ranges in parts) in a map of fixed size for each pod.",
         "None needed while there is room; other policies that select the pods need entries too."),
    Code("N2P421", _W, "an interface wildcard cannot be written",
         "Rules name interfaces by a wildcard (`eth+`). Policies for hosts name interfaces one by one, so those count among the others: what "
         "is not accepted on all of them is refused.",
         "Name the interfaces that there are by --addr (what `ip -j addr` prints)."),
    Code("N2P422", _W, "a host policy can lock you out",
         "The policy filters what reaches the node itself, also what keeps the cluster going: the kubelet, the CNI, health checks, ssh.",
         "Apply it to one node first, with console access, and compare with what its own ports need."),
    Code("N2P423", _W, "ICMP errors of admitted connections are dropped",
         "The CNI does not know ICMP errors for a part of the connection that they are about, as the host's conntrack does. Where only ports "
         "are admitted they do not arrive: a path with a smaller MTU shows as connections that hang.",
         "Keep the MTU the same on the whole path, or clamp the MSS of TCP."),
    Code("N2P424", _I, "REJECT answers in its own way",
         "The CNI answers refused packets, always with the same kind of answer, where the host's rules say which.",
         "None needed where clients only need to learn that they are refused."),
    Code("N2P425", _I, "logs look different",
         "The CNI logs what the host logs, in its own format: without the rules' prefixes, and without their rate limits.",
         "Adapt what reads the logs, and the CNI's own limit for them."),
    # Policies that exist, and what reviewers accepted.
    Code("N2P501", _W, "the policy refuses what the host accepts",
         "A rule of the host accepts these packets, and the policies that were read do not admit them.",
         "Add the rule to the policy, or accept the difference: ipt2np accept."),
    Code("N2P502", _E, "the policy admits what the host refuses",
         "A rule or the policy of the host refuses these packets, and the policies that were read admit them.",
         "Narrow the rule of the policy that is named, or accept the difference: ipt2np accept."),
    Code("N2P503", _W, "the policy admits a family of which nothing is known",
         "The policies admit packets of an IP family for which no ruleset was given. Whether the host accepts them is not known.",
         "Give the other family's dump by --rules6, or --other-family same if both are filtered alike."),
    Code("N2P504", _E, "no policy selects the pods",
         "None of the policies that were read selects the pods that are meant, or none of those is about ingress: everything reaches them.",
         "Check --pod-selector and --namespace against the policies' own selectors."),
    Code("N2P505", _I, "policies that are about other pods",
         "These policies select other pods, or are about egress: by themselves they keep nothing from the pods that are meant.",
         "None needed."),
    Code("N2P506", _I, "objects that are no policies",
         "The files hold other objects too (Deployments, Services, …). They are not looked at.",
         "None needed."),
    Code("N2P507", _W, "an accepted difference is no longer there",
         "The file of accepted differences and findings has an entry that fits nothing any more: what it accepted is gone, or has changed and "
         "stands in the report under another digest.",
         "Look at what changed, and remove the entry or accept anew."),
    Code("N2P508", _E, "an acceptance has expired",
         "A difference or finding was accepted until a date that has passed. It counts again.",
         "Look at it again, and accept anew or mend it."),
    Code("N2P509", _I, "undecided alike on both sides",
         "What becomes of these packets hangs on the same things on both sides: matches that the packet's header does not decide. Whatever "
         "is true of such a packet, both do the same with it, so it is no difference.",
         "None needed; --interface, --address, --ipset or --assume settle what is undecided."),
    Code("N2P510", _W, "documents leave open what becomes of packets",
         "The host has rules for these packets, and the documents of the API or the CNI do not say what the policies make of them (under "
         "`kubernetes`: protocols other than TCP, UDP and SCTP). They are outside the verdict.",
         "Name the CNI by --cni: it says more than the portable core."),
    # What lint finds in the rules themselves.
    Code("N2P601", _W, "a rule is shadowed, and something else happens",
         "Rules before it, in its chain or on the way there, take every packet that it could match, and not all of them do with the packets "
         "what the rule says. The rule never did what it was written for. The rules named are enough to block it, and none of them can be "
         "left out.",
         "Move the rule above the ones that block it if it is meant, else delete it."),
    Code("N2P602", _I, "a rule is shadowed, and the same happens",
         "Rules before it, in its chain or on the way there, take every packet that it could match and do the same.",
         "Delete the rule."),
    Code("N2P603", _I, "a rule changes nothing",
         "Every packet that the rule takes would come to the same end without it, by later rules or the policy. All rules that are named so "
         "can be deleted together. What is logged, counted or remembered by other rules is not changed either, but for counters.",
         "Delete the rule, or keep it if it is there for its counters."),
    Code("N2P604", _W, "a rule's conditions contradict each other or its callers",
         "No packet that can come to the chain fulfils all conditions of the rule, whatever the other rules do.",
         "Correct the condition that is wrong, or delete the rule."),
    Code("N2P605", _W, "rules stand behind one that takes everything",
         "A rule takes every packet that comes to its chain, so those behind it never see one. Often a rule was appended (-A) where it had to "
         "be inserted (-I).",
         "Move the rules in front of it if they are meant, else delete them."),
    Code("N2P606", _I, "rules have never matched",
         "The dump has counters, and packets have come to the chain, but the counters of these rules are zero: nothing matched them since the "
         "host was started or the counters were reset.",
         "If the counters are old enough, find out whether the rules are still needed."),
    Code("N2P607", _W, "a management port is open to everybody",
         "Half of all addresses or more reach a service that only administrators or one's own servers have business with. Judged by what "
         "becomes of packets on every interface, not by a single rule.",
         "Accept it from the addresses that need it alone."),
    Code("N2P608", _W, "INPUT accepts what no rule decides",
         "The policy of INPUT is ACCEPT, and no rule at its end refuses the rest. A service that is started tomorrow is open to everybody.",
         "Accept what is needed, then set the policy to DROP (`:INPUT DROP`)."),
    Code("N2P609", _W, "a rule lets in answers without asking for a connection",
         "Before connection tracking, answers were told by the server's port they come from or by their TCP flags. Anybody can send such "
         "packets.",
         "Accept ESTABLISHED,RELATED by -m conntrack instead, and delete the rule."),
    Code("N2P610", _I, "a chain is never called",
         "No built-in chain leads to it, so its rules are never asked. It is a leftover, or a jump was forgotten.",
         "Delete the chain, or add the jump."),
    Code("N2P611", _I, "a rule calls a chain that does nothing",
         "The chain is empty, or every rule in it only returns. Programs keep such chains for what may be added later.",
         "None needed; delete the rule and the chain if no program fills it."),
    Code("N2P612", _I, "a program's rule matches nothing where it stands",
         "A program (Docker, OpenWrt, …) wrote the rule, and no packet that can come to its chain fulfils all conditions, whatever the other "
         "rules do. Programs write the same rules on every host, whether or not there is anything for them to match.",
         "None needed."),
)  # fmt: skip

CATALOGUE: Mapping[str, Code] = {each.code: each for each in sorted(_CODES, key=lambda each: each.code)}
"""Every code, in order."""


def remedy(code: str) -> str:
    """The code's remedy as the end of a sentence."""
    text = CATALOGUE[code].remedy
    return text[0].lower() + text[1:].rstrip(".")
