"""The netassert file holds what netassert's loader asks of a file, and only what a pod can be the source of."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from typing import Any

import pytest
import yaml

from ipt2np import Options, convert
from ipt2np.cni.base import Cluster
from ipt2np.testplan import plan_probes
from ipt2np.testplan.netassert import Resource, netassert_tests
from tests.cni.random_hosts import Packet, random_case
from tests.cni.test_every_cni import JUDGES, options, parsed
from tests.dumps import dump
from tests.dumps import parsed as parsed_text

SOURCE, TARGET = Resource("pod", "client", "tools"), Resource("deployment", "web", "shop")
KINDS = {"deployment", "statefulset", "daemonset", "pod"}


def loaded(text: str) -> list[dict[str, Any]]:
    """The tests of a file, checked as netassert checks them (internal/data/types.go, validate())."""
    tests = yaml.safe_load(text)
    assert isinstance(tests, list)
    for test in tests:
        assert set(test) == {
            "name", "type", "protocol", "targetPort", "timeoutSeconds", "attempts", "exitCode", "src", "dst",
        }  # fmt: skip
        assert isinstance(test["name"], str) and test["name"]
        assert test["type"] == "k8s" and test["protocol"] in ("tcp", "udp")
        assert type(test["targetPort"]) is int and 1 <= test["targetPort"] <= 65535
        assert type(test["timeoutSeconds"]) is int and test["timeoutSeconds"] >= 1
        assert type(test["attempts"]) is int and test["attempts"] >= 1
        assert type(test["exitCode"]) is int and test["exitCode"] in (0, 1)
        for end in (test["src"], test["dst"]):
            assert set(end) == {"k8sResource"}
            resource = end["k8sResource"]
            assert set(resource) == {"kind", "name", "namespace"} and all(resource.values())
            assert resource["kind"] in KINDS
    names = [test["name"] for test in tests]
    assert len(set(names)) == len(names)
    return tests


def written(*rules: str, pods: Sequence[str] = (), cni: str = "calico") -> str:
    conversion = convert([parsed_text(dump(*rules))], Options(cni=cni, cluster=Cluster(tuple(pods))))
    return netassert_tests(plan_probes(conversion, 1000), "a title", SOURCE, TARGET)


STATE = "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"


def test_admitted_ports_are_expected_to_be_reached_and_others_not() -> None:
    tests = loaded(written(STATE, "-A INPUT -p tcp -m tcp --dport 8000:8002 -j ACCEPT"))
    codes = {(test["protocol"], test["targetPort"]): test["exitCode"] for test in tests}
    assert codes["tcp", 8000] == codes["tcp", 8002] == 0
    assert codes["tcp", 7999] == codes["tcp", 8003] == 1
    assert {code for (protocol, _), code in codes.items() if protocol == "udp"} == {1}
    assert tests[0]["src"]["k8sResource"] == {"kind": "pod", "name": "client", "namespace": "tools"}
    assert tests[0]["dst"]["k8sResource"] == {"kind": "deployment", "name": "web", "namespace": "shop"}


def test_what_depends_on_the_pod_s_address_is_left_out_and_told() -> None:
    rules = (STATE, "-A INPUT -s 10.244.7.0/24 -p tcp -m tcp --dport 9100 -j ACCEPT")
    text = written(*rules, pods=("10.244.0.0/16",))
    assert 9100 not in {test["targetPort"] for test in loaded(text)}
    assert "are answered by the address of the pod that sends them" in text.partition("- name")[0]
    inside = written(*rules, pods=("10.244.7.0/25",))
    assert {test["exitCode"] for test in loaded(inside) if test["targetPort"] == 9100} == {0}


def test_the_comment_at_the_top_accounts_for_every_probe() -> None:
    text = written(STATE, "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT", cni="kubernetes")
    heading = [line for line in text.splitlines() if line.startswith("# ")]
    wrote, _, total = heading[1].removeprefix("# ").split()[:3]
    others = [int(line.split()[1]) for line in heading[2:] if line.split()[1].isdigit()]
    assert int(wrote) + sum(others) == int(total)
    assert int(wrote) == len(loaded(text))


def test_a_plan_without_anything_for_pods_is_an_empty_list() -> None:
    conversion = convert([parsed_text(dump(STATE), family=6, file="rules.v6")], Options(cni="calico"))
    assert loaded(netassert_tests(plan_probes(conversion), "t", SOURCE, TARGET)) == []


@pytest.mark.parametrize("name", ["kubernetes", "cilium", "antrea", "kube-router", "aws-vpc-cni"])
def test_any_pod_at_all_is_answered_as_the_file_says(name: str) -> None:
    """By judges that share no code with it: pods of many addresses, from many ports."""
    asked = 0
    for seed in range(10):
        rng = random.Random(f"netassert {seed}")
        case = random_case(rng)
        conversion = convert(parsed(case), options(case, name))
        judge = JUDGES[name](list(yaml.safe_load_all(conversion.text)), case)
        held = conversion.draft.cni.always(conversion.draft.decision.space)
        assert not held or name in ("kube-router", "aws-vpc-cni")
        tests = loaded(netassert_tests(plan_probes(conversion, 400), "t", SOURCE, TARGET))
        sources = [
            source
            for source in case.sources
            if isinstance(source, ipaddress.IPv4Address)
            and "pod" in case.senders(source)
            and not (source.is_loopback or source.is_multicast or source.is_unspecified)
            and int(source) < 0xFFFFFFFF
        ]
        for test in tests:
            protocol = {"tcp": 6, "udp": 17}[test["protocol"]]
            for source in rng.sample(sources, min(len(sources), 12)):
                packet = Packet("pod", source, protocol, test["targetPort"], rng.randint(1024, 65535))
                assert judge(packet) is (test["exitCode"] == 0), (seed, test, packet)
                asked += 1
    assert asked > 100
