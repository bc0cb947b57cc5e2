"""Verdicts, differences and who they are about, in words that every format shares."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.cni.base import EXTERNAL, NODE, POD, Cluster
from ipt2np.conversion import Conversion
from ipt2np.findings.wording import protocols_text
from ipt2np.proof.boxes import services_text, sources_text
from ipt2np.proof.prove import Proof, ProvenDifference, Verdict
from ipt2np.text import printable

MEANINGS: Mapping[Verdict, str] = {
    Verdict.EQUAL: "the policy admits exactly what iptables accepts",
    Verdict.NARROWER: "the policy admits nothing that iptables refuses, but less than it may accept",
    Verdict.WIDER: "the policy admits more than iptables certainly accepts",
    Verdict.DIFFERS: "the policy admits both less and more than iptables",
}
"""What a verdict says of a policy."""


COMPARED: Mapping[Verdict, str] = {
    Verdict.EQUAL: "both admit the same packets",
    Verdict.NARROWER: "the second admits less",
    Verdict.WIDER: "the second admits more",
    Verdict.DIFFERS: "the second admits some packets more and some less",
}
"""What a verdict says of two sides."""


def verdict_text(conversion: Conversion) -> str:
    """The verdict, with what the platform opens besides: ``equal; the platform also opens ICMP``."""
    return conversion.proof.verdict.value + also_opened(conversion)


def also_opened(conversion: Conversion) -> str:
    """What the platform lets in beside the policy and against the host, as the end of a verdict."""
    opened = conversion.draft.decision.space.nothing
    for each in conversion.draft.opened():
        opened |= each.packets
    return f"; the platform also opens {protocols_text(opened)}" if opened else ""


def about(proof: Proof, scope: str, cluster: Cluster) -> str:
    """Which connections the verdict is about."""
    return f"{scope} from outside the cluster" if inside(proof, cluster) else f"{scope}, whoever sends it"


def inside(proof: Proof, cluster: Cluster) -> str:
    """The verdicts on sources inside the cluster; empty where nothing else is said of them than of external ones."""
    apart = {difference.source_class for difference in proof.differences}
    told: dict[str, list[str]] = {}
    for name, declared in ((POD, cluster.pod_cidrs), (NODE, cluster.node_cidrs)):
        verdict = proof.by_class.get(name)
        if verdict is not proof.verdict or name in apart:
            sure = "" if declared or verdict is Verdict.EQUAL else "maybe "
            said = f"{sure}{verdict.value}" if verdict else "not defined"
            told.setdefault(said, []).append(f"{name}s")
    return ", ".join(f"from {' and '.join(names)} {said}" for said, names in told.items())


def difference_text(difference: ProvenDifference) -> str:
    """One difference on one line: who the sources are where they are not external, and the findings that explain it."""
    box = difference.box
    sources = sources_text(box)
    if difference.source_class != EXTERNAL:
        sources += f" ({difference.source_class}s)"
    if box.interface:
        sources += f" on {box.interface}"
    sure = "" if difference.certain else "maybe "
    codes = f" [{', '.join(difference.findings)}]" if difference.findings else ""
    return printable(f"{sure}{difference.effect.value} {services_text(box)} from {sources}{codes}")
