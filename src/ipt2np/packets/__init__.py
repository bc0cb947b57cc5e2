"""Packet algebra: sets of ports, addresses and packets, immutable and canonical."""

from ipt2np.packets.intervals import AddressSet, PortSet
from ipt2np.packets.space import Field, PacketMap, PacketSet, PacketSpace

__all__ = ["AddressSet", "Field", "PacketMap", "PacketSet", "PacketSpace", "PortSet"]
