"""``-m cluster`` (iptables-extensions(8)): which node of a cluster is to take the connection."""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, ValueFault, option
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer

MOST_NODES = 32
"""XT_CLUSTER_NODES_MAX."""


def _hexadecimal(high: int, low: int = 0) -> Kind:
    return Kind("N", integer(high, low).read, lambda value, family: f"0x{value:08x}", "2")


class Cluster(MatchExtension):
    """The node follows from a hash of the connection's source address."""

    name = "cluster"
    tracks = True
    options = (
        option(
            "--cluster-local-nodemask",
            kinds=_hexadecimal(MOST_NODES, 1),
            negatable=True,
            means=Undecided("which node of the cluster the host is, and which source falls to it"),
        ),
        option("--cluster-local-node", kinds=integer(MOST_NODES, 1), negatable=True),
        option("--cluster-total-nodes", kinds=integer(MOST_NODES, 1)),
        option("--cluster-hash-seed", kinds=_hexadecimal(0xFFFFFFFF)),
    )
    required = (
        ("--cluster-total-nodes",),
        ("--cluster-hash-seed",),
        ("--cluster-local-node", "--cluster-local-nodemask"),
    )
    exclusive = (("--cluster-local-node", "--cluster-local-nodemask"),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """A node as the mask that holds it alone."""
        normal = super().normal(clauses, family)
        numbers = {
            clause.option: value for clause in normal for value in clause.values if isinstance(value, int)
        }
        node = numbers.get("--cluster-local-node")
        mask = numbers.get("--cluster-local-nodemask", 1 << node - 1 if node else 0)
        if mask >= 1 << numbers["--cluster-total-nodes"]:
            raise ValueFault("the cluster has no such node", "a node from 1 to --cluster-total-nodes")
        return tuple(
            Clause("--cluster-local-nodemask", clause.negated, (mask,))
            if clause.option.startswith("--cluster-local-")
            else clause
            for clause in normal
        )
