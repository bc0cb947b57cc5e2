"""``-m multiport`` (iptables-extensions(8)): lists of ports, either end or one of them."""

from __future__ import annotations

from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.matches.ports import destination_port, source_port
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import port_list


def _either_port(view: View, ranges: tuple[Range, ...]) -> Meaning:
    return source_port(view, ranges) | destination_port(view, ranges)


class Multiport(MatchExtension):
    """Up to fifteen ports and ranges; only for protocols that have ports."""

    name = "multiport"
    protocols = (6, 17, 33, 132, 136)
    options = (
        option(
            "--source-ports",
            "--sports",
            "--source-port",
            "--sport",
            kinds=port_list,
            negatable=True,
            means=source_port,
        ),
        option(
            "--destination-ports",
            "--dports",
            "--destination-port",
            "--dport",
            kinds=port_list,
            negatable=True,
            means=destination_port,
        ),
        option("--ports", kinds=port_list, negatable=True, means=_either_port),
    )
