"""``-m policy`` (iptables-extensions(8)): the IPsec policy that a packet was handled by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ipt2np.rules.extension import Kind, MatchExtension, Undecided, ValueFault, option
from ipt2np.rules.meaning import Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.names import protocol_number, saved_protocol
from ipt2np.rules.values import choice, host_mask, integer

ELEMENTS = 4
"""So many elements at most (xt_policy.h, XT_POLICY_MAX_ELEM)."""
PROTOCOLS = (50, 51, 108)
TUNNEL = ("--tunnel-dst", "--tunnel-src")


def _read_protocol(text: str, family: int) -> int:
    found = protocol_number(text)
    if found not in PROTOCOLS:
        raise ValueFault(f"{text!r} is no protocol of IPsec", "one of ah, esp, ipcomp")
    return found


_protocol = Kind("ah|esp|ipcomp", _read_protocol, lambda value, family: saved_protocol(value), "esp")


class Policy(MatchExtension):
    """Direction, whether there is a policy, and its elements, separated by ``--next``."""

    name = "policy"
    options = (
        option("--dir", kinds=choice("in", "out")),
        option("--pol", kinds=choice("ipsec", "none"), default=("ipsec",)),
        option("--strict"),
        option("--reqid", kinds=integer(), negatable=True, repeats=True),
        option("--spi", kinds=integer(hexadecimal=True), negatable=True, repeats=True),
        option("--proto", kinds=_protocol, negatable=True, repeats=True),
        option("--mode", kinds=choice("tunnel", "transport"), negatable=True, repeats=True),
        option("--tunnel-dst", kinds=host_mask, negatable=True, repeats=True),
        option("--tunnel-src", kinds=host_mask, negatable=True, repeats=True),
        option("--next", repeats=True),
    )
    required = (("--dir",),)

    def normal(self, clauses: tuple[Clause, ...], family: int) -> tuple[Clause, ...]:
        """The header options, then each element in the order in which iptables-save prints it.

        ``--pol none`` has no elements: what is said of one is not kept.
        """
        header = ("--dir", "--pol", "--strict")
        head = super().normal(tuple(clause for clause in clauses if clause.option in header), family)
        strict = any(clause.option == "--strict" for clause in head)
        elements = list(_elements(clause for clause in clauses if clause.option not in header))
        if len(elements) > 1 and not strict:
            raise ValueFault("--next needs --strict", "--strict before the first element", "--next")
        if any(clause.values == ("none",) for clause in head):
            if strict:
                raise ValueFault(
                    "--pol none and --strict exclude each other", "--pol ipsec --strict", "--strict"
                )
            return head
        if len(elements) > ELEMENTS:
            raise ValueFault(
                f"{len(elements)} elements are too many", f"at most {ELEMENTS} elements", "--next"
            )
        result = list(head)
        for number, element in enumerate(elements):
            if strict and not element:
                raise ValueFault(
                    f"element {number + 1} of the policy is empty",
                    "--reqid, --spi, --proto, --mode, --tunnel-src or --tunnel-dst",
                    "--next" if number else "--strict",
                )
            result += [Clause("--next")] if number else []
            result += self._element(element)
        return tuple(result)

    def _element(self, clauses: list[Clause]) -> list[Clause]:
        place = {each.name: number for number, each in enumerate(self.options)}
        by_name = {clause.option: clause for clause in clauses}
        for clause in clauses:
            if by_name[clause.option] is not clause:
                raise ValueFault(
                    f"{clause.option} stands twice in one element",
                    f"{clause.option} once, or --next between the two",
                    clause.option,
                )
        mode = by_name.get("--mode")
        tunnel = mode is not None and (mode.values == ("tunnel",)) != mode.negated
        for name in TUNNEL:
            if name in by_name and not tunnel:
                raise ValueFault(f"{name} needs tunnel mode", f"--mode tunnel {name}", name)
        return sorted(clauses, key=lambda clause: place[clause.option])

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """No header says what a packet was wrapped in before it came to the rule."""
        return Undecided("whether the packet came in through IPsec, and by which policy")(view)


def _elements(clauses: Iterable[Clause]) -> Iterator[list[Clause]]:
    """The clauses between one ``--next`` and another: one element at least, if an empty one."""
    element: list[Clause] = []
    for clause in clauses:
        if clause.option == "--next":
            yield element
            element = []
        else:
            element.append(clause)
    yield element
