"""``-m rpfilter`` (iptables-extensions(8)): would an answer leave by the interface that the packet came in on?"""

from __future__ import annotations

from ipt2np.packets import Field
from ipt2np.rules.assumptions import UNDECIDED
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.routing import LINK_LOCAL, Routing
from ipt2np.rules.surveys import held, on_each

_WHY = "by which interface an answer to the source would leave: that depends on the host's routes"


def _routed(view: View, routing: Routing, options: frozenset[str]) -> Meaning:
    """The packets that pass, by the host's routes; multicast ones are asked for their source alike."""
    loose, accept_local = "--loose" in options, "--accept-local" in options
    surveyed = routing.reverse_path(loose=loose, accept_local=accept_local)
    result = held(view, Field.SOURCE, surveyed, _WHY)
    if view.family == 4:
        return result
    near = view.exactly(view.space.addresses(Field.SOURCE, LINK_LOCAL[6]))

    def on_link(device: str) -> Meaning:
        passing = routing.link_local_reverse_path(device, accept_local=accept_local)
        return held(view, Field.SOURCE, passing, _WHY)

    return (near & on_each(view, routing.devices, on_link)) | (~near & result)


class Rpfilter(MatchExtension):
    """The reverse path test; the rule may ask for packets that fail it."""

    name = "rpfilter"
    options = (
        option("--loose"),
        option("--validmark"),
        option("--accept-local"),
        option("--invert"),
    )

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """By the routes where they are known; else every packet passes as long as ``reverse-path`` stands.

        The mark of ``--validmark`` matters to rules of policy routing alone (ip-rule(8), fwmark), whose tables
        may then be asked or not.
        """
        options = frozenset(clause.option for clause in clauses)
        strict = view.assumptions["reverse-path"] != UNDECIDED
        routing = view.routing
        passing, known = view.always(), False
        if routing is not None and routing.main_known:
            passing, known = _routed(view, routing, options), routing.local_known
        if not known or (strict and not passing.exact):
            # What leaves it open leaves open where the source comes in: there, it passes.
            passing = view.assumed("reverse-path", view.exactly(passing.may), _WHY)
        return ~passing if "--invert" in options else passing
