"""The rule model: what rules, matches and targets are and what they mean."""
