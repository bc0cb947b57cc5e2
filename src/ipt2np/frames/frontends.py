"""Front ends: programs in which a person says what to let in, and that write the rules for it.

Those whose chains have names that anybody might choose stand last, and show by several of them.
"""

from __future__ import annotations

from ipt2np.frames.frame import ALL_TABLES, Chains, Frame, Said, Together

_HOOK = r"(input|output|forward)"

FRONT_ENDS = (
    Frame(
        "ufw",
        what="its own chains stand around what you asked it for, which is in ufw-user-input",
        advice="check the rules of ufw-user-input; ufw's own chains need no counterpart, and `ufw limit` has none",
        signs=(
            Together("filter", (r"ufw-before-input", r"ufw-user-input")),
            Together("filter", (r"ufw6-before-input", r"ufw6-user-input")),
        ),
        chains=(
            Chains(rf"ufw6?-user-{_HOOK}", "what you asked it for", yours=True),
            Chains(r"ufw6?-user-limit(-accept)?", "`ufw limit`"),
            Chains(rf"ufw6?-(before|after)-{_HOOK}", "rules before and after yours"),
            Chains(
                rf"ufw6?-((before|after|user)-logging-{_HOOK}|logging-(allow|deny))|ufw-docker-logging-deny",
                "logging",
            ),
            Chains(rf"ufw6?-((reject|track|skip-to-policy)-{_HOOK}|not-local)", "default policy"),
        ),
        reference="ufw(8), ufw-framework(8)",
    ),
    Frame(
        "firewalld",
        what="packets go to the chains of their zone; what you allowed is in IN_ZONE_allow, IN_ZONE_deny and the like",
        advice="nothing to do for its own chains; check the zone's _allow and _deny chains and the direct rules",
        signs=(
            Together("filter", ("INPUT_direct", r"INPUT_(ZONES|dispatch)"), callers=("INPUT",)),
            Together("nat", ("PREROUTING_direct", r"PREROUTING_(ZONES|dispatch)"), callers=("PREROUTING",)),
        ),
        chains=(
            Chains(
                r"(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)_direct",
                "direct rules",
                ALL_TABLES,
                yours=True,
            ),
            Chains(
                r"(PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING)_"
                r"(dispatch|dnat|((IN|OUT)_)?(ZONES|POLICIES)(_SOURCE|_pre|_post)?)",
                "dispatch to zones",
                ALL_TABLES,
            ),
            Chains(
                r"(PRE|IN|FWDI|FWDO|FWD|OUT|POST)_.+_(pre|log|deny|allow|post)",
                "what you allowed and denied",
                ALL_TABLES,
                yours=True,
            ),
            Chains(r"(PRE|IN|FWDI|FWDO|FWD|OUT|POST)_.+", "a zone", ALL_TABLES),
        ),
        reference="firewalld(1); https://github.com/firewalld/firewalld/blob/main/src/firewall/core/ipXtables.py",
    ),
    Frame(
        "NixOS",
        what="networking.firewall lets in the ports of the system's configuration",
        advice="check the rules of nixos-fw; what refuses and logs needs no counterpart",
        signs=(Together("filter", ("nixos-fw", "nixos-fw-accept"), callers=("INPUT",)),),
        chains=(
            Chains("nixos-fw", "what you allowed", yours=True),
            Chains(r"nixos-fw-(accept|refuse|log-refuse)|nixos-drop", "verdicts"),
            Chains("nixos-fw-rpfilter", "reverse path filter", ("raw", "mangle")),
            Chains(r"nixos-(nat|filter)-(pre|post|out|forward)", "address translation", ("nat", "filter")),
        ),
        reference="https://nixos.org/manual/nixos/stable/options#opt-networking.firewall.enable",
    ),
    Frame(
        "OpenWrt",
        what="packets go to the chains of their zone; what you added is in input_rule and the like",
        advice="a router's zones are interfaces: name with --interface the one that the pods stand behind",
        signs=(
            Together("filter", ("zone_wan_input", "zone_wan_src_(ACCEPT|REJECT|DROP)")),
            Together("filter", ("zone_lan_input", "zone_lan_src_(ACCEPT|REJECT|DROP)")),
            Together("filter", ("zone_lan", "zone_lan_ACCEPT", "input_rule", "input_lan")),
            Together("filter", ("zone_wan", "zone_wan_REJECT", "input_rule", "input_wan")),
            Said(r"!fw3(: .*)?"),
        ),
        chains=(
            Chains(
                r"(input|output|forwarding|prerouting|postrouting)(_\w+)?_rule|(input|forwarding|prerouting|postrouting)_\w+",
                "what you added",
                ("filter", "nat"),
                yours=True,
            ),
            Chains(r"zone_\w+", "a zone", ("raw", "mangle", "nat", "filter")),
            Chains(
                r"(delegate_\w+|input|output|forward|reject|handle_reject|syn_flood|nat_reflection_\w+|mssfix|notrack|fwmark)",
                "frame of the zones",
                ("raw", "mangle", "nat", "filter"),
            ),
        ),
        reference="https://github.com/openwrt/firewall3; https://openwrt.org/docs/guide-user/firewall/overview",
        says=r"!fw3(: .*)?",
    ),
    Frame(
        "Shorewall",
        what="packets go to the chain of their pair of zones, such as net-fw or net2fw, in which your rules stand",
        advice="check the chains of the pairs that end in fw; Shorewall's actions around them need no counterpart",
        signs=(
            Together("filter", ("shorewall", r"\w{1,5}[-2]fw")),
            Together("filter", ("dynamic", "logdrop", "logreject", r"\w{1,5}[-2]fw")),
            Together("filter", ("smurfs", "tcpflags", r"\w{1,5}[-2]fw")),
        ),
        chains=(
            Chains(
                r"\w{1,5}[-2](fw|all|net|loc|dmz|vpn)|(fw|all|net|loc|dmz|vpn)[-2]\w{1,5}",
                "rules of a pair of zones",
                yours=True,
            ),
            Chains(r"\w{1,15}_(in|out|fwd|frwd|mac|masq|dnat)", "an interface or a zone", ("nat", "filter")),
            Chains(
                r"shorewall|dynamic|logdrop|logreject|reject|blacklst|blackout|smurfs|smurflog|tcpflags|logflags|sfilter|"
                r"rpfilter|[@%~].+",
                "refusing, logging, black lists",
            ),
            Chains(
                r"Drop|Reject|Broadcast|Multicast|Limit|NotSyn|Invalid|New|Related|Untracked|Established|RST|TCPFlags|AutoBL|"
                r"DropSmurfs|DNSAmp|drop(Bcast|Mcast|NotSyn|Invalid|Smurfs)|allow(Bcast|Mcast|Invalid)|rejNotSyn",
                "actions",
            ),
            Chains(
                r"tc(pre|post|for|in|out)|divert|routemark|accounting|account(in|out|fwd)",
                "traffic shaping and accounting",
                ("mangle", "filter"),
            ),
        ),
        reference="https://shorewall.org/Documentation_Index.html; shorewall-rules(5), shorewall-actions(5)",
    ),
    Frame(
        "CSF",
        what="allowed and denied sources (csf.allow, csf.deny, temporary blocks of lfd), and checks of packets",
        advice="temporary blocks of lfd stand in DENYIN beside those of csf.deny and cannot be told from them: remove with "
        "`csf -tf` what should not be carried over, and dump again",
        signs=(
            Together("filter", ("LOCALINPUT", "ALLOWIN", "DENYIN"), callers=("INPUT",)),
            Together("filter", ("LOCALINPUT", "LOGDROPIN"), callers=("INPUT",)),
        ),
        chains=(
            Chains(
                r"G?(ALLOW|DENY|DYN)(IN|OUT)|G?ALLOWDYN(IN|OUT)", "allowed and denied sources", yours=True
            ),
            Chains(r"CC_(ALLOW|DENY)\w*|SPAMHAUS\w*|DSHIELD|BOGON", "lists of sources"),
            Chains(
                r"LOCAL(IN|OUT)PUT|LOGDROP(IN|OUT)|INVALID|INVDROP|SYNFLOOD|UDPFLOOD|PORTFLOOD|CONNLIMIT|SMTPOUTPUT",
                "checks and logging",
            ),
        ),
        reference="csf(1), /etc/csf/readme.txt",
    ),
    Frame(
        "Firewall Builder",
        what="each of its rules is a chain: RULE_n, In_RULE_n, Out_RULE_n",
        advice="check the rules in Firewall Builder's own view; the chains are only how it writes them",
        signs=(Together("filter", (r"(In|Out)_RULE_\d+",), callers=("INPUT", "OUTPUT", "FORWARD")),),
        chains=(
            Chains(r"(In_|Out_)?RULE_\d+", "a rule of yours", ("filter", "nat", "mangle"), yours=True),
            Chains(r"C[0-9a-z]+\.\d+", "part of a rule of yours", ("filter", "nat", "mangle"), yours=True),
        ),
        reference="https://github.com/fwbuilder/fwbuilder",
    ),
    Frame(
        "SuSEfirewall2",
        what="packets go to the chain of their zone: input_ext, input_int, input_dmz",
        advice="check the chains of the zones, in which the ports of /etc/sysconfig/SuSEfirewall2 are",
        signs=(Together("filter", ("input_ext", "reject_func"), callers=("INPUT",)),),
        chains=(
            Chains(r"(input|forward)_(ext|int|dmz)", "a zone", yours=True),
            Chains("reject_func", "refusing"),
        ),
        reference="https://en.opensuse.org/SuSEfirewall2",
    ),
    Frame(
        "lokkit",
        what="Red Hat's former tool has what you allowed in one chain, RH-Firewall-1-INPUT",
        advice="check the rules of RH-Firewall-1-INPUT",
        signs=(Together("filter", ("RH-Firewall-1-INPUT",), callers=("INPUT",)),),
        chains=(Chains("RH-Firewall-1-INPUT", "what you allowed", yours=True),),
        reference="lokkit(8)",
    ),
    Frame(
        "Arno's iptables firewall",
        what="packets from outside go to EXT_INPUT_CHAIN, in which your open ports are",
        advice="check EXT_INPUT_CHAIN and INT_INPUT_CHAIN; the checks around them need no counterpart",
        signs=(Together("filter", ("EXT_INPUT_CHAIN", "VALID_CHK")),),
        chains=(
            Chains(r"(BASE|EXT|INT|DMZ|POST)_INPUT_CHAIN|INPUT_CHAIN", "what you allowed", yours=True),
            Chains(
                r"\w+_CHAIN|VALID_CHK|SPOOF_CHK|RESERVED_NET_CHK|HOST_BLOCK(_\w+)?|MAC_FILTER|UPNP_\w+|DMZ_\w+_CHAIN",
                "checks",
                ("filter", "nat", "mangle"),
            ),
        ),
        reference="arno-iptables-firewall(8)",
    ),
    Frame(
        "Synology DSM",
        what="DSM's firewall has what you allowed in INPUT_FIREWALL, a check of rates in DOS_PROTECT",
        advice="check the rules of INPUT_FIREWALL",
        signs=(Together("filter", ("INPUT_FIREWALL", "FORWARD_FIREWALL"), callers=("INPUT",)),),
        chains=(
            Chains(r"(INPUT|FORWARD)_FIREWALL", "what you allowed", yours=True),
            Chains(
                r"DOS_PROTECT|DEFAULT_(INPUT|FORWARD|OUTPUT|POSTROUTING)",
                "checks and defaults",
                ("filter", "nat"),
            ),
        ),
        reference="https://kb.synology.com/en-global/DSM/help/DSM/AdminCenter/connection_security_firewall",
    ),
)
