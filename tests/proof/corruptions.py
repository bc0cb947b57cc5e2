"""Ways to spoil a NetworkPolicy, and ways to rewrite one without changing what it means."""

from __future__ import annotations

import copy
import ipaddress
import random
from collections.abc import Callable, Mapping
from typing import Any

from .meaning import Documents

Corruption = Callable[[random.Random, Documents], bool]
"""Changes the documents in place; False where there was nothing to change."""


def corrupted(corruption: Corruption, chance: random.Random, documents: Documents) -> Documents | None:
    """A spoilt copy, None where this corruption finds nothing to spoil."""
    result = copy.deepcopy(documents)
    return result if corruption(chance, result) else None


# -- picking -------------------------------------------------------------------------------------------


def _spec(chance: random.Random, documents: Documents) -> dict[str, Any]:
    spec: dict[str, Any] = chance.choice(documents)["spec"]
    return spec


def _rules(documents: Documents) -> list[dict[str, Any]]:
    return [rule for document in documents for rule in document["spec"]["ingress"]]


def _lists(documents: Documents, key: str) -> list[list[Any]]:
    """The lists under ``from``, ``ports`` or ``except``."""
    if key == "except":
        return [block["except"] for block in _blocks(documents) if "except" in block]
    return [rule[key] for rule in _rules(documents) if key in rule]


def _ports(documents: Documents) -> list[dict[str, Any]]:
    return [port for rule in _rules(documents) for port in rule.get("ports", [])]


def _blocks(documents: Documents) -> list[dict[str, Any]]:
    return [peer["ipBlock"] for rule in _rules(documents) for peer in rule.get("from", [])]


def _on_one(
    pick: Callable[[Documents], list[Any]], change: Callable[[random.Random, Any], bool | None]
) -> Corruption:
    """Applies ``change`` to one of the things that ``pick`` finds."""

    def corruption(chance: random.Random, documents: Documents) -> bool:
        found = pick(documents)
        return bool(found) and change(chance, chance.choice(found)) is not False

    return corruption


# -- ports ---------------------------------------------------------------------------------------------


def _number(change: Callable[[random.Random, int], int], field: str = "port") -> Corruption:
    def edit(chance: random.Random, port: dict[str, Any]) -> bool:
        port[field] = change(chance, port[field])
        return True

    return _on_one(lambda documents: [port for port in _ports(documents) if field in port], edit)


def _swap_protocol(chance: random.Random, port: dict[str, Any]) -> None:
    port["protocol"] = chance.choice([name for name in ("TCP", "UDP", "SCTP") if name != port["protocol"]])


def _add_end(chance: random.Random, port: dict[str, Any]) -> None:
    port["endPort"] = min(65535, port["port"] + chance.choice((0, 1, 100)))


def _drop(field: str) -> Callable[[random.Random, dict[str, Any]], bool]:
    return lambda chance, mapping: mapping.pop(field, None) is not None


# -- addresses -----------------------------------------------------------------------------------------


def _flipped(chance: random.Random, cidr: str) -> str:
    """One bit of the network part turned over."""
    network = ipaddress.ip_network(cidr)
    if not network.prefixlen:
        return cidr
    bit = network.max_prefixlen - 1 - chance.randrange(network.prefixlen)
    return f"{type(network.network_address)(int(network.network_address) ^ (1 << bit))}/{network.prefixlen}"


def _resized(chance: random.Random, cidr: str) -> str:
    """A prefix length one off, host bits cleared."""
    network = ipaddress.ip_network(cidr)
    length = min(max(network.prefixlen + chance.choice((-1, 1)), 0), network.max_prefixlen)
    return str(ipaddress.ip_network(f"{network.network_address}/{length}", strict=False))


def _edit_cidr(change: Callable[[random.Random, str], str]) -> Corruption:
    def edit(chance: random.Random, block: dict[str, Any]) -> None:
        block["cidr"] = change(chance, block["cidr"])

    return _on_one(_blocks, edit)


def _edit_except(change: Callable[[random.Random, str], str]) -> Corruption:
    def edit(chance: random.Random, excepts: list[str]) -> None:
        place = chance.randrange(len(excepts))
        excepts[place] = change(chance, excepts[place])

    return _on_one(lambda documents: _lists(documents, "except"), edit)


def _add_except(chance: random.Random, block: dict[str, Any]) -> bool:
    network = ipaddress.ip_network(block["cidr"])
    if network.prefixlen == network.max_prefixlen:
        return False
    length = chance.randint(network.prefixlen + 1, network.max_prefixlen)
    offset = chance.randrange(1 << (length - network.prefixlen)) << (network.max_prefixlen - length)
    hole = f"{type(network.network_address)(int(network.network_address) + offset)}/{length}"
    block.setdefault("except", []).append(hole)
    return True


def _halve(chance: random.Random, peers: list[dict[str, Any]]) -> bool:
    """A block without exceptions, written as its two halves: the same addresses."""
    for place, peer in enumerate(peers):
        network = ipaddress.ip_network(peer["ipBlock"]["cidr"])
        if "except" not in peer["ipBlock"] and network.prefixlen < network.max_prefixlen:
            peers[place : place + 1] = [{"ipBlock": {"cidr": str(half)}} for half in network.subnets()]
            return True
    return False


# -- lists ---------------------------------------------------------------------------------------------


def _drop_one(key: str) -> Corruption:
    return _on_one(
        lambda documents: _lists(documents, key),
        lambda chance, items: bool(items.pop(chance.randrange(len(items)))),
    )


def _repeat_one(key: str) -> Corruption:
    def edit(chance: random.Random, items: list[Any]) -> None:
        items.insert(chance.randrange(len(items) + 1), copy.deepcopy(chance.choice(items)))

    return _on_one(lambda documents: _lists(documents, key), edit)


def _shuffle(key: str) -> Corruption:
    def edit(chance: random.Random, items: list[Any]) -> None:
        chance.shuffle(items)

    return _on_one(lambda documents: _lists(documents, key), edit)


def _empty(key: str) -> Corruption:
    def edit(chance: random.Random, rule: dict[str, Any]) -> None:
        rule[key] = []

    return _on_one(_rules, edit)


# -- rules ---------------------------------------------------------------------------------------------


def _drop_rule(chance: random.Random, spec: dict[str, Any]) -> bool:
    if spec["ingress"]:
        spec["ingress"].pop(chance.randrange(len(spec["ingress"])))
        return True
    return False


def _repeat_rule(chance: random.Random, spec: dict[str, Any]) -> bool:
    if spec["ingress"]:
        spec["ingress"].append(copy.deepcopy(chance.choice(spec["ingress"])))
        return True
    return False


def _shuffle_rules(chance: random.Random, spec: dict[str, Any]) -> bool:
    chance.shuffle(spec["ingress"])
    return True


def _cross_rules(chance: random.Random, documents: Documents) -> bool:
    """Two rules change their sources."""
    rules = [rule for rule in _rules(documents) if "from" in rule]
    if len(rules) < 2:
        return False
    a, b = chance.sample(rules, 2)
    a["from"], b["from"] = b["from"], a["from"]
    return True


def _part_rule(chance: random.Random, spec: dict[str, Any]) -> bool:
    """A rule with several services, written as two: the same packets."""
    for place, rule in enumerate(spec["ingress"]):
        if len(rule.get("ports", [])) > 1:
            first, rest = {**rule, "ports": rule["ports"][:1]}, {**rule, "ports": rule["ports"][1:]}
            spec["ingress"][place : place + 1] = [first, rest]
            return True
    return False


def _edit_spec(change: Callable[[dict[str, Any]], Any]) -> Corruption:
    def corruption(chance: random.Random, documents: Documents) -> bool:
        return change(_spec(chance, documents)) is not False

    return corruption


def _edit_object(change: Callable[[dict[str, Any]], Any]) -> Corruption:
    def corruption(chance: random.Random, documents: Documents) -> bool:
        return change(chance.choice(documents)) is not False

    return corruption


def _relabel(spec: dict[str, Any]) -> None:
    labels = spec["podSelector"]["matchLabels"]
    key = next(iter(labels))
    labels[key] += "x"


def _drop_label(spec: dict[str, Any]) -> None:
    """The selector widens: it still selects the pods."""
    spec["podSelector"]["matchLabels"].popitem()


def _as_expressions(spec: dict[str, Any]) -> None:
    labels = spec["podSelector"].pop("matchLabels")
    spec["podSelector"]["matchExpressions"] = [
        {"key": key, "operator": "In", "values": [value, "other"]} for key, value in labels.items()
    ]


def _as_wrong_expressions(spec: dict[str, Any]) -> None:
    labels = spec["podSelector"].pop("matchLabels")
    spec["podSelector"]["matchExpressions"] = [
        {"key": key, "operator": "NotIn", "values": [value]} for key, value in labels.items()
    ]


def _add_policy(chance: random.Random, documents: Documents) -> bool:
    """A second policy that opens one port to all: policies add up."""
    more = copy.deepcopy(documents[0])
    more["metadata"]["name"] = "another"
    more["spec"]["ingress"] = [{"ports": [{"protocol": "TCP", "port": 31999}]}]
    documents.append(more)
    return True


def _add_closed_policy(chance: random.Random, documents: Documents) -> bool:
    """A second policy that opens nothing."""
    more = copy.deepcopy(documents[0])
    more["metadata"]["name"] = "another"
    more["spec"]["ingress"] = []
    documents.append(more)
    return True


CORRUPTIONS: Mapping[str, Corruption] = {
    "a port one up": _number(lambda chance, n: n + 1),
    "a port one down": _number(lambda chance, n: n - 1),
    "a bit of a port": _number(lambda chance, n: n ^ (1 << chance.randrange(16))),
    "a port out of range": _number(lambda chance, n: n + 65536),
    "an end port one up": _number(lambda chance, n: n + 1, "endPort"),
    "an end port one down": _number(lambda chance, n: n - 1, "endPort"),
    "a bit of an end port": _number(lambda chance, n: n ^ (1 << chance.randrange(16)), "endPort"),
    "no end port": _on_one(
        lambda documents: [port for port in _ports(documents) if "endPort" in port], _drop("endPort")
    ),
    "an end port": _on_one(
        lambda documents: [port for port in _ports(documents) if "port" in port and "endPort" not in port],
        _add_end,
    ),
    "another protocol": _on_one(_ports, _swap_protocol),
    "no protocol": _on_one(_ports, _drop("protocol")),
    "an unknown protocol": _on_one(_ports, lambda chance, port: port.update(protocol="ICMP")),
    "a protocol in lower case": _on_one(
        _ports, lambda chance, port: port.update(protocol=port["protocol"].lower())
    ),
    "a port as text": _on_one(
        lambda documents: [port for port in _ports(documents) if "port" in port],
        lambda chance, port: port.update(port=str(port["port"])),
    ),
    "no port number": _on_one(
        lambda documents: [port for port in _ports(documents) if "port" in port], _drop("port")
    ),
    "a bit of a cidr": _edit_cidr(_flipped),
    "a cidr longer or shorter": _edit_cidr(_resized),
    "a bit of an except": _edit_except(_flipped),
    "an except longer or shorter": _edit_except(_resized),
    "one except less": _drop_one("except"),
    "no excepts": _on_one(
        lambda documents: [block for block in _blocks(documents) if "except" in block], _drop("except")
    ),
    "one except more": _on_one(_blocks, _add_except),
    "an except of the whole block": _on_one(
        _blocks, lambda chance, block: block.update({"except": [block["cidr"]]})
    ),
    "one peer less": _drop_one("from"),
    "one service less": _drop_one("ports"),
    "one rule less": lambda chance, documents: _drop_rule(chance, _spec(chance, documents)),
    "no from": _on_one(_rules, _drop("from")),
    "no ports": _on_one(_rules, _drop("ports")),
    "an empty from": _empty("from"),
    "empty ports": _empty("ports"),
    "an empty rule more": _edit_spec(lambda spec: spec["ingress"].append({})),
    "no ingress": _edit_spec(lambda spec: spec.pop("ingress")),
    "ingress null": _edit_spec(lambda spec: spec.update(ingress=None)),
    "rules with each other's sources": _cross_rules,
    "egress only": _edit_spec(lambda spec: spec.update(policyTypes=["Egress"])),
    "an unknown policy type": _edit_spec(lambda spec: spec.update(policyTypes=["ingress"])),
    "another label": _edit_spec(_relabel),
    "one label more": _edit_spec(lambda spec: spec["podSelector"]["matchLabels"].update(more="x")),
    "expressions that do not hold": _edit_spec(_as_wrong_expressions),
    "another namespace": _edit_object(lambda policy: policy["metadata"].update(namespace="elsewhere")),
    "no namespace": _edit_object(lambda policy: policy["metadata"].pop("namespace")),
    "another kind": _edit_object(lambda policy: policy.update(kind="NetworkPolice")),
    "a config map": _edit_object(lambda policy: policy.update(kind="ConfigMap", apiVersion="v1")),
    "another API version": _edit_object(lambda policy: policy.update(apiVersion="networking.k8s.io/v1beta1")),
    "a misspelt field": _edit_spec(lambda spec: spec.update(ingres=spec.pop("ingress"))),
    "no spec": _edit_object(lambda policy: policy.pop("spec")),
    "a policy less": lambda chance, documents: bool(documents.pop(chance.randrange(len(documents)))),
    "a policy that opens more": _add_policy,
}
"""Most of these change the meaning wherever they apply; some only where nothing else says the same."""

REWRITINGS: Mapping[str, Corruption] = {
    "nothing": lambda chance, documents: True,
    "peers in another order": _shuffle("from"),
    "services in another order": _shuffle("ports"),
    "excepts in another order": _shuffle("except"),
    "rules in another order": lambda chance, documents: _shuffle_rules(chance, _spec(chance, documents)),
    "a rule twice": lambda chance, documents: _repeat_rule(chance, _spec(chance, documents)),
    "a peer twice": _repeat_one("from"),
    "a service twice": _repeat_one("ports"),
    "an except twice": _repeat_one("except"),
    "a block as two halves": _on_one(lambda documents: _lists(documents, "from"), _halve),
    "a rule as two": lambda chance, documents: _part_rule(chance, _spec(chance, documents)),
    "an end port that is the port": _on_one(
        lambda documents: [port for port in _ports(documents) if "port" in port and "endPort" not in port],
        lambda chance, port: port.update(endPort=port["port"]),
    ),
    "the default policy types": _edit_spec(lambda spec: spec.pop("policyTypes")),
    "no policy types": _edit_spec(lambda spec: spec.update(policyTypes=[])),
    "egress too": _edit_spec(lambda spec: spec.update(policyTypes=["Egress", "Ingress"], egress=[{}])),
    "one label less": _edit_spec(_drop_label),
    "every pod": _edit_spec(lambda spec: spec.update(podSelector={})),
    "the labels as expressions": _edit_spec(_as_expressions),
    "another name": _edit_object(lambda policy: policy["metadata"].update(name="another")),
    "no annotations": _edit_object(lambda policy: policy["metadata"].pop("annotations")),
    "a policy that opens nothing": _add_closed_policy,
}
"""None of these changes what is admitted."""


# -- raw text ------------------------------------------------------------------------------------------


def mangled(chance: random.Random, text: str) -> str:
    """The text with one character, one word or one line spoilt; comments are left alone."""
    lines = text.split("\n")
    places = [n for n, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    place = chance.choice(places)
    line = lines[place]
    what = chance.randrange(8)
    column = chance.choice([n for n, c in enumerate(line) if c != " "])
    if what == 0:
        del lines[place]
    elif what == 1:
        lines.insert(place, line)
    elif what == 2:
        other = chance.choice(places)
        lines[place], lines[other] = lines[other], lines[place]
    elif what == 3:
        lines[place] = line[:column] + line[column + 1 :]
    elif what == 4:
        lines[place] = line[:column] + chance.choice("0123456789abcTU/:.- #&*!\"'{[") + line[column:]
    elif what == 5:
        lines[place] = chance.choice(("  " + line, line[2:] if line.startswith("  ") else " " + line))
    else:
        digits = [n for n, c in enumerate(line) if c.isdigit()]
        column = chance.choice(digits) if digits else column
        lines[place] = line[:column] + chance.choice("0123456789") + line[column + 1 :]
    return "\n".join(lines)
