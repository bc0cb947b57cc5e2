"""Kinds of policy: what an API takes, and what its objects let through."""
