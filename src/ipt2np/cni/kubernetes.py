"""``--cni kubernetes``: the portable core, what every conforming CNI must do."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping, Sequence

from ipt2np.cni.base import Cni, EmittedRule, Fitted, Identity, Object, PlatformEffect, Reading
from ipt2np.cni.blocks import Block, blocks
from ipt2np.cni.kinds.networkpolicy import API_VERSION, KIND, PROTOCOLS, VALIDATORS, read, validate
from ipt2np.cni.manifests import load
from ipt2np.cni.services import Group, ServiceGroups
from ipt2np.findings import Difference, Finding, Predicted
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets import Field, PacketSet, PacketSpace
from ipt2np.packets.intervals import merged
from ipt2np.planning import PlanEffect, PolicyPlan
from ipt2np.rules.model import Rule
from ipt2np.text import printable

NAMES = {number: name for name, number in PROTOCOLS.items()}
OBJECT_BYTES = 700_000
"""Split above this: an API server takes 1.5 MiB (etcd --max-request-bytes), annotations and comments aside."""
FIRST_RULES = 20
SET_LABEL = "ipt2np/set"
CLIENT_SIDE_BYTES = 250_000
"""Above this kubectl's client-side apply fails: it keeps the object in an annotation of at most 256 KiB."""


class Kubernetes(Cni):
    """networking.k8s.io/v1 NetworkPolicy as its API documents it."""

    name = "kubernetes"
    template = "kubernetes.yaml.j2"
    platform = (
        PlatformEffect(
            "opens",
            "node",
            "any",
            "the node that runs the pod always reaches it, and the pod itself",
            "https://kubernetes.io/docs/concepts/services-networking/network-policies/",
        ),
        PlatformEffect(
            "opens",
            "any",
            "any",
            "replies to connections that the pod opens, and of connections that the policy admits, always pass",
            "https://kubernetes.io/docs/concepts/services-networking/network-policies/",
        ),
    )

    def fit(self, plan: PolicyPlan, identity: Identity, source_note: str) -> Fitted:
        """One NetworkPolicy, or several that add up where one would be too large."""
        services = ServiceGroups(plan)
        rules: list[Object] = []
        behind: list[tuple[PacketSet, tuple[Rule, ...], tuple[str, ...]]] = []
        for group in services.groups():
            rules.append(_rule(group))
            packets = services.packets_of(group)
            policies = tuple(
                dict.fromkeys(
                    f"{policy.chain} policy {policy.effect}"
                    for policy in plan.provenance.policies_behind(packets)
                )
            )
            behind.append((packets, tuple(plan.provenance.rules_behind(packets)), policies))
        chunks = _chunks(rules)
        objects, emitted = [], []
        for number, chunk in enumerate(chunks):
            part = [rules_of for _, _, rules_of in chunk]
            name = (
                identity.name
                if len(chunks) == 1
                else f"{identity.name[:230].rstrip('-.')}-{_digest(json.dumps(part))[:10]}"
            )
            listed: dict[int, Rule] = {}
            for place, (origin, _, _) in enumerate(chunk):
                emitted.append(EmittedRule(number, place, *behind[origin]))
                listed |= {rule.number: rule for rule in behind[origin][1]}
            objects.append(_object(identity, name, part, list(listed.values()), source_note, len(chunks) > 1))
        for each in objects:
            validate(each)
        findings = (*_losses(plan, services), *_object_findings(plan, objects, identity))
        return Fitted(tuple(objects), tuple(emitted), findings)

    def interpret(self, text: str, identity: Identity, space: PacketSpace) -> Mapping[str, Reading]:
        """Reads back what the YAML lets through."""
        return read(load(text, VALIDATORS), identity, space)


def _rule(group: Group) -> Object:
    rule: Object = {}
    everyone = len(group.sources) == 2 and all(
        allowed.node == allowed.space.everything.node for _, allowed in group.sources.values()
    )
    if not everyone:
        rule["from"] = [
            {"ipBlock": _block(block)}
            for family, (wanted, allowed) in sorted(group.sources.items())
            for block in blocks(wanted, allowed, family)
        ]
    if group.services:
        rule["ports"] = [
            _port(protocol, low, high)
            for protocol in NAMES
            for low, high in merged((low, high) for number, low, high in group.services if number == protocol)
        ]
    return rule


def _block(block: Block) -> Object:
    return {"cidr": block.cidr, "except": list(block.excepts)} if block.excepts else {"cidr": block.cidr}


def _port(protocol: int, low: int, high: int) -> Object:
    if (low, high) == (1, 0xFFFF):
        return {"protocol": NAMES[protocol]}
    if low == high:
        return {"protocol": NAMES[protocol], "port": low}
    return {"protocol": NAMES[protocol], "port": low, "endPort": high}


def _chunks(rules: Sequence[Object]) -> list[list[tuple[int, int, Object]]]:
    """Rules by object, each with its origin and size: additive, so peers may be split anywhere."""
    result: list[list[tuple[int, int, Object]]] = [[]]
    filled = 0
    for origin, rule in enumerate(rules):
        for part in _parts(rule):
            size = len(json.dumps(part))
            if result[-1] and filled + size > OBJECT_BYTES:
                result.append([])
                filled = 0
            result[-1].append((origin, size, part))
            filled += size
    return result


def _parts(rule: Object) -> list[Object]:
    """A rule that is too large alone as several that add up to it: some of its ports from some of its peers."""
    if len(json.dumps(rule)) <= OBJECT_BYTES:
        return [rule]
    room = OBJECT_BYTES // 4
    peers = [piece for peer in rule.get("from", []) for piece in _peer_parts(peer)]
    parts: list[Object] = [{}]
    for key, items in (("from", peers), ("ports", rule.get("ports", []))):
        if key in rule:
            parts = [{**part, key: some} for part in parts for some in _filled(items, room)]
    return parts


def _filled(items: Sequence[Object], room: int) -> list[list[Object]]:
    """``items`` in runs of at most ``room`` bytes of JSON each."""
    runs: list[list[Object]] = [[]]
    filled = 0
    for item in items:
        size = len(json.dumps(item))
        if runs[-1] and filled + size > room:
            runs.append([])
            filled = 0
        runs[-1].append(item)
        filled += size
    return runs


def _peer_parts(peer: Object) -> list[Object]:
    """A block whose exceptions alone are too many is halved until they are not."""
    excepts = peer["ipBlock"].get("except", [])
    if len(json.dumps(peer)) <= OBJECT_BYTES // 4 or not excepts:
        return [peer]
    network = ipaddress.ip_network(peer["ipBlock"]["cidr"])
    result: list[Object] = []
    for half in network.subnets():
        inside = [text for text in excepts if ipaddress.ip_network(text).subnet_of(half)]  # type: ignore[arg-type]
        if str(half) in inside:
            continue
        result += _peer_parts(
            {"ipBlock": {"cidr": str(half), "except": inside} if inside else {"cidr": str(half)}}
        )
    return result


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _set_of(identity: Identity) -> str:
    """The label that objects of one policy share: its name, or the name's beginning with a digest."""
    name = identity.name
    return name if len(name) <= 63 else f"{name[:52].rstrip('-.')}-{_digest(name)[:10]}"


def _object(
    identity: Identity, name: str, rules: list[Object], behind: list[Rule], source_note: str, split: bool
) -> Object:
    places = [f"{rule.location.file}:{rule.location.line}" for rule in behind]
    annotations = {
        "ipt2np/source": printable(source_note, 1000),
        "ipt2np/rules": str(len(behind)),
        "ipt2np/rules-digest": _digest(
            "\n".join(f"{place} {rule.text}" for place, rule in zip(places, behind, strict=True))
        )[:16],
    }
    if places:
        more = f" and {len(places) - FIRST_RULES} more" if len(places) > FIRST_RULES else ""
        annotations["ipt2np/first-rules"] = (
            ", ".join(printable(place[-200:], 1000) for place in places[:FIRST_RULES]) + more
        )
    metadata: Object = {"name": name, "namespace": identity.namespace}
    if split:
        metadata["labels"] = {SET_LABEL: _set_of(identity)}
    metadata["annotations"] = annotations
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": dict(identity.pod_labels)},
            "policyTypes": ["Ingress"],
            "ingress": rules,
        },
    }


def _losses(plan: PolicyPlan, services: ServiceGroups) -> list[Finding]:
    """What a NetworkPolicy cannot say, with the packets that are lost by it."""
    space, frames = plan.space, plan.provenance.frames
    result: list[Finding] = []
    named = space.values(Field.PROTOCOL, tuple((number, number) for number in sorted(NAMES)))
    kept = services.allowed.every(Field.SOURCE_PORT)
    by_port = (services.wanted & named) - kept
    answering = [each for each in plan.answers if each.packets.meets(by_port)]
    answers = space.nothing
    for each in answering:
        answers |= each.packets & by_port
    by_port -= answers
    if answers:
        rules = [each.rule for each in answering]
        result.append(
            Finding(
                "N2P302",
                "rules let in answers by the source port alone, and with them new connections from there, which the policy "
                f"does not admit; answers pass by themselves ({counted(rules)}: {lines_of(rules, frames)})",
                "none needed if only answers came: then nothing is lost. Otherwise use a CNI with source ports",
                tuple(rules),
                predicted=(Predicted(Difference.CLOSES, answers),),
            )
        )
    if by_port:
        rules = [
            rule for rule in plan.provenance.rules_behind(by_port) if _names_source_port(rule)
        ] or plan.provenance.rules_behind(by_port)
        result.append(
            Finding(
                "N2P302",
                f"accepted from some source ports only, which a NetworkPolicy cannot say ({counted(rules)}: "
                f"{lines_of(rules, frames)})",
                remedy("N2P302"),
                tuple(rules),
                predicted=(Predicted(Difference.CLOSES, by_port),),
            )
        )
    whole = space.nothing
    for family, (_, allowed) in services.everywhere.items():
        whole |= allowed & space.family(family)
    others = (services.wanted - named) - whole
    if others:
        rules = plan.provenance.rules_behind(others)
        what = f"{counted(rules)}: {lines_of(rules, frames)}" if rules else "by INPUT's policy"
        result.append(
            Finding(
                "N2P303",
                f"{_protocols(others)} accepted by the host cannot be written in a NetworkPolicy ({what})",
                remedy("N2P303"),
                tuple(rules),
                predicted=(Predicted(Difference.CLOSES, others),),
            )
        )
    if any(wanted for wanted, _ in services.everywhere.values()):
        result.append(
            Finding(
                "N2P309",
                "a rule without ports admits every protocol from its sources, as the host does; the API promises that "
                "for TCP, UDP and SCTP only",
                remedy("N2P309"),
            )
        )
    rejecting = [
        entry.decider
        for entry in plan.entries
        if entry.effect is PlanEffect.REJECT and isinstance(entry.decider, Rule)
    ]
    if rejecting:
        result.append(
            Finding(
                "N2P304",
                f"refused packets are dropped without the answer that REJECT gives ({counted(rejecting)}: "
                f"{lines_of(rejecting, frames)})",
                remedy("N2P304"),
                tuple(rejecting),
            )
        )
    if plan.limits:
        result.append(
            Finding(
                "N2P301",
                f"rate limits are not kept: a NetworkPolicy has none ({counted(plan.limits)}: "
                f"{lines_of(plan.limits, frames)})",
                remedy("N2P301"),
                plan.limits,
            )
        )
    if plan.logs:
        logging = [trail.rule for trail in plan.logs]
        result.append(
            Finding(
                "N2P305",
                f"nothing is logged ({counted(logging)}: {lines_of(logging, frames)})",
                remedy("N2P305"),
                tuple(logging),
            )
        )
    return result


def _names_source_port(rule: Rule) -> bool:
    options = ("--source-port", "--source-ports", "--ports", "--ctorigsrcport")
    return any(clause.option in options for use in rule.matches for clause in use.clauses)


def _protocols(packets: PacketSet) -> str:
    space: PacketSpace = packets.space
    icmp = [
        name
        for number, name in ((1, "ICMP"), (58, "ICMPv6"))
        if packets & space.value(Field.PROTOCOL, number)
    ]
    rest = packets - space.value(Field.PROTOCOL, 1) - space.value(Field.PROTOCOL, 58)
    numbers: list[str] = []
    if rest:
        ranges = merged(
            (low, high)
            for family in (4, 6)
            for low, high, _ in space.split(
                space.of_family(rest & space.family(family), family), Field.PROTOCOL
            )
        )
        count = sum(high - low + 1 for low, high in ranges)
        text = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges[:4])
        numbers = [
            f"protocol {text}" if count == 1 else f"protocols {text}" + (", …" if len(ranges) > 4 else "")
        ]
    return " and ".join([*icmp, *numbers])


def _object_findings(plan: PolicyPlan, objects: Sequence[Object], identity: Identity) -> list[Finding]:
    result = []
    peers = [peer for each in objects for rule in each["spec"]["ingress"] for peer in rule.get("from", [])]
    ports = [port for each in objects for rule in each["spec"]["ingress"] for port in rule.get("ports", [])]
    if peers:
        result.append(
            Finding(
                "N2P402",
                "whether an ipBlock matches pods and nodes is up to the CNI: in-cluster sources are outside the verdict",
                remedy("N2P402"),
            )
        )
    if any("endPort" in port for port in ports):
        result.append(Finding("N2P403", "port ranges are written with endPort", remedy("N2P403")))
    if any(len(json.dumps(each)) > CLIENT_SIDE_BYTES for each in objects):
        result.append(
            Finding("N2P406", "the policy is too large for kubectl's client-side apply", remedy("N2P406"))
        )
    if len(objects) > 1:
        result.append(
            Finding(
                "N2P404",
                f"the policy is {len(objects)} objects, since one would be too large for an API server",
                f"apply them together: kubectl apply --server-side --prune -l {SET_LABEL}={_set_of(identity)}"
                " -f FILE",
            )
        )
    return result
