"""Policies that exist against a ruleset: the library and the command, policies written by hand, and bad input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ipt2np import Identity, Options
from ipt2np.policies.loading import checked
from ipt2np.policies.manifest import manifests_of
from ipt2np.reporting.verificationreport import verification_report
from ipt2np.review.verification import verify
from tests.dumps import dump, parsed


def policy(*rules: str, name: str = "web", selector: str = "{matchLabels: {app: web}}") -> str:
    """A NetworkPolicy with its rules in flow style, one a line."""
    lines = [
        "apiVersion: networking.k8s.io/v1",
        "kind: NetworkPolicy",
        f"metadata: {{name: {name}, namespace: shop}}",
        f"spec: {{podSelector: {selector}, policyTypes: [Ingress]}}",
    ]
    if rules:
        lines[-1] = f"spec:\n  podSelector: {selector}\n  policyTypes: [Ingress]\n  ingress:"
    return "\n".join([*lines, *(f"    - {rule}" for rule in rules)]) + "\n"


def report(
    text: str,
    *rules: str,
    family: int = 4,
    cni: str | None = None,
    labels: Mapping[str, str] | None = None,
    **more: Any,
) -> Mapping[str, Any]:
    """The report on policies against a ruleset of INPUT rules."""
    policies = checked(manifests_of(text, "policy.yaml"), (), cni, "shop")
    options = Options(identity=Identity("web", "shop", labels or {"app": "web"}), **more)
    return verification_report(verify([parsed(dump(*rules), family)], policies, options), "test").data


def told(
    data: Mapping[str, Any], source_class: str = "external"
) -> list[tuple[str, str, str, Sequence[str]]]:
    """Effect, protocol, ports and sources of each difference."""
    return [
        (each["effect"], each["protocol"], each.get("ports", ""), each["source"])
        for each in data["proof"]["differences"]
        if each["source_class"] == source_class
    ]


SSH = "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT"
SSH6 = "-A INPUT -s 2001:db8::/32 -p tcp -m tcp --dport 22 -j ACCEPT"


# -- a family that no ruleset is about -----------------------------------------------------------------------


def test_what_is_opened_of_an_unknown_family_is_told_by_its_own_sources() -> None:
    data = report(
        policy(
            "{from: [{ipBlock: {cidr: 2001:db8::/32}}, {ipBlock: {cidr: 198.51.100.0/24}}], ports: [{port: 22}]}"
        ),
        SSH6,
        family=6,
    )
    assert told(data) == [("opens", "tcp", "22", ["198.51.100.0/24"])]
    (difference,) = [each for each in data["proof"]["differences"] if each["source_class"] == "external"]
    assert difference["witness"]["source"] == "198.51.100.0"
    assert not difference["certain"]
    assert difference["findings"] == ["N2P503"]


def test_a_witness_of_an_unknown_family_is_a_packet_that_can_be() -> None:
    data = report(policy("{}"), SSH6, family=6)
    witnesses = [
        each["witness"]
        for each in data["proof"]["differences"]
        if each["findings"] == ["N2P503"] and each["source_class"] == "external"
    ]
    assert {witness["source"] for witness in witnesses} == {"0.0.0.1"}
    assert {witness.get("port") for witness in witnesses} <= {1, None}


def test_sources_that_no_packet_has_open_nothing_of_an_unknown_family() -> None:
    data = report(
        policy(
            "{from: [{ipBlock: {cidr: 2001:db8::/32}}, {ipBlock: {cidr: 127.0.0.0/8}}], ports: [{port: 22}]}"
        ),
        SSH6,
        family=6,
    )
    assert data["proof"]["verdict"] == "equal"
    assert "N2P503" not in {each["code"] for each in data["findings"]}


# -- who is behind a difference ------------------------------------------------------------------------------


def calico(*rules: str, kind: str = "NetworkPolicy", name: str = "web", spec: str = "") -> str:
    """A policy of Calico's with its rules in flow style, one a line."""
    space = ", namespace: shop" if kind == "NetworkPolicy" else ""
    lines = [
        "apiVersion: projectcalico.org/v3",
        f"kind: {kind}",
        f"metadata: {{name: {name}{space}}}",
        "spec:",
        "  selector: app == 'web'",
        "  types: [Ingress]",
        *([f"  {spec}"] if spec else []),
        "  ingress:",
    ]
    return "\n".join([*lines, *(f"    - {rule}" for rule in rules)]) + "\n"


def test_a_rule_that_passes_packets_on_is_behind_what_is_let_in() -> None:
    data = report(
        calico(
            "{action: Pass, ipVersion: 4, protocol: SCTP, source: {nets: [172.16.0.0/12]}}",
            "{action: Allow, ipVersion: 4, protocol: TCP, source: {nets: [10.0.0.0/8]}, destination: {ports: [22]}}",
        ),
        SSH,
        cni="calico",
    )
    (difference,) = [each for each in data["proof"]["differences"] if each["source_class"] == "external"]
    assert (difference["effect"], difference["protocol"]) == ("opens", "sctp")
    assert difference["pointers"] == ["NetworkPolicy/shop/web#/spec/ingress/0"]
    (finding,) = [each for each in data["findings"] if each["code"] == "N2P502"]
    assert finding["message"].endswith("passed on by policy.yaml:8")


def test_rules_of_a_tier_that_ends_with_pass_are_behind_what_they_admit() -> None:
    data = report(
        "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: admins}\n"
        "spec: {order: 100, defaultAction: Pass}\n---\n"
        + calico(
            "{action: Allow, ipVersion: 4, protocol: TCP, source: {nets: [10.0.0.0/8]}, destination: {ports: [22, 23]}}",
            spec="tier: admins",
        )
        + "---\n"
        + calico(
            "{action: Deny, ipVersion: 4, protocol: UDP, destination: {ports: [53]}}",
            kind="GlobalNetworkPolicy",
            name="rest",
        ),
        SSH,
        cni="calico",
    )
    (difference,) = [each for each in data["proof"]["differences"] if each["source_class"] == "external"]
    assert (difference["effect"], difference["ports"]) == ("opens", "23")
    assert difference["pointers"] == ["NetworkPolicy/shop/web#/spec/ingress/0"]


def test_ingress_rules_of_a_policy_for_egress_are_behind_nothing() -> None:
    egress = policy("{ports: [{port: 23}]}", name="out").replace("[Ingress]", "[Egress]")
    data = report(
        policy("{from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 22}, {port: 23}]}") + "---\n" + egress,
        SSH,
    )
    (difference,) = [each for each in data["proof"]["differences"] if each["source_class"] == "external"]
    assert difference["pointers"] == ["NetworkPolicy/shop/web#/spec/ingress/0"]
    assert list(data["places"]) == ["NetworkPolicy/shop/web#/spec/ingress/0"]
    assert "N2P505" in {each["code"] for each in data["findings"]}


def test_rules_on_one_line_are_named_by_it_once() -> None:
    text = (
        policy("{ports: [{port: 22}]}")
        .replace("    - {ports", "    [{ports: [{port: 22}]}, {ports")
        .replace("}]}\n", "}]}]\n")
    )
    data = report(text, SSH)
    (finding,) = [each for each in data["findings"] if each["code"] == "N2P502"]
    assert finding["message"].endswith("admitted by policy.yaml:8")
    assert len(finding["pointers"]) == 2


# -- policies of several kinds, adding up --------------------------------------------------------------------


def test_policies_of_kubernetes_stand_beside_those_of_calico() -> None:
    data = report(
        policy("{from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 22}]}", name="ssh")
        + "---\n"
        + calico(
            "{action: Deny, ipVersion: 4, protocol: TCP, source: {nets: [10.1.0.0/16]}}", spec="order: 5"
        ),
        SSH,
        cni="calico",
    )
    assert told(data) == [("closes", "tcp", "22", ["10.1.0.0/16"])]
    (difference,) = [each for each in data["proof"]["differences"] if each["source_class"] == "external"]
    assert difference["pointers"] == ["NetworkPolicy/shop/web#/spec/ingress/0"]


def test_rules_of_several_objects_add_up() -> None:
    one = policy("{from: [{ipBlock: {cidr: 10.0.0.0/9}}], ports: [{port: 22}]}", name="one")
    two = policy("{from: [{ipBlock: {cidr: 10.128.0.0/9}}], ports: [{port: 22}]}", name="two", selector="{}")
    assert report(one + "---\n" + two, SSH)["proof"]["verdict"] == "equal"
    assert told(report(one, SSH)) == [("closes", "tcp", "22", ["10.128.0.0/9"])]


CILIUM = """apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: shop}
specs:
  - endpointSelector: {matchLabels: {app: web}}
    ingress:
      - fromCIDR: [10.0.0.0/8]
        toPorts: [{ports: [{port: "22", protocol: TCP}]}]
  - endpointSelector: {matchLabels: {app: web}}
    enableDefaultDeny: {ingress: false}
    ingressDeny:
      - fromCIDRSet: [{cidr: 10.1.0.0/16, except: [10.1.2.0/24]}]
"""


def test_what_a_spec_of_several_denies_is_behind_what_it_closes() -> None:
    data = report(CILIUM, SSH, cni="cilium")
    (difference,) = [each for each in data["proof"]["differences"] if each["source_class"] == "external"]
    assert difference["effect"] == "closes"
    assert difference["pointers"] == ["CiliumNetworkPolicy/shop/web#/specs/1/ingressDeny/0"]
    assert data["places"][difference["pointers"][0]] == {"file": "policy.yaml", "line": 12, "end": 12}
    assert [each["line"] for each in difference["lines"]] == [5]


def test_a_policy_without_default_deny_keeps_nothing_out() -> None:
    text = CILIUM.replace("    enableDefaultDeny: {ingress: false}\n", "").partition("  - endpointSelector")[
        0
    ]
    text += """  - endpointSelector: {matchLabels: {app: web}}
    enableDefaultDeny: {ingress: false}
    ingress: [{fromEntities: [world]}]
"""
    data = report(text, SSH, cni="cilium")
    assert data["proof"]["verdict"] == "wider"
    assert "N2P504" in {each["code"] for each in data["findings"]}
