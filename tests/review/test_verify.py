"""Policies that exist against a ruleset: the library and the command, policies written by hand, and bad input."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from ipt2np import Identity, Options
from ipt2np.cli.main import app
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


# -- the command: what is read, and what is refused ------------------------------------------------------------


def run(folder: Path, *arguments: str, ruleset: str = dump(SSH), stdin: str = "") -> tuple[int, str, str]:
    """Status, standard output and standard error of ``verify`` on the files of a folder."""
    (folder / "rules.v4").write_text(ruleset)
    result = CliRunner().invoke(app, ["verify", str(folder / "rules.v4"), *arguments], input=stdin)
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr


SAME = policy("{from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 22}]}")
OTHER_POD = policy(name="db", selector="{matchLabels: {app: db}}")
LISTED = """apiVersion: v1
kind: List
metadata: {resourceVersion: ""}
items:
  - apiVersion: networking.k8s.io/v1
    kind: NetworkPolicy
    metadata:
      name: web
      namespace: shop
      uid: 6a1f
      generation: 3
      creationTimestamp: "2026-01-01T00:00:00Z"
      annotations: {kubectl.kubernetes.io/last-applied-configuration: "{}"}
      managedFields: [{manager: kubectl, operation: Update}]
    spec:
      podSelector: {matchLabels: {app: web}}
      ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 22, protocol: TCP}]}]
      policyTypes: [Ingress]
    status: {}
"""


def test_what_kubectl_prints_is_read(tmp_path: Path) -> None:
    (tmp_path / "got.yaml").write_text(LISTED)
    status, stdout, _ = run(tmp_path, str(tmp_path / "got.yaml"))
    assert status == 0
    assert "equal" in stdout.splitlines()[0]
    status, stdout, _ = run(tmp_path, "-", stdin=LISTED)
    assert (status, "equal" in stdout.splitlines()[0]) == (0, True)


def test_json_indented_by_tabs_is_read(tmp_path: Path) -> None:
    (tmp_path / "got.json").write_text(json.dumps(yaml.safe_load(LISTED), indent="\t"))
    assert run(tmp_path, str(tmp_path / "got.json"))[0] == 0


def test_a_folder_is_read_with_what_is_below_it_but_not_what_is_hidden(tmp_path: Path) -> None:
    for name, text in (
        ("a.yaml", SAME),
        ("sub/b.yml", OTHER_POD),
        (".git/c.yaml", "no: policy"),
        ("d.txt", "no"),
    ):
        (tmp_path / "policies" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "policies" / name).write_text(text)
    status, stdout, stderr = run(
        tmp_path, str(tmp_path / "policies"), "--pod", "labels=app=web", "--namespace", "shop"
    )
    assert status == 0
    assert "N2P505" in stdout + stderr


def test_the_namespace_of_the_pods_is_that_of_the_policies_where_it_is_one(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(SAME)
    status, _, _ = run(tmp_path, str(tmp_path / "one.yaml"), "--pod-selector", "app=web")
    assert status == 0
    status, stdout, _ = run(
        tmp_path, str(tmp_path / "one.yaml"), "--pod-selector", "app=web", "--namespace", "other"
    )
    assert status == 1 and "N2P504" in stdout


def test_which_pods_are_meant_is_asked_where_policies_select_several(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(SAME + "---\n" + OTHER_POD)
    status, _, stderr = run(tmp_path, str(tmp_path / "two.yaml"))
    assert status == 2
    assert "--pod-selector app=web" in stderr
    assert "--pod-selector app=db" in stderr
    status, _, stderr = run(
        tmp_path, str(tmp_path / "two.yaml"), "--pod-selector", "app=db", "--namespace", "shop"
    )
    assert status == 1


def test_pods_that_no_policy_selects_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(SAME)
    report_file = tmp_path / "report.json"
    arguments = ("--pod-selector", "app=shop", "--namespace", "shop", "--report", str(report_file))
    assert run(tmp_path, str(tmp_path / "web.yaml"), *arguments)[0] == 1
    data = json.loads(report_file.read_text())
    assert data["proof"]["verdict"] == "wider"
    assert data["findings"][0]["code"] == "N2P504"
    (opened,) = [each for each in data["findings"] if each["code"] == "N2P502"]
    assert opened["message"].endswith("; no policy selects the pods")
    assert opened["remedy"].startswith("write a policy that selects the pods")


@pytest.mark.parametrize(
    ("rule", "cni", "remedy"),
    [
        (
            "-A INPUT -p icmp -j ACCEPT",
            "kube-router",
            "a rule of kube-router cannot name ICMP (only where every",
        ),
        (
            "-A INPUT -p gre -j ACCEPT",
            "kube-router",
            "a rule of kube-router cannot name such a protocol (only",
        ),
        ("-A INPUT -p sctp -j ACCEPT", "kube-router", "add the rule to the policy"),
        ("-A INPUT -s 10.9.0.0/16 -j ACCEPT", "kube-router", "add the rule to the policy"),
        ("-A INPUT -p icmp -j ACCEPT", "calico", "add the rule to the policy"),
    ],
)
def test_a_rule_is_to_be_added_only_where_the_target_can_name_the_protocol(
    rule: str, cni: str, remedy: str
) -> None:
    data = report(policy("{ports: [{port: 22}]}"), rule, cni=cni)
    (refused,) = [each for each in data["findings"] if each["code"] == "N2P501"]
    assert remedy in refused["remedy"]
    assert "ipt2np accept" in refused["remedy"]


def test_that_no_policy_selects_the_pods_is_told_before_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(SAME)
    arguments = ("--pod-selector", "app=shop", "--namespace", "shop")
    _, stdout, stderr = run(tmp_path, str(tmp_path / "web.yaml"), *arguments)
    told = stdout + stderr
    assert told.index("N2P504") < told.index(": wider") < told.index("N2P502")


def test_a_rule_that_is_named_is_to_be_narrowed() -> None:
    (opened,) = [each for each in report(policy("{}"), SSH)["findings"] if each["code"] == "N2P502"]
    assert "; admitted by policy.yaml:" in opened["message"]
    assert opened["remedy"].startswith("narrow the rule of the policy that is named")


def test_objects_that_are_no_policies_are_set_aside(tmp_path: Path) -> None:
    deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {}\n"
    (tmp_path / "all.yaml").write_text(deployment + "---\n" + SAME)
    status, stdout, stderr = run(tmp_path, str(tmp_path / "all.yaml"))
    assert status == 0
    assert "N2P506" in stdout + stderr


def test_a_named_port_is_asked_for_and_given(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(SAME.replace("port: 22", "port: ssh"))
    status, _, stderr = run(tmp_path, str(tmp_path / "web.yaml"))
    assert status == 2
    assert "web.yaml:8:1" in stderr
    assert "--named-port ssh=NUMBER/tcp" in stderr
    assert run(tmp_path, str(tmp_path / "web.yaml"), "--named-port", "ssh=22/tcp")[0] == 0
    assert run(tmp_path, str(tmp_path / "web.yaml"), "--named-port", "ssh=23")[0] == 1


@pytest.mark.parametrize("number", ["0", "65536", "065535" + 5000 * "0", "0x16", "٢٢", ""])
def test_a_named_port_has_a_number_that_ports_have(number: str, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(SAME)
    status, _, stderr = run(tmp_path, str(tmp_path / "web.yaml"), "--named-port", f"ssh={number}")
    assert status == 2 and stderr.startswith(f"error: --named-port ssh={number[:9]}")


def test_the_result_is_called_after_the_first_policy_not_after_a_set_that_it_refers_to() -> None:
    objects = [
        {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": {"name": name}, "spec": spec}
        for kind, name, spec in (
            ("NetworkSet", "office", {"nets": ["192.0.2.0/24"]}),
            ("NetworkPolicy", "web", {"selector": "app == 'web'", "types": ["Ingress"]}),
        )
    ]
    text = yaml.safe_dump_all(objects)
    assert checked(manifests_of(text, "policy.yaml"), (), "calico", "shop").name == "web"


HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: shop}\n"
BOMB = "\n".join(
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x]",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)),
    ]
)
REFUSED: Mapping[str, tuple[str, str]] = {
    "a key twice": (HEAD + "spec:\n  podSelector: {}\n  podSelector: {}\n", "6:3"),
    "anchors that grow": (BOMB + "\n", "7:"),
    "an anchor in itself": ("a: &a\n  b: *a\n", "1:"),
    "no YAML": (HEAD + "spec: {podSelector: {}\n", "5:1"),
    "a tag of Python": ("!!python/object/apply:os.system [x]\n", "1:1"),
    "a list": ("- a\n- b\n", "1:1"),
    "a text": ("hello\n", "1:1"),
    "a kind that is none": ("apiVersion: [a]\nkind: {}\n", "1:1"),
    "metadata that is a list": (
        HEAD.replace("{name: web, namespace: shop}", "[web]") + "spec: {podSelector: {}}\n",
        "3:1",
    ),
    "no metadata": (
        HEAD.replace("{name: web, namespace: shop}", "null") + "spec: {podSelector: {}}\n",
        "3:1",
    ),
    "a name with an escape": (
        HEAD.replace("name: web", 'name: "\\e[31mweb"') + "spec: {podSelector: {}}\n",
        "3:1",
    ),
    "a spec that is a list": (HEAD + "spec: []\n", "4:1"),
    "a day for a label": (HEAD + "spec: {podSelector: {matchLabels: {2020-01-01: x}}}\n", "4:1"),
    "rules that are null": (HEAD + "spec:\n  podSelector: {}\n  ingress:\n    - {}\n    - null\n", "8:1"),
    "a port that is no number": (SAME.replace("port: 22", "port: 1.5"), "8:1"),
    "a protocol that is a list": (SAME.replace("port: 22", "protocol: [TCP]"), "8:1"),
    "an object twice": (SAME + "---\n" + SAME, "10:1"),
    "another CNI's kind": (SAME + "---\n" + calico("{action: Allow}") + "---\n" + CILIUM, ""),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_policies_are_refused_by_file_and_line(what: str, tmp_path: Path) -> None:
    text, place = REFUSED[what]
    (tmp_path / "bad.yaml").write_text(text)
    status, stdout, stderr = run(
        tmp_path, str(tmp_path / "bad.yaml"), "--report", str(tmp_path / "report.json")
    )
    assert status == 2
    assert stdout == ""
    assert f"bad.yaml:{place}" in stderr or not place
    assert "\x1b" not in stderr
    assert not (tmp_path / "report.json").exists()


@pytest.mark.parametrize("text", ["", "---\n---\n", "# nothing\n", "apiVersion: v1\nkind: List\nitems: []\n"])
def test_files_without_a_policy_are_bad_usage(text: str, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text(text)
    status, _, stderr = run(tmp_path, str(tmp_path / "empty.yaml"))
    assert status == 2
    assert "no policy among the objects" in stderr


def test_files_that_are_not_there_or_are_no_text_are_bad_input(tmp_path: Path) -> None:
    (tmp_path / "bin.yaml").write_bytes(b"kind: x\n\xff\xfe")
    status, _, stderr = run(tmp_path, str(tmp_path / "bin.yaml"))
    assert (status, "bin.yaml:2:1" in stderr) == (2, True)
    status, _, stderr = run(tmp_path, str(tmp_path / "none.yaml"))
    assert (status, "none.yaml" in stderr) == (2, True)


def test_every_fault_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(SAME.replace("port: 22", "port: 0"))
    (tmp_path / "two.yaml").write_text(SAME.replace("name: web", "name: two").replace("/8", "/80"))
    status, _, stderr = run(tmp_path, str(tmp_path / "one.yaml"), str(tmp_path / "two.yaml"))
    assert status == 2
    assert "one.yaml:8:1" in stderr
    assert "two.yaml:8:1" in stderr


def test_anchors_and_aliases_are_followed(tmp_path: Path) -> None:
    text = HEAD + (
        "spec:\n  podSelector: {matchLabels: {app: web}}\n  ingress:\n"
        "    - from: &from [{ipBlock: {cidr: 10.0.0.0/9}}]\n      ports: &ports [{port: 22}]\n"
        "    - from: [{ipBlock: {cidr: 10.128.0.0/9}}]\n      ports: *ports\n"
    )
    (tmp_path / "anchors.yaml").write_text(text)
    assert run(tmp_path, str(tmp_path / "anchors.yaml"))[0] == 0
