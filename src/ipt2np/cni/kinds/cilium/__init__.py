"""Cilium's kinds of policy, and Kubernetes NetworkPolicy as Cilium reads it."""

from ipt2np.cni.kinds.cilium.mapentries import DEFAULT_MAP_SIZE, host_map_entries, map_entries
from ipt2np.cni.kinds.cilium.policies import API_VERSION, CLUSTERWIDE, GROUP, LOG_LENGTH, POLICY, VALIDATORS
from ipt2np.cni.kinds.cilium.reading import read, read_host
from ipt2np.cni.kinds.cilium.selection import Options
from ipt2np.cni.kinds.cilium.services import MAX_ENTRIES

__all__ = [
    "API_VERSION",
    "CLUSTERWIDE",
    "DEFAULT_MAP_SIZE",
    "GROUP",
    "LOG_LENGTH",
    "MAX_ENTRIES",
    "POLICY",
    "VALIDATORS",
    "Options",
    "host_map_entries",
    "map_entries",
    "read",
    "read_host",
]
