"""Tests of the targets: blocks, NetworkPolicy objects, and what is refused."""
