"""What a survey of addresses makes a match mean: a packet set for each part with equal ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ipt2np.packets import Field, PacketSet
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.prefixes import Holding, Surveyed


def held(view: View, field: Field, surveyed: Surveyed, why: str) -> Meaning:
    """The packets whose ``field``, an address, is surveyed to hold on the interface that they come in on.

    Undecided, because of ``why``, where several ways are open.
    """
    may, must = view.space.nothing, view.space.nothing
    for ways, addresses in surveyed.items():
        some, every = view.space.nothing, view.space.everything
        for way in ways:
            there = on_interfaces(view, way)
            some |= there
            every &= there
        packets = view.space.addresses(field, addresses)
        may |= packets & some
        must |= packets & every
    return Meaning(may, must, undecided=(why,) if may != must else ())


def on_each(view: View, devices: Iterable[str], meaning_on: Callable[[str], Meaning]) -> Meaning:
    """On each interface what ``meaning_on`` says of it; on others never."""
    parts = [
        view.exactly(on_interfaces(view, Holding(frozenset({device})))) & meaning_on(device)
        for device in sorted(devices)
    ]
    while (
        len(parts) > 1
    ):  # in pairs: adding one after the other would make each step as dear as all before it
        parts = [
            parts[at] | parts[at + 1] if at + 1 < len(parts) else parts[at] for at in range(0, len(parts), 2)
        ]
    return parts[0] if parts else view.never()


def on_interfaces(view: View, holding: Holding) -> PacketSet:
    """The packets that come in where ``holding`` holds."""
    return view.space.values(Field.INTERFACE, holding.labels(view.interfaces))
