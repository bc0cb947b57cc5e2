"""Single random changes of policies of every kind that is emitted: plain data in, plain data out.

Nothing of ``ipt2np`` is used. A change of ``CHANGES`` leaves objects that their API server takes; one of ``FAULTS`` leaves
some that it refuses.
"""

from __future__ import annotations

import copy
import ipaddress
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Objects = list[dict[str, Any]]
Change = Callable[[random.Random, Any], bool | None]
"""Changes something in place; False where it cannot be changed so."""
_Pick = Callable[[Objects], list[Any]]
_OPPOSITE = {"Deny": ("Allow", "Pass", "Log"), "Drop": ("Allow", "Pass"), "Reject": ("Allow", "Drop")}
_LISTS = ("nets", "notNets", "fromCIDR", "externalCIDRs")
_HOLES = ("except", "notNets")


@dataclass(frozen=True)
class Kind:
    """A kind of change: the places where it can be made, and what it does there."""

    pick: _Pick
    change: Change

    def of(self, rng: random.Random, objects: Objects) -> Objects | None:
        """A changed copy; None where there is no place for it."""
        count = len(self.pick(objects))
        for place in rng.sample(range(count), min(count, 4)):
            result = copy.deepcopy(objects)
            if (
                self.change(rng, self.pick(result)[place]) is not False
                and result != objects
                and _some_rule(result)
            ):
                return result
        return None


def _some_rule(objects: Objects) -> bool:
    """Cilium refuses policies without a rule."""
    return all(
        each["spec"].get("ingress") or each["spec"].get("ingressDeny")
        for each in objects
        if "endpointSelector" in each["spec"]
    )


# -- places --------------------------------------------------------------------------------------------------


def parts(value: Any) -> Iterator[Any]:
    """A value and everything inside it."""
    yield value
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for each in inside:
        yield from parts(each)


def mappings(objects: Objects) -> Iterator[dict[str, Any]]:
    """Every mapping below the specs, the specs included."""
    for each in objects:
        yield from (part for part in parts(each["spec"]) if isinstance(part, dict))


def _with(*keys: str) -> _Pick:
    return lambda objects: [each for each in mappings(objects) if all(key in each for key in keys)]


def _cidrs(objects: Objects, *, holes: bool) -> list[tuple[Any, Any]]:
    """(container, key) of every CIDR, of those that are taken away from others or of all others."""
    found: list[tuple[Any, Any]] = []
    for each in mappings(objects):
        if not holes and isinstance(each.get("cidr"), str):
            found.append((each, "cidr"))
        for key in {*_LISTS, *_HOLES} & set(each):
            if (key in _HOLES) == holes:
                found += [(each[key], place) for place in range(len(each[key]))]
    return found


def rule_lists(objects: Objects) -> list[list[Any]]:
    """The lists of ingress rules that have a rule."""
    found = [each["spec"].get(key) for each in objects for key in ("ingress", "ingressDeny")]
    return [rules for rules in found if rules]


def _rules(objects: Objects) -> list[dict[str, Any]]:
    return [rule for rules in rule_lists(objects) for rule in rules]


def _sources(objects: Objects) -> list[tuple[dict[str, Any], str]]:
    """(mapping, key) of every list of sources."""
    keys = ("from", "nets", "notNets", "fromCIDR", "fromCIDRSet", "fromEntities")
    return [(each, key) for each in mappings(objects) for key in keys if each.get(key)]


def _services(objects: Objects) -> list[tuple[dict[str, Any], str]]:
    """(mapping, key) of every list of services."""
    keys = ("ports", "toPorts", "icmps", "protocols", "fields")
    return [(each, key) for each in mappings(objects) for key in keys if isinstance(each.get(key), list)]


# -- numbers -------------------------------------------------------------------------------------------------


def _entries(objects: Objects) -> list[tuple[Any, Any]]:
    """(container, key) of every destination or source port."""
    found: list[tuple[Any, Any]] = [(each, "port") for each in _with("port")(objects)]
    for each in mappings(objects):
        for key in ("ports", "notPorts"):
            numbers = each.get(key)
            if isinstance(numbers, list):
                found += [(numbers, n) for n, one in enumerate(numbers) if not isinstance(one, dict)]
    return found


def _port(change: Callable[[random.Random, int], int]) -> Change:
    """A port changed, its range going with it where the range would begin behind its end."""

    def edit(rng: random.Random, place: tuple[Any, Any]) -> bool:
        container, key = place
        low, colon, high = str(container[key]).partition(":")
        number = change(rng, int(low))
        end = int(high) if colon else container.get("endPort") if isinstance(container, dict) else None
        if not 1 <= number <= 65535 or (end is not None and number > end):
            return False
        _write(container, key, f"{number}:{high}" if colon else number)
        return _is_set(container)

    return edit


def _write(container: Any, key: Any, value: Any) -> None:
    """A number as it was written: as text where it was text."""
    container[key] = str(value) if isinstance(container[key], str) or isinstance(value, str) else value


def _is_set(container: Any) -> bool:
    """Lists of scalars are sets to some API servers."""
    return not isinstance(container, list) or len(set(map(str, container))) == len(container)


def _end(change: Callable[[random.Random, int], int]) -> Change:
    def edit(rng: random.Random, place: tuple[Any, Any]) -> bool:
        container, key = place
        low, colon, high = str(container[key]).partition(":")
        if colon:
            number = change(rng, int(high))
            if int(low) <= number <= 65535:
                container[key] = f"{low}:{number}"
                return True
            return False
        if not isinstance(container, dict) or "endPort" not in container:
            return False
        number = change(rng, container["endPort"])
        container["endPort"] = number
        return int(low) <= number <= 65535

    return edit


def _no_end(rng: random.Random, place: tuple[Any, Any]) -> bool:
    container, key = place
    low, colon, _ = str(container[key]).partition(":")
    if colon:
        container[key] = int(low)
        return _is_set(container)
    return isinstance(container, dict) and container.pop("endPort", None) is not None


def _more_end(rng: random.Random, place: tuple[Any, Any]) -> bool:
    container, key = place
    low = str(container[key])
    if ":" in low or (isinstance(container, dict) and "endPort" in container):
        return False
    end = min(65535, int(low) + rng.choice((1, 9, 4000)))
    if isinstance(container, dict):
        container["endPort"] = end
    else:
        container[key] = f"{low}:{end}"
    return end > int(low)


def _messages(objects: Objects) -> list[tuple[dict[str, Any], str]]:
    """(mapping, key) of every ICMP type."""
    return [(each, key) for each in mappings(objects) for key in ("icmpType", "type") if key in each]


def _other_number(values: tuple[int, ...]) -> Change:
    def edit(rng: random.Random, place: tuple[dict[str, Any], str]) -> bool:
        each, key = place
        others = [value for value in values if value != each[key]]
        each[key] = rng.choice(others)
        return True

    return edit


# -- addresses -----------------------------------------------------------------------------------------------


def _flipped(rng: random.Random, text: str, least: int = 0) -> str | None:
    """One bit of the network part turned over, none of the first ``least``."""
    network = ipaddress.ip_network(text)
    if network.prefixlen <= least:
        return None
    bit = network.max_prefixlen - 1 - rng.randrange(least, network.prefixlen)
    return f"{type(network[0])(int(network[0]) ^ (1 << bit))}/{network.prefixlen}"


def _resized(rng: random.Random, text: str, least: int = 0) -> str | None:
    """A prefix length one off, host bits cleared."""
    network = ipaddress.ip_network(text)
    length = network.prefixlen + rng.choice((-1, 1))
    if not least <= length <= network.max_prefixlen:
        return None
    return str(ipaddress.ip_network(f"{network[0]}/{length}", strict=False))


def _address(change: Callable[[random.Random, str], str | None]) -> Change:
    """A CIDR changed; exceptions that would not be inside any more go."""

    def edit(rng: random.Random, place: tuple[Any, Any]) -> bool:
        container, key = place
        changed = change(rng, container[key])
        if changed is None:
            return False
        container[key] = changed
        if isinstance(container, dict) and container.get("except"):
            return all(_inside(hole, changed) for hole in container["except"])
        return _is_set(container) and not mapped(changed)

    return edit


def mapped(cidr: str) -> bool:
    """True for IPv4-mapped addresses, which everybody reads as they like."""
    return (
        ipaddress.ip_network("::ffff:0:0/96").overlaps(network)
        if (network := ipaddress.ip_network(cidr)).version == 6 and network.prefixlen >= 80
        else False
    )


def _inside(hole: str, cidr: str) -> bool:
    inner, outer = ipaddress.ip_network(hole), ipaddress.ip_network(cidr)
    return inner.version == outer.version and inner.prefixlen > outer.prefixlen and inner[0] in outer


def _hole(change: Callable[[random.Random, str, int], str | None]) -> Change:
    """An exception changed into another one inside the same block."""

    def edit(rng: random.Random, block: dict[str, Any]) -> bool:
        least = ipaddress.ip_network(block["cidr"]).prefixlen + 1
        place = rng.randrange(len(block["except"]))
        changed = change(rng, block["except"][place], least)
        if changed is None:
            return False
        block["except"][place] = changed
        return _is_set(block["except"])

    return edit


def _blocks(objects: Objects) -> list[dict[str, Any]]:
    return [each for each in mappings(objects) if isinstance(each.get("cidr"), str)]


def _blocks_with_holes(objects: Objects) -> list[dict[str, Any]]:
    return [each for each in _blocks(objects) if each.get("except")]


def _new_hole(rng: random.Random, block: dict[str, Any]) -> bool:
    network = ipaddress.ip_network(block["cidr"])
    if network.prefixlen == network.max_prefixlen:
        return False
    length = rng.randint(network.prefixlen + 1, network.max_prefixlen)
    first = int(network[0]) + (
        rng.randrange(1 << (length - network.prefixlen)) << (network.max_prefixlen - length)
    )
    hole = f"{type(network[0])(first)}/{length}"
    block["except"] = [*(block.get("except") or []), hole]
    return _is_set(block["except"]) and not mapped(hole)


def _fewer_holes(rng: random.Random, block: dict[str, Any]) -> bool:
    block["except"].pop(rng.randrange(len(block["except"])))
    if not block["except"]:
        del block["except"]
    return True


# -- lists ---------------------------------------------------------------------------------------------------


def _one_less(rng: random.Random, place: tuple[dict[str, Any], str]) -> bool:
    container, key = place
    if len(container[key]) < 2:
        return False
    container[key].pop(rng.randrange(len(container[key])))
    return True


def _dropped(rng: random.Random, place: tuple[dict[str, Any], str]) -> bool:
    container, key = place
    rule_like = len(container) > 1 or key in ("nets", "notNets")
    if key == "ports" and "port" not in str(container[key]):
        return False
    del container[key]
    return rule_like


def _rule_gone(rng: random.Random, rules: list[Any]) -> bool:
    rules.pop(rng.randrange(len(rules)))
    return True


def _rule_twice(rng: random.Random, rules: list[Any]) -> bool:
    rule = copy.deepcopy(rng.choice(rules))
    if "name" in rule:
        rule["name"] = "again"
    rules.append(rule)
    return True


def _rules_swapped(rng: random.Random, rules: list[Any]) -> bool:
    if len(rules) < 2:
        return False
    # Where the order counts, two that do not say the same.
    unlike = [n for n, rule in enumerate(rules[:-1]) if rule.get("action") != rules[n + 1].get("action")]
    place = rng.choice(unlike or range(len(rules) - 1))
    rules[place : place + 2] = reversed(rules[place : place + 2])
    return True


def _everything(rng: random.Random, rules: list[Any]) -> bool:
    """A rule that matches everything, in front of the others."""
    rule: dict[str, Any] = (
        {"action": rng.choice(("Allow", "Allow", rules[0]["action"]))} if "action" in rules[0] else {}
    )
    if any(key.startswith("from") and key != "from" for key in rules[0]):
        rule = {"fromEntities": [rng.choice(("world", "all"))]}
    if "name" in rules[0]:
        rule["name"] = "everything"
    rules.insert(0, rule)
    return True


def _denied(rng: random.Random, spec: dict[str, Any]) -> bool:
    """A rule of Cilium's goes to the other list."""
    one, two = rng.choice((("ingress", "ingressDeny"), ("ingressDeny", "ingress")))
    if not spec.get(one):
        return False
    rule = spec[one].pop(rng.randrange(len(spec[one])))
    spec[two] = [*(spec.get(two) or []), rule]
    return True


def _other_action(rng: random.Random, rule: dict[str, Any]) -> bool:
    deny = "Deny" if "name" not in rule and "from" not in rule and "protocols" not in rule else "Drop"
    choices = _OPPOSITE.get(rule["action"], (deny, deny, "Pass"))
    rule["action"] = rng.choice(choices)
    return True


# -- selectors and types -------------------------------------------------------------------------------------


def _specs(objects: Objects) -> list[dict[str, Any]]:
    return [each["spec"] for each in objects if "ingress" in each["spec"] or "ingressDeny" in each["spec"]]


def _elsewhere(rng: random.Random, spec: dict[str, Any]) -> bool:
    """The policy selects other pods."""
    if isinstance(spec.get("selector"), str):
        spec["selector"] = spec["selector"].replace("== 'web'", "== 'webs'")
        return "webs" in spec["selector"]
    named = {key: spec[key] for key in ("podSelector", "endpointSelector", "appliedTo") if key in spec}
    for each in parts(named):
        if isinstance(each, dict) and each.get("matchLabels"):
            key = rng.choice(sorted(each["matchLabels"]))
            each["matchLabels"][key] += "x"
            return True
    return False


def _wider_selector(rng: random.Random, spec: dict[str, Any]) -> bool:
    for name in ("podSelector", "endpointSelector"):
        labels = (spec.get(name) or {}).get("matchLabels") or {}
        if len(labels) > 1:
            labels.popitem()
            return True
    return False


def _outward(rng: random.Random, spec: dict[str, Any]) -> bool:
    """The policy speaks of egress."""
    for key in ("policyTypes", "types"):
        if key in spec:
            spec[key] = ["Egress"]
            if key == "policyTypes":
                del spec["ingress"]
            return True
    if "endpointSelector" in spec:
        spec["enableDefaultDeny"] = {"ingress": False}
        return True
    return False


def _another_policy(rng: random.Random, objects: Objects) -> None:
    """A second policy for the same pods, with a rule that opens a port or keeps one shut."""
    policy = copy.deepcopy(next(each for each in objects if each["spec"] in _specs(objects)))
    policy["metadata"]["name"] = "another"
    spec, port = policy["spec"], rng.choice((22, 31999))
    spec.pop("ingressDeny", None)
    if "endpointSelector" in spec:
        key = rng.choice(("ingress", "ingressDeny"))
        rule: dict[str, Any] = {"toPorts": [{"ports": [{"port": str(port), "protocol": "TCP"}]}]}
        if key == "ingressDeny":
            spec.pop("ingress", None)
        spec[key] = [{"fromEntities": ["all"], **rule}]
    elif "selector" in spec:
        destination = {"destination": {"ports": [port]}}
        spec["ingress"] = [{"action": rng.choice(("Allow", "Deny")), "protocol": "TCP", **destination}]
        spec["order"] = rng.choice((1, 2000))
    else:
        spec["ingress"] = [{"ports": [{"protocol": "TCP", "port": port}]}]
        if "appliedTo" in spec:
            spec["priority"] = rng.choice((5, 200))
            spec["ingress"][0] |= {"name": "one", "action": rng.choice(("Allow", "Drop"))}
    objects.append(policy)


def _other_protocol(rng: random.Random, each: dict[str, Any]) -> bool:
    names = ("TCP", "UDP", "SCTP")
    if each["protocol"] in names:
        each["protocol"] = rng.choice([name for name in names if name != each["protocol"]])
        return True
    if isinstance(each["protocol"], int):
        each["protocol"] = rng.choice([number for number in (47, 50, 2, 200) if number != each["protocol"]])
        return True
    return False


def _other_entity(rng: random.Random, rule: dict[str, Any]) -> bool:
    rule["fromEntities"] = [
        rng.choice([e for e in ("all", "world", "cluster", "host") if [e] != rule["fromEntities"]])
    ]
    return True


def _lists(pick: Callable[[Objects], list[tuple[dict[str, Any], str]]]) -> _Pick:
    return lambda objects: list(pick(objects))


CHANGES: Mapping[str, Kind] = {
    "a port one off": Kind(_entries, _port(lambda rng, n: n + rng.choice((-1, 1)))),
    "a bit of a port": Kind(_entries, _port(lambda rng, n: n ^ (1 << rng.randrange(16)))),
    "another port": Kind(_entries, _port(lambda rng, n: rng.choice((22, 53, 80, 443, 1024, 8080, 31999)))),
    "an end one off": Kind(_entries, _end(lambda rng, n: n + rng.choice((-1, 1)))),
    "no end": Kind(_entries, _no_end),
    "an end more": Kind(_entries, _more_end),
    "a bit of a CIDR": Kind(lambda objects: _cidrs(objects, holes=False), _address(_flipped)),
    "a CIDR longer or shorter": Kind(lambda objects: _cidrs(objects, holes=False), _address(_resized)),
    "a bit of an except": Kind(_blocks_with_holes, _hole(_flipped)),
    "an except longer or shorter": Kind(_blocks_with_holes, _hole(_resized)),
    "an except less": Kind(_blocks_with_holes, _fewer_holes),
    "an except more": Kind(_blocks, _new_hole),
    "another protocol": Kind(_with("protocol"), _other_protocol),
    "another ICMP type": Kind(_messages, _other_number((8, 13, 15, 17, 128, 139))),
    "a rule less": Kind(rule_lists, _rule_gone),
    "a rule twice": Kind(rule_lists, _rule_twice),
    "rules swapped": Kind(rule_lists, _rules_swapped),
    "a rule for everything": Kind(rule_lists, _everything),
    "a source less": Kind(_sources, _one_less),
    "no sources": Kind(_sources, _dropped),
    "a service less": Kind(_services, _one_less),
    "no services": Kind(_services, _dropped),
    "another action": Kind(_with("action"), _other_action),
    "denied for allowed": Kind(
        lambda objects: [s for s in _specs(objects) if "endpointSelector" in s], _denied
    ),
    "other entities": Kind(_with("fromEntities"), _other_entity),
    "other pods": Kind(_specs, _elsewhere),
    "more pods": Kind(_specs, _wider_selector),
    "no ingress": Kind(_specs, _outward),
    "a policy more": Kind(lambda objects: [objects], _another_policy),
}


# -- what is refused -----------------------------------------------------------------------------------------


def _too_large(rng: random.Random, place: tuple[Any, Any]) -> None:
    container, key = place
    low, colon, high = str(container[key]).partition(":")
    number = int(high or low) + 65536
    _write(container, key, f"{low}:{number}" if colon else number)


def _backwards(rng: random.Random, place: tuple[Any, Any]) -> bool:
    container, key = place
    low = str(container[key]).partition(":")[0]
    if int(low) < 2:
        return False
    if isinstance(container, dict):
        container["endPort"] = int(low) - 1
    else:
        container[key] = f"{low}:{int(low) - 1}"
    return True


def _too_long(rng: random.Random, place: tuple[Any, Any]) -> None:
    container, key = place
    container[key] = container[key].partition("/")[0] + "/129"


def _no_address(rng: random.Random, place: tuple[Any, Any]) -> None:
    container, key = place
    container[key] = "10.0.0.256/32"


def _hole_outside(rng: random.Random, block: dict[str, Any]) -> bool:
    network = ipaddress.ip_network(block["cidr"])
    if not network.prefixlen:
        return False
    first = int(network[0]) ^ (1 << (network.max_prefixlen - network.prefixlen))
    block["except"] = [*(block.get("except") or []), f"{type(network[0])(first)}/{network.max_prefixlen}"]
    return True


FAULTS: Mapping[str, Kind] = {
    "a port too large": Kind(_entries, _too_large),
    "an end below its port": Kind(_entries, _backwards),
    "a prefix too long": Kind(lambda objects: _cidrs(objects, holes=False), _too_long),
    "no address": Kind(lambda objects: _cidrs(objects, holes=False), _no_address),
    "an except outside": Kind(_blocks, _hole_outside),
    "no protocol's name": Kind(_with("protocol"), lambda rng, each: each.update(protocol="TPC")),
    "no action's name": Kind(_with("action"), lambda rng, each: each.update(action="Permit")),
    "an unknown field": Kind(_rules, lambda rng, rule: rule.update(sources=[])),
    "rules that are none": Kind(_specs, lambda rng, spec: spec.update(ingress="all")),
    "no name": Kind(
        lambda objects: [each["metadata"] for each in objects], lambda rng, meta: meta.pop("name") is None
    ),
}
