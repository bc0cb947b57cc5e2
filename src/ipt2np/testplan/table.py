"""A test plan as a table for people at a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ipt2np.cni.base import EXTERNAL
from ipt2np.testplan.case import OnHost, OnPod, ProbeCase, TestPlan
from ipt2np.testplan.words import behind, left_out, why
from ipt2np.text import printable

WIDE, MEDIUM = 130, 90
"""Columns from which on there is room for why a probe is asked, and for the rules behind it."""

_HOST_STYLES = {OnHost.ACCEPTED: "green", OnHost.REFUSED: "red", OnHost.UNDECIDED: "yellow"}
_POD_STYLES = {OnPod.ADMITTED: "green", OnPod.REFUSED: "red", OnPod.UNDEFINED: "yellow"}
_SAME = {(OnHost.ACCEPTED, OnPod.ADMITTED), (OnHost.REFUSED, OnPod.REFUSED)}


def show_plan(console: Console, plan: TestPlan, title: str) -> None:
    """Prints the plan, as many columns of it as the console is wide; an answer that is not the same on both is bold."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("from", overflow="fold")
    table.add_column("to", overflow="fold")
    table.add_column("old host", no_wrap=True)
    table.add_column("new pod", no_wrap=True)
    if console.width >= MEDIUM:
        table.add_column("decided by", overflow="fold", max_width=40)
    if console.width >= WIDE:
        table.add_column("why", overflow="fold")
    for number, case in enumerate(plan.cases, start=1):
        cells = [Text(str(number)), Text(_source(case)), Text(service(case)), *_answers(case)]
        if console.width >= MEDIUM:
            cells.append(Text(behind(case), style="dim"))
        if console.width >= WIDE:
            cells.append(Text(why(case), style="dim"))
        table.add_row(*cells)
    console.print(Text(printable(title), style="bold"))
    console.print(table)
    if plan.left_out:
        console.print(Text(left_out(plan)))


def _source(case: ProbeCase) -> str:
    told = case.source if case.source_class == EXTERNAL else f"{case.source} ({case.source_class})"
    return told if case.source_port is None else f"{told} port {case.source_port}"


def service(case: ProbeCase) -> str:
    """What is asked for, as ``tcp 22`` or ``icmp 8/0``."""
    if case.port is not None:
        return f"{case.protocol} {case.port}"
    if case.icmp is not None:
        return f"{case.protocol} {case.icmp}"
    return f"protocol {case.protocol}" if case.protocol.isdigit() else case.protocol


def _answers(case: ProbeCase) -> tuple[Text, Text]:
    strong = "" if (case.host, case.pod) in _SAME else "bold "
    how = f", {case.how.value}" if case.how else ""
    if case.port is not None and case.host_port != case.port:
        how += f" (asked on {case.host_port})" if case.host_port else " (not reachable)"
    return (
        Text(case.host.value + how, style=strong + _HOST_STYLES[case.host]),
        Text(case.pod.value, style=strong + _POD_STYLES[case.pod]),
    )
