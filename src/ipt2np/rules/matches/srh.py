"""``-m srh`` (ip6tables): the segment routing header of RFC 8754 (net/ipv6/netfilter/ip6t_srh.c)."""

from __future__ import annotations

from ipt2np.rules.extension import Kind, MatchExtension, option
from ipt2np.rules.matches.extension_headers import absent
from ipt2np.rules.values import host_mask, integer

_octet = integer(255)
_segment = Kind(
    "ADDRESS[/MASK]",
    host_mask.read,
    lambda value, family: value.text(family),
    host_mask.example,
    host_mask.example6,
)


class Srh(MatchExtension):
    """Next header, lengths, segments, tag; the previous, next and last segment."""

    name = "srh"
    families = (6,)
    options = (
        option("--srh-next-hdr", kinds=_octet, negatable=True),
        *(
            option(f"--srh-{part}-{how}", kinds=_octet, negatable=True)
            for part in ("hdr-len", "segs-left", "last-entry")
            for how in ("eq", "gt", "lt")
        ),
        option("--srh-tag", kinds=integer(0xFFFF), negatable=True),
        *(option(f"--srh-{which}sid", kinds=_segment, negatable=True) for which in "pnl"),
    )
    meaning = absent
