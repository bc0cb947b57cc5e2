"""Which programs' rules are recognised, and which names alone are not enough."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from ipt2np import parse_ruleset
from ipt2np.frames import FRAMES, Frames, recognise
from tests.dumps import dump, parsed, table

SAMPLES = Path(__file__).parents[2] / "samples"
DOCKER_NAT = table(
    "nat",
    ":PREROUTING ACCEPT [0:0]",
    ":DOCKER - [0:0]",
    "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
)

EXAMPLES: Sequence[tuple[str, str]] = (
    ("fail2ban", dump("-A INPUT -p tcp -j f2b-sshd", "-A f2b-sshd -j RETURN", chains=["f2b-sshd"])),
    ("fail2ban", dump("-A INPUT -j fail2ban-ssh", "-A fail2ban-ssh -j RETURN", chains=["fail2ban-ssh"])),
    ("fail2ban", dump("-A INPUT -p tcp -m set --match-set f2b-sshd src -j REJECT")),
    ("CrowdSec", dump("-A INPUT -j CROWDSEC_CHAIN", chains=["CROWDSEC_CHAIN"])),
    ("CrowdSec", dump("-A INPUT -m set --match-set crowdsec-blacklists src -j DROP")),
    ("sshguard", dump("-A INPUT -p tcp -j sshguard", chains=["sshguard"])),
    ("sshguard", dump("-A INPUT -m set --match-set sshguard4 src -j DROP")),
    ("kube-router", dump("-A INPUT -j KUBE-ROUTER-INPUT", chains=["KUBE-ROUTER-INPUT"])),
    ("Kubernetes", dump("-A INPUT -j KUBE-FIREWALL", chains=["KUBE-FIREWALL"])),
    ("Calico", dump("-A INPUT -j cali-INPUT", chains=["cali-INPUT"])),
    ("Cilium", dump("-A INPUT -j OLD_CILIUM_INPUT", chains=["OLD_CILIUM_INPUT"])),
    ("Antrea", dump("-A FORWARD -j ANTREA-FORWARD", chains=["ANTREA-FORWARD"])),
    ("flannel", dump('-A FORWARD -s 10.42.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT')),
    ("Weave Net", dump("-A INPUT -j WEAVE-IPSEC-IN", chains=["WEAVE-IPSEC-IN"])),
    (
        "Amazon VPC CNI",
        dump(before=table("nat", ":AWS-SNAT-CHAIN-0 - [0:0]", "-A POSTROUTING -j AWS-SNAT-CHAIN-0")),
    ),
    ("Docker", dump(before=DOCKER_NAT)),
    ("Docker", dump("-A FORWARD -o docker0 -j DOCKER", chains=["DOCKER"])),
    ("Podman (netavark)", dump("-A FORWARD -j NETAVARK_FORWARD", chains=["NETAVARK_FORWARD"])),
    ("CNI plugins", dump("-A FORWARD -j CNI-FORWARD", chains=["CNI-FORWARD"])),
    ("libvirt", dump("-A INPUT -j LIBVIRT_INP", chains=["LIBVIRT_INP"])),
    (
        "libvirt",
        dump(
            "-A INPUT -i virbr0 -p udp --dport 53 -j ACCEPT", "-A INPUT -i virbr0 -p udp --dport 67 -j ACCEPT"
        ),
    ),
    ("LXD", dump('-A INPUT -i lxdbr0 -m comment --comment "generated for LXD network lxdbr0" -j ACCEPT')),
    ("NetworkManager", dump("-A INPUT -i wlan0 -j nm-sh-in-wlan0", chains=["nm-sh-in-wlan0"])),
    ("Tailscale", dump("-A INPUT -j ts-input", chains=["ts-input"])),
    ("Proxmox VE", dump("-A INPUT -j PVEFW-INPUT", chains=["PVEFW-INPUT", "PVEFW-HOST-IN"])),
    ("OpenStack", dump(chains=["neutron-filter-top", "neutron-openvswi-local"])),
    ("miniupnpd", dump("-A FORWARD -i eth0 -j MINIUPNPD", chains=["MINIUPNPD"])),
    ("ufw", dump("-A INPUT -j ufw-before-input", chains=["ufw-before-input", "ufw-user-input"])),
    ("ufw", dump("-A INPUT -j ufw6-before-input", chains=["ufw6-before-input", "ufw6-user-input"])),
    ("firewalld", dump("-A INPUT -j INPUT_direct", chains=["INPUT_direct", "INPUT_ZONES"])),
    ("firewalld", dump("-A INPUT -j INPUT_direct", chains=["INPUT_direct", "INPUT_dispatch"])),
    ("NixOS", dump("-A INPUT -j nixos-fw", chains=["nixos-fw", "nixos-fw-accept"])),
    ("OpenWrt", dump(chains=["zone_wan_input", "zone_wan_src_REJECT"])),
    ("OpenWrt", dump(chains=["zone_lan", "zone_lan_ACCEPT", "input_rule", "input_lan"])),
    ("Shorewall", dump(chains=["shorewall", "net-fw"])),
    ("Shorewall", dump(chains=["dynamic", "logdrop", "logreject", "net2fw"])),
    ("CSF", dump("-A INPUT ! -i lo -j LOCALINPUT", chains=["LOCALINPUT", "ALLOWIN", "DENYIN"])),
    ("Firewall Builder", dump("-A INPUT -i eth0 -j In_RULE_0", chains=["In_RULE_0"])),
    ("SuSEfirewall2", dump("-A INPUT -i eth0 -j input_ext", chains=["input_ext", "reject_func"])),
    ("lokkit", dump("-A INPUT -j RH-Firewall-1-INPUT", chains=["RH-Firewall-1-INPUT"])),
    ("Arno's iptables firewall", dump(chains=["EXT_INPUT_CHAIN", "VALID_CHK"])),
    ("Synology DSM", dump("-A INPUT -j INPUT_FIREWALL", chains=["INPUT_FIREWALL", "FORWARD_FIREWALL"])),
)

ALONE: Sequence[str] = (
    dump("-A INPUT -j DOCKER", "-A DOCKER -p tcp --dport 80 -j ACCEPT", chains=["DOCKER"]),
    dump(chains=["DOCKER"]),
    dump("-A INPUT -j f2b-mine", "-A f2b-mine -s 10.0.0.1 -j DROP", chains=["f2b-mine"]),
    dump("-A INPUT -j f2b-mine", "-A f2b-mine -p tcp -j RETURN", chains=["f2b-mine"]),
    dump("-A INPUT -j sshguards", chains=["sshguards"]),
    dump("-A OUTPUT -j ts-input", chains=["ts-input"]),
    dump("-A INPUT -j reject", "-A INPUT -j dynamic", chains=["reject", "dynamic", "input", "Drop", "net-fw"]),
    dump("-A INPUT -j input_rule", chains=["input_rule", "input_lan", "zone_lan"]),
    dump("-A INPUT -j INVALID", chains=["INVALID", "DENYIN"]),
    dump("-A INPUT -j IN_public_allow", chains=["IN_public_allow", "INPUT_direct"]),
    dump("-A INPUT -j ufw", "-A INPUT -j my-ufw-user-input", chains=["ufw", "my-ufw-user-input"]),
    dump("-A INPUT -j KUBE", "-A INPUT -j CILIUM", "-A INPUT -j kube-services", chains=["KUBE", "CILIUM", "kube-services"]),
    dump("-A INPUT -i virbr0 -p udp --dport 53 -j ACCEPT"),
    dump("-A INPUT -i virbr0 -p tcp --dport 22 -j ACCEPT", "-A INPUT -i virbr0 -s 10.0.0.1 -p udp --dport 67 -j ACCEPT"),
    dump('-A INPUT -m comment --comment "not generated for LXD network x" -j ACCEPT'),
    dump("-A INPUT -m set ! --match-set f2b-good src -j DROP"),
    table("mangle", ":LIBVIRT_INP - [0:0]", "-A INPUT -j LIBVIRT_INP"),
)  # fmt: skip
"""Names that anybody may choose, or a program's names out of their place."""


def found(text: str, family: int = 4) -> Frames:
    return recognise([parsed(text, family)])


def names(frames: Frames) -> list[str]:
    return [each.frame.name for each in frames.found]


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[f"{e[0]}-{n}" for n, e in enumerate(EXAMPLES)])
def test_a_program_is_known_by_its_chains_in_their_place(name: str, text: str) -> None:
    assert names(found(text, 6 if "ufw6" in text else 4)) == [name]


def test_every_frame_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} == {frame.name for frame in FRAMES}


@pytest.mark.parametrize("text", ALONE)
def test_a_name_out_of_its_place_is_no_sign(text: str) -> None:
    assert found(text) == Frames()


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        ("docker-host.v4", {"Docker": (5, 20, 0)}),
        ("fail2ban.v4", {"fail2ban": (3, 12, 6)}),
        ("firewalld.v4", {"firewalld": (33, 48, 0)}),
        ("hypervisor.v4", {"libvirt": (6, 21, 0), "Tailscale": (3, 13, 0)}),
        ("kube-node.v4", {"Kubernetes": (13, 26, 0), "Calico": (11, 20, 0)}),
        ("shared-hosting.v4", {"CSF": (7, 20, 0)}),
        ("ufw.v4", {"ufw": (32, 74, 0)}),
        ("ban-list.v4", {}),
        ("logging-gateway.v4", {}),
        ("mail-server.v6", {}),
        ("file-server-ranges.v4", {}),
    ],
)
def test_chains_rules_and_bans_of_a_sample_are_counted(
    sample: str, expected: dict[str, tuple[int, int, int]]
) -> None:
    ruleset = parse_ruleset((SAMPLES / sample).read_bytes(), sample, family=int(sample[-1]))
    counts = {
        each.frame.name: (len(each.chains), len(each.rules), len(each.bans))
        for each in recognise([ruleset]).found
    }
    assert counts == expected


def test_no_chain_of_a_sample_that_has_a_frame_is_left_over() -> None:
    for sample in (
        "docker-host.v4",
        "fail2ban.v4",
        "firewalld.v4",
        "hypervisor.v4",
        "kube-node.v4",
        "ufw.v4",
    ):
        ruleset = parse_ruleset((SAMPLES / sample).read_bytes(), sample)
        user = {key for key, chain in ruleset.chains.items() if chain.policy is None}
        claimed = {(each.table, each.name) for one in recognise([ruleset]).found for each in one.chains}
        assert claimed == user, sample


def test_both_families_are_one_host() -> None:
    four = parsed(EXAMPLES[0][1], 4, "rules.v4")
    six = parse_ruleset(EXAMPLES[0][1].encode(), "rules.v6", family=6, first_number=100)
    (fail2ban,) = recognise([four, six]).found
    assert [chain.file for chain in fail2ban.chains] == ["rules.v4", "rules.v6"]
    assert len(fail2ban.rules) == 4


def test_what_a_person_asked_for_is_no_boilerplate() -> None:
    frames = found((SAMPLES / "ufw.v4").read_text())
    rules = {rule.location.line: rule for rule in frames.found[0].rules}
    assert frames.boilerplate(rules[108]) is None and frames.of(rules[108]) is not None
    assert (kind := frames.kind(rules[108])) is not None and kind.purpose == "what you asked it for"
    before_input = frames.boilerplate(rules[76])
    assert before_input is not None and before_input.name == "ufw"
    jump_from_input = frames.boilerplate(rules[42])
    assert jump_from_input is not None and frames.kind(rules[42]) is None


def test_a_comment_tells_more_than_the_chain_in_which_the_rule_stands() -> None:
    text = dump(
        '-A ufw-before-input -i lxdbr0 -m comment --comment "generated for LXD network lxdbr0" -j ACCEPT',
        "-A ufw-before-input -i lxdbr0 -j DROP",
        chains=["ufw-before-input", "ufw-user-input"],
    )
    frames = found(text)
    assert {each.frame.name: [rule.location.line for rule in each.rules] for each in frames.found} == {
        "LXD": [7],
        "ufw": [8],
    }


def test_a_program_s_own_device_claims_only_rules_of_the_program_s_kind() -> None:
    frames = found(
        dump(
            "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
            "-A FORWARD -i docker0 -p tcp -m tcp --dport 80 -j DROP",
            "-A FORWARD -s 10.0.0.1 -i docker0 -j DROP",
            "-A FORWARD -i docker0 -m frob --x 1 -j DROP",
            "-A INPUT -i docker0 -j ACCEPT",
            before=DOCKER_NAT,
        )
    )
    (docker,) = frames.found
    assert [rule.location.line for rule in docker.rules if rule.table == "filter"] == [10, 11]


# -- bans -----------------------------------------------------------------------------------------------

JAIL = ["f2b-sshd"]


@pytest.mark.parametrize(
    ("rule", "is_ban"),
    [
        ("-A f2b-sshd -s 192.0.2.1/32 -j REJECT --reject-with icmp-port-unreachable", True),
        ("-A f2b-sshd -s 192.0.2.1,192.0.2.9 -j DROP", True),
        ("-A f2b-sshd -m set --match-set f2b-sshd src -j DROP", True),
        ("-A INPUT -p tcp -m set --match-set f2b-sshd src -j DROP", True),
        ("-A f2b-sshd -s 192.0.2.1/32 -j ACCEPT", False),
        ("-A f2b-sshd -s 192.0.2.1/32 -j RETURN", False),
        ("-A f2b-sshd -s 192.0.2.1/32 -j LOG", False),
        ("-A f2b-sshd ! -s 192.0.2.1/32 -j DROP", False),
        ("-A f2b-sshd -s 0.0.0.0/0 -j DROP", False),
        ("-A f2b-sshd -p tcp -j DROP", False),
        ("-A INPUT -s 192.0.2.1/32 -j f2b-sshd", False),
        ("-A INPUT -s 192.0.2.1/32 -j DROP", False),
        ("-A INPUT -m set --match-set blacklist src -j DROP", False),
        ("-A INPUT -m set ! --match-set f2b-sshd src -j DROP", False),
    ],
)
def test_a_ban_refuses_a_source_that_the_program_named(rule: str, is_ban: bool) -> None:
    text = dump("-A INPUT -p tcp -j f2b-sshd", rule, "-A f2b-sshd -j RETURN", chains=JAIL)
    ruleset = parsed(text)
    (number,) = (each.number for each in ruleset.rules if each.location.line == 7)
    assert (recognise([ruleset]).bans == {number}) is is_ban
    assert recognise([ruleset]).bans <= {number}


def test_crowdsec_refuses_by_way_of_its_log() -> None:
    text = dump(
        "-A INPUT -j CROWDSEC_CHAIN",
        "-A CROWDSEC_CHAIN -m set --match-set crowdsec-blacklists-0 src -j CROWDSEC_LOG",
        "-A CROWDSEC_LOG -j LOG",
        "-A CROWDSEC_LOG -j DROP",
        chains=["CROWDSEC_CHAIN", "CROWDSEC_LOG"],
    )
    assert [rule.location.line for rule in found(text).found[0].bans] == [8]


# -- the table, and hostile input -----------------------------------------------------------------------


def test_the_table_of_frames_is_well_made() -> None:
    assert len({frame.name for frame in FRAMES}) == len(FRAMES)
    for frame in FRAMES:
        assert frame.signs and frame.reference, frame.name
        for text in (frame.what, frame.advice, *(kind.purpose for kind in frame.chains)):
            assert text and not text.endswith(".") and not text[:1].isspace(), text
        for pattern in (frame.says, frame.ban_sets, *(kind.names for kind in frame.chains)):
            re.compile(pattern)
        assert not any(kind.yours and kind.bans for kind in frame.chains)


def test_strange_names_are_read_like_any_other() -> None:
    name = "f2b-\x1b[31m\u202e*"
    frames = found(dump(f"-A INPUT -j {name}", f"-A {name} -j RETURN", chains=[name]))
    assert [chain.name for chain in frames.found[0].chains] == [name]


def test_long_names_and_comments_cost_no_more_than_their_length() -> None:
    comment = 'name: \\"' * 30
    chains = ["A_" * 14, "zone_" * 5 + "x", "~" * 28, "IN_" + "_pre" * 6]
    rules = [f'-A INPUT -m comment --comment "{comment}" -j {chain}' for chain in chains for _ in range(500)]
    text = dump(
        "-A INPUT -j INPUT_direct",
        *rules,
        chains=[*chains, "INPUT_direct", "INPUT_ZONES", "shorewall", "net-fw"],
    )
    assert set(names(found(text))) == {"firewalld", "Shorewall"}
