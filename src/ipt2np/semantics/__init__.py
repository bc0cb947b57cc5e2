"""What a ruleset does to packets: walking it as the kernel does, and the decision that comes out."""

from ipt2np.semantics.decide import Decision, decide
from ipt2np.semantics.facts import Facts
from ipt2np.semantics.outcomes import Can, Outcomes

__all__ = ["Can", "Decision", "Facts", "Outcomes", "decide"]
