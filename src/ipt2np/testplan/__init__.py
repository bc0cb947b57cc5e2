"""The stage *testplan*: probes at the boundaries of what host and pod let through, each with its expected answers."""

from ipt2np.testplan.case import OnHost, OnPod, ProbeCase, Reason, TestPlan, Why
from ipt2np.testplan.plan import plan_probes

__all__ = ["OnHost", "OnPod", "ProbeCase", "Reason", "TestPlan", "Why", "plan_probes"]
