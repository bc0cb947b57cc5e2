"""ipt2np: the packet filter of a legacy Linux host as Kubernetes network policy, proven.

The stages, each usable alone, in the order in which data flows::

    ruleset = parse_ruleset(Path("rules.v4").read_bytes(), "rules.v4")     text → Ruleset
    decision = decide([ruleset])                                           Ruleset → Decision
    plan = translate(decision)                                             Decision → PolicyPlan
    fitted = CNIS["kubernetes"].fit(plan, identity, "rules.v4")            PolicyPlan → objects
    text = render(CNIS["kubernetes"], fitted, "a header")                  objects → YAML
    readings = CNIS["kubernetes"].interpret(text, identity, decision.space)  YAML → what it lets through
    proof = prove(decision, readings, fitted.findings)                     both → Proof

``convert`` goes the whole way.
"""

from importlib.metadata import PackageNotFoundError, version

from ipt2np.cni.base import Fitted, Identity, Reading
from ipt2np.cni.registry import CNIS
from ipt2np.cni.render import render
from ipt2np.conversion import Conversion, Draft, Options, OtherFamily, conclude, convert, draft
from ipt2np.errors import InputError, InternalError, Location, Problem, UsageError
from ipt2np.findings import CATALOGUE, Difference, Finding, Severity
from ipt2np.packets import AddressSet, Field, PacketMap, PacketSet, PacketSpace, PortSet
from ipt2np.planning import InDoubt, PolicyPlan, translate
from ipt2np.proof import Proof, Verdict, prove
from ipt2np.reporting.ledger import Fate, Ledger, ledger
from ipt2np.rules.assumptions import Assumptions
from ipt2np.rules.meaning import Half
from ipt2np.rules.model import Rule, Ruleset
from ipt2np.semantics import Can, Decision, Facts, decide
from ipt2np.syntax.dump import parse_ruleset, parse_rulesets

try:
    __version__ = version("ipt2np")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

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
    "__version__",
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
