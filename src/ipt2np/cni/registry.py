"""The targets by name."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.cni.antrea import Antrea
from ipt2np.cni.base import Cni
from ipt2np.cni.calico import Calico
from ipt2np.cni.cilium import Cilium
from ipt2np.cni.kubernetes import Kubernetes

CNIS: Mapping[str, Cni] = {cni.name: cni for cni in (Kubernetes(), Calico(), Cilium(), Antrea())}
"""Every target, the portable core first."""
