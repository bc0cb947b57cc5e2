"""The header options that need no ``-m``: addresses, protocol, interfaces, fragments (iptables(8))."""

from __future__ import annotations

from collections.abc import Iterator

from ipt2np.packets import Field
from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import AddressSpec, addresses, interface, protocol


def _address(view: View, field: Field, spec: AddressSpec) -> Meaning:
    if spec.addresses.family != view.family:
        return view.never()
    packets = view.space.addresses(field, spec.addresses)
    if not spec.exact:
        return view.undecided("the address mask is too scattered to be written as networks", packets)
    return view.exactly(packets)


def _source(view: View, spec: AddressSpec) -> Meaning:
    return _address(view, Field.SOURCE, spec)


def _destination(view: View, spec: AddressSpec) -> Meaning:
    return _address(view, Field.DESTINATION, spec)


def _protocol(view: View, number: int) -> Meaning:
    return view.always() if number == 0 else view.of_protocols((number,))


def _in_interface(view: View, pattern: str) -> Meaning:
    if pattern == "lo":
        return view.never()
    return view.exactly(view.space.values(Field.INTERFACE, view.interfaces.matching(pattern)))


def _out_interface(view: View, pattern: str) -> Meaning:
    # On the way in there is no output interface: the kernel compares with an empty name.
    return view.constantly(pattern == "+")


def _fragment(view: View) -> Meaning:
    return view.assumed("fragment", view.never(), "whether the packet is a fragment")


def _ipv4(view: View) -> Meaning:
    # iptables-restore skips a rule marked for the other family (iptables(8), -4 and -6).
    return view.constantly(view.family == 4)


def _ipv6(view: View) -> Meaning:
    return view.constantly(view.family == 6)


class Ip(MatchExtension):
    """``-s -d -i -o -p -f``; a negated list of addresses means none of them."""

    name = "ip"
    options = (
        option("--source", "-s", "--src", kinds=addresses, negatable=True, means=_source, saved="-s"),
        option(
            "--destination", "-d", "--dst", kinds=addresses, negatable=True, means=_destination, saved="-d"
        ),
        option("--in-interface", "-i", kinds=interface, negatable=True, means=_in_interface, saved="-i"),
        option("--out-interface", "-o", kinds=interface, negatable=True, means=_out_interface, saved="-o"),
        option("--protocol", "-p", "--proto", kinds=protocol, negatable=True, means=_protocol, saved="-p"),
        option("--fragment", "-f", negatable=True, means=_fragment, saved="-f"),
        option("--ipv4", "-4", means=_ipv4),
        option("--ipv6", "-6", means=_ipv6),
    )

    def texts(self, clauses: tuple[Clause, ...], family: int) -> Iterator[str]:
        """What matches every packet is not printed (iptables/iptables.c, print_rule4)."""
        for clause in clauses:
            spec = clause.values[0] if clause.values else None
            everything = spec in (0, "+") or (
                isinstance(spec, AddressSpec) and not clause.negated and not spec.networks[0].mask
            )
            if not everything and clause.option not in ("--ipv4", "--ipv6"):
                yield from super().texts((clause,), family)
