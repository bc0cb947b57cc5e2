"""What each rule of existing policies matches by itself, whatever stands around it.

A rule is read alone, in its own object, as the target reads objects; what it changes there is what it matches. So no reader
has to be written twice, and a rule's packets are those of the same code that reads the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ipt2np.cni.base import SOURCE_CLASSES, Cluster, Cni, Identity, Object, PolicyFault, Reading
from ipt2np.packets import PacketSet, PacketSpace
from ipt2np.policies.manifest import Manifest, Path, pointer_to


@dataclass(frozen=True)
class PolicyRule:
    """A rule of a policy that selects the pods."""

    manifest: Manifest
    path: Path
    action: str
    """``allow``, ``deny``, ``pass``, ``log``."""
    matches: Mapping[str, PacketSet]
    """By source class, the packets that it matches, those for which its target's documents leave it open included."""

    @property
    def pointer(self) -> str:
        """``NetworkPolicy/default/web#/spec/ingress/0``"""
        return pointer_to(self.manifest.object, self.path)

    @property
    def place(self) -> tuple[str, int]:
        """File and first line."""
        return self.manifest.file, self.manifest.span(self.path)[0]


@dataclass(frozen=True)
class _Listing:
    """A list of rules of a kind: where it stands, what a rule does, how a rule is made to show what it matches."""

    path: Path
    action: Callable[[Object], str]
    alone: Callable[[Object], Object]
    """The rule as one that changes what the object without rules lets through."""
    under: Path = ()
    """The list that it is read in, where that is another one."""


def _allows(rule: Object) -> str:
    return "allow"


def _denies(rule: Object) -> str:
    return "deny"


def _as_it_is(rule: Object) -> Object:
    return rule


def _action(rule: Object) -> str:
    words = {"allow": "allow", "deny": "deny", "drop": "deny", "reject": "deny", "pass": "pass", "log": "log"}
    return words.get(str(rule.get("action", "")).lower(), "allow")


def _allowing(rule: Object) -> Object:
    return {**rule, "action": "Allow"}


def _dropping(rule: Object) -> Object:
    return {**rule, "action": "Drop"}


_INGRESS: Path = ("spec", "ingress")
_CALICO = (_Listing(_INGRESS, _action, _allowing),)
_CILIUM = (
    _Listing(_INGRESS, _allows, _as_it_is),
    _Listing(("spec", "ingressDeny"), _denies, _as_it_is, _INGRESS),
)
_ANTREA = (_Listing(_INGRESS, _action, _dropping),)
_LISTINGS: Mapping[tuple[str, str], tuple[_Listing, ...]] = {
    ("networking.k8s.io", "NetworkPolicy"): (_Listing(_INGRESS, _allows, _as_it_is),),
    ("projectcalico.org", "NetworkPolicy"): _CALICO,
    ("projectcalico.org", "GlobalNetworkPolicy"): _CALICO,
    ("cilium.io", "CiliumNetworkPolicy"): _CILIUM,
    ("cilium.io", "CiliumClusterwideNetworkPolicy"): _CILIUM,
    ("crd.antrea.io", "NetworkPolicy"): _ANTREA,
    ("crd.antrea.io", "ClusterNetworkPolicy"): _ANTREA,
}
"""By API group and kind, the lists of rules for ingress."""


def policy_rules(
    manifests: tuple[Manifest, ...], cni: Cni, identity: Identity, cluster: Cluster, space: PacketSpace
) -> tuple[PolicyRule, ...]:
    """The rules of the policies that select the pods and match some packet, in the order of the files."""
    support = [each.object for each in manifests if not is_policy(each.object)]
    found: list[PolicyRule] = []
    for manifest in manifests:
        for each, listing in _specs(manifest):
            bare = _emptied(each)
            try:
                without = cni.read([*support, bare], identity, cluster, space)
            except PolicyFault:
                continue
            for place, rule in enumerate(_value(each, listing.path)):
                path = _origin(manifest, listing.path, each, place)
                target = listing.under or listing.path
                try:
                    only = _with(bare, target, [listing.alone(rule)])
                    reading = cni.read([*support, only], identity, cluster, space)
                except PolicyFault:
                    continue
                matches = {name: _changed(without[name], reading[name]) for name in SOURCE_CLASSES}
                if any(matches.values()):
                    found.append(PolicyRule(manifest, path, listing.action(rule), matches))
    return tuple(found)


def acting(rules: Iterable[PolicyRule], action: str) -> tuple[PolicyRule, ...]:
    """The rules that may be why packets are let in (``allow``) or kept out (``deny``): passing on can lead to both."""
    return tuple(each for each in rules if each.action in (action, "pass"))


def is_policy(each: Object) -> bool:
    """True for an object that has rules; others (network sets, groups, tiers) are what rules refer to."""
    return _key(each) in _LISTINGS


_OTHERS = ("ingressDeny", "egress", "egressDeny", "enableDefaultDeny")
"""What else of a spec lets in, refuses or isolates."""


def _key(each: Object) -> tuple[str, str]:
    return str(each.get("apiVersion")).partition("/")[0], str(each.get("kind"))


def _specs(manifest: Manifest) -> Iterator[tuple[Object, _Listing]]:
    """The object by itself, or by each of Cilium's ``specs``, with each of its lists of rules."""
    whole = manifest.object
    listings = _LISTINGS.get(_key(whole), ())
    several = whole.get("specs")
    specs = [whole.get("spec"), *(several if isinstance(several, list) else [])]
    for spec in specs:
        if spec and _for_ingress(spec):
            each = {key: value for key, value in whole.items() if key != "specs"} | {"spec": spec}
            for listing in listings:
                yield each, listing


def _for_ingress(spec: Object) -> bool:
    """False where the spec says that it is for egress alone, whatever rules it has."""
    types = [found for key in ("policyTypes", "types") if (found := spec.get(key))]
    return all("Ingress" in found for found in types)


def _origin(manifest: Manifest, path: Path, each: Object, place: int) -> Path:
    """Where a rule stands in the object as it was written."""
    specs = manifest.object.get("specs") or []
    number = next((index for index, spec in enumerate(specs) if spec is each["spec"]), None)
    return (*path, place) if number is None else ("specs", number, *path[1:], place)


def _emptied(each: Object) -> Object:
    """The object with an empty list of ingress rules and nothing else that could let in or refuse."""
    spec = {key: value for key, value in each["spec"].items() if key not in _OTHERS}
    if _key(each)[0] == "projectcalico.org":
        # The default tier ends with Deny, others may end with Pass: there a rule that allows would show nothing.
        spec.pop("tier", None)
    types = {key: ["Ingress"] for key in ("policyTypes", "types") if key in spec}
    if _key(each)[0] == "cilium.io":
        # A section without rules isolates nobody; one that matches nothing does.
        return {**each, "spec": {**spec, **types, "ingress": [{}]}}
    return {**each, "spec": {**spec, **types, "ingress": []}}


def _with(each: Object, path: Path, rules: list[Any]) -> Object:
    return {**each, "spec": {**each["spec"], str(path[-1]): rules}}


def _value(each: Object, path: Path) -> list[Any]:
    found = each["spec"].get(path[-1])
    return found if isinstance(found, list) else []


def _changed(before: Reading, after: Reading) -> PacketSet:
    return (
        (after.admits - before.admits)
        | (before.admits - after.admits)
        | (after.undefined - before.undefined)
        | (before.undefined - after.undefined)
    )
