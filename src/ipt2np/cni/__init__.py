"""Targets: how a plan becomes a CNI's objects, and how that CNI reads them."""
