"""Findings: what a reader must know, one for each cause, and the packets that each predicts."""

from ipt2np.findings.catalogue import CATALOGUE, Code, Severity
from ipt2np.findings.finding import Difference, Finding, Predicted

__all__ = ["CATALOGUE", "Code", "Difference", "Finding", "Predicted", "Severity"]
