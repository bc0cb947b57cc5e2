"""A test plan as a POSIX shell script of ``nc`` and ``ping`` probes."""

from __future__ import annotations

import re

from ipt2np.resources import read_template
from ipt2np.testplan.case import ProbeCase, TestPlan
from ipt2np.testplan.words import left_out, rule_text
from ipt2np.text import printable

NONE = "-"


def shell_script(plan: TestPlan, title: str) -> str:
    """The script: its text for any POSIX shell. ``title`` says in one line what is tested."""
    header = [f"# {printable(title)}"]
    if plan.left_out:
        header.append(f"# {left_out(plan)}.")
    parts = {
        "@HEADER@": "\n".join(header),
        "@COUNT@": str(len(plan.cases)),
        "@PROBES@": "\n".join(map(_probe, plan.cases)),
    }
    return re.sub("|".join(parts), lambda found: parts[found[0]], read_template("testplan.sh"))


def _probe(case: ProbeCase) -> str:
    """One call of ``probe`` in the script; what an input may have chosen is quoted."""
    words: tuple[object, ...] = (
        case.source_class,
        case.packet.family,
        case.source,
        case.protocol,
        case.port,
        case.host_port,
        case.source_port,
        case.icmp,
        case.host.value,
        case.how.value if case.how else None,
        case.pod.value,
    )
    return " ".join(
        ["probe", *(NONE if word is None else str(word) for word in words), quoted(rule_text(case))]
    )


def quoted(text: str) -> str:
    """``text`` as one word of a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
