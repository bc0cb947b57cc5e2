"""Targets that read NetworkPolicy by the packet's source address, whoever sent it: a dialect, a way of writing, notes.

What each does and where it is written stands in ``cni/kinds/dialects.py`` beside its reading.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from ipt2np.cni.base import Cluster, Identity, Object, PlatformEffect, Reading
from ipt2np.cni.kinds.dialects import Dialect
from ipt2np.cni.kubernetes import EVERYWHERE
from ipt2np.cni.networkpolicies import NetworkPolicies
from ipt2np.packets import PacketSpace

KIND = ("networking.k8s.io/v1 NetworkPolicy",)


class ByAddress(NetworkPolicies):
    """A target whose reading is a dialect."""

    dialect: ClassVar[Dialect]
    platform: ClassVar[Sequence[PlatformEffect]] = EVERYWHERE

    def read(
        self, objects: list[Object], identity: Identity, cluster: Cluster, space: PacketSpace
    ) -> Mapping[str, Reading]:
        """Reads the objects as the dialect has it."""
        return self.dialect.read(objects, identity, space, cluster)
