"""Targets that end the walk, or a chain: ACCEPT, DROP, RETURN, QUEUE (iptables(8), TARGETS)."""

from __future__ import annotations

from ipt2np.rules.extension import Effect, TargetExtension


class Accept(TargetExtension):
    """Lets the packet through."""

    name = "ACCEPT"
    effect = Effect.ACCEPT


class Drop(TargetExtension):
    """Drops the packet."""

    name = "DROP"
    effect = Effect.DROP


class Return(TargetExtension):
    """Goes on behind the jump into this chain, or to the built-in policy."""

    name = "RETURN"
    effect = Effect.RETURN


class Queue(TargetExtension):
    """Hands the packet to a program, in the oldest form."""

    name = "QUEUE"
    effect = Effect.DIVERT
