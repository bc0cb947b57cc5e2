"""``-m ah`` (iptables-extensions(8)): IPsec authentication headers; in IPv6 one of the extension headers."""

from __future__ import annotations

from collections.abc import Iterator

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.matches.extension_headers import absent
from ipt2np.rules.matches.spi import said, spi
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer

_WHY = "the packet's security parameter index, which no policy can test"


class Ah(MatchExtension):
    """The security parameter index of AH over IPv4."""

    name = "ah"
    families = (4,)
    protocols = implied_by = (51,)
    options = (option("--ahspi", kinds=spi, negatable=True, means=Undecided(_WHY)),)

    def texts(self, clauses: tuple[Clause, ...], family: int) -> Iterator[str]:
        """Without the range of every index."""
        return super().texts(said(clauses), family)


class Ah6(MatchExtension):
    """The authentication header of IPv6."""

    name = "ah"
    families = (6,)
    options = (
        option("--ahspi", kinds=spi, negatable=True),
        option("--ahlen", kinds=integer(), negatable=True, unsaid=(0,)),
        option("--ahres"),
    )
    meaning = absent

    def texts(self, clauses: tuple[Clause, ...], family: int) -> Iterator[str]:
        """Without the range of every index."""
        return super().texts(said(clauses), family)
