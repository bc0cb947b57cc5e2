"""``-m icmp`` (IPv4) and ``-m icmp6`` (IPv6) (iptables-extensions(8))."""

from __future__ import annotations

from ipt2np.packets import Field
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.names import IcmpType
from ipt2np.rules.values import icmp_type


def _type(view: View, wanted: IcmpType | None) -> Meaning:
    if wanted is None:
        return view.always()
    kind, first, last = wanted
    packets = view.space.value(Field.ICMP_TYPE, kind)
    if (first, last) != (0, 255):
        packets &= view.space.values(Field.ICMP_CODE, ((first, last),))
    return view.exactly(packets)


class Icmp(MatchExtension):
    """Type and code of ICMP."""

    name = "icmp"
    families = (4,)
    protocols = implied_by = (1,)
    options = (option("--icmp-type", kinds=icmp_type, negatable=True, means=_type),)
    required = (("--icmp-type",),)


class Icmp6(MatchExtension):
    """Type and code of ICMPv6."""

    name = "icmp6"
    families = (6,)
    protocols = implied_by = (58,)
    options = (option("--icmpv6-type", kinds=icmp_type, negatable=True, means=_type),)
    required = (("--icmpv6-type",),)
