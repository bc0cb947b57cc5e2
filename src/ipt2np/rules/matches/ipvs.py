"""``-m ipvs`` (iptables-extensions(8)): what the kernel's load balancer knows of a packet's connection."""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, ValueFault, option
from ipt2np.rules.model import Clause
from ipt2np.rules.values import choice, host_mask, port_of, protocol_as_number

_WHY = Undecided("what IPVS knows of the packet's connection")


_port = Kind("PORT", lambda text, family: port_of(text), lambda value, family: str(value), "80")


class Ipvs(MatchExtension):
    """Whether IPVS has the packet's connection, and what it says of it; all but ``--ipvs`` imply ``--ipvs``."""

    name = "ipvs"
    options = (
        option("--ipvs", negatable=True, means=_WHY),
        option("--vproto", kinds=protocol_as_number, negatable=True, means=_WHY),
        option("--vaddr", kinds=host_mask, negatable=True, means=_WHY),
        option("--vport", kinds=_port, negatable=True, means=_WHY),
        option("--vdir", kinds=choice("ORIGINAL", "REPLY", fold=True), means=_WHY),
        option("--vmethod", kinds=choice("GATE", "IPIP", "MASQ", fold=True), negatable=True, means=_WHY),
        option("--vportctl", kinds=_port, negatable=True, means=_WHY),
    )
    required = (tuple(each.name for each in options),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """``--ipvs`` goes without saying where another option stands."""
        normal = super().normal(clauses, family)
        if len(normal) == 1:
            return normal
        if any(clause.option == "--ipvs" and clause.negated for clause in normal):
            raise ValueFault("! --ipvs cannot stand with other options", "! --ipvs alone", "--ipvs")
        return tuple(clause for clause in normal if clause.option != "--ipvs")
