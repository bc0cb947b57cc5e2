"""The proof: what the emitted policy admits against what the kernel accepts."""

from ipt2np.proof.prove import Proof, Verdict, prove

__all__ = ["Proof", "Verdict", "prove"]
