"""``-m frag`` (ip6tables-extensions(8)): the fragment header of IPv6."""

from __future__ import annotations

from collections.abc import Iterator

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.matches.extension_headers import absent
from ipt2np.rules.matches.spi import said
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer, integer_range


class Frag(MatchExtension):
    """Conntrack reassembles packets before INPUT, so none of them has the header any more."""

    name = "frag"
    families = (6,)
    options = (
        option("--fragid", kinds=integer_range(0xFFFFFFFF), negatable=True),
        option("--fraglen", kinds=integer(), negatable=True),
        option("--fragres"),
        option("--fragfirst"),
        option("--fragmore"),
        option("--fraglast"),
    )
    exclusive = (("--fragmore", "--fraglast"),)
    meaning = absent

    def texts(self, clauses: tuple[Clause, ...], family: int) -> Iterator[str]:
        """Without the range of every identification."""
        return super().texts(said(clauses), family)
