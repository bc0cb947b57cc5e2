"""Policies that exist, proven against a ruleset: written by hand, by another tool, or by ipt2np some time ago."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ipt2np.cni.base import EXTERNAL, SOURCE_CLASSES, Cni, EmittedRule, Fitted, PolicyFault, Reading
from ipt2np.conversion import (
    Conversion,
    Draft,
    Options,
    Scope,
    platform_findings,
    prepare,
    target,
    with_platform,
)
from ipt2np.errors import InputError, Location, Problem, UsageError
from ipt2np.findings import Difference, Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.finding import Predicted
from ipt2np.findings.frames import by_frame
from ipt2np.packets import PacketSpace
from ipt2np.policies.loading import Policies
from ipt2np.policies.manifest import Manifest
from ipt2np.policies.matching import PolicyRule, is_policy, policy_rules
from ipt2np.policies.subjects import Subject, subjects
from ipt2np.proof import prove
from ipt2np.proof.assumed import as_assumed
from ipt2np.proof.ledger import ledger
from ipt2np.review.disagreements import disagreements
from ipt2np.rules.model import Ruleset
from ipt2np.semantics import Can, Decision

NOT_OF_EXISTING = frozenset({"N2P005", "N2P200", "N2P401", "N2P405"})
"""Findings about what a conversion would write."""


@dataclass(frozen=True)
class Verification:
    """The proof of policies that exist, as a conversion whose text they are, and what each of their rules matches."""

    conversion: Conversion
    policies: Policies
    rules: tuple[PolicyRule, ...]


def verify(
    rulesets: Sequence[Ruleset],
    policies: Policies,
    options: Options,
    also: Sequence[Ruleset] = (),
) -> Verification:
    """Policies against the rulesets of one host, for the pods of ``options.identity``.

    InputError where the policies do not go together; UsageError where options contradict each other.
    """
    options = replace(options, cni=policies.cni.name)
    prepared = prepare(rulesets, options, also)
    decision = prepared.decision
    cni = target(options)
    identity = replace(options.identity, interfaces=decision.interfaces)
    options = replace(options, identity=identity, cluster=cni.as_set(options.cluster))
    space = decision.space
    read = read_for(policies, cni, options, space)
    rules = policy_rules(policies.manifests, cni, identity, options.cluster, space)
    nobody = cni.read([], identity, options.cluster, space)
    selected = not all(_same(read[name], nobody[name]) for name in SOURCE_CLASSES)
    fitted = _as_fitted(policies, rules, decision)
    draft = Draft(options, cni, decision, prepared.plan, fitted, (), "")
    readings = with_platform(draft, read)
    readings = as_assumed(readings, options.assumptions, options.cluster, space)
    findings = by_frame(
        [
            *(_either_way(each) for each in prepared.findings if each.code not in NOT_OF_EXISTING),
            *platform_findings(decision, cni),
            *disagreements(decision, readings, rules, options.cluster, cni, selected=selected),
            *_about_policies(policies, cni, options, nobody, space, selected=selected),
        ],
        decision.frames,
    )
    findings.sort(key=lambda finding: (finding.code != "N2P504", -finding.severity))
    draft = replace(draft, findings=tuple(findings))
    proof = prove(decision, readings, findings, options.cluster)
    fates = ledger(decision, fitted, readings, options.cluster)
    return Verification(Conversion(draft, "", readings, proof, fates), policies, rules)


def read_for(policies: Policies, cni: Cni, options: Options, space: PacketSpace) -> Mapping[str, Reading]:
    """What the policies let through to the pods. InputError where they do not go together."""
    try:
        return cni.read(policies.objects, options.identity, options.cluster, space)
    except PolicyFault as fault:
        first = policies.manifests[0]
        raise InputError(
            [Problem(Location(first.file), "", str(fault), f"policies that {cni.name} takes together")]
        ) from None


def chosen_subject(policies: Policies) -> Subject:
    """The one subject of the policies. UsageError where they have several, or none that can be told by labels."""
    found = subjects(policies.manifests)
    if len(found) == 1:
        return found[0]
    if not found:
        raise UsageError(
            "--pod-selector: the policies do not name their pods by labels alone; say the labels of the pods that are meant"
        )
    shown = "; ".join(
        (f"--namespace {namespace} " if namespace else "")
        + "--pod-selector "
        + ",".join(f"{k}={v}" for k, v in labels)
        for namespace, labels in found[:8]
    )
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    raise UsageError(
        f"--pod-selector: the policies select different pods; say which are meant: {shown}{more}"
    )


def _either_way(finding: Finding) -> Finding:
    """What is undecided explains a policy that closes it and one that opens it."""
    if not finding.code.startswith("N2P2") and finding.code != "N2P008":
        return finding
    opens = tuple(
        Predicted(Difference.OPENS, each.packets, each.source_classes)
        for each in finding.predicted
        if each.effect is Difference.CLOSES
    )
    return replace(finding, predicted=finding.predicted + opens)


def _as_fitted(policies: Policies, rules: Sequence[PolicyRule], decision: Decision) -> Fitted:
    """The policies as if they had been fitted: which rules of the host stand behind each of their rules."""
    numbers = {id(each): number for number, each in enumerate(policies.manifests)}
    emitted = []
    for rule in rules:
        packets = rule.matches[EXTERNAL] & decision.judged
        what = Can.ACCEPT if rule.action == "allow" else Can.REFUSE
        behind = decision.provenance.behind(packets, what)
        emitted.append(EmittedRule(numbers[id(rule.manifest)], rule.path, packets, *behind))
    return Fitted(tuple(policies.objects), tuple(emitted), ())


def _about_policies(
    policies: Policies,
    cni: Cni,
    options: Options,
    nobody: Mapping[str, Reading],
    space: PacketSpace,
    *,
    selected: bool,
) -> Iterator[Finding]:
    """Policies that do not select the pods, that select nobody, and objects that are no policies."""
    labels = ",".join(f"{key}={value}" for key, value in sorted(options.identity.pod_labels.items()))
    whose = f"pods with {labels} in the namespace {options.identity.namespace}"
    if options.scope is Scope.HOST:
        whose = f"nodes with {labels}"
    if not selected:
        yield Finding(
            "N2P504",
            f"no policy for ingress selects {whose}: nothing keeps packets from them",
            remedy("N2P504"),
            file=policies.manifests[0].file,
        )
        return
    elsewhere = [
        each
        for each in policies.manifests
        if is_policy(each.object) and not _selects(each, cni, options, nobody, space)
    ]
    if elsewhere:
        yield _aside("N2P505", elsewhere, f"keeps nothing from {whose}", f"keep nothing from {whose}")
    if policies.set_aside:
        yield _aside("N2P506", policies.set_aside, "is no policy", "are no policies")


def _selects(
    manifest: Manifest, cni: Cni, options: Options, nobody: Mapping[str, Reading], space: PacketSpace
) -> bool:
    """True where the policy by itself changes what reaches the pods, or cannot be read by itself."""
    try:
        alone = cni.read([manifest.object], options.identity, options.cluster, space)
    except PolicyFault:
        return True
    return not all(_same(alone[name], nobody[name]) for name in SOURCE_CLASSES)


def _same(one: Reading, two: Reading) -> bool:
    return one.admits == two.admits and one.undefined == two.undefined


def _aside(code: str, manifests: Sequence[Manifest], one: str, several: str) -> Finding:
    first = manifests[0]
    more = f" and {len(manifests) - 1} more" if len(manifests) > 1 else ""
    verb = several if len(manifests) > 1 else one
    return Finding(code, f"{first.pointer}{more} {verb}", remedy(code), file=first.file, line=first.span()[0])
