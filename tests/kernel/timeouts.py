"""Makes a timeout policy for ``-j CT --timeout`` in the network namespace where it runs, as ``nfct timeout add`` does.

    python timeouts.py NAME 4|6

The policy is for TCP. Source: include/uapi/linux/netfilter/nfnetlink_cttimeout.h and
net/netfilter/nfnetlink_cttimeout.c.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys

_NETFILTER = 12
_NEW = 8 << 8
_FLAGS = 0x0001 | 0x0004 | 0x0400
"""NLM_F_REQUEST, ACK and CREATE."""
_NESTED = 0x8000
_NAME, _NETWORK, _TRANSPORT, _DATA, _ESTABLISHED = 1, 2, 3, 4, 3
_FAMILIES = {"4": socket.AF_INET, "6": socket.AF_INET6}


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + bytes(-len(data) % 4)


def make(name: str, family: int) -> None:
    """Make the policy, if it is not there yet. OSError where the kernel refuses it."""
    body = struct.pack("=BBH", 0, 0, 0) + _attribute(_NAME, name.encode() + b"\0")
    body += _attribute(_NETWORK, struct.pack("!H", family))
    body += _attribute(_TRANSPORT, struct.pack("B", socket.IPPROTO_TCP))
    body += _attribute(_DATA | _NESTED, _attribute(_ESTABLISHED, struct.pack("!I", 1000)))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as channel:
        channel.send(struct.pack("=IHHII", 16 + len(body), _NEW, _FLAGS, 1, 0) + body)
        _, _, _, _, _, error = struct.unpack_from("=IHHIIi", channel.recv(4096))
    if error not in (0, -errno.EEXIST, -errno.EBUSY):
        raise OSError(-error, f"timeout policy {name}")


if __name__ == "__main__":
    make(sys.argv[1], _FAMILIES[sys.argv[2]])
