"""``-m osf`` (iptables-extensions(8)): the operating system that a SYN looks like it came from."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, Undecided, option
from ipt2np.rules.meaning import Half, Meaning, View
from ipt2np.rules.model import Clause
from ipt2np.rules.values import integer, unquoted


class Osf(MatchExtension):
    """A genre out of the fingerprints that were loaded into the kernel."""

    name = "osf"
    families = (4,)
    protocols = (6,)
    options = (
        option(
            "--genre",
            kinds=unquoted(31),
            negatable=True,
            means=Undecided("the operating system that the packet's sender looks like"),
        ),
        option("--ttl", kinds=integer(2)),
        option("--log", kinds=integer(2)),
    )
    required = (("--genre",),)

    def meaning(self, clauses: tuple[Clause, ...], view: View) -> Meaning:
        """Only a SYN has a fingerprint (net/netfilter/nfnetlink_osf.c, nf_osf_hdr_ctx_init())."""
        return view.never() if view.half is Half.LATER else super().meaning(clauses, view)
