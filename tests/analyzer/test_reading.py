"""The ways of network-config-analyzer that ``read`` relies on or makes up for, pinned one by one."""

from __future__ import annotations

import re

import pytest

from .reading import Admitted, UnreadableError, read

pytestmark = pytest.mark.usefixtures("analyzer")

V4 = ((0, (1 << 32) - 1),)
V6 = ((0, (1 << 128) - 1),)
EVERY_PORT = ((1, 65535),)
EVERYTHING = [
    Admitted(sources, family, protocol, EVERY_PORT)
    for family, sources in ((4, V4), (6, V6))
    for protocol in ("sctp", "tcp", "udp")
]


def policy(spec: str, *, name: str = "p", namespace: str = "shop", selector: str = "{}") -> str:
    return f"""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{podSelector: {selector}, {spec}}}
"""


def boxes(text: str, *, namespace: str = "shop", **labels: str) -> list[Admitted]:
    return read(text, namespace=namespace, labels=labels or {"app": "web"})


def test_a_policy_in_full() -> None:
    text = policy(
        "policyTypes: [Ingress], ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], "
        "ports: [{port: 80}, {port: 443, endPort: 444}, {protocol: UDP, port: 53}]}]"
    )
    sources = ((0x0A000000, 0x0A00FFFF), (0x0A020000, 0x0AFFFFFF))
    assert boxes(text) == [
        Admitted(sources, 4, "tcp", ((80, 80), (443, 444))),
        Admitted(sources, 4, "udp", ((53, 53),)),
    ]


@pytest.mark.parametrize("rule", ["{}", "{from: []}", "{from: null}", "{ports: []}", "{ports: null}"])
def test_a_rule_without_from_and_ports_is_everything_in_both_families(rule: str) -> None:
    assert boxes(policy(f"ingress: [{rule}]")) == EVERYTHING


def test_an_ipv4_block_does_not_bring_ipv6() -> None:
    text = policy("ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]")
    assert boxes(text) == [box for box in EVERYTHING if box.family == 4]


def test_an_ipv6_block_does_not_bring_ipv4() -> None:
    text = policy("ingress: [{from: [{ipBlock: {cidr: '::/0'}}]}]")
    assert boxes(text) == [box for box in EVERYTHING if box.family == 6]


def test_a_protocol_without_a_port_is_all_its_ports() -> None:
    text = policy("ingress: [{ports: [{protocol: SCTP}]}]")
    assert boxes(text) == [box for box in EVERYTHING if box.protocol == "sctp"]


@pytest.mark.parametrize(
    "spec", ["policyTypes: [Ingress]", "ingress: []", "ingress: null", "policyTypes: []", "egress: [{}]"]
)
def test_no_rule_is_nothing(spec: str) -> None:
    assert boxes(policy(spec)) == []


@pytest.mark.parametrize(
    "peer", ["podSelector: {}", "namespaceSelector: {}", "podSelector: {matchLabels: {app: nobody}}"]
)
def test_a_selector_is_no_outside_address(peer: str) -> None:
    assert boxes(policy(f"ingress: [{{from: [{{{peer}}}]}}]")) == []


def test_a_block_emptied_by_its_exceptions_is_nothing() -> None:
    block = "{cidr: 10.0.0.0/8, except: [10.0.0.0/9, 10.128.0.0/9]}"
    assert boxes(policy(f"ingress: [{{from: [{{ipBlock: {block}}}]}}]")) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n# nothing\n---\n",
        policy("policyTypes: [Egress]"),
        policy("policyTypes: [Ingress]", namespace="other"),
        policy("policyTypes: [Ingress]", selector="{matchLabels: {app: other}}"),
    ],
    ids=["none", "empty documents", "egress only", "other namespace", "other labels"],
)
def test_an_unselected_pod_is_open(text: str) -> None:
    assert boxes(text) == EVERYTHING


def test_a_policy_without_a_namespace_is_in_default() -> None:
    text = policy("policyTypes: [Ingress]").replace(", namespace: shop", "")
    assert boxes(text, namespace="default") == []
    assert boxes(text, namespace="shop") == EVERYTHING


def test_labels_that_look_like_numbers() -> None:
    text = policy("policyTypes: [Ingress]", selector='{matchLabels: {tier: "80"}}')
    assert boxes(text, tier="80") == []
    assert boxes(text, tier="81") == EVERYTHING


def test_one_call_does_not_colour_the_next() -> None:
    text = policy("policyTypes: [Ingress]", selector="{matchLabels: {app: web}}")
    assert [boxes(text, app=app) for app in ("web", "db", "web")] == [[], EVERYTHING, []]


def test_the_order_of_policy_types_means_nothing() -> None:
    rule = "ingress: [{ports: [{port: 80}]}]"
    one = boxes(policy(f"policyTypes: [Ingress, Egress], {rule}"))
    other = boxes(policy(f"policyTypes: [Egress, Ingress], {rule}"))
    assert one == other != []


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    selecting_nobody = policy("ingress: [{from: [{podSelector: {matchLabels: {app: nobody}}}]}]")
    assert boxes(selecting_nobody + "---" + policy("ingress: []", name="q", namespace="elsewhere")) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (policy("ingress: [{ports: [{port: http}]}]"), "'http' is a name"),
        (policy("ingress: []") + "---" + policy("ingress: [{}]"), "two policies are named ('shop', 'p')"),
        (policy("ingress: []").replace("NetworkPolicy", "NetworkPolice"), "'NetworkPolice'"),
        (policy("ingress: []").replace("networking.k8s.io", "projectcalico.org"), "not a NetworkPolicy of"),
        (policy("ingress: [{ports: [{port: 0}]}]"), "range 1-65535"),
        (policy("ingress: [{ports: [{port: 65536}]}]"), "range 1-65535"),
        (policy("ingress: [{ports: [{port: 80, endPort: 79}]}]"), "endPort must be equal or greater"),
        (policy("ingress: [{ports: [{endPort: 79}]}]"), "endPort cannot be defined"),
        (policy("ingress: [{ports: [{protocol: ICMP}]}]"), "protocol has invalid value"),
        (policy("ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]"), "10.0.0.0/33"),
        (policy("ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: ['::/0']}}]}]"), "same version"),
        (policy("ingress: [{form: []}]"), "form is not a valid entry"),
        (policy("policyTypes: [Egress], ingress: []"), 'no "Ingress" in its policyTypes'),
        ("- a list", "no mapping"),
        ("{", "not YAML"),
    ],
)
def test_what_is_not_judged_is_refused(text: str, why: str) -> None:
    with pytest.raises(UnreadableError, match=re.escape(why)):
        boxes(text)
