"""Words that the forms of a test plan share."""

from __future__ import annotations

from collections.abc import Sequence

from ipt2np.rules.model import Rule
from ipt2np.testplan.case import ProbeCase, TestPlan
from ipt2np.text import printable

SHOWN_RULES = 2
FILE_WIDTH = 60


def place(rule: Rule) -> str:
    """Where a rule stands, as ``rules.v4:7``."""
    return f"{printable(rule.location.file, FILE_WIDTH)}:{rule.location.line}"


def places(rules: Sequence[Rule]) -> str:
    """Where the first rules stand, and how many more there are."""
    told = ", ".join(place(rule) for rule in rules[:SHOWN_RULES])
    return told + (f" and {len(rules) - SHOWN_RULES} more" if len(rules) > SHOWN_RULES else "")


def behind(case: ProbeCase) -> str:
    """What decided on the host: where the rules stand, or the built-in policies."""
    return places(case.rules) or ", ".join(case.policies)


def rule_text(case: ProbeCase) -> str:
    """The first rule behind the host's answer with its text, or the built-in policy; one line."""
    if case.rules:
        return f"{places(case.rules)} {printable(case.rules[0].text)}"
    return ", ".join(case.policies)


def why(case: ProbeCase) -> str:
    """Why the case is in the plan: the first reason, with what is beyond a boundary."""
    first = case.reasons[0]
    codes = f" [{', '.join(first.findings)}]" if first.findings else ""
    beyond = (
        f"; beyond it {places(first.beyond)} decide{'s' if len(first.beyond) == 1 else ''}"
        if first.beyond
        else ""
    )
    return f"{first.text}{codes}{beyond}"


def left_out(plan: TestPlan) -> str:
    """How much is missing, as a sentence; empty where nothing is."""
    if not plan.left_out:
        return ""
    more = "more than " if plan.left_out_more else ""
    return f"{more}{plan.left_out} boundaries and parts of the answers are left out; --max takes more probes"
