"""``--cni calico --scope host``: host endpoints, one for each interface that matters, and global policies for them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ipt2np.cni.base import (
    SOURCE_CLASSES,
    Capability,
    Cluster,
    Cni,
    EmittedRule,
    Fitted,
    Grade,
    Identity,
    Object,
    PlatformEffect,
    Profile,
    Reading,
)
from ipt2np.cni.calico import API_VERSION, ORDER, Calico, Kinds, Writer, findings, policy_name, selector_of
from ipt2np.cni.capabilities import of_host, of_order
from ipt2np.cni.features import Feature
from ipt2np.cni.fitting.ordered import ordered
from ipt2np.cni.kinds.calico import ALL_INTERFACES, DEFAULT_ALLOW, VALIDATORS, failsafe, read_host
from ipt2np.findings import Difference, Finding, Predicted
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.wording import counted, lines_of
from ipt2np.packets import Field, PacketSet, PacketSpace
from ipt2np.planning import PolicyPlan
from ipt2np.planning.interfaces import InterfacePlan, by_interface
from ipt2np.rules.model import Rule

HOST_LABEL, INTERFACE_LABEL = "ipt2np/host", "ipt2np/interfaces"
HOSTNAME = "kubernetes.io/hostname"
_WRITABLE = re.compile(r"[a-zA-Z0-9_.-]{1,15}")
"""``interfaceName`` (calico: libcalico-go/lib/validator/v3/validator.go)."""


class CalicoHost(Cni):
    """projectcalico.org/v3 HostEndpoint and GlobalNetworkPolicy: the filter of a host that stays a host."""

    name = "calico"
    template = "calico.yaml.j2"
    kinds = VALIDATORS
    by_interface = True
    platform = (
        PlatformEffect(
            "opens",
            "any",
            "tcp",
            "Calico's failsafe ports reach the host (TCP 22, 179, 2379, 2380, 5473, 6443, 6666, 6667 and UDP 68), unless "
            "failsafeInboundHostPorts says else",
            "https://docs.tigera.io/calico/latest/reference/host-endpoints/failsafe",
            failsafe,
        ),
    )
    profile = Profile(
        "Calico's host endpoints",
        (
            f"{API_VERSION} HostEndpoint",
            f"{API_VERSION} GlobalNetworkPolicy",
            f"{API_VERSION} GlobalNetworkSet",
        ),
        "every source's address",
        {**Calico.profile.capabilities, Feature.RATE: Capability(Grade.NOT, "no rule has limits")},
        Calico.profile.limits,
        Calico.profile.remarks,
    )
    client_address = "nothing stands between a client and the host itself"

    def derived(self) -> Mapping[Feature, Capability]:
        """By what its rules can say, in their order, for each interface."""
        return of_host(of_order(ORDER), self.by_interface)

    def fit(self, plan: PolicyPlan, identity: Identity, cluster: Cluster, source_note: str) -> Fitted:
        """A policy for each set of interfaces that are filtered alike, and the endpoints that stand for them."""
        assert plan.interfaces is not None
        unnamed = [name for name in plan.interfaces.names if not _WRITABLE.fullmatch(name)]
        parts = by_interface(plan, unnamed)
        objects: list[Object] = []
        emitted: list[EmittedRule] = []
        told: list[Finding] = []
        logged: dict[int, Rule] = {}
        host = policy_name(identity.name)
        for number, part in enumerate(parts):
            group = f"{number + 1}" if part.names else "all"
            name = host if len(parts) == 1 else f"{host[:240].rstrip('-.')}-{group}"
            selector = selector_of({HOST_LABEL: host[:63].rstrip("-."), INTERFACE_LABEL: group})
            written = ordered(part.plan, ORDER)
            kinds = Kinds("GlobalNetworkPolicy", "GlobalNetworkSet", None, selector, name)
            policies, rules = Writer(part.plan, identity, source_note, kinds).objects(written)
            endpoints = [_endpoint(identity, host, group, each) for each in part.names or (ALL_INTERFACES,)]
            here = _labels(plan.space, part)
            first = len(objects) + len(endpoints)
            emitted += [
                replace(each, object_index=first + each.object_index, packets=each.packets & here)
                for each in rules
            ]
            objects += [*endpoints, *policies]
            logged |= {rule.number: rule for rule in written.logged}
            told += [_on(finding, here) for finding in findings(part.plan, written)]
        told += _lost_on_wildcards(plan, parts[-1], unnamed)
        for item in objects:
            VALIDATORS[item["apiVersion"], item["kind"]](item)
        return Fitted(_distinct(objects), tuple(emitted), tuple(_joined(told)), tuple(logged.values()))

    def read(
        self, objects: list[Object], identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """Reads the objects as Calico does for a host's own processes."""
        assert identity.interfaces is not None
        labels = {HOST_LABEL: policy_name(identity.name)[:63].rstrip("-.")}
        return read_host(objects, labels, identity.interfaces.label, space)


def _endpoint(identity: Identity, host: str, group: str, interface: str) -> Object:
    """The endpoint of an interface; what the host sends stays open, as a filter of INPUT leaves it."""
    shown = (
        "all"
        if interface == ALL_INTERFACES
        else re.sub("[^a-z0-9-]", "-", interface.lower()).strip("-") or "if"
    )
    return {
        "apiVersion": API_VERSION,
        "kind": "HostEndpoint",
        "metadata": {
            "name": f"{host[:220].rstrip('-.')}-{shown}",
            "labels": {HOST_LABEL: host[:63].rstrip("-."), INTERFACE_LABEL: group},
        },
        "spec": {
            "node": identity.pod_labels.get(HOSTNAME, identity.name),
            "interfaceName": interface,
            "profiles": [DEFAULT_ALLOW],
        },
    }


def _distinct(objects: list[Object]) -> tuple[Object, ...]:
    """Endpoints whose interfaces differ in letters that a name cannot have are told apart by a number."""
    met: dict[tuple[str, str], int] = {}
    for item in objects:
        key = (item["kind"], item["metadata"]["name"])
        met[key] = met.get(key, 0) + 1
        if met[key] > 1:
            item["metadata"]["name"] += f"-{met[key]}"
    return tuple(objects)


def _labels(space: PacketSpace, part: InterfacePlan) -> PacketSet:
    """The packets of the interfaces that a part is for; the last part is for all that have none."""
    result = space.nothing
    for label in part.labels:
        result |= space.value(Field.INTERFACE, label)
    if not part.names:
        result |= space.values(Field.INTERFACE, ((part.labels[-1], 0xFFFF),))
    return result


def _on(finding: Finding, here: PacketSet) -> Finding:
    predicted = tuple(replace(each, packets=each.packets & here) for each in finding.predicted)
    return replace(finding, predicted=predicted)


def _joined(told: list[Finding]) -> list[Finding]:
    """Findings of several interfaces that say the same, once."""
    result: dict[tuple[str, str, tuple[Rule, ...]], Finding] = {}
    for finding in told:
        key = (finding.code, finding.message, finding.rules)
        known = result.get(key)
        result[key] = (
            finding if known is None else replace(known, predicted=(*known.predicted, *finding.predicted))
        )
    return list(result.values())


def _lost_on_wildcards(plan: PolicyPlan, others: InterfacePlan, unnamed: list[str]) -> list[Finding]:
    """What interfaces that only a wildcard names accept beyond all the others."""
    if not unnamed:
        return []
    space = plan.space
    wanted = plan.allow_only().wanted & _labels(space, others)
    lost = wanted - others.plan.allow_only().wanted
    if not lost:
        return []
    shown = ", ".join(name.replace("+", "…") for name in unnamed[:8])
    rules = plan.provenance.rules_behind(lost)
    return [
        Finding(
            "N2P421",
            f"interfaces that rules name by a wildcard ({shown}) are filtered like all that are not named "
            f"({counted(rules)}: {lines_of(rules, plan.provenance.frames)})",
            remedy("N2P421"),
            tuple(rules),
            predicted=(Predicted(Difference.CLOSES, lost, SOURCE_CLASSES),),
        )
    ]
