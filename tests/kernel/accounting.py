"""Makes an accounting object for ``-m nfacct`` in the network namespace where it runs, as ``nfacct add`` does.

    python accounting.py NAME [PACKETS]

PACKETS is a quota. Source: include/uapi/linux/netfilter/nfnetlink_acct.h and net/netfilter/nfnetlink_acct.c.
"""

from __future__ import annotations

import socket
import struct
import sys

_NETFILTER = 12
_NEW = 7 << 8
_FLAGS = 0x0001 | 0x0004 | 0x0100 | 0x0400
"""NLM_F_REQUEST, ACK, REPLACE (an object that is there counts anew) and CREATE."""
_NAME, _ATTRIBUTE_FLAGS, _QUOTA = 1, 5, 6
_QUOTA_OF_PACKETS = 1


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def make(name: str, packets: int | None = None) -> None:
    """Make the object. OSError where the kernel refuses it."""
    body = struct.pack("=BBH", 0, 0, 0) + _attribute(_NAME, name.encode() + b"\0")
    if packets is not None:
        body += _attribute(_ATTRIBUTE_FLAGS, struct.pack("!I", _QUOTA_OF_PACKETS))
        body += _attribute(_QUOTA, struct.pack("!Q", packets))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as channel:
        channel.send(struct.pack("=IHHII", 16 + len(body), _NEW, _FLAGS, 1, 0) + body)
        _, _, _, _, _, error = struct.unpack_from("=IHHIIi", channel.recv(4096))
    if error:
        raise OSError(-error, f"nfacct object {name}")


if __name__ == "__main__":
    make(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
