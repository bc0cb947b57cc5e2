"""What ``ipt2np`` offers to programs. Its ``__init__`` loads this when one of these names is first asked for."""

from __future__ import annotations

from ipt2np.cni.base import Fitted, Identity, Reading
from ipt2np.cni.registry import CNIS
from ipt2np.cni.render import render
from ipt2np.conversion import Conversion, Draft, Options, OtherFamily, conclude, convert, draft
from ipt2np.errors import InputError, InternalError, Location, Problem, UsageError
from ipt2np.findings import CATALOGUE, Difference, Finding, Severity
from ipt2np.packets import AddressSet, Field, PacketMap, PacketSet, PacketSpace, PortSet
from ipt2np.planning import InDoubt, PolicyPlan, translate
from ipt2np.proof import Proof, Verdict, prove
from ipt2np.proof.ledger import Fate, Ledger, ledger
from ipt2np.rules.assumptions import Assumptions
from ipt2np.rules.meaning import Half
from ipt2np.rules.model import Rule, Ruleset
from ipt2np.semantics import Can, Decision, Facts, decide
from ipt2np.syntax.dump import parse_ruleset, parse_rulesets

__all__ = [
    "CATALOGUE",
    "CNIS",
    "AddressSet",
    "Assumptions",
    "Can",
    "Conversion",
    "Decision",
    "Difference",
    "Draft",
    "Facts",
    "Fate",
    "Field",
    "Finding",
    "Fitted",
    "Half",
    "Identity",
    "InDoubt",
    "InputError",
    "InternalError",
    "Ledger",
    "Location",
    "Options",
    "OtherFamily",
    "PacketMap",
    "PacketSet",
    "PacketSpace",
    "PolicyPlan",
    "PortSet",
    "Problem",
    "Proof",
    "Reading",
    "Rule",
    "Ruleset",
    "Severity",
    "UsageError",
    "Verdict",
    "conclude",
    "convert",
    "decide",
    "draft",
    "ledger",
    "parse_ruleset",
    "parse_rulesets",
    "prove",
    "render",
    "translate",
]
