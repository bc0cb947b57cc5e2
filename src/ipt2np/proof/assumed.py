"""What a reading is worth where something of the cluster is not assumed: more of it is left open."""

from __future__ import annotations

from collections.abc import Mapping

from ipt2np.cni.base import EXTERNAL, NODE, Cluster, Reading
from ipt2np.cni.fitting.incluster import packets_of
from ipt2np.packets import Field, PacketSpace
from ipt2np.rules.assumptions import UNDECIDED, Assumptions


def as_assumed(
    readings: Mapping[str, Reading], assumptions: Assumptions, cluster: Cluster, space: PacketSpace
) -> Mapping[str, Reading]:
    """The readings under the assumptions about the cluster; what is not assumed adds to what is undefined.

    ``client-address``: an external client may be seen as itself or as any node. ``sole-policy``: other policies may
    admit what these do not.
    """
    result = dict(readings)
    if assumptions["client-address"] == UNDECIDED:
        outside, node = readings[EXTERNAL], readings[NODE]
        nodes = packets_of(space, cluster, NODE)
        always = ((node.admits - node.undefined) | ~nodes).every(Field.SOURCE)
        ever = ((node.admits | node.undefined) & nodes).some(Field.SOURCE)
        hanging = (outside.admits - always) | (ever - outside.admits)
        result[EXTERNAL] = Reading(outside.admits, outside.undefined | hanging)
    if assumptions["sole-policy"] == UNDECIDED:
        result = {
            name: Reading(reading.admits, reading.undefined | ~reading.admits) for name, reading in result.items()
        }
    return result
