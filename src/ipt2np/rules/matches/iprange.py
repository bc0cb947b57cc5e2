"""``-m iprange`` (iptables-extensions(8)): ranges of addresses that need not be networks."""

from __future__ import annotations

from ipt2np.packets import AddressSet, Field
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import address_range


def _range(field: Field, view: View, addresses: AddressSet) -> Meaning:
    if addresses.family != view.family:
        return view.never()
    return view.exactly(view.space.addresses(field, addresses))


def _source(view: View, addresses: AddressSet) -> Meaning:
    return _range(Field.SOURCE, view, addresses)


def _destination(view: View, addresses: AddressSet) -> Meaning:
    return _range(Field.DESTINATION, view, addresses)


class Iprange(MatchExtension):
    """Source and destination address ranges."""

    name = "iprange"
    options = (
        option("--src-range", kinds=address_range, negatable=True, means=_source),
        option("--dst-range", kinds=address_range, negatable=True, means=_destination),
    )
    required = (("--src-range", "--dst-range"),)
