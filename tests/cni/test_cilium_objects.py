"""Cilium's kinds: what the validators take and refuse, and how that stands to the schemas of the CRDs."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from ipt2np.cni.base import Cluster, Identity, PolicyFault
from ipt2np.cni.kinds.cilium import VALIDATORS, Options, map_entries, read, read_host
from ipt2np.packets import PacketSpace
from tests.cni.cilium_objects import TCP_80, WORLD, group, host, kubernetes, native
from tests.cni.naive_cilium import NAMESPACE, NODE_LABELS, POD_LABELS, Object, Writer
from tests.corpus.measure import shared_folder

IDENTITY = Identity("web", NAMESPACE, POD_LABELS)
CLUSTER = Cluster()
EVERY_PROTOCOL = Options(frozenset(), True, True)


def port(number: str, **more: Any) -> Object:
    """A rule with one port entry."""
    return {"toPorts": [{"ports": [{"port": number, **more}]}]}


def icmp(*fields: Object) -> Object:
    return {"icmps": [{"fields": list(fields)}]}


MANY = [{"port": str(number)} for number in range(1, 42)]
REQUESTS = {"http": [{"method": "GET"}]}

TAKEN: dict[str, Object] = {
    "deny everything": native({}),
    "denials only": native(deny=[WORLD]),
    "egress only": native(
        egress=[{"toFQDNs": [{"matchName": "example.com"}]}], egressDeny=[{"toEntities": ["all"]}]
    ),
    "all notes": native(
        {},
        description="x",
        log={"value": "ssh from the office, tagged ok!!"},
        labels=[{"key": "a", "value": "b"}],
    ),
    "specs": {**{k: v for k, v in native({}).items() if k != "spec"}, "specs": [native({})["spec"]]},
    "a full element of ports": native({"toPorts": [{"ports": MANY[:40]}]}),
    "two elements of ports": native({"toPorts": [{"ports": MANY[:40]}, {"ports": MANY[40:]}]}),
    "the last port": native(port("65535", endPort=65535)),
    "all ports": native(port("0", protocol="TCP")),
    "any protocol": native(port("80", protocol="ANY", endPort=81)),
    "a protocol without ports": native(port("0", protocol="VRRP")),
    "40 types": native(icmp(*({"type": number} for number in range(40)))),
    "types as numbers and names": native(
        icmp({"type": 255}, {"type": "8"}, {"type": "Echo", "family": "IPv4"})
    ),
    "exceptions": native({"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.0.0.0/9"]}]}),
    "a group": native({"fromCIDRSet": [{"cidrGroupRef": "a.b"}, {"cidrGroupSelector": {}}]}),
    "requests": native({"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": REQUESTS}]}),
    "authentication": native({"authentication": {"mode": "required"}, **TCP_80}),
    "nodes": host(TCP_80),
    "a group object": group("a", "10.0.0.0/8", "2001:db8::/32"),
    "an empty group object": group("a"),
    "default deny off": native(deny=[WORLD], enableDefaultDeny={"ingress": False, "egress": False}),
    "labels with sources": native({"fromEndpoints": [{"matchLabels": {"k8s:a": "b", "reserved:host": ""}}]}),
    "a Kubernetes policy": kubernetes({"from": [{"podSelector": {"matchLabels": {"a": "b"}}}]}),
}

REFUSED: dict[str, tuple[Object, str]] = {
    "an unknown field": (native({}, podSelector={}), "no field 'podSelector'"),
    "an unknown field of a rule": (native({"from": []}), "no field 'from'"),
    "nothing at all": (native(), "none of ingress"),
    "an empty section": (native(ingress=[]), "none of ingress"),
    "a null section": (native({}, egress=None), "is null"),
    "no spec": ({k: v for k, v in native({}).items() if k != "spec"}, "neither spec nor specs"),
    "two selectors": (
        native({}, kind="CiliumClusterwideNetworkPolicy", nodeSelector={}),
        "exactly one of endpointSelector",
    ),
    "no selector": (
        {**native({}), "spec": {"ingress": [{}]}},
        "exactly one of endpointSelector",
    ),
    "nodes of a namespace": (
        {**native({}), "spec": {"ingress": [{}], "nodeSelector": {}}},
        "nodeSelector is for CiliumClusterwideNetworkPolicy",
    ),
    "a namespace of a clusterwide one": (
        {**host({}), "metadata": {"name": "a", "namespace": "b"}},
        "no field 'namespace'",
    ),
    "a bad name": ({**native({}), "metadata": {"name": "A"}}, "metadata.name"),
    "a long group name": (group("a" * 254), "metadata.name"),
    "two kinds of peers": (
        native({"fromCIDR": ["10.0.0.0/8"], "fromEntities": ["world"]}),
        "do not go together",
    ),
    "requirements": (native({"fromRequires": [{}]}), "fromRequires"),
    "ports and types": (native({**TCP_80, **icmp({"type": 8})}), "toPorts and icmps"),
    "41 ports": (native({"toPorts": [{"ports": MANY}]}), "41 ports, at most 40"),
    "41 types": (native(icmp(*({"type": number} for number in range(41)))), "41 fields, at most 40"),
    "no ports": (native({"toPorts": [{}]}), "has no ports"),
    "no types": (native({"icmps": [{"fields": []}]}), "has no fields"),
    "port 65536": (native(port("65536")), "port '65536'"),
    "port 70000": (native(port("70000")), "port '70000'"),
    "an octal port": (native(port("080")), "port '080'"),
    "a named port": (native(port("http")), "is a name"),
    "a number as port": (native(TCP_80, {"toPorts": [{"ports": [{"port": 80}]}]}), "is not text"),
    "a range backwards": (native(port("80", endPort=79)), "endPort 79"),
    "a range from 0": (native(port("0", endPort=79)), "endPort 79"),
    "a range too far": (native(port("80", endPort=65536)), "endPort 65536"),
    "true as end": (native(port("1", endPort=True)), "endPort True"),
    "ICMP as protocol": (native(port("0", protocol="ICMP")), "protocol 'ICMP'"),
    "a protocol in small letters": (native(port("80", protocol="tcp")), "protocol 'tcp'"),
    "ports of GRE": (native(port("80", protocol="GRE")), "GRE has no ports"),
    "type 256": (native(icmp({"type": 256})), "bad ICMP type"),
    "no type": (native(icmp({"family": "IPv4"})), "bad ICMP type"),
    "a name of the other family": (native(icmp({"type": "PacketTooBig"})), "bad ICMP type"),
    "a family": (native(icmp({"type": 8, "family": "ipv4"})), "family 'ipv4'"),
    "an address for a CIDR": (native({"fromCIDR": ["10.0.0.1"]}), "is not a CIDR"),
    "host bits": (native({"fromCIDR": ["10.0.0.1/8"]}), "host bits"),
    "a mapped CIDR": (native({"fromCIDR": ["::ffff:10.0.0.0/104"]}), "IPv4-mapped"),
    "an exception as large": (
        native({"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}]}),
        "not strictly inside",
    ),
    "an exception outside": (
        native({"fromCIDRSet": [{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}]}),
        "not strictly inside",
    ),
    "an exception of the other family": (
        native({"fromCIDRSet": [{"cidr": "0.0.0.0/0", "except": ["2001:db8::/32"]}]}),
        "not strictly inside",
    ),
    "exceptions of a group": (
        native({"fromCIDRSet": [{"cidrGroupRef": "a", "except": ["10.0.0.0/8"]}]}),
        "except goes with cidr",
    ),
    "a CIDR and a group": (
        native({"fromCIDRSet": [{"cidr": "10.0.0.0/8", "cidrGroupRef": "a"}]}),
        "exactly one of",
    ),
    "neither CIDR nor group": (native({"fromCIDRSet": [{}]}), "exactly one of"),
    "a bad group name": (native({"fromCIDRSet": [{"cidrGroupRef": "A"}]}), "cidrGroupRef 'A'"),
    "an entity": (native({"fromEntities": ["world-ipv4"]}), "entity 'world-ipv4'"),
    "a log that is too long": (native({}, log={"value": "x" * 33}), "at most 32"),
    "a log with a newline": (native({}, log={"value": "a\nb"}), "printable"),
    "a flag that is none": (native({}, enableDefaultDeny={"ingress": "no"}), "true or false"),
    "an operator": (
        native({}, endpointSelector={"matchExpressions": [{"key": "a", "operator": "in", "values": ["b"]}]}),
        "operator 'in'",
    ),
    "values of Exists": (
        native(
            {}, endpointSelector={"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}
        ),
        "Exists with 1 values",
    ),
    "a label": (native({}, endpointSelector={"matchLabels": {"k8s:": "b"}}), "bad key 'k8s:'"),
    "a label value": (native({}, endpointSelector={"matchLabels": {"a": "-"}}), "bad values"),
    "authentication of a denial": (native(deny=[{"authentication": {"mode": "required"}}]), "no field"),
    "an authentication mode": (
        native({"authentication": {"mode": "mutual"}}),
        "authentication mode 'mutual'",
    ),
    "requests of a denial": (
        native(deny=[{"toPorts": [{"ports": MANY[:1], "rules": REQUESTS}]}]),
        "no field 'rules'",
    ),
    "requests of UDP": (
        native({"toPorts": [{"ports": [{"port": "53", "protocol": "UDP"}], "rules": REQUESTS}]}),
        "need TCP ports",
    ),
    "requests of DNS": (
        native({"toPorts": [{"ports": [{"port": "53", "protocol": "TCP"}], "rules": {"dns": []}}]}),
        "egress only",
    ),
    "requests of a node": (
        host({"toPorts": [{"ports": [{"port": "80", "protocol": "TCP"}], "rules": REQUESTS}]}),
        "host policies",
    ),
    "a listener": (native({"toPorts": [{"ports": MANY[:1], "listener": {"name": "x"}}]}), "egress only"),
    "a group without a list": ({**group("a"), "spec": {}}, "externalCIDRs is not a list"),
    "a group of names": (group("a", "example.com"), "is not a CIDR"),
    "a Kubernetes exception": (
        kubernetes({"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}]}),
        "not strictly inside",
    ),
}


def kind_of(document: Object) -> tuple[str, str]:
    return str(document.get("apiVersion")), str(document.get("kind"))


def validate(document: Object) -> None:
    if kind_of(document) not in VALIDATORS:
        raise PolicyFault("no such kind")
    VALIDATORS[kind_of(document)](document)


@pytest.mark.parametrize("case", TAKEN)
def test_is_taken(case: str) -> None:
    validate(TAKEN[case])


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused(case: str) -> None:
    document, message = REFUSED[case]
    with pytest.raises(PolicyFault, match=message):
        validate(document)


def test_validators_are_for_their_kinds() -> None:
    with pytest.raises(PolicyFault, match="is no policy"):
        VALIDATORS["cilium.io/v2", "CiliumNetworkPolicy"](group("a"))


ODD: list[Any] = [
    None,
    True,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "é\n",
    [],
    {},
    [[]],
    [None],
    {"a": 1},
    {1: 2},
    (),
    "0.0.0.0/0",
]


def broken(document: Object, seed: int) -> Object:
    """The document with something odd in the place of one of its values, or under one of its keys."""
    rng = Writer(seed).rng
    made: Any = copy.deepcopy(document)
    at = made
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = rng.choice(keys)
        inner = at[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.85:
            at = inner
            continue
        if isinstance(at, dict) and rng.random() < 0.2:
            at["odd"] = inner
        else:
            at[key] = rng.choice(ODD)
        result: Object = made
        return result


def test_odd_objects_are_refused_or_read_and_never_end_in_a_traceback() -> None:
    refused = 0
    for seed in range(3000):
        writer = Writer(40_000 + seed)
        objects = [*writer.groups(), writer.native(0, host=seed % 3 == 0), writer.kubernetes(1)]
        objects[seed % 4] = broken(objects[seed % 4], seed)
        try:
            for document in objects:
                VALIDATORS.get(kind_of(document), validate)(document)
            read(objects, IDENTITY, PacketSpace(), CLUSTER, EVERY_PROTOCOL)
            read_host(objects, NODE_LABELS, PacketSpace(), CLUSTER, EVERY_PROTOCOL)
            map_entries(objects, IDENTITY, EVERY_PROTOCOL)
        except PolicyFault:
            refused += 1
    assert 1500 < refused < 2990


# -- the schemas of the CRDs -----------------------------------------------------------------------------

SHARED = shared_folder()
SCHEMAS = None if SHARED is None else SHARED / "crds" / "cilium"


@pytest.fixture(scope="module")
def schemas() -> Mapping[str, Any]:
    """A validator by the kind's name in small letters."""
    jsonschema = pytest.importorskip("jsonschema", reason="kubernetes-validate brings it")
    if SCHEMAS is None or not SCHEMAS.is_dir():
        pytest.skip("no CRD schemas: set IPT2NP_SHARED, or put `shared` beside the checkout")
    files = {path.name.partition("_")[0]: path for path in SCHEMAS.glob("*_v2.json")}
    # \PC, no character of the category "other", is Go's; Python's re has no such class.
    texts = {
        name: path.read_text().replace(r"^\\PC*$", r"^[^\\x00-\\x1f\\x7f-\\x9f]*$")
        for name, path in files.items()
    }
    return {name: jsonschema.Draft7Validator(json.loads(text)) for name, text in texts.items()}


def fits(schemas: Mapping[str, Any], document: Object) -> bool:
    return bool(schemas[document["kind"].lower()].is_valid(document))


def test_what_the_validators_take_fits_the_schemas(schemas: Mapping[str, Any]) -> None:
    newer = {"a protocol without ports"}  # than the schemas
    for case, document in TAKEN.items():
        if document["kind"].startswith("Cilium"):
            assert fits(schemas, document) == (case not in newer), case


def test_odd_objects_that_the_validators_take_fit_the_schemas(
    schemas: Mapping[str, Any],
) -> None:
    taken = refused = 0
    for seed in range(1500):
        writer = Writer(50_000 + seed)
        document = writer.native(0, host=seed % 3 == 0) if seed % 4 else writer.groups()[0]
        if seed % 5:
            document = broken(document, seed)
        # What an egress rule says is not looked at, and requests are the proxy's.
        if any(word in json.dumps(document, default=str) for word in ("egress", "rules")):
            continue
        if kind_of(document) not in VALIDATORS:
            continue
        try:
            validate(document)
        except PolicyFault:
            refused += 1
            continue
        taken += 1
        assert fits(schemas, document), yaml.safe_dump(document)
    assert taken > 200
    assert refused > 300
