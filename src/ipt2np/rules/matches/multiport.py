"""``-m multiport`` (iptables-extensions(8)): lists of ports, either end or one of them."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.matches.ports import destination_port, source_port
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import PortList, port_list


def _from(view: View, ports: PortList) -> Meaning:
    return source_port(view, ports.ranges)


def _to(view: View, ports: PortList) -> Meaning:
    return destination_port(view, ports.ranges)


def _either(view: View, ports: PortList) -> Meaning:
    return _from(view, ports) | _to(view, ports)


_SOURCE = ("--source-ports", "--sports", "--source-port", "--sport")
_DESTINATION = ("--destination-ports", "--dports", "--destination-port", "--dport")


class Multiport(MatchExtension):
    """Up to fifteen ports and ranges; only for protocols that have ports."""

    name = "multiport"
    protocols = (6, 17, 33, 132, 136)
    options = (
        option(*_SOURCE, kinds=port_list, negatable=True, means=_from, saved="--sports"),
        option(*_DESTINATION, kinds=port_list, negatable=True, means=_to, saved="--dports"),
        option("--ports", kinds=port_list, negatable=True, means=_either),
    )
    required = exclusive = (("--source-ports", "--destination-ports", "--ports"),)
