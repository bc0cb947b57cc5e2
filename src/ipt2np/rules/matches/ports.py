"""Meanings that the transport protocols' matches share: source and destination ports."""

from __future__ import annotations

from dataclasses import replace

from ipt2np.packets import Field
from ipt2np.packets.intervals import Range
from ipt2np.rules.extension import option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.values import port_range


def source_port(view: View, ranges: tuple[Range, ...]) -> Meaning:
    """Packets from the ports."""
    return view.exactly(view.space.values(Field.SOURCE_PORT, ranges))


def destination_port(view: View, ranges: tuple[Range, ...]) -> Meaning:
    """Packets to the ports, as the filter sees them."""
    return view.exactly(view.space.values(Field.DESTINATION_PORT, ranges))


_EVERY: tuple[tuple[Range, ...]] = (((0, 0xFFFF),),)
PORT_OPTIONS = (
    option(
        "--source-port",
        "--sport",
        kinds=port_range,
        negatable=True,
        means=source_port,
        saved="--sport",
        unsaid=_EVERY,
    ),
    option(
        "--destination-port",
        "--dport",
        kinds=port_range,
        negatable=True,
        means=destination_port,
        saved="--dport",
        unsaid=_EVERY,
    ),
)
SAID_PORT_OPTIONS = tuple(replace(each, unsaid=None) for each in PORT_OPTIONS)
"""The same for matches that print the range of all ports too."""
