"""Which family a dump is of, by what only one of the two has."""

from __future__ import annotations

import re

from ipt2np.syntax.saved import header_of

_V6_SIGNS = re.compile(
    r"(?:-p|--proto|--protocol)\s+(?:ipv6-icmp|icmpv6|icmp6)\b|-m\s+icmp6\b|--icmpv6-type|--reject-with\s+icmp6-|"
    r"(?:-s|-d|--source|--destination|--src|--dst)\s+(?:!\s+)?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"
)
_V4_SIGNS = re.compile(
    r"(?:-p|--proto|--protocol)\s+icmp\b|-m\s+icmp\b|--icmp-type|--reject-with\s+icmp-|"
    r"(?:-s|-d|--source|--destination|--src|--dst)\s+(?:!\s+)?[0-9]+\.[0-9]+"
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')


def detect_family(text: str) -> int | None:
    """4 or 6 by what only one of the families has; None where the text says neither.

    The first sign decides: a dump of the other family behind it shows up as a fault of its lines. What stands in
    quotes or comments is no sign, save the line that iptables-save puts above a dump.
    """
    for line in text.split("\n"):
        if line.lstrip().startswith("#"):
            header = header_of(line)
            if header is not None and header[0] in ("ip", "ip6"):
                return 6 if header[0] == "ip6" else 4
            continue
        bare = _QUOTED.sub('""', line)
        if _V6_SIGNS.search(bare):
            return 6
        if _V4_SIGNS.search(bare):
            return 4
    return None
