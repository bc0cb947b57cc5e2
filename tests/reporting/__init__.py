"""Tests of the reports: the fates of rules, and the verdict at a terminal."""
