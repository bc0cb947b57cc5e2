"""A test plan as a test file of netassert v2, which probes pods from pods.

What its loader asks for: https://github.com/controlplaneio/netassert, internal/data/types.go. A test passes where the
exit code of its container is the given one: the TCP client's is 1 where it could not connect, the UDP sniffer's is
1 where nothing arrived. Sources are pods alone, and the client's ``HOST:PORT`` takes no IPv6 address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from ipt2np.cni.base import POD
from ipt2np.testplan.answers import CLIENT_PORTS
from ipt2np.testplan.case import OnPod, ProbeCase, TestPlan
from ipt2np.testplan.words import left_out, rule_text
from ipt2np.text import printable

KINDS = ("deployment", "statefulset", "daemonset", "pod")
PROTOCOLS = ("tcp", "udp")
ATTEMPTS = 3
TIMEOUT_SECONDS = 67
"""For the container to be started, and three attempts five seconds apart (the value of netassert's own examples)."""
EXIT_CODES = {OnPod.ADMITTED: 0, OnPod.REFUSED: 1}


@dataclass(frozen=True, slots=True)
class Resource:
    """A workload that netassert looks up: kind, name, namespace."""

    kind: str
    name: str
    namespace: str

    def data(self) -> dict[str, Any]:
        """As the file has it."""
        return {"k8sResource": {"kind": self.kind, "name": self.name, "namespace": self.namespace}}


def netassert_tests(plan: TestPlan, title: str, source: Resource, target: Resource) -> str:
    """The file: a comment that says what could not be written and why, and a test for each service that could."""
    written: dict[tuple[str, int], ProbeCase] = {}
    missing: dict[str, int] = {}
    for case in plan.cases:
        why = _why_not(case)
        key = (case.protocol, case.port or 0)
        if not why and key in written:
            why = "ask for a service that another test asks for"
        if why:
            missing[why] = missing.get(why, 0) + 1
        else:
            written[key] = case
    lines = [*_heading(plan, title, len(written), missing), ""]
    for case in written.values():
        lines.append(f"# {rule_text(case)}")
        test = yaml.safe_dump([_test(case, source, target)], sort_keys=False, default_flow_style=False)
        lines.append(test.rstrip("\n"))
    if not written:
        lines.append("[]")
    return "\n".join(lines) + "\n"


def _heading(plan: TestPlan, title: str, written: int, missing: dict[str, int]) -> Iterator[str]:
    yield f"# {printable(title)}"
    yield f"# {written} of {len(plan.cases)} probes of the test plan are tests here."
    for why, count in sorted(missing.items(), key=lambda item: -item[1]):
        yield f"# {count} {why}."
    if plan.left_out:
        yield f"# {left_out(plan)}."
    yield "# A TCP test needs something that listens on the port, in every pod of the destination."


def _why_not(case: ProbeCase) -> str:
    """Why netassert cannot ask for the case; empty where it can."""
    if case.source_class != POD:
        return "are sent by what is no pod"
    if case.protocol not in PROTOCOLS:
        return "are neither TCP nor UDP"
    if case.packet.family != 4:
        return "are IPv6, which netassert's client cannot send"
    if case.pod is OnPod.UNDEFINED:
        return "have no expected answer"
    if case.source_port is not None and not CLIENT_PORTS[0] <= case.source_port <= CLIENT_PORTS[1]:
        return "are sent from a port of their own"
    return "" if case.everywhere else "are answered by the address of the pod that sends them"


def _test(case: ProbeCase, source: Resource, target: Resource) -> dict[str, Any]:
    return {
        "name": f"{target.name}-{case.protocol}-{case.port}-{case.pod.value}",
        "type": "k8s",
        "protocol": case.protocol,
        "targetPort": case.port,
        "timeoutSeconds": TIMEOUT_SECONDS,
        "attempts": ATTEMPTS,
        "exitCode": EXIT_CODES[case.pod],
        "src": source.data(),
        "dst": target.data(),
    }
