"""Tests of what reviewers meet: verify, diff, accept."""
