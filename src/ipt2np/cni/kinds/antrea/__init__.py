"""``crd.antrea.io/v1beta1``: what Antrea takes, and what its policies let through to pods and nodes."""

from ipt2np.cni.kinds.antrea.reading import read, read_host, rejects
from ipt2np.cni.kinds.antrea.schema import API_VERSION, VALIDATORS, check_together

__all__ = ["API_VERSION", "VALIDATORS", "check_together", "read", "read_host", "rejects"]
