"""From a decision to a plan that any target could carry out."""

from ipt2np.planning.plan import Allowance, InDoubt, LogTrail, PlanEffect, PlanEntry, PolicyPlan, translate

__all__ = ["Allowance", "InDoubt", "LogTrail", "PlanEffect", "PlanEntry", "PolicyPlan", "translate"]
