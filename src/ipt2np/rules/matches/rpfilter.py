"""``-m rpfilter`` (iptables-extensions(8)): would an answer leave by the interface that the packet came in on?"""

from __future__ import annotations

from ipt2np.packets import Field
from ipt2np.rules.assumptions import UNDECIDED
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.routing import LINK_LOCAL, NO, Routing, united
from ipt2np.rules.surveys import held, on_each

_WHY = "by which interface an answer to the source would leave: that depends on the host's routes"


def _unspoofed(view: View, routing: Routing | None, loose: bool, accept_local: bool) -> Meaning:
    """As long as ``reverse-path`` stands a packet comes in where an answer would leave, so it passes if one would.

    The test asks the same of the routes as ``reverse-path`` does (IPv6 takes a route of a greater metric as well).
    """
    if routing is None or not routing.main_known:
        return view.assumed("reverse-path", view.always(), _WHY)
    passing = routing.reverse_path(loose=loose, accept_local=accept_local)
    sources = united((addresses for ways, addresses in passing.items() if ways != NO), view.family)
    if view.family == 6:
        sources |= LINK_LOCAL[6]
    return view.assumed("reverse-path", view.exactly(view.space.addresses(Field.SOURCE, sources)), _WHY)


def _by_routes(view: View, routing: Routing, loose: bool, accept_local: bool) -> Meaning:
    """The packets that pass, on each interface; multicast ones are asked for their source alike."""
    passing = routing.reverse_path(loose=loose, accept_local=accept_local)
    result = held(view, Field.SOURCE, passing, _WHY)
    if view.family == 4:
        return result
    near = view.exactly(view.space.addresses(Field.SOURCE, LINK_LOCAL[6]))

    def on_link(device: str) -> Meaning:
        there = routing.link_local_reverse_path(device, accept_local=accept_local)
        return held(view, Field.SOURCE, there, _WHY)

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
        options = {clause.option for clause in clauses}
        loose, accept_local = "--loose" in options, "--accept-local" in options
        routing = view.routing
        if view.assumptions["reverse-path"] != UNDECIDED:
            passing = _unspoofed(view, routing, loose, accept_local)
        elif routing is not None and routing.main_known and routing.local_known:
            passing = _by_routes(view, routing, loose, accept_local)
        else:
            passing = view.undecided(_WHY)
        return ~passing if "--invert" in options else passing
