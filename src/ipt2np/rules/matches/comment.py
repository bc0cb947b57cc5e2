"""``-m comment`` (iptables-extensions(8)): says something, decides nothing."""

from __future__ import annotations

from ipt2np.rules.extension import MatchExtension, option
from ipt2np.rules.values import string


class Comment(MatchExtension):
    """Any text."""

    name = "comment"
    options = (option("--comment", kinds=string(255, cut=True)),)
    required = (("--comment",),)
