"""Policies and rulesets that exist, compared: proofs, differences and their causes, and what reviewers have accepted."""
