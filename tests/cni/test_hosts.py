"""``--scope host``: the filter of a host that stays a host, for the CNIs that filter hosts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ipt2np import Conversion, Facts, Field, Identity, Options, UsageError, Verdict, convert
from ipt2np.cni.calicohost import INTERFACE_LABEL, CalicoHost
from ipt2np.conversion import Scope
from ipt2np.rules.host import Host, HostAddress, Interface
from tests.dumps import dump, parsed
from tests.sample_hosts import rulesets

NODE = Identity("gw1", "default", {"kubernetes.io/hostname": "gw1"})


def converted(*rules: str, cni: str = "calico", policy: str = "DROP", **more: Any) -> Conversion:
    """A host with these INPUT rules as a node."""
    options = Options(identity=NODE, cni=cni, scope=Scope.HOST, **more)
    return convert([parsed(dump(*rules, policy=policy, chains=("web",)))], options)


def objects(conversion: Conversion, kind: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(conversion.text) if each["kind"] == kind]


def interfaces(conversion: Conversion) -> dict[str, str]:
    """Interface names of the endpoints and the group each is in."""
    return {
        each["spec"]["interfaceName"]: each["metadata"]["labels"][INTERFACE_LABEL]
        for each in objects(conversion, "HostEndpoint")
    }


def codes(conversion: Conversion) -> set[str]:
    return {finding.code for finding in conversion.findings}


# -- Calico: interfaces ----------------------------------------------------------------------------------


def test_each_interface_has_its_own_policy_and_all_others_one() -> None:
    conversion = converted(
        "-A INPUT -i eth1 -j ACCEPT",
        "-A INPUT -i eth0 -p tcp -m tcp --dport 443 -j ACCEPT",
        "-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 22 -j ACCEPT",
    )
    groups = interfaces(conversion)
    assert set(groups) == {"eth0", "eth1", "*"} and len(set(groups.values())) == 3
    policies = {
        each["spec"]["selector"]: each["spec"]["ingress"]
        for each in objects(conversion, "GlobalNetworkPolicy")
    }
    assert policies[f"ipt2np/host == 'gw1' && ipt2np/interfaces == '{groups['eth1']}'"] == [
        {"action": "Allow", "ipVersion": 4}
    ]
    assert len(policies[f"ipt2np/host == 'gw1' && ipt2np/interfaces == '{groups['*']}'"]) == 1
    assert conversion.proof.verdict is Verdict.EQUAL
    assert not conversion.proof.differences


def test_interfaces_of_which_the_same_rules_decide_share_a_policy() -> None:
    rules = [f"-A INPUT -i eth{n} -j web" for n in range(4)]
    conversion = converted(*rules, "-A INPUT -i eth9 -j ACCEPT", "-A web -p tcp -m tcp --dport 22 -j ACCEPT")
    groups = interfaces(conversion)
    assert len({groups[f"eth{n}"] for n in range(4)}) == 1
    assert len(objects(conversion, "GlobalNetworkPolicy")) == 3
    assert conversion.proof.verdict is Verdict.EQUAL


def test_an_interface_that_is_filtered_like_the_others_needs_no_endpoint() -> None:
    conversion = converted(
        "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT", "-A INPUT -i eth0 -p tcp -m tcp --dport 22 -j DROP"
    )
    assert set(interfaces(conversion)) == {"*"}
    assert conversion.proof.verdict is Verdict.EQUAL


def test_what_only_a_wildcard_names_is_filtered_like_the_others_and_told() -> None:
    conversion = converted(
        "-A INPUT -i tun+ -s 10.8.0.0/16 -p tcp -m tcp --dport 3306 -j ACCEPT",
        "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
    )
    assert conversion.proof.verdict is Verdict.NARROWER
    (difference,) = conversion.proof.differences
    assert (difference.box.interface, difference.box.ports) == ("tun+", ((3306, 3306),))
    assert difference.certain and difference.findings == ("N2P421",)


def test_the_host_s_own_interfaces_settle_a_wildcard() -> None:
    interfaces_of = [
        Interface("lo", flags=frozenset({"LOOPBACK", "UP"})),
        Interface("tun0", flags=frozenset({"UP"}), addresses=(HostAddress(4, 0x0A080001, 16),)),
        Interface("eth0", flags=frozenset({"UP"}), addresses=(HostAddress(4, 0xC0000201, 24),)),
    ]
    conversion = converted(
        "-A INPUT -i tun+ -p tcp -m tcp --dport 3306 -j ACCEPT", facts=Facts(host=Host(tuple(interfaces_of)))
    )
    assert "tun0" in interfaces(conversion)
    named = [each for each in conversion.proof.differences if each.box.interface != "tun+"]
    assert not named


def test_a_default_of_accept_is_kept_on_every_interface() -> None:
    conversion = converted("-A INPUT -i eth0 -s 198.51.100.0/24 -j DROP", policy="ACCEPT")
    assert conversion.proof.verdict is Verdict.EQUAL
    (closed,) = [
        each["spec"]["ingress"]
        for each in objects(conversion, "GlobalNetworkPolicy")
        if each["spec"]["ingress"][0]["action"] == "Deny"
    ]
    assert closed[0]["source"] == {"nets": ["198.51.100.0/24"]}


def test_failsafe_ports_are_told_where_the_host_refuses_them() -> None:
    assert "N2P415" in codes(converted("-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"))
    assert "N2P415" not in codes(converted(policy="ACCEPT"))


def test_what_the_host_sends_stays_open() -> None:
    for endpoint in objects(converted("-A INPUT -i eth0 -j ACCEPT"), "HostEndpoint"):
        assert endpoint["spec"]["profiles"] == ["projectcalico-default-allow"]
        assert endpoint["spec"]["node"] == "gw1"


@pytest.mark.parametrize("names", [("eth0.1", "eth0_1", "eth0-1"), ("ETH0", "eth0"), ("br-", "br_")])
def test_endpoints_of_odd_interfaces_have_names_of_their_own(names: Sequence[str]) -> None:
    rules = [f"-A INPUT -i {name} -p tcp -m tcp --dport {n + 1} -j ACCEPT" for n, name in enumerate(names)]
    conversion = converted(*rules)
    found = [each["metadata"]["name"] for each in objects(conversion, "HostEndpoint")]
    assert len(set(found)) == len(names) + 1
    assert set(names) < set(interfaces(conversion))
    assert conversion.proof.verdict is Verdict.EQUAL


def test_reading_tells_interfaces_apart() -> None:
    """Packet by packet, for the rules as they were written."""
    conversion = converted(
        "-A INPUT -i eth1 -p udp -m udp --dport 53 -j ACCEPT",
        "-A INPUT -i eth0 -p tcp -m tcp --dport 443 -j ACCEPT",
    )
    labels = conversion.draft.decision.interfaces
    assert labels is not None
    admits = conversion.readings["external"].admits
    for interface, protocol, port, expected in (
        ("eth1", 17, 53, True), ("eth0", 17, 53, False), ("eth0", 6, 443, True), ("eth1", 6, 443, False),
        ("wlan0", 6, 443, False),
    ):  # fmt: skip
        packet = {
            Field.FAMILY: 0,
            Field.PROTOCOL: protocol,
            Field.DESTINATION_PORT: port,
            Field.SOURCE_PORT: 40_000,
            Field.INTERFACE: labels.label(interface),
            Field.SOURCE: 0xC0000205,
        }
        assert (packet in admits) is expected


# -- the others ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cni", "kind"), [("cilium", "CiliumClusterwideNetworkPolicy"), ("antrea", "ClusterNetworkPolicy")]
)
def test_nodes_are_selected_by_their_labels(cni: str, kind: str) -> None:
    conversion = converted("-A INPUT -p icmp -m icmp --icmp-type 8 -j ACCEPT", cni=cni)
    (policy,) = objects(conversion, kind)
    assert "namespace" not in policy["metadata"]
    spec = policy["spec"]
    selector = spec["nodeSelector"] if cni == "cilium" else spec["appliedTo"][0]["nodeSelector"]
    assert selector == {"matchLabels": {"kubernetes.io/hostname": "gw1"}}
    assert conversion.proof.verdict is Verdict.EQUAL
    assert {"N2P417", "N2P422"} <= codes(conversion)


@pytest.mark.parametrize("cni", ["cilium", "antrea"])
def test_where_interfaces_are_not_told_apart_they_stay_undecided(cni: str) -> None:
    conversion = converted("-A INPUT -i eth1 -j ACCEPT", cni=cni)
    assert "N2P203" in codes(conversion)
    assert not conversion.readings["external"].admits & conversion.draft.decision.judged


@pytest.mark.parametrize("cni", ["calico", "cilium", "antrea"])
@pytest.mark.parametrize(
    "name", ["two-interfaces.v4", "docker-host.v4", "hypervisor.v4", "kube-node.v4", "ufw.v4"]
)
def test_samples_as_hosts_never_open_what_is_closed(name: str, cni: str) -> None:
    conversion = convert(rulesets((name,)), Options(identity=NODE, cni=cni, scope=Scope.HOST))
    decision = conversion.draft.decision
    admitted = conversion.readings["external"].admits & decision.judged
    assert admitted <= decision.must_accept


def test_cnis_that_filter_no_hosts_are_refused() -> None:
    with pytest.raises(UsageError, match="calico, cilium, antrea"):
        converted("-A INPUT -j ACCEPT", cni="kube-router")


def test_the_template_is_the_one_for_pods() -> None:
    assert Path(CalicoHost.template).name == "calico.yaml.j2"
