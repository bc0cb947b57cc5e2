"""Address blocks: the fewest ``cidr`` and ``except`` entries for a set of sources.

Exact dynamic programming over the prefix tree. For a subtree two costs: *open*, the entries that write its
addresses when nothing above covers it, and *covered*, the entries that cut its unwanted addresses out of a
block above it. With children l and r:

    open(v)    = min(open(l) + open(r),  1 + covered(l) + covered(r))      the 1 is a cidr at v
    covered(v) = min(covered(l) + covered(r),  1 + open(v))                the 1 is an except at v

Where exceptions are not to be had, covered is 0 for a subtree with nothing unwanted in it, else impossible.

A wanted leaf costs open 1, covered 0; an unwanted one 0 and 1; a leaf that may go either way nothing. A subtree with
nothing wanted in it costs open 0, covered at most 1, so it is not looked into, however much is allowed there. Equal
subtrees are one node of the diagram, so the cost is that of the diagram of what is wanted, not of the address space.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ipt2np.packets import Field, PacketSet
from ipt2np.packets.diagram import FALSE, TRUE
from ipt2np.packets.intervals import ADDRESS_BITS, address_text

_IMPOSSIBLE = 1 << 62


@dataclass(frozen=True, slots=True)
class Block:
    """A CIDR and the CIDRs strictly inside it that do not count."""

    cidr: str
    excepts: tuple[str, ...] = ()

    def listed(self) -> dict[str, Any]:
        """As policies of most kinds have it: ``cidr`` and, where there are any, ``except``."""
        return {"cidr": self.cidr, "except": list(self.excepts)} if self.excepts else {"cidr": self.cidr}


_Node = tuple[int, int]
"""A subtree: the diagram nodes of what is wanted of it, and of what is allowed."""


class _Tree:
    def __init__(self, wanted: PacketSet, allowed: PacketSet, family: int, excepts: bool) -> None:
        self.family = family
        self.bits = ADDRESS_BITS[family]
        self.diagram = wanted.space.diagram
        self.root = wanted.node, allowed.node
        self.an_except = 1 if excepts else _IMPOSSIBLE
        self.costs: dict[tuple[_Node, int], tuple[int, int]] = {}
        self.blocks: list[tuple[str, list[str]]] = []

    def children(self, node: _Node, depth: int) -> tuple[_Node, _Node]:
        level, low, high = self.diagram.level, self.diagram.low, self.diagram.high
        at = Field.SOURCE.first + depth
        wanted, allowed = node
        w0, w1 = (low[wanted], high[wanted]) if level[wanted] == at else (wanted, wanted)
        a0, a1 = (low[allowed], high[allowed]) if level[allowed] == at else (allowed, allowed)
        return (w0, a0), (w1, a1)

    def cost(self, node: _Node, depth: int) -> tuple[int, int]:
        """(open, covered) of the subtree whose prefix has ``depth`` bits."""
        wanted, allowed = node
        if wanted == TRUE:
            return 1, 0
        if wanted == FALSE:
            # One except for all of it does, however little of it is unwanted.
            return 0, 0 if allowed == TRUE else self.an_except
        key = (node, depth)
        found = self.costs.get(key)
        if found is None:
            low, high = self.children(node, depth)
            open_l, covered_l = self.cost(low, depth + 1)
            open_h, covered_h = (open_l, covered_l) if high == low else self.cost(high, depth + 1)
            opened = min(open_l + open_h, 1 + covered_l + covered_h)
            covered = min(covered_l + covered_h, self.an_except + opened)
            found = self.costs[key] = opened, covered
        return found

    def text(self, prefix: int, depth: int) -> str:
        return f"{address_text(prefix << (self.bits - depth), self.family)}/{depth}"

    def write_open(self, node: _Node, depth: int, prefix: int) -> None:
        opened, _ = self.cost(node, depth)
        if not opened:
            return
        if node[0] == TRUE:
            self.blocks.append((self.text(prefix, depth), []))
            return
        low, high = self.children(node, depth)
        if self.cost(low, depth + 1)[0] + self.cost(high, depth + 1)[0] == opened:
            self.write_open(low, depth + 1, prefix << 1)
            self.write_open(high, depth + 1, prefix << 1 | 1)
            return
        excepts: list[str] = []
        self.blocks.append((self.text(prefix, depth), excepts))
        self.write_covered(low, depth + 1, prefix << 1, excepts)
        self.write_covered(high, depth + 1, prefix << 1 | 1, excepts)

    def write_covered(self, node: _Node, depth: int, prefix: int, excepts: list[str]) -> None:
        _, covered = self.cost(node, depth)
        if not covered:
            return
        if node != (FALSE, FALSE):
            low, high = self.children(node, depth)
            if self.cost(low, depth + 1)[1] + self.cost(high, depth + 1)[1] == covered:
                self.write_covered(low, depth + 1, prefix << 1, excepts)
                self.write_covered(high, depth + 1, prefix << 1 | 1, excepts)
                return
        excepts.append(self.text(prefix, depth))
        self.write_open(node, depth, prefix)


def blocks(wanted: PacketSet, allowed: PacketSet, family: int, *, excepts: bool = True) -> list[Block]:
    """The fewest blocks with ``wanted`` ⊆ their union ⊆ ``allowed``, disjoint, in the order of addresses.

    Both are sets in which only the source matters, of one family. Plain CIDRs are preferred where they
    need no more entries than exceptions do; without ``excepts`` there are none.
    """
    tree = _Tree(wanted, allowed, family, excepts)
    tree.write_open(tree.root, 0, 0)
    return [Block(cidr, tuple(excepts)) for cidr, excepts in tree.blocks]


def halved(block: Block, fits: Callable[[Block], bool]) -> list[Block]:
    """Blocks that together are ``block``, halved until each ``fits``; a block without exceptions is not halved."""
    starts = [_ends(text)[0] for text in block.excepts]

    def step(network: _Network, low: int, high: int) -> Iterator[Block]:
        here = Block(str(network), block.excepts[low:high])
        if here.excepts == (here.cidr,):
            return
        if not here.excepts or fits(here):
            yield here
            return
        for half in network.subnets():
            first, last = int(half.network_address), int(half.broadcast_address)
            yield from step(
                half, bisect_left(starts, first, low, high), bisect_right(starts, last, low, high)
            )

    return list(step(ipaddress.ip_network(block.cidr), 0, len(block.excepts)))


def without_wildcard(block: Block) -> list[Block]:
    """A block as two halves where it is all addresses of its family, for targets that read that as something else."""
    network = ipaddress.ip_network(block.cidr)
    if network.prefixlen:
        return [block]
    if not block.excepts:
        return [Block(str(half)) for half in network.subnets()]
    return halved(block, lambda part: not part.cidr.endswith("/0"))


def layers(found: Sequence[Block]) -> list[list[Block]]:
    """Blocks by how many exceptions of other blocks they lie in, for rules whose exceptions count for every block.

    ``found`` are disjoint blocks of one family, as ``blocks`` gives them. Networks are nested or disjoint, so one walk
    over them by first address, the larger first, knows at every block which exceptions are around it.
    """
    networks: list[tuple[int, int, Block | None]] = [(*_ends(block.cidr), block) for block in found]
    networks += [(*_ends(text), None) for block in found for text in block.excepts]
    result: list[list[Block]] = []
    around: list[int] = []
    for first, last, block in sorted(networks, key=lambda each: (each[0], -each[1])):
        while around and around[-1] < first:
            around.pop()
        if block is None:
            around.append(last)
            continue
        while len(result) <= len(around):
            result.append([])
        result[len(around)].append(block)
    return [layer for layer in result if layer]


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _ends(cidr: str) -> tuple[int, int]:
    network = ipaddress.ip_network(cidr)
    return int(network.network_address), int(network.broadcast_address)
