"""What Calico refuses, rule by rule, and that all that its CRDs refuse is refused here."""

from __future__ import annotations

import copy
import importlib
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ipt2np.cni.base import PolicyFault
from ipt2np.cni.kinds.calico import VALIDATORS
from tests.corpus.measure import shared_folder

from .calico_examples import Scope, example
from .calico_objects import ALLOW, API, Object, everywhere, host_endpoint, local, made, network_set, tier

jsonschema: Any = importlib.import_module("jsonschema")
"""Comes with kubernetes-validate."""

TCP = {"action": "Allow", "protocol": "TCP"}
ICMP = {"action": "Allow", "protocol": "ICMP"}


def validate(item: Object) -> None:
    VALIDATORS[item["apiVersion"], item["kind"]](item)


def source(**entity: Any) -> Object:
    return local({"action": "Allow", "source": entity})


def nets(*texts: str, **rule: Any) -> Object:
    return local({"action": "Allow", "source": {"nets": [*texts]}, **rule})


def ports(*numbers: Any) -> Object:
    return local({**TCP, "destination": {"ports": [*numbers]}})


def named(name: str) -> Object:
    return local(name=name)


def with_meta(item: Object, **meta: Any) -> Object:
    return {**item, "metadata": {**item["metadata"], **meta}}


def numbered(count: int) -> list[str]:
    return [f"10.0.{n // 256}.{n % 256}/32" for n in range(count)]


RULES: dict[str, tuple[Object, Object]] = {
    # case: what is accepted, what is refused
    "a CIDR has a prefix": (nets("10.0.0.1/32"), nets("10.0.0.1")),
    "a CIDR has no host bits": (nets("10.0.0.0/8"), nets("10.0.0.1/8")),
    "a CIDR is no IPv4 in IPv6": (nets("::/0"), nets("::ffff:10.0.0.0/104")),
    "a list of nets has no entry twice": (nets("10.0.0.0/8", "11.0.0.0/8"), nets("10.0.0.0/8", "10.0.0.0/8")),
    "one family a list": (nets("10.0.0.0/8"), nets("10.0.0.0/8", "2001:db8::/32")),
    "one family a rule": (
        local({**ALLOW, "source": {"nets": ["10.0.0.0/8"], "notNets": ["10.1.0.0/16"]}}),
        local({**ALLOW, "source": {"nets": ["10.0.0.0/8"], "notNets": ["2001:db8::/32"]}}),
    ),
    "one family on both sides": (
        local({**ALLOW, "source": {"nets": ["10.0.0.0/8"]}, "destination": {"nets": ["11.0.0.0/8"]}}),
        local({**ALLOW, "source": {"nets": ["10.0.0.0/8"]}, "destination": {"nets": ["2001:db8::/32"]}}),
    ),
    "ipVersion is the nets'": (nets("10.0.0.0/8", ipVersion=4), nets("10.0.0.0/8", ipVersion=6)),
    "ipVersion is 4 or 6": (local({**ALLOW, "ipVersion": 6}), local({**ALLOW, "ipVersion": 5})),
    "ipVersion is a number": (local({**ALLOW, "ipVersion": 4}), local({**ALLOW, "ipVersion": "4"})),
    "notNets leave something": (source(notNets=["0.0.0.0/1"]), source(notNets=["0.0.0.0/0"])),
    "notNets leave something of IPv6": (source(notNets=["::/1"]), source(notNets=["::/0"])),
    "256 nets": (nets(*numbered(256)), nets(*numbered(257))),
    "256 notNets": (source(notNets=numbered(256)), source(notNets=numbered(257))),
    "a rule has an action": (local(ALLOW), local({"protocol": "TCP"})),
    "an action is one of four": (local({"action": "Pass"}), local({"action": "Reject"})),
    "an action minds its case": (local({"action": "Deny"}), local({"action": "deny"})),
    "a protocol is a known name": (
        local({**ALLOW, "protocol": "UDPLite"}),
        local({**ALLOW, "protocol": "GRE"}),
    ),
    "a protocol minds its case": (local(TCP), local({**ALLOW, "protocol": "tcp"})),
    "a protocol is not 0": (local({**ALLOW, "protocol": 1}), local({**ALLOW, "protocol": 0})),
    "a protocol is at most 255": (local({**ALLOW, "protocol": 255}), local({**ALLOW, "protocol": 256})),
    "a protocol may be a number as text": (
        local({**ALLOW, "protocol": "47"}),
        local({**ALLOW, "protocol": "0"}),
    ),
    "a protocol is no truth value": (local({**ALLOW, "protocol": 6}), local({**ALLOW, "protocol": True})),
    "notProtocol is a protocol": (
        local({**ALLOW, "notProtocol": 47}),
        local({**ALLOW, "notProtocol": "any"}),
    ),
    "ICMP is IPv4": (local({**ICMP, "ipVersion": 4}), local({**ICMP, "ipVersion": 6})),
    "ICMPv6 is IPv6": (
        local({**ALLOW, "protocol": "ICMPv6", "ipVersion": 6}),
        local({**ALLOW, "protocol": "ICMPv6", "ipVersion": 4}),
    ),
    "58 is IPv6": (
        local({**ALLOW, "protocol": 58, "ipVersion": 6}),
        local({**ALLOW, "protocol": 58, "ipVersion": 4}),
    ),
    "not ICMP is IPv4": (
        local({**ALLOW, "notProtocol": "ICMP", "ipVersion": 4}),
        local({**ALLOW, "notProtocol": "ICMP", "ipVersion": 6}),
    ),
    "ports need a protocol": (ports(80), local({**ALLOW, "destination": {"ports": [80]}})),
    "ports need a protocol that has them": (
        local({**ALLOW, "protocol": "SCTP", "destination": {"ports": [80]}}),
        local({**ALLOW, "protocol": "UDPLite", "destination": {"ports": [80]}}),
    ),
    "source ports as well": (
        local({**ALLOW, "protocol": 17, "source": {"notPorts": [80]}}),
        local({**ALLOW, "protocol": 47, "source": {"notPorts": [80]}}),
    ),
    "only names stand without a protocol": (
        local({**ALLOW, "destination": {"ports": ["http"]}}),
        local({**ALLOW, "destination": {"ports": ["http", 80]}}),
    ),
    "no port 0": (ports(1), ports(0)),
    "no range from port 0": (ports("1:2"), ports("0:2")),
    "ports end at 65535": (ports("1:65535"), ports("1:65536")),
    "a range is not backwards": (ports("80:80"), ports("81:80")),
    "a range has a colon": (ports("80:81"), ports("80-81:82")),
    "a port's name has a letter": (ports("web-1"), ports("web_1")),
    "a port's name has at most 15 characters": (ports("a" * 15), ports("a" * 16)),
    "a port is no truth value": (ports("1"), ports(True)),
    "50 ports": (ports(*range(1, 51)), ports(*range(1, 52))),
    "an ICMP type is at most 254": (
        local({**ICMP, "icmp": {"type": 254}}),
        local({**ICMP, "icmp": {"type": 255}}),
    ),
    "an ICMP type is not negative": (
        local({**ICMP, "icmp": {"type": 0}}),
        local({**ICMP, "icmp": {"type": -1}}),
    ),
    "an ICMP code is at most 255": (
        local({**ICMP, "icmp": {"type": 3, "code": 255}}),
        local({**ICMP, "icmp": {"type": 3, "code": 256}}),
    ),
    "an ICMP code needs a type": (local({**ICMP, "icmp": {}}), local({**ICMP, "icmp": {"code": 1}})),
    "ICMP fields need ICMP": (
        local({**ALLOW, "protocol": "ICMPv6", "icmp": {"type": 128}}),
        local({**TCP, "icmp": {"type": 8}}),
    ),
    "notICMP needs ICMP": (local({**ICMP, "notICMP": {"type": 8}}), local({**ALLOW, "notICMP": {"type": 8}})),
    "unknown fields": (local(ALLOW), local({**ALLOW, "port": 80})),
    "unknown fields of a source": (source(nets=["10.0.0.0/8"]), source(cidrs=["10.0.0.0/8"])),
    "unknown fields of a spec": (local(selector="all()"), local(podSelector="all()")),
    "a global field in a namespace": (
        everywhere(namespaceSelector="all()"),
        local(namespaceSelector="all()"),
    ),
    "1024 rules": (local(*[ALLOW] * 1024), local(*[ALLOW] * 1025)),
    "1024 rules of egress": (local(egress=[ALLOW] * 1024), local(egress=[ALLOW] * 1025)),
    "a selector is well-formed": (local(selector="a == 'b'"), local(selector="a = 'b'")),
    "a selector has at most 1024 characters": (
        local(selector=f"a == '{'b' * 1017}'"),
        local(selector=f"a == '{'b' * 1018}'"),
    ),
    "a selector is not blank": (local(selector=""), local(selector="  ")),
    "a rule's selector is well-formed": (source(selector="has(a)"), source(selector="has(a")),
    "global() in namespaceSelector only": (source(namespaceSelector="global()"), source(selector="global()")),
    "global() not in a policy's selector": (local(selector="all()"), local(selector="global()")),
    "global() stands alone": (
        source(namespaceSelector=" global()"),
        source(namespaceSelector="global() || has(a)"),
    ),
    "order is a number": (local(order=1.5), local(order="1")),
    "order is finite": (local(order=1e300), local(order=float("inf"))),
    "order is no NaN": (local(order=-1), local(order=float("nan"))),
    "order fits a float": (local(order=10**300), local(order=10**400)),
    "types are not empty": (local(types=["Ingress"]), local(types=[])),
    "types are two": (local(types=["Ingress", "Egress"]), local(types=["Ingress", "ingress"])),
    "types are different": (local(types=["Egress"]), local(types=["Ingress", "Ingress"])),
    "performanceHints": (
        local(performanceHints=["AssumeNeededOnEveryNode"]),
        local(performanceHints=["Fast"]),
    ),
    "a tier's name has no dot": (local(tier="early"), local(tier="early.bird")),
    "a policy's name has one dot at most": (named("early.p"), named("a.b.c")),
    "a converted policy's name may have more": (named("knp.default.a.b"), named("knp.other.a.b")),
    "a name is lower case": (named("p-1"), named("P")),
    "a name has at most 253 characters": (named("a" * 253), named("a" * 254)),
    "a global policy's name has one dot at most": (everywhere(name="default.p"), everywhere(name="a.b.c")),
    "a global policy has no namespace": (
        everywhere(ALLOW),
        with_meta(everywhere(ALLOW), namespace="shop"),
    ),
    "annotations have at most 256 KiB": (
        with_meta(local(), annotations={"a": "b" * (256 * 1024 - 1)}),
        with_meta(local(), annotations={"a": "b" * (256 * 1024)}),
    ),
    "a rule's annotations are text": (
        local({**ALLOW, "metadata": {"annotations": {"rule": "3"}}}),
        local({**ALLOW, "metadata": {"annotations": {"rule": 3}}}),
    ),
    "preDNAT or doNotTrack": (
        everywhere(applyOnForward=True, preDNAT=True),
        everywhere(applyOnForward=True, preDNAT=True, doNotTrack=True),
    ),
    "preDNAT needs applyOnForward": (everywhere(preDNAT=False), everywhere(preDNAT=True)),
    "doNotTrack needs applyOnForward": (
        everywhere(applyOnForward=True, doNotTrack=True),
        everywhere(doNotTrack=True),
    ),
    "preDNAT has no egress": (
        everywhere(applyOnForward=True, preDNAT=True, egress=[]),
        everywhere(applyOnForward=True, preDNAT=True, egress=[ALLOW]),
    ),
    "preDNAT has no type Egress": (
        everywhere(applyOnForward=True, preDNAT=True),
        everywhere(applyOnForward=True, preDNAT=True, types=["Egress"]),
    ),
    "flags are truth values": (everywhere(applyOnForward=True), everywhere(applyOnForward="true")),
    "http needs Allow": (local({**TCP, "http": {}}), local({"action": "Deny", "http": {}})),
    "http needs TCP": (local({**ALLOW, "http": {}}), local({**ALLOW, "protocol": "UDP", "http": {}})),
    "http is for ingress": (local({**ALLOW, "http": {}}), local(egress=[{**ALLOW, "http": {}}])),
    "an HTTP path begins with a slash": (
        local({**ALLOW, "http": {"paths": [{"exact": "/a"}]}}),
        local({**ALLOW, "http": {"paths": [{"exact": "a"}]}}),
    ),
    "an HTTP path is exact or a prefix": (
        local({**ALLOW, "http": {"paths": [{"prefix": "/a"}]}}),
        local({**ALLOW, "http": {"paths": [{"prefix": "/a", "exact": "/a"}]}}),
    ),
    "20 HTTP methods": (
        local({**ALLOW, "http": {"methods": [f"M{n}" for n in range(20)]}}),
        local({**ALLOW, "http": {"methods": [f"M{n}" for n in range(21)]}}),
    ),
    "services have a name": (source(services={"name": "web"}), source(services={"namespace": "shop"})),
    "services of a global policy have a namespace": (
        everywhere({**ALLOW, "source": {"services": {"name": "web", "namespace": "shop"}}}),
        everywhere({**ALLOW, "source": {"services": {"name": "web"}}}),
    ),
    "services stand without selectors": (
        source(services={"name": "web"}),
        source(services={"name": "web"}, selector="all()"),
    ),
    "services stand without nets": (
        source(services={"name": "web"}),
        source(services={"name": "web"}, nets=["10.0.0.0/8"]),
    ),
    "services are no destination of ingress": (
        local(egress=[{**ALLOW, "destination": {"services": {"name": "web"}}}]),
        local({**ALLOW, "destination": {"services": {"name": "web"}}}),
    ),
    "services as a destination have no ports": (
        local(egress=[{**TCP, "destination": {"services": {"name": "web"}}}]),
        local(egress=[{**TCP, "destination": {"services": {"name": "web"}, "ports": [80]}}]),
    ),
    "service accounts are different": (
        source(serviceAccounts={"names": ["a", "b"]}),
        source(serviceAccounts={"names": ["a", "a"]}),
    ),
    "a set's nets have a prefix": (network_set("s", {}, "10.0.0.1/32"), network_set("s", {}, "10.0.0.1")),
    "a set has no entry twice": (
        network_set("s", {}, "10.0.0.0/8", "2001:db8::/32", namespace="shop"),
        network_set("s", {}, "10.0.0.0/8", "10.0.0.0/8", namespace="shop"),
    ),
    "a set may have more than 256 nets": (
        network_set("s", {}, *numbered(5000)),
        network_set("s", {}, *["x"] * 5000),
    ),
    "a set has no label of a namespace": (
        network_set("s", {"projectcalico.org/name": "a"}),
        network_set("s", {"projectcalico.org/namespace": "a"}),
    ),
    "a set has no other fields": (network_set("s", {}), made("GlobalNetworkSet", "s", {"cidrs": []})),
    "a host endpoint has a node": (
        host_endpoint("h", {}, interfaceName="eth0"),
        host_endpoint("h", {}, "", interfaceName="*"),
    ),
    "a host endpoint has an interface or addresses": (
        host_endpoint("h", {}, expectedIPs=["192.0.2.1"]),
        host_endpoint("h", {}),
    ),
    "an interface has at most 15 characters": (
        host_endpoint("h", {}, interfaceName="a" * 15),
        host_endpoint("h", {}, interfaceName="a" * 16),
    ),
    "an interface's name": (
        host_endpoint("h", {}, interfaceName="*"),
        host_endpoint("h", {}, interfaceName="eth*"),
    ),
    "an expected address": (
        host_endpoint("h", {}, expectedIPs=["2001:db8::1"]),
        host_endpoint("h", {}, expectedIPs=["192.0.2.0/24"]),
    ),
    "an endpoint's port": (
        host_endpoint("h", {}, interfaceName="*", ports=[{"name": "web", "port": 80, "protocol": "TCP"}]),
        host_endpoint("h", {}, interfaceName="*", ports=[{"name": "web", "port": 80, "protocol": "ICMP"}]),
    ),
    "an endpoint's profiles": (
        host_endpoint("h", {}, interfaceName="*", profiles=["projectcalico-default-allow"]),
        host_endpoint("h", {}, interfaceName="*", profiles=["a", "a"]),
    ),
    "a tier's own name has no dot": (tier("early", order=1), tier("early.bird", order=1)),
    "a tier's name has at most 63 characters": (tier("a" * 63), tier("a" * 64)),
    "a tier's default action": (tier("early", defaultAction="Pass"), tier("early", defaultAction="Allow")),
    "a tier's order is finite": (tier("early", order=None), tier("early", order=float("inf"))),
    "the tier default": (tier("default", order=1_000_000), tier("default", order=1)),
    "the tier default denies": (
        tier("default", order=1_000_000, defaultAction="Deny"),
        tier("default", order=1_000_000, defaultAction="Pass"),
    ),
    "the tier kube-admin passes": (
        tier("kube-admin", order=1000, defaultAction="Pass"),
        tier("kube-admin", order=1000, defaultAction="Deny"),
    ),
    "a tier's status": ({**tier("early"), "status": {}}, {**tier("early"), "state": {}}),
    "the kind": (tier("early"), {**tier("early"), "apiVersion": API + "alpha"}),
    "the spec is a mapping": (tier("early"), {**tier("early"), "spec": []}),
}


@pytest.mark.parametrize("case", RULES)
def test_one_is_accepted_and_the_other_refused(case: str) -> None:
    accepted, refused = RULES[case]
    validate(accepted)
    validator = VALIDATORS[API, accepted["kind"]]
    with pytest.raises(PolicyFault):
        validator(refused)


def test_a_fault_names_the_place() -> None:
    with pytest.raises(PolicyFault, match=r"spec\.ingress\[1\]\.source\.nets: .*10\.0\.0\.1/8 has host bits"):
        validate(local(ALLOW, {**ALLOW, "source": {"nets": ["10.0.0.1/8"]}}))


# -- the CRDs ---------------------------------------------------------------------------------------------------------


def schemas() -> dict[str, Any]:
    """The OpenAPI schema of each kind; lists that are sets have no entry twice."""
    shared = shared_folder()
    found = {}
    for path in sorted((shared / "crds" / "calico").glob("*.yaml")) if shared else []:
        spec = yaml.safe_load(Path(path).read_text(encoding="utf-8"))["spec"]
        (version,) = spec["versions"]
        found[spec["names"]["kind"]] = _as_json_schema(version["schema"]["openAPIV3Schema"])
    return found


def _as_json_schema(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_as_json_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    converted = {key: _as_json_schema(part) for key, part in schema.items()}
    if schema.get("x-kubernetes-list-type") == "set":
        converted["uniqueItems"] = True
    return converted


SCHEMAS = schemas()
with_schemas = pytest.mark.skipif(
    not SCHEMAS, reason="the CRDs of Calico are absent: NOT checked that all that they refuse is refused"
)
RICH: list[Object] = [
    *(accepted for accepted, _ in RULES.values() if len(str(accepted)) < 5000),
    *(item for seed in range(30) for item in example(seed, Scope(kubernetes=False))),
    local(
        {
            **TCP,
            "ipVersion": 4,
            "notProtocol": 47,
            "source": {
                "nets": ["10.0.0.0/8"],
                "notNets": ["10.1.0.0/16"],
                "ports": [1, "2:3"],
                "notPorts": [4],
            },
            "destination": {
                "selector": "has(a)",
                "ports": ["http"],
                "serviceAccounts": {"selector": "has(b)"},
            },
            "http": {"methods": ["GET"], "paths": [{"prefix": "/"}]},
        },
        {
            **ICMP,
            "icmp": {"type": 3, "code": 1},
            "notICMP": {"type": 4},
            "source": {"notSelector": "a == 'b'"},
        },
        tier="default",
        order=3.5,
        serviceAccountSelector="has(c)",
        performanceHints=["AssumeNeededOnEveryNode"],
    ),
]


@with_schemas
def test_every_kind_has_its_schema() -> None:
    assert set(SCHEMAS) == {kind for _, kind in VALIDATORS}


@with_schemas
@pytest.mark.parametrize("case", RULES)
def test_what_is_accepted_is_valid_by_its_crd(case: str) -> None:
    accepted = RULES[case][0]
    jsonschema.validate(without_nulls(accepted), SCHEMAS[accepted["kind"]])


NASTY: tuple[Any, ...] = (
    *(
        0,
        -1,
        1,
        4,
        5,
        255,
        256,
        65536,
        10**30,
        10**400,
        1.5,
        1e308,
        float("inf"),
        float("nan"),
        True,
        False,
        None,
    ),
    *("", " ", "x", "Allow", "a == 'b'", "(" * 2000, "9" * 5000, "\x00", "é", "10.0.0.0/8", "::/0", "1:2"),
    *([], {}, [[]], [None], ["x", "x"], [0], {"x": "y"}, {1: 2}, [{}], {"a": {"b": []}}),
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key of an object that can be set to something else."""
    if isinstance(value, dict):
        for key in list(value):
            yield value, key
            yield from places(value[key])
    elif isinstance(value, list):
        for index in range(len(value)):
            yield value, index
            yield from places(value[index])


def without_nulls(value: Any) -> Any:
    """What the API server validates: fields that are null are dropped."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    return [without_nulls(part) for part in value] if isinstance(value, list) else value


def spoiled(seed: int) -> Object:
    """A valid object with one to three values replaced."""
    rng = random.Random(seed)
    item = copy.deepcopy(rng.choice(RICH))
    for _ in range(rng.randint(1, 3)):
        found = [
            (container, key)
            for container, key in places(item)
            if container is not item or key in ("metadata", "spec")
        ]
        container, key = rng.choice(found)
        container[key] = copy.deepcopy(rng.choice(NASTY))
    return item


@pytest.mark.parametrize("first", range(0, 6000, 1000))
def test_a_spoiled_object_is_refused_wherever_its_crd_refuses_it(first: int) -> None:
    """And never with anything but a PolicyFault."""
    refused = 0
    checkers = {kind: jsonschema.Draft7Validator(schema) for kind, schema in SCHEMAS.items()}
    for seed in range(first, first + 1000):
        item = spoiled(seed)
        try:
            VALIDATORS[API, item["kind"]](item)
        except PolicyFault:
            refused += 1
            continue
        for checker in [checkers[item["kind"]]] if checkers else []:
            errors = list(checker.iter_errors(without_nulls(item)))
            assert not errors, f"{item}: {errors[0].message}"
    assert refused > 500
