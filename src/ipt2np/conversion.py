"""The whole way, stage by stage: rulesets to a policy that is proven against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from ipt2np.cni.base import Cluster, Cni, Fitted, Identity, PlatformEffect, PolicyFault, Reading
from ipt2np.cni.registry import CNIS, HOSTS
from ipt2np.cni.render import render
from ipt2np.errors import InternalError, TargetLimit, UsageError
from ipt2np.findings import Finding
from ipt2np.findings.catalogue import remedy
from ipt2np.findings.collect import decision_findings
from ipt2np.findings.frames import by_frame, frame_findings
from ipt2np.findings.hostfacts import fact_findings
from ipt2np.findings.stateless import stateless_findings
from ipt2np.findings.wording import protocols_text
from ipt2np.packets import Field, PacketSet
from ipt2np.planning import InDoubt, PolicyPlan, translate
from ipt2np.proof import Proof, prove
from ipt2np.proof.assumed import as_assumed
from ipt2np.proof.ledger import Ledger, ledger
from ipt2np.rules.assumptions import Assumptions
from ipt2np.rules.matches.set import sets_named
from ipt2np.rules.model import Ruleset
from ipt2np.semantics import Decision, Facts, decide


class Scope(Enum):
    """Whose filter the policy is to be."""

    POD = "pod"
    """Of the pods that replace the host."""
    HOST = "host"
    """Of the host itself, where it stays and becomes a node."""


class OtherFamily(Enum):
    """What becomes of the family that no ruleset was given for."""

    DENY = "deny"
    SAME = "same"


@dataclass(frozen=True)
class Options:
    """What the user chose; the defaults are those of the command line."""

    identity: Identity = field(
        default_factory=lambda: Identity("host", "default", {"app.kubernetes.io/name": "host"})
    )
    placeholder_selector: bool = False
    """True where nobody said which pods are meant."""
    cni: str = "kubernetes"
    scope: Scope = Scope.POD
    in_doubt: InDoubt = InDoubt.DENY
    other_family: OtherFamily = OtherFamily.DENY
    assumptions: Assumptions = field(default_factory=Assumptions)
    facts: Facts = field(default_factory=Facts)
    cluster: Cluster = field(default_factory=Cluster)
    version: str = ""
    templates: Path | None = None
    """A folder whose templates stand in for those of the same name."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Packets that the host refuses and the platform lets in whatever a policy says."""

    effect: PlatformEffect
    packets: PacketSet


@dataclass(frozen=True)
class Draft:
    """Everything up to the YAML text, which nobody has checked yet."""

    options: Options
    cni: Cni
    decision: Decision
    plan: PolicyPlan
    fitted: Fitted
    findings: tuple[Finding, ...]
    text: str

    def opened(self) -> tuple[Opened, ...]:
        """What the platform lets in beside the policy and against the host."""
        return tuple(_opened(self.decision, self.cni))


@dataclass(frozen=True)
class Conversion:
    """A policy, its proof, and the account of every rule."""

    draft: Draft
    text: str
    readings: Mapping[str, Reading]
    proof: Proof
    ledger: Ledger

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, the ones that matter most first."""
        return self.draft.findings


@dataclass(frozen=True)
class Prepared:
    """What is the same whatever the target: the decision, the plan, and what there is to say of them."""

    options: Options
    decision: Decision
    plan: PolicyPlan
    findings: tuple[Finding, ...]
    files: str
    """Names of the rulesets' files."""
    source: str
    """The same with their digests."""


def prepare(rulesets: Sequence[Ruleset], options: Options, also: Sequence[Ruleset] = ()) -> Prepared:
    """Decide and translate. UsageError where options contradict each other.

    ``also`` are rulesets loaded beside them on the same host: packets must be accepted by all.
    """
    check_subjects(options.assumptions, (*rulesets, *also))
    decision = decide(
        rulesets,
        options.assumptions,
        options.facts,
        also=also,
        same_for_other_family=options.other_family is OtherFamily.SAME,
        by_interface=options.scope is Scope.HOST and target(options).by_interface,
    )
    every = (*rulesets, *also)
    return Prepared(
        options,
        decision,
        translate(decision, options.in_doubt),
        (
            *decision_findings(decision, options.in_doubt),
            *fact_findings(decision),
            *stateless_findings(decision),
            *frame_findings(decision),
            *_selector_findings(options),
        ),
        ", ".join(dict.fromkeys(ruleset.file for ruleset in every)),
        ", ".join(dict.fromkeys(f"{ruleset.file} sha256:{ruleset.sha256[:16]}" for ruleset in every)),
    )


def fitted_to(prepared: Prepared, cni: Cni) -> Draft:
    """The objects of one target, and their text."""
    options, decision = prepared.options, prepared.decision
    identity = replace(options.identity, interfaces=decision.interfaces)
    options = replace(options, identity=identity, cluster=cni.as_set(options.cluster))
    fitted = cni.fit(prepared.plan, identity, options.cluster, prepared.source)
    findings = by_frame(
        [
            *prepared.findings,
            *_scope_findings(options),
            *platform_findings(decision, cni),
            *fitted.findings,
        ],
        decision.frames,
    )
    findings.sort(key=lambda finding: (finding.code != "N2P200", -finding.severity))
    whose = "the pods that replace the host" if options.scope is Scope.POD else "the host itself"
    header = f"{prepared.files}: INPUT as ingress of {whose}; made by ipt2np {options.version}"
    text = render(cni, fitted, header.rstrip(), decision.frames, options.templates)
    return Draft(options, cni, decision, prepared.plan, fitted, tuple(findings), text)


def draft(rulesets: Sequence[Ruleset], options: Options, also: Sequence[Ruleset] = ()) -> Draft:
    """Decide, translate, fit and render. UsageError where options contradict each other.

    ``also`` are rulesets loaded beside them on the same host: packets must be accepted by all.
    """
    return fitted_to(prepare(rulesets, options, also), target(options))


def target(options: Options) -> Cni:
    """The target that the options name. UsageError where the CNI has no policies for hosts."""
    if options.scope is Scope.POD:
        return CNIS[options.cni]
    if options.cni not in HOSTS:
        raise UsageError(f"--scope host: {options.cni} does not filter hosts; {', '.join(HOSTS)} do")
    return HOSTS[options.cni]


def check_subjects(assumptions: Assumptions, rulesets: Sequence[Ruleset]) -> None:
    """UsageError where an assumption is about a rule or an ipset that no ruleset has."""
    lines = {f"rule:{rule.location.line}" for ruleset in rulesets for rule in ruleset.rules}
    lines |= {f"rule:{rule.location.file}:{rule.location.line}" for r in rulesets for rule in r.rules}
    sets = {f"set:{name}" for ruleset in rulesets for name in sets_named(ruleset)}
    for identifier in assumptions.chosen:
        if identifier.startswith("rule:") and identifier not in lines:
            raise UsageError(f"--assume {identifier}=…: there is no rule at that line")
        if identifier.startswith("set:") and identifier not in sets:
            known = ", ".join(sorted(each[4:] for each in sets)) or "none"
            raise UsageError(
                f"--assume {identifier}=…: no rule tests an ipset of that name; the rules name {known}"
            )


def _selector_findings(options: Options) -> list[Finding]:
    if not options.placeholder_selector:
        return []
    labels = ", ".join(f"{key}: {value}" for key, value in options.identity.pod_labels.items())
    return [
        Finding("N2P401", f"the pod selector {labels} is a placeholder made from the name", remedy("N2P401"))
    ]


def _scope_findings(options: Options) -> list[Finding]:
    if options.scope is Scope.POD:
        return []
    message = (
        "the policy filters the node itself, also what keeps the cluster and your own access to it going"
    )
    return [Finding("N2P422", message, remedy("N2P422"))]


def _opened(decision: Decision, cni: Cni) -> Iterator[Opened]:
    for effect in cni.platform:
        if effect.packets is not None:
            packets = effect.packets(decision.space) & (decision.judged - decision.may_accept)
            if decision.interfaces is not None:
                packets = packets.some(Field.INTERFACE)
            if packets:
                yield Opened(effect, packets)


def platform_findings(decision: Decision, cni: Cni) -> list[Finding]:
    """What the platform does whatever the policy says: whose address it shows, and what it lets in."""
    return [
        Finding(
            "N2P107",
            f"{decision.assumptions.statement('client-address')}. Otherwise: {cni.client_address}",
            remedy("N2P107"),
        ),
        *(
            Finding(
                "N2P415",
                f"{each.effect.statement}, whatever a policy says; the host refuses {protocols_text(each.packets)}",
                remedy("N2P415"),
            )
            for each in _opened(decision, cni)
        ),
    ]


def with_platform(drafted: Draft, readings: Mapping[str, Reading]) -> Mapping[str, Reading]:
    """The readings with what the platform lets in of the packets that the host accepts: no policy closes those."""
    held = drafted.cni.always(drafted.decision.space) & drafted.decision.must_accept
    return {name: Reading(each.admits | held, each.undefined) for name, each in readings.items()}


def conclude(drafted: Draft, text: str) -> Conversion:
    """Read ``text`` back as the target reads it and prove it against the decision.

    InternalError where the target would refuse the text, or where it differs from the ruleset in a way that
    no finding predicts: then nothing may be written.
    """
    options = drafted.options
    try:
        readings = drafted.cni.interpret(text, options.identity, options.cluster, drafted.decision.space)
    except PolicyFault as fault:
        raise InternalError(f"the emitted policy is not valid: {fault}") from None
    readings = with_platform(drafted, readings)
    readings = as_assumed(readings, options.assumptions, options.cluster, drafted.decision.space)
    proof = prove(drafted.decision, readings, drafted.findings, options.cluster)
    fates = ledger(drafted.decision, drafted.fitted, readings, options.cluster)
    return Conversion(drafted, text, readings, proof, fates)


def compare(
    rulesets: Sequence[Ruleset], options: Options, also: Sequence[Ruleset] = ()
) -> Iterator[tuple[Cni, Conversion | TargetLimit]]:
    """The same rulesets for every target, decided once: each proven as by ``convert``, or the limit that forbids it."""
    prepared = prepare(rulesets, options, also)
    for cni in CNIS.values():
        try:
            drafted = fitted_to(prepared, cni)
        except TargetLimit as limit:
            yield cni, limit
        else:
            yield cni, conclude(drafted, drafted.text)


def convert(
    rulesets: Sequence[Ruleset], options: Options | None = None, also: Sequence[Ruleset] = ()
) -> Conversion:
    """One host's rulesets (at most one a family) as a policy that is proven against them.

    ``also`` are rulesets loaded beside them on the same host (the other iptables backend).
    """
    drafted = draft(rulesets, options or Options(), also)
    return conclude(drafted, drafted.text)
