"""Tests of what a reviewer is given."""
